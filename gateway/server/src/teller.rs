//! Tells clients of new states: nodes first, then events at every level, then the values that somebody watches.

use std::collections::BTreeSet;
use std::sync::Arc;

use opcua::nodes::{DefaultTypeTree, TypeTree};
use opcua::server::SubscriptionCache;
use opcua::sync::{Mutex, RwLock};
use opcua::types::{AttributeId, DataValue, NodeId, ObjectId, ObjectTypeId};
use watchfire_pipeline::ConditionView;

use crate::alarm_state::ALARM_STATE;
use crate::by_itself::{self, Burst, Done};
use crate::event::{ConditionEvent, MarkerEvent};
use crate::names::{AREA, SIGNAL, below, own, own_text};
use crate::nodes::Node;
use crate::shared::Shared;
use crate::space::Condition;
use crate::tongues::Spoken;
use crate::watch::Hearers;

/// States that are told in one go; about half a millisecond with one client.
pub(crate) const CHUNK: usize = 64;

/// Takes over states and tells those who watch.
pub(crate) struct Teller {
    pub shared: Arc<Shared>,
    pub subscriptions: Arc<SubscriptionCache>,
    pub types: Arc<RwLock<DefaultTypeTree>>,
    /// What the gateway has done by itself.
    pub burst: Mutex<Burst>,
}

impl Teller {
    /// Takes over states in order, with an event for each that is to be told. Returns whether one that stands has
    /// appeared without an event, as at a start: whoever has refreshed before does not know it.
    pub(crate) fn tell(&self, views: Vec<ConditionView>, with_events: bool) -> bool {
        let _in_order = self.shared.telling.lock();
        let mut changed: Vec<Arc<Condition>> = Vec::with_capacity(views.len());
        let mut left: Vec<Arc<str>> = Vec::new();
        let mut events: Vec<(ConditionEvent, Vec<String>)> = Vec::new();
        let mut done: Vec<(Arc<Condition>, Done)> = Vec::new();
        let mut appeared = false;
        {
            let below_server = self.shared.watch.has_notifiers();
            let mut space = self.shared.space.write();
            for view in views {
                let notify = view.notify && with_events;
                appeared |= !view.notify && view.state.retain;
                let branch = view.branch.clone();
                let commanded = view.commanded;
                let before = space.condition(view.def.key.as_str());
                let before = before.map(|before| (before.area.clone(), before.state.clone()));
                let condition = space.show(view);
                if let Some((area, state)) = before {
                    if !commanded {
                        let all = by_itself::done(&state, &condition.state);
                        done.extend(all.into_iter().map(|one| (condition.clone(), one)));
                    }
                    left.extend(Some(area).filter(|area| *area != condition.area));
                }
                if notify {
                    let notifiers = if below_server { space.notifiers_of(&condition) } else { Vec::new() };
                    let told = branch.map_or_else(|| condition.clone(), |branch| condition.branch(branch));
                    events.push((ConditionEvent::new(told), notifiers));
                }
                changed.push(condition);
            }
        }
        self.tell_server(events.iter().map(|(event, _)| event));
        let below = events.iter().map(|(event, notifiers)| (event, notifiers.as_slice()));
        self.shared.watch.deliver(below, &self.hearers(&*self.types.read()));
        tell_values(&self.shared, &self.subscriptions, &self.watched(&changed, left));
        // Last: nobody waits for them.
        let (audit, at) = (&self.shared.audit, self.shared.clock.now());
        for (condition, one) in done {
            let event_id = condition.state.event_id(&condition.def.key);
            self.burst.lock().tell(audit, (own(condition.key()), event_id.bytes()), one, at);
        }
        appeared
    }

    /// Nothing more waits to be told.
    pub(crate) fn is_at_rest(&self) {
        self.burst.lock().end(&self.shared.audit, self.shared.clock.now());
    }

    /// Who hears events below Server.
    pub(crate) fn hearers<'a>(&'a self, types: &'a dyn TypeTree) -> Hearers<'a> {
        Hearers { subscriptions: &self.subscriptions, types, tongues: &self.shared.tongues }
    }

    /// Tells whoever subscribes to Server: by the stack, unless somebody listens in another language.
    pub(crate) fn tell_server<'a, E: Spoken + 'a>(&self, events: impl Iterator<Item = &'a E>) {
        if self.shared.tongues.differ() {
            return self.shared.watch.deliver_server(events, &self.hearers(&*self.types.read()));
        }
        let mut server = self.subscriptions.event_notifier();
        events.for_each(|event| server.notify(ObjectId::Server, event));
    }

