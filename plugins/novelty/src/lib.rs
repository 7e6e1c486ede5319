//! `novelty`: a value never seen, a value never seen at that hour of the week, a movement never seen. NOVA: peaks over
//! threshold on nearest-neighbour distances, in bounded memory. It learns without end and without labels; the gateway
//! turns its scores into alarms.
//!
//! A sample whose status is bad, that is no number, or that another detector distrusts is neither judged nor learned.

mod channel;
mod histogram;
mod logarithm;
mod nova;
mod order;
mod pair;
mod ranks;
mod reasons;
mod stored;

use serde::{Deserialize, Serialize};
use watchfire_detector::{
    Batch, Blame, Condition, Decides, Description, Detector, Kind, Outcome, Phase, Progress, Refusal, Scale, Scope,
    Setup, Signal, Slot, Verdict, Versioned, config, refuse, restore, snapshot,
};

pub use channel::Seen;
pub use nova::{Judged, Nova, Which, hour_of_week};
use reasons::Reported;

const WARM_UP_SAMPLES: u64 = 750;
const HOLD_OFF_SAMPLES: u64 = 260;
/// What NOVA cannot do without: the samples it skips and the counts it needs.
const WARM_UP_LEAST: u64 = 70;

/// JSON Schema of [`Settings`].
const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "novelty",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "hold_off_samples": {"type": "integer", "minimum": 0, "maximum": 100000, "default": 260, "description": "a score is reported only if it exceeds every score of so many samples before it"},
    "warm_up_samples": {"type": "integer", "minimum": 70, "default": 750, "description": "samples that a signal is learned from before it is judged"}
  }
}"#;

/// The configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// A score is reported only if it exceeds every score of so many samples before it.
    pub hold_off_samples: u64,
    /// Samples that a signal is learned from before it is judged.
    pub warm_up_samples: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { hold_off_samples: HOLD_OFF_SAMPLES, warm_up_samples: WARM_UP_SAMPLES }
    }
}

/// All that lasts.
#[derive(Serialize, Deserialize)]
struct State {
    signals: Vec<nova::Saved>,
    told: Option<(u64, u32)>,
}

impl Versioned for State {
    const VERSION: u32 = 1;
}

struct Watched {
    signal: Signal,
    nova: Nova,
    /// The last sample reported in the last batch.
    reported: Option<Reported>,
}

/// The detector.
pub struct Novelty {
    settings: Settings,
    watched: Vec<Watched>,
    /// Signals that have something in `reported`.
    reported: Vec<u32>,
    /// Samples of the signal that has most.
    most: u64,
    /// Signals that have been learned.
    ready: usize,
    /// Progress last told: tenths of the warm-up, signals ready.
    told: Option<(u64, u32)>,
}

fn condition() -> Condition {
    Condition {
        id: "novelty".into(),
        scope: Scope::Signal,
        decides: Decides::Host,
        scale: Scale::NegLog10P,
        alarm_type: "StatisticalAlarmType".into(),
        severity: 400,
        text: "The signal behaves as it never did before.".into(),
        response: "Compare with what the process is doing; if this is normal from now on, it will be learned.".into(),
    }
}

impl Detector for Novelty {
    fn describe() -> Description {
        Description {
            id: "novelty".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            title: "a value, an hour or a movement never seen (NOVA)".into(),
            state_version: State::VERSION,
            config_schema: SCHEMA.into(),
            conditions: vec![condition()],
            slots: vec![Slot {
                role: String::new(),
                kinds: vec![Kind::Signed, Kind::Unsigned, Kind::Real],
                least: 1,
                most: None,
            }],
            tick_ns: None,
            warm_up_samples: WARM_UP_SAMPLES,
        }
    }

