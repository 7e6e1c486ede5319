//! What there is to show: areas, signals, conditions and how they stand. Nodes are computed from it when they are
//! asked for, so a condition costs its state and some 150 bytes. Knows neither subscriptions nor sessions.

mod places;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use opcua::types::{NodeId, Variant};
use watchfire_alarms::{AlarmType, ConditionDef, ConditionState, Evidence};
use watchfire_model::{ConditionKey, Instant, Kind, Level, Sample, SignalId, StatusCode};
use watchfire_pipeline::{ConditionView, EndingCertificate, FirstToEnd, OperatorConsole, area_parts};
use watchfire_ua::sample_to_data_value;

use crate::alarm_state::Summed;
use crate::detector_parts::DetectorNode;
use crate::fields::{EXPECTED, EXPECTED_UNITS, Field, NORMAL};
use crate::names::{AREA, SIGNAL, SOURCE, below, own};
use crate::suppression::SuppressionGroups;
use crate::tally::Tally;

/// A signal as it is shown to HMIs.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalNode {
    /// Its id in the log.
    pub id: SignalId,
    /// `source/name`; its NodeId is `signal:` and this.
    pub name: Arc<str>,
    /// Its area, parts separated by `/`.
    pub area: Arc<str>,
    /// What its values are.
    pub kind: Kind,
    /// UCUM unit code.
    pub unit: Option<Arc<str>>,
    /// Engineering range.
    pub range: Option<(f64, f64)>,
    /// What it is, for people.
    pub description: Arc<str>,
}

/// Limits as they were last seen in evidence: highest, high, low, lowest.
type LimitValues = [Option<f64>; 4];

/// Place of a limit in [`LimitValues`].
const fn limit_of(level: Level) -> Option<usize> {
    match level {
        Level::HighHigh => Some(0),
        Level::High => Some(1),
        Level::Low => Some(2),
        Level::LowLow => Some(3),
        Level::Normal | Level::Active | Level::Unknown => None,
    }
}

/// What evidence of a condition has shown of what it is judged by.
#[derive(Clone, Debug, Default)]
struct Shown {
    limits: LimitValues,
    /// What was expected, of a deviation from what its detector alone knows.
    expected: Option<f64>,
}

impl Shown {
    /// Takes over what a condition's evidence shows, `about` being the signal it is about. `None` for nothing so far.
    fn with(
        mut shown: Option<Arc<Self>>,
        def: &ConditionDef,
        state: &ConditionState,
        about: Option<&SignalNode>,
    ) -> Option<Arc<Self>> {
        let Some(first) = state.evidence.first() else { return shown };
        if let Some(at) = limit_of(state.level)
            && let Some(value) = if at < 2 { first.high } else { first.low }
            && let Some(limit) = Arc::make_mut(shown.get_or_insert_default()).limits.get_mut(at)
        {
            *limit = Some(value);
        }
        if def.is_of_expectation() {
            let is_told = |evidence: &&Evidence| about.is_none_or(|signal| evidence.signal == signal.name);
            let expected = state.evidence.iter().find(is_told).and_then(Evidence::expected);
            // What is about several signals tells what was expected of the one that it names first.
            if expected.is_some() || about.is_none() {
                Arc::make_mut(shown.get_or_insert_default()).expected = expected;
            }
        }
        shown
    }
}

/// A condition as it stands. Never changed, only replaced: whoever holds one may take its time.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub def: Arc<ConditionDef>,
    pub state: Arc<ConditionState>,
    /// The area's path, as in [`Space::areas`].
    pub area: Arc<str>,
    /// The signal it is about; otherwise it is about a source or a detector, for which an object stands.
    pub signal: Option<Arc<SignalNode>>,
    /// The signal that drove it most.
    input: Option<Arc<SignalNode>>,
    /// Few ever show one.
    shown: Option<Arc<Shown>>,
    /// Of the condition that tells of certificates, as it stands.
    first_to_end: Option<Arc<FirstToEnd>>,
}

impl Condition {
    /// A condition that has no place among the others, before anything happened.
    pub(crate) fn alone(def: ConditionDef, area: Arc<str>, signal: Option<Arc<SignalNode>>) -> Self {
        let state = Arc::new(ConditionState::normal(def.severity, Instant::MIN));
        Self { def: Arc::new(def), state, area, signal, input: None, shown: None, first_to_end: None }
    }

