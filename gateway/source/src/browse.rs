//! Asks a server what is below nodes (OPC 10000-4 §5.8.2), within its limits and never without end: requests as large as
//! the server allows, continuation points followed, answers that lead nowhere cut off.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use opcua::client::Session;
use opcua::types::{
    BrowseDescription, BrowseDirection, BrowseResult, ByteString, DataValue, NodeId, ReferenceDescription,
    ReferenceTypeId, StatusCode, VariableId, Variant,
};

use watchfire_config::Profile;

use crate::SourceError;
use crate::error::{is_too_large, may_be_one};
use crate::server_info::{read, to_read};

/// No request asks for more nodes at once, whatever the server allows.
pub(crate) const NODES_MAX: usize = 500;
/// The same with a small controller.
const SMALL_NODES_MAX: usize = 100;
/// References of one node in one answer.
const REFERENCES_PER_ANSWER: u32 = 1_000;
/// A node with more references than these is cut off.
const REFERENCES_MAX: usize = 500_000;
/// Types derived from one type that are looked at, with those derived from them.
const TYPES_MAX: usize = 20_000;
/// A server that says again and again that there is more, and tells nothing, is believed so often.
const EMPTY_ANSWERS_MAX: usize = 3;

/// What of a node's references is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Below {
    /// Objects and variables below it, without its properties.
    Children,
    /// Its properties.
    Properties,
    /// The types derived from it.
    Subtypes,
    /// The encodings of a DataType.
    Encodings,
    /// What describes an encoding (OPC 10000-5 §D.2).
    Descriptions,
    /// What it is a component of: the dictionary of a description.
    Wholes,
}

/// How many nodes may be in one request, 0 for no limit (OPC 10000-5 §6.3.11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BrowseLimits {
    pub browse: usize,
    pub translate: usize,
    pub continuation_points: usize,
}

impl BrowseLimits {
    /// Asks the server; a small controller is asked for little, whatever it tells.
    pub(crate) async fn of(session: &Session, profile: Profile) -> Result<Self, SourceError> {
        let nodes = [
            VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
            VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
            VariableId::Server_ServerCapabilities_MaxBrowseContinuationPoints,
        ];
        let values = read(session, &nodes.map(|node| to_read(node.into(), opcua::types::AttributeId::Value))).await?;
        let limit = |at: usize| match values.get(at) {
            Some(DataValue { value: Some(Variant::UInt32(limit)), .. }) => usize::try_from(*limit).unwrap_or(0),
            Some(DataValue { value: Some(Variant::UInt16(limit)), .. }) => usize::from(*limit),
            _ => 0,
        };
        let kept_to = |limit| if profile == Profile::Small { small(limit) } else { limit };
        Ok(Self { browse: kept_to(limit(0)), translate: kept_to(limit(1)), continuation_points: limit(2) })
    }

    pub(crate) fn translate_at_once(&self) -> usize {
        at_once(self.translate)
    }

    pub(crate) fn browse_at_once(&self) -> usize {
        at_once(self.browse)
    }
}

/// A limit as a small controller can bear it, whatever it tells.
pub(crate) fn small(limit: usize) -> usize {
    if limit == 0 { SMALL_NODES_MAX } else { limit.min(SMALL_NODES_MAX) }
}

fn at_once(limit: usize) -> usize {
    if limit == 0 { NODES_MAX } else { limit.min(NODES_MAX) }
}

/// Browses on one session; learns how much the server takes at once.
pub(crate) struct Browser {
    session: Arc<Session>,
    at_once: usize,
    /// Never more than these: fewer for a while where one of them may spoil it for the others.
    at_once_max: usize,
}

/// What was found below one of the nodes asked for.
type Found = Vec<Vec<ReferenceDescription>>;

impl Browser {
    pub(crate) fn new(session: Arc<Session>, limits: BrowseLimits) -> Self {
        let at_once = limits.browse_at_once();
        Self { session, at_once, at_once_max: at_once }
    }

