//! An example of a detector that is also a [`Learner`] and an [`Observer`]; never shipped. It learns, from history and
//! from what it judges, between which values each signal lies, and finds values outside. From the events of a server it
//! hears who does something, and finds whom it does not know.

use serde::{Deserialize, Serialize};
use watchfire_detector::{
    Batch, Condition, Decides, Description, Detector, Event, Finding, Learner, Level, Observer, Outcome, Phase,
    Progress, Refusal, Row, Scale, Scope, Setup, Signal, Verdict, Versioned, config, number, restore, snapshot,
};

/// Which place the conditions have in the list that `init` answers.
const UNUSUAL: u16 = 0;
const STRANGER: u16 = 1;

/// The configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Values of a signal that it needs before it judges the next one.
    learn: u64,
    /// Users who may do something.
    known: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { learn: 100, known: Vec::new() }
    }
}

/// What was learned of a signal.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Usual {
    low: f64,
    high: f64,
    count: u64,
}

impl Default for Usual {
    fn default() -> Self {
        Self { low: f64::INFINITY, high: f64::NEG_INFINITY, count: 0 }
    }
}

/// All that lasts. Being frozen is told anew to each instance.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    usual: Vec<Usual>,
    /// The level of each condition of each signal that was told last.
    told: Vec<[Option<bool>; 2]>,
}

impl Versioned for State {
    const VERSION: u32 = 1;
}

/// The detector.
pub struct Apprentice {
    settings: Settings,
    signals: Vec<Signal>,
    state: State,
    frozen: bool,
    /// Whether a state was restored: what stands is told again.
    restored: bool,
}

fn condition(id: &str, text: &str, response: &str) -> Condition {
    Condition {
        id: id.into(),
        scope: Scope::Signal,
        decides: Decides::Plugin,
        scale: Scale::Ordinal,
        alarm_type: "OffNormalAlarmType".into(),
        severity: 400,
        text: text.into(),
        response: response.into(),
    }
}

fn conditions() -> Vec<Condition> {
    vec![
        condition("unusual", "The value lies where it never did.", "Look at what it measures."),
        condition("stranger", "Somebody did something who is not known.", "Ask who it was."),
    ]
}

impl Detector for Apprentice {
    fn describe() -> Description {
        Description {
            id: "apprentice".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            title: "an example: learns what is usual, and hears who does something".into(),
            state_version: State::VERSION,
            conditions: conditions(),
            ..Description::default()
        }
    }

    fn init(setup: Setup) -> Result<(Self, Vec<Condition>), Refusal> {
        let settings = config(&setup.config)?;
        let count = setup.signals.len();
        let state = State { usual: vec![Usual::default(); count], told: vec![[None; 2]; count] };
        let detector = Self { settings, signals: setup.signals, state, frozen: false, restored: false };
        Ok((detector, conditions()))
    }

    fn process(&mut self, batch: &Batch) -> Result<Outcome, Refusal> {
        let mut outcome = Outcome::default();
        if std::mem::take(&mut self.restored) {
            self.tell_again(batch.now, &mut outcome);
        }
        for row in batch.rows().filter(Row::is_usable) {
            let Some(usual) = self.state.usual.get(row.signal as usize).copied() else { continue };
            if usual.count >= self.settings.learn {
                let unusual = !(usual.low..=usual.high).contains(&row.value);
                let (is, was) = (number(row.value), [number(usual.low), number(usual.high)]);
                let why = format!("{is}, and it was between {} and {}", was[0], was[1]);
                let (low, high) = (Some(usual.low), Some(usual.high));
                let evidence = vec![Finding { signal: row.signal, observed: row.value, low, high, share: 1.0 }];
                let verdict = Verdict { at: row.time, why, evidence, ..of(UNUSUAL, row.signal, unusual) };
                self.tell(verdict, &mut outcome);
            } else {
                self.take(&row);
            }
        }
        let have = self.state.usual.iter().map(|usual| usual.count.min(self.settings.learn)).sum();
        let need = self.settings.learn * self.signals.len() as u64;
        let phase = if have < need { Phase::Learning } else { Phase::Ready };
        outcome.progress = Some(Progress { phase, have, need, note: String::new() });
        Ok(outcome)
    }

    fn save(&self) -> Vec<u8> {
        snapshot(&self.state)
    }

    fn load(&mut self, state_version: u32, bytes: &[u8]) -> Result<(), Refusal> {
        self.state = restore(state_version, bytes)?;
        self.restored = true;
        Ok(())
    }
}

