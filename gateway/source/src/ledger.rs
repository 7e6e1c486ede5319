//! What is known of each signal's time line: the last time of which something is known, and whether a gap is owed.
//! Pure; knows no connection.

use std::collections::HashMap;
use std::time::Duration;

use watchfire_model::{Gap, GapCause, Instant, SignalId};
use watchfire_pipeline::Last;

mod awaited;

/// Sixteen bytes, since each value looks its signal up.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// [`NEVER`] before the first value.
    last: Instant,
    signal: SignalId,
    owed: Option<GapCause>,
    marks: u8,
    /// Which of the losses it was since when values are owed.
    loss: u16,
}

const NEVER: Instant = Instant::MIN;

/// A moment by our clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// What people take it for; it may be set back.
    pub wall: Instant,
    /// Since the source was made, which goes on whatever the other does; `None` before that.
    pub steady: Option<Duration>,
}

/// Nothing is owed, or since before anything was heard.
const NO_LOSS: u16 = u16::MAX;

/// The signal's kind is left to its values.
const OPEN: u8 = 1;
/// Its monitored item is being made, or just was: what comes next is the value that stood.
const FRESH: u8 = 2;
/// `last` is not the time of a value: only that all up to there is known.
const ROUGH: u8 = 4;
/// Nothing has come of it since this mark was set.
const QUIET: u8 = 16;
/// Its server has told that it is out of reach itself.
const AWAY: u8 = 32;
/// And it is by our clock.
const OURS: u8 = 64;
/// Its monitored item carries the values of several signals: what comes has parts.
const CARRIER: u8 = 8;
/// Its server says that it is a number, a time or a truth.
const NUMBER: u8 = 128;

/// What a value is in its signal's time line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The gap that it ends.
    pub gap: Option<Gap>,
    /// Where a clock was set back meanwhile: what may have been given before that.
    pub before_step: Option<Gap>,
    /// Whether it is no newer than what was known when its node began to be watched: it may have been received before.
    pub stood: bool,
}

impl Seen {
    /// All the gaps that it ends.
    pub(crate) fn gaps(self) -> impl Iterator<Item = Gap> {
        self.gap.into_iter().chain(self.before_step)
    }
}

/// One entry for each signal, in the order of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    entries: Vec<Entry>,
    /// When something was heard last.
    heard: Option<Moment>,
    /// When it was before values of signals began to be owed: signals are lost together, or one after the other.
    losses: Vec<Option<Moment>>,
    /// Of how many signals values are owed since one of the losses.
    owing: usize,
    /// The last time that was known of the signals that are out of reach of their server, by place.
    away: HashMap<usize, Instant>,
}

/// How much longer than we know of a source may have given what did not come.
const SPARE: Duration = Duration::from_secs(5);
/// So long the gateway is taken to have been away where its clock was set back meanwhile, and it cannot tell.
const UNTOLD: Duration = Duration::from_secs(3_600);

impl Ledger {
    pub(crate) fn new(signals: impl Iterator<Item = SignalId>) -> Self {
        let entries =
            signals.map(|signal| Entry { last: NEVER, signal, owed: None, marks: OPEN, loss: NO_LOSS }).collect();
        Self { entries, heard: None, losses: Vec::new(), owing: 0, away: HashMap::new() }
    }

    /// The signal at a place, and whether its kind is left to its values.
    pub(crate) fn signal(&self, at: usize) -> Option<(SignalId, bool)> {
        self.entries.get(at).map(|entry| (entry.signal, entry.marks & OPEN != 0))
    }

    /// The next places, from `from` on and around, of which nothing has come since they were last passed here; `count`
    /// of them at the most. Also where to go on.
    pub(crate) fn quiet(&mut self, from: usize, count: usize) -> (Vec<usize>, usize) {
        let (mut quiet, all) = (Vec::new(), self.entries.len());
        for passed in 0..all {
            let at = (from + passed) % all;
            if quiet.len() >= count {
                return (quiet, at);
            }
            if let Some(entry) = self.entries.get_mut(at) {
                if entry.marks & QUIET != 0 {
                    quiet.push(at);
                }
                entry.marks |= QUIET;
            }
        }
        (quiet, from)
    }

    /// Whether nothing has come of a place since it was last passed by [`Ledger::quiet`].
    pub(crate) fn is_quiet(&self, at: usize) -> bool {
        self.entries.get(at).is_some_and(|entry| entry.marks & QUIET != 0)
    }

