//! What was recorded of a signal, whichever store holds it now.

use watchfire_model::{Instant, Lsn, RecordBody, Rows, SignalId};

use crate::{CursorError, Log};

/// Rows read at once.
const READ_ROWS_MAX: usize = 1 << 16;
/// How often a read is begun anew because records were sealed meanwhile.
const TRIES: usize = 5;

/// The samples of a signal whose time lies in `from..to`, sorted by time, then by place in the log; blocks. Costs a
/// read of the signal's chunks and a scan of what is not sealed yet, some minutes of everything.
///
/// # Errors
/// When a store fails.
pub fn samples(log: &Log, signal: SignalId, from: Instant, to: Instant) -> Result<Rows, CursorError> {
    let mut rows = Rows::default();
    for _ in 0..TRIES {
        let sealed = log.history().sealed();
        rows = log.history().range(signal, from, to)?;
        let tail = unsealed(log, sealed, signal, from, to)?;
        if log.history().sealed() == sealed {
            return Ok(merge(&rows, &tail));
        }
    }
    Ok(rows)
}

fn unsealed(log: &Log, sealed: Lsn, signal: SignalId, from: Instant, to: Instant) -> Result<Rows, CursorError> {
    let mut found = Rows::default();
    let mut next = sealed.next();
    loop {
        let records = log.read(next, READ_ROWS_MAX)?;
        let Some(last) = records.last() else { return Ok(found) };
        next = last.lsn.next();
        for record in &records {
            if let RecordBody::Data(frame) = &record.body {
                let rows = &frame.rows;
                let wanted =
                    rows.signal.iter().zip(&rows.time).map(|(id, time)| *id == signal && (from..to).contains(time));
                wanted.enumerate().filter(|(_, wanted)| *wanted).for_each(|(row, _)| found.push_row(rows, row));
            }
        }
    }
}

fn merge(sealed: &Rows, tail: &Rows) -> Rows {
    let mut order: Vec<(Instant, usize)> = sealed.time.iter().chain(&tail.time).copied().zip(0..).collect();
    order.sort_unstable();
    let mut merged = Rows::default();
    for (_, at) in order {
        match at.checked_sub(sealed.len()) {
            None => merged.push_row(sealed, at),
            Some(at) => merged.push_row(tail, at),
        }
    }
    merged
}
