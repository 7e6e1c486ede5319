//! What waits to be sent has an end in bytes, for one session and for all of them, and nobody loses anything in silence;
//! and a client that gives no hint is not told that it has waited for too long.

use super::kept::{Bare, message_and_type};
use super::select::Told;
use super::sessions::{Login, QUEUED_BYTES_MAX, QUEUED_BYTES_MAX_OF_ALL, connect, event_item, header, serve_and_look};
use opcua::core::ResponseMessage;
use opcua::nodes::Event;
use opcua::server::ServerHandle;
use opcua::types::{
    AttributeId, CreateSubscriptionRequest, DataChangeNotification, DataValue, DateTime, DeleteSubscriptionsRequest,
    Identifier, MonitoredItemCreateRequest, NodeId, ObjectId, PublishRequest, UAString, VariableId, Variant,
};
use std::ops::Range;
use std::sync::Arc;

/// Characters of a long text.
const LONG: usize = 9_000;
/// Longer than any queue gets.
const QUEUE: u32 = 1_000;

fn long(number: usize) -> String {
    format!("{number:05}{}", "x".repeat(LONG))
}

fn tell(handle: &ServerHandle, numbers: Range<usize>) {
    let events: Vec<Told> = numbers.map(|number| Told::alarm(&long(number))).collect();
    let source = NodeId::from(ObjectId::Server);
    handle.subscriptions().notify_events(events.iter().map(|event| (event as &dyn Event, &source)));
}

fn events() -> MonitoredItemCreateRequest {
    let mut item = event_item(message_and_type());
    item.requested_parameters.queue_size = QUEUE;
    item.requested_parameters.discard_oldest = true;
    item
}

/// How many notifications wait in the queues of a subscription.
fn queued(handle: &ServerHandle, bare: &Bare, subscription: u32) -> usize {
    let Identifier::Numeric(number) = bare.session.session_id.identifier else { panic!("{:?}", bare.session) };
    let session = handle.subscriptions().get_session_subscriptions(number).expect("a session with subscriptions");
    let session = session.lock();
    session.get(subscription).expect("its subscription").items().map(|item| item.queued()).sum()
}

/// The beginnings of the texts of so many messages of one event; `!` for an overflow.
async fn read(bare: &Bare, messages: usize) -> Vec<String> {
    let mut read = Vec::new();
    for _ in 0..messages {
        read.extend(bare.publish().await.into_iter().map(|text| text.chars().take(5).collect()));
    }
    read
}

