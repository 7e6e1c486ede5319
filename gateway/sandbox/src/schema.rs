//! A detector's configuration against the JSON Schema that its plugin tells: whatever does not fit is named by its key,
//! with what is allowed, before the plugin is asked.
//!
//! A subset of the standard of our own, since a schema comes from a stranger and is read in the gateway's own process:
//! no references and no patterns, so that its work is bounded by its size. What it does not know it lets pass; the
//! plugin judges its configuration itself in any case.

use serde_json::{Map, Value};

/// Deeper schemas are not followed.
const DEPTH_MAX: usize = 32;
/// Misfits that are told.
const TOLD_MAX: usize = 10;
/// Keys or values that a sentence lists.
const LISTED_MAX: usize = 20;
/// Of one value.
const SHOWN_CHARS_MAX: usize = 60;

/// What does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The keys that lead to it, from the configuration's table on; places in lists by their number.
    pub path: Vec<String>,
    /// What is allowed there.
    pub message: String,
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.join(".");
        if path.is_empty() { f.write_str(&self.message) } else { write!(f, "`{path}`: {}", self.message) }
    }
}

/// What of a configuration does not fit a schema, both as JSON. Empty where either is none: others say so.
#[must_use]
pub fn misfits(schema: &str, config: &str) -> Vec<Misfit> {
    let (Ok(schema), Ok(config)) = (serde_json::from_str(schema), serde_json::from_str(config)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    judge(&schema, &config, &mut Vec::new(), &mut found);
    found
}

fn judge(schema: &Value, given: &Value, path: &mut Vec<String>, found: &mut Vec<Misfit>) {
    if path.len() > DEPTH_MAX || found.len() >= TOLD_MAX {
        return;
    }
    let Value::Object(rules) = schema else {
        if schema == &Value::Bool(false) {
            tell(found, path, "nothing is allowed here; take it away".to_owned());
        }
        return;
    };
    if !has_type(rules, given) {
        let allowed = rules.get("type").map(types).unwrap_or_default();
        return tell(found, path, format!("must be {allowed}, not {}", shown(given)));
    }
    if let Some(allowed) = rules.get("const")
        && !same(allowed, given)
    {
        tell(found, path, format!("must be {}, not {}", shown(allowed), shown(given)));
    }
    if let Some(Value::Array(allowed)) = rules.get("enum")
        && !allowed.iter().any(|one| same(one, given))
    {
        let listed = listed(allowed.iter().map(shown), " or ");
        tell(found, path, format!("must be {listed}, not {}", shown(given)));
    }
    match given {
        Value::Number(_) => number(rules, given, path, found),
        Value::String(text) => {
            length(rules, ["minLength", "maxLength"], text.chars().count(), "characters", path, found)
        }
        Value::Array(items) => {
            length(rules, ["minItems", "maxItems"], items.len(), "items", path, found);
            if let Some(rule) = rules.get("items") {
                items.iter().enumerate().for_each(|(at, item)| below(rule, item, at.to_string(), path, found));
            }
        }
        Value::Object(table) => keys(rules, table, path, found),
        Value::Null | Value::Bool(_) => {}
    }
    combined(rules, given, path, found);
}

fn number(rules: &Map<String, Value>, given: &Value, path: &[String], found: &mut Vec<Misfit>) {
    let Some(number) = given.as_f64() else { return };
    for (rule, words, fits) in [
        ("minimum", "at least", (|given, bound| given >= bound) as fn(f64, f64) -> bool),
        ("maximum", "at most", |given, bound| given <= bound),
        ("exclusiveMinimum", "above", |given, bound| given > bound),
        ("exclusiveMaximum", "below", |given, bound| given < bound),
    ] {
        if let Some(bound) = rules.get(rule).and_then(Value::as_f64)
            && !fits(number, bound)
        {
            tell(found, path, format!("must be {words} {bound}, not {}", shown(given)));
        }
    }
}

fn length(
    rules: &Map<String, Value>,
    [least, most]: [&str; 2],
    given: usize,
    of: &str,
    path: &[String],
    found: &mut Vec<Misfit>,
) {
    let bound = |rule: &str| rules.get(rule).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok());
    if let Some(least) = bound(least).filter(|least| given < *least) {
        tell(found, path, format!("must have at least {least} {of}, not {given}"));
    }
    if let Some(most) = bound(most).filter(|most| given > *most) {
        tell(found, path, format!("must have at most {most} {of}, not {given}"));
    }
}

