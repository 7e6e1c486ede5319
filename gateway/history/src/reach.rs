//! Of which signals and hours gaps are, and what became of them: without reading them it is known which of them cannot
//! concern whoever asks. In runs of hours, so that one device whose clock was never set does not make them look as if
//! they were of every hour since 2000; and what lasts so long that only a clock can be the reason is told by its signals.

use std::time::Duration;

use watchfire_model::{Fill, Gap, Instant, SignalId};
use watchfire_pipeline::GapBegins;

use crate::bytes::{Reader, put_varint};
use crate::hours::{Hours, begin_of, held_hour_of};

/// What lasts for more hours is no part of the runs: a month.
const LASTING_HOURS: u32 = 32 * 24;

/// Signals, from the first of them to the last.
pub type Signals = (SignalId, SignalId);

/// Of which signals and hours something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The hours of what is not long.
    hours: Hours,
    /// The signals of that.
    signals: Option<Signals>,
    /// The signals of what is long: it may be of any hour.
    long: Option<Signals>,
}

impl Reach {
    /// That of gaps. Costs a sort of their hours.
    pub fn of_gaps<'g>(gaps: impl Iterator<Item = &'g Gap>) -> Self {
        const ALL: Signals = (SignalId(0), SignalId(u32::MAX));
        Self::of(gaps.map(|gap| (gap.signal.map_or(ALL, |signal| (signal, signal)), (gap.since, gap.until))))
    }

    /// That of what became of gaps.
    pub fn of_fills(fills: &[Fill]) -> Self {
        Self::of(fills.iter().map(|fill| ((fill.signal, fill.signal), (fill.since, fill.until))))
    }

    fn of(each: impl Iterator<Item = (Signals, (Instant, Instant))>) -> Self {
        let (mut signals, mut long, mut short) = (None, None, Vec::new());
        for (of, (since, until)) in each {
            let hours = held_hour_of(since.max(until)) - held_hour_of(since.min(until));
            if hours > LASTING_HOURS {
                long = widest(long, Some(of));
            } else {
                signals = widest(signals, Some(of));
                short.push((since, until));
            }
        }
        Self { hours: Hours::of_lasting(short.into_iter()), signals, long }
    }

    /// That of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            hours: self.hours.with(other.hours),
            signals: widest(self.signals, other.signals),
            long: widest(self.long, other.long),
        }
    }

    /// Whether something of it may touch a time and be of some signals, or of any.
    pub fn concerns(&self, signals: Option<Signals>, (from, to): (Instant, Instant)) -> bool {
        self.is_of(signals, || self.hours.touch(held_hour_of(from), held_hour_of(to)))
    }

    /// Whether something of it may tell what became of one of these gaps.
    pub fn concerns_any(&self, begins: &GapBegins) -> bool {
        self.is_of(Some(begins.signals()), || {
            self.hours.runs().any(|(first, last)| {
                // What lies before 1970 is in the first hour.
                let since = if first == 0 { Instant::MIN } else { begin_of(first) };
                begins.any_within(since, begin_of(last.saturating_add(1)).minus(Duration::from_nanos(1)))
            })
        })
    }

    fn is_of(&self, signals: Option<Signals>, in_time: impl FnOnce() -> bool) -> bool {
        meet(self.long, signals) || (meet(self.signals, signals) && in_time())
    }

    /// Appends it.
    pub fn put(&self, out: &mut Vec<u8>) {
        self.hours.put(out);
        for signals in [self.signals, self.long] {
            let Some((first, last)) = signals else {
                put_varint(0, out);
                continue;
            };
            put_varint(u64::from(first.0) + 1, out);
            put_varint(u64::from(last.0 - first.0), out);
        }
    }

    /// Reads it; `None` when the bytes are none.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let hours = Hours::read(reader)?;
        let mut signals = || {
            let first = reader.varint()?;
            let Some(first) = first.checked_sub(1) else { return Some(None) };
            let last = first.checked_add(reader.varint()?)?;
            Some(Some((SignalId(u32::try_from(first).ok()?), SignalId(u32::try_from(last).ok()?))))
        };
        Some(Self { hours, signals: signals()?, long: signals()? })
    }
}

