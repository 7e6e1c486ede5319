//! The databases of samples, one for each UTC day on which frames were cut, few of them open at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use watchfire_model::{Instant, Lsn};
use watchfire_pipeline::PortError;

use crate::bucket;
use crate::bytes::{Reader, put_varint};
use crate::key_value::{Change, KeyValue};
use crate::sizes::folder_bytes;
use crate::store::{Store, failed, sync_folder};

/// Databases that stay open however large they are.
const OPEN_MIN: usize = 4;
/// Databases that stay open as long as they hold no more than [`OPEN_BYTES`] together: opening one takes some 20 ms, as
/// long as reading a day of a signal ten times.
const OPEN_MAX: usize = 32;
const OPEN_BYTES: u64 = 64 << 20;
/// What a database keeps decoded; what is read again soon is in the system's own cache beside.
const CACHE_BYTES: u64 = 16 << 20;
const NS_PER_DAY: i64 = 86_400_000_000_000;
const S_PER_DAY: i64 = 86_400;
/// Under which a day's database says how far it was filled. No bucket has it: places begin with 1, eight bytes long.
const FILLED_KEY: [u8; 1] = [0];

/// What a day's name ends with while it is dropped.
const DROPPED: &str = ".dropped";
/// Bytes of a day's name.
const NAME_BYTES: usize = 10;

/// A UTC day, from 1970-01-01.
pub type Day = i32;

/// What is known of a day without opening it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DayEntry {
    /// Its first frame.
    pub first: Lsn,
    /// Its last frame.
    pub last: Lsn,
    /// The earliest and the latest source time of its rows.
    pub span: Option<(Instant, Instant)>,
    /// How many buckets it has, and rows in them; not known of a day that layout 1 began.
    pub counts: Option<(u64, u64)>,
    /// How many gaps its frames tell of, and from when to when; not known of a day that layout 1 or 2 began.
    pub gaps: Option<(u64, Option<(Instant, Instant)>)>,
}

/// The day of a time.
pub fn day_of(at: Instant) -> Day {
    // 2^63 ns are 106,752 days.
    at.ns().div_euclid(NS_PER_DAY) as Day
}

/// The first time after a day.
pub fn end_of(day: Day) -> Instant {
    Instant::from_s((i64::from(day) + 1) * S_PER_DAY)
}

/// The name of a day's folder.
pub fn name(day: Day) -> String {
    Instant::from_s(i64::from(day) * S_PER_DAY).to_string().chars().take(NAME_BYTES).collect()
}

/// The folder of the days.
#[derive(Debug)]
pub struct Days {
    folder: PathBuf,
    open: Mutex<Vec<(Day, Arc<Store>)>>,
}

/// What the index knows of the days when they are opened.
pub struct Index {
    /// The days that count.
    pub known: BTreeMap<Day, DayEntry>,
    /// The days that were dropped, but whose folders may still be there.
    pub dropped: BTreeSet<Day>,
    /// The last record sealed.
    pub sealed: Lsn,
    /// The index was made just now.
    pub is_fresh: bool,
    /// Nothing says that the index is not older than the days.
    pub is_unmarked: bool,
}

impl Days {
    /// The days of a data folder. What a kill left of a day that was dropped, or that was being sealed for the first
    /// time, goes; a folder of which nothing is known is set aside under another name, never removed.
    ///
    /// # Errors
    /// [`PortError::Damaged`] when there are days but no index of them; when the folder cannot be read.
    pub fn open(data: &Path, index: &Index) -> Result<Self, PortError> {
        let folder = data.join("ts");
        std::fs::create_dir_all(&folder).map_err(|error| failed("making the folder", &folder, error))?;
        sync_folder(data)?;
        let counts = |found: &str| index.known.keys().any(|day| name(*day) == found);
        let is_dropped = |found: &str| index.dropped.iter().any(|day| name(*day) == found);
        let listing = |error| failed("listing", &folder, error);
        for entry in std::fs::read_dir(&folder).map_err(listing)? {
            let path = entry.map_err(listing)?.path();
            let found = path.file_name().and_then(|found| found.to_str()).unwrap_or_default();
            if found.ends_with(DROPPED) {
                remove(&path)?;
            } else if found.len() == NAME_BYTES && !counts(found) {
                if index.is_fresh {
                    return Err(PortError::Damaged {
                        what: format!("the data folder `{}`", data.display()),
                        detail: format!(
                            "it holds samples (`{}`), but `ctl` knows of nothing: restore `ctl` from a backup, or move \
                             `ts` away to begin anew",
                            path.display()
                        ),
                    });
                }
                if is_dropped(found) || (!index.is_unmarked && is_unfinished(&path, index.sealed)) {
                    remove(&path)?;
                } else {
                    set_aside(&path)?;
                }
            }
        }
        Ok(Self { folder, open: Mutex::default() })
    }

