//! What there is to show: areas, signals, conditions and how they stand. Nodes are computed from it when they are
//! asked for, so a condition costs its state and little more. Knows neither subscriptions nor sessions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use opcua::types::NodeId;
use watchfire_alarms::{ConditionDef, ConditionState};
use watchfire_model::{Kind, Level, SignalId};
use watchfire_pipeline::ConditionView;

use crate::names::{AREA, SIGNAL, SOURCE, own};
use crate::tally::Tally;

/// A signal as it is shown to HMIs.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalNode {
    /// Its id in the log.
    pub id: SignalId,
    /// `source/name`; its NodeId is `signal:` and this.
    pub name: String,
    /// Its area, parts separated by `/`.
    pub area: String,
    /// What its values are.
    pub kind: Kind,
    /// UCUM unit code.
    pub unit: Option<String>,
    /// Engineering range.
    pub range: Option<(f64, f64)>,
    /// What it is, for people.
    pub description: String,
}

/// The area of what has none, where not even a default is given.
const NO_AREA: &str = "Gateway";

/// Limits as they were last seen in evidence, by [`Limits::at`].
pub(crate) type LimitValues = [Option<f64>; 4];

/// Place of a limit in [`LimitValues`].
pub(crate) const fn limit_of(level: Level) -> Option<usize> {
    match level {
        Level::HighHigh => Some(0),
        Level::High => Some(1),
        Level::Low => Some(2),
        Level::LowLow => Some(3),
        Level::Normal | Level::Active | Level::Unknown => None,
    }
}

/// A condition as it stands. Never changed, only replaced: whoever holds one may take its time.
#[derive(Debug)]
pub(crate) struct Condition {
    pub def: Arc<ConditionDef>,
    pub state: Arc<ConditionState>,
    /// The area's path, as in [`Space::areas`].
    pub area: Arc<str>,
    /// SourceNode: the signal's variable, or the object that stands for a source or a detector.
    pub source: NodeId,
    /// Whether that is an object, to whose events one can subscribe.
    pub source_is_object: bool,
    /// InputNode: the signal that drove it most.
    pub input: NodeId,
    pub limits: LimitValues,
}

impl Condition {
    pub(crate) fn key(&self) -> &str {
        self.def.key.as_str()
    }
}

/// An area and what is directly in it, in the order in which it came.
#[derive(Debug, Default)]
pub(crate) struct Area {
    pub parent: Option<Arc<str>>,
    pub areas: Vec<Arc<str>>,
    pub signals: Vec<Arc<str>>,
    pub sources: Vec<Arc<str>>,
    pub conditions: Vec<Arc<str>>,
    /// Of this area and those below it.
    pub tally: Tally,
}

/// A source or a detector that conditions are about.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub areas: Vec<Arc<str>>,
    pub conditions: Vec<Arc<str>>,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Space {
    /// Where things without an area go.
    default_area: String,
    pub areas: BTreeMap<Arc<str>, Area>,
    pub top: Vec<Arc<str>>,
    pub signals: HashMap<Arc<str>, Arc<SignalNode>>,
    signal_names: HashMap<SignalId, Arc<str>>,
    pub area_of_signal: HashMap<Arc<str>, Arc<str>>,
    /// Conditions of a signal.
    pub of_signal: HashMap<Arc<str>, Vec<Arc<str>>>,
    pub sources: BTreeMap<Arc<str>, Source>,
    pub conditions: HashMap<Arc<str>, Arc<Condition>>,
    /// Their keys, in the order in which they came.
    pub order: Vec<Arc<str>>,
}

impl Space {
    pub(crate) fn new(default_area: &str, areas: &[String], signals: Vec<SignalNode>) -> Self {
        let default_area =
            if default_area.split('/').all(|part| part.trim().is_empty()) { NO_AREA } else { default_area };
        let mut space = Self { default_area: default_area.to_owned(), ..Self::default() };
        for area in areas {
            space.area(area);
        }
        for signal in signals {
            let name: Arc<str> = signal.name.as_str().into();
            let path = space.area(&signal.area);
            if let Some(area) = space.areas.get_mut(&path) {
                area.signals.push(name.clone());
            }
            space.area_of_signal.insert(name.clone(), path);
            space.signal_names.insert(signal.id, name.clone());
            space.signals.insert(name, Arc::new(signal));
        }
        space
    }

