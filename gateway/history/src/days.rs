//! The databases of samples, one for each [`Slot`], few of them open at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use watchfire_model::{Instant, Lsn};
use watchfire_pipeline::PortError;

use crate::bucket::{self, bucket_of, from_key};
use crate::bytes::{Reader, put_varint};
use crate::gaps::GapsKnown;
use crate::hours::Hours;
use crate::key_value::{Change, KeyValue};
use crate::sizes::folder_bytes;
use crate::slot::Slot;
use crate::store::{Store, failed, free_what_is_left, sync_folder};

/// Databases that stay open however large they are.
const OPEN_MIN: usize = 4;
/// Databases that stay open as long as they hold no more than [`OPEN_BYTES`] together: opening one takes some 20 ms, as
/// long as reading a day of a signal ten times.
const OPEN_MAX: usize = 32;
const OPEN_BYTES: u64 = 64 << 20;
/// What a database keeps decoded; what is read again soon is in the system's own cache beside.
const CACHE_BYTES: u64 = 16 << 20;
/// From so many bytes on a slot takes no more buckets: the next part of its day does.
const SLOT_BYTES: u64 = 64 << 20;
/// Under which a slot's database says how far it was filled. No bucket has it: places begin with 1, eight bytes long.
const FILLED_KEY: [u8; 1] = [0];

/// What a slot's name ends with while it is dropped,
const DROPPED: &str = ".dropped";
/// and once it was found damaged, by a person or by the gateway.
const DAMAGED: &str = ".damaged";

/// What is known of a slot without opening it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlotEntry {
    /// Its first frame.
    pub first: Lsn,
    /// Its last frame.
    pub last: Lsn,
    /// The earliest and the latest source time of its rows.
    pub span: Option<(Instant, Instant)>,
    /// The hours of its rows, where they are fewer than those of that span.
    pub hours: Option<Hours>,
    /// How many buckets it has, and rows in them; not known of one that layout 1 began.
    pub counts: Option<(u64, u64)>,
    /// What is known of the gaps its frames tell of; nothing of one that layout 1 or 2 began.
    pub gaps: Option<GapsKnown>,
}

impl SlotEntry {
    /// The hours it has samples of, and perhaps some more.
    pub fn touched(&self) -> Hours {
        self.hours.unwrap_or_else(|| Hours::of_span(self.span))
    }
}

/// The folder of the slots.
#[derive(Debug)]
pub struct Days {
    folder: PathBuf,
    open: Mutex<Vec<(Slot, Arc<Store>)>>,
    slot_bytes: u64,
    /// Whether to go on without what is found damaged.
    goes_on: bool,
    /// What was found damaged since, and is gone on without; none of it twice.
    given_up: Mutex<BTreeSet<String>>,
}

