//! A detector without a sandbox: one condition it decides itself, one that the gateway decides from its scores, a
//! state, a value on which it traps; and it counts the gaps it is told of. As "learner" it sums up what it is taught, as
//! its `learner` is asked to; as "observer" it finds severe events high, and remembers all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use watchfire_model::{
    Batch, ConditionSpec, Decides, Event, Finding, GapCause, Instant, Level, Lsn, Outcome, Scale, Scope, ScoreColumns,
    Severity, Verdict,
};

use crate::{BindingSpec, CreateError, Detector, DetectorFactory, DetectorFault, DetectorIdentity};

/// The value on which it traps.
pub const POISON: f64 = 666.0;

/// How often the one named "late" cannot be made yet,
pub static LATE: AtomicUsize = AtomicUsize::new(0);
/// and the one named "late again".
pub static LATE_AGAIN: AtomicUsize = AtomicUsize::new(0);

/// Makes it.
pub struct PlainFactory;

#[async_trait]
impl DetectorFactory for PlainFactory {
    async fn create(&self, binding: &BindingSpec) -> Result<Box<dyn Detector>, CreateError> {
        let late = match binding.plugin.as_str() {
            "late" => Some(&LATE),
            "late again" => Some(&LATE_AGAIN),
            _ => None,
        };
        let once = |left: usize| left.checked_sub(1);
        if late.is_some_and(|left| left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, once).is_ok()) {
            return Err(CreateError::NotNow("plugin `late` cannot be read".into()));
        }
        if binding.plugin == "broken" {
            return Err(CreateError::Plugin("plugin `broken` is no component".into()));
        }
        // Its next version finds less high, the one after that cannot read what others have learned.
        let (version, limit) = match binding.plugin.as_str() {
            "plain 2" => (2, 20.0),
            "plain 3" => (3, 10.0),
            "learner 2" => (2, 10.0),
            _ => (1, 10.0),
        };
        let identity = DetectorIdentity {
            id: "plain".into(),
            version: format!("{version}.0.0"),
            title: "Plain".into(),
            digest: format!("{version}123456789abcdef"),
            state_version: version,
            model: None,
            config_hash: "same".into(),
            tick: None,
            warm_up_samples: 0,
            limits: BTreeMap::new(),
        };
        let spec = |id: &str, decides| ConditionSpec {
            id: id.into(),
            scope: Scope::Signal,
            decides,
            scale: Scale::NegLog10P,
            alarm_type: "ExclusiveLevelAlarmType".into(),
            severity: Severity::clamped(500),
            text: format!("{id} is true"),
            response: "look".into(),
        };
        let conditions = vec![spec("high", Decides::Plugin), spec("odd", Decides::Host)];
        Ok(Box::new(Plain {
            identity,
            conditions,
            limit,
            levels: BTreeMap::new(),
            sum: 0.0,
            skips: 0,
            after_load: false,
            learns: binding.plugin.starts_with("learner") || binding.plugin == "observer",
            learned: BTreeMap::new(),
            frozen: false,
            observes: binding.plugin == "observer",
            heard: Vec::new(),
        }))
    }
}

struct Plain {
    identity: DetectorIdentity,
    conditions: Vec<ConditionSpec>,
    limit: f64,
    levels: BTreeMap<u32, bool>,
    sum: f64,
    skips: usize,
    after_load: bool,
    learns: bool,
    /// The sum of what was learned, by signal.
    learned: BTreeMap<u32, f64>,
    frozen: bool,
    observes: bool,
    /// The messages of events, and texts.
    heard: Vec<String>,
}

impl Plain {
    fn verdict(&self, instance: u32, at: i64, high: bool, observed: f64) -> Verdict {
        Verdict {
            condition: 0,
            instance,
            at: Instant::from_ns(at),
            level: if high { Level::High } else { Level::Normal },
            score: None,
            why: format!("{observed} after a sum of {} and {} skips", self.sum, self.skips),
            evidence: vec![Finding { signal: instance, observed, low: None, high: Some(10.0), share: 1.0 }],
        }
    }
}

