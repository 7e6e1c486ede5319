//! The signals of a source, and which of them are refused; outlasts connections, so that each trouble is told once.

use std::sync::Arc;
use std::time::Duration;

use opcua::types::{NodeId, StatusCode};
use watchfire_config::{Deadband, ElementPath, ElementStep, EventsConfig, SignalConfig};
use watchfire_model::SignalId;
use watchfire_ua::NodeAddress;

use crate::error::is_unreadable;

/// What a signal's item is asked for with: all that is kept of its configuration, since there may be 100,000.
#[derive(Debug)]
pub(crate) struct Asked {
    pub sampling_interval: Duration,
    pub publishing_interval: Duration,
    pub queue_size: u32,
    pub deadband: Deadband,
    pub element: Option<Box<ElementPath>>,
    /// The events that its values are; `None`: they are the node's.
    pub events: Option<Box<EventsConfig>>,
}

/// A signal and its node.
#[derive(Debug)]
pub(crate) struct Watched {
    pub id: SignalId,
    name: Box<str>,
    address: NodeAddress,
    pub config: Asked,
    /// Its node on this connection, where the server keeps its history.
    history: Option<Box<NodeId>>,
    /// Why it cannot be watched now.
    refused: Option<StatusCode>,
    /// Whether that has been told on this connection.
    told: bool,
    /// Whether a request for it alone was not answered on this connection.
    is_unanswered: bool,
}

/// A signal to be found on this connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sought {
    pub at: usize,
    pub address: NodeAddress,
    /// Whether its events are wanted rather than its value.
    pub events: bool,
    /// Whether its value may be one that cannot be read here: it is tried alone, before any message has it.
    pub doubtful: bool,
}

/// A signal whose node is known on this connection: its place among the watched, and the node.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub at: usize,
    pub node: NodeId,
}

/// A signal that cannot be watched on this connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    pub at: usize,
    pub status: StatusCode,
}

/// Every signal of a source, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Roster {
    source: Arc<str>,
    watched: Vec<Watched>,
    /// More items than these are not made in one request: the server did not answer for more in time.
    create_max: usize,
}

impl Watched {
    /// Its full name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn sought(&self, at: usize) -> Sought {
        let events = self.config.events.is_some();
        Sought { at, address: self.address.clone(), events, doubtful: self.refused.is_some_and(is_unreadable) }
    }

    /// Whether it is a member of a structure: its kind is not that of the node.
    pub(crate) fn is_member(&self) -> bool {
        let steps = self.config.element.iter().flat_map(|path| path.steps());
        steps.into_iter().any(|step| matches!(step, ElementStep::Member(_)))
    }
}

impl Roster {
    pub(crate) fn new(source: Arc<str>, signals: Vec<(SignalId, SignalConfig)>) -> Self {
        // The configuration has checked the text; were it wrong all the same, no server has the null node.
        let address = |config: &SignalConfig| config.node.to_string().parse().unwrap_or_else(|_| NodeAddress::null());
        // With room of its own: what is left of the configuration takes less than half of it.
        let mut watched = Vec::with_capacity(signals.len());
        watched.extend(signals.into_iter().map(|(id, config)| Watched {
            id,
            address: address(&config),
            name: config.name.into(),
            config: Asked {
                sampling_interval: config.sampling_interval,
                publishing_interval: config.publishing_interval,
                queue_size: config.queue_size,
                deadband: config.deadband,
                element: config.element,
                events: config.events,
            },
            history: None,
            refused: None,
            told: false,
            is_unanswered: false,
        }));
        Self { source, watched, create_max: usize::MAX }
    }

