//! The store of record over its databases.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use watchfire_model::{AlarmState, ConditionKey, Instant, Lsn, Record, RecordBody, Rows, SignalId};
use watchfire_pipeline::{Checkpoint, History, PortError, RecordReader};

use crate::bucket::{Bucket, Table};
use crate::chunk::Chunk;
use crate::kv::{Database, Writes, damaged};
use crate::slots::{Day, Slots, day_of};
use crate::{checkpoint, mark, parts};

/// Rows in a bucket: it is decoded whole.
const BUCKET_ROWS_MAX: usize = 1 << 18;
/// The store's form. A program that finds another refuses it.
const SCHEMA: u32 = 1;

const META: &str = "meta";
const SIGNALS: &str = "signals";
const ALARMS: &str = "alarms";
const DECIDED: &str = "decided";
const CONTROL: &str = "control";
const BUCKETS: &str = "buckets";
const NOTES: &str = "notes";
const TABLES: &str = "tables";
const CHUNKS: &str = "chunks";

/// Where a bucket is and what it spans.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct BucketInfo {
    day: Day,
    last: Lsn,
    time_min: Option<Instant>,
    time_max: Option<Instant>,
}

/// The store of record of a data folder.
#[derive(Debug)]
pub struct SledHistory {
    folder: PathBuf,
    ctl: Database,
    slots: Slots,
    state: Mutex<State>,
    /// One writer at a time.
    sealing: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    sealed: Lsn,
    buckets: BTreeMap<Lsn, BucketInfo>,
    /// The bucket read last: replay reads them one after the other.
    read: Option<(Lsn, Arc<Vec<Record>>)>,
}

impl SledHistory {
    /// Opens the store of a data folder, making it where it is missing.
    ///
    /// # Errors
    /// [`PortError::Damaged`] when it cannot be read, is of another version, or is older than what it had promised.
    pub fn open(folder: &Path) -> Result<Self, PortError> {
        let ctl_path = folder.join("ctl");
        let ctl = Database::open(&ctl_path)?;
        match number(&ctl, "schema")? {
            None => {
                let schema = u64::from(SCHEMA).to_be_bytes().to_vec();
                ctl.write(META, &Writes::from([(b"schema".to_vec(), Some(schema))]))?;
                ctl.flush()?;
            }
            Some(schema) if schema == u64::from(SCHEMA) => {}
            Some(schema) => {
                let detail =
                    format!("it has version {schema}, this program knows {SCHEMA}; use the program that wrote it");
                return Err(PortError::Damaged { what: format!("the store `{}`", ctl_path.display()), detail });
            }
        }
        let sealed = Lsn(number(&ctl, "sealed")?.unwrap_or(0));
        let promised = mark::read(folder)?;
        if sealed < promised {
            let what = format!("it ends at record {sealed}, but had promised {promised}: it has gone back in time");
            return Err(damaged(&ctl_path, &what));
        }
        let mut buckets = BTreeMap::new();
        for (key, value) in ctl.prefix(BUCKETS, b"")? {
            let first = key.as_slice().try_into().map(u64::from_be_bytes).map(Lsn);
            let (Ok(first), Ok(info)) = (first, postcard::from_bytes::<BucketInfo>(&value)) else {
                return Err(damaged(&ctl_path, "its list of buckets is unreadable"));
            };
            // What a kill left half sealed is sealed again.
            if info.last <= sealed {
                buckets.insert(first, info);
            }
        }
        let state = Mutex::new(State { sealed, buckets, read: None });
        let slots = Slots::new(folder);
        Ok(Self { folder: folder.to_owned(), ctl, slots, state, sealing: Mutex::new(()) })
    }

