//! Requests about many nodes at once, of which each has much below it.

use std::collections::BTreeSet;

use opcua::types::{
    BrowseDescription, BrowseDescriptionResultMask, BrowseDirection, BrowsePath, NodeId, QualifiedName,
    ReferenceDescription, ReferenceTypeId, RelativePath, RelativePathElement, StatusCode,
};
use watchfire_alarms::ConditionDef;
use watchfire_model::Kind;

use super::client::Hmi;
use super::house::{House, key, oil_high, signal};
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

fn components(node_id: NodeId) -> BrowseDescription {
    BrowseDescription {
        node_id,
        browse_direction: BrowseDirection::Forward,
        reference_type_id: ReferenceTypeId::HasComponent.into(),
        include_subtypes: true,
        node_class_mask: 0,
        result_mask: BrowseDescriptionResultMask::all().bits(),
    }
}

#[tokio::test]
async fn many_large_nodes_are_browsed_a_part_at_a_time_and_each_to_its_end() {
    let (house, hmi) = crowded().await;
    let mut answers = hmi.session.browse(&vec![components(alarms()); NODES], 0, None).await.unwrap();
    let given: usize = answers.iter().map(|answer| answer.references.iter().flatten().count()).sum();
    assert!((1..=120_000).contains(&given), "{given} references at once");
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

/// What is in `seen`, each once.
fn ids_of(seen: &[ReferenceDescription]) -> BTreeSet<String> {
    let ids: BTreeSet<String> = seen.iter().map(|one| one.node_id.node_id.to_string()).collect();
    assert_eq!(ids.len(), seen.len(), "something is there twice");
    ids
}

#[tokio::test]
async fn as_many_conditions_as_a_request_may_name_are_browsed_whole_in_one() {
    let (house, hmi) = crowded().await;
    let whole = |at: usize| BrowseDescription {
        browse_direction: BrowseDirection::Both,
        reference_type_id: ReferenceTypeId::References.into(),
        ..components(own(&name(at)))
    };
    let one = hmi.session.browse(&[whole(0)], 0, None).await.unwrap().remove(0);
    let count = one.references.unwrap_or_default().len();
    assert!(count > 50, "{count}");
    // One that has very many comes first, and takes nothing from the others.
    let wanted: Vec<_> = std::iter::once(components(alarms())).chain((1..NODES).map(whole)).collect();
    let answers = hmi.session.browse(&wanted, 0, None).await.unwrap();
    for (at, answer) in answers.into_iter().enumerate().skip(1) {
        let given = answer.references.unwrap_or_default().len();
        assert_eq!((answer.status_code, given), (StatusCode::Good, count), "{at}");
        assert!(answer.continuation_point.is_null(), "{at}");
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn browsing_goes_on_after_what_is_new_and_ends_where_what_was_given_has_changed() {
    let (house, hmi) = crowded().await;
    let elsewhere =
        |at: usize| ConditionDef { key: key(&name(at)), area: "Hall/Empty".into(), signal: None, ..oil_high() };
    let first = async || hmi.session.browse(&[components(alarms())], 10, None).await.unwrap().remove(0);
    let next = async |point| hmi.session.browse_next(false, &[point]).await.unwrap().remove(0);
    let mut answer = first().await;
    let mut seen = answer.references.take().unwrap_or_default();
    house.define(ConditionDef { key: key(&name(CONDITIONS)), signal: None, ..oil_high() });
    house.define(elsewhere(CONDITIONS - 1));
    let moved = async |at: usize| {
        let there = components(own("area:Hall/Empty#Alarms"));
        loop {
            let found = hmi.session.browse(std::slice::from_ref(&there), 0, None).await.unwrap().remove(0);
            if found.references.iter().flatten().any(|one| one.node_id.node_id == own(&name(at))) {
                break;
            }
        }
    };
    moved(CONDITIONS - 1).await;
    while !answer.continuation_point.is_null() {
        answer = next(answer.continuation_point).await;
        assert_eq!(answer.status_code, StatusCode::Good);
        seen.extend(answer.references.take().unwrap_or_default());
    }
    let expected: Vec<usize> = (0..CONDITIONS - 1).chain([CONDITIONS]).collect();
    assert_eq!(ids_of(&seen), expected.iter().map(|at| own(&name(*at)).to_string()).collect());

    let answer = first().await;
    house.define(elsewhere(3));
    moved(3).await;
    let answer = next(answer.continuation_point).await;
    assert_eq!(answer.status_code, StatusCode::BadContinuationPointInvalid, "one would be left out");
    assert!(answer.references.unwrap_or_default().is_empty() && answer.continuation_point.is_null());
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn as_many_paths_as_a_request_may_have_are_followed_from_a_source_to_one_of_thousands() {
    let house = House::open().await;
    let signals =
        (10..).zip(0..CONDITIONS).map(|(id, at)| signal(id, &format!("press/at{at}"), "Hall/Press", Kind::Real));
    let other = signal(9, "other/at1", "Hall/Press", Kind::Real);
    house.editor.signals(signals.chain([other]).collect());
    house.define(ConditionDef {
        key: key("gateway/source/press"),
        source_name: "press".into(),
        signal: None,
        ..oil_high()
    });
    let hmi = Hmi::connect(&house.url).await;
    while hmi.read(own("gateway/source/press#Severity")).await.status().is_bad() {}
    let path = |name: &str| BrowsePath {
        starting_node: own("source:press"),
        relative_path: RelativePath {
            elements: Some(vec![RelativePathElement {
                reference_type_id: ReferenceTypeId::HasEventSource.into(),
                is_inverse: false,
                include_subtypes: true,
                target_name: QualifiedName::new(NAMESPACE, name),
            }]),
        },
    };
    let names: Vec<String> = (0..NODES - 1).map(|at| format!("press/at{at}")).chain(["other/at1".into()]).collect();
    let paths: Vec<BrowsePath> = names.iter().map(|name| path(name)).collect();
    let answers = hmi.session.translate_browse_paths_to_node_ids(&paths).await.unwrap();
    for (name, answer) in names.iter().zip(answers) {
        let found: Vec<NodeId> = answer.targets.into_iter().flatten().map(|target| target.target_id.node_id).collect();
        if name.starts_with("press/") {
            assert_eq!((answer.status_code, found), (StatusCode::Good, vec![own(&format!("signal:{name}"))]));
        } else {
            assert_eq!((answer.status_code, found), (StatusCode::BadNoMatch, Vec::new()), "it is another's");
        }
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