    pub(crate) fn len(&self) -> usize {
        self.watched.len()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Watched> {
        self.watched.get(at)
    }

    pub(crate) fn ids(&self) -> Vec<SignalId> {
        self.watched.iter().map(|watched| watched.id).collect()
    }

    /// Some of them, by their places.
    pub(crate) fn some(&self, places: &[usize]) -> Vec<Sought> {
        places.iter().filter_map(|at| self.watched.get(*at).map(|watched| watched.sought(*at))).collect()
    }

    /// The same, each taken for one whose value may be what cannot be read here.
    pub(crate) fn doubtful(&self, places: &[usize]) -> Vec<Sought> {
        self.some(places).into_iter().map(|sought| Sought { doubtful: true, ..sought }).collect()
    }

    /// Whether any signal is a member of a structure.
    pub(crate) fn has_members(&self) -> bool {
        self.watched.iter().any(Watched::is_member)
    }

    /// The node of a signal whose history the server keeps.
    pub(crate) fn history(&self, at: usize) -> Option<&NodeId> {
        self.watched.get(at)?.history.as_deref()
    }

    /// Says whether the server keeps the history of a signal, by the node.
    pub(crate) fn set_history(&mut self, at: usize, node: Option<NodeId>) {
        if let Some(watched) = self.watched.get_mut(at) {
            watched.history = node.map(Box::new);
        }
    }

    /// Those that are refused and may be tried again on this connection: each try of one that is not answered for costs
    /// the others of its subscription theirs.
    pub(crate) fn refused(&self) -> Vec<Sought> {
        let is_refused = |watched: &Watched| watched.refused.is_some() && !watched.is_unanswered;
        let refused = self.watched.iter().enumerate().filter(|(_, watched)| is_refused(watched));
        refused.map(|(at, watched)| watched.sought(at)).collect()
    }

    /// A connection begins: what is refused on it must be told anew, since its loss has covered it.
    pub(crate) fn connected(&mut self) {
        for watched in &mut self.watched {
            (watched.told, watched.is_unanswered) = (false, false);
        }
    }

    /// How many items may be made in one request.
    pub(crate) const fn create_max(&self) -> usize {
        self.create_max
    }

    /// A request to make so many items was not answered in time.
    pub(crate) fn was_slow(&mut self, items: usize) {
        self.create_max = self.create_max.min((items / 2).max(1));
    }

    /// All is made: more at once may be tried on the next connection.
    pub(crate) const fn all_made(&mut self) {
        self.create_max = self.create_max.saturating_mul(2);
    }

    /// A request for a signal alone was not answered.
    pub(crate) fn unanswered(&mut self, at: usize) {
        if let Some(watched) = self.watched.get_mut(at) {
            watched.is_unanswered = true;
        }
    }

    /// Notes that a signal cannot be watched, and logs it unless the same has been logged. Returns the signal if it
    /// must be told.
    pub(crate) fn refuse(&mut self, refused: Refused) -> Option<SignalId> {
        let watched = self.watched.get_mut(refused.at)?;
        let before = watched.refused.replace(refused.status);
        let new = before != Some(refused.status);
        if new {
            tracing::error!(
                signal = &*watched.name,
                node = %watched.address,
                source = &*self.source,
                status = %refused.status,
                "{}",
                way_out(refused.status),
            );
        }
        let told = std::mem::replace(&mut watched.told, true);
        (new || !told).then_some(watched.id)
    }

    /// Notes that a signal is watched.
    pub(crate) fn accept(&mut self, at: usize) {
        if let Some(watched) = self.watched.get_mut(at)
            && watched.refused.take().is_some()
        {
            tracing::info!(signal = &*watched.name, node = %watched.address, source = &*self.source, "the node can be watched now");
        }
    }
}

/// What happened and what to do, by the server's answer.
fn way_out(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BadNodeIdUnknown | StatusCode::BadNodeIdInvalid => "the node does not exist; check the node id",
        StatusCode::BadNoMatch => "no node has this browse path; check its names, and their namespace if it has one",
        StatusCode::BadTooManyMatches => "more than one node has this browse path; give the namespace or the node id",
        StatusCode::BadAttributeIdInvalid => {
            "the node has no value, or no events where they are wanted; check the node id"
        }
        StatusCode::BadUserAccessDenied | StatusCode::BadNotReadable => {
            "the node may not be read; give the gateway's user the right on the server"
        }
        StatusCode::BadTooManyMonitoredItems | StatusCode::BadTooManySubscriptions => {
            "there is no room for more items, at the server or in its `profile`; watch fewer nodes or raise the limit"
        }
        status if is_unreadable(status) => {
            "the value cannot be read here, nor any message that has it, so it is set aside and tried again; watch elements of a large array, and not all of it, or have the server's maker look at what it encodes"
        }
        StatusCode::BadTimeout => {
            "the server does not answer for the node, so it is left out until the next connection; look at what is behind it"
        }
        StatusCode::BadTypeDefinitionInvalid => "the server does not have the type of events; check its namespace",
        StatusCode::BadEventFilterInvalid
        | StatusCode::BadFilterOperatorUnsupported
        | StatusCode::BadFilterOperandInvalid => "the server cannot select events by their type; leave `type` out",
        _ => "the server does not let the node be watched; see its status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_signals_are_known_until_they_are_accepted() {
        let config = |name: &str| SignalConfig {
            name: format!("plant/{name}"),
            node: watchfire_config::NodeAddress::parse(&format!("nsu=urn:a;s={name}")).unwrap(),
            element: None,
            events: None,
            unit: None,
            range: None,
            sampling_interval: Duration::from_millis(100),
            queue_size: 1,
            deadband: watchfire_config::Deadband::None,
            publishing_interval: Duration::from_millis(100),
            area: String::new(),
            role: String::new(),
            group: 0,
            description: String::new(),
        };
        let signals = vec![(SignalId(5), config("a")), (SignalId(6), config("b"))];
        let mut roster = Roster::new("plant".into(), signals);
        assert_eq!(roster.refuse(Refused { at: 1, status: StatusCode::BadNodeIdUnknown }), Some(SignalId(6)));
        assert_eq!(roster.refuse(Refused { at: 1, status: StatusCode::BadNodeIdUnknown }), None, "told once");
        roster.connected();
        let again = roster.refuse(Refused { at: 1, status: StatusCode::BadNodeIdUnknown });
        assert_eq!(again, Some(SignalId(6)), "and once on each connection");
        let second = Sought { at: 1, address: "nsu=urn:a;s=b".parse().unwrap(), events: false, doubtful: false };
        assert_eq!(roster.refused(), vec![second]);
        roster.accept(1);
        assert!(roster.refused().is_empty());
        assert_eq!(roster.refuse(Refused { at: 9, status: StatusCode::BadNodeIdUnknown }), None);
        assert_eq!((roster.len(), roster.some(&[0, 1, 9]).len()), (2, 2));
    }
}
