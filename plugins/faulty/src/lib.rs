//! `faulty`: misbehaves as its configuration asks, at the n-th batch or at a value, so that the sandbox can be tested with a real
//! guest. Never shipped. Until then, and without a fault, it finds values above 100.

use serde::{Deserialize, Serialize};
use watchfire_detector::{
    Batch, Blame, Condition, Decides, Description, Detector, Event, Finding, Learner, Level, Observer, Outcome,
    Refusal, Scale, Scope, Setup, Verdict, Versioned, config, refuse, restore, snapshot,
};

const ABOVE: f64 = 100.0;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It panics.
    Trap,
    /// It calls itself for ever.
    Recursion,
    /// It loops for ever.
    Loop,
    /// It takes ever more memory.
    Memory,
    /// It names a signal that does not exist.
    BadIndex,
    /// It names a condition that does not exist.
    BadCondition,
    /// Its score is no number.
    NanScore,
    /// Its score columns differ in length.
    UnequalColumns,
    /// A share above 1.
    BadShare,
    /// A text with control characters.
    BadText,
    /// It writes to the log without end.
    LogFlood,
    /// It answers with megabytes.
    HugeResult,
    /// Its state has megabytes.
    HugeState,
    /// It refuses the batch.
    RefuseBatch,
    /// It refuses its configuration.
    Refuse,
    /// It refuses its model, and says what it was given.
    RefuseModel,
    /// It panics when it starts.
    TrapAtInit,
    /// It has two conditions of one name.
    TwinConditions,
    /// It panics when it is to learn.
    LearnTrap,
    /// What it has learned has megabytes.
    HugeModel,
    /// It answers events with megabytes.
    ObserveFlood,
}

/// The configuration.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What goes wrong.
    pub fault: Fault,
    /// At which batch, the first being 1.
    pub at: u64,
    /// At each batch that has this value, instead.
    pub at_value: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { fault: Fault::None, at: 1, at_value: None }
    }
}

/// All that lasts: the batches seen.
#[derive(Serialize, Deserialize)]
struct State(u64);

impl Versioned for State {
    const VERSION: u32 = 1;
}

/// The detector.
pub struct Faulty {
    settings: Settings,
    batches: u64,
}

fn condition() -> Condition {
    Condition {
        id: "above".into(),
        scope: Scope::Signal,
        decides: Decides::Plugin,
        scale: Scale::Ordinal,
        alarm_type: "OffNormalAlarmType".into(),
        severity: 5_000,
        text: "The value is above 100.".into(),
        response: "None is needed: this is a test.".into(),
    }
}

impl Detector for Faulty {
    fn describe() -> Description {
        Description {
            id: "faulty".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            title: "misbehaves on request".into(),
            state_version: State::VERSION,
            config_schema: "{}".into(),
            conditions: vec![condition()],
            ..Description::default()
        }
    }

    #[expect(clippy::panic, reason = "a trap is what it is asked for")]
    fn init(setup: Setup) -> Result<(Self, Vec<Condition>), Refusal> {
        let settings: Settings = config(&setup.config)?;
        match settings.fault {
            Fault::Refuse => Err(refuse("fault", "this is what was asked for".into())),
            Fault::RefuseModel => {
                Err(Refusal { blame: Blame::Model, key: None, message: format!("it is {:?}", setup.model) })
            }
            Fault::TrapAtInit => panic!("asked to trap at init"),
            Fault::TwinConditions => Ok((Self { settings, batches: 0 }, vec![condition(), condition()])),
            _ => Ok((Self { settings, batches: 0 }, vec![condition()])),
        }
    }

    fn process(&mut self, batch: &Batch) -> Result<Outcome, Refusal> {
        self.batches += 1;
        let mut outcome = Outcome::default();
        for row in batch.rows().filter(|row| row.value > ABOVE) {
            let finding = Finding { signal: row.signal, observed: row.value, low: None, high: Some(ABOVE), share: 1.0 };
            outcome.verdicts.push(Verdict {
                instance: row.signal,
                at: row.time,
                level: Level::Active,
                why: format!("{} is above {ABOVE}", row.value),
                evidence: vec![finding],
                ..Verdict::default()
            });
        }
        let is_due = match self.settings.at_value {
            Some(value) => batch.rows().any(|row| row.value == value),
            None => self.batches == self.settings.at,
        };
        if is_due {
            self.misbehave(&mut outcome)?;
        }
        Ok(outcome)
    }

