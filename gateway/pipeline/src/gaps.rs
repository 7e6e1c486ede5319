//! The gaps on record, whichever store holds them now, and what became of each when the source's own history was asked.

use std::collections::{BTreeSet, HashMap};

use watchfire_model::{Control, Fill, Gap, Instant, Lsn, Record, RecordBody, SignalId};

use crate::{CursorError, Log};

/// Gaps that are held at once, about.
const PAGE_GAPS: usize = if cfg!(test) { 4 } else { 1 << 16 };
/// Records read at once that tell what became of gaps.
const FILLS_AT_ONCE: usize = 256;

/// A gap on record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnRecord {
    /// The frame that tells of it.
    pub noticed: Lsn,
    /// Its signal, bounds and cause.
    pub gap: Gap,
    /// What became of it; `None` as long as nobody has asked.
    pub fill: Option<Fill>,
}

/// Gaps of which it is asked what became of them, by their signals and when they begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapBegins {
    signals: (SignalId, SignalId),
    /// Ascending.
    at: Vec<Instant>,
}

impl GapBegins {
    /// Those of some gaps; `None` where there are none.
    #[must_use]
    pub fn of(gaps: impl Iterator<Item = (SignalId, Instant)>) -> Option<Self> {
        let (mut signals, mut at): (Option<(SignalId, SignalId)>, Vec<Instant>) = (None, Vec::new());
        for (signal, begin) in gaps {
            let (first, last) = signals.unwrap_or((signal, signal));
            signals = Some((first.min(signal), last.max(signal)));
            at.push(begin);
        }
        at.sort_unstable();
        at.dedup();
        signals.map(|signals| Self { signals, at })
    }

    /// The first of their signals and the last.
    #[must_use]
    pub const fn signals(&self) -> (SignalId, SignalId) {
        self.signals
    }

    /// Whether one of them begins from one instant to another.
    #[must_use]
    pub fn any_within(&self, since: Instant, until: Instant) -> bool {
        let next = self.at.partition_point(|at| *at < since);
        self.at.get(next).is_some_and(|at| *at <= until)
    }
}

/// Gaps, page by page; each page blocks.
pub struct GapsOnRecord<'l> {
    log: &'l Log,
    signals: Option<BTreeSet<SignalId>>,
    between: (Instant, Instant),
    /// Where it goes on among what is sealed; `None` beyond.
    next: Option<Lsn>,
    /// What was sealed when it was asked.
    upto: Lsn,
    /// What was not.
    unsealed: Vec<(Lsn, Gap)>,
    fills: Vec<Fill>,
    is_done: bool,
}

/// The gaps on record of some signals, or of all, that touch the time between two instants, as the log is now: in its
/// order, with those of every signal among them. Blocks; costs by gaps where they are sealed, and a scan of what is not.
/// Holds a page of them at a time.
///
/// # Errors
/// When a store fails.
pub fn gaps(
    log: &Log,
    signals: Option<BTreeSet<SignalId>>,
    from: Instant,
    to: Instant,
) -> Result<GapsOnRecord<'_>, CursorError> {
    gaps_after(log, Lsn(0), signals, from, to)
}

/// The same of those that were noticed after a place.
///
/// # Errors
/// As [`gaps`].
pub(crate) fn gaps_after(
    log: &Log,
    after: Lsn,
    signals: Option<BTreeSet<SignalId>>,
    from: Instant,
    to: Instant,
) -> Result<GapsOnRecord<'_>, CursorError> {
    let upto = log.history().sealed();
    let mut found = gaps_known(log, signals, (from, to), upto, Vec::new(), Vec::new());
    found.next = Some(after.next()).filter(|next| *next <= upto.next());
    let mut next = upto.max(after).next();
    loop {
        let records = log.read_kept(&mut next)?;
        if records.is_empty() {
            return Ok(found);
        }
        for record in &records {
            match &record.body {
                RecordBody::Data(frame) => {
                    let gaps = frame.gaps.iter().filter(|gap| gap.since <= to && from <= gap.until);
                    found.unsealed.extend(gaps.map(|gap| (record.lsn, *gap)));
                }
                RecordBody::Control(Control::Filled { fills, .. }) => found.fills.extend(fills),
                RecordBody::Control(_) | RecordBody::Decided(_) | RecordBody::Commanded { .. } => {}
            }
        }
    }
}

