//! The figures of alarms, for each area, operator console and detector: counted as transitions are recorded, kept beside the log now
//! and then, and after a restart brought up to date from the log. What they mean is known in `alarms`.
//! Beside them is kept what those tried who may not: of that the log has nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use watchfire_alarms::{ConditionDef, ConditionState, Figures, Glance, Metrics, Recent, TrackRecord, Trusted};
use watchfire_model::{ConditionKey, Instant, Lsn, Record, RecordBody};

use crate::consoles::{OperatorConsole, counted_as, is_console, key_of};
use crate::figures_v1::CountsV1;
use crate::past::Reader;
use crate::told::standing;
use crate::tried::TriedByArea;
use crate::{Checkpoint, CursorError, Log, OWN_BINDING, PortError, Tried};

/// Kept so often, if anything has changed: what came since is read from the log at a start.
const KEEP_EVERY: Duration = Duration::from_secs(1800);
/// Tried again so often when they could not be.
const TRY_EVERY: Duration = Duration::from_secs(10);
/// Conditions that nobody has told of for so long are forgotten: no window reaches further back.
const FORGET: Duration = Duration::from_secs(31 * 86_400);
/// The form in which they are kept, and those before: the second had nothing of what came lately.
const VERSION: u32 = 3;
const VERSION_2: u32 = 2;
const VERSION_1: u32 = 1;
/// Names the form among what is kept under the gateway's own name.
const FIGURES: &str = "figures";
/// The area of what has none, where not even a default is given.
const NO_AREA: &str = "Gateway";

/// The figures of all areas, consoles and detectors. Shared: the annunciator counts, whoever shows figures reads.
#[derive(Debug)]
pub struct AlarmFigures {
    default_area: String,
    consoles: Vec<OperatorConsole>,
    start: Instant,
    counts: Mutex<Counts>,
    /// Somebody waits until what has changed is kept.
    asked: Notify,
    /// The last change that is kept.
    kept: watch::Sender<u64>,
    /// Held while they are written, so that what is older is never written over what is newer.
    saving: Mutex<()>,
}

/// What is counted; what follows `untold` is not kept with it, and what was tried in a place of its own.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Counts {
    /// Of an area and those below it, by the area's path; of a console as [`key_of`] says.
    areas: BTreeMap<String, Metrics>,
    detectors: BTreeMap<String, TrackRecord>,
    /// How each condition stood that was ever an alarm.
    last: BTreeMap<ConditionKey, Glance>,
    /// What was recorded after the figures were kept, of conditions that are not defined yet: their area is not known.
    untold: BTreeMap<ConditionKey, Vec<Glance>>,
    #[serde(skip)]
    tried: TriedByArea,
    /// Up to which place of the log everything is counted.
    #[serde(skip)]
    upto: Lsn,
    /// Areas and consoles that began anew in this life.
    #[serde(skip)]
    reset: BTreeMap<String, Instant>,
    /// How often anything has changed.
    #[serde(skip)]
    changes: u64,
}

/// The parts of an area's path; those of `default` for an empty one.
#[must_use]
pub fn area_parts(path: &str, default: &str) -> Vec<String> {
    let parts =
        |path: &str| path.split('/').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    [path, default, NO_AREA].into_iter().map(parts).find(|parts: &Vec<String>| !parts.is_empty()).unwrap_or_default()
}

impl AlarmFigures {
    /// Begins to count; what has no area belongs to `default_area`.
    #[must_use]
    pub fn new(default_area: &str, start: Instant) -> Self {
        let (counts, kept, saving) = (Mutex::default(), watch::Sender::new(0), Mutex::default());
        let (default_area, consoles) = (default_area.to_owned(), Vec::new());
        Self { default_area, consoles, start, counts, asked: Notify::new(), kept, saving }
    }

    /// Counts for these consoles, too. One that was not counted for before begins now; one that is not among them any
    /// more is forgotten at the next start.
    #[must_use]
    pub fn with_consoles(self, consoles: Vec<OperatorConsole>) -> Self {
        self.counts.lock().begin(&consoles, self.start);
        Self { consoles, ..self }
    }

