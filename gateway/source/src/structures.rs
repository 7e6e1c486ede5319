//! Learns from a server what its structures are made of, so that their members can be read: from its DataTypes, and where
//! they do not tell (servers before OPC UA 1.04), from its type dictionaries. Asked only where a signal is a structure or
//! a member of one.

use std::collections::HashMap;
use std::sync::Arc;

use opcua::client::Session;
use opcua::client::browser::BrowserConfig;
use opcua::client::custom_types::DataTypeTreeBuilder;
use opcua::types::{AttributeId, DataTypeId, NodeId, VariableId, Variant};
use watchfire_config::Profile;
use watchfire_ua::{Described, Dictionary, Layouts, STANDARD_TYPES, Unread};

use crate::SourceError;
use crate::browse::{Below, BrowseLimits, Browser};
use crate::server_info::{Limits, read, to_read};

/// Dictionaries that are read of one server: each may have megabytes.
const DICTIONARIES_MAX: usize = 64;
/// Types that are browsed in one request, at the most.
const TYPES_AT_ONCE: usize = 100;
/// Types that cannot be read are told one by one up to this.
const TOLD_MAX: usize = 20;

/// Reads every type of the server, some thousand nodes. Where that fails, members are what cannot be read, and all else
/// goes on.
pub(crate) async fn learn(session: &Arc<Session>, limits: Limits, profile: Profile) -> Arc<Layouts> {
    let mut unread = Vec::new();
    let mut layouts = Layouts::default();
    let nodes_max = match BrowseLimits::of(session, profile).await {
        Ok(limits) => limits.browse_at_once().min(TYPES_AT_ONCE),
        Err(_) => TYPES_AT_ONCE,
    };
    let browsing = BrowserConfig::new().max_nodes_per_request(nodes_max);
    match DataTypeTreeBuilder::new(|_| true).config(browsing).values_per_read(limits.read).build(session).await {
        Ok(tree) => (layouts, unread) = Layouts::of_definitions(&tree),
        Err(error) => tracing::debug!(%error, "the server's types do not tell what they are"),
    }
    let defined = layouts.len();
    match dictionaries(session, limits, profile, &layouts).await {
        Ok((dictionaries, described)) if !described.is_empty() => {
            // The work of a moment, but on megabytes that a stranger wrote.
            let reading = tokio::task::spawn_blocking(move || {
                let unread = described_by(&mut layouts, dictionaries, &described);
                (layouts, unread)
            });
            match reading.await {
                Ok((with_described, of_dictionaries)) => {
                    layouts = with_described;
                    unread.extend(of_dictionaries);
                }
                Err(error) => {
                    tracing::error!(%error, "reading the server's type dictionaries failed");
                    layouts = Layouts::default();
                }
            }
        }
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "the server's type dictionaries cannot be found"),
    }
    if layouts.is_empty() {
        tracing::warn!("the server does not tell its structures: signals that are members of one have no value");
    }
    for Unread { name, why } in unread.iter().take(TOLD_MAX) {
        tracing::warn!(structure = name, why, "the members of a structure cannot be read");
    }
    if unread.len() > TOLD_MAX {
        tracing::warn!(structures = unread.len() - TOLD_MAX, "the members of these cannot be read either");
    }
    tracing::debug!(defined, all = layouts.len(), "structures are known");
    Arc::new(layouts)
}

/// A dictionary's name for people, and its text.
type Text = (String, Vec<u8>);

/// Adds what the texts of dictionaries say. The standard's own types are found by whoever speaks of them.
fn described_by(layouts: &mut Layouts, texts: Vec<Text>, described: &[Described]) -> Vec<Unread> {
    let mut unread = Vec::new();
    let mut dictionaries = Vec::with_capacity(texts.len());
    for (name, text) in texts {
        match Dictionary::parse(&text) {
            Ok(dictionary) => dictionaries.push(dictionary),
            Err(error) => {
                unread.push(Unread { name, why: error.to_string() });
                dictionaries.push(Dictionary::default());
            }
        }
    }
    unread.extend(layouts.add_described(&dictionaries, described));
    unread
}

