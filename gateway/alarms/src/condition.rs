//! One condition: what findings, commands and time make of its state. Which other conditions there are is not known
//! here.

use std::sync::Arc;

use watchfire_model::{Instant, Level, Lsn};

use crate::engine::{Belief, Finding, Transition};
use crate::groups::{Leader, Standing};
use crate::state::{BRANCHES_MAX, CHATTER, CHATTER_RISES, Delayed, EVENT_IDS_MAX, Shelving};
use crate::{ConditionDef, ConditionState, EventId, Suppression};

/// A condition and how it stands.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) def: Arc<ConditionDef>,
    /// Copied when it changes, since whoever shows it keeps what was.
    pub(crate) state: Arc<ConditionState>,
    /// When time changes it next, as the engine has noted.
    pub(crate) due: Option<Instant>,
    /// How it stands in its group, as the engine has noted.
    pub(crate) noted: Option<Box<Standing>>,
    /// Who is before it in its group, as the engine has said before a change.
    pub(crate) leader: Leader,
}

/// What a change concerns, so that each gets its number, its EventId and its event.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// The condition itself, with an event unless it is disabled.
    pub(crate) main: bool,
    /// The condition itself, with an event if it is in the list or just left it.
    pub(crate) seen: bool,
    /// The condition itself, for the log alone.
    pub(crate) quiet: bool,
    /// Branches, by place.
    pub(crate) branches: Vec<usize>,
    /// It was enabled or disabled, and its branches with it: that is told in any case.
    pub(crate) switched: bool,
    /// A person has lifted what suppressed it.
    pub(crate) lifted: bool,
}

impl Changed {
    pub(crate) fn branch(&mut self, place: usize) {
        if !self.branches.contains(&place) {
            self.branches.push(place);
        }
    }

    fn nothing(&self) -> bool {
        !self.main && !self.seen && !self.quiet && self.branches.is_empty() && !self.switched
    }
}

impl Condition {
    pub(crate) fn state_mut(&mut self) -> &mut ConditionState {
        Arc::make_mut(&mut self.state)
    }

