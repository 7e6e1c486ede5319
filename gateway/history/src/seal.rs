//! Taking over records: samples into the day's database, the rest and its effects into `ctl`, in an order in which a
//! kill at any point leaves what counts as sealed whole, and what does not is written over the next time.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchfire_model::{AlarmState, ConditionKey, Control, Frame, Lsn, Record, RecordBody};
use watchfire_pipeline::PortError;

use crate::bucket::{self, from_key, widen};
use crate::ctl::{self, Ctl, Kind, named, placed, set};
use crate::day_entry::set_day;
use crate::days::{Day, DayEntry, Days, day_of, filled};
use crate::key_value::{Change, Group, KeyValue};
use crate::store::Store;

/// Seals records that follow `sealed`; returns the entries of the days that have changed.
///
/// # Errors
/// When a store fails; then nothing of it counts as sealed.
pub fn seal(
    ctl: &Ctl,
    days: &Days,
    known: &BTreeMap<Day, DayEntry>,
    sealed: Lsn,
    records: &[Record],
) -> Result<BTreeMap<Day, DayEntry>, PortError> {
    let Some(last) = records.last() else { return Ok(BTreeMap::new()) };
    let mut expected = sealed;
    for record in records {
        expected = expected.next();
        if record.lsn != expected {
            let what = format!("the run of records up to {}", last.lsn);
            let detail = format!("record {} stands where {expected} must", record.lsn);
            return Err(PortError::Damaged { what, detail });
        }
    }
    let changed = seal_frames(days, known, sealed, records)?;
    let mut groups = effects(ctl, records)?;
    groups.extend(changed.iter().map(|(day, entry)| vec![set_day(*day, entry)]));
    ctl.commit_sealed(groups, last.lsn)?;
    Ok(changed)
}

fn seal_frames(
    days: &Days,
    known: &BTreeMap<Day, DayEntry>,
    sealed: Lsn,
    records: &[Record],
) -> Result<BTreeMap<Day, DayEntry>, PortError> {
    let frames: Vec<(Lsn, &Frame)> = records
        .iter()
        .filter_map(|record| match &record.body {
            RecordBody::Data(frame) => Some((record.lsn, frame)),
            RecordBody::Control(_) | RecordBody::Decided(_) | RecordBody::Commanded { .. } => None,
        })
        .collect();
    let mut changed: BTreeMap<Day, DayEntry> = BTreeMap::new();
    // Held open until they are durable: only the descriptor that was open sees a write that failed.
    let mut written: BTreeMap<Day, Arc<Store>> = BTreeMap::new();
    for run in frames.chunk_by(|(_, a), (_, b)| day_of(a.now) == day_of(b.now)) {
        let Some(day) = run.first().map(|(_, frame)| day_of(frame.now)) else { continue };
        let store = days.writing(day, known.get(&day))?;
        if written.insert(day, store.clone()).is_none() {
            store.write(leftovers(&store, sealed)?)?;
        }
        let (head, mut groups) = bucket::encode(run)?;
        groups.push(vec![filled(head.last)]);
        store.write(groups)?;
        let before = changed.get(&day).or_else(|| known.get(&day)).copied();
        let first = before.map_or(head.first, |before| before.first);
        let span = widen(before.and_then(|before| before.span), head.span);
        // A day that layout 1 began is not counted.
        let counts = before.map_or(Some((0, 0)), |before| before.counts);
        let counts = counts.map(|(buckets, rows)| (buckets + 1, rows + head.rows));
        // Nor are the gaps of one that an earlier layout began.
        let gaps = before.map_or(Some((0, None)), |before| before.gaps).zip(head.gaps);
        let gaps = gaps.map(|((count, span), gaps)| (count + gaps.count, widen(span, gaps.span)));
        changed.insert(day, DayEntry { first, last: head.last, span, counts, gaps });
    }
    written.values().try_for_each(|store| store.commit())?;
    Ok(changed)
}

/// Removals of what a day's database holds of records after `sealed`, as a seal that was killed leaves it.
pub fn leftovers(store: &Store, sealed: Lsn) -> Result<Vec<Group>, PortError> {
    let found = store.range(&from_key(sealed.next()), &[u8::MAX; 16], usize::MAX)?;
    Ok(found.into_iter().map(|(key, _)| vec![Change::Remove(key)]).collect())
}

/// Records without samples, and what they say of alarms and bindings.
fn effects(ctl: &Ctl, records: &[Record]) -> Result<Vec<Group>, PortError> {
    let mut groups = Vec::new();
    let mut states: BTreeMap<&ConditionKey, &AlarmState> = BTreeMap::new();
    let mut decided: BTreeMap<&str, Lsn> = BTreeMap::new();
    for record in records {
        let transitions = match &record.body {
            RecordBody::Data(_) => continue,
            RecordBody::Control(_) => &[][..],
            RecordBody::Decided(made) => {
                decided.insert(&made.binding, made.frame);
                &made.transitions
            }
            RecordBody::Commanded { transitions, .. } => transitions,
        };
        states.extend(transitions.iter().map(|state| (&state.key, state)));
        if matches!(record.body, RecordBody::Control(Control::Filled { .. })) {
            groups.push(vec![Change::Put(placed(Kind::Filled, record.lsn), Vec::new())]);
        }
        groups.push(set(&placed(Kind::Record, record.lsn), &ctl::body(&record.body)?));
    }
    for (key, state) in states {
        groups.push(ctl.replace(&named(Kind::Alarm, key.as_str()), &state.state)?);
    }
    for (binding, frame) in decided {
        groups.push(set(&named(Kind::Decided, binding), &frame.0.to_le_bytes()));
    }
    Ok(groups)
}