    /// Whether what comes for this place has parts.
    pub(crate) fn is_carrier(&self, at: usize) -> bool {
        self.entries.get(at).is_some_and(|entry| entry.marks & CARRIER != 0)
    }

    /// Says that what comes for this place has parts.
    pub(crate) fn set_carrier(&mut self, at: usize) {
        self.set(at, CARRIER, true);
    }

    /// Says whether the kind of a signal is left to its values, as it is at first.
    pub(crate) fn set_open(&mut self, at: usize, open: bool) {
        self.set(at, OPEN, open);
    }

    /// Says whether a signal's server declares it to be a number, a time or a truth.
    pub(crate) fn set_number(&mut self, at: usize, number: bool) {
        self.set(at, NUMBER, number);
    }

    /// Whether a signal's server declares it so.
    pub(crate) fn is_number(&self, at: usize) -> bool {
        self.entries.get(at).is_some_and(|entry| entry.marks & NUMBER != 0)
    }

    fn set(&mut self, at: usize, mark: u8, on: bool) {
        if let Some(entry) = self.entries.get_mut(at) {
            entry.marks = if on { entry.marks | mark } else { entry.marks & !mark };
        }
    }

    /// What was recorded before the start: of each signal the time of its last value as far as it is known, else the
    /// time up to which nothing can be missing. What came after was not recorded. `since`: when that began, by our clock.
    pub(crate) fn recorded(
        &mut self,
        last_of: impl Fn(SignalId) -> Option<Last>,
        all_until: Instant,
        since: Option<Instant>,
    ) {
        if let Some(wall) = since {
            self.losses = vec![Some(Moment { wall, steady: None })];
            self.owing = self.entries.len();
        }
        for entry in &mut self.entries {
            entry.loss = if since.is_some() { 0 } else { NO_LOSS };
            let last = last_of(entry.signal);
            entry.last = last.map_or(all_until, Last::time);
            entry.marks |= if matches!(last, None | Some(Last::Received(_))) { ROUGH } else { 0 };
            entry.owed = Some(GapCause::NotRecorded);
        }
    }

    /// The times up to which all of some signals is known are by our clock, and not by their source's.
    pub(crate) fn by_our_clock(&mut self, is_so: impl Fn(SignalId) -> bool) {
        for entry in self.entries.iter_mut().filter(|entry| entry.marks & ROUGH != 0 && is_so(entry.signal)) {
            entry.marks |= OURS;
        }
    }

    /// Whether the time up to which all of a signal is known is by our clock.
    pub(crate) fn is_by_our_clock(&self, at: usize) -> bool {
        self.entries.get(at).is_some_and(|entry| entry.marks & OURS != 0)
    }