    fn seal_bucket(&self, day: Day, records: &[Record]) -> Result<(), PortError> {
        let (Some(first), Some(last)) = (records.first().map(|r| r.lsn), records.last().map(|r| r.lsn)) else {
            return Ok(());
        };
        let too_long = || damaged(&self.folder, "a bucket is too long to be stored");
        let bucket = Bucket::gather(first, records).ok_or_else(too_long)?;
        let slot = self.slots.get(day)?;
        let (mut tables, mut chunks, mut control) = (Writes::new(), Writes::new(), Writes::new());
        // A kill may have left parts of a longer bucket of the same place.
        for (tree, writes) in [(TABLES, &mut tables), (CHUNKS, &mut chunks)] {
            writes.extend(slot.prefix(tree, &first.0.to_be_bytes())?.into_iter().map(|(key, _)| (key, None)));
        }
        let table = postcard::to_allocvec(&bucket.table).map_err(|_| too_long())?;
        parts::split(&first.0.to_be_bytes(), &table, &mut tables).ok_or_else(too_long)?;
        for (signal, chunk) in &bucket.chunks {
            let bytes = chunk.encode().ok_or_else(too_long)?;
            parts::split(&chunk_key(first, *signal), &bytes, &mut chunks).ok_or_else(too_long)?;
        }
        slot.write(TABLES, &tables)?;
        slot.write(CHUNKS, &chunks)?;
        slot.flush()?;

        let (mut alarms, mut decided) = (Writes::new(), Writes::new());
        for record in records {
            if !matches!(record.body, RecordBody::Data(_)) {
                let bytes = postcard::to_allocvec(&record.body).map_err(|_| too_long())?;
                parts::split(&record.lsn.0.to_be_bytes(), &bytes, &mut control).ok_or_else(too_long)?;
            }
            let transitions = match &record.body {
                RecordBody::Decided(found) => {
                    decided.insert(found.binding.clone().into_bytes(), Some(found.frame.0.to_be_bytes().to_vec()));
                    found.transitions.as_slice()
                }
                RecordBody::Commanded { transitions, .. } => transitions.as_slice(),
                RecordBody::Data(_) | RecordBody::Control(_) => &[],
            };
            for state in transitions {
                let key = [state.key.as_str().as_bytes(), &[0]].concat();
                // A state that was longer leaves no part behind, whether it is stored or still to be written.
                alarms.retain(|held, _| !held.starts_with(&key));
                alarms.extend(self.ctl.prefix(ALARMS, &key)?.into_iter().map(|(key, _)| (key, None)));
                parts::split(&key, &state.state, &mut alarms).ok_or_else(too_long)?;
            }
        }
        let info = BucketInfo { day, last, time_min: bucket.time_min, time_max: bucket.time_max };
        let listed = postcard::to_allocvec(&info).map_err(|_| too_long())?;
        self.ctl.write(CONTROL, &control)?;
        self.ctl.write(ALARMS, &alarms)?;
        self.ctl.write(DECIDED, &decided)?;
        self.ctl.write(BUCKETS, &Writes::from([(first.0.to_be_bytes().to_vec(), Some(listed))]))?;
        self.ctl.write(META, &Writes::from([(b"sealed".to_vec(), Some(last.0.to_be_bytes().to_vec()))]))?;
        self.ctl.flush()?;
        let mut state = self.state.lock();
        state.buckets.insert(first, info);
        state.sealed = last;
        Ok(())
    }

    /// The records of a bucket, rebuilt.
    fn bucket(&self, first: Lsn, info: &BucketInfo) -> Result<Arc<Vec<Record>>, PortError> {
        if let Some((_, held)) = self.state.lock().read.as_ref().filter(|(held, _)| *held == first) {
            return Ok(held.clone());
        }
        let wrong = || damaged(&self.folder, &format!("the records from {first} to {} cannot be rebuilt", info.last));
        let slot = self.slots.get(info.day)?;
        let prefix = first.0.to_be_bytes();
        let table =
            parts::join(slot.prefix(TABLES, &prefix)?.iter().map(|(_, part)| part.as_slice())).ok_or_else(wrong)?;
        let table: Table = postcard::from_bytes(&table).map_err(|_| wrong())?;
        let stored = slot.prefix(CHUNKS, &prefix)?;
        let joined = parts::join_each(&stored).ok_or_else(wrong)?;
        let decoded = joined.iter().map(|(key, bytes)| Chunk::decode(bytes, signal_of(key)?));
        let chunks: Vec<Chunk> = decoded.collect::<Option<_>>().ok_or_else(wrong)?;
        let mut records = table.rebuild(first, &chunks).ok_or_else(wrong)?;
        let control = self.ctl.range(CONTROL, &prefix, &info.last.next().0.to_be_bytes())?;
        for (key, bytes) in parts::join_each(&control).ok_or_else(wrong)? {
            let lsn = key.try_into().map(u64::from_be_bytes).map(Lsn).map_err(|_| wrong())?;
            records.push(Record { lsn, body: postcard::from_bytes(&bytes).map_err(|_| wrong())? });
        }
        records.sort_by_key(|record| record.lsn);
        if records.len() as u64 != info.last.0 - first.0 + 1 {
            return Err(wrong());
        }
        let records = Arc::new(records);
        self.state.lock().read = Some((first, records.clone()));
        Ok(records)
    }
}

fn number(db: &Database, key: &str) -> Result<Option<u64>, PortError> {
    Ok(db.get(META, key.as_bytes())?.and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes))
}