fn keys(rules: &Map<String, Value>, table: &Map<String, Value>, path: &mut Vec<String>, found: &mut Vec<Misfit>) {
    let none = Map::new();
    let known = rules.get("properties").and_then(Value::as_object).unwrap_or(&none);
    for (key, item) in table {
        match (known.get(key), rules.get("additionalProperties")) {
            (Some(rule), _) => below(rule, item, key.clone(), path, found),
            (None, Some(Value::Bool(false))) => {
                let listed = listed(known.keys().map(|key| format!("`{}`", plain(key))), ", ");
                let message = if known.is_empty() {
                    "unknown key; there is none to set".to_owned()
                } else {
                    format!("unknown key; known here: {listed}")
                };
                path.push(plain(key));
                tell(found, path, message);
                path.pop();
            }
            (None, Some(rule)) => below(rule, item, key.clone(), path, found),
            (None, None) => {}
        }
    }
    for key in required(rules).filter(|key| !table.contains_key(*key)) {
        let about = known.get(key).and_then(|rule| rule.get("description")).and_then(Value::as_str);
        let about = about.map(|about| format!(": {}", plain(about))).unwrap_or_default();
        path.push(plain(key));
        tell(found, path, format!("it is missing{about}"));
        path.pop();
    }
}

fn combined(rules: &Map<String, Value>, given: &Value, path: &mut Vec<String>, found: &mut Vec<Misfit>) {
    let list = |rule: &str| rules.get(rule).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list("allOf").iter().for_each(|rule| judge(rule, given, path, found));
    for name in ["anyOf", "oneOf"] {
        let forms = list(name);
        let tried: Vec<Vec<Misfit>> = (forms.iter())
            .map(|form| {
                let mut misfits = Vec::new();
                judge(form, given, path, &mut misfits);
                misfits
            })
            .collect();
        let fitting = tried.iter().filter(|misfits| misfits.is_empty()).count();
        if fitting > 1 && name == "oneOf" {
            tell(found, path, format!("fits {fitting} forms of which it may fit one"));
        }
        if fitting > 0 || forms.is_empty() {
            continue;
        }
        let needed: Option<Vec<String>> = forms.iter().map(needs).collect();
        match needed {
            Some(needed) => {
                tell(found, path, format!("give at least one of {}", listed(needed.into_iter(), ", ")));
            }
            // The form that is nearest.
            None => found.extend(tried.into_iter().min_by_key(Vec::len).unwrap_or_default()),
        }
    }
}

/// The keys that a form asks for, where it asks for nothing else.
fn needs(form: &Value) -> Option<String> {
    let rules = form.as_object().filter(|rules| rules.len() == 1)?;
    let keys: Vec<String> = required(rules).map(|key| format!("`{}`", plain(key))).collect();
    (!keys.is_empty()).then(|| keys.join(" with "))
}

fn required(rules: &Map<String, Value>) -> impl Iterator<Item = &str> {
    rules.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn below(rule: &Value, item: &Value, key: String, path: &mut Vec<String>, found: &mut Vec<Misfit>) {
    path.push(plain(&key));
    judge(rule, item, path, found);
    path.pop();
}

fn has_type(rules: &Map<String, Value>, given: &Value) -> bool {
    match rules.get("type") {
        Some(Value::String(name)) => is_a(name, given),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(|name| is_a(name, given)),
        _ => true,
    }
}

/// A kind that nobody knows is let pass.
fn is_a(name: &str, given: &Value) -> bool {
    match name {
        "object" => given.is_object(),
        "array" => given.is_array(),
        "string" => given.is_string(),
        "boolean" => given.is_boolean(),
        "null" => given.is_null(),
        "number" => given.is_number(),
        "integer" => given.is_i64() || given.is_u64() || given.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => true,
    }
}

fn types(rule: &Value) -> String {
    let one = |name: &str| match name {
        "object" => "a table".to_owned(),
        "array" => "a list".to_owned(),
        "string" => "a text".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        "number" => "a number".to_owned(),
        "integer" => "a whole number".to_owned(),
        other => plain(other),
    };
    match rule {
        Value::String(name) => one(name),
        Value::Array(names) => listed(names.iter().filter_map(Value::as_str).map(one), " or "),
        _ => String::new(),
    }
}

/// As JSON Schema has it: 1 and 1.0 are the same.
fn same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| one == other)
}

fn listed(all: impl Iterator<Item = String>, between: &str) -> String {
    let all: Vec<String> = all.collect();
    let rest = all.len().saturating_sub(LISTED_MAX);
    let shown = all.into_iter().take(LISTED_MAX).collect::<Vec<_>>().join(between);
    if rest == 0 { shown } else { format!("{shown}{between}{rest} more") }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    let short: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    plain(&if short.len() < text.len() { short + " …" } else { short })
}

/// A stranger's text without what a terminal obeys.
fn plain(text: &str) -> String {
    crate::log::one_line(text)
}

