//! Samples from outside, put into the log as late data: which of them the log does not hold yet, and the way in.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use watchfire_model::{Copied, Frame, Instant, Lsn, Quality, Record, RecordBody, Rows, SignalId, StatusCode};

use crate::watching::Watching;
use crate::{CursorError, Log, OnRecord, Wanted, gaps, seal_all, take_gaps};

/// Rows of a frame that is made of imported samples.
const FRAME_ROWS: usize = 4096;
/// Bytes of sealed samples looked at together.
const PAGE_BYTES: usize = 4 << 20;

/// What makes a sample the same as another; marks and the server's time do not, nor does the locale of a text, which a file
/// may leave out.
type Key = (SignalId, Instant, u64, StatusCode, Option<i64>, Option<String>);

fn key(rows: &Rows, row: usize) -> Option<Key> {
    let (signal, time) = (*rows.signal.get(row)?, *rows.time.get(row)?);
    let bits = rows.value.get(row)?.to_bits();
    let text = rows.text_at(row);
    let exact = rows.exact_at(row).filter(|_| text.is_none());
    Some((signal, time, bits, *rows.status.get(row)?, exact, text.map(str::to_owned)))
}

/// Those of `rows` that the log does not hold yet, each once; of a row that tells of a gap, that it knows of none from its
/// beginning to its end. Blocks; costs a read of what is not sealed and of the
/// signals' chunks between the earliest and the latest of their times.
///
/// # Errors
/// When a store fails.
pub fn not_yet_recorded(log: &Log, rows: &Rows) -> Result<Rows, CursorError> {
    let mut spans: BTreeMap<SignalId, (Instant, Instant)> = BTreeMap::new();
    for (signal, time) in rows.signal.iter().zip(&rows.time) {
        let span = spans.entry(*signal).or_insert((*time, *time));
        *span = (span.0.min(*time), span.1.max(*time));
    }
    let wanted: HashSet<(SignalId, Instant)> = rows.signal.iter().copied().zip(rows.time.iter().copied()).collect();
    let mut held: HashSet<Key> = HashSet::new();
    let mut hold = |found: &Rows, signal: Option<SignalId>| {
        for row in 0..found.len() {
            let at = signal.or_else(|| found.signal.get(row).copied()).zip(found.time.get(row).copied());
            if at.is_some_and(|at| wanted.contains(&at)) {
                held.extend(key(found, row));
            }
        }
    };
    let upto = log.history().sealed();
    for (signal, (earliest, latest)) in &spans {
        let to = latest.plus(std::time::Duration::from_nanos(1));
        let mut from = Some(*earliest);
        while let Some(begin) = from {
            let wanted = Wanted { signal: *signal, from: begin, to, upto, bytes_max: PAGE_BYTES };
            let page = log.history().range(&wanted)?;
            hold(&page.rows, Some(*signal));
            from = page.rest.filter(|rest| *rest < to);
        }
    }
    let mut next = upto.next();
    loop {
        let records = log.read_kept(&mut next)?;
        if records.is_empty() {
            break;
        }
        for record in &records {
            if let RecordBody::Data(frame) = &record.body {
                hold(&frame.rows, None);
            }
        }
    }
    let known = gaps_of(log, rows)?;
    let (mut fresh, mut copied) = (Rows::default(), Copied::default());
    for row in 0..rows.len() {
        if rows.quality.get(row).is_some_and(|quality| quality.has(Quality::GAP)) {
            let gap = rows.signal.get(row).zip(rows.time.get(row));
            let is_known = gap.is_none_or(|(signal, since)| {
                let until = Instant::from_ns(since.ns().saturating_add(rows.skew_ns_at(row)));
                let of = known.get(signal).map_or(&[][..], Vec::as_slice);
                of.iter().any(|(begin, end)| begin <= since && until <= *end)
            });
            if is_known {
                continue;
            }
        }
        if key(rows, row).is_some_and(|key| held.insert(key)) {
            fresh.copy_row(rows, row, &mut copied);
        }
    }
    Ok(fresh)
}

/// The gaps on record of signals of which `rows` tell of some, filled or not.
fn gaps_of(log: &Log, rows: &Rows) -> Result<BTreeMap<SignalId, Vec<(Instant, Instant)>>, CursorError> {
    let told = take_gaps(&mut rows.clone());
    let mut known: BTreeMap<SignalId, Vec<(Instant, Instant)>> = BTreeMap::new();
    let Some(from) = told.iter().map(|gap| gap.since).min() else { return Ok(known) };
    let to = told.iter().map(|gap| gap.until).max().unwrap_or(from);
    let signals: BTreeSet<SignalId> = told.iter().filter_map(|gap| gap.signal).collect();
    for page in gaps(log, Some(signals.clone()), from, to)? {
        for OnRecord { gap, .. } in page? {
            for signal in signals.iter().filter(|signal| gap.signal.is_none_or(|of| of == **signal)) {
                known.entry(*signal).or_default().push((gap.since, gap.until));
            }
        }
    }
    Ok(known)
}

/// The mode of operation of the last frame: the one that holds when the gateway ended. Blocks.
fn last_mode(log: &Log) -> Result<u32, CursorError> {
    let mode_of = |record: &Record| if let RecordBody::Data(frame) = &record.body { Some(frame.mode) } else { None };
    let mut mode = match log.history().last_frame()? {
        Some(frame) => log.history().read(frame, 1)?.iter().find_map(mode_of),
        None => None,
    };
    let mut next = log.history().sealed().next();
    loop {
        let records = log.read_kept(&mut next)?;
        if records.is_empty() {
            return Ok(mode.unwrap_or_default());
        }
        mode = records.iter().rev().find_map(mode_of).or(mode);
    }
}

/// Puts rows into the log of a gateway that does not run, durably, as frames received at `now`, which must not lie before
/// any frame there is, in the mode of operation of the last one: what comes from a file tells of no other. Seals them.
///
/// # Errors
/// When a store fails.
pub fn record_late(log: &Log, mut rows: Rows, now: Instant, utc_offset_s: i32) -> Result<Lsn, CursorError> {
    Watching::stop(log)?;
    let mode = last_mode(log)?;
    let mut gaps = take_gaps(&mut rows);
    while !rows.is_empty() || !gaps.is_empty() {
        let rest = rows.split_off(FRAME_ROWS);
        let frame = Frame { now, utc_offset_s, mode, rows, gaps: std::mem::take(&mut gaps) };
        log.journal().append(&RecordBody::Data(frame))?;
        rows = rest;
    }
    let durable = log.sync()?;
    seal_all(log)?;
    Ok(durable)
}