fn widest(a: Option<Signals>, b: Option<Signals>) -> Option<Signals> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

/// Whether there are any, and perhaps some of those that are asked for: all where none are named.
fn meet(own: Option<Signals>, asked: Option<Signals>) -> bool {
    own.is_some_and(|(first, last)| asked.is_none_or(|(from, to)| first <= to && from <= last))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use watchfire_model::{GapCause, StatusCode};

    use super::*;

    fn at(hour: i64) -> Instant {
        Instant::from_s(hour * 3600 + 7)
    }

    fn gap(signal: u32, since: i64, until: i64) -> Gap {
        Gap { signal: Some(SignalId(signal)), since: at(since), until: at(until), cause: GapCause::SourceLost }
    }

    fn of(signal: u32) -> Option<Signals> {
        Some((SignalId(signal), SignalId(signal)))
    }

    #[test]
    fn one_clock_that_was_never_set_concerns_nobody_who_asks_of_another_time_or_signal() {
        // The last one begins in 2000 and ends now.
        let gaps = [gap(3, 490_000, 490_001), gap(5, 262_968, 262_970), gap(9, 262_970, 490_000)];
        let reach = Reach::of_gaps(gaps.iter());
        for (signals, from, to, expected) in [
            (of(3), 490_001, 490_009, true),
            (of(3), 490_002, 490_009, false),
            (of(3), 300_000, 489_999, false),
            (of(3), 262_969, 262_969, true),
            (of(2), 490_000, 490_001, false),
            (of(9), 300_000, 300_000, true),
            (None, 300_000, 300_000, true),
            (of(10), 300_000, 300_000, false),
        ] {
            assert_eq!(reach.concerns(signals, (at(from), at(to))), expected, "{signals:?} from {from} to {to}");
        }
        assert!(!Reach::default().concerns(None, (Instant::MIN, Instant::MAX)));
        let all = Gap { signal: None, ..gap(0, 5, 6) };
        assert!(Reach::of_gaps([all].iter()).concerns(of(77), (at(5), at(5))));
    }

    proptest! {
        #[test]
        fn nothing_that_concerns_somebody_is_ever_passed_over(
            fills in prop::collection::vec((0..9_u32, -50..4_000_i64, 0..2_000_i64), 1..30),
            others in prop::collection::vec((0..90_u32, 0..600_000_i64, 0..300_000_i64), 0..30),
            within in 0..1000_i64,
        ) {
            let made = |each: &[(u32, i64, i64)]| -> Vec<Fill> {
                let fill = |(signal, since, hours): &(u32, i64, i64)| Fill {
                    signal: SignalId(*signal), since: at(*since), until: at(since + hours), values: 0,
                    status: StatusCode::GOOD,
                };
                each.iter().map(fill).collect()
            };
            let (fills, others) = (made(&fills), made(&others));
            let reach = Reach::of_fills(&fills).with(Reach::of_fills(&others));
            let mut bytes = Vec::new();
            reach.put(&mut bytes);
            let mut reader = Reader(&bytes);
            prop_assert_eq!(Reach::read(&mut reader), Some(reach));
            prop_assert!(reader.0.is_empty());
            for fill in fills.iter().chain(&others) {
                let (since, until) = (fill.since.ns(), fill.until.ns());
                let begin = Instant::from_ns(since + (until - since) / 1000 * within);
                prop_assert!(reach.concerns(of(fill.signal.0), (begin, begin)));
                let begins = GapBegins::of([(fill.signal, begin)].into_iter()).unwrap();
                prop_assert!(reach.concerns_any(&begins));
            }
        }
    }
}
