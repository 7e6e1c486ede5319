//! Alarms with one cause (OPC 10000-9 §5.8.2, FirstInGroup): who stands in a group, which of them is its first, and which
//! are below it. What is below is never hidden by what nobody sees: the first is one that stands and is put aside by
//! nothing. What a condition is besides is not known here.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::{ConditionKey, Instant, Severity};

use crate::Suppression;
use crate::condition::Condition;

/// So long one that was below the first of its group stays so after a start, while that one is not there: its detector may
/// take longer to start, or be there no more.
const AWAITED: Duration = Duration::from_secs(60);

/// The severity of the one that is before a condition in its group; `None` where it would be the first itself.
pub(crate) type Leader = Option<Severity>;

/// A condition in its group, while it stands there: enabled, active, and put aside by nothing but its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    group: Arc<str>,
    since: Instant,
    severity: Severity,
    first: bool,
    below: bool,
}

/// Those that stand in a group.
#[derive(Debug, Default)]
struct Members {
    /// The oldest first, of those that are as old the most severe.
    all: BTreeSet<(Instant, Reverse<Severity>, ConditionKey)>,
    /// Those that the group suppresses.
    below: BTreeSet<(Severity, ConditionKey)>,
    first: Option<(ConditionKey, Severity)>,
}

/// All groups of which any stands.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: BTreeMap<Arc<str>, Members>,
    /// Those in which something has changed since it was last asked who is first.
    changed: BTreeSet<Arc<str>>,
    /// Those whose first is awaited, and until when.
    awaited: BTreeSet<(Instant, Arc<str>)>,
}

impl Groups {
    /// Who is before a condition: the first of its group, or the one that will be.
    pub(crate) fn leader(&self, condition: &Condition) -> Leader {
        let members = self.groups.get(&condition.def.rules.group.as_ref()?.name)?;
        let first = members.first.as_ref().map(|(key, severity)| (key, *severity));
        let next = || members.all.first().map(|(_, Reverse(severity), key)| (key, *severity));
        first.or_else(next).filter(|(key, _)| **key != condition.def.key).map(|(_, severity)| severity)
    }

    /// Notes how a condition stands in its group now, in place of how it stood.
    pub(crate) fn note(&mut self, condition: &mut Condition) {
        let before = condition.noted.as_ref().map(|noted| noted.group.clone());
        if self.replace(condition) {
            self.changed.extend(before);
            self.changed.extend(condition.noted.as_ref().map(|noted| noted.group.clone()));
        }
    }

    /// Takes up one that comes back at `at`, as it was. Nobody's place is asked for by that; the first is awaited.
    pub(crate) fn take_up(&mut self, condition: &mut Condition, at: Instant) {
        self.replace(condition);
        let awaits = |noted: &&Standing| {
            noted.below && self.groups.get(&noted.group).is_some_and(|members| members.first.is_none())
        };
        let awaited = condition.noted.as_deref().filter(awaits).map(|noted| (at.plus(AWAITED), noted.group.clone()));
        self.awaited.extend(awaited);
    }

    fn replace(&mut self, condition: &mut Condition) -> bool {
        if !condition.stands_otherwise() {
            return false;
        }
        let after = condition.standing();
        let key = &condition.def.key;
        if let Some(before) = condition.noted.take() {
            self.leave(key, &before);
        }
        if let Some(after) = &after {
            self.enter(key, after);
        }
        condition.noted = after.map(Box::new);
        true
    }

    fn leave(&mut self, key: &ConditionKey, before: &Standing) {
        let Some(members) = self.groups.get_mut(&before.group) else { return };
        members.all.remove(&(before.since, Reverse(before.severity), key.clone()));
        members.below.remove(&(before.severity, key.clone()));
        members.first.take_if(|(first, _)| first == key);
        if members.all.is_empty() {
            self.groups.remove(&before.group);
        }
    }