fn tell(found: &mut Vec<Misfit>, path: &[String], message: String) {
    if found.len() < TOLD_MAX {
        found.push(Misfit { path: path.to_vec(), message });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{
      "type": "object", "additionalProperties": false, "required": ["above"],
      "anyOf": [{"required": ["high"]}, {"required": ["low", "span"]}],
      "properties": {
        "above": {"type": "number", "minimum": 0, "exclusiveMaximum": 10, "description": "what counts"},
        "high": {"type": ["integer", "null"]}, "low": true, "span": false,
        "kind": {"enum": ["a", 2, null]}, "one": {"const": 1},
        "name": {"type": "string", "minLength": 2, "maxLength": 3},
        "list": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "boolean"}},
        "deep": {"type": "object", "additionalProperties": {"type": "number"}},
        "form": {"oneOf": [{"type": "number"}, {"type": "integer"}, {"type": "object", "required": ["x"]}]},
        "both": {"allOf": [{"minimum": 1}, {"maximum": 2}]}
      }
    }"#;

    fn told(config: &str) -> Vec<String> {
        misfits(SCHEMA, config).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_fits_is_let_pass() {
        for config in [
            r#"{"above": 0, "high": 1}"#,
            r#"{"above": 9.5, "high": null, "kind": "a", "one": 1.0, "name": "äöü"}"#,
            r#"{"above": 1, "high": 2.0, "kind": 2, "list": [true], "deep": {"x": 1}, "form": {"x": 1}, "both": 2}"#,
            r#"{"above": 1, "high": 2, "form": 1.5, "low": [{}]}"#,
        ] {
            assert_eq!(told(config), Vec::<String>::new(), "{config}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named_by_its_key_with_what_is_allowed() {
        for (config, expected) in [
            ("[]", &["must be a table, not []"][..]),
            (r#"{"high": 1}"#, &["`above`: it is missing: what counts"]),
            (r#"{"above": 1}"#, &["give at least one of `high`, `low` with `span`"]),
            (r#"{"above": -1, "high": 1}"#, &["`above`: must be at least 0, not -1"]),
            (r#"{"above": 10, "high": 1}"#, &["`above`: must be below 10, not 10"]),
            (
                r#"{"above": "x", "high": 1.5}"#,
                &["`above`: must be a number, not \"x\"", "`high`: must be a whole number or null, not 1.5"],
            ),
            (r#"{"above": 1, "high": 1, "span": 1}"#, &["`span`: nothing is allowed here; take it away"]),
            (r#"{"above": 1, "high": 1, "kind": "b"}"#, &["`kind`: must be \"a\" or 2 or null, not \"b\""]),
            (r#"{"above": 1, "high": 1, "one": 2}"#, &["`one`: must be 1, not 2"]),
            (r#"{"above": 1, "high": 1, "name": "x"}"#, &["`name`: must have at least 2 characters, not 1"]),
            (r#"{"above": 1, "high": 1, "name": "long"}"#, &["`name`: must have at most 3 characters, not 4"]),
            (
                r#"{"above": 1, "high": 1, "list": [true, 3, 4]}"#,
                &[
                    "`list`: must have at most 2 items, not 3",
                    "`list.1`: must be `true` or `false`, not 3",
                    "`list.2`: must be `true` or `false`, not 4",
                ],
            ),
            (r#"{"above": 1, "high": 1, "deep": {"x": "y"}}"#, &["`deep.x`: must be a number, not \"y\""]),
            (r#"{"above": 1, "high": 1, "form": 1}"#, &["`form`: fits 2 forms of which it may fit one"]),
            (r#"{"above": 1, "high": 1, "form": {}}"#, &["`form`: must be a number, not {}"]),
            (r#"{"above": 1, "high": 1, "both": 3}"#, &["`both`: must be at most 2, not 3"]),
            (
                r#"{"above": 1, "high": 1, "hihg": 1}"#,
                &[
                    "`hihg`: unknown key; known here: `above`, `both`, `deep`, `form`, `high`, `kind`, `list`, `low`, `name`, `one`, `span`",
                ],
            ),
        ] {
            assert_eq!(told(config), expected, "{config}");
        }
    }

    #[test]
    fn a_hostile_schema_is_read_in_bounds() {
        let deep = format!("{}1{}", r#"{"items":"#.repeat(120), "}".repeat(120));
        let nested = format!("{}1{}", "[".repeat(120), "]".repeat(120));
        assert_eq!(misfits(&deep, &nested), []);
        let flood = format!(r#"{{"items": {{"type": "null", "title": "{}"}}}}"#, "x".repeat(1000));
        let found = misfits(&flood, &format!("[{}1]", "1,".repeat(5000)));
        assert_eq!(found.len(), TOLD_MAX);
        let forged = misfits(r#"{"type": "a\u001b[31m\nb"}"#, "1");
        assert_eq!(forged, [], "a kind that nobody knows");
        let forged = misfits(r#"{"enum": ["\u001b[31m\n"]}"#, "1");
        assert!(forged.iter().all(|misfit| !misfit.message.contains(['\u{1b}', '\n'])), "{forged:?}");
        for none in ["", "7", "null", "[", "\"x\"", "{\"type\": 7, \"enum\": 7, \"required\": 7, \"anyOf\": 7}"] {
            assert_eq!(misfits(none, "{}"), [], "{none}");
        }
    }
}
