//! OPC UA times (100 ns ticks since 1601) and the model's (nanoseconds since 1970). Reads no clock.

use opcua::types::DateTime;
use watchfire_model::Instant;

const NS_PER_TICK: i64 = 100;
const TICKS_PER_S: i64 = 10_000_000;
/// Seconds from 1601-01-01 to 1970-01-01.
const EPOCH_OFFSET_S: i64 = 11_644_473_600;
const EPOCH_OFFSET_TICKS: i64 = EPOCH_OFFSET_S * TICKS_PER_S;
/// Units of a picosecond field (OPC 10000-4 §7.11): 10 ps each.
const PICO_UNITS_PER_NS: u16 = 100;

/// Nanoseconds since 1970 of ticks since 1601; `None` outside the years 1678 to 2262.
#[must_use]
pub const fn ns_from_ticks(ticks: i64) -> Option<i64> {
    match ticks.checked_sub(EPOCH_OFFSET_TICKS) {
        Some(since_1970) => since_1970.checked_mul(NS_PER_TICK),
        None => None,
    }
}

/// Ticks since 1601 of nanoseconds since 1970, rounded down.
#[must_use]
pub const fn ticks_from_ns(ns: i64) -> i64 {
    ns.div_euclid(NS_PER_TICK) + EPOCH_OFFSET_TICKS
}

/// The model's time of an OPC UA time stamp and its picosecond field. `None` for the null time (OPC 10000-6
/// §5.2.2.5); times that the model cannot hold become its first or last.
#[must_use]
pub fn instant_from_date_time(time: &DateTime, picoseconds: Option<u16>) -> Option<Instant> {
    let chrono = time.as_chrono();
    // `is_null` counts ticks since 1601 for this, twice for each value received.
    if chrono.timestamp() == -EPOCH_OFFSET_S && chrono.timestamp_subsec_nanos() == 0 {
        return None;
    }
    let ns = chrono.timestamp_nanos_opt().unwrap_or(if chrono.timestamp() < 0 { i64::MIN } else { i64::MAX });
    Some(Instant::from_ns(ns.saturating_add(i64::from(picoseconds.unwrap_or(0) / PICO_UNITS_PER_NS))))
}

/// The OPC UA time stamp of a time, and the picosecond field that keeps what is below a tick (`None` for nothing).
#[must_use]
pub fn date_time_from_instant(time: Instant) -> (DateTime, Option<u16>) {
    let below_tick_ns = u16::try_from(time.ns().rem_euclid(NS_PER_TICK)).unwrap_or(0);
    let picoseconds = (below_tick_ns > 0).then_some(below_tick_ns * PICO_UNITS_PER_NS);
    (DateTime::from(ticks_from_ns(time.ns())), picoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_the_way_there_and_back_to_the_nanosecond() {
        for ns in [0, 1, 99, 100, -1, -100, 1_795_341_600_123_456_789, -9_000_000_000_000_000_001, i64::MAX] {
            let (date_time, picoseconds) = date_time_from_instant(Instant::from_ns(ns));
            assert_eq!(instant_from_date_time(&date_time, picoseconds), Some(Instant::from_ns(ns)), "{ns}");
        }
    }

    #[test]
    fn ticks_count_from_1601() {
        assert_eq!(ticks_from_ns(0), 116_444_736_000_000_000);
        assert_eq!(ns_from_ticks(116_444_736_000_000_001), Some(100));
        assert_eq!(ns_from_ticks(0), None);
        assert_eq!(DateTime::from(ticks_from_ns(0)).ticks(), 116_444_736_000_000_000);
    }

    #[test]
    fn the_null_time_is_no_time_and_far_times_are_clamped() {
        assert_eq!(instant_from_date_time(&DateTime::null(), None), None);
        assert_eq!(instant_from_date_time(&DateTime::endtimes(), None), Some(Instant::MAX));
        assert_eq!(instant_from_date_time(&DateTime::ymd(1602, 1, 1), None), Some(Instant::MIN));
    }
}
