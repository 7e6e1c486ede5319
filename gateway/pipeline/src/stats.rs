//! What the gateway counts and shows of itself: numbers that only grow, and how its parts stand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use watchfire_model::{Instant, Phase, SourceState};

use crate::{Compared, Terms};

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

/// How a source stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceHealth {
    /// Whether it is read.
    pub state: SourceState,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Instant,
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
    /// Sources by name.
    pub sources: Mutex<BTreeMap<Arc<str>, SourceHealth>>,
    /// What sources' servers gave of what was asked of them when they were last connected to, by the sources' names.
    pub terms: Mutex<BTreeMap<Arc<str>, Terms>>,
    /// Detectors by name.
    pub detectors: Mutex<BTreeMap<String, DetectorHealth>>,
    /// How often each detector has failed.
    pub failures: Mutex<BTreeMap<String, u32>>,
    /// What versions that run beside a detector said otherwise, by their names.
    pub compared: Mutex<BTreeMap<String, Compared>>,
}

impl Stats {
    /// Sets how a detector stands.
    pub fn detector(&self, name: &str, health: DetectorHealth) {
        if matches!(health, DetectorHealth::Failed(_) | DetectorHealth::GaveUp(_)) {
            let mut failures = self.failures.lock();
            let count = failures.entry(name.to_owned()).or_default();
            *count = count.saturating_add(1);
        }
        self.detectors.lock().insert(name.to_owned(), health);
    }

    /// Sets how a source stands; that it still does changes nothing of since when.
    pub fn source(&self, name: &Arc<str>, state: SourceState, reason: &str, now: Instant) {
        let mut sources = self.sources.lock();
        let before = sources.get(name).filter(|before| before.state == state);
        let since = before.map_or(now, |before| before.since);
        sources.insert(name.clone(), SourceHealth { state, reason: reason.to_owned(), since });
    }
}