    pub(crate) fn key(&self) -> &str {
        self.def.key.as_str()
    }

    /// One of its branches, for an event of its own.
    pub(crate) fn branch(&self, state: Arc<ConditionState>) -> Arc<Self> {
        Arc::new(Self { state, ..self.clone() })
    }

    /// The same as it, or one of its branches, was in the past; which certificate ended first then is not known.
    pub(crate) fn at(&self, space: &Space, state: ConditionState) -> Arc<Self> {
        let driven_by = state.evidence.first().and_then(|evidence| space.signal(&evidence.signal));
        let input = driven_by.or(self.signal.as_ref()).cloned();
        Arc::new(Self { state: Arc::new(state), input, first_to_end: None, ..self.clone() })
    }

    /// The name of the group of alarms that it belongs to.
    pub(crate) fn group(&self) -> Option<&Arc<str>> {
        self.def.rules.group.as_ref().map(|group| &group.name)
    }

    /// SourceNode.
    pub(crate) fn source_id(&self) -> NodeId {
        match &self.signal {
            Some(signal) => own(&format!("{SIGNAL}{}", signal.name)),
            None => own(&format!("{SOURCE}{}", self.def.source_name)),
        }
    }

    /// InputNode.
    pub(crate) fn input_id(&self) -> NodeId {
        self.input.as_ref().map_or_else(NodeId::null, |signal| own(&format!("{SIGNAL}{}", signal.name)))
    }

    /// SetpointNode, TargetValueNode or NormalState: the signal that it is held against; of a deviation without one, the
    /// variable with what was expected; of what is off normal, the variable with what was settled to be normal.
    pub(crate) fn against_id(&self) -> NodeId {
        match &self.def.rules.against {
            Some(signal) => own(&format!("{SIGNAL}{signal}")),
            None if self.def.is_of_expectation() => below(self.key(), EXPECTED),
            None if self.def.has_normal_value() => below(self.key(), NORMAL),
            None => NodeId::null(),
        }
    }

    /// Whether it has a field.
    pub(crate) fn has(&self, field: &Field) -> bool {
        field.is_in(&self.def) && (field.path != EXPECTED_UNITS || self.unit().is_some())
    }

    /// The UCUM code of the unit that its values are in, where they are those of one signal.
    pub(crate) fn unit(&self) -> Option<&str> {
        self.signal.as_ref()?.unit.as_deref()
    }

    /// What was expected when evidence last told it.
    pub(crate) fn expected(&self) -> Option<f64> {
        self.shown.as_ref()?.expected
    }

    /// The value that is normal, as a value of this kind.
    pub(crate) fn normal(&self, kind: Kind) -> Option<Variant> {
        let value = self.def.rules.normal?;
        let (time, status) = (self.state.receive_time, StatusCode::GOOD);
        let sample = Sample { time, server_time: time, value, exact: None, text: None, status };
        sample_to_data_value(&sample, kind).value
    }

    /// The certificate that ends first, of the condition that tells of them.
    pub(crate) fn ending(&self) -> Option<Arc<EndingCertificate>> {
        self.first_to_end.as_ref()?.get()
    }

    /// The limit of a level: as its detector tells it, otherwise once it has been seen.
    pub(crate) fn limit(&self, level: Level) -> Option<f64> {
        let seen = || self.shown.as_ref()?.limits.get(limit_of(level)?).copied().flatten();
        self.def.rules.limits.of(level).or_else(seen)
    }
}

/// A condition's place among all, in the order in which they came; it never changes.
pub(crate) type Place = u32;

/// An area and what is directly in it, in the order in which it came.
#[derive(Debug, Default)]
pub(crate) struct Area {
    pub parent: Option<Arc<str>>,
    pub areas: Vec<Arc<str>>,
    pub signals: Vec<Arc<SignalNode>>,
    pub sources: Vec<Arc<str>>,
    pub conditions: Vec<Place>,
    /// Of this area and those below it.
    pub tally: Tally,
}

