//! What becomes of a condition that is defined otherwise than before: what its rules no longer provide for must not hold
//! it, in the list or below something; its severity and what its rules ask for are those of what stands as well
//! (OPC 10000-9 §4.6, §5.5.2).

use watchfire_model::{Instant, Lsn};

use crate::Suppression;
use crate::condition::{Changed, Condition};
use crate::engine::Transition;

impl Condition {
    /// Brings it to what its definition provides for.
    pub(crate) fn settle(&mut self, cause: Lsn, now: Instant) -> Vec<Transition> {
        let (was_listed, def) = (self.state.retain, self.def.clone());
        let mut changed = Changed { quiet: self.stands_otherwise(), ..Changed::default() };
        if self.state.latched.value && !def.rules.latch {
            self.state_mut().latched.set(false, now);
            changed.seen = true;
        }
        let stands = self.state.active.value && self.state.enabled.value;
        if stands && def.rules.latch && !self.state.latched.value {
            self.state_mut().latched.set(true, now);
            changed.seen = true;
        }
        // One that is told anew sooner than before is so from now on.
        let soonest = def.rules.re_alarm.filter(|_| stands).map(|after| now.plus(after));
        let re_alarm_at = soonest.map(|soonest| self.state.re_alarm_at.map_or(soonest, |at| at.min(soonest)));
        if self.state.re_alarm_at != re_alarm_at {
            self.state_mut().re_alarm_at = re_alarm_at;
            changed.quiet = true;
        }
        if self.state.severity.value != def.severity {
            self.state_mut().weigh(def.severity, now);
            changed.seen = true;
        }
        if !def.confirm {
            self.confirm_all(now, &mut changed);
        }
        changed.quiet |= self.plan_settled(now);
        let suppressed = self.provided_for();
        if suppressed != self.state.suppressed.value {
            self.state_mut().suppressed.set(suppressed, now);
            changed.seen = true;
        }
        changed.quiet |= self.leaves_branches_aside();
        // Another has become the first while it was not there.
        changed.seen |= self.state.first_in_group && (self.leader.is_some() || !self.stands_in_group());
        changed.main = self.state.retain != self.state.must_retain(&def);
        self.close(was_listed, changed, cause.0, now, now)
    }

    /// Nobody has to confirm any more: what was acknowledged is dealt with.
    fn confirm_all(&mut self, now: Instant, changed: &mut Changed) {
        if self.state.acked.value && !self.state.confirmed.value {
            self.state_mut().confirmed.set(true, now);
            changed.seen = true;
        }
        if self.state.branches.iter().all(|branch| branch.is_open(false)) {
            return;
        }
        let state = self.state_mut();
        if !state.enabled.value {
            state.branches.retain(|branch| branch.is_open(false));
            changed.quiet = true;
            return;
        }
        for (place, branch) in state.branches.iter_mut().enumerate() {
            if !branch.is_open(false) {
                branch.confirmed.set(true, now);
                changed.branch(place);
            }
        }
    }

    /// The reasons to suppress it that it may have: a person's in any case.
    fn provided_for(&self) -> Suppression {
        let suppressed = self.state.suppressed.value;
        if self.def.is_highly_managed() {
            return Suppression::default().with(Suppression::OPERATOR, suppressed.has(Suppression::OPERATOR));
        }
        let budget = suppressed.has(Suppression::BUDGET) && self.def.rules.budget.is_some();
        let group = suppressed.has(Suppression::GROUP) && self.may_follow();
        suppressed.with(Suppression::BUDGET, budget).with(Suppression::GROUP, group)
    }
}
