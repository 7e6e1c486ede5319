//! Which hours are to be summarised: those that sealed buckets touch which were not looked at yet, once they are past.
//! Those that are not are put off.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use watchfire_model::{Instant, Lsn, SignalId};
use watchfire_pipeline::PortError;

use super::block::block_of;
use super::ledger::{Ledger, Month, month_of};
use super::walk::{Buckets, Place, Walk};
use crate::chunk::Chunk;
use crate::hours::{Hour, Hours, hour_of};

/// How much later than its end an hour counts as past: what is on the way then need not have it made twice.
const GRACE: Duration = Duration::from_secs(60);
/// Buckets of one plan: some hours.
const BUCKETS_MAX: usize = 48;
/// Buckets of many hours in one plan: each is read as a whole to know which hours it has.
const WIDE_MAX: usize = 4;
/// Hours of one plan, about.
const HOURS_MAX: usize = 1 << 14;
/// A bucket with samples of no more hours is believed to have some of every signal in each.
pub const NARROW_HOURS: u64 = 3;
/// So many hours that are still to come are put off: a device's clock may be ahead by some days. Of later ones samples
/// tell, unless their month has summaries.
const AHEAD_HOURS: u32 = if cfg!(test) { 48 } else { 240 };
/// So many months that have no summaries yet are begun for one bucket: what has samples of more is a device that makes
/// up its times, and of those of other months samples tell.
const MONTHS_BEGUN: usize = if cfg!(test) { 2 } else { 16 };
/// Hours before 1990 are no source's time, but a clock that was never set.
const FIRST_HOUR: Hour = 175_320;

/// The blocks of an hour that are to be made; `None` for all of them.
pub type Marks = Option<BTreeSet<u32>>;

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    /// After it, everything up to this record is summarised.
    pub upto: Lsn,
    /// By hour.
    pub marks: BTreeMap<Hour, Marks>,
    /// Hours that are not past yet.
    pub put_off: BTreeSet<Hour>,
}

impl Plan {
    fn add(&mut self, place: Place, marks: BTreeMap<Hour, Marks>) {
        self.upto = place.head.last;
        for (hour, marks) in marks {
            let held = self.marks.entry(hour).or_insert_with(|| Some(BTreeSet::new()));
            match (held, marks) {
                (Some(held), Some(more)) => held.extend(more),
                (held, _) => *held = None,
            }
        }
    }

    /// Adds the next buckets as long as they have nothing but hours that are made as a whole anyway: an hour of many
    /// buckets is made once.
    fn add_more(&mut self, buckets: &Buckets<'_>) -> Result<(), PortError> {
        loop {
            let places = buckets.after(self.upto, BUCKETS_MAX)?;
            for place in &places {
                let hours = place.head.touched();
                let mut each = hours.runs().flat_map(|(first, last)| first..=last);
                if hours.many() > NARROW_HOURS || !each.all(|hour| matches!(self.marks.get(&hour), Some(None))) {
                    return Ok(());
                }
                self.upto = place.head.last;
            }
            if places.is_empty() {
                return Ok(());
            }
        }
    }
}

/// The hours that may still get samples by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    first: Hour,
    last: Hour,
}

impl Open {
    /// At a time; `None` before 1970.
    pub fn at(now: Instant) -> Option<Self> {
        Some(Self { first: hour_of(now.minus(GRACE))?, last: hour_of(now)?.saturating_add(1) })
    }

    /// The first of them.
    pub const fn first(&self) -> Hour {
        self.first
    }

    /// Whether it is put off; `None` where it is not summarised at all. What lies far ahead is put off in a month that
    /// is known, since its summary may be there: then it is our clock that was set back.
    fn puts_off(&self, hour: Hour, ledger: &Ledger) -> Option<bool> {
        let is_near = hour <= self.last.saturating_add(AHEAD_HOURS);
        (is_near || ledger.months.contains_key(&month_of(hour))).then_some(hour >= self.first)
    }
}

