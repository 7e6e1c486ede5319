//! Requests about many nodes at once, of which each has much below it.

use std::collections::BTreeSet;

use opcua::types::{
    BrowseDescription, BrowseDescriptionResultMask, BrowseDirection, BrowsePath, NodeId, QualifiedName,
    ReferenceDescription, ReferenceTypeId, RelativePath, RelativePathElement, StatusCode,
};
use watchfire_alarms::ConditionDef;

use super::client::Hmi;
use super::house::{House, key, oil_high};
use crate::names::{NAMESPACE, own};

/// Conditions in one area.
const CONDITIONS: usize = 3_000;
/// As many nodes as one request may name.
const NODES: usize = 1_000;

fn name(at: usize) -> String {
    format!("hot/high/press/oil{at}")
}

async fn crowded() -> (House, Hmi) {
    let house = House::open().await;
    for at in 0..CONDITIONS {
        house.define(ConditionDef { key: key(&name(at)), signal: None, ..oil_high() });
    }
    let hmi = Hmi::connect(&house.url).await;
    // They are shown one after the other.
    while hmi.read(own(&format!("{}#Severity", name(CONDITIONS - 1)))).await.status().is_bad() {}
    (house, hmi)
}

fn alarms() -> NodeId {
    own("area:Hall/Press#Alarms")
}

#[tokio::test]
async fn many_large_nodes_are_browsed_a_part_at_a_time_and_each_to_its_end() {
    let (house, hmi) = crowded().await;
    let all = BrowseDescription {
        node_id: alarms(),
        browse_direction: BrowseDirection::Forward,
        reference_type_id: ReferenceTypeId::HasComponent.into(),
        include_subtypes: true,
        node_class_mask: 0,
        result_mask: BrowseDescriptionResultMask::all().bits(),
    };
    let mut answers = hmi.session.browse(&vec![all; NODES], 0, None).await.unwrap();
    let given: usize = answers.iter().map(|answer| answer.references.iter().flatten().count()).sum();
    assert!((1..=20_000).contains(&given), "{given} references at once");
    let last = answers.iter().rposition(|answer| !answer.continuation_point.is_null()).unwrap();
    for at in [0, last] {
        let mut answer = std::mem::take(&mut answers[at]);
        let mut seen: Vec<ReferenceDescription> = answer.references.take().unwrap_or_default();
        while !answer.continuation_point.is_null() {
            answer = hmi.session.browse_next(false, &[answer.continuation_point]).await.unwrap().remove(0);
            assert_eq!(answer.status_code, StatusCode::Good);
            seen.extend(answer.references.take().unwrap_or_default());
        }
        let ids: BTreeSet<String> = seen.iter().map(|one| one.node_id.node_id.to_string()).collect();
        assert_eq!((seen.len(), ids.len()), (CONDITIONS, CONDITIONS), "the node at {at}");
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn as_many_paths_as_a_request_may_have_are_followed_to_one_of_thousands() {
    let (house, hmi) = crowded().await;
    let path = |target_name: QualifiedName| BrowsePath {
        starting_node: alarms(),
        relative_path: RelativePath {
            elements: Some(vec![RelativePathElement {
                reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
                is_inverse: false,
                include_subtypes: true,
                target_name,
            }]),
        },
    };
    let named: Vec<BrowsePath> = (0..NODES).map(|at| path(QualifiedName::new(NAMESPACE, name(at + 1_000)))).collect();
    let answers = hmi.session.translate_browse_paths_to_node_ids(&named).await.unwrap();
    for (at, answer) in answers.into_iter().enumerate() {
        let targets: Vec<NodeId> =
            answer.targets.into_iter().flatten().map(|target| target.target_id.node_id).collect();
        assert_eq!((answer.status_code, targets), (StatusCode::Good, vec![own(&name(at + 1_000))]), "{at}");
    }
    // In another namespace nothing has such a name.
    let answer = hmi.session.translate_browse_paths_to_node_ids(&[path(QualifiedName::new(0, name(1)))]).await.unwrap();
    assert_eq!(answer[0].status_code, StatusCode::BadNoMatch);
    hmi.close().await;
    house.close().await;
}
