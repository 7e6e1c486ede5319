//! Gaps of which the server that is read has nothing, and another one that stands in for it may have: they wait until that
//! one is read. On record they stay open, so that they wait for it over a restart of the gateway as well.

use opcua::types::{ByteString, StatusCode};
use watchfire_config::ElementPath;
use watchfire_model::Gap;

use super::Backfill;
use super::hole::Hole;
use crate::standins::StandIns;

/// So many gaps wait for another server; there may be none that keeps a history. Of those beyond it is on record that they
/// are not filled: what is open is read at each start, and must not grow with each.
pub(super) const LEFT_MAX: usize = 1 << 16;

impl Backfill {
    /// Which servers stand in for the one that is read, and which it is.
    pub(crate) fn read_from(&mut self, standins: StandIns) {
        self.standins = standins;
    }

    /// Notes a gap of a signal of which the server keeps no history, where another one may.
    pub(crate) fn leave_to_others(&mut self, at: usize, gap: &Gap, element: Option<Box<ElementPath>>) {
        if let Some(signal) = gap.signal.filter(|_| self.standins.may_have_others()) {
            self.finish(Hole::new(at, signal, element, gap), StatusCode::BadHistoryOperationUnsupported);
        }
    }

    /// Lets what the server has nothing of wait for another one; gives it back where there is none that was not asked, or
    /// no room.
    pub(super) fn unless_elsewhere(&mut self, mut hole: Hole, status: StatusCode) -> Option<Hole> {
        if !status.is_bad() {
            return Some(hole);
        }
        if status != StatusCode::BadHistoryOperationUnsupported {
            hole.refused = Some(status);
        }
        hole.without |= self.standins.bit();
        if self.standins.were_all(hole.without) {
            return Some(hole);
        }
        if hole.is_left() && self.left_to_others >= LEFT_MAX {
            self.left_on_record += 1;
            return Some(hole);
        }
        hole.more = ByteString::null();
        (hole.passes, hole.pages, hole.empty_pages, hole.refusals) = (0, 0, 0, 0);
        self.set_aside(hole);
        None
    }

    /// Lets a gap wait until it is known whether the server that is read then keeps its signal's history.
    pub(super) fn set_aside(&mut self, hole: Hole) {
        self.left_to_others += usize::from(hole.is_left());
        // Of most signals there is one.
        self.unknown.entry(hole.at).or_insert_with(|| Vec::with_capacity(1)).push(hole);
    }

    /// Ends what waits for another server where there is none that was not asked, now that this is known. Costs a look at
    /// what waits.
    pub(crate) fn end_what_nobody_has(&mut self) {
        // Times out of reach are not among those that are counted.
        if self.unknown.is_empty() {
            return;
        }
        let mut ended = Vec::new();
        for holes in self.unknown.values_mut() {
            ended.extend(holes.extract_if(.., |hole| hole.without != 0 && self.standins.were_all(hole.without)));
        }
        self.unknown.retain(|_, holes| !holes.is_empty());
        for hole in ended {
            self.left_to_others -= usize::from(hole.is_left());
            self.finish(hole, StatusCode::BadHistoryOperationUnsupported);
        }
    }
}
