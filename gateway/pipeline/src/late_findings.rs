//! What verdicts on values of the past come to: an event for each time something was found, with its time, if it lasted as
//! long as the configuration asks of an alarm.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchfire_alarms::{ConditionDef, Finding};
use watchfire_model::{ConditionKey, Instant, Level, Lsn, PlainEvent, Verdict};

use crate::binding::Conditions;
use crate::plain_event::late_event;
use crate::{BindingPlan, Judge};

/// Events that are told of one time that was missing: more of them would be a flood of old news.
const EVENTS_MAX: usize = 1000;

/// What was found so far.
pub(crate) struct Findings {
    conditions: Conditions,
    defs: BTreeMap<ConditionKey, Arc<ConditionDef>>,
    /// What stands.
    open: BTreeMap<ConditionKey, (Verdict, Finding)>,
    found: Vec<(ConditionKey, Verdict, Finding)>,
    left_out: usize,
}

impl Findings {
    pub(crate) fn new(plan: &BindingPlan, judge: &Judge) -> Self {
        let defs = plan.definitions(judge.conditions(), judge.identity());
        let defs = defs.into_iter().map(|def| (def.key.clone(), def)).collect();
        let conditions = plan.conditions(judge.conditions());
        Self { conditions, defs, open: BTreeMap::new(), found: Vec::new(), left_out: 0 }
    }

    /// Takes verdicts, in order.
    pub(crate) fn take(&mut self, verdicts: Vec<Verdict>) {
        for verdict in verdicts {
            let Some((key, finding)) = self.conditions.finding(&verdict) else { continue };
            match finding.level {
                Level::Unknown => {}
                Level::Normal => self.close(&key, finding.at),
                _ => {
                    self.open.entry(key).or_insert((verdict, finding));
                }
            }
        }
    }

    /// What stood ends.
    fn close(&mut self, key: &ConditionKey, end: Instant) {
        let Some((verdict, finding)) = self.open.remove(key) else { return };
        let delay = self.defs.get(key).and_then(|def| def.rules.on_delay).unwrap_or_default();
        if finding.at.plus(delay) > end {
            return;
        }
        if self.found.len() < EVENTS_MAX {
            self.found.push((key.clone(), verdict, finding));
        } else {
            self.left_out += 1;
        }
    }

    /// What it comes to, told of the frame that noticed what was missing: in the order of its times.
    pub(crate) fn end(mut self, until: Instant, frame: Lsn, now: Instant) -> (Vec<Verdict>, Vec<PlainEvent>) {
        for key in self.open.keys().cloned().collect::<Vec<_>>() {
            self.close(&key, until);
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
