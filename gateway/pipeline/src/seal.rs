//! The sealer: moves what is durable in the journal into the store of record, in time slices long enough to pack well.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use watchfire_model::{Clock, Instant, Lsn, Record};

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

/// Seals every few minutes, or sooner when much has come, and drops what is more than is to be kept, until `stop`.
///
/// # Errors
/// When a store fails for another reason than a full disk.
pub(crate) async fn run(
    log: Arc<Log>,
    values: impl Fn() -> u64,
    clock: Arc<dyn Clock>,
    keep: Keep,
    stop: CancellationToken,
) -> Result<(), PortError> {
    let (mut waited, mut since_retain, mut counted) = (Duration::ZERO, RETAIN_EVERY, values());
    // An hour ends by itself, but what there is of it is sealed by this task.
    let mut unsummarised = keep.summaries.is_some();
    // A full disk has kept something from being sealed.
    let mut is_held_up = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        waited += LOOK_EVERY;
        since_retain += LOOK_EVERY;
        let count = values();
        let has_room = log.has_room();
        let is_due = waited >= SEAL_EVERY || count.saturating_sub(counted) >= SEAL_ROWS;
        let goes_on = is_held_up && has_room;
        if !is_due && !goes_on {
            if unsummarised && has_room {
                unsummarised = summarise(&log, clock.now()).await?;
            }
            continue;
        }
        (waited, counted, is_held_up) = (Duration::ZERO, count, !has_room);
        let retain = (since_retain >= RETAIN_EVERY).then(|| clock.now());
        if retain.is_some() {
            since_retain = Duration::ZERO;
        }
        let stores = log.clone();
        let sealed = tokio::task::spawn_blocking(move || {
            // Sealing needs room. A full disk must not keep the old from going: that makes some, with what was in reserve.
            let sealed = if has_room { seal_all(&stores) } else { Ok(()) };
            let dropped = retain.map_or(Ok(()), |now| drop_old(&stores, now, &keep));
            // Room may run out within an hour.
            let shrunk = keep.bytes.map_or(Ok(()), |most| shrink(&stores, most));
            sealed.and(dropped).and(shrunk)
        });
        match sealed.await {
            Ok(Ok(())) => {
                tracing::debug!(sealed = %log.history().sealed(), "sealed what was durable");
                unsummarised |= keep.summaries.is_some() && has_room;
            }
            Ok(Err(PortError::Full { doing })) => {
                tracing::error!(doing, "no room left on the disk; sealing waits");
                log.tell_full();
                is_held_up = true;
            }
            Ok(Err(error)) => return Err(error),
            Err(panic) => tracing::error!(%panic, "sealing was ended; it is tried again"),
        }
    }
}

fn shrink(log: &Log, most: u64) -> Result<(), PortError> {
    while log.history().retain_within(most)? {}
    Ok(())
}

/// Summarises some of what is sealed, and answers whether there is more: so little at a time that neither sealing nor the
/// end of the gateway waits long.
async fn summarise(log: &Arc<Log>, now: Instant) -> Result<bool, PortError> {
    let stores = log.clone();
    match tokio::task::spawn_blocking(move || stores.history().summarise(now)).await {
        Ok(Ok(more)) => Ok(more),
        Ok(Err(PortError::Full { doing })) => {
            tracing::error!(doing, "no room left on the disk; summaries wait");
            log.tell_full();
            Ok(true)
        }
        Ok(Err(error)) => Err(error),
        Err(panic) => {
            tracing::error!(%panic, "summarising was ended; it is tried again");
            Ok(true)
        }
    }
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
