//! Events of a server as rows: which fields are asked for, and what of a notification becomes a row. Each event is one
//! JSON text of its signal, at the event's own time; the server's time of the row is when the server received it. Knows
//! no connection.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use opcua::types::{
    AttributeId, ContentFilter, ContentFilterBuilder, DateTime, EventFilter, Identifier, LiteralOperand, NodeId,
    NumericRange, ObjectTypeId, Operand, QualifiedName, SimpleAttributeOperand, Variant,
};
use watchfire_config::{BrowsePath, EventsConfig, Namespace};
use watchfire_model::{Instant, Quality, Rows, SignalId, StatusCode};
use watchfire_ua::{NodeAddress, event_json, instant_from_date_time};

/// Fields that are read here, in this order; then comes the condition.
const READ: [&str; 4] = ["EventType", "Time", "ReceiveTime", "Severity"];

/// The fields of every event (OPC 10000-5 §6.4.2), of audit events (§6.4.3, §6.4.5, §6.4.27) and of conditions
/// (OPC 10000-9 §5.5 to §5.8), each with the type that has it.
const FIELDS: [(ObjectTypeId, &[&str]); 8] = [
    (ObjectTypeId::BaseEventType, &["EventId", "SourceNode", "SourceName", "Message"]),
    (ObjectTypeId::AuditEventType, &["ActionTimeStamp", "Status", "ServerId", "ClientAuditEntryId", "ClientUserId"]),
    (ObjectTypeId::AuditUpdateMethodEventType, &["MethodId", "InputArguments"]),
    (ObjectTypeId::AuditWriteUpdateEventType, &["AttributeId", "OldValue", "NewValue"]),
    (ObjectTypeId::ConditionType, &["ConditionName", "BranchId", "Retain", "Quality", "Comment", "EnabledState/Id"]),
    (ObjectTypeId::AcknowledgeableConditionType, &["AckedState/Id", "ConfirmedState/Id"]),
    (ObjectTypeId::AlarmConditionType, &["ActiveState/Id", "SuppressedState/Id", "SuppressedOrShelved"]),
    (ObjectTypeId::DialogConditionType, &["DialogState/Id", "Prompt"]),
];

/// The NodeId of a condition is no field with a name (OPC 10000-9 §5.5.2).
const CONDITION_ID: &str = "ConditionId";

/// What is asked for of a stream of events.
/// `None`: the server does not have the namespace of the type that is wanted.
pub(crate) fn filter(events: &EventsConfig, namespaces: &[String]) -> Option<EventFilter> {
    let base: NodeId = ObjectTypeId::BaseEventType.into();
    let of_type = match &events.of_type {
        Some(address) => Some(resolved(address, namespaces)?),
        None => None,
    };
    let field = |of: &NodeId, path: &[&str]| SimpleAttributeOperand {
        type_definition_id: of.clone(),
        browse_path: Some(path.iter().map(|name| QualifiedName::new(0, *name)).collect()),
        attribute_id: AttributeId::Value as u32,
        index_range: NumericRange::None,
    };
    let mut select: Vec<SimpleAttributeOperand> = READ.iter().map(|name| field(&base, &[name])).collect();
    select.push(SimpleAttributeOperand {
        attribute_id: AttributeId::NodeId as u32,
        ..field(&ObjectTypeId::ConditionType.into(), &[])
    });
    for (of, names) in FIELDS {
        let of = NodeId::from(of);
        select.extend(names.iter().map(|name| field(&of, &name.split('/').collect::<Vec<_>>())));
    }
    select.extend(events.fields.iter().map(|path| SimpleAttributeOperand {
        browse_path: Some(qualified(path, namespaces)),
        ..field(of_type.as_ref().unwrap_or(&base), &[])
    }));
    Some(EventFilter { select_clauses: Some(select), where_clause: wanted(events.severity_min, of_type) })
}

/// Which events are wanted; an empty filter wants all.
fn wanted(severity_min: u16, of_type: Option<NodeId>) -> ContentFilter {
    let filter = ContentFilterBuilder::new();
    let severity = SimpleAttributeOperand {
        type_definition_id: ObjectTypeId::BaseEventType.into(),
        browse_path: Some(vec![QualifiedName::new(0, "Severity")]),
        attribute_id: AttributeId::Value as u32,
        index_range: NumericRange::None,
    };
    let severity = || Operand::SimpleAttributeOperand(severity.clone());
    let literal = |value: Variant| Operand::LiteralOperand(LiteralOperand { value });
    let filter = match (of_type, severity_min) {
        (None, ..=1) => return ContentFilter::default(),
        (None, least) => filter.gte(severity(), literal(least.into())),
        (Some(of_type), ..=1) => filter.of_type(literal(of_type.into())),
        (Some(of_type), least) => {
            let both = filter.and(Operand::element(1), Operand::element(2));
            both.of_type(literal(of_type.into())).gte(severity(), literal(least.into()))
        }
    };
    filter.build()
}

