//! `stuck`: a signal that stands still, to within one quantum, for several times the longest dwell learned: a frozen
//! sensor, or one whose value is replayed.
//!
//! It does not know whether a source is reachable: when every signal of a source falls silent together, time stands
//! still for all of them. A single signal of a source counts the time of any frame.

mod dwell;
mod settings;
mod source;

use serde::{Deserialize, Serialize};
use watchfire_detector::{
    Batch, Blame, Condition, Description, Detector, Finding, Kind, Level, Outcome, Phase, Progress, Refusal, Row,
    Setup, Signal, Slot, Verdict, Versioned, config, number, restore, snapshot,
};

use dwell::{Dwell, Moment};
pub use settings::Settings;
use source::Source;

/// How often silence is looked at.
const TICK_NS: i64 = 1_000_000_000;

/// What lasts of a signal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Kept {
    dwell: Dwell,
    told: Option<Level>,
}

/// All that lasts.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    kept: Vec<Kept>,
    sources: Vec<Source>,
    looked: Option<i64>,
    told: Option<(u64, u32)>,
}

impl Versioned for State {
    const VERSION: u32 = 1;
}

struct Watched {
    signal: Signal,
    /// Index of its source.
    source: usize,
    kept: Kept,
}

/// The detector.
pub struct Stuck {
    settings: Settings,
    watched: Vec<Watched>,
    sources: Vec<Source>,
    /// Whether a source has but one signal here.
    alone: Vec<bool>,
    /// When silence was last looked at.
    looked: Option<i64>,
    /// Progress last told: tenths, signals ready.
    told: Option<(u64, u32)>,
    restate: bool,
}

impl Detector for Stuck {
    fn describe() -> Description {
        Description {
            id: "stuck".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            title: "a signal that stands still far longer than it ever did".into(),
            state_version: State::VERSION,
            config_schema: settings::SCHEMA.into(),
            conditions: vec![settings::condition()],
            slots: vec![Slot {
                role: String::new(),
                kinds: vec![Kind::Signed, Kind::Unsigned, Kind::Real],
                least: 1,
                most: None,
            }],
            tick_ns: Some(TICK_NS as u64),
            warm_up_samples: 100,
        }
    }

    fn init(setup: Setup) -> Result<(Self, Vec<Condition>), Refusal> {
        let settings: Settings = config(&setup.config)?;
        settings.check()?;
        let mut names: Vec<String> = setup.signals.iter().map(|signal| source::name(&signal.name).to_owned()).collect();
        names.sort_unstable();
        let alone = names.chunk_by(|a, b| a == b).map(|same| same.len() == 1).collect();
        names.dedup();
        let watched = setup.signals.into_iter().map(|signal| {
            let source = names.partition_point(|name| name.as_str() < source::name(&signal.name));
            Watched { signal, source, kept: Kept::default() }
        });
        let watched = watched.collect();
        let sources = vec![Source::default(); names.len()];
        let detector = Self { settings, watched, sources, alone, looked: None, told: None, restate: false };
        Ok((detector, vec![settings::condition()]))
    }

    fn process(&mut self, batch: &Batch) -> Result<Outcome, Refusal> {
        let mut outcome = Outcome::default();
        if std::mem::take(&mut self.restate) {
            let standing = self.watched.iter().zip(0..).filter(|(watched, _)| watched.kept.told != Some(Level::Normal));
            outcome.verdicts.extend(standing.filter_map(|(watched, index)| {
                let alive_ns = self.sources.get(watched.source).map_or(0, Source::alive_ns);
                Some(watched.verdict(index, watched.kept.told?, batch.now, alive_ns))
            }));
        }
        self.hear(batch);
        for (watched, index) in self.watched.iter_mut().zip(0..).filter(|_| !batch.gaps.is_empty()) {
            if batch.has_gap(index) {
                watched.kept.dwell.interrupt();
            }
        }
        for row in batch.rows() {
            if let Some(watched) = self.watched.get_mut(row.signal as usize) {
                let alive_ns = self.sources.get(watched.source).map_or(0, Source::alive_ns);
                outcome.verdicts.extend(watched.row(row, batch.now, alive_ns, &self.settings));
            }
        }
        if self.looked.is_none_or(|looked| batch.now.saturating_sub(looked) >= TICK_NS) {
            self.looked = Some(batch.now);
            for (watched, index) in self.watched.iter_mut().zip(0..) {
                let alive_ns = self.sources.get(watched.source).map_or(0, Source::alive_ns);
                outcome.verdicts.extend(watched.look(index, batch.now, alive_ns, &self.settings));
            }
            outcome.progress = self.progress();
        }
        Ok(outcome)
    }

    fn save(&self) -> Vec<u8> {
        let kept = self.watched.iter().map(|watched| watched.kept.clone()).collect();
        snapshot(&State { kept, sources: self.sources.clone(), looked: self.looked, told: self.told })
    }

