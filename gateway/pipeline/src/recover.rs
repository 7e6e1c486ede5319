//! What is known when the gateway starts: how alarms stood, what was decided, and when time stood still.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use watchfire_alarms::Engine;
use watchfire_model::{AlarmState, Awaited, Frame, Gap, Instant, Lsn, Quality, RecordBody, SignalId};

use crate::late::is_of_a_source;
use crate::watching::{Place, SETTLED, Watching, is_imported};
use crate::{CursorError, Log, OnRecord, PortError, SignalsOf, gaps};

/// How far back from the end the last value of each signal is looked for.
const LOOK_BACK: Duration = SETTLED;
/// So many records are looked at for it at the most, beside those that are not sealed.
const LOOK_BACK_RECORDS: u64 = 10_000;

/// So far ahead of our clock a source's may be, as its values have it: of those beyond it may be that one device's clock
/// is wrong, and not the others'.
const AHEAD_MAX: Duration = LOOK_BACK;
/// So many times it is looked before sources went away: those that went together are looked for together.
const LOOKS_BACK_MAX: usize = 16;

/// Of more of them the oldest are left: ten outages of 100,000 signals. Some 30 bytes each while they are handed on.
const OPEN_GAPS_MAX: usize = 1 << 20;

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
    /// The mode of operation that it was judged in.
    pub mode: u32,
    /// The last values' times.
    pub last: LastTimes,
    /// Gaps in what sources gave of which nobody knows yet whether they can be filled.
    pub open: Vec<Gap>,
    /// What the log says of sources.
    watching: Watching,
}

/// The time of each signal's last recorded value, of those that had one shortly before the end, or before their source
/// went away; and up to when each source was watched.
#[derive(Debug, Default)]
pub struct LastTimes {
    /// By signal.
    of: Vec<Option<Last>>,
    /// By source: of its signals that have none nothing is missing up to the first, by its clock where that is known; and
    /// it was watched up to the second, by ours.
    until: BTreeMap<String, (Instant, Instant)>,
    /// Those of which the first is by our clock, too.
    by_ours: BTreeSet<String>,
    /// By source: what it has yet to get of its signals.
    awaited: BTreeMap<String, Vec<Awaited>>,
}

/// What is known of a signal's last value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// Its time.
    Value(Instant),
    /// Its time: it stood when its node began to be watched anew, maybe for long.
    Stood(Instant),
    /// When it was received: its source gives no times of its own.
    Received(Instant),
}

impl Last {
    /// The time, whichever it is.
    #[must_use]
    pub const fn time(self) -> Instant {
        match self {
            Self::Value(time) | Self::Stood(time) | Self::Received(time) => time,
        }
    }
}

impl LastTimes {
    /// A signal's last value; `None` when there was none lately.
    #[must_use]
    pub fn get(&self, signal: SignalId) -> Option<Last> {
        self.of.get(signal.0 as usize).copied().flatten()
    }

    /// Of a source's signals nothing is missing up to this time: those without a last value had none in the minute before
    /// the others' latest, or before the source went away. `None` when the source was never up, and none of them has one.
    #[must_use]
    pub fn all_until(&self, source: &str, signals: impl Iterator<Item = SignalId>) -> Option<Instant> {
        let known = self.until.get(source).map(|(until, _)| *until);
        known.or_else(|| self.latest(signals, Instant::MAX).map(|latest| latest.minus(LOOK_BACK)))
    }

    /// Up to when a source was watched, by our clock; `None` when it was never up.
    #[must_use]
    pub fn since(&self, source: &str) -> Option<Instant> {
        self.until.get(source).map(|(_, since)| *since)
    }

    /// Whether [`LastTimes::all_until`] is by our clock, since the source has told none of its own before.
    #[must_use]
    pub fn is_by_our_clock(&self, source: &str) -> bool {
        self.by_ours.contains(source)
    }

    /// What a source has yet to get of its signals, as it told last, by [`Awaited::key`]. What [`LastTimes::get`] knows of
    /// a signal came later than the time since when its next value is awaited, unless it bears an earlier time itself.
    #[must_use]
    pub fn awaited(&self, source: &str) -> &[Awaited] {
        self.awaited.get(source).map_or(&[], Vec::as_slice)
    }

    /// The latest of those signals' values up to a time.
    fn latest(&self, signals: impl Iterator<Item = SignalId>, upto: Instant) -> Option<Instant> {
        let last = signals.filter_map(|signal| self.get(signal));
        last.filter(|last| !matches!(last, Last::Stood(_))).map(Last::time).filter(|time| *time <= upto).max()
    }

