//! Fetches what was missed from the server's own history (OPC 10000-11 §6.4.3, ReadRawModified): gap by gap, a page at a
//! time, one request beside the publishing. Outlasts connections: a gap is asked for until it is filled or the server
//! has answered that it cannot be.
//!
//! Values are taken only from within a gap, neither end included, and only those later than what was taken before: so
//! none is recorded twice, whatever a server answers.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use opcua::client::{HistoryReadAction, Session};
use opcua::types::{
    ByteString, HistoryData, HistoryReadResult, HistoryReadValueId, NodeId, ReadRawModifiedDetails, StatusCode,
    TimestampsToReturn,
};
use tokio::time::Instant as Timer;
use watchfire_config::ElementPath;
use watchfire_model::{Fill, Gap, Instant, Quality, Rows, SignalId};
use watchfire_pipeline::Arrival;
use watchfire_ua::{date_time_from_instant, push_data_value, status_from_ua};

use crate::SourceError;
use crate::element::element;
use crate::error::is_lost;

/// Values of one node in one answer.
const VALUES_PER_NODE: u32 = 1_000;
/// Gaps in one request, whatever the server allows.
const NODES_MAX: usize = 100;
/// A gap that holds more is not filled to its end: no honest server has so many between two of our values.
const VALUES_MAX: u32 = 20_000_000;
/// A server that answers so often that there is more, without any, is not asked on.
const EMPTY_PAGES_MAX: u8 = 3;
/// Gaps that begin within this, or within a tenth of their length, are asked for together.
const TOGETHER_NS: i64 = 5_000_000_000;
/// Gaps that wait; beyond that they stay what they are on record.
const WAITING_MAX: usize = 1 << 20;

/// A gap to be filled.
#[derive(Clone, Debug)]
struct Hole {
    at: usize,
    signal: SignalId,
    /// Which part of the node's value the signal is.
    element: Option<Box<ElementPath>>,
    since: Instant,
    until: Instant,
    /// Up to here it is filled.
    filled: Instant,
    values: u32,
    empty_pages: u8,
    /// Where the server goes on.
    more: ByteString,
}

/// An answer to a request for history.
pub(crate) type Page = Result<Vec<HistoryReadResult>, StatusCode>;

/// The gaps of a source that are to be filled.
#[derive(Default)]
pub(crate) struct Backfill {
    waiting: VecDeque<Hole>,
    /// Those that are asked for now; they go on at once when there is more of them.
    asked: Vec<Hole>,
    /// The range that the request for them has.
    range: (Instant, Instant),
    job: Option<BoxFuture<'static, Page>>,
    begin_at: Option<Timer>,
    nodes_max: usize,
    values_max: u32,
    /// Gaps done since they were last told.
    done: Vec<Fill>,
    /// Values dropped since they were out of order or out of range.
    dropped: u64,
}

impl Backfill {
    /// Notes a gap of the signal at a place. `wait`: a server's history may lie behind its subscriptions by so much.
    pub(crate) fn add(&mut self, at: usize, gap: &Gap, element: Option<Box<ElementPath>>, wait: Duration) {
        let Some(signal) = gap.signal else { return };
        if self.waiting.len() >= WAITING_MAX {
            return;
        }
        self.begin_at.get_or_insert_with(|| Timer::now() + wait);
        self.waiting.push_back(Hole {
            at,
            signal,
            element,
            since: gap.since,
            until: gap.until,
            filled: gap.since,
            values: 0,
            empty_pages: 0,
            more: ByteString::null(),
        });
    }

    /// A connection begins whose server takes so many nodes in a request.
    pub(crate) fn connected(&mut self, nodes_max: usize) {
        self.nodes_max = nodes_max.clamp(1, NODES_MAX);
        self.values_max = VALUES_PER_NODE;
    }

    /// The connection was lost: what was asked for is asked for again.
    pub(crate) fn lost(&mut self) {
        self.job = None;
        for mut hole in self.asked.drain(..).rev() {
            hole.more = ByteString::null();
            self.waiting.push_front(hole);
        }
    }

