//! Browse, BrowseNext and TranslateBrowsePathsToNodeIds over computed references, those that lead from and into the
//! standard's namespace included.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use opcua::nodes::TypeTree;
use opcua::server::node_manager::{
    BrowseNode, BrowsePathItem, NodeManagersRef, NodeMetadata, RequestContext, get_node_metadata,
};
use opcua::types::{
    ExpandedNodeId, NodeId, QualifiedName, ReferenceDescription, ReferenceTypeId, RelativePathElement, StatusCode,
};

use crate::device_types::DEVICES;
use crate::names::{is_ours, text};
use crate::nodes::Node;
use crate::references::{self, Reference, Target};
use crate::shared::Shared;
use crate::space::Space;

/// References that one request has looked at: what costs time, whatever the client gets of it. What is beyond is left for
/// BrowseNext.
const LOOKED_AT_MAX: usize = 1_000_000;
/// References that are described of each node, whatever else the request names: more than any condition or signal has, so
/// that as many of them as one request may name are answered whole, without a continuation point.
const DESCRIBED_OF_EACH: usize = 100;
/// References that one request has described beyond these: what costs memory.
const DESCRIBED_BEYOND: usize = 20_000;
/// References that TranslateBrowsePathsToNodeIds looks at for one request.
const FOLLOWED_MAX: usize = 200_000;

/// What is left for BrowseNext: what comes after so many of the references in the wanted directions and of the wanted
/// types. They are found anew, since those of one node can be many, and one client browses many at once.
#[derive(Clone, Copy)]
struct Rest {
    after: usize,
    /// What those before it were: where others stand there now, something would be given twice or not at all. What is
    /// new comes last in most lists, and does no harm.
    given: u64,
}

/// Tells references that were given from others. Keeps its state, so that each is looked at once for a request.
#[derive(Default)]
struct Given(DefaultHasher);

impl Given {
    fn add(&mut self, references: &[Reference]) {
        for Reference { kind, forward, target } in references {
            let id = match target {
                Target::Own(node) => &node.id(),
                Target::Core(id) => id,
            };
            (NodeId::from(*kind), forward, id).hash(&mut self.0);
        }
    }

    /// The rest that is left after so many.
    fn rest(&self, after: usize) -> Rest {
        Rest { after, given: self.0.finish() }
    }
}

/// Adds our references to each node's answer.
pub(crate) async fn browse(
    shared: &Shared,
    managers: &NodeManagersRef,
    context: &RequestContext,
    nodes: &mut [BrowseNode],
) {
    let (mut looked_at, mut beyond) = (0, DESCRIBED_BEYOND);
    for node in nodes {
        let rest = node.take_continuation_point::<Rest>();
        let begin = rest.as_ref().map_or(0, |rest| rest.after);
        if rest.is_some() {
            node.set_status(StatusCode::Good);
        }
        if looked_at >= LOOKED_AT_MAX && (rest.is_some() || is_ours(node.node_id())) {
            node.set_status(StatusCode::Good);
            let rest = rest.unwrap_or_else(|| Box::new(Given::default().rest(0)));
            node.set_next_continuation_point(rest);
            continue;
        }
        let Some(wanted) = wanted(shared, context, node, &mut looked_at) else {
            // Other managers answer Good for whatever they are asked.
            node.set_status(StatusCode::BadNodeIdUnknown);
            continue;
        };
        // Whether there is a node of the standard's, its manager says.
        if is_ours(node.node_id()) {
            node.set_status(StatusCode::Good);
        }
        let mut given = Given::default();
        if let Some(rest) = rest {
            let before = wanted.get(..begin).unwrap_or_default();
            given.add(before);
            if before.len() < begin || given.rest(begin).given != rest.given {
                node.set_status(StatusCode::BadContinuationPointInvalid);
                continue;
            }
        }
        let (mut after, room) = (begin, DESCRIBED_OF_EACH + beyond);
        while after - begin < room {
            let page = wanted.get(after..).unwrap_or_default();
            let page = page.get(..node.remaining().min(room - (after - begin))).unwrap_or(page);
            if page.is_empty() {
                break;
            }
            after += page.len();
            let found = describe(managers, context, page).await;
            let types = context.type_tree.read();
            for reference in found {
                // There is room for each.
                node.add(&*types, reference);
            }
        }
        beyond = beyond.saturating_sub((after - begin).saturating_sub(DESCRIBED_OF_EACH));
        if after < wanted.len() {
            given.add(wanted.get(begin..after).unwrap_or_default());
            node.set_next_continuation_point(Box::new(given.rest(after)));
        }
        // Others are served between large ones.
        tokio::task::yield_now().await;
    }
}