    /// The references of each node, in the order of `nodes`. A node that the server refuses has none, also one that it
    /// refuses a request for as a whole; only a lost connection, or a server that knows no browsing, is an error.
    pub(crate) async fn below(&mut self, nodes: &[NodeId], wanted: Below) -> Result<Found, SourceError> {
        let mut found: Found = vec![Vec::new(); nodes.len()];
        let mut waiting: VecDeque<usize> = (0..nodes.len()).collect();
        // Of those the server has once forgotten where it was.
        let mut forgotten = HashSet::new();
        while !waiting.is_empty() {
            let chunk: Vec<usize> = waiting.drain(..self.at_once.min(waiting.len())).collect();
            let asked: Vec<_> = chunk.iter().filter_map(|at| nodes.get(*at)).map(|node| wanted.of(node)).collect();
            let results = match self.session.browse(&asked, REFERENCES_PER_ANSWER, None).await {
                Ok(results) => results,
                Err(error) if is_too_large(error.status()) && chunk.len() > 1 => {
                    self.at_once_max = chunk.len() / 2;
                    self.at_once = self.at_once_max;
                    chunk.into_iter().rev().for_each(|at| waiting.push_front(at));
                    continue;
                }
                Err(error) if may_be_one(error.status()) && chunk.len() > 1 => {
                    self.at_once = chunk.len() / 2;
                    chunk.into_iter().rev().for_each(|at| waiting.push_front(at));
                    continue;
                }
                Err(error) if may_be_one(error.status()) => {
                    let node = nodes.get(chunk.first().copied().unwrap_or_default()).map(ToString::to_string);
                    let (url, status) = (&self.session.endpoint_info().endpoint.endpoint_url, error.status());
                    tracing::warn!(%url, node, %status, "the server does not browse a node");
                    continue;
                }
                Err(error) => return Err(SourceError::request("browsing")(error)),
            };
            if results.len() < chunk.len() && chunk.len() > 1 {
                // Which of them it has answered for is not known.
                self.at_once_max = chunk.len() / 2;
                self.at_once = self.at_once_max;
                chunk.into_iter().rev().for_each(|at| waiting.push_front(at));
                continue;
            }
            self.at_once = self.at_once.saturating_mul(2).min(self.at_once_max);
            let (mut open, mut again) = (Vec::new(), Vec::new());
            for (at, result) in chunk.iter().copied().zip(results) {
                let is_crowded = result.status_code == StatusCode::BadNoContinuationPoints && chunk.len() > 1;
                if is_crowded {
                    again.push(at);
                } else if let Some(more) = take(result, found.get_mut(at)) {
                    open.push((at, more));
                }
            }
            let lost = self.follow(open, &mut found).await?;
            for at in lost {
                if forgotten.insert(at) || chunk.len() > 1 {
                    found.get_mut(at).into_iter().for_each(Vec::clear);
                    again.push(at);
                } else {
                    let (url, node) =
                        (&self.session.endpoint_info().endpoint.endpoint_url, nodes.get(at).map(ToString::to_string));
                    tracing::warn!(%url, node, "the server does not go on with browsing a node; some of it is missing");
                }
            }
            if !again.is_empty() {
                // So many nodes at once need more continuation points than the server has.
                self.at_once_max = (chunk.len() / 2).max(1);
                self.at_once = self.at_once_max;
                waiting.extend(again);
            }
        }
        Ok(found)
    }

    /// A type with all that are derived from it.
    pub(crate) async fn derived(&mut self, from: NodeId) -> Result<HashSet<NodeId>, SourceError> {
        let (mut types, mut open) = (HashSet::from([from.clone()]), vec![from]);
        while !open.is_empty() && types.len() < TYPES_MAX {
            let below = self.below(&open, Below::Subtypes).await?;
            open = below.into_iter().flatten().map(|reference| reference.node_id.node_id).collect();
            open.retain(|node| types.insert(node.clone()));
        }
        Ok(types)
    }

