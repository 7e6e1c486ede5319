//! What a detector sees of a frame: the rows of its own signals, with the gateway's ids replaced by its indexes.

use std::sync::Arc;

use crate::{Frame, GapCause, Instant, Kind, Lsn, Quality, SignalId, StatusCode};

/// A signal as it is described to a detector. Its texts are shared with whoever else names it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SignalInfo {
    /// Its id in the log.
    pub id: SignalId,
    /// `source/name`.
    pub name: Arc<str>,
    /// What its values are.
    pub kind: Kind,
    /// UCUM unit code.
    pub unit: Option<Arc<str>>,
    /// Engineering range.
    pub range: Option<(f64, f64)>,
    /// Sampling interval, nanoseconds.
    pub sampling_ns: Option<u64>,
    /// Which slot of the detector's description it fills.
    pub role: Arc<str>,
    /// Its group; 0 unless configured.
    pub group: u32,
    /// Whether its values are events of a server, one JSON object each.
    pub events: bool,
}

/// A gap, in a detector's own indexes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchGap {
    /// Index of the signal; `None` for all.
    pub signal: Option<u32>,
    /// The last time of which something is known.
    pub since: Instant,
    /// The first time of which something is known again.
    pub until: Instant,
    /// Why.
    pub cause: GapCause,
}

/// One frame cut down to a binding's signals, rows in the frame's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The frame's place in the log.
    pub frame: Lsn,
    /// The frame's receive time: the only clock of a detector.
    pub now: Instant,
    /// Site time zone, seconds from UTC.
    pub utc_offset_s: i32,
    /// Operating mode.
    pub mode: u32,
    /// Signal indexes of the binding.
    pub signal: Vec<u32>,
    /// Source time stamps, nanoseconds since the Unix epoch.
    pub time: Vec<i64>,
    /// Values.
    pub value: Vec<f64>,
    /// StatusCodes.
    pub status: Vec<u32>,
    /// Marks, as in [`Quality`].
    pub quality: Vec<u8>,
    /// Server minus source time; empty when all zero.
    pub skew_ns: Vec<i64>,
    /// Row and all 64 bits.
    pub exact: Vec<(u32, i64)>,
    /// Row and text.
    pub text: Vec<(u32, String)>,
    /// Missing intervals.
    pub gaps: Vec<BatchGap>,
}

impl Batch {
    /// Cuts `frame` down to the signals for which `index_of` has an index. Late rows are left out: they reach a
    /// detector's learning, never its live state. Costs one pass over the rows.
    pub fn cut(lsn: Lsn, frame: &Frame, index_of: impl Fn(SignalId) -> Option<u32>) -> Self {
        Self::cut_rows(lsn, frame, &index_of, |_, _, quality| !quality.has(Quality::LATE)).with_gaps(frame, index_of)
    }

    /// What `frame` has of these signals that came after its time, for learning: no gaps, since those are of the live
    /// stream. Costs one pass over the rows.
    pub fn late(lsn: Lsn, frame: &Frame, index_of: impl Fn(SignalId) -> Option<u32>) -> Self {
        Self::cut_rows(lsn, frame, index_of, |_, _, quality| quality.has(Quality::LATE))
    }

    /// All that `frame` has of these signals, late rows too: history, for learning. Costs one pass over the rows.
    pub fn whole(lsn: Lsn, frame: &Frame, index_of: impl Fn(SignalId) -> Option<u32>) -> Self {
        Self::cut_rows(lsn, frame, &index_of, |_, _, _| true).with_gaps(frame, index_of)
    }

    /// The rows of these signals that are wanted, by their row in the frame, their index and their marks. Without gaps.
    pub fn cut_rows(
        lsn: Lsn,
        frame: &Frame,
        index_of: impl Fn(SignalId) -> Option<u32>,
        is_wanted: impl Fn(usize, u32, Quality) -> bool,
    ) -> Self {
        let rows = &frame.rows;
        let mut batch =
            Self { frame: lsn, now: frame.now, utc_offset_s: frame.utc_offset_s, mode: frame.mode, ..Self::default() };
        let columns = rows.signal.iter().zip(&rows.time).zip(&rows.value).zip(&rows.status).zip(&rows.quality);
        for (row, ((((id, time), value), status), quality)) in columns.enumerate() {
            if let Some(index) = index_of(*id)
                && is_wanted(row, index, *quality)
            {
                batch.push(index, *time, *value, *status, *quality);
                batch.side_columns(rows, row);
            }
        }
        if batch.skew_ns.iter().all(|skew| *skew == 0) {
            batch.skew_ns.clear();
        }
        batch
    }

