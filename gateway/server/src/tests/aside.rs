//! Shelving, suppression, service, latch and branches as clients see and call them.

use std::sync::Arc;
use std::time::Duration;

use opcua::types::{
    ByteString, ContentFilter, DataValue, LocalizedText, MethodId, NodeId, ObjectId, ObjectTypeId, StatusCode, Variant,
};
use watchfire_alarms::{ConditionDef, Group, Rules};
use watchfire_model::Level;

use super::client::{Events, Hmi, Seen, server};
use super::house::{House, key, odd, oil_high};
use crate::names::own;

const OIL: &str = "hot/high/press/oil";
const SHELVING: &str = "hot/high/press/oil#ShelvingState";

/// The oil alarm with rules.
fn ruled(rules: Rules) -> ConditionDef {
    ConditionDef { rules: Arc::new(rules), confirm: false, ..oil_high() }
}

async fn opened(rules: Rules) -> (House, Hmi) {
    let house = House::open().await;
    house.define(ruled(rules));
    let hmi = Hmi::connect(&house.url).await;
    (house, hmi)
}

fn said(text: &str) -> Variant {
    LocalizedText::new("en", text).into()
}

fn number(value: &DataValue) -> f64 {
    let Some(Variant::Double(number)) = value.value else { panic!("{value:?}") };
    number
}

/// The alarm list as ConditionRefresh tells it.
async fn listed(hmi: &Hmi, events: &mut Events) -> Vec<Seen> {
    let refresh = MethodId::ConditionType_ConditionRefresh;
    let asked = hmi.call(ObjectTypeId::ConditionType.into(), refresh, vec![events.subscription.into()]).await;
    assert_eq!(asked, StatusCode::Good);
    let is = |event: &Seen, kind: ObjectTypeId| *event.get("EventType") == NodeId::from(kind).into();
    assert!(is(&events.next().await, ObjectTypeId::RefreshStartEventType));
    let mut all = Vec::new();
    loop {
        let event = events.next().await;
        if is(&event, ObjectTypeId::RefreshEndEventType) {
            return all;
        }
        all.push(event);
    }
}

