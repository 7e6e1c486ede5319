//! What reaches an HMI as events.

use std::sync::Arc;

use opcua::client::services::Publish;
use opcua::client::{IdentityToken, UARequest};
use opcua::types::{
    ByteString, ContentFilter, ContentFilterBuilder, DateTime, EventNotificationList, NodeId, ObjectId, ObjectTypeId,
    Operand, SimpleAttributeOperand, StatusCode, Variant,
};
use watchfire_alarms::{ConditionDef, Group, Rules};
use watchfire_model::Level;
use watchfire_pipeline::ConditionView;

use super::client::{Hmi, clause, server};
use super::house::{House, NOON, guarded, key, odd, oil_evidence, oil_high};
use crate::names::own;

/// What HMIs select.
const FIELDS: [&str; 34] = [
    "EventId",
    "EventType",
    "SourceNode",
    "SourceName",
    "Time",
    "ReceiveTime",
    "Message",
    "Severity",
    "ConditionId",
    "ConditionName",
    "ConditionClassId",
    "ConditionClassName",
    "BranchId",
    "Retain",
    "EnabledState/Id",
    "ActiveState/Id",
    "ActiveState/TransitionTime",
    "ActiveState/EffectiveDisplayName",
    "AckedState/Id",
    "ConfirmedState/Id",
    "Comment",
    "Comment/SourceTimestamp",
    "ClientUserId",
    "Quality",
    "LastSeverity",
    "SuppressedOrShelved",
    "LimitState/CurrentState",
    "LimitState/CurrentState/Id",
    "HighLimit",
    "HighHighLimit",
    "InputNode",
    "ShelvingState/CurrentState/LastTransition",
    "NoSuchField",
    "+Score",
];

