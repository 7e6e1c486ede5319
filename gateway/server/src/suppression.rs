//! Suppression groups (OPC 10000-9 §5.4.4, §5.4.6, §5.8.4): what the gateway suppresses by itself, where the standard has
//! an object that means the same. While an alarm of such a group is active, or a Boolean variable of it true, those
//! conditions are suppressed that refer to it; of several groups each suffices. Which conditions these are is kept here.
//! That they are suppressed is the annunciator's doing, of which this knows nothing.
//!
//! What is below the first of its group of alarms (`first_only`) has none: there each alarm suppresses the others and never
//! itself, and which of them does changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use opcua::types::{DataValue, NodeId, StatusCode};
use watchfire_alarms::ConditionDef;
use watchfire_model::ConditionKey;
use watchfire_pipeline::{OWN_BINDING, OwnConditions};

use crate::detector_parts::DetectorNode;
use crate::names::{SUPPRESSION, below, own};
use crate::nodes::Values;
use crate::space::{Condition, Place, Space};

/// The variable of a group that no alarm stands for.
pub(crate) const HOLDS: &str = "Holds";

/// The detectors by their names.
type Detectors = BTreeMap<Arc<str>, Arc<DetectorNode>>;

/// Why conditions are suppressed, and with it which.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SuppressionGroup {
    /// While a source is lost: what rests on it alone.
    Source(Arc<str>),
    /// While all sources of a detector are lost: what rests on all of them.
    Sources(Arc<str>),
    /// In a mode of operation: what is set to say nothing in it.
    Mode(u32),
    /// While a detector is over its budget: what that counts.
    Budget(Arc<str>),
}

impl SuppressionGroup {
    /// The groups that suppress a condition.
    pub(crate) fn of(def: &ConditionDef, detectors: &Detectors) -> BTreeSet<Self> {
        let mut all = BTreeSet::new();
        let Some((name, detector)) = detectors.get_key_value(def.key.binding()) else { return all };
        if def.is_highly_managed() {
            return all;
        }
        let mut sources = def.rests_on(&detector.sources);
        all.extend(match (sources.next(), sources.next()) {
            (Some(source), None) => Some(Self::Source(source.clone())),
            (Some(_), Some(_)) => Some(Self::Sources(name.clone())),
            (None, _) => None,
        });
        all.extend(def.rules.suppress_in_modes.iter().map(|mode| Self::Mode(*mode)));
        all.extend(def.rules.budget.map(|_| Self::Budget(name.clone())));
        all
    }

    /// Those of them that are shown.
    pub(crate) fn suppressing(space: &Space, condition: &Condition) -> Vec<Self> {
        Self::of(&condition.def, &space.detectors).into_iter().filter(|group| group.is_there(space)).collect()
    }

    /// The group whose alarm a condition is.
    pub(crate) fn with_alarm(def: &ConditionDef) -> Option<Self> {
        let (key, about) = (&def.key, || def.source_name.clone());
        if key.binding() != OWN_BINDING {
            return None;
        }
        let groups = [Self::Source(about()), Self::Budget(about())];
        groups.into_iter().find(|group| group.alarm_key().as_ref() == Some(key))
    }

    /// All that there are.
    pub(crate) fn all(space: &Space) -> Vec<Self> {
        let by_alarm = space.sources.keys().flat_map(|name| [Self::Source(name.clone()), Self::Budget(name.clone())]);
        let others = space.suppressions.0.keys().filter(|group| group.has_variable()).cloned();
        by_alarm.chain(others).filter(|group| group.is_there(space)).collect()
    }

    /// The one of this name, which is what follows `suppression:` in its NodeId.
    pub(crate) fn find(space: &Space, name: &str) -> Option<Self> {
        let (kind, of) = name.split_once('/')?;
        let group = match kind {
            "source" => Self::Source(of.into()),
            "sources" => Self::Sources(of.into()),
            "mode" => Self::Mode(of.parse().ok()?),
            "budget" => Self::Budget(of.into()),
            _ => return None,
        };
        // `mode/03` is none.
        (group.name() == name && group.is_there(space)).then_some(group)
    }

