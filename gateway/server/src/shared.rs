//! What the parts of the server share: the space, who watches it, and the order in which it is told.

use std::sync::Arc;

use opcua::sync::{Mutex, RwLock};
use opcua::types::UAString;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use watchfire_model::Clock;
use watchfire_pipeline::{AlarmFigures, Commands, Latest, Recorded};
use watchfire_ua::Kinds;

use crate::audit::Audit;
use crate::followers::Followers;
use crate::nodes::Values;
use crate::refresh::InProgress;
use crate::space::Space;
use crate::tongues::Tongues;
use crate::users::Users;
use crate::watch::Watch;

/// Shared by the node managers, the methods and the publisher.
pub(crate) struct Shared {
    pub space: RwLock<Space>,
    pub watch: Watch,
    pub followers: Followers,
    pub tongues: Tongues,
    pub refreshing: Arc<InProgress>,
    pub latest: Arc<Latest>,
    pub kinds: Kinds,
    pub figures: Arc<AlarmFigures>,
    pub recorded: Arc<dyn Recorded>,
    pub commands: Commands,
    pub users: Arc<Users>,
    pub audit: Arc<Audit>,
    /// ServerProfileArray.
    pub profiles: Vec<UAString>,
    pub clock: Arc<dyn Clock>,
    /// Held while a state is taken over and told, and while a refresh reads and tells: or a refresh could bring an
    /// older state after a newer one. Never across an await.
    pub telling: Mutex<()>,
    /// Ends the small tasks of [`Shared::spawn`].
    pub stop: CancellationToken,
}

impl Shared {
    /// Does something beside the requests, until it is done or the server stops.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let stop = self.stop.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled(work).await;
        })
    }

    pub(crate) fn values(&self) -> Values<'_> {
        Values { latest: &self.latest, figures: &self.figures, kinds: &self.kinds, now: self.clock.now() }
    }
}
