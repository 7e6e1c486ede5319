//! ConditionRefresh and ConditionRefresh2 (OPC 10000-9 §5.5.7, §5.5.8): RefreshStart, every retained condition with
//! the EventId and Time it had, RefreshEnd, to the asking subscription alone and only as fast as its queues empty.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opcua::nodes::DefaultTypeTree;
use opcua::server::node_manager::RequestContext;
use opcua::server::{MonitoredItem, Subscription, SubscriptionCache};
use opcua::sync::{Mutex, RwLock};
use opcua::types::{AttributeId, NodeId, ObjectId, ObjectTypeId, StatusCode};

use crate::event::{ConditionEvent, MarkerEvent};
use crate::names::own_text;
use crate::shared::Shared;
use crate::space::{Place, Space};
use crate::teller::CHUNK;
use crate::tongues::Spoken;

/// How often a paced refresh looks whether the queues are empty.
const LOOK: Duration = Duration::from_millis(20);
/// Fields that are read of events in one go: sixty, as an HMI asks for, of as many states as are told in one go.
const FIELDS_AT_ONCE: usize = 60 * CHUNK;
/// About how many bytes an event takes that waits to be sent, and each of its fields; an event that takes more is found
/// out while the list is being sent.
const EVENT_BYTES: usize = 1_000;
const FIELD_BYTES: usize = 80;
/// After so long without one being emptied, the rest is sent anyway: the client does not read.
const PATIENCE: Duration = Duration::from_secs(30);

/// Subscriptions that are being refreshed.
#[derive(Debug)]
pub(crate) struct InProgress {
    subscriptions: Mutex<HashSet<u32>>,
    /// How long each may leave its queues full.
    patience: Mutex<Duration>,
    /// How often it was looked whether queues are empty, in all.
    #[cfg(test)]
    looks: std::sync::atomic::AtomicUsize,
}

impl Default for InProgress {
    fn default() -> Self {
        Self {
            subscriptions: Mutex::default(),
            patience: Mutex::new(PATIENCE),
            #[cfg(test)]
            looks: std::sync::atomic::AtomicUsize::default(),
        }
    }
}

impl InProgress {
    /// `None` while the subscription is being refreshed.
    fn begin(self: &Arc<Self>, subscription: u32) -> Option<Begun> {
        let is_first = self.subscriptions.lock().insert(subscription);
        is_first.then(|| Begun { of: self.clone(), subscription })
    }

    /// How often it was looked whether queues are empty, once nothing is refreshed any more.
    #[cfg(test)]
    pub(crate) async fn looks_in_all(&self) -> usize {
        while !self.subscriptions.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        self.looks.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Waits for shorter from now on.
    #[cfg(test)]
    pub(crate) fn be_impatient(&self, patience: Duration) {
        *self.patience.lock() = patience;
    }
}

/// A refresh that has begun; it has ended when this is dropped, however that comes.
#[derive(Debug)]
struct Begun {
    of: Arc<InProgress>,
    subscription: u32,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.of.subscriptions.lock().remove(&self.subscription);
    }
}

/// One event item that is to be refreshed.
#[derive(Clone, Debug)]
struct Item {
    id: u32,
    /// Server, an area or a source.
    node: NodeId,
    queue: usize,
    /// Of these, how many places are free as yet.
    free: usize,
    /// Fields that it selects of each event.
    fields: usize,
}

/// A refresh under way.
struct Refresh {
    shared: Arc<Shared>,
    subscriptions: Arc<SubscriptionCache>,
    types: Arc<RwLock<DefaultTypeTree>>,
    session: u32,
    subscription: u32,
    items: Vec<Item>,
    /// About how many bytes an event takes in all items together.
    event_bytes: AtomicUsize,
}

/// Begins a refresh; one that fits the queues, and what a session may have waiting, is done when this returns, unless
/// others take the room meanwhile. Others are served in between.
///
/// # Errors
/// The status codes that OPC 10000-9 gives for the two methods.
pub(crate) async fn begin(
    shared: &Arc<Shared>,
    context: &RequestContext,
    subscription: u32,
    only: Option<u32>,
) -> Result<(), StatusCode> {
    let items = items(shared, context, subscription, only)?;
    let refresh = Refresh {
        shared: shared.clone(),
        subscriptions: context.subscriptions.clone(),
        types: context.type_tree.clone(),
        session: context.session_id,
        subscription,
        event_bytes: AtomicUsize::new(bytes_of_event(&items)),
        items,
    };
    let begun = shared.refreshing.begin(subscription).ok_or(StatusCode::BadRefreshInProgress)?;
    let places = refresh.retained();
    let events: usize = places.iter().map(|(_, events)| events).sum();
    let smallest = |room: fn(&Item) -> usize| refresh.items.iter().map(room).min().unwrap_or(1);
    let (queue, free) = (smallest(|item| item.queue), smallest(|item| item.free));
    // Room for the markers, and a quarter for what comes meanwhile.
    let free = free.min(refresh.room());
    let fits = events + 2 <= free - free / 4;
    // A task of its own, so that it ends whatever becomes of the call.
    let (on_its_way, answer) = tokio::sync::oneshot::channel();
    shared.spawn(async move {
        refresh.start();
        let rest = if fits { refresh.while_there_is_room(&places).await } else { &places };
        let is_whole = fits && rest.is_empty();
        if is_whole {
            refresh.end();
        }
        // Another can begin once this is answered, if nothing is left.
        let begun = (!is_whole).then_some(begun);
        // Nobody may be there to hear it.
        on_its_way.send(()).ok();
        if begun.is_some() {
            refresh.paced(rest, queue / 2).await;
        }
    });
    if fits {
        answer.await.map_err(|_| StatusCode::BadInternalError)?;
    }
    Ok(())
}

