//! What the gateway counts and shows of itself: numbers that only grow, and how its parts stand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use watchfire_model::{Phase, SourceState};

use crate::Compared;

/// How a detector stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetectorHealth {
    /// Being loaded and initialised.
    Starting,
    /// Running; the phase it reports and how far it is.
    Running {
        /// Learning, ready, or in need of relearning.
        phase: Phase,
        /// Samples it has.
        have: u64,
        /// Samples it needs.
        need: u64,
    },
    /// Failed, and will be started again.
    Failed(String),
    /// Failed too often, or cannot be started with its configuration: a person is needed.
    GaveUp(String),
}

/// Counts since the start, and how the parts stand now.
#[derive(Debug, Default)]
pub struct Stats {
    /// Values received.
    pub values: AtomicU64,
    /// Frames cut.
    pub frames: AtomicU64,
    /// Gaps recorded.
    pub gaps: AtomicU64,
    /// Values fetched afterwards from the sources' own history.
    pub late: AtomicU64,
    /// Samples that detectors judged, summed over detectors.
    pub judged: AtomicU64,
    /// How often a detector found that what it would have read next is no longer kept.
    pub skipped: AtomicU64,
    /// Alarm transitions published.
    pub transitions: AtomicU64,
    /// Sources: state and reason.
    pub sources: Mutex<BTreeMap<Arc<str>, (SourceState, String)>>,
    /// Detectors by name.
    pub detectors: Mutex<BTreeMap<String, DetectorHealth>>,
    /// What versions that run beside a detector said otherwise, by their names.
    pub compared: Mutex<BTreeMap<String, Compared>>,
}

impl Stats {
    /// Sets how a detector stands.
    pub fn detector(&self, name: &str, health: DetectorHealth) {
        self.detectors.lock().insert(name.to_owned(), health);
    }
}
