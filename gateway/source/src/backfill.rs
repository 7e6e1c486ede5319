//! Fetches what was missed from the server's own history (OPC 10000-11 §6.4.3, ReadRawModified): gap by gap, a page at a
//! time, one request beside the publishing. Outlasts connections: a gap is asked for until it is filled or the server
//! has answered that it cannot be.
//!
//! Values are taken only from within a gap, neither end included, and only those later than what was taken before: so
//! none is recorded twice, whatever a server answers.
//!
//! Events are fetched so as well (ReadEventDetails, OPC 10000-11 §6.4.2), stream by stream since each has a filter of its
//! own. An event is told apart by its EventId, so that a minute more than the gap is asked for on both sides: a gap's
//! bounds are of our clock, and an event's time is of its server's.
//!
//! A history may lie behind what its server sends. Whether it has come as far as the gap's end is seen by the value that
//! ended it: while that is missing, the server is asked again, later and later. So is one that cannot answer
//! now.
//!
//! What a server could not reach itself it may learn later, as another gateway does from its own source. So a time in which
//! it said so is asked for as well, again and again for a while. It is no gap: nobody knows whether anything was missing.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use opcua::client::{HistoryReadAction, Session};
use opcua::types::{
    ByteString, EventFilter, HistoryData, HistoryEvent, HistoryReadResult, HistoryReadValueId, NodeId,
    ReadEventDetails, ReadRawModifiedDetails, StatusCode, TimestampsToReturn,
};
use tokio::time::Instant as Timer;
use watchfire_config::ElementPath;
use watchfire_model::{Fill, Gap, Instant, Rows, SignalId};
use watchfire_pipeline::Arrival;
use watchfire_ua::{Layouts, date_time_from_instant, status_from_ua};

use self::hole::Hole;
use self::unreached::Unreached;
use crate::SourceError;
use crate::error::is_lost;
use crate::events::{EventReader, SKEW_NS};
use crate::standins::StandIns;
use crate::watched::Roster;

mod elsewhere;
mod hole;
mod refusal;
mod unreached;

/// Values of one node in one answer.
const VALUES_PER_NODE: u32 = 1_000;
/// Gaps in one request, whatever the server allows.
pub(crate) const GAPS_AT_ONCE: usize = 100;
/// So many of those that wait are looked at for a request.
const LOOKED_AT: usize = 4 * GAPS_AT_ONCE;
/// A gap that holds more is not filled to its end: no honest server has so many between two of our values.
const VALUES_MAX: u32 = 20_000_000;
/// A server that answers so often that there is more, without any, is not asked on.
const EMPTY_PAGES_MAX: u8 = 3;
/// Nor is one that has answered so often, with fewer values in each answer than this on average.
const PAGES_MAX: u32 = 1_000;
const PAGE_VALUES_MIN: u32 = 10;
/// The resolution of OPC UA times.
const TICK_NS: i64 = 100;
/// Gaps that begin within this, or within a tenth of their length, are asked for together.
const TOGETHER_NS: i64 = 5_000_000_000;
/// So long after an answer that did not reach a gap's end the server is asked again, and how often: a history may be
/// written in bundles. One that keeps less than it sends never gets there, and is believed in the end.
const AGAIN: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(600)];
/// A stream of events is asked for once more: whether its history was behind cannot be seen where nothing comes.
const EVENT_PASSES: usize = 1;
/// Gaps that wait; beyond that they stay what they are on record.
const WAITING_MAX: usize = 1 << 20;

/// An answer to a request for history.
pub(crate) type Page = Result<Vec<HistoryReadResult>, StatusCode>;

