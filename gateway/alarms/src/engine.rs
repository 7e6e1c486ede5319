//! All conditions: who is defined, what time changes next, who hands on the first place of its group. What becomes of one
//! condition is decided in `condition`, `command`, `settle` and `groups`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use watchfire_model::{AlarmCommand, ConditionKey, Instant, Level, Lsn, Severity, StatusCode};

use crate::condition::{Changed, Condition};
use crate::groups::Groups;
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
    /// Whether it is what a person has commanded, and not what followed from findings, time, the plant's mode or others.
    pub commanded: bool,
}

impl Transition {
    /// The state that the event tells: that of the branch where it is one.
    #[must_use]
    pub fn told(&self) -> &Arc<ConditionState> {
        self.branch.as_ref().unwrap_or(&self.state)
    }
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
    groups: Groups,
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
                self.groups.take_up(condition, condition.state.receive_time);
                self.note(key);
            }
            None => {
                self.orphans.insert(key.clone(), state);
            }
        }
        Ok(())
    }

    /// Says what a condition is. A known one keeps its state; a new one starts normal at `at`. What the definition no
    /// longer provides for is left to [`Engine::settle`].
    pub fn define(&mut self, def: Arc<ConditionDef>, at: Instant) -> Transition {
        let key = def.key.clone();
        let known = self.conditions.remove(&key);
        let is_new = known.is_none();
        let (due, noted) = known.as_ref().map_or((None, None), |known| (known.due, known.noted.clone()));
        let recovered = || self.orphans.remove(&key).map(Arc::new);
        let state = match known.map(|known| known.state).or_else(recovered) {
            Some(state) => state,
            None => self.fresh(def.severity, at),
        };
        let transition =
            Transition { def: def.clone(), state: state.clone(), branch: None, notify: false, commanded: false };
        let mut condition = Condition { def, state, due, noted, leader: None };
        if is_new {
            // It stands in its group as it did: who was before it may come back later.
            self.groups.take_up(&mut condition, at);
        }
        self.conditions.insert(key.clone(), condition);
        if is_new {
            self.note(&key);
        }
        transition
    }

    /// What follows for a condition that was defined, perhaps otherwise than before: what its rules no longer provide for
    /// must not hold it in the list, or suppress it.
    pub fn settle(&mut self, key: &ConditionKey, cause: Lsn, now: Instant) -> Vec<Transition> {
        self.change(key, |condition| condition.settle(cause, now))
    }

    /// Hands on the first places of groups: where the first no longer stands, or nobody sees it any more, the oldest that
    /// stands is the first, and what it does not hide is told. To be called once after all changes that belong together,
    /// so that of those that end together none is told.
    pub fn hand_on(&mut self, cause: Lsn, now: Instant) -> Vec<Transition> {
        let mut all = Vec::new();
        while let Some(group) = self.groups.take_changed() {
            if let Some(next) = self.groups.next(&group) {
                all.extend(self.release(&next, true, cause, now));
            }
            for key in self.groups.released(&group) {
                all.extend(self.release(&key, false, cause, now));
            }
        }
        all
    }

    /// Takes a condition out from below the first of its group, or makes it the first.
    fn release(&mut self, key: &ConditionKey, first: bool, cause: Lsn, now: Instant) -> Vec<Transition> {
        self.change(key, |condition| {
            let was_listed = condition.state.retain;
            let state = condition.state_mut();
            state.first_in_group |= first;
            let without = state.suppressed.value.with(Suppression::GROUP, false);
            state.suppressed.set(without, now);
            condition.close(was_listed, Changed { seen: true, ..Changed::default() }, cause.0, now, now)
        })
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

    /// The states that were taken back and whose conditions nobody has defined, by key.
    pub fn undefined(&self) -> impl Iterator<Item = (&ConditionKey, &ConditionState)> {
        self.orphans.iter()
    }

    /// Applies a finding that rests on the record at `cause`. `now` is the receive time. Answers the transitions that
    /// follow, in their order: none for a finding that changes nothing that an operator sees, or for a condition that is
    /// unknown; that of a branch before that of its condition. A disabled condition keeps its level for when it is
    /// enabled, without an event.
    pub fn apply(&mut self, key: &ConditionKey, cause: Lsn, finding: Finding, now: Instant) -> Vec<Transition> {
        self.change(key, |condition| condition.find(finding, cause, now))
    }

    /// Applies a finding that makes an alarm that stands one anew, which somebody has to acknowledge: there is more of the
    /// same. One that does not stand begins, as with [`Engine::apply`].
    pub fn renew(&mut self, key: &ConditionKey, cause: Lsn, finding: Finding, now: Instant) -> Vec<Transition> {
        self.change(key, |condition| condition.renew(finding, cause, now))
    }

    /// Says how far the findings of a condition can be believed, without touching its state otherwise: a detector
    /// that fails or loses its inputs never clears an alarm. One of which nothing can be known is suppressed, since
    /// another alarm says why.
    pub fn believe(&mut self, key: &ConditionKey, cause: Lsn, belief: Belief, now: Instant) -> Vec<Transition> {
        self.change(key, |condition| condition.believe(belief, cause, now))
    }

    /// Begins or ends a reason of the gateway's own to suppress a condition. One that is highly managed is never
    /// suppressed so, and neither is one of which a person has lifted the same reason, until it has ended.
    pub fn suppress(
        &mut self,
        key: &ConditionKey,
        reason: Suppression,
        holds: bool,
        cause: Lsn,
        now: Instant,
    ) -> Vec<Transition> {
        self.change(key, |condition| {
            let managed = condition.def.is_highly_managed();
            let (suppressed, lifted) = (condition.state.suppressed.value, condition.state.has_lifted(reason));
            if (suppressed.has(reason) || lifted) == holds || (holds && managed) {
                return Vec::new();
            }
            let was_listed = condition.state.retain;
            let state = condition.state_mut();
            state.suppressed.set(suppressed.with(reason, holds), now);
            state.later.lifted = state.later.lifted.with(reason, false);
            let changed = Changed { seen: !lifted, quiet: true, ..Changed::default() };
            condition.close(was_listed, changed, cause.0, now, now)
        })
    }

    /// Carries out a command that is given after the record at `cause`.
    ///
    /// # Errors
    /// Why it is refused; nothing has changed then.
    pub fn command(&mut self, command: &AlarmCommand, cause: Lsn) -> Result<Vec<Transition>, RefusedCommand> {
        let meant = self.conditions.get(&command.key).ok_or(RefusedCommand::UnknownCondition)?.check(command)?;
        let mut all = self.change(&command.key, |condition| {
            let was_listed = condition.state.retain;
            let changed = condition.obey(command, meant);
            condition.close(was_listed, changed, cause.0, command.at, command.at)
        });
        all.iter_mut().for_each(|transition| transition.commanded = true);
        Ok(all)
    }

    /// When time changes something next.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let due = self.due.first().map(|(due, _)| *due);
        due.into_iter().chain(self.groups.next_due()).min()
    }

    /// Does what time has brought by `now`: shelving ends, delays are over, alarms are told anew. `ready` says of a
    /// binding whether what its detector found last is how things stand: while it is not, a finding that is held back
    /// does not count, since the next may take it back.
    pub fn expire(&mut self, cause: Lsn, now: Instant, ready: impl Fn(&str) -> bool) -> Vec<Transition> {
        let due: Vec<ConditionKey> = self.over(now).cloned().collect();
        self.groups.expire(now);
        let mut all = Vec::new();
        for key in due {
            let ready = ready(key.binding());
            all.extend(self.change(&key, |condition| condition.expire(cause, now, ready)));
        }
        all
    }

    /// Does what time has brought to the conditions of one binding.
    pub fn expire_binding(&mut self, binding: &str, cause: Lsn, now: Instant) -> Vec<Transition> {
        let due: Vec<ConditionKey> = self.over(now).filter(|key| key.binding() == binding).cloned().collect();
        let mut all = Vec::new();
        for key in due {
            all.extend(self.change(&key, |condition| condition.expire(cause, now, true)));
        }
        all
    }

    fn over(&self, now: Instant) -> impl Iterator<Item = &ConditionKey> {
        self.due.iter().take_while(move |(due, _)| *due <= now).map(|(_, key)| key)
    }

    /// Changes a condition and keeps what is noted of it.
    fn change(&mut self, key: &ConditionKey, how: impl FnOnce(&mut Condition) -> Vec<Transition>) -> Vec<Transition> {
        let Some(condition) = self.conditions.get_mut(key) else { return Vec::new() };
        condition.leader = self.groups.leader(condition);
        let all = how(condition);
        if !all.is_empty() {
            self.note(key);
        }
        all
    }

    /// Notes when time changes a condition next, and how it stands in its group.
    fn note(&mut self, key: &ConditionKey) {
        let Some(condition) = self.conditions.get_mut(key) else { return };
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
        self.groups.note(condition);
    }
}
