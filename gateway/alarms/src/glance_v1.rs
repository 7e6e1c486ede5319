//! What figures knew of conditions before they counted occurrences that were left behind: read, never written.

use serde::Deserialize;
use watchfire_model::{Instant, Severity};

use crate::Glance;

/// As it was written: of all that waits, only since when the last occurrence did.
#[derive(Debug, Deserialize)]
pub struct GlanceV1 {
    now: Instant,
    severity: Severity,
    activations: u64,
    re_alarms: u16,
    aside: bool,
    chattering: bool,
    active: Option<Instant>,
    waits: Option<Instant>,
    marks: Vec<(u64, bool, Instant)>,
}

impl From<GlanceV1> for Glance {
    fn from(old: GlanceV1) -> Self {
        let GlanceV1 { now, severity, activations, re_alarms, aside, chattering, active, waits, marks } = old;
        let waits = waits.map(|since| (activations, since)).into_iter().collect();
        Self { now, severity, activations, re_alarms, aside, chattering, active, waits, marks }
    }
}
