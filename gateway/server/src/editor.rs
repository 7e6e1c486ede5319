//! Changes what a running server shows, and tells what it does: signals that come or are described otherwise, whose code
//! detectors run, and who may log in. Clients stay connected, but for those of users who may no longer. Nothing is taken away before the server's end: what somebody watches keeps its node.

use std::collections::BTreeMap;
use std::sync::Arc;

use opcua::server::{ServerHandle, SubscriptionCache};
use watchfire_config::ServerConfig;
use watchfire_model::SignalId;

use crate::condition_values::waiting;
use crate::detector_parts::{DetectorNode, DetectorPart};
use crate::error::ServerError;
use crate::names::{DETECTOR, below};
use crate::shared::Shared;
use crate::space::SignalNode;
use crate::teller::tell_values;
use crate::users::OtherUsers;

/// The way to what a running server shows.
#[derive(Clone)]
pub struct Editor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) subscriptions: Arc<SubscriptionCache>,
    pub(crate) stack: ServerHandle,
}

impl std::fmt::Debug for Editor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Editor").finish_non_exhaustive()
    }
}

/// An alarm that belongs in the list, for whoever looks at the whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The condition's name.
    pub key: Arc<str>,
    /// 1 to 1000.
    pub severity: u16,
    /// What is the matter.
    pub message: Arc<str>,
    /// Whether it stands.
    pub active: bool,
    /// Whether it, and what it has left behind, is acknowledged.
    pub acknowledged: bool,
    /// Whether it is shelved, suppressed or out of service.
    pub aside: bool,
}

impl Editor {
    /// The alarms that belong in the list, as they are shown now. Costs a pass over all conditions.
    #[must_use]
    pub fn listed(&self) -> Vec<Listed> {
        let space = self.shared.space.read();
        let listed = space.all().filter(|condition| condition.state.retain).map(|condition| {
            let state = &condition.state;
            let message: &str = if state.message.is_empty() { &condition.def.text } else { &state.message };
            Listed {
                key: condition.key().into(),
                severity: state.severity.value.get(),
                message: message.into(),
                active: state.active.value,
                acknowledged: waiting(state).acked.value,
                aside: state.is_aside(),
            }
        });
        listed.collect()
    }

    /// How many alarms detectors may raise in ten minutes, by their names; without those that may raise any number.
    #[must_use]
    pub fn budgets(&self) -> BTreeMap<String, u32> {
        let space = self.shared.space.read();
        let known = space.all().filter_map(|condition| {
            let budget = condition.def.rules.budget?;
            Some((condition.def.key.binding().to_owned(), budget))
        });
        known.collect()
    }

    /// The signals that are shown, by their full names.
    #[must_use]
    pub fn known_signals(&self) -> Vec<(Arc<str>, SignalId)> {
        self.shared.space.read().known_signals()
    }

    /// The areas at the top.
    #[must_use]
    pub fn top_areas(&self) -> Vec<Arc<str>> {
        self.shared.space.read().top.clone()
    }

    /// What other users would change. Reads their certificates: blocks.
    ///
    /// # Errors
    /// When a file holds no certificate.
    pub fn compare_users(&self, config: &ServerConfig) -> Result<OtherUsers, ServerError> {
        self.shared.users.compare(config)
    }

    /// Other users may log in from now on. Roles count at once; sessions of those end who are gone or whose password or
    /// certificate is no longer the one that they had.
    pub fn users(&self, others: OtherUsers) {
        let ended = others.to_end();
        self.shared.tongues.speak_to(others.locales());
        self.shared.users.replace(others);
        // After it: whoever came in with what counts no longer is there by now, and whoever still is about to is refused.
        self.stack.session_manager().write().end_sessions(|user| ended.contains(&user.0));
    }

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
