//! The latest value of each signal, for whoever shows values. Not a store: a restart begins without any.

use std::time::Duration;

use parking_lot::RwLock;
use watchfire_model::{Instant, Rows, Sample, SignalId, StatusCode};

/// The latest sample of every signal, by its id: ids are given densely. One lock for a batch of rows, held for
/// microseconds.
#[derive(Debug, Default)]
pub struct Latest(RwLock<Vec<Option<Sample>>>);

impl Latest {
    /// The latest sample, `None` before the first.
    #[must_use]
    pub fn get(&self, signal: SignalId) -> Option<Sample> {
        self.0.read().get(signal.0 as usize).cloned().flatten()
    }

    /// Takes over the rows, in order.
    pub fn update(&self, rows: &Rows) {
        let mut latest = self.0.write();
        let columns = rows.signal.iter().zip(&rows.time).zip(&rows.value).zip(&rows.status);
        for (row, (((signal, time), value), status)) in columns.enumerate() {
            let skew_ns = rows.skew_ns_at(row);
            let skew = Duration::from_nanos(skew_ns.unsigned_abs());
            let server_time = if skew_ns < 0 { time.minus(skew) } else { time.plus(skew) };
            let exact = if rows.exact.is_empty() { None } else { rows.exact_at(row) };
            let text = if rows.text.is_empty() { None } else { rows.text_at(row).map(str::to_owned) };
            let sample = Sample { time: *time, server_time, value: *value, exact, text, status: *status };
            if let Some(place) = place(&mut latest, *signal) {
                *place = Some(sample);
            }
        }
    }

    /// Keeps the signals' last values but says that they no longer hold, as when their source is lost.
    pub fn mark(&self, signals: &[SignalId], status: StatusCode, at: Instant) {
        let mut latest = self.0.write();
        for signal in signals {
            let unseen = Sample { time: at, server_time: at, value: f64::NAN, exact: None, text: None, status };
            if let Some(place) = place(&mut latest, *signal) {
                let sample = place.get_or_insert(unseen);
                sample.status = status;
                sample.server_time = at;
            }
        }
    }
}

fn place(latest: &mut Vec<Option<Sample>>, signal: SignalId) -> Option<&mut Option<Sample>> {
    let at = signal.0 as usize;
    if at >= latest.len() {
        latest.resize(at + 1, None);
    }
    latest.get_mut(at)
}
