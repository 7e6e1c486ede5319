//! Reading a detector's configuration so that a mistake is named by its key.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Blame, Refusal};

/// A refusal that blames a key of the configuration.
#[must_use]
pub fn refuse(key: &str, message: String) -> Refusal {
    Refusal { blame: Blame::Config, key: Some(key.to_owned()), message }
}

/// Reads a configuration; empty text counts as `{}`. Derive `Deserialize` with `deny_unknown_fields` and defaults.
///
/// # Errors
/// A refusal that names the key which does not fit.
pub fn config<T: DeserializeOwned>(json: &str) -> Result<T, Refusal> {
    let whole = |error: serde_json::Error| Refusal { blame: Blame::Config, key: None, message: error.to_string() };
    let json = if json.trim().is_empty() { "{}" } else { json };
    let table: Map<String, Value> = serde_json::from_str(json).map_err(whole)?;
    match T::deserialize(Value::Object(table.clone())) {
        Ok(read) => Ok(read),
        Err(error) => Err(culprit::<T>(table).or_else(|| missing(&error)).unwrap_or_else(|| whole(error))),
    }
}

/// The key that is not there.
fn missing(error: &serde_json::Error) -> Option<Refusal> {
    let said = error.to_string();
    let key = said.strip_prefix("missing field `")?.split('`').next()?;
    Some(refuse(key, "it is missing".to_owned()))
}

/// The first key that does not fit even when it stands alone.
fn culprit<T: DeserializeOwned>(table: Map<String, Value>) -> Option<Refusal> {
    table.into_iter().find_map(|(key, value)| {
        let alone = Value::Object(Map::from_iter([(key.clone(), value)]));
        let message = T::deserialize(alone).err()?.to_string();
        (!message.starts_with("missing field")).then(|| refuse(&key, message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Settings {
        high: Option<f64>,
        samples: u32,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Needed {
        #[expect(dead_code, reason = "only whether it is there matters")]
        above: f64,
    }

    #[test]
    fn what_is_missing_is_named_by_its_key() {
        let refusal = config::<Needed>("{}").unwrap_err();
        assert_eq!((refusal.key.as_deref(), refusal.message.as_str()), (Some("above"), "it is missing"));
    }

    #[test]
    fn a_mistake_is_named_by_its_key() {
        assert_eq!(config::<Settings>(""), Ok(Settings::default()));
        assert_eq!(config::<Settings>(r#"{"high":3}"#).map(|s| s.high), Ok(Some(3.0)));
        for (json, key, part) in [
            (r#"{"samples":3,"high":"hot"}"#, Some("high"), "expected f64"),
            (r#"{"hihg":3}"#, Some("hihg"), "expected `high` or `samples`"),
            ("[]", None, "expected a map"),
            ("{", None, "EOF"),
        ] {
            let refusal = config::<Settings>(json).unwrap_err();
            assert_eq!(refusal.key.as_deref(), key, "{json}");
            assert!(refusal.message.contains(part), "{json}: {}", refusal.message);
        }
    }
}
