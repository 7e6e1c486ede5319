//! Who sees audit events: they go to event items on Server, and only to those of sessions whose user may see them now.
//! They name people, so that no filter of an HMI decides about it, and they come through a bounded queue, so that a
//! flood of log-ins holds up nobody. What the events say is known in `audit_event`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opcua::nodes::DefaultTypeTree;
use opcua::server::authenticator::UserToken;
use opcua::server::{MonitoredItemHandle, SubscriptionCache};
use opcua::sync::{Mutex, RwLock};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use watchfire_config::Operation;

use crate::audit_event::AuditEvent;
use crate::users::Users;
use crate::watch::session_with;

/// Events that may wait.
const QUEUE_MAX: usize = 1024;
/// Sessions whose users are remembered.
const SESSIONS_MAX: usize = 4096;

/// Where audit events go.
#[derive(Debug)]
pub(crate) struct Audit {
    /// Who we are: ServerId of the events.
    pub server: String,
    queue: Sender<AuditEvent>,
    lost: AtomicU64,
    watched: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    /// The user of each session, as of its last activation.
    users: BTreeMap<u32, UserToken>,
    /// Event items on Server, and the session that had them last.
    items: BTreeMap<(u32, u32), u32>,
}

impl Audit {
    /// The queue's two ends.
    pub(crate) fn new(server: String) -> (Self, Receiver<AuditEvent>) {
        let (queue, waiting) = channel(QUEUE_MAX);
        (Self { server, queue, lost: AtomicU64::new(0), watched: Mutex::default() }, waiting)
    }

    /// Tells of something, or counts it as lost when too much waits. Never waits itself.
    pub(crate) fn tell(&self, event: AuditEvent) {
        if self.queue.try_send(event).is_err() && self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!("more audit events come than can be told: some are left out; the log has what was refused");
        }
    }

    /// Remembers the user of a session.
    pub(crate) fn saw_user(&self, session: u32, user: &UserToken) {
        let mut watched = self.watched.lock();
        watched.users.insert(session, user.clone());
        if watched.users.len() > SESSIONS_MAX {
            // Nobody is forgotten who looks: opening sessions must blind nobody.
            let looking: BTreeSet<u32> = watched.items.values().copied().collect();
            if let Some(idle) = watched.users.keys().copied().find(|id| *id != session && !looking.contains(id)) {
                watched.users.remove(&idle);
            }
        }
    }

    /// Remembers an event item on Server.
    pub(crate) fn add_item(&self, item: MonitoredItemHandle, session: u32) {
        self.watched.lock().items.insert((item.subscription_id, item.monitored_item_id), session);
    }

    /// Forgets it.
    pub(crate) fn remove_item(&self, item: MonitoredItemHandle) {
        self.watched.lock().items.remove(&(item.subscription_id, item.monitored_item_id));
    }
}

/// Tells those who may see it, until the server stops.
pub(crate) async fn run(
    audit: Arc<Audit>,
    mut waiting: Receiver<AuditEvent>,
    users: Arc<Users>,
    subscriptions: Arc<SubscriptionCache>,
    types: Arc<RwLock<DefaultTypeTree>>,
) {
    while let Some(event) = waiting.recv().await {
        let left_out = audit.lost.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            tracing::warn!(left_out, "audit events were left out");
        }
        let mut watched = audit.watched.lock();
        let Watched { users: tokens, items } = &mut *watched;
        for ((subscription, id), session) in items.iter_mut() {
            // A subscription can be moved from one session to another of the same user.
            let held = |session: u32| session_with(session, *subscription, &subscriptions);
            let holder = held(*session).or_else(|| {
                let moved = tokens.keys().rev().copied().find(|other| held(*other).is_some())?;
                *session = moved;
                held(moved)
            });
            let may = tokens.get(session).is_some_and(|token| users.may(token, Operation::Audit));
            if let (true, Some(holder)) = (may, holder)
                && let Some(found) = holder.lock().get_mut(*subscription)
            {
                found.notify_event(id, &event, &*types.read());
            }
        }
    }
}
