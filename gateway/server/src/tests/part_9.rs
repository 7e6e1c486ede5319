//! One test for each clause of OPC 10000-9 whose matter is small, as each method is; types and classes are in `types`, audit
//! events in `audited`. What is larger has its clause in its name elsewhere; docs/conditions.md lists them all.

use std::sync::Arc;

use opcua::types::{
    BrowseDirection, ByteString, ContentFilter, LocalizedText, MethodId, NodeId, ObjectId, ReferenceTypeId, StatusCode,
    UAString, VariableId, VariableTypeId, Variant,
};
use watchfire_alarms::{AlarmType, ConditionDef, Rules};
use watchfire_model::Level;

use super::client::{Hmi, server};
use super::house::{House, NOON, key, oil_high};
use crate::names::own;

use MethodId as M;

const OIL: &str = "hot/high/press/oil";

/// An alarm that latches, so that it has every method.
fn latching() -> ConditionDef {
    ConditionDef { rules: Arc::new(Rules { latch: true, ..Rules::default() }), confirm: false, ..oil_high() }
}

fn why() -> Variant {
    LocalizedText::new("en", "why").into()
}

fn minute() -> Variant {
    60_000.0_f64.into()
}

fn newest(house: &House) -> Variant {
    ByteString::from(house.state(&key(OIL)).event_id(&key(OIL)).bytes().to_vec()).into()
}

/// A method with its arguments.
type Call = (MethodId, Vec<Variant>);

