//! Figures as they were kept before occurrences that were left behind were counted: read, never written.

use std::collections::BTreeMap;

use serde::Deserialize;
use watchfire_alarms::{Glance, GlanceV1, Metrics, TrackRecord};
use watchfire_model::ConditionKey;

/// As they were kept, in the order of their fields.
#[derive(Deserialize)]
pub(crate) struct CountsV1 {
    pub areas: BTreeMap<String, Metrics>,
    pub detectors: BTreeMap<String, TrackRecord>,
    last: BTreeMap<ConditionKey, GlanceV1>,
    untold: BTreeMap<ConditionKey, Vec<GlanceV1>>,
}

impl CountsV1 {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, postcard::Error> {
        postcard::from_bytes(bytes)
    }

    /// How each condition stood, and what was recorded of those that were not defined yet.
    pub(crate) fn glances(self) -> (BTreeMap<ConditionKey, Glance>, BTreeMap<ConditionKey, Vec<Glance>>) {
        let last = self.last.into_iter().map(|(key, glance)| (key, glance.into()));
        let all = |all: Vec<GlanceV1>| all.into_iter().map(Glance::from).collect();
        (last.collect(), self.untold.into_iter().map(|(key, untold)| (key, all(untold))).collect())
    }
}
