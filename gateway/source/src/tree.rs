//! An address space as people look at it: a tree of a bounded depth with types, values and units. Only browses and
//! reads; knows no terminal.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use opcua::client::Session;
use opcua::types::{AttributeId, DataValue, NodeClass, NodeId, ObjectId, ReferenceDescription, StatusCode, Variant};
use watchfire_config::{About, BrowsePath, Profile, SourceConfig};
use watchfire_model::Clock;
use watchfire_ua::NodeAddress;

use crate::SourceError;
use crate::about::{Fitness, Reader, about, fitness};
use crate::browse::{Below, BrowseLimits, Browser, is_property};
use crate::paths::resolve;
use crate::server_info::{Limits, namespaces, to_read};
use crate::visit::{connector, visit};

/// Nobody reads more; the rest is cut off.
const NODES_MAX: usize = 100_000;

/// A node of the tree.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TreeNode {
    /// How far it is below where the tree begins; that is 0.
    pub depth: usize,
    /// Its browse name, without its namespace.
    pub name: String,
    /// Its address, the namespace by its URI.
    pub node: String,
    /// The name of its type definition; empty where it has none.
    pub of_type: String,
    /// What is more if it is a variable.
    pub variable: Option<Variable>,
    /// It stands elsewhere in the tree, with all that is below it.
    pub is_repeated: bool,
}

/// What is shown of a variable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variable {
    /// The name of its DataType.
    pub data_type: String,
    /// Its value now, for people; the status where there is none and it says why.
    pub value: String,
    /// Unit, range and description.
    pub about: About,
    /// Whether it can be a signal: one value, which may be read.
    pub is_fit: bool,
}

/// A part of a server's address space.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    /// Its nodes, each followed by what is below it.
    pub nodes: Vec<TreeNode>,
    /// There are more than are shown.
    pub is_cut: bool,
}

/// Browses from a node on, `depth` levels deep. `from` is a node id or a browse path; `None`: the Objects folder.
/// Costs a session, and some requests for each level.
///
/// # Errors
/// When the server cannot be reached, or there is no such node.
pub async fn tree(
    config: &SourceConfig,
    pki_dir: PathBuf,
    clock: Arc<dyn Clock>,
    from: Option<&str>,
    depth: usize,
) -> Result<Tree, SourceError> {
    visit(&connector(config, pki_dir, clock), |session| grown(session, from, depth, config.profile)).await
}

/// A node while the tree grows.
struct Growing {
    node: NodeId,
    name: String,
    is_variable: bool,
    of_type: NodeId,
    is_repeated: bool,
    below: Vec<usize>,
}

async fn grown(session: Arc<Session>, from: Option<&str>, depth: usize, profile: Profile) -> Result<Tree, SourceError> {
    let limits = BrowseLimits::of(&session, profile).await?;
    let mut reader = Reader::new(&session, Limits::of(&session, profile).await?.read);
    let mut browser = Browser::new(session.clone(), limits);
    let namespaces = namespaces(&session).await?;
    let root = match from {
        None => ObjectId::ObjectsFolder.into(),
        Some(text) => located(&session, &mut browser, limits, &namespaces, text).await?,
    };
    let head = reader
        .read(&[to_read(root.clone(), AttributeId::BrowseName), to_read(root.clone(), AttributeId::NodeClass)])
        .await?;
    let Some(Variant::QualifiedName(name)) = head.first().and_then(|value| value.value.as_ref()) else {
        return Err(SourceError::NoNode { node: from.unwrap_or("i=85").to_owned() });
    };
    let is_variable = matches!(head.get(1).map(|value| &value.value), Some(Some(Variant::Int32(class))) if *class == NodeClass::Variable as i32);
    let mut all = vec![Growing {
        name: name.name.as_ref().to_owned(),
        is_variable,
        of_type: NodeId::null(),
        is_repeated: false,
        below: Vec::new(),
        node: root.clone(),
    }];
    let (mut seen, mut level, mut is_cut) = (HashSet::from([root]), vec![0_usize], false);
    for _ in 0..depth {
        let nodes: Vec<NodeId> = level.iter().filter_map(|at| Some(all.get(*at)?.node.clone())).collect();
        if nodes.is_empty() {
            break;
        }
        let mut next = Vec::new();
        for (at, children) in level.into_iter().zip(browser.below(&nodes, Below::Children).await?) {
            for child in distinct(children) {
                if all.len() >= NODES_MAX {
                    is_cut = true;
                    break;
                }
                let is_repeated = !seen.insert(child.node_id.node_id.clone());
                let place = all.len();
                if let Some(parent) = all.get_mut(at) {
                    parent.below.push(place);
                }
                if !is_repeated {
                    next.push(place);
                }
                all.push(Growing {
                    name: child.browse_name.name.as_ref().to_owned(),
                    is_variable: child.node_class == NodeClass::Variable,
                    of_type: child.type_definition.node_id,
                    is_repeated,
                    below: Vec::new(),
                    node: child.node_id.node_id,
                });
            }
        }
        level = next;
    }
    let shown = described(&mut reader, &mut browser, &all, &namespaces).await?;
    Ok(Tree { nodes: flat(&all, shown), is_cut })
}

/// Each node once, though several references lead to it; properties are not part of the tree.
fn distinct(children: Vec<ReferenceDescription>) -> impl Iterator<Item = ReferenceDescription> {
    let mut seen = HashSet::new();
    children.into_iter().filter(move |child| !is_property(child) && seen.insert(child.node_id.node_id.clone()))
}

