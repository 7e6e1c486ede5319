//! Who watches what of our nodes: monitored items by node, so that a change costs nothing where nobody looks, and so
//! that events reach the items of areas and sources. The stack itself sends an event to one node and to Server.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use opcua::nodes::TypeTree;
use opcua::server::{MonitoredItemHandle, SessionSubscriptions, SubscriptionCache};
use opcua::sync::Mutex;

use crate::names::BELOW;
use crate::tongues::{Spoken, Tongues};

/// Sessions that are remembered even if they have no subscription at the moment.
const IDLE_SESSIONS_MAX: usize = 1024;

/// Event items, and the session that had each last.
type Items = BTreeMap<(u32, u32), u32>;

/// Monitored items of our nodes, and sessions.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    /// Sessions seen so far: a subscription can be moved from one to another.
    sessions: BTreeSet<u32>,
    /// By notifier: event items and the session that had them last.
    events: HashMap<String, Items>,
    /// The same of Server, where people are told in other languages; the stack serves them otherwise.
    server: Items,
    /// By owner and path: items for the value.
    values: HashMap<String, HashMap<String, HashSet<MonitoredItemHandle>>>,
}

impl Watch {
    /// Remembers a session.
    pub(crate) fn saw_session(&self, session: u32, subscriptions: &SubscriptionCache) {
        let mut watched = self.0.lock();
        watched.sessions.insert(session);
        if watched.sessions.len() > IDLE_SESSIONS_MAX {
            let recent = watched.sessions.iter().rev().nth(IDLE_SESSIONS_MAX / 2).copied().unwrap_or(session);
            watched.sessions.retain(|id| *id >= recent || subscriptions.get_session_subscriptions(*id).is_some());
        }
    }

    /// Whether another session than `session` has the subscription.
    pub(crate) fn is_anothers(&self, session: u32, subscription: u32, subscriptions: &SubscriptionCache) -> bool {
        let sessions: Vec<u32> = self.0.lock().sessions.iter().copied().filter(|id| *id != session).collect();
        sessions.into_iter().any(|id| session_with(id, subscription, subscriptions).is_some())
    }

    /// The session that has a subscription now, which `session` had last.
    pub(crate) fn holder(
        &self,
        session: u32,
        subscription: u32,
        subscriptions: &SubscriptionCache,
    ) -> Option<(u32, Arc<Mutex<SessionSubscriptions>>)> {
        let of = |id: u32| session_with(id, subscription, subscriptions).map(|holder| (id, holder));
        of(session).or_else(|| self.0.lock().sessions.iter().rev().find_map(|id| of(*id)))
    }

    pub(crate) fn add_events(&self, notifier: &str, item: MonitoredItemHandle, session: u32) {
        let mut watched = self.0.lock();
        watched.events.entry(notifier.to_owned()).or_default().insert(key(item), session);
    }

    /// Remembers an event item of Server.
    pub(crate) fn add_server(&self, item: MonitoredItemHandle, session: u32) {
        self.0.lock().server.insert(key(item), session);
    }

    /// Forgets it; one that is not known is no error.
    pub(crate) fn remove_server(&self, item: MonitoredItemHandle) {
        self.0.lock().server.remove(&key(item));
    }

    pub(crate) fn add_value(&self, node: &str, item: MonitoredItemHandle) {
        let (owner, path) = split(node);
        let mut watched = self.0.lock();
        watched.values.entry(owner.to_owned()).or_default().entry(path.to_owned()).or_default().insert(item);
    }

    /// Forgets an item; one that is not known is no error.
    pub(crate) fn remove(&self, node: &str, item: MonitoredItemHandle) {
        let mut watched = self.0.lock();
        if let Some(items) = watched.events.get_mut(node) {
            items.remove(&key(item));
            if items.is_empty() {
                watched.events.remove(node);
            }
        }
        let (owner, path) = split(node);
        let Some(paths) = watched.values.get_mut(owner) else { return };
        if let Some(items) = paths.get_mut(path) {
            items.remove(&item);
            if items.is_empty() {
                paths.remove(path);
            }
        }
        if paths.is_empty() {
            watched.values.remove(owner);
        }
    }

    /// The paths below `owner` whose values somebody watches.
    pub(crate) fn paths_of(&self, owner: &str) -> Vec<String> {
        self.0.lock().values.get(owner).map(|paths| paths.keys().cloned().collect()).unwrap_or_default()
    }

    /// Whether anybody subscribes to events below Server.
    pub(crate) fn has_notifiers(&self) -> bool {
        !self.0.lock().events.is_empty()
    }

    /// Queues each event at the event items of its notifiers, in order, for each in its own language. Holds each session's
    /// lock for its events.
    pub(crate) fn deliver<'a, E: Spoken + 'a>(
        &self,
        events: impl Iterator<Item = (&'a E, &'a [String])>,
        to: &Hearers<'_>,
    ) {
        let mut watched = self.0.lock();
        let Watched { sessions, events: items, .. } = &mut *watched;
        for (event, notifiers) in events {
            for notifier in notifiers {
                if let Some(items) = items.get_mut(notifier) {
                    to.tell(event, items, sessions);
                }
            }
        }
    }

    /// The same at the event items of Server, as far as they are remembered.
    pub(crate) fn deliver_server<'a, E: Spoken + 'a>(&self, events: impl Iterator<Item = &'a E>, to: &Hearers<'_>) {
        let mut watched = self.0.lock();
        let Watched { sessions, server, .. } = &mut *watched;
        events.for_each(|event| to.tell(event, server, sessions));
    }

    /// All notifiers below Server that somebody subscribes to.
    pub(crate) fn notifiers(&self) -> Vec<String> {
        self.0.lock().events.keys().cloned().collect()
    }
}

/// Who hears events, and how.
pub(crate) struct Hearers<'a> {
    pub subscriptions: &'a SubscriptionCache,
    pub types: &'a dyn TypeTree,
    pub tongues: &'a Tongues,
}

impl Hearers<'_> {
    fn tell<E: Spoken>(&self, event: &E, items: &mut Items, sessions: &BTreeSet<u32>) {
        let has = |session: u32, subscription: u32| session_with(session, subscription, self.subscriptions);
        for (item, session) in items {
            let (subscription, id) = *item;
            let holder = has(*session, subscription).or_else(|| {
                let moved = sessions.iter().rev().find(|id| has(**id, subscription).is_some())?;
                *session = *moved;
                has(*moved, subscription)
            });
            let speech = self.tongues.of_subscription(subscription);
            if let Some(holder) = holder
                && let Some(found) = holder.lock().get_mut(subscription)
            {
                if speech.is_plain() {
                    found.notify_event(&id, event, self.types);
                } else {
                    found.notify_event(&id, &event.spoken(&speech), self.types);
                }
            }
        }
    }
}

pub(crate) fn session_with(
    session: u32,
    subscription: u32,
    subscriptions: &SubscriptionCache,
) -> Option<Arc<Mutex<SessionSubscriptions>>> {
    let found = subscriptions.get_session_subscriptions(session)?;
    let has = found.lock().contains(subscription);
    has.then_some(found)
}

const fn key(item: MonitoredItemHandle) -> (u32, u32) {
    (item.subscription_id, item.monitored_item_id)
}

fn split(node: &str) -> (&str, &str) {
    node.rsplit_once(BELOW).unwrap_or((node, ""))
}
