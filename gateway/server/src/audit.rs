//! Who sees audit events: they go to event items on Server, and only to those of sessions whose user may see them now.
//! They name people, so that no filter of an HMI decides about it, and they come through a bounded queue, so that a
//! flood of log-ins holds up nobody. What was refused is in the log as well, whoever looks. What the events say is known
//! in `audit_event`, how many lines of a flood there are in `refusals`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opcua::nodes::DefaultTypeTree;
use opcua::server::authenticator::UserToken;
use opcua::server::{MonitoredItemHandle, SubscriptionCache};
use opcua::sync::{Mutex, RwLock};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, MissedTickBehavior};
use watchfire_config::Operation;

use crate::audit_event::AuditEvent;
use crate::refusals::{LeftOut, Refusals, Refused};
use crate::users::Users;
use crate::watch::session_with;

/// Events that may wait.
const QUEUE_MAX: usize = 1024;
/// Sessions whose users are remembered.
const SESSIONS_MAX: usize = 4096;
/// How often the log is told what was left out of it, and of the events.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Where audit events go.
#[derive(Debug)]
pub(crate) struct Audit {
    /// Who we are: ServerId of the events.
    pub server: String,
    queue: Sender<AuditEvent>,
    lost: AtomicU64,
    refusals: Refusals,
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
        let audit =
            Self { server, queue, lost: AtomicU64::new(0), refusals: Refusals::default(), watched: Mutex::default() };
        (audit, waiting)
    }

    /// Tells of something, or counts it as lost when too much waits. What was refused is in the log first. Never waits.
    pub(crate) fn tell(&self, event: AuditEvent) {
        if let Some(refused) = event.refused() {
            self.log(&refused);
        }
        if self.queue.try_send(event).is_err() && self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!("more audit events come than can be told: some are left out; the log has what was refused");
        }
    }

    /// Logs what was refused, as far as there is room for it.
    pub(crate) fn log(&self, refused: &Refused<'_>) {
        self.refusals.log(refused, Instant::now());
    }

    /// Says how much was left out since this was last said.
    fn tell_what_was_left_out(&self) {
        let left_out = self.lost.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            tracing::warn!(left_out, "audit events were left out");
        }
        for LeftOut { user, lines } in self.refusals.left_out() {
            tracing::warn!(user, lines, "more was refused than is told one by one");
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
    let mut told = tokio::time::interval(TOLD_EVERY);
    told.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let event = tokio::select! {
            event = waiting.recv() => match event {
                Some(event) => event,
                None => return,
            },
            _ = told.tick() => {
                audit.tell_what_was_left_out();
                continue;
            }
        };
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
