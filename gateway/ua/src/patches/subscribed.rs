//! How long subscriptions live, what their items report and when, and what cannot be asked of them. What is told stands for
//! what an application tells; sessions are bare, so that nothing is asked for but what a test asks for.

use super::kept::{Bare, message_and_type, tell};
use super::sessions::{
    CLIENTS_ITEMS_MAX, ITEMS_OF_CALL, LINKS_OF_ITEM, LINKS_OF_SESSION, Login, connect, event_item, header,
    serve_and_look,
};
use opcua::client::Session;
use opcua::core::ResponseMessage;
use opcua::server::ServerHandle;
use opcua::types::{
    ActivateSessionRequest, AttributeId, CreateSubscriptionRequest, DataChangeFilter, DataChangeNotification,
    DataValue, ExtensionObject, MonitoredItemCreateRequest, MonitoringMode, NodeId, NotificationMessage, ObjectId,
    PublishRequest, SetMonitoringModeRequest, SetTriggeringRequest, StatusChangeNotification, StatusCode,
    TransferSubscriptionsRequest, VariableId,
};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

const WAIT_MAX: Duration = Duration::from_secs(60);

/// A server, a client whose channel is used, and what they need.
struct Rig {
    url: String,
    handle: ServerHandle,
    client: Arc<Session>,
    _pki: tempfile::TempDir,
}

impl Rig {
    async fn new() -> Self {
        let (url, pki, handle) = serve_and_look(Arc::default()).await;
        let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
        Self { url, handle, client, _pki: pki }
    }

    async fn open(&self, login: Login) -> Bare {
        Bare::open(&self.client, &self.url, login).await
    }

    /// Tells a value of the node that [`value_item`] watches.
    fn tell(&self, value: i32, status: StatusCode) {
        let value = DataValue { status: Some(status), ..DataValue::new_now(value) };
        self.handle.subscriptions().notify_data_change(std::iter::once((value, &node(), AttributeId::Value)));
    }

    /// How many items there are for the node.
    fn items(&self) -> usize {
        let count = Cell::new(0);
        self.handle.subscriptions().maybe_notify(std::iter::once((&node(), AttributeId::Value)), |_, _, _, _| {
            count.set(count.get() + 1);
            None
        });
        count.get()
    }
}

/// Nobody but the tests tells its value.
fn node() -> NodeId {
    VariableId::Server_ServerStatus_ShutdownReason.into()
}

fn value_item(mode: MonitoringMode) -> MonitoredItemCreateRequest {
    let mut item = MonitoredItemCreateRequest::from(node());
    item.monitoring_mode = mode;
    item.requested_parameters.queue_size = 10;
    item.requested_parameters.discard_oldest = true;
    item
}

impl Bare {
    /// A subscription with these counts and ten milliseconds.
    async fn subscribe_for(&self, keep_alive: u32, lifetime: u32) -> u32 {
        let subscribe = CreateSubscriptionRequest {
            request_header: header(&self.session),
            requested_publishing_interval: 10.0,
            requested_max_keep_alive_count: keep_alive,
            requested_lifetime_count: lifetime,
            publishing_enabled: true,
            ..CreateSubscriptionRequest::default()
        };
        match self.send(subscribe).await {
            ResponseMessage::CreateSubscription(created) => created.subscription_id,
            other => panic!("{other:?}"),
        }
    }

    async fn message(&self) -> NotificationMessage {
        let publish = PublishRequest { request_header: header(&self.session), subscription_acknowledgements: None };
        match self.send(publish).await {
            ResponseMessage::Publish(published) => published.notification_message,
            other => panic!("{other:?}"),
        }
    }

    /// The values of the next message that has some.
    async fn values(&self) -> Vec<DataValue> {
        loop {
            let message = self.message().await;
            let data = message.notification_data.unwrap_or_default();
            let lists = data.iter().filter_map(|data| data.inner_as::<DataChangeNotification>());
            let items = lists.flat_map(|list| list.monitored_items.iter().flatten());
            let values: Vec<_> = items.map(|item| item.value.clone()).collect();
            if !values.is_empty() {
                return values;
            }
        }
    }

    async fn set_mode(&self, subscription_id: u32, item: u32, monitoring_mode: MonitoringMode) {
        let set = SetMonitoringModeRequest {
            request_header: header(&self.session),
            subscription_id,
            monitoring_mode,
            monitored_item_ids: Some(vec![item]),
        };
        match self.send(set).await {
            ResponseMessage::SetMonitoringMode(done) => assert_eq!(done.results, Some(vec![StatusCode::Good])),
            other => panic!("{other:?}"),
        }
    }

