//! What a detector did not see of a time in which values were missing, as frames: what was fetched since, and what came of
//! its other signals, in the order of its time and cut as it would have come. Knows no detector.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::mpsc;
use watchfire_model::{Copied, Frame, Instant, Lsn, Quality, RecordBody, Rows, SignalId};

use crate::samples::{Trace, traces};
use crate::{CursorError, Log, OnRecord, Page, Traced};

/// Of what was missing for longer the last part is judged.
pub(crate) const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// Of so much time values are read at once at most,
const STEP_MAX: Duration = Duration::from_secs(60);
/// and of less where they are more than this many.
const STEP_ROWS: usize = 1 << 18;
/// What is judged together is of one such stretch, also where nothing came in it, and has so many rows at most.
const FRAME: Duration = Duration::from_secs(1);
const FRAME_ROWS: usize = 4096;
/// Frames behind the state in which is looked for what it has not seen yet: some minutes, and it is saved each minute.
const LOOKED_AT_MAX: u64 = 20_000;
/// and behind the last that told what is missing: with the gap come the first values that are live again.
const LOOKED_AT_BEHIND: u64 = 200;
/// A source's clock that is ahead by less is taken as it is.
const AHEAD_MIN_NS: i64 = 300_000_000_000;
/// What lies further in the future than this, by the clocks of the others, is no time.
const BEYOND: Duration = Duration::from_secs(86_400);
/// Records that are looked at for the time of a place.
const TIME_WITHIN: u64 = 4096;

/// What was missed.
pub(crate) struct Missed {
    /// All signals of the detector.
    pub signals: BTreeSet<SignalId>,
    /// What was missing of them.
    pub gaps: Vec<OnRecord>,
    /// The frame up to which the detector had seen everything,
    pub state: Lsn,
    /// and the gateway's time then.
    pub known: Option<Instant>,
    /// The frame that told of the last that was missing.
    pub last: Lsn,
}

/// What was found in the frames right behind the state.
#[derive(Default)]
struct Unseen {
    /// The first time of each signal that came live.
    first: BTreeMap<SignalId, Instant>,
    /// How far the gateway's clock is ahead of the sources', at most,
    ahead_ns: Option<i64>,
    /// and of those that lie beyond what a clock may, which count where there are no others.
    beyond_ns: Option<i64>,
}

impl Missed {
    /// The gateway's time of the first frame from a place on, if there is one soon.
    pub(crate) fn time_after(log: &Log, place: Lsn) -> Result<Option<Instant>, CursorError> {
        let mut next = place;
        while next.0 <= place.0.saturating_add(TIME_WITHIN) {
            let records = log.read_kept(&mut next)?;
            if records.is_empty() {
                break;
            }
            let of = |body: &RecordBody| if let RecordBody::Data(frame) = body { Some(frame.now) } else { None };
            if let Some(now) = records.iter().find_map(|record| of(&record.body)) {
                return Ok(Some(now));
            }
        }
        Ok(None)
    }

    /// Reads it and hands on frame by frame, each with its own time by the gateway's clock (a frame's never lies before what
    /// was known), until nobody takes any. Blocks; holds the rows of a step, and those that are
    /// not sealed.
    ///
    /// # Errors
    /// When a store fails.
    pub(crate) fn read(&self, log: &Log, into: &mpsc::Sender<(Instant, Frame)>) -> Result<(), CursorError> {
        let unseen = self.unseen(log)?;
        // Time that lies behind would stand still for as long.
        let ahead = unseen.ahead_ns.or(unseen.beyond_ns);
        let ahead_ns = ahead.filter(|ahead| *ahead > 0 || *ahead <= -AHEAD_MIN_NS).unwrap_or(0);
        let begins = self.begins(&unseen, ahead_ns);
        let stands = frame_at(log, self.last)?.unwrap_or_default();
        // By the clocks of the sources. A time that lies far beyond is none, whatever a device says.
        let told = Instant::from_ns(stands.now.ns().saturating_sub(ahead_ns));
        let latest = told.plus(BEYOND);
        let until = self.gaps.iter().map(|told| told.gap.until).filter(|until| *until <= latest).max().unwrap_or(told);
        let since = begins.values().copied().min().unwrap_or(until).max(until.minus(LONGEST));
        let signals: Vec<SignalId> = begins.keys().copied().collect();
        let traces = traces(log, &signals, since, until)?;
        let read: Vec<(Instant, Trace)> = begins.into_values().zip(traces).collect();
        let (mut at, mut step) = (since, STEP_MAX);
        let mut now = self.known.unwrap_or(Instant::MIN);
        while at < until {
            let to = at.plus(step).min(until);
            let Some(rows) = rows_of(&read, at, to, step > FRAME)? else {
                step = (step / 2).max(FRAME);
                continue;
            };
            for (time, rows) in cut(&rows, at, to) {
                let of_it = Instant::from_ns(time.ns().saturating_add(ahead_ns));
                now = now.max(of_it);
                let frame = Frame { now, rows, gaps: Vec::new(), utc_offset_s: stands.utc_offset_s, mode: stands.mode };
                if into.blocking_send((of_it, frame)).is_err() {
                    return Ok(());
                }
            }
            if rows.len() < STEP_ROWS / 4 {
                step = (step * 2).min(STEP_MAX);
            }
            at = to;
        }
        Ok(())
    }