    /// A condition is defined and stands so: no new alarm, but what was recorded of it while it was not defined is.
    pub fn defined(&self, def: &ConditionDef, state: &ConditionState) {
        let mut counts = self.counts.lock();
        let mut before = counts.last.get(&def.key).cloned();
        if let Some(before) = &before {
            counts.left(&def.key, &self.counted_as(&def.area));
            self.saw(&mut counts, def, None, before);
        }
        for untold in counts.untold.remove(&def.key).unwrap_or_default() {
            let next = before.as_ref().map_or_else(|| untold.clone(), |before| before.followed_by(untold.clone()));
            self.reach_back(&mut counts, &def.area, next.now);
            self.saw(&mut counts, def, before.as_ref(), &next);
            before = Some(next);
        }
        let now = before.as_ref().map_or_else(|| Glance::of(state), |before| before.then(state));
        self.saw(&mut counts, def, before.as_ref(), &now);
        counts.keep(&def.key, now);
    }

    /// A condition stands otherwise, and that is recorded; it was told `at` a time, perhaps of an occurrence left behind.
    pub fn told(&self, def: &ConditionDef, state: &ConditionState, at: Instant) {
        let mut counts = self.counts.lock();
        let before = counts.last.get(&def.key).cloned().unwrap_or_else(|| Glance::before(state));
        let after = before.then_told(state, at);
        self.saw(&mut counts, def, Some(&before), &after);
        counts.keep(&def.key, after);
        counts.changes += 1;
    }

    /// All up to this place of the log is counted.
    pub(crate) fn counted(&self, upto: Lsn) {
        self.counts.lock().upto = upto;
    }

    /// What the log has of a life before this one is of a time that was counted, also where that life kept nothing of this
    /// area. A console begins when it is there.
    fn reach_back(&self, counts: &mut Counts, area: &str, to: Instant) {
        for key in self.counted_as(area).into_iter().filter(|key| !is_console(key)) {
            counts.areas.entry(key).or_insert_with(|| Metrics::new(self.start)).reach_back(to);
        }
    }

    fn saw(&self, counts: &mut Counts, def: &ConditionDef, before: Option<&Glance>, after: &Glance) {
        for key in self.counted_as(&def.area) {
            let is_console = is_console(&key);
            let metrics = counts.areas.entry(key).or_insert_with(|| Metrics::new(self.start));
            // What was recorded before a console was there is none of its alarms.
            let counts = !is_console || after.now >= metrics.figures(after.now).start();
            metrics.saw(&def.key, before.filter(|_| counts), after);
        }
        let binding = def.key.binding();
        match counts.detectors.get_mut(binding) {
            Some(record) => record.saw(before, after),
            None => counts.detectors.entry(binding.to_owned()).or_default().saw(before, after),
        }
    }

    fn counted_as(&self, area: &str) -> Vec<String> {
        counted_as(area, &self.default_area, &self.consoles)
    }

