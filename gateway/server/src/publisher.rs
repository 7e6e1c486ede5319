//! The surface that the annunciator publishes to: a bounded queue, and the task that turns states into nodes, events
//! and data changes. When the queue is full, only the newest state of each condition is kept, and clients are asked to
//! refresh.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use opcua::nodes::DefaultTypeTree;
use opcua::server::SubscriptionCache;
use opcua::sync::{Mutex, RwLock};
use opcua::types::{AttributeId, ObjectId, ObjectTypeId};
use tokio::sync::Notify;
use watchfire_model::ConditionKey;
use watchfire_pipeline::{ConditionView, Surface};

use crate::event::{ConditionEvent, MarkerEvent};
use crate::names::{AREA, below};
use crate::nodes::{AreaPart, Node};
use crate::shared::Shared;
use crate::space::Condition;

/// States that may wait.
const QUEUE_MAX: usize = 65_536;
/// States that are told in one go; about half a millisecond with one client.
const CHUNK: usize = 64;

/// The queue.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<ConditionView>,
    /// What did not fit: the newest state of each condition. While there is any, everything goes here.
    newest: BTreeMap<ConditionKey, ConditionView>,
}

/// The annunciator's end.
#[derive(Debug, Default)]
pub(crate) struct Publisher {
    queue: Mutex<Queue>,
    wake: Notify,
    room: Option<usize>,
}

impl Surface for Publisher {
    fn publish(&self, changes: Vec<ConditionView>) {
        let mut queue = self.queue.lock();
        let was_stale = !queue.newest.is_empty();
        for view in changes {
            if queue.newest.is_empty() && queue.waiting.len() < self.room.unwrap_or(QUEUE_MAX) {
                queue.waiting.push_back(view);
            } else {
                queue.newest.insert(view.def.key.clone(), view);
            }
        }
        if !was_stale && !queue.newest.is_empty() {
            tracing::warn!(waiting = queue.waiting.len(), "events are published faster than they can be sent: some are left out, clients are asked to refresh");
        }
        drop(queue);
        self.wake.notify_one();
    }
}

impl Publisher {
    /// The next states, in order, and whether events were left out before them.
    fn take(&self) -> (Vec<ConditionView>, bool) {
        let mut queue = self.queue.lock();
        if queue.waiting.is_empty() {
            return (std::mem::take(&mut queue.newest).into_values().collect(), true);
        }
        let chunk = queue.waiting.len().min(CHUNK);
        (queue.waiting.drain(..chunk).collect(), false)
    }

    /// Tells clients what is published, for ever.
    pub(crate) async fn run(&self, teller: Teller) {
        loop {
            let (views, late) = self.take();
            if views.is_empty() {
                self.wake.notified().await;
                continue;
            }
            if late {
                teller.catch_up(views).await;
            } else {
                teller.tell(views, true);
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Takes over states and tells those who watch.
pub(crate) struct Teller {
    pub shared: Arc<Shared>,
    pub subscriptions: Arc<SubscriptionCache>,
    pub types: Arc<RwLock<DefaultTypeTree>>,
}

impl Teller {
    /// Takes over states in order, with an event for each that is to be told.
    pub(crate) fn tell(&self, views: Vec<ConditionView>, with_events: bool) {
        let _in_order = self.shared.telling.lock();
        let mut changed: Vec<Arc<Condition>> = Vec::with_capacity(views.len());
        let mut events: Vec<(ConditionEvent, Vec<String>)> = Vec::new();
        {
            let below_server = self.shared.watch.has_notifiers();
            let mut space = self.shared.space.write();
            for view in views {
                let notify = view.notify && with_events;
                let condition = space.show(view);
                if notify {
                    let notifiers = if below_server { space.notifiers_of(&condition) } else { Vec::new() };
                    events.push((ConditionEvent::new(condition.clone()), notifiers));
                }
                changed.push(condition);
            }
        }
        {
            let mut server = self.subscriptions.event_notifier();
            for (event, _) in &events {
                server.notify(ObjectId::Server, event);
            }
        }
        let below = events.iter().map(|(event, notifiers)| (event, notifiers.as_slice()));
        self.shared.watch.deliver(below, &self.subscriptions, &*self.types.read());
        self.tell_values(&changed);
    }

    /// Takes over the newest states without events, then asks for a refresh.
    async fn catch_up(&self, views: Vec<ConditionView>) {
        let mut views = views.into_iter().peekable();
        while views.peek().is_some() {
            self.tell(views.by_ref().take(CHUNK).collect(), false);
            tokio::task::yield_now().await;
        }
        self.require_refresh();
    }

    /// RefreshRequired to every event item (OPC 10000-9 §5.11.4).
    fn require_refresh(&self) {
        let marker = MarkerEvent::new(
            ObjectTypeId::RefreshRequiredEventType,
            "events were left out; call ConditionRefresh",
            self.shared.clock.now(),
        );
        let _in_order = self.shared.telling.lock();
        self.subscriptions.event_notifier().notify(ObjectId::Server, &marker);
        let notifiers = self.shared.watch.notifiers();
        self.shared.watch.deliver(std::iter::once((&marker, notifiers.as_slice())), &self.subscriptions, &*self.types.read());
    }

    fn tell_values(&self, changed: &[Arc<Condition>]) {
        let space = self.shared.space.read();
        let mut notifier = self.subscriptions.data_notifier();
        let mut tell = |owner: &str, path: &str| {
            let id = below(owner, path);
            let value = crate::names::own_text(&id)
                .and_then(|name| Node::find(&space, name))
                .and_then(|node| node.value(&space, &self.shared.values()));
            if let Some(value) = value
                && let Some(mut items) = notifier.notify_for(&id, AttributeId::Value)
            {
                items.data_value(value);
            }
        };
        let mut areas: Vec<String> = Vec::new();
        for condition in changed {
            for path in self.shared.watch.paths_of(condition.key()) {
                tell(condition.key(), &path);
            }
            for area in space.areas_of(condition).into_iter().map(|path| format!("{AREA}{path}")) {
                if !areas.contains(&area) {
                    areas.push(area);
                }
            }
        }
        for area in &areas {
            let watched = self.shared.watch.paths_of(area);
            for part in AreaPart::COUNTERS.into_iter().filter(|part| watched.iter().any(|path| path == part.name())) {
                tell(area, part.name());
            }
        }
    }
}
