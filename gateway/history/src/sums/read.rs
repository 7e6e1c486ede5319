//! Reading summaries of one signal. What was sealed since they were made is looked at too: where it touches a stretch,
//! that is not told, and samples tell.

use std::collections::BTreeMap;

use watchfire_model::{Instant, Lsn, SignalId, Summary, Unit};
use watchfire_pipeline::{PortError, Summaries, Told};

use super::block::{Found, Hour, begin_of, block_of, hour_of, keys_of_block, keys_of_minutes, read_list, read_minutes};
use super::ledger::{Month, month_of};
use super::months::{bytes_of, damaged_hour, hour_from, list_of};
use super::walk::Buckets;
use crate::bucket;
use crate::chunk::Chunk;
use crate::history::SledHistory;
use crate::hours::Hours;
use crate::key_value::KeyValue;
use crate::store::Store;

/// Stretches that are told at once, about.
const TOLD_MAX: usize = 4096;
/// Buckets that are not summarised yet among which a signal is looked for; while there are more, samples tell.
const PENDING_MAX: usize = 256;
const MINUTES: i64 = 60;

/// The hours of a bucket, and from when to when a signal has samples in it.
type Pending = (Hours, (Instant, Instant));

/// A signal in one hour.
struct Known {
    hour: Option<Summary>,
    minutes: Option<BTreeMap<Instant, Summary>>,
}

