//! What sources have yet to get of their signals, as they told it last: kept beside what is sealed, so that a start knows
//! of each signal since when its values are missing though its source was up, and what its server may learn later.

use std::collections::BTreeMap;

use watchfire_model::{Awaited, AwaitedKey};

use crate::{History, PortError};

/// The note's name.
const NOTE: &str = "awaited";

/// By source; some 30 bytes each where it is kept. None has more than its signals, and what it may wait for of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AwaitedBySource(BTreeMap<String, BTreeMap<AwaitedKey, Awaited>>);

impl AwaitedBySource {
    /// The note. One that cannot be read is as none.
    pub(crate) fn kept(history: &dyn History) -> Result<Self, PortError> {
        let bytes = history.note(NOTE)?.unwrap_or_default();
        let all: Vec<(String, Vec<Awaited>)> = postcard::from_bytes(&bytes).unwrap_or_default();
        let by_key = |of: Vec<Awaited>| of.into_iter().map(|awaited| (awaited.key(), awaited)).collect();
        Ok(Self(all.into_iter().map(|(source, of)| (source, by_key(of))).collect()))
    }

    /// Sets the note.
    pub(crate) fn keep(&self, history: &dyn History) -> Result<(), PortError> {
        let all: Vec<(&str, Vec<Awaited>)> =
            self.0.iter().map(|(source, of)| (source.as_str(), of.values().copied().collect())).collect();
        history.set_note(NOTE, &postcard::to_allocvec(&all).unwrap_or_default())
    }

    /// Takes over what a source tells; to take it again changes nothing.
    pub(crate) fn take(&mut self, source: &str, awaited: &[Awaited], settled: &[AwaitedKey]) {
        if awaited.is_empty() && settled.is_empty() {
            return;
        }
        let of = self.0.entry(source.to_owned()).or_default();
        for key in settled {
            of.remove(key);
        }
        of.extend(awaited.iter().map(|awaited| (awaited.key(), *awaited)));
        if of.is_empty() {
            self.0.remove(source);
        }
    }

    /// Only what these sources await is kept from here on.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|source, _| is_there(source));
    }

    /// Of each source; of this one alone where one is named.
    pub(crate) fn of(&self, only: Option<&str>) -> impl Iterator<Item = (&str, Vec<Awaited>)> {
        let wanted = self.0.iter().filter(move |(source, _)| only.is_none_or(|only| only == source.as_str()));
        wanted.map(|(source, of)| (source.as_str(), of.values().copied().collect()))
    }
}
