//! The latest value of each signal, for whoever shows values, and each value of those that are followed. Not a store: a
//! restart begins without any.

use std::time::Duration;

use parking_lot::RwLock;
use watchfire_model::{Instant, Rows, Sample, SignalId, StatusCode};

use crate::followed::{Followed, Following};

/// The latest sample of every signal, by its id: ids are given densely. One lock for a batch of rows, held for
/// microseconds.
#[derive(Debug, Default)]
pub struct Latest {
    kept: RwLock<Vec<Kept>>,
    following: Following,
    /// The mode of operation.
    mode: RwLock<Option<u32>>,
}

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
    /// Whether it came, and is no mere mark.
    came: bool,
    /// Whether each value is told.
    followed: bool,
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
    came: false,
    followed: false,
    side: None,
};

impl Kept {
    fn sample(&self) -> Option<Sample> {
        if !self.seen {
            return None;
        }
        let skew = Duration::from_nanos(self.skew_ns.unsigned_abs());
        let server_time = if self.skew_ns < 0 { self.time.minus(skew) } else { self.time.plus(skew) };
        let (exact, text) = self.side.as_deref().cloned().unwrap_or_default();
        let status = self.lost.unwrap_or(self.status);
        Some(Sample { time: self.time, server_time, value: self.value, exact, text, status })
    }
}

impl Latest {
    /// The latest sample, `None` before the first.
    #[must_use]
    pub fn get(&self, signal: SignalId) -> Option<Sample> {
        self.kept.read().get(signal.0 as usize).and_then(Kept::sample)
    }

    /// The plant's mode of operation, `None` before its signal has said it.
    #[must_use]
    pub fn mode(&self) -> Option<u32> {
        *self.mode.read()
    }

    /// Takes over the plant's mode of operation.
    pub fn set_mode(&self, mode: u32) {
        *self.mode.write() = Some(mode);
    }

    /// Has each value of a signal told from now on ([`Latest::told`]), until [`Latest::unfollow`]. Answers the latest
    /// one, and the place of the first that is told after it.
    pub fn follow(&self, signal: SignalId) -> (Option<Sample>, u64) {
        let mut latest = self.kept.write();
        let kept = place(&mut latest, signal);
        let sample = kept.and_then(|kept| {
            kept.followed = true;
            kept.sample()
        });
        (sample, self.following.next())
    }

    /// No longer has each value of a signal told.
    pub fn unfollow(&self, signal: SignalId) {
        if let Some(kept) = self.kept.write().get_mut(signal.0 as usize) {
            kept.followed = false;
        }
    }

    /// Waits for values of signals that are followed, and takes them, in order. For one task alone.
    pub async fn told(&self) -> Vec<Followed> {
        let take = || {
            let latest = self.kept.read();
            self.following.take(|signal| latest.get(signal.0 as usize).and_then(Kept::sample))
        };
        self.following.wait(take).await
    }

    fn tell(&self, signal: SignalId, kept: &Kept) {
        if kept.followed
            && let Some(sample) = kept.sample()
        {
            self.following.tell(signal, sample);
        }
    }

    /// Takes over the rows, in order.
    pub fn update(&self, rows: &Rows) {
        let mut latest = self.kept.write();
        let sided = !rows.exact.is_empty() || !rows.text.is_empty();
        let columns = rows.signal.iter().zip(&rows.time).zip(&rows.value).zip(&rows.status);
        for (row, (((signal, time), value), status)) in columns.enumerate() {
            let side = if sided { side_of(rows, row) } else { None };
            let skew_ns = rows.skew_ns_at(row);
            if let Some(kept) = place(&mut latest, *signal) {
                let (value, status, followed) = (*value, *status, kept.followed);
                *kept =
                    Kept { time: *time, skew_ns, value, status, lost: None, seen: true, came: true, followed, side };
                self.tell(*signal, kept);
            }
        }
    }

