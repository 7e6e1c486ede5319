//! An engine with one condition, and a hand that moves time on with each call.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::{AlarmCommand, CommandKind, ConditionKey, Instant, Level, Lsn, Scope, Severity, StatusCode};

use crate::{
    AlarmType, Belief, ConditionClass, ConditionDef, ConditionState, Engine, Finding, RefusedCommand, Rules, Transition,
};

pub(super) fn def(confirm: bool, rules: Rules) -> ConditionDef {
    ConditionDef {
        key: ConditionKey::new("hot", "high", "plant/bearing"),
        area: "plant".into(),
        source_name: "plant/bearing".into(),
        signal: None,
        scope: Scope::Signal,
        alarm_type: AlarmType::ExclusiveLevel,
        class: ConditionClass::Process,
        severity: Severity::clamped(700),
        text: "too hot".into(),
        response: "stop".into(),
        confirm,
        detector: "limit 1.0.0".into(),
        rules: Arc::new(rules),
    }
}

pub(super) struct Bench {
    pub engine: Engine,
    pub key: ConditionKey,
    pub s: i64,
    /// All that the last call led to.
    pub told: Vec<Transition>,
}

impl Bench {
    pub(super) fn new(confirm: bool) -> Self {
        Self::with(def(confirm, Rules::default()))
    }

    pub(super) fn ruled(rules: Rules) -> Self {
        Self::with(def(false, rules))
    }

    pub(super) fn with(def: ConditionDef) -> Self {
        let mut engine = Engine::default();
        let key = def.key.clone();
        engine.define(Arc::new(def), Instant::from_s(0));
        Self { engine, key, s: 0, told: Vec::new() }
    }

    /// The last of what a call led to: that of the condition itself.
    fn keep(&mut self, told: Vec<Transition>) -> Option<Transition> {
        self.told = told;
        self.told.last().cloned()
    }

    pub(super) fn find(&mut self, level: Level) -> Option<Transition> {
        self.find_because(level, format!("{level:?} at {}", self.s + 1))
    }

    pub(super) fn find_because(&mut self, level: Level, message: String) -> Option<Transition> {
        self.s += 1;
        let at = Instant::from_s(self.s);
        let finding = Finding { level, message, score: None, evidence: vec![], at, quality: StatusCode::GOOD };
        let told = self.engine.apply(&self.key, Lsn(self.s.unsigned_abs()), finding, at);
        self.keep(told)
    }

    pub(super) fn give(
        &mut self,
        kind: CommandKind,
        event_id: &[u8],
        comment: Option<&str>,
    ) -> Result<Transition, RefusedCommand> {
        self.s += 1;
        let comment = comment.map(|text| ("en".to_owned(), text.to_owned()));
        let (key, event_id, at) = (self.key.clone(), event_id.to_vec(), Instant::from_s(self.s));
        let command = AlarmCommand { key, kind, event_id, comment, user: "anna".into(), at };
        let told = self.engine.command(&command, Lsn(self.s.unsigned_abs()))?;
        let as_it_was = |bench: &Self| {
            let (def, state) = bench.engine.condition(&bench.key).unwrap();
            Transition {
                def: def.clone(),
                state: Arc::new(state.clone()),
                branch: None,
                notify: false,
                commanded: true,
            }
        };
        Ok(self.keep(told).unwrap_or_else(|| as_it_was(self)))
    }

    /// Asks something that needs no EventId.
    pub(super) fn ask(&mut self, kind: CommandKind) -> Result<Transition, RefusedCommand> {
        self.give(kind, &[], None)
    }

    pub(super) fn quality(&mut self, quality: StatusCode) -> Option<Transition> {
        self.s += 1;
        let told = self.engine.believe(&self.key, Lsn(1), Belief { quality, supported: true }, Instant::from_s(self.s));
        self.keep(told)
    }

    /// Lets so many seconds pass.
    pub(super) fn pass(&mut self, s: i64) -> Option<Transition> {
        self.s += s;
        let told = self.engine.expire(Lsn(self.s.unsigned_abs()), Instant::from_s(self.s), |_| true);
        self.keep(told)
    }

    /// As after a kill: another engine with what was written.
    pub(super) fn restart(&mut self) {
        let def = self.engine.conditions().next().unwrap().0.clone();
        let mut engine = Engine::default();
        engine.restore(&self.key, &self.state().encode()).unwrap();
        engine.define(def, Instant::from_s(self.s));
        self.engine = engine;
    }

    pub(super) fn state(&self) -> &ConditionState {
        self.engine.state(&self.key).unwrap()
    }

    pub(super) fn event(&self) -> [u8; 16] {
        *self.state().event_id(&self.key).bytes()
    }
}

pub(super) const fn seconds(s: u64) -> Option<Duration> {
    Some(Duration::from_secs(s))
}
