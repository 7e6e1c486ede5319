//! The sealer: moves what is durable in the journal into the store of record, in time slices long enough to pack well.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use watchfire_model::{Clock, Instant, Lsn, Record};

use crate::faults::{Faults, SEAL};
use crate::watching::Watching;
use crate::{Log, PortError, RecordRun};

/// How often the journal is sealed into the store of record.
const SEAL_EVERY: Duration = Duration::from_secs(600);
/// Rows after which it is sealed sooner.
const SEAL_ROWS: u64 = 2_000_000;
/// Bytes of records that are sealed at once: more than [`SEAL_ROWS`] samples, and what comes until it is looked, take in
/// memory, whatever they have beside their values. A rest that is sealed by itself has a chunk of one row for each signal.
const SEAL_BYTES: usize = if cfg!(test) { 1 << 20 } else { 80 << 20 };
/// What is read of the journal at once, rows.
const READ_ROWS_MAX: usize = 1 << 14;
/// How often the row count is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often what is too old is dropped.
const RETAIN_EVERY: Duration = Duration::from_secs(3600);

/// Seals everything durable now, about [`SEAL_BYTES`] of it at a time; blocks. Reads them some times over.
///
/// # Errors
/// When a store fails; what was sealed before stays.
pub fn seal_all(log: &Log) -> Result<(), PortError> {
    let durable = log.durable_tail();
    loop {
        let from = log.history().sealed().next();
        if from > durable {
            return Ok(());
        }
        let before = Watching::known(log);
        let run = Run { log, from, durable, watching: RefCell::new(before.clone()) };
        log.history().seal_run(&run)?;
        let sealed = log.history().sealed();
        if sealed < from {
            return Ok(());
        }
        log.journal().truncate(sealed)?;
        run.watching.into_inner().keep(log, Some(&before))?;
    }
}

/// What is sealed at once.
struct Run<'l> {
    log: &'l Log,
    from: Lsn,
    durable: Lsn,
    /// What it says of sources, beside.
    watching: RefCell<Watching>,
}

impl RecordRun for Run<'_> {
    fn records(&self) -> Box<dyn Iterator<Item = Result<Record, PortError>> + '_> {
        let Self { log, from, durable, .. } = *self;
        let reading = Reading { log, next: from, durable, read: Vec::new().into_iter(), bytes: 0 };
        Box::new(reading.inspect(|record| {
            if let Ok(record) = record {
                self.watching.borrow_mut().take(record);
            }
        }))
    }
}

/// The same as it is read: the records are those that they were, so it ends where it ended.
struct Reading<'l> {
    log: &'l Log,
    next: Lsn,
    durable: Lsn,
    read: std::vec::IntoIter<Record>,
    bytes: usize,
}

impl Iterator for Reading<'_> {
    type Item = Result<Record, PortError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes >= SEAL_BYTES {
            return None;
        }
        if self.read.len() == 0 {
            match self.log.journal().read(self.next, READ_ROWS_MAX) {
                Ok(read) => self.read = read.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
        let record = self.read.next().filter(|record| record.lsn <= self.durable)?;
        self.next = record.lsn.next();
        self.bytes += record.body.weight();
        Some(Ok(record))
    }
}

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// How long.
    pub age: Duration,
    /// How much of it, bytes.
    pub bytes: Option<u64>,
    /// How long what it comes to by the hour; none is made without it.
    pub summaries: Option<Duration>,
}

/// The task that seals, drops and summarises.
pub(crate) struct Sealer {
    /// Over the stores.
    pub log: Arc<Log>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// What is kept.
    pub keep: Keep,
    /// What panicked, for whoever tells of it.
    pub faults: Arc<Faults>,
}

/// How something ended that must not end the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome<T> {
    Done(T),
    /// No room on the disk.
    Full,
    /// By a panic; to be tried again after this.
    Failed(Duration),
}