/// The gaps of a source that are to be filled.
#[derive(Default)]
pub(crate) struct Backfill {
    waiting: VecDeque<Hole>,
    /// Those whose end a history had not reached, by how often they were asked for: each with when to ask again.
    later: [VecDeque<(Timer, Hole)>; AGAIN.len()],
    /// Times in which signals were out of reach of their server, by when to ask and their numbers.
    unreached: BTreeMap<(Timer, u64), Hole>,
    /// Those that are still to be asked for, by the signals' places and the oldest first.
    unreached_of: HashMap<usize, VecDeque<Unreached>>,
    /// How many these are.
    unreached_count: usize,
    /// How many of them there was no room for since that was last told.
    unreached_left: u64,
    /// The number of the last one.
    unreached_last: u64,
    /// How far histories lie behind.
    lag: Duration,
    /// Values that were out of the server's reach and have come, since they were last told.
    came_late: u64,
    /// Those that were refused for now, by when to ask again and in their order.
    put_off: BTreeMap<(Timer, u64), Hole>,
    put_off_count: u64,
    /// Where the server need not go on, with the places of the signals.
    release: Vec<(usize, ByteString)>,
    /// Whether the request that is under way tells it so.
    is_releasing: bool,
    /// Those that are asked for now; they go on at once when there is more of them.
    asked: Vec<Hole>,
    /// The range that the request for them has.
    range: (Instant, Instant),
    /// Gaps by place, until it is known that the server keeps the signal's history, and in which node: those from before
    /// the start, those that another connection has left, and those of which another server may keep a history.
    unknown: HashMap<usize, Vec<Hole>>,
    /// Who else may keep one.
    standins: StandIns,
    /// How many gaps wait so that a server had nothing of.
    left_to_others: usize,
    /// How many there was no room for since that was last told: they are done, and not filled.
    left_on_record: u64,
    job: Option<BoxFuture<'static, Page>>,
    begin_at: Option<Timer>,
    nodes_max: usize,
    values_max: u32,
    /// They grow up to these again where a server was only slow; 0 until it is known what it takes.
    nodes_cap: usize,
    values_cap: u32,
    /// Gaps done since they were last told.
    done: Vec<Fill>,
    /// What is asked of the histories of events, by the places of their streams.
    filters: HashMap<usize, EventFilter>,
    /// What the server's structures are made of, where that was learned.
    structures: Option<Arc<Layouts>>,
    /// Values dropped since they were out of order or out of range.
    dropped: u64,
    /// Gaps that there was no room for since that was last told.
    given_up: u64,
}

impl Backfill {
    /// Notes a gap of the signal at a place. `wait`: a server's history may lie behind its subscriptions by so much.
    pub(crate) fn add(&mut self, at: usize, gap: &Gap, element: Option<Box<ElementPath>>, wait: Duration) {
        let Some(signal) = gap.signal else { return };
        // What may be missing goes before what nobody knows to be.
        if self.is_full() && !self.displace() {
            self.given_up += 1;
            return;
        }
        self.begin_at.get_or_insert_with(|| Timer::now() + wait);
        self.waiting.push_back(Hole::new(at, signal, element, gap));
    }

    fn is_full(&self) -> bool {
        let later: usize = self.later.iter().map(VecDeque::len).sum();
        self.waiting.len() + later + self.unreached.len() + self.put_off.len() >= WAITING_MAX
    }

    /// Takes up gaps that were not yet done when the gateway ended. What had been fetched of them is fetched again, and
    /// is one sample for whoever reads.
    pub(crate) fn take_up(&mut self, open: &[Gap], roster: &Roster) {
        let places: HashMap<SignalId, usize> = roster.ids().into_iter().zip(0..).collect();
        for gap in open {
            let Some(signal) = gap.signal else { continue };
            let Some(at) = places.get(&signal).copied() else { continue };
            let element = roster.get(at).and_then(|watched| watched.config.element.clone());
            self.set_aside(Hole::new(at, signal, element, gap));
        }
    }

    /// Whether the server keeps the history of a signal. Where it does not, what waited for that waits for another server
    /// that may, or is done; see [`Backfill::finished`].
    pub(crate) fn known(&mut self, at: usize, has_history: bool) {
        for hole in self.unknown.remove(&at).into_iter().flatten() {
            self.left_to_others -= usize::from(hole.is_left());
            if !has_history {
                self.finish(hole, StatusCode::BadHistoryOperationUnsupported);
            } else if hole.unreached.is_some() && hole.passes == 0 {
                self.ask_later(hole);
            } else {
                self.waiting.push_back(hole);
            }
        }
    }

    /// What is done and not yet told, a bundle at a time.
    pub(crate) fn finished(&mut self, source: &Arc<str>) -> Vec<Arrival> {
        if self.done.is_empty() {
            return Vec::new();
        }
        self.tell(source);
        let done = std::mem::take(&mut self.done);
        let bundles = done.chunks(GAPS_AT_ONCE * 10);
        bundles.map(|fills| Arrival::Filled { source: source.clone(), fills: fills.to_vec() }).collect()
    }