    /// From where on each signal has values that were not seen: where it began to be missing, or what came live behind the
    /// state; else when the state was taken, by the clock of its source.
    fn begins(&self, unseen: &Unseen, ahead_ns: i64) -> BTreeMap<SignalId, Instant> {
        let next = |time: Instant| Instant::from_ns(time.ns().saturating_add(1));
        let mut begins = unseen.first.clone();
        for (signal, since) in self.gaps.iter().filter_map(|told| Some((told.gap.signal?, next(told.gap.since)))) {
            let begin = begins.entry(signal).or_insert(since);
            *begin = (*begin).min(since);
        }
        if let Some(known) = self.known {
            let known = next(Instant::from_ns(known.ns().saturating_sub(ahead_ns)));
            for signal in &self.signals {
                begins.entry(*signal).or_insert(known);
            }
        }
        begins
    }

    fn unseen(&self, log: &Log) -> Result<Unseen, CursorError> {
        let mut found = Unseen::default();
        let behind = Lsn(self.last.0.saturating_add(LOOKED_AT_BEHIND));
        let end = Lsn(self.state.0.saturating_add(LOOKED_AT_MAX)).min(behind);
        let mut first_times = BTreeMap::new();
        self.look(log, self.state.next(), end, &mut found)?;
        first_times.append(&mut found.first);
        if end < self.last {
            self.look(log, self.last, behind, &mut found)?;
        }
        Ok(Unseen { first: first_times, ..found })
    }

    fn look(&self, log: &Log, from: Lsn, end: Lsn, found: &mut Unseen) -> Result<(), CursorError> {
        let mut next = from;
        while next <= end {
            let records = log.read_kept(&mut next)?;
            if records.is_empty() {
                break;
            }
            for record in records.iter().filter(|record| record.lsn <= end) {
                if let RecordBody::Data(frame) = &record.body {
                    found.look(frame, &self.signals);
                }
            }
        }
        Ok(())
    }
}

impl Unseen {
    fn look(&mut self, frame: &Frame, signals: &BTreeSet<SignalId>) {
        let rows = frame.rows.signal.iter().zip(&frame.rows.time).zip(&frame.rows.quality);
        for ((signal, time), quality) in rows {
            // What stood already is older than its coming tells.
            if quality.has(Quality::LATE) || quality.has(Quality::INITIAL) || !signals.contains(signal) {
                continue;
            }
            let first = self.first.entry(*signal).or_insert(*time);
            *first = (*first).min(*time);
            let ahead = frame.now.ns().saturating_sub(time.ns());
            let is_beyond = *time > frame.now.plus(BEYOND);
            let least = if is_beyond { &mut self.beyond_ns } else { &mut self.ahead_ns };
            *least = Some(least.map_or(ahead, |known| known.min(ahead)));
        }
    }
}

fn frame_at(log: &Log, place: Lsn) -> Result<Option<Frame>, CursorError> {
    let records = log.read(place, 1)?;
    Ok(records.into_iter().find_map(|record| match record.body {
        RecordBody::Data(frame) if record.lsn == place => Some(frame),
        _ => None,
    }))
}

/// What is on record of signals, of each from its own time on, in the order of time; `None` where it is too much and may be
/// parted.
fn rows_of(read: &[(Instant, Trace)], from: Instant, to: Instant, may_part: bool) -> Result<Option<Rows>, CursorError> {
    let mut found = Rows::default();
    for (begin, trace) in read {
        let mut next = Some((*begin).max(from)).filter(|next| *next < to);
        while let Some(at) = next {
            let Page { mut rows, rest } = trace.page(at, to)?;
            found.append(&mut rows);
            next = rest;
        }
        if may_part && found.len() > STEP_ROWS {
            return Ok(None);
        }
    }
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by_key(|row| found.time.get(*row).copied());
    let (mut sorted, mut copied) = (Rows::default(), Copied::default());
    for row in order {
        sorted.copy_row(&found, row, &mut copied);
    }
    for quality in &mut sorted.quality {
        // They are of their time now.
        *quality = Quality(quality.0 & !(Quality::LATE.0 | Quality::INITIAL.0));
    }
    Ok(Some(sorted))
}

/// Rows in the order of time, cut as they would have come, each with the time at which that was: time goes on as well where
/// nothing comes.
fn cut(rows: &Rows, from: Instant, to: Instant) -> Vec<(Instant, Rows)> {
    let (mut frames, mut copied) = (Vec::new(), Copied::default());
    let (mut row, mut at) = (0, from);
    while at < to {
        let end = at.plus(FRAME).min(to);
        let mut open = Rows::default();
        let mut is_empty = true;
        while let Some(time) = rows.time.get(row).copied().filter(|time| *time < end) {
            open.copy_row(rows, row, &mut copied);
            (row, is_empty) = (row + 1, false);
            let goes_on = rows.time.get(row).is_some_and(|next| *next < end);
            if open.len() >= FRAME_ROWS || !goes_on {
                frames.push((time, std::mem::take(&mut open)));
            }
        }
        if is_empty {
            frames.push((end, open));
        }
        at = end;
    }
    frames
}

#[cfg(test)]
mod tests {
    use watchfire_model::StatusCode;

    use super::*;

    #[test]
    fn time_goes_on_where_nothing_comes_and_no_row_is_left_out() {
        let mut rows = Rows::default();
        let ms = |ms: i64| Instant::from_ns(ms * 1_000_000);
        for time in [0, 10, 10, 999, 1000, 3500] {
            rows.push(SignalId(1), ms(time), 0.0, StatusCode::GOOD, Quality::NONE, 0);
        }
        let cut = cut(&rows, ms(0), ms(4_200));
        let seen: Vec<_> = cut.iter().map(|(now, rows)| (now.ns() / 1_000_000, rows.len())).collect();
        assert_eq!(seen, [(999, 4), (1000, 1), (3000, 0), (3500, 1), (4200, 0)]);
    }
}