async fn located(
    session: &Session,
    browser: &mut Browser,
    limits: BrowseLimits,
    namespaces: &[String],
    text: &str,
) -> Result<NodeId, SourceError> {
    let address: NodeAddress = text.parse()?;
    match address.path() {
        None => Ok(address.resolve(namespaces)?),
        Some(path) => {
            let nowhere = || SourceError::NoNode { node: text.to_owned() };
            let path = BrowsePath::parse(path).map_err(|_| nowhere())?;
            let found = resolve(session, browser, limits, namespaces, &[path]).await?;
            found.into_iter().next().and_then(Result::ok).ok_or_else(nowhere)
        }
    }
}

/// What is shown of each node, in their order.
async fn described(
    reader: &mut Reader<'_>,
    browser: &mut Browser,
    all: &[Growing],
    namespaces: &[String],
) -> Result<Vec<TreeNode>, SourceError> {
    let is_shown = |one: &&Growing| one.is_variable && !one.is_repeated;
    let variables: Vec<NodeId> = all.iter().filter(is_shown).map(|one| one.node.clone()).collect();
    let read = |attribute| variables.iter().map(|node| to_read(node.clone(), attribute)).collect::<Vec<_>>();
    let values = reader.read(&read(AttributeId::Value)).await?;
    let data_types = reader.read(&read(AttributeId::DataType)).await?;
    let about = about(reader, browser, &variables).await?;
    let fitness = fitness(reader, browser, &variables).await?;
    let data_types: Vec<NodeId> = data_types.into_iter().map(node_of).collect();
    let named = all.iter().map(|one| &one.of_type).chain(&data_types);
    let named: HashSet<NodeId> = named.filter(|node| !node.is_null()).cloned().collect();
    let names = browse_names(reader, named.into_iter().collect()).await?;
    let name = |node: &NodeId| names.get(node).cloned().unwrap_or_default();
    let more = values.iter().zip(&data_types).zip(about).zip(fitness).map(|(((value, data_type), about), fitness)| {
        Variable { data_type: name(data_type), value: text(value), about, is_fit: fitness == Fitness::Fit }
    });
    let mut more: HashMap<NodeId, Variable> = variables.iter().cloned().zip(more).collect();
    let shown = all.iter().map(|one| TreeNode {
        depth: 0,
        name: one.name.clone(),
        node: NodeAddress::of(&one.node, namespaces).to_string(),
        of_type: name(&one.of_type),
        variable: if one.is_repeated { None } else { more.remove(&one.node) },
        is_repeated: one.is_repeated,
    });
    Ok(shown.collect())
}

async fn browse_names(reader: &mut Reader<'_>, nodes: Vec<NodeId>) -> Result<HashMap<NodeId, String>, SourceError> {
    let wanted: Vec<_> = nodes.iter().map(|node| to_read(node.clone(), AttributeId::BrowseName)).collect();
    let names = reader.read(&wanted).await?.into_iter().map(|value| match value.value {
        Some(Variant::QualifiedName(name)) => name.name.as_ref().to_owned(),
        _ => String::new(),
    });
    Ok(nodes.into_iter().zip(names).collect())
}

fn node_of(value: DataValue) -> NodeId {
    match value.value {
        Some(Variant::NodeId(node)) => *node,
        _ => NodeId::null(),
    }
}

/// A value for people.
fn text(value: &DataValue) -> String {
    let status = value.status.unwrap_or(StatusCode::Good);
    match &value.value {
        None | Some(Variant::Empty) if status.is_good() => "no value".to_owned(),
        None | Some(Variant::Empty) => status.to_string(),
        Some(Variant::Array(array)) => format!("{} values", array.values.len()),
        Some(Variant::ExtensionObject(_)) => "a structure".to_owned(),
        Some(Variant::ByteString(bytes)) => format!("{} bytes", bytes.value.as_ref().map_or(0, Vec::len)),
        Some(Variant::LocalizedText(text)) => text.text.as_ref().to_owned(),
        Some(Variant::DateTime(time)) => time.to_string(),
        Some(value) => value.to_string(),
    }
}

/// The nodes in the order in which a tree is written.
fn flat(all: &[Growing], shown: Vec<TreeNode>) -> Vec<TreeNode> {
    let mut shown: Vec<Option<TreeNode>> = shown.into_iter().map(Some).collect();
    let (mut nodes, mut next) = (Vec::with_capacity(shown.len()), vec![(0_usize, 0_usize)]);
    while let Some((at, depth)) = next.pop() {
        if let Some(node) = shown.get_mut(at).and_then(Option::take) {
            nodes.push(TreeNode { depth, ..node });
        }
        let below = all.get(at).map(|one| one.below.as_slice()).unwrap_or_default();
        next.extend(below.iter().rev().map(|below| (*below, depth + 1)));
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_without_a_value_says_so_and_why_where_it_is_known() {
        let with = |value: Option<Variant>, status: Option<StatusCode>| {
            text(&DataValue { value, status, ..Default::default() })
        };
        assert_eq!(with(None, None), "no value");
        assert_eq!(with(Some(Variant::Empty), Some(StatusCode::Good)), "no value");
        assert_eq!(with(None, Some(StatusCode::BadWaitingForInitialData)), "BadWaitingForInitialData");
        assert_eq!(with(Some(Variant::Double(1.5)), None), "1.5");
    }
}
