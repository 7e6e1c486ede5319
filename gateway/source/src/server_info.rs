//! What is asked of a server before anything is subscribed: its namespaces, its limits, and what the nodes are.

use std::collections::HashMap;
use std::time::Duration;

use opcua::client::Session;
use opcua::types::{
    AttributeId, BrowseDescription, BrowseDirection, DataValue, NodeId, ReadValueId, ReferenceTypeId, StatusCode,
    TimestampsToReturn, VariableId, Variant,
};
use tokio::time::Instant as Timer;
use watchfire_config::Profile;
use watchfire_model::{Instant, Kind};
use watchfire_ua::{DataTypeKind, instant_from_date_time, kind_of_data_type};

use crate::SourceError;
use crate::browse::small;
use crate::error::{is_too_large, may_be_one};

/// No request is larger than this, whatever the server allows: an answer should come within a second.
pub(crate) const CHUNK_MAX: usize = 1_000;
/// The bit of an AccessLevel that says that the history may be read.
const HISTORY_READ: u8 = 4;
/// Type hierarchies are shallow; this only bounds a fault.
const SUPERTYPES_MAX: usize = 16;

/// How many nodes may be in one request (OPC 10000-5 §6.3.11). Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub read: usize,
    pub create: usize,
    /// Not more either than it goes on with at once (MaxHistoryContinuationPoints).
    pub history: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { read: CHUNK_MAX, create: CHUNK_MAX, history: CHUNK_MAX }
    }
}

impl Limits {
    /// Asks the server. What it does not tell, or tells to be 0, is unlimited; a small controller is asked for little,
    /// whatever it tells.
    pub(crate) async fn of(session: &Session, profile: Profile) -> Result<Self, SourceError> {
        let nodes = [
            VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
            VariableId::Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
            VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData,
            // Each node may need one.
            VariableId::Server_ServerCapabilities_MaxHistoryContinuationPoints,
        ];
        let values = read(session, &nodes.map(|node| to_read(node.into(), AttributeId::Value))).await?;
        let limit = |at: usize| {
            let told = values.get(at).and_then(whole).filter(|limit| *limit > 0).unwrap_or(CHUNK_MAX).min(CHUNK_MAX);
            if profile == Profile::Small { small(told) } else { told }
        };
        Ok(Self { read: limit(0), create: limit(1), history: limit(2).min(limit(3)) })
    }
}

fn whole(value: &DataValue) -> Option<usize> {
    match value.value {
        Some(Variant::UInt32(limit)) => usize::try_from(limit).ok(),
        Some(Variant::UInt16(limit)) => Some(usize::from(limit)),
        _ => None,
    }
}

/// When a server said which time it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerTime {
    time: Instant,
    /// Before this it did not say it.
    asked: Timer,
}

impl ServerTime {
    /// Asks the server; `None` where it does not tell.
    pub(crate) async fn of(session: &Session) -> Option<Self> {
        let node = to_read(VariableId::Server_ServerStatus_CurrentTime.into(), AttributeId::Value);
        let asked = Timer::now();
        let time = match read(session, &[node]).await.ok()?.into_iter().next()?.value {
            Some(Variant::DateTime(time)) => instant_from_date_time(&time, None)?,
            _ => return None,
        };
        Some(Self { time, asked })
    }

    /// By how much it is behind our clock at least, by which it is `now`.
    pub(crate) fn behind(&self, now: Instant) -> Duration {
        let asked = now.minus(self.asked.elapsed());
        Duration::from_nanos(asked.since_ns(self.time).try_into().unwrap_or(0))
    }
}

/// The server's NamespaceArray.
pub(crate) async fn namespaces(session: &Session) -> Result<Vec<String>, SourceError> {
    let values = read(session, &[to_read(VariableId::Server_NamespaceArray.into(), AttributeId::Value)]).await?;
    let told = values.into_iter().next().unwrap_or_default();
    let Some(Variant::Array(array)) = told.value else {
        let status = told.status.filter(StatusCode::is_bad).unwrap_or(StatusCode::BadUnexpectedError);
        return Err(SourceError::Request { doing: "reading the namespaces", status });
    };
    Ok(array
        .values
        .into_iter()
        .map(|name| if let Variant::String(name) = name { name.as_ref().to_owned() } else { String::new() })
        .collect())
}

/// What a variable is, as far as its server tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Variable {
    /// Its DataType; `None` where the server keeps that to itself.
    pub data_type: Option<NodeId>,
    /// Whether its history may be read (AccessLevel, OPC 10000-3 §8.57).
    pub has_history: bool,
}

