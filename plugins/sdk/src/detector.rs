//! The trait that a detector implements.

use crate::{Batch, Blame, Condition, Description, Outcome, Refusal, Setup, Verdict};

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
