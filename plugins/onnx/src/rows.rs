//! From samples that come when they come to rows at equal distances in time: the last value of each signal holds until
//! the next. Where a value is not known, or the gateway has seen nothing for a while, there is no row, and no window
//! reaches over it. Does not know models.

use serde::{Deserialize, Serialize};
use watchfire_detector::Batch;

/// The gateway calls once a second at the least: what is longer is a silence.
const SILENCE_NS: i64 = 3_000_000_000;

/// What lasts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    /// The last value of each signal; `None` while it is not known.
    held: Vec<Option<f64>>,
    /// When the next row is cut, nanoseconds; a multiple of the step.
    due: Option<i64>,
}

impl Rows {
    /// Rows of so many signals, none of which is known.
    pub fn new(signals: usize) -> Self {
        Self { held: vec![None; signals], due: None }
    }

    /// For how many signals.
    pub fn signals(&self) -> usize {
        self.held.len()
    }

    /// Cuts the rows that end with this batch: `cut` gets the time of each, and its values or `None` where one is missing.
    /// A sample counts for the rows at or after its own time.
    pub fn take<E>(
        &mut self,
        batch: &Batch,
        step_ns: i64,
        mut cut: impl FnMut(i64, Option<&[f64]>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut due = self.due.unwrap_or_else(|| next(batch.now.saturating_sub(step_ns), step_ns));
        for index in 0..self.held.len() {
            if u32::try_from(index).is_ok_and(|signal| batch.has_gap(signal))
                && let Some(held) = self.held.get_mut(index)
            {
                *held = None;
            }
        }
        // After a silence there is one row that tells of it, not one for each step.
        if batch.now.saturating_sub(due) > step_ns.saturating_mul(2).max(SILENCE_NS) {
            cut(due, None)?;
            due = next(batch.now.saturating_sub(step_ns), step_ns);
        }
        for row in batch.rows() {
            while row.time > due && due <= batch.now {
                cut(due, whole(&self.held).as_deref())?;
                due = due.saturating_add(step_ns);
            }
            if let Some(held) = self.held.get_mut(row.signal as usize) {
                *held = row.is_usable().then_some(row.value);
            }
        }
        while due <= batch.now {
            cut(due, whole(&self.held).as_deref())?;
            due = due.saturating_add(step_ns);
        }
        self.due = Some(due);
        Ok(())
    }
}

/// The first multiple of the step after a time.
fn next(after: i64, step_ns: i64) -> i64 {
    after.div_euclid(step_ns).saturating_add(1).saturating_mul(step_ns)
}

fn whole(held: &[Option<f64>]) -> Option<Vec<f64>> {
    held.iter().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_detector::Row;

    const S: i64 = 1_000_000_000;

    fn batch(now: i64, rows: &[(u32, i64, f64)]) -> Batch {
        let mut batch = Batch { now, ..Batch::default() };
        for (signal, time, value) in rows {
            batch.push(Row { signal: *signal, time: *time, value: *value, status: 0, quality: 0 });
        }
        batch
    }

    fn cut(rows: &mut Rows, batch: &Batch) -> Vec<(i64, Option<Vec<f64>>)> {
        let mut found = Vec::new();
        let done: Result<(), ()> = rows.take(batch, S, |at, values| {
            found.push((at, values.map(<[f64]>::to_vec)));
            Ok(())
        });
        done.unwrap();
        found
    }

    #[test]
    fn a_value_holds_until_the_next_and_counts_from_its_own_time_on() {
        let mut rows = Rows::new(2);
        assert_eq!(cut(&mut rows, &batch(S / 2, &[(0, S / 2, 1.0)])), [(0, None)]);
        assert_eq!(cut(&mut rows, &batch(S + S / 10, &[(1, S, 5.0), (0, S + 1, 2.0)])), [(S, Some(vec![1.0, 5.0]))]);
        assert_eq!(cut(&mut rows, &batch(S + S / 2, &[])), []);
        assert_eq!(cut(&mut rows, &batch(2 * S, &[])), [(2 * S, Some(vec![2.0, 5.0]))]);
    }

    #[test]
    fn what_is_not_known_makes_no_row() {
        let mut rows = Rows::new(1);
        cut(&mut rows, &batch(S, &[(0, S, 1.0)]));
        let mut bad = batch(2 * S, &[(0, 2 * S, 9.0)]);
        bad.status[0] = 0x8000_0000;
        assert_eq!(cut(&mut rows, &bad), [(2 * S, None)]);
        assert_eq!(cut(&mut rows, &batch(3 * S, &[(0, 3 * S, 1.0)])), [(3 * S, Some(vec![1.0]))]);
        let mut gap = batch(4 * S, &[]);
        gap.gaps = vec![watchfire_detector::Gap {
            signal: None,
            since: 0,
            until: 1,
            cause: watchfire_detector::Cause::SourceLost,
        }];
        assert_eq!(cut(&mut rows, &gap), [(4 * S, None)]);
    }

    #[test]
    fn after_a_silence_one_row_tells_of_it() {
        let mut rows = Rows::new(1);
        cut(&mut rows, &batch(S, &[(0, S, 1.0)]));
        let later = 1_000_000 * S;
        assert_eq!(cut(&mut rows, &batch(later, &[])), [(2 * S, None), (later, Some(vec![1.0]))]);
    }
}
