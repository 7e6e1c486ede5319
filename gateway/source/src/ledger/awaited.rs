//! What is still to come of signals, in the form in which the log has it: so that a restart of the gateway goes on with
//! what was owed before it.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use watchfire_model::{Awaited, Awaits, GapCause, Instant, Known, SignalId};

use super::{AWAY, Ledger, Moment, NEVER, NO_LOSS, OURS, ROUGH};

impl Ledger {
    /// Values that are owed, and signals that are out of reach of their server. Costs a look at each signal.
    pub(crate) fn awaited(&self) -> Vec<Awaited> {
        let is_owed = |entry: &&super::Entry| entry.owed.is_some() && entry.last != NEVER;
        let owed = self.entries.iter().filter(is_owed).map(|entry| {
            let known = match (entry.marks & ROUGH != 0, entry.marks & OURS != 0) {
                (false, _) => Known::Value,
                (true, false) => Known::Bound,
                (true, true) => Known::OurBound,
            };
            let lost = self.losses.get(usize::from(entry.loss)).copied().flatten();
            let lost = lost.map(|moment| moment.wall).filter(|wall| *wall != NEVER);
            Awaited { signal: entry.signal, since: entry.last, what: Awaits::Value { known, lost } }
        });
        let away = self.away.iter().filter_map(|(at, since)| {
            let signal = self.entries.get(*at)?.signal;
            Some(Awaited { signal, since: *since, what: Awaits::Reach })
        });
        owed.chain(away).collect()
    }

