//! Browse paths to nodes, on one connection: by TranslateBrowsePathsToNodeIds (OPC 10000-4 §5.8.4) where every part has
//! its namespace, else by looking at the names below each part.

use std::collections::{HashMap, HashSet};

use opcua::client::Session;
use opcua::types::{
    BrowsePath as UaBrowsePath, BrowsePathResult, NodeId, ObjectId, QualifiedName, ReferenceDescription,
    ReferenceTypeId, RelativePath, RelativePathElement, StatusCode,
};
use watchfire_config::{BrowsePath, Namespace, PathPart};

use crate::SourceError;
use crate::browse::{Below, BrowseLimits, Browser};
use crate::error::may_be_one;

/// A path that could mean more nodes than these is given up.
const CANDIDATES_MAX: usize = 64;

/// A node, or why there is none.
pub(crate) type Resolved = Result<NodeId, StatusCode>;

/// The node at each path, in the order of `paths`. Fails only if the server answers nothing at all.
pub(crate) async fn resolve(
    session: &Session,
    browser: &mut Browser,
    limits: BrowseLimits,
    namespaces: &[String],
    paths: &[BrowsePath],
) -> Result<Vec<Resolved>, SourceError> {
    let mut resolved: Vec<Resolved> = vec![Err(StatusCode::BadNoMatch); paths.len()];
    let (mut qualified, mut open) = (Vec::new(), Vec::new());
    for (at, path) in paths.iter().enumerate() {
        match names(path, namespaces) {
            Some(names) if names.iter().all(|(index, _)| index.is_some()) => qualified.push((at, names)),
            Some(names) => open.push((at, names)),
            None => tracing::debug!(%path, "the path's namespace is not there"),
        }
    }
    let mut per_request = limits.translate_at_once();
    let mut begin = 0;
    while let Some(rest) = qualified.get(begin..).filter(|rest| !rest.is_empty()) {
        let chunk = rest.get(..per_request.min(rest.len())).unwrap_or(rest);
        let asked: Vec<UaBrowsePath> = chunk.iter().map(|(_, names)| translated(names)).collect();
        match session.translate_browse_paths_to_node_ids(&asked).await {
            // Which of them it has answered for is not known.
            Ok(results) if results.len() < chunk.len() && chunk.len() > 1 => per_request = chunk.len() / 2,
            Ok(results) => {
                let none = std::iter::repeat(Err(StatusCode::BadUnknownResponse));
                let targets = results.into_iter().map(target).chain(none);
                for ((at, _), target) in chunk.iter().zip(targets) {
                    if let Some(place) = resolved.get_mut(*at) {
                        *place = target;
                    }
                }
                begin += chunk.len();
            }
            Err(error) if may_be_one(error.status()) && chunk.len() > 1 => per_request = chunk.len() / 2,
            // One alone concerns no other.
            Err(error) if may_be_one(error.status()) => {
                for (at, _) in chunk {
                    if let Some(place) = resolved.get_mut(*at) {
                        *place = Err(error.status());
                    }
                }
                begin += chunk.len();
                per_request = limits.translate_at_once();
            }
            Err(error) if error.status() == StatusCode::BadServiceUnsupported => {
                open.extend(qualified.drain(begin..));
            }
            Err(error) => return Err(SourceError::request("looking up browse paths")(error)),
        }
    }
    for (at, found) in by_names(browser, &open).await? {
        if let Some(place) = resolved.get_mut(at) {
            *place = found;
        }
    }
    Ok(resolved)
}

/// A browse name; without an index it may be of any namespace.
type Name = (Option<u16>, String);

/// The path's names on this server; `None` where it has no such namespace.
fn names(path: &BrowsePath, namespaces: &[String]) -> Option<Vec<Name>> {
    let default = match &path.namespace {
        None => None,
        Some(Namespace::Index(index)) => Some(*index),
        Some(Namespace::Uri(uri)) => {
            Some(namespaces.iter().position(|known| known == uri).and_then(|at| u16::try_from(at).ok())?)
        }
    };
    let name = |part: &PathPart| (part.namespace.or(default), part.name.clone());
    Some(path.parts.iter().map(name).collect())
}

fn translated(names: &[Name]) -> UaBrowsePath {
    let element = |(index, name): &Name| RelativePathElement {
        reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
        is_inverse: false,
        include_subtypes: true,
        target_name: QualifiedName::new(index.unwrap_or_default(), name.as_str()),
    };
    UaBrowsePath {
        starting_node: ObjectId::ObjectsFolder.into(),
        relative_path: RelativePath { elements: Some(names.iter().map(element).collect()) },
    }
}

fn target(result: BrowsePathResult) -> Resolved {
    if result.status_code.is_bad() {
        return Err(result.status_code);
    }
    // A target with a rest of the path lies on another server.
    let targets = result.targets.into_iter().flatten().filter(|target| target.remaining_path_index == u32::MAX);
    only(targets.map(|target| target.target_id.node_id))
}

/// The one node of them.
fn only(nodes: impl Iterator<Item = NodeId>) -> Resolved {
    let mut distinct: HashSet<NodeId> = nodes.collect();
    match (distinct.len(), distinct.drain().next()) {
        (1, Some(node)) => Ok(node),
        (0, _) => Err(StatusCode::BadNoMatch),
        _ => Err(StatusCode::BadTooManyMatches),
    }
}

/// Part by part, all paths at once, each node looked at once.
async fn by_names(browser: &mut Browser, paths: &[(usize, Vec<Name>)]) -> Result<Vec<(usize, Resolved)>, SourceError> {
    let mut known: HashMap<NodeId, Vec<ReferenceDescription>> = HashMap::new();
    let mut at_nodes: Vec<HashSet<NodeId>> = vec![HashSet::from([ObjectId::ObjectsFolder.into()]); paths.len()];
    let longest = paths.iter().map(|(_, names)| names.len()).max().unwrap_or(0);
    for depth in 0..longest {
        let on_the_way = paths.iter().zip(&at_nodes).filter(|((_, names), _)| depth < names.len());
        let unknown: HashSet<&NodeId> =
            on_the_way.flat_map(|(_, nodes)| nodes).filter(|node| !known.contains_key(*node)).collect();
        let unknown: Vec<NodeId> = unknown.into_iter().cloned().collect();
        let below = browser.below(&unknown, Below::Children).await?;
        known.extend(unknown.into_iter().zip(below));
        for ((_, names), nodes) in paths.iter().zip(&mut at_nodes) {
            let Some((index, name)) = names.get(depth) else { continue };
            let is_meant = |reference: &&ReferenceDescription| {
                let found = &reference.browse_name;
                found.name.as_ref() == name && index.is_none_or(|index| index == found.namespace_index)
            };
            let next = nodes.iter().filter_map(|node| known.get(node)).flatten().filter(is_meant);
            *nodes = next.map(|reference| reference.node_id.node_id.clone()).take(CANDIDATES_MAX).collect();
        }
    }
    Ok(paths.iter().zip(at_nodes).map(|((at, _), nodes)| (*at, only(nodes.into_iter()))).collect())
}
