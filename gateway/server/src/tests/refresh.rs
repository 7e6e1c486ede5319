//! ConditionRefresh: exact, to the one who asks, and no faster than it is read.

use std::collections::BTreeMap;
use std::time::Duration;

use opcua::client::IdentityToken;
use opcua::types::{
    ByteString, ContentFilter, ContentFilterBuilder, Identifier, MethodId, NodeId, ObjectTypeId, Operand, StatusCode,
    Variant,
};
use watchfire_alarms::ConditionDef;
use watchfire_model::Level;

use super::client::{Events, Hmi, clause, server};
use super::house::{House, guarded, key, odd, oil_high, open};
use crate::names::own;

const REFRESH: MethodId = MethodId::ConditionType_ConditionRefresh;
const REFRESH_ITEM: MethodId = MethodId::ConditionType_ConditionRefresh2;
const FIELDS: [&str; 5] = ["EventType", "ConditionId", "EventId", "Time", "Retain"];

fn condition_type() -> NodeId {
    ObjectTypeId::ConditionType.into()
}

async fn refresh(hmi: &Hmi, subscription: u32) -> StatusCode {
    hmi.call(condition_type(), REFRESH, vec![subscription.into()]).await
}

/// Ten alarms, of which the even ones are active.
async fn ten() -> House {
    ten_of(House::open().await)
}

fn ten_of(house: House) -> House {
    for at in 0..10 {
        let key = key(&format!("watch/odd/{at}"));
        house.define(ConditionDef { key: key.clone(), ..odd() });
        if at % 2 == 0 {
            house.find(&key, Level::Active, "odd", Vec::new());
        }
    }
    house
}

async fn expect_list(house: &House, events: &mut Events, numbers: &[usize]) {
    let kind = |kind: ObjectTypeId| Variant::from(NodeId::from(kind));
    assert_eq!(*events.next().await.get("EventType"), kind(ObjectTypeId::RefreshStartEventType));
    for number in numbers {
        let event = events.next().await;
        let key = key(&format!("watch/odd/{number}"));
        let state = house.state(&key);
        assert_eq!(*event.get("ConditionId"), own(&format!("watch/odd/{number}")).into());
        let id = ByteString::from(state.event_id(&key).bytes().to_vec());
        assert_eq!(*event.get("EventId"), id.into(), "the one it had");
        assert_eq!(*event.get("Time"), watchfire_ua::date_time_from_instant(state.time).0.into());
        assert_eq!(*event.get("Retain"), true.into());
    }
    assert_eq!(*events.next().await.get("EventType"), kind(ObjectTypeId::RefreshEndEventType));
}

/// Waits until the server has taken over all states.
async fn settled(house: &House, hmi: &Hmi) {
    let mut events = hmi.subscribe(server(), &["ConditionId"], ContentFilter::default()).await;
    house.define(oil_high());
    house.raise(&key("hot/high/press/oil"));
    while *events.next().await.get("ConditionId") != own("hot/high/press/oil").into() {}
    house.find(&key("hot/high/press/oil"), Level::Normal, "well", Vec::new());
    events.next().await;
    let raised = house.state(&key("hot/high/press/oil")).event_id(&key("hot/high/press/oil"));
    for method in [MethodId::AcknowledgeableConditionType_Acknowledge, MethodId::AcknowledgeableConditionType_Confirm] {
        let id = ByteString::from(raised.bytes().to_vec());
        let status = hmi.call(own("hot/high/press/oil"), method, vec![id.into(), Variant::Empty]).await;
        assert_eq!(status, StatusCode::Good);
        events.next().await;
    }
}

