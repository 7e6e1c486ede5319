//! What clients can make a server keep, and evaluate for each event: one that is slow, one that wants much, and one that
//! leaves more behind than others; and in which order it is sent.

use super::select::{Told, filter, value_of};
use super::sessions::{
    CLIENTS_CLAUSES_MAX, Few, LEFT_MAX, Login, SELECT_CLAUSES_MAX, WAIT_MAX, connect, event_item, forgotten, header,
    left_behind, open_session, serve_and_look,
};
use opcua::client::Session;
use opcua::core::ResponseMessage;
use opcua::nodes::Event;
use opcua::server::{ServerHandle, SubscriptionState};
use opcua::types::{
    AttributeId, CreateMonitoredItemsRequest, CreateSessionResponse, CreateSubscriptionRequest,
    DeleteMonitoredItemsRequest, DeleteSubscriptionsRequest, EventFilter, EventNotificationList, Identifier,
    ModifyMonitoredItemsRequest, MonitoredItemCreateRequest, MonitoredItemModifyRequest, NodeId, ObjectId,
    ObjectTypeId, PublishRequest, StatusCode, TimestampsToReturn, TransferSubscriptionsRequest, VariableId, Variant,
};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

/// A session whose requests are sent one by one, over another's channel.
pub(super) struct Bare {
    through: Arc<Session>,
    pub session: CreateSessionResponse,
}

impl Bare {
    pub(super) async fn open(through: &Arc<Session>, url: &str, login: Login) -> Self {
        let (session, _) = open_session(through, url, login).await;
        Self { through: through.clone(), session }
    }

    /// The same session, over another's channel.
    pub(super) fn over(self, through: &Arc<Session>) -> Self {
        Self { through: through.clone(), ..self }
    }

    pub(super) async fn send(&self, request: impl Into<opcua::core::RequestMessage>) -> ResponseMessage {
        self.through.channel().send(request, WAIT_MAX).await.expect("an answer")
    }

    /// Subscribes; a message of its subscription has one event.
    pub(super) async fn subscribe(&self) -> u32 {
        self.subscribe_with(0).await
    }

    pub(super) async fn subscribe_with(&self, priority: u8) -> u32 {
        let subscribe = CreateSubscriptionRequest {
            request_header: header(&self.session),
            requested_publishing_interval: 10.0,
            requested_max_keep_alive_count: 1_000,
            requested_lifetime_count: 10_000,
            max_notifications_per_publish: 1,
            priority,
            publishing_enabled: true,
        };
        match self.send(subscribe).await {
            ResponseMessage::CreateSubscription(created) => created.subscription_id,
            other => panic!("{other:?}"),
        }
    }

