//! Which hours are to be summarised: those that sealed buckets touch which were not looked at yet, once they are past.
//! Those that are not are put off.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use watchfire_model::{Instant, Lsn, SignalId};
use watchfire_pipeline::PortError;

use super::block::{Hour, block_of, hour_of};
use super::walk::{Buckets, Place, Walk};
use crate::chunk::Chunk;

/// How much later than its end an hour counts as past: what is on the way then need not have it made twice.
const GRACE: Duration = Duration::from_secs(60);
/// Buckets of one plan: some hours.
const BUCKETS_MAX: usize = 48;
/// Buckets of many hours in one plan: each is read as a whole to know which hours it has.
const WIDE_MAX: usize = 4;
/// Hours of one plan, about.
const HOURS_MAX: usize = 1 << 14;
/// A bucket whose samples span no more hours is believed to have samples of every signal in each.
const NARROW_HOURS: u32 = 3;
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

    fn has(&self, hour: Hour) -> bool {
        (self.first..=self.last).contains(&hour)
    }
}

/// The next plan after `upto`, with what was put off before; `None` when there is nothing to do yet.
///
/// # Errors
/// When a bucket cannot be read.
pub fn next(buckets: &Buckets<'_>, upto: Lsn, put_off: &BTreeSet<Hour>, open: Open) -> Result<Option<Plan>, PortError> {
    let marks = put_off.iter().map(|hour| (*hour, None)).collect();
    let mut plan = Plan { upto, marks, put_off: BTreeSet::new() };
    let mut wide = 0;
    for place in buckets.after(upto, BUCKETS_MAX)? {
        plan.upto = place.head.last;
        wide += usize::from(narrow(place.head.span).is_none());
        for (hour, marks) in marks_of(place)? {
            let held = plan.marks.entry(hour).or_insert_with(|| Some(BTreeSet::new()));
            match (held, marks) {
                (Some(held), Some(more)) => held.extend(more),
                (held, _) => *held = None,
            }
        }
        if plan.marks.len() > HOURS_MAX || wide >= WIDE_MAX {
            break;
        }
    }
    plan.put_off = plan.marks.keys().copied().filter(|hour| open.has(*hour)).collect();
    plan.marks.retain(|hour, _| !open.has(*hour));
    Ok((plan.upto > upto || !plan.marks.is_empty()).then_some(plan))
}

/// The hours that a bucket touches.
fn marks_of(place: Place) -> Result<BTreeMap<Hour, Marks>, PortError> {
    if let Some(hours) = narrow(place.head.span) {
        return Ok(hours.filter(|hour| *hour >= FIRST_HOUR).map(|hour| (hour, None)).collect());
    }
    let (mut marks, mut walk) = (BTreeMap::<Hour, Marks>::new(), Walk::new(place)?);
    while let Some((signal, bytes)) = walk.next()? {
        let Some(hours) = hours_of(signal, &bytes) else { return Err(walk.damaged(signal)) };
        for hour in hours.into_iter().filter(|hour| *hour >= FIRST_HOUR) {
            if let Some(blocks) = marks.entry(hour).or_insert_with(|| Some(BTreeSet::new())) {
                blocks.insert(block_of(signal));
            }
        }
    }
    Ok(marks)
}

/// The hours of a span, where they are few.
fn narrow(span: Option<(Instant, Instant)>) -> Option<RangeInclusive<Hour>> {
    // Nothing before 1970 is an hour of ours.
    #[expect(clippy::reversed_empty_ranges, reason = "there are none")]
    let none = 1..=0;
    let Some((earliest, latest)) = span else { return Some(none) };
    match (hour_of(earliest), hour_of(latest)) {
        (_, None) => Some(none),
        (Some(first), Some(last)) if last - first < NARROW_HOURS => Some(first..=last),
        _ => None,
    }
}

/// The hours that a chunk has samples of; `None` when it is damaged.
fn hours_of(signal: SignalId, bytes: &[u8]) -> Option<BTreeSet<Hour>> {
    let (earliest, latest, _) = Chunk::extent(signal, bytes)?;
    if let Some(hours) = narrow(Some((earliest, latest))) {
        return Some(hours.collect());
    }
    Some(Chunk::decode(signal, bytes)?.0.time.iter().filter_map(|time| hour_of(*time)).collect())
}
