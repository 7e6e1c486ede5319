//! HistoryRead of events (OPC 10000-11 §6.5.2): what alarms told in the past, and findings that are no alarms, seen at a
//! notifier as it would have been seen then, with the filters of an event item. What is read here is known in the pipeline's `past`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use opcua::nodes::{DefaultTypeTree, Event, ParsedEventFilter};
use opcua::server::ContinuationPoint;
use opcua::server::node_manager::HistoryNode;
use opcua::sync::RwLock;
use opcua::types::{DateTime, EventFieldList, HistoryEvent, HistoryEventFieldList, ReadEventDetails, StatusCode};
use watchfire_alarms::ConditionDef;
use watchfire_model::{ConditionKey, Instant};
use watchfire_pipeline::{Past, PastEvent, PastWanted};
use watchfire_ua::instant_from_date_time;

use crate::asking::{Asker, Waiting};
use crate::event::ConditionEvent;
use crate::history::while_waiting;
use crate::plain_events::{Told, seen_at};
use crate::shared::Shared;
use crate::speech::Speech;
use crate::tongues::Spoken;

/// Events that one answer holds for one node; the client asks on for more.
pub(crate) const EVENTS_MAX: u32 = 1000;
/// Events that are looked at for one answer, whatever of them the filter lets through.
const LOOKED_AT_MAX: u32 = 100_000;

/// Of how many conditions one read holds what they were, beyond those of the detector that was looked at last.
const HELD_MOST: usize = 50_000;

/// Where a read goes on.
#[derive(Clone, Copy, Debug)]
struct Rest(PastWanted);

/// The types that filters know.
pub(crate) type Types = Arc<RwLock<DefaultTypeTree>>;

/// Where events were seen, and how they are told.
pub(crate) struct At {
    /// A notifier of ours; `None` for Server.
    pub notifier: Option<String>,
    /// The language of whoever reads.
    pub speech: Speech,
}

/// Reads the events that were seen somewhere, or tells why not.
pub(crate) async fn events(
    shared: &Arc<Shared>,
    types: Types,
    at: At,
    asker: &Asker,
    details: &ReadEventDetails,
    node: &mut HistoryNode,
) -> StatusCode {
    let wanted = match node.continuation_point() {
        None => match begin(details) {
            Ok(wanted) => wanted,
            Err(status) => return status,
        },
        Some(point) => match point.get::<Rest>() {
            Some(rest) => rest.0,
            None => return StatusCode::BadContinuationPointInvalid,
        },
    };
    let filter = match ParsedEventFilter::new(details.filter.clone(), &*types.read()).1 {
        Ok(filter) => filter,
        Err(status) => return status,
    };
    let most = match details.num_values_per_node {
        0 => EVENTS_MAX,
        most => most.min(EVENTS_MAX),
    };
    let reading = Reading {
        shared: shared.clone(),
        types,
        at,
        filter,
        most,
        found: Vec::new(),
        looked_at: 0,
        once: BTreeMap::new(),
    };
    match while_waiting(asker, move |waiting| reading.read(wanted, waiting)).await {
        Ok((found, rest)) => {
            let status = if found.is_empty() && rest.is_none() { StatusCode::GoodNoData } else { StatusCode::Good };
            node.set_result(HistoryEvent { events: Some(found) });
            node.set_next_continuation_point(rest.map(|rest| ContinuationPoint::new(Box::new(Rest(rest)))));
            status
        }
        Err(status) => status,
    }
}