/// The texts of the dictionaries that describe types which are not known yet, and those types. The standard's own
/// dictionary comes last, where the others speak of its types.
async fn dictionaries(
    session: &Arc<Session>,
    limits: Limits,
    profile: Profile,
    known: &Layouts,
) -> Result<(Vec<Text>, Vec<Described>), SourceError> {
    let mut browser = Browser::new(session.clone(), BrowseLimits::of(session, profile).await?);
    // The standard's own are met where others speak of them.
    let types = browser.derived(DataTypeId::Structure.into()).await?;
    let types: Vec<NodeId> = types.into_iter().filter(|node| node.namespace != 0 && !known.knows(node)).collect();
    let mut encodings: Vec<(NodeId, NodeId)> = Vec::new();
    for (of_type, found) in types.iter().zip(browser.below(&types, Below::Encodings).await?) {
        let binary = found.into_iter().filter(|reference| reference.browse_name.name.as_ref() == "Default Binary");
        encodings.extend(binary.map(|reference| (of_type.clone(), reference.node_id.node_id)));
    }
    encodings.retain(|(_, encoding)| !known.knows(encoding));
    let ids: Vec<NodeId> = encodings.iter().map(|(_, encoding)| encoding.clone()).collect();
    let descriptions = first_of(browser.below(&ids, Below::Descriptions).await?);
    let ids: Vec<NodeId> = descriptions.iter().flatten().cloned().collect();
    let wholes = first_of(browser.below(&ids, Below::Wholes).await?);
    let names = values(session, limits, &ids).await;
    let dictionary_of: HashMap<NodeId, (Option<NodeId>, Option<Variant>)> =
        ids.into_iter().zip(wholes.into_iter().zip(names)).collect();

    let mut places: HashMap<NodeId, usize> = HashMap::new();
    let mut described = Vec::new();
    for ((of_type, encoding), description) in encodings.into_iter().zip(descriptions) {
        let Some((Some(dictionary), Some(Variant::String(name)))) =
            description.and_then(|description| dictionary_of.get(&description).cloned())
        else {
            continue;
        };
        let next = places.len();
        let place = *places.entry(dictionary).or_insert(next);
        described.push(Described { ids: vec![encoding, of_type], dictionary: place, name: name.as_ref().to_owned() });
    }
    let mut nodes: Vec<(NodeId, usize)> = places.into_iter().collect();
    nodes.sort_by_key(|(_, place)| *place);
    nodes.truncate(DICTIONARIES_MAX);
    let mut texts = Vec::with_capacity(nodes.len() + 1);
    for (node, _) in nodes {
        texts.push((node.to_string(), text(session, limits, &node).await));
    }
    let is_spoken_of = texts.iter().any(|(_, text)| String::from_utf8_lossy(text).contains(STANDARD_TYPES));
    if is_spoken_of {
        let standard = NodeId::from(VariableId::OpcUa_BinarySchema);
        if !texts.iter().any(|(name, _)| *name == standard.to_string()) {
            let text = text(session, limits, &standard).await;
            if !text.is_empty() {
                texts.push((standard.to_string(), text));
            }
        }
    }
    Ok((texts, described))
}

fn first_of(found: Vec<Vec<opcua::types::ReferenceDescription>>) -> Vec<Option<NodeId>> {
    let first = |references: Vec<opcua::types::ReferenceDescription>| references.into_iter().next();
    found.into_iter().map(|references| first(references).map(|reference| reference.node_id.node_id)).collect()
}

/// The value of each node; `None` where it cannot be read.
async fn values(session: &Session, limits: Limits, nodes: &[NodeId]) -> Vec<Option<Variant>> {
    let mut values = Vec::with_capacity(nodes.len());
    for chunk in nodes.chunks(limits.read) {
        let wanted: Vec<_> = chunk.iter().map(|node| to_read(node.clone(), AttributeId::Value)).collect();
        let answered = read(session, &wanted).await.unwrap_or_default();
        let missing = chunk.len().saturating_sub(answered.len());
        values.extend(answered.into_iter().take(chunk.len()).map(|value| value.value));
        values.extend(std::iter::repeat_n(None, missing));
    }
    values
}

/// A dictionary's text; none where it cannot be read.
async fn text(session: &Session, limits: Limits, node: &NodeId) -> Vec<u8> {
    match values(session, limits, std::slice::from_ref(node)).await.pop().flatten() {
        Some(Variant::ByteString(text)) => text.as_ref().to_vec(),
        _ => Vec::new(),
    }
}
