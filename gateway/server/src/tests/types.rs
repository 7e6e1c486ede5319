//! One test for each type of alarm and each condition class of OPC 10000-9: its events and its instances are of it.

use opcua::types::{
    BrowseDirection, ContentFilter, ContentFilterBuilder, NodeId, ObjectTypeId, Operand, ReferenceTypeId,
};
use watchfire_alarms::{AlarmType, ConditionClass, ConditionDef};
use watchfire_model::Level;

use super::client::{Hmi, server};
use super::house::{House, key, oil_high};
use crate::names::own;

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
async fn p9_5_8_21_2_non_exclusive_level_alarms() {
    are_of(&[(
        AlarmType::NonExclusiveLevel,
        Level::High,
        ObjectTypeId::NonExclusiveLevelAlarmType,
        ObjectTypeId::NonExclusiveLimitAlarmType,
    )])
    .await;
}

#[tokio::test]
async fn p9_5_8_21_3_exclusive_level_alarms() {
    are_of(&[(
        AlarmType::ExclusiveLevel,
        Level::Low,
        ObjectTypeId::ExclusiveLevelAlarmType,
        ObjectTypeId::ExclusiveLimitAlarmType,
    )])
    .await;
}

#[tokio::test]
async fn p9_5_8_22_2_non_exclusive_deviation_alarms() {
    are_of(&[(
        AlarmType::NonExclusiveDeviation,
        Level::LowLow,
        ObjectTypeId::NonExclusiveDeviationAlarmType,
        ObjectTypeId::NonExclusiveLimitAlarmType,
    )])
    .await;
}

#[tokio::test]
async fn p9_5_8_22_3_exclusive_deviation_alarms() {
    are_of(&[(
        AlarmType::ExclusiveDeviation,
        Level::High,
        ObjectTypeId::ExclusiveDeviationAlarmType,
        ObjectTypeId::ExclusiveLimitAlarmType,
    )])
    .await;
}

#[tokio::test]
async fn p9_5_8_23_2_non_exclusive_rate_of_change_alarms() {
    are_of(&[(
        AlarmType::NonExclusiveRateOfChange,
        Level::HighHigh,
        ObjectTypeId::NonExclusiveRateOfChangeAlarmType,
        ObjectTypeId::NonExclusiveLimitAlarmType,
    )])
    .await;
}

#[tokio::test]
async fn p9_5_8_23_3_exclusive_rate_of_change_alarms() {
    are_of(&[(
        AlarmType::ExclusiveRateOfChange,
        Level::High,
        ObjectTypeId::ExclusiveRateOfChangeAlarmType,
        ObjectTypeId::ExclusiveLimitAlarmType,
    )])
    .await;
}

#[tokio::test]
async fn p9_5_8_24_2_off_normal_alarms() {
    are_of(&[(AlarmType::OffNormal, Level::Active, ObjectTypeId::OffNormalAlarmType, ObjectTypeId::DiscreteAlarmType)])
        .await;
}

#[tokio::test]
async fn p9_5_8_24_3_system_off_normal_alarms() {
    are_of(&[(
        AlarmType::SystemOffNormal,
        Level::Active,
        ObjectTypeId::SystemOffNormalAlarmType,
        ObjectTypeId::OffNormalAlarmType,
    )])
    .await;
}

#[tokio::test]
async fn p9_5_8_24_4_trip_alarms() {
    are_of(&[(AlarmType::Trip, Level::Active, ObjectTypeId::TripAlarmType, ObjectTypeId::OffNormalAlarmType)]).await;
}

#[tokio::test]
async fn p9_5_8_24_6_system_diagnostic_alarms() {
    are_of(&[(
        AlarmType::SystemDiagnostic,
        Level::Active,
        ObjectTypeId::SystemDiagnosticAlarmType,
        ObjectTypeId::OffNormalAlarmType,
    )])
    .await;
}

#[tokio::test]
async fn p9_5_8_25_discrepancy_alarms() {
    are_of(&[(
        AlarmType::Discrepancy,
        Level::Active,
        ObjectTypeId::DiscrepancyAlarmType,
        ObjectTypeId::AlarmConditionType,
    )])
    .await;
}

#[tokio::test]
async fn p9_5_8_24_1_discrete_alarms_are_found_by_the_type_that_they_have_in_common() {
    let discrete = ObjectTypeId::DiscreteAlarmType;
    are_of(&[
        (AlarmType::OffNormal, Level::Active, ObjectTypeId::OffNormalAlarmType, discrete),
        (AlarmType::Trip, Level::Active, ObjectTypeId::TripAlarmType, discrete),
        (AlarmType::SystemDiagnostic, Level::Active, ObjectTypeId::SystemDiagnosticAlarmType, discrete),
    ])
    .await;
}

/// An alarm of a class tells its node and its name, in its events and at its node.
async fn is_of_class(class: ConditionClass, kind: ObjectTypeId, name: &str) {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let fields = ["ConditionClassId", "ConditionClassName"];
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    let id = format!("class/{name}/press/oil");
    house.define(ConditionDef { key: key(&id), class, ..oil_high() });
    house.raise(&key(&id));
    let told = events.next().await;
    assert_eq!(*told.get("ConditionClassId"), NodeId::from(kind).into());
    assert_eq!(told.text("ConditionClassName"), name);
    assert_eq!(hmi.value(&format!("{id}#ConditionClassId")).await, NodeId::from(kind).into());
    let base = ObjectTypeId::BaseConditionClassType;
    let of = hmi.browse(NodeId::from(kind), ReferenceTypeId::HasSubtype, BrowseDirection::Inverse, 0).await;
    assert_eq!(of.first().unwrap().node_id.node_id, base, "5.9.2: each is one of BaseConditionClassType");
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_9_3_the_class_process() {
    is_of_class(ConditionClass::Process, ObjectTypeId::ProcessConditionClassType, "ProcessConditionClassType").await;
}

#[tokio::test]
async fn p9_5_9_4_the_class_maintenance() {
    is_of_class(
        ConditionClass::Maintenance,
        ObjectTypeId::MaintenanceConditionClassType,
        "MaintenanceConditionClassType",
    )
    .await;
}

#[tokio::test]
async fn p9_5_9_5_the_class_system() {
    is_of_class(ConditionClass::System, ObjectTypeId::SystemConditionClassType, "SystemConditionClassType").await;
}

#[tokio::test]
async fn p9_5_9_6_the_class_safety() {
    is_of_class(ConditionClass::Safety, ObjectTypeId::SafetyConditionClassType, "SafetyConditionClassType").await;
}

#[tokio::test]
async fn p9_5_9_7_the_class_highly_managed() {
    is_of_class(
        ConditionClass::HighlyManaged,
        ObjectTypeId::HighlyManagedAlarmConditionClassType,
        "HighlyManagedAlarmConditionClassType",
    )
    .await;
}

#[tokio::test]
async fn p9_5_9_8_the_class_training() {
    is_of_class(ConditionClass::Training, ObjectTypeId::TrainingConditionClassType, "TrainingConditionClassType").await;
}

#[tokio::test]
async fn p9_5_9_9_the_class_statistical() {
    is_of_class(
        ConditionClass::Statistical,
        ObjectTypeId::StatisticalConditionClassType,
        "StatisticalConditionClassType",
    )
    .await;
}

#[tokio::test]
async fn p9_5_9_10_the_class_testing() {
    is_of_class(ConditionClass::Testing, ObjectTypeId::TestingConditionClassType, "TestingConditionClassType").await;
}