    /// Fetches what did not fit into the first answers; returns those of which the server has forgotten where it was.
    async fn follow(&self, mut open: Vec<(usize, ByteString)>, found: &mut Found) -> Result<Vec<usize>, SourceError> {
        let (mut empty, mut lost) = (0, Vec::new());
        while !open.is_empty() {
            let chunk: Vec<(usize, ByteString)> = open.drain(..self.at_once.min(open.len())).collect();
            let points: Vec<ByteString> = chunk.iter().map(|(_, point)| point.clone()).collect();
            let results = match self.session.browse_next(false, &points).await {
                Ok(results) => results,
                Err(error) if may_be_one(error.status()) => Vec::new(),
                Err(error) => return Err(SourceError::request("browsing on")(error)),
            };
            let (mut told, mut endless) = (false, Vec::new());
            lost.extend(chunk.iter().skip(results.len()).map(|(at, _)| *at));
            for ((at, _), result) in chunk.into_iter().zip(results) {
                if result.status_code.is_bad() {
                    lost.push(at);
                    continue;
                }
                let before = found.get(at).map_or(0, Vec::len);
                let more = take(result, found.get_mut(at));
                let count = found.get(at).map_or(0, Vec::len);
                told |= count > before;
                match more {
                    Some(more) if count < REFERENCES_MAX => open.push((at, more)),
                    Some(more) => endless.push(more),
                    None => {}
                }
            }
            empty = if told { 0 } else { empty + 1 };
            if empty >= EMPTY_ANSWERS_MAX {
                endless.extend(open.drain(..).map(|(_, point)| point));
            }
            if !endless.is_empty() {
                let (url, nodes) = (&self.session.endpoint_info().endpoint.endpoint_url, endless.len());
                tracing::warn!(%url, nodes, "the server's answers to browsing have no end and are cut off");
                // Whether it frees them or not makes no difference to us.
                for points in endless.chunks(self.at_once) {
                    drop(self.session.browse_next(true, points).await);
                }
            }
        }
        Ok(lost)
    }
}

/// Takes an answer over; the continuation point where there is more.
fn take(result: BrowseResult, into: Option<&mut Vec<ReferenceDescription>>) -> Option<ByteString> {
    if result.status_code.is_bad() {
        tracing::debug!(status = %result.status_code, "a node cannot be browsed");
        return None;
    }
    if let Some(into) = into {
        // Nodes of other servers cannot be read here.
        into.extend(result.references.into_iter().flatten().filter(|reference| reference.node_id.server_index == 0));
    }
    (!result.continuation_point.is_null_or_empty()).then_some(result.continuation_point)
}

impl Below {
    fn of(self, node: &NodeId) -> BrowseDescription {
        let (reference_type_id, node_class_mask) = match self {
            // Objects and variables.
            Self::Children => (ReferenceTypeId::HierarchicalReferences, 1 | 2),
            Self::Properties => (ReferenceTypeId::HasProperty, 2),
            Self::Subtypes => (ReferenceTypeId::HasSubtype, 0),
            Self::Encodings => (ReferenceTypeId::HasEncoding, 0),
            Self::Descriptions => (ReferenceTypeId::HasDescription, 0),
            Self::Wholes => (ReferenceTypeId::HasComponent, 0),
        };
        let is_inverse = self == Self::Wholes;
        BrowseDescription {
            node_id: node.clone(),
            browse_direction: if is_inverse { BrowseDirection::Inverse } else { BrowseDirection::Forward },
            reference_type_id: reference_type_id.into(),
            include_subtypes: true,
            node_class_mask,
            // Everything: names, class and type definition.
            result_mask: 63,
        }
    }
}

/// Whether a reference leads to a property.
pub(crate) fn is_property(reference: &ReferenceDescription) -> bool {
    reference.reference_type_id == ReferenceTypeId::HasProperty
}
