//! From the chunks of a signal to its summaries: by the order of time, as many chunks decoded at once as overlap.

use std::collections::BTreeMap;

use watchfire_model::{Instant, Lsn, Quality, Rows, SignalId, Summary, Unit};
use watchfire_pipeline::without_repeated;

use super::block::{Entry, Hour, begin_of, encode_minutes, hour_of, read_minutes};
use crate::chunk::Chunk;
use crate::reads::sorted;

/// From so many samples an hour on minutes are summarised too. Where there are fewer a minute's summary would take more
/// than a tenth of what its samples do, and reading those is quick.
pub const MINUTES_FROM: u64 = if cfg!(test) { 200 } else { 10_000 };
/// Samples that are held at once: about 40 MB. Where more overlap, as when a signal's time stands still, only they tell.
const ROWS_MAX: usize = 1 << 20;

/// A chunk of a signal, how many samples it has, and the last record of the bucket it is from.
#[derive(Debug)]
pub struct Piece {
    pub last: Lsn,
    pub rows: usize,
    pub bytes: Vec<u8>,
}

/// What is known of one hour of a signal.
#[derive(Default)]
struct Hourly {
    summary: Option<Summary>,
    minutes: Vec<Summary>,
    /// There is more than can be looked at.
    is_beyond: bool,
}

/// Summarises some hours of a signal, given in their order, from all of its chunks that may touch them, given in the
/// order of the log. `before` is what is known of each hour, and up to which record it was looked at: where its samples
/// are no longer all there, later ones are blended into it, but for those that only say how a node stood. Hours without samples are left out; `None` when a chunk is
/// damaged.
pub fn entries(
    signal: SignalId,
    pieces: &[Piece],
    hours: &[Hour],
    before: &BTreeMap<Hour, (Lsn, Entry)>,
) -> Option<BTreeMap<Hour, Entry>> {
    let all = hourly(signal, pieces.iter(), hours, &|_| true)?;
    let mut entries: BTreeMap<Hour, Entry> =
        all.into_iter().map(|(hour, hourly)| (hour, hourly.into_entry(hour))).collect();
    for (hour, (upto, old)) in before {
        let Some(one) = &old.hour else { continue };
        let known = hourly(signal, pieces.iter().filter(|piece| piece.last <= *upto), &[*hour], &|_| true)?;
        let kept = known.get(hour).map_or(0, Hourly::rows);
        if kept >= one.rows() {
            continue;
        }
        // A node that is watched anew tells again what it told long ago: that was counted when it came.
        let is_news = |quality: Quality| !quality.has(Quality::INITIAL);
        let later = hourly(signal, pieces.iter().filter(|piece| piece.last > *upto), &[*hour], &is_news)?;
        entries.insert(*hour, blended(*hour, old, later.into_values().next()));
    }
    Some(entries)
}

/// What was known of an hour whose samples are gone, and samples that came later.
fn blended(hour: Hour, old: &Entry, later: Option<Hourly>) -> Entry {
    let mut entry = old.clone();
    let Some(Hourly { summary: Some(more), minutes: more_minutes, .. }) = later else { return entry };
    if let Some(one) = &mut entry.hour {
        one.blend(&more);
    }
    if let Some(known) = old.minutes.as_deref().and_then(|bytes| read_minutes(hour, bytes)) {
        let mut minutes = known;
        for more in more_minutes {
            let begin = Unit::Minute.begin(more.first.time);
            minutes.entry(begin).and_modify(|one| one.blend(&more)).or_insert(more);
        }
        entry.minutes = Some(encode_minutes(hour, &minutes.into_values().collect::<Vec<Summary>>()));
    }
    entry
}

impl Hourly {
    fn rows(&self) -> u64 {
        self.summary.as_ref().map_or(0, Summary::rows)
    }

    fn add(&mut self, rows: &Rows, row: usize) {
        match &mut self.summary {
            Some(summary) => summary.add(rows, row),
            None => self.summary = Summary::of(rows, row),
        }
        let Some(time) = rows.time.get(row) else { return };
        match self.minutes.last_mut() {
            Some(minute) if Unit::Minute.begin(minute.first.time) == Unit::Minute.begin(*time) => minute.add(rows, row),
            _ => self.minutes.extend(Summary::of(rows, row)),
        }
    }

    fn into_entry(self, hour: Hour) -> Entry {
        if self.is_beyond {
            return Entry { hour: None, minutes: None };
        }
        let minutes = (self.rows() >= MINUTES_FROM).then(|| encode_minutes(hour, &self.minutes));
        Entry { hour: self.summary, minutes }
    }
}

