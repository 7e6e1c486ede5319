//! The frame: parallel columns, the unit of the log, of a detector's cursor and of replay. Never split or joined.

use std::ops::Range;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Instant, Locale, Quality, Sample, SignalId, StatusCode};

/// The one NaN that a frame holds: equal inputs must give equal bits to every detector on every machine.
const CANONICAL_NAN: f64 = f64::NAN;

/// Rows of samples as columns. The first five have one length; `skew_ns` is as long or empty (all zero); `exact` and
/// `text` are sparse, ascending by row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    /// Which signal.
    pub signal: Vec<SignalId>,
    /// Source time stamp, or the server's where the source gives none (then the mark `SERVER_TIME` is set).
    pub time: Vec<Instant>,
    /// The value as a number; NaN where there is only text, or nothing.
    pub value: Vec<f64>,
    /// OPC UA StatusCode.
    pub status: Vec<StatusCode>,
    /// Marks of our own.
    pub quality: Vec<Quality>,
    /// Server minus source time stamp, nanoseconds; empty when all are zero.
    pub skew_ns: Vec<i64>,
    /// Row and all 64 bits of an integer that a double cannot hold (two's complement or unsigned, by the signal's kind);
    /// of a row that has text, its [`Locale`].
    pub exact: Vec<(u32, i64)>,
    /// Row and text.
    pub text: Vec<(u32, String)>,
}

/// How far the sparse columns of some rows have been copied.
#[derive(Clone, Copy, Debug, Default)]
pub struct Copied {
    exact: usize,
    text: usize,
}

/// What a sparse column has for `row`, looked for from `at` on.
fn copied_to<'c, T>(column: &'c [(u32, T)], row: usize, at: &mut usize) -> Option<&'c T> {
    while column.get(*at).is_some_and(|(number, _)| (*number as usize) < row) {
        *at += 1;
    }
    column.get(*at).filter(|(number, _)| *number as usize == row).map(|(_, value)| value)
}

/// Columns that do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column `{column}` does not fit {rows} rows")]
pub struct RowsError {
    /// Which column.
    pub column: &'static str,
    /// How many rows the signal column has.
    pub rows: usize,
}