    fn load(&mut self, state_version: u32, bytes: &[u8]) -> Result<(), Refusal> {
        let State { kept, sources, looked, told } = restore(state_version, bytes)?;
        if kept.len() != self.watched.len() || sources.len() != self.sources.len() {
            let message = format!("the state is of {} signals, the binding has {}", kept.len(), self.watched.len());
            return Err(Refusal { blame: Blame::State, key: None, message });
        }
        for (watched, kept) in self.watched.iter_mut().zip(kept) {
            watched.kept = kept;
        }
        (self.sources, self.looked, self.told, self.restate) = (sources, looked, told, true);
        Ok(())
    }
}

impl Stuck {
    /// Which sources are alive: those with a row in the batch, and those that show but one signal.
    fn hear(&mut self, batch: &Batch) {
        let mut heard = self.alone.clone();
        for signal in &batch.signal {
            if let Some(heard) = self.watched.get(*signal as usize).and_then(|watched| heard.get_mut(watched.source)) {
                *heard = true;
            }
        }
        for (source, _) in self.sources.iter_mut().zip(heard).filter(|(_, heard)| *heard) {
            source.heard(batch.now);
        }
    }

    /// Progress, when it is another: ready with the first signal that is.
    fn progress(&mut self) -> Option<Progress> {
        let need = self.settings.learn_dwells;
        let have = self.watched.iter().map(|watched| watched.kept.dwell.learned()).max().unwrap_or_default().min(need);
        let ready = self.watched.iter().filter(|watched| watched.kept.dwell.learned() >= need).count();
        let now = (have * 10 / need, u32::try_from(ready).unwrap_or(u32::MAX));
        if self.told == Some(now) {
            return None;
        }
        self.told = Some(now);
        let phase = if ready > 0 { Phase::Ready } else { Phase::Learning };
        let left = self.watched.len() - ready;
        let note = if ready > 0 && left > 0 { format!("{left} signals are still learned") } else { String::new() };
        Some(Progress { phase, have, need, note })
    }
}

impl Watched {
    fn row(&mut self, row: Row, now: i64, alive_ns: i64, settings: &Settings) -> Option<Verdict> {
        if !row.is_usable() {
            self.kept.dwell.interrupt();
            return self.tell(row.signal, Level::Unknown, now, alive_ns);
        }
        let learn = self.kept.told != Some(Level::Active);
        let moment = Moment { time: row.time, now, alive: alive_ns };
        let moved = self.kept.dwell.value(row.value, moment, learn, |value, quantum| settings.is_idle(value, quantum));
        let level = if !moved && self.is_stuck(alive_ns, settings) { Level::Active } else { Level::Normal };
        self.tell(row.signal, level, now, alive_ns)
    }

    /// Looks at a signal without a row.
    fn look(&mut self, index: u32, now: i64, alive_ns: i64, settings: &Settings) -> Option<Verdict> {
        if self.kept.dwell.is_interrupted() || !self.is_stuck(alive_ns, settings) {
            return None;
        }
        self.tell(index, Level::Active, now, alive_ns)
    }

    fn is_stuck(&self, alive_ns: i64, settings: &Settings) -> bool {
        let dwell = &self.kept.dwell;
        dwell.learned() >= settings.learn_dwells
            && dwell.stands_ns(alive_ns) >= settings.allowed_ns(dwell.longest_ns())
            && !dwell.stands_at().is_some_and(|value| settings.is_idle(value, dwell.quantum()))
    }

    fn tell(&mut self, index: u32, level: Level, now: i64, alive_ns: i64) -> Option<Verdict> {
        if self.kept.told == Some(level) {
            return None;
        }
        self.kept.told = Some(level);
        Some(self.verdict(index, level, now, alive_ns))
    }

    fn verdict(&self, index: u32, level: Level, now: i64, alive_ns: i64) -> Verdict {
        let dwell = &self.kept.dwell;
        let value = dwell.stands_at().unwrap_or(f64::NAN);
        let why = match level {
            Level::Active => {
                let (stands, longest) = (span(dwell.stands_ns(alive_ns)), span(dwell.longest_ns()));
                let (shown, quantum) = (self.signal.show(value), self.signal.show(dwell.quantum()));
                format!("has stood at {shown}, to within {quantum}, for {stands}; the longest learned is {longest}")
            }
            Level::Unknown => "there is no good value to judge".to_owned(),
            _ => format!("moves again, now {}", self.signal.show(value)),
        };
        let evidence = vec![Finding { signal: index, observed: value, low: None, high: None, share: 1.0 }];
        Verdict { condition: 0, instance: index, at: now, level, score: None, why, evidence }
    }
}

/// A duration as an operator reads it.
fn span(ns: i64) -> String {
    let s = ns as f64 / 1e9;
    match s {
        _ if s < 10.0 => format!("{} s", number((s * 10.0).round() / 10.0)),
        _ if s < 120.0 => format!("{} s", number(s.round())),
        _ if s < 7_200.0 => format!("{} min", number((s / 60.0).round())),
        _ => format!("{} h", number((s / 360.0).round() / 10.0)),
    }
}

#[cfg(target_arch = "wasm32")]
watchfire_detector::export!(Stuck);
