//! Alarms of the past whose conditions nobody defines any more: their detector or their signal is gone from the
//! configuration, or nobody says any longer what to do about them. They are shown as they were defined last, where that was
//! kept; else what is shown of them is what the log has, and what their name says.

use std::sync::Arc;

use watchfire_alarms::{AlarmType, ConditionClass, ConditionDef, ConditionState};
use watchfire_model::{ConditionKey, Kind, Scope, SignalId};
use watchfire_pipeline::{OWN_BINDING, OwnConditions};

use crate::space::{Condition, SignalNode, Space};

impl Space {
    /// A condition that is no longer there, as it or one of its branches was in the past: as it was defined last. Where
    /// nobody knows how that was, an AlarmConditionType in the area of its signal or else in the gateway's own.
    pub(crate) fn gone(
        &self,
        key: &ConditionKey,
        state: ConditionState,
        once: Option<&Arc<ConditionDef>>,
    ) -> Arc<Condition> {
        let signal = self.signal_of(key);
        let own = OwnConditions::new(&self.own_area()).once(key);
        if let Some(once) = once.or(own.as_ref()) {
            let signal = signal.filter(|_| once.scope == Scope::Signal);
            let def = ConditionDef { signal: signal.as_ref().map(|signal| signal.id), ..(**once).clone() };
            return Condition::alone(def, once.area.clone(), signal).at(self, state);
        }
        let area: Arc<str> = match &signal {
            Some(signal) => signal.area.clone(),
            None => self.own_area(),
        };
        let (name, class) = match (key.binding(), key.instance()) {
            (OWN_BINDING, "") => (key.condition(), ConditionClass::System),
            (OWN_BINDING, about) => (about, ConditionClass::System),
            (binding, _) => (binding, ConditionClass::Unclassified),
        };
        let def = ConditionDef {
            key: key.clone(),
            area: area.clone(),
            source_name: signal.as_ref().map_or_else(|| name.into(), |signal| signal.name.clone()),
            signal: signal.as_ref().map(|signal| signal.id),
            scope: if signal.is_some() { Scope::Signal } else { Scope::Binding },
            alarm_type: AlarmType::Alarm,
            class,
            severity: state.severity.value,
            text: key.as_str().into(),
            response: "".into(),
            confirm: false,
            detector: "".into(),
            rules: Arc::default(),
        };
        Condition::alone(def, area, signal).at(self, state)
    }

    /// The signal that a condition is about by its name, whether or not it is still watched.
    fn signal_of(&self, key: &ConditionKey) -> Option<Arc<SignalNode>> {
        let name = key.instance();
        if let Some(signal) = self.signal(name) {
            return Some(signal.clone());
        }
        // Of a signal it is `source/name`; groups have numbers, and what the gateway tells of itself is of no signal.
        (name.contains('/') && key.binding() != OWN_BINDING).then(|| {
            Arc::new(SignalNode {
                id: SignalId::default(),
                name: name.into(),
                area: self.own_area(),
                kind: Kind::default(),
                unit: None,
                range: None,
                description: "".into(),
            })
        })
    }

    pub(crate) fn own_area(&self) -> Arc<str> {
        self.path_of("").pop().unwrap_or_default().into()
    }
}