/// The next plan, with what was put off before or begun and not ended; `None` when there is nothing to do yet.
///
/// # Errors
/// When a bucket cannot be read.
pub fn next(buckets: &Buckets<'_>, ledger: &Ledger, open: Open) -> Result<Option<Plan>, PortError> {
    let marks = ledger.put_off.iter().chain(&ledger.writing).map(|hour| (*hour, None)).collect();
    let mut plan = Plan { upto: ledger.upto, marks, put_off: BTreeSet::new() };
    let mut wide = 0;
    for place in buckets.after(ledger.upto, BUCKETS_MAX)? {
        let is_wide = place.head.touched().many() > NARROW_HOURS;
        wide += usize::from(is_wide);
        plan.add(place, if is_wide { read_marks(buckets, place, ledger, open)? } else { marks_of(place) });
        if plan.marks.len() > HOURS_MAX || wide >= WIDE_MAX {
            break;
        }
    }
    plan.add_more(buckets)?;
    plan.put_off = plan.marks.keys().copied().filter(|hour| open.puts_off(*hour, ledger) == Some(true)).collect();
    plan.marks.retain(|hour, _| open.puts_off(*hour, ledger) == Some(false));
    Ok((plan.upto > ledger.upto || !plan.marks.is_empty()).then_some(plan))
}

/// The hours of a bucket that has few.
fn marks_of(place: Place) -> BTreeMap<Hour, Marks> {
    let hours = place.head.touched().runs().flat_map(|(first, last)| first..=last);
    hours.filter(|hour| *hour >= FIRST_HOUR).map(|hour| (hour, None)).collect()
}

/// The hours of a bucket that has many, with the blocks that have samples in them.
fn read_marks(
    buckets: &Buckets<'_>,
    place: Place,
    ledger: &Ledger,
    open: Open,
) -> Result<BTreeMap<Hour, Marks>, PortError> {
    let mut marks = BTreeMap::new();
    buckets.with(place.slot, |store| {
        marks = marks_by(Walk::new(store.clone(), place.head)?, ledger, open)?;
        Ok(())
    })?;
    Ok(marks)
}

fn marks_by(mut walk: Walk, ledger: &Ledger, open: Open) -> Result<BTreeMap<Hour, Marks>, PortError> {
    let mut marks = BTreeMap::<Hour, Marks>::new();
    let mut begun: Option<BTreeSet<Month>> = None;
    while let Some((signal, bytes)) = walk.next()? {
        let Some(hours) = hours_of(signal, &bytes) else { return Err(walk.damaged(signal)) };
        for hour in hours.into_iter().filter(|hour| *hour >= FIRST_HOUR && open.puts_off(*hour, ledger).is_some()) {
            let counts = |begun: &BTreeSet<Month>| {
                let month = month_of(hour);
                begun.contains(&month) || ledger.months.contains_key(&month)
            };
            if begun.as_ref().is_none_or(counts)
                && let Some(blocks) = marks.entry(hour).or_insert_with(|| Some(BTreeSet::new()))
            {
                blocks.insert(block_of(signal));
            }
        }
        if begun.is_none() && marks.len() > HOURS_MAX {
            begun = Some(begin_few(&mut marks, ledger));
        }
    }
    if begun.is_none() {
        begin_few(&mut marks, ledger);
    }
    Ok(marks)
}

/// Lets go of hours of months that are new where those are too many: those of which most signals have samples stay, which
/// are answered.
fn begin_few(marks: &mut BTreeMap<Hour, Marks>, ledger: &Ledger) -> BTreeSet<Month> {
    let mut new: BTreeMap<Month, usize> = BTreeMap::new();
    for (hour, blocks) in &*marks {
        let month = month_of(*hour);
        if !ledger.months.contains_key(&month) {
            *new.entry(month).or_default() += blocks.as_ref().map_or(0, BTreeSet::len);
        }
    }
    let mut new: Vec<(Month, usize)> = new.into_iter().collect();
    new.sort_by_key(|(_, blocks)| std::cmp::Reverse(*blocks));
    let left_out: BTreeSet<Month> = new.drain(MONTHS_BEGUN.min(new.len())..).map(|(month, _)| month).collect();
    if !left_out.is_empty() {
        tracing::warn!(
            months = left_out.len(),
            "a source gives samples of many months at once: they are not summarised"
        );
        marks.retain(|hour, _| !left_out.contains(&month_of(*hour)));
    }
    new.into_iter().map(|(month, _)| month).collect()
}

/// The hours that a chunk has samples of; `None` when it is damaged.
fn hours_of(signal: SignalId, bytes: &[u8]) -> Option<BTreeSet<Hour>> {
    let (earliest, latest, _) = Chunk::extent(signal, bytes)?;
    let whole = Hours::of_span(Some((earliest, latest)));
    if whole.many() <= NARROW_HOURS {
        return Some(whole.runs().flat_map(|(first, last)| first..=last).collect());
    }
    Some(Chunk::decode(signal, bytes)?.0.time.iter().filter_map(|time| hour_of(*time)).collect())
}