impl Rows {
    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.signal.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.signal.is_empty()
    }

    /// Appends a plain number. NaNs become the canonical one.
    pub fn push(
        &mut self,
        signal: SignalId,
        time: Instant,
        value: f64,
        status: StatusCode,
        quality: Quality,
        skew_ns: i64,
    ) {
        self.push_skew(skew_ns);
        self.signal.push(signal);
        self.time.push(time);
        self.value.push(if value.is_nan() { CANONICAL_NAN } else { value });
        self.status.push(status);
        self.quality.push(quality);
    }

    /// Appends a row of `from`, with its side columns. Nothing is appended when `from` has no such row. Costs two binary
    /// searches; see [`Rows::copy_row`] for many rows.
    pub fn push_row(&mut self, from: &Self, row: usize) {
        let before = |number: u32| (number as usize) < row;
        let exact = from.exact.partition_point(|(number, _)| before(*number));
        let text = from.text.partition_point(|(number, _)| before(*number));
        self.copy_row(from, row, &mut Copied { exact, text });
    }

    /// Appends a row of `from` bit for bit, with its side columns; false when `from` has no such row. For one `copied`
    /// rows of one `from` are copied in ascending order.
    pub fn copy_row(&mut self, from: &Self, row: usize, copied: &mut Copied) -> bool {
        let columns = (from.signal.get(row), from.time.get(row), from.value.get(row), from.status.get(row));
        let ((Some(signal), Some(time), Some(value), Some(status)), Some(quality)) = (columns, from.quality.get(row))
        else {
            return false;
        };
        self.push_skew(from.skew_ns_at(row));
        self.signal.push(*signal);
        self.time.push(*time);
        self.value.push(*value);
        self.status.push(*status);
        self.quality.push(*quality);
        if let Some(bits) = copied_to(&from.exact, row, &mut copied.exact) {
            self.set_exact(*bits);
        }
        if let Some(text) = copied_to(&from.text, row, &mut copied.text) {
            self.set_text(text.clone());
        }
        true
    }

    /// Appends some rows of `from`, given in ascending order, as [`Rows::copy_row`] does; false, and nothing is appended,
    /// when `from` has not all of them. Costs a copy of columns, not of rows.
    pub fn copy_rows(&mut self, from: &Self, rows: &[u32], copied: &mut Copied) -> bool {
        if rows.iter().any(|row| *row as usize >= from.len()) {
            return false;
        }
        let base = self.len();
        // One column after the other, each of a length that is known.
        self.signal.extend(rows.iter().map(|row| from.signal.get(*row as usize).copied().unwrap_or_default()));
        self.time.extend(rows.iter().map(|row| from.time.get(*row as usize).copied().unwrap_or_default()));
        self.value.extend(rows.iter().map(|row| from.value.get(*row as usize).copied().unwrap_or_default()));
        self.status.extend(rows.iter().map(|row| from.status.get(*row as usize).copied().unwrap_or_default()));
        self.quality.extend(rows.iter().map(|row| from.quality.get(*row as usize).copied().unwrap_or_default()));
        let skews = rows.iter().map(|row| from.skew_ns_at(*row as usize));
        if !self.skew_ns.is_empty() || (!from.skew_ns.is_empty() && skews.clone().any(|skew| skew != 0)) {
            self.skew_ns.resize(base, 0);
            self.skew_ns.extend(skews);
        }
        let numbered = |place: usize| u32::try_from(base + place).unwrap_or(u32::MAX);
        if !from.exact.is_empty() {
            for (place, row) in rows.iter().enumerate() {
                let bits = copied_to(&from.exact, *row as usize, &mut copied.exact);
                self.exact.extend(bits.map(|bits| (numbered(place), *bits)));
            }
        }
        if !from.text.is_empty() {
            for (place, row) in rows.iter().enumerate() {
                let text = copied_to(&from.text, *row as usize, &mut copied.text);
                self.text.extend(text.map(|text| (numbered(place), text.clone())));
            }
        }
        true
    }

    /// Appends some rows of `from` bit for bit, with their side columns; rows that it does not have are left out. Costs a
    /// copy of columns, not of rows.
    pub fn extend_from(&mut self, from: &Self, rows: Range<usize>) {
        let end = rows.end.min(from.len());
        let rows = rows.start.min(end)..end;
        let base = u32::try_from(self.len()).unwrap_or(u32::MAX);
        let begin = u32::try_from(rows.start).unwrap_or(u32::MAX);
        let moved = |row: u32| base.saturating_add(row - begin);
        let is_some = |row: u32| rows.contains(&(row as usize));
        self.exact.extend(from.exact.iter().filter(|(row, _)| is_some(*row)).map(|(row, bits)| (moved(*row), *bits)));
        let texts = from.text.iter().filter(|(row, _)| is_some(*row));
        self.text.extend(texts.map(|(row, text)| (moved(*row), text.clone())));
        match from.skew_ns.get(rows.clone()).filter(|_| !rows.is_empty()) {
            Some(skews) => {
                self.skew_ns.resize(self.len(), 0);
                self.skew_ns.extend_from_slice(skews);
            }
            None if !self.skew_ns.is_empty() => self.skew_ns.resize(self.len() + rows.len(), 0),
            None => {}
        }
        self.signal.extend_from_slice(from.signal.get(rows.clone()).unwrap_or_default());
        self.time.extend_from_slice(from.time.get(rows.clone()).unwrap_or_default());
        self.value.extend_from_slice(from.value.get(rows.clone()).unwrap_or_default());
        self.status.extend_from_slice(from.status.get(rows.clone()).unwrap_or_default());
        self.quality.extend_from_slice(from.quality.get(rows).unwrap_or_default());
    }

    fn push_skew(&mut self, skew_ns: i64) {
        if skew_ns != 0 && self.skew_ns.is_empty() {
            self.skew_ns.resize(self.len(), 0);
        }
        if skew_ns != 0 || !self.skew_ns.is_empty() {
            self.skew_ns.push(skew_ns);
        }
    }

    /// Says that the last row's integer is exactly `bits`, which its value column could not hold.
    pub fn set_exact(&mut self, bits: i64) {
        if let Some(row) = self.last_row() {
            self.exact.push((row, bits));
        }
    }

    /// Gives the last row its text.
    pub fn set_text(&mut self, text: String) {
        if let Some(row) = self.last_row() {
            self.text.push((row, text));
        }
    }

    fn last_row(&self) -> Option<u32> {
        self.len().checked_sub(1).and_then(|row| u32::try_from(row).ok())
    }

    /// Takes all rows out; what was allocated stays.
    pub fn clear(&mut self) {
        self.signal.clear();
        self.time.clear();
        self.value.clear();
        self.status.clear();
        self.quality.clear();
        self.skew_ns.clear();
        self.exact.clear();
        self.text.clear();
    }

    /// Appends `other`'s rows after these.
    pub fn append(&mut self, other: &mut Self) {
        let base = u32::try_from(self.len()).unwrap_or(u32::MAX);
        if self.skew_ns.is_empty() && !other.skew_ns.is_empty() {
            self.skew_ns.resize(self.len(), 0);
        }
        if other.skew_ns.is_empty() && !self.skew_ns.is_empty() {
            other.skew_ns.resize(other.len(), 0);
        }
        self.exact.extend(other.exact.drain(..).map(|(row, bits)| (base.saturating_add(row), bits)));
        self.text.extend(other.text.drain(..).map(|(row, text)| (base.saturating_add(row), text)));
        self.signal.append(&mut other.signal);
        self.time.append(&mut other.time);
        self.value.append(&mut other.value);
        self.status.append(&mut other.status);
        self.quality.append(&mut other.quality);
        self.skew_ns.append(&mut other.skew_ns);
    }

    /// Keeps the first `at` rows and answers the others. Costs a copy of the others.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        let at = at.min(self.len());
        let base = u32::try_from(at).unwrap_or(u32::MAX);
        let exact = self.exact.split_off(self.exact.partition_point(|(row, _)| *row < base));
        let text = self.text.split_off(self.text.partition_point(|(row, _)| *row < base));
        Self {
            signal: self.signal.split_off(at),
            time: self.time.split_off(at),
            value: self.value.split_off(at),
            status: self.status.split_off(at),
            quality: self.quality.split_off(at),
            skew_ns: if self.skew_ns.is_empty() { Vec::new() } else { self.skew_ns.split_off(at) },
            exact: exact.into_iter().map(|(row, bits)| (row.saturating_sub(base), bits)).collect(),
            text: text.into_iter().map(|(row, text)| (row.saturating_sub(base), text)).collect(),
        }
    }

    /// The skew of a row, nanoseconds.
    #[must_use]
    pub fn skew_ns_at(&self, row: usize) -> i64 {
        self.skew_ns.get(row).copied().unwrap_or(0)
    }

    /// The exact bits of a row, where it has them. Costs a binary search.
    #[must_use]
    pub fn exact_at(&self, row: usize) -> Option<i64> {
        let row = u32::try_from(row).ok()?;
        let at = self.exact.binary_search_by_key(&row, |(r, _)| *r).ok()?;
        self.exact.get(at).map(|(_, bits)| *bits)
    }

    /// The integer of a row that its value cannot hold, with its sign: bits that say "negative" under a positive value
    /// are those of an unsigned integer. Costs a binary search.
    #[must_use]
    pub fn whole_at(&self, row: usize) -> Option<i128> {
        let bits = self.exact_at(row)?;
        if self.locale_at(row).is_some() {
            return None;
        }
        let is_unsigned = bits < 0 && self.value.get(row).is_some_and(|value| *value > 0.0);
        Some(if is_unsigned { i128::from(bits.cast_unsigned()) } else { i128::from(bits) })
    }

    /// The text of a row, where it has one. Costs a binary search.
    #[must_use]
    pub fn text_at(&self, row: usize) -> Option<&str> {
        let row = u32::try_from(row).ok()?;
        let at = self.text.binary_search_by_key(&row, |(r, _)| *r).ok()?;
        self.text.get(at).map(|(_, text)| text.as_str())
    }

    /// The locale of a row's text, where it has one. Costs two binary searches.
    #[must_use]
    pub fn locale_at(&self, row: usize) -> Option<Locale> {
        let locale = Locale::from_bits(self.exact_at(row)?)?;
        self.text_at(row).map(|_| locale)
    }

    /// A row by itself, `None` when there is no such row. Costs a copy of its text.
    #[must_use]
    pub fn sample(&self, row: usize) -> Option<Sample> {
        let time = *self.time.get(row)?;
        let skew_ns = self.skew_ns_at(row);
        let skew = Duration::from_nanos(skew_ns.unsigned_abs());
        Some(Sample {
            time,
            server_time: if skew_ns < 0 { time.minus(skew) } else { time.plus(skew) },
            value: *self.value.get(row)?,
            exact: self.exact_at(row),
            text: self.text_at(row).map(str::to_owned),
            status: *self.status.get(row)?,
        })
    }

    /// Checks that the columns fit together; asked where rows are written and where they are read back.
    ///
    /// # Errors
    /// Names the first column that does not fit.
    pub fn check(&self) -> Result<(), RowsError> {
        let rows = self.len();
        let sparse_fits = |row: Option<u32>| row.is_none_or(|r| (r as usize) < rows);
        let columns = [
            ("time", self.time.len() == rows),
            ("value", self.value.len() == rows),
            ("status", self.status.len() == rows),
            ("quality", self.quality.len() == rows),
            ("skew", self.skew_ns.is_empty() || self.skew_ns.len() == rows),
            ("exact", self.exact.is_sorted_by_key(|e| e.0) && sparse_fits(self.exact.last().map(|e| e.0))),
            ("text", self.text.is_sorted_by_key(|t| t.0) && sparse_fits(self.text.last().map(|t| t.0))),
        ];
        match columns.iter().find(|(_, fits)| !fits) {
            None => Ok(()),
            Some(&(column, _)) => Err(RowsError { column, rows }),
        }
    }
}

