//! Maintenance that is planned in the configuration: what is worked on, when, for how long, and why.

use std::fmt;
use std::time::Duration;

use crate::Instant;

/// What is worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Maintained {
    /// An area and those below it.
    Area(String),
    /// Everything about a source.
    Source(String),
    /// Everything about a signal, by its full name.
    Signal(String),
    /// A condition, all of a detector's (`hot`), or all instances of one (`hot/limit`).
    Condition(String),
}

/// A time out of service that the configuration states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedMaintenance {
    /// What is worked on.
    pub of: Maintained,
    /// When it begins.
    pub from: Instant,
    /// How long it lasts.
    pub lasts: Duration,
    /// Why; may be empty.
    pub comment: String,
}

impl Maintained {
    /// From the form in which it is written, `area:…`, `source:…`, `signal:…` or `condition:…`; `None` for another.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':')?;
        let name = name.trim().trim_matches('/').to_owned();
        let known = match kind {
            "area" => Self::Area(name),
            "source" => Self::Source(name),
            "signal" => Self::Signal(name),
            "condition" => Self::Condition(name),
            _ => return None,
        };
        (!known.name().is_empty()).then_some(known)
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Area(name) | Self::Source(name) | Self::Signal(name) | Self::Condition(name) => name,
        }
    }

    /// Whether a path is this name or below it.
    #[must_use]
    pub fn holds(&self, path: &str) -> bool {
        path.strip_prefix(self.name()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for Maintained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Area(_) => "area",
            Self::Source(_) => "source",
            Self::Signal(_) => "signal",
            Self::Condition(_) => "condition",
        };
        write!(f, "{kind}:{}", self.name())
    }
}