impl SledHistory {
    /// See [`watchfire_pipeline::History::summaries`].
    pub(crate) fn summaries_of(
        &self,
        signal: SignalId,
        unit: Unit,
        from: Instant,
        to: Instant,
    ) -> Result<Summaries, PortError> {
        let _gate = self.reading();
        let mut answer = Summaries::default();
        // First: what is summarised meanwhile is then either found, or not believed.
        let ledger = self.sums().ledger.read().clone();
        let begins = Unit::Hour.begin(from.max(Instant::default()));
        let (Some(first), Some(last)) = (hour_of(begins), hour_of(to)) else { return Ok(answer) };
        if ledger.months.is_empty() || from >= to {
            return Ok(answer);
        }
        let Some(pending) = self.pending(signal, ledger.upto, from, to)? else { return Ok(answer) };
        let is_pending = |hour: Hour| {
            let (begin, end) = (begin_of(hour), begin_of(hour.saturating_add(1)));
            let touches =
                |(hours, (earliest, latest)): &Pending| hours.touch(hour, hour) && *earliest < end && begin <= *latest;
            ledger.put_off.contains(&hour) || pending.iter().any(touches)
        };
        let months = ledger.months.range(month_of(first)..=month_of(last)).map(|(month, _)| month.clone());
        for month in months.collect::<Vec<Month>>() {
            // What is damaged was noted; samples tell.
            let store = match self.sums_of(&month) {
                Ok(Some(store)) if !self.sums().is_suspect(&month) => store,
                Ok(_) | Err(PortError::Damaged { .. }) => continue,
                Err(error) => {
                    self.days().tell(format!("{error}; of {month} samples tell, which takes longer"));
                    continue;
                }
            };
            let mut next = first;
            while let Some(hour) = hour_from(&store, next)?.filter(|hour| *hour <= last) {
                next = hour.saturating_add(1);
                if answer.told.len() >= TOLD_MAX {
                    answer.rest = Some(begin_of(hour));
                    return Ok(answer);
                }
                if is_pending(hour) {
                    continue;
                }
                match read(&store, hour, signal, unit) {
                    Ok(Some(known)) => tell(hour, unit, known, (from, to), &mut answer.told),
                    Ok(None) => {}
                    Err(error @ PortError::Damaged { .. }) => {
                        // What is written at this moment may not fit its list.
                        let now = self.sums().ledger.read().clone();
                        if !now.writing.contains(&hour) && !ledger.writing.contains(&hour) && now.upto == ledger.upto {
                            self.sums().suspect(&month, &error);
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(answer)
    }

    /// When a signal has samples in `from..to` that were sealed after `upto`; `None` when there is too much to look
    /// through.
    fn pending(
        &self,
        signal: SignalId,
        upto: Lsn,
        from: Instant,
        to: Instant,
    ) -> Result<Option<Vec<Pending>>, PortError> {
        let buckets = Buckets { stay_open: true, ..self.buckets() };
        let places = buckets.after(upto, PENDING_MAX + 1)?;
        if places.len() > PENDING_MAX {
            return Ok(None);
        }
        let mut pending = Vec::new();
        // The hour in which it begins or ends counts as a whole.
        let (first, last) = (hour_of(from).unwrap_or_default(), hour_of(to).unwrap_or_default());
        for place in places.iter().filter(|place| place.head.touched().touch(first, last)) {
            buckets.with(place.slot, |store| {
                let directory = bucket::directory(store, &place.head)?;
                if let Some(bytes) = bucket::chunk(store, &place.head, directory.as_ref(), signal)? {
                    // One that is damaged is told of by whoever reads samples.
                    let extent = Chunk::extent(signal, &bytes).map(|(first, last, _)| (first, last));
                    pending.extend(extent.or(place.head.span).map(|extent| (place.head.touched(), extent)));
                }
                Ok(())
            })?;
        }
        Ok(Some(pending))
    }
}

/// What is known of a signal in an hour; `None` where that was not made to its end.
fn read(store: &Store, hour: Hour, signal: SignalId, unit: Unit) -> Result<Option<Known>, PortError> {
    let damaged = |detail: &str| damaged_hour(store.folder(), hour, detail);
    let Some(list) = list_of(store, hour)? else { return Ok(None) };
    let list = read_list(&list).ok_or_else(|| damaged("has no list"))?;
    let nothing = Known { hour: None, minutes: Some(BTreeMap::new()) };
    let block = block_of(signal);
    let Some(sum) = list.get(&block) else { return Ok(Some(nothing)) };
    let found = Found::read(hour, block, &bytes_of(store, keys_of_block(hour, block, false))?);
    let Some((mut found, _)) = found.filter(|(_, own)| own == sum) else {
        return Err(damaged(&format!("lacks block {block}")));
    };
    Ok(match found.entries.remove(&signal) {
        None => Some(nothing),
        // There are too many samples to have been looked at.
        Some((None, _)) => None,
        Some((Some(one), _)) if unit == Unit::Hour => Some(Known { hour: Some(one), minutes: None }),
        Some((Some(one), minutes)) => match minutes {
            None => Some(Known { hour: Some(one), minutes: None }),
            Some((length, sum)) => {
                let bytes = bytes_of(store, keys_of_minutes(hour, signal))?;
                let is_whole = bytes.len() == length && crc32fast::hash(&bytes) == sum;
                let minutes = read_minutes(hour, &bytes).filter(|_| is_whole);
                let minutes = minutes.ok_or_else(|| damaged(&format!("lacks minutes of signal {signal}")))?;
                Some(Known { hour: Some(one), minutes: Some(minutes) })
            }
        },
    })
}

/// Tells of the stretches of an hour that lie within a time as a whole.
fn tell(hour: Hour, unit: Unit, known: Known, (from, to): (Instant, Instant), told: &mut Vec<Told>) {
    let begin = begin_of(hour);
    let is_within = |at: Instant| from <= at && to.since_ns(at) >= unit.length_ns();
    match (unit, known.minutes) {
        (Unit::Hour, _) => told.extend(is_within(begin).then_some(Told { from: begin, summary: known.hour })),
        (Unit::Minute, Some(mut minutes)) => {
            let at = |minute: i64| Instant::from_ns(begin.ns().saturating_add(minute * unit.length_ns()));
            let within = (0..MINUTES).map(at).filter(|at| is_within(*at));
            told.extend(within.map(|from| Told { from, summary: minutes.remove(&from) }));
        }
        (Unit::Minute, None) => {}
    }
}
