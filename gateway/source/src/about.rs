//! What a server says of variables beside their values: unit, range, description (OPC 10000-8 §5.3.2), and whether they
//! can be signals at all. Units become UCUM codes.

use std::collections::HashSet;

use opcua::client::Session;
use opcua::types::{
    AttributeId, DataTypeId, DataValue, EUInformation, Identifier, NodeId, Range, ReadValueId, StatusCode, Variant,
};
use watchfire_config::{About, is_unit};
use watchfire_ua::ucum_of;

use crate::SourceError;
use crate::browse::{Below, Browser};
use crate::error::is_too_large;
use crate::server_info::{read, to_read};

/// Descriptions beyond this are cut off.
const DESCRIPTION_CHARS_MAX: usize = 500;
/// The bit of AccessLevel that lets a value be read (OPC 10000-3 §8.57).
const CURRENT_READ: u8 = 1;

/// Reads attributes in requests as large as the server takes.
pub(crate) struct Reader<'s> {
    session: &'s Session,
    at_once: usize,
}

impl<'s> Reader<'s> {
    /// For a server that says that it takes so many nodes at once.
    pub(crate) const fn new(session: &'s Session, at_once: usize) -> Self {
        Self { session, at_once }
    }

    /// The values of all, in their order.
    pub(crate) async fn read(&mut self, wanted: &[ReadValueId]) -> Result<Vec<DataValue>, SourceError> {
        let mut values = Vec::with_capacity(wanted.len());
        while let Some(rest) = wanted.get(values.len()..).filter(|rest| !rest.is_empty()) {
            let count = self.at_once.clamp(1, rest.len());
            let chunk = rest.get(..count).unwrap_or(rest);
            match read(self.session, chunk).await {
                Ok(mut read) => {
                    // A server that answers less than it was asked has no value for the rest.
                    read.resize_with(chunk.len(), DataValue::default);
                    values.append(&mut read);
                }
                Err(SourceError::Request { status, .. }) if is_too_large(status) && count > 1 => {
                    self.at_once = count / 2;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(values)
    }

    async fn attributes(&mut self, nodes: &[NodeId], attribute: AttributeId) -> Result<Vec<DataValue>, SourceError> {
        let wanted: Vec<ReadValueId> = nodes.iter().map(|node| to_read(node.clone(), attribute)).collect();
        self.read(&wanted).await
    }
}

/// Why a variable cannot be a signal, or that it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fitness {
    Fit,
    Array,
    Structure,
    Unreadable,
}

/// Whether each variable has single values that we may read.
pub(crate) async fn fitness(
    reader: &mut Reader<'_>,
    browser: &mut Browser,
    nodes: &[NodeId],
) -> Result<Vec<Fitness>, SourceError> {
    let ranks = reader.attributes(nodes, AttributeId::ValueRank).await?;
    let access = reader.attributes(nodes, AttributeId::UserAccessLevel).await?;
    let types = reader.attributes(nodes, AttributeId::DataType).await?;
    let is_own = |value: &DataValue| data_type(value).is_some_and(|data_type| !is_built_in(data_type));
    let structures = if types.iter().any(is_own) {
        subtypes(browser, DataTypeId::Structure.into()).await?
    } else {
        HashSet::from([DataTypeId::Structure.into()])
    };
    let judged = ranks.iter().zip(&access).zip(&types).map(|((rank, access), of_type)| {
        let is_array = matches!(rank.value, Some(Variant::Int32(rank)) if rank >= 0);
        let is_hidden = matches!(access.value, Some(Variant::Byte(level)) if level & CURRENT_READ == 0);
        if is_hidden || of_type.status.is_some_and(|status| status == StatusCode::BadUserAccessDenied) {
            Fitness::Unreadable
        } else if is_array {
            Fitness::Array
        } else if data_type(of_type).is_some_and(|data_type| structures.contains(data_type)) {
            Fitness::Structure
        } else {
            Fitness::Fit
        }
    });
    Ok(judged.collect())
}

fn data_type(value: &DataValue) -> Option<&NodeId> {
    match &value.value {
        Some(Variant::NodeId(node)) => Some(node),
        _ => None,
    }
}

fn is_built_in(data_type: &NodeId) -> bool {
    data_type.namespace == 0 && matches!(data_type.identifier, Identifier::Numeric(id) if id < 22)
}

/// A type and all that are derived from it.
pub(crate) async fn subtypes(browser: &mut Browser, of: NodeId) -> Result<HashSet<NodeId>, SourceError> {
    let (mut known, mut next) = (HashSet::from([of.clone()]), vec![of]);
    while !next.is_empty() {
        let below = browser.below(&next, Below::Subtypes).await?;
        let derived = below.into_iter().flatten().map(|reference| reference.node_id.node_id);
        next = derived.filter(|node| known.insert(node.clone())).collect();
    }
    Ok(known)
}

/// What the server says of each variable.
pub(crate) async fn about(
    reader: &mut Reader<'_>,
    browser: &mut Browser,
    nodes: &[NodeId],
) -> Result<Vec<About>, SourceError> {
    let descriptions = reader.attributes(nodes, AttributeId::Description).await?;
    let mut about: Vec<About> = descriptions.iter().map(described).collect();
    let (mut wanted, mut places) = (Vec::new(), Vec::new());
    for (at, properties) in browser.below(nodes, Below::Properties).await?.into_iter().enumerate() {
        for property in properties.into_iter().filter(|property| property.browse_name.namespace_index == 0) {
            let Some(sort) = Property::of(property.browse_name.name.as_ref()) else { continue };
            wanted.push(to_read(property.node_id.node_id, AttributeId::Value));
            places.push((at, sort));
        }
    }
    let values = reader.read(&wanted).await?;
    let mut instrument_ranges = vec![None; nodes.len()];
    for ((at, sort), value) in places.into_iter().zip(&values) {
        let (Some(about), Some(instrument)) = (about.get_mut(at), instrument_ranges.get_mut(at)) else { continue };
        match sort {
            Property::EuRange => about.range = range(value),
            Property::InstrumentRange => *instrument = range(value),
            Property::EngineeringUnits => about.unit = unit(value),
        }
    }
    for (about, instrument) in about.iter_mut().zip(instrument_ranges) {
        about.range = about.range.or(instrument);
    }
    Ok(about)
}

#[derive(Clone, Copy)]
enum Property {
    EuRange,
    InstrumentRange,
    EngineeringUnits,
}

impl Property {
    fn of(name: &str) -> Option<Self> {
        match name {
            "EURange" => Some(Self::EuRange),
            "InstrumentRange" => Some(Self::InstrumentRange),
            "EngineeringUnits" => Some(Self::EngineeringUnits),
            _ => None,
        }
    }
}

fn described(value: &DataValue) -> About {
    let description = match &value.value {
        Some(Variant::LocalizedText(text)) => text.text.as_ref().trim(),
        _ => "",
    };
    let description = description.chars().map(|c| if c.is_control() { ' ' } else { c }).take(DESCRIPTION_CHARS_MAX);
    About { description: description.collect(), ..About::default() }
}

fn range(value: &DataValue) -> Option<(f64, f64)> {
    let Some(Variant::ExtensionObject(object)) = &value.value else { return None };
    let range = object.inner_as::<Range>()?;
    (range.low.is_finite() && range.high.is_finite() && range.low < range.high).then_some((range.low, range.high))
}

fn unit(value: &DataValue) -> Option<String> {
    let Some(Variant::ExtensionObject(object)) = &value.value else { return None };
    ucum_of(object.inner_as::<EUInformation>()?).filter(|unit| is_unit(unit))
}
