//! What is known when the gateway starts: how alarms stood, what was decided, and when time stood still.

use std::collections::BTreeMap;

use watchfire_alarms::Engine;
use watchfire_model::{AlarmState, Instant, Lsn, RecordBody};

use crate::{CursorError, Log};

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
    let mut next = log.history().sealed().next();
    loop {
        let records = log.read(next, READ_ROWS_MAX)?;
        let Some(last) = records.last() else { break };
        next = last.lsn.next();
        for record in &records {
            take_now(&mut recovered, &record.body);
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
    Ok(recovered)
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