fn resolved(address: &watchfire_config::NodeAddress, namespaces: &[String]) -> Option<NodeId> {
    address.to_string().parse::<NodeAddress>().ok()?.resolve(namespaces).ok()
}

fn qualified(path: &BrowsePath, namespaces: &[String]) -> Vec<QualifiedName> {
    let default = match &path.namespace {
        None => 0,
        Some(Namespace::Index(index)) => *index,
        Some(Namespace::Uri(uri)) => {
            namespaces.iter().position(|known| known == uri).and_then(|at| u16::try_from(at).ok()).unwrap_or(u16::MAX)
        }
    };
    let name = |part: &watchfire_config::PathPart| QualifiedName::new(part.namespace.unwrap_or(default), &*part.name);
    path.parts.iter().map(name).collect()
}

/// The type of a stream's events on this server; `None` where it wants all.
pub(crate) fn type_of(events: &EventsConfig, namespaces: &[String]) -> Option<NodeId> {
    events.of_type.as_ref().and_then(|address| resolved(address, namespaces))
}

/// EventIds of a stream that are remembered, so that none is taken twice from live events and from history.
const REMEMBERED: usize = 8_192;
/// A server's clock may be off by so much: its history is asked for so much more on both sides of a gap.
pub(crate) const SKEW_NS: i64 = 60_000_000_000;

/// The last EventIds of a stream.
#[derive(Debug, Default)]
struct Seen {
    order: VecDeque<u64>,
    ids: HashMap<u64, Came>,
}

/// How an event came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Live,
    Late,
}

impl Seen {
    /// Notes an event; how it came before, if it did.
    fn note(&mut self, id: u64, came: Came) -> Option<Came> {
        if let Some(before) = self.ids.get(&id) {
            return Some(*before);
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        self.order.push_back(id);
        self.ids.insert(id, came);
        None
    }
}

/// What an event is to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// One that is a row now.
    Event,
    /// Of no concern: below the severity, or a mark of a refresh.
    Nothing,
    /// The server has left events out before it (OPC 10000-4 §7.25.3).
    Overflow,
    /// Conditions have changed without events (OPC 10000-9 §5.11.4).
    RefreshRequired,
}

/// Reads the events of one signal.
#[derive(Debug)]
pub(crate) struct EventReader {
    signal: SignalId,
    severity_min: u16,
    /// The names of the fields after those that are read here.
    names: Vec<Box<str>>,
    namespaces: Vec<String>,
    /// Between the marks of a refresh: what comes may have been told before.
    refreshing: bool,
    /// The types that are wanted; all where there are none.
    types: HashSet<NodeId>,
    seen: Seen,
    /// Since when what comes is seen; of earlier events it is not known whether they were.
    begun: Option<Instant>,
}

impl EventReader {
    pub(crate) fn new(signal: SignalId, events: &EventsConfig, namespaces: &[String]) -> Self {
        let configured = events.fields.iter().map(|path| {
            let parts: Vec<&str> = path.parts.iter().map(|part| &*part.name).collect();
            parts.join("/").into()
        });
        let known = FIELDS.iter().flat_map(|(_, names)| names.iter().map(|name| Box::from(*name)));
        let first = ["EventType", "Severity", CONDITION_ID].map(Box::from);
        let names = first.into_iter().chain(known).chain(configured).collect();
        Self {
            signal,
            severity_min: events.severity_min,
            names,
            namespaces: namespaces.to_vec(),
            refreshing: false,
            types: HashSet::new(),
            seen: Seen::default(),
            begun: None,
        }
    }

    /// Goes on where another reader of the same stream was.
    pub(crate) fn go_on_from(&mut self, before: Self) {
        (self.seen, self.begun) = (before.seen, before.begun);
    }

    /// The types that are wanted of a history, whose server need not know filters.
    pub(crate) fn set_types(&mut self, types: HashSet<NodeId>) {
        self.types = types;
    }