    /// Its BrowseName.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Source(source) => format!("source/{source}"),
            Self::Sources(detector) => format!("sources/{detector}"),
            Self::Mode(mode) => format!("mode/{mode}"),
            Self::Budget(detector) => format!("budget/{detector}"),
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        own(&format!("{SUPPRESSION}{}", self.name()))
    }

    /// The NodeId of its variable.
    pub(crate) fn variable_id(&self) -> NodeId {
        below(&format!("{SUPPRESSION}{}", self.name()), HOLDS)
    }

    /// Its DisplayName.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Source(source) => format!("source {source} is lost"),
            Self::Sources(detector) => format!("all sources of {detector} are lost"),
            Self::Mode(mode) => format!("mode {mode}"),
            Self::Budget(detector) => format!("{detector} is over its budget"),
        }
    }

    /// What it is for.
    pub(crate) fn explanation(&self) -> String {
        match self {
            Self::Source(source) => format!("Suppresses what rests on source `{source}` alone while it is lost."),
            Self::Sources(detector) => {
                format!("Suppresses what rests on all sources of detector `{detector}` while all of them are lost.")
            }
            Self::Mode(mode) => format!("Suppresses what is set to say nothing in mode of operation {mode}."),
            Self::Budget(detector) => {
                format!("Suppresses what detector `{detector}` tells after more alarms than its budget allows.")
            }
        }
    }

    /// What its variable says.
    pub(crate) fn meaning(&self) -> String {
        match self {
            Self::Mode(mode) => format!("Whether the mode of operation is {mode}."),
            _ => "Whether all of the detector's sources are lost.".to_owned(),
        }
    }

    /// Whether a variable of ours is its member, and no alarm.
    pub(crate) const fn has_variable(&self) -> bool {
        matches!(self, Self::Sources(_) | Self::Mode(_))
    }

    /// The alarm that is its member.
    pub(crate) fn alarm<'s>(&self, space: &'s Space) -> Option<&'s Arc<Condition>> {
        space.condition(self.alarm_key()?.as_str())
    }

    fn alarm_key(&self) -> Option<ConditionKey> {
        match self {
            Self::Source(source) => Some(OwnConditions::source_key(source)),
            Self::Budget(detector) => Some(OwnConditions::budget_key(detector)),
            Self::Sources(_) | Self::Mode(_) => None,
        }
    }

    /// A group has one member at least (OPC 10000-9 §5.8.4), and a variable of ours is there for those that it suppresses.
    fn is_there(&self, space: &Space) -> bool {
        if self.has_variable() { space.suppressions.0.contains_key(self) } else { self.alarm(space).is_some() }
    }

    /// The value of its variable. Before the plant has said in which mode it is nobody knows, and what was suppressed in
    /// one before a restart stays so.
    pub(crate) fn holds(&self, space: &Space, values: &Values<'_>) -> DataValue {
        let holds = match self {
            Self::Mode(mode) => values.latest.mode().map(|now| now == *mode),
            Self::Sources(detector) => {
                let is_lost = |source: &Arc<str>| {
                    Self::Source(source.clone()).alarm(space).is_some_and(|one| one.state.active.value)
                };
                space.detectors.get(detector).map(|detector| detector.sources.iter().all(is_lost))
            }
            Self::Source(_) | Self::Budget(_) => None,
        };
        match holds {
            Some(holds) => DataValue::new_now(holds),
            None => DataValue { status: Some(StatusCode::BadWaitingForInitialData), ..DataValue::default() },
        }
    }
}

/// The conditions that each group suppresses.
#[derive(Debug, Default)]
pub(crate) struct SuppressionGroups(BTreeMap<SuppressionGroup, BTreeSet<Place>>);

impl SuppressionGroups {
    /// Those of all conditions.
    pub(crate) fn of_all<'a>(
        conditions: impl Iterator<Item = (Place, &'a ConditionDef)>,
        detectors: &Detectors,
    ) -> Self {
        let mut groups = Self::default();
        conditions.for_each(|(place, def)| groups.define(place, None, def, detectors));
        groups
    }

    /// A condition is defined, perhaps in another way than before.
    pub(crate) fn define(
        &mut self,
        place: Place,
        before: Option<&ConditionDef>,
        after: &ConditionDef,
        detectors: &Detectors,
    ) {
        let was = before.map(|def| SuppressionGroup::of(def, detectors)).unwrap_or_default();
        let is = SuppressionGroup::of(after, detectors);
        for left in was.difference(&is) {
            if let Some(places) = self.0.get_mut(left) {
                places.remove(&place);
                if places.is_empty() {
                    self.0.remove(left);
                }
            }
        }
        for new in is.difference(&was) {
            self.0.entry(new.clone()).or_default().insert(place);
        }
    }

    /// The conditions that a group suppresses, in the order in which they came; the one at this place alone where there is
    /// one.
    pub(crate) fn places(&self, group: &SuppressionGroup, only: Option<Place>) -> Vec<Place> {
        let Some(all) = self.0.get(group) else { return Vec::new() };
        match only {
            Some(place) => all.get(&place).copied().into_iter().collect(),
            None => all.iter().copied().collect(),
        }
    }
}
