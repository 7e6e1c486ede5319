//! What verdicts on values of the past come to: an event for each time something was found, with its time, if it began in
//! what was missing and lasted as long as the configuration asks of an alarm. What began in values that came live was found
//! live.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchfire_alarms::{ConditionDef, Finding};
use watchfire_model::{ConditionKey, Instant, Level, Lsn, PlainEvent, Scope, SignalId, SignalInfo, Verdict};

use crate::binding::Conditions;
use crate::plain_event::late_event;
use crate::{BindingPlan, Judge, OnRecord};

/// Events that are told of one time that was missing: more of them would be a flood of old news.
const EVENTS_MAX: usize = 1000;

/// What was missing and was fetched, by signal.
pub(crate) struct Missing(BTreeMap<SignalId, Vec<(Instant, Instant)>>);

impl Missing {
    /// What of these gaps was fetched.
    pub(crate) fn of<'g>(gaps: impl Iterator<Item = &'g OnRecord>) -> Self {
        let mut of: BTreeMap<SignalId, Vec<(Instant, Instant)>> = BTreeMap::new();
        for told in gaps.filter(|told| told.fill.is_some_and(|fill| fill.values > 0)) {
            if let Some(signal) = told.gap.signal {
                of.entry(signal).or_default().push((told.gap.since, told.gap.until));
            }
        }
        Self(of)
    }

    fn holds(&self, signal: SignalId, at: Instant) -> bool {
        self.0.get(&signal).is_some_and(|gaps| gaps.iter().any(|(since, until)| *since < at && at < *until))
    }
}

/// What was found so far.
pub(crate) struct Findings {
    missing: Missing,
    signals: Vec<SignalInfo>,
    conditions: Conditions,
    defs: BTreeMap<ConditionKey, Arc<ConditionDef>>,
    /// What stands, and the gateway's time when it was found.
    open: BTreeMap<ConditionKey, (Verdict, Finding, Instant)>,
    /// The time up to which was judged.
    now: Instant,
    found: Vec<(ConditionKey, Verdict, Finding)>,
    left_out: usize,
}

impl Findings {
    pub(crate) fn new(plan: &BindingPlan, judge: &Judge, missing: Missing) -> Self {
        let defs = plan.definitions(judge.conditions(), judge.identity());
        let defs = defs.into_iter().map(|def| (def.key.clone(), def)).collect();
        let conditions = plan.conditions(judge.conditions());
        let signals = plan.spec.signals.clone();
        let (open, now) = (BTreeMap::new(), Instant::default());
        Self { missing, signals, conditions, defs, open, now, found: Vec::new(), left_out: 0 }
    }

    /// Takes the verdicts on a frame, in order, with its time.
    pub(crate) fn take(&mut self, verdicts: Vec<Verdict>, now: Instant) {
        self.now = self.now.max(now);
        let now = self.now;
        for verdict in verdicts {
            let Some((key, finding)) = self.conditions.finding(&verdict) else { continue };
            match finding.level {
                Level::Unknown => {}
                Level::Normal => self.close(&key),
                _ if self.was_missing(&verdict) => {
                    self.open.entry(key).or_insert((verdict, finding, now));
                }
                _ => {}
            }
        }
    }

    /// Whether it began in what was missing of its signal, or of one of its signals.
    fn was_missing(&self, verdict: &Verdict) -> bool {
        let holds = |signal: &SignalInfo| self.missing.holds(signal.id, verdict.at);
        let of_group = |signal: &SignalInfo| signal.group == verdict.instance && holds(signal);
        match self.conditions.scope_of(verdict) {
            None => false,
            Some(Scope::Binding) => self.signals.iter().any(holds),
            Some(Scope::Group) => self.signals.iter().any(of_group),
            Some(Scope::Signal) => {
                usize::try_from(verdict.instance).is_ok_and(|at| self.signals.get(at).is_some_and(holds))
            }
        }
    }

    /// What stood ends.
    fn close(&mut self, key: &ConditionKey) {
        let Some((verdict, finding, found)) = self.open.remove(key) else { return };
        let delay = self.defs.get(key).and_then(|def| def.rules.on_delay).unwrap_or_default();
        if found.plus(delay) > self.now {
            return;
        }
        if self.found.len() < EVENTS_MAX {
            self.found.push((key.clone(), verdict, finding));
        } else {
            self.left_out += 1;
        }
    }

    /// What it comes to, told of the frame that noticed what was missing: in the order of its times.
    pub(crate) fn end(mut self, frame: Lsn, now: Instant) -> (Vec<Verdict>, Vec<PlainEvent>) {
        for key in self.open.keys().cloned().collect::<Vec<_>>() {
            self.close(&key);
        }
        if self.left_out > 0 {
            tracing::warn!(left_out = self.left_out, "more was found in values that came late than is told");
        }
        self.found.sort_by(|(a, _, first), (b, _, second)| (first.at, a).cmp(&(second.at, b)));
        let (mut verdicts, mut events) = (Vec::new(), Vec::new());
        for (number, (key, verdict, finding)) in (0..).zip(self.found) {
            if let Some(def) = self.defs.get(&key) {
                events.push(late_event(def, finding, (frame, number, now)));
                verdicts.push(verdict);
            }
        }
        (verdicts, events)
    }
}