    /// The area's path as it is kept; makes it and those above it where they are missing.
    fn area(&mut self, path: &str) -> Arc<str> {
        let named =
            |path: &str| path.split('/').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let mut parts: Vec<String> = named(path);
        if parts.is_empty() {
            parts = named(&self.default_area);
        }
        let mut above: Option<Arc<str>> = None;
        for part in parts {
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
        let key: Arc<str> = def.key.as_str().into();
        let before = self.conditions.get(&key).cloned();
        let (area, source, source_is_object) = match &before {
            Some(before) => (before.area.clone(), before.source.clone(), before.source_is_object),
            None => self.place(&def, &key),
        };
        let mut limits = before.as_ref().map_or([None; 4], |before| before.limits);
        if let (Some(at), Some(first)) = (limit_of(state.level), state.evidence.first())
            && let Some(limit) = limits.get_mut(at)
        {
            *limit = if at < 2 { first.high } else { first.low }.or(*limit);
        }
        let input = self.input(&def, &state);
        let after = Arc::new(Condition { def, state, area, source, source_is_object, input, limits });
        self.count(before.as_deref(), &after);
        self.conditions.insert(key, after.clone());
        after
    }

    /// Gives a new condition its place in the tree.
    fn place(&mut self, def: &ConditionDef, key: &Arc<str>) -> (Arc<str>, NodeId, bool) {
        let path = self.area(&def.area);
        self.order.push(key.clone());
        let signal = def.signal.and_then(|id| self.signal_names.get(&id)).cloned();
        if let Some(area) = self.areas.get_mut(&path) {
            area.conditions.push(key.clone());
        }
        if let Some(signal) = signal {
            let node = own(&format!("{SIGNAL}{signal}"));
            self.of_signal.entry(signal).or_default().push(key.clone());
            return (path, node, false);
        }
        let name: Arc<str> = def.source_name.as_str().into();
        let source = self.sources.entry(name.clone()).or_default();
        source.conditions.push(key.clone());
        if !source.areas.contains(&path) {
            source.areas.push(path.clone());
            if let Some(area) = self.areas.get_mut(&path) {
                area.sources.push(name.clone());
            }
        }
        (path, own(&format!("{SOURCE}{name}")), true)
    }

    fn input(&self, def: &ConditionDef, state: &ConditionState) -> NodeId {
        let first = state.evidence.first().map(|evidence| evidence.signal.as_str());
        let own_signal = def.signal.and_then(|id| self.signal_names.get(&id)).map(|name| &**name);
        match first.filter(|name| self.signals.contains_key(*name)).or(own_signal) {
            Some(name) => own(&format!("{SIGNAL}{name}")),
            None => NodeId::null(),
        }
    }

    fn count(&mut self, before: Option<&Condition>, after: &Condition) {
        let mut at = Some(after.area.clone());
        while let Some(area) = at.and_then(|path| self.areas.get_mut(&path)) {
            if let Some(before) = before {
                area.tally.leave(&before.state);
            }
            area.tally.enter(&after.state);
            at = area.parent.clone();
        }
    }

    /// The areas of a condition, from its own upwards.
    pub(crate) fn areas_of(&self, condition: &Condition) -> Vec<Arc<str>> {
        let mut areas = vec![condition.area.clone()];
        while let Some(parent) = areas.last().and_then(|path| self.areas.get(path)).and_then(|area| area.parent.clone())
        {
            areas.push(parent);
        }
        areas
    }

    /// The notifiers below Server at which a condition's events are seen, as strings of NodeIds.
    pub(crate) fn notifiers_of(&self, condition: &Condition) -> Vec<String> {
        let areas = self.areas_of(condition).into_iter().map(|path| format!("{AREA}{path}"));
        let source = condition.source_is_object.then(|| format!("{SOURCE}{}", condition.def.source_name));
        areas.chain(source).collect()
    }
}