fn chunk_key(first: Lsn, signal: SignalId) -> Vec<u8> {
    [&first.0.to_be_bytes()[..], &signal.0.to_be_bytes()].concat()
}

fn signal_of(chunk_key: &[u8]) -> Option<SignalId> {
    Some(SignalId(u32::from_be_bytes(*chunk_key.last_chunk()?)))
}

fn rows_of(record: &Record) -> usize {
    if let RecordBody::Data(frame) = &record.body { frame.rows.len() } else { 0 }
}

impl RecordReader for SledHistory {
    fn read(&self, from: Lsn, rows_max: usize) -> Result<Vec<Record>, PortError> {
        let found = {
            let state = self.state.lock();
            let holding = state.buckets.range(..=from).next_back().filter(|(_, info)| info.last >= from);
            holding.or_else(|| state.buckets.range(from..).next()).map(|(first, info)| (*first, info.clone()))
        };
        let Some((first, info)) = found else { return Ok(Vec::new()) };
        let records = self.bucket(first, &info)?;
        let mut rows = 0;
        let wanted = records.iter().skip_while(|record| record.lsn < from);
        let taken = wanted.take_while(|record| {
            let room = rows < rows_max.max(1);
            rows += rows_of(record).max(1);
            room
        });
        Ok(taken.cloned().collect())
    }
}

impl History for SledHistory {
    fn signal_ids(&self, names: &[String]) -> Result<Vec<SignalId>, PortError> {
        let _one = self.sealing.lock();
        let mut known = self.known_signals()?;
        let mut next = known.values().map(|id| id.0).max().map_or(0, |max| max + 1);
        let mut fresh = Writes::new();
        for name in names {
            known.entry(name.clone()).or_insert_with(|| {
                let id = SignalId(next);
                next += 1;
                fresh.insert(name.clone().into_bytes(), Some(id.0.to_be_bytes().to_vec()));
                id
            });
        }
        if !fresh.is_empty() {
            self.ctl.write(SIGNALS, &fresh)?;
            self.ctl.flush()?;
        }
        Ok(names.iter().filter_map(|name| known.get(name).copied()).collect())
    }

    fn known_signals(&self) -> Result<BTreeMap<String, SignalId>, PortError> {
        let entries = self.ctl.prefix(SIGNALS, b"")?;
        let each = entries.into_iter().map(|(name, id)| {
            let id = id.try_into().map(u32::from_be_bytes).map(SignalId);
            String::from_utf8(name).ok().zip(id.ok())
        });
        each.collect::<Option<_>>()
            .ok_or_else(|| damaged(&self.folder.join("ctl"), "its list of signals is unreadable"))
    }

    fn sealed(&self) -> Lsn {
        self.state.lock().sealed
    }

