//! Events as clients see them: the fields of a condition at one transition, and the markers of a refresh.

use std::sync::Arc;

use opcua::nodes::{Event, RetainedCondition, index_range};
use opcua::types::event_field::EventField;
use opcua::types::{
    AttributeId, ByteString, DateTime, NodeId, NumericRange, ObjectId, ObjectTypeId, QualifiedName, UAString, Variant,
};
use watchfire_model::Instant;
use watchfire_ua::date_time_from_instant;

use crate::condition_values;
use crate::fields::{self, type_id};
use crate::names::{NAMESPACE, own, text};
use crate::space::Condition;
use crate::speech::Speech;
use crate::tongues::Spoken;

/// Severity of the markers, which are no alarms.
const MARKER_SEVERITY: u16 = 1;

/// A condition's event: its state at one transition. Fields are computed when a filter asks for them.
#[derive(Clone, Debug)]
pub(crate) struct ConditionEvent {
    condition: Arc<Condition>,
    kind: NodeId,
    time: DateTime,
    /// When it is told.
    now: Instant,
    /// In which language.
    speech: Speech,
}

impl ConditionEvent {
    /// The event as it is told when the gateway knows.
    pub(crate) fn new(condition: Arc<Condition>) -> Self {
        let now = condition.state.receive_time;
        Self::told(condition, now)
    }

    /// The same event told at another time, by a refresh: what is left of a shelving is what is left then.
    pub(crate) fn told(condition: Arc<Condition>, now: Instant) -> Self {
        let kind = type_id(condition.def.alarm_type);
        let (time, _) = date_time_from_instant(condition.state.time);
        Self { condition, kind, time, now, speech: Speech::default() }
    }
}

impl Spoken for ConditionEvent {
    fn spoken(&self, speech: &Speech) -> Self {
        Self { speech: speech.clone(), ..self.clone() }
    }
}

impl EventField for ConditionEvent {
    fn get_value(&self, attribute: AttributeId, range: &NumericRange, path: &[QualifiedName]) -> Variant {
        match (attribute, path) {
            // The ConditionId (OPC 10000-9 §5.5.2).
            (AttributeId::NodeId, []) => own(self.condition.key()).into(),
            (AttributeId::Value, [_, ..]) => {
                let Some(field) = field(path).filter(|field| self.condition.has(field)) else {
                    return Variant::Empty;
                };
                let value = condition_values::value(&self.condition, field.path, self.now);
                within(self.speech.value(field.path, value), range)
            }
            _ => Variant::Empty,
        }
    }
}

/// The field that a path of qualified names means; each name must be of the namespace that it belongs to.
fn field(path: &[QualifiedName]) -> Option<&'static fields::Field> {
    let (last, above) = path.split_last()?;
    let joined = match above {
        [] => None,
        _ => Some(path.iter().map(|name| name.name.as_ref()).collect::<Vec<_>>().join("/")),
    };
    let field = fields::field(joined.as_deref().unwrap_or(last.name.as_ref()))?;
    let namespace = if field.own { NAMESPACE } else { 0 };
    let fits = last.namespace_index == namespace && above.iter().all(|name| name.namespace_index == 0);
    (fits && !field.plain()).then_some(field)
}

/// The part of a field that is asked for; nothing where it has no such part.
pub(crate) fn within(value: Variant, range: &NumericRange) -> Variant {
    if matches!(range, NumericRange::None) { value } else { index_range(&value, range).unwrap_or(Variant::Empty) }
}

impl Event for ConditionEvent {
    fn retained_condition(&self) -> Option<RetainedCondition> {
        Some(RetainedCondition {
            condition_id: own(self.condition.key()),
            branch_id: condition_values::branch_id(&self.condition),
            retain: self.condition.state.retain,
        })
    }

    fn get_field(&self, _: &NodeId, attribute: AttributeId, range: &NumericRange, path: &[QualifiedName]) -> Variant {
        self.get_value(attribute, range, path)
    }

    fn time(&self) -> &DateTime {
        &self.time
    }

    fn event_type_id(&self) -> &NodeId {
        &self.kind
    }
}

/// RefreshStart, RefreshEnd or RefreshRequired (OPC 10000-9 §5.11).
#[derive(Clone, Debug)]
pub(crate) struct MarkerEvent {
    id: ByteString,
    kind: NodeId,
    message: &'static str,
    time: DateTime,
}

impl MarkerEvent {
    pub(crate) fn new(kind: ObjectTypeId, message: &'static str, now: Instant) -> Self {
        let id = opcua::types::Guid::new().to_bytes().to_vec();
        Self { id: ByteString::from(id), kind: kind.into(), message, time: date_time_from_instant(now).0 }
    }
}

impl Spoken for MarkerEvent {
    /// What it says is for programs.
    fn spoken(&self, _: &Speech) -> Self {
        self.clone()
    }
}

impl EventField for MarkerEvent {
    fn get_value(&self, attribute: AttributeId, range: &NumericRange, path: &[QualifiedName]) -> Variant {
        let [name] = path else { return Variant::Empty };
        if attribute != AttributeId::Value || name.namespace_index != 0 {
            return Variant::Empty;
        }
        let value: Variant = match name.name.as_ref() {
            "EventId" => self.id.clone().into(),
            "EventType" => self.kind.clone().into(),
            "SourceNode" => NodeId::from(ObjectId::Server).into(),
            "SourceName" => UAString::from("Server").into(),
            "Time" | "ReceiveTime" => self.time.into(),
            "Message" => text(self.message).into(),
            "Severity" => MARKER_SEVERITY.into(),
            _ => Variant::Empty,
        };
        within(value, range)
    }
}

impl Event for MarkerEvent {
    fn get_field(&self, _: &NodeId, attribute: AttributeId, range: &NumericRange, path: &[QualifiedName]) -> Variant {
        self.get_value(attribute, range, path)
    }

    fn time(&self) -> &DateTime {
        &self.time
    }

    fn event_type_id(&self) -> &NodeId {
        &self.kind
    }
}
