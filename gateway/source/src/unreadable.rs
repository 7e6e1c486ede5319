//! Finds the nodes whose values cannot be read here: a message that has one of them is lost with all that is in it. They
//! are read together, and halved as often as the answer cannot be read, until one is left.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use opcua::client::Session;
use opcua::types::{AttributeId, NodeId, ReadValueId, StatusCode, TimestampsToReturn};
use tokio::time::Instant as Timer;

use crate::error::{is_too_large, is_unreadable};
use crate::server_info::to_read;

/// Requests of one search: of a thousand nodes in a request one that cannot be read takes twenty.
const REQUESTS_MAX: usize = 2_000;
/// How soon after a search there may be another one; after one that found nothing twice as late as the time before.
const AGAIN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// Reads the values of nodes, so many in a request at the most; those that cannot be read, each with why. Those that no
/// request was left for, or that the server does not answer for, are not among them.
pub(crate) async fn search(session: &Session, nodes: Vec<NodeId>, at_once: usize) -> HashMap<NodeId, StatusCode> {
    let mut seen = HashSet::new();
    let wanted: Vec<ReadValueId> = nodes
        .into_iter()
        .filter(|node| seen.insert(node.clone()))
        .map(|node| to_read(node, AttributeId::Value))
        .collect();
    let mut found = HashMap::new();
    let mut open: Vec<&[ReadValueId]> = wanted.chunks(at_once.max(1)).rev().collect();
    let mut requests = 0;
    while let Some(nodes) = open.pop() {
        if requests >= REQUESTS_MAX {
            tracing::warn!(left = open.len() + 1, "too many values cannot be read; some are looked for another time");
            break;
        }
        requests += 1;
        match (session.read(nodes, TimestampsToReturn::Neither, 0.0).await.map_err(|error| error.status()), nodes) {
            (Ok(_), _) => {}
            (Err(status), [node]) if is_unreadable(status) => {
                found.insert(node.node_id.clone(), status);
            }
            (Err(status), [_, _, ..]) if is_unreadable(status) || is_too_large(status) => {
                let (first, second) = nodes.split_at(nodes.len() / 2);
                open.extend([second, first]);
            }
            (Err(status), _) => {
                tracing::debug!(%status, "the search for values that cannot be read has ended early");
                break;
            }
        }
    }
    found
}

/// When a source's signals are to be searched for such.
#[derive(Debug)]
pub(crate) struct Search {
    /// Whether a message was lost since the last search.
    lost: bool,
    is_running: bool,
    next_at: Timer,
    wait: Duration,
}

impl Search {
    pub(crate) fn new() -> Self {
        Self { lost: false, is_running: false, next_at: Timer::now(), wait: AGAIN.0 }
    }

    /// A connection begins: no answer of the one before comes any more.
    pub(crate) const fn begin(&mut self) {
        self.is_running = false;
    }

    /// A message could not be read.
    pub(crate) const fn message_lost(&mut self) {
        self.lost = true;
    }

    /// Whether one is under way.
    pub(crate) const fn is_running(&self) -> bool {
        self.is_running
    }

    /// Whether one is due; it is under way from then on.
    pub(crate) fn starts(&mut self) -> bool {
        let starts = self.lost && !self.is_running && Timer::now() >= self.next_at;
        if starts {
            (self.lost, self.is_running) = (false, true);
        }
        starts
    }

    /// One has ended. What was lost while it ran was lost for what it was about.
    pub(crate) fn ended(&mut self, found: bool) {
        self.wait = if found { AGAIN.0 } else { (self.wait * 2).min(AGAIN.1) };
        (self.lost, self.is_running) = (self.lost && !found, false);
        self.next_at = Timer::now() + self.wait;
    }
}
