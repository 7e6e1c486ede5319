//! Browse, BrowseNext and TranslateBrowsePathsToNodeIds over computed references, those that lead from and into the
//! standard's namespace included.

use std::collections::{HashMap, VecDeque};

use opcua::nodes::TypeTree;
use opcua::server::node_manager::{
    AddReferenceResult, BrowseNode, BrowsePathItem, NodeManagersRef, NodeMetadata, RequestContext, get_node_metadata,
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

/// What is left for BrowseNext, filtered already.
struct Rest(VecDeque<ReferenceDescription>);

/// Adds our references to each node's answer.
pub(crate) async fn browse(
    shared: &Shared,
    managers: &NodeManagersRef,
    context: &RequestContext,
    nodes: &mut [BrowseNode],
) {
    for node in nodes {
        if let Some(rest) = node.take_continuation_point::<Rest>() {
            node.set_status(StatusCode::Good);
            give_rest(node, *rest);
            continue;
        }
        let Some(wanted) = wanted(shared, context, node) else {
            // Other managers answer Good for whatever they are asked.
            node.set_status(StatusCode::BadNodeIdUnknown);
            continue;
        };
        // Whether there is a node of the standard's, its manager says.
        if is_ours(node.node_id()) {
            node.set_status(StatusCode::Good);
        }
        let described = describe(managers, context, wanted).await;
        let types = context.type_tree.read();
        let mut rest = VecDeque::new();
        for reference in described {
            if let AddReferenceResult::Full(reference) = node.add(&*types, reference) {
                rest.push_back(reference);
            }
        }
        if !rest.is_empty() {
            node.set_next_continuation_point(Box::new(Rest(rest)));
        }
    }
}

fn give_rest(node: &mut BrowseNode, mut rest: Rest) {
    while node.remaining() > 0 {
        let Some(reference) = rest.0.pop_front() else { return };
        node.add_unchecked(reference);
    }
    if !rest.0.is_empty() {
        node.set_next_continuation_point(Box::new(rest));
    }
}

/// The references in the wanted directions and of the wanted types; `None` for a node of ours that does not exist.
fn wanted(shared: &Shared, context: &RequestContext, node: &BrowseNode) -> Option<Vec<Reference>> {
    let space = shared.space.read();
    let all = references_of(&space, node.node_id())?;
    let types = context.type_tree.read();
    let fits = |reference: &Reference| {
        let direction = if reference.forward { node.allows_forward() } else { node.allows_inverse() };
        direction && node.allows_reference_type(&reference.kind.into(), &*types)
    };
    Some(all.into_iter().filter(fits).collect())
}

fn references_of(space: &Space, id: &NodeId) -> Option<Vec<Reference>> {
    match id.namespace {
        _ if is_ours(id) => Node::of(space, id).map(|node| references::of(space, &node)),
        // Of a namespace that nobody has there is no node.
        namespace if namespace > DEVICES => None,
        _ => Some(references::of_core_node(space, id)),
    }
}

/// Turns references into what the client gets; the core says what its own nodes are called.
async fn describe(
    managers: &NodeManagersRef,
    context: &RequestContext,
    references: Vec<Reference>,
) -> Vec<ReferenceDescription> {
    let mut ids: Vec<NodeId> = Vec::new();
    for reference in &references {
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

/// Follows a browse path as far as our references go; what leads elsewhere is left to its owner.
pub(crate) fn follow(shared: &Shared, context: &RequestContext, item: &mut BrowsePathItem<'_>) {
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
        let mut next: Vec<NodeId> = Vec::new();
        for id in &reached {
            for target in targets(&space, &*types, id, element) {
                match target {
                    Target::Core(id) => item.add_element(id, depth + 1, Some(element.target_name.clone())),
                    Target::Own(node) => {
                        let id = node.id();
                        if !next.contains(&id) {
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
fn targets(space: &Space, types: &dyn TypeTree, id: &NodeId, element: &RelativePathElement) -> Vec<Target> {
    let fits = |kind: ReferenceTypeId| {
        let kind = NodeId::from(kind);
        element.reference_type_id.is_null()
            || kind == element.reference_type_id
            || (element.include_subtypes && types.is_subtype_of(&kind, &element.reference_type_id))
    };
    let named = |name: &QualifiedName| element.target_name.is_null() || *name == element.target_name;
    let all = references_of(space, id).unwrap_or_default();
    let chosen = all.into_iter().filter(|reference| reference.forward != element.is_inverse && fits(reference.kind));
    chosen
        .map(|reference| reference.target)
        .filter(|target| match target {
            Target::Own(node) => named(&node.description().browse_name),
            Target::Core(_) => true,
        })
        .collect()
}