/// Calls methods on an active alarm, one after the other; what the last one does is told in a field, with its comment.
async fn shows(calls: Vec<Call>, field: &'static str, seen: impl Into<Variant>) {
    let house = House::open().await;
    house.define(latching());
    let hmi = Hmi::connect(&house.url).await;
    let mut events = hmi.subscribe(server(), &[field, "Comment"], ContentFilter::default()).await;
    house.raise(&key(OIL));
    let mut told = events.next().await;
    let comment = calls.last().and_then(|(_, arguments)| arguments.last()).cloned();
    for (method, arguments) in calls {
        assert_eq!(hmi.call(own(OIL), method, arguments).await, StatusCode::Good, "{method:?}");
        told = events.next().await;
    }
    assert_eq!(*told.get(field), seen.into());
    if let Some(comment @ Variant::LocalizedText(_)) = comment {
        assert_eq!(*told.get("Comment"), comment);
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_8_7_silence() {
    shows(vec![(M::AlarmConditionType_Silence, vec![])], "SilenceState/Id", true).await;
}

#[tokio::test]
async fn p9_5_8_8_suppress() {
    shows(vec![(M::AlarmConditionType_Suppress, vec![])], "SuppressedState/Id", true).await;
}

#[tokio::test]
async fn p9_5_8_9_suppress2() {
    shows(vec![(M::AlarmConditionType_Suppress2, vec![why()])], "SuppressedState/Id", true).await;
}

#[tokio::test]
async fn p9_5_8_10_unsuppress() {
    let before = (M::AlarmConditionType_Suppress, vec![]);
    shows(vec![before, (M::AlarmConditionType_Unsuppress, vec![])], "SuppressedState/Id", false).await;
}

#[tokio::test]
async fn p9_5_8_11_unsuppress2() {
    let before = (M::AlarmConditionType_Suppress, vec![]);
    shows(vec![before, (M::AlarmConditionType_Unsuppress2, vec![why()])], "SuppressedState/Id", false).await;
}

#[tokio::test]
async fn p9_5_8_12_remove_from_service() {
    shows(vec![(M::AlarmConditionType_RemoveFromService, vec![])], "OutOfServiceState/Id", true).await;
}

#[tokio::test]
async fn p9_5_8_13_remove_from_service2() {
    shows(vec![(M::AlarmConditionType_RemoveFromService2, vec![why()])], "OutOfServiceState/Id", true).await;
}

#[tokio::test]
async fn p9_5_8_14_place_in_service() {
    let before = (M::AlarmConditionType_RemoveFromService, vec![]);
    shows(vec![before, (M::AlarmConditionType_PlaceInService, vec![])], "OutOfServiceState/Id", false).await;
}

#[tokio::test]
async fn p9_5_8_15_place_in_service2() {
    let before = (M::AlarmConditionType_RemoveFromService, vec![]);
    shows(vec![before, (M::AlarmConditionType_PlaceInService2, vec![why()])], "OutOfServiceState/Id", false).await;
}

const SHELVING: &str = "ShelvingState/CurrentState/Id";

fn shelving(state: ObjectId) -> NodeId {
    state.into()
}

#[tokio::test]
async fn p9_5_8_17_2_unshelve() {
    let before = (M::ShelvedStateMachineType_OneShotShelve, vec![]);
    let unshelved = shelving(ObjectId::ShelvedStateMachineType_Unshelved);
    shows(vec![before, (M::ShelvedStateMachineType_Unshelve, vec![])], SHELVING, unshelved).await;
}

#[tokio::test]
async fn p9_5_8_17_3_unshelve2() {
    let before = (M::ShelvedStateMachineType_TimedShelve, vec![minute()]);
    let unshelved = shelving(ObjectId::ShelvedStateMachineType_Unshelved);
    shows(vec![before, (M::ShelvedStateMachineType_Unshelve2, vec![why()])], SHELVING, unshelved).await;
}

#[tokio::test]
async fn p9_5_8_17_4_timed_shelve() {
    let timed = shelving(ObjectId::ShelvedStateMachineType_TimedShelved);
    shows(vec![(M::ShelvedStateMachineType_TimedShelve, vec![minute()])], SHELVING, timed).await;
}

#[tokio::test]
async fn p9_5_8_17_5_timed_shelve2() {
    let timed = shelving(ObjectId::ShelvedStateMachineType_TimedShelved);
    shows(vec![(M::ShelvedStateMachineType_TimedShelve2, vec![minute(), why()])], SHELVING, timed).await;
}

#[tokio::test]
async fn p9_5_8_17_6_one_shot_shelve() {
    let once = shelving(ObjectId::ShelvedStateMachineType_OneShotShelved);
    shows(vec![(M::ShelvedStateMachineType_OneShotShelve, vec![])], SHELVING, once).await;
}

#[tokio::test]
async fn p9_5_8_17_7_one_shot_shelve2() {
    let once = shelving(ObjectId::ShelvedStateMachineType_OneShotShelved);
    shows(vec![(M::ShelvedStateMachineType_OneShotShelve2, vec![why()])], SHELVING, once).await;
}

/// Brings an alarm to where it is over and acknowledged, and latched still; then resets it.
async fn resets(method: MethodId, arguments: Vec<Variant>) {
    let house = House::open().await;
    house.define(latching());
    let hmi = Hmi::connect(&house.url).await;
    let mut events = hmi.subscribe(server(), &["LatchedState/Id", "Retain"], ContentFilter::default()).await;
    house.raise(&key(OIL));
    assert_eq!(hmi.call(own(OIL), method, arguments.clone()).await, StatusCode::BadInvalidState, "it is active");
    let acknowledge = M::AcknowledgeableConditionType_Acknowledge;
    assert_eq!(hmi.call(own(OIL), acknowledge, vec![newest(&house), Variant::Empty]).await, StatusCode::Good);
    house.find(&key(OIL), Level::Normal, "well again", Vec::new());
    for _ in 0..3 {
        assert_eq!(*events.next().await.get("LatchedState/Id"), true.into());
    }
    assert_eq!(hmi.call(own(OIL), method, arguments).await, StatusCode::Good);
    let told = events.next().await;
    assert_eq!((told.get("LatchedState/Id"), told.get("Retain")), (&false.into(), &false.into()));
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_8_5_reset() {
    resets(M::AlarmConditionType_Reset, vec![]).await;
}

#[tokio::test]
async fn p9_5_8_6_reset2() {
    resets(M::AlarmConditionType_Reset2, vec![why()]).await;
}

/// A variable below the oil alarm: its type, and the value of each of its properties.
async fn has(hmi: &Hmi, variable: &str, kind: VariableTypeId, properties: &[(&str, Variant)]) {
    let node = own(&format!("{OIL}#{variable}"));
    let of = hmi.browse(node, ReferenceTypeId::HasTypeDefinition, BrowseDirection::Forward, 0).await;
    assert_eq!(of.first().unwrap().node_id.node_id, kind, "{variable}");
    for (property, value) in properties {
        assert_eq!(hmi.value(&format!("{OIL}#{variable}/{property}")).await, *value, "{variable}/{property}");
    }
}

async fn alarmed() -> (House, Hmi) {
    let house = House::open().await;
    house.define(latching());
    let hmi = Hmi::connect(&house.url).await;
    let mut events = hmi.subscribe(server(), &["EventId"], ContentFilter::default()).await;
    house.raise(&key(OIL));
    events.next().await;
    (house, hmi)
}

#[tokio::test]
async fn p9_5_2_a_state_is_a_text_with_its_id_and_the_time_of_its_transition() {
    let (house, hmi) = alarmed().await;
    let noon: Variant = watchfire_ua::date_time_from_instant(NOON).0.into();
    for (state, text, id) in [
        ("EnabledState", "Enabled", true),
        ("ActiveState", "Active", true),
        ("AckedState", "Unacknowledged", false),
        ("SuppressedState", "Unsuppressed", false),
    ] {
        let properties = [("Id", id.into()), ("TransitionTime", noon.clone())];
        has(&hmi, state, VariableTypeId::TwoStateVariableType, &properties).await;
        let value = hmi.value(&format!("{OIL}#{state}")).await;
        assert_eq!(value, LocalizedText::new("en", text).into(), "{state}");
    }
    let locales = hmi.read(VariableId::Server_ServerCapabilities_LocaleIdArray.into()).await.value;
    assert_eq!(locales, Some(vec![UAString::from("en")].into()), "there are no other texts than these");
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_3_what_changes_beside_the_states_has_the_time_of_its_change() {
    let (house, hmi) = alarmed().await;
    let noon: Variant = watchfire_ua::date_time_from_instant(NOON).0.into();
    for variable in ["Quality", "LastSeverity", "Comment"] {
        let time = [("SourceTimestamp", noon.clone())];
        has(&hmi, variable, VariableTypeId::ConditionVariableType, &time).await;
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_14_3_two_servers_that_are_told_the_same_tell_the_same_event_ids() {
    let mut told = Vec::new();
    for _ in 0..2 {
        let (house, hmi) = alarmed().await;
        let mut events = hmi.subscribe(server(), &["EventId"], ContentFilter::default()).await;
        house.find(&key(OIL), Level::HighHigh, "far too high", Vec::new());
        house.find(&key(OIL), Level::Normal, "well again", Vec::new());
        told.push([events.next().await.get("EventId").clone(), events.next().await.get("EventId").clone()]);
        hmi.close().await;
        house.close().await;
    }
    assert_eq!(told.first(), told.last());
}

#[tokio::test]
async fn p9_a_1_states_are_called_as_the_standard_recommends() {
    let house = House::open().await;
    house.define(ConditionDef { alarm_type: AlarmType::NonExclusiveLevel, confirm: true, ..latching() });
    let hmi = Hmi::connect(&house.url).await;
    let fields = [
        "EnabledState",
        "ActiveState",
        "AckedState",
        "ConfirmedState",
        "SuppressedState",
        "OutOfServiceState",
        "SilenceState",
        "LatchedState",
        "HighHighState",
        "HighState",
        "LowState",
        "LowLowState",
        "ShelvingState/CurrentState",
    ];
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    let mut named = std::collections::BTreeSet::new();
    let mut note = async |count: usize| {
        for _ in 0..count {
            let told = events.next().await;
            named.extend(fields.map(|field| (field, told.text(field))));
        }
    };
    house.find(&key(OIL), Level::HighHigh, "far too high", Vec::new());
    note(1).await;
    for method in [
        M::AlarmConditionType_Silence,
        M::AcknowledgeableConditionType_Acknowledge,
        M::AcknowledgeableConditionType_Confirm,
        M::AlarmConditionType_Suppress,
        M::AlarmConditionType_RemoveFromService,
        M::ShelvedStateMachineType_OneShotShelve,
        M::ShelvedStateMachineType_TimedShelve,
        M::ConditionType_Disable,
    ] {
        let arguments = match method {
            M::AcknowledgeableConditionType_Acknowledge | M::AcknowledgeableConditionType_Confirm => {
                vec![newest(&house), why()]
            }
            M::ShelvedStateMachineType_TimedShelve => vec![minute()],
            _ => vec![],
        };
        assert_eq!(hmi.call(own(OIL), method, arguments).await, StatusCode::Good, "{method:?}");
        note(1).await;
    }
    assert_eq!(hmi.call(own(OIL), M::ConditionType_Enable, vec![]).await, StatusCode::Good);
    note(1).await;
    house.find(&key(OIL), Level::LowLow, "far too low", Vec::new());
    note(1).await;
    assert_eq!(hmi.call(own(OIL), M::ShelvedStateMachineType_Unshelve, vec![]).await, StatusCode::Good);
    note(1).await;
    house.find(&key(OIL), Level::Normal, "well again", Vec::new());
    note(1).await;
    for (field, no, yes) in [
        ("EnabledState", "Disabled", "Enabled"),
        ("ActiveState", "Inactive", "Active"),
        ("AckedState", "Unacknowledged", "Acknowledged"),
        ("ConfirmedState", "Unconfirmed", "Confirmed"),
        ("SuppressedState", "Unsuppressed", "Suppressed"),
        ("OutOfServiceState", "In Service", "Out of Service"),
        ("SilenceState", "Not Silenced", "Silenced"),
        ("HighHighState", "HighHigh inactive", "HighHigh active"),
        ("HighState", "High inactive", "High active"),
        ("LowState", "Low inactive", "Low active"),
        ("LowLowState", "LowLow inactive", "LowLow active"),
    ] {
        for name in [no, yes] {
            assert!(named.contains(&(field, name.to_owned())), "{field}: {name} of {named:?}");
        }
    }
    assert!(named.contains(&("LatchedState", "Latched".to_owned())), "{named:?}");
    // As the standard's own nodes of them are called.
    for name in ["Unshelved", "TimedShelved", "OneShotShelved"] {
        assert!(named.contains(&("ShelvingState/CurrentState", name.to_owned())), "{name} of {named:?}");
    }
    hmi.close().await;
    house.close().await;
}