/// A source or a detector that conditions are about.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub areas: Vec<Arc<str>>,
    pub conditions: Vec<Place>,
}

/// A signal and the conditions about it.
#[derive(Debug)]
struct Signal {
    node: Arc<SignalNode>,
    conditions: Vec<Place>,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Space {
    /// Where things without an area go.
    default_area: String,
    /// The area with the folder of detectors, the gateway's own; `None` where there are no detectors.
    pub detectors_in: Option<Arc<str>>,
    pub detectors: BTreeMap<Arc<str>, Arc<DetectorNode>>,
    /// The area with the folder of operator consoles, the gateway's own; `None` where there are none.
    pub consoles_in: Option<Arc<str>>,
    pub consoles: BTreeMap<Arc<str>, Arc<OperatorConsole>>,
    /// The area with the folder of groups of alarms, the gateway's own; `None` where there are no groups.
    pub groups_in: Option<Arc<str>>,
    /// The conditions of each group of alarms.
    pub groups: BTreeMap<Arc<str>, Vec<Place>>,
    /// The conditions that each suppression group suppresses.
    pub suppressions: SuppressionGroups,
    pub areas: BTreeMap<Arc<str>, Area>,
    pub top: Vec<Arc<str>>,
    signals: HashMap<SignalId, Signal>,
    signal_ids: HashMap<Arc<str>, SignalId>,
    /// The signals that come from each source, in the order in which they came.
    signals_from: HashMap<Arc<str>, Vec<SignalId>>,
    pub sources: BTreeMap<Arc<str>, Source>,
    conditions: Vec<Arc<Condition>>,
    places: HashMap<ConditionKey, Place>,
    first_to_end: Arc<FirstToEnd>,
}

impl Space {
    pub(crate) fn new(default_area: &str, areas: &[String], signals: Vec<SignalNode>) -> Self {
        let mut space = Self { default_area: default_area.to_owned(), ..Self::default() };
        for area in areas {
            space.area(area);
        }
        space.signals.reserve(signals.len());
        space.signal_ids.reserve(signals.len());
        space.put_signals(signals);
        space
    }

    /// Shows signals; those that are known as they are described now, in the place of what was shown of them.
    pub(crate) fn put_signals(&mut self, signals: Vec<SignalNode>) {
        let known = signals.iter().map(|signal| signal.id).filter(|id| self.signals.contains_key(id));
        let known: HashSet<SignalId> = known.collect();
        if !known.is_empty() {
            self.areas.values_mut().for_each(|area| area.signals.retain(|signal| !known.contains(&signal.id)));
        }
        for signal in signals {
            let area = self.area(&signal.area);
            let node = Arc::new(SignalNode { area, ..signal });
            if let Some(area) = self.areas.get_mut(&node.area) {
                area.signals.push(node.clone());
            }
            if self.signal_ids.insert(node.name.clone(), node.id) != Some(node.id) {
                self.comes_from_source(&node);
            }
            let conditions = self.signals.remove(&node.id).map(|known| known.conditions).unwrap_or_default();
            self.signals.insert(node.id, Signal { node, conditions });
        }
    }

    fn comes_from_source(&mut self, signal: &SignalNode) {
        let Some((source, _)) = signal.name.split_once('/') else { return };
        match self.signals_from.get_mut(source) {
            Some(signals) => signals.push(signal.id),
            None => {
                self.signals_from.insert(source.into(), vec![signal.id]);
            }
        }
    }

    /// Shows detectors in the gateway's own area.
    pub(crate) fn with_detectors(mut self, detectors: Vec<DetectorNode>) -> Self {
        self.put_detectors(detectors);
        self
    }

    /// Shows operator consoles in the gateway's own area.
    pub(crate) fn with_consoles(mut self, consoles: Vec<OperatorConsole>) -> Self {
        if !consoles.is_empty() {
            self.consoles_in = Some(self.area(""));
        }
        self.consoles = consoles.into_iter().map(|console| (console.name.clone(), Arc::new(console))).collect();
        self
    }

    /// Shows the certificate that ends first with the condition that tells of certificates.
    pub(crate) fn with_first_to_end(mut self, first_to_end: Arc<FirstToEnd>) -> Self {
        self.first_to_end = first_to_end;
        self
    }