    fn save(&self) -> Vec<u8> {
        if self.settings.fault == Fault::HugeState { vec![7; 32 << 20] } else { snapshot(&State(self.batches)) }
    }

    fn load(&mut self, state_version: u32, bytes: &[u8]) -> Result<(), Refusal> {
        let State(batches) = restore(state_version, bytes)?;
        self.batches = batches;
        Ok(())
    }
}

impl Learner for Faulty {
    #[expect(clippy::panic, reason = "a trap is what it is asked for")]
    fn learn(&mut self, _batch: &Batch) -> Result<(), Refusal> {
        if self.settings.fault == Fault::LearnTrap { panic!("asked to trap at learning") } else { Ok(()) }
    }

    fn model(&self) -> Vec<u8> {
        if self.settings.fault == Fault::HugeModel { vec![7; 32 << 20] } else { Vec::new() }
    }
}

impl Observer for Faulty {
    fn observe(&mut self, _frame: u64, _now: i64, events: &[Event]) -> Result<Outcome, Refusal> {
        let mut outcome = Outcome::default();
        if self.settings.fault == Fault::ObserveFlood && !events.is_empty() {
            outcome.verdicts.push(Verdict { why: "x".repeat(32 << 20), ..verdict(0, 0) });
        }
        Ok(outcome)
    }
}

impl Faulty {
    #[expect(clippy::panic, reason = "a trap is what it is asked for")]
    fn misbehave(&self, outcome: &mut Outcome) -> Result<(), Refusal> {
        match self.settings.fault {
            Fault::Trap => panic!("asked to trap"),
            Fault::Recursion => outcome.scores.push(0, 0, 0, dig(self.batches as f64)),
            Fault::Loop => spin(),
            Fault::Memory => grow(),
            Fault::BadIndex => outcome.verdicts.push(verdict(0, 1 << 20)),
            Fault::BadCondition => outcome.verdicts.push(verdict(7, 0)),
            Fault::NanScore => outcome.scores.push(0, 0, 0, f64::NAN),
            Fault::UnequalColumns => outcome.scores.score.push(1.0),
            Fault::BadShare => {
                let finding = Finding { share: 1.5, ..Finding::default() };
                outcome.verdicts.push(Verdict { evidence: vec![finding], ..verdict(0, 0) });
            }
            Fault::BadText => outcome.verdicts.push(Verdict { why: "a\u{1b}[31mred".into(), ..verdict(0, 0) }),
            Fault::LogFlood => {
                (0..100_000).for_each(|line| watchfire_detector::log(2, &format!("line {line}\nforged")))
            }
            Fault::HugeResult => outcome.verdicts.push(Verdict { why: "x".repeat(32 << 20), ..verdict(0, 0) }),
            Fault::RefuseBatch => return Err(refuse("fault", "this is what was asked for".into())),
            Fault::None
            | Fault::Refuse
            | Fault::RefuseModel
            | Fault::TrapAtInit
            | Fault::TwinConditions
            | Fault::LearnTrap
            | Fault::HugeModel
            | Fault::ObserveFlood
            | Fault::HugeState => {}
        }
        Ok(())
    }
}

fn verdict(condition: u16, instance: u32) -> Verdict {
    Verdict { condition, instance, ..Verdict::default() }
}

fn spin() {
    let mut turns = 0u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

fn grow() {
    let mut all = Vec::new();
    loop {
        all.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
}

fn dig(depth: f64) -> f64 {
    if std::hint::black_box(depth) < 0.0 { depth } else { 1.0 + std::hint::black_box(dig(depth + 1.0)) }
}

#[cfg(target_arch = "wasm32")]
watchfire_detector::export!(Faulty: Learner + Observer);
