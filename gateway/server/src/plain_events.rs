//! Findings that are no alarms, as clients see them: events of the BaseEventType at Server, at their area and those above
//! it. A bounded queue: what does not fit is left out, and the log of the gateway says how many.

use std::collections::VecDeque;

use opcua::nodes::Event;
use opcua::sync::Mutex;
use opcua::types::event_field::EventField;
use opcua::types::{
    AttributeId, ByteString, DateTime, NodeId, NumericRange, ObjectTypeId, QualifiedName, UAString, Variant,
};
use watchfire_model::PlainEvent;
use watchfire_ua::date_time_from_instant;

use crate::event::within;
use crate::names::{AREA, DETECTOR, SIGNAL, SOURCE, own};
use crate::space::Space;
use crate::speech::Speech;
use crate::teller::{CHUNK, Teller};
use crate::tongues::Spoken;

/// Events that may wait.
const WAITING_MAX: usize = 16_384;

/// Those that wait to be told.
#[derive(Debug, Default)]
pub(crate) struct PlainEvents {
    waiting: Mutex<VecDeque<PlainEvent>>,
}

impl PlainEvents {
    /// Has them told, as far as there is room.
    pub(crate) fn put(&self, events: Vec<PlainEvent>) {
        let mut waiting = self.waiting.lock();
        let room = WAITING_MAX.saturating_sub(waiting.len());
        let left_out = events.len().saturating_sub(room);
        waiting.extend(events.into_iter().take(room));
        if left_out > 0 {
            tracing::warn!(
                left_out,
                "findings that are no alarms come faster than clients can be told: some are left out"
            );
        }
    }

    /// The next, in order, and as many as are told in one go.
    pub(crate) fn take(&self) -> Vec<PlainEvent> {
        let mut waiting = self.waiting.lock();
        let some = waiting.len().min(CHUNK);
        waiting.drain(..some).collect()
    }
}

impl Teller {
    /// Tells of findings that are no alarms.
    pub(crate) fn tell_plain(&self, events: Vec<PlainEvent>) {
        if events.is_empty() {
            return;
        }
        let _in_order = self.shared.telling.lock();
        let told: Vec<(Told, Vec<String>)> = {
            let space = self.shared.space.read();
            events
                .into_iter()
                .map(|event| (seen_at(&space, &event), event))
                .map(|(at, event)| (Told::new(event), at))
                .collect()
        };
        self.tell_server(told.iter().map(|(event, _)| event));
        let below = told.iter().map(|(event, notifiers)| (event, notifiers.as_slice()));
        self.shared.watch.deliver(below, &self.hearers(&*self.types.read()));
    }
}

/// The areas at which such an event is seen, and the source of its signal.
pub(crate) fn seen_at(space: &Space, event: &PlainEvent) -> Vec<String> {
    let source = event.signal.and_then(|_| space.source_of(&event.source_name));
    let source = source.map(|source| format!("{SOURCE}{source}"));
    space.path_of(&event.area).iter().map(|path| format!("{AREA}{path}")).chain(source).collect()
}

/// Such an event.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    event: PlainEvent,
    kind: NodeId,
    time: DateTime,
    speech: Speech,
}

impl Told {
    pub(crate) fn new(event: PlainEvent) -> Self {
        let time = date_time_from_instant(event.at).0;
        Self { event, kind: ObjectTypeId::BaseEventType.into(), time, speech: Speech::default() }
    }

    /// The signal that it is about, or else its detector.
    fn source_id(&self) -> NodeId {
        let event = &self.event;
        match event.signal {
            Some(_) => own(&format!("{SIGNAL}{}", event.source_name)),
            None => own(&format!("{DETECTOR}{}", event.key.binding())),
        }
    }
}

impl Spoken for Told {
    fn spoken(&self, speech: &Speech) -> Self {
        Self { speech: speech.clone(), ..self.clone() }
    }
}

impl EventField for Told {
    fn get_value(&self, attribute: AttributeId, range: &NumericRange, path: &[QualifiedName]) -> Variant {
        let [name] = path else { return Variant::Empty };
        if attribute != AttributeId::Value || name.namespace_index != 0 {
            return Variant::Empty;
        }
        let event = &self.event;
        let value: Variant = match name.name.as_ref() {
            "EventId" => ByteString::from(event.event_id.to_vec()).into(),
            "EventType" => self.kind.clone().into(),
            "SourceNode" => self.source_id().into(),
            "SourceName" => UAString::from(event.source_name.as_str()).into(),
            "Time" => self.time.into(),
            "ReceiveTime" => date_time_from_instant(event.receive_time).0.into(),
            "Message" => self.speech.text(&event.message).into(),
            "Severity" => event.severity.get().into(),
            _ => Variant::Empty,
        };
        within(value, range)
    }
}

impl Event for Told {
    fn get_field(&self, _: &NodeId, attribute: AttributeId, range: &NumericRange, path: &[QualifiedName]) -> Variant {
        self.get_value(attribute, range, path)
    }

    fn time(&self) -> &DateTime {
        &self.time
    }

    fn event_type_id(&self) -> &NodeId {
        &self.kind
    }
}