impl Learner for Apprentice {
    fn learn(&mut self, batch: &Batch) -> Result<(), Refusal> {
        batch.rows().filter(Row::is_usable).for_each(|row| self.take(&row));
        Ok(())
    }

    fn freeze(&mut self, on: bool) {
        self.frozen = on;
    }

    fn forget(&mut self, signal: Option<u32>) {
        let forgotten = self.state.usual.iter_mut().zip(0..).filter(|(_, at)| signal.is_none_or(|one| one == *at));
        forgotten.for_each(|(usual, _)| *usual = Usual::default());
    }

    fn model(&self) -> Vec<u8> {
        let lines = self.signals.iter().zip(&self.state.usual).map(|(signal, usual)| {
            let Usual { low, high, count } = usual;
            format!("{}: {} to {} in {count} values\n", signal.name, number(*low), number(*high))
        });
        lines.collect::<String>().into_bytes()
    }
}

impl Observer for Apprentice {
    fn observe(&mut self, _frame: u64, _now: i64, events: &[Event]) -> Result<Outcome, Refusal> {
        let mut outcome = Outcome::default();
        for event in events {
            let Some(user) = &event.user else { continue };
            let stranger = !self.settings.known.contains(user);
            let why = format!("`{user}`: {}", event.message);
            self.tell(Verdict { at: event.time, why, ..of(STRANGER, event.source, stranger) }, &mut outcome);
        }
        Ok(outcome)
    }
}

/// A verdict of a signal that says no more than whether it is so.
fn of(condition: u16, instance: u32, active: bool) -> Verdict {
    let level = if active { Level::Active } else { Level::Normal };
    Verdict { condition, instance, level, ..Verdict::default() }
}

impl Apprentice {
    /// Learns from a value, unless nothing may be learned.
    fn take(&mut self, row: &Row) {
        if let Some(usual) = self.state.usual.get_mut(row.signal as usize)
            && !self.frozen
        {
            usual.low = usual.low.min(row.value);
            usual.high = usual.high.max(row.value);
            usual.count += 1;
        }
    }

    /// Tells a level if it is another one.
    fn tell(&mut self, verdict: Verdict, outcome: &mut Outcome) {
        let active = verdict.level == Level::Active;
        let told = self.state.told.get_mut(verdict.instance as usize);
        if let Some(told) = told.and_then(|told| told.get_mut(usize::from(verdict.condition)))
            && told.replace(active) != Some(active)
        {
            outcome.verdicts.push(verdict);
        }
    }

    fn tell_again(&self, at: i64, outcome: &mut Outcome) {
        for (told, instance) in self.state.told.iter().zip(0..) {
            let standing = told.iter().zip([UNUSUAL, STRANGER]).filter(|(told, _)| **told == Some(true));
            let why = "as before".to_owned();
            outcome.verdicts.extend(standing.map(|(_, id)| Verdict { at, why: why.clone(), ..of(id, instance, true) }));
        }
    }
}

#[cfg(target_arch = "wasm32")]
watchfire_detector::export!(Apprentice: Learner + Observer);

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn it_learns_from_history_and_hears_of_strangers() {
        let signals = vec![Signal { name: "press/oil".into(), ..Signal::default() }];
        let setup = Setup { config: r#"{"learn":2,"known":["anna"]}"#.into(), signals, ..Setup::default() };
        let (mut it, _) = Apprentice::init(setup).unwrap();
        let batch = |values: &[f64]| {
            let mut batch = Batch::default();
            values
                .iter()
                .for_each(|value| batch.push(Row { signal: 0, time: 1, value: *value, status: 0, quality: 0 }));
            batch
        };
        it.learn(&batch(&[4.0, 6.0])).unwrap();
        let said = |outcome: Outcome| outcome.verdicts.into_iter().map(|v| (v.level, v.why)).collect::<Vec<_>>();
        let unusual = (Level::Active, "7, and it was between 4 and 6".to_owned());
        assert_eq!(said(it.process(&batch(&[7.0])).unwrap()), [unusual]);
        it.freeze(true);
        it.learn(&batch(&[100.0])).unwrap();
        assert_eq!(it.model(), b"press/oil: 4 to 6 in 2 values\n");
        let event = Event { user: Some("bob".into()), message: "wrote a setpoint".into(), ..Event::default() };
        let stranger = (Level::Active, "`bob`: wrote a setpoint".to_owned());
        assert_eq!(said(it.observe(1, 1, &[event.clone(), event]).unwrap()), [stranger]);
        it.forget(Some(0));
        assert_eq!(it.model(), b"press/oil: inf to -inf in 0 values\n");
    }
}
