//! Alarms of instrument health (NE 107), by the types of the namespace for devices.

use opcua::types::{
    AttributeId, BrowseDirection, ContentFilterBuilder, MethodId, NodeId, ObjectTypeId, Operand, QualifiedName,
    ReferenceTypeId, StatusCode, VariableId, Variant,
};
use watchfire_alarms::{AlarmType, ConditionClass, ConditionDef};
use watchfire_model::Level;

use super::client::{Hmi, server};
use super::house::{House, key, oil_high};
use crate::device_types::{DEVICES, DEVICES_URI};

/// Type, number of its node, name.
const TYPES: [(AlarmType, u32, &str); 4] = [
    (AlarmType::DeviceFailure, 15_292, "FailureAlarmType"),
    (AlarmType::DeviceCheckFunction, 15_441, "CheckFunctionAlarmType"),
    (AlarmType::DeviceOffSpec, 15_590, "OffSpecAlarmType"),
    (AlarmType::DeviceMaintenanceRequired, 15_739, "MaintenanceRequiredAlarmType"),
];

fn health() -> NodeId {
    NodeId::new(DEVICES, 15_143)
}

#[tokio::test]
async fn p9_5_8_24_5_an_instruments_health_is_told_by_the_types_that_every_server_has_for_it() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let of_health = ContentFilterBuilder::new().of_type(Operand::literal(health())).build();
    let mut events = hmi.subscribe(server(), &["ConditionId", "EventType", "NormalState"], of_health).await;
    let of_failure = ContentFilterBuilder::new().of_type(Operand::literal(NodeId::new(DEVICES, 15_292))).build();
    let mut failures = hmi.subscribe(server(), &["EventType"], of_failure).await;
    let diagnostic = NodeId::from(ObjectTypeId::InstrumentDiagnosticAlarmType);
    let of_instruments = ContentFilterBuilder::new().of_type(Operand::literal(diagnostic)).build();
    let mut instruments = hmi.subscribe(server(), &["EventType"], of_instruments).await;
    house.define(oil_high());
    house.raise(&key("hot/high/press/oil"));
    for (alarm_type, number, _) in TYPES {
        let name = format!("health/{number}/press/oil");
        house.define(ConditionDef { key: key(&name), alarm_type, class: ConditionClass::Maintenance, ..oil_high() });
        house.find(&key(&name), Level::Active, "the instrument is not as it should be", Vec::new());
        let event = events.next().await;
        let kind = NodeId::new(DEVICES, number);
        assert_eq!(*event.get("EventType"), kind.clone().into());
        assert_eq!(*event.get("ConditionId"), crate::names::own(&name).into());
        assert_eq!(*instruments.next().await.get("EventType"), kind.clone().into());
        let defined =
            hmi.browse(crate::names::own(&name), ReferenceTypeId::HasTypeDefinition, BrowseDirection::Forward, 0);
        assert_eq!(defined.await[0].node_id.node_id, kind);
    }
    assert_eq!(*failures.next().await.get("EventType"), NodeId::new(DEVICES, 15_292).into());
    assert!(failures.is_empty() && events.is_empty(), "what tells of no instrument is none of them");
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p100_4_12_the_types_of_instrument_health_are_nodes_of_their_own_namespace() {
    use BrowseDirection::{Forward, Inverse};
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let namespaces = hmi.read(VariableId::Server_NamespaceArray.into()).await.value;
    let Some(Variant::Array(namespaces)) = namespaces else { panic!("{namespaces:?}") };
    assert_eq!(namespaces.values.get(usize::from(DEVICES)), Some(&DEVICES_URI.into()));
    let derived = |from: NodeId, direction| {
        let found = hmi.browse(from, ReferenceTypeId::HasSubtype, direction, 0);
        async move { found.await.into_iter().map(|found| found.node_id.node_id).collect::<Vec<_>>() }
    };
    let diagnostic: NodeId = ObjectTypeId::InstrumentDiagnosticAlarmType.into();
    assert_eq!(derived(diagnostic.clone(), Forward).await, [health()]);
    assert_eq!(derived(health(), Inverse).await, [diagnostic]);
    let all = TYPES.map(|(_, number, _)| NodeId::new(DEVICES, number));
    assert_eq!(derived(health(), Forward).await, all);
    for (_, number, name) in TYPES {
        let id = NodeId::new(DEVICES, number);
        assert_eq!(derived(id.clone(), Inverse).await, [health()]);
        let browse_name = hmi.attribute(id.clone(), AttributeId::BrowseName).await.value;
        assert_eq!(browse_name, Some(QualifiedName::new(DEVICES, name).into()));
        assert_eq!(hmi.attribute(id, AttributeId::IsAbstract).await.value, Some(false.into()));
    }
    assert_eq!(hmi.attribute(health(), AttributeId::IsAbstract).await.value, Some(true.into()));
    // A type is no condition, and what the standard has beside these is not here.
    let acknowledge = MethodId::AcknowledgeableConditionType_Acknowledge;
    let asked = hmi.call(health(), acknowledge, vec![Variant::Empty, Variant::Empty]).await;
    assert_eq!(asked, StatusCode::BadNodeIdInvalid);
    let device_type = hmi.attribute(NodeId::new(DEVICES, 1002), AttributeId::NodeClass).await;
    assert_eq!(device_type.status(), StatusCode::BadNodeIdUnknown);
    hmi.close().await;
    house.close().await;
}
