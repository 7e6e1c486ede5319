//! All conditions: who is defined, what time changes next, which alarms belong together. What becomes of one condition
//! is decided in `condition` and `command`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use watchfire_model::{AlarmCommand, ConditionKey, Instant, Level, Lsn, Severity, StatusCode};

use crate::condition::{Changed, Condition, Leader};
use crate::{ConditionDef, ConditionState, DecodeError, Evidence, RefusedCommand, Suppression};

/// What a detector says of a condition, in the engine's terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The level; `Unknown` keeps the state and makes its quality uncertain.
    pub level: Level,
    /// What is the matter, one sentence.
    pub message: String,
    /// The score, where there is one.
    pub score: Option<f64>,
    /// What drove it.
    pub evidence: Vec<Evidence>,
    /// The time at the process.
    pub at: Instant,
    /// Whether the detector can be believed.
    pub quality: StatusCode,
}

/// How far what was found of a condition can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belief {
    /// The Quality of the condition.
    pub quality: StatusCode,
    /// Whether anything that it rests on can be read.
    pub supported: bool,
}

/// A state that was reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// What the condition is.
    pub def: Arc<ConditionDef>,
    /// How it stands now; shared with the engine and with whoever shows it, and never changed.
    pub state: Arc<ConditionState>,
    /// The branch that the event tells of; `None` where it is the condition itself.
    pub branch: Option<Arc<ConditionState>>,
    /// Whether an event tells of it. A change that concerns neither a listed condition nor one that just left the list
    /// (an inactive one whose inputs are lost) only shows in its nodes, and keeps its EventId.
    pub notify: bool,
}

impl Transition {
    /// The state that the event tells: that of the branch where it is one.
    #[must_use]
    pub fn told(&self) -> &Arc<ConditionState> {
        self.branch.as_ref().unwrap_or(&self.state)
    }
}

/// The active members of a group.
#[derive(Debug, Default)]
struct Members {
    active: BTreeSet<ConditionKey>,
    first: Option<(ConditionKey, Severity)>,
}

/// All conditions and how they stand.
#[derive(Debug, Default)]
pub struct Engine {
    conditions: BTreeMap<ConditionKey, Condition>,
    /// States read back whose condition is not defined (yet): a detector that cannot start keeps its alarms.
    orphans: BTreeMap<ConditionKey, ConditionState>,
    /// How the last new condition began; those that begin alike share it until they change.
    fresh: Option<Arc<ConditionState>>,
    /// What time changes next, soonest first.
    due: BTreeSet<(Instant, ConditionKey)>,
    groups: BTreeMap<Arc<str>, Members>,
}

impl Engine {
    /// Takes back a state from the log; a later one replaces it.
    ///
    /// # Errors
    /// When the bytes cannot be read; the engine is then as before.
    pub fn restore(&mut self, key: &ConditionKey, bytes: &[u8]) -> Result<(), DecodeError> {
        let state = ConditionState::decode(key.as_str(), bytes)?;
        match self.conditions.get_mut(key) {
            Some(condition) => {
                condition.state = Arc::new(state);
                self.note(key);
            }
            None => {
                self.orphans.insert(key.clone(), state);
            }
        }
        Ok(())
    }

    /// Says what a condition is. A known one keeps its state; a new one starts normal at `at`.
    pub fn define(&mut self, def: Arc<ConditionDef>, at: Instant) -> Transition {
        let before = self.conditions.remove(&def.key);
        let due = before.as_ref().and_then(|condition| condition.due);
        let recovered = || self.orphans.remove(&def.key).map(Arc::new);
        let mut state = match before.map(|condition| condition.state).or_else(recovered) {
            Some(state) => state,
            None => self.fresh(def.severity, at),
        };
        // What its rules no longer provide for must not hold it in the list for ever.
        if state.latched.value && !def.rules.latch {
            Arc::make_mut(&mut state).latched.set(false, at);
        }
        if state.re_alarm_at.is_some() && def.rules.re_alarm.is_none() {
            Arc::make_mut(&mut state).re_alarm_at = None;
        }
        let retain = state.must_retain(&def);
        if state.retain != retain {
            Arc::make_mut(&mut state).retain = retain;
        }
        let transition = Transition { def: def.clone(), state: state.clone(), branch: None, notify: false };
        let key = def.key.clone();
        self.conditions.insert(key.clone(), Condition { def, state, due });
        self.note(&key);
        transition
    }

