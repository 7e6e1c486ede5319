//! How long summaries are kept: by whole months, the oldest first.

use watchfire_model::Instant;
use watchfire_pipeline::PortError;

use super::ledger::{Month, month_at};
use super::months::is_of;
use crate::history::SledHistory;

/// What share of the room for all of history summaries may take at the most: so small that samples hardly go for them.
const SHARE: u64 = 10;

impl SledHistory {
    /// Drops the oldest month if it ended before a time. The newest stays, unless nothing is to stay: a clock that is
    /// wrong for a while costs little.
    pub(crate) fn drop_oldest_sums(&self, before: Instant) -> Result<(), PortError> {
        let months = self.sums().months();
        let Some(oldest) = months.first() else { return Ok(()) };
        let may_go = months.len() > 1 || before == Instant::MAX;
        if may_go && (*oldest < month_at(before) || before == Instant::MAX) { self.drop_sums(oldest) } else { Ok(()) }
    }

    /// Drops the oldest month if summaries take more than their share of so many bytes; whether it did.
    pub(crate) fn shrink_sums(&self, bytes_max: u64) -> Result<bool, PortError> {
        let months = self.sums().months();
        match months.first() {
            Some(oldest) if months.len() > 1 && self.sums().bytes_of_months()? > bytes_max / SHARE => {
                self.drop_sums(oldest).map(|()| true)
            }
            _ => Ok(false),
        }
    }

    fn drop_sums(&self, month: &Month) -> Result<(), PortError> {
        self.sums().forget_work();
        // First it no longer counts, then it goes: after a kill between, the next start sets the folder aside.
        let mut ledger = self.sums().ledger.read().clone();
        ledger.months.remove(month);
        ledger.writing.retain(|hour| !is_of(*hour, month));
        self.set_ledger(ledger)?;
        let _gate = self.removing();
        self.sums().remove(month)?;
        tracing::info!(month, "summaries of a month were dropped");
        Ok(())
    }
}
