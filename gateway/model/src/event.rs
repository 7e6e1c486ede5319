//! An event of a server as a detector hears of it. Knows not how it is written where it is kept.

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its time, nanoseconds since the Unix epoch.
    pub time: i64,
    /// The index of its stream among the binding's signals.
    pub source: u32,
    /// Its type, a node id with its namespace's URI.
    pub event_type: String,
    /// From 1 to 1000; 0 where it does not say.
    pub severity: u16,
    /// Who caused it.
    pub user: Option<String>,
    /// Its sentence.
    pub message: String,
    /// What else it says: names and texts, sorted by names.
    pub fields: Vec<(String, String)>,
}
