//! TOML values as JSON, for the tables that the plugins' own schemas judge.

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::DeValue;

/// Deeper tables would need much stack, here and in whoever reads the JSON.
const DEPTH_MAX: usize = 32;

/// The value as JSON, a date as its text. What JSON cannot hold is reported with its place, all of it.
pub(crate) fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut dyn FnMut(usize, String)) -> Option<Value> {
    convert(value, wrong, 0)
}

fn convert(value: &Spanned<DeValue<'_>>, wrong: &mut dyn FnMut(usize, String), depth: usize) -> Option<Value> {
    let at = value.span().start;
    if depth > DEPTH_MAX {
        wrong(at, format!("is nested more than {DEPTH_MAX} deep; flatten it"));
        return None;
    }
    match value.get_ref() {
        DeValue::String(text) => Some(Value::String(text.to_string())),
        DeValue::Boolean(flag) => Some(Value::Bool(*flag)),
        DeValue::Datetime(time) => Some(Value::String(time.to_string())),
        DeValue::Integer(digits) => {
            let signed = i64::from_str_radix(digits.as_str(), digits.radix()).ok().map(Number::from);
            let number = signed.or_else(|| u64::from_str_radix(digits.as_str(), digits.radix()).ok().map(Number::from));
            if number.is_none() {
                wrong(at, format!("`{digits}` does not fit into 64 bits"));
            }
            number.map(Value::Number)
        }
        DeValue::Float(digits) => {
            let number = digits.as_str().parse().ok().and_then(Number::from_f64);
            if number.is_none() {
                wrong(at, format!("`{digits}` is no finite number"));
            }
            number.map(Value::Number)
        }
        DeValue::Array(items) => {
            // All of them first, so that each wrong one is reported.
            let converted: Vec<Option<Value>> = items.iter().map(|item| convert(item, wrong, depth + 1)).collect();
            converted.into_iter().collect::<Option<Vec<Value>>>().map(Value::Array)
        }
        DeValue::Table(table) => {
            let converted: Vec<Option<(String, Value)>> = table
                .iter()
                .map(|(key, item)| Some((key.get_ref().to_string(), convert(item, wrong, depth + 1)?)))
                .collect();
            converted.into_iter().collect::<Option<Map<String, Value>>>().map(Value::Object)
        }
    }
}
