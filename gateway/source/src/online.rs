//! Holds configured signals against the live server: whether each node is there, is a variable, may be read, and has
//! values that can be signals. Asks once, tells everything.

use std::path::PathBuf;
use std::sync::Arc;

use opcua::client::Session;
use opcua::types::{AttributeId, DataValue, NodeClass, NodeId, ReadValueId, StatusCode, Variant};
use watchfire_config::SourceConfig;
use watchfire_model::Clock;

use crate::SourceError;
use crate::about::{Fitness, Reader, fitness};
use crate::browse::{BrowseLimits, Browser};
use crate::server_info::{Limits, namespaces, to_read};
use crate::survey::nodes_of;
use crate::visit::{connector, visit};

/// The bit of AccessLevel that says that history may be read.
const HISTORY_READ: u8 = 4;

/// What a server says of the signals of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Online {
    /// What is wrong, one text a signal, each with the way out.
    pub wrong: Vec<String>,
    /// Of how many signals the server keeps history.
    pub with_history: usize,
}

/// Checks every signal of a source against its server. Costs a session and a few reads a signal.
///
/// # Errors
/// When the server cannot be reached, or answers nothing at all.
pub async fn check_online(
    config: &SourceConfig,
    pki_dir: PathBuf,
    clock: Arc<dyn Clock>,
) -> Result<Online, SourceError> {
    visit(&connector(config, pki_dir, clock), |session| checked(session, config)).await
}

async fn checked(session: Arc<Session>, config: &SourceConfig) -> Result<Online, SourceError> {
    let limits = BrowseLimits::of(&session, config.profile).await?;
    let mut reader = Reader::new(&session, Limits::of(&session, config.profile).await?.read);
    let mut browser = Browser::new(session.clone(), limits);
    let namespaces = namespaces(&session).await?;
    let nodes = nodes_of(&session, &mut browser, limits, &namespaces, &config.signals).await?;
    let known: Vec<NodeId> = nodes.iter().flatten().cloned().collect();
    let wanted = |attribute| known.iter().map(|node| to_read(node.clone(), attribute)).collect::<Vec<ReadValueId>>();
    let classes = reader.read(&wanted(AttributeId::NodeClass)).await?;
    let levels = reader.read(&wanted(AttributeId::UserAccessLevel)).await?;
    let fitness = fitness(&mut reader, &mut browser, &known).await?;
    let mut told = classes.iter().zip(&levels).zip(fitness);
    let mut online = Online::default();
    for (signal, node) in config.signals.iter().zip(&nodes) {
        let found = if node.is_some() { told.next() } else { None };
        let wrong = match found {
            None => Some(format!("is not on the server; run `watchfire browse {}`", config.name)),
            Some(((class, level), fitness)) => {
                if matches!(level.value, Some(Variant::Byte(level)) if level & HISTORY_READ != 0) {
                    online.with_history += 1;
                }
                judged(class, fitness, signal.events.is_some(), &config.name)
            }
        };
        if let Some(wrong) = wrong {
            online.wrong.push(format!("signal `{}`: node `{}` {wrong}", signal.name, signal.node));
        }
    }
    Ok(online)
}

/// What is wrong with a node; `None`: nothing.
fn judged(class: &DataValue, fitness: Fitness, is_stream: bool, source: &str) -> Option<String> {
    let class_is = |wanted: NodeClass| matches!(class.value, Some(Variant::Int32(class)) if class == wanted as i32);
    if class.status.is_some_and(|status: StatusCode| status.is_bad()) {
        return Some(format!("is not on the server; run `watchfire browse {source}`"));
    }
    if is_stream {
        let has_events = class_is(NodeClass::Object) || class_is(NodeClass::View);
        return (!has_events).then(|| "has no events; name an object such as the server itself, `i=2253`".to_owned());
    }
    if !class_is(NodeClass::Variable) {
        return Some(format!("is no variable; run `watchfire browse {source}` for what is below it"));
    }
    let hidden = || "may not be read; give the gateway's user the right on the server".to_owned();
    (fitness == Fitness::Unreadable).then(hidden)
}
