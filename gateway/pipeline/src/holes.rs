//! The gaps of a signal that nothing has filled: where whoever reads its history is to see that values are missing. Found by
//! the days and buckets that tell of gaps, for some signals at once, and kept for a while, since whoever draws a trend asks
//! again and again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use watchfire_model::{Control, Fill, Gap, GapCause, Instant, Lsn, Record, RecordBody, SignalId};

use crate::gaps::gaps_known;
use crate::parts::Parts;
use crate::{CursorError, Log, OnRecord, Page, Trace, Traced, trace};

/// Signals whose gaps are found together: a source that is lost has one for each, and they lie side by side.
const NEAR: u32 = 64;
/// What is asked is widened to whole days, so that what was found for one page serves those beside it.
const DAY_NS: i64 = 86_400_000_000_000;
/// Gaps and fills that are not sealed yet and are kept: some ten megabytes. Of more the oldest are left in the log.
const NEWS_MAX: usize = if cfg!(test) { 8 } else { 1 << 18 };
/// Gaps that were found and are kept, and answers.
const HELD_MAX: usize = if cfg!(test) { 16 } else { 1 << 17 };
const ANSWERS_MAX: usize = 1 << 12;

/// A gap that nothing has filled, or not all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    /// Whose; `None` for every signal's.
    pub signal: Option<SignalId>,
    /// The last time of which something is known.
    pub since: Instant,
    /// The first time of which something is known again.
    pub until: Instant,
    /// Whether some values were fetched: from the beginning on, up to where the source's own history broke off.
    pub is_partial: bool,
}

/// Some signals, the first of them, and the days from one to another.
type Key = (u32, i64, i64);

#[derive(Debug, Default)]
struct State {
    /// What is not sealed was looked at up to here.
    next: Lsn,
    /// The gaps and fills in it, from `kept_from` on.
    news: VecDeque<(Lsn, News)>,
    kept_from: Lsn,
    /// What was found, as long as nothing came of it since.
    known: BTreeMap<Key, Arc<Vec<Hole>>>,
    held: usize,
    /// Where those begin that were filled in part.
    parts: Parts,
    generation: u64,
    /// In which generation something came of some signals last, and of all.
    touched: BTreeMap<u32, u64>,
    all_touched: u64,
}

#[derive(Clone, Copy, Debug)]
enum News {
    Gap(Gap),
    Fill(Fill),
}

/// Gaps that nothing has filled.
#[derive(Debug, Default)]
pub(crate) struct Holes(Mutex<State>);

impl Holes {
    /// Takes a record that was appended, where those before it were taken. Never waits: what it misses is read by whoever
    /// asks next.
    pub fn hear(&self, record: &Record) {
        if let Some(mut state) = self.0.try_lock()
            && state.next == record.lsn
        {
            state.take(record);
            state.next = record.lsn.next();
        }
    }

    /// The gaps that touch the days of `from..to`, of the signal and of those near to it, and perhaps others. Blocks; costs a look at the
    /// heads of the days that have such gaps, and a read of the gaps of each of their buckets that has; of more unsealed
    /// ones than are kept, a read of the oldest part of the log that is not sealed.
    ///
    /// # Errors
    /// When a store fails.
    pub fn near(&self, log: &Log, signal: SignalId, from: Instant, to: Instant) -> Result<Arc<Vec<Hole>>, CursorError> {
        let block = block_of(signal);
        let day = |at: Instant| at.ns().div_euclid(DAY_NS);
        let (first, last) = (day(from), day(to));
        let signals: BTreeSet<SignalId> = (block..block.saturating_add(NEAR)).map(SignalId).collect();
        let mut found =
            Unsealed { signals: &signals, between: span_of(first, last), gaps: Vec::new(), fills: Vec::new() };
        let mut later = Unsealed { gaps: Vec::new(), fills: Vec::new(), ..found };
        let (upto, kept_from, generation) = {
            let mut state = self.0.lock();
            let upto = state.catch_up(log)?;
            if let Some(known) = state.covering(block, first, last) {
                return Ok(known);
            }
            state.news.iter().for_each(|(lsn, news)| later.take(*lsn, *news));
            (upto, state.kept_from, state.generation)
        };
        #[cfg(test)]
        looked::UP.set(looked::UP.get() + 1);
        found.read(log, upto.next(), kept_from)?;
        found.gaps.append(&mut later.gaps);
        found.fills.append(&mut later.fills);
        let Unsealed { between, gaps, fills, .. } = found;
        let mut holes = Vec::new();
        for page in gaps_known(log, Some(signals.clone()), between, upto, gaps, fills) {
            holes.extend(page?.iter().filter_map(Hole::of));
        }
        let holes = Arc::new(holes);
        let mut state = self.0.lock();
        if state.is_since(block, generation) {
            state.keep((block, first, last), &holes);
        }
        Ok(holes)
    }

