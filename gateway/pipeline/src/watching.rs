//! Up to when each source was watched: kept beside what is sealed, so that a start knows since when one is away however
//! long ago that was, and however often the gateway was started meanwhile. What each has yet to get of its signals is kept
//! with it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use watchfire_model::{Control, Frame, GapCause, Instant, Lsn, Quality, Record, RecordBody, SourceState};

use crate::awaited::AwaitedBySource;
use crate::{CursorError, History, Log, PortError, SignalsOf};

/// The note's name.
const NOTE: &str = "watching";
/// A source is known to be watched again once it has been up for so long: until then values that end its hole may not
/// have come, or not be durable.
pub(crate) const SETTLED: Duration = Duration::from_secs(60);
/// So many records around one that tells of a source have the frames that tell the time.
const AROUND: u64 = 64;
/// Records read at once that have no samples.
const READ_MAX: usize = 256;
/// Rows read at once.
const READ_ROWS_MAX: usize = 1 << 14;
/// Without a note so many records before the end are looked through.
const LOOK_MAX: u64 = 1 << 20;

/// A place in the log and the time of its last frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The frame's receive time.
    pub time: Instant,
    /// The record.
    pub lsn: Lsn,
}

/// Whether a source is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Up {
    #[default]
    No,
    /// It came up after the last frame.
    Now,
    Since(Instant),
    /// It came up after the last frame, and has not told yet which of its signals are watched.
    Coming,
    /// The same, since a frame.
    ComingSince(Instant),
}

/// One source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Watch {
    /// Up to here it was watched before it went away, or came up for the first time.
    whole: Option<Place>,
    up: Up,
}

/// What the log says of sources, up to a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watching {
    upto: Lsn,
    /// The last frame that was cut while sources were read.
    last: Option<Place>,
    of: BTreeMap<String, Watch>,
    /// Whether any came up after the last frame.
    is_awaited: bool,
    /// No gateway runs: what is imported tells of no time in which sources were read.
    is_stopped: bool,
    /// What sources have yet to get; in a note of its own.
    #[serde(skip)]
    awaited: AwaitedBySource,
}

impl Watching {
    /// What is kept, with what is sealed and what is not; blocks.
    fn of_all(log: &Log) -> Result<Self, CursorError> {
        let mut watching = Self::of(log)?;
        let mut next = log.history().sealed().next();
        loop {
            let records = log.read_kept(&mut next)?;
            if records.is_empty() {
                return Ok(watching);
            }
            records.iter().for_each(|record| watching.take(record));
        }
    }

    /// Keeps that no gateway runs, before something is imported: what tells so must be durable before it. What is not an
    /// import, and the next start, end it. Blocks.
    ///
    /// # Errors
    /// When a store fails.
    pub(crate) fn stop(log: &Log) -> Result<(), CursorError> {
        let watching = Self { is_stopped: true, ..Self::of_all(log)? };
        Ok(watching.keep(log, None)?)
    }

    /// What was kept, and what was sealed since; blocks. Costs by records without samples that were sealed since then:
    /// few, unless something else sealed them.
    ///
    /// # Errors
    /// When a store fails.
    pub(crate) fn of(log: &Log) -> Result<Self, CursorError> {
        let (mut watching, sealed) = (Self::kept(log.history().as_ref())?, log.history().sealed());
        // Its last records may not have survived.
        watching.upto = watching.upto.min(log.tail());
        if watching.upto >= sealed {
            return Ok(watching);
        }
        let mut from = watching.upto.next().max(Lsn(sealed.0.saturating_sub(LOOK_MAX)));
        while from <= sealed {
            let records = log.history().decisions(from, sealed, READ_MAX)?;
            let Some(last) = records.last() else { break };
            from = last.lsn.next();
            for record in records.iter().filter(|record| is_of_a_source(&record.body)) {
                watching.take_around(log, record.lsn, sealed)?;
            }
        }
        if let Some(frame) = log.history().last_frame()? {
            log.history().read(frame, 1)?.iter().for_each(|record| watching.take(record));
        }
        watching.upto = watching.upto.max(sealed);
        Ok(watching)
    }

    /// The same for the sealer, which what is damaged must not stop.
    pub(crate) fn known(log: &Log) -> Self {
        Self::of(log).unwrap_or_else(|error| {
            tracing::warn!(%error, "what was recorded of sources cannot be read; it is taken for what was kept of it");
            Self::kept(log.history().as_ref()).unwrap_or_default()
        })
    }

    /// The note. One that cannot be read is as none.
    fn kept(history: &dyn History) -> Result<Self, PortError> {
        let bytes = history.note(NOTE)?.unwrap_or_default();
        let kept: Self = postcard::from_bytes(&bytes).unwrap_or_default();
        Ok(Self { awaited: AwaitedBySource::kept(history)?, ..kept })
    }

