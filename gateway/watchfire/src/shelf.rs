//! What the detectors of a running gateway may run: asked at every start of one, set anew as a whole when a person
//! changes it.

use std::sync::Arc;

use parking_lot::RwLock;
use watchfire_sandbox::{Shelf, ShelfError, Shelved};

use crate::provenance::Plugins;

/// The plugins as they are judged now; clones are the same.
#[derive(Clone, Debug)]
pub struct LivePlugins(Arc<RwLock<Arc<Plugins>>>);

impl LivePlugins {
    /// Begins with these.
    pub fn new(plugins: Plugins) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(plugins))))
    }

    /// Those of now.
    pub fn now(&self) -> Arc<Plugins> {
        self.0.read().clone()
    }

    /// Others from the next start of a detector on.
    pub fn set(&self, plugins: Plugins) {
        *self.0.write() = Arc::new(plugins);
    }
}

impl Shelf for LivePlugins {
    fn component(&self, detector: &str) -> Result<Shelved, ShelfError> {
        self.now().component(detector)
    }

    fn model(&self, detector: &str, sha256: &str) -> Result<(), ShelfError> {
        Shelf::model(&*self.now(), detector, sha256)
    }
}