    /// With the gaps that `frame` tells of these signals, but for those that were imported.
    #[must_use]
    pub fn with_gaps(mut self, frame: &Frame, index_of: impl Fn(SignalId) -> Option<u32>) -> Self {
        let live = frame.gaps.iter().filter(|gap| gap.cause != GapCause::Imported);
        self.gaps.extend(live.filter_map(|gap| {
            let signal = match gap.signal {
                None => None,
                Some(id) => Some(index_of(id)?),
            };
            Some(BatchGap { signal, since: gap.since, until: gap.until, cause: gap.cause })
        }));
        self
    }

    fn push(&mut self, index: u32, time: Instant, value: f64, status: StatusCode, quality: Quality) {
        self.signal.push(index);
        self.time.push(time.ns());
        self.value.push(value);
        self.status.push(status.0);
        self.quality.push(quality.0 & !Quality::INITIAL.0);
    }

    fn side_columns(&mut self, rows: &crate::Rows, row: usize) {
        let here = u32::try_from(self.signal.len().saturating_sub(1)).unwrap_or(u32::MAX);
        if !rows.skew_ns.is_empty() {
            self.skew_ns.push(rows.skew_ns_at(row));
        }
        // A text's is its locale, which detectors are not told.
        if !rows.exact.is_empty()
            && let Some(bits) = rows.exact_at(row)
            && rows.text_at(row).is_none()
        {
            self.exact.push((here, bits));
        }
        if !rows.text.is_empty()
            && let Some(text) = rows.text_at(row)
        {
            self.text.push((here, text.to_owned()));
        }
    }

    /// Whether it has neither rows nor gaps, so that a detector need not be called.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.signal.is_empty() && self.gaps.is_empty()
    }

    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.signal.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gap, Rows};

    #[test]
    fn a_batch_has_the_bindings_rows_in_order_and_no_late_ones() {
        let mut rows = Rows::default();
        for (id, value, quality) in
            [(7, 1.0, Quality::NONE), (8, 2.0, Quality::NONE), (9, 3.0, Quality::LATE), (9, 4.0, Quality::OVERFLOW)]
        {
            rows.push(SignalId(id), Instant::from_s(1), value, StatusCode::GOOD, quality, 0);
        }
        rows.set_text("four".into());
        let gap = |signal| Gap { signal, since: Instant::MIN, until: Instant::MAX, cause: GapCause::Overflow };
        let imported = Gap { cause: GapCause::Imported, ..gap(Some(SignalId(9))) };
        let gaps = vec![gap(Some(SignalId(8))), gap(None), imported, gap(Some(SignalId(9)))];
        let frame = Frame { rows, gaps, ..Frame::default() };
        let batch = Batch::cut(Lsn(5), &frame, |id| (id.0 != 8).then(|| id.0 - 7));
        assert_eq!((batch.signal.as_slice(), batch.value.as_slice()), (&[0, 2][..], &[1.0, 4.0][..]));
        assert_eq!(batch.text, vec![(1, "four".to_owned())]);
        assert_eq!(batch.gaps.iter().map(|g| g.signal).collect::<Vec<_>>(), vec![None, Some(2)]);
        let late = Batch::late(Lsn(5), &frame, |id| (id.0 != 8).then(|| id.0 - 7));
        assert_eq!((late.value.as_slice(), late.text.len(), late.gaps.len()), (&[3.0][..], 0, 0));
        let whole = Batch::whole(Lsn(5), &frame, |id| (id.0 != 8).then(|| id.0 - 7));
        assert_eq!((whole.value.as_slice(), whole.gaps.len()), (&[1.0, 3.0, 4.0][..], 2));
        assert_eq!(whole.text, vec![(2, "four".to_owned())]);
    }
}
