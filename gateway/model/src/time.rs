//! Points in time. Knows no clock: reading one is `Clock`'s affair.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in UTC time: nanoseconds since 1970-01-01T00:00:00Z, which covers the years 1678 to 2262.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instant(i64);

const NS_PER_S: i64 = 1_000_000_000;
const S_PER_DAY: i64 = 86_400;

impl Instant {
    /// The earliest representable time.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest representable time.
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn from_ns(ns: i64) -> Self {
        Self(ns)
    }

    /// From whole seconds since the Unix epoch, saturating.
    #[must_use]
    pub const fn from_s(s: i64) -> Self {
        Self(s.saturating_mul(NS_PER_S))
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn ns(self) -> i64 {
        self.0
    }

    /// This time plus `d`, saturating.
    #[must_use]
    pub fn plus(self, d: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// This time minus `d`, saturating.
    #[must_use]
    pub fn minus(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// Nanoseconds from `earlier` to `self`, negative if it is later; saturating.
    #[must_use]
    pub const fn since_ns(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Parses RFC 3339 (`2026-03-01T12:00:00.5Z`, any offset) or a plain UTC date (`2026-03-01`).
    /// `None` when the text is neither, or outside the range of this type.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let mut parts = date.split('-');
        let year: i64 = parts.next()?.parse().ok()?;
        let month: i64 = parts.next()?.parse().ok()?;
        let day: i64 = parts.next()?.parse().ok()?;
        if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
            return None;
        }
        let midnight = days_from_civil(year, month, day).checked_mul(S_PER_DAY)?;
        let (within_s, sub_ns) = if rest.is_empty() { (0, 0) } else { parse_time_of_day(rest)? };
        // The earliest time lies in a second that begins before it.
        let ns = i128::from(midnight.checked_add(within_s)?) * i128::from(NS_PER_S) + i128::from(sub_ns);
        i64::try_from(ns).ok().map(Self)
    }
}

/// `T12:00:00.5+01:00` to seconds of the day in UTC (may be negative or past a day) and nanoseconds.
fn parse_time_of_day(rest: &str) -> Option<(i64, i64)> {
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let split = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at_checked(split)?;
    let offset_s = match zone {
        "Z" | "z" => 0,
        _ => {
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            let (h, m) = zone.get(1..)?.split_once(':')?;
            sign * (two_digits(h, 23)? * 3600 + two_digits(m, 59)? * 60)
        }
    };
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = whole.split(':');
    let h = two_digits(parts.next()?, 23)?;
    let m = two_digits(parts.next()?, 59)?;
    let s = two_digits(parts.next()?, 60)?;
    if parts.next().is_some() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let sub_ns = format!("{fraction:0<9}").parse::<i64>().ok()?;
    Some((h * 3600 + m * 60 + s - offset_s, sub_ns))
}

fn two_digits(text: &str, most: i64) -> Option<i64> {
    let value = (text.len() == 2).then(|| text.parse::<i64>().ok()).flatten()?;
    (0..=most).contains(&value).then_some(value)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a proleptic Gregorian date (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date of a day number, the inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

impl fmt::Display for Instant {
    /// RFC 3339 in UTC with as many decimals as are needed: none, 3, 6 or 9.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.0.div_euclid(NS_PER_S);
        let ns = self.0.rem_euclid(NS_PER_S);
        let (year, month, day) = civil_from_days(s.div_euclid(S_PER_DAY));
        let within = s.rem_euclid(S_PER_DAY);
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", within / 3600, within / 60 % 60, within % 60)?;
        match ns {
            0 => {}
            _ if ns % 1_000_000 == 0 => write!(f, ".{:03}", ns / 1_000_000)?,
            _ if ns % 1_000 == 0 => write!(f, ".{:06}", ns / 1_000)?,
            _ => write!(f, ".{ns:09}")?,
        }
        f.write_str("Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_time_agree() {
        for (text, ns) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:34:56.789Z", 951_827_696_789_000_000),
            ("1969-12-31T23:59:59.999999999Z", -1),
            ("2026-11-22T10:00:00.000001Z", 1_795_341_600_000_001_000),
            ("1677-09-21T00:12:43.145224192Z", i64::MIN),
            ("2262-04-11T23:47:16.854775807Z", i64::MAX),
        ] {
            assert_eq!(Instant::parse(text), Some(Instant::from_ns(ns)), "{text}");
            assert_eq!(Instant::from_ns(ns).to_string(), text);
        }
        assert_eq!(Instant::parse("2026-01-01T01:00:00+01:00"), Instant::parse("2026-01-01"));
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in ["", "now", "2026-13-01", "2026-02-29", "2026-01-01T25:00:00Z", "2026-01-01T00:00:00", "9999-01-01"]
        {
            assert_eq!(Instant::parse(text), None, "{text}");
        }
    }
}
