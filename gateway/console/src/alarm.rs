//! An alarm as an event tells it, and the event filter that asks for what it needs.

use opcua::types::{
    AttributeId, ContentFilter, ContentFilterElement, EventFilter, ExtensionObject, FilterOperator, LiteralOperand,
    NodeId, ObjectId, ObjectTypeId, QualifiedName, SimpleAttributeOperand, StatusCode, Variant,
};
use serde::Serialize;
use watchfire_model::Instant;
use watchfire_ua::instant_from_date_time;

/// What is asked for of each event, by the names of the standard.
const FIELDS: [&str; 18] = [
    "EventType",
    "EventId",
    "Time",
    "SourceName",
    "Severity",
    "Message",
    "Retain",
    "BranchId",
    "ActiveState/Id",
    "AckedState/Id",
    "ConfirmedState/Id",
    "Comment",
    "ClientUserId",
    "Quality",
    "ShelvingState/CurrentState/Id",
    "SuppressedState/Id",
    "OutOfServiceState/Id",
    "SilenceState/Id",
];

/// How an alarm stands, or stood when an event told of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alarm {
    /// The condition's name, by which commands mean it.
    pub condition: String,
    /// The event that told, hexadecimal.
    pub event: String,
    /// Whether it is an earlier occurrence that nobody has dealt with.
    pub branch: bool,
    /// When, at the process.
    pub time: Instant,
    /// What it is about.
    pub source: String,
    /// 1 to 1000.
    pub severity: u16,
    /// What is the matter.
    pub message: String,
    /// Whether it belongs in the list.
    pub retain: bool,
    /// Whether it stands.
    pub active: bool,
    /// Whether somebody has acknowledged it.
    pub acknowledged: bool,
    /// Whether it needs no confirmation, or has it.
    pub confirmed: bool,
    /// Why nobody is to be bothered with it: `timed shelved`, `suppressed` and so on.
    pub aside: Vec<String>,
    /// The last comment.
    pub comment: String,
    /// Who commented, acknowledged or confirmed last.
    pub user: String,
    /// Whether what it rests on can be believed.
    pub quality: String,
}

/// Conditions, with all that [`Alarm`] tells.
pub(crate) fn filter() -> EventFilter {
    let path = |field: &str| field.split('/').map(|name| QualifiedName::new(0, name)).collect();
    let clause = |path: Vec<QualifiedName>, attribute: AttributeId| SimpleAttributeOperand {
        type_definition_id: ObjectTypeId::AlarmConditionType.into(),
        browse_path: Some(path),
        attribute_id: attribute as u32,
        ..SimpleAttributeOperand::default()
    };
    let named = FIELDS.iter().map(|field| clause(path(field), AttributeId::Value));
    // The ConditionId is the node of the condition itself (OPC 10000-9 §5.5.2).
    let select = std::iter::once(clause(Vec::new(), AttributeId::NodeId)).chain(named).collect();
    let kind = LiteralOperand { value: NodeId::from(ObjectTypeId::ConditionType).into() };
    let conditions = ContentFilterElement {
        filter_operator: FilterOperator::OfType,
        filter_operands: Some(vec![ExtensionObject::from_message(kind)]),
    };
    EventFilter { select_clauses: Some(select), where_clause: ContentFilter { elements: Some(vec![conditions]) } }
}

/// The fields of an event, as [`filter`] asks for them.
pub(crate) struct Told(pub Vec<Variant>);

impl Told {
    fn get(&self, name: &str) -> &Variant {
        let at = FIELDS.iter().position(|field| *field == name).map_or(usize::MAX, |at| at + 1);
        self.0.get(at).unwrap_or(&Variant::Empty)
    }

    fn text(&self, name: &str) -> String {
        match self.get(name) {
            Variant::String(text) => text.as_ref().to_owned(),
            Variant::LocalizedText(text) => text.text.as_ref().to_owned(),
            _ => String::new(),
        }
    }

    fn is(&self, name: &str) -> bool {
        *self.get(name) == Variant::Boolean(true)
    }

    /// How it is shelved, if it is: by its state, whose name is told in the user's language.
    fn shelved(&self) -> Option<&'static str> {
        let Variant::NodeId(state) = self.get("ShelvingState/CurrentState/Id") else { return None };
        if **state == ObjectId::ShelvedStateMachineType_TimedShelved {
            Some("timed shelved")
        } else if **state == ObjectId::ShelvedStateMachineType_OneShotShelved {
            Some("one shot shelved")
        } else {
            None
        }
    }

    /// Its type.
    pub(crate) fn kind(&self) -> Option<&NodeId> {
        if let Variant::NodeId(kind) = self.get("EventType") { Some(&**kind) } else { None }
    }

    /// The condition's node.
    pub(crate) fn condition(&self) -> Option<&NodeId> {
        if let Some(Variant::NodeId(id)) = self.0.first() { Some(&**id) } else { None }
    }

    /// The alarm of the condition with this name.
    pub(crate) fn alarm(&self, condition: String) -> Alarm {
        let event = match self.get("EventId") {
            Variant::ByteString(bytes) => hexadecimal(bytes.as_ref()),
            _ => String::new(),
        };
        let aside = [
            self.shelved().map(str::to_owned),
            self.is("SuppressedState/Id").then(|| "suppressed".to_owned()),
            self.is("OutOfServiceState/Id").then(|| "out of service".to_owned()),
            self.is("SilenceState/Id").then(|| "silenced".to_owned()),
        ];
        Alarm {
            condition,
            event,
            branch: matches!(self.get("BranchId"), Variant::NodeId(branch) if !branch.is_null()),
            time: match self.get("Time") {
                Variant::DateTime(time) => instant_from_date_time(time, None).unwrap_or(Instant::MIN),
                _ => Instant::MIN,
            },
            source: self.text("SourceName"),
            severity: if let Variant::UInt16(severity) = self.get("Severity") { *severity } else { 0 },
            message: self.text("Message"),
            retain: self.is("Retain"),
            active: self.is("ActiveState/Id"),
            acknowledged: self.is("AckedState/Id"),
            confirmed: *self.get("ConfirmedState/Id") != Variant::Boolean(false),
            aside: aside.into_iter().flatten().collect(),
            comment: self.text("Comment"),
            user: self.text("ClientUserId"),
            quality: match self.get("Quality") {
                Variant::StatusCode(status) => status.to_string(),
                _ => StatusCode::Good.to_string(),
            },
        }
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