    /// Takes over the newest states without events, then asks for a refresh.
    pub(crate) async fn catch_up(&self, views: Vec<ConditionView>) {
        let mut views = views.into_iter().peekable();
        while views.peek().is_some() {
            self.tell(views.by_ref().take(CHUNK).collect(), false);
            tokio::task::yield_now().await;
        }
        self.require_refresh("events were left out; call ConditionRefresh");
    }

    /// Asks those for a refresh who may have had theirs before conditions that stand had appeared.
    pub(crate) fn have_appeared(&self) {
        self.require_refresh("conditions have appeared; call ConditionRefresh");
    }

    /// RefreshRequired to every event item (OPC 10000-9 §5.11.4).
    fn require_refresh(&self, message: &'static str) {
        let marker = MarkerEvent::new(ObjectTypeId::RefreshRequiredEventType, message, self.shared.clock.now());
        let _in_order = self.shared.telling.lock();
        self.subscriptions.event_notifier().notify(ObjectId::Server, &marker);
        let notifiers = self.shared.watch.notifiers();
        let told = std::iter::once((&marker, notifiers.as_slice()));
        self.shared.watch.deliver(told, &self.hearers(&*self.types.read()));
    }

    /// The nodes of changed conditions, of their areas and of areas that one has left, whose values somebody watches.
    fn watched(&self, changed: &[Arc<Condition>], left: Vec<Arc<str>>) -> Vec<NodeId> {
        let watch = &self.shared.watch;
        let space = self.shared.space.read();
        let mut owners: Vec<String> = Vec::with_capacity(changed.len() + 4);
        owners.extend(changed.iter().map(|condition| condition.key().to_owned()));
        let areas: BTreeSet<Arc<str>> = changed.iter().map(|condition| condition.area.clone()).chain(left).collect();
        let above: BTreeSet<Arc<str>> = areas.into_iter().flat_map(|area| space.areas_from(area)).collect();
        owners.extend(above.into_iter().map(|path| format!("{AREA}{path}")));
        let of = |owner: &String| -> Vec<NodeId> {
            watch.paths_of(owner).into_iter().map(|path| below(owner, &path)).collect()
        };
        // Of a signal, what sums its alarms up: its value goes another way.
        let signals: BTreeSet<&str> = changed.iter().filter_map(|one| Some(&*one.signal.as_ref()?.name)).collect();
        let summed = signals.into_iter().flat_map(|signal| {
            let owner = format!("{SIGNAL}{signal}");
            let paths = watch.paths_of(&owner).into_iter().filter(|path| path.starts_with(ALARM_STATE));
            paths.map(move |path| below(&owner, &path)).collect::<Vec<_>>()
        });
        owners.iter().flat_map(of).chain(summed).collect()
    }
}

/// Sends the values that variables of ours have now to whoever watches them. Whoever calls it has [`Shared::telling`], or
/// an older value could come after a newer one.
pub(crate) fn tell_values(shared: &Shared, subscriptions: &SubscriptionCache, ids: &[NodeId]) {
    if ids.is_empty() {
        return;
    }
    // Nothing of ours is locked while the stack's subscriptions are: others lock them the other way round.
    let others = shared.tongues.others();
    let values: Vec<(&NodeId, Node, DataValue)> = {
        let space = shared.space.read();
        let now = |id| {
            let node = own_text(id).and_then(|name| Node::find(&space, name))?;
            let value = node.value(&space, &shared.values())?;
            Some((id, node, value))
        };
        ids.iter().filter_map(now).collect()
    };
    let mut notifier = subscriptions.data_notifier();
    for (id, node, value) in values {
        let Some(mut items) = notifier.notify_for(id, AttributeId::Value) else { continue };
        if others.is_empty() {
            items.data_value(value);
            continue;
        }
        let handles: Vec<_> = items.entries().map(|(handle, _)| *handle).collect();
        for handle in handles {
            let told = match others.get(&handle.subscription_id) {
                Some(speech) => node.spoken(AttributeId::Value, value.clone(), speech),
                None => value.clone(),
            };
            items.data_value_to_item(told, &handle);
        }
    }
}
