//! Why a sample is novel, in one plain sentence and with what was expected.

use watchfire_detector::{Finding, Level, Signal, Verdict, number};

use crate::channel::Seen;
use crate::nova::{Judged, Which};

const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// A sample that was reported.
#[derive(Clone, Copy, Debug)]
pub struct Reported {
    pub at: i64,
    pub value: f64,
    pub judged: Judged,
}

impl Reported {
    /// The verdict for a sample of `signal`, which stands at `index`.
    pub fn verdict(&self, index: u32, signal: &Signal) -> Verdict {
        let Judged { which, seen, score, .. } = self.judged;
        let (why, observed, low, high) = match which {
            Which::Value => self.by_value(seen, signal),
            Which::Hour => self.by_hour(seen, signal),
            Which::Volatility => self.by_volatility(seen),
        };
        let finding = Finding { signal: index, observed, low, high, share: 1.0 };
        Verdict {
            condition: 0,
            instance: index,
            at: self.at,
            level: Level::Active,
            score: Some(score),
            why,
            evidence: vec![finding],
        }
    }

    fn by_value(&self, seen: Seen, signal: &Signal) -> Told {
        let shown = signal.show(self.value);
        let (low, high) = usual(seen, self.value, 0.0);
        let why = match (seen.below, seen.above, seen.range) {
            (Some(below), Some(above), _) => {
                let (below, above) = (number(below), signal.show(above));
                format!("{shown} was never seen; the nearest values learned are {below} and {above}")
            }
            (_, _, Some((least, most))) => {
                let side = if self.value > most { "above" } else { "below" };
                format!("{shown} is {side} all values learned, {} to {}", number(least), signal.show(most))
            }
            _ => format!("{shown} was never seen"),
        };
        (why, self.value, low, high)
    }

    fn by_hour(&self, seen: Seen, signal: &Signal) -> Told {
        let (low, high) = usual(seen, self.value - self.judged.hour_mean, self.judged.hour_mean);
        let day = DAYS.get(self.judged.slot / 24).copied().unwrap_or_default();
        let (shown, mean, hour) = (signal.show(self.value), signal.show(self.judged.hour_mean), self.judged.slot % 24);
        let why =
            format!("{shown} is unusual on a {day} between {hour} and {} h, when about {mean} is usual", hour + 1);
        (why, self.value, low, high)
    }

    fn by_volatility(&self, seen: Seen) -> Told {
        let (low, high) = usual(seen, self.judged.deviation, 0.0);
        let now = number(self.judged.deviation);
        let why = match seen.range {
            Some((_, most)) if self.judged.deviation > most => {
                format!(
                    "the value jumps: a standard deviation of {now} over 3 samples, at most {} was learned",
                    number(most)
                )
            }
            Some((least, _)) if self.judged.deviation < least => {
                format!(
                    "the value is too still: a standard deviation of {now} over 3 samples, at least {} was learned",
                    number(least)
                )
            }
            _ => format!("the value moves as never seen: a standard deviation of {now} over 3 samples"),
        };
        (why, self.judged.deviation, low, high)
    }
}

/// A sentence, what was observed, and the least and the most that was expected.
type Told = (String, f64, Option<f64>, Option<f64>);

/// The range learned; for a number inside it the one learned that is nearest, as the bound on its side.
fn usual(seen: Seen, x: f64, offset: f64) -> (Option<f64>, Option<f64>) {
    let (low, high) = match (seen.below, seen.above) {
        (Some(below), Some(above)) if x - below <= above - x => (None, Some(below)),
        (Some(_), Some(above)) => (Some(above), None),
        _ => seen.range.unzip(),
    };
    (low.map(|low| low + offset), high.map(|high| high + offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Nova, hour_of_week};

    fn told(which: Which, values: impl Iterator<Item = f64>, last: f64) -> Verdict {
        let mut nova = Nova::default();
        for (hour, value) in (0..).zip(values) {
            nova.offer(value, hour_of_week(hour * 3_600), 0);
        }
        // A Friday, 14:20.
        let slot = hour_of_week(604_800 + 86_400 + 14 * 3_600 + 1_200);
        let seen = nova.seen_by(which, last, slot);
        let judged = nova.offer(last, slot, 0);
        let signal = Signal { unit: Some("Cel".into()), ..Signal::default() };
        Reported { at: 5, value: last, judged: Judged { which, seen, ..judged } }.verdict(3, &signal)
    }

    #[test]
    fn a_verdict_says_what_was_seen_and_what_was_learned() {
        let steady = |hour: i32| 50.0 + f64::from(hour * 37 % 100) / 10.0;
        let above = told(Which::Value, (0..400).map(steady), 95.0);
        assert_eq!(above.why, "95 °C is above all values learned, 50 to 59.9 °C");
        assert_eq!((above.evidence[0].low, above.evidence[0].high), (Some(50.0), Some(59.9)));
        assert_eq!((above.instance, above.at, above.level), (3, 5, Level::Active));

        let halves = |hour: i32| steady(hour) + if hour % 2 == 0 { 0.0 } else { 40.0 };
        let between = told(Which::Value, (0..400).map(halves), 70.0);
        assert_eq!(between.why, "70 °C was never seen; the nearest values learned are 59.8 and 90.1 °C");
        assert_eq!((between.evidence[0].low, between.evidence[0].high), (None, Some(59.8)));

        let by_day = |hour: i32| steady(hour) + if (8..18).contains(&(hour % 24)) { 40.0 } else { 0.0 };
        let hour = told(Which::Hour, (0..1_200).map(by_day), 52.3);
        assert!(
            hour.why.starts_with("52.3 °C is unusual on a Friday between 14 and 15 h, when about 9"),
            "{}",
            hour.why
        );
        assert!(hour.evidence[0].low.is_some_and(|low| low > 52.3), "{hour:?}");

        let jump = told(Which::Volatility, (0..400).map(steady), 95.0);
        assert!(jump.why.starts_with("the value jumps: a standard deviation of 19.175 over 3"), "{}", jump.why);
    }
}