    /// A session begins, and what an earlier one had at its server is gone.
    pub(crate) fn begin_session(&mut self) {
        self.release.clear();
        self.nodes_cap = 0;
    }

    /// The session's server takes so many nodes in a request.
    pub(crate) fn connected(&mut self, nodes_max: usize) {
        if self.nodes_cap == 0 {
            self.nodes_cap = nodes_max.clamp(1, GAPS_AT_ONCE);
            (self.nodes_max, self.values_max, self.values_cap) = (self.nodes_cap, VALUES_PER_NODE, VALUES_PER_NODE);
        }
    }

    /// The events of a place are asked for so.
    pub(crate) fn set_filter(&mut self, at: usize, filter: EventFilter) {
        self.filters.insert(at, filter);
    }

    /// The server's structures are made of this.
    pub(crate) fn set_structures(&mut self, structures: Arc<Layouts>) {
        self.structures = Some(structures);
    }

    /// The connection was lost: what was asked for is asked for again.
    pub(crate) fn lost(&mut self) {
        (self.job, self.is_releasing) = (None, false);
        for hole in std::mem::take(&mut self.asked).into_iter().rev() {
            self.begin_anew(hole);
        }
    }

    /// When the next request is due; `None` when there is nothing to ask for, or a request is under way.
    pub(crate) fn due(&self) -> Option<Timer> {
        if self.job.is_some() {
            return None;
        }
        if self.waiting.is_empty() && self.asked.is_empty() && self.release.is_empty() {
            let later = self.later.iter().filter_map(|holes| holes.front().map(|(at, _)| *at));
            let put_off = [&self.unreached, &self.put_off].into_iter().filter_map(BTreeMap::first_key_value);
            return later.chain(put_off.map(|((at, _), _)| *at)).min();
        }
        Some(self.begin_at.unwrap_or_else(Timer::now))
    }

    /// Whether a request is under way.
    pub(crate) const fn is_working(&self) -> bool {
        self.job.is_some()
    }

    /// Waits for the request that is under way. Cancel-safe.
    pub(crate) async fn page(&mut self) -> Page {
        let page = match &mut self.job {
            Some(job) => job.await,
            None => pending().await,
        };
        self.job = None;
        page
    }

    /// Makes the next request. A node that the server keeps no history of is not asked for: its gap remains. Nor is one
    /// of which that is not known on this connection: its gap waits.
    pub(crate) fn go_on(&mut self, session: &Arc<Session>, node_of: impl Fn(usize) -> Option<NodeId>) {
        if self.tell_releases(session, &node_of) {
            return;
        }
        self.begin_at = None;
        self.wake();
        if self.asked.is_empty() {
            self.choose(&node_of);
        }
        if self.asked.is_empty() {
            return;
        }
        let nodes: Vec<_> = self
            .asked
            .iter()
            .map(|hole| HistoryReadValueId {
                node_id: node_of(hole.at).unwrap_or_else(NodeId::null),
                continuation_point: hole.more.clone(),
                ..HistoryReadValueId::default()
            })
            .collect();
        let (from, to) = self.range;
        let time = |ns: i64| date_time_from_instant(Instant::from_ns(ns)).0;
        let is_begun = self.asked.first().is_some_and(|hole| hole.filled > hole.since);
        let details = match self.asked.first().and_then(|hole| self.filters.get(&hole.at)) {
            Some(filter) => HistoryReadAction::ReadEventDetails(ReadEventDetails {
                num_values_per_node: self.values_max,
                // From the second answer on, what was asked for is asked on from there.
                start_time: time(from.ns().saturating_sub(if is_begun { 0 } else { SKEW_NS })),
                end_time: time(to.ns().saturating_add(SKEW_NS)),
                filter: filter.clone(),
            }),
            None => HistoryReadAction::ReadRawModifiedDetails(ReadRawModifiedDetails {
                is_read_modified: false,
                start_time: time(from.ns()),
                // The end is not in the answer, and the value there is wanted as a proof.
                end_time: time(to.ns().saturating_add(TICK_NS)),
                num_values_per_node: self.values_max,
                return_bounds: false,
            }),
        };
        let session = session.clone();
        let request = async move {
            let answer = session.history_read(details, TimestampsToReturn::Both, false, &nodes).await;
            match answer {
                Ok(results) if results.len() == nodes.len() => Ok(results),
                Ok(_) => Err(StatusCode::BadUnknownResponse),
                Err(error) => Err(error.status()),
            }
        };
        self.job = Some(request.boxed());
    }