/// What the index knows of the days when they are opened.
pub struct Index {
    /// The slots that count.
    pub known: BTreeMap<Slot, SlotEntry>,
    /// Those that were dropped, but whose folders may still be there.
    pub dropped: BTreeSet<Slot>,
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
        let counts = |found: &str| index.known.keys().any(|slot| slot.to_string() == found);
        let is_dropped = |found: &str| index.dropped.iter().any(|slot| slot.to_string() == found);
        let listing = |error| failed("listing", &folder, error);
        for entry in std::fs::read_dir(&folder).map_err(listing)? {
            let path = entry.map_err(listing)?.path();
            let found = path.file_name().and_then(|found| found.to_str()).unwrap_or_default();
            if found.ends_with(DROPPED) {
                remove(&path)?;
            } else if Slot::is_name(found) && !counts(found) {
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
        let (open, given_up) = (Mutex::default(), Mutex::default());
        Ok(Self { folder, open, slot_bytes: SLOT_BYTES, goes_on: false, given_up })
    }

    /// From now on what is found damaged is gone on without, and told by [`Days::given_up`].
    pub fn go_on(&mut self) {
        self.goes_on = true;
    }

    /// What was found damaged and is gone on without, one sentence each, and what would not outlive a power cut.
    pub fn given_up(&self) -> Vec<String> {
        self.open.lock().iter().for_each(|(_, store)| self.look_at(store));
        self.given_up.lock().iter().cloned().collect()
    }

    /// Takes note of what a database has done that it must not.
    pub fn look_at(&self, store: &Store) {
        if let Some(told) = store.beyond_its_file() {
            self.tell(told);
        }
    }

    /// Takes note of damage that is gone on without, or gives it back where somebody else must decide.
    ///
    /// # Errors
    /// The error itself.
    pub fn give_up(&self, error: PortError) -> Result<(), PortError> {
        if !self.goes_on || !matches!(error, PortError::Damaged { .. }) {
            return Err(error);
        }
        self.tell(error.to_string());
        Ok(())
    }

    /// Tells whoever watches the gateway what it goes on without; once.
    pub fn tell(&self, what: String) {
        let mut given_up = self.given_up.lock();
        if !given_up.contains(&what) {
            tracing::error!(what, "this is gone on without");
            given_up.insert(what);
        }
    }

    /// Gives a damaged slot, of which nobody has anything open, the name of one that is gone on without.
    ///
    /// # Errors
    /// The error itself, where somebody else must decide; when the folder cannot be renamed.
    fn give_up_slot(&self, slot: Slot, error: PortError) -> Result<(), PortError> {
        self.give_up(error)?;
        let (path, aside) = (self.path(slot), self.folder.join(format!("{slot}{DAMAGED}")));
        let io = |error| failed("setting aside", &path, error);
        if !path.exists() {
            std::fs::create_dir_all(&aside).map_err(io)?;
        } else if aside.exists() {
            let other = (2..).map(|n| self.folder.join(format!("{slot}{DAMAGED}{n}"))).find(|other| !other.exists());
            other.map_or(Ok(()), |other| std::fs::rename(&path, other)).map_err(io)?;
        } else {
            std::fs::rename(&path, &aside).map_err(io)?;
        }
        sync_folder(&self.folder)
    }

    fn path(&self, slot: Slot) -> PathBuf {
        self.folder.join(slot.to_string())
    }

    fn missing(&self, slot: Slot) -> PortError {
        let path = self.path(slot);
        let (what, path) = (format!("the day `{}`", path.display()), path.display());
        let way_out = "restore it from a backup, or make a folder";
        PortError::Damaged { what, detail: format!("it is missing; {way_out} `{path}{DAMAGED}` to go on without it") }
    }

    /// Whether the slot's folder was renamed, and what it held is gone on without.
    pub fn is_set_aside(&self, slot: Slot) -> bool {
        self.folder.join(format!("{slot}{DAMAGED}")).exists()
    }

    /// The database of a slot that has an entry; `None` when it was set aside, now or earlier.
    ///
    /// # Errors
    /// [`PortError::Damaged`] when it is missing, cannot be read, or is older than what was sealed, and that is not to be
    /// gone on without.
    pub fn reading(&self, slot: Slot, entry: &SlotEntry) -> Result<Option<Arc<Store>>, PortError> {
        if let Some(open) = self.opened(slot) {
            return Ok(Some(open));
        }
        let path = self.path(slot);
        if !path.join("db").exists() && self.is_set_aside(slot) {
            return Ok(None);
        }
        let found = if path.join("db").exists() { self.held(slot, Some(entry)) } else { Err(self.missing(slot)) };
        match found {
            Ok(store) => Ok(Some(store)),
            Err(error) => self.give_up_slot(slot, error).map(|()| None),
        }
    }

    /// The database that takes the next bucket of a day: of its last slot, or of the one after, where that is set aside
    /// or large enough. Such a one is not opened: it would stay so, with some megabytes of memory.
    ///
    /// # Errors
    /// As [`Days::reading`].
    pub fn writing(&self, last: Slot, entry: Option<&SlotEntry>) -> Result<(Slot, Arc<Store>), PortError> {
        let Some(entry) = entry else { return Ok((last, self.held(last, None)?)) };
        let is_full = last != last.next() && self.bytes(last)? >= self.slot_bytes;
        match if is_full { None } else { self.reading(last, entry)? } {
            Some(store) => Ok((last, store)),
            None => Ok((last.next(), self.held(last.next(), None)?)),
        }
    }

    /// Closes slots that nobody uses. A database keeps much of what was written to it decoded; opening it again costs
    /// little, since it is small.
    pub fn close(&self, slots: impl Iterator<Item = Slot>) {
        let mut open = self.open.lock();
        for slot in slots {
            open.iter().filter(|(held, _)| *held == slot).for_each(|(_, store)| self.look_at(store));
            open.retain(|(held, store)| *held != slot || Arc::strong_count(store) > 1);
        }
        drop(open);
        free_what_is_left();
    }

    /// With slots of so many bytes.
    pub fn set_slot_bytes(&mut self, bytes: u64) {
        self.slot_bytes = bytes;
    }

    /// The database of a slot that is open; the last one used goes last.
    fn opened(&self, slot: Slot) -> Option<Arc<Store>> {
        let mut open = self.open.lock();
        let at = open.iter().position(|(held, _)| *held == slot)?;
        open.get_mut(at..)?.rotate_left(1);
        open.last().map(|(_, store)| store.clone())
    }

    /// Whether a slot is open.
    pub fn is_open(&self, slot: Slot) -> bool {
        self.open.lock().iter().any(|(held, _)| *held == slot)
    }

    fn held(&self, slot: Slot, entry: Option<&SlotEntry>) -> Result<Arc<Store>, PortError> {
        if let Some(open) = self.opened(slot) {
            return Ok(open);
        }
        let mut open = self.open.lock();
        if let Some((_, store)) = open.iter().find(|(held, _)| *held == slot) {
            // Somebody was quicker.
            return Ok(store.clone());
        }
        // Or has found that it is damaged, and renamed it: nothing may be made in its place.
        if entry.is_some() && !self.path(slot).join("db").exists() {
            return Err(self.missing(slot));
        }
        // Only what nobody uses is closed, and within the lock: it is closed when it is opened again.
        let mut surplus = self.surplus(&open);
        open.retain(|(_, store)| {
            let stays = surplus == 0 || Arc::strong_count(store) > 1;
            surplus -= usize::from(!stays);
            stays
        });
        let store = Arc::new(Store::open(&self.path(slot), CACHE_BYTES)?);
        if let Some(entry) = entry {
            self.check(slot, &store, entry)?;
        }
        open.push((slot, store.clone()));
        Ok(store)
    }

    /// How many of the open databases are too many, with one more.
    fn surplus(&self, open: &[(Slot, Arc<Store>)]) -> usize {
        // The last ones were used last.
        let mut bytes = 0_u64;
        let kept = open.iter().rev().take(OPEN_MAX - 1).enumerate().take_while(|(nth, (slot, _))| {
            bytes += self.bytes(*slot).unwrap_or(u64::MAX / OPEN_MAX as u64);
            *nth < OPEN_MIN - 1 || bytes <= OPEN_BYTES
        });
        open.len() - kept.count()
    }

    /// Whether a slot is as far as it was, and has all its buckets. Costs a read of their heads.
    fn check(&self, slot: Slot, store: &Store, entry: &SlotEntry) -> Result<(), PortError> {
        if self.is_set_aside(slot) {
            return Ok(());
        }
        let filled = store.get(&FILLED_KEY)?.and_then(|bytes| Reader(&bytes).varint()).unwrap_or_default();
        let path = store.folder().display();
        let damaged = |found: String| PortError::Damaged {
            what: format!("the day `{path}`"),
            detail: format!(
                "{found}: it is older than what was durable; restore the whole data folder from one backup, or rename the \
                 day to `{path}{DAMAGED}` to go on without it"
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

    /// What a slot's files take, bytes; 0 where they are set aside.
    ///
    /// # Errors
    /// When they cannot be looked at.
    pub fn bytes(&self, slot: Slot) -> Result<u64, PortError> {
        let path = self.path(slot);
        if path.exists() { folder_bytes(&path) } else { Ok(0) }
    }

    /// Closes a slot and removes its folder. Nobody may use it meanwhile.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn drop_slot(&self, slot: Slot) -> Result<(), PortError> {
        self.open.lock().retain(|(held, _)| *held != slot);
        // Under another name first, so that a kill cannot leave half a day that looks whole.
        let (path, dropped) = (self.path(slot), self.folder.join(format!("{slot}{DROPPED}")));
        remove(&dropped)?;
        if path.exists() {
            std::fs::rename(&path, &dropped).map_err(|error| failed("dropping", &path, error))?;
        }
        remove(&dropped)?;
        sync_folder(&self.folder)
    }
}

/// Says in a slot's database that it is filled up to `last`.
pub fn filled(last: Lsn) -> Change {
    let mut bytes = Vec::new();
    put_varint(last.0, &mut bytes);
    Change::Put(FILLED_KEY.to_vec(), bytes)
}

/// Whether a folder is what a killed seal left of a slot: whatever it holds, heads or pages whose head was to follow, is
/// of records after the last one sealed, so that the journal has them still. One that holds nothing may be damaged.
fn is_unfinished(folder: &Path, sealed: Lsn) -> bool {
    let first = Store::open(folder, CACHE_BYTES).and_then(|store| store.at_or_after(&from_key(Lsn(1))));
    first.is_ok_and(|first| first.and_then(|(key, _)| bucket_of(&key)).is_some_and(|first| first > sealed))
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