    fn seal(&self, records: &[Record]) -> Result<(), PortError> {
        let _one = self.sealing.lock();
        let mut next = self.sealed().next();
        let fresh = records.iter().position(|record| record.lsn >= next).unwrap_or(records.len());
        let mut rest = records.get(fresh..).unwrap_or_default();
        let mut day = None;
        while let Some(first) = rest.first() {
            if first.lsn != next {
                let detail = format!("record {} was to be sealed where {next} must stand", first.lsn);
                return Err(damaged(&self.folder, &detail));
            }
            // A bucket ends with the UTC day, or when it is large enough; what is no frame belongs to the day before it.
            let mut rows = 0;
            let mut bucket_day = day;
            let end = rest.iter().position(|record| {
                let here =
                    if let RecordBody::Data(frame) = &record.body { Some(day_of(frame.now)) } else { bucket_day };
                let next_day = bucket_day.is_some() && here.is_some() && here != bucket_day && rows > 0;
                let full = rows >= BUCKET_ROWS_MAX;
                bucket_day = here.or(bucket_day);
                rows += rows_of(record).max(1);
                next_day || full
            });
            let (bucket, after) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, &[]));
            let first_day = bucket.iter().find_map(|record| match &record.body {
                RecordBody::Data(frame) => Some(day_of(frame.now)),
                _ => None,
            });
            day = first_day.or(day);
            self.seal_bucket(day.unwrap_or(0), bucket)?;
            next = self.sealed().next();
            rest = after;
        }
        mark::write(&self.folder, self.sealed())
    }

    fn range(&self, signal: SignalId, from: Instant, to: Instant) -> Result<Rows, PortError> {
        let spans = |info: &BucketInfo| {
            info.time_min.is_some_and(|min| min < to) && info.time_max.is_some_and(|max| max >= from)
        };
        let buckets: Vec<(Lsn, BucketInfo)> = {
            let state = self.state.lock();
            state.buckets.iter().filter(|(_, info)| spans(info)).map(|(first, info)| (*first, info.clone())).collect()
        };
        let mut found: Vec<(Instant, Lsn, usize, Arc<Chunk>)> = Vec::new();
        for (first, info) in buckets {
            let stored = self.slots.get(info.day)?.prefix(CHUNKS, &chunk_key(first, signal))?;
            if stored.is_empty() {
                continue;
            }
            let wrong =
                || damaged(&self.folder, &format!("the samples of signal {signal} from record {first} are unreadable"));
            let bytes = parts::join(stored.iter().map(|(_, part)| part.as_slice())).ok_or_else(wrong)?;
            let (head, _) = Chunk::read_head(&bytes).ok_or_else(wrong)?;
            if head.time_max < from || head.time_min >= to {
                continue;
            }
            let chunk = Arc::new(Chunk::decode(&bytes, signal).ok_or_else(wrong)?);
            let times = chunk.rows.time.iter().zip(&chunk.record).enumerate();
            let wanted = times.filter(|(_, (time, _))| (from..to).contains(time));
            found.extend(
                wanted.map(|(at, (time, record))| (*time, Lsn(first.0 + u64::from(*record)), at, chunk.clone())),
            );
        }
        found.sort_by_key(|(time, lsn, at, _)| (*time, *lsn, *at));
        let mut rows = Rows::default();
        for (_, _, at, chunk) in &found {
            rows.push_row(&chunk.rows, *at);
        }
        Ok(rows)
    }

    fn alarm_states(&self) -> Result<Vec<AlarmState>, PortError> {
        let wrong = || damaged(&self.folder.join("ctl"), "an alarm's state is unreadable");
        let stored = self.ctl.prefix(ALARMS, b"")?;
        let joined = parts::join_each(&stored).ok_or_else(wrong)?;
        let each = joined.into_iter().map(|(key, state)| {
            let name = str::from_utf8(key.strip_suffix(&[0])?).ok()?;
            Some(AlarmState { key: ConditionKey::parse(name).ok()?, state })
        });
        each.collect::<Option<_>>().ok_or_else(wrong)
    }

    fn decided(&self) -> Result<BTreeMap<String, Lsn>, PortError> {
        let entries = self.ctl.prefix(DECIDED, b"")?;
        let each = entries.into_iter().map(|(name, lsn)| {
            let lsn = lsn.try_into().map(u64::from_be_bytes).map(Lsn);
            String::from_utf8(name).ok().zip(lsn.ok())
        });
        each.collect::<Option<_>>()
            .ok_or_else(|| damaged(&self.folder.join("ctl"), "its list of decisions is unreadable"))
    }

    fn save_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), PortError> {
        let _one = self.sealing.lock();
        checkpoint::save(&self.ctl, checkpoint)
    }

    fn load_checkpoint(&self, binding: &str) -> Result<Option<Checkpoint>, PortError> {
        checkpoint::load(&self.ctl, binding)
    }

    fn retain(&self, before: Instant) -> Result<(), PortError> {
        let _one = self.sealing.lock();
        let oldest_day = day_of(before);
        let mut state = self.state.lock();
        let gone: Vec<(Lsn, Day)> = state
            .buckets
            .iter()
            .filter(|(_, info)| info.day < oldest_day)
            .map(|(first, info)| (*first, info.day))
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        for (first, _) in &gone {
            state.buckets.remove(first);
        }
        state.read = None;
        let oldest = state.buckets.keys().next().copied().unwrap_or(state.sealed.next());
        drop(state);
        let listed = gone.iter().map(|(first, _)| (first.0.to_be_bytes().to_vec(), None)).collect();
        self.ctl.write(BUCKETS, &listed)?;
        let control = self.ctl.range(CONTROL, &[], &oldest.0.to_be_bytes())?;
        self.ctl.write(CONTROL, &control.into_iter().map(|(key, _)| (key, None)).collect())?;
        self.ctl.flush()?;
        let mut days: Vec<Day> = gone.into_iter().map(|(_, day)| day).collect();
        days.dedup();
        days.into_iter().try_for_each(|day| self.slots.remove(day))
    }

    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, PortError> {
        self.ctl.get(NOTES, name.as_bytes())
    }

    fn set_note(&self, name: &str, value: &[u8]) -> Result<(), PortError> {
        self.ctl.write(NOTES, &Writes::from([(name.as_bytes().to_vec(), Some(value.to_vec()))]))?;
        self.ctl.flush()
    }
}