    fn init(setup: Setup) -> Result<(Self, Vec<Condition>), Refusal> {
        let settings: Settings = config(&setup.config)?;
        if settings.warm_up_samples < WARM_UP_LEAST {
            let given = settings.warm_up_samples;
            return Err(refuse(
                "warm_up_samples",
                format!("{given} is below {WARM_UP_LEAST}, the least it can judge by"),
            ));
        }
        if settings.hold_off_samples > 100_000 {
            let given = settings.hold_off_samples;
            return Err(refuse("hold_off_samples", format!("{given} is above 100000; take less")));
        }
        let watched = setup.signals.into_iter().map(|signal| Watched { signal, nova: Nova::default(), reported: None });
        let detector =
            Self { settings, watched: watched.collect(), reported: Vec::new(), most: 0, ready: 0, told: None };
        Ok((detector, vec![condition()]))
    }

    fn process(&mut self, batch: &Batch) -> Result<Outcome, Refusal> {
        let mut outcome = Outcome::default();
        for index in self.reported.drain(..) {
            if let Some(watched) = self.watched.get_mut(index as usize) {
                watched.reported = None;
            }
        }
        let mut hour = nova::Hour::default();
        for row in batch.rows().filter(watchfire_detector::Row::is_usable) {
            let Some(watched) = self.watched.get_mut(row.signal as usize) else { continue };
            let slot = hour.of(row.time, batch.utc_offset_s);
            let judged = watched.nova.offer(row.value, slot, self.settings.hold_off_samples);
            let (count, need) = (watched.nova.count(), self.settings.warm_up_samples);
            self.most = self.most.max(count);
            self.ready += usize::from(count == need);
            // The first judgement is told whatever it is: it ends what an earlier detector may have left standing.
            if count <= need || (judged.score <= 0.0 && count > need + 1) {
                continue;
            }
            outcome.scores.push(0, row.signal, row.time, judged.score.max(0.0));
            if judged.score <= 0.0 {
                continue;
            }
            if watched.reported.is_none() {
                self.reported.push(row.signal);
            }
            watched.reported = Some(Reported { at: row.time, value: row.value, judged });
        }
        outcome.progress = self.progress();
        Ok(outcome)
    }

    fn explain(&self, condition: u16, instance: u32) -> Option<Verdict> {
        let watched = self.watched.get(instance as usize).filter(|_| condition == 0)?;
        Some(watched.reported.as_ref()?.verdict(instance, &watched.signal))
    }

    fn save(&self) -> Vec<u8> {
        snapshot(&State { signals: self.watched.iter().map(|watched| watched.nova.saved()).collect(), told: self.told })
    }

    fn load(&mut self, state_version: u32, bytes: &[u8]) -> Result<(), Refusal> {
        let State { signals, told } = restore(state_version, bytes)?;
        if signals.len() != self.watched.len() {
            let message = format!("the state is of {} signals, the binding has {}", signals.len(), self.watched.len());
            return Err(Refusal { blame: Blame::State, key: None, message });
        }
        for (watched, saved) in self.watched.iter_mut().zip(signals) {
            let Some(nova) = Nova::restored(saved) else {
                let message = "the state does not agree with itself; start without one".to_owned();
                return Err(Refusal { blame: Blame::State, key: None, message });
            };
            watched.nova = nova;
        }
        self.most = self.watched.iter().map(|watched| watched.nova.count()).max().unwrap_or_default();
        let need = self.settings.warm_up_samples;
        self.ready = self.watched.iter().filter(|watched| watched.nova.count() >= need).count();
        self.told = told;
        Ok(())
    }
}

impl Novelty {
    /// Progress, when it is another: ready with the first signal that is, since each is judged for itself.
    fn progress(&mut self) -> Option<Progress> {
        let need = self.settings.warm_up_samples;
        let (have, ready) = (self.most.min(need), self.ready);
        let now = (have * 10 / need.max(1), u32::try_from(ready).unwrap_or(u32::MAX));
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

#[cfg(target_arch = "wasm32")]
watchfire_detector::export!(Novelty);