#[tokio::test]
async fn p9_5_5_7_the_list_comes_whole_and_exact_to_the_one_who_asks() {
    let house = ten().await;
    let hmi = Hmi::connect(&house.url).await;
    settled(&house, &hmi).await;
    let mut asking = hmi.subscribe(server(), &FIELDS, ContentFilter::default()).await;
    let mut silent = hmi.subscribe(server(), &FIELDS, ContentFilter::default()).await;
    assert_eq!(refresh(&hmi, asking.subscription).await, StatusCode::Good);
    expect_list(&house, &mut asking, &[0, 2, 4, 6, 8]).await;
    assert_eq!(refresh(&hmi, asking.subscription).await, StatusCode::Good, "and again");
    expect_list(&house, &mut asking, &[0, 2, 4, 6, 8]).await;
    house.find(&key("watch/odd/1"), Level::Active, "odd", Vec::new());
    for events in [&mut asking, &mut silent] {
        assert_eq!(*events.next().await.get("ConditionId"), own("watch/odd/1").into());
        assert!(events.is_empty());
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_11_2_and_5_11_3_the_markers_pass_a_filter_that_lets_nothing_through() {
    let house = ten().await;
    let hmi = Hmi::connect(&house.url).await;
    settled(&house, &hmi).await;
    let only_one = ContentFilterBuilder::new()
        .eq(Operand::from(clause("ConditionId")), Operand::literal(own("watch/odd/4")))
        .build();
    let mut events = hmi.subscribe(server(), &FIELDS, only_one).await;
    assert_eq!(refresh(&hmi, events.subscription).await, StatusCode::Good);
    expect_list(&house, &mut events, &[4]).await;
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_5_8_one_item_is_refreshed_alone_and_with_what_it_watches() {
    let house = ten().await;
    let hmi = Hmi::connect(&house.url).await;
    settled(&house, &hmi).await;
    let mut events = hmi.subscribe(own("area:Hall/Empty"), &FIELDS, ContentFilter::default()).await;
    let (other, _) =
        hmi.monitor_events(events.subscription, own("area:Hall"), &FIELDS, ContentFilter::default(), 0).await;
    let (subscription, item) = (events.subscription, events.item);
    let refresh_item = |item: u32| hmi.call(condition_type(), REFRESH_ITEM, vec![subscription.into(), item.into()]);
    assert_eq!(refresh_item(item).await, StatusCode::Good);
    expect_list(&house, &mut events, &[]).await;
    assert_eq!(refresh_item(other).await, StatusCode::Good);
    expect_list(&house, &mut events, &[0, 2, 4, 6, 8]).await;
    assert_eq!(refresh_item(999_999).await, StatusCode::BadMonitoredItemIdInvalid);
    assert!(events.is_empty());
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_list_longer_than_the_queue_is_paced() {
    let house = ten().await;
    let hmi = Hmi::connect(&house.url).await;
    settled(&house, &hmi).await;
    let mut events = hmi.subscribe_with(server(), &FIELDS, ContentFilter::default(), 2, false).await;
    assert_eq!(refresh(&hmi, events.subscription).await, StatusCode::Good);
    assert_eq!(refresh(&hmi, events.subscription).await, StatusCode::BadRefreshInProgress);
    hmi.session.set_publishing_mode(&[events.subscription], true).await.unwrap();
    expect_list(&house, &mut events, &[0, 2, 4, 6, 8]).await;
    hmi.close().await;
    house.close().await;
}

/// Refreshes two items that are not read as yet, and reads what comes: all that is told is there, twice, and nothing is lost.
async fn expect_whole(house: &House, names: impl Fn(usize) -> String, alarms: usize, fields: &[&'static str]) {
    const ITEMS: usize = 2;
    let hmi = Hmi::connect(&house.url).await;
    settled(house, &hmi).await;
    let mut events = hmi.subscribe_with(server(), fields, ContentFilter::default(), 0, false).await;
    hmi.monitor_events(events.subscription, server(), fields, ContentFilter::default(), 0).await;
    assert_eq!(refresh(&hmi, events.subscription).await, StatusCode::Good);
    hmi.session.set_publishing_mode(&[events.subscription], true).await.unwrap();
    let kind = |kind: ObjectTypeId| Variant::from(NodeId::from(kind));
    let lost = [ObjectTypeId::EventQueueOverflowEventType, ObjectTypeId::RefreshRequiredEventType].map(kind);
    let (mut ends, mut told) = (0, BTreeMap::<String, usize>::new());
    while ends < ITEMS {
        let event = events.next().await;
        assert!(!lost.contains(event.get("EventType")), "after {} alarms", told.len());
        ends += usize::from(*event.get("EventType") == kind(ObjectTypeId::RefreshEndEventType));
        *told.entry(event.text("ConditionId")).or_default() += 1;
    }
    for at in 0..alarms {
        let name = own(&names(at)).to_string();
        assert_eq!(told.get(&name), Some(&ITEMS), "{name}");
    }
    hmi.close().await;
}

#[tokio::test]
async fn a_list_of_more_bytes_than_may_wait_is_paced_and_comes_whole() {
    const ALARMS: usize = 500;
    // Long texts instead of many alarms: 90 MB, of which 64 MiB may wait.
    let long = "x".repeat(30_000);
    let house = ten().await;
    let name = |at: usize| format!("watch/long/{at}");
    for at in 0..ALARMS {
        let key = key(&name(at));
        house.define(ConditionDef { key: key.clone(), ..odd() });
        house.find(&key, Level::Active, &long, Vec::new());
    }
    expect_whole(&house, name, ALARMS, &["EventType", "ConditionId", "Message", "Message", "Message"]).await;
    house.close().await;
}

#[tokio::test]
async fn twenty_thousand_alarms_come_whole_to_two_items_of_sixty_fields() {
    const ALARMS: usize = 20_000;
    let house = ten().await;
    let name = |at: usize| format!("watch/many/{at}");
    for at in 0..ALARMS {
        let key = key(&name(at));
        house.define(ConditionDef { key: key.clone(), ..odd() });
        house.find(&key, Level::Active, "one of twenty thousand", Vec::new());
    }
    let fields: Vec<&'static str> = FIELDS.into_iter().cycle().take(60).collect();
    expect_whole(&house, name, ALARMS, &fields).await;
    house.close().await;
}

#[tokio::test]
async fn a_list_that_fits_only_an_empty_queue_waits_for_what_is_queued() {
    let house = ten().await;
    let hmi = Hmi::connect(&house.url).await;
    settled(&house, &hmi).await;
    let mut told = hmi.subscribe(server(), &FIELDS, ContentFilter::default()).await;
    let mut events = hmi.subscribe_with(server(), &FIELDS, ContentFilter::default(), 12, false).await;
    let queued = [1, 3, 5, 7, 9];
    for odd in queued {
        house.find(&key(&format!("watch/odd/{odd}")), Level::Active, "odd", Vec::new());
        told.next().await;
    }
    assert_eq!(refresh(&hmi, events.subscription).await, StatusCode::Good);
    hmi.session.set_publishing_mode(&[events.subscription], true).await.unwrap();
    for odd in queued {
        let event = events.next().await;
        assert_eq!(*event.get("ConditionId"), own(&format!("watch/odd/{odd}")).into(), "nothing of it is lost");
    }
    expect_list(&house, &mut events, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).await;
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_11_4_an_overflow_is_announced_and_a_refresh_asked_for() {
    let house = ten().await;
    let hmi = Hmi::connect(&house.url).await;
    settled(&house, &hmi).await;
    let kind = |kind: ObjectTypeId| Variant::from(NodeId::from(kind));
    let mut silent = Vec::new();
    for notifier in [server(), own("area:Hall")] {
        silent.push(hmi.subscribe_with(notifier, &FIELDS, ContentFilter::default(), 2, false).await);
    }
    let mut told = hmi.subscribe(server(), &FIELDS, ContentFilter::default()).await;
    for odd in [1, 3, 5, 7, 9] {
        house.find(&key(&format!("watch/odd/{odd}")), Level::Active, "odd", Vec::new());
        told.next().await;
    }
    for events in &mut silent {
        hmi.session.set_publishing_mode(&[events.subscription], true).await.unwrap();
        assert_eq!(*events.next().await.get("EventType"), kind(ObjectTypeId::EventQueueOverflowEventType));
        for left in [7, 9] {
            assert_eq!(*events.next().await.get("ConditionId"), own(&format!("watch/odd/{left}")).into());
        }
        assert_eq!(*events.next().await.get("EventType"), kind(ObjectTypeId::RefreshRequiredEventType));
        assert_eq!(refresh(&hmi, events.subscription).await, StatusCode::Good);
        expect_list(&house, events, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).await;
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn whoever_does_not_read_a_list_is_waited_for_once() {
    let (shared, house) = House::with_patience(open(), Duration::from_millis(200)).await;
    let house = ten_of(house);
    let hmi = Hmi::connect(&house.url).await;
    settled(&house, &hmi).await;
    let mut events = hmi.subscribe_with(server(), &FIELDS, ContentFilter::default(), 2, false).await;
    assert_eq!(refresh(&hmi, events.subscription).await, StatusCode::Good);
    assert_eq!(shared.refreshing.looks_in_all().await, 10, "200 ms for a list of five, one at a time");
    hmi.session.set_publishing_mode(&[events.subscription], true).await.unwrap();
    let overflow = Variant::from(NodeId::from(ObjectTypeId::EventQueueOverflowEventType));
    assert_eq!(*events.next().await.get("EventType"), overflow, "it is told that the list is not whole");
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_list_that_is_being_read_goes_on_where_its_subscription_has_moved() {
    let (shared, house) = House::with_patience(guarded(), Duration::from_secs(2)).await;
    let house = ten_of(house);
    let sue = || Hmi::log_in(&house.url, IdentityToken::UserName("sue".into(), "oil".to_owned().into()));
    let (hmi, other) = (sue().await.unwrap(), sue().await.unwrap());
    settled(&house, &hmi).await;
    let events = hmi.subscribe_with(server(), &FIELDS, ContentFilter::default(), 2, false).await;
    assert_eq!(refresh(&hmi, events.subscription).await, StatusCode::Good);
    // The first marker is there, and the rest waits for the client.
    let moved = other.session.transfer_subscriptions(&[events.subscription], false).await.unwrap();
    assert_eq!(moved[0].status_code, StatusCode::Good);
    shared.refreshing.looks_in_all().await;
    let Identifier::Numeric(session) = other.session.server_session_id().identifier else { panic!("a number") };
    let session = house.editor.subscriptions.get_session_subscriptions(session).unwrap();
    let queued = session.lock().get(events.subscription).unwrap().get(&events.item).unwrap().queued();
    assert_eq!(queued, 2, "the end of the list is there");
    hmi.close().await;
    other.close().await;
    house.close().await;
}

#[tokio::test]
async fn what_cannot_be_refreshed_is_refused() {
    use StatusCode as S;
    let house = ten().await;
    let hmi = Hmi::connect(&house.url).await;
    let other = Hmi::connect(&house.url).await;
    let events = hmi.subscribe(server(), &FIELDS, ContentFilter::default()).await;
    let others = other.subscribe(server(), &FIELDS, ContentFilter::default()).await;
    let values = hmi.watch(&[own("area:Hall#ActiveCount")]).await;
    let mine: Variant = events.subscription.into();
    let cases: Vec<(NodeId, MethodId, Vec<Variant>, StatusCode)> = vec![
        (condition_type(), REFRESH, Vec::new(), S::BadArgumentsMissing),
        (condition_type(), REFRESH, vec![mine.clone(), 1_u32.into()], S::BadTooManyArguments),
        (condition_type(), REFRESH_ITEM, vec![mine.clone()], S::BadArgumentsMissing),
        (condition_type(), REFRESH, vec!["one".into()], S::BadInvalidArgument),
        (condition_type(), REFRESH, vec![987_654_u32.into()], S::BadSubscriptionIdInvalid),
        (condition_type(), REFRESH, vec![others.subscription.into()], S::BadUserAccessDenied),
        (condition_type(), REFRESH, vec![values.subscription.into()], S::BadNothingToDo),
        (condition_type(), REFRESH_ITEM, vec![mine.clone(), 0_u32.into()], S::BadMonitoredItemIdInvalid),
        (ObjectTypeId::AlarmConditionType.into(), REFRESH, vec![mine.clone()], S::BadNodeIdInvalid),
        (own("watch/odd/1"), REFRESH, vec![mine.clone()], S::BadMethodInvalid),
        (own("no/such"), REFRESH, vec![mine], S::BadNodeIdUnknown),
    ];
    for (at, (object, method, arguments, status)) in cases.into_iter().enumerate() {
        assert_eq!(hmi.call(object.clone(), method, arguments).await, status, "case {at}: {object} {method:?}");
    }
    other.close().await;
    hmi.close().await;
    house.close().await;
}
