//! Finds out what the configured nodes are on this server: namespaces, existence, kinds.

use std::sync::Arc;

use opcua::client::Session;
use opcua::types::StatusCode;
use watchfire_config::BrowsePath;
use watchfire_model::Kind;
use watchfire_ua::NodeAddress;

use crate::browse::{BrowseLimits, Browser};
use crate::paths::resolve;
use crate::server_info::{Limits, TypeKinds, namespaces, variables};
use crate::watched::{Found, Refused};
use crate::{SourceError, structures};

/// What is known of nodes on a connection.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    /// Those that can be watched, each with its kind where the server tells it, and whether the server keeps its history.
    pub found: Vec<(Found, Option<Kind>, bool)>,
    /// Those that cannot.
    pub refused: Vec<Refused>,
    /// How many nodes may be in one request.
    pub limits: Limits,
    /// The server's namespaces.
    pub namespaces: Vec<String>,
}

/// Examines nodes, each named by its place among the watched. Fails only if the server answers nothing at all: a node
/// that is not there concerns no other.
/// `learn`: what structures are made of is to be learned as well.
pub(crate) async fn examine(
    session: Arc<Session>,
    nodes: Vec<(usize, NodeAddress)>,
    learn: bool,
) -> Result<Examined, SourceError> {
    let mut examined = Examined { limits: Limits::of(&session).await?, ..Examined::default() };
    if learn {
        structures::learn(&session, examined.limits).await;
    }
    let namespaces = namespaces(&session).await?;
    let mut known = Vec::with_capacity(nodes.len());
    let (mut paths, mut places) = (Vec::new(), Vec::new());
    for (at, address) in nodes {
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
        let limits = BrowseLimits::of(&session).await?;
        let mut browser = Browser::new(session.clone(), limits);
        let resolved = resolve(&session, &mut browser, limits, &namespaces, &paths).await?;
        for (at, resolved) in places.into_iter().zip(resolved) {
            match resolved {
                Ok(node) => known.push(Found { at, node }),
                Err(status) => examined.refused.push(Refused { at, status }),
            }
        }
    }
    let nodes: Vec<_> = known.iter().map(|found| found.node.clone()).collect();
    let variables = variables(&session, &nodes, examined.limits).await?;
    let mut kinds = TypeKinds::default();
    for (found, variable) in known.into_iter().zip(variables) {
        match variable {
            Err(status) => examined.refused.push(Refused { at: found.at, status }),
            Ok(variable) => {
                let kind = match &variable.data_type {
                    Some(data_type) => kinds.kind(&session, data_type).await,
                    None => None,
                };
                examined.found.push((found, kind, variable.has_history));
            }
        }
    }
    examined.namespaces = namespaces;
    Ok(examined)
}