    fn enter(&mut self, key: &ConditionKey, after: &Standing) {
        let members = self.groups.entry(after.group.clone()).or_default();
        members.all.insert((after.since, Reverse(after.severity), key.clone()));
        if after.below {
            members.below.insert((after.severity, key.clone()));
        }
        if after.first && members.first.is_none() {
            members.first = Some((key.clone(), after.severity));
        }
    }

    /// When a first is awaited no longer.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.awaited.first().map(|(due, _)| *due)
    }

    /// Awaits no first any longer that was to come by now.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some((_, group)) = self.awaited.first().filter(|(due, _)| *due <= now) {
            self.changed.insert(group.clone());
            self.awaited.pop_first();
        }
    }

    /// A group in which something has changed.
    pub(crate) fn take_changed(&mut self) -> Option<Arc<str>> {
        self.changed.pop_first()
    }

    /// Who becomes the first of a group that has none.
    pub(crate) fn next(&self, group: &str) -> Option<ConditionKey> {
        let members = self.groups.get(group).filter(|members| members.first.is_none())?;
        members.all.first().map(|(_, _, key)| key.clone())
    }

    /// Those below the first of a group that are more severe than it, most severe first.
    pub(crate) fn released(&self, group: &str) -> Vec<ConditionKey> {
        let Some(members) = self.groups.get(group) else { return Vec::new() };
        let hides = |severity: Severity| members.first.as_ref().is_some_and(|(_, first)| *first >= severity);
        members.below.iter().rev().take_while(|(severity, _)| !hides(*severity)).map(|(_, key)| key.clone()).collect()
    }
}

impl Condition {
    /// The group in which it stands now.
    fn group(&self) -> Option<&Arc<str>> {
        let state = &*self.state;
        let aside = state.suppressed.value.with(Suppression::GROUP, false).any()
            || state.out_of_service.value
            || state.shelving.value.is_shelved();
        let stands = state.enabled.value && state.active.value && !aside;
        self.def.rules.group.as_ref().filter(|_| stands).map(|group| &group.name)
    }

    /// Whether it stands in a group.
    pub(crate) fn stands_in_group(&self) -> bool {
        self.group().is_some()
    }

    fn standing(&self) -> Option<Standing> {
        let state = &*self.state;
        Some(Standing {
            group: self.group()?.clone(),
            since: state.active.since,
            severity: self.def.severity,
            first: state.first_in_group,
            below: state.suppressed.value.has(Suppression::GROUP),
        })
    }

    /// Whether it stands in its group in another way than was noted.
    pub(crate) fn stands_otherwise(&self) -> bool {
        self.noted.as_deref() != self.standing().as_ref()
    }

    /// Whether it stands in another group than was noted, or in one where it was in none.
    fn has_moved(&self) -> bool {
        self.noted.as_ref().map(|noted| &noted.group) != self.group()
    }

    /// Whether its group may suppress it: the gateway never suppresses what is highly managed.
    pub(crate) fn may_follow(&self) -> bool {
        self.def.rules.group.as_ref().is_some_and(|group| group.first_only) && !self.def.is_highly_managed()
    }

    /// What its group makes of it: one that begins to stand there is the first, or below it. That lasts for as long as it
    /// stands there, or until the group releases it. What a person has `lifted` is not put below by that. Answers whether it
    /// is otherwise than before.
    pub(crate) fn settle_group(&mut self, lifted: bool, at: Instant) -> bool {
        let (stands, came) = (self.stands_in_group(), self.has_moved());
        let (was_first, was_below) = (self.state.first_in_group, self.state.suppressed.value.has(Suppression::GROUP));
        let first = stands && self.leader.is_none() && (came || was_first);
        let follows = || self.may_follow() && self.leader.is_some_and(|leader| leader >= self.def.severity);
        let below = stands && if came { !lifted && follows() } else { was_below };
        if (first, below) == (was_first, was_below) {
            return false;
        }
        let state = self.state_mut();
        state.first_in_group = first;
        let with = state.suppressed.value.with(Suppression::GROUP, below);
        state.suppressed.set(with, at);
        true
    }
}
