//! Two versions of a detector side by side: what either said of the same frame is compared, frame by frame. It reads
//! only the log, where both are on record, so nothing is forgotten by a kill; neither version waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use watchfire_model::{Decided, Instant, Level, Lsn, RecordBody, Verdict};

use crate::binding::Conditions;
use crate::log::Cursor;
use crate::notices::Notice;
use crate::supervise::Detection;
use crate::{Beside, CursorError};

/// How often it is looked how far both have come.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After so many looks what was found is saved.
const SAVE_EVERY: u32 = 60;
/// Differences that are kept.
const LAST_MAX: usize = 20;

/// How far a detector has come, and what its verdicts mean.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    seen: AtomicU64,
    /// The receive time of the last frame it has seen, nanoseconds.
    now: AtomicI64,
    conditions: Mutex<Option<Arc<Conditions>>>,
}

impl Progress {
    pub(crate) fn began(&self, conditions: &Arc<Conditions>, seen: Lsn) {
        *self.conditions.lock() = Some(conditions.clone());
        self.seen.store(seen.0, Ordering::Relaxed);
    }

    /// Called when everything that it says of this record was told.
    pub(crate) fn seen(&self, record: Lsn, now: Option<Instant>) {
        if let Some(now) = now {
            self.now.store(now.ns(), Ordering::Relaxed);
        }
        self.seen.store(record.0, Ordering::Relaxed);
    }

    pub(crate) fn conditions(&self) -> Option<Arc<Conditions>> {
        self.conditions.lock().clone()
    }
}

/// What two versions of a detector said of the same frames.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// The end of the log when the new version was started; frames after it are compared.
    pub since: Lsn,
    /// Up to here they were.
    pub upto: Lsn,
    /// The last record that the new version has seen; before `since` while it learns from history.
    pub reached: Lsn,
    /// The receive time of the last frame that it has seen.
    pub reached_at: Instant,
    /// Verdicts of both.
    pub same: u64,
    /// Verdicts of the old version alone.
    pub only_old: u64,
    /// Verdicts of the new version alone.
    pub only_new: u64,
    /// The latest of those that only one of them has.
    pub last: VecDeque<Differing>,
}

/// A verdict that only one version has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Differing {
    /// The frame's place.
    pub frame: Lsn,
    /// The verdict's time at the process.
    pub at: Instant,
    /// `condition/instance`.
    pub condition: String,
    /// Its level.
    pub level: Level,
    /// Its sentence.
    pub message: String,
    /// Whether the new version has it.
    pub by_new: bool,
}

/// What was told of a frame that was not compared yet.
#[derive(Debug, Default)]
struct Pair {
    old: Vec<Verdict>,
    new: Vec<Verdict>,
}

/// The task that compares.
pub(crate) struct Comparing {
    pub detection: Arc<Detection>,
    /// The name of the version that runs beside.
    pub name: String,
    pub beside: Beside,
}

