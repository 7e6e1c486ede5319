//! What reaches an HMI as events.

use opcua::types::{ByteString, ContentFilter, DateTime, NodeId, ObjectId, ObjectTypeId, StatusCode, Variant};
use watchfire_model::Level;

use super::client::{Hmi, server};
use super::house::{House, NOON, key, oil_evidence, oil_high};
use crate::names::own;

/// What HMIs select.
const FIELDS: [&str; 34] = [
    "EventId", "EventType", "SourceNode", "SourceName", "Time", "ReceiveTime", "Message", "Severity", "ConditionId",
    "ConditionName", "ConditionClassId", "ConditionClassName", "BranchId", "Retain", "EnabledState/Id",
    "ActiveState/Id", "ActiveState/TransitionTime", "ActiveState/EffectiveDisplayName", "AckedState/Id",
    "ConfirmedState/Id", "Comment", "Comment/SourceTimestamp", "ClientUserId", "Quality", "LastSeverity",
    "SuppressedOrShelved", "LimitState/CurrentState", "LimitState/CurrentState/Id", "HighLimit", "HighHighLimit",
    "InputNode", "ShelvingState/CurrentState", "NoSuchField", "+Score",
];

#[tokio::test]
async fn an_alarm_reaches_an_hmi_with_every_field_it_reads() {
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
        ("EventId", ByteString::from(state.event_id.bytes().to_vec()).into()),
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
        ("ShelvingState/CurrentState", Variant::Empty),
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
