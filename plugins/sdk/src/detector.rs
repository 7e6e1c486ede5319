//! The trait that a detector implements, and what it can be beside.

use crate::{Batch, Blame, Condition, Description, Event, Outcome, Refusal, Setup, Verdict};

/// A detector. The same calls in the same order must give the same answers, bit for bit.
pub trait Detector: Sized {
    /// What it is. Pure; asked once for a component.
    fn describe() -> Description;

    /// Starts it: the detector, and the conditions of this configuration in the order that answers index.
    ///
    /// # Errors
    /// A refusal that names the key of the configuration or the signal, and the way out.
    fn init(setup: Setup) -> Result<(Self, Vec<Condition>), Refusal>;

    /// Judges a batch. One without rows is a tick or a gap. Levels on change; every level that is not normal again in
    /// the first call after [`Detector::load`].
    ///
    /// # Errors
    /// Ends this instance.
    fn process(&mut self, batch: &Batch) -> Result<Outcome, Refusal>;

    /// The reasons for a score of the last batch. Changes nothing.
    fn explain(&self, _condition: u16, _instance: u32) -> Option<Verdict> {
        None
    }

    /// Its state, see [`crate::snapshot`]. Empty for one that keeps none.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over a state that was saved with the same signals and configuration, perhaps by an earlier version.
    ///
    /// # Errors
    /// When it cannot be used; the gateway then starts afresh.
    fn load(&mut self, state_version: u32, bytes: &[u8]) -> Result<(), Refusal> {
        if bytes.is_empty() {
            return Ok(());
        }
        let message =
            format!("this detector keeps no state, and was handed {} bytes of version {state_version}", bytes.len());
        Err(Refusal { blame: Blame::State, key: None, message })
    }
}

/// A detector that learns from more than what it judges: `export!(Hot: Learner)`. Only then is any of this called, and
/// only then can a person see what it has learned (`watchfire plugin model`) or have it forgotten (`watchfire plugin
/// forget`).
pub trait Learner: Detector {
    /// Learns from rows that came late, or from history before it judges anything. Nothing of it is judged. Batches come
    /// in the order of the log; the times of their rows need not.
    ///
    /// # Errors
    /// Ends this instance.
    fn learn(&mut self, _batch: &Batch) -> Result<(), Refusal> {
        Ok(())
    }

    /// Says that nothing may be learned from now on, neither here nor in [`Detector::process`], or that it may again: it
    /// is so while one of its own conditions is active, or whoever causes one could teach it that it is normal. Told
    /// anew after [`Detector::load`]; no part of the state.
    fn freeze(&mut self, _on: bool) {}

    /// Forgets what it has learned of a signal, by its index, or all.
    fn forget(&mut self, _signal: Option<u32>) {}

    /// What it has learned, for people to review: best a text. Changes nothing.
    fn model(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// A detector that hears of servers' events as records and not as texts: `export!(Hot: Observer)`.
pub trait Observer: Detector {
    /// Judges the events of one frame, in the order in which they came, after its batch was judged. What is answered
    /// counts as what [`Detector::process`] answers.
    ///
    /// # Errors
    /// Ends this instance.
    fn observe(&mut self, _frame: u64, _now: i64, _events: &[Event]) -> Result<Outcome, Refusal> {
        Ok(Outcome::default())
    }
}
