//! What suppresses conditions by itself, as clients find it: suppression groups, their members and whom they suppress.

use std::sync::Arc;
use std::time::Duration;

use opcua::types::{
    AttributeId, BrowseDirection, DataTypeId, LocalizedText, MethodId, NodeId, ObjectTypeId, ReferenceTypeId,
    StatusCode, VariableTypeId, Variant,
};
use watchfire_alarms::{ConditionClass, ConditionDef, Rules};
use watchfire_model::{Kind, Level, SignalId};
use watchfire_pipeline::OwnConditions;

use super::client::{Hmi, PATIENCE};
use super::house::{House, key, odd, oil_high, signal};
use crate::DetectorNode;
use crate::names::own;

const OIL: &str = "hot/high/press/oil";
const FORWARD: BrowseDirection = BrowseDirection::Forward;
const INVERSE: BrowseDirection = BrowseDirection::Inverse;
const SUPPRESSED_BY: ReferenceTypeId = ReferenceTypeId::HasAlarmSuppressionGroup;
const MEMBER: ReferenceTypeId = ReferenceTypeId::AlarmSuppressionGroupMember;

fn detector(name: &str, sources: &[&str]) -> DetectorNode {
    let sources = sources.iter().map(|source| (*source).into()).collect();
    DetectorNode { name: name.into(), sources, ..DetectorNode::default() }
}

/// `hot` watches signals of `press` and of `tank`, each by itself and all together; `watch` the press alone.
async fn house() -> (House, Hmi) {
    let house = House::open().await;
    house.editor.signals(vec![signal(3, "tank/level", "Hall/Tank", Kind::Real)]);
    house.editor.detectors(vec![detector("hot", &["press", "tank"]), detector("watch", &["press"])]);
    house.define(oil_high());
    let level = ConditionDef {
        key: key("hot/high/tank/level"),
        source_name: "tank/level".into(),
        signal: Some(SignalId(3)),
        ..oil_high()
    };
    house.define(level);
    house.define(ConditionDef { key: key("hot/both"), source_name: "hot".into(), ..odd() });
    house.define(odd());
    // People alone suppress it; nobody knows what it rests on; it is the gateway's own.
    let managed = ConditionClass::HighlyManaged;
    house.define(ConditionDef { key: key("watch/managed"), class: managed, ..odd() });
    house.define(ConditionDef { key: key("gone/odd"), source_name: "gone".into(), ..odd() });
    let gateway = OwnConditions::new("");
    house.define((*gateway.detector_def("hot")).clone());
    for source in ["press", "tank"] {
        house.define((*gateway.source_def(source)).clone());
    }
    let hmi = Hmi::connect(&house.url).await;
    becomes(&hmi, "gateway/source/tank#ActiveState/Id", false.into()).await;
    (house, hmi)
}