#[tokio::test]
async fn p9_5_8_17_an_alarm_is_shelved_and_comes_back() {
    use MethodId as M;
    let (house, hmi) = opened(Rules { max_shelve: Some(Duration::from_secs(60)), ..Rules::default() }).await;
    let fields = ["ShelvingState/CurrentState/Id", "SuppressedOrShelved", "ShelvingState/UnshelveTime", "Comment"];
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    house.raise(&key(OIL));
    events.next().await;
    let unshelved: Variant = NodeId::from(ObjectId::ShelvedStateMachineType_Unshelved).into();
    let timed: Variant = NodeId::from(ObjectId::ShelvedStateMachineType_TimedShelved).into();
    let once: Variant = NodeId::from(ObjectId::ShelvedStateMachineType_OneShotShelved).into();
    assert_eq!(hmi.value(&format!("{SHELVING}/CurrentState/Id")).await, unshelved);
    let minute: Variant = 60_000.0_f64.into();
    // On the state machine with the type's own methods, on the condition, with what AlarmConditionType declares.
    let steps: Vec<(&str, MethodId, Vec<Variant>, &Variant, f64)> = vec![
        (SHELVING, M::ShelvedStateMachineType_TimedShelve, vec![minute.clone()], &timed, 60_000.0),
        (OIL, M::ShelvedStateMachineType_OneShotShelve, vec![], &once, 60_000.0),
        (SHELVING, M::AlarmConditionType_ShelvingState_Unshelve, vec![], &unshelved, 0.0),
        (OIL, M::AlarmConditionType_ShelvingState_TimedShelve2, vec![minute.clone(), said("later")], &timed, 60_000.0),
        (SHELVING, M::ShelvedStateMachineType_Unshelve2, vec![said("now")], &unshelved, 0.0),
        (OIL, M::AlarmConditionType_ShelvingState_OneShotShelve2, vec![said("once")], &once, 60_000.0),
    ];
    for (object, method, arguments, state, left) in steps {
        let comment = arguments.last().filter(|last| matches!(last, Variant::LocalizedText(_))).cloned();
        assert_eq!(hmi.call(own(object), method, arguments).await, StatusCode::Good, "{method:?}");
        let event = events.next().await;
        assert_eq!(event.get("ShelvingState/CurrentState/Id"), state, "{method:?}");
        assert_eq!(*event.get("SuppressedOrShelved"), (*state != unshelved).into());
        assert_eq!(*event.get("ShelvingState/UnshelveTime"), left.into());
        if let Some(comment) = comment {
            assert_eq!(*event.get("Comment"), comment);
        }
        assert_eq!(hmi.value(&format!("{SHELVING}/CurrentState/Id")).await, *state);
        assert!(number(&hmi.read(own(&format!("{SHELVING}/UnshelveTime"))).await) <= left);
        assert_eq!(hmi.value("hot/high/press/oil#Values/Shelved").await, (*state != unshelved).into());
        // What is put aside is no longer counted.
        assert_eq!(hmi.value("area:Hall#ActiveCount").await, u32::from(*state == unshelved).into());
    }
    house.find(&key(OIL), Level::Normal, "well again", Vec::new());
    assert_eq!(*events.next().await.get("ShelvingState/CurrentState/Id"), unshelved, "it was for once");
    assert_eq!(number(&hmi.read(own("hot/high/press/oil#MaxTimeShelved")).await), 60_000.0);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn which_way_a_shelving_went_and_what_is_left_of_it_is_told() {
    use MethodId as M;
    let (house, hmi) = opened(Rules::default()).await;
    let fields = [
        "EventType",
        "EventId",
        "ShelvingState/LastTransition",
        "ShelvingState/LastTransition/Id",
        "ShelvingState/LastTransition/TransitionTime",
        "ShelvingState/UnshelveTime",
    ];
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    house.raise(&key(OIL));
    assert_eq!(*events.next().await.get("ShelvingState/LastTransition/Id"), Variant::Empty, "it was never shelved");
    let noon: Variant = watchfire_ua::date_time_from_instant(super::house::NOON).0.into();
    let minute = || vec![60_000.0_f64.into()];
    for (method, arguments, id, name) in [
        (M::ShelvedStateMachineType_TimedShelve, minute(), 2935, "UnshelvedToTimedShelved"),
        (M::ShelvedStateMachineType_OneShotShelve, vec![], 2942, "TimedShelvedToOneShotShelved"),
        (M::ShelvedStateMachineType_Unshelve, vec![], 2943, "OneShotShelvedToUnshelved"),
        (M::ShelvedStateMachineType_OneShotShelve, vec![], 2936, "UnshelvedToOneShotShelved"),
        (M::ShelvedStateMachineType_TimedShelve, minute(), 2945, "OneShotShelvedToTimedShelved"),
        (M::ShelvedStateMachineType_Unshelve, vec![], 2940, "TimedShelvedToUnshelved"),
        (M::ShelvedStateMachineType_TimedShelve, minute(), 2935, "UnshelvedToTimedShelved"),
    ] {
        assert_eq!(hmi.call(own(SHELVING), method, arguments).await, StatusCode::Good, "{name}");
        let event = events.next().await;
        let id: Variant = NodeId::new(0, id).into();
        assert_eq!(event.text("ShelvingState/LastTransition"), name);
        assert_eq!(*event.get("ShelvingState/LastTransition/Id"), id, "{name}");
        assert_eq!(*event.get("ShelvingState/LastTransition/TransitionTime"), noon);
        assert_eq!(hmi.value(&format!("{SHELVING}/LastTransition/Id")).await, id, "{name}");
    }
    // It is shelved for a minute, of which time takes its part.
    let mut left = hmi.watch(&[own(&format!("{SHELVING}/UnshelveTime"))]).await;
    assert_eq!(left.next().await.1.value, Some(60_000.0.into()));
    house.clock.advance(Duration::from_secs(20));
    assert_eq!(left.next().await.1.value, Some(40_000.0.into()), "without a change of the condition");
    let told = listed(&hmi, &mut events).await;
    let id = ByteString::from(house.state(&key(OIL)).event_id(&key(OIL)).bytes().to_vec());
    assert_eq!((told[0].get("EventId"), told[0].get("ShelvingState/UnshelveTime")), (&id.into(), &40_000.0.into()));
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn every_refusal_of_what_puts_aside_says_why() {
    use MethodId as M;
    use StatusCode as S;
    let (house, hmi) = opened(Rules { max_shelve: Some(Duration::from_secs(60)), ..Rules::default() }).await;
    house.define(odd());
    let time = |ms: f64| vec![Variant::from(ms)];
    let long = said(&"x".repeat(5000));
    let timed = M::ShelvedStateMachineType_TimedShelve;
    let cases: Vec<(&str, MethodId, Vec<Variant>, StatusCode)> = vec![
        (SHELVING, timed, vec![], S::BadArgumentsMissing),
        (SHELVING, timed, vec![1_000.0_f64.into(), said("")], S::BadTooManyArguments),
        (SHELVING, timed, vec![1_000_u32.into()], S::BadInvalidArgument),
        (SHELVING, timed, time(0.0), S::BadShelvingTimeOutOfRange),
        (SHELVING, timed, time(-1.0), S::BadShelvingTimeOutOfRange),
        (SHELVING, timed, time(f64::NAN), S::BadShelvingTimeOutOfRange),
        (SHELVING, timed, time(f64::INFINITY), S::BadShelvingTimeOutOfRange),
        (SHELVING, timed, time(60_001.0), S::BadShelvingTimeOutOfRange),
        (SHELVING, M::ShelvedStateMachineType_TimedShelve2, vec![1_000.0_f64.into(), long], S::BadInvalidArgument),
        (SHELVING, M::ShelvedStateMachineType_Unshelve, vec![], S::BadConditionNotShelved),
        (SHELVING, timed, time(1_000.0), S::Good),
        (SHELVING, timed, time(1_000.0), S::BadConditionAlreadyShelved),
        (SHELVING, M::ShelvedStateMachineType_OneShotShelve, vec![], S::Good),
        (SHELVING, M::ShelvedStateMachineType_OneShotShelve, vec![], S::BadConditionAlreadyShelved),
        // A method of the condition on its state machine, and the other way round on what is no condition.
        (SHELVING, M::AlarmConditionType_Suppress, vec![], S::BadMethodInvalid),
        ("hot/high/press/oil#ActiveState", timed, time(1_000.0), S::BadMethodInvalid),
        ("area:Hall", timed, time(1_000.0), S::BadMethodInvalid),
        ("no/such#ShelvingState", timed, time(1_000.0), S::BadNodeIdUnknown),
        ("StatisticalAlarmType", timed, time(1_000.0), S::BadNodeIdInvalid),
        // It does not latch.
        (OIL, M::AlarmConditionType_Reset, vec![], S::BadMethodInvalid),
        (OIL, M::AlarmConditionType_Suppress2, vec![1_u32.into()], S::BadInvalidArgument),
        (OIL, M::AlarmConditionType_Suppress, vec![said("")], S::BadTooManyArguments),
        (OIL, M::ConditionType_Disable, vec![], S::Good),
        (OIL, M::AlarmConditionType_Suppress, vec![], S::BadConditionDisabled),
        (SHELVING, M::ShelvedStateMachineType_Unshelve, vec![], S::BadConditionDisabled),
    ];
    for (at, (object, method, arguments, status)) in cases.into_iter().enumerate() {
        assert_eq!(hmi.call(own(object), method, arguments).await, status, "case {at}: {object} {method:?}");
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn suppression_service_silence_and_latch_are_called_and_seen() {
    use MethodId as M;
    let (house, hmi) = opened(Rules { latch: true, ..Rules::default() }).await;
    let fields = ["SuppressedState/Id", "OutOfServiceState/Id", "SilenceState/Id", "LatchedState/Id", "Retain"];
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    house.raise(&key(OIL));
    events.next().await;
    let said = || vec![said("why")];
    let acknowledge = M::AcknowledgeableConditionType_Acknowledge;
    assert_eq!(hmi.call(own(OIL), M::AlarmConditionType_Reset, vec![]).await, StatusCode::BadInvalidState);
    for (method, arguments, seen) in [
        (M::AlarmConditionType_Suppress, vec![], [true, false, false, true]),
        (M::AlarmConditionType_Unsuppress, vec![], [false, false, false, true]),
        (M::AlarmConditionType_Suppress2, said(), [true, false, false, true]),
        (M::AlarmConditionType_Unsuppress2, said(), [false, false, false, true]),
        (M::AlarmConditionType_RemoveFromService, vec![], [false, true, false, true]),
        (M::AlarmConditionType_PlaceInService, vec![], [false, false, false, true]),
        (M::AlarmConditionType_RemoveFromService2, said(), [false, true, false, true]),
        (M::AlarmConditionType_PlaceInService2, said(), [false, false, false, true]),
        (M::AlarmConditionType_Silence, vec![], [false, false, true, true]),
    ] {
        assert_eq!(hmi.call(own(OIL), method, arguments).await, StatusCode::Good, "{method:?}");
        let event = events.next().await;
        let told = &fields[..4];
        assert_eq!(
            told.iter().map(|field| event.get(field).clone()).collect::<Vec<_>>(),
            seen.map(Variant::from),
            "{method:?}"
        );
    }
    let id: Variant = ByteString::from(house.state(&key(OIL)).event_id(&key(OIL)).bytes().to_vec()).into();
    assert_eq!(hmi.call(own(OIL), acknowledge, vec![id, Variant::Empty]).await, StatusCode::Good);
    house.find(&key(OIL), Level::Normal, "well again", Vec::new());
    assert_eq!(*events.next().await.get("Retain"), true.into());
    assert_eq!(*events.next().await.get("Retain"), true.into(), "it is latched");
    assert_eq!(hmi.call(own(OIL), M::AlarmConditionType_Reset2, said()).await, StatusCode::Good);
    let event = events.next().await;
    assert_eq!((event.get("LatchedState/Id"), event.get("Retain")), (&false.into(), &false.into()));
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_5_3_an_occurrence_left_behind_is_a_branch_in_events_and_in_the_refreshed_list() {
    let (house, hmi) = opened(Rules::default()).await;
    let fields = ["EventId", "BranchId", "ActiveState/Id", "Retain", "EventType"];
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    house.raise(&key(OIL));
    let first = events.next().await.get("EventId").clone();
    house.find(&key(OIL), Level::Normal, "well again", Vec::new());
    events.next().await;
    house.raise(&key(OIL));
    let (branch, main) = (events.next().await, events.next().await);
    assert_eq!(*main.get("BranchId"), NodeId::null().into());
    assert_ne!(*branch.get("BranchId"), NodeId::null().into());
    assert_eq!((branch.get("ActiveState/Id"), branch.get("Retain")), (&false.into(), &true.into()));
    let list = listed(&hmi, &mut events).await;
    let ids: Vec<_> = list.iter().map(|event| (event.get("EventId").clone(), event.get("BranchId").clone())).collect();
    let told = [&main, &branch].map(|event| (event.get("EventId").clone(), event.get("BranchId").clone()));
    assert_eq!(ids, told, "the list tells both, with the EventIds they had");
    // The EventId of the first occurrence means the branch.
    let acknowledge = MethodId::AcknowledgeableConditionType_Acknowledge;
    assert_eq!(hmi.call(own(OIL), acknowledge, vec![first, Variant::Empty]).await, StatusCode::Good);
    let ended = events.next().await;
    assert_eq!((ended.get("BranchId"), ended.get("Retain")), (branch.get("BranchId"), &false.into()));
    assert!(!house.state(&key(OIL)).acked.value, "the occurrence that stands is not acknowledged by it");
    assert_eq!(listed(&hmi, &mut events).await.len(), 1);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_8_2_an_instance_has_what_its_rules_ask_for_and_no_more() {
    let house = House::open().await;
    let s = |s| Some(Duration::from_secs(s));
    house.define(ruled(Rules {
        suppress_in_modes: Vec::new(),
        on_delay: s(5),
        off_delay: s(30),
        re_alarm: s(3600),
        max_shelve: None,
        latch: false,
        damp: false,
        group: Some(Group { name: "cooling".into(), first_only: true }),
        budget: None,
        cause: "overload".into(),
        consequence: "it seizes".into(),
        respond_within: s(600),
        against: None,
        normal: None,
        expected_time: None,
        sub_classes: Vec::new(),
        limits: watchfire_model::Limits::default(),
        maintenance: Vec::new(),
    }));
    house.define(odd());
    let hmi = Hmi::connect(&house.url).await;
    for (path, value) in [
        ("OnDelay", Variant::from(5_000.0)),
        ("OffDelay", 30_000.0.into()),
        ("ReAlarmTime", 3_600_000.0.into()),
        ("ReAlarmRepeatCount", 0_i16.into()),
        ("FirstInGroupFlag", false.into()),
        ("Group", "cooling".into()),
        ("Cause", "overload".into()),
        ("Consequence", "it seizes".into()),
        ("RespondWithin", 600_000.0.into()),
        ("Chattering", false.into()),
    ] {
        assert_eq!(hmi.value(&format!("{OIL}#{path}")).await, value, "{path}");
    }
    for path in ["OnDelay", "ReAlarmTime", "Group", "MaxTimeShelved", "LatchedState"] {
        assert_eq!(hmi.read(own(&format!("watch/odd#{path}"))).await.status(), StatusCode::BadNodeIdUnknown, "{path}");
    }
    hmi.close().await;
    house.close().await;
}