impl Comparing {
    /// Compares until `stop`, then what is there once more.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut compared = self.load().await;
        let mut cursor = self.detection.log.cursor(compared.upto.next());
        let mut waiting = BTreeMap::new();
        let (mut looks, mut fails) = (0, false);
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            // It passes, as a full disk does: told once, since it is tried again each second.
            let looked = self.look(&mut compared, &mut cursor, &mut waiting).await;
            if let Err(error) = &looked
                && !fails
            {
                tracing::warn!(detector = self.beside.detector, %error, "the versions cannot be compared; trying again");
            }
            fails = looked.is_err();
            self.detection.stats.compared.lock().insert(self.name.clone(), compared.clone());
            looks += 1;
            if stopping || looks % SAVE_EVERY == 0 {
                self.save(&compared).await;
            }
            if stopping {
                return;
            }
        }
    }

    async fn look(
        &self,
        compared: &mut Compared,
        cursor: &mut Cursor,
        waiting: &mut BTreeMap<Lsn, Pair>,
    ) -> Result<(), CursorError> {
        let (old, new) = (self.detection.progress(&self.beside.detector), self.detection.progress(&self.name));
        compared.reached = Lsn(new.seen.load(Ordering::Relaxed));
        compared.reached_at = Instant::from_ns(new.now.load(Ordering::Relaxed));
        let both = Lsn(old.seen.load(Ordering::Relaxed)).min(compared.reached);
        // While the new version learns from history nothing of what the old one says is taken into memory.
        let (Some(old), Some(new)) = (old.conditions(), new.conditions()) else { return Ok(()) };
        if both <= compared.upto {
            return Ok(());
        }
        let (answer, told) = oneshot::channel();
        self.detection.notices.send(Notice::Settled(answer)).await;
        let Ok(end) = told.await else { return Ok(()) };
        while cursor.place() <= end {
            match cursor.next().await {
                Ok(record) => {
                    if let RecordBody::Decided(decided) = &record.body {
                        self.take(decided, compared.upto, waiting);
                    }
                }
                Err(CursorError::Gone { oldest }) => cursor.skip_to(oldest),
                Err(error) => return Err(error),
            }
        }
        while let Some(first) = waiting.first_entry().filter(|first| *first.key() <= both) {
            let (frame, pair) = first.remove_entry();
            compared.pair(frame, &pair, (&old, &new));
        }
        compared.upto = both;
        Ok(())
    }

    fn take(&self, decided: &Decided, upto: Lsn, waiting: &mut BTreeMap<Lsn, Pair>) {
        if decided.frame <= upto {
            return;
        }
        if decided.binding == self.beside.detector {
            waiting.entry(decided.frame).or_default().old.extend_from_slice(&decided.verdicts);
        } else if decided.binding == self.name {
            waiting.entry(decided.frame).or_default().new.extend_from_slice(&decided.verdicts);
        }
    }

    async fn load(&self) -> Compared {
        let (log, note) = (self.detection.log.clone(), self.note());
        let read = tokio::task::spawn_blocking(move || log.history().note(&note)).await;
        let bytes = read.ok().and_then(Result::ok).flatten().unwrap_or_default();
        let since = self.beside.since;
        postcard::from_bytes(&bytes).unwrap_or(Compared { since, upto: since, ..Compared::default() })
    }

    async fn save(&self, compared: &Compared) {
        let (log, note) = (self.detection.log.clone(), self.note());
        let bytes = postcard::to_allocvec(compared).unwrap_or_default();
        let saved = tokio::task::spawn_blocking(move || log.history().set_note(&note, &bytes)).await;
        if !matches!(saved, Ok(Ok(()))) {
            tracing::warn!(detector = self.beside.detector, "what was compared could not be saved; it is read again");
        }
    }

    fn note(&self) -> String {
        format!("compared/{}", self.name)
    }
}

impl Compared {
    /// Counts what was said of a frame. Alike are verdicts of the same condition, instance and level.
    fn pair(&mut self, frame: Lsn, pair: &Pair, (old, new): (&Conditions, &Conditions)) {
        let named = |verdicts: &[Verdict], conditions: &Conditions| -> Vec<(String, Level, Verdict)> {
            let name = |verdict: &Verdict| Some((conditions.name_of(verdict)?, verdict.level, verdict.clone()));
            verdicts.iter().filter_map(name).collect()
        };
        let (mut old, new) = (named(&pair.old, old), named(&pair.new, new));
        for (condition, level, verdict) in new {
            match old.iter().position(|(other, said, _)| (other, said) == (&condition, &level)) {
                Some(at) => {
                    old.remove(at);
                    self.same += 1;
                }
                None => {
                    self.only_new += 1;
                    self.differ(frame, condition, verdict, true);
                }
            }
        }
        for (condition, _, verdict) in old {
            self.only_old += 1;
            self.differ(frame, condition, verdict, false);
        }
    }

    fn differ(&mut self, frame: Lsn, condition: String, verdict: Verdict, by_new: bool) {
        let Verdict { at, level, why: message, .. } = verdict;
        self.last.push_back(Differing { frame, at, condition, level, message, by_new });
        if self.last.len() > LAST_MAX {
            self.last.pop_front();
        }
    }
}