    /// Says up to when nothing is missing of a source's signals that have no last value, and up to when it was watched by our
    /// clock; whether the first is by our clock as well.
    pub fn put_until(&mut self, source: &str, until: (Instant, Instant), is_by_our_clock: bool) {
        self.until.insert(source.to_owned(), until);
        if is_by_our_clock {
            self.by_ours.insert(source.to_owned());
        }
    }

    /// Says what a source has yet to get of its signals.
    pub fn put_awaited(&mut self, source: &str, awaited: Vec<Awaited>) {
        self.awaited.insert(source.to_owned(), awaited);
    }

    fn set(&mut self, signal: SignalId, last: Last) {
        let at = signal.0 as usize;
        if at >= self.of.len() {
            self.of.resize(at + 1, None);
        }
        if let Some(before) = self.of.get_mut(at) {
            // Not the latest: its clock may have been set back.
            *before = Some(last);
        }
    }

    fn take(&mut self, frame: &Frame) {
        let rows = &frame.rows;
        for (row, (signal, quality)) in rows.signal.iter().zip(&rows.quality).enumerate() {
            // What came late came in between.
            if quality.has(Quality::LATE) {
                continue;
            }
            let (Some(time), Some(status)) = (rows.time.get(row), rows.status.get(row)) else { continue };
            if !quality.has(Quality::SERVER_TIME) {
                let stood = quality.has(Quality::INITIAL);
                self.set(*signal, if stood { Last::Stood(*time) } else { Last::Value(*time) });
            } else if !status.is_bad() && matches!(self.get(*signal), None | Some(Last::Received(_))) {
                // That time is not the source's own, and may be far from those that are. Where it is bad, it may be the
                // word that the signal cannot be watched.
                self.set(*signal, Last::Received(frame.now));
            }
        }
    }

    /// Takes what it does not have.
    fn add_all(&mut self, from: Self) {
        for (at, last) in (0..).zip(from.of) {
            if let (None, Some(last)) = (self.get(SignalId(at)), last) {
                self.set(SignalId(at), last);
            }
        }
    }

    /// The same of some signals.
    fn add(&mut self, from: &Self, signals: &[SignalId]) {
        for signal in signals {
            if let (None, Some(last)) = (self.get(*signal), from.get(*signal)) {
                self.set(*signal, last);
            }
        }
    }
}

impl Recovered {
    /// A start: keeps that no source is watched until it is up, and forgets what those were waiting for that are no longer
    /// configured; blocks.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn begin(&mut self, log: &Log, signals_of: &SignalsOf) -> Result<(), PortError> {
        self.watching.forget_others(signals_of);
        self.interrupt(log, None)
    }

    /// Keeps that the sources are not watched from here on, or this one, until they are up again; blocks.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn interrupt(&mut self, log: &Log, source: Option<&str>) -> Result<(), PortError> {
        self.watching.interrupt(source);
        self.watching.keep(log, None)
    }
}

/// Reads the sealed states and everything after them; blocks.
///
/// # Errors
/// When a store fails. A state that cannot be read is logged, and its condition starts anew.
pub fn recover(log: &Log, signals_of: &SignalsOf) -> Result<Recovered, CursorError> {
    recover_of(log, signals_of, None)
}

/// The same, with the last values before one source went away alone: what looks for those of the others costs by them.
///
/// # Errors
/// As [`recover`].
pub(crate) fn recover_of(log: &Log, signals_of: &SignalsOf, only: Option<&str>) -> Result<Recovered, CursorError> {
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
    recovered.watching = Watching::of(log)?;
    let mut unsealed = LastTimes::default();
    let mut next = log.history().sealed().next();
    loop {
        let records = log.read(next, READ_ROWS_MAX)?;
        let Some(last) = records.last() else { break };
        next = last.lsn.next();
        for record in &records {
            take_now(&mut recovered, &record.body);
            recovered.watching.take(record);
            match &record.body {
                RecordBody::Data(frame) => unsealed.take(frame),
                RecordBody::Decided(decided) => {
                    recovered.decided.insert(decided.binding.clone(), decided.frame);
                    decided.transitions.iter().for_each(|state| restore(&mut recovered.engine, state));
                }
                RecordBody::Commanded { transitions, .. } => {
                    transitions.iter().for_each(|state| restore(&mut recovered.engine, state));
                }
                RecordBody::Control(_) => {}
            }
        }
    }
    recovered.last = last_times(log, &recovered, unsealed, signals_of, only)?;
    for (source, awaited) in recovered.watching.awaited().of(only) {
        recovered.last.put_awaited(source, awaited);
    }
    recovered.open = open_gaps(log, signals_of)?;
    Ok(recovered)
}