fn items(
    shared: &Shared,
    context: &RequestContext,
    subscription: u32,
    only: Option<u32>,
) -> Result<Vec<Item>, StatusCode> {
    let own = context.subscriptions.get_session_subscriptions(context.session_id);
    let own = own.as_ref().map(|own| own.lock());
    let Some(own) = own.as_ref().and_then(|own| own.get(subscription)) else {
        drop(own);
        return Err(if shared.watch.is_anothers(context.session_id, subscription, &context.subscriptions) {
            StatusCode::BadUserAccessDenied
        } else {
            StatusCode::BadSubscriptionIdInvalid
        });
    };
    let all = own.items().filter(|item| item.item_to_monitor().attribute_id == AttributeId::EventNotifier);
    let chosen = all.filter(|item| only.is_none_or(|only| item.id() == only)).map(|item| Item {
        id: item.id(),
        node: item.item_to_monitor().node_id.clone(),
        queue: item.queue_size(),
        free: item.queue_size().saturating_sub(item.queued()),
        fields: item.select_clauses(),
    });
    match (chosen.collect::<Vec<_>>(), only) {
        (items, _) if !items.is_empty() => Ok(items),
        (_, Some(_)) => Err(StatusCode::BadMonitoredItemIdInvalid),
        (_, None) => Err(StatusCode::BadNothingToDo),
    }
}

/// A condition and how many events it has.
type Counted = (Place, usize);

/// The conditions that come first and have so many events at the most, but one at least; and the others.
fn split(places: &[Counted], events_max: usize) -> (&[Counted], &[Counted]) {
    let mut events = 0;
    let fits = places.iter().take_while(|(_, more)| {
        events += more;
        events <= events_max
    });
    places.split_at(fits.count().max(1).min(places.len()))
}

/// About how many bytes one event takes in these items, until it is known better.
fn bytes_of_event(items: &[Item]) -> usize {
    items.iter().map(|item| EVENT_BYTES + FIELD_BYTES * item.fields).sum::<usize>().max(1)
}

/// How many events are sent to these items in one go, while everybody else waits.
fn at_once(items: &[Item]) -> usize {
    let fields: usize = items.iter().map(|item| item.fields.max(1)).sum();
    (FIELDS_AT_ONCE / fields.max(1)).clamp(1, CHUNK)
}

impl Refresh {
    /// The conditions to send, in the order in which they came to be, and how many events each has.
    fn retained(&self) -> Vec<(Place, usize)> {
        self.shared.space.read().retained()
    }

