//! The latest value of each signal, for whoever shows values. Not a store: a restart begins without any.

use std::collections::HashMap;

use parking_lot::RwLock;
use watchfire_model::{Instant, Rows, Sample, SignalId, StatusCode};

/// The latest sample of every signal. One lock for a batch of rows, held for microseconds.
#[derive(Debug, Default)]
pub struct Latest(RwLock<HashMap<SignalId, Sample>>);

impl Latest {
    /// The latest sample, `None` before the first.
    #[must_use]
    pub fn get(&self, signal: SignalId) -> Option<Sample> {
        self.0.read().get(&signal).cloned()
    }

    /// Takes over the rows, in order.
    pub fn update(&self, rows: &Rows) {
        let mut latest = self.0.write();
        let columns = rows.signal.iter().zip(&rows.time).zip(&rows.value).zip(&rows.status);
        for (row, (((signal, time), value), status)) in columns.enumerate() {
            let skew = std::time::Duration::from_nanos(rows.skew_ns_at(row).unsigned_abs());
            let server_time = if rows.skew_ns_at(row) < 0 { time.minus(skew) } else { time.plus(skew) };
            let exact = if rows.exact.is_empty() { None } else { rows.exact_at(row) };
            let text = if rows.text.is_empty() { None } else { rows.text_at(row).map(str::to_owned) };
            latest.insert(*signal, Sample { time: *time, server_time, value: *value, exact, text, status: *status });
        }
    }

    /// Keeps the signals' last values but says that they no longer hold, as when their source is lost.
    pub fn mark(&self, signals: &[SignalId], status: StatusCode, at: Instant) {
        let mut latest = self.0.write();
        for signal in signals {
            let sample = latest.entry(*signal).or_insert_with(|| Sample {
                time: at,
                server_time: at,
                value: f64::NAN,
                exact: None,
                text: None,
                status,
            });
            sample.status = status;
            sample.server_time = at;
        }
    }
}