    /// What becomes of each link, or of the request.
    async fn link(&self, subscription_id: u32, item: u32, to: &[u32]) -> Result<Vec<StatusCode>, StatusCode> {
        let set = SetTriggeringRequest {
            request_header: header(&self.session),
            subscription_id,
            triggering_item_id: item,
            links_to_add: Some(to.to_vec()),
            links_to_remove: None,
        };
        match self.send(set).await {
            ResponseMessage::SetTriggering(done) => Ok(done.add_results.unwrap_or_default()),
            ResponseMessage::ServiceFault(fault) => Err(fault.response_header.service_result),
            other => panic!("{other:?}"),
        }
    }

    /// Goes on as somebody else.
    async fn become_another(&self, login: Login) {
        let activate = ActivateSessionRequest {
            request_header: header(&self.session),
            user_identity_token: login.token(),
            ..ActivateSessionRequest::default()
        };
        let done = self.send(activate).await;
        assert!(matches!(done, ResponseMessage::ActivateSession(_)), "{done:?}");
    }
}

async fn eventually(what: impl Fn() -> bool) {
    let holds = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, holds).await.expect("it comes to be so");
}

#[tokio::test]
async fn a_quiet_subscription_lives_from_request_to_request() {
    let rig = Rig::new().await;
    let bare = rig.open(Login::Nobody).await;
    // Five seconds without a request end it; it is silent for longer than that.
    let subscription = bare.subscribe_for(50, 500).await;
    bare.create(subscription, event_item(message_and_type())).await.expect("an item");
    for _ in 0..13 {
        assert_eq!(bare.message().await.notification_data, None);
    }
    tell(&rig.handle, 0..1);
    bare.late(&rig.handle, subscription).await;
    // A few intervals go by, as another sees.
    let other = rig.open(Login::Nobody).await;
    other.subscribe_for(5, 10_000).await;
    for _ in 0..4 {
        other.message().await;
    }
    assert_eq!(bare.publish().await, ["0"]);
}

#[tokio::test]
async fn what_expires_while_its_session_is_open_leaves_no_item_behind_and_takes_none() {
    let rig = Rig::new().await;
    let bare = rig.open(Login::Nobody).await;
    let subscription = bare.subscribe_for(100, 300).await;
    bare.create(subscription, value_item(MonitoringMode::Reporting)).await.expect("an item");
    assert_eq!(rig.items(), 1);
    eventually(|| rig.items() == 0).await;
    let late = bare.create(subscription, value_item(MonitoringMode::Reporting)).await;
    assert_eq!(late, Err(StatusCode::BadSubscriptionIdInvalid));
    let data = bare.message().await.notification_data.expect("its end");
    let ended = data[0].inner_as::<StatusChangeNotification>().expect("a change of status");
    assert_eq!(ended.status, StatusCode::BadTimeout);
    assert_eq!(rig.items(), 0);
}

