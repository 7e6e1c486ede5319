//! What one record keeps of alarms, and what it told of them: of each condition the state in the end, and before it what
//! else was told and that state does not show. Which store holds the record is not known here.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use watchfire_alarms::{ConditionState, DecodeError, EventId, Tells, Transition};
use watchfire_model::{AlarmState, ConditionKey, Instant, PlainEvent, Record, RecordBody};

use crate::past::{Past, PastEvent, PastPlace};
use crate::{CursorError, PortError};

/// What is written of transitions, in the order in which they are told: of each condition the last state, which holds its
/// branches and is its last entry, and each event before it that this state does not show: of a change that another followed,
/// of a branch that is gone. Such an entry has no branches of its own. As a rule a record changes a condition once, and has
/// one entry for it. Each says which events it tells.
pub fn states(transitions: &[Transition]) -> Vec<AlarmState> {
    let last: BTreeMap<&ConditionKey, usize> =
        transitions.iter().enumerate().map(|(at, transition)| (&transition.def.key, at)).collect();
    let mut shown: HashMap<&ConditionKey, HashSet<EventId>> = HashMap::new();
    let mut written = Vec::with_capacity(last.len());
    for (at, transition) in transitions.iter().enumerate() {
        let (key, told) = (&transition.def.key, transition.told());
        let Some((end, is_end)) = last.get(key).and_then(|end| Some((transitions.get(*end)?, *end == at))) else {
            continue;
        };
        if transition.notify {
            if is_shown(transition, end) {
                shown.entry(key).or_default().insert(told.event_id(key));
            } else {
                let mut alone = ConditionState::clone(told);
                alone.branches.clear();
                let tells = Tells::of(true, &alone, |_| false);
                written.push(AlarmState { key: key.clone(), state: alone.encode_telling(tells) });
            }
        }
        if is_end {
            let shown = shown.remove(key).unwrap_or_default();
            let is_told = |state: &ConditionState| shown.contains(&state.event_id(key));
            let tells = Tells::of(is_told(&end.state), &end.state, is_told);
            written.push(AlarmState { key: key.clone(), state: end.state.encode_telling(tells) });
        }
    }
    written
}

/// Whether what a transition tells can be read from the state in the end, and in its place.
fn is_shown(transition: &Transition, end: &Transition) -> bool {
    let (key, told) = (&transition.def.key, transition.told());
    let is_same = |state: &ConditionState| state.event_id(key) == told.event_id(key);
    let is_one_change = Arc::ptr_eq(&transition.state, &end.state);
    is_same(&end.state) || (is_one_change && end.state.branches.iter().any(is_same))
}

/// How far transitions belong into one record of about `most` of them: those of one condition that follow each other are
/// not parted, since each record has its state in the end.
pub fn together(transitions: &[Transition], most: usize) -> usize {
    let key = |at: usize| transitions.get(at).map(|transition| &transition.def.key);
    let mut upto = most.min(transitions.len());
    while upto > 0 && upto < transitions.len() && key(upto) == key(upto - 1) {
        upto += 1;
    }
    upto
}

/// The entries of a record.
pub fn states_of(record: &Record) -> &[AlarmState] {
    match &record.body {
        RecordBody::Decided(decided) => &decided.transitions,
        RecordBody::Commanded { transitions, .. } => transitions,
        RecordBody::Data(_) | RecordBody::Control(_) => &[],
    }
}

/// How conditions stood one after another by a record, whole: those before the last with the branches that the last one
/// still has of what came before them.
pub fn standing(record: &Record) -> Vec<(&ConditionKey, Result<ConditionState, CursorError>)> {
    let entries = states_of(record);
    let mut ends: BTreeMap<&ConditionKey, (usize, Vec<ConditionState>)> = BTreeMap::new();
    for (at, of) in entries.iter().enumerate() {
        if let Some(before) = ends.insert(&of.key, (at, Vec::new())) {
            // Of most there is one entry, which needs none.
            drop(before);
            ends.insert(&of.key, (at, decode(record, of).map(|state| state.branches).unwrap_or_default()));
        }
    }
    let mut all = Vec::with_capacity(entries.len());
    for (at, of) in entries.iter().enumerate() {
        let state = decode(record, of).map(|mut state| {
            if let Some((end, branches)) = ends.get(&of.key)
                && at < *end
            {
                let before = |branch: &&ConditionState| branch.activations < state.activations;
                state.branches = branches.iter().filter(before).cloned().collect();
            }
            state
        });
        // What was told of a branch is not how its condition stands.
        if state.as_ref().map_or(true, |state| state.branch.is_none()) {
            all.push((&of.key, state));
        }
    }
    all
}

fn events_of(record: &Record) -> &[PlainEvent] {
    if let RecordBody::Decided(decided) = &record.body { &decided.events } else { &[] }
}

fn decode(record: &Record, of: &AlarmState) -> Result<ConditionState, CursorError> {
    ConditionState::decode(of.key.as_str(), &of.state).map_err(damaged(record))
}

fn damaged(record: &Record) -> impl Fn(DecodeError) -> CursorError {
    |error| PortError::Damaged { what: format!("record {}", record.lsn), detail: error.to_string() }.into()
}

/// When the gateway knew the first thing that a record tells; `None` where it tells nothing.
///
/// # Errors
/// When a state cannot be read.
pub fn known_at(record: &Record) -> Result<Option<Instant>, CursorError> {
    match (states_of(record).first(), events_of(record).first()) {
        (Some(of), _) => decode(record, of).map(|state| Some(state.receive_time)),
        (None, event) => Ok(event.map(|event| event.receive_time)),
    }
}

/// The events of a record.
///
/// # Errors
/// When a state cannot be read.
pub fn told_by(record: &Record) -> Result<Vec<Past>, CursorError> {
    let mut told: Vec<PastEvent> = Vec::new();
    for of in states_of(record) {
        let (state, tells) = ConditionState::decode_telling(of.key.as_str(), &of.state).map_err(damaged(record))?;
        let tells = tells.unwrap_or_else(|| tells_by_itself(record, &of.key, &state));
        let all = tells.events(&state).cloned();
        told.extend(all.map(|state| PastEvent::Alarm(of.key.clone(), Box::new(state))));
    }
    // As they are told: after the alarms of the same record.
    told.extend(events_of(record).iter().cloned().map(PastEvent::Plain));
    let placed = (0..).zip(told).map(|(at, event)| Past { place: PastPlace { lsn: record.lsn, at }, event });
    Ok(placed.collect())
}

/// What a state tells of which that was not written: what has the time of the command, or an EventId that rests on the
/// record's cause.
fn tells_by_itself(record: &Record, key: &ConditionKey, state: &ConditionState) -> Tells {
    let is_new = |told: &ConditionState| match &record.body {
        RecordBody::Commanded { command, .. } => told.receive_time == command.at,
        RecordBody::Decided(decided) => told.is_told_by(key, state.transitions, decided.frame.0),
        RecordBody::Data(_) | RecordBody::Control(_) => false,
    };
    Tells::of(is_new(state), state, is_new)
}
