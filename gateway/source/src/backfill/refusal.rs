//! What becomes of gaps that a server does not tell of now: asked for in smaller pieces, or later, or left.

use std::time::Duration;

use futures::FutureExt;
use opcua::client::{HistoryReadAction, Session};
use opcua::types::{
    ByteString, HistoryReadValueId, NodeId, ReadEventDetails, ReadRawModifiedDetails, StatusCode, TimestampsToReturn,
};
use std::sync::Arc;
use tokio::time::Instant as Timer;

use super::hole::Hole;
use super::{Backfill, GAPS_AT_ONCE, Page, VALUES_PER_NODE};

/// The first wait after an answer that may be another one later; it doubles with each.
const WAIT: Duration = Duration::from_secs(5);
/// The longest.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// After so many in a row, a day, the gap stays what it is.
const REFUSALS_MAX: u16 = 150;
/// Fewer values than this are not asked for at once.
const VALUES_MIN: u32 = 10;

/// Whether a server may answer otherwise later: it has no room now, what keeps its history does not answer, or the place
/// where it went on is gone.
pub(super) fn is_passing(status: StatusCode) -> bool {
    is_slow(status)
        || matches!(
            status,
            StatusCode::BadNoContinuationPoints
                | StatusCode::BadContinuationPointInvalid
                | StatusCode::BadResourceUnavailable
                | StatusCode::BadDataUnavailable
                | StatusCode::BadNoCommunication
                | StatusCode::BadCommunicationError
                | StatusCode::BadOutOfMemory
                | StatusCode::BadOutOfService
                | StatusCode::BadOperationAbandoned
                | StatusCode::BadShutdown
                | StatusCode::BadServerHalted
                | StatusCode::BadTcpServerTooBusy
                | StatusCode::BadTcpNotEnoughResources
                | StatusCode::BadTooManyOperations
        )
}

/// Whether it has only taken too long.
fn is_slow(status: StatusCode) -> bool {
    matches!(status, StatusCode::BadTimeout | StatusCode::BadRequestTimeout)
}

/// How long to wait after so many refusals; `None`: no longer.
fn wait(refusals: u16) -> Option<Duration> {
    let doubled = WAIT.saturating_mul(1_u32.checked_shl(u32::from(refusals.saturating_sub(1))).unwrap_or(u32::MAX));
    (refusals <= REFUSALS_MAX).then(|| doubled.min(WAIT_MAX))
}

impl Backfill {
    /// One of the gaps that were asked for together was refused, where so many of the others are to go on.
    pub(super) fn refused_one(&mut self, hole: Hole, status: StatusCode, asked: usize, going_on: usize) {
        if status == StatusCode::BadNoContinuationPoints && asked > 1 {
            // Those that go on have all there are: it is asked for at once when they are done.
            self.nodes_cap = self.nodes_cap.min(going_on.clamp(1, asked - 1));
            self.nodes_max = self.nodes_max.min(self.nodes_cap);
            self.begin_anew(hole);
        } else if is_passing(status) {
            self.put_off(hole, status);
        } else {
            self.let_go(&hole);
            self.finish(hole, status);
        }
    }

    /// The request as a whole was refused: smaller, later, or not at all.
    pub(super) fn refused(&mut self, status: StatusCode) {
        let too_large = is_slow(status)
            || matches!(
                status,
                StatusCode::BadTooManyOperations
                    | StatusCode::BadRequestTooLarge
                    | StatusCode::BadResponseTooLarge
                    | StatusCode::BadEncodingLimitsExceeded
                    | StatusCode::BadNoContinuationPoints
            );
        let asked = std::mem::take(&mut self.asked);
        if too_large && asked.len() > 1 {
            self.nodes_max = (asked.len() / 2).max(1);
        } else if too_large && self.values_max > VALUES_MIN {
            self.values_max /= 4;
        } else {
            (self.values_max, self.values_cap) = (VALUES_PER_NODE, VALUES_PER_NODE);
            for hole in asked {
                if is_passing(status) {
                    self.put_off(hole, status);
                } else {
                    self.let_go(&hole);
                    self.finish(hole, status);
                }
            }
            return;
        }
        // What was only slow may be quick again.
        if !is_slow(status) {
            (self.nodes_cap, self.values_cap) = (self.nodes_max, self.values_max);
        }
        asked.into_iter().rev().for_each(|hole| self.begin_anew(hole));
    }

    /// A request was answered: after slow ones more may be asked for again.
    pub(super) fn answered(&mut self) {
        self.nodes_max = self.nodes_max.saturating_mul(2).min(self.nodes_cap);
        self.values_max = self.values_max.saturating_mul(4).min(self.values_cap);
    }

    /// Asks for what is left of a gap from its beginning, next.
    pub(super) fn begin_anew(&mut self, mut hole: Hole) {
        self.let_go(&hole);
        hole.more = ByteString::null();
        self.waiting.push_front(hole);
    }

    /// Asks for what is left of a gap later: the later the oftener it was refused without a value meanwhile.
    fn put_off(&mut self, mut hole: Hole, status: StatusCode) {
        if status != StatusCode::BadContinuationPointInvalid {
            self.let_go(&hole);
        }
        hole.more = ByteString::null();
        let has_gone_on = hole.values > hole.values_at_refusal;
        hole.values_at_refusal = hole.values;
        hole.refusals = if has_gone_on { 1 } else { hole.refusals.saturating_add(1) };
        if has_gone_on && status == StatusCode::BadContinuationPointInvalid {
            self.waiting.push_back(hole);
        } else if let Some(wait) = wait(hole.refusals) {
            self.put_off_count += 1;
            self.put_off.insert((Timer::now() + wait, self.put_off_count), hole);
        } else {
            self.finish(hole, status);
        }
    }

    /// Notes that the server need not keep for a gap where it would go on.
    pub(super) fn let_go(&mut self, hole: &Hole) {
        if !hole.more.is_null_or_empty() {
            self.release.push((hole.at, hole.more.clone()));
        }
    }

    /// Tells the server where it need not go on (releaseContinuationPoints, OPC 10000-4 §5.10.3), some at a time; answers
    /// whether there is anything to tell.
    pub(super) fn tell_releases(&mut self, session: &Arc<Session>, node_of: &impl Fn(usize) -> Option<NodeId>) -> bool {
        let Some((first, _)) = self.release.last() else { return false };
        let filter = self.filters.get(first).cloned();
        let mut nodes = Vec::new();
        while nodes.len() < self.nodes_max.min(GAPS_AT_ONCE)
            && let Some((at, continuation_point)) = self.release.pop_if(|(at, _)| {
                // Of one sort in a request.
                self.filters.contains_key(at) == filter.is_some()
            })
        {
            let Some(node_id) = node_of(at) else { continue };
            nodes.push(HistoryReadValueId { node_id, continuation_point, ..HistoryReadValueId::default() });
        }
        if nodes.is_empty() {
            return false;
        }
        let details = match filter {
            Some(filter) => HistoryReadAction::ReadEventDetails(ReadEventDetails { filter, ..Default::default() }),
            None => HistoryReadAction::ReadRawModifiedDetails(ReadRawModifiedDetails::default()),
        };
        let session = session.clone();
        let request = async move {
            let answer = session.history_read(details, TimestampsToReturn::Both, true, &nodes).await;
            // There is nothing in it.
            let answer: Page = answer.map(|_| Vec::new()).map_err(|error| error.status());
            answer
        };
        (self.job, self.is_releasing) = (Some(request.boxed()), true);
        true
    }
}