    fn fresh(&mut self, severity: Severity, at: Instant) -> Arc<ConditionState> {
        let alike = |state: &&Arc<ConditionState>| state.severity.value == severity && state.time == at;
        if let Some(state) = self.fresh.as_ref().filter(alike) {
            return state.clone();
        }
        self.fresh.insert(Arc::new(ConditionState::normal(severity, at))).clone()
    }

    /// The conditions and their states, by key.
    pub fn conditions(&self) -> impl Iterator<Item = (&Arc<ConditionDef>, &ConditionState)> {
        self.conditions.values().map(|condition| (&condition.def, &*condition.state))
    }

    /// What a condition is and how it stands.
    #[must_use]
    pub fn condition(&self, key: &ConditionKey) -> Option<(&Arc<ConditionDef>, &ConditionState)> {
        self.conditions.get(key).map(|condition| (&condition.def, &*condition.state))
    }

    /// Those of one binding, without a look at the others.
    pub fn conditions_of(&self, binding: &str) -> impl Iterator<Item = (&Arc<ConditionDef>, &ConditionState)> {
        let prefix = format!("{binding}/");
        let from = self.conditions.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded));
        let own = from.take_while(move |(key, _)| key.as_str().starts_with(&prefix));
        own.map(|(_, condition)| (&condition.def, &*condition.state))
    }

    /// How a condition stands.
    #[must_use]
    pub fn state(&self, key: &ConditionKey) -> Option<&ConditionState> {
        self.conditions.get(key).map(|condition| &*condition.state)
    }

    /// How a condition stood when its state was taken back, whether or not it is defined by now.
    #[must_use]
    pub fn recovered(&self, key: &ConditionKey) -> Option<&ConditionState> {
        self.state(key).or_else(|| self.orphans.get(key))
    }

    /// Applies a finding that rests on the record at `cause`. `now` is the receive time. Answers the transitions that
    /// follow, in their order: none for a finding that changes nothing that an operator sees, or for a condition that is
    /// unknown; that of a branch before that of its condition. A disabled condition keeps its level for when it is
    /// enabled, without an event.
    pub fn apply(&mut self, key: &ConditionKey, cause: Lsn, finding: Finding, now: Instant) -> Vec<Transition> {
        self.change(key, |condition, leader| condition.find(finding, cause, now, leader))
    }

    /// Applies a finding that makes an alarm that stands one anew, which somebody has to acknowledge: there is more of the
    /// same. One that does not stand begins, as with [`Engine::apply`].
    pub fn renew(&mut self, key: &ConditionKey, cause: Lsn, finding: Finding, now: Instant) -> Vec<Transition> {
        self.change(key, |condition, leader| condition.renew(finding, cause, now, leader))
    }

    /// Says how far the findings of a condition can be believed, without touching its state otherwise: a detector
    /// that fails or loses its inputs never clears an alarm. One of which nothing can be known is suppressed, since
    /// another alarm says why.
    pub fn believe(&mut self, key: &ConditionKey, cause: Lsn, belief: Belief, now: Instant) -> Vec<Transition> {
        self.change(key, |condition, _| condition.believe(belief, cause, now))
    }

    /// Begins or ends a reason of the gateway's own to suppress a condition. One that is highly managed is never
    /// suppressed so.
    pub fn suppress(
        &mut self,
        key: &ConditionKey,
        reason: Suppression,
        holds: bool,
        cause: Lsn,
        now: Instant,
    ) -> Vec<Transition> {
        self.change(key, |condition, _| {
            let managed = condition.def.is_highly_managed();
            if condition.state.suppressed.value.has(reason) == holds || (holds && managed) {
                return Vec::new();
            }
            let was_listed = condition.state.retain;
            let with = condition.state.suppressed.value.with(reason, holds);
            condition.state_mut().suppressed.set(with, now);
            condition.close(was_listed, Changed { seen: true, ..Changed::default() }, cause.0, now, now)
        })
    }

    /// Carries out a command.
    ///
    /// # Errors
    /// Why it is refused; nothing has changed then.
    pub fn command(&mut self, command: &AlarmCommand) -> Result<Vec<Transition>, RefusedCommand> {
        let meant = self.conditions.get(&command.key).ok_or(RefusedCommand::UnknownCondition)?.check(command)?;
        Ok(self.change(&command.key, |condition, _| {
            let was_listed = condition.state.retain;
            let changed = condition.obey(command, meant);
            condition.close(was_listed, changed, 0, command.at, command.at)
        }))
    }

    /// When time changes something next.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Does what time has brought by `now`: shelving ends, delays are over, alarms are told anew. `ready` says of a
    /// binding whether what its detector found last is how things stand: while it is not, a finding that is held back
    /// does not count, since the next may take it back.
    pub fn expire(&mut self, cause: Lsn, now: Instant, ready: impl Fn(&str) -> bool) -> Vec<Transition> {
        let due: Vec<ConditionKey> = self.over(now).cloned().collect();
        let mut all = Vec::new();
        for key in due {
            let ready = ready(key.binding());
            all.extend(self.change(&key, |condition, leader| condition.expire(cause, now, ready, leader)));
        }
        all
    }

    /// Does what time has brought to the conditions of one binding.
    pub fn expire_binding(&mut self, binding: &str, cause: Lsn, now: Instant) -> Vec<Transition> {
        let due: Vec<ConditionKey> = self.over(now).filter(|key| key.binding() == binding).cloned().collect();
        let mut all = Vec::new();
        for key in due {
            all.extend(self.change(&key, |condition, leader| condition.expire(cause, now, true, leader)));
        }
        all
    }

    fn over(&self, now: Instant) -> impl Iterator<Item = &ConditionKey> {
        self.due.iter().take_while(move |(due, _)| *due <= now).map(|(_, key)| key)
    }

    /// Changes a condition and keeps what is noted of it.
    fn change(
        &mut self,
        key: &ConditionKey,
        how: impl FnOnce(&mut Condition, Leader) -> Vec<Transition>,
    ) -> Vec<Transition> {
        let Some(condition) = self.conditions.get_mut(key) else { return Vec::new() };
        let group = condition.def.rules.group.as_ref();
        let leader = group.and_then(|group| self.groups.get(&group.name)).and_then(|group| group.first.as_ref());
        let leader = leader.map(|(_, severity)| *severity);
        let mut all = how(condition, leader);
        if !all.is_empty() {
            all.extend(self.note(key));
        }
        all
    }

    /// Notes when time changes a condition next, and whether it is active in its group. Answers for the first of a group
    /// of which none is active any more: it is the first no longer.
    fn note(&mut self, key: &ConditionKey) -> Option<Transition> {
        let condition = self.conditions.get_mut(key)?;
        let due = condition.next_due();
        if due != condition.due {
            if let Some(before) = condition.due {
                self.due.remove(&(before, key.clone()));
            }
            if let Some(due) = due {
                self.due.insert((due, key.clone()));
            }
            condition.due = due;
        }
        let group = condition.def.rules.group.as_ref()?.name.clone();
        let (active, first, severity) =
            (condition.state.active.value, condition.state.first_in_group, condition.def.severity);
        let members = self.groups.entry(group).or_default();
        if active {
            members.active.insert(key.clone());
            if first || members.first.is_none() {
                members.first = Some((key.clone(), severity));
            }
            return None;
        }
        members.active.remove(key);
        if !members.active.is_empty() {
            return None;
        }
        let (first, _) = members.first.take()?;
        let condition = self.conditions.get_mut(&first)?;
        let was_listed = condition.state.retain;
        condition.state_mut().first_in_group = false;
        condition
            .close(was_listed, Changed { quiet: true, ..Changed::default() }, 0, Instant::default(), Instant::default())
            .pop()
    }
}
