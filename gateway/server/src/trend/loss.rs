//! A gap that is open: the source of a signal is lost now, so that nothing is on record of it yet.

use watchfire_aggregates::Point;
use watchfire_model::{Instant, Rows, SignalId, StatusCode};
use watchfire_pipeline::{CursorError, Marked, Traced, push_gap};

use super::last_before;

/// A source that is lost now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Since when.
    pub since: Instant,
    /// Whether a value has come since the start; without one nothing is known since the last that was recorded.
    pub has_come: bool,
    /// What time it is.
    pub now: Instant,
}

/// What was recorded, and where it ends for now.
pub(crate) fn with_loss(trace: impl Traced, signal: SignalId, lost: Lost) -> Result<impl Traced, CursorError> {
    let since =
        if lost.has_come { lost.since } else { last_before(&trace, lost.since)?.map_or(lost.since, |last| last.time) };
    let mut mark = Rows::default();
    // When something is known again nobody knows.
    push_gap(&mut mark, signal, since, since);
    let marks = move |_: &_, from: Instant, to: Instant| {
        Ok(if (from..to).contains(&since) { mark.clone() } else { Rows::default() })
    };
    Ok(Marked { trace, marks })
}

/// That nothing was received up to a time.
pub(super) fn lost_at(time: Instant) -> Point {
    Point { time, value: f64::NAN, exact: None, status: StatusCode::BAD_DATA_LOST }
}