/// The last values, with those among what is sealed unless what is not sealed reaches far enough, and for each source that
/// is away with those before it went. What is not sealed is taken whole, however old: a gap then begins with its signal's
/// last value, as in an outage, and a device whose clock is behind is held against its own times and not the others'.
fn last_times(
    log: &Log,
    recovered: &Recovered,
    unsealed: LastTimes,
    signals_of: &SignalsOf,
    only: Option<&str>,
) -> Result<LastTimes, CursorError> {
    let mut last = unsealed;
    let end = recovered.watching.last();
    let sealed_end = log.history().last_frame()?;
    let mut whole_since = None;
    if let Some(sealed_end) = sealed_end {
        // What was imported since the sources were read last may be any number of frames, with none of their values.
        let (time, lsn) = end.map_or((recovered.last_now, sealed_end), |end| (end.time, end.lsn.min(sealed_end)));
        let (sealed, since) = look_back(log, Place { time, lsn }, None)?;
        whole_since = since;
        last.add_all(sealed);
    }
    let mut away: Vec<(&str, Place)> = Vec::new();
    for (source, whole) in recovered.watching.sources() {
        // Of one that is no longer configured nothing is asked.
        let mut is_asked_for = false;
        signals_of.with(source, |signals| is_asked_for = !signals.is_empty());
        if !is_asked_for || only.is_some_and(|only| only != source) {
            continue;
        }
        match (whole, end) {
            (Some(place), _) => away.push((source, place)),
            (None, Some(end)) => {
                let (mut until, mut latest) = (end.time.minus(LOOK_BACK), None);
                signals_of.with(source, |signals| {
                    // The source's own clock, where it has told it.
                    latest = last.latest(signals.iter().copied(), end.time.plus(AHEAD_MAX));
                    until = latest.map_or(until.max(whole_since.unwrap_or(until)), |latest| latest.minus(LOOK_BACK));
                });
                last.put_until(source, (until, end.time), latest.is_none());
            }
            (None, None) => {}
        }
    }
    away.sort_unstable_by_key(|(_, place)| std::cmp::Reverse(place.lsn));
    for (group, sources) in together(&away).into_iter().enumerate() {
        let (Some((_, latest)), Some((_, earliest))) = (sources.first(), sources.last()) else { continue };
        let mut before = LastTimes::default();
        if group < LOOKS_BACK_MAX {
            (before, _) = look_back(log, *latest, Some(*earliest))?;
        }
        for (source, place) in sources {
            // Without a look at what came shortly before, it is taken for known.
            let mut until = if group < LOOKS_BACK_MAX { place.time.minus(LOOK_BACK) } else { place.time };
            let mut latest = None;
            signals_of.with(source, |signals| {
                latest = before.latest(signals.iter().copied(), place.time.plus(AHEAD_MAX));
                until = latest.map_or(until, |latest| latest.minus(LOOK_BACK));
                last.add(&before, signals);
            });
            last.put_until(source, (until, place.time), latest.is_none());
        }
    }
    Ok(last)
}

/// Those that went away so near each other, from the latest on, that one look finds what came before each: so far at the
/// most as one look goes back.
fn together<'a, 's>(mut away: &'a [(&'s str, Place)]) -> Vec<&'a [(&'s str, Place)]> {
    let mut groups = Vec::new();
    while let Some((_, latest)) = away.first() {
        let earliest = latest.lsn.0.saturating_sub(LOOK_BACK_RECORDS);
        let (group, rest) = away.split_at(away.partition_point(|(_, place)| place.lsn.0 >= earliest));
        groups.push(group);
        away = rest;
    }
    groups
}

/// Gaps whose filling was not finished when the gateway ended, the latest of them. Their times may be any: those of a
/// source whose clock is wrong, too.
fn open_gaps(log: &Log, signals_of: &SignalsOf) -> Result<Vec<Gap>, CursorError> {
    let mut open = Vec::new();
    let mut left = BTreeMap::new();
    for page in gaps(log, None, Instant::MIN, Instant::MAX)? {
        let is_open = |told: &OnRecord| is_of_a_source(told.gap.signal, told.gap.cause) && told.fill.is_none();
        open.extend(page?.into_iter().filter(is_open).map(|told| told.gap));
        leave_oldest(&mut open, OPEN_GAPS_MAX, signals_of, &mut left);
    }
    for (source, gaps) in left {
        tracing::error!(
            source,
            gaps,
            "too many gaps wait for the server's history; the oldest stay on record, and are asked for after a later start"
        );
    }
    Ok(open)
}

