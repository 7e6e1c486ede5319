//! The latest value of each signal, for whoever shows values. Not a store: a restart begins without any.

use std::time::Duration;

use parking_lot::RwLock;
use watchfire_model::{Instant, Rows, Sample, SignalId, StatusCode};

/// The latest sample of every signal, by its id: ids are given densely. One lock for a batch of rows, held for
/// microseconds.
#[derive(Debug, Default)]
pub struct Latest(RwLock<Vec<Kept>>);

/// A sample in 48 bytes: every value received is written here.
#[derive(Clone, Debug)]
struct Kept {
    time: Instant,
    skew_ns: i64,
    value: f64,
    status: StatusCode,
    /// Whether its source is watched; while it is not, the status says so.
    lost: Option<StatusCode>,
    seen: bool,
    /// What few samples have: all 64 bits, text.
    side: Option<Box<(Option<i64>, Option<String>)>>,
}

const UNSEEN: Kept = Kept {
    time: Instant::from_ns(0),
    skew_ns: 0,
    value: f64::NAN,
    status: StatusCode::GOOD,
    lost: None,
    seen: false,
    side: None,
};

impl Latest {
    /// The latest sample, `None` before the first.
    #[must_use]
    pub fn get(&self, signal: SignalId) -> Option<Sample> {
        let latest = self.0.read();
        let kept = latest.get(signal.0 as usize).filter(|kept| kept.seen)?;
        let skew = Duration::from_nanos(kept.skew_ns.unsigned_abs());
        let server_time = if kept.skew_ns < 0 { kept.time.minus(skew) } else { kept.time.plus(skew) };
        let (exact, text) = kept.side.as_deref().cloned().unwrap_or_default();
        Some(Sample {
            time: kept.time,
            server_time,
            value: kept.value,
            exact,
            text,
            status: kept.lost.unwrap_or(kept.status),
        })
    }

    /// Takes over the rows, in order.
    pub fn update(&self, rows: &Rows) {
        let mut latest = self.0.write();
        let sided = !rows.exact.is_empty() || !rows.text.is_empty();
        let columns = rows.signal.iter().zip(&rows.time).zip(&rows.value).zip(&rows.status);
        for (row, (((signal, time), value), status)) in columns.enumerate() {
            let side = if sided { side_of(rows, row) } else { None };
            let skew_ns = rows.skew_ns_at(row);
            if let Some(kept) = place(&mut latest, *signal) {
                *kept = Kept { time: *time, skew_ns, value: *value, status: *status, lost: None, seen: true, side };
            }
        }
    }

    /// Keeps the signals' last values but says that they no longer hold, as when their source is lost, until the next
    /// value or [`Latest::resume`].
    pub fn mark(&self, signals: &[SignalId], status: StatusCode, at: Instant) {
        let mut latest = self.0.write();
        for signal in signals {
            if let Some(kept) = place(&mut latest, *signal) {
                if !kept.seen {
                    *kept = Kept { time: at, seen: true, ..UNSEEN };
                }
                kept.lost = Some(status);
                kept.skew_ns = at.since_ns(kept.time);
            }
        }
    }

    /// Says that the signals' last values hold again: they are watched as before.
    pub fn resume(&self, signals: &[SignalId]) {
        let mut latest = self.0.write();
        for signal in signals {
            if let Some(kept) = place(&mut latest, *signal) {
                kept.lost = None;
            }
        }
    }
}

fn side_of(rows: &Rows, row: usize) -> Option<Box<(Option<i64>, Option<String>)>> {
    let side = (rows.exact_at(row), rows.text_at(row).map(str::to_owned));
    (side != (None, None)).then(|| Box::new(side))
}

fn place(latest: &mut Vec<Kept>, signal: SignalId) -> Option<&mut Kept> {
    let at = signal.0 as usize;
    if at >= latest.len() {
        latest.resize(at + 1, UNSEEN);
    }
    latest.get_mut(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::Quality;

    #[test]
    fn the_latest_sample_is_kept_whole_until_the_next_one() {
        let latest = Latest::default();
        let (at, later) = (Instant::from_s(10), Instant::from_s(12));
        let mut rows = Rows::default();
        rows.push(SignalId(3), at, 1.5, StatusCode::GOOD, Quality::NONE, -250);
        rows.push(SignalId(1), at, f64::NAN, StatusCode::UNCERTAIN, Quality::NONE, 0);
        rows.set_text("on".into());
        latest.update(&rows);
        assert_eq!(latest.get(SignalId(0)), None);
        assert_eq!(latest.get(SignalId(9)), None);
        let number = latest.get(SignalId(3)).unwrap();
        assert_eq!((number.value, number.server_time), (1.5, at.minus(Duration::from_nanos(250))));
        let text = latest.get(SignalId(1)).unwrap();
        assert_eq!((text.text.as_deref(), text.status), (Some("on"), StatusCode::UNCERTAIN));
        latest.mark(&[SignalId(3), SignalId(4)], StatusCode::BAD_NO_COMMUNICATION, later);
        let lost = latest.get(SignalId(3)).unwrap();
        assert_eq!((lost.value, lost.time, lost.server_time), (1.5, at, later));
        let never = latest.get(SignalId(4)).unwrap();
        assert_eq!((never.value.is_nan(), never.status), (true, StatusCode::BAD_NO_COMMUNICATION));
        latest.resume(&[SignalId(3)]);
        assert_eq!(latest.get(SignalId(3)).unwrap().status, StatusCode::GOOD);
    }
}
