//! Finds out what the configured nodes are on this server: namespaces, existence, kinds.

use std::collections::HashSet;
use std::sync::Arc;

use opcua::client::Session;
use opcua::types::{AttributeId, NodeId, StatusCode, Variant};
use watchfire_config::{BrowsePath, Profile};
use watchfire_model::Kind;
use watchfire_ua::Layouts;

use crate::browse::{BrowseLimits, Browser};
use crate::paths::resolve;
use crate::server_info::{Limits, ServerTime, TypeKinds, namespaces, read, to_read, variables};
use crate::watched::{Found, Refused, Sought};
use crate::{SourceError, structures, unreadable};

/// The bit of EventNotifier that says that events can be had (OPC 10000-3 §8.59).
const SUBSCRIBE_TO_EVENTS: u8 = 1;
/// The one that says that the history of its events may be read.
const READ_EVENT_HISTORY: u8 = 4;

/// What is known of nodes on a connection.
#[derive(Default)]
pub(crate) struct Examined {
    /// Those that can be watched, each with its kind where the server tells it, and whether the server keeps its history.
    pub found: Vec<(Found, Option<Kind>, bool)>,
    /// Those that cannot.
    pub refused: Vec<Refused>,
    /// How many nodes may be in one request.
    pub limits: Limits,
    /// The server's namespaces.
    pub namespaces: Vec<String>,
    /// What its structures are made of, where that was learned.
    pub structures: Option<Arc<Layouts>>,
    /// Which time it has, where it tells.
    pub time: Option<ServerTime>,
}

/// Examines nodes, each named by its place among the watched. Fails only if the server answers nothing at all: a node
/// that is not there concerns no other.
/// `learn`: what structures are made of is to be learned as well; it is too where one of the nodes may be one.
pub(crate) async fn examine(
    session: Arc<Session>,
    nodes: Vec<Sought>,
    learn: bool,
    profile: Profile,
) -> Result<Examined, SourceError> {
    let mut examined = Examined { limits: Limits::of(&session, profile).await?, ..Examined::default() };
    if learn {
        examined.structures = Some(structures::learn(&session, examined.limits, profile).await);
    }
    examined.time = ServerTime::of(&session).await;
    let mut may_be_structures = false;
    let namespaces = namespaces(&session).await?;
    let mut known = Vec::with_capacity(nodes.len());
    let (mut streams, mut doubtful) = (HashSet::new(), HashSet::new());
    let (mut paths, mut places) = (Vec::new(), Vec::new());
    for Sought { at, address, events, doubtful: is_doubtful } in nodes {
        if events {
            streams.insert(at);
        } else if is_doubtful {
            doubtful.insert(at);
        }
        if let Some(path) = address.path().and_then(|path| BrowsePath::parse(path).ok()) {
            paths.push(path);
            places.push(at);
            continue;
        }
        match address.resolve(&namespaces) {
            Ok(node) => known.push(Found { at, node }),
            Err(error) => {
                tracing::debug!(%error, node = %address, "the namespace is not there");
                examined.refused.push(Refused { at, status: StatusCode::BadNodeIdUnknown });
            }
        }
    }
    if !paths.is_empty() {
        let limits = BrowseLimits::of(&session, profile).await?;
        let mut browser = Browser::new(session.clone(), limits);
        let resolved = resolve(&session, &mut browser, limits, &namespaces, &paths).await?;
        for (at, resolved) in places.into_iter().zip(resolved) {
            match resolved {
                Ok(node) => known.push(Found { at, node }),
                Err(status) => examined.refused.push(Refused { at, status }),
            }
        }
    }
    let (notifiers, known): (Vec<_>, Vec<_>) = known.into_iter().partition(|found| streams.contains(&found.at));
    if !notifiers.is_empty() {
        let nodes: Vec<_> =
            notifiers.iter().map(|found| to_read(found.node.clone(), AttributeId::EventNotifier)).collect();
        let mut bits = Vec::with_capacity(nodes.len());
        for part in nodes.chunks(examined.limits.read) {
            bits.extend(read(&session, part).await?);
        }
        for (found, bits) in notifiers.into_iter().zip(bits) {
            match bits.value {
                Some(Variant::Byte(bits)) if bits & SUBSCRIBE_TO_EVENTS != 0 => {
                    let has_history = bits & READ_EVENT_HISTORY != 0;
                    examined.found.push((found, Some(Kind::Text), has_history));
                }
                _ => {
                    let status = bits.status.filter(StatusCode::is_bad).unwrap_or(StatusCode::BadAttributeIdInvalid);
                    examined.refused.push(Refused { at: found.at, status });
                }
            }
        }
    }
    let nodes: Vec<_> = known.iter().map(|found| found.node.clone()).collect();
    let variables = variables(&session, &nodes, examined.limits).await?;
    let mut kinds = TypeKinds::default();
    let tried: Vec<NodeId> =
        known.iter().filter(|found| doubtful.contains(&found.at)).map(|found| found.node.clone()).collect();
    let unreadable = unreadable::search(&session, tried, examined.limits.read).await;
    for (found, variable) in known.into_iter().zip(variables) {
        match (variable, unreadable.get(&found.node).filter(|_| doubtful.contains(&found.at))) {
            (Err(status), _) | (_, Some(&status)) => examined.refused.push(Refused { at: found.at, status }),
            (Ok(variable), None) => {
                let kind = match &variable.data_type {
                    Some(data_type) => {
                        let kind = kinds.kind(&session, data_type).await;
                        may_be_structures |= data_type.namespace > 0 && kind == Some(Kind::Text);
                        kind
                    }
                    None => None,
                };
                examined.found.push((found, kind, variable.has_history));
            }
        }
    }
    if may_be_structures && examined.structures.is_none() {
        examined.structures = Some(structures::learn(&session, examined.limits, profile).await);
    }
    examined.namespaces = namespaces;
    Ok(examined)
}