/// Waits until a variable of ours has a value.
async fn becomes(hmi: &Hmi, id: &str, value: Variant) {
    let looked = async {
        while hmi.value(id).await != value {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looked).await.expect("it never has it");
}

async fn browsed(hmi: &Hmi, id: &str, kind: ReferenceTypeId, direction: BrowseDirection) -> Vec<String> {
    let found = hmi.browse(own(id), kind, direction, 0).await;
    let ours = found.into_iter().filter(|found| found.node_id.node_id.namespace == 2);
    let mut all: Vec<_> = ours.map(|found| found.node_id.node_id.to_string().replace("ns=2;s=", "")).collect();
    all.sort();
    all
}

async fn type_of(hmi: &Hmi, id: &str) -> NodeId {
    let found = hmi.browse(own(id), ReferenceTypeId::HasTypeDefinition, FORWARD, 0).await;
    found.into_iter().next().unwrap().node_id.node_id
}

/// What is suppressed in these modes, and counts for a budget.
fn quiet_in(modes: &[u32], budget: Option<u32>) -> Arc<Rules> {
    Arc::new(Rules { suppress_in_modes: modes.to_vec(), budget, ..Rules::default() })
}

#[tokio::test]
async fn p9_5_4_4_what_a_lost_source_suppresses_leads_to_the_group_with_its_alarm_and_back() {
    let (house, hmi) = house().await;
    for (condition, groups) in [
        (OIL, &["suppression:source/press"][..]),
        ("hot/high/tank/level", &["suppression:source/tank"]),
        ("watch/odd", &["suppression:source/press"]),
        // Suppressed once both are lost, and by neither alone.
        ("hot/both", &["suppression:sources/hot"]),
        ("watch/managed", &[]),
        ("gone/odd", &[]),
        ("gateway/detector/hot", &[]),
        ("gateway/source/press", &[]),
    ] {
        assert_eq!(browsed(&hmi, condition, SUPPRESSED_BY, FORWARD).await, groups, "{condition}");
    }
    for (group, suppressed) in [
        ("suppression:source/press", &[OIL, "watch/odd"][..]),
        ("suppression:source/tank", &["hot/high/tank/level"]),
        ("suppression:sources/hot", &["hot/both"]),
    ] {
        assert_eq!(browsed(&hmi, group, SUPPRESSED_BY, INVERSE).await, suppressed, "{group}");
    }
    // It is a component of the alarm, among the others.
    let components = browsed(&hmi, OIL, ReferenceTypeId::HasComponent, FORWARD).await;
    assert!(components.contains(&"suppression:source/press".to_owned()), "{components:?}");
    assert_eq!(hmi.follow(own(OIL), &["source/press"], false).await, [own("suppression:source/press")]);
    assert_eq!(hmi.follow(own("suppression:source/press"), &[OIL], true).await, [own(OIL)]);

    // A reload: the detector watches less than before, and its conditions stay.
    house.editor.detectors(vec![detector("hot", &["press"]), detector("watch", &["press"])]);
    assert_eq!(browsed(&hmi, "hot/both", SUPPRESSED_BY, FORWARD).await, ["suppression:source/press"]);
    assert_eq!(hmi.read(own("suppression:sources/hot")).await.status(), StatusCode::BadNodeIdUnknown);
    assert_eq!(browsed(&hmi, "suppression:source/tank", SUPPRESSED_BY, INVERSE).await, [""; 0]);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_4_6_the_members_of_a_suppression_group_are_what_suppresses() {
    let (house, hmi) = house().await;
    let alarm = "gateway/source/press";
    assert_eq!(browsed(&hmi, "suppression:source/press", MEMBER, FORWARD).await, [alarm]);
    assert_eq!(browsed(&hmi, alarm, MEMBER, INVERSE).await, ["suppression:source/press"]);
    // The reference is one of groups in general.
    let general = ReferenceTypeId::AlarmGroupMember;
    assert_eq!(browsed(&hmi, "suppression:source/press", general, FORWARD).await, [alarm]);
    assert_eq!(browsed(&hmi, OIL, general, INVERSE).await, [""; 0], "whom it suppresses is no member");
    let variable = "suppression:sources/hot#Holds";
    assert_eq!(browsed(&hmi, "suppression:sources/hot", MEMBER, FORWARD).await, [variable]);
    assert_eq!(browsed(&hmi, variable, MEMBER, INVERSE).await, ["suppression:sources/hot"]);
    // An alarm is asked for its groups in this way as well (5.8.16).
    let asked = MethodId::AlarmConditionType_GetGroupMemberships;
    for (condition, groups) in [(alarm, vec![own("suppression:source/press")]), (OIL, vec![])] {
        let answer = hmi.session.call_one((own(condition), asked.into(), None)).await.unwrap();
        let told = answer.output_arguments.and_then(|mut outputs| outputs.pop());
        let Some(Variant::Array(told)) = told else { panic!("{condition}: {told:?}") };
        assert_eq!(told.values, groups.into_iter().map(Variant::from).collect::<Vec<_>>(), "{condition}");
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_8_4_each_suppression_group_is_an_object_that_says_what_it_is_for() {
    let (house, hmi) = house().await;
    let area = browsed(&hmi, "area:Gateway", ReferenceTypeId::HasComponent, FORWARD).await;
    assert!(area.contains(&"suppressions".to_owned()), "{area:?}");
    assert_eq!(browsed(&hmi, "suppressions", ReferenceTypeId::HasComponent, INVERSE).await, ["area:Gateway"]);
    let groups = browsed(&hmi, "suppressions", ReferenceTypeId::Organizes, FORWARD).await;
    assert_eq!(groups, ["suppression:source/press", "suppression:source/tank", "suppression:sources/hot"]);
    for group in &groups {
        assert_eq!(type_of(&hmi, group).await, ObjectTypeId::AlarmSuppressionGroupType);
        assert_eq!(browsed(&hmi, group, MEMBER, FORWARD).await.len(), 1, "it has a member");
    }
    let said = async |attribute| hmi.attribute(own("suppression:source/press"), attribute).await.value;
    let text = |text: &str| Some(LocalizedText::new("en", text).into());
    assert_eq!(said(AttributeId::DisplayName).await, text("source press is lost"));
    let explained = text("Suppresses what rests on source `press` alone while it is lost.");
    assert_eq!(said(AttributeId::Description).await, explained);
    for none in ["source/hot", "sources/watch", "mode/3", "budget/hot", "first/hot", "source"] {
        let status = hmi.read(own(&format!("suppression:{none}"))).await.status();
        assert_eq!(status, StatusCode::BadNodeIdUnknown, "{none}");
    }
    let of_alarm = hmi.read(own("suppression:source/press#Holds")).await.status();
    assert_eq!(of_alarm, StatusCode::BadNodeIdUnknown, "its alarm says it");
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_8_4_a_variable_is_true_while_all_sources_of_a_detector_are_lost() {
    let (house, hmi) = house().await;
    let lost = |source: &str, is_lost| {
        let level = if is_lost { Level::Active } else { Level::Normal };
        house.find(&OwnConditions::source_key(source), level, "no answer", Vec::new());
    };
    let variable = own("suppression:sources/hot#Holds");
    let mut watched = hmi.watch(std::slice::from_ref(&variable)).await;
    assert_eq!(watched.next().await.1.value, Some(false.into()));
    lost("press", true);
    becomes(&hmi, "gateway/source/press#ActiveState/Id", true.into()).await;
    assert_eq!(hmi.read(variable).await.value, Some(false.into()), "the other is there");
    for is_lost in [true, false] {
        lost("tank", is_lost);
        assert_eq!(watched.next().await.1.value, Some(is_lost.into()));
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_8_4_a_variable_of_each_mode_is_true_while_the_plant_is_in_it() {
    let (house, hmi) = house().await;
    house.define(ConditionDef { rules: quiet_in(&[2, 3], None), ..oil_high() });
    house.define(ConditionDef { rules: quiet_in(&[3], None), ..odd() });
    let managed = ConditionClass::HighlyManaged;
    house.define(ConditionDef { key: key("watch/managed"), class: managed, rules: quiet_in(&[5], None), ..odd() });
    house.define(ConditionDef { key: key("watch/last"), ..odd() });
    becomes(&hmi, "watch/last#ActiveState/Id", false.into()).await;
    let groups = browsed(&hmi, OIL, SUPPRESSED_BY, FORWARD).await;
    assert_eq!(groups, ["suppression:mode/2", "suppression:mode/3", "suppression:source/press"]);
    assert_eq!(browsed(&hmi, "suppression:mode/3", SUPPRESSED_BY, INVERSE).await, [OIL, "watch/odd"]);
    assert_eq!(hmi.read(own("suppression:mode/5")).await.status(), StatusCode::BadNodeIdUnknown);
    let variable = "suppression:mode/3#Holds";
    assert_eq!(browsed(&hmi, "suppression:mode/3", MEMBER, FORWARD).await, [variable]);
    // A DataVariable is a component (OPC 10000-3 §5.6.4).
    assert_eq!(browsed(&hmi, "suppression:mode/3", ReferenceTypeId::HasComponent, FORWARD).await, [variable]);
    assert_eq!(type_of(&hmi, variable).await, VariableTypeId::BaseDataVariableType);
    let kind = hmi.attribute(own(variable), AttributeId::DataType).await.value;
    assert_eq!(kind, Some(NodeId::from(DataTypeId::Boolean).into()));
    let mut watched = hmi.watch(&[own(variable)]).await;
    assert_eq!(watched.next().await.1.status(), StatusCode::BadWaitingForInitialData, "nobody knows the mode yet");
    for (mode, of_two, of_three) in [(3, false, true), (2, true, false), (1, false, false)] {
        house.latest.set_mode(mode);
        let read = [hmi.value("suppression:mode/2#Holds").await, hmi.value(variable).await];
        assert_eq!(read, [Variant::from(of_two), of_three.into()], "mode {mode}");
        if mode != 1 {
            assert_eq!(watched.next().await.1.value, Some(of_three.into()), "mode {mode}");
        }
    }
    // Nobody is quiet in it any more.
    house.define(oil_high());
    house.define(odd());
    house.define(ConditionDef { key: key("watch/after"), ..odd() });
    becomes(&hmi, "watch/after#ActiveState/Id", false.into()).await;
    assert_eq!(hmi.read(own(variable)).await.status(), StatusCode::BadNodeIdUnknown);
    assert_eq!(browsed(&hmi, OIL, SUPPRESSED_BY, FORWARD).await, ["suppression:source/press"]);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_8_4_the_alarm_of_a_budget_suppresses_what_counts_for_it() {
    let (house, hmi) = house().await;
    house.define(ConditionDef { rules: quiet_in(&[], Some(10)), ..oil_high() });
    becomes(&hmi, "gone/odd#ActiveState/Id", false.into()).await;
    assert_eq!(browsed(&hmi, OIL, SUPPRESSED_BY, FORWARD).await, ["suppression:source/press"], "it was never spent");
    // As the annunciator defines it then.
    let plain = OwnConditions::new("").detector_def("hot");
    house.define(ConditionDef { key: OwnConditions::budget_key("hot"), ..(*plain).clone() });
    becomes(&hmi, "gateway/budget/hot#ActiveState/Id", false.into()).await;
    let groups = browsed(&hmi, OIL, SUPPRESSED_BY, FORWARD).await;
    assert_eq!(groups, ["suppression:budget/hot", "suppression:source/press"]);
    assert_eq!(browsed(&hmi, "suppression:budget/hot", MEMBER, FORWARD).await, ["gateway/budget/hot"]);
    assert_eq!(browsed(&hmi, "suppression:budget/hot", SUPPRESSED_BY, INVERSE).await, [OIL]);
    hmi.close().await;
    house.close().await;
}
