//! Identifiers. Each is a type of its own, so that one cannot stand where another is meant.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A watched node value. Given once for a name, for the life of a data folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SignalId(pub u32);

/// A place in the log: log sequence number. The first record has 1; 0 means "before everything".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for SignalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a signal's values are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// True or false, as 1 and 0.
    Boolean,
    /// Signed integers up to 64 bits.
    Signed,
    /// Unsigned integers up to 64 bits.
    Unsigned,
    /// Floating point numbers.
    #[default]
    Real,
    /// A number that stands for a name.
    Enumeration,
    /// Text; the value column holds NaN.
    Text,
    /// A time, as nanoseconds since the Unix epoch in the exact column.
    Time,
    /// Text in a language; the value column holds NaN, and the exact column its [`Locale`](crate::Locale), if it has one.
    LocalizedText,
}

impl Kind {
    /// Whether values are texts, and no numbers.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::LocalizedText)
    }
}

/// The name of a condition instance, for ever: `binding/condition` or `binding/condition/instance`, where the
/// instance is a signal's name (which may itself contain `/`) or a group's number. It is the string of the
/// condition's NodeId, so it never depends on an index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConditionKey(Arc<str>);

/// A text that is no condition key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a condition name; one reads `detector/condition/signal`")]
pub struct KeyError(pub String);

impl ConditionKey {
    /// The key of `condition` of `binding`, for `instance` (empty for a condition of the whole binding).
    #[must_use]
    pub fn new(binding: &str, condition: &str, instance: &str) -> Self {
        let text = if instance.is_empty() {
            format!("{binding}/{condition}")
        } else {
            format!("{binding}/{condition}/{instance}")
        };
        Self(text.into())
    }

    /// Reads back a key's text.
    ///
    /// # Errors
    /// When the text has no `/` between two names.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.split('/');
        let well_formed = parts.next().is_some_and(|b| !b.is_empty()) && parts.next().is_some_and(|c| !c.is_empty());
        if well_formed { Ok(Self(text.into())) } else { Err(KeyError(text.into())) }
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The detector's name.
    #[must_use]
    pub fn binding(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// The condition's id within its detector.
    #[must_use]
    pub fn condition(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }

    /// The signal's name or group's number; empty for a condition of the whole binding.
    #[must_use]
    pub fn instance(&self) -> &str {
        self.0.splitn(3, '/').nth(2).unwrap_or_default()
    }
}

impl Borrow<str> for ConditionKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConditionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_parts() {
        let key = ConditionKey::new("hot", "high", "plant/pump/bearing");
        assert_eq!(key.as_str(), "hot/high/plant/pump/bearing");
        assert_eq!((key.binding(), key.condition(), key.instance()), ("hot", "high", "plant/pump/bearing"));
        assert_eq!(ConditionKey::new("all", "odd", "").instance(), "");
        assert!(ConditionKey::parse("nothing").is_err());
        assert!(ConditionKey::parse("/x").is_err());
    }
}
