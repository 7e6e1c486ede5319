//! Values that no column has room for, as JSON texts: events (OPC 10000-4 §7.25.2), arrays, structures. Does not know
//! which fields an event has, nor what a structure is made of.

use opcua::types::{Array, ByteString, DateTime, ExtensionObject, Guid, NodeId, Variant};
use serde_json::{Map, Value};

use crate::NodeAddress;
use crate::structure::{Structure, Undecodable};
use crate::time::instant_from_date_time;

/// Nested deeper than this, a value is said to be too deep.
const DEPTH_MAX: u8 = 8;

/// An array of more dimensions is one list: who sends it says how many there are, and each is a level of the text.
const DIMENSIONS_MAX: usize = 8;

/// The longest text that is kept of an array or a structure, bytes, as of any text: what is longer is only said to be there.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;

/// The longest text of an event, bytes: each of a flood of them may be this long.
const EVENT_BYTES_MAX: usize = 64 << 10;

/// What an element of a list takes at the least: a digit and a comma.
const ELEMENT_BYTES_MIN: usize = 2;

/// What is kept of a text of an event for which there is no room, bytes.
const CUT_BYTES: usize = 1 << 10;

/// Which fields of an event are not whole.
const SHORTENED: &str = "Shortened";

/// What a value is written with.
#[derive(Clone, Copy, Default)]
struct Known<'k> {
    namespaces: &'k [String],
}

/// A whole array, structure or byte string as JSON: arrays as lists, those of two to eight dimensions as lists of lists,
/// structures that were read ([`crate::Layouts::open`]) as objects, byte strings as base64. `None` when it would be
/// longer than 1 MiB. Costs by what the value holds, up to that many bytes of a list; some ten times as much memory for a
/// moment.
#[must_use]
pub fn value_json(value: Variant) -> Option<String> {
    if let Variant::Array(array) = &value
        && array.values.len() > TEXT_BYTES_MAX / ELEMENT_BYTES_MIN
    {
        return None;
    }
    let text = json(value, Known { namespaces: &[] }, 0).to_string();
    (text.len() <= TEXT_BYTES_MAX).then_some(text)
}

/// The JSON object of an event whose fields have these names, in this order; fields that it does not have are left out.
/// Node ids get their namespaces' URIs, byte strings are base64, times are RFC 3339 in UTC. About 5 µs for 30 fields.
///
/// All fields together have 64 KiB at the most: of one for which there is no room a text is cut to its first kilobyte,
/// and what is no text, or has no room even so, is left out. `Shortened` names them.
#[must_use]
pub fn event_json(names: &[Box<str>], fields: Vec<Variant>, namespaces: &[String]) -> String {
    let mut object = Map::new();
    let (mut room, mut shortened) = (EVENT_BYTES_MAX, Vec::new());
    for (name, field) in names.iter().zip(fields) {
        let value = json(field, Known { namespaces }, 0);
        if value.is_null() {
            continue;
        }
        let whole = value.to_string().len();
        let kept = if whole <= room { Some((value, whole)) } else { first_of(&value, room) };
        if whole > room {
            shortened.push(Value::from(&**name));
        }
        if let Some((value, bytes)) = kept {
            room -= bytes;
            object.insert(name.to_string(), value);
        }
    }
    if !shortened.is_empty() {
        object.insert(SHORTENED.to_owned(), shortened.into());
    }
    Value::Object(object).to_string()
}

/// The beginning of a text for which there is no room, and the bytes that it takes.
fn first_of(value: &Value, room: usize) -> Option<(Value, usize)> {
    let text = value.as_str()?;
    let first = Value::from(text.get(..text.floor_char_boundary(CUT_BYTES))?);
    let bytes = first.to_string().len();
    (bytes <= room).then_some((first, bytes))
}

fn json(value: Variant, known: Known<'_>, depth: u8) -> Value {
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
        Variant::NodeId(v) => node(&v, known.namespaces),
        Variant::ExpandedNodeId(v) if v.namespace_uri.is_null() => node(&v.node_id, known.namespaces),
        Variant::ExpandedNodeId(v) => v.to_string().into(),
        Variant::ByteString(v) => bytes(&v),
        Variant::Variant(v) => json(*v, known, depth + 1),
        Variant::DataValue(v) => json(v.value.unwrap_or_default(), known, depth + 1),
        Variant::Array(v) => array(*v, known, depth),
        Variant::ExtensionObject(v) => structure(&v, known, depth),
        Variant::DiagnosticInfo(_) => "diagnostic information".into(),
    }
}