/// Those that touch the time between two instants, where it is known which of them are not sealed, and what became of
/// gaps that is not: a scan less.
pub(crate) fn gaps_known(
    log: &Log,
    signals: Option<BTreeSet<SignalId>>,
    between: (Instant, Instant),
    upto: Lsn,
    unsealed: Vec<(Lsn, Gap)>,
    fills: Vec<Fill>,
) -> GapsOnRecord<'_> {
    GapsOnRecord { log, signals, between, next: Some(Lsn(1)), upto, unsealed, fills, is_done: false }
}

impl GapsOnRecord<'_> {
    fn page(&mut self) -> Result<Vec<OnRecord>, CursorError> {
        let mut found: Vec<(Lsn, Gap)> = Vec::new();
        let signals = self.signals.take();
        let is_wanted = |(_, gap): &(Lsn, Gap)| match (&signals, gap.signal) {
            (Some(signals), Some(signal)) => signals.contains(&signal),
            _ => true,
        };
        let range = signals.as_ref().and_then(|signals| Some((*signals.first()?, *signals.last()?)));
        while let Some(from) = self.next.filter(|_| found.len() < PAGE_GAPS) {
            let more = self.log.history().gaps(from, self.upto, range, self.between)?;
            found.extend(more.gaps.into_iter().filter(is_wanted));
            self.next = more.rest;
        }
        if self.next.is_none() {
            found.extend(std::mem::take(&mut self.unsealed).into_iter().filter(is_wanted));
            self.is_done = true;
        }
        self.signals = signals;
        let mut page: Vec<_> = found.into_iter().map(|(noticed, gap)| OnRecord { noticed, gap, fill: None }).collect();
        self.fill(&mut page)?;
        Ok(page)
    }

    /// Says of each gap what became of it: that was told after it, maybe much later.
    fn fill(&self, page: &mut [OnRecord]) -> Result<(), CursorError> {
        let Some(first) = page.first().map(|first| first.noticed) else { return Ok(()) };
        let own = |told: &OnRecord| Some((told.gap.signal?, told.gap.since));
        // Nobody asks for what is of every signal.
        let Some(begins) = GapBegins::of(page.iter().filter_map(own)) else { return Ok(()) };
        let mut of: HashMap<SignalId, Vec<(Instant, usize)>> = HashMap::new();
        for (at, OnRecord { gap, .. }) in page.iter().enumerate() {
            gap.signal.into_iter().for_each(|signal| of.entry(signal).or_default().push((gap.since, at)));
        }
        of.values_mut().for_each(|gaps| gaps.sort_unstable());
        let mut take = |fill: &Fill| {
            let gaps = of.get(&fill.signal).map_or(&[][..], Vec::as_slice);
            let begin = gaps.partition_point(|(since, _)| *since < fill.since);
            let within = gaps.iter().skip(begin).take_while(|(since, _)| *since <= fill.until);
            for (_, at) in within {
                if let Some(told) = page.get_mut(*at)
                    && told.gap.until <= fill.until
                    && told.fill.is_none_or(|before| !before.status.is_good())
                {
                    told.fill = Some(*fill);
                }
            }
        };
        let mut from = first;
        loop {
            let records = self.log.history().filled(from, self.upto, Some(&begins), FILLS_AT_ONCE)?;
            let Some(last) = records.last() else { break };
            from = last.lsn.next();
            records.iter().flat_map(fills_of).for_each(&mut take);
        }
        self.fills.iter().for_each(take);
        Ok(())
    }
}

fn fills_of(record: &Record) -> &[Fill] {
    if let RecordBody::Control(Control::Filled { fills, .. }) = &record.body { fills } else { &[] }
}

impl Iterator for GapsOnRecord<'_> {
    type Item = Result<Vec<OnRecord>, CursorError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_done {
            let page = self.page();
            self.is_done |= page.is_err();
            match page {
                Ok(page) if page.is_empty() => {}
                page => return Some(page),
            }
        }
        None
    }
}
