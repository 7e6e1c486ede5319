//! What of a running gateway can be changed, and the way to have it done. Each change is made by whoever owns what it
//! concerns; everything else goes on meanwhile. Knows nothing of configurations.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use watchfire_model::SignalId;

use crate::{BindingPlan, Source};

/// Changes that may wait.
const WAITING_MAX: usize = 16;

/// A change of a running gateway.
pub enum Change {
    /// Runs a detector; in place of the one of that name, where there is one. Its alarms keep their state, and are
    /// brought to how the new one sees them once it has caught up; those of conditions that it does not have end.
    Detector(Arc<BindingPlan>),
    /// Ends a detector. Its alarms end and say why.
    EndDetector(String),
    /// Reads a server; in place of the source of that name, where there is one.
    Source(Box<dyn Source>, Vec<SignalId>),
    /// Reads a server no more.
    EndSource(String),
}

/// A change on its way.
pub(crate) struct Asked {
    pub change: Change,
    pub done: oneshot::Sender<()>,
}

/// The way to change a running gateway.
#[derive(Clone)]
pub struct Changes {
    detectors: mpsc::Sender<Asked>,
    sources: mpsc::Sender<Asked>,
}

/// The gateway's end.
pub struct ChangeRequests {
    pub(crate) detectors: mpsc::Receiver<Asked>,
    pub(crate) sources: mpsc::Receiver<Asked>,
}

/// The gateway is stopping: nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gateway is stopping")]
pub struct Stopping;

/// A new way.
#[must_use]
pub fn changes() -> (Changes, ChangeRequests) {
    let (to_detectors, detectors) = mpsc::channel(WAITING_MAX);
    let (to_sources, sources) = mpsc::channel(WAITING_MAX);
    (Changes { detectors: to_detectors, sources: to_sources }, ChangeRequests { detectors, sources })
}

impl Changes {
    /// Makes a change; answers when what was there has ended and what is new was started. That may take as long as a
    /// detector needs to save its state, or a source to say goodbye.
    ///
    /// # Errors
    /// [`Stopping`].
    pub async fn make(&self, change: Change) -> Result<(), Stopping> {
        let way = match &change {
            Change::Detector(_) | Change::EndDetector(_) => &self.detectors,
            Change::Source(..) | Change::EndSource(_) => &self.sources,
        };
        let (done, made) = oneshot::channel();
        way.send(Asked { change, done }).await.map_err(|_| Stopping)?;
        made.await.map_err(|_| Stopping)
    }
}