    /// When the next request is due; `None` when there is nothing to ask for, or a request is under way.
    pub(crate) fn due(&self) -> Option<Timer> {
        let idle = self.job.is_none() && !(self.waiting.is_empty() && self.asked.is_empty());
        idle.then(|| self.begin_at.unwrap_or_else(Timer::now))
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

    /// Makes the next request. A node that the server keeps no history of is not asked for: its gap remains.
    pub(crate) fn go_on(&mut self, session: &Arc<Session>, node_of: impl Fn(usize) -> Option<NodeId>) {
        self.begin_at = None;
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
        let details = HistoryReadAction::ReadRawModifiedDetails(ReadRawModifiedDetails {
            is_read_modified: false,
            start_time: date_time_from_instant(from).0,
            end_time: date_time_from_instant(to).0,
            num_values_per_node: self.values_max,
            return_bounds: false,
        });
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

    /// Takes the next gaps that fit into one request.
    fn choose(&mut self, node_of: &impl Fn(usize) -> Option<NodeId>) {
        let mut left = VecDeque::new();
        while self.asked.len() < self.nodes_max
            && let Some(hole) = self.waiting.pop_front()
        {
            if node_of(hole.at).is_none() {
                continue;
            }
            let (from, to) = self.range;
            if self.asked.is_empty() {
                self.range = (hole.filled, hole.until);
                self.asked.push(hole);
                continue;
            }
            let near = TOGETHER_NS.max(to.since_ns(from) / 10);
            if from.since_ns(hole.filled).abs() <= near && to.since_ns(hole.until).abs() <= near {
                self.range = (from.min(hole.filled), to.max(hole.until));
                self.asked.push(hole);
            } else {
                left.push_back(hole);
                // Those with other bounds wait; not all of a million are looked at for each request.
                if left.len() >= 4 * NODES_MAX {
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
    pub(crate) fn take(&mut self, page: Page, source: &Arc<str>, now: Instant) -> Result<Vec<Arrival>, SourceError> {
        let mut rows = Rows::default();
        match page {
            Err(status) if is_lost(status) => {
                return Err(SourceError::Lost(format!("reading history failed ({status})")));
            }
            Err(status) => self.refused(status),
            Ok(results) => {
                let asked = std::mem::take(&mut self.asked);
                for (mut hole, result) in asked.into_iter().zip(results) {
                    let status = result.status_code;
                    if status.is_bad() {
                        self.finish(hole, status);
                        continue;
                    }
                    let (data, before) = (result.history_data.into_inner_as::<HistoryData>(), hole.values);
                    let count = data.as_ref().and_then(|data| data.data_values.as_ref()).map_or(0, Vec::len);
                    hole.more = result.continuation_point;
                    self.dropped += hole.take(data, &mut rows, now);
                    if hole.more.is_null_or_empty() {
                        // Some servers answer as many as they were asked for and do not say that there are more.
                        if count >= self.values_max as usize && hole.values > before {
                            self.waiting.push_front(hole);
                        } else {
                            self.finish(hole, StatusCode::Good);
                        }
                    } else if hole.values >= VALUES_MAX || hole.empty_pages > EMPTY_PAGES_MAX {
                        self.finish(hole, StatusCode::BadContinuationPointInvalid);
                    } else {
                        self.asked.push(hole);
                    }
                }
            }
        }
        let mut arrivals = Vec::new();
        if !rows.is_empty() {
            arrivals.push(Arrival::Late(rows));
        }
        let is_pause = self.asked.is_empty();
        if !self.done.is_empty() && (is_pause || self.done.len() >= NODES_MAX) {
            self.tell(source);
            arrivals.push(Arrival::Filled { source: source.clone(), fills: std::mem::take(&mut self.done) });
        }
        Ok(arrivals)
    }

    /// The request as a whole was refused: smaller, or not at all.
    fn refused(&mut self, status: StatusCode) {
        let too_large = matches!(
            status,
            StatusCode::BadTooManyOperations
                | StatusCode::BadRequestTooLarge
                | StatusCode::BadResponseTooLarge
                | StatusCode::BadEncodingLimitsExceeded
                | StatusCode::BadTimeout
                | StatusCode::BadRequestTimeout
                | StatusCode::BadNoContinuationPoints
        );
        let asked = std::mem::take(&mut self.asked);
        if too_large && asked.len() > 1 {
            self.nodes_max = (asked.len() / 2).max(1);
        } else if too_large && self.values_max > 10 {
            self.values_max /= 4;
        } else {
            self.values_max = VALUES_PER_NODE;
            asked.into_iter().for_each(|hole| self.finish(hole, status));
            return;
        }
        for mut hole in asked.into_iter().rev() {
            hole.more = ByteString::null();
            self.waiting.push_front(hole);
        }
    }

    fn finish(&mut self, hole: Hole, status: StatusCode) {
        let Hole { signal, since, until, values, .. } = hole;
        self.done.push(Fill { signal, since, until, values, status: status_from_ua(status) });
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

impl Hole {
    /// Takes an answer's values; returns how many did not fit.
    fn take(&mut self, data: Option<Box<HistoryData>>, rows: &mut Rows, now: Instant) -> u64 {
        let (begin, mut dropped) = (self.filled, 0);
        let before = self.values;
        for value in data.and_then(|data| data.data_values).into_iter().flatten() {
            let at = rows.len();
            let value = match &self.element {
                Some(path) => element(&value, path.steps()),
                None => value,
            };
            push_data_value(rows, self.signal, value, now);
            let time = rows.time.get(at).copied().unwrap_or(now);
            if begin < time && self.filled <= time && time < self.until {
                (self.filled, self.values) = (time, self.values.saturating_add(1));
                if let Some(quality) = rows.quality.get_mut(at) {
                    *quality |= Quality::LATE;
                }
            } else {
                drop(rows.split_off(at));
                // Others in the same request may have earlier or later bounds than this one.
                dropped += u64::from(time < self.filled && begin < time);
            }
        }
        self.empty_pages = if self.values == before { self.empty_pages + 1 } else { 0 };
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::{DataValue, ExtensionObject, Variant};
    use watchfire_model::GapCause;

    const NOW: Instant = Instant::from_s(1_000);

    fn source() -> Arc<str> {
        "plant".into()
    }

    fn backfill(gaps: &[(u32, i64, i64)]) -> Backfill {
        let mut backfill = Backfill::default();
        backfill.connected(1_000);
        for (id, since, until) in gaps {
            let (since, until) = (Instant::from_s(*since), Instant::from_s(*until));
            let gap = Gap { signal: Some(SignalId(*id)), since, until, cause: GapCause::SourceLost };
            backfill.add(*id as usize, &gap, None, Duration::ZERO);
        }
        backfill
    }

    fn ask(backfill: &mut Backfill) {
        if backfill.asked.is_empty() {
            backfill.choose(&|_| Some(NodeId::new(1, 1)));
        }
    }

    fn answer(seconds: &[i64], more: &str) -> HistoryReadResult {
        let value = |second: &i64| DataValue {
            value: Some(Variant::Double(f64::from(i32::try_from(*second).unwrap()))),
            source_timestamp: Some(date_time_from_instant(Instant::from_s(*second)).0),
            ..DataValue::default()
        };
        let data = HistoryData { data_values: Some(seconds.iter().map(value).collect()) };
        HistoryReadResult {
            continuation_point: if more.is_empty() { ByteString::null() } else { ByteString::from(more.as_bytes()) },
            history_data: ExtensionObject::from_message(data),
            ..HistoryReadResult::default()
        }
    }

    /// Signal and second of each late row, and what became of gaps: signal, values, good.
    type Taken = (Vec<(u32, i64)>, Vec<(u32, u32, bool)>);

    fn take(backfill: &mut Backfill, page: Page) -> Taken {
        let mut taken = Taken::default();
        for arrival in backfill.take(page, &source(), NOW).unwrap() {
            match arrival {
                Arrival::Late(rows) => {
                    rows.check().unwrap();
                    assert!(rows.quality.iter().all(|quality| quality.has(Quality::LATE)));
                    let second = |time: &Instant| time.ns() / 1_000_000_000;
                    taken.0.extend(rows.signal.iter().zip(&rows.time).map(|(id, time)| (id.0, second(time))));
                }
                Arrival::Filled { fills, .. } => {
                    taken.1.extend(fills.iter().map(|fill| (fill.signal.0, fill.values, fill.status.is_good())));
                }
                other => panic!("{other:?}"),
            }
        }
        taken
    }

    #[test]
    fn only_what_lies_within_a_gap_is_taken_and_each_value_once() {
        let mut backfill = backfill(&[(7, 10, 20), (8, 11, 20)]);
        ask(&mut backfill);
        assert_eq!(backfill.range, (Instant::from_s(10), Instant::from_s(20)), "one request for both");
        let first = take(&mut backfill, Ok(vec![answer(&[9, 10, 11, 12], "more"), answer(&[10, 11, 12, 20], "")]));
        assert_eq!(first, (vec![(7, 11), (7, 12), (8, 12)], vec![]));
        ask(&mut backfill);
        let second = take(&mut backfill, Ok(vec![answer(&[12, 13, 19, 20], "")]));
        assert_eq!(second, (vec![(7, 13), (7, 19)], vec![(8, 1, true), (7, 4, true)]));
        assert!(backfill.due().is_none());
    }

    #[test]
    fn gaps_of_other_times_are_asked_for_by_themselves() {
        let mut backfill = backfill(&[(1, 0, 500), (2, 400, 500), (3, 1, 500)]);
        ask(&mut backfill);
        assert_eq!(backfill.asked.iter().map(|hole| hole.signal.0).collect::<Vec<_>>(), [1, 3]);
        take(&mut backfill, Ok(vec![answer(&[], ""), answer(&[], "")]));
        ask(&mut backfill);
        assert_eq!(backfill.range, (Instant::from_s(400), Instant::from_s(500)));
    }

    #[test]
    fn a_server_that_cuts_its_answers_short_without_a_word_is_asked_on() {
        let mut backfill = backfill(&[(7, 0, 100)]);
        backfill.values_max = 3;
        ask(&mut backfill);
        assert_eq!(take(&mut backfill, Ok(vec![answer(&[1, 2, 3], "")])).1, vec![]);
        ask(&mut backfill);
        assert_eq!(backfill.range.0, Instant::from_s(3));
        assert_eq!(take(&mut backfill, Ok(vec![answer(&[3, 4], "")])), (vec![(7, 4)], vec![(7, 4, true)]));
    }

    #[test]
    fn a_server_that_always_says_there_is_more_is_left_after_a_while() {
        let mut backfill = backfill(&[(7, 0, 100)]);
        for page in 0.. {
            ask(&mut backfill);
            let (rows, fills) = take(&mut backfill, Ok(vec![answer(&[5], "more")]));
            assert_eq!(rows.len(), usize::from(page == 0), "the same value again is none");
            if !fills.is_empty() {
                assert_eq!((fills, page < 10), (vec![(7, 1, false)], true));
                break;
            }
        }
    }

    #[test]
    fn what_a_server_refuses_is_asked_for_in_smaller_pieces_and_then_left() {
        let mut backfill = backfill(&[(1, 0, 100), (2, 0, 100)]);
        let mut asked = Vec::new();
        loop {
            ask(&mut backfill);
            asked.push((backfill.asked.len(), backfill.values_max));
            let (_, fills) = take(&mut backfill, Err(StatusCode::BadResponseTooLarge));
            if let Some(fill) = fills.first() {
                assert_eq!(*fill, (1, 0, false));
                break;
            }
        }
        assert_eq!(asked, [(2, 1000), (1, 1000), (1, 250), (1, 62), (1, 15), (1, 3)]);
        backfill.connected(1_000);
        ask(&mut backfill);
        let none = HistoryReadResult { status_code: StatusCode::BadHistoryOperationUnsupported, ..answer(&[], "") };
        assert_eq!(take(&mut backfill, Ok(vec![none])).1, vec![(2, 0, false)]);
    }

    #[test]
    fn a_lost_connection_forgets_nothing_and_doubles_nothing() {
        let mut backfill = backfill(&[(7, 0, 100)]);
        ask(&mut backfill);
        take(&mut backfill, Ok(vec![answer(&[1, 2], "more")]));
        ask(&mut backfill);
        assert!(backfill.take(Err(StatusCode::BadConnectionClosed), &source(), NOW).is_err());
        backfill.lost();
        ask(&mut backfill);
        assert!(backfill.asked[0].more.is_null_or_empty(), "a continuation point belongs to its session");
        assert_eq!(take(&mut backfill, Ok(vec![answer(&[1, 2, 3], "")])), (vec![(7, 3)], vec![(7, 3, true)]));
    }
}