/// What each node is; an error where there is no such variable.
pub(crate) async fn variables(
    session: &Session,
    nodes: &[NodeId],
    limits: Limits,
) -> Result<Vec<Result<Variable, StatusCode>>, SourceError> {
    let mut variables = Vec::with_capacity(nodes.len());
    // Both attributes in one request, unless the server takes one at a time.
    let nodes_max = (limits.read / 2).max(1);
    for chunk in nodes.chunks(nodes_max) {
        let attributes = |node: &NodeId| {
            [AttributeId::DataType, AttributeId::AccessLevel].map(|attribute| to_read(node.clone(), attribute))
        };
        let wanted: Vec<_> = chunk.iter().flat_map(attributes).collect();
        let mut values = Vec::with_capacity(wanted.len());
        for part in wanted.chunks(limits.read) {
            values.extend(read(session, part).await?);
        }
        variables.extend(values.chunks(2).map(|pair| {
            let data_type = data_type(pair.first())?;
            let level = pair.get(1).and_then(|value| value.value.as_ref());
            let has_history = matches!(level, Some(Variant::Byte(bits)) if bits & HISTORY_READ != 0);
            Ok(Variable { data_type, has_history })
        }));
    }
    Ok(variables)
}

fn data_type(value: Option<&DataValue>) -> Result<Option<NodeId>, StatusCode> {
    let status = value.and_then(|value| value.status).unwrap_or(StatusCode::Good);
    match (value.and_then(|value| value.value.as_ref()), status) {
        (
            _,
            StatusCode::BadNodeIdUnknown
            | StatusCode::BadNodeIdInvalid
            | StatusCode::BadAttributeIdInvalid
            | StatusCode::BadNodeIdRejected,
        ) => Err(status),
        (Some(Variant::NodeId(node)), _) => Ok(Some((**node).clone())),
        _ => Ok(None),
    }
}

/// Kinds of DataTypes, each asked for once a connection.
#[derive(Debug, Default)]
pub(crate) struct TypeKinds(HashMap<NodeId, Option<Kind>>);

impl TypeKinds {
    /// The kind of a DataType; `None` where only a value can tell. Follows the supertypes on the server.
    pub(crate) async fn kind(&mut self, session: &Session, data_type: &NodeId) -> Option<Kind> {
        if let Some(known) = self.0.get(data_type) {
            return *known;
        }
        let mut current = data_type.clone();
        let mut kind = None;
        for _ in 0..SUPERTYPES_MAX {
            match kind_of_data_type(&current) {
                DataTypeKind::Known(known) => {
                    kind = Some(known);
                    break;
                }
                DataTypeKind::Open => break,
                DataTypeKind::Derived => match supertype(session, current).await {
                    Some(parent) => current = parent,
                    None => break,
                },
            }
        }
        self.0.insert(data_type.clone(), kind);
        kind
    }
}

async fn supertype(session: &Session, data_type: NodeId) -> Option<NodeId> {
    let wanted = BrowseDescription {
        node_id: data_type,
        browse_direction: BrowseDirection::Inverse,
        reference_type_id: ReferenceTypeId::HasSubtype.into(),
        include_subtypes: false,
        node_class_mask: 0,
        result_mask: 0,
    };
    let results = session.browse(&[wanted], 1, None).await.ok()?;
    let reference = results.into_iter().next()?.references?.into_iter().next()?;
    Some(reference.node_id.node_id)
}

pub(crate) fn to_read(node_id: NodeId, attribute: AttributeId) -> ReadValueId {
    ReadValueId { node_id, attribute_id: attribute as u32, ..Default::default() }
}

/// Reads attributes, a value for each, in smaller requests where the server takes no more: what it says of its limits is
/// read so too. So are those of which one spoils the request for the others; alone it has the status that was answered.
/// Fails only where the server answers nothing at all.
pub(crate) async fn read(session: &Session, nodes: &[ReadValueId]) -> Result<Vec<DataValue>, SourceError> {
    let mut values: Vec<DataValue> = Vec::with_capacity(nodes.len());
    let mut at_once_max = nodes.len().max(1);
    let mut at_once = at_once_max;
    while let Some(left) = nodes.get(values.len()..).filter(|left| !left.is_empty()) {
        let chunk = left.get(..at_once.min(left.len())).unwrap_or(left);
        match session.read(chunk, TimestampsToReturn::Neither, 0.0).await {
            Ok(read) if read.len() >= chunk.len() => {
                values.extend(read.into_iter().take(chunk.len()));
                at_once = at_once.saturating_mul(2).min(at_once_max);
            }
            // Which of them it has answered for is not known.
            Ok(_) if chunk.len() > 1 => {
                at_once_max = chunk.len() / 2;
                at_once = at_once_max;
            }
            Ok(_) => values.push(refused(StatusCode::BadUnknownResponse)),
            Err(error) if is_too_large(error.status()) && chunk.len() > 1 => {
                at_once_max = chunk.len() / 2;
                at_once = at_once_max;
            }
            Err(error) if may_be_one(error.status()) && chunk.len() > 1 => at_once = chunk.len() / 2,
            Err(error) if may_be_one(error.status()) && nodes.len() > 1 => values.push(refused(error.status())),
            Err(error) => return Err(SourceError::request("reading attributes")(error)),
        }
    }
    Ok(values)
}

/// The value of an attribute that cannot be read.
fn refused(status: StatusCode) -> DataValue {
    DataValue { status: Some(status), ..DataValue::default() }
}
