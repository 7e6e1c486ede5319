//! What is known of each signal's time line: the last time of which something is known, and whether a gap is owed.
//! Pure; knows no connection.

use watchfire_model::{Gap, GapCause, Instant, SignalId};

/// Sixteen bytes, since each value looks its signal up.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// [`NEVER`] before the first value.
    last: Instant,
    signal: SignalId,
    owed: Option<GapCause>,
    open: bool,
}

const NEVER: Instant = Instant::MIN;

/// One entry for each signal, in the order of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Ledger(Vec<Entry>);

impl Ledger {
    pub(crate) fn new(signals: impl Iterator<Item = SignalId>) -> Self {
        Self(signals.map(|signal| Entry { last: NEVER, signal, owed: None, open: true }).collect())
    }

    /// The signal at a place, and whether its kind is left to its values.
    pub(crate) fn signal(&self, at: usize) -> Option<(SignalId, bool)> {
        self.0.get(at).map(|entry| (entry.signal, entry.open))
    }

    /// Says whether the kind of a signal is left to its values, as it is at first.
    pub(crate) fn set_open(&mut self, at: usize, open: bool) {
        if let Some(entry) = self.0.get_mut(at) {
            entry.open = open;
        }
    }

    /// From now on values of every signal may be missing, until its next one comes. A cause that stands stays.
    pub(crate) fn owe_all(&mut self, cause: GapCause) {
        for at in 0..self.0.len() {
            self.owe(at, cause);
        }
    }

    /// The same for one signal. Of a signal that has never had a value nothing can be missing.
    pub(crate) fn owe(&mut self, at: usize, cause: GapCause) {
        if let Some(entry) = self.0.get_mut(at)
            && entry.last != NEVER
        {
            entry.owed.get_or_insert(cause);
        }
    }

    /// A value has come, its time given; `overflow` when the server says that others before it were dropped. Returns
    /// the gap that it ends. A value with the time of the last one ends a gap without any: nothing had changed.
    pub(crate) fn value(&mut self, at: usize, time: Instant, overflow: bool) -> Option<Gap> {
        let entry = self.0.get_mut(at)?;
        let owed = entry.owed.take();
        let cause = if overflow { Some(GapCause::Overflow) } else { owed };
        let last = std::mem::replace(&mut entry.last, time);
        let cause = cause.filter(|_| last != NEVER)?;
        let (since, until) = (last.min(time), last.max(time));
        (since < until).then_some(Gap { signal: Some(entry.signal), since, until, cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger::new([SignalId(10), SignalId(11)].into_iter())
    }

    fn gap(signal: u32, since_s: i64, until_s: i64, cause: GapCause) -> Option<Gap> {
        let (since, until) = (Instant::from_s(since_s), Instant::from_s(until_s));
        Some(Gap { signal: Some(SignalId(signal)), since, until, cause })
    }

    #[test]
    fn an_outage_is_a_gap_from_the_last_value_to_the_first_new_one() {
        let mut ledger = ledger();
        assert_eq!(ledger.value(0, Instant::from_s(1), false), None);
        assert_eq!(ledger.value(0, Instant::from_s(2), false), None);
        ledger.owe_all(GapCause::SourceLost);
        ledger.owe_all(GapCause::Overflow);
        assert_eq!(ledger.value(0, Instant::from_s(9), false), gap(10, 2, 9, GapCause::SourceLost));
        assert_eq!(ledger.value(0, Instant::from_s(10), false), None, "once");
    }

    #[test]
    fn a_value_that_did_not_change_during_an_outage_leaves_no_gap() {
        let mut ledger = ledger();
        ledger.value(0, Instant::from_s(2), false);
        ledger.owe(0, GapCause::SourceLost);
        assert_eq!(ledger.value(0, Instant::from_s(2), false), None);
        assert_eq!(ledger.value(0, Instant::from_s(3), false), None);
    }

    #[test]
    fn an_overflow_is_a_gap_before_its_value() {
        let mut ledger = ledger();
        assert_eq!(ledger.value(1, Instant::from_s(1), true), None, "nothing is known of the time before");
        assert_eq!(ledger.value(1, Instant::from_s(4), true), gap(11, 1, 4, GapCause::Overflow));
    }

    #[test]
    fn nothing_is_missing_of_a_signal_that_never_had_a_value_and_a_clock_may_step_back() {
        let mut ledger = ledger();
        ledger.owe_all(GapCause::SourceLost);
        assert_eq!(ledger.value(0, Instant::from_s(5), false), None);
        ledger.owe_all(GapCause::SourceLost);
        assert_eq!(ledger.value(0, Instant::from_s(3), false), gap(10, 3, 5, GapCause::SourceLost));
        assert_eq!(ledger.value(7, Instant::from_s(3), false), None, "no such signal");
    }
}