    /// Keeps it, unless something else was kept since `before`.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn keep(&self, log: &Log, before: Option<&Self>) -> Result<(), PortError> {
        let _writer = log.watching.lock();
        let kept = Self::kept(log.history().as_ref())?;
        if before.is_some_and(|before| kept.upto > before.upto) || kept == *self {
            return Ok(());
        }
        // First: to take again what it has already changes nothing.
        if kept.awaited != self.awaited {
            self.awaited.keep(log.history().as_ref())?;
        }
        log.history().set_note(NOTE, &postcard::to_allocvec(self).unwrap_or_default())
    }

    fn take_around(&mut self, log: &Log, place: Lsn, sealed: Lsn) -> Result<(), CursorError> {
        let mut next = Lsn(place.0.saturating_sub(AROUND).max(1)).max(self.upto.next());
        let end = Lsn(place.0.saturating_add(AROUND)).min(sealed);
        while next <= end {
            let records = match log.read(next, READ_ROWS_MAX) {
                Err(CursorError::Gone { oldest }) if oldest <= end => {
                    next = oldest;
                    continue;
                }
                Err(CursorError::Gone { .. }) => break,
                records => records?,
            };
            let Some(last) = records.last() else { break };
            next = last.lsn.next();
            records.iter().filter(|record| record.lsn <= end).for_each(|record| self.take(record));
        }
        Ok(())
    }

    /// Takes the next record; one that was taken changes nothing.
    pub(crate) fn take(&mut self, record: &Record) {
        if record.lsn <= self.upto {
            return;
        }
        self.upto = record.lsn;
        match &record.body {
            RecordBody::Data(frame) if self.is_stopped && is_imported(frame) => {}
            RecordBody::Data(frame) => {
                self.is_stopped = false;
                self.frame(frame.now, record.lsn);
            }
            RecordBody::Control(Control::Source { source, state: SourceState::Up, .. }) => {
                self.is_stopped = false;
                let watch = self.of.entry(source.clone()).or_default();
                if watch.up == Up::No {
                    (watch.up, self.is_awaited) = (Up::Now, true);
                }
            }
            RecordBody::Control(Control::Awaited { source, is_known, awaited, settled }) => {
                self.is_stopped = false;
                self.awaited.take(source, awaited, settled);
                let watch = self.of.entry(source.clone()).or_default();
                watch.up = match (watch.up, is_known) {
                    (Up::No, false) => Up::Coming,
                    (Up::Coming, true) => Up::Now,
                    (Up::ComingSince(since), true) => Up::Since(since),
                    (up, _) => up,
                };
                self.is_awaited |= matches!(watch.up, Up::Now | Up::Coming);
            }
            RecordBody::Control(Control::Source { source, .. } | Control::SourceEnded { source, .. }) => {
                self.interrupt(Some(source));
            }
            _ => {}
        }
    }

    fn frame(&mut self, now: Instant, lsn: Lsn) {
        let time = self.last.map_or(now, |last| last.time.max(now));
        let place = Place { time, lsn };
        self.last = Some(place);
        if !std::mem::take(&mut self.is_awaited) {
            return;
        }
        for watch in self.of.values_mut() {
            watch.up = match watch.up {
                Up::Now => Up::Since(time),
                Up::Coming => Up::ComingSince(time),
                Up::No | Up::Since(_) | Up::ComingSince(_) => continue,
            };
            watch.whole.get_or_insert(place);
        }
    }

    /// From here on a source is not watched, or none is: the gateway ended here, or its reader did.
    pub(crate) fn interrupt(&mut self, source: Option<&str>) {
        self.is_stopped = false;
        let last = self.last;
        for (_, watch) in self.of.iter_mut().filter(|(name, _)| source.is_none_or(|source| source == *name)) {
            if is_settled(watch.up, last) {
                watch.whole = last;
            }
            watch.up = Up::No;
        }
    }

    /// The last frame that was cut while sources were read.
    pub(crate) const fn last(&self) -> Option<Place> {
        self.last
    }

    /// Of a source that is no longer configured nothing is awaited.
    pub(crate) fn forget_others(&mut self, signals_of: &SignalsOf) {
        self.awaited.retain(|source| {
            let mut is_there = false;
            signals_of.with(source, |_| is_there = true);
            is_there
        });
    }

    /// What each source has yet to get.
    pub(crate) const fn awaited(&self) -> &AwaitedBySource {
        &self.awaited
    }

    /// Each source that was ever up, and up to where it was watched: `None` for all the time up to the last frame.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&str, Option<Place>)> {
        let known = self.of.iter().filter(|(_, watch)| watch.whole.is_some());
        known.map(|(name, watch)| (name.as_str(), watch.whole.filter(|_| !is_settled(watch.up, self.last))))
    }
}

fn is_settled(up: Up, last: Option<Place>) -> bool {
    let settled_ns = i64::try_from(SETTLED.as_nanos()).unwrap_or(i64::MAX);
    matches!((up, last), (Up::Since(since), Some(last)) if last.time.since_ns(since) >= settled_ns)
}

const fn is_of_a_source(body: &RecordBody) -> bool {
    matches!(body, RecordBody::Control(Control::Source { .. } | Control::SourceEnded { .. } | Control::Awaited { .. }))
}