    /// Sends conditions a few at a time, as long as what waits leaves room for them; returns those that are left.
    async fn while_there_is_room<'a>(&self, places: &'a [Counted]) -> &'a [Counted] {
        let events_max = at_once(&self.items);
        let mut rest = places;
        while !rest.is_empty() {
            let (some, left) = split(rest, events_max);
            let events: usize = some.iter().map(|(_, events)| events).sum();
            if self.room() / 2 < events {
                break;
            }
            rest = left;
            self.send_some(some).await;
        }
        rest
    }

    /// Sends conditions a few at a time: others are served in between.
    async fn send_all(&self, places: &[Counted]) {
        let events_max = at_once(&self.items);
        let mut rest = places;
        while !rest.is_empty() {
            let (some, left) = split(rest, events_max);
            rest = left;
            self.send_some(some).await;
        }
    }

    async fn send_some(&self, places: &[Counted]) {
        {
            let _in_order = self.shared.telling.lock();
            self.send(places);
        }
        tokio::task::yield_now().await;
    }

    /// For how many more events there is room in bytes, in all items.
    fn room(&self) -> usize {
        let free = self.with(|subscription| self.free_bytes(subscription)).unwrap_or(usize::MAX);
        free / self.event_bytes.load(Ordering::Relaxed)
    }

    /// What the session has room for; its items share it.
    fn free_bytes(&self, subscription: &Subscription) -> usize {
        let free = self.items.iter().filter_map(|item| subscription.get(&item.id)).map(MonitoredItem::free_bytes);
        free.min().unwrap_or(usize::MAX)
    }

    fn start(&self) {
        let _in_order = self.shared.telling.lock();
        self.mark(ObjectTypeId::RefreshStartEventType, "the alarm list follows");
    }

    fn end(&self) {
        let _in_order = self.shared.telling.lock();
        self.mark(ObjectTypeId::RefreshEndEventType, "that was the alarm list");
    }

    /// Sends conditions so many events at a time, or fewer if there is no room for them, each when those before are read.
    async fn paced(&self, places: &[Counted], chunk: usize) {
        let (mut rest, mut reads) = (places, true);
        while !rest.is_empty() {
            reads = reads && self.drained().await;
            let (some, left) = split(rest, chunk.min(self.room() / 2).max(1));
            rest = left;
            self.send_all(some).await;
        }
        if reads {
            self.drained().await;
        }
        self.end();
    }

    /// Waits until the client has taken what was in the items' queues, or for as long as there is patience; returns whether it has. What is
    /// sent all the same overflows them, which the client is told with the next that it reads.
    async fn drained(&self) -> bool {
        let patience = *self.shared.refreshing.patience.lock();
        let looks = patience.as_millis() / LOOK.as_millis();
        for _ in 0..looks {
            #[cfg(test)]
            self.shared.refreshing.looks.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let waiting = self.with(|subscription| {
                let has_some = |item: &Item| subscription.get(&item.id).is_some_and(MonitoredItem::has_notifications);
                subscription.more_notifications() || self.items.iter().any(has_some)
            });
            if waiting != Some(true) {
                return true;
            }
            tokio::time::sleep(LOOK).await;
        }
        tracing::warn!(
            subscription = self.subscription,
            "a client does not read its alarm list: the rest is sent at once"
        );
        false
    }

    /// Does something with the subscription, in whichever session it is by now.
    fn with<T>(&self, what: impl FnOnce(&mut Subscription) -> T) -> Option<T> {
        let (_, session) = self.shared.watch.holder(self.session, self.subscription, &self.subscriptions)?;
        let mut session = session.lock();
        session.get_mut(self.subscription).map(what)
    }

    fn mark(&self, kind: ObjectTypeId, message: &'static str) {
        let marker = MarkerEvent::new(kind, message, self.shared.clock.now());
        let types = self.types.read();
        self.with(|subscription| {
            for item in &self.items {
                subscription.notify_event(&item.id, &marker, &*types);
            }
        });
    }

    /// Sends conditions as they stand now; one that is no longer retained has told so itself.
    fn send(&self, places: &[(Place, usize)]) {
        let types = self.types.read();
        let space = self.shared.space.read();
        let now = self.shared.clock.now();
        let speech = self.shared.tongues.of_subscription(self.subscription);
        self.with(|subscription| {
            let (before, mut events) = (self.free_bytes(subscription), 0);
            for condition in places.iter().filter_map(|(place, _)| space.condition_at(*place)) {
                if !condition.state.retain {
                    continue;
                }
                let seen = Seen::of(&space, condition);
                let left = condition.state.branches.iter().filter(|branch| branch.retain);
                let branches = left.map(|branch| condition.branch(Arc::new(branch.clone())));
                for told in std::iter::once(condition.clone()).chain(branches) {
                    events += 1;
                    let event = ConditionEvent::told(told, now).spoken(&speech);
                    for item in self.items.iter().filter(|item| seen.at(&item.node)) {
                        subscription.notify_event(&item.id, &event, &*types);
                    }
                }
            }
            let taken = before.saturating_sub(self.free_bytes(subscription)) / events.max(1);
            self.event_bytes.fetch_max(taken, Ordering::Relaxed);
        });
    }
}

/// Where a condition's events are seen.
struct Seen(Vec<String>);

impl Seen {
    fn of(space: &Space, condition: &crate::space::Condition) -> Self {
        Self(space.notifiers_of(condition))
    }

    fn at(&self, node: &NodeId) -> bool {
        *node == ObjectId::Server || own_text(node).is_some_and(|name| self.0.iter().any(|notifier| notifier == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(count: usize, fields: usize) -> Vec<Item> {
        let item = Item { id: 1, node: ObjectId::Server.into(), queue: 1_000, free: 1_000, fields };
        vec![item; count]
    }

    #[tokio::test]
    async fn a_refresh_that_ends_amiss_can_be_begun_again() {
        let all = Arc::new(InProgress::default());
        let begun = all.begin(1).unwrap();
        assert!(all.begin(1).is_none() && all.begin(2).is_some());
        let amiss = tokio::spawn(async move {
            let _begun = begun;
            panic!("as if it were a defect");
        });
        assert!(amiss.await.is_err_and(|why| why.is_panic()));
        assert!(all.begin(1).is_some());
    }

    #[test]
    fn nobody_waits_for_longer_however_many_fields_of_however_many_items_are_sent() {
        for (count, fields, events) in [(1, 60, 64), (1, 1, 64), (1, 0, 64), (2, 60, 32), (12, 500, 1), (100, 60, 1)] {
            assert_eq!(at_once(&items(count, fields)), events, "{count} items of {fields} fields");
        }
    }
}