    /// Shows these detectors and no others.
    pub(crate) fn put_detectors(&mut self, detectors: Vec<DetectorNode>) {
        if !detectors.is_empty() {
            self.detectors_in = Some(self.area(""));
        }
        let detectors = detectors.into_iter().map(|detector| (detector.name.clone(), Arc::new(detector))).collect();
        let before = std::mem::replace(&mut self.detectors, detectors);
        let rests = |detectors: &BTreeMap<Arc<str>, Arc<DetectorNode>>| -> Vec<(Arc<str>, Vec<Arc<str>>)> {
            detectors.iter().map(|(name, detector)| (name.clone(), detector.sources.clone())).collect()
        };
        if rests(&before) != rests(&self.detectors) {
            let conditions = (0..).zip(&self.conditions).map(|(place, condition)| (place, &*condition.def));
            self.suppressions = SuppressionGroups::of_all(conditions, &self.detectors);
        }
    }

    /// The condition with this key.
    pub(crate) fn condition(&self, key: &str) -> Option<&Arc<Condition>> {
        self.place_of(key).and_then(|place| self.condition_at(place))
    }

    /// The place of the condition with this key.
    pub(crate) fn place_of(&self, key: &str) -> Option<Place> {
        self.places.get(key).copied()
    }

    pub(crate) fn condition_at(&self, place: Place) -> Option<&Arc<Condition>> {
        self.conditions.get(usize::try_from(place).ok()?)
    }

    /// All conditions, in the order in which they came.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Condition>> {
        self.conditions.iter()
    }

    /// The signals, by their full names.
    pub(crate) fn known_signals(&self) -> Vec<(Arc<str>, SignalId)> {
        self.signal_ids.iter().map(|(name, id)| (name.clone(), *id)).collect()
    }

    /// The places of the conditions that belong in the alarm list, in the order in which they came, and how many events
    /// tell of each: its own and those of its branches.
    pub(crate) fn retained(&self) -> Vec<(Place, usize)> {
        let listed = (0..).zip(&self.conditions).filter(|(_, condition)| condition.state.retain);
        listed.map(|(place, condition)| (place, 1 + condition.state.branches.len())).collect()
    }

    /// The signal of this name.
    pub(crate) fn signal(&self, name: &str) -> Option<&Arc<SignalNode>> {
        self.signal_ids.get(name).and_then(|id| self.signals.get(id)).map(|signal| &signal.node)
    }

    /// The conditions about a signal.
    pub(crate) fn conditions_of(&self, signal: SignalId) -> &[Place] {
        self.signals.get(&signal).map_or(&[], |signal| &signal.conditions)
    }

    /// The alarms about a signal summed up, where there are any.
    pub(crate) fn summed(&self, signal: &Arc<SignalNode>) -> Option<Summed> {
        (!self.conditions_of(signal.id).is_empty()).then(|| Summed::Signal(signal.clone()))
    }

    /// The area's path as it is kept; makes it and those above it where they are missing.
    fn area(&mut self, path: &str) -> Arc<str> {
        let mut above: Option<Arc<str>> = None;
        for part in area_parts(path, &self.default_area) {
            let path: Arc<str> =
                above.as_ref().map_or_else(|| part.as_str().into(), |above| format!("{above}/{part}").into());
            if !self.areas.contains_key(&path) {
                match above.as_ref().and_then(|above| self.areas.get_mut(above)) {
                    Some(parent) => parent.areas.push(path.clone()),
                    None => self.top.push(path.clone()),
                }
                self.areas.insert(path.clone(), Area { parent: above, ..Area::default() });
            }
            above = Some(path);
        }
        above.unwrap_or_else(|| "".into())
    }