/// Whether a frame has nothing but what came late and gaps of a file: it may have been written while no gateway ran.
pub(crate) fn is_imported(frame: &Frame) -> bool {
    let (quality, gaps) = (&frame.rows.quality, &frame.gaps);
    (!quality.is_empty() || !gaps.is_empty())
        && quality.iter().all(|quality| quality.has(Quality::LATE))
        && gaps.iter().all(|gap| gap.cause == GapCause::Imported)
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::{Gap, Rows};

    fn frame(s: i64) -> RecordBody {
        RecordBody::Data(Frame { now: Instant::from_s(s), rows: Rows::default(), ..Frame::default() })
    }

    fn is(state: SourceState) -> RecordBody {
        RecordBody::Control(Control::Source { source: "s".to_owned(), state, reason: String::new() })
    }

    fn told(bodies: Vec<RecordBody>) -> Watching {
        let mut watching = Watching::default();
        for (lsn, body) in (1..).zip(bodies) {
            watching.take(&Record { lsn: Lsn(lsn), body });
        }
        watching
    }

    fn whole(watching: &Watching) -> Vec<Option<i64>> {
        watching.sources().map(|(_, place)| place.map(|place| place.time.ns() / 1_000_000_000)).collect()
    }

    #[test]
    fn a_source_was_watched_until_it_went_away_and_is_again_once_it_has_been_up_for_a_minute() {
        const UP: SourceState = SourceState::Up;
        const DOWN: SourceState = SourceState::Down;
        let cases: Vec<(Vec<RecordBody>, Vec<Option<i64>>)> = vec![
            (vec![frame(10), is(DOWN), frame(500)], vec![]),
            (vec![is(UP)], vec![]),
            (vec![is(UP), frame(10)], vec![Some(10)]),
            (vec![is(UP), frame(10), frame(100)], vec![None]),
            (vec![is(UP), frame(10), frame(100), is(DOWN), frame(500), is(DOWN), frame(900)], vec![Some(100)]),
            (vec![is(UP), frame(10), frame(100), is(DOWN), frame(500), is(UP), frame(510)], vec![Some(100)]),
            // Up for moments, again and again.
            (
                vec![is(UP), frame(10), frame(100), is(DOWN), frame(500), is(UP), frame(510), is(DOWN), frame(900)],
                vec![Some(100)],
            ),
            (vec![is(UP), frame(10), frame(100), is(DOWN), frame(500), is(UP), frame(510), frame(570)], vec![None]),
        ];
        for (bodies, expected) in cases {
            assert_eq!(whole(&told(bodies.clone())), expected, "{bodies:?}");
        }
    }

    #[test]
    fn a_start_ends_the_watching_of_all_and_the_time_before_it_does_not_count() {
        let mut watching = told(vec![is(SourceState::Up), frame(10), frame(100)]);
        watching.interrupt(None);
        assert_eq!(whole(&watching), [Some(100)]);
        // Half an hour later it is up at once, before any frame was cut.
        for (lsn, body) in (4..).zip([is(SourceState::Up), frame(1900), frame(1905)]) {
            watching.take(&Record { lsn: Lsn(lsn), body });
        }
        assert_eq!(whole(&watching), [Some(100)], "five seconds, and not half an hour");
        let bytes = postcard::to_allocvec(&watching).unwrap();
        assert_eq!(postcard::from_bytes::<Watching>(&bytes).unwrap(), watching);
    }

    #[test]
    fn what_is_imported_counts_as_time_that_was_watched_unless_no_gateway_runs() {
        let mut late = Frame { now: Instant::from_s(9_000), ..Frame::default() };
        let (signal, good) = (watchfire_model::SignalId(0), watchfire_model::StatusCode::GOOD);
        late.rows.push(signal, Instant::from_s(5), 1.0, good, Quality::LATE, 0);
        let gap = |cause| Gap { signal: None, since: Instant::from_s(5), until: Instant::from_s(6), cause };
        let with = |rows: bool, cause| {
            let rows = if rows { late.rows.clone() } else { Rows::default() };
            RecordBody::Data(Frame { rows, gaps: vec![gap(cause)], ..late.clone() })
        };
        let cases = [
            (RecordBody::Data(late.clone()), true),
            (with(true, GapCause::Imported), true),
            (with(false, GapCause::Imported), true),
            (with(true, GapCause::SourceLost), false),
            (frame(9_000), false),
        ];
        for (body, is_imported) in cases {
            for is_stopped in [false, true] {
                let mut watching = told(vec![is(SourceState::Up), frame(10), frame(100)]);
                watching.is_stopped = is_stopped;
                watching.take(&Record { lsn: Lsn(4), body: body.clone() });
                let expected = Instant::from_s(if is_stopped && is_imported { 100 } else { 9_000 });
                assert_eq!(watching.last().map(|last| last.time), Some(expected), "{is_stopped} {body:?}");
            }
        }
    }
}
