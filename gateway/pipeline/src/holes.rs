//! The gaps of a signal that nothing has filled: where whoever reads its history is to see that values are missing. Found by
//! the days and buckets that tell of gaps, for some signals at once, and kept for a while, since whoever draws a trend asks
//! again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use watchfire_model::{Control, Fill, Gap, GapCause, Instant, Lsn, Record, RecordBody, SignalId};

use crate::gaps::gaps_known;
use crate::{CursorError, Log, OnRecord};

/// Signals whose gaps are found together: a source that is lost has one for each, and they lie side by side.
const NEAR: u32 = 64;
/// What is asked is widened to whole days, so that what was found for one page serves those beside it.
const DAY_NS: i64 = 86_400_000_000_000;
/// Gaps and fills that are not sealed yet and are kept: some ten megabytes. Of more each reader reads the log.
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
    /// The gaps and fills in it.
    news: Vec<(Lsn, News)>,
    /// What was found since the last of them.
    known: BTreeMap<Key, Arc<Vec<Hole>>>,
    held: usize,
    generation: u64,
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
            if state.news.len() > NEWS_MAX {
                state.begin_anew();
            }
        }
    }

    /// The gaps that touch the days of `from..to`, of the signal and of those near to it. Blocks; costs a look at the
    /// heads of the days that have such gaps, and a read of the gaps of each of their buckets that has.
    ///
    /// # Errors
    /// When a store fails.
    pub fn near(&self, log: &Log, signal: SignalId, from: Instant, to: Instant) -> Result<Arc<Vec<Hole>>, CursorError> {
        let block = signal.0 / NEAR * NEAR;
        let day = |at: Instant| at.ns().div_euclid(DAY_NS);
        let (first, last) = (day(from), day(to));
        let begin = |day: i64| Instant::from_ns(day.saturating_mul(DAY_NS));
        let between = (begin(first), begin(last.saturating_add(1)));
        let signals: BTreeSet<SignalId> = (block..block.saturating_add(NEAR)).map(SignalId).collect();
        let (mut unsealed, mut fills) = (Vec::new(), Vec::new());
        let (upto, generation) = {
            let mut state = self.0.lock();
            let upto = state.catch_up(log)?;
            if let Some(known) = state.known.get(&(block, first, last)) {
                return Ok(known.clone());
            }
            for (lsn, news) in &state.news {
                match news {
                    News::Gap(gap) => {
                        let touches = gap.since <= between.1 && between.0 <= gap.until;
                        unsealed.extend(Some((*lsn, *gap)).filter(|_| touches));
                    }
                    News::Fill(fill) => fills.extend(Some(*fill).filter(|fill| signals.contains(&fill.signal))),
                }
            }
            if state.news.len() > NEWS_MAX {
                state.begin_anew();
            }
            (upto, state.generation)
        };
        let mut holes = Vec::new();
        for page in gaps_known(log, Some(signals), between, upto, unsealed, fills) {
            holes.extend(page?.iter().filter_map(Hole::of));
        }
        let holes = Arc::new(holes);
        let mut state = self.0.lock();
        if state.generation == generation {
            state.keep((block, first, last), &holes);
        }
        Ok(holes)
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
            self.begin_anew();
            self.next = upto.next();
        }
        if self.news.first().is_some_and(|(lsn, _)| *lsn <= upto) {
            self.news.retain(|(lsn, _)| *lsn > upto);
        }
        loop {
            let records = log.read_kept(&mut self.next)?;
            if records.is_empty() {
                return Ok(upto);
            }
            records.iter().for_each(|record| self.take(record));
        }
    }

    fn take(&mut self, record: &Record) {
        let before = self.news.len();
        match &record.body {
            RecordBody::Data(frame) => self.news.extend(frame.gaps.iter().map(|gap| (record.lsn, News::Gap(*gap)))),
            RecordBody::Control(Control::Filled { fills, .. }) => {
                self.news.extend(fills.iter().map(|fill| (record.lsn, News::Fill(*fill))));
            }
            RecordBody::Control(_) | RecordBody::Decided(_) | RecordBody::Commanded { .. } => {}
        }
        if self.news.len() > before {
            self.forget();
        }
    }

    /// Knows nothing of what is not sealed.
    fn begin_anew(&mut self) {
        self.news = Vec::new();
        self.next = Lsn(0);
        self.forget();
    }

    fn forget(&mut self) {
        self.known.clear();
        self.held = 0;
        self.generation += 1;
    }

    fn keep(&mut self, key: Key, holes: &Arc<Vec<Hole>>) {
        if self.held + holes.len() > HELD_MAX || self.known.len() >= ANSWERS_MAX {
            self.known.clear();
            self.held = 0;
        }
        if holes.len() <= HELD_MAX && self.known.insert(key, holes.clone()).is_none() {
            self.held += holes.len();
        }
    }
}
