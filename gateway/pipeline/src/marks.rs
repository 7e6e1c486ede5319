//! What people said of a detector's alarms, and the scores of which they came: read from the log, and heard while it is
//! replayed. What follows from it for a threshold is known in `calibration`, and whether it is set, by a person.

use std::collections::{BTreeMap, BTreeSet};

use watchfire_alarms::ConditionState;
use watchfire_calibration::{MarkedAlarm, Proposal};
use watchfire_model::{ConditionKey, Instant, Lsn, Record};

use crate::told::states_of;

/// Scores of one alarm that are kept; it may stand for months.
const SCORES_MAX: usize = if cfg!(test) { 100 } else { 1 << 16 };

/// What was said of the alarms of a condition, and what a higher threshold would have done.
#[derive(Clone, Debug, PartialEq)]
pub struct MarkedCondition {
    /// The condition's id.
    pub condition: String,
    /// The threshold by which it was found.
    pub threshold: f64,
    /// Alarms that were marked as true.
    pub genuine: usize,
    /// Alarms that were marked as false.
    pub mistaken: usize,
    /// The threshold that is proposed; `None` where none spares anything.
    pub proposal: Option<Proposal>,
    /// Whether something of it stands: then nothing is proposed.
    pub stands: bool,
}

/// An occurrence of an alarm: its condition, and the how many-th it was.
type Occurrence = (ConditionKey, u64);

/// What was said, by what is on record.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    binding: String,
    /// The frame on which each alarm rests.
    began: BTreeMap<Occurrence, Lsn>,
    said: BTreeMap<Occurrence, bool>,
}

impl Marks {
    pub(crate) fn of(binding: &str) -> Self {
        Self { binding: binding.to_owned(), ..Self::default() }
    }

    /// Takes a record, in their order; the last word counts. One that cannot be read says nothing.
    pub(crate) fn note(&mut self, record: &Record) {
        for of in states_of(record).iter().filter(|of| of.key.binding() == self.binding) {
            let Ok(state) = ConditionState::decode(of.key.as_str(), &of.state) else { continue };
            if state.active.value && state.branch.is_none() {
                self.began.entry((of.key.clone(), state.activations)).or_insert(state.decided);
            }
            for one in state.branches.iter().chain([&state]) {
                if let Some(genuine) = one.mark.value {
                    self.said.insert((of.key.clone(), one.activations), genuine);
                }
            }
        }
    }

    /// The frames on which alarms rest that were marked.
    pub(crate) fn frames(&self) -> BTreeSet<Lsn> {
        self.said.keys().filter_map(|occurrence| self.began.get(occurrence)).copied().collect()
    }

    /// What was said of the alarm of a condition that came of this frame.
    pub(crate) fn said_of(&self, key: &ConditionKey, frame: Lsn) -> Option<bool> {
        let of_key = self.began.range((key.clone(), 0)..=(key.clone(), u64::MAX));
        let mut said = of_key.filter(|(_, began)| **began == frame).filter_map(|(one, _)| self.said.get(one));
        said.next_back().copied()
    }
}

/// An event of a gate, with its scores.
#[derive(Debug)]
pub(crate) struct Traced {
    /// Condition index, instance number.
    pub place: (u16, u32),
    /// The frame with which it began.
    pub frame: Lsn,
    /// Its scores.
    pub alarm: MarkedAlarm,
}

/// The events of gates that began with some frames.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    wanted: BTreeSet<Lsn>,
    /// The frame that is judged.
    at: Lsn,
    open: BTreeMap<(u16, u32), usize>,
    events: Vec<Traced>,
}

impl Trace {
    pub(crate) fn of(wanted: BTreeSet<Lsn>) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// A frame is judged from here on.
    pub(crate) fn at(&mut self, frame: Lsn) {
        self.at = frame;
    }

    /// A gate has taken a score: an event of it may have begun with it, or go on.
    pub(crate) fn scored(&mut self, place: (u16, u32), now: Instant, score: f64, begins: bool) {
        if begins && self.wanted.contains(&self.at) {
            self.open.insert(place, self.events.len());
            self.events.push(Traced { place, frame: self.at, alarm: MarkedAlarm::default() });
        }
        let Some(event) = self.open.get(&place).and_then(|at| self.events.get_mut(*at)) else { return };
        if event.alarm.scores.len() < SCORES_MAX {
            event.alarm.scores.push((now, score));
        } else {
            event.alarm.cut = true;
        }
    }

    /// The event of a gate is over.
    pub(crate) fn ended(&mut self, place: (u16, u32)) {
        self.open.remove(&place);
    }

    pub(crate) fn into_events(self) -> Vec<Traced> {
        self.events
    }
}