#[tokio::test]
async fn what_waits_in_all_queues_of_a_session_has_an_end_in_bytes_and_what_is_lost_is_told() {
    const ITEMS: usize = 3;
    let (url, pki, handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let bare = Bare::open(&client, &url, Login::Nobody).await;
    let subscription = bare.subscribe().await;
    for _ in 0..ITEMS {
        bare.create(subscription, events()).await.expect("an item");
    }
    tell(&handle, 0..100);
    let waits = queued(&handle, &bare, subscription);
    assert!(waits * LONG <= QUEUED_BYTES_MAX, "{waits} events are too many");
    assert!(waits * (LONG + 1_000) >= QUEUED_BYTES_MAX - ITEMS * (LONG + 1_000), "{waits} events are too few");
    let told = read(&bare, waits + ITEMS).await;
    let count = |wanted: &str| told.iter().filter(|text| *text == wanted).count();
    assert_eq!((count("!"), count("00099")), (ITEMS, ITEMS), "{told:?}");
    assert_eq!(queued(&handle, &bare, subscription), 0);

    // What was read makes room again.
    tell(&handle, 100..102);
    let told = read(&bare, 2 * ITEMS).await;
    assert!(!told.contains(&"!".to_owned()) && told.len() == 2 * ITEMS, "{told:?}");
}

#[tokio::test]
async fn one_long_event_makes_as_many_short_ones_go_as_it_needs() {
    const LONGER: usize = 60_000;
    let (url, pki, handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let bare = Bare::open(&client, &url, Login::Nobody).await;
    let subscription = bare.subscribe().await;
    bare.create(subscription, events()).await.expect("an item");
    tell(&handle, 0..100);
    assert!(queued(&handle, &bare, subscription) > 10);
    let longer: Vec<Told> = (0..4).map(|number| Told::alarm(&number.to_string().repeat(LONGER))).collect();
    let source = NodeId::from(ObjectId::Server);
    handle.subscriptions().notify_events(longer.iter().map(|event| (event as &dyn Event, &source)));
    let waits = queued(&handle, &bare, subscription);
    assert!((4..=4 + (QUEUED_BYTES_MAX - 4 * LONGER) / LONG).contains(&waits), "{waits} events are too many");
    let told = read(&bare, 1 + waits).await;
    assert_eq!((told[0].as_str(), told[waits].as_str()), ("!", "33333"), "{told:?}");
}

#[tokio::test]
async fn no_value_takes_the_room_of_events() {
    let (url, pki, handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let bare = Bare::open(&client, &url, Login::Nobody).await;
    let (alarms, signals) = (bare.subscribe().await, bare.subscribe().await);
    bare.create(alarms, events()).await.expect("an item");
    let id = NodeId::from(VariableId::Server_ServerStatus_BuildInfo_ProductName);
    let mut item = MonitoredItemCreateRequest::from(id.clone());
    item.requested_parameters.queue_size = QUEUE;
    bare.create(signals, item).await.expect("an item");
    let at = |number: u16| DateTime::ymd_hms(2100, 1, 1, 0, number / 60, number % 60);
    let value = |number: u16| DataValue::new_at(UAString::from(long(number.into())), at(number));
    handle.subscriptions().notify_data_change((0..100).map(|number| (value(number), &id, AttributeId::Value)));
    tell(&handle, 0..20);
    assert_eq!(queued(&handle, &bare, alarms), 20);
}

#[tokio::test]
async fn messages_that_nobody_acknowledges_have_an_end_in_bytes() {
    let (url, pki, handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let bare = Bare::open(&client, &url, Login::Nobody).await;
    let subscription = bare.subscribe().await;
    bare.create(subscription, events()).await.expect("an item");
    let mut kept = 0;
    for number in 0..15 {
        tell(&handle, number..number + 1);
        let publish = PublishRequest { request_header: header(&bare.session), subscription_acknowledgements: None };
        let ResponseMessage::Publish(published) = bare.send(publish).await else { panic!("no message") };
        kept = published.available_sequence_numbers.unwrap_or_default().len();
    }
    assert!(kept > 1 && kept * LONG <= QUEUED_BYTES_MAX / 4, "{kept} messages are kept");
}

#[tokio::test]
async fn values_that_find_no_room_leave_the_mark_of_an_overflow() {
    let (url, pki, handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let bare = Bare::open(&client, &url, Login::Nobody).await;
    let subscription = bare.subscribe().await;
    let id = NodeId::from(VariableId::Server_ServerStatus_BuildInfo_ProductName);
    let mut item = MonitoredItemCreateRequest::from(id.clone());
    item.requested_parameters.queue_size = QUEUE;
    item.requested_parameters.discard_oldest = true;
    bare.create(subscription, item).await.expect("an item");
    // A second apart, so that each is a sample.
    let at = |number: u16| DateTime::ymd_hms(2100, 1, 1, 0, number / 60, number % 60);
    let value = |number: u16| DataValue::new_at(UAString::from(long(number.into())), at(number));
    handle.subscriptions().notify_data_change((0..100).map(|number| (value(number), &id, AttributeId::Value)));
    let waits = queued(&handle, &bare, subscription);
    assert!(waits * LONG <= QUEUED_BYTES_MAX && waits > 10, "{waits}");
    let mut told = Vec::new();
    while told.len() < waits {
        let publish = PublishRequest { request_header: header(&bare.session), subscription_acknowledgements: None };
        let ResponseMessage::Publish(published) = bare.send(publish).await else { panic!("no message") };
        let data = published.notification_message.notification_data.unwrap_or_default();
        let lists = data.iter().filter_map(|data| data.inner_as::<DataChangeNotification>());
        let values = lists.flat_map(|list| list.monitored_items.iter().flatten()).map(|item| item.value.clone());
        told.extend(values);
    }
    let overflows: Vec<bool> = told.iter().map(|value| value.status().overflow()).collect();
    assert!(overflows[0] && !overflows[1..].contains(&true), "{overflows:?}");
    let Some(Variant::String(last)) = told.last().and_then(|value| value.value.clone()) else { panic!("no text") };
    assert!(last.as_ref().starts_with("00099"), "the newest is there");
}

#[tokio::test]
async fn whoever_takes_all_the_memory_there_is_leaves_the_others_their_share() {
    let (url, pki, handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let mut greedy = Vec::new();
    for name in ["ann", "bob", "eve"] {
        let bare = Bare::open(&client, &url, Login::User(name)).await;
        let subscription = bare.subscribe().await;
        bare.create(subscription, events()).await.expect("an item");
        greedy.push((bare, subscription));
    }
    tell(&handle, 0..100);
    let all = || -> usize { greedy.iter().map(|(bare, subscription)| queued(&handle, bare, *subscription)).sum() };
    assert!(all() * LONG <= QUEUED_BYTES_MAX_OF_ALL, "{} events are too many", all());
    assert!(all() * (LONG + 1_000) >= QUEUED_BYTES_MAX_OF_ALL - 3 * (LONG + 1_000), "{} events are too few", all());

    let modest = Bare::open(&client, &url, Login::User("max")).await;
    let subscription = modest.subscribe().await;
    modest.create(subscription, events()).await.expect("an item");
    tell(&handle, 100..101);
    assert_eq!(read(&modest, 1).await, ["00100"]);
    tell(&handle, 101..102);
    assert_eq!(read(&modest, 1).await, ["00101"], "each time");

    // What is deleted makes room for others.
    let (ann, anns) = greedy.remove(0);
    let delete =
        DeleteSubscriptionsRequest { request_header: header(&ann.session), subscription_ids: Some(vec![anns]) };
    assert!(matches!(ann.send(delete).await, ResponseMessage::DeleteSubscriptions(_)));
    tell(&handle, 200..210);
    assert_eq!(queued(&handle, &modest, subscription), 10);
    assert_eq!(read(&modest, 10).await.first().map(String::as_str), Some("00200"), "nothing was lost");
}

#[tokio::test]
async fn messages_that_are_more_than_may_wait_are_not_dropped() {
    let (url, pki, handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let bare = Bare::open(&client, &url, Login::Nobody).await;
    let subscription = bare.subscribe().await;
    bare.create(subscription, events()).await.expect("an item");
    // A message has one event, and so many messages may wait (see `MAX_QUEUED`).
    let events: Vec<Told> = (0..MAX_QUEUED * 3).map(|number| Told::alarm(&format!("{number:05}"))).collect();
    let source = NodeId::from(ObjectId::Server);
    handle.subscriptions().notify_events(events.iter().map(|event| (event as &dyn Event, &source)));
    let told = read(&bare, MAX_QUEUED * 3).await;
    assert_eq!(told, (0..MAX_QUEUED * 3).map(|number| format!("{number:05}")).collect::<Vec<_>>());
}

/// As the stack has it.
const MAX_QUEUED: usize = 20;

#[tokio::test]
async fn a_publish_request_without_a_hint_waits_for_the_keep_alive() {
    let (url, pki, _handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let bare = Bare::open(&client, &url, Login::Nobody).await;
    let subscribe = CreateSubscriptionRequest {
        request_header: header(&bare.session),
        requested_publishing_interval: 10.0,
        requested_max_keep_alive_count: 20,
        requested_lifetime_count: 10_000,
        publishing_enabled: true,
        ..CreateSubscriptionRequest::default()
    };
    assert!(matches!(bare.send(subscribe).await, ResponseMessage::CreateSubscription(_)));
    for _ in 0..3 {
        let publish = PublishRequest { request_header: header(&bare.session), subscription_acknowledgements: None };
        match bare.send(publish).await {
            ResponseMessage::Publish(published) => assert!(published.notification_message.notification_data.is_none()),
            other => panic!("{other:?}"),
        }
    }
}