    /// Where the values of a signal's gap begin to be missing, some of which were fetched. Blocks; costs a read of them
    /// once, as long as nothing comes of them.
    ///
    /// # Errors
    /// When a store fails.
    pub fn begin(&self, log: &Log, signal: SignalId, hole: &Hole) -> Result<Instant, CursorError> {
        let gap = (signal, hole.since, hole.until);
        let token = match self.0.lock().parts.begin(gap) {
            Ok(begin) => return Ok(begin),
            Err(token) => token,
        };
        #[cfg(test)]
        looked::INTO.set(looked::INTO.get() + 1);
        let begin = last_within(&trace(log, signal, hole.since, hole.until)?, hole.since, hole.until)?;
        self.0.lock().parts.found(gap, token, begin);
        Ok(begin)
    }
}

/// The time of the last value between two times, or the first of them.
fn last_within(trace: &Trace<'_>, since: Instant, until: Instant) -> Result<Instant, CursorError> {
    let (mut last, mut next) = (since, Some(since.plus(Duration::from_nanos(1))));
    while let Some(from) = next {
        let Page { rows, rest } = trace.page(from, until)?;
        last = rows.time.last().copied().unwrap_or(last);
        next = rest;
    }
    Ok(last)
}

/// The first of the signals that are looked up together with one.
fn block_of(signal: SignalId) -> u32 {
    signal.0 / NEAR * NEAR
}

/// From the beginning of a day to the end of another.
fn span_of(first: i64, last: i64) -> (Instant, Instant) {
    let begin = |day: i64| Instant::from_ns(day.saturating_mul(DAY_NS));
    (begin(first), begin(last.saturating_add(1)))
}

/// What is not sealed of some signals and a time.
struct Unsealed<'s> {
    signals: &'s BTreeSet<SignalId>,
    between: (Instant, Instant),
    gaps: Vec<(Lsn, Gap)>,
    fills: Vec<Fill>,
}

impl Unsealed<'_> {
    fn take(&mut self, lsn: Lsn, news: News) {
        match news {
            News::Gap(gap) => {
                let touches = gap.since <= self.between.1 && self.between.0 <= gap.until;
                self.gaps.extend(Some((lsn, gap)).filter(|_| touches));
            }
            News::Fill(fill) => self.fills.extend(Some(fill).filter(|fill| self.signals.contains(&fill.signal))),
        }
    }

    /// Takes what the log has in `from..to`.
    fn read(&mut self, log: &Log, mut from: Lsn, to: Lsn) -> Result<(), CursorError> {
        while from < to {
            let records = log.read_kept(&mut from)?;
            if records.is_empty() {
                break;
            }
            #[cfg(test)]
            looked::THROUGH.set(looked::THROUGH.get() + records.len());
            for record in records.iter().filter(|record| record.lsn < to) {
                news_of(record).for_each(|news| self.take(record.lsn, news));
            }
        }
        Ok(())
    }
}

fn news_of(record: &Record) -> impl Iterator<Item = News> + '_ {
    let (gaps, fills): (&[Gap], &[Fill]) = match &record.body {
        RecordBody::Data(frame) => (&frame.gaps, &[]),
        RecordBody::Control(Control::Filled { fills, .. }) => (&[], fills),
        RecordBody::Control(_) | RecordBody::Decided(_) | RecordBody::Commanded { .. } => (&[], &[]),
    };
    gaps.iter().copied().map(News::Gap).chain(fills.iter().copied().map(News::Fill))
}

impl News {
    /// Whose it is, and of which time.
    const fn of(&self) -> (Option<SignalId>, Instant, Instant) {
        match self {
            Self::Gap(Gap { signal, since, until, .. }) => (*signal, *since, *until),
            Self::Fill(Fill { signal, since, until, .. }) => (Some(*signal), *since, *until),
        }
    }
}

impl Hole {
    fn of(told: &OnRecord) -> Option<Self> {
        let Gap { signal, since, until, cause } = told.gap;
        let is_filled = told.fill.is_some_and(|fill| fill.status.is_good());
        // What a detector skipped is recorded all the same.
        let is_one = cause != GapCause::Skipped && since < until && !is_filled;
        let is_partial = told.fill.is_some_and(|fill| fill.values > 0);
        is_one.then_some(Self { signal, since, until, is_partial })
    }
}