    /// Its server's clock is ahead of ours by so much, or behind it: so is that time.
    pub(crate) fn shift(&mut self, at: usize, ahead_ns: i64) {
        if let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.marks & OURS != 0) {
            entry.marks &= !OURS;
            entry.last = Instant::from_ns(entry.last.ns().saturating_add(ahead_ns));
        }
    }

    /// Whether a value of a signal is awaited: its first, or the one that ends a gap.
    pub(crate) fn awaits(&self, at: usize) -> bool {
        self.entries.get(at).is_some_and(|entry| entry.owed.is_some() || entry.last == NEVER)
    }

    /// The signal's monitored item is being made: its next value is the one that stands.
    pub(crate) fn begin(&mut self, at: usize) {
        if let Some(entry) = self.entries.get_mut(at) {
            entry.marks |= FRESH;
        }
    }

    /// All that happened up to a time is known, as it is of a stream of events whose subscription lives.
    pub(crate) fn heard(&mut self, at: usize, time: Instant) {
        if let Some(entry) = self.entries.get_mut(at)
            && entry.owed.is_none()
        {
            entry.last = entry.last.max(time);
        }
    }

    /// From now on values of a signal may be missing, until its next one comes. A cause that stands stays. Of a signal
    /// that has never had a value nothing can be missing.
    pub(crate) fn owe(&mut self, at: usize, cause: GapCause) {
        self.owe_from(at, cause, self.heard);
    }

    /// When something was heard last.
    pub(crate) const fn heard_last(&self) -> Option<Moment> {
        self.heard
    }

    /// The same of what may be missing since an earlier moment, though something was heard after it.
    pub(crate) fn owe_from(&mut self, at: usize, cause: GapCause, since: Option<Moment>) {
        let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.last != NEVER) else { return };
        entry.owed.get_or_insert(cause);
        if entry.loss != NO_LOSS {
            return;
        }
        if self.losses.last() != Some(&since) && self.losses.len() < NO_LOSS.into() {
            self.losses.push(since);
        }
        // Of very many losses the last are taken for one.
        entry.loss = self.losses.len().saturating_sub(1).try_into().unwrap_or(NO_LOSS);
        self.owing += 1;
    }

    /// When something was heard last before values of a signal began to be owed, which they are no longer.
    fn settle(&mut self, at: usize) -> Option<Moment> {
        let entry = self.entries.get_mut(at)?;
        let loss = std::mem::replace(&mut entry.loss, NO_LOSS);
        let lost = self.losses.get(usize::from(loss)).copied().flatten().filter(|lost| lost.wall != NEVER);
        if loss != NO_LOSS {
            self.owing -= 1;
        }
        if self.owing == 0 {
            self.losses.clear();
        }
        lost
    }

    /// The last time of which something is known of a signal.
    pub(crate) fn known(&self, at: usize) -> Instant {
        self.entries.get(at).map_or(NEVER, |entry| entry.last)
    }

    /// A value has come, its time given, that says whether its signal is out of reach of the server; to be told after
    /// [`Ledger::value`], with what was known before it and whether it ended a gap. Returns the bounds of the time in
    /// which the signal was out of reach, where that ends: the server may learn later what there was meanwhile. What is
    /// a gap is no part of it, since that is fetched by itself.
    pub(crate) fn reach(
        &mut self,
        at: usize,
        is_away: bool,
        known: Instant,
        time: Instant,
        is_gap: bool,
    ) -> Option<(Instant, Instant)> {
        let entry = self.entries.get_mut(at)?;
        let was_away = entry.marks & AWAY != 0;
        if is_away == was_away && !(is_away && is_gap) {
            return None;
        }
        let since = if was_away { self.away.remove(&at) } else { None };
        entry.marks &= !AWAY;
        // Of a signal that never had a value nothing is sought.
        if is_away && known != NEVER {
            entry.marks |= AWAY;
            self.away.insert(at, if is_gap { time } else { known });
        }
        let until = if is_gap { known } else { time };
        since.filter(|since| *since < until).map(|since| (since, until))
    }

    /// A value has come `now`, its time given; `overflow` when the server says that others before it were dropped. One
    /// that stood already ends a gap without any: nothing had changed.
    pub(crate) fn value(&mut self, at: usize, time: Instant, now: Moment, overflow: bool) -> Seen {
        self.heard = Some(now);
        let lost = self.settle(at);
        let Some(entry) = self.entries.get_mut(at) else { return Seen::default() };
        let marks = entry.marks;
        entry.marks &= OPEN | CARRIER | AWAY | NUMBER;
        let (fresh, rough) = (marks & FRESH != 0, marks & ROUGH != 0);
        let owed = entry.owed.take();
        let cause = if overflow { Some(GapCause::Overflow) } else { owed };
        let last = std::mem::replace(&mut entry.last, time);
        // A time that is really earlier means that a clock was set back, unless the last one is only a bound.
        let stood = fresh && last != NEVER && (time == last || (rough && time < last));
        let cause = cause.filter(|_| last != NEVER && !stood);
        let signal = Some(entry.signal);
        let between = |since, until| cause.map(|cause| Gap { signal, since, until, cause });
        if let Some(lost) = lost.filter(|_| time < last && owed.is_some()) {
            // As long as values were owed, nobody knows when a clock was set back.
            let step = Duration::from_nanos(last.since_ns(time).try_into().unwrap_or(0));
            let reach = away(lost, now).unwrap_or_else(|| step.max(UNTOLD)).saturating_add(SPARE);
            return Seen { gap: between(time.minus(reach), time), before_step: between(last, last.plus(reach)), stood };
        }
        let (since, until) = (last.min(time), last.max(time));
        Seen { gap: between(since, until).filter(|_| since < until), before_step: None, stood }
    }
}

