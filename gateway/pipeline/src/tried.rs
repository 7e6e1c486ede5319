//! What was tried by those who may not, counted by area and console: putting alarms aside, and changing what is set of them (ISA-18.2
//! §16: none is good). Nothing of it succeeds, so the log has nothing of it. Who tried is not known here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What was tried in one area and below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// To suppress, shelve, take out of service or disable an alarm, or to end that.
    pub suppressions: u32,
    /// To write what is set of an alarm.
    pub changes: u32,
}

impl Tried {
    /// One to put an alarm aside.
    pub const SUPPRESSION: Self = Self { suppressions: 1, changes: 0 };
    /// One to change it.
    pub const CHANGE: Self = Self { suppressions: 0, changes: 1 };

    fn add(&mut self, more: Self) {
        self.suppressions = self.suppressions.saturating_add(more.suppressions);
        self.changes = self.changes.saturating_add(more.changes);
    }
}

/// What was tried, by the area's path or the console's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TriedByArea(BTreeMap<String, Tried>);

impl TriedByArea {
    pub(crate) fn count(&mut self, area: &str, tried: Tried) {
        match self.0.get_mut(area) {
            Some(all) => all.add(tried),
            None => drop(self.0.insert(area.to_owned(), tried)),
        }
    }

    pub(crate) fn of(&self, area: &str) -> Tried {
        self.0.get(area).copied().unwrap_or_default()
    }

    pub(crate) fn forget(&mut self, area: &str) {
        self.0.remove(area);
    }

    /// What another has counted is counted here as well.
    pub(crate) fn merge(&mut self, other: Self) {
        other.0.into_iter().for_each(|(area, tried)| self.count(&area, tried));
    }

    /// Forgets all but those that are to be kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|key, _| keep(key));
    }

    /// As bytes; none where there is nothing.
    pub(crate) fn encode(&self) -> Vec<u8> {
        if self.0.is_empty() {
            return Vec::new();
        }
        // Every type in it can be written, so the only way to fail would be a full target, and a Vec grows.
        postcard::to_allocvec(&self.0).unwrap_or_default()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, postcard::Error> {
        if bytes.is_empty() { Ok(Self::default()) } else { postcard::from_bytes(bytes).map(Self) }
    }
}
