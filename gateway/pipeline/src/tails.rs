//! What is not sealed yet of the signals that somebody reads: found in one pass over the journal for as many signals as
//! are asked for, and kept for a while, so that whoever asks again, or for the next signal, costs only what came since.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use watchfire_model::{Frame, Lsn, RecordBody, Rows, SignalId};

use crate::{CursorError, Log};

/// Rows that are kept: some ten megabytes.
const HELD_ROWS_MAX: usize = if cfg!(test) { 64 } else { 1 << 18 };
/// Signals that are found together with a single one that is asked for: those with numbers near to it, which were
/// configured beside it. A pass costs the same for one as for all.
const NEAR: u32 = 64;
/// No more is kept of them while they are looked for.
const NEAR_ROWS_MAX: usize = HELD_ROWS_MAX / 2;

/// Tails of signals.
#[derive(Debug, Default)]
pub(crate) struct Tails(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    /// They begin after this record, the last that was sealed.
    upto: Lsn,
    of: BTreeMap<SignalId, Tail>,
}

#[derive(Debug)]
struct Tail {
    /// What was looked at ends before this record.
    next: Lsn,
    /// In the order of the log.
    rows: Rows,
}

/// A tail that is being completed.
struct Open {
    signal: SignalId,
    tail: Tail,
    is_asked: bool,
}

impl Tails {
    /// The rows of each signal in records after `upto`, in the order of the log, as it is now; blocks. Who asks meanwhile
    /// waits.
    ///
    /// # Errors
    /// When a store fails.
    pub fn of(&self, log: &Log, upto: Lsn, signals: &[SignalId]) -> Result<Vec<Rows>, CursorError> {
        let mut held = self.0.lock();
        if held.upto != upto {
            *held = Held { upto, of: BTreeMap::new() };
        }
        let mut open: Vec<Open> = Vec::new();
        let mut take = |signal: SignalId, is_asked: bool, held: &mut Held| {
            let tail = held.of.remove(&signal).unwrap_or(Tail { next: upto.next(), rows: Rows::default() });
            open.push(Open { signal, tail, is_asked });
        };
        match signals {
            [signal] if !held.of.contains_key(signal) => {
                let first = signal.0 / NEAR * NEAR;
                let near = (first..first.saturating_add(NEAR)).map(SignalId);
                near.for_each(|near| take(near, near == *signal, &mut held));
            }
            signals => {
                let mut asked = signals.to_vec();
                asked.sort_unstable();
                asked.dedup();
                asked.into_iter().for_each(|signal| take(signal, true, &mut held));
            }
        }
        complete(log, upto, &mut open)?;
        let rows_of = |signal: &SignalId| {
            let found = open.binary_search_by_key(signal, |open| open.signal).ok().and_then(|at| open.get(at));
            found.map(|open| open.tail.rows.clone()).unwrap_or_default()
        };
        let answer = signals.iter().map(rows_of).collect();
        keep(&mut held, open);
        Ok(answer)
    }
}

/// Puts back what was found, as long as there is room for it; what was found now goes before what was found earlier.
fn keep(held: &mut Held, open: Vec<Open>) {
    let rows = |of: &BTreeMap<SignalId, Tail>| of.values().map(|tail| tail.rows.len()).sum::<usize>();
    let found = open.iter().map(|open| open.tail.rows.len()).sum::<usize>();
    if rows(&held.of) + found > HELD_ROWS_MAX {
        held.of.clear();
    }
    if found <= HELD_ROWS_MAX {
        held.of.extend(open.into_iter().map(|open| (open.signal, open.tail)));
    }
}

/// Looks at what has come since, once for all of them.
fn complete(log: &Log, upto: Lsn, open: &mut Vec<Open>) -> Result<(), CursorError> {
    let mut next = open.iter().map(|open| open.tail.next).min().unwrap_or(upto.next());
    let mut places = Places::of(open);
    loop {
        let records = log.read_kept(&mut next)?;
        if records.is_empty() {
            break;
        }
        for record in &records {
            if let RecordBody::Data(frame) = &record.body {
                add(record.lsn, frame, &places, open);
            }
        }
        let near = open.iter().filter(|open| !open.is_asked).map(|open| open.tail.rows.len()).sum::<usize>();
        if near > NEAR_ROWS_MAX {
            open.retain(|open| open.is_asked);
            places = Places::of(open);
        }
    }
    open.iter_mut().for_each(|open| open.tail.next = next);
    Ok(())
}

fn add(lsn: Lsn, frame: &Frame, places: &Places, open: &mut [Open]) {
    for (row, signal) in frame.rows.signal.iter().enumerate() {
        if let Some(open) = places.find(*signal).and_then(|at| open.get_mut(at)).filter(|open| open.tail.next <= lsn) {
            open.tail.rows.push_row(&frame.rows, row);
        }
    }
}

/// Where each signal is among those that are looked for: most rows are of none.
struct Places {
    first: u32,
    at: Vec<u32>,
    /// Where their numbers lie too far apart.
    sparse: Option<Vec<SignalId>>,
}

/// Numbers that may lie between the first and the last.
const SPREAD_MAX: u32 = 1 << 20;

impl Places {
    /// Of signals in ascending order.
    fn of(open: &[Open]) -> Self {
        let first = open.first().map_or(0, |open| open.signal.0);
        let spread = open.last().map_or(0, |open| open.signal.0) - first;
        if spread > SPREAD_MAX {
            return Self { first, at: Vec::new(), sparse: Some(open.iter().map(|open| open.signal).collect()) };
        }
        let mut at = vec![u32::MAX; spread as usize + 1];
        for (place, open) in (0_u32..).zip(open) {
            if let Some(at) = at.get_mut((open.signal.0 - first) as usize) {
                *at = place;
            }
        }
        Self { first, at, sparse: None }
    }

    fn find(&self, signal: SignalId) -> Option<usize> {
        if let Some(sparse) = &self.sparse {
            return sparse.binary_search(&signal).ok();
        }
        let at = self.at.get(signal.0.checked_sub(self.first)? as usize)?;
        (*at != u32::MAX).then_some(*at as usize)
    }
}