/// The references in the wanted directions and of the wanted types; `None` for a node of ours that does not exist.
fn wanted(
    shared: &Shared,
    context: &RequestContext,
    node: &BrowseNode,
    looked_at: &mut usize,
) -> Option<Vec<Reference>> {
    let space = shared.space.read();
    let all = references_of(&space, node.node_id(), None)?;
    *looked_at += all.len();
    let types = context.type_tree.read();
    let fits = |reference: &Reference| {
        let direction = if reference.forward { node.allows_forward() } else { node.allows_inverse() };
        direction && node.allows_reference_type(&reference.kind.into(), &*types)
    };
    Some(all.into_iter().filter(fits).collect())
}

/// The references of a node; of what there can be many, those of this name alone where there is one.
fn references_of(space: &Space, id: &NodeId, name: Option<&str>) -> Option<Vec<Reference>> {
    match id.namespace {
        _ if is_ours(id) => Node::of(space, id).map(|node| references::named(space, &node, name)),
        // Of a namespace that nobody has there is no node.
        namespace if namespace > DEVICES => None,
        _ => Some(references::of_core_node(space, id)),
    }
}

/// Turns references into what the client gets; the core says what its own nodes are called.
async fn describe(
    managers: &NodeManagersRef,
    context: &RequestContext,
    references: &[Reference],
) -> Vec<ReferenceDescription> {
    let mut ids: Vec<NodeId> = Vec::new();
    for reference in references {
        if let Target::Core(id) = &reference.target
            && !ids.contains(id)
        {
            ids.push(id.clone());
        }
    }
    let known = if ids.is_empty() { Vec::new() } else { get_node_metadata(context, managers, &ids).await };
    let core: HashMap<&NodeId, NodeMetadata> =
        ids.iter().zip(known).filter_map(|(id, found)| found.map(|found| (id, found))).collect();
    let described = |reference: &Reference| {
        let metadata = match &reference.target {
            Target::Own(node) => metadata(node),
            Target::Core(id) => core.get(id)?.clone(),
        };
        Some(metadata.into_ref_desc(reference.forward, reference.kind))
    };
    references.iter().filter_map(described).collect()
}

fn metadata(node: &Node) -> NodeMetadata {
    let description = node.description();
    NodeMetadata {
        node_id: ExpandedNodeId::new(description.id),
        type_definition: ExpandedNodeId::new(description.type_definition),
        browse_name: description.browse_name,
        display_name: text(&description.display),
        node_class: description.class,
    }
}

/// Follows a browse path as far as our references go; what leads elsewhere is left to its owner. Refuses it once so many
/// references were `looked_at` for a request that others would have to wait.
pub(crate) fn follow(shared: &Shared, context: &RequestContext, item: &mut BrowsePathItem<'_>, looked_at: &mut usize) {
    let space = shared.space.read();
    if let Some(name) = item.unmatched_browse_name() {
        let node = Node::of(&space, item.node_id());
        if !node.is_some_and(|node| node.description().browse_name == *name) {
            return;
        }
        item.set_browse_name_matched(context.current_node_manager_index);
    }
    let types = context.type_tree.read();
    let mut reached = vec![item.node_id().clone()];
    for (depth, element) in item.path().iter().enumerate() {
        let (mut next, mut known): (Vec<NodeId>, HashSet<NodeId>) = (Vec::new(), HashSet::new());
        for id in &reached {
            if *looked_at >= FOLLOWED_MAX {
                item.set_status(StatusCode::BadTooManyOperations);
                return;
            }
            for target in targets(&space, &*types, id, element, looked_at) {
                match target {
                    Target::Core(id) => item.add_element(id, depth + 1, Some(element.target_name.clone())),
                    Target::Own(node) => {
                        let id = node.id();
                        if known.insert(id.clone()) {
                            item.add_element(id.clone(), depth + 1, None);
                            next.push(id);
                        }
                    }
                }
            }
        }
        reached = next;
    }
}

/// Where an element of a path leads from a node. Targets of ours have the wanted name.
fn targets(
    space: &Space,
    types: &dyn TypeTree,
    id: &NodeId,
    element: &RelativePathElement,
    looked_at: &mut usize,
) -> Vec<Target> {
    let fits = |kind: ReferenceTypeId| {
        let kind = NodeId::from(kind);
        element.reference_type_id.is_null()
            || kind == element.reference_type_id
            || (element.include_subtypes && types.is_subtype_of(&kind, &element.reference_type_id))
    };
    let named = |name: &QualifiedName| element.target_name.is_null() || *name == element.target_name;
    let name = (!element.target_name.is_null()).then(|| element.target_name.name.as_ref());
    let all = references_of(space, id, name).unwrap_or_default();
    *looked_at += all.len();
    let chosen = all.into_iter().filter(|reference| reference.forward != element.is_inverse && fits(reference.kind));
    chosen
        .map(|reference| reference.target)
        .filter(|target| match target {
            Target::Own(node) => named(&node.description().browse_name),
            Target::Core(_) => true,
        })
        .collect()
}
