//! What is known when the gateway starts: how alarms stood, what was decided, and when time stood still.

use std::collections::BTreeMap;
use std::time::Duration;

use watchfire_alarms::Engine;
use watchfire_model::{AlarmState, Frame, Gap, Instant, Lsn, Quality, RecordBody, SignalId};

use crate::late::is_of_a_source;
use crate::{CursorError, Log, OnRecord, gaps};

/// How far back from the end the last value of each signal is looked for.
const LOOK_BACK: Duration = Duration::from_secs(60);
/// So many records are looked at for it at the most, beside those that are not sealed.
const LOOK_BACK_RECORDS: u64 = 10_000;

/// Of more of them the oldest are left.
const OPEN_GAPS_MAX: usize = 1 << 16;

/// Rows read at once.
const READ_ROWS_MAX: usize = 1 << 16;

/// What the log says about the time before the start.
#[derive(Debug, Default)]
pub struct Recovered {
    /// How alarms stood.
    pub engine: Engine,
    /// The last frame decided on, by binding.
    pub decided: BTreeMap<String, Lsn>,
    /// The last frame's receive time.
    pub last_now: Instant,
    /// The last values' times.
    pub last: LastTimes,
    /// Gaps in what sources gave of which nobody knows yet whether they can be filled.
    pub open: Vec<Gap>,
}

/// The time of each signal's last recorded value, of those that had one shortly before the end.
#[derive(Debug, Default)]
pub struct LastTimes(Vec<Option<Instant>>);

impl LastTimes {
    /// The time of a signal's last value; `None` when there was none lately.
    #[must_use]
    pub fn get(&self, signal: SignalId) -> Option<Instant> {
        self.0.get(signal.0 as usize).copied().flatten()
    }

    /// Of these signals' values nothing is missing up to this time: those without a last one had none in the minute
    /// before the others' latest. `None` when none of them has a last one.
    #[must_use]
    pub fn all_until(&self, signals: impl Iterator<Item = SignalId>) -> Option<Instant> {
        signals.filter_map(|signal| self.get(signal)).max().map(|latest| latest.minus(LOOK_BACK))
    }

    fn take(&mut self, frame: &Frame) {
        let rows = &frame.rows;
        for ((signal, time), quality) in rows.signal.iter().zip(&rows.time).zip(&rows.quality) {
            // Such a time is not the source's own, and may be far from those that are; what came late came in between.
            if quality.has(Quality::SERVER_TIME) || quality.has(Quality::LATE) {
                continue;
            }
            let at = signal.0 as usize;
            if at >= self.0.len() {
                self.0.resize(at + 1, None);
            }
            if let Some(last) = self.0.get_mut(at) {
                // Not the latest: its clock may have been set back.
                *last = Some(*time);
            }
        }
    }
}

/// Reads the sealed states and everything after them; blocks.
///
/// # Errors
/// When a store fails. A state that cannot be read is logged, and its condition starts anew.
pub fn recover(log: &Log) -> Result<Recovered, CursorError> {
    let mut recovered = Recovered { decided: log.history().decided()?, ..Recovered::default() };
    for state in log.history().alarm_states()? {
        restore(&mut recovered.engine, &state);
    }
    // The last frame may lie far behind: what was recorded since may be anything but frames.
    if let Some(frame) = log.history().last_frame()? {
        for record in log.history().read(frame, 1)? {
            take_now(&mut recovered, &record.body);
        }
    }
    look_back(log, &mut recovered)?;
    let mut next = log.history().sealed().next();
    loop {
        let records = log.read(next, READ_ROWS_MAX)?;
        let Some(last) = records.last() else { break };
        next = last.lsn.next();
        for record in &records {
            take_now(&mut recovered, &record.body);
            if let RecordBody::Data(frame) = &record.body {
                recovered.last.take(frame);
            }
            match &record.body {
                RecordBody::Decided(decided) => {
                    recovered.decided.insert(decided.binding.clone(), decided.frame);
                    decided.transitions.iter().for_each(|state| restore(&mut recovered.engine, state));
                }
                RecordBody::Commanded { transitions, .. } => {
                    transitions.iter().for_each(|state| restore(&mut recovered.engine, state));
                }
                RecordBody::Data(_) | RecordBody::Control(_) => {}
            }
        }
    }
    recovered.open = open_gaps(log)?;
    Ok(recovered)
}

/// Gaps whose filling was not finished when the gateway ended, the latest of them. Their times may be any: those of a
/// source whose clock is wrong, too.
fn open_gaps(log: &Log) -> Result<Vec<Gap>, CursorError> {
    let mut open = Vec::new();
    for page in gaps(log, None, Instant::MIN, Instant::MAX)? {
        let is_open = |told: &OnRecord| is_of_a_source(told.gap.signal, told.gap.cause) && told.fill.is_none();
        open.extend(page?.into_iter().filter(is_open).map(|told| told.gap));
        let oldest = open.len().saturating_sub(OPEN_GAPS_MAX);
        open.drain(..oldest);
    }
    Ok(open)
}

/// The last values among what is sealed, unless what is not sealed reaches far enough.
fn look_back(log: &Log, recovered: &mut Recovered) -> Result<(), CursorError> {
    let Some(last_frame) = log.history().last_frame()? else { return Ok(()) };
    let begin = recovered.last_now.minus(LOOK_BACK);
    let mut next = Lsn(last_frame.0.saturating_sub(LOOK_BACK_RECORDS).max(1));
    while next <= last_frame {
        let records = log.read_kept(&mut next)?;
        if records.is_empty() {
            break;
        }
        for record in &records {
            if let RecordBody::Data(frame) = &record.body
                && frame.now >= begin
            {
                recovered.last.take(frame);
            }
        }
    }
    Ok(())
}

fn take_now(recovered: &mut Recovered, body: &RecordBody) {
    if let RecordBody::Data(frame) = body {
        recovered.last_now = recovered.last_now.max(frame.now);
    }
}

fn restore(engine: &mut Engine, state: &AlarmState) {
    if let Err(error) = engine.restore(&state.key, &state.state) {
        tracing::error!(condition = %state.key, %error, "a stored alarm state is unreadable; the condition starts anew");
    }
}
