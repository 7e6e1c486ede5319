//! One test for each clause of OPC 10000-9 whose matter is small: each method, each type, each audit event. What is larger
//! has its clause in its name elsewhere; docs/conditions.md lists them all.

use std::sync::Arc;

use opcua::client::IdentityToken;
use opcua::types::{
    BrowseDirection, ByteString, ContentFilter, ContentFilterBuilder, LocalizedText, MethodId, NodeId, ObjectId,
    ObjectTypeId, Operand, ReferenceTypeId, StatusCode, UAString, VariableId, VariableTypeId, Variant,
};
use watchfire_alarms::{AlarmType, ConditionClass, ConditionDef, Rules};
use watchfire_model::Level;

use super::client::{Hmi, server};
use super::house::{House, NOON, guarded, key, oil_high};
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

/// Instances and events of alarms are of their types; what is asked of a supertype finds them.
async fn are_of(types: &[(AlarmType, Level, ObjectTypeId, ObjectTypeId)]) {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    for (at, (alarm_type, level, kind, base)) in types.iter().enumerate() {
        let name = format!("typed/{at}/press/oil");
        house.define(ConditionDef { key: key(&name), alarm_type: *alarm_type, ..oil_high() });
        let filter = ContentFilterBuilder::new().of_type(Operand::literal(NodeId::from(*base))).build();
        let mut events = hmi.subscribe(server(), &["EventType", "ConditionId"], filter).await;
        house.find(&key(&name), *level, "not as it should be", Vec::new());
        let told = events.next().await;
        assert_eq!(*told.get("EventType"), NodeId::from(*kind).into(), "{alarm_type:?}");
        assert_eq!(*told.get("ConditionId"), own(&name).into());
        let of = hmi.browse(own(&name), ReferenceTypeId::HasTypeDefinition, BrowseDirection::Forward, 0).await;
        assert_eq!(of.first().unwrap().node_id.node_id, *kind, "{alarm_type:?}");
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_8_21_level_alarms() {
    are_of(&[
        (
            AlarmType::NonExclusiveLevel,
            Level::High,
            ObjectTypeId::NonExclusiveLevelAlarmType,
            ObjectTypeId::NonExclusiveLimitAlarmType,
        ),
        (
            AlarmType::ExclusiveLevel,
            Level::Low,
            ObjectTypeId::ExclusiveLevelAlarmType,
            ObjectTypeId::ExclusiveLimitAlarmType,
        ),
    ])
    .await;
}

#[tokio::test]
async fn p9_5_8_22_deviation_alarms() {
    are_of(&[
        (
            AlarmType::NonExclusiveDeviation,
            Level::LowLow,
            ObjectTypeId::NonExclusiveDeviationAlarmType,
            ObjectTypeId::NonExclusiveLimitAlarmType,
        ),
        (
            AlarmType::ExclusiveDeviation,
            Level::High,
            ObjectTypeId::ExclusiveDeviationAlarmType,
            ObjectTypeId::LimitAlarmType,
        ),
    ])
    .await;
}

#[tokio::test]
async fn p9_5_8_23_rate_of_change_alarms() {
    are_of(&[
        (
            AlarmType::NonExclusiveRateOfChange,
            Level::HighHigh,
            ObjectTypeId::NonExclusiveRateOfChangeAlarmType,
            ObjectTypeId::NonExclusiveLimitAlarmType,
        ),
        (
            AlarmType::ExclusiveRateOfChange,
            Level::High,
            ObjectTypeId::ExclusiveRateOfChangeAlarmType,
            ObjectTypeId::ExclusiveLimitAlarmType,
        ),
    ])
    .await;
}

#[tokio::test]
async fn p9_5_8_24_discrete_alarms() {
    are_of(&[
        (AlarmType::OffNormal, Level::Active, ObjectTypeId::OffNormalAlarmType, ObjectTypeId::DiscreteAlarmType),
        (
            AlarmType::SystemOffNormal,
            Level::Active,
            ObjectTypeId::SystemOffNormalAlarmType,
            ObjectTypeId::OffNormalAlarmType,
        ),
        (AlarmType::Trip, Level::Active, ObjectTypeId::TripAlarmType, ObjectTypeId::OffNormalAlarmType),
        (
            AlarmType::SystemDiagnostic,
            Level::Active,
            ObjectTypeId::SystemDiagnosticAlarmType,
            ObjectTypeId::OffNormalAlarmType,
        ),
    ])
    .await;
}

#[tokio::test]
async fn p9_5_8_25_discrepancy_alarms() {
    let discrepancy = ObjectTypeId::DiscrepancyAlarmType;
    are_of(&[(AlarmType::Discrepancy, Level::Active, discrepancy, ObjectTypeId::AlarmConditionType)]).await;
}

#[tokio::test]
async fn p9_5_9_each_class_is_told_by_its_node_and_its_name() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let fields = ["ConditionClassId", "ConditionClassName"];
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    for (class, kind, name) in [
        (ConditionClass::Process, ObjectTypeId::ProcessConditionClassType, "ProcessConditionClassType"),
        (ConditionClass::Maintenance, ObjectTypeId::MaintenanceConditionClassType, "MaintenanceConditionClassType"),
        (ConditionClass::System, ObjectTypeId::SystemConditionClassType, "SystemConditionClassType"),
        (ConditionClass::Safety, ObjectTypeId::SafetyConditionClassType, "SafetyConditionClassType"),
        (
            ConditionClass::HighlyManaged,
            ObjectTypeId::HighlyManagedAlarmConditionClassType,
            "HighlyManagedAlarmConditionClassType",
        ),
        (ConditionClass::Training, ObjectTypeId::TrainingConditionClassType, "TrainingConditionClassType"),
        (ConditionClass::Statistical, ObjectTypeId::StatisticalConditionClassType, "StatisticalConditionClassType"),
        (ConditionClass::Testing, ObjectTypeId::TestingConditionClassType, "TestingConditionClassType"),
    ] {
        let key = key(&format!("class/{name}/press/oil"));
        house.define(ConditionDef { key: key.clone(), class, ..oil_high() });
        house.raise(&key);
        let told = events.next().await;
        assert_eq!(*told.get("ConditionClassId"), NodeId::from(kind).into(), "{name}");
        assert_eq!(told.text("ConditionClassName"), name);
    }
    hmi.close().await;
    house.close().await;
}

/// The audit event of a method is of the type of its clause.
async fn is_audited(method: MethodId, arguments: impl FnOnce(&House) -> Vec<Variant>, kind: ObjectTypeId) {
    let house = House::with(guarded()).await;
    house.define(latching());
    house.raise(&key(OIL));
    let user = |name: &str| IdentityToken::UserName(name.into(), "oil".to_owned().into());
    let max = Hmi::log_in(&house.url, user("max")).await.unwrap();
    let sue = Hmi::log_in(&house.url, user("sue")).await.unwrap();
    let of = ObjectTypeId::AuditConditionEventType;
    let filter = ContentFilterBuilder::new().of_type(Operand::literal(NodeId::from(of))).build();
    let fields = ["EventType", "SourceNode", "ClientUserId", "StatusCodeId"];
    let mut audit = max.subscribe(server(), &fields, filter).await;
    let status = sue.call(own(OIL), method, arguments(&house)).await;
    let told = audit.next().await;
    assert_eq!(*told.get("EventType"), NodeId::from(kind).into());
    assert_eq!((told.get("SourceNode"), told.get("StatusCodeId")), (&own(OIL).into(), &status.into()));
    assert_eq!(told.text("ClientUserId"), "sue");
    sue.close().await;
    max.close().await;
    house.close().await;
}

fn none(_: &House) -> Vec<Variant> {
    Vec::new()
}

fn seen(house: &House) -> Vec<Variant> {
    vec![newest(house), why()]
}

#[tokio::test]
async fn p9_5_10_3_enabling_is_audited() {
    is_audited(M::ConditionType_Disable, none, ObjectTypeId::AuditConditionEnableEventType).await;
}

#[tokio::test]
async fn p9_5_10_4_a_comment_is_audited() {
    is_audited(M::ConditionType_AddComment, seen, ObjectTypeId::AuditConditionCommentEventType).await;
}

#[tokio::test]
async fn p9_5_10_6_an_acknowledgement_is_audited() {
    let acknowledge = M::AcknowledgeableConditionType_Acknowledge;
    is_audited(acknowledge, seen, ObjectTypeId::AuditConditionAcknowledgeEventType).await;
}

#[tokio::test]
async fn p9_5_10_7_a_confirmation_is_audited() {
    let confirm = M::AcknowledgeableConditionType_Confirm;
    is_audited(confirm, seen, ObjectTypeId::AuditConditionConfirmEventType).await;
}

#[tokio::test]
async fn p9_5_10_8_shelving_is_audited() {
    let shelve = M::AlarmConditionType_ShelvingState_OneShotShelve;
    is_audited(shelve, none, ObjectTypeId::AuditConditionShelvingEventType).await;
}

#[tokio::test]
async fn p9_5_10_9_suppression_is_audited() {
    is_audited(M::AlarmConditionType_Suppress, none, ObjectTypeId::AuditConditionSuppressionEventType).await;
}

#[tokio::test]
async fn p9_5_10_10_silencing_is_audited() {
    is_audited(M::AlarmConditionType_Silence, none, ObjectTypeId::AuditConditionSilenceEventType).await;
}

#[tokio::test]
async fn p9_5_10_11_a_reset_is_audited() {
    is_audited(M::AlarmConditionType_Reset, none, ObjectTypeId::AuditConditionResetEventType).await;
}

#[tokio::test]
async fn p9_5_10_12_service_is_audited() {
    let remove = M::AlarmConditionType_RemoveFromService;
    is_audited(remove, none, ObjectTypeId::AuditConditionOutOfServiceEventType).await;
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
