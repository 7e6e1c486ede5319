//! What the detector wants of a model; who runs it is not known here.

use watchfire_detector::{Blame, Refusal};

use crate::settings::Settings;

/// A model that can be run.
pub trait Network: Sized {
    /// Reads a model for windows of so many signals.
    ///
    /// # Errors
    /// Why it cannot be used, and the way out.
    fn open(model: &[u8], settings: &Settings, signals: usize) -> Result<Self, Refusal>;

    /// Runs it over one window, whose values stand in the order of the configured layout.
    ///
    /// # Errors
    /// When it fails on this window.
    fn run(&mut self, window: &[f32]) -> Result<Vec<f32>, Refusal>;
}

/// A refusal that blames the model.
pub fn no_model(message: impl Into<String>) -> Refusal {
    Refusal { blame: Blame::Model, key: None, message: message.into() }
}