impl State {
    /// Looks at what was appended since; what was sealed meanwhile is found there. Answers what is sealed.
    fn catch_up(&mut self, log: &Log) -> Result<Lsn, CursorError> {
        let upto = log.history().sealed();
        if self.next <= upto {
            self.forget();
            self.news.clear();
            (self.next, self.kept_from) = (upto.next(), upto.next());
        }
        while self.news.front().is_some_and(|(lsn, _)| *lsn <= upto) {
            self.news.pop_front();
        }
        while self.next <= log.tail() {
            let records = log.read_kept(&mut self.next)?;
            if records.is_empty() {
                break;
            }
            #[cfg(test)]
            looked::THROUGH.set(looked::THROUGH.get() + records.len());
            records.iter().for_each(|record| self.take(record));
        }
        Ok(upto)
    }

    /// Keeps what a record tells, and no longer what was found of the signals that it tells of.
    fn take(&mut self, record: &Record) {
        let mut touched: BTreeMap<u32, (Instant, Instant)> = BTreeMap::new();
        for news in news_of(record) {
            let (signal, since, until) = news.of();
            match signal.map(block_of) {
                Some(block) => {
                    let span = touched.entry(block).or_insert((since, until));
                    *span = (span.0.min(since), span.1.max(until));
                }
                None => self.forget(),
            }
            self.news.push_back((record.lsn, news));
        }
        touched.into_iter().for_each(|(block, span)| self.forget_some(block, span));
        if let RecordBody::Data(frame) = &record.body {
            self.parts.hear(&frame.rows);
        }
        while self.news.len() > NEWS_MAX
            && let Some((oldest, _)) = self.news.front().copied()
        {
            self.kept_from = oldest.next();
            while self.news.front().is_some_and(|(lsn, _)| *lsn == oldest) {
                self.news.pop_front();
            }
        }
    }

    /// What was found of these signals for these days, or for more.
    fn covering(&self, block: u32, first: i64, last: i64) -> Option<Arc<Vec<Hole>>> {
        let begun = self.known.range((block, i64::MIN, i64::MIN)..=(block, first, i64::MAX));
        begun.rev().find(|((_, _, end), _)| *end >= last).map(|(_, known)| known.clone())
    }

    fn forget(&mut self) {
        self.known.clear();
        self.held = 0;
        self.parts.clear();
        self.generation += 1;
        self.all_touched = self.generation;
        self.touched.clear();
    }

    /// Forgets what was found of some signals for days that a time touches.
    fn forget_some(&mut self, block: u32, (since, until): (Instant, Instant)) {
        self.generation += 1;
        self.parts.forget(SignalId(block)..SignalId(block.saturating_add(NEAR)), (since, until));
        self.touched.insert(block, self.generation);
        let of_block = self.known.range((block, i64::MIN, i64::MIN)..=(block, i64::MAX, i64::MAX));
        let is_touched = |(_, first, last): &Key| {
            let (from, to) = span_of(*first, *last);
            since <= to && from <= until
        };
        let gone: Vec<Key> = of_block.map(|(key, _)| *key).filter(is_touched).collect();
        for key in gone {
            self.held -= self.known.remove(&key).map_or(0, |holes| holes.len());
        }
    }

    /// Whether nothing came of some signals after a generation.
    fn is_since(&self, block: u32, generation: u64) -> bool {
        self.all_touched <= generation && self.touched.get(&block).is_none_or(|touched| *touched <= generation)
    }

    fn keep(&mut self, key: Key, holes: &Arc<Vec<Hole>>) {
        if self.held + holes.len() > HELD_MAX || self.known.len() >= ANSWERS_MAX {
            self.known.clear();
            self.held = 0;
        }
        if holes.len() <= HELD_MAX {
            let before = self.known.insert(key, holes.clone()).map_or(0, |before| before.len());
            self.held = self.held + holes.len() - before;
        }
    }
}

/// What was looked up for those who asked.
#[cfg(test)]
pub(crate) mod looked {
    use std::cell::Cell;

    thread_local! {
        /// Answers that were not kept.
        pub(crate) static UP: Cell<usize> = const { Cell::new(0) };
        /// Unsealed records that were read.
        pub(crate) static THROUGH: Cell<usize> = const { Cell::new(0) };
        /// Sealed records that tell what became of gaps and were read.
        pub(crate) static FILLS: Cell<usize> = const { Cell::new(0) };
        /// Gaps whose values were read.
        pub(crate) static INTO: Cell<usize> = const { Cell::new(0) };
    }
}