/// Takes out the oldest gaps of too many, and counts them by their sources.
fn leave_oldest(open: &mut Vec<Gap>, most: usize, signals_of: &SignalsOf, left: &mut BTreeMap<String, usize>) {
    let too_many = open.len().saturating_sub(most);
    if too_many == 0 {
        return;
    }
    let sources = signals_of.sources();
    for signal in open.drain(..too_many).filter_map(|gap| gap.signal) {
        let source = sources.get(&signal).map_or("one that is no longer configured", |source| &**source);
        *left.entry(source.to_owned()).or_default() += 1;
    }
}

/// The last values in frames up to a place, a minute before it and longer where an earlier place is named; and since when
/// all of them are known, if not for so long.
fn look_back(log: &Log, from: Place, to: Option<Place>) -> Result<(LastTimes, Option<Instant>), CursorError> {
    let begin = to.unwrap_or(from).time.minus(LOOK_BACK);
    let mut found = LastTimes::default();
    let first = Lsn(to.unwrap_or(from).lsn.0.saturating_sub(LOOK_BACK_RECORDS).max(1));
    let mut next = first;
    let mut whole_since = None;
    while next <= from.lsn {
        let records = log.read_kept(&mut next)?;
        if records.is_empty() {
            break;
        }
        for record in records.iter().filter(|record| record.lsn <= from.lsn) {
            if let RecordBody::Data(frame) = &record.body {
                // The time of an import says nothing of what was read.
                if whole_since.is_none() && !is_imported(frame) {
                    whole_since = Some(frame.now);
                }
                if frame.now >= begin {
                    found.take(frame);
                }
            }
        }
    }
    Ok((found, whole_since.filter(|since| *since > begin)))
}

fn take_now(recovered: &mut Recovered, body: &RecordBody) {
    if let RecordBody::Data(frame) = body {
        recovered.last_now = recovered.last_now.max(frame.now);
        recovered.mode = frame.mode;
    }
}

fn restore(engine: &mut Engine, state: &AlarmState) {
    if let Err(error) = engine.restore(&state.key, &state.state) {
        tracing::error!(condition = %state.key, %error, "a stored alarm state is unreadable; the condition starts anew");
    }
}

#[cfg(test)]
mod tests {
    use watchfire_model::GapCause;

    use super::*;

    #[test]
    fn of_too_many_gaps_the_oldest_are_left_and_counted_by_their_sources() {
        let gap = |signal, s| {
            let (since, until) = (Instant::from_s(s), Instant::from_s(s + 1));
            Gap { signal: Some(SignalId(signal)), since, until, cause: GapCause::SourceLost }
        };
        let of = BTreeMap::from([("mill".into(), vec![SignalId(1)]), ("press".into(), vec![SignalId(2), SignalId(3)])]);
        let mut open = vec![gap(2, 1), gap(9, 2), gap(3, 3), gap(1, 4), gap(2, 5)];
        let mut left = BTreeMap::new();
        leave_oldest(&mut open, 5, &SignalsOf::default(), &mut left);
        assert_eq!((open.len(), left.len()), (5, 0));
        leave_oldest(&mut open, 1, &SignalsOf::new(of), &mut left);
        assert_eq!(open, [gap(2, 5)]);
        let left: Vec<_> = left.iter().map(|(source, gaps)| (source.as_str(), *gaps)).collect();
        assert_eq!(left, [("mill", 1), ("one that is no longer configured", 1), ("press", 2)]);
    }

    #[test]
    fn those_that_went_away_within_one_look_are_looked_for_together_and_a_chain_of_neighbours_is_not() {
        let away = |lsns: &[u64]| -> Vec<(&'static str, Place)> {
            lsns.iter().map(|lsn| ("s", Place { time: Instant::from_s(1), lsn: Lsn(*lsn) })).collect()
        };
        let sizes = |lsns: &[u64]| together(&away(lsns)).iter().map(|group| group.len()).collect::<Vec<_>>();
        assert!(sizes(&[]).is_empty());
        assert_eq!(sizes(&[50_000, 45_000, 40_000, 39_999, 30_000, 5_000, 1]), [3, 2, 2]);
    }
}
