//! `[[source.events]]`: what a server tells in events, as a signal whose values are events. Which fields an event has
//! beside these is not known here.

use std::time::Duration;

use crate::names::{self, Known, Unique};
use crate::section::Section;
use crate::source::{Inherited, checked_area};
use crate::{BrowsePath, Deadband, NodeAddress, SignalConfig};

/// Which events of a notifier are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsConfig {
    /// Their type, subtypes with it; `None`: all.
    pub of_type: Option<NodeAddress>,
    /// The least severity, 1 to 1000 (OPC 10000-5 §6.4.2). Default 1: all.
    pub severity_min: u16,
    /// Fields beside those that are always asked for, as ways from the event's type.
    pub fields: Vec<BrowsePath>,
}

/// The Server object, at which all events of a server can be had.
const SERVER: &str = "i=2253";
/// Events come in bursts, and each is said once.
const QUEUE_SIZE: u64 = 1_000;
const QUEUE_MAX: u64 = 100_000;
/// Event types by the names that OPC 10000-5 §6.4 and OPC 10000-9 §5 give them.
const TYPES: [(&str, u32); 8] = [
    ("BaseEventType", 2041),
    ("SystemEventType", 2130),
    ("ConditionType", 2782),
    ("AcknowledgeableConditionType", 2881),
    ("AlarmConditionType", 2915),
    ("AuditEventType", 2052),
    ("AuditSecurityEventType", 2058),
    ("AuditUpdateEventType", 2099),
];

impl SignalConfig {
    /// Reads a stream of events.
    pub(crate) fn read_events(
        section: Section<'_>,
        source: &Inherited<'_>,
        unique: &mut Unique,
        known: &mut Known,
    ) -> Option<Self> {
        let name = section.text_or("name", "events");
        let is_name = names::check_path(&section, "name", name, "a name such as `\"alarms\"`");
        unique.claim(&section, name);
        let full = source.source.filter(|_| is_name).map(|source| format!("{}/{}", source.text, name.text));
        full.iter().for_each(|full| known.add_stream(full));
        let notifier = section.text_or("notifier", SERVER);
        let node = NodeAddress::parse(notifier.text)
            .map_err(|error| section.wrong(notifier.at, format_args!("`notifier`: {error}")))
            .ok();
        let of_type = section.text("type").map(|given| {
            let known = TYPES.iter().find(|(name, _)| *name == given.text);
            let address = known.map_or_else(|| given.text.to_owned(), |(_, id)| format!("i={id}"));
            let is_path = BrowsePath::is_meant(&address);
            let parsed = NodeAddress::parse(&address).ok().filter(|_| !is_path);
            if parsed.is_none() {
                let shown = given.text.escape_debug();
                let known: Vec<_> = TYPES.iter().map(|(name, _)| format!("`{name}`")).collect();
                let way_out = format!("write a NodeId such as `nsu=urn:press;i=1001`, or one of {}", known.join(", "));
                section.wrong(given.at, format_args!("`type` \"{shown}\" is no event type known here; {way_out}"));
            }
            parsed
        });
        let severity_min = section.integer_or("severity_min", 1..=1000, 1);
        let fields: Vec<Option<BrowsePath>> = match section.value("fields") {
            None => Vec::new(),
            Some(_) => section
                .required_texts("fields", "give ways from the event's type such as `[\"nsu=urn:press;/Machine\"]`")
                .into_iter()
                .flatten()
                .map(|text| {
                    let parsed = BrowsePath::parse(text.text);
                    parsed.map_err(|error| section.wrong(text.at, format_args!("`fields`: {error}"))).ok()
                })
                .collect(),
        };
        let queue_size = section.integer_or("queue_size", 1..=QUEUE_MAX, QUEUE_SIZE);
        let publishing_interval_ms = section.integer("publishing_interval_ms", 10..=crate::source::INTERVAL_MS_MAX);
        let area = section.text("area").map(|area| checked_area(&section, area));
        let description = section.text("description");
        section.close();
        let events = EventsConfig {
            of_type: of_type.map_or(Some(None), |of_type| of_type.map(Some))?,
            severity_min: u16::try_from(severity_min).ok()?,
            fields: fields.into_iter().collect::<Option<_>>()?,
        };
        Some(Self {
            name: full?,
            node: node?,
            element: None,
            events: Some(Box::new(events)),
            unit: None,
            range: None,
            sampling_interval: Duration::ZERO,
            queue_size: u32::try_from(queue_size).ok()?,
            deadband: Deadband::None,
            publishing_interval: Duration::from_millis(publishing_interval_ms.unwrap_or(source.publishing_interval_ms)),
            area: area.map_or_else(|| source.area.to_owned(), |area| format!("{}/{}", source.area, area.text)),
            role: String::new(),
            group: 0,
            description: description.map_or_else(String::new, |text| text.text.to_owned()),
        })
    }
}