    /// Lets those wait that are to be asked for again by now.
    fn wake(&mut self) {
        let now = Timer::now();
        for holes in &mut self.later {
            while holes.front().is_some_and(|(at, _)| *at <= now)
                && let Some((_, hole)) = holes.pop_front()
            {
                self.waiting.push_back(hole);
            }
        }
        while let Some(first) = self.put_off.first_entry().filter(|first| first.key().0 <= now) {
            self.waiting.push_back(first.remove());
        }
        // No more than can be asked for soon: those that stay can still make room.
        while self.waiting.len() < LOOKED_AT
            && let Some(first) = self.unreached.first_entry().filter(|first| first.key().0 <= now)
        {
            self.waiting.push_back(first.remove());
        }
    }

    /// Takes the next gaps that fit into one request.
    fn choose(&mut self, node_of: &impl Fn(usize) -> Option<NodeId>) {
        let mut left = VecDeque::new();
        while self.asked.len() < self.nodes_max
            && let Some(hole) = self.waiting.pop_front()
        {
            // Not until it is known what the node is now, on this connection.
            if node_of(hole.at).is_none() {
                self.set_aside(hole);
                continue;
            }
            let (from, to) = self.range;
            let is_stream = self.filters.contains_key(&hole.at);
            if self.asked.is_empty() {
                self.range = (hole.filled, hole.until);
                self.asked.push(hole);
                if is_stream {
                    break;
                }
                continue;
            }
            if is_stream {
                left.push_back(hole);
                continue;
            }
            let near = TOGETHER_NS.max(to.since_ns(from) / 10);
            if from.since_ns(hole.filled).abs() <= near && to.since_ns(hole.until).abs() <= near {
                self.range = (from.min(hole.filled), to.max(hole.until));
                self.asked.push(hole);
            } else {
                left.push_back(hole);
                // Those with other bounds wait; not all of a million are looked at for each request.
                if left.len() >= LOOKED_AT {
                    break;
                }
            }
        }
        while let Some(hole) = left.pop_back() {
            self.waiting.push_front(hole);
        }
    }

    /// Takes an answer over; returns what is to be handed in: values first, then which gaps are done.
    ///
    /// # Errors
    /// When the connection is no longer there; what was asked for stays asked for.
    pub(crate) fn take(
        &mut self,
        page: Page,
        streams: &mut HashMap<usize, EventReader>,
        source: &Arc<str>,
        now: Instant,
    ) -> Result<Vec<Arrival>, SourceError> {
        let mut rows = Rows::default();
        let was_release = std::mem::take(&mut self.is_releasing);
        match page {
            Err(status) if is_lost(status) => {
                return Err(SourceError::Lost(format!("reading history failed ({status})")));
            }
            _ if was_release => return Ok(Vec::new()),
            Err(status) => self.refused(status),
            Ok(results) => {
                let asked = std::mem::take(&mut self.asked);
                let (count_asked, refused) = (asked.len(), results.iter().any(|result| result.status_code.is_bad()));
                let going_on = results.iter().filter(|result| !result.continuation_point.is_null_or_empty()).count();
                for (mut hole, result) in asked.into_iter().zip(results) {
                    let status = result.status_code;
                    if status.is_bad() {
                        self.refused_one(hole, status, count_asked, going_on);
                        continue;
                    }
                    let before = hole.values;
                    let is_unreached = hole.unreached.is_some();
                    hole.pages = hole.pages.saturating_add(1);
                    hole.more = result.continuation_point;
                    let reader = streams.get_mut(&hole.at).filter(|_| self.filters.contains_key(&hole.at));
                    let (count, passes_max) = if let Some(reader) = reader {
                        let events = result.history_data.into_inner_as::<HistoryEvent>();
                        let events = events.and_then(|told| told.events).unwrap_or_default();
                        let count = events.len();
                        hole.take_events(events, reader, &mut rows, now);
                        (count, EVENT_PASSES)
                    } else {
                        let data = result.history_data.into_inner_as::<HistoryData>();
                        let count = data.as_ref().and_then(|data| data.data_values.as_ref()).map_or(0, Vec::len);
                        self.dropped += hole.take(data, self.structures.as_deref(), &mut rows, now);
                        self.came_late += if is_unreached { u64::from(hole.values - before) } else { 0 };
                        (count, AGAIN.len())
                    };
                    if hole.more.is_null_or_empty() {
                        // Some servers answer as many as they were asked for and do not say that there are more.
                        if count >= self.values_max as usize && hole.values > before {
                            self.waiting.push_front(hole);
                        } else if hole.unreached.is_some() {
                            self.ask_later(hole);
                        } else if !hole.proved && hole.passes > 0 && hole.values > before && !hole.is_endless() {
                            // Nor do some answer as many as they were asked for: it counts only what brings nothing.
                            self.waiting.push_front(hole);
                        } else if !hole.proved
                            && hole.passes < passes_max
                            && let (Some(later), Some(wait)) = (self.later.get_mut(hole.passes), AGAIN.get(hole.passes))
                        {
                            hole.passes += 1;
                            if passes_max == EVENT_PASSES {
                                hole.filled = hole.since;
                            }
                            later.push_back((Timer::now() + *wait, hole));
                        } else {
                            self.finish(hole, StatusCode::Good);
                        }
                    } else if hole.values >= VALUES_MAX || hole.empty_pages > EMPTY_PAGES_MAX || hole.is_endless() {
                        self.let_go(&hole);
                        self.finish(hole, StatusCode::BadContinuationPointInvalid);
                    } else {
                        self.asked.push(hole);
                    }
                }
                if !refused {
                    self.answered();
                }
            }
        }
        let mut arrivals = Vec::new();
        if !rows.is_empty() {
            arrivals.push(Arrival::Late(rows));
        }
        self.tell_given_up(source);
        let is_pause = self.asked.is_empty();
        if is_pause && self.came_late > 0 {
            let (source, values) = (&**source, std::mem::take(&mut self.came_late));
            tracing::info!(source, values, "the server has told later what had been out of its reach");
        }
        if !self.done.is_empty() && (is_pause || self.done.len() >= GAPS_AT_ONCE) {
            arrivals.extend(self.finished(source));
        }
        Ok(arrivals)
    }

