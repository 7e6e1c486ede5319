//! Places in the log by time.

use watchfire_model::{Instant, Lsn, RecordBody};

use crate::{CursorError, Log};

/// The record after which every frame was received at `at` or later, among what is kept; blocks. Costs some forty reads
/// of a record.
///
/// # Errors
/// When a store fails.
pub fn place_at(log: &Log, at: Instant) -> Result<Lsn, CursorError> {
    let (mut low, mut high) = (Lsn(0), log.tail());
    while low < high {
        let middle = Lsn(low.0 + (high.0 - low.0) / 2 + 1);
        match frame_from(log, middle, high)? {
            Found::Frame(now) if now < at => low = middle,
            Found::Gone(oldest) if oldest > middle => low = Lsn(oldest.0.saturating_sub(1)).min(high).max(middle),
            Found::Frame(_) | Found::Gone(_) | Found::None => high = Lsn(middle.0 - 1),
        }
    }
    Ok(low)
}

/// What stands at a place or first after it.
enum Found {
    /// A frame received then.
    Frame(Instant),
    /// Records before this one are no longer kept.
    Gone(Lsn),
    /// No frame.
    None,
}

fn frame_from(log: &Log, from: Lsn, upto: Lsn) -> Result<Found, CursorError> {
    let mut next = from;
    while next <= upto {
        let records = match log.read(next, 1) {
            Err(CursorError::Gone { oldest }) => return Ok(Found::Gone(oldest)),
            records => records?,
        };
        for record in &records {
            if let RecordBody::Data(frame) = &record.body {
                return Ok(Found::Frame(frame.now));
            }
        }
        let Some(last) = records.last() else { break };
        next = last.lsn.next();
    }
    Ok(Found::None)
}