/// Why values are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GapCause {
    /// The source could not be reached.
    SourceLost,
    /// A queue overflowed, the server's or ours.
    Overflow,
    /// A detector skipped what it could not keep up with, or a frame on which it fails.
    Skipped,
    /// The gateway did not run, or the source keeps no history.
    NotRecorded,
    /// It came with samples from a file. It is of the past, so no detector is told of it, and no source is asked for what
    /// is missing.
    Imported,
}

/// An interval in which values of a signal, or of every signal, may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Which signal; `None` for all.
    pub signal: Option<SignalId>,
    /// The last time of which something is known.
    pub since: Instant,
    /// The first time of which something is known again.
    pub until: Instant,
    /// Why.
    pub cause: GapCause,
}

/// One cut of the incoming values: rows, the gaps noticed, and the only clock that a detector sees.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// The gateway's receive time at the cut, monotone over steps of the machine's clock.
    pub now: Instant,
    /// Offset of the site's time zone from UTC at the cut, seconds.
    pub utc_offset_s: i32,
    /// The operating mode; 0 when none is configured.
    pub mode: u32,
    /// The samples.
    pub rows: Rows,
    /// What is missing.
    pub gaps: Vec<Gap>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(skews: &[i64]) -> Rows {
        let mut rows = Rows::default();
        for (i, skew) in skews.iter().enumerate() {
            rows.push(SignalId(1), Instant::from_ns(i as i64), f64::NAN, StatusCode::GOOD, Quality::NONE, *skew);
        }
        rows
    }

    #[test]
    fn some_rows_are_copied_as_each_of_them_is() {
        let mut from = Rows::default();
        for row in 0..6_u32 {
            let skew = if row > 3 { 7 } else { 0 };
            from.push(SignalId(row), Instant::from_ns(row.into()), 0.5, StatusCode(row), Quality::LATE, skew);
            if row % 2 == 1 {
                from.set_exact(row.into());
                from.set_text(row.to_string());
            }
        }
        for before in [rows(&[]), rows(&[0, 0]), rows(&[0, 5])] {
            for range in [0..6, 0..2, 2..5, 4..6, 3..3, 5..9, 9..9] {
                let (mut together, mut one_by_one) = (before.clone(), before.clone());
                together.extend_from(&from, range.clone());
                range.clone().for_each(|row| one_by_one.push_row(&from, row));
                // A column of zeros is as good as none.
                [&mut together, &mut one_by_one].into_iter().for_each(|rows| {
                    if rows.skew_ns.iter().all(|skew| *skew == 0) {
                        rows.skew_ns.clear();
                    }
                });
                let bits = |rows: &Rows| format!("{rows:?}");
                assert_eq!(bits(&together), bits(&one_by_one), "{range:?}");
                together.check().unwrap();
            }
        }
    }

    #[test]
    fn appended_rows_keep_their_side_columns() {
        for (left, right) in [(vec![0, 0], vec![0, 5]), (vec![3], vec![0, 0]), (vec![], vec![1]), (vec![1], vec![])] {
            let (mut a, mut b) = (rows(&left), rows(&right));
            if !right.is_empty() {
                b.set_text("last".into());
                b.set_exact(i64::MAX);
            }
            a.append(&mut b);
            a.check().unwrap();
            let all: Vec<i64> = left.iter().chain(&right).copied().collect();
            assert_eq!((0..a.len()).map(|r| a.skew_ns_at(r)).collect::<Vec<_>>(), all);
            if !right.is_empty() {
                assert_eq!(a.text_at(all.len() - 1), Some("last"));
                assert_eq!(a.exact_at(all.len() - 1), Some(i64::MAX));
            }
        }
    }

    #[test]
    fn split_rows_joined_again_are_the_rows_they_were() {
        let mut whole = rows(&[0, 5, 0, 7, 0]);
        whole.value = vec![1.0, 2.0, 3.0, 4.0, 5.0];
        whole.set_text("last".into());
        for at in 0..=6 {
            let mut first = whole.clone();
            let mut rest = first.split_off(at);
            assert_eq!(first.len(), at.min(5));
            first.check().unwrap();
            rest.check().unwrap();
            first.append(&mut rest);
            assert_eq!(first, whole, "split at {at}");
        }
    }

    #[test]
    fn copied_rows_are_the_same_one_by_one_and_in_turn() {
        let mut from = rows(&[0, 7, 0, -1]);
        from.value[2] = f64::from_bits(0x7ff8_dead_beef_0001);
        from.exact = vec![(0, 1), (2, -1)];
        from.text = vec![(1, "one".into()), (2, "two".into())];
        for wanted in [vec![0, 1, 2, 3], vec![1, 3], vec![2], vec![0, 3, 4]] {
            let (mut each, mut all, mut copied) = (Rows::default(), Rows::default(), Copied::default());
            for row in wanted.iter().copied() {
                each.push_row(&from, row);
                assert_eq!(all.copy_row(&from, row, &mut copied), row < 4);
            }
            all.check().unwrap();
            assert_eq!(format!("{each:?}"), format!("{all:?}"));
            let (mut once, numbers) = (Rows::default(), wanted.iter().map(|row| *row as u32).collect::<Vec<_>>());
            let (some, others) = numbers.split_at(numbers.len() / 2);
            let mut copied = Copied::default();
            let are_there = [some, others].map(|part| once.copy_rows(&from, part, &mut copied));
            if are_there == [true; 2] {
                assert_eq!(format!("{once:?}"), format!("{all:?}"));
            } else {
                assert!(numbers.contains(&4) && once.len() == some.len());
            }
            let there = wanted.iter().copied().filter(|row| *row < 4);
            for (at, row) in there.enumerate() {
                assert_eq!((all.exact_at(at), all.text_at(at)), (from.exact_at(row), from.text_at(row)));
                assert_eq!(
                    (all.skew_ns_at(at), all.value[at].to_bits()),
                    (from.skew_ns_at(row), from.value[row].to_bits())
                );
            }
        }
    }

    #[test]
    fn a_nan_is_canonical_whatever_it_carried() {
        let mut rows = Rows::default();
        rows.push(
            SignalId(0),
            Instant::default(),
            f64::from_bits(0xfff8_dead_beef_0001),
            StatusCode::GOOD,
            Quality::NONE,
            0,
        );
        assert_eq!(rows.value[0].to_bits(), f64::NAN.to_bits());
    }

    #[test]
    fn integers_that_a_double_cannot_hold_keep_their_sign() {
        let mut rows = Rows::default();
        let mut push = |value: f64, bits: Option<i64>| {
            rows.push(SignalId(0), Instant::default(), value, StatusCode::GOOD, Quality::NONE, 0);
            bits.into_iter().for_each(|bits| rows.set_exact(bits));
        };
        push(u64::MAX as f64, Some(u64::MAX.cast_signed()));
        push((1_u64 << 63) as f64, Some(((1_u64 << 63) + 1).cast_signed()));
        push(i64::MAX as f64, Some(i64::MAX));
        push(i64::MIN as f64, Some(i64::MIN + 1));
        push(f64::NAN, Some(-5));
        push(1.0, None);
        let whole: Vec<_> = (0..rows.len()).map(|row| rows.whole_at(row)).collect();
        let (unsigned, least) = (i128::from(u64::MAX), i128::from(i64::MIN));
        let wanted = [unsigned, (1 << 63) + 1, i128::from(i64::MAX), least + 1, -5].map(Some);
        assert_eq!((&whole[..5], whole[5]), (&wanted[..], None));
    }

    #[test]
    fn columns_that_do_not_fit_are_named() {
        let mut bad = rows(&[0, 0]);
        bad.exact.push((7, 1));
        assert_eq!(bad.check().unwrap_err().column, "exact");
        bad.exact.clear();
        bad.status.pop();
        assert_eq!(bad.check().unwrap_err().column, "status");
    }
}