    fn path(&self, day: Day) -> PathBuf {
        self.folder.join(name(day))
    }

    /// Whether somebody has renamed the day's folder, and thereby accepted that what it held is gone.
    fn set_aside(&self, day: Day) -> bool {
        self.folder.join(format!("{}.damaged", name(day))).exists()
    }

    /// The database of a day that has an entry; `None` when it was set aside.
    ///
    /// # Errors
    /// [`PortError::Damaged`] when it is missing, cannot be read, or is older than what was sealed.
    pub fn reading(&self, day: Day, entry: &DayEntry) -> Result<Option<Arc<Store>>, PortError> {
        if let Some(open) = self.opened(day) {
            return Ok(Some(open));
        }
        let path = self.path(day);
        if !path.join("db").exists() {
            if self.set_aside(day) {
                return Ok(None);
            }
            return Err(PortError::Damaged {
                what: format!("the day `{}`", path.display()),
                detail: format!(
                    "it is missing; restore it from a backup, or make a folder `{}.damaged` to go on without it",
                    path.display()
                ),
            });
        }
        self.held(day, Some(entry)).map(Some)
    }

    /// The database of a day, made where it is missing.
    ///
    /// # Errors
    /// As [`Days::reading`].
    pub fn writing(&self, day: Day, entry: Option<&DayEntry>) -> Result<Arc<Store>, PortError> {
        if let Some(entry) = entry
            && let Some(store) = self.reading(day, entry)?
        {
            return Ok(store);
        }
        self.held(day, entry)
    }

    /// The database of a day that is open; the last one used goes last.
    fn opened(&self, day: Day) -> Option<Arc<Store>> {
        let mut open = self.open.lock();
        let at = open.iter().position(|(held, _)| *held == day)?;
        open.get_mut(at..)?.rotate_left(1);
        open.last().map(|(_, store)| store.clone())
    }

    fn held(&self, day: Day, entry: Option<&DayEntry>) -> Result<Arc<Store>, PortError> {
        if let Some(open) = self.opened(day) {
            return Ok(open);
        }
        let mut open = self.open.lock();
        if let Some((_, store)) = open.iter().find(|(held, _)| *held == day) {
            // Somebody was quicker.
            return Ok(store.clone());
        }
        // Only what nobody uses is closed, and within the lock: it is closed when it is opened again.
        let mut surplus = self.surplus(&open);
        open.retain(|(_, store)| {
            let stays = surplus == 0 || Arc::strong_count(store) > 1;
            surplus -= usize::from(!stays);
            stays
        });
        let store = Arc::new(Store::open(&self.path(day), CACHE_BYTES)?);
        if let Some(entry) = entry {
            self.check(day, &store, entry)?;
        }
        open.push((day, store.clone()));
        Ok(store)
    }

    /// How many of the open databases are too many, with one more.
    fn surplus(&self, open: &[(Day, Arc<Store>)]) -> usize {
        // The last ones were used last.
        let mut bytes = 0_u64;
        let kept = open.iter().rev().take(OPEN_MAX - 1).enumerate().take_while(|(nth, (day, _))| {
            bytes += self.bytes(*day).unwrap_or(u64::MAX / OPEN_MAX as u64);
            *nth < OPEN_MIN - 1 || bytes <= OPEN_BYTES
        });
        open.len() - kept.count()
    }