    /// Keeps the signals' last values but says that they no longer hold, as when their source is lost, until the next
    /// value or [`Latest::resume`].
    pub fn mark(&self, signals: &[SignalId], status: StatusCode, at: Instant) {
        let mut latest = self.kept.write();
        for signal in signals {
            if let Some(kept) = place(&mut latest, *signal) {
                if !kept.seen {
                    *kept = Kept { time: at, seen: true, followed: kept.followed, ..UNSEEN };
                }
                kept.lost = Some(status);
                kept.skew_ns = at.since_ns(kept.time);
                self.tell(*signal, kept);
            }
        }
    }

    /// Since when a signal's source is lost, if it is, and whether a value has come of it since the start: nobody marks what
    /// has none any later. Not before the latest value, whose time is its server's.
    #[must_use]
    pub fn lost_since(&self, signal: SignalId) -> Option<(Instant, bool)> {
        let latest = self.kept.read();
        let kept = latest.get(signal.0 as usize)?;
        let is_lost = kept.lost == Some(StatusCode::BAD_NO_COMMUNICATION);
        let at = Instant::from_ns(kept.time.ns().saturating_add(kept.skew_ns.max(0)));
        is_lost.then_some((at, kept.came))
    }

    /// Says that the signals' last values hold again: they are watched as before.
    pub fn resume(&self, signals: &[SignalId]) {
        let mut latest = self.kept.write();
        for signal in signals {
            if let Some(kept) = place(&mut latest, *signal)
                && kept.lost.take().is_some()
            {
                self.tell(*signal, kept);
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

    fn row(signal: u32, second: i64, value: f64) -> Rows {
        let mut rows = Rows::default();
        rows.push(SignalId(signal), Instant::from_s(second), value, StatusCode::GOOD, Quality::NONE, 0);
        rows
    }

    fn values(told: &[Followed]) -> Vec<(f64, bool)> {
        told.iter().map(|one| (one.sample.value, one.after_loss)).collect()
    }

    #[tokio::test]
    async fn each_value_of_a_signal_that_is_followed_is_told_and_what_becomes_of_it() {
        let latest = Latest::default();
        latest.update(&row(3, 1, 0.5));
        let (now, place) = latest.follow(SignalId(3));
        assert_eq!((now.unwrap().value, place), (0.5, 0));
        for second in 2..5 {
            latest.update(&row(3, second, second as f64));
            latest.update(&row(4, second, 7.0));
        }
        let told = latest.told().await;
        assert_eq!(values(&told), [(2.0, false), (3.0, false), (4.0, false)]);
        assert_eq!(told.iter().map(|one| one.place).collect::<Vec<_>>(), [0, 1, 2]);
        latest.mark(&[SignalId(3), SignalId(4)], StatusCode::BAD_NO_COMMUNICATION, Instant::from_s(9));
        latest.resume(&[SignalId(3), SignalId(4)]);
        latest.resume(&[SignalId(3)]);
        let told = latest.told().await;
        let statuses: Vec<_> = told.iter().map(|one| one.sample.status).collect();
        assert_eq!(statuses, [StatusCode::BAD_NO_COMMUNICATION, StatusCode::GOOD]);
        assert_eq!(latest.follow(SignalId(3)).1, 5);
        latest.unfollow(SignalId(3));
        latest.follow(SignalId(5));
        latest.update(&row(3, 10, 1.0));
        latest.update(&row(5, 10, 2.0));
        assert_eq!(values(&latest.told().await), [(2.0, false)]);
    }

    #[tokio::test]
    async fn where_values_find_no_room_the_newest_is_told_as_after_a_loss() {
        let latest = Latest::default();
        latest.follow(SignalId(1));
        latest.follow(SignalId(2));
        for second in 0..100_010 {
            latest.update(&row(1, second, second as f64));
        }
        latest.update(&row(2, 5, -1.0));
        latest.update(&row(2, 6, -2.0));
        let mut told = values(&latest.told().await);
        let mut last = told.split_off(100_000);
        last.sort_by(|one, other| one.0.total_cmp(&other.0));
        assert_eq!(
            (told.last(), last.as_slice()),
            (Some(&(99_999.0, false)), [(-2.0, true), (100_009.0, true)].as_slice())
        );
        latest.update(&row(1, 200_000, 0.25));
        assert_eq!(values(&latest.told().await), [(0.25, false)]);
    }

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
