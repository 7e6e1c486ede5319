//! Changes what a running server shows: signals that come or are described otherwise, and whose code detectors run.
//! Clients stay connected. Nothing is taken away before the server's end: what somebody watches keeps its node.

use std::sync::Arc;

use opcua::server::SubscriptionCache;

use crate::detector_parts::{DetectorNode, DetectorPart};
use crate::names::{DETECTOR, below};
use crate::shared::Shared;
use crate::space::SignalNode;
use crate::teller::tell_values;

/// The way to what a running server shows.
#[derive(Clone)]
pub struct Editor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) subscriptions: Arc<SubscriptionCache>,
}

impl std::fmt::Debug for Editor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Editor").finish_non_exhaustive()
    }
}

impl Editor {
    /// Shows these signals; those that are known are shown as they are described now. Conditions about them stay where
    /// they are in the tree.
    pub fn signals(&self, signals: Vec<SignalNode>) {
        let _in_order = self.shared.telling.lock();
        self.shared.space.write().put_signals(signals);
    }

    /// Shows these detectors, in place of all that were shown, and tells whoever watches what they run.
    pub fn detectors(&self, detectors: Vec<DetectorNode>) {
        let _in_order = self.shared.telling.lock();
        let names: Vec<Arc<str>> = detectors.iter().map(|detector| detector.name.clone()).collect();
        self.shared.space.write().put_detectors(detectors);
        let part = |name: &Arc<str>, part: DetectorPart| below(&format!("{DETECTOR}{name}"), part.name());
        let ids: Vec<_> = names.iter().flat_map(|name| DetectorPart::ALL.map(|of| part(name, of))).collect();
        tell_values(&self.shared, &self.subscriptions, &ids);
    }
}
