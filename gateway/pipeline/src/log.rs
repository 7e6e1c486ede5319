//! The log is the queue: records are appended once, made durable in groups, and read by any number of cursors.
//!
//! It holds the newest records in memory; a cursor that falls behind reads from the stores instead, so that a slow
//! reader costs nobody else anything. Knows nothing of what records mean.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use watchfire_model::{Lsn, Record, RecordBody};

use crate::holes::Holes;
use crate::tails::Tails;
use crate::{Encoded, History, Journal, PortError};

/// Bytes that the newest records in memory may hold together: some 100,000 plain samples.
const RING_BYTES_MAX: usize = 4 << 20;
/// Records that stay in memory whatever they hold.
const RING_RECORDS_MAX: usize = 1 << 14;
/// Records a cursor takes over at once.
const TAKE_MAX: usize = 64;
/// Records that hold less are encoded where they are put: that takes less than half a millisecond.
const ENCODE_BYTES_MAX: usize = 1 << 20;
/// With so many bytes waiting, what was received is made durable after the commit interval; with fewer later, so that
/// at low rates a disk does not write whole pages for a few bytes, again and again.
const BUSY_BYTES: u64 = 1 << 16;
/// How many commit intervals it then waits, and how long at the most.
const QUIET_INTERVALS: u32 = 20;
const QUIET_MAX: Duration = Duration::from_secs(2);
/// How long a full disk is given before the next try.
const FULL_RETRY: Duration = Duration::from_secs(1);
/// Rows a cursor reads from a store at once.
const READ_ROWS_MAX: usize = 1 << 16;

#[derive(Debug, Default)]
struct Ring {
    records: VecDeque<Arc<Record>>,
    bytes: usize,
}

/// The log.
pub struct Log {
    journal: Arc<dyn Journal>,
    history: Arc<dyn History>,
    ring: Mutex<Ring>,
    tail: watch::Sender<Lsn>,
    durable: watch::Sender<Lsn>,
    urgent: Notify,
    /// Somebody has met a full disk.
    full: Notify,
    /// Whether samples are taken.
    room: watch::Sender<bool>,
    /// Bytes appended since the last commit began.
    waiting: watch::Sender<u64>,
    /// What is not sealed of the signals that were read last.
    pub(crate) tails: Tails,
    /// Held while what is known of sources is kept.
    pub(crate) watching: Mutex<()>,
    /// The gaps of the signals that were read last.
    pub(crate) holes: Holes,
}

/// Why a cursor has no next record.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    /// Retention has dropped what it would read next.
    #[error("records before {oldest} are no longer kept")]
    Gone {
        /// The oldest record that is.
        oldest: Lsn,
    },
    /// A store failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The reading task was ended.
    #[error("reading the log was ended: {0}")]
    Ended(#[from] JoinError),
}

impl Log {
    /// The log over its two stores.
    #[must_use]
    pub fn new(journal: Arc<dyn Journal>, history: Arc<dyn History>) -> Arc<Self> {
        let tail = journal.tail().max(history.sealed());
        Arc::new(Self {
            journal,
            history,
            ring: Mutex::default(),
            tail: watch::Sender::new(tail),
            durable: watch::Sender::new(tail),
            urgent: Notify::new(),
            full: Notify::new(),
            room: watch::Sender::new(true),
            waiting: watch::Sender::new(0),
            tails: Tails::default(),
            watching: Mutex::default(),
            holes: Holes::default(),
        })
    }