    /// When time changes it next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let state = &*self.state;
        let maintained = state.maintenance.due(state.out_of_service.value);
        let all = [self.delay_due(), state.shelving.value.until(), state.re_alarm_at, state.calm_at(), maintained];
        all.into_iter().flatten().min()
    }

    /// When a finding that is held back counts.
    pub(crate) fn delay_due(&self) -> Option<Instant> {
        self.state.delayed.as_ref().map(|delayed| delayed.due)
    }

    /// Takes a finding that rests on the record at `cause`.
    pub(crate) fn find(&mut self, finding: Finding, cause: Lsn, now: Instant) -> Vec<Transition> {
        let was_listed = self.state.retain;
        let at = finding.at;
        let mut changed = Changed::default();
        let rises = finding.level.is_active();
        let told = finding.level != Level::Unknown;
        if told && self.state.enabled.value && rises != self.state.active.value {
            let rules = &self.def.rules;
            let damped = rules.damp && self.state.chattering;
            let delay = if rises { rules.on_delay } else { rules.off_delay.max(damped.then_some(CHATTER)) };
            if let Some(delay) = delay.filter(|delay| !delay.is_zero()) {
                self.hold_back(finding, now.plus(delay), cause, at, &mut changed);
                return self.close(was_listed, changed, cause.0, at, now);
            }
        }
        if told && let Some(delayed) = self.state.delayed.as_ref() {
            let calls_back = delayed.level.is_active() != rises;
            if calls_back {
                // What was held back is over before it counted. One that was held active came again.
                changed.quiet = true;
                self.state_mut().delayed = None;
                if rises {
                    self.rise(now);
                }
            }
        }
        if self.state.stands_so(&finding) {
            return self.close(was_listed, changed, cause.0, at, now);
        }
        self.take(finding, now, &mut changed);
        self.state_mut().decided = cause;
        self.close(was_listed, changed, cause.0, at, now)
    }

    fn hold_back(&mut self, finding: Finding, due: Instant, cause: Lsn, at: Instant, changed: &mut Changed) {
        let held = self.state.delayed.as_deref();
        let due = held.map_or(due, |held| held.due);
        let again = held.is_some_and(|held| held.level == finding.level && held.message == finding.message);
        if self.state.quality.value != finding.quality {
            self.state_mut().quality.set(finding.quality, at);
            changed.seen = true;
        }
        if !again {
            let Finding { level, message, score, evidence, .. } = finding;
            let state = self.state_mut();
            state.delayed = Some(Box::new(Delayed { due, level, message, score, evidence, cause }));
            state.decided = cause;
            changed.quiet = true;
        }
    }

    fn take(&mut self, finding: Finding, now: Instant, changed: &mut Changed) {
        let at = finding.at;
        changed.seen = true;
        let def = self.def.clone();
        let state = self.state_mut();
        state.quality.set(finding.quality, at);
        if finding.level != Level::Unknown {
            let was_active = state.active.value;
            let begins = finding.level.is_active() && !was_active;
            if begins {
                self.leave_behind(now, changed);
            }
            let state = self.state_mut();
            state.go_to(finding.level, at);
            state.score = finding.score;
            state.message = finding.message;
            state.evidence = finding.evidence;
            state.active.set(finding.level.is_active(), at);
            if begins {
                self.begin_occurrence(at, now);
            } else if was_active && !self.state.active.value {
                self.end_occurrence(at);
            }
            let state = self.state_mut();
            if state.active.value {
                state.weigh(def.severity, at);
            }
        }
    }

    /// Enabled again: what came meanwhile and still stands is an alarm now, what came and went was none.
    pub(crate) fn enable(&mut self, at: Instant, changed: &mut Changed) {
        let rules = self.def.rules.clone();
        let state = self.state_mut();
        state.enabled.set(true, at);
        changed.switched = true;
        if state.active.value {
            state.latched.set(rules.latch, at);
            state.re_alarm_at = rules.re_alarm.map(|after| at.plus(after));
        } else if state.event_ids.is_empty() {
            state.acked.set(true, at);
            state.confirmed.set(true, at);
        }
    }

    /// Keeps the occurrence before as a branch if nobody has dealt with it, so that nothing is acknowledged by accident.
    fn leave_behind(&mut self, now: Instant, changed: &mut Changed) {
        if self.state.event_ids.is_empty() || !self.state.is_open(self.def.confirm) {
            return;
        }
        let state = self.state_mut();
        let mut branch = ConditionState {
            branches: Vec::new(),
            delayed: None,
            rises: Vec::new(),
            re_alarm_at: None,
            branch: Some(state.event_id),
            later: crate::state::Later::default(),
            active: crate::Stamped::new(false, if state.active.value { now } else { state.active.since }),
            ..state.clone()
        };
        if state.branches.len() >= BRANCHES_MAX
            && let Some(last) = state.branches.pop()
        {
            let mut event_ids = last.event_ids;
            event_ids.append(&mut branch.event_ids);
            let excess = event_ids.len().saturating_sub(EVENT_IDS_MAX);
            event_ids.drain(..excess);
            branch.event_ids = event_ids;
            branch.branch = last.branch;
        }
        if state.enabled.value {
            changed.branch(state.branches.len());
        }
        state.branches.push(branch);
    }

    /// Nobody has acknowledged it; EventIds of the one before are no longer its own. While it is disabled it has none.
    fn begin_occurrence(&mut self, at: Instant, now: Instant) {
        let def = self.def.clone();
        let state = self.state_mut();
        state.activations += 1;
        state.acked.set(false, at);
        state.confirmed.set(true, at);
        state.silenced.set(false, at);
        state.re_alarms = 0;
        if state.enabled.value {
            state.latched.set(def.rules.latch, at);
            state.re_alarm_at = def.rules.re_alarm.map(|after| now.plus(after));
        }
        state.event_ids.clear();
        state.mark = crate::Stamped::new(None, at);
        self.rise(now);
    }

    fn end_occurrence(&mut self, at: Instant) {
        let state = self.state_mut();
        state.re_alarm_at = None;
        state.re_alarms = 0;
        state.silenced.set(false, at);
        if matches!(state.shelving.value, Shelving::OneShot { .. }) {
            state.shelve(Shelving::Unshelved, at);
        }
    }

    fn rise(&mut self, now: Instant) {
        let state = self.state_mut();
        state.rises.push(now);
        let excess = state.rises.len().saturating_sub(CHATTER_RISES);
        state.rises.drain(..excess);
        let first = state.rises.first().filter(|_| state.rises.len() == CHATTER_RISES);
        if first.is_some_and(|first| now <= first.plus(CHATTER)) {
            state.chattering = true;
        }
    }

    /// Does what time does. `ready` says whether findings that are held back may count by now.
    pub(crate) fn expire(&mut self, cause: Lsn, now: Instant, ready: bool) -> Vec<Transition> {
        let was_listed = self.state.retain;
        let mut changed = Changed::default();
        let mut at = now;
        if ready && self.delay_due().is_some_and(|due| due <= now) {
            let quality = self.state.quality.value;
            if let Some(delayed) = self.state_mut().delayed.take() {
                let Delayed { due, level, message, score, evidence, cause } = *delayed;
                at = due;
                self.take(Finding { level, message, score, evidence, at, quality }, due, &mut changed);
                self.state_mut().decided = cause;
            }
        }
        if self.state.shelving.value.until().is_some_and(|until| until <= now) {
            self.state_mut().shelve(Shelving::Unshelved, now);
            changed.main = true;
        }
        self.expire_maintenance(now, &mut changed);
        if let Some(due) = self.state.re_alarm_at.filter(|due| *due <= now) {
            self.alarm_anew(due, now, &mut changed);
        }
        if self.state.calm_at().is_some_and(|calm| calm <= now) {
            let state = self.state_mut();
            state.chattering = false;
            state.rises.clear();
            changed.seen = true;
        }
        if changed.nothing() {
            return Vec::new();
        }
        self.close(was_listed, changed, cause.0, at, now)
    }

    /// ReAlarmTime is over. One that is put aside waits for another such time.
    fn alarm_anew(&mut self, due: Instant, now: Instant, changed: &mut Changed) {
        let aside = self.state.is_aside();
        let after = self.def.rules.re_alarm;
        let confirm = self.def.confirm;
        let state = self.state_mut();
        // A gateway that was off for long alarms once, not once for each time that has passed.
        state.re_alarm_at = after.map(|after| match due.plus(after) {
            next if next > now => next,
            _ => now.plus(after),
        });
        changed.quiet = true;
        if aside || !state.active.value {
            return;
        }
        if !state.is_open(confirm) {
            state.event_ids.clear();
        }
        state.acked.set(false, now);
        state.confirmed.set(true, now);
        state.silenced.set(false, now);
        state.active = crate::Stamped::new(true, now);
        state.re_alarms = state.re_alarms.saturating_add(1);
        changed.main = true;
    }

    /// Takes a finding that makes an alarm that stands one anew: there is more of the same.
    pub(crate) fn renew(&mut self, finding: Finding, cause: Lsn, now: Instant) -> Vec<Transition> {
        if !self.state.active.value || !finding.level.is_active() {
            return self.find(finding, cause, now);
        }
        let (was_listed, at) = (self.state.retain, finding.at);
        let mut changed = Changed::default();
        self.take(finding, now, &mut changed);
        self.alarm_anew(now, now, &mut changed);
        self.state_mut().decided = cause;
        self.close(was_listed, changed, cause.0, at, now)
    }

    /// Says how far its findings can be believed, without touching it otherwise. One that is disabled keeps it for when it
    /// is enabled.
    pub(crate) fn believe(&mut self, belief: Belief, cause: Lsn, now: Instant) -> Vec<Transition> {
        let managed = self.def.is_highly_managed();
        let lifted = self.state.has_lifted(Suppression::PARENT);
        let below = !belief.supported && !managed && !lifted;
        let suppressed = self.state.suppressed.value.with(Suppression::PARENT, below);
        let seen = self.state.quality.value != belief.quality || self.state.suppressed.value != suppressed;
        let ends = lifted && belief.supported;
        if !seen && !ends {
            return Vec::new();
        }
        let was_listed = self.state.retain;
        let state = self.state_mut();
        state.quality.set(belief.quality, now);
        state.suppressed.set(suppressed, now);
        state.later.lifted = state.later.lifted.with(Suppression::PARENT, lifted && !ends);
        state.decided = cause;
        let changed = Changed { seen, quiet: true, ..Changed::default() };
        self.close(was_listed, changed, cause.0, now, now)
    }

    /// Gives what has changed its numbers, EventIds and places in the list. A change that concerns neither a listed
    /// condition nor one that just left the list only shows in its nodes, and so does any of one that is disabled.
    pub(crate) fn close(
        &mut self,
        was_listed: bool,
        mut changed: Changed,
        cause: u64,
        at: Instant,
        now: Instant,
    ) -> Vec<Transition> {
        if changed.nothing() {
            return Vec::new();
        }
        changed.seen |= self.settle_group(changed.lifted, at);
        let def = self.def.clone();
        if changed.switched {
            changed.branches = (0..self.state.branches.len()).collect();
        }
        self.put_branches_aside(&mut changed);
        let told = self.tell_branches(&def, &changed.branches, cause, at, now);
        let retain = self.state.must_retain(&def);
        if !told.is_empty() && self.state.retain != retain {
            changed.main = true;
        }
        let tells = self.state.enabled.value || changed.switched;
        let notify = tells && (changed.main || (changed.seen && (was_listed || retain)));
        if notify {
            let state = self.state_mut();
            state.transitions += 1;
            state.event_id = EventId::derive(&def.key, state.transitions, cause);
            state.event_ids.push(state.event_id);
            let excess = state.event_ids.len().saturating_sub(EVENT_IDS_MAX);
            state.event_ids.drain(..excess);
            state.time = at;
            state.receive_time = now;
            state.retain = retain;
        }
        let (def, state) = (&def, &self.state);
        let of_main = || Transition { def: def.clone(), state: state.clone(), branch: None, notify, commanded: false };
        let of_branch = |branch| Transition { branch: Some(Arc::new(branch)), notify: true, ..of_main() };
        let mut all: Vec<Transition> = told.into_iter().map(of_branch).collect();
        if changed.main || changed.seen || changed.quiet {
            all.push(of_main());
        }
        all
    }

    /// Tells of branches; those with which nothing is left to do end with it.
    fn tell_branches(
        &mut self,
        def: &ConditionDef,
        places: &[usize],
        cause: u64,
        at: Instant,
        now: Instant,
    ) -> Vec<ConditionState> {
        if places.is_empty() {
            return Vec::new();
        }
        let state = self.state_mut();
        let mut told = Vec::new();
        for place in places {
            let Some(branch) = state.branches.get_mut(*place) else { continue };
            state.transitions += 1;
            branch.transitions = state.transitions;
            branch.event_id = EventId::derive(&def.key, state.transitions, cause);
            branch.event_ids.push(branch.event_id);
            let excess = branch.event_ids.len().saturating_sub(EVENT_IDS_MAX);
            branch.event_ids.drain(..excess);
            branch.enabled = state.enabled.clone();
            branch.time = at;
            branch.receive_time = now;
            branch.retain = branch.enabled.value && branch.is_open(def.confirm);
            told.push(branch.clone());
        }
        let (left, ended) =
            std::mem::take(&mut state.branches).into_iter().partition(|branch| branch.is_open(def.confirm));
        state.branches = left;
        let ended: Vec<ConditionState> = ended;
        ended.iter().for_each(|branch| state.remember(&branch.event_ids));
        told
    }
}

impl ConditionState {
    /// Whether a finding changes nothing that an operator sees: the reason only counts while the condition is listed.
    fn stands_so(&self, finding: &Finding) -> bool {
        let same_level = finding.level == Level::Unknown
            || (finding.level == self.level && (!self.retain || finding.message == self.message));
        same_level && self.quality.value == finding.quality
    }

    /// When it no longer chatters, unless it comes again or is held active.
    fn calm_at(&self) -> Option<Instant> {
        let last = self.rises.last().filter(|_| self.chattering && self.delayed.is_none())?;
        Some(last.plus(CHATTER))
    }
}
