//! Groups of alarms that have one cause, as clients find them.

use std::sync::Arc;

use opcua::types::{
    BrowseDirection, ContentFilter, MethodId, NodeId, ObjectId, ObjectTypeId, ReferenceTypeId, StatusCode, Variant,
};
use watchfire_alarms::{ConditionDef, Group, Rules};
use watchfire_model::Level;

use super::client::{Hmi, server};
use super::house::{House, key, odd, oil_high};
use crate::names::own;

const OIL: &str = "hot/high/press/oil";
const GROUPS: MethodId = MethodId::AlarmConditionType_GetGroupMemberships;

fn grouped(name: &str, group: &str) -> ConditionDef {
    let group = (!group.is_empty()).then(|| Group { name: group.into(), first_only: false });
    ConditionDef { key: key(name), rules: Arc::new(Rules { group, ..Rules::default() }), ..oil_high() }
}

/// Two of `cooling`, one of `drive`, one of none.
async fn three_and_one() -> (House, Hmi) {
    let house = House::open().await;
    for (name, group) in [(OIL, "cooling"), ("hot/fan", "cooling"), ("hot/belt", "drive")] {
        house.define(grouped(name, group));
    }
    house.define(odd());
    let hmi = Hmi::connect(&house.url).await;
    assert!(!hmi.watch(&[own("watch/odd#Retain")]).await.next().await.0.is_empty());
    (house, hmi)
}

async fn browsed(hmi: &Hmi, id: &str, kind: ReferenceTypeId, direction: BrowseDirection) -> Vec<(String, String)> {
    let found = hmi.browse(own(id), kind, direction, 0).await;
    let ours = found.into_iter().filter(|found| found.node_id.node_id.namespace == 2);
    let name = |found: &opcua::types::ReferenceDescription| found.browse_name.name.as_ref().to_owned();
    let mut all: Vec<_> =
        ours.map(|found| (found.node_id.node_id.to_string().replace("ns=2;s=", ""), name(&found))).collect();
    all.sort();
    all
}

#[tokio::test]
async fn p9_5_4_5_and_5_8_3_groups_are_objects_with_their_members_and_every_member_leads_to_its_group() {
    use BrowseDirection::{Forward, Inverse};
    use ReferenceTypeId::{AlarmGroupMember, HasComponent, Organizes};
    let (house, hmi) = three_and_one().await;
    let own_names = |all: Vec<(String, String)>| all.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    let area = own_names(browsed(&hmi, "area:Gateway", HasComponent, Forward).await);
    assert!(area.contains(&"groups".to_owned()), "{area:?}");
    let groups = browsed(&hmi, "groups", Organizes, Forward).await;
    let first = |id: &str| (id.to_owned(), "FirstInGroup".to_owned());
    assert_eq!(groups, [first("group:cooling"), first("group:drive")]);
    let members = own_names(browsed(&hmi, "group:cooling", AlarmGroupMember, Forward).await);
    assert_eq!(members, ["hot/fan", OIL]);
    assert_eq!(own_names(browsed(&hmi, OIL, AlarmGroupMember, Inverse).await), ["group:cooling"]);
    let kind = hmi.browse(own("group:cooling"), ReferenceTypeId::HasTypeDefinition, Forward, 0).await;
    assert_eq!(kind[0].node_id.node_id, ObjectTypeId::AlarmGroupType);
    let shown = hmi.attribute(own("group:cooling"), opcua::types::AttributeId::DisplayName).await.value;
    assert_eq!(shown, Some(opcua::types::LocalizedText::new("en", "cooling").into()));
    // By the name that AlarmConditionType gives it.
    assert_eq!(hmi.follow(own(OIL), &[".FirstInGroup"], false).await, [own("group:cooling")]);
    assert!(hmi.follow(own("watch/odd"), &[".FirstInGroup"], false).await.is_empty());
    assert!(own_names(browsed(&hmi, OIL, HasComponent, Forward).await).contains(&format!("{OIL}#FirstInGroupFlag")));
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_8_16_a_condition_is_asked_for_its_groups() {
    use StatusCode as S;
    let (house, hmi) = three_and_one().await;
    let asked = |object: NodeId, arguments: Vec<Variant>| {
        let session = hmi.session.clone();
        async move { session.call_one((object, GROUPS.into(), Some(arguments))).await.unwrap() }
    };
    for (condition, groups) in
        [(OIL, vec![own("group:cooling")]), ("hot/belt", vec![own("group:drive")]), ("watch/odd", vec![])]
    {
        let answer = asked(own(condition), vec![]).await;
        let told = answer.output_arguments.and_then(|mut outputs| outputs.pop());
        let Some(Variant::Array(told)) = told else { panic!("{condition}: {told:?}") };
        let groups: Vec<Variant> = groups.into_iter().map(Variant::from).collect();
        assert_eq!((answer.status_code, told.values), (S::Good, groups), "{condition}");
    }
    for (object, arguments, status) in [
        (own(OIL), vec![1_u32.into()], S::BadTooManyArguments),
        (own("no/such"), vec![], S::BadNodeIdUnknown),
        (own("group:cooling"), vec![], S::BadMethodInvalid),
        (own("signal:press/oil"), vec![], S::BadMethodInvalid),
        (ObjectTypeId::AlarmConditionType.into(), vec![], S::BadNodeIdInvalid),
        (ObjectId::Server.into(), vec![], S::BadMethodInvalid),
    ] {
        assert_eq!(asked(object.clone(), arguments).await.status_code, status, "{object}");
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn the_first_of_a_group_is_marked_in_its_events_and_its_node() {
    let (house, hmi) = three_and_one().await;
    let mut events = hmi.subscribe(server(), &["ConditionId", "FirstInGroupFlag"], ContentFilter::default()).await;
    for (name, first) in [("hot/fan", true), (OIL, false), ("hot/belt", true)] {
        house.find(&key(name), Level::High, "too hot", Vec::new());
        let event = events.next().await;
        assert_eq!((event.get("ConditionId"), event.get("FirstInGroupFlag")), (&own(name).into(), &first.into()));
        assert_eq!(hmi.value(&format!("{name}#FirstInGroupFlag")).await, first.into());
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_condition_that_is_defined_anew_is_in_its_new_group_alone() {
    let (house, hmi) = three_and_one().await;
    let mut watched = hmi.watch(&[own("hot/belt#Group")]).await;
    assert_eq!(watched.next().await.1.value, Some("drive".into()));
    house.define(grouped("hot/belt", "cooling"));
    assert_eq!(watched.next().await.1.value, Some("cooling".into()));
    let forward = BrowseDirection::Forward;
    assert_eq!(browsed(&hmi, "group:cooling", ReferenceTypeId::AlarmGroupMember, forward).await.len(), 3);
    assert_eq!(hmi.read(own("group:drive")).await.status(), StatusCode::BadNodeIdUnknown, "nobody is left in it");
    house.define(grouped("hot/belt", ""));
    house.define(grouped("hot/fan", ""));
    house.define(grouped(OIL, ""));
    house.define(ConditionDef { key: key("watch/last"), ..odd() });
    assert!(!hmi.watch(&[own("watch/last#Retain")]).await.next().await.0.is_empty());
    assert_eq!(hmi.read(own("groups")).await.status(), StatusCode::BadNodeIdUnknown);
    hmi.close().await;
    house.close().await;
}