    fn finish(&mut self, hole: Hole, status: StatusCode) {
        let Some(hole) = self.unless_elsewhere(hole, status) else { return };
        if hole.unreached.is_some() {
            tracing::debug!(place = hole.at, %status, "what was out of the server's reach is not asked for any more");
            self.forget(&hole);
            return;
        }
        let Hole { signal, since, until, values, refused, .. } = hole;
        // What one of the servers said of it is told rather than that the last one keeps no history.
        let status = refused.filter(|_| status == StatusCode::BadHistoryOperationUnsupported).unwrap_or(status);
        self.done.push(Fill { signal, since, until, values, status: status_from_ua(status) });
    }

    /// Says of how many gaps there was no room to wait: never silently.
    pub(crate) fn tell_given_up(&mut self, source: &str) {
        let times = std::mem::take(&mut self.unreached_left);
        if times > 0 {
            tracing::warn!(
                source,
                times,
                "signals are out of the server's reach too often; these times are not asked for any more"
            );
        }
        let gaps = std::mem::take(&mut self.left_on_record);
        if gaps > 0 {
            tracing::warn!(
                source,
                gaps,
                "too many gaps wait for another server that keeps history; these are asked for no more, and stay on record as not filled"
            );
        }
        let gaps = std::mem::take(&mut self.given_up);
        if gaps > 0 {
            tracing::error!(
                source,
                gaps,
                "too many gaps wait for the server's history; these stay on record, and are asked for after the gateway's next start"
            );
        }
    }

    fn tell(&mut self, source: &str) {
        let filled = self.done.iter().filter(|fill| fill.status.is_good()).count();
        let values: u64 = self.done.iter().map(|fill| u64::from(fill.values)).sum();
        if filled > 0 {
            tracing::info!(source, gaps = filled, values, "gaps were filled from the server's history");
        }
        let unsupported = status_from_ua(StatusCode::BadHistoryOperationUnsupported);
        let mut refused = self.done.iter().filter(|fill| fill.status.is_bad() && fill.status != unsupported);
        if let Some(first) = refused.next() {
            let status = format!("{:#010X}", first.status.0);
            tracing::warn!(source, gaps = 1 + refused.count(), status, "the server's history does not fill these gaps");
        }
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            tracing::warn!(source, values = dropped, "the server's history answered values that were not asked for");
        }
    }
}

#[cfg(test)]
mod tests;
