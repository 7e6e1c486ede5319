//! What people's words about alarms say of a threshold: the least rise that would have spared alarms that were marked as
//! false, as far as no alarm that was marked as true would have been missed. It changes nothing: a threshold is raised by a
//! person alone, or an attacker would train a detector blind with false words.

use std::time::Duration;

use watchfire_model::Instant;

use crate::{Gate, GateSettings};

/// No threshold is proposed that is more than so many times the one there is: whoever means more looks again after it.
pub const RISE_MAX: f64 = 2.0;
/// How far above the highest score of a false alarm a threshold is proposed; the second where the first is too much for a
/// true one.
const ABOVE: [f64; 2] = [1.05, 1.01];

/// An alarm about which somebody has said whether it was a true one, with the scores from its begin to its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MarkedAlarm {
    /// What was said last.
    pub genuine: bool,
    /// The frames' times and the scores, in order.
    pub scores: Vec<(Instant, f64)>,
    /// Whether more came than are kept here.
    pub cut: bool,
}

/// What a higher threshold would have done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proposal {
    /// The threshold.
    pub threshold: f64,
    /// Alarms marked as false that would not have come.
    pub spared: usize,
}

/// Whether an alarm comes of these scores, and lasts as long as it has to.
fn comes(settings: &GateSettings, on_delay: Duration, scores: &[(Instant, f64)]) -> bool {
    let (mut gate, mut began, mut kept) = (Gate::default(), None, None);
    let lasts = |began: Option<Instant>, kept: Option<Instant>| {
        began.zip(kept).is_some_and(|(began, kept)| kept.plus(settings.off_delay) >= began.plus(on_delay))
    };
    for (now, score) in scores {
        // A frame's scores come before it is looked whether an event is over.
        if gate.settle(settings, now.minus(Duration::from_nanos(1))).is_some() && lasts(began, kept) {
            return true;
        }
        if gate.offer(settings, *now, *score).is_some() {
            began = Some(*now);
        }
        if gate.is_open() && *score >= settings.threshold * settings.hysteresis {
            kept = Some(*now);
        }
    }
    gate.is_open() && lasts(began, kept)
}

/// The threshold that spares most of the alarms marked as false and no true one, the lowest of those; `None` where none
/// spares any. Of a threshold that is not above 0 nothing can be said. Costs by the scores, times the alarms marked as false.
#[must_use]
pub fn propose(settings: &GateSettings, on_delay: Duration, marked: &[MarkedAlarm]) -> Option<Proposal> {
    let most = settings.threshold * RISE_MAX;
    let (genuine, mistaken): (Vec<_>, Vec<_>) = marked.iter().partition(|alarm| alarm.genuine);
    let peak = |alarm: &&&MarkedAlarm| alarm.scores.iter().map(|(_, score)| *score).fold(f64::NAN, f64::max);
    let mut best: Option<Proposal> = None;
    for peak in mistaken.iter().filter(|alarm| !alarm.cut).map(|alarm| peak(&alarm)) {
        let fitting = ABOVE.iter().map(|above| rounded_up(peak * above)).find(|threshold| {
            let with = GateSettings { threshold: *threshold, ..*settings };
            let is_rise = *threshold > settings.threshold && *threshold <= most;
            is_rise && genuine.iter().all(|alarm| comes(&with, on_delay, &alarm.scores))
        });
        let Some(threshold) = fitting else { continue };
        let with = GateSettings { threshold, ..*settings };
        let is_spared = |alarm: &&&MarkedAlarm| !alarm.cut && !comes(&with, on_delay, &alarm.scores);
        let spared = mistaken.iter().filter(is_spared).count();
        let is_better =
            best.is_none_or(|best| spared > best.spared || (spared == best.spared && threshold < best.threshold));
        if spared > 0 && is_better {
            best = Some(Proposal { threshold, spared });
        }
    }
    best
}

/// To three digits, which are enough to write down.
fn rounded_up(value: f64) -> f64 {
    let unit = 10_f64.powi(2 - value.abs().log10().floor().clamp(-300.0, 300.0) as i32);
    // What a product is off by is no reason for one more.
    let rounded = (value * unit - 1e-9).ceil() / unit;
    if rounded.is_finite() { rounded } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm(genuine: bool, scores: &[f64]) -> MarkedAlarm {
        let scores = (0..).zip(scores).map(|(s, score)| (Instant::from_s(s), *score)).collect();
        MarkedAlarm { genuine, scores, cut: false }
    }

    fn proposed(on_delay_s: u64, marked: &[MarkedAlarm]) -> Option<(f64, usize)> {
        let settings = GateSettings { off_delay: Duration::from_secs(1), ..GateSettings::default() };
        propose(&settings, Duration::from_secs(on_delay_s), marked).map(|of| (of.threshold, of.spared))
    }

    #[test]
    fn the_least_threshold_spares_what_was_false_and_nothing_that_was_true() {
        let (small, large) = (alarm(false, &[1.3, 1.6, 0.9]), alarm(false, &[1.3, 2.0]));
        let cases = [
            (vec![], None),
            (vec![alarm(true, &[1.3])], None),
            (vec![small.clone()], Some((1.68, 1))),
            (vec![small.clone(), large.clone()], Some((2.1, 2))),
            // A true one that is no stronger keeps the threshold where it finds it.
            (vec![small.clone(), large.clone(), alarm(true, &[1.3, 1.9])], Some((1.68, 1))),
            (vec![small.clone(), alarm(true, &[1.3, 1.62])], Some((1.62, 1))),
            (vec![small.clone(), alarm(true, &[1.3, 1.6])], None),
            (vec![small.clone(), alarm(true, &[1.25])], None),
            // Not more than twice what it is at once, however strong the false one was.
            (vec![alarm(false, &[1.3, 9.0])], None),
            (vec![alarm(false, &[1.3, 9.0]), small.clone()], Some((1.68, 1))),
        ];
        for (marked, expected) in cases {
            assert_eq!(proposed(0, &marked), expected, "{marked:?}");
        }
    }

    #[test]
    fn a_true_alarm_must_last_as_long_as_it_has_to() {
        let small = alarm(false, &[1.3, 1.6, 1.5, 1.5, 1.5]);
        // At 1.68 it would last from its second score on: four seconds and the one until it ends.
        let real = alarm(true, &[1.5, 1.7, 1.7, 1.7, 1.7]);
        assert_eq!(proposed(4, &[small.clone(), real.clone()]), Some((1.68, 1)));
        assert_eq!(proposed(5, &[small.clone(), real]), None);
        assert_eq!(proposed(5, &[small]), Some((1.68, 1)));
    }

    #[test]
    fn of_an_alarm_whose_scores_are_not_all_kept_nothing_is_promised() {
        let long = MarkedAlarm { cut: true, ..alarm(false, &[1.3, 1.6]) };
        assert_eq!(proposed(0, std::slice::from_ref(&long)), None);
        assert_eq!(proposed(0, &[long, alarm(false, &[1.3, 2.0])]), Some((2.1, 1)));
        assert_eq!(
            propose(
                &GateSettings { threshold: 0.0, ..GateSettings::default() },
                Duration::ZERO,
                &[alarm(false, &[0.5])]
            ),
            None
        );
    }
}
