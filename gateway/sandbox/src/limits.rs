//! The limits that a detector's configuration sets, so that HMIs show them before the first alarm: the plugin's schema says
//! with `x-limit` which of its numbers are limits. What a limit does is the plugin's own affair.

use std::collections::BTreeMap;

use serde_json::Value;
use watchfire_model::Limits;

/// The keyword of a property in a schema: `CONDITION/LEVEL`.
const KEYWORD: &str = "x-limit";

/// The limits that a configuration sets, by condition, as far as its schema says which they are. Empty where either is no
/// JSON: others say so.
pub(crate) fn told(schema: &str, config: &str) -> BTreeMap<String, Limits> {
    let mut all: BTreeMap<String, Limits> = BTreeMap::new();
    let (Ok(schema), Ok(given)) = (serde_json::from_str::<Value>(schema), serde_json::from_str::<Value>(config)) else {
        return all;
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    for (key, rules) in properties.into_iter().flatten() {
        let number = given.get(key).or_else(|| rules.get("default")).and_then(Value::as_f64);
        let place = rules.get(KEYWORD).and_then(Value::as_str).and_then(|place| place.split_once('/'));
        if let (Some(number), Some((condition, level))) = (number.filter(|number| number.is_finite()), place) {
            set(all.entry(condition.to_owned()).or_default(), level, number);
        }
    }
    all.retain(|_, limits| limits.any());
    all
}

fn set(limits: &mut Limits, level: &str, number: f64) {
    match level {
        "high-high" => limits.high_high = Some(number),
        "high" => limits.high = Some(number),
        "low" => limits.low = Some(number),
        "low-low" => limits.low_low = Some(number),
        // A rate or a distance that counts either way.
        "either" => (limits.high, limits.low) = (Some(number.abs()), Some(-number.abs())),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type": "object", "properties": {
        "high": {"type": "number", "x-limit": "level/high"},
        "low": {"type": "number", "x-limit": "level/low", "default": -1.5},
        "fastest": {"type": "number", "x-limit": "rate/either"},
        "band": {"type": "number"},
        "odd": {"type": "number", "x-limit": "level/sideways"},
        "whole": {"x-limit": "level"}
    }}"#;

    fn limits(high: Option<f64>, low: Option<f64>) -> Limits {
        Limits { high, low, ..Limits::default() }
    }

    #[test]
    fn what_a_schema_marks_as_a_limit_is_known_before_it_is_passed() {
        let both = told(SCHEMA, r#"{"high": 80, "fastest": 2.5, "band": 3, "odd": 4, "whole": 5}"#);
        let expected = [("level", limits(Some(80.0), Some(-1.5))), ("rate", limits(Some(2.5), Some(-2.5)))];
        assert_eq!(both, expected.map(|(name, limits)| (name.to_owned(), limits)).into());
        let defaults = told(SCHEMA, "{}");
        assert_eq!(defaults, [("level".to_owned(), limits(None, Some(-1.5)))].into());
    }

    #[test]
    fn whatever_is_no_limit_is_none() {
        for (schema, config) in [("", "{}"), (SCHEMA, ""), ("[]", "[]"), (r#"{"properties": 3}"#, r#"{"high": 1}"#)] {
            assert!(told(schema, config).is_empty(), "{schema} {config}");
        }
        assert!(told(&SCHEMA.replace("-1.5", "null"), r#"{"high": "much"}"#).is_empty());
    }
}