    /// Takes over a state. Answers the condition as it stands now.
    pub(crate) fn show(&mut self, view: ConditionView) -> Arc<Condition> {
        let ConditionView { def, state, .. } = view;
        let before = self.condition(def.key.as_str()).cloned();
        let area = match before.as_ref().filter(|before| before.def.area == def.area) {
            Some(before) => before.area.clone(),
            None => self.area(&def.area),
        };
        let signal = def.signal.and_then(|id| self.signals.get(&id)).map(|signal| signal.node.clone());
        let shown = before.as_ref().and_then(|before| before.shown.clone());
        let shown = Shown::with(shown, &def, &state, signal.as_deref());
        let driven_by = state.evidence.first().and_then(|evidence| self.signal(&evidence.signal));
        let input = driven_by.or(signal.as_ref()).cloned();
        let first_to_end = (def.alarm_type == AlarmType::CertificateExpiration).then(|| self.first_to_end.clone());
        let after = Arc::new(Condition { def, state, area, signal, input, shown, first_to_end });
        self.count(before.as_deref(), &after);
        let place = self.places.get(&after.def.key).and_then(|place| usize::try_from(*place).ok());
        match place.and_then(|place| self.conditions.get_mut(place)) {
            Some(known) => *known = after.clone(),
            None => self.place(after.clone()),
        }
        if let Some(before) = &before {
            self.hand_over(before, &after);
        }
        if let Some(before) = before.as_ref().filter(|before| before.area != after.area) {
            self.relocate(before, &after);
        }
        self.group(before.as_deref(), &after);
        self.suppress(before.as_deref(), &after);
        after
    }

    /// Keeps which groups suppress a condition that is defined, perhaps in another way than before.
    fn suppress(&mut self, before: Option<&Condition>, after: &Condition) {
        if before.is_some_and(|before| Arc::ptr_eq(&before.def, &after.def)) {
            return;
        }
        if let Some(place) = self.place_of(after.key()) {
            self.suppressions.define(place, before.map(|before| &*before.def), &after.def, &self.detectors);
        }
    }

    fn count(&mut self, before: Option<&Condition>, after: &Condition) {
        if let Some(before) = before {
            self.each_upwards(&before.area, |area| area.tally.leave(&before.state));
        }
        self.each_upwards(&after.area, |area| area.tally.enter(&after.state));
    }

    /// An area and those above it.
    fn each_upwards(&mut self, path: &Arc<str>, change: impl Fn(&mut Area)) {
        let mut at = Some(path.clone());
        while let Some(area) = at.and_then(|path| self.areas.get_mut(&path)) {
            change(area);
            at = area.parent.clone();
        }
    }

    /// The paths of an area and those above it, from the top downwards, whether or not anything is in them.
    pub(crate) fn path_of(&self, area: &str) -> Vec<String> {
        let mut paths: Vec<String> = Vec::new();
        for part in area_parts(area, &self.default_area) {
            paths.push(paths.last().map_or_else(|| part.clone(), |above| format!("{above}/{part}")));
        }
        paths
    }

    /// An area and those above it.
    pub(crate) fn areas_from(&self, area: Arc<str>) -> Vec<Arc<str>> {
        let mut areas = vec![area];
        while let Some(parent) = areas.last().and_then(|path| self.areas.get(path)).and_then(|area| area.parent.clone())
        {
            areas.push(parent);
        }
        areas
    }

    /// The notifiers below Server at which a condition's events are seen, as strings of NodeIds: the areas from its own
    /// upwards, and the source that it is about or that its signal comes from.
    pub(crate) fn notifiers_of(&self, condition: &Condition) -> Vec<String> {
        let areas = self.areas_from(condition.area.clone()).into_iter().map(|path| format!("{AREA}{path}"));
        let source = match &condition.signal {
            Some(signal) => self.source_of(&signal.name),
            None => Some(&condition.def.source_name),
        };
        areas.chain(source.map(|source| format!("{SOURCE}{source}"))).collect()
    }

    /// The source of this signal, where there is a node for it: one that conditions are about.
    pub(crate) fn source_of(&self, signal: &str) -> Option<&Arc<str>> {
        let (source, _) = signal.split_once('/')?;
        self.sources.get_key_value(source).map(|(source, _)| source)
    }

    /// The signals that come from this source, in the order in which they came.
    pub(crate) fn signals_of(&self, source: &str) -> impl Iterator<Item = &Arc<SignalNode>> {
        let ids = self.signals_from.get(source).into_iter().flatten();
        ids.filter_map(|id| self.signals.get(id)).map(|signal| &signal.node)
    }
}