#[tokio::test]
async fn what_is_sampled_and_not_reported_keeps_no_keep_alive_back() {
    let rig = Rig::new().await;
    let bare = rig.open(Login::Nobody).await;
    let subscription = bare.subscribe_for(20, 10_000).await;
    bare.create(subscription, value_item(MonitoringMode::Sampling)).await.expect("an item");
    let told = async {
        for value in 0.. {
            rig.tell(value, StatusCode::Good);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let kept_alive = async {
        for _ in 0..5 {
            assert_eq!(bare.message().await.notification_data, None);
        }
    };
    tokio::select! {
        () = told => unreachable!("there are more numbers"),
        () = kept_alive => {}
    }
}

#[tokio::test]
async fn no_keep_alive_comes_before_an_event_that_is_there() {
    let rig = Rig::new().await;
    let bare = rig.open(Login::Nobody).await;
    let (first, second) = (bare.subscribe_with(200).await, bare.subscribe_with(1).await);
    bare.create(second, event_item(message_and_type())).await.expect("an item");
    for subscription in [first, second] {
        bare.late(&rig.handle, subscription).await;
    }
    // One request for two that wait for one.
    assert_eq!(bare.publish_any().await, (first, Vec::new()));
    tell(&rig.handle, 0..1);
    bare.late(&rig.handle, second).await;
    assert_eq!(bare.publish_any().await, (second, vec!["0".to_owned()]));
}

#[tokio::test]
async fn of_equal_subscriptions_the_one_that_has_waited_longest_is_served() {
    let rig = Rig::new().await;
    let bare = rig.open(Login::Nobody).await;
    let mut subscriptions = Vec::new();
    for _ in 0..4 {
        let subscription = bare.subscribe().await;
        bare.create(subscription, event_item(message_and_type())).await.expect("an item");
        subscriptions.push(subscription);
    }
    let mut served = Vec::new();
    for round in 0..8 {
        tell(&rig.handle, round..round + 1);
        for subscription in &subscriptions {
            bare.late(&rig.handle, *subscription).await;
        }
        // It is late again with the next event.
        served.push(bare.publish_any().await.0);
    }
    assert_eq!(served, subscriptions.repeat(2));
}

#[tokio::test]
async fn subscriptions_belong_to_whoever_has_their_session_now() {
    let rig = Rig::new().await;
    let one = rig.open(Login::User("ann")).await;
    let subscription = one.subscribe().await;
    one.become_another(Login::User("bob")).await;
    let (ann, bob) = (rig.open(Login::User("ann")).await, rig.open(Login::User("bob")).await);
    assert_eq!(ann.transfer(subscription).await, StatusCode::BadUserAccessDenied);
    assert_eq!(bob.transfer(subscription).await, StatusCode::Good);
}

#[tokio::test]
async fn a_change_of_status_alone_is_reported() {
    let rig = Rig::new().await;
    let bare = rig.open(Login::Nobody).await;
    let subscription = bare.subscribe().await;
    bare.create(subscription, value_item(MonitoringMode::Reporting)).await.expect("an item");
    bare.values().await;
    let missing = StatusCode::Good.set_overflow(true);
    let told = [
        (StatusCode::Good, true),
        (StatusCode::Good, false),
        (StatusCode::UncertainLastUsableValue, true),
        (StatusCode::BadNoCommunication, true),
        (StatusCode::BadConditionDisabled, true),
        (StatusCode::Good, true),
        // Values before it are missing.
        (missing, true),
        (StatusCode::Good, false),
    ];
    told.iter().for_each(|(status, _)| rig.tell(1, *status));
    rig.tell(2, StatusCode::Good);
    let mut seen = Vec::new();
    while seen.len() < 7 {
        seen.extend(bare.values().await.into_iter().map(|value| value.status()));
    }
    let changes = told.iter().filter(|(_, is)| *is).map(|(status, _)| *status);
    assert_eq!(seen, changes.chain([StatusCode::Good]).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_item_that_was_disabled_has_nothing_left_and_reports_its_first_sample() {
    let rig = Rig::new().await;
    let bare = rig.open(Login::Nobody).await;
    let subscription = bare.subscribe().await;
    let item = bare.create(subscription, value_item(MonitoringMode::Reporting)).await.expect("an item");
    rig.tell(1, StatusCode::Good);
    rig.tell(2, StatusCode::Good);
    bare.set_mode(subscription, item, MonitoringMode::Disabled).await;
    rig.tell(3, StatusCode::Good);
    bare.set_mode(subscription, item, MonitoringMode::Reporting).await;
    rig.tell(2, StatusCode::Good);
    let values: Vec<_> = bare.values().await.into_iter().map(|value| value.value).collect();
    assert_eq!(values, [Some(2.into())]);
    // What was sampled is reported once it is to be.
    bare.set_mode(subscription, item, MonitoringMode::Sampling).await;
    rig.tell(4, StatusCode::Good);
    bare.set_mode(subscription, item, MonitoringMode::Reporting).await;
    let values: Vec<_> = bare.values().await.into_iter().map(|value| value.value).collect();
    assert_eq!(values, [Some(4.into())]);
}

#[tokio::test]
async fn what_is_sent_once_more_after_a_transfer_is_not_sent_twice_nor_with_times_that_nobody_asked_for() {
    let rig = Rig::new().await;
    let (one, other) = (rig.open(Login::User("ann")).await, rig.open(Login::User("ann")).await);
    // All that is there comes in one message.
    let subscription = one.subscribe_for(1_000, 10_000).await;
    let item = value_item(MonitoringMode::Reporting);
    one.create(subscription, item).await.expect("an item");
    one.values().await;
    rig.tell(1, StatusCode::Good);
    rig.tell(2, StatusCode::Good);
    let move_to = async |bare: &Bare| {
        let transfer = TransferSubscriptionsRequest {
            request_header: header(&bare.session),
            subscription_ids: Some(vec![subscription]),
            send_initial_values: true,
        };
        let done = bare.send(transfer).await;
        assert!(matches!(done, ResponseMessage::TransferSubscriptions(_)), "{done:?}");
    };
    move_to(&other).await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|value: &DataValue| value.value != Some(2.into())) {
        seen.extend(other.values().await);
    }
    // Nothing is queued now: the newest is sent again.
    move_to(&one).await;
    seen.extend(one.values().await);
    rig.tell(3, StatusCode::Good);
    seen.extend(one.values().await);
    assert!(seen.iter().all(|value| value.source_timestamp.is_none() && value.server_timestamp.is_none()), "{seen:?}");
    let values: Vec<_> = seen.into_iter().map(|value| value.value).collect();
    assert_eq!(values, [1, 2, 2, 3].map(|value| Some(value.into())));
}

#[tokio::test]
async fn links_from_item_to_item_have_an_end() {
    let rig = Rig::new().await;
    let bare = rig.open(Login::Nobody).await;
    let subscription = bare.subscribe().await;
    let mut items = Vec::new();
    for _ in 0..6 {
        items.push(bare.create(subscription, value_item(MonitoringMode::Sampling)).await.expect("an item"));
    }
    let (good, many) = (StatusCode::Good, StatusCode::BadTooManyMonitoredItems);
    assert_eq!(bare.link(subscription, items[0], &[]).await, Err(StatusCode::BadNothingToDo));
    let endless = vec![items[1]; ITEMS_OF_CALL + 1];
    assert_eq!(bare.link(subscription, items[0], &endless).await, Err(StatusCode::BadTooManyOperations));
    let answer = bare.link(subscription, items[0], &items[1..]).await.expect("an answer");
    assert_eq!(answer, [vec![good; LINKS_OF_ITEM], vec![many; 5 - LINKS_OF_ITEM]].concat());
    assert_eq!(bare.link(subscription, items[0], &items[1..2]).await, Ok(vec![good]), "it has that one");
    let answer = bare.link(subscription, items[1], &items[2..]).await.expect("an answer");
    let left = LINKS_OF_SESSION - LINKS_OF_ITEM;
    assert_eq!(answer, [vec![good; left], vec![many; 4 - left]].concat());
    bare.delete(subscription, items[0]).await;
    assert_eq!(bare.link(subscription, items[1], &items[4..5]).await, Ok(vec![good]), "there is room again");
}

#[tokio::test]
async fn the_items_of_a_client_have_an_end_however_many_sessions_it_opens() {
    let rig = Rig::new().await;
    let (one, other) = (rig.open(Login::User("ann")).await, rig.open(Login::User("ann")).await);
    let bob = rig.open(Login::User("bob")).await;
    let (first, second, bobs) = (one.subscribe().await, other.subscribe().await, bob.subscribe().await);
    let item = || value_item(MonitoringMode::Reporting);
    for _ in 1..CLIENTS_ITEMS_MAX {
        one.create(first, item()).await.expect("there is room");
    }
    let last = other.create(second, item()).await.expect("just room enough");
    let many = Err(StatusCode::BadTooManyMonitoredItems);
    assert_eq!((one.create(first, item()).await, other.create(second, item()).await), (many, many));
    bob.create(bobs, item()).await.expect("another has room of his own");
    other.delete(second, last).await;
    one.create(first, item()).await.expect("what was deleted made room");
}

#[tokio::test]
async fn a_filter_that_does_not_go_with_its_attribute_is_refused_also_later() {
    let rig = Rig::new().await;
    let bare = rig.open(Login::Nobody).await;
    let subscription = bare.subscribe().await;
    let with = |mut item: MonitoredItemCreateRequest, filter: ExtensionObject| {
        item.requested_parameters.filter = filter;
        item
    };
    let values = || value_item(MonitoringMode::Reporting);
    let events = || event_item(message_and_type());
    let of_values = || ExtensionObject::from_message(DataChangeFilter::default());
    let of_events = || ExtensionObject::from_message(message_and_type());
    let value_id = bare.create(subscription, values()).await.expect("an item");
    let event_id = bare.create(subscription, events()).await.expect("an item");
    assert_eq!(bare.modify(subscription, value_id, with(values(), of_values())).await, StatusCode::Good);
    for (id, item, status) in [
        (value_id, with(values(), of_events()), StatusCode::BadFilterNotAllowed),
        (event_id, with(events(), of_values()), StatusCode::BadFilterNotAllowed),
        (event_id, with(events(), ExtensionObject::null()), StatusCode::BadMonitoredItemFilterInvalid),
    ] {
        assert_eq!(bare.create(subscription, item.clone()).await, Err(status));
        assert_eq!(bare.modify(subscription, id, item).await, status);
    }
    let server = NodeId::from(ObjectId::Server);
    assert_ne!(server, node());
    tell(&rig.handle, 0..1);
    let mut told = Vec::new();
    while told.is_empty() {
        told = bare.publish().await;
    }
    assert_eq!(told, ["0"], "what was refused has changed nothing");
}