    /// Appends a record, waiting while the disk is full: readable at once, durable within the commit interval. Samples
    /// wait until there is room again; what else there is to record may use what was held in reserve.
    ///
    /// # Errors
    /// As [`Journal::append`], but for a full disk.
    pub async fn put(&self, body: RecordBody) -> Result<Arc<Record>, PortError> {
        let (encoded, mut body) = self.encode(body).await?;
        loop {
            if matches!(body, RecordBody::Data(_)) {
                // The sender is ours.
                drop(self.room.subscribe().wait_for(|has_room| *has_room).await);
            }
            match self.append(&encoded, body) {
                Ok(record) => return Ok(record),
                Err((PortError::Full { doing }, back)) => {
                    tracing::error!(doing, "no room left on the disk: make room; nothing is recorded until then");
                    self.tell_full();
                    body = back;
                    tokio::time::sleep(FULL_RETRY).await;
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Before any lock, and what is large off the runtime: neither other writers nor readers wait for it.
    async fn encode(&self, body: RecordBody) -> Result<(Encoded, RecordBody), PortError> {
        if body.weight() < ENCODE_BYTES_MAX {
            return Ok((self.journal.encode(&body)?, body));
        }
        let journal = self.journal.clone();
        let encoded = tokio::task::spawn_blocking(move || journal.encode(&body).map(|encoded| (encoded, body))).await;
        encoded.map_err(|panic| PortError::Io {
            doing: "encoding a record".to_owned(),
            source: std::io::Error::other(panic),
        })?
    }

    #[expect(clippy::result_large_err, reason = "a refused record is given back, to be tried again")]
    fn append(&self, encoded: &Encoded, body: RecordBody) -> Result<Arc<Record>, (PortError, RecordBody)> {
        let mut ring = self.ring.lock();
        let lsn = match self.journal.append_encoded(encoded) {
            Ok(lsn) => lsn,
            Err(error) => return Err((error, body)),
        };
        let record = Arc::new(Record { lsn, body });
        ring.bytes += record.body.weight();
        ring.records.push_back(record.clone());
        while ring.records.len() > 1 && (ring.bytes > RING_BYTES_MAX || ring.records.len() > RING_RECORDS_MAX) {
            if let Some(oldest) = ring.records.pop_front() {
                ring.bytes -= oldest.body.weight();
            }
        }
        // Still under the lock: two who append must not tell their places in the wrong order.
        self.tail.send_replace(lsn);
        self.waiting.send_modify(|waiting| *waiting += encoded.0.len() as u64);
        self.holes.hear(&record);
        drop(ring);
        Ok(record)
    }

    /// Says that the disk is full.
    pub(crate) fn tell_full(&self) {
        self.full.notify_one();
    }

    /// Waits until somebody has met a full disk.
    pub(crate) async fn told_full(&self) {
        self.full.notified().await;
    }

    /// Says whether samples are taken from now on.
    pub(crate) fn set_room(&self, has_room: bool) {
        self.room.send_if_modified(|before| std::mem::replace(before, has_room) != has_room);
    }

    /// Whether samples are taken.
    pub(crate) fn has_room(&self) -> bool {
        *self.room.borrow()
    }

    /// Asks for durability now instead of at the end of the commit interval.
    pub fn hurry(&self) {
        self.urgent.notify_one();
    }

    /// Waits until the record at `lsn` is durable. False when the log has stopped before.
    pub async fn durable(&self, lsn: Lsn) -> bool {
        self.durable.subscribe().wait_for(|durable| *durable >= lsn).await.is_ok()
    }

    /// The last record appended.
    #[must_use]
    pub fn tail(&self) -> Lsn {
        *self.tail.borrow()
    }

    /// The last record that is durable.
    #[must_use]
    pub fn durable_tail(&self) -> Lsn {
        *self.durable.borrow()
    }

    /// The store of record.
    #[must_use]
    pub fn history(&self) -> &Arc<dyn History> {
        &self.history
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.journal
    }

    /// A reader of everything from `from` on.
    #[must_use]
    pub fn cursor(self: &Arc<Self>, from: Lsn) -> Cursor {
        Cursor { log: self.clone(), tail: self.tail.subscribe(), next: Lsn(from.0.max(1)), taken: VecDeque::new() }
    }

    /// Makes records durable within `interval` of their arrival where much arrives, within [`QUIET_INTERVALS`] of it
    /// where little does, at once when asked, until `stop`; then once more. Sleeps while there is nothing new.
    ///
    /// # Errors
    /// When a sync fails. That is final: what is durable is no longer known.
    pub async fn commit(self: Arc<Self>, interval: Duration, stop: CancellationToken) -> Result<(), PortError> {
        let mut syncer = self.journal.syncer();
        let mut tail = self.tail.subscribe();
        let due = async |tail: &mut watch::Receiver<Lsn>| {
            let durable = self.durable_tail();
            if tail.wait_for(|tail| *tail > durable).await.is_ok() {
                let quiet = (interval * QUIET_INTERVALS).min(QUIET_MAX).max(interval);
                tokio::time::sleep(interval).await;
                let mut waiting = self.waiting.subscribe();
                let busy = waiting.wait_for(|waiting| *waiting >= BUSY_BYTES);
                // Either will do.
                drop(tokio::time::timeout(quiet.saturating_sub(interval), busy).await);
            }
        };
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                () = self.urgent.notified() => false,
                () = due(&mut tail) => false,
            };
            if stopping || self.durable_tail() < self.tail() {
                self.waiting.send_replace(0);
                let synced = tokio::task::spawn_blocking(move || (syncer.sync(), syncer)).await;
                let (durable, back) = synced.map_err(|panic| PortError::Io {
                    doing: "making the journal durable".to_owned(),
                    source: std::io::Error::other(panic),
                })?;
                syncer = back;
                self.durable.send_replace(durable?);
            }
            if stopping {
                return Ok(());
            }
        }
    }

    /// Makes everything in the journal durable now; blocks. For a log that no task commits.
    ///
    /// # Errors
    /// As [`Log::commit`].
    pub fn sync(&self) -> Result<Lsn, PortError> {
        let durable = self.journal.syncer().sync()?;
        self.tail.send_replace(durable);
        self.durable.send_replace(durable);
        Ok(durable)
    }

    /// Records from `from` on, from whichever store holds them; blocks.
    ///
    /// # Errors
    /// [`CursorError::Gone`] when they are no longer kept.
    pub fn read(&self, from: Lsn, rows_max: usize) -> Result<Vec<Record>, CursorError> {
        read_stores(&*self.journal, &*self.history, from, rows_max)
    }

    /// The records from `next` on that are kept, some 65,000 rows at a time, from whichever store holds them; moves
    /// `next` behind them, over what is sealed and too old meanwhile. None at the end of the log. Blocks.
    ///
    /// # Errors
    /// When a store fails.
    pub fn read_kept(&self, next: &mut Lsn) -> Result<Vec<Record>, CursorError> {
        loop {
            match self.read(*next, READ_ROWS_MAX) {
                Err(CursorError::Gone { oldest }) => *next = oldest,
                records => {
                    let records = records?;
                    if let Some(last) = records.last() {
                        *next = last.lsn.next();
                    }
                    return Ok(records);
                }
            }
        }
    }

    fn take(&self, from: Lsn, into: &mut VecDeque<Arc<Record>>) -> Taken {
        let ring = self.ring.lock();
        let Some(first) = ring.records.front().map(|record| record.lsn) else {
            return if from > self.tail() { Taken::NotYet } else { Taken::Older };
        };
        let Some(skip) = from.0.checked_sub(first.0) else { return Taken::Older };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        into.extend(ring.records.iter().skip(skip).take(TAKE_MAX).cloned());
        if into.is_empty() { Taken::NotYet } else { Taken::Some }
    }
}

enum Taken {
    Some,
    NotYet,
    Older,
}

/// Reads from the store of record, then from the journal; each holds a run of places without holes.
///
/// # Errors
/// [`CursorError::Gone`] when the records are no longer kept.
pub fn read_stores(
    journal: &dyn Journal,
    history: &dyn History,
    from: Lsn,
    rows_max: usize,
) -> Result<Vec<Record>, CursorError> {
    let sealed = history.sealed();
    let mut records = if from <= sealed { history.read(from, rows_max)? } else { journal.read(from, rows_max)? };
    let begins = records.first().is_some_and(|first| first.lsn == from);
    if !begins && from > sealed && from <= history.sealed() {
        // Sealed and truncated between the two looks.
        records = history.read(from, rows_max)?;
    }
    if records.is_empty() && from <= sealed {
        // Everything sealed is too old to be kept: what is not sealed tells where the log begins now.
        records = journal.read(sealed.next(), rows_max)?;
    }
    match records.first() {
        Some(first) if first.lsn > from => Err(CursorError::Gone { oldest: first.lsn }),
        _ => Ok(records),
    }
}

/// A reader's place in the log.
pub struct Cursor {
    log: Arc<Log>,
    tail: watch::Receiver<Lsn>,
    next: Lsn,
    taken: VecDeque<Arc<Record>>,
}

impl Cursor {
    /// The place it reads next.
    #[must_use]
    pub fn place(&self) -> Lsn {
        self.next
    }

    /// The next record, waiting for it. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`CursorError`]; the cursor stays where it is.
    pub async fn next(&mut self) -> Result<Arc<Record>, CursorError> {
        loop {
            if let Some(record) = self.taken.pop_front() {
                self.next = record.lsn.next();
                return Ok(record);
            }
            self.tail.borrow_and_update();
            match self.log.take(self.next, &mut self.taken) {
                Taken::Some => {}
                Taken::NotYet => {
                    if self.tail.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
                Taken::Older => {
                    let (log, from) = (self.log.clone(), self.next);
                    let read = tokio::task::spawn_blocking(move || log.read(from, READ_ROWS_MAX)).await??;
                    // Nothing from here on, nor in memory: there will be, or something later.
                    if read.is_empty() && self.tail.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                    self.taken.extend(read.into_iter().map(Arc::new));
                }
            }
        }
    }

    /// Skips to `to`, as after records that are no longer kept.
    pub fn skip_to(&mut self, to: Lsn) {
        self.taken.clear();
        self.next = to;
    }
}