    /// Goes on with what was awaited before the start, after [`Ledger::recorded`]. `has_come`: of these a value is on
    /// record that came later than that, unless its time is the earlier one of the two.
    pub(crate) fn go_on(&mut self, awaited: &[Awaited], has_come: impl Fn(SignalId) -> bool) {
        if awaited.is_empty() {
            return;
        }
        let places: HashMap<SignalId, usize> = self.entries.iter().map(|entry| entry.signal).zip(0..).collect();
        let mut losses: HashMap<Instant, u16> = HashMap::new();
        for Awaited { signal, since, what } in awaited {
            let Some(at) = places.get(signal).copied() else { continue };
            match what {
                Awaits::Value { known, lost } if !has_come(*signal) => {
                    let loss = lost.and_then(|lost| self.loss(lost, &mut losses));
                    self.owe_since(at, *since, *known, loss);
                }
                Awaits::Reach => {
                    if let Some(entry) = self.entries.get_mut(at) {
                        entry.marks |= AWAY;
                        self.away.insert(at, *since);
                    }
                }
                // It may be an older one as well: before a source that was not watched again for long what is on record is
                // looked for from when it went away.
                Awaits::Value { known: Known::Value, .. } => {
                    if let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.marks & ROUGH == 0) {
                        entry.last = entry.last.max(*since);
                    }
                }
                Awaits::Value { .. } | Awaits::History { .. } => {}
            }
        }
    }

    /// Which loss it was; `None` where there are too many.
    fn loss(&mut self, wall: Instant, known: &mut HashMap<Instant, u16>) -> Option<u16> {
        match known.entry(wall) {
            Slot::Occupied(known) => Some(*known.get()),
            Slot::Vacant(vacant) => {
                let loss = u16::try_from(self.losses.len()).ok().filter(|loss| *loss != NO_LOSS)?;
                self.losses.push(Some(Moment { wall, steady: None }));
                Some(*vacant.insert(loss))
            }
        }
    }

    fn owe_since(&mut self, at: usize, since: Instant, known: Known, loss: Option<u16>) {
        let Some(entry) = self.entries.get_mut(at) else { return };
        entry.last = since;
        entry.marks &= !(ROUGH | OURS);
        entry.marks |= match known {
            Known::Value => 0,
            Known::Bound => ROUGH,
            Known::OurBound => ROUGH | OURS,
        };
        entry.owed = Some(GapCause::NotRecorded);
        let Some(loss) = loss else { return };
        if std::mem::replace(&mut entry.loss, loss) == NO_LOSS {
            self.owing += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ledger::Seen;
    use watchfire_model::Gap;
    use watchfire_pipeline::Last;

    fn second(s: i64) -> Instant {
        Instant::from_s(1_000_000 + s)
    }

    fn moment(s: i64) -> Moment {
        Moment { wall: second(s), steady: Some(Duration::from_secs(u64::try_from(s).unwrap())) }
    }

    /// After a start of a gateway that had ended at a time, with these last values.
    fn started(ended: i64, last: &[(u32, i64)], awaited: &[Awaited]) -> Ledger {
        let mut ledger = Ledger::new((0..4).map(SignalId));
        let last_of =
            |signal: SignalId| last.iter().find(|(of, _)| *of == signal.0).map(|(_, time)| Last::Value(second(*time)));
        ledger.recorded(last_of, second(ended - 60), Some(second(ended)));
        ledger.by_our_clock(|signal| last_of(signal).is_none());
        ledger.go_on(awaited, |signal| last_of(signal).is_some());
        ledger
    }

    fn bounds(seen: Seen) -> Option<(Instant, Instant, GapCause)> {
        seen.gap.map(|Gap { since, until, cause, .. }| (since, until, cause))
    }

    #[test]
    fn of_a_signal_that_was_not_watched_yet_the_gap_goes_on_over_restarts_of_the_gateway() {
        let mut ledger = Ledger::new((0..4).map(SignalId));
        for at in 0..4 {
            ledger.value(at, second(10), moment(12), false);
        }
        (0..3).for_each(|at| ledger.owe(at, GapCause::SourceLost));
        // The first is watched again, and comes.
        assert_eq!(bounds(ledger.value(0, second(50), moment(52), false)).map(|gap| gap.1), Some(second(50)));
        let told = ledger.awaited();
        let value = |signal| Awaited {
            signal: SignalId(signal),
            since: second(10),
            what: Awaits::Value { known: Known::Value, lost: Some(second(12)) },
        };
        assert_eq!(told, [value(1), value(2)], "of the others everything is known");
        // Of one a value came that is on record, just before the end.
        let mut ledger = started(500, &[(2, 490)], &told);
        assert_eq!(ledger.awaited().first(), Some(&Awaited { since: second(440), ..ledger.awaited()[0] }));
        assert_eq!(ledger.awaited()[1], value(1), "and so over the next start");
        let gaps: Vec<_> = (0..4).map(|at| bounds(ledger.value(at, second(600), moment(601), false))).collect();
        let missed = |since| Some((second(since), second(600), GapCause::NotRecorded));
        assert_eq!(gaps, [missed(440), missed(10), missed(490), missed(440)]);
        assert_eq!((ledger.awaited(), ledger.owing, ledger.losses.len()), (vec![], 0, 0));
    }

    #[test]
    fn the_gap_of_a_signal_begins_with_its_last_value_though_an_older_one_is_found_on_record() {
        let of = |signal, since, known| Awaited {
            signal: SignalId(signal),
            since: second(since),
            what: Awaits::Value { known, lost: Some(second(402)) },
        };
        let told = [of(0, 400, Known::Value), of(1, 300, Known::Value), of(2, 400, Known::OurBound)];
        let mut ledger = started(500, &[(0, 310), (1, 310), (2, 310)], &told);
        let gaps: Vec<_> = (0..3).map(|at| bounds(ledger.value(at, second(600), moment(601), false))).collect();
        let missed = |since| Some((second(since), second(600), GapCause::NotRecorded));
        assert_eq!(gaps, [missed(400), missed(310), missed(310)], "a bound is no value's time");
    }

    #[test]
    fn a_bound_stays_what_it_was_and_so_does_whose_clock_it_is_by() {
        let ledger = started(500, &[(2, 490)], &[]);
        let told = ledger.awaited();
        assert_eq!(started(900, &[], &told).awaited(), told);
        let known: Vec<_> = told
            .iter()
            .map(|awaited| match awaited.what {
                Awaits::Value { known, .. } => known,
                Awaits::Reach | Awaits::History { .. } => panic!("{awaited:?}"),
            })
            .collect();
        assert_eq!(known, [Known::OurBound, Known::OurBound, Known::Value, Known::OurBound]);
    }

    #[test]
    fn a_clock_that_was_set_back_meanwhile_is_measured_from_the_loss_of_the_signal() {
        let awaited = Awaited {
            signal: SignalId(1),
            since: second(3_600),
            what: Awaits::Value { known: Known::Value, lost: Some(second(0)) },
        };
        let mut ledger = started(500, &[], &[awaited]);
        let seen = ledger.value(1, second(600), moment(600), false);
        let spans = [seen.gap, seen.before_step].map(|gap| gap.map(|gap| (gap.since, gap.until)));
        assert_eq!(spans, [Some((second(-5), second(600))), Some((second(3_600), second(4_205)))]);
    }

    #[test]
    fn a_time_out_of_reach_goes_on_over_a_restart_of_the_gateway() {
        let mut ledger = Ledger::new((0..4).map(SignalId));
        ledger.value(1, second(10), moment(10), false);
        ledger.value(1, second(20), moment(20), false);
        assert_eq!(ledger.reach(1, true, second(10), second(20), false), None);
        let told = ledger.awaited();
        assert_eq!(told, [Awaited { signal: SignalId(1), since: second(10), what: Awaits::Reach }]);
        // Still so; and then not, with a value from while the gateway was off: what is a gap is no part of it.
        let mut ledger = started(500, &[], &told);
        ledger.begin(1);
        let stood = ledger.value(1, second(20), moment(600), false);
        assert_eq!((stood.stood, ledger.reach(1, true, second(440), second(20), false)), (true, None));
        assert_eq!(ledger.reach(1, false, second(20), second(700), false), Some((second(10), second(700))));
        let mut ledger = started(500, &[], &told);
        let gap = bounds(ledger.value(1, second(550), moment(600), false)).unwrap();
        assert_eq!((gap.0, gap.1), (second(440), second(550)));
        assert_eq!(ledger.reach(1, false, second(440), second(550), true), Some((second(10), second(440))));
    }
}