/// Two of start, end and count must be given; without a start it is read backwards from the end. The start counts, the
/// end does not.
fn begin(details: &ReadEventDetails) -> Result<PastWanted, StatusCode> {
    let given = |time: &DateTime| instant_from_date_time(time, None);
    let (start, end) = match (given(&details.start_time), given(&details.end_time)) {
        (Some(start), Some(end)) => (start, end),
        (Some(start), None) if details.num_values_per_node > 0 => (start, Instant::MAX),
        (None, Some(end)) if details.num_values_per_node > 0 => (end, Instant::MIN),
        _ => return Err(StatusCode::BadHistoryOperationInvalid),
    };
    let after = |time: Instant| Instant::from_ns(time.ns().saturating_add(1));
    Ok(match start.cmp(&end) {
        std::cmp::Ordering::Less => PastWanted { from: start, to: end, backwards: false, begin: None },
        std::cmp::Ordering::Equal => PastWanted { from: start, to: after(start), backwards: false, begin: None },
        std::cmp::Ordering::Greater => PastWanted { from: after(end), to: after(start), backwards: true, begin: None },
    })
}

/// One read on its way.
struct Reading {
    shared: Arc<Shared>,
    types: Types,
    at: At,
    filter: ParsedEventFilter,
    most: u32,
    found: Vec<HistoryEventFieldList>,
    looked_at: u32,
    /// By their detectors, the conditions that are or were there, as they were defined last.
    once: BTreeMap<String, BTreeMap<ConditionKey, Arc<ConditionDef>>>,
}

impl Reading {
    fn read(
        mut self,
        wanted: PastWanted,
        waiting: &Waiting,
    ) -> Result<(Vec<HistoryEventFieldList>, Option<PastWanted>), watchfire_pipeline::CursorError> {
        let mut rest = None;
        let recorded = self.shared.recorded.clone();
        recorded.past(&wanted, &|| waiting.is_on(), &mut |past| {
            let place = past.place;
            let is_full = self.look_at(past).is_break();
            if is_full {
                rest = Some(PastWanted { begin: Some(place), ..wanted });
            }
            !is_full
        })?;
        Ok((self.found, rest))
    }

    /// Takes an event that is seen here and passes the filter; breaks with one for which there is no room any more.
    fn look_at(&mut self, past: Past) -> ControlFlow<()> {
        if self.found.len() >= self.most as usize || self.looked_at >= LOOKED_AT_MAX {
            return ControlFlow::Break(());
        }
        self.looked_at += 1;
        let once = match &past.event {
            PastEvent::Alarm(key, _) => self.once_defined(key),
            PastEvent::Plain(_) => None,
        };
        let (event, notifiers): (Box<dyn Event>, Vec<String>) = {
            let space = self.shared.space.read();
            match past.event {
                PastEvent::Alarm(key, state) => {
                    let condition = match space.condition(key.as_str()) {
                        Some(condition) => condition.at(&space, *state),
                        None => space.gone(&key, *state, once.as_ref()),
                    };
                    let notifiers = space.notifiers_of(&condition);
                    (Box::new(ConditionEvent::new(condition).spoken(&self.at.speech)), notifiers)
                }
                PastEvent::Plain(event) => {
                    let notifiers = seen_at(&space, &event);
                    (Box::new(Told::new(event).spoken(&self.at.speech)), notifiers)
                }
            }
        };
        if self.at.notifier.as_ref().is_none_or(|notifier| notifiers.contains(notifier))
            && let Some(EventFieldList { event_fields, .. }) = self.filter.evaluate(&*event, 0, &*self.types.read())
        {
            self.found.push(HistoryEventFieldList { event_fields });
        }
        ControlFlow::Continue(())
    }

    /// What a condition was that is there no more, as far as that is kept. Blocks where its detector is a new one.
    fn once_defined(&mut self, key: &ConditionKey) -> Option<Arc<ConditionDef>> {
        if self.shared.space.read().condition(key.as_str()).is_some() {
            return None;
        }
        if !self.once.contains_key(key.binding()) {
            if self.once.values().map(BTreeMap::len).sum::<usize>() > HELD_MOST {
                self.once.clear();
            }
            let defined = self.shared.recorded.once_defined(key.binding());
            let by_key = defined.into_iter().map(|def| (def.key.clone(), Arc::new(def))).collect();
            self.once.insert(key.binding().to_owned(), by_key);
        }
        self.once.get(key.binding())?.get(key).cloned()
    }
}
