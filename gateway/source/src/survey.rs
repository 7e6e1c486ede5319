//! Asks a server once for all that a configuration leaves to it: what selections name, and the units, ranges and
//! descriptions of signals. Only browses and reads. Where the answer is kept, and what becomes of it, is not known here.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use opcua::client::Session;
use opcua::types::NodeId;
use watchfire_config::{BrowsePath, Described, Found, FoundSignal, SelectConfig, SignalConfig, SourceConfig};
use watchfire_model::Clock;
use watchfire_ua::NodeAddress;

use crate::SourceError;
use crate::about::{Fitness, Reader, about, fitness};
use crate::browse::{BrowseLimits, Browser};
use crate::paths::resolve;
use crate::server_info::{Limits, namespaces};
use crate::visit::{connector, visit};
use crate::walk::{Hit, walk};

/// What a survey found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// What the server has.
    pub found: Found,
    /// What is wrong or was left out, for people; the rest is none the worse.
    pub troubles: Vec<String>,
}

/// Surveys the server of a source. Costs a session, a browse of the part of the address space that the selections lead
/// to, and some reads a signal: 10,000 variables take some seconds.
///
/// # Errors
/// When the server cannot be reached, or answers nothing at all.
pub async fn survey(config: &SourceConfig, pki_dir: PathBuf, clock: Arc<dyn Clock>) -> Result<Survey, SourceError> {
    visit(&connector(config, pki_dir, clock), |session| surveyed(session, config)).await
}

async fn surveyed(session: Arc<Session>, config: &SourceConfig) -> Result<Survey, SourceError> {
    let limits = BrowseLimits::of(&session, config.profile).await?;
    let mut reader = Reader::new(&session, Limits::of(&session, config.profile).await?.read);
    let mut browser = Browser::new(session.clone(), limits);
    let namespaces = namespaces(&session).await?;
    let configured = nodes_of(&session, &mut browser, limits, &namespaces, &config.signals).await?;
    let mut survey = Survey::default();
    if !config.selects.is_empty() {
        let walked = walk(&mut browser, &config.selects).await?;
        survey.troubles = walked.troubles;
        let taken: HashSet<&NodeId> = configured.iter().flatten().collect();
        let hits: Vec<Hit> = walked.hits.into_iter().filter(|hit| !taken.contains(&hit.node)).collect();
        let hits = fit(&mut reader, &mut browser, hits, &mut survey.troubles).await?;
        let nodes: Vec<NodeId> = hits.iter().map(|hit| hit.node.clone()).collect();
        let about = if config.read_metadata {
            about(&mut reader, &mut browser, &nodes).await?
        } else {
            vec![watchfire_config::About::default(); nodes.len()]
        };
        let keys: Vec<String> = config.selects.iter().map(SelectConfig::key).collect();
        survey.found.signals = hits
            .into_iter()
            .zip(about)
            .map(|(hit, about)| FoundSignal {
                select: keys.get(hit.select).cloned().unwrap_or_default(),
                node: NodeAddress::of(&hit.node, &namespaces).to_string(),
                path: hit.path,
                about,
            })
            .collect();
    }
    if config.read_metadata {
        let known: Vec<(&SignalConfig, NodeId)> =
            config.signals.iter().zip(configured).filter_map(|(signal, node)| Some((signal, node?))).collect();
        let nodes: Vec<NodeId> = known.iter().map(|(_, node)| node.clone()).collect();
        let about = about(&mut reader, &mut browser, &nodes).await?;
        let described = known.into_iter().zip(about).map(|((signal, _), about)| Described {
            name: signal.name.clone(),
            node: signal.node.to_string(),
            about,
        });
        survey.found.described = described.collect();
    }
    Ok(survey)
}

/// The nodes of configured signals; `None` where there is none.
pub(crate) async fn nodes_of(
    session: &Session,
    browser: &mut Browser,
    limits: BrowseLimits,
    namespaces: &[String],
    signals: &[SignalConfig],
) -> Result<Vec<Option<NodeId>>, SourceError> {
    let (mut nodes, mut paths, mut places) = (Vec::with_capacity(signals.len()), Vec::new(), Vec::new());
    for (at, signal) in signals.iter().enumerate() {
        let address: Option<NodeAddress> = signal.node.to_string().parse().ok();
        if let Some(path) = address.as_ref().and_then(NodeAddress::path).and_then(|path| BrowsePath::parse(path).ok()) {
            paths.push(path);
            places.push(at);
        }
        nodes.push(address.and_then(|address| address.resolve(namespaces).ok()));
    }
    if !paths.is_empty() {
        for (at, found) in places.into_iter().zip(resolve(session, browser, limits, namespaces, &paths).await?) {
            if let Some(node) = nodes.get_mut(at) {
                *node = found.ok();
            }
        }
    }
    Ok(nodes)
}

/// Those that can be signals; what is left out is counted.
async fn fit(
    reader: &mut Reader<'_>,
    browser: &mut Browser,
    hits: Vec<Hit>,
    troubles: &mut Vec<String>,
) -> Result<Vec<Hit>, SourceError> {
    let nodes: Vec<NodeId> = hits.iter().map(|hit| hit.node.clone()).collect();
    let judged = fitness(reader, browser, &nodes).await?;
    let mut left_out: BTreeMap<&str, usize> = BTreeMap::new();
    let mut fit = Vec::with_capacity(hits.len());
    for (hit, fitness) in hits.into_iter().zip(judged) {
        let why = match fitness {
            Fitness::Fit => {
                fit.push(hit);
                continue;
            }
            Fitness::Array => "arrays",
            Fitness::Structure => "structures",
            Fitness::Unreadable => "variables that the gateway's user may not read",
        };
        tracing::debug!(node = %hit.node, path = hit.path.join("/"), why, "a selected variable is left out");
        *left_out.entry(why).or_default() += 1;
    }
    troubles.extend(left_out.into_iter().map(|(why, count)| format!("{count} {why} are left out of the selections")));
    Ok(fit)
}