/// What some hours of a signal come to from the samples in some chunks whose quality says that they count.
fn hourly<'p>(
    signal: SignalId,
    pieces: impl Iterator<Item = &'p Piece>,
    hours: &[Hour],
    counts: &dyn Fn(Quality) -> bool,
) -> Option<BTreeMap<Hour, Hourly>> {
    let mut made = BTreeMap::new();
    let (Some(first), Some(last)) = (hours.first(), hours.last()) else { return Some(made) };
    let (from, to) = (begin_of(*first), begin_of(*last + 1));
    let mut spans = Vec::new();
    for (order, piece) in pieces.enumerate() {
        let (earliest, latest, rows) = Chunk::extent(signal, &piece.bytes)?;
        if earliest < to && from <= latest {
            spans.push((earliest, latest, order, rows, piece));
        }
    }
    spans.sort_unstable_by_key(|(earliest, latest, order, ..)| (*earliest, *latest, *order));
    let mut rest = spans.as_slice();
    while let Some((_, first_latest, ..)) = rest.first() {
        let mut latest = *first_latest;
        let overlapping = rest.iter().skip(1).take_while(|(earliest, other, ..)| {
            let overlaps = *earliest <= latest;
            latest = latest.max(*other);
            overlaps
        });
        let (cluster, after) = rest.split_at(1 + overlapping.count());
        rest = after;
        let span = (cluster.first()?.0, cluster.iter().map(|(_, latest, ..)| *latest).max()?);
        if cluster.iter().map(|(.., rows, _)| *rows).sum::<usize>() > ROWS_MAX {
            for hour in hours.iter().filter(|hour| begin_of(**hour) <= span.1 && span.0 < begin_of(**hour + 1)) {
                made.entry(*hour).or_insert_with(Hourly::default).is_beyond = true;
            }
            continue;
        }
        let mut in_log: Vec<_> = cluster.iter().map(|(_, _, order, _, piece)| (*order, *piece)).collect();
        in_log.sort_unstable_by_key(|(order, _)| *order);
        let mut rows = Rows::default();
        for (_, piece) in in_log {
            rows.append(&mut Chunk::decode(signal, &piece.bytes)?.0);
        }
        let rows = without_repeated(sorted(rows));
        add(&rows, hours, counts, &mut made);
    }
    Some(made)
}

/// Adds those rows that count, all of which are sorted by time, to the hours they lie in.
fn add(rows: &Rows, hours: &[Hour], counts: &dyn Fn(Quality) -> bool, made: &mut BTreeMap<Hour, Hourly>) {
    let is_counted = |row: &usize| rows.quality.get(*row).is_some_and(|quality| counts(*quality));
    let mut row = 0;
    while let Some(hour) = rows.time.get(row).map(|time| hour_of(*time)) {
        let after = hour.map_or(Instant::default(), |hour| begin_of(hour + 1));
        let end = rows.time.partition_point(|time| *time < after).max(row + 1);
        if let Some(hour) = hour.filter(|hour| hours.binary_search(hour).is_ok()) {
            let hourly = made.entry(hour).or_default();
            (row..end).filter(is_counted).for_each(|row| hourly.add(rows, row));
        }
        row = end;
    }
}

#[cfg(test)]
mod tests {
    use watchfire_model::StatusCode;

    use super::*;

    const SIGNAL: SignalId = SignalId(3);

    fn piece(last: u64, each: &[(i64, f64)]) -> Piece {
        let mut chunk = Chunk::default();
        for (s, value) in each {
            chunk.0.push(SIGNAL, Instant::from_s(*s), *value, StatusCode::GOOD, Quality::NONE, 0);
        }
        Piece { last: Lsn(last), rows: each.len(), bytes: chunk.encode() }
    }

    fn one(pieces: &[Piece], before: &BTreeMap<Hour, (Lsn, Entry)>) -> BTreeMap<Hour, Entry> {
        entries(SIGNAL, pieces, &[0, 1], before).unwrap()
    }

    #[test]
    fn chunks_are_taken_in_the_order_of_time_wherever_they_lie_in_the_log() {
        let pieces =
            [piece(1, &[(3500, 1.0), (3700, 2.0)]), piece(2, &[(10, 3.0), (7300, 9.0)]), piece(3, &[(3600, 4.0)])];
        let made = one(&pieces, &BTreeMap::new());
        let hour = |hour| made[&hour].hour.as_ref().unwrap();
        assert_eq!(made.keys().copied().collect::<Vec<_>>(), [0, 1]);
        assert_eq!((hour(0).first.value, hour(0).last.value, hour(0).rows()), (3.0, 1.0, 2));
        assert_eq!((hour(1).first.value, hour(1).last.value, hour(1).rows()), (4.0, 2.0, 2));
    }

    #[test]
    fn what_came_later_is_blended_into_what_is_no_longer_kept_and_only_there() {
        let whole = [piece(1, &[(10, 1.0), (20, 2.0)]), piece(5, &[(15, 7.0)])];
        let old = one(&whole[..1], &BTreeMap::new());
        let before = BTreeMap::from([(0, (Lsn(1), old[&0].clone()))]);
        let made = |pieces: &[Piece], before| one(pieces, before)[&0].hour.clone().unwrap();
        assert!(!made(&whole, &before).is_blended);
        let blended = made(&whole[1..], &before);
        assert_eq!((blended.rows(), blended.is_blended, blended.greatest.unwrap().value), (3, true, 7.0));
        // Again, now that it was looked at: nothing is counted twice.
        let again = BTreeMap::from([(0, (Lsn(5), Entry { hour: Some(blended.clone()), minutes: None }))]);
        assert_eq!(made(&whole[1..], &again), blended);
        assert_eq!(one(&[], &again)[&0].hour, Some(blended));
    }
}