    /// Reads the figures of an area, given as its path without spaces or empty parts.
    pub fn area<T>(&self, path: &str, now: Instant, read: impl FnOnce(&Figures<'_>) -> T) -> T {
        self.read(path, now, read)
    }

    /// Reads the figures of a console.
    pub fn console<T>(&self, name: &str, now: Instant, read: impl FnOnce(&Figures<'_>) -> T) -> T {
        self.read(&key_of(name), now, read)
    }

    fn read<T>(&self, key: &str, now: Instant, read: impl FnOnce(&Figures<'_>) -> T) -> T {
        match self.counts.lock().areas.get(key) {
            Some(metrics) => read(&metrics.figures(now)),
            None => read(&Metrics::new(self.start).figures(now)),
        }
    }

    /// What people said of the alarms of a detector in thirty days.
    #[must_use]
    pub fn detector(&self, name: &str, now: Instant) -> Trusted {
        self.counts.lock().detectors.get(name).map(|record| record.until(now)).unwrap_or_default()
    }

    /// Somebody who may not has tried something of an alarm in this area, given as its path. It is kept with the figures: a
    /// kill loses what was tried since.
    pub fn tried(&self, area: &str, tried: Tried) {
        let keys = self.counted_as(area);
        let mut counts = self.counts.lock();
        keys.iter().for_each(|key| counts.tried.count(key, tried));
        counts.changes += 1;
    }

    /// What was tried in an area and below it since its figures began.
    #[must_use]
    pub fn tried_in(&self, path: &str) -> Tried {
        self.counts.lock().tried.of(path)
    }

    /// What was tried in the areas of a console since its figures began.
    #[must_use]
    pub fn tried_at(&self, console: &str) -> Tried {
        self.counts.lock().tried.of(&key_of(console))
    }

    /// The figures of an area begin anew. Returns once that is kept: it outlives a kill. On a full disk that is when there
    /// is room again.
    pub async fn reset(&self, path: &str, now: Instant) {
        self.begin_anew(path, now).await;
    }

    /// The figures of a console begin anew; as [`AlarmFigures::reset`].
    pub async fn reset_console(&self, name: &str, now: Instant) {
        self.begin_anew(&key_of(name), now).await;
    }

    async fn begin_anew(&self, key: &str, now: Instant) {
        let change = {
            let mut counts = self.counts.lock();
            counts.reset(key, now);
            counts.changes
        };
        self.asked.notify_one();
        // The sender is ours.
        drop(self.kept.subscribe().wait_for(|kept| *kept >= change).await);
    }

    /// For whoever keeps them: waits until somebody waits for that, and answers up to which change.
    pub async fn asked(&self) -> u64 {
        self.asked.notified().await;
        self.counts.lock().changes
    }

    /// All up to this change is kept.
    pub fn kept_up_to(&self, change: u64) {
        self.kept.send_replace(change);
    }

    /// Takes up what was kept, and what the log has beyond it; blocks. Costs by the transitions since then. Where nothing
    /// was kept, counting begins now.
    ///
    /// # Errors
    /// When a store fails.
    pub fn recover(&self, log: &Log) -> Result<(), CursorError> {
        let kept = log.history().load_checkpoint(OWN_BINDING)?;
        let kept = kept.filter(|kept| kept.plugin == FIGURES && (VERSION_1..=VERSION).contains(&kept.state_version));
        let Some(kept) = kept else {
            let mut counts = self.counts.lock();
            (counts.upto, counts.changes) = (log.tail(), counts.changes + 1);
            return Ok(());
        };
        let mut counts = match Counts::decode(kept.state_version, &kept.bytes) {
            Ok(counts) => counts,
            Err(error) => {
                tracing::error!(%error, "the figures of alarms that were kept cannot be read; counting begins anew");
                Counts::default()
            }
        };
        match TriedByArea::decode(&kept.host) {
            Ok(tried) => counts.tried = tried,
            Err(error) => tracing::error!(%error, "what was tried by those who may not cannot be read; it begins anew"),
        }
        let mut reader = Reader::new(log, kept.frame.next());
        while let Some(record) = reader.next()? {
            counts.take(&record);
        }
        counts.begin(&self.consoles, self.start);
        counts.upto = log.tail();
        let mut held = self.counts.lock();
        counts.changes = held.changes + 1;
        // Whoever was quicker than this.
        std::mem::take(&mut held.reset).iter().for_each(|(path, at)| counts.reset(path, *at));
        counts.tried.merge(std::mem::take(&mut held.tried));
        *held = counts;
        Ok(())
    }

    /// Keeps the figures, if they have changed; once all that they count is durable.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn keep(self: &Arc<Self>, log: &Arc<Log>, now: Instant) -> Result<(), PortError> {
        if self.counts.lock().changes == *self.kept.borrow() {
            return Ok(());
        }
        let (checkpoint, change) = self.checkpoint(now)?;
        if !log.durable(checkpoint.frame).await {
            return Ok(());
        }
        let (figures, log) = (self.clone(), log.clone());
        let saved = tokio::task::spawn_blocking(move || {
            let _saving = figures.saving.lock();
            if *figures.kept.borrow() < change {
                log.history().save_checkpoint(&checkpoint)?;
                figures.kept_up_to(change);
            }
            Ok(())
        });
        saved.await.unwrap_or_else(|ended| {
            let doing = "keeping the figures of alarms".to_owned();
            Err(PortError::Io { doing, source: std::io::Error::other(ended) })
        })
    }

    /// What is to be kept, and up to which change.
    fn checkpoint(&self, now: Instant) -> Result<(Checkpoint, u64), PortError> {
        let mut counts = self.counts.lock();
        let oldest = now.minus(FORGET);
        counts.last.retain(|_, last| last.now > oldest);
        counts.untold.retain(|_, all| all.last().is_some_and(|last| last.now > oldest));
        let bytes = counts.encode().map_err(|error| PortError::Damaged {
            what: "the figures of alarms".to_owned(),
            detail: error.to_string(),
        })?;
        let checkpoint = Checkpoint {
            binding: OWN_BINDING.to_owned(),
            plugin: FIGURES.to_owned(),
            state_version: VERSION,
            config_hash: String::new(),
            frame: counts.upto,
            bytes,
            host: counts.tried.encode(),
        };
        Ok((checkpoint, counts.changes))
    }
}

impl Counts {
    fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let recent: BTreeMap<&String, &Recent> =
            self.areas.iter().map(|(key, metrics)| (key, metrics.recent())).collect();
        postcard::to_extend(&recent, postcard::to_allocvec(self)?)
    }

    fn decode(version: u32, bytes: &[u8]) -> Result<Self, postcard::Error> {
        if version == VERSION {
            let (mut counts, recent): (Self, _) = postcard::take_from_bytes(bytes)?;
            let recent: BTreeMap<String, Recent> = postcard::from_bytes(recent)?;
            for (key, recent) in recent {
                counts.areas.entry(key).and_modify(|metrics| metrics.set_recent(recent));
            }
            return Ok(counts);
        }
        if version == VERSION_2 {
            return postcard::from_bytes(bytes);
        }
        let mut old = CountsV1::decode(bytes)?;
        let (areas, detectors) = (std::mem::take(&mut old.areas), std::mem::take(&mut old.detectors));
        let (last, untold) = old.glances();
        Ok(Self { areas, detectors, last, untold, ..Self::default() })
    }

    /// Counts for these consoles and no others.
    fn begin(&mut self, consoles: &[OperatorConsole], start: Instant) {
        let keys: Vec<String> = consoles.iter().map(|console| key_of(&console.name)).collect();
        self.areas.retain(|key, _| !is_console(key) || keys.contains(key));
        self.tried.retain(|key| !is_console(key) || keys.iter().any(|known| known == key));
        for key in keys {
            self.areas.entry(key).or_insert_with(|| Metrics::new(start));
        }
    }

    /// An area or a console begins anew.
    fn reset(&mut self, key: &str, now: Instant) {
        self.tried.forget(key);
        self.areas.entry(key.to_owned()).or_insert_with(|| Metrics::new(now)).reset(now);
        self.reset.insert(key.to_owned(), now);
        self.changes += 1;
    }

    /// A condition that is counted as `own` may have been of another area before, or of another console.
    fn left(&mut self, key: &ConditionKey, own: &[String]) {
        let others = self.areas.iter_mut().filter(|(counted, _)| !own.contains(counted));
        others.for_each(|(_, metrics)| metrics.left(key));
    }

    fn keep(&mut self, key: &ConditionKey, glance: Glance) {
        match self.last.get_mut(key) {
            Some(last) => *last = glance,
            None if glance.was_alarm() => drop(self.last.insert(key.clone(), glance)),
            None => {}
        }
    }

    /// What a record tells of conditions that are not defined yet.
    fn take(&mut self, record: &Record) {
        // What a command did to an occurrence left behind only the command itself tells the time of.
        let commanded =
            if let RecordBody::Commanded { command, .. } = &record.body { command.at } else { Instant::MIN };
        for (key, state) in standing(record) {
            match state {
                Ok(state) => {
                    let all = self.untold.entry(key.clone()).or_default();
                    if all.is_empty() && !self.last.contains_key(key) {
                        all.push(Glance::before(&state));
                    }
                    all.push(Glance::of(&state).not_before(commanded));
                }
                Err(error) => tracing::error!(condition = %key, %error, "a transition is left out of the figures"),
            }
        }
    }
}

/// Keeps the figures at once, then now and again and when somebody waits for it, for as long as it is polled.
pub(crate) async fn run(figures: Arc<AlarmFigures>, log: Arc<Log>, clock: Arc<dyn watchfire_model::Clock>) {
    loop {
        let kept = figures.keep(&log, clock.now()).await;
        let next = if kept.is_ok() { KEEP_EVERY } else { TRY_EVERY };
        if let Err(error) = kept {
            tracing::error!(%error, "the figures of alarms could not be kept");
        }
        tokio::select! {
            _ = figures.asked() => log.hurry(),
            () = tokio::time::sleep(next) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_were_kept_before_what_came_lately_was_are_read() {
        let start = Instant::from_s(1_000_000);
        let mut counts = Counts::default();
        counts.areas.insert("area".to_owned(), Metrics::new(start));
        let old = postcard::to_allocvec(&counts).unwrap();
        let read = Counts::decode(VERSION_2, &old).unwrap();
        assert_eq!(read.areas["area"].figures(start).start(), start);
        assert!(Counts::decode(VERSION, &old).is_err(), "it is no third one");
        assert_eq!(Counts::decode(VERSION, &counts.encode().unwrap()).unwrap().areas.len(), 1);
    }
}