#[tokio::test]
async fn p9_5_5_2_an_alarm_reaches_an_hmi_with_every_field_it_reads() {
    let house = House::open().await;
    house.define(oil_high());
    let hmi = Hmi::connect(&house.url).await;
    let mut events = hmi.subscribe(server(), &FIELDS, ContentFilter::default()).await;
    house.raise(&key("hot/high/press/oil"));
    let event = events.next().await;
    let state = house.state(&key("hot/high/press/oil"));
    let noon: Variant = watchfire_ua::date_time_from_instant(NOON).0.into();
    let null = |id: NodeId| Variant::from(id);
    let expected: Vec<(&str, Variant)> = vec![
        ("EventId", ByteString::from(state.event_id(&key("hot/high/press/oil")).bytes().to_vec()).into()),
        ("EventType", NodeId::from(ObjectTypeId::ExclusiveLevelAlarmType).into()),
        ("SourceNode", own("signal:press/oil").into()),
        ("SourceName", "press/oil".into()),
        ("Time", noon.clone()),
        ("ReceiveTime", noon.clone()),
        ("Severity", 700_u16.into()),
        ("ConditionId", own("hot/high/press/oil").into()),
        ("ConditionName", "hot/high".into()),
        ("ConditionClassId", NodeId::from(ObjectTypeId::ProcessConditionClassType).into()),
        ("BranchId", null(NodeId::null())),
        ("Retain", true.into()),
        ("EnabledState/Id", true.into()),
        ("ActiveState/Id", true.into()),
        ("ActiveState/TransitionTime", noon.clone()),
        ("AckedState/Id", false.into()),
        ("ConfirmedState/Id", true.into()),
        ("Comment/SourceTimestamp", noon),
        ("ClientUserId", "".into()),
        ("Quality", StatusCode::Good.into()),
        ("LastSeverity", 700_u16.into()),
        ("SuppressedOrShelved", false.into()),
        ("LimitState/CurrentState/Id", NodeId::from(ObjectId::ExclusiveLimitStateMachineType_High).into()),
        ("HighLimit", 8.0.into()),
        ("HighHighLimit", Variant::Empty),
        ("InputNode", own("signal:press/oil").into()),
        ("ShelvingState/CurrentState/LastTransition", Variant::Empty),
        ("NoSuchField", Variant::Empty),
        ("+Score", 4.5.into()),
    ];
    for (field, value) in expected {
        assert_eq!(*event.get(field), value, "{field}");
    }
    assert_eq!(event.text("Message"), "too high (press/oil = 9.25, expected at most 8)");
    assert_eq!(event.text("ActiveState/EffectiveDisplayName"), "Active: High");
    assert_eq!(event.text("LimitState/CurrentState"), "High");
    assert!(!matches!(event.get("Time"), Variant::DateTime(time) if **time == DateTime::null()));

    house.find(&key("hot/high/press/oil"), Level::HighHigh, "press/oil is far too high", vec![oil_evidence()]);
    let event = events.next().await;
    assert_eq!(event.text("Message"), "press/oil is far too high", "a sentence that names the signal is left alone");
    assert_eq!((event.get("HighLimit"), event.get("HighHighLimit")), (&8.0.into(), &8.0.into()));
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_6_2_an_event_is_seen_once_at_every_level_and_nowhere_else() {
    let house = House::open().await;
    house.define(oil_high());
    house.define(odd());
    let hmi = Hmi::connect(&house.url).await;
    let all = ContentFilter::default;
    let fields = ["ConditionId", "EventId"];
    let mut at_server = hmi.subscribe(server(), &fields, all()).await;
    let mut at_hall = hmi.subscribe(own("area:Hall"), &fields, all()).await;
    let mut at_press = hmi.subscribe(own("area:Hall/Press"), &fields, all()).await;
    let mut at_source = hmi.subscribe(own("source:watch"), &fields, all()).await;
    let mut at_empty = hmi.subscribe(own("area:Hall/Empty"), &fields, all()).await;
    house.find(&key("watch/odd"), Level::Active, "odd", Vec::new());
    house.raise(&key("hot/high/press/oil"));
    house.find(&key("watch/odd"), Level::Normal, "as ever", Vec::new());
    let (odd, oil) = (Variant::from(own("watch/odd")), Variant::from(own("hot/high/press/oil")));
    for (events, expected) in [
        (&mut at_server, vec![&odd, &oil, &odd]),
        (&mut at_hall, vec![&odd, &oil, &odd]),
        (&mut at_press, vec![&odd, &oil, &odd]),
        (&mut at_source, vec![&odd, &odd]),
    ] {
        for condition in expected {
            assert_eq!(events.next().await.get("ConditionId"), condition);
        }
        assert!(events.is_empty());
    }
    assert!(at_empty.is_empty());
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p4_7_22_3_filters_know_our_types_and_values() {
    let house = House::open().await;
    house.define(oil_high());
    house.define(odd());
    let hmi = Hmi::connect(&house.url).await;
    let operand = |field: &str| Operand::from(clause(field));
    let ours = own("StatisticalAlarmType");
    let filters = [
        ContentFilterBuilder::new().of_type(Operand::literal(ours.clone())).build(),
        ContentFilterBuilder::new().eq(operand("EventType"), Operand::literal(ours.clone())).build(),
        ContentFilterBuilder::new().eq(operand("SourceName"), Operand::literal("watch")).build(),
        ContentFilterBuilder::new().eq(operand("ConditionId"), Operand::literal(own("watch/odd"))).build(),
        ContentFilterBuilder::new().lt(operand("Severity"), Operand::literal(500_u16)).build(),
        ContentFilterBuilder::new().in_list(operand("EventType"), vec![Operand::literal(ours)]).build(),
    ];
    let mut only_odd = Vec::new();
    for filter in filters {
        only_odd.push(hmi.subscribe(server(), &["ConditionId"], filter).await);
    }
    let of_all_alarms =
        ContentFilterBuilder::new().of_type(Operand::literal(NodeId::from(ObjectTypeId::AlarmConditionType))).build();
    let mut all = hmi.subscribe(server(), &["ConditionId"], of_all_alarms).await;
    house.raise(&key("hot/high/press/oil"));
    house.find(&key("watch/odd"), Level::Active, "odd", Vec::new());
    for events in &mut only_odd {
        assert_eq!(*events.next().await.get("ConditionId"), own("watch/odd").into());
        assert!(events.is_empty());
    }
    assert_eq!(*all.next().await.get("ConditionId"), own("hot/high/press/oil").into());
    assert_eq!(*all.next().await.get("ConditionId"), own("watch/odd").into());
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_client_is_told_which_of_its_clauses_mean_nothing() {
    let house = House::open().await;
    house.define(odd());
    let hmi = Hmi::connect(&house.url).await;
    // A name after an `@` is asked of AlarmConditionType, where it must exist.
    let fields = ["@NoSuchField", "ConditionId", "@ActiveState/Id", "@AudibleSound", "Message"];
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    let good = StatusCode::Good;
    assert_eq!(events.clause_results, vec![StatusCode::BadNodeIdUnknown, good, good, good, good]);
    house.find(&key("watch/odd"), Level::Active, "odd", Vec::new());
    let event = events.next().await;
    assert_eq!(*event.get("@NoSuchField"), Variant::Empty);
    assert_eq!(*event.get("ConditionId"), own("watch/odd").into());
    assert_eq!(*event.get("@ActiveState/Id"), true.into());
    assert_eq!(*event.get("@AudibleSound"), Variant::Empty);
    assert_eq!(event.text("Message"), "odd");
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p4_7_22_3_fields_of_our_own_are_found_by_every_type_of_an_alarm() {
    use ObjectTypeId as T;
    let house = House::open().await;
    let group = Some(Group { name: "cooling".into(), first_only: false });
    let rules = Rules { group, cause: "a leak".into(), ..Rules::default() };
    house.define(ConditionDef { rules: Arc::new(rules), ..oil_high() });
    house.define(ConditionDef { response: "look at it".into(), ..odd() });
    let hmi = Hmi::connect(&house.url).await;
    // Of no type in particular, of the one that declares them, of one that the standard has.
    let fields = ["+Response", "*+Response", "@+Response", "+Cause", "@+Cause", "+Group", "*+Group", "@+Group"];
    let more = ["@+Consequence", "@+RespondWithin", "@+Detector", "@+Score", "@+Chattering", "@+SuppressedBy"];
    let marked = ["@+MarkedAs", "@+OutOfServiceFrom", "@+OutOfServiceUntil"];
    // What no event has, by its name, by its namespace, since it is no field of events.
    let none = ["@+Responses", "@Response", "@+Values"];
    let all = [&fields[..], &more, &marked, &none].concat();
    let mut events = hmi.subscribe(server(), &all, ContentFilter::default()).await;
    let results = [vec![StatusCode::Good; all.len() - 3], vec![StatusCode::BadNodeIdUnknown; 3]].concat();
    assert_eq!(events.clause_results, results);
    // What is selected is what can be filtered by, whichever of its types is named.
    let mut filtered = Vec::new();
    for kind in [
        T::BaseEventType,
        T::ConditionType,
        T::AcknowledgeableConditionType,
        T::AlarmConditionType,
        T::LimitAlarmType,
        T::ExclusiveLevelAlarmType,
    ] {
        let response = SimpleAttributeOperand { type_definition_id: kind.into(), ..clause("+Response") };
        let filter = ContentFilterBuilder::new().eq(Operand::from(response), Operand::literal("stop the press"));
        filtered.push((kind, hmi.subscribe(server(), &["ConditionId"], filter.build()).await));
    }
    house.find(&key("watch/odd"), Level::Active, "odd", Vec::new());
    house.raise(&key("hot/high/press/oil"));
    let odd = events.next().await;
    assert_eq!(odd.text("@+Response"), "look at it");
    assert_eq!(*odd.get("@+Group"), Variant::Empty, "it is in none");
    let oil = events.next().await;
    for (said, names) in [("stop the press", &fields[..3]), ("a leak", &fields[3..5]), ("cooling", &fields[5..])] {
        names.iter().for_each(|name| assert_eq!(oil.text(name), said, "{name}"));
    }
    assert_eq!((oil.get("@+Score"), oil.get("@+Chattering")), (&4.5.into(), &false.into()));
    none.iter().for_each(|name| assert_eq!(*oil.get(name), Variant::Empty, "{name}"));
    for (kind, events) in &mut filtered {
        assert_eq!(*events.next().await.get("ConditionId"), own("hot/high/press/oil").into(), "{kind:?}");
        assert!(events.is_empty());
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn when_events_are_left_out_the_newest_state_is_shown_and_a_refresh_required() {
    let (surface, house) = House::with_room(4).await;
    house.define(oil_high());
    house.define(odd());
    let hmi = Hmi::connect(&house.url).await;
    let mut events = hmi.subscribe(server(), &["EventType", "EventId"], ContentFilter::default()).await;
    let mut below = hmi.subscribe(own("area:Hall"), &["EventType"], ContentFilter::default()).await;
    // More changes than there is room for, before the server can take one: both run on this thread.
    let oil = key("hot/high/press/oil");
    for _ in 0..10 {
        house.raise(&oil);
        house.find(&oil, Level::Normal, "well again", Vec::new());
    }
    house.find(&key("watch/odd"), Level::Active, "odd", Vec::new());
    assert!(surface.is_stale());
    let level: Variant = NodeId::from(ObjectTypeId::ExclusiveLevelAlarmType).into();
    let required: Variant = NodeId::from(ObjectTypeId::RefreshRequiredEventType).into();
    for expected in [&level, &level, &level, &level, &required] {
        assert_eq!(events.next().await.get("EventType"), expected);
        assert_eq!(below.next().await.get("EventType"), expected);
    }
    assert!(!surface.is_stale());
    assert_eq!(hmi.value("watch/odd#ActiveState/Id").await, true.into());
    assert_eq!(hmi.value("hot/high/press/oil#ActiveState/Id").await, false.into());
    let newest: Variant = ByteString::from(house.state(&oil).event_id(&oil).bytes().to_vec()).into();
    assert_eq!(hmi.value("hot/high/press/oil#EventId").await, newest);
    // And then it goes on as before.
    house.raise(&oil);
    assert_eq!(*events.next().await.get("EventType"), level);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn whoever_refreshed_before_a_standing_condition_appeared_is_asked_to_do_it_again() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let mut events = hmi.subscribe(server(), &["EventType", "ConditionId"], ContentFilter::default()).await;
    let required: Variant = NodeId::from(ObjectTypeId::RefreshRequiredEventType).into();
    // One that is as it should be concerns nobody.
    house.define(odd());
    house.define(oil_high());
    house.raise(&key("hot/high/press/oil"));
    assert_eq!(*events.next().await.get("ConditionId"), own("hot/high/press/oil").into());
    let oil = key("hot/high/press/oil");
    let state = Arc::new(house.state(&oil));
    for _ in 0..3 {
        let (def, state) = (Arc::new(oil_high()), state.clone());
        house.surface.publish(vec![ConditionView { def, state, branch: None, notify: false, commanded: false }]);
    }
    assert_eq!(*events.next().await.get("EventType"), required);
    house.find(&oil, Level::Normal, "well again", Vec::new());
    assert_eq!(*events.next().await.get("ConditionId"), own("hot/high/press/oil").into(), "asked once");
    hmi.close().await;
    house.close().await;
}

/// Its event items are those of the session that has it now, without a word of the client.
#[tokio::test]
async fn a_subscription_that_moves_to_another_session_keeps_its_areas_events() {
    let house = House::with(guarded()).await;
    house.define(oil_high());
    let bob = || IdentityToken::UserName("bob".into(), "oil".to_owned().into());
    let before = Hmi::log_in(&house.url, bob()).await.unwrap();
    let after = Hmi::log_in(&house.url, bob()).await.unwrap();
    let events = before.subscribe(own("area:Hall"), &["ConditionId"], ContentFilter::default()).await;
    let moved = after.session.transfer_subscriptions(&[events.subscription], false).await.unwrap();
    assert_eq!(moved[0].status_code, StatusCode::Good);
    house.raise(&key("hot/high/press/oil"));
    let event = loop {
        let answer = Publish::new(&after.session).send(after.session.channel()).await.unwrap();
        let data = answer.notification_message.notification_data.unwrap_or_default();
        let list = data.iter().find_map(|data| data.inner_as::<EventNotificationList>());
        if let Some(list) = list {
            break list.events.clone().unwrap();
        }
    };
    assert_eq!(event[0].event_fields, Some(vec![own("hot/high/press/oil").into()]));
    after.close().await;
    before.close().await;
    house.close().await;
}