/// For how long nothing was heard; `None` where a clock was set back that alone could tell. The one that cannot be set
/// stands still while the machine sleeps.
fn away(lost: Moment, now: Moment) -> Option<Duration> {
    let wall = now.wall.since_ns(lost.wall).try_into().ok().map(Duration::from_nanos);
    let steady = now.steady.zip(lost.steady).map(|(now, lost)| now.saturating_sub(lost));
    wall.max(steady)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger::new([SignalId(10), SignalId(11)].into_iter())
    }

    fn gap(signal: u32, since_s: i64, until_s: i64, cause: GapCause) -> Seen {
        let (since, until) = (Instant::from_s(since_s), Instant::from_s(until_s));
        Seen { gap: Some(Gap { signal: Some(SignalId(signal)), since, until, cause }), before_step: None, stood: false }
    }

    /// When values come, where that makes no difference.
    const NOW: Moment = Moment { wall: Instant::MIN, steady: Some(Duration::ZERO) };
    const NOTHING: Seen = Seen { gap: None, before_step: None, stood: false };
    const STOOD: Seen = Seen { gap: None, before_step: None, stood: true };

    /// When no clock is set.
    fn on(wall: Instant) -> Moment {
        Moment { wall, steady: Some(Duration::from_nanos(wall.ns().try_into().unwrap())) }
    }

    fn owe_all(ledger: &mut Ledger, cause: GapCause) {
        (0..2).for_each(|at| ledger.owe(at, cause));
    }

    #[test]
    fn an_outage_is_a_gap_from_the_last_value_to_the_first_new_one() {
        let mut ledger = ledger();
        assert_eq!(ledger.value(0, Instant::from_s(1), NOW, false), NOTHING);
        assert_eq!(ledger.value(0, Instant::from_s(2), NOW, false), NOTHING);
        owe_all(&mut ledger, GapCause::SourceLost);
        owe_all(&mut ledger, GapCause::Overflow);
        assert_eq!(ledger.value(0, Instant::from_s(9), NOW, false), gap(10, 2, 9, GapCause::SourceLost));
        assert_eq!(ledger.value(0, Instant::from_s(10), NOW, false), NOTHING, "once");
    }

    #[test]
    fn a_value_that_did_not_change_during_an_outage_leaves_no_gap() {
        let mut ledger = ledger();
        ledger.value(0, Instant::from_s(2), NOW, false);
        ledger.owe(0, GapCause::SourceLost);
        assert_eq!(ledger.value(0, Instant::from_s(2), NOW, false), NOTHING);
        assert_eq!(ledger.value(0, Instant::from_s(3), NOW, false), NOTHING);
    }

    #[test]
    fn a_stream_of_events_misses_what_was_between_its_last_sign_and_its_first_new_one() {
        let mut ledger = ledger();
        assert_eq!(ledger.value(0, Instant::from_s(1), NOW, false), NOTHING, "it begins");
        ledger.heard(0, Instant::from_s(7));
        ledger.owe(0, GapCause::SourceLost);
        ledger.heard(0, Instant::from_s(8));
        assert_eq!(ledger.value(0, Instant::from_s(9), NOW, false), gap(10, 7, 9, GapCause::SourceLost));
        assert_eq!(ledger.value(0, Instant::from_s(12), NOW, true), gap(10, 9, 12, GapCause::Overflow));
    }

    #[test]
    fn those_of_which_nothing_comes_are_found_in_turn() {
        let mut ledger = Ledger::new((0..5).map(SignalId));
        assert_eq!(ledger.quiet(0, 2), (vec![], 0), "nobody was passed before");
        ledger.value(1, Instant::from_s(1), NOW, false);
        assert_eq!(ledger.quiet(0, 2), (vec![0, 2], 3));
        assert_eq!(ledger.quiet(3, 9), (vec![3, 4, 0, 1, 2], 3));
        ledger.value(4, Instant::from_s(1), NOW, false);
        assert!(ledger.is_quiet(0) && !ledger.is_quiet(4) && !ledger.is_quiet(77));
    }

    #[test]
    fn an_overflow_is_a_gap_before_its_value() {
        let mut ledger = ledger();
        assert_eq!(ledger.value(1, Instant::from_s(1), NOW, true), NOTHING, "nothing is known of the time before");
        assert_eq!(ledger.value(1, Instant::from_s(4), NOW, true), gap(11, 1, 4, GapCause::Overflow));
    }

    #[test]
    fn nothing_is_missing_of_a_signal_that_never_had_a_value_and_a_clock_may_step_back() {
        let mut ledger = ledger();
        owe_all(&mut ledger, GapCause::SourceLost);
        assert_eq!(ledger.value(0, Instant::from_s(5), NOW, false), NOTHING);
        owe_all(&mut ledger, GapCause::SourceLost);
        assert_eq!(ledger.value(0, Instant::from_s(3), NOW, false), gap(10, 3, 5, GapCause::SourceLost));
        assert_eq!(ledger.value(7, Instant::from_s(3), NOW, false), NOTHING, "no such signal");
    }

    #[test]
    fn where_a_clock_was_set_back_what_was_given_before_and_after_that_may_be_missing() {
        let mut ledger = ledger();
        let second = |s: i64| Instant::from_s(1_000_000 + s);
        assert_eq!(ledger.value(0, second(3600), on(second(100)), false), NOTHING);
        assert_eq!(ledger.value(1, second(3600), on(second(100)), false), NOTHING);
        owe_all(&mut ledger, GapCause::SourceLost);
        for at in 0..2 {
            // Away for twenty seconds.
            let seen = ledger.value(at, second(20), on(second(120)), false);
            let spans = [seen.gap, seen.before_step].map(|gap| gap.map(|gap| (gap.since, gap.until)));
            assert_eq!(spans, [Some((second(-5), second(20))), Some((second(3600), second(3625)))]);
        }
        assert_eq!(ledger.value(0, second(21), on(second(121)), false), NOTHING);
        // Ten hours later a full queue dropped some: nothing was owed, so its gap has nothing to do with the outage.
        let seen = ledger.value(0, second(20), on(second(36_120)), true);
        assert_eq!(seen, gap(10, 1_000_020, 1_000_021, GapCause::Overflow));
    }

    #[test]
    fn how_long_an_outage_was_is_known_though_our_clock_was_set_back_with_the_sources() {
        let second = |s: i64| Instant::from_s(1_000_000 + s);
        let moment = |wall: i64, steady: u64| Moment { wall: second(wall), steady: Some(Duration::from_secs(steady)) };
        let spans = |seen: Seen| [seen.gap, seen.before_step].map(|gap| gap.map(|gap| (gap.since, gap.until)));
        let mut ledger = ledger();
        assert_eq!(ledger.value(0, second(3600), moment(3600, 100), false), NOTHING);
        ledger.owe(0, GapCause::SourceLost);
        // Twenty seconds later an hour before.
        let seen = ledger.value(0, second(20), moment(20, 120), false);
        assert_eq!(spans(seen), [Some((second(-5), second(20))), Some((second(3600), second(3625)))]);
        // The machine slept for half an hour, and its steady clock with it.
        ledger.owe(0, GapCause::SourceLost);
        let seen = ledger.value(0, second(0), moment(1820, 121), false);
        assert_eq!(spans(seen), [Some((second(-1805), second(0))), Some((second(20), second(1825)))]);
    }

    #[test]
    fn what_was_not_recorded_where_a_clock_was_set_back_before_the_start_is_on_both_sides_of_the_step() {
        let second = |s: i64| Instant::from_s(1_000_000 + s);
        let spans = |seen: Seen| [seen.gap, seen.before_step].map(|gap| gap.map(|gap| (gap.since, gap.until)));
        let last = |_| Some(Last::Value(second(3600)));
        let started = |wall: i64| Moment { wall: second(wall), steady: Some(Duration::from_secs(1)) };
        let mut ledger = ledger();
        ledger.recorded(last, second(3540), Some(second(3602)));
        // Stopped for ten minutes by our clock, the source's alone was set back by an hour.
        let seen = ledger.value(0, second(600), started(4202), false);
        assert_eq!(seen.gap.map(|gap| gap.cause), Some(GapCause::NotRecorded));
        assert_eq!(spans(seen), [Some((second(-5), second(600))), Some((second(3600), second(4205)))]);
        // Ours with it: nobody knows for how long.
        let seen = ledger.value(1, second(600), started(602), false);
        assert_eq!(spans(seen), [Some((second(-3005), second(600))), Some((second(3600), second(7205)))]);
    }

    #[test]
    fn a_signal_that_was_lost_before_its_neighbours_has_a_gap_of_its_own() {
        let mut ledger = ledger();
        let second = |s: i64| Instant::from_s(1_000_000 + s);
        for at in 0..2 {
            assert_eq!(ledger.value(at, second(3600), on(second(100)), false), NOTHING);
        }
        ledger.owe(0, GapCause::SourceLost);
        assert_eq!(ledger.value(1, second(3700), on(second(200)), false), NOTHING);
        // Lost with it a second time, and the other one for the first.
        owe_all(&mut ledger, GapCause::SourceLost);
        let spans = |seen: Seen| [seen.gap, seen.before_step].map(|gap| gap.map(|gap| (gap.since, gap.until)));
        let first = ledger.value(0, second(20), on(second(220)), false);
        assert_eq!(spans(first), [Some((second(-105), second(20))), Some((second(3600), second(3725)))]);
        let other = ledger.value(1, second(20), on(second(220)), false);
        assert_eq!(spans(other), [Some((second(-5), second(20))), Some((second(3700), second(3725)))]);
        // Known again, they are lost together.
        owe_all(&mut ledger, GapCause::SourceLost);
        let again = ledger.value(0, second(10), on(second(230)), false);
        assert_eq!(spans(again), [Some((second(-5), second(10))), Some((second(20), second(35)))]);
    }

    #[test]
    fn a_time_out_of_reach_is_from_the_last_value_before_to_the_first_one_after() {
        let mut ledger = ledger();
        let second = |s: i64| Instant::from_s(s);
        let mut value = |s: i64, is_away: bool| {
            let known = ledger.known(0);
            assert_eq!(ledger.value(0, second(s), NOW, false), NOTHING, "it is no gap");
            ledger.reach(0, is_away, known, second(s), false)
        };
        assert_eq!(value(1, true), None, "nothing was there before");
        assert_eq!(value(2, false), None);
        // Whoever tells it may have another clock.
        assert_eq!((value(900, true), value(901, true)), (None, None));
        assert_eq!(value(9, false), Some((second(2), second(9))));
        assert_eq!((value(10, false), value(11, true)), (None, None));
        assert_eq!(value(8, false), None, "a clock was set back");
        assert!(ledger.away.is_empty());
    }

    #[test]
    fn very_many_losses_are_kept_in_little() {
        let mut ledger = Ledger::new((0..70_000).map(SignalId));
        for at in 0..70_000 {
            ledger.value(at, Instant::from_s(1), on(Instant::from_s(1)), false);
        }
        for at in 0..69_999_usize {
            ledger.owe(at, GapCause::SourceLost);
            ledger.value(69_999, Instant::from_s(2), on(Instant::from_s(2 + at as i64)), false);
        }
        assert_eq!((ledger.losses.len(), ledger.owing), (usize::from(NO_LOSS), 69_999));
        for at in 0..70_000 {
            ledger.value(at, Instant::from_s(3), on(Instant::from_s(99_999)), false);
        }
        assert_eq!((ledger.losses.len(), ledger.owing), (0, 0));
    }

    #[test]
    fn what_stood_when_watching_began_anew_is_known_by_its_time() {
        let mut ledger = ledger();
        ledger.begin(0);
        assert_eq!(ledger.value(0, Instant::from_s(2), NOW, false), NOTHING, "never seen before");
        owe_all(&mut ledger, GapCause::SourceLost);
        ledger.begin(0);
        assert_eq!(ledger.value(0, Instant::from_s(2), NOW, false), STOOD);
        assert_eq!(ledger.value(0, Instant::from_s(2), NOW, false), NOTHING, "the first alone");
        owe_all(&mut ledger, GapCause::SourceLost);
        ledger.begin(0);
        assert_eq!(
            ledger.value(0, Instant::from_s(1), NOW, false),
            gap(10, 1, 2, GapCause::SourceLost),
            "a clock set back"
        );
    }

    #[test]
    fn what_was_not_recorded_before_the_start_is_a_gap_from_what_is_known() {
        let mut ledger = ledger();
        let last = |signal| (signal == SignalId(10)).then_some(Last::Value(Instant::from_s(50)));
        ledger.recorded(last, Instant::from_s(40), Some(Instant::from_s(55)));
        let mut quiet = ledger.clone();
        assert_eq!(ledger.value(0, Instant::from_s(90), NOW, false), gap(10, 50, 90, GapCause::NotRecorded));
        assert_eq!(ledger.value(1, Instant::from_s(90), NOW, false), gap(11, 40, 90, GapCause::NotRecorded));
        (0..2).for_each(|at| quiet.begin(at));
        assert_eq!(quiet.value(0, Instant::from_s(50), NOW, false), STOOD);
        assert_eq!(quiet.value(1, Instant::from_s(7), NOW, false), STOOD, "it stood since before what is looked at");
        assert_eq!(quiet.value(1, Instant::from_s(91), NOW, false), NOTHING);
    }
}
