//! What an HMI finds when it browses, reads and watches.

use std::collections::BTreeSet;

use opcua::types::{
    AttributeId, BrowseDirection, ByteString, ContentFilter, DataTypeId, MethodId, NodeClass, NodeId, ObjectId,
    ObjectTypeId, ReferenceTypeId, StatusCode, VariableId, VariableTypeId, Variant,
};
use watchfire_alarms::{AlarmType, ConditionDef};
use watchfire_model::{Level, SignalId};

use super::client::{Hmi, server};
use super::house::{House, key, odd, oil_evidence, oil_high};
use crate::names::own;

const FORWARD: BrowseDirection = BrowseDirection::Forward;
const INVERSE: BrowseDirection = BrowseDirection::Inverse;

async fn targets(hmi: &Hmi, id: NodeId, kind: ReferenceTypeId, direction: BrowseDirection) -> BTreeSet<String> {
    hmi.browse(id, kind, direction, 0).await.into_iter().map(|found| found.node_id.node_id.to_string()).collect()
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| if name.starts_with("i=") { (*name).to_owned() } else { format!("ns=2;s={name}") }).collect()
}

#[tokio::test]
async fn p9_5_12_and_6_3_everything_hangs_together_in_both_directions() {
    use ReferenceTypeId::{
        HasComponent, HasCondition, HasEventSource, HasNotifier, HasProperty, HasSubtype, Organizes,
    };
    let house = House::open().await;
    house.define(oil_high());
    house.define(odd());
    let hmi = Hmi::connect(&house.url).await;
    // The conditions are defined by a task: its first word is a value.
    assert!(!hmi.watch(&[own("watch/odd#Retain")]).await.next().await.0.is_empty());
    let oil = "hot/high/press/oil";
    type Case<'a> = (NodeId, ReferenceTypeId, BrowseDirection, &'a [&'a str]);
    let cases: Vec<Case<'_>> = vec![
        (server(), HasNotifier, FORWARD, &["area:Gateway", "area:Hall"]),
        (own("area:Hall"), HasNotifier, INVERSE, &["i=2253"]),
        (own("area:Hall"), Organizes, INVERSE, &["i=85"]),
        (own("area:Hall"), HasNotifier, FORWARD, &["area:Hall/Empty", "area:Hall/Press"]),
        (own("area:Hall/Press"), HasNotifier, INVERSE, &["area:Hall"]),
        (own("area:Hall/Press"), HasEventSource, FORWARD, &["signal:press/door", "signal:press/oil", "source:watch"]),
        (
            own("area:Hall/Press"),
            HasComponent,
            FORWARD,
            &[
                "area:Hall/Press#ActiveCount",
                "area:Hall/Press#AlarmState",
                "area:Hall/Press#AlarmValues",
                "area:Hall/Press#Alarms",
                "area:Hall/Press#HighestSeverity",
                "area:Hall/Press#Metrics",
                "area:Hall/Press#UnacknowledgedCount",
            ],
        ),
        (own("area:Hall/Press#Alarms"), HasComponent, FORWARD, &["hot/high/press/oil", "watch/odd"]),
        (own(oil), HasComponent, INVERSE, &["area:Hall/Press#Alarms"]),
        (own("area:Hall/Press#AlarmValues"), HasComponent, FORWARD, &["hot/high/press/oil#Values", "watch/odd#Values"]),
        (own("signal:press/oil"), HasCondition, FORWARD, &["hot/high/press/oil"]),
        (own(oil), HasCondition, INVERSE, &["signal:press/oil"]),
        (own("source:watch"), HasCondition, FORWARD, &["watch/odd"]),
        (own("watch/odd"), HasCondition, INVERSE, &["source:watch"]),
        (own("source:watch"), HasNotifier, INVERSE, &["area:Hall/Press"]),
        (
            own("signal:press/oil"),
            HasProperty,
            FORWARD,
            &["signal:press/oil#EURange", "signal:press/oil#EngineeringUnits"],
        ),
        (
            own("hot/high/press/oil#LimitState"),
            HasComponent,
            FORWARD,
            &["hot/high/press/oil#LimitState/CurrentState", "hot/high/press/oil#LimitState/LastTransition"],
        ),
        (own("detectors"), HasComponent, INVERSE, &["area:Gateway"]),
        (own("detectors"), Organizes, FORWARD, &["detector:hot"]),
        (own("detector:hot"), Organizes, INVERSE, &["detectors"]),
        (
            own("detector:hot"),
            HasProperty,
            FORWARD,
            &[
                "detector:hot#AlarmsIn30Days",
                "detector:hot#Digest",
                "detector:hot#Licence",
                "detector:hot#MarkedFalse30Days",
                "detector:hot#MarkedTrue30Days",
                "detector:hot#Model",
                "detector:hot#Plugin",
                "detector:hot#Signer",
                "detector:hot#Version",
            ],
        ),
        (own("StatisticalAlarmType"), HasSubtype, INVERSE, &["i=2915"]),
    ];
    for (id, kind, direction, expected) in cases {
        assert_eq!(targets(&hmi, id.clone(), kind, direction).await, names(expected), "{id} {kind:?} {direction:?}");
    }
    let subtypes = targets(&hmi, ObjectTypeId::AlarmConditionType.into(), HasSubtype, FORWARD).await;
    assert!(subtypes.contains("ns=2;s=StatisticalAlarmType") && subtypes.len() > 1, "{subtypes:?}");
    let methods = targets(&hmi, own(oil), HasComponent, FORWARD).await;
    for method in [9027, 9028, 9029, 9111, 9113] {
        assert!(methods.contains(&format!("i={method}")), "{method}");
    }
    let types = |found: Vec<opcua::types::ReferenceDescription>| found[0].node_id.node_id.clone();
    let of_oil = types(hmi.browse(own(oil), ReferenceTypeId::HasTypeDefinition, FORWARD, 0).await);
    assert_eq!(of_oil, ObjectTypeId::ExclusiveLevelAlarmType);
    let of_odd = types(hmi.browse(own("watch/odd"), ReferenceTypeId::HasTypeDefinition, FORWARD, 0).await);
    assert_eq!(of_odd, own("StatisticalAlarmType"));
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_6_2_a_source_hears_of_all_its_signals() {
    let house = House::open().await;
    let lost =
        || ConditionDef { key: key("gateway/source/press"), area: "".into(), source_name: "press".into(), ..odd() };
    house.define(oil_high());
    house.define(odd());
    house.define(lost());
    let hmi = Hmi::connect(&house.url).await;
    let all = ContentFilter::default;
    // The conditions are defined by a task: its last word is a value.
    assert!(!hmi.watch(&[own("gateway/source/press#Retain")]).await.next().await.0.is_empty());
    let mut at_source = hmi.subscribe(own("source:press"), &["ConditionId"], all()).await;
    let mut at_detector = hmi.subscribe(own("source:watch"), &["ConditionId"], all()).await;
    for raised in ["hot/high/press/oil", "gateway/source/press", "watch/odd"] {
        house.find(&key(raised), Level::Active, "bad", Vec::new());
    }
    for expected in ["hot/high/press/oil", "gateway/source/press"] {
        assert_eq!(*at_source.next().await.get("ConditionId"), own(expected).into());
    }
    assert_eq!(*at_detector.next().await.get("ConditionId"), own("watch/odd").into());
    assert!(at_source.is_empty() && at_detector.is_empty());
    let signals = targets(&hmi, own("source:press"), ReferenceTypeId::HasEventSource, FORWARD).await;
    assert!(["signal:press/door", "signal:press/oil"].iter().all(|name| signals.contains(&format!("ns=2;s={name}"))));
    let above = targets(&hmi, own("signal:press/oil"), ReferenceTypeId::HasEventSource, INVERSE).await;
    let expected = ["area:Hall/Press", "source:press"].map(|name| format!("ns=2;s={name}"));
    assert_eq!(above.into_iter().collect::<Vec<_>>(), expected);
    hmi.close().await;
    house.close().await;
}

/// Every node that can be reached answers to what it is: no broken link, no attribute missing.
#[tokio::test]
async fn every_node_that_can_be_reached_is_there() {
    let house = House::open().await;
    for (at, kind) in [
        AlarmType::ExclusiveLevel,
        AlarmType::ExclusiveRateOfChange,
        AlarmType::ExclusiveDeviation,
        AlarmType::NonExclusiveLevel,
        AlarmType::NonExclusiveRateOfChange,
        AlarmType::NonExclusiveDeviation,
        AlarmType::OffNormal,
        AlarmType::Trip,
        AlarmType::Discrepancy,
        AlarmType::SystemOffNormal,
        AlarmType::SystemDiagnostic,
        AlarmType::CertificateExpiration,
        AlarmType::DeviceFailure,
        AlarmType::DeviceCheckFunction,
        AlarmType::DeviceOffSpec,
        AlarmType::DeviceMaintenanceRequired,
        AlarmType::Statistical,
    ]
    .into_iter()
    .enumerate()
    {
        house.define(ConditionDef { key: key(&format!("all/kind{at}")), alarm_type: kind, ..odd() });
    }
    let hmi = Hmi::connect(&house.url).await;
    assert!(!hmi.watch(&[own("all/kind16#Retain")]).await.next().await.0.is_empty());
    let mut to_see: Vec<NodeId> = vec![own("area:Hall"), own("area:Gateway")];
    let mut seen: BTreeSet<String> = BTreeSet::new();
    while let Some(id) = to_see.pop() {
        if !seen.insert(id.to_string()) {
            continue;
        }
        let class = hmi.attribute(id.clone(), AttributeId::NodeClass).await.value.unwrap();
        assert_eq!(hmi.attribute(id.clone(), AttributeId::NodeId).await.value, Some(id.clone().into()));
        if class == Variant::Int32(NodeClass::Variable as i32) {
            let kind = hmi.attribute(id.clone(), AttributeId::DataType).await;
            assert!(kind.status().is_good(), "{id}");
            assert_ne!(hmi.read(id.clone()).await.status(), StatusCode::BadNodeIdUnknown, "{id}");
        } else {
            assert_eq!(hmi.read(id.clone()).await.status(), StatusCode::BadAttributeIdInvalid, "{id}");
        }
        for found in hmi.browse(id.clone(), ReferenceTypeId::HierarchicalReferences, FORWARD, 0).await {
            let target = found.node_id.node_id;
            assert!(!found.type_definition.node_id.is_null() || found.node_class == NodeClass::Method, "{target}");
            if target.namespace == 2 {
                let back = targets(&hmi, target.clone(), ReferenceTypeId::HierarchicalReferences, INVERSE).await;
                // A method of ours is shared by all conditions, and knows the type that declares it.
                let shared = found.node_class == NodeClass::Method;
                let above = if shared { own("StatisticalAlarmType").to_string() } else { id.to_string() };
                assert!(back.contains(&above), "{target} does not know that it is below {above}");
                to_see.push(target);
            }
        }
    }
    assert!(seen.len() > 17 * 45, "{}", seen.len());
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_long_list_comes_in_pages_and_once() {
    let house = House::open().await;
    for at in 0..25 {
        house.define(ConditionDef { key: key(&format!("many/one/{at}")), ..odd() });
    }
    let hmi = Hmi::connect(&house.url).await;
    assert!(!hmi.watch(&[own("many/one/24#Retain")]).await.next().await.0.is_empty());
    let alarms = own("area:Hall/Press#Alarms");
    for page in [1, 7, 25, 100] {
        let found = hmi.browse(alarms.clone(), ReferenceTypeId::HasComponent, FORWARD, page).await;
        let different: BTreeSet<_> = found.iter().map(|found| found.node_id.node_id.to_string()).collect();
        assert_eq!((found.len(), different.len()), (25, 25), "page {page}");
    }
    // Objects has nodes of the standard and of ours.
    let objects =
        hmi.browse(ObjectId::ObjectsFolder.into(), ReferenceTypeId::References, BrowseDirection::Both, 1).await;
    let different: BTreeSet<_> =
        objects.iter().map(|found| (found.node_id.node_id.to_string(), found.is_forward)).collect();
    assert_eq!(different.len(), objects.len());
    assert!(different.contains(&("ns=2;s=area:Hall".to_owned(), true)));
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn browse_paths_lead_from_the_standard_to_our_nodes_and_back() {
    let house = House::open().await;
    house.define(oil_high());
    let hmi = Hmi::connect(&house.url).await;
    assert!(!hmi.watch(&[own("hot/high/press/oil#Retain")]).await.next().await.0.is_empty());
    let oil = own("hot/high/press/oil");
    let cases: Vec<(NodeId, &[&str], bool, Vec<NodeId>)> = vec![
        (ObjectId::ObjectsFolder.into(), &["Hall", "Press", "Alarms", "hot/high/press/oil"], false, vec![oil.clone()]),
        (
            ObjectId::RootFolder.into(),
            &[".Objects", "Hall", "Press", "press/oil"],
            false,
            vec![own("signal:press/oil")],
        ),
        (oil.clone(), &[".AckedState", ".Id"], false, vec![own("hot/high/press/oil#AckedState/Id")]),
        (oil.clone(), &[".Acknowledge"], false, vec![MethodId::AcknowledgeableConditionType_Acknowledge.into()]),
        (oil.clone(), &["Alarms", "Press", "Hall", ".Objects"], true, vec![ObjectId::ObjectsFolder.into()]),
        (oil.clone(), &["AckedState"], false, Vec::new()),
        (oil, &["Score"], false, vec![own("hot/high/press/oil#Score")]),
        (server(), &["Hall", "Press"], false, vec![own("area:Hall/Press")]),
        (own("no/such"), &[".Id"], false, Vec::new()),
    ];
    for (from, names, inverse, expected) in cases {
        assert_eq!(hmi.follow(from, names, inverse).await, expected, "{names:?}");
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn what_does_not_exist_is_unknown() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    for name in ["no/such", "area:Nowhere", "area:Hall#Nothing", "signal:press", "", "StatisticalAlarmType#Severity"] {
        assert_eq!(hmi.read(own(name)).await.status(), StatusCode::BadNodeIdUnknown, "{name}");
        assert_eq!(hmi.write(own(name), 1_u32).await, StatusCode::BadNodeIdUnknown, "{name}");
    }
    // Of ours, of a namespace that nobody has, and of the standard's.
    let nowhere = [own("no/such"), NodeId::new(9, "x"), NodeId::new(0, 999_999)];
    let wanted = nowhere.clone().map(|node_id| opcua::types::BrowseDescription {
        node_id,
        browse_direction: BrowseDirection::Both,
        ..opcua::types::BrowseDescription::default()
    });
    for (answer, id) in hmi.session.browse(&wanted, 0, None).await.unwrap().iter().zip(nowhere) {
        assert_eq!(answer.status_code, StatusCode::BadNodeIdUnknown, "{id}");
    }
    assert_eq!(hmi.write(own("signal:press/oil"), 1.0).await, StatusCode::BadNotWritable);
    assert_eq!(hmi.write(own("area:Hall"), 1.0).await, StatusCode::BadNotWritable);
    assert_eq!(hmi.write(VariableId::Server_ServerStatus_State.into(), 1_i32).await, StatusCode::BadNotWritable);
    assert_eq!(hmi.write(NodeId::new(0, 999_999), 1_i32).await, StatusCode::BadNodeIdUnknown);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn signals_show_their_latest_value_and_their_trouble() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let oil = own("signal:press/oil");
    assert_eq!(hmi.read(oil.clone()).await.status(), StatusCode::BadWaitingForInitialData);
    assert_eq!(
        hmi.attribute(oil.clone(), AttributeId::DataType).await.value,
        Some(NodeId::from(DataTypeId::Double).into())
    );
    let found = hmi.browse(oil.clone(), ReferenceTypeId::HasTypeDefinition, FORWARD, 0).await;
    assert_eq!(found[0].node_id.node_id, VariableTypeId::AnalogItemType);
    let range = hmi.read(own("signal:press/oil#EURange")).await.value;
    let Some(Variant::ExtensionObject(range)) = range else { panic!("{range:?}") };
    assert_eq!(range.inner_as::<opcua::types::Range>().map(|range| (range.low, range.high)), Some((0.0, 10.0)));

    let mut changes = hmi.watch(&[oil.clone(), own("signal:press/door")]).await;
    let first = changes.round(2).await;
    assert!(first.values().all(|value| value.status() == StatusCode::BadWaitingForInitialData));
    house.see(1, 4.5, watchfire_model::StatusCode::GOOD);
    let (name, value) = changes.next().await;
    assert_eq!(
        (name.as_str(), value.value, value.status),
        ("signal:press/oil", Some(4.5.into()), Some(StatusCode::Good))
    );
    assert_eq!(value.source_timestamp.map(|at| at.ticks()), Some(133_444_736_000_000_000));
    house.latest.mark(&[SignalId(1)], watchfire_model::StatusCode::BAD_NO_COMMUNICATION, super::house::NOON);
    let (name, value) = changes.next().await;
    assert_eq!((name.as_str(), value.status()), ("signal:press/oil", StatusCode::BadNoCommunication));
    house.see(2, 1.0, watchfire_model::StatusCode::GOOD);
    assert_eq!(changes.next().await.1.value, Some(true.into()));
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn values_beside_an_alarm_and_counters_of_its_areas_follow_it() {
    let house = House::open().await;
    house.define(oil_high());
    house.define(odd());
    let oil = key("hot/high/press/oil");
    let hmi = Hmi::connect(&house.url).await;
    assert!(!hmi.watch(&[own("watch/odd#Retain")]).await.next().await.0.is_empty());
    let names = [
        "hot/high/press/oil#Values/Active",
        "hot/high/press/oil#Values/Acknowledged",
        "hot/high/press/oil#ActiveState/Id",
        "area:Hall#ActiveCount",
        "area:Hall/Press#UnacknowledgedCount",
        "area:Hall/Press#HighestSeverity",
    ];
    let mut changes = hmi.watch(&names.map(own)).await;
    let values = |round: std::collections::BTreeMap<String, opcua::types::DataValue>| {
        names.map(|name| round.get(name).and_then(|value| value.value.clone()).unwrap_or_default())
    };
    let before: [Variant; 6] = [false.into(), true.into(), false.into(), 0_u32.into(), 0_u32.into(), 0_u16.into()];
    assert_eq!(values(changes.round(6).await), before);
    house.raise(&oil);
    let raised: [Variant; 6] = [true.into(), false.into(), true.into(), 1_u32.into(), 1_u32.into(), 700_u16.into()];
    assert_eq!(values(changes.round(6).await), raised);

    house.find(&key("watch/odd"), Level::Active, "odd", Vec::new());
    let more = changes.round(2).await;
    assert_eq!(more["area:Hall#ActiveCount"].value, Some(2_u32.into()));
    assert_eq!(more["area:Hall/Press#UnacknowledgedCount"].value, Some(2_u32.into()));
    let state = house.state(&oil);
    let event_id: Variant = ByteString::from(state.event_id(&oil).bytes().to_vec()).into();
    assert_eq!(hmi.value("hot/high/press/oil#Values/EventId").await, event_id);
    assert_eq!(hmi.value("hot/high/press/oil#EventId").await, event_id);
    assert_eq!(hmi.value("hot/high/press/oil#Values/Severity").await, 700_u16.into());
    assert_eq!(hmi.value("hot/high/press/oil#Values/Score").await, 4.5.into());
    let message = hmi.value("hot/high/press/oil#Values/Message").await;
    assert_eq!(message, "too high (press/oil = 9.25, expected at most 8)".into());
    assert_eq!(hmi.value("area:Hall/Empty#ActiveCount").await, 0_u32.into());

    house.find(&oil, Level::Normal, "well again", vec![oil_evidence()]);
    let well = changes.round(4).await;
    assert_eq!(well["hot/high/press/oil#Values/Active"].value, Some(false.into()));
    assert_eq!(well["area:Hall#ActiveCount"].value, Some(1_u32.into()));
    assert_eq!(well["area:Hall/Press#HighestSeverity"].value, Some(400_u16.into()));
    assert_eq!(hmi.value("hot/high/press/oil#HighLimit").await, 8.0.into(), "a limit stays known");
    assert_eq!(
        hmi.read(own("hot/high/press/oil#LimitState/CurrentState")).await.status(),
        StatusCode::BadStateNotActive
    );
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_detector_shows_whose_code_it_runs() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let text = |value: Option<Variant>| match value {
        Some(Variant::String(text)) => text.value().clone(),
        other => panic!("{other:?} is no text"),
    };
    for (property, expected) in [
        ("Plugin", Some("hot-oil")),
        ("Digest", Some("sha256:00")),
        ("Signer", Some("acme")),
        ("Version", None),
        ("Licence", None),
        ("Model", Some("sha256:11")),
    ] {
        let id = own(&format!("detector:hot#{property}"));
        assert_eq!(text(hmi.read(id.clone()).await.value).as_deref(), expected, "{property}");
        assert_eq!(hmi.attribute(id.clone(), AttributeId::DataType).await.value, Some(NodeId::new(0, 12).into()));
        let access = hmi.attribute(id, AttributeId::AccessLevel).await.value;
        assert_eq!(access, Some(Variant::Byte(1)), "it can be read, not written");
    }
    for none in ["detector:cold", "detector:hot#Other", "detectors#x"] {
        assert_eq!(hmi.read(own(none)).await.status(), StatusCode::BadNodeIdUnknown, "{none}");
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_4_2_and_5_4_3_states_lead_to_what_they_are_divided_into_while_they_are_true_and_back() {
    use ReferenceTypeId::{HasFalseSubState, HasTrueSubState, HierarchicalReferences, NonHierarchicalReferences};
    let house = House::open().await;
    house.define(oil_high());
    house.define(odd());
    let both = ConditionDef { key: key("hot/both/press/oil"), alarm_type: AlarmType::NonExclusiveLevel, ..oil_high() };
    house.define(both);
    let hmi = Hmi::connect(&house.url).await;
    assert!(!hmi.watch(&[own("hot/both/press/oil#Retain")]).await.next().await.0.is_empty());
    let always = ["AckedState", "ConfirmedState", "ActiveState", "SuppressedState", "ShelvingState"];
    for (condition, limits) in [
        ("hot/high/press/oil", &["LimitState"][..]),
        ("hot/both/press/oil", &["HighHighState", "HighState", "LowState", "LowLowState"]),
        ("watch/odd", &[]),
    ] {
        let of = |path: &str| own(&format!("{condition}#{path}"));
        for (whole, parts) in [("EnabledState", &always[..]), ("ActiveState", limits)] {
            let parts: BTreeSet<String> = parts.iter().map(|part| of(part).to_string()).collect();
            assert_eq!(targets(&hmi, of(whole), HasTrueSubState, FORWARD).await, parts, "{condition} {whole}");
            for part in &parts {
                let part: NodeId = part.parse().unwrap();
                let back = targets(&hmi, part.clone(), HasTrueSubState, INVERSE).await;
                assert_eq!(back, BTreeSet::from([of(whole).to_string()]), "{part}");
                // Whoever browses for what there is finds it once, as before.
                assert_eq!(targets(&hmi, part.clone(), HierarchicalReferences, INVERSE).await.len(), 1, "{part}");
                let others = targets(&hmi, part, NonHierarchicalReferences, INVERSE).await;
                assert_eq!(others, back);
            }
        }
        for state in ["EnabledState", "ActiveState", "AckedState"] {
            assert_eq!(targets(&hmi, of(state), HasFalseSubState, BrowseDirection::Both).await, BTreeSet::new());
        }
    }
    hmi.close().await;
    house.close().await;
}
