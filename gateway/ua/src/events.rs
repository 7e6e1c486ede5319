//! Events as texts: one JSON object each, its fields by their names (OPC 10000-4 §7.25.2). Does not know which fields an
//! event has.

use opcua::types::{ByteString, DateTime, Guid, NodeId, Variant};
use serde_json::{Map, Value};

use crate::NodeAddress;
use crate::time::instant_from_date_time;

/// Nested deeper than this, a value is said to be too deep.
const DEPTH_MAX: u8 = 8;

/// The JSON object of an event whose fields have these names, in this order; fields that it does not have are left out.
/// Node ids get their namespaces' URIs, byte strings are base64, times are RFC 3339 in UTC. About 5 µs for 30 fields.
#[must_use]
pub fn event_json(names: &[Box<str>], fields: Vec<Variant>, namespaces: &[String]) -> String {
    let mut object = Map::new();
    for (name, field) in names.iter().zip(fields) {
        let value = json(field, namespaces, 0);
        if !value.is_null() {
            object.insert(name.to_string(), value);
        }
    }
    Value::Object(object).to_string()
}

fn json(value: Variant, namespaces: &[String], depth: u8) -> Value {
    if depth > DEPTH_MAX {
        return "nested too deep".into();
    }
    match value {
        Variant::Empty => Value::Null,
        Variant::Boolean(v) => v.into(),
        Variant::SByte(v) => v.into(),
        Variant::Byte(v) => v.into(),
        Variant::Int16(v) => v.into(),
        Variant::UInt16(v) => v.into(),
        Variant::Int32(v) => v.into(),
        Variant::UInt32(v) => v.into(),
        Variant::Int64(v) => v.into(),
        Variant::UInt64(v) => v.into(),
        Variant::Float(v) => number(f64::from(v)),
        Variant::Double(v) => number(v),
        Variant::StatusCode(v) => v.to_string().into(),
        Variant::DateTime(v) => time(&v),
        Variant::String(v) => text(v.value().clone()),
        Variant::XmlElement(v) => v.to_string().into(),
        Variant::LocalizedText(v) => text(v.text.value().clone()),
        Variant::QualifiedName(v) => text(v.name.value().clone()),
        Variant::Guid(v) => guid(&v),
        Variant::NodeId(v) => node(&v, namespaces),
        Variant::ExpandedNodeId(v) if v.namespace_uri.is_null() => node(&v.node_id, namespaces),
        Variant::ExpandedNodeId(v) => v.to_string().into(),
        Variant::ByteString(v) => bytes(&v),
        Variant::Variant(v) => json(*v, namespaces, depth + 1),
        Variant::DataValue(v) => json(v.value.unwrap_or_default(), namespaces, depth + 1),
        Variant::Array(v) => v.values.into_iter().map(|value| json(value, namespaces, depth + 1)).collect(),
        Variant::ExtensionObject(v) if v.is_null() => Value::Null,
        Variant::ExtensionObject(v) => format!("structure {}", v.type_name().unwrap_or("that is not known")).into(),
        Variant::DiagnosticInfo(_) => "diagnostic information".into(),
    }
}

/// JSON has no infinities.
fn number(number: f64) -> Value {
    serde_json::Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
}

fn text(text: Option<String>) -> Value {
    text.map_or(Value::Null, Value::String)
}

fn time(time: &DateTime) -> Value {
    instant_from_date_time(time, None).map_or(Value::Null, |time| time.to_string().into())
}

fn guid(guid: &Guid) -> Value {
    guid.to_string().into()
}

fn node(node: &NodeId, namespaces: &[String]) -> Value {
    if node.is_null() { Value::Null } else { NodeAddress::of(node, namespaces).to_string().into() }
}

fn bytes(bytes: &ByteString) -> Value {
    if bytes.is_null() { Value::Null } else { bytes.as_base64().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::{LocalizedText, StatusCode};

    #[test]
    fn fields_are_found_by_their_names_and_none_is_left_out_that_is_there() {
        let names = ["EventId", "SourceNode", "Message", "Severity", "Time", "Retain", "Comment", "Status", "Values"];
        let fields = vec![
            Variant::ByteString(ByteString::from(vec![1, 2, 255])),
            Variant::from(NodeId::new(2, "Pump;1")),
            Variant::from(LocalizedText::new("de", "Pumpe \"heiß\"")),
            Variant::UInt16(700),
            Variant::DateTime(Box::new(DateTime::ymd_hms(2026, 3, 1, 12, 0, 5))),
            Variant::Boolean(false),
            Variant::Empty,
            Variant::StatusCode(StatusCode::BadUserAccessDenied),
            Variant::from(vec![1.5_f64, f64::INFINITY]),
        ];
        let namespaces = ["".to_owned(), "urn:server".to_owned(), "urn:press".to_owned()];
        let text = event_json(&names.map(Into::into), fields, &namespaces);
        let wanted = serde_json::json!({
            "EventId": "AQL/",
            "SourceNode": "nsu=urn:press;s=Pump;1",
            "Message": "Pumpe \"heiß\"",
            "Severity": 700,
            "Time": "2026-03-01T12:00:05Z",
            "Retain": false,
            "Status": "BadUserAccessDenied",
            "Values": [1.5, "inf"],
        });
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, wanted);
    }
}