    /// What comes is seen from now on.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.begun.get_or_insert(now);
    }

    /// Appends an event of the server's history as a row if it was missed: its time, where it has one that is a row now
    /// or was before. Between these bounds events were missed, as far as the clocks agree.
    pub(crate) fn take_late(
        &mut self,
        fields: Vec<Variant>,
        (since, until): (Instant, Instant),
        now: Instant,
        rows: &mut Rows,
    ) -> Option<(Instant, bool)> {
        let of_type = match fields.first() {
            Some(Variant::NodeId(of_type)) => Some(&**of_type),
            _ => None,
        };
        if !self.types.is_empty() && !of_type.is_some_and(|of_type| self.types.contains(of_type)) {
            return None;
        }
        let (at, id) = (rows.len(), id_of(&fields));
        let refreshing = std::mem::take(&mut self.refreshing);
        let told = self.row(fields, now, rows);
        self.refreshing = refreshing;
        let time = rows.time.get(at).copied().filter(|_| told == Told::Event)?;
        // Before this nobody knows which events were seen.
        let since = self.begun.map_or(since, |begun| since.min(begun.max(Instant::from_ns(since.ns() - SKEW_NS))));
        let was_seen = time < since || (time > until && self.begun.is_some_and(|begun| begun > until));
        let is_new = !was_seen && id.is_none_or(|id| self.seen.note(id, Came::Late).is_none());
        if !is_new {
            drop(rows.split_off(at));
        } else if let Some(quality) = rows.quality.get_mut(at) {
            *quality |= Quality::LATE;
        }
        Some((time, is_new))
    }

    /// Appends an event as a row; says what it was.
    pub(crate) fn take(&mut self, fields: Vec<Variant>, now: Instant, rows: &mut Rows) -> Told {
        let id = id_of(&fields);
        let told = self.row(fields, now, rows);
        // One that history has told before is one sample with it.
        if told == Told::Event
            && id.is_some_and(|id| self.seen.note(id, Came::Live) == Some(Came::Late))
            && let Some(quality) = rows.quality.last_mut()
        {
            *quality |= Quality::INITIAL;
        }
        told
    }

    fn row(&mut self, fields: Vec<Variant>, now: Instant, rows: &mut Rows) -> Told {
        let mut fields = fields.into_iter();
        let mut read = [const { Variant::Empty }; READ.len() + 1];
        for (place, field) in read.iter_mut().zip(fields.by_ref()) {
            *place = field;
        }
        let [of_type, time, received, severity, condition] = read;
        if let Variant::NodeId(of_type) = &of_type {
            match standard(of_type) {
                Some(ObjectTypeId::RefreshStartEventType) => {
                    self.refreshing = true;
                    return Told::Nothing;
                }
                Some(ObjectTypeId::RefreshEndEventType) => {
                    self.refreshing = false;
                    return Told::Nothing;
                }
                Some(ObjectTypeId::RefreshRequiredEventType) => return Told::RefreshRequired,
                Some(ObjectTypeId::EventQueueOverflowEventType) => return Told::Overflow,
                _ => {}
            }
        }
        if matches!(severity, Variant::UInt16(severity) if severity < self.severity_min) {
            return Told::Nothing;
        }
        let instant = |value: &Variant| match value {
            Variant::DateTime(time) => instant_of(time),
            _ => None,
        };
        let mut quality = Quality::NONE;
        let (received, time) = (instant(&received), instant(&time));
        if time.is_none() {
            quality |= Quality::SERVER_TIME;
        }
        if self.refreshing {
            quality |= Quality::INITIAL;
        }
        let time = time.or(received).unwrap_or(now);
        let skew_ns = received.map_or(0, |received| received.since_ns(time));
        let all = [of_type, severity, condition].into_iter().chain(fields).collect();
        rows.push(self.signal, time, f64::NAN, StatusCode::GOOD, quality, skew_ns);
        rows.set_text(event_json(&self.names, all, &self.namespaces));
        Told::Event
    }
}

/// What remains of an EventId, which is the first field after those that are read.
fn id_of(fields: &[Variant]) -> Option<u64> {
    match fields.get(READ.len() + 1) {
        Some(Variant::ByteString(id)) if !id.is_null_or_empty() => {
            let mut hasher = DefaultHasher::new();
            id.as_ref().hash(&mut hasher);
            Some(hasher.finish())
        }
        _ => None,
    }
}

/// A type of the standard's own namespace.
fn standard(of_type: &NodeId) -> Option<ObjectTypeId> {
    match of_type.identifier {
        Identifier::Numeric(id) if of_type.namespace == 0 => ObjectTypeId::try_from(id).ok(),
        _ => None,
    }
}

fn instant_of(time: &DateTime) -> Option<Instant> {
    instant_from_date_time(time, None)
}
