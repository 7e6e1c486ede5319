//! Builds the event filters and the events of these tests.

use opcua::nodes::{Event, RetainedCondition};
use opcua::types::event_field::EventField;
use opcua::types::{
    AttributeId, ByteString, ContentFilter, ContentFilterElement, DateTime, EventFilter, FilterOperator, NodeId,
    NumericRange, ObjectTypeId, Operand, QualifiedName, SimpleAttributeOperand, UAString, Variant,
};

/// The value of the field at `path` (parts parted by `/`) of a type.
pub(super) fn value_of(type_id: ObjectTypeId, path: &str) -> SimpleAttributeOperand {
    SimpleAttributeOperand {
        type_definition_id: type_id.into(),
        browse_path: Some(path.split('/').map(QualifiedName::from).collect()),
        attribute_id: AttributeId::Value as u32,
        index_range: NumericRange::None,
    }
}

/// The node id of the instance itself, as clients ask for a ConditionId: by a null or an empty path.
pub(super) fn condition_id(path: Option<Vec<QualifiedName>>) -> SimpleAttributeOperand {
    SimpleAttributeOperand {
        type_definition_id: ObjectTypeId::ConditionType.into(),
        browse_path: path,
        attribute_id: AttributeId::NodeId as u32,
        index_range: NumericRange::None,
    }
}

/// A filter that selects `clauses` of the events for which `element` holds, or of all events.
pub(super) fn filter(clauses: Vec<SimpleAttributeOperand>, element: Option<ContentFilterElement>) -> EventFilter {
    EventFilter {
        select_clauses: Some(clauses),
        where_clause: ContentFilter { elements: element.map(|element| vec![element]) },
    }
}

/// `operator` over a field of the event and literals.
pub(super) fn compare(operator: FilterOperator, path: &str, literals: &[Variant]) -> ContentFilterElement {
    let field = Operand::from(value_of(ObjectTypeId::BaseEventType, path));
    let literals = literals.iter().map(|literal| Operand::literal(literal.clone()));
    ContentFilterElement::from((operator, std::iter::once(field).chain(literals).collect::<Vec<_>>()))
}

/// An event whose fields are pairs of path and value; it answers for its ConditionId too.
#[derive(Debug)]
pub(super) struct Told {
    event_type: NodeId,
    condition_id: NodeId,
    time: DateTime,
    fields: Vec<(&'static str, Variant)>,
    retain: Option<bool>,
}

impl Told {
    /// An event of a type with `fields`.
    pub(super) fn new(event_type: ObjectTypeId, fields: Vec<(&'static str, Variant)>) -> Self {
        let event_type = NodeId::from(event_type);
        let mut all = vec![("EventType", Variant::from(event_type.clone())), ("EventId", ByteString::null().into())];
        all.extend(fields);
        Self {
            event_type,
            condition_id: NodeId::new(1, "press/overheating"),
            time: DateTime::epoch(),
            fields: all,
            retain: None,
        }
    }

    /// An alarm with a message.
    pub(super) fn alarm(message: &str) -> Self {
        Self::new(ObjectTypeId::AlarmConditionType, vec![("Message", UAString::from(message).into())])
    }

    /// An alarm that says which condition it is of, and whether it is to be kept in a list.
    pub(super) fn retained(message: &str, severity: u16, retain: bool) -> Self {
        let fields = [
            ("Message", UAString::from(message).into()),
            ("Severity", severity.into()),
            ("Retain", Variant::from(retain)),
        ];
        Self { retain: Some(retain), ..Self::new(ObjectTypeId::AlarmConditionType, fields.into()) }
    }
}

impl EventField for Told {
    fn get_value(&self, attribute: AttributeId, _range: &NumericRange, path: &[QualifiedName]) -> Variant {
        if path.is_empty() && attribute == AttributeId::NodeId {
            return self.condition_id.clone().into();
        }
        let asked = path.iter().map(|part| part.name.as_ref()).collect::<Vec<_>>().join("/");
        let found = self.fields.iter().find(|(name, _)| *name == asked);
        found.map_or(Variant::Empty, |(_, value)| value.clone())
    }
}

impl Event for Told {
    fn get_field(&self, _: &NodeId, attribute: AttributeId, range: &NumericRange, path: &[QualifiedName]) -> Variant {
        self.get_value(attribute, range, path)
    }

    fn time(&self) -> &DateTime {
        &self.time
    }

    fn event_type_id(&self) -> &NodeId {
        &self.event_type
    }

    fn retained_condition(&self) -> Option<RetainedCondition> {
        let (condition_id, branch_id) = (self.condition_id.clone(), NodeId::null());
        self.retain.map(|retain| RetainedCondition { condition_id, branch_id, retain })
    }
}