/// A list, or lists of lists: the last dimension runs fastest (OPC 10000-6 §5.2.2.16).
fn array(array: Array, known: Known<'_>, depth: u8) -> Value {
    let mut values: Vec<Value> = array.values.into_iter().map(|value| json(value, known, depth + 1)).collect();
    let dimensions = array.dimensions.filter(|sizes| sizes.len() <= DIMENSIONS_MAX).unwrap_or_default();
    for size in dimensions.iter().skip(1).rev() {
        let size = usize::try_from(*size).unwrap_or(1).max(1);
        let mut left = values.into_iter().peekable();
        values = Vec::new();
        while left.peek().is_some() {
            values.push(left.by_ref().take(size).collect());
        }
    }
    Value::Array(values)
}

/// An object of its members where their names are known.
fn structure(object: &ExtensionObject, known: Known<'_>, depth: u8) -> Value {
    if object.is_null() {
        return Value::Null;
    }
    if object.inner_is::<Undecodable>() {
        return "structure that does not match its description".into();
    }
    let Some(structure) = object.inner_as::<Structure>() else {
        let name = object.type_name().and_then(|name| name.rsplit("::").next());
        return format!("structure {}", name.unwrap_or("that is not known")).into();
    };
    let members = structure.members();
    Value::Object(members.map(|(name, value)| (name.to_owned(), json(value.clone(), known, depth + 1))).collect())
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
    use opcua::types::{LocalizedText, StatusCode, VariantScalarTypeId};

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

    #[test]
    fn an_event_has_an_end_and_says_what_it_lacks() {
        let names = ["Message", "OldValue", "Comment", "Severity", "NewValue", "SourceName"].map(Into::into);
        let long = "ä\"".repeat(20_000);
        let fields = vec![
            Variant::from(long.as_str()),
            Variant::from(vec![1.5_f64; 100_000]),
            Variant::from("c".repeat(60_000)),
            Variant::UInt16(700),
            Variant::from("d".repeat(10_000)),
            Variant::from("pump"),
        ];
        let text = event_json(&names, fields.clone(), &[]);
        assert!(text.len() < EVENT_BYTES_MAX + 1_000, "{}", text.len());
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["Shortened"], serde_json::json!(["Message", "OldValue", "NewValue"]));
        let message = read["Message"].as_str().unwrap();
        assert!(long.starts_with(message) && (CUT_BYTES - 2..=CUT_BYTES).contains(&message.len()));
        assert_eq!((read["OldValue"].clone(), read["Severity"].clone()), (Value::Null, 700.into()));
        assert_eq!(read["Comment"].as_str().map(str::len), Some(60_000));
        assert_eq!((read["NewValue"].as_str().map(str::len), read["SourceName"].as_str()), (Some(1_024), Some("pump")));
        let many: Vec<Box<str>> = (0..200).map(|at| format!("Field{at}").into()).collect();
        let text = event_json(&many, vec![fields[2].clone(); 200], &[]);
        let read: Value = serde_json::from_str(&text).unwrap();
        assert!(text.len() < EVENT_BYTES_MAX + 200 * 30, "{}", text.len());
        assert_eq!(read["Shortened"].as_array().map(Vec::len), Some(199));
    }

    #[test]
    fn arrays_are_lists_and_what_is_too_long_is_none() {
        let numbers = |count: i32| (0..count).map(Variant::Int32).collect::<Vec<_>>();
        let line = Array::new(VariantScalarTypeId::Int32, numbers(3)).unwrap();
        assert_eq!(value_json(Variant::from(line)).unwrap(), "[0,1,2]");
        let cube = Array::new_multi(VariantScalarTypeId::Int32, numbers(12), vec![2, 3, 2]).unwrap();
        assert_eq!(value_json(Variant::from(cube)).unwrap(), "[[[0,1],[2,3],[4,5]],[[6,7],[8,9],[10,11]]]");
        let one_in =
            |dimensions| Array::new_multi(VariantScalarTypeId::Int32, numbers(1), vec![1; dimensions]).unwrap();
        assert_eq!(value_json(Variant::from(one_in(8))).unwrap(), "[[[[[[[[0]]]]]]]]");
        for too_many in [9, 1_000_000] {
            assert_eq!(value_json(Variant::from(one_in(too_many))).unwrap(), "[0]");
        }
        assert_eq!(value_json(ByteString::from(vec![1, 2, 255]).into()).unwrap(), "\"AQL/\"");
        assert_eq!(value_json(ByteString::from(vec![1; 1_000_000]).into()), None);
    }
}