    /// Whether a day is as far as it was, and has all its buckets. Costs a read of their heads.
    fn check(&self, day: Day, store: &Store, entry: &DayEntry) -> Result<(), PortError> {
        if self.set_aside(day) {
            return Ok(());
        }
        let filled = store.get(&FILLED_KEY)?.and_then(|bytes| Reader(&bytes).varint()).unwrap_or_default();
        let path = store.folder().display();
        let damaged = |found: String| PortError::Damaged {
            what: format!("the day `{path}`"),
            detail: format!(
                "{found}: it is older than what was durable; restore the whole data folder from one backup, or rename the \
                 day to `{path}.damaged` to go on without it"
            ),
        };
        if Lsn(filled) < entry.last {
            return Err(damaged(format!("it is filled up to record {filled}, but was sealed up to {}", entry.last)));
        }
        let Some((buckets, rows)) = entry.counts else { return Ok(()) };
        let (mut found, mut at) = ((0, 0), bucket::after(store, Lsn(0))?);
        while let Some(head) = at.filter(|head| head.last <= entry.last) {
            found = (found.0 + 1, found.1 + head.rows);
            at = bucket::after(store, head.last)?;
        }
        if found == (buckets, rows) {
            return Ok(());
        }
        Err(damaged(format!("it has {} samples in {} buckets, but {rows} in {buckets} were sealed", found.1, found.0)))
    }

    /// What a day's files take, bytes; 0 where they are set aside.
    ///
    /// # Errors
    /// When they cannot be looked at.
    pub fn bytes(&self, day: Day) -> Result<u64, PortError> {
        let path = self.path(day);
        if path.exists() { folder_bytes(&path) } else { Ok(0) }
    }

    /// Closes a day and removes its folder. Nobody may use it meanwhile.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn drop_day(&self, day: Day) -> Result<(), PortError> {
        self.open.lock().retain(|(held, _)| *held != day);
        // Under another name first, so that a kill cannot leave half a day that looks whole.
        let (path, dropped) = (self.path(day), self.folder.join(format!("{}{DROPPED}", name(day))));
        remove(&dropped)?;
        if path.exists() {
            std::fs::rename(&path, &dropped).map_err(|error| failed("dropping", &path, error))?;
        }
        remove(&dropped)?;
        sync_folder(&self.folder)
    }
}

/// Says in a day's database that it is filled up to `last`.
pub fn filled(last: Lsn) -> Change {
    let mut bytes = Vec::new();
    put_varint(last.0, &mut bytes);
    Change::Put(FILLED_KEY.to_vec(), bytes)
}

/// Whether a folder is what a killed seal left of a day: it holds records, all of them after the last one sealed, so
/// that the journal has them still.
fn is_unfinished(folder: &Path, sealed: Lsn) -> bool {
    let first = Store::open(folder, CACHE_BYTES).and_then(|store| bucket::after(&store, Lsn(0)));
    first.is_ok_and(|first| first.is_some_and(|head| head.first > sealed))
}

/// Gives a folder that the index does not know a name under which it is found, but not used.
fn set_aside(folder: &Path) -> Result<(), PortError> {
    let aside = (0..).map(|n| folder.with_extension(format!("stray{n}"))).find(|aside| !aside.exists());
    let Some(aside) = aside else { return Ok(()) };
    tracing::warn!(
        folder = %aside.display(),
        "samples that never counted as sealed are set aside; remove the folder once nobody misses them"
    );
    std::fs::rename(folder, &aside).map_err(|error| failed("setting aside", folder, error))
}

fn remove(folder: &Path) -> Result<(), PortError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("removing", folder, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_day_with_a_name() {
        for (at, expected) in [
            (Instant::MIN, "1677-09-21"),
            (Instant::from_ns(-1), "1969-12-31"),
            (Instant::from_ns(0), "1970-01-01"),
            (Instant::MAX, "2262-04-11"),
        ] {
            assert_eq!(name(day_of(at)), expected);
            assert!(at < end_of(day_of(at)) || at == Instant::MAX);
        }
    }
}