impl Sealer {
    /// Seals every few minutes, or sooner when much has come, and drops what is more than is to be kept, until `stop`.
    ///
    /// # Errors
    /// When a store fails for another reason than a full disk.
    pub(crate) async fn run(self, values: impl Fn() -> u64, stop: CancellationToken) -> Result<(), PortError> {
        let (mut waited, mut since_retain, mut counted) = (Duration::ZERO, RETAIN_EVERY, values());
        // An hour ends by itself, but what there is of it is sealed by this task.
        let mut unsummarised = self.keep.summaries.is_some();
        // A panic has kept it from being summarised: how long it is waited yet.
        let mut summary_pause = Duration::ZERO;
        // A full disk has kept something from being sealed.
        let mut is_held_up = false;
        // A panic has: how long it is waited before the next try.
        let mut pause: Option<Duration> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            waited += LOOK_EVERY;
            since_retain += LOOK_EVERY;
            summary_pause = summary_pause.saturating_sub(LOOK_EVERY);
            let count = values();
            let has_room = self.log.has_room();
            let is_due = match pause {
                Some(pause) => waited >= pause,
                None => waited >= SEAL_EVERY || count.saturating_sub(counted) >= SEAL_ROWS,
            };
            let goes_on = is_held_up && has_room;
            if !is_due && !goes_on {
                if unsummarised && has_room && summary_pause.is_zero() {
                    match self.summarise().await? {
                        Outcome::Done(more) => unsummarised = more,
                        Outcome::Full => {}
                        Outcome::Failed(after) => summary_pause = after,
                    }
                }
                continue;
            }
            (waited, counted, is_held_up) = (Duration::ZERO, count, !has_room);
            let retain = since_retain >= RETAIN_EVERY;
            if retain {
                since_retain = Duration::ZERO;
            }
            // Sealing needs room. A full disk must not keep the old from going: that makes some, with what was in reserve.
            // Nor must a defect of what seals.
            if has_room {
                match self.seal().await? {
                    Outcome::Done(()) => {
                        pause = None;
                        unsummarised |= self.keep.summaries.is_some();
                    }
                    Outcome::Full => is_held_up = true,
                    Outcome::Failed(after) => pause = Some(after),
                }
            }
            match self.drop_some(retain).await? {
                Outcome::Full => is_held_up = true,
                Outcome::Failed(_) if retain => since_retain = RETAIN_EVERY,
                Outcome::Done(()) | Outcome::Failed(_) => {}
            }
        }
    }

    async fn seal(&self) -> Result<Outcome<()>, PortError> {
        let outcome = self.blocking(SEAL, seal_all).await?;
        if outcome == Outcome::Done(()) {
            tracing::debug!(sealed = %self.log.history().sealed(), "sealed what was durable");
        }
        Ok(outcome)
    }

    /// Drops what is more than is to be kept, by its age where that is asked for.
    async fn drop_some(&self, by_age: bool) -> Result<Outcome<()>, PortError> {
        let (now, keep) = (self.clock.now(), self.keep);
        let dropping = move |log: &Log| {
            let dropped = if by_age { drop_old(log, now, &keep) } else { Ok(()) };
            // Room may run out within an hour.
            dropped.and(keep.bytes.map_or(Ok(()), |most| shrink(log, most)))
        };
        self.blocking("dropping what is too old", dropping).await
    }

    /// Summarises some of what is sealed, and answers whether there is more: so little at a time that neither sealing nor
    /// the end of the gateway waits long.
    async fn summarise(&self) -> Result<Outcome<bool>, PortError> {
        let now = self.clock.now();
        self.blocking("summarising", move |log: &Log| log.history().summarise(now)).await
    }

    /// Does something that blocks. A panic in it is told, and no reason for the gateway to end: what was not done is done
    /// the next time.
    async fn blocking<T: Send + 'static>(
        &self,
        doing: &'static str,
        what: impl FnOnce(&Log) -> Result<T, PortError> + Send + 'static,
    ) -> Result<Outcome<T>, PortError> {
        let log = self.log.clone();
        match tokio::task::spawn_blocking(move || what(&log)).await {
            Ok(Ok(done)) => {
                self.faults.over(doing);
                Ok(Outcome::Done(done))
            }
            Ok(Err(PortError::Full { doing: stopped })) => {
                tracing::error!(doing, stopped, "no room left on the disk; this waits");
                self.log.tell_full();
                Ok(Outcome::Full)
            }
            Ok(Err(error)) => Err(error),
            Err(ended) => Ok(Outcome::Failed(self.faults.met(doing, ended))),
        }
    }
}

fn shrink(log: &Log, most: u64) -> Result<(), PortError> {
    while log.history().retain_within(most)? {}
    Ok(())
}

fn drop_old(log: &Log, now: Instant, keep: &Keep) -> Result<(), PortError> {
    match log.history().retain(now.minus(keep.age)) {
        Err(PortError::Implausible(reason)) => {
            tracing::error!(clock = %now, keep = ?keep.age, reason, "nothing is dropped by this clock");
            return Ok(());
        }
        result => result?,
    }
    log.history().retain_summaries(keep.summaries.map_or(Instant::MAX, |age| now.minus(age)))
}