#[async_trait]
impl Detector for Plain {
    fn identity(&self) -> &DetectorIdentity {
        &self.identity
    }

    fn conditions(&self) -> &[ConditionSpec] {
        &self.conditions
    }

    async fn process(&mut self, batch: &Batch) -> Result<Outcome, DetectorFault> {
        let mut outcome = Outcome::default();
        if std::mem::take(&mut self.after_load) {
            let held = self.levels.iter().filter(|(_, high)| **high);
            outcome.verdicts.extend(held.map(|(i, _)| self.verdict(*i, batch.now.ns(), true, f64::NAN)));
        }
        self.skips += batch.gaps.iter().filter(|gap| gap.cause == GapCause::Skipped).count();
        self.heard.extend(batch.text.iter().map(|(_, text)| format!("text {text}")));
        let judged = batch.signal.iter().zip(&batch.time).zip(&batch.value).filter(|(_, value)| !value.is_nan());
        for ((instance, at), value) in judged {
            if *value == POISON {
                return Err(DetectorFault::Trap("poison".into()));
            }
            self.sum += value;
            let high = *value > self.limit;
            if self.levels.insert(*instance, high).unwrap_or(false) != high {
                outcome.verdicts.push(self.verdict(*instance, *at, high, *value));
            }
            let ScoreColumns { condition, instance: instances, at: times, score } = &mut outcome.scores;
            condition.push(1);
            instances.push(*instance);
            times.push(Instant::from_ns(*at));
            score.push(value / 10.0);
        }
        Ok(outcome)
    }

    async fn explain(&mut self, condition: u16, instance: u32) -> Result<Option<Verdict>, DetectorFault> {
        let why = format!("odd after a sum of {}", self.sum);
        Ok(Some(Verdict { condition, why, ..self.verdict(instance, 0, true, self.sum) }))
    }

    async fn save(&mut self) -> Result<Option<Vec<u8>>, DetectorFault> {
        Ok(Some(postcard::to_allocvec(&(&self.levels, self.sum, self.skips, &self.learned, &self.heard)).unwrap()))
    }

    async fn load(&mut self, state_version: u32, bytes: &[u8]) -> Result<(), DetectorFault> {
        if self.identity.state_version == 3 && state_version != 3 {
            return Err(DetectorFault::Refused(format!("state version {state_version}")));
        }
        (self.levels, self.sum, self.skips, self.learned, self.heard) = postcard::from_bytes(bytes).unwrap();
        self.after_load = true;
        Ok(())
    }

    fn learns(&self) -> bool {
        self.learns
    }

    async fn learn(&mut self, batch: &Batch) -> Result<(), DetectorFault> {
        for (instance, value) in batch.signal.iter().zip(&batch.value) {
            if *value == POISON {
                return Err(DetectorFault::Trap("poison".into()));
            }
            if !self.frozen {
                *self.learned.entry(*instance).or_default() += value;
            }
        }
        Ok(())
    }

    async fn freeze(&mut self, on: bool) -> Result<(), DetectorFault> {
        assert!(self.frozen != on, "it is told what it knows");
        self.frozen = on;
        Ok(())
    }

    async fn forget(&mut self, signal: Option<u32>) -> Result<(), DetectorFault> {
        self.learned.retain(|instance, _| signal.is_some_and(|signal| signal != *instance));
        Ok(())
    }

    async fn model(&mut self) -> Result<Vec<u8>, DetectorFault> {
        let heard = if self.heard.is_empty() { String::new() } else { format!(" {:?}", self.heard) };
        Ok(format!("{:?}{heard}", self.learned).into_bytes())
    }

    fn observes(&self) -> bool {
        self.observes
    }

    async fn observe(&mut self, _frame: Lsn, _now: Instant, events: &[Event]) -> Result<Outcome, DetectorFault> {
        let mut outcome = Outcome::default();
        for event in events {
            self.heard.push(format!("{} by {:?}", event.message, event.user));
            let high = event.severity > 500;
            if self.levels.insert(event.source, high).unwrap_or(false) != high {
                outcome.verdicts.push(self.verdict(event.source, event.time, high, event.severity.into()));
            }
        }
        Ok(outcome)
    }
}