    /// Asks for an item; its number, or why there is none.
    pub(super) async fn create(
        &self,
        subscription_id: u32,
        item: MonitoredItemCreateRequest,
    ) -> Result<u32, StatusCode> {
        let create = CreateMonitoredItemsRequest {
            request_header: header(&self.session),
            subscription_id,
            timestamps_to_return: TimestampsToReturn::Neither,
            items_to_create: Some(vec![item]),
        };
        match self.send(create).await {
            ResponseMessage::CreateMonitoredItems(created) => {
                let created = created.results.expect("results").remove(0);
                if created.status_code.is_good() { Ok(created.monitored_item_id) } else { Err(created.status_code) }
            }
            ResponseMessage::ServiceFault(fault) => Err(fault.response_header.service_result),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn modify(&self, subscription_id: u32, id: u32, item: MonitoredItemCreateRequest) -> StatusCode {
        let modify = ModifyMonitoredItemsRequest {
            request_header: header(&self.session),
            subscription_id,
            timestamps_to_return: TimestampsToReturn::Neither,
            items_to_modify: Some(vec![MonitoredItemModifyRequest {
                monitored_item_id: id,
                requested_parameters: item.requested_parameters,
            }]),
        };
        match self.send(modify).await {
            ResponseMessage::ModifyMonitoredItems(done) => done.results.expect("results").remove(0).status_code,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn delete(&self, subscription_id: u32, id: u32) {
        let delete = DeleteMonitoredItemsRequest {
            request_header: header(&self.session),
            subscription_id,
            monitored_item_ids: Some(vec![id]),
        };
        let done = self.send(delete).await;
        assert!(matches!(done, ResponseMessage::DeleteMonitoredItems(_)), "{done:?}");
    }

    pub(super) async fn transfer(&self, subscription: u32) -> StatusCode {
        let transfer = TransferSubscriptionsRequest {
            request_header: header(&self.session),
            subscription_ids: Some(vec![subscription]),
            send_initial_values: false,
        };
        match self.send(transfer).await {
            ResponseMessage::TransferSubscriptions(done) => done.results.expect("results").remove(0).status_code,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the server waits for it to ask for what there is.
    pub(super) async fn late(&self, handle: &ServerHandle, subscription: u32) {
        let Identifier::Numeric(number) = self.session.session_id.identifier else { panic!("{:?}", self.session) };
        let session = handle.subscriptions().get_session_subscriptions(number).expect("a session with subscriptions");
        let state = || session.lock().get(subscription).expect("its subscription").state();
        let waits = async {
            while state() != SubscriptionState::Late {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, waits).await.expect("it is late");
    }

    /// The events of the next message, as their messages; `!` for an overflow.
    pub(super) async fn publish(&self) -> Vec<String> {
        self.publish_any().await.1
    }

    /// The same, and whose message it is.
    pub(super) async fn publish_any(&self) -> (u32, Vec<String>) {
        let publish = PublishRequest { request_header: header(&self.session), subscription_acknowledgements: None };
        let (subscription, message) = match self.send(publish).await {
            ResponseMessage::Publish(published) => (published.subscription_id, published.notification_message),
            other => panic!("{other:?}"),
        };
        let overflow = Variant::from(NodeId::from(ObjectTypeId::EventQueueOverflowEventType));
        let told = |fields: &[Variant]| match fields {
            [_, kind] if *kind == overflow => "!".to_owned(),
            fields => fields.first().map(ToString::to_string).unwrap_or_default(),
        };
        let data = message.notification_data.unwrap_or_default();
        let lists = data.iter().filter_map(|data| data.inner_as::<EventNotificationList>());
        let events = lists.flat_map(|list| list.events.iter().flatten());
        (subscription, events.map(|event| told(event.event_fields.as_deref().unwrap_or_default())).collect())
    }
}

pub(super) fn message_and_type() -> EventFilter {
    filter(
        vec![value_of(ObjectTypeId::BaseEventType, "Message"), value_of(ObjectTypeId::BaseEventType, "EventType")],
        None,
    )
}

/// An item that selects so many fields.
fn selecting(fields: usize) -> MonitoredItemCreateRequest {
    event_item(filter(vec![value_of(ObjectTypeId::BaseEventType, "Message"); fields], None))
}

pub(super) fn tell(handle: &ServerHandle, numbers: std::ops::Range<usize>) {
    let events: Vec<Told> = numbers.map(|number| Told::alarm(&number.to_string())).collect();
    let source = NodeId::from(ObjectId::Server);
    handle.subscriptions().notify_events(events.iter().map(|event| (event as &dyn Event, &source)));
}

#[tokio::test]
async fn what_a_slow_client_is_kept_is_bounded_by_its_queue_and_an_overflow_told() {
    const QUEUE: usize = 10;
    let (url, pki, handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let bare = Bare::open(&client, &url, Login::Nobody).await;
    let subscription = bare.subscribe().await;
    let mut item = event_item(message_and_type());
    item.requested_parameters.queue_size = 10;
    item.requested_parameters.discard_oldest = true;
    bare.create(subscription, item).await.expect("an item");
    let mut taken = Vec::new();
    for round in 0..QUEUE {
        tell(&handle, round * QUEUE..(round + 1) * QUEUE);
        bare.late(&handle, subscription).await;
        taken.extend(bare.publish().await);
    }
    for _ in 0..=QUEUE {
        taken.extend(bare.publish().await);
    }
    let number = |number: usize| number.to_string();
    let last = QUEUE * (QUEUE - 1)..QUEUE * QUEUE;
    let expected = (0..QUEUE).map(number).chain(["!".to_owned()]).chain(last.map(number));
    assert_eq!(taken, expected.collect::<Vec<_>>(), "ten in messages and ten in the queue");
}

#[tokio::test]
async fn a_subscription_of_higher_priority_is_served_first() {
    const EVENTS: usize = 20;
    let (url, pki, handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let bare = Bare::open(&client, &url, Login::Nobody).await;
    let mut subscriptions = Vec::new();
    for priority in [1, 200, 100] {
        let subscription = bare.subscribe_with(priority).await;
        bare.create(subscription, event_item(message_and_type())).await.expect("an item");
        subscriptions.push(subscription);
    }
    tell(&handle, 0..EVENTS);
    for subscription in &subscriptions {
        bare.late(&handle, *subscription).await;
    }
    let mut served = Vec::new();
    for _ in 0..3 * EVENTS {
        served.push(bare.publish_any().await.0);
    }
    let in_order = [1, 2, 0].into_iter().flat_map(|at| [subscriptions[at]; EVENTS]);
    assert_eq!(served, in_order.collect::<Vec<_>>());
}

#[tokio::test]
async fn the_fields_that_a_session_selects_have_an_end_however_it_comes_by_them() {
    let (url, pki, _handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let (one, other) =
        (Bare::open(&client, &url, Login::User("ann")).await, Bare::open(&client, &url, Login::User("ann")).await);
    let subscription = one.subscribe().await;
    let many = Err(StatusCode::BadTooManyMonitoredItems);
    let first = one.create(subscription, selecting(500)).await.expect("there is room");
    let second = one.create(subscription, selecting(500)).await.expect("there is room");
    let left = SELECT_CLAUSES_MAX - 1_000;
    assert_eq!(one.create(subscription, selecting(left + 1)).await, many);
    let third = one.create(subscription, selecting(left)).await.expect("just room enough");
    assert_eq!(one.modify(subscription, third, selecting(left + 1)).await, StatusCode::BadTooManyMonitoredItems);
    assert_eq!(one.modify(subscription, second, selecting(499)).await, StatusCode::Good);
    assert_eq!(one.modify(subscription, third, selecting(left + 1)).await, StatusCode::Good);
    one.delete(subscription, first).await;
    one.create(subscription, selecting(500)).await.expect("what was deleted made room");

    let second = other.subscribe().await;
    other.create(second, selecting(1)).await.expect("there is room");
    assert_eq!(other.transfer(subscription).await, StatusCode::BadTooManyMonitoredItems);
    assert_eq!(one.transfer(second).await, StatusCode::BadTooManyMonitoredItems);
    assert_eq!(one.create(subscription, selecting(1)).await, many, "it has what it had");
    let empty = other.subscribe().await;
    assert_eq!(one.transfer(empty).await, StatusCode::Good);
}

#[tokio::test]
async fn the_fields_that_a_client_selects_have_an_end_however_many_sessions_it_opens() {
    let (url, pki, _handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let one = Bare::open(&client, &url, Login::User("ann")).await;
    let other = Bare::open(&client, &url, Login::User("ann")).await;
    let bobs = Bare::open(&client, &url, Login::User("bob")).await;
    let (first, second, third) = (one.subscribe().await, other.subscribe().await, bobs.subscribe().await);
    for _ in 0..2 {
        one.create(first, selecting(500)).await.expect("there is room");
    }
    let left = CLIENTS_CLAUSES_MAX - 1_000;
    let many = StatusCode::BadTooManyMonitoredItems;
    assert_eq!(other.create(second, selecting(1)).await.map(|_| ()), Ok(()));
    let item = other.create(second, selecting(left - 1)).await.expect("just room enough");
    assert_eq!(other.create(second, selecting(1)).await, Err(many));
    assert_eq!(other.modify(second, item, selecting(left)).await, many);
    assert_eq!(other.modify(second, item, selecting(1)).await, StatusCode::Good, "less is always possible");
    bobs.create(third, selecting(500)).await.expect("another has room of his own");
}

#[tokio::test]
async fn a_deleted_subscription_leaves_no_item_behind() {
    let (url, pki, handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let bare = Bare::open(&client, &url, Login::Nobody).await;
    let id = NodeId::from(VariableId::Server_ServerStatus_State);
    let looked_at = || {
        let count = Cell::new(0);
        handle.subscriptions().maybe_notify(std::iter::once((&id, AttributeId::Value)), |_, _, _, _| {
            count.set(count.get() + 1);
            None
        });
        count.get()
    };
    let subscription = bare.subscribe().await;
    bare.create(subscription, MonitoredItemCreateRequest::from(id.clone())).await.expect("an item");
    assert_eq!(looked_at(), 1);
    let delete = DeleteSubscriptionsRequest {
        request_header: header(&bare.session),
        subscription_ids: Some(vec![subscription]),
    };
    let done = bare.send(delete).await;
    assert!(matches!(done, ResponseMessage::DeleteSubscriptions(_)), "{done:?}");
    assert_eq!(looked_at(), 0);
}

#[tokio::test]
async fn who_leaves_most_subscriptions_behind_loses_the_first_of_them() {
    let (url, pki, handle) = serve_and_look(Arc::new(Few::default())).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let day = 86_400_000.0;
    let (of_ann, _) = left_behind(&client, &url, Login::User("ann"), day).await;
    let mut of_bob = Vec::new();
    for _ in 0..2 * LEFT_MAX {
        of_bob.push(left_behind(&client, &url, Login::User("bob"), day).await.0);
    }
    let left = of_bob.split_off(of_bob.len() + 1 - LEFT_MAX);
    for first in of_bob {
        forgotten(&handle, first).await;
    }
    for one in std::iter::once(of_ann).chain(left) {
        assert!(handle.subscriptions().get_session_subscriptions(one).is_some(), "{one}");
    }
}
