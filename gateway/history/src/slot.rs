//! Which database samples lie in: one of the UTC day on which their frames were cut, or of the next part of that day
//! where the one before has grown large. A database keeps in memory where its pages are, and reads all of itself after a
//! kill: both are bounded by its size.

use std::fmt;

use watchfire_model::Instant;

const NS_PER_DAY: i64 = 86_400_000_000_000;
const S_PER_DAY: i64 = 86_400;
/// Bytes of a day's name, `2026-03-01`.
const DAY_BYTES: usize = 10;
/// Bytes of a later part's name, `2026-03-01-002`.
const PART_BYTES: usize = 4;

/// A part of a UTC day. In the order of time, and written as the name of its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Days since 1970-01-01.
    pub day: i32,
    /// 0 for the first part of a day.
    pub part: u16,
}

impl Slot {
    /// The first slot of the day of a time.
    pub fn first_of(at: Instant) -> Self {
        // 2^63 ns are 106,752 days.
        Self { day: at.ns().div_euclid(NS_PER_DAY) as i32, part: 0 }
    }

    /// The next part of the same day; the last one has none, and grows.
    pub const fn next(self) -> Self {
        Self { day: self.day, part: self.part.saturating_add(1) }
    }

    /// The last slot that its day can have.
    pub const fn last_of_day(self) -> Self {
        Self { day: self.day, part: u16::MAX }
    }

    /// The first time after its day.
    pub fn end(self) -> Instant {
        Instant::from_s((i64::from(self.day) + 1) * S_PER_DAY)
    }

    /// Whether a folder has the form of a slot's name.
    pub fn is_name(found: &str) -> bool {
        let is_digit = |byte: &u8| byte.is_ascii_digit();
        match found.as_bytes().split_at_checked(DAY_BYTES) {
            Some((_, [])) => true,
            Some((_, [b'-', digits @ ..])) => digits.len() + 1 >= PART_BYTES && digits.iter().all(is_digit),
            _ => false,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begin = Instant::from_s(i64::from(self.day) * S_PER_DAY).to_string();
        f.write_str(begin.get(..DAY_BYTES).unwrap_or(&begin))?;
        if self.part == 0 { Ok(()) } else { write!(f, "-{:03}", u32::from(self.part) + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_slot_with_a_name() {
        for (at, expected) in [
            (Instant::MIN, "1677-09-21"),
            (Instant::from_ns(-1), "1969-12-31"),
            (Instant::from_ns(0), "1970-01-01"),
            (Instant::MAX, "2262-04-11"),
        ] {
            let slot = Slot::first_of(at);
            assert_eq!((slot.to_string().as_str(), Slot::is_name(expected)), (expected, true));
            assert!(at < slot.end() || at == Instant::MAX);
        }
    }

    #[test]
    fn later_parts_are_named_and_sorted_after_the_first() {
        let mut slots = vec![Slot { day: 20_513, part: 0 }];
        (0..1200).for_each(|n| slots.push(slots[n].next()));
        assert_eq!(slots[1].to_string(), "2026-03-01-002");
        assert_eq!(slots[1200].to_string(), "2026-03-01-1201");
        assert!(slots.is_sorted() && slots.iter().all(|slot| Slot::is_name(&slot.to_string())));
        assert!(slots[1200] < Slot { day: 20_514, part: 0 });
        for other in ["2026-03-01.damaged", "2026-03-01-002.dropped", "2026-03-01-0x2", "2026-03-01-02", "x"] {
            assert!(!Slot::is_name(other), "{other}");
        }
    }
}
