//! Alarms of the past whose conditions nobody defines any more: their detector is gone from the configuration, or says
//! no longer what to do about them. What is shown of them is what the log has, and what their name says; of which type
//! and area they were is not known.

use std::sync::Arc;

use watchfire_alarms::{AlarmType, ConditionClass, ConditionDef, ConditionState};
use watchfire_model::{ConditionKey, Kind, Scope, SignalId};
use watchfire_pipeline::OWN_BINDING;

use crate::space::{Condition, SignalNode, Space};

impl Space {
    /// A condition that is no longer there, as it or one of its branches was in the past: an AlarmConditionType, in the
    /// area of its signal or else in the gateway's own.
    pub(crate) fn gone(&self, key: &ConditionKey, state: ConditionState) -> Arc<Condition> {
        let signal = self.signal_of(key);
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

    fn own_area(&self) -> Arc<str> {
        self.path_of("").pop().unwrap_or_default().into()
    }
}
