//! A database of keys and values. The one file that names `sled`, and the one that makes it safe:
//!
//! - `flush` alone does not survive a power cut: every commit is followed by our own `fdatasync` of its file, through a
//!   descriptor of our own that is held for life; an error there is final.
//! - Its file `conf` is synced by nobody: a database is made, and made durable, before it gets its name. A snapshot that
//!   was not finished is removed before it opens.
//! - A page must never become a blob, which is not synced: values are bounded here, and the folder `blobs` is watched.
//! - Its timer is off, its cache bounded, and what panics in it because of damaged files becomes an error.
//! - Its segments say up to where the log was flushed, and what lies before is believed after a power cut, even where it
//!   never came: the rest of a segment is then passed over in silence. So nothing is written before all that was written
//!   earlier is durable; only what one batch writes may be in doubt, since its beginning is written last.
//! - A leaf splits at 17 pairs whatever they weigh, and a split writes all of them again; so does every tenth change of a
//!   leaf: what comes with a value of its own is written three times. Where leaves are split while their values are
//!   still empty, and filled in order, each value is written once: see `lay`.
//! - After a full disk it answers with that error for ever, to whoever reads too: it is opened anew. That needs some
//!   room, which whoever owns the disk must have made.

use std::fs::{File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{RwLock, RwLockReadGuard};
use watchfire_pipeline::PortError;

use crate::key_value::{Change, Group, KEY_BYTES_MAX, KeyValue, Pair, VALUE_BYTES_MAX};

/// Changes applied at once.
const BATCH_CHANGES_MAX: usize = 500;
/// Fewer pairs are written as they are: they would change one leaf twice, and so write it more often.
const LAID_MIN: usize = 32;
/// Each frees some hundred pages; more than one seal leaves.
const FREE_STEPS: usize = 256;
/// A database that was just closed in this process may hold its lock a moment longer.
const LOCK_TRIES: usize = 200;
const LOCK_WAIT: Duration = Duration::from_millis(10);

/// An open database.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    cache_bytes: u64,
    open: RwLock<Option<Handles>>,
    /// A full disk was met: sled must be opened anew before it writes again.
    stuck: AtomicBool,
    /// A sync failed: nothing is known of what is durable.
    broken: AtomicBool,
    /// Something was written, here or before it was opened, that may not be durable.
    unsettled: AtomicBool,
    #[cfg(test)]
    batches_left: std::sync::atomic::AtomicU64,
}

#[derive(Debug)]
struct Handles {
    db: sled::Db,
    file: File,
}

/// What went wrong with a file.
pub fn failed(doing: &str, path: &Path, source: io::Error) -> PortError {
    let doing = format!("{doing} `{}`", path.display());
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => PortError::Full { doing },
        _ => PortError::Io { doing, source },
    }
}

/// Frees what databases that were closed have left. They free it only once all threads are known to have looked away,
/// and ask a little at each use of some other one. Costs microseconds.
pub fn free_what_is_left() {
    (0..FREE_STEPS).for_each(|_| sled::pin().flush());
}

/// Makes the entries of a folder durable.
pub fn sync_folder(folder: &Path) -> Result<(), PortError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed("making durable the folder", folder, error))
}

impl Store {
    /// Opens a database, making it where it is missing.
    ///
    /// # Errors
    /// [`PortError::Damaged`] when its files are not what was written.
    pub fn open(folder: &Path, cache_bytes: u64) -> Result<Self, PortError> {
        if !folder.join("db").exists() {
            make(folder, cache_bytes)?;
        }
        let open = Handles::open(folder, cache_bytes)?;
        Ok(Self {
            folder: folder.to_owned(),
            cache_bytes,
            open: RwLock::new(Some(open)),
            stuck: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            unsettled: AtomicBool::new(true),
            #[cfg(test)]
            batches_left: u64::MAX.into(),
        })
    }

    /// Closes the database, and waits until nothing writes to its files any more.
    ///
    /// # Errors
    /// When it stays in use.
    pub fn close(self) -> Result<(), PortError> {
        drop(self.open.into_inner());
        closed(&self.folder)
    }

    /// The one place that writes: after all that was written before is durable.
    fn apply(&self, work: impl FnOnce(&sled::Db) -> sled::Result<()>) -> Result<(), PortError> {
        if self.unsettled.load(Ordering::SeqCst) {
            self.commit()?;
        }
        #[cfg(test)]
        if self.batches_left.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.batches_left.store(0, Ordering::SeqCst);
            return Err(failed("writing to", &self.folder, io::Error::other("killed")));
        }
        self.unsettled.store(true, Ordering::SeqCst);
        self.with("writing", move |open| work(&open.db))
    }

    /// The one place where keys and values are bounded.
    fn check(&self, key: usize, value: usize) -> Result<(), PortError> {
        if key <= KEY_BYTES_MAX && value <= VALUE_BYTES_MAX {
            return Ok(());
        }
        let text = format!(
            "a key of {key} bytes with a value of {value}; {KEY_BYTES_MAX} and {VALUE_BYTES_MAX} are the most, so shorten \
             the name"
        );
        let source = io::Error::new(io::ErrorKind::InvalidInput, text);
        Err(PortError::Io { doing: format!("writing to `{}`", self.folder.display()), source })
    }

    /// What is to be told where the database has put a page into a file of its own: values are bounded so that it need
    /// not.
    pub fn beyond_its_file(&self) -> Option<String> {
        let blobs = self.folder.join("blobs");
        let has_some = std::fs::read_dir(&blobs).is_ok_and(|mut entries| entries.next().is_some());
        has_some.then(|| {
            format!(
                "the database has put a page into a file of its own in `{}`, which would not survive a power cut; make a \
                 backup, and report it",
                blobs.display()
            )
        })
    }

    fn usable(&self) -> Result<RwLockReadGuard<'_, Option<Handles>>, PortError> {
        if self.broken.load(Ordering::SeqCst) {
            let source = io::Error::other("an earlier sync failed or the database panicked; start the gateway again");
            return Err(PortError::Io { doing: format!("using `{}`", self.folder.display()), source });
        }
        Ok(self.open.read())
    }

    /// Reads. What a full disk has stopped is opened anew before: what it holds in memory may never have been written,
    /// and nothing must be built on that.
    fn reading<T>(&self, work: impl FnOnce(&Handles) -> sled::Result<T>) -> Result<T, PortError> {
        self.unstick()?;
        self.with("reading", work)
    }

    /// Runs `work` on the open database and turns whatever happens into an error a caller can act on.
    fn with<T>(&self, doing: &str, work: impl FnOnce(&Handles) -> sled::Result<T>) -> Result<T, PortError> {
        let guard = self.usable()?;
        let Some(open) = guard.as_ref() else {
            return Err(PortError::Full { doing: format!("opening `{}` again", self.folder.display()) });
        };
        let done = catch_unwind(AssertUnwindSafe(|| work(open))).unwrap_or_else(|_| {
            self.broken.store(true, Ordering::SeqCst);
            Err(sled::Error::ReportableBug("it panicked".to_owned()))
        });
        drop(guard);
        done.map_err(|error| {
            let error = from_sled(doing, &self.folder, error);
            if matches!(error, PortError::Full { .. }) {
                self.stuck.store(true, Ordering::SeqCst);
            }
            error
        })
    }

    /// Opens the database anew when a full disk has stopped it.
    fn unstick(&self) -> Result<(), PortError> {
        if !self.stuck.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut open = self.open.write();
        if !self.stuck.load(Ordering::SeqCst) {
            // Somebody else was quicker.
            return Ok(());
        }
        *open = None;
        *open = Some(Handles::open(&self.folder, self.cache_bytes)?);
        self.unsettled.store(true, Ordering::SeqCst);
        self.stuck.store(false, Ordering::SeqCst);
        tracing::info!(folder = %self.folder.display(), "the database goes on after a full disk");
        Ok(())
    }

    /// Lets so many batches through from now on; the rest fails as if the process had been killed before it.
    #[cfg(test)]
    pub fn end_after(&self, batches: u64) {
        self.batches_left.store(batches, Ordering::SeqCst);
    }

    /// As after a full disk.
    #[cfg(test)]
    pub fn stop_as_if_full(&self) {
        self.stuck.store(true, Ordering::SeqCst);
    }
}

impl KeyValue for Store {
    fn folder(&self) -> &Path {
        &self.folder
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PortError> {
        self.reading(|open| Ok(open.db.get(key)?.map(|value| value.to_vec())))
    }

    fn at_or_before(&self, key: &[u8]) -> Result<Option<Pair>, PortError> {
        self.reading(|open| open.db.range(..=key).next_back().map(|found| found.map(pair)).transpose())
    }

    fn at_or_after(&self, key: &[u8]) -> Result<Option<Pair>, PortError> {
        self.reading(|open| open.db.range(key..).next().map(|found| found.map(pair)).transpose())
    }

    fn range(&self, first: &[u8], last: &[u8], most: usize) -> Result<Vec<Pair>, PortError> {
        if first > last {
            return Ok(Vec::new());
        }
        self.reading(|open| open.db.range(first..=last).take(most).map(|found| found.map(pair)).collect())
    }

    fn write(&self, groups: Vec<Group>) -> Result<(), PortError> {
        for change in groups.iter().flatten() {
            match change {
                Change::Put(key, value) => self.check(key.len(), value.len())?,
                Change::Remove(key) => self.check(key.len(), 0)?,
            }
        }
        self.unstick()?;
        let (mut batch, mut held) = (sled::Batch::default(), 0);
        for group in groups {
            if held > 0 && held + group.len() > BATCH_CHANGES_MAX {
                let full = std::mem::take(&mut batch);
                self.apply(move |db| db.apply_batch(full))?;
                held = 0;
            }
            held += group.len();
            for change in group {
                match change {
                    Change::Put(key, value) => batch.insert(key, value),
                    Change::Remove(key) => batch.remove(key),
                }
            }
        }
        if held > 0 { self.apply(move |db| db.apply_batch(batch)) } else { Ok(()) }
    }

    fn lay(&self, pairs: Vec<Pair>) -> Result<(), PortError> {
        for (key, value) in &pairs {
            self.check(key.len(), value.len())?;
        }
        self.unstick()?;
        let mut pairs = pairs.into_iter().peekable();
        while pairs.peek().is_some() {
            let step: Vec<Pair> = pairs.by_ref().take(BATCH_CHANGES_MAX).collect();
            if step.len() >= LAID_MIN {
                // One by one, since a batch has no order. All of it lies within one buffer of the database or two, of which
                // the second says nothing yet of the first.
                let keys: Vec<Vec<u8>> = step.iter().map(|(key, _)| key.clone()).collect();
                self.apply(|db| keys.into_iter().try_for_each(|key| db.insert(key, &[]).map(|_| ())))?;
            }
            let mut batch = sled::Batch::default();
            step.into_iter().for_each(|(key, value)| batch.insert(key, value));
            self.apply(move |db| db.apply_batch(batch))?;
        }
        Ok(())
    }

    /// The one place that flushes.
    fn commit(&self) -> Result<(), PortError> {
        self.with("flushing", |open| open.db.flush().map(|_| ()))?;
        let open = self.usable()?;
        if let Some(open) = open.as_ref()
            && let Err(source) = open.file.sync_data()
        {
            self.broken.store(true, Ordering::SeqCst);
            return Err(PortError::Io { doing: format!("making `{}` durable", self.folder.display()), source });
        }
        if open.is_some() {
            self.unsettled.store(false, Ordering::SeqCst);
        }
        drop(open);
        Ok(())
    }
}

impl Handles {
    fn open(folder: &Path, cache_bytes: u64) -> Result<Self, PortError> {
        remove_unfinished(folder)?;
        let mut tries = 0;
        let db = loop {
            let config = sled::Config::new().path(folder).cache_capacity(cache_bytes).flush_every_ms(None);
            let opened = catch_unwind(AssertUnwindSafe(|| config.open()))
                .unwrap_or_else(|_| Err(sled::Error::ReportableBug("opening it panicked".to_owned())));
            match opened {
                Ok(db) => break db,
                Err(sled::Error::Io(error))
                    if error.to_string().contains("could not acquire lock") && tries < LOCK_TRIES =>
                {
                    tries += 1;
                    std::thread::sleep(LOCK_WAIT);
                }
                Err(error) => return Err(from_sled("opening", folder, error)),
            }
        };
        let path = folder.join("db");
        let file = OpenOptions::new().read(true).write(true).open(&path);
        Ok(Self { db, file: file.map_err(|error| failed("opening", &path, error))? })
    }
}

/// Makes an empty database, all of whose files are durable before it has its name: the library leaves one of them,
/// `conf`, unsynced for ever, and half a database cannot be opened.
fn make(folder: &Path, cache_bytes: u64) -> Result<(), PortError> {
    let io = |error| failed("making the database folder", folder, error);
    let is_vacant = std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
    // Where something is left of another one, that is for whoever opens it to see.
    let new = if is_vacant { folder.with_extension("new") } else { folder.to_owned() };
    if is_vacant && new.exists() {
        std::fs::remove_dir_all(&new).map_err(io)?;
    }
    std::fs::create_dir_all(&new).map_err(io)?;
    drop(Handles::open(&new, cache_bytes)?);
    closed(&new)?;
    for entry in std::fs::read_dir(&new).map_err(io)? {
        File::open(entry.map_err(io)?.path()).and_then(|file| file.sync_all()).map_err(io)?;
    }
    sync_folder(&new)?;
    if is_vacant {
        std::fs::rename(&new, folder).map_err(io)?;
    }
    folder.parent().map_or(Ok(()), sync_folder)
}

/// Removes what a kill left of a snapshot that was being written: the library would take it for one, and refuse the whole.
fn remove_unfinished(folder: &Path) -> Result<(), PortError> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        if path.extension().is_some_and(|extension| extension == "generating") {
            std::fs::remove_file(&path).map_err(|error| failed("removing", &path, error))?;
        }
    }
    Ok(())
}

/// Waits until nothing holds a database that was closed in this process.
fn closed(folder: &Path) -> Result<(), PortError> {
    let path = folder.join("db");
    let file = File::open(&path).map_err(|error| failed("opening", &path, error))?;
    for _ in 0..LOCK_TRIES {
        if file.try_lock().is_ok() {
            return Ok(());
        }
        std::thread::sleep(LOCK_WAIT);
    }
    let source = io::Error::new(io::ErrorKind::TimedOut, "something still writes to it");
    Err(failed("closing", &path, source))
}

fn pair((key, value): (sled::IVec, sled::IVec)) -> Pair {
    (key.to_vec(), value.to_vec())
}

fn from_sled(doing: &str, folder: &Path, error: sled::Error) -> PortError {
    match error {
        sled::Error::Io(source) => failed(&format!("{doing} the database"), folder, source),
        other => PortError::Damaged {
            what: format!("the database `{}`", folder.display()),
            detail: format!(
                "{other}, while {doing} it; restore the folder from a backup, or rename it to `{}.damaged` to go on \
                 without what it holds",
                folder.display()
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &[u8], value: usize) -> Change {
        Change::Put(key.to_vec(), vec![7; value])
    }

    #[test]
    fn pairs_are_found_again_also_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..3_u8 {
            let store = Store::open(folder.path(), 1 << 20).unwrap();
            store.write(vec![vec![put(&[round, 1], 10), put(&[round, 9], VALUE_BYTES_MAX)]]).unwrap();
            store.commit().unwrap();
            assert_eq!(store.range(&[0], &[9], usize::MAX).unwrap().len(), 2 * (usize::from(round) + 1));
            assert_eq!(store.at_or_before(&[round, 8]).unwrap().unwrap().0, [round, 1]);
            assert_eq!(store.at_or_after(&[round, 2]).unwrap().unwrap().0, [round, 9]);
            assert!(std::fs::read_dir(folder.path().join("blobs")).map_or(0, Iterator::count) == 0);
        }
    }

    #[test]
    fn a_value_that_could_become_a_blob_is_refused_and_nothing_of_its_groups_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), 1 << 20).unwrap();
        let refused = store.write(vec![vec![put(b"a", 1)], vec![put(b"b", VALUE_BYTES_MAX + 1)]]);
        assert!(refused.unwrap_err().to_string().contains("6001"));
        assert!(store.write(vec![vec![Change::Remove(vec![0; KEY_BYTES_MAX + 1])]]).is_err());
        assert_eq!(store.get(b"a").unwrap(), None);
    }

    #[test]
    fn what_is_laid_in_order_takes_the_disk_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), 1 << 20).unwrap();
        for part in 0..4_u16 {
            let pairs = (0..500).map(|i| ((part * 500 + i).to_be_bytes().to_vec(), vec![7; 5_900]));
            store.lay(pairs.collect()).unwrap();
            store.commit().unwrap();
        }
        assert_eq!(store.get(&1_234_u16.to_be_bytes()).unwrap(), Some(vec![7; 5_900]));
        store.close().unwrap();
        let bytes = std::fs::metadata(folder.path().join("db")).unwrap().len();
        assert!(bytes < 2_000 * 5_900 * 5 / 4, "{bytes} bytes for 11,800,000");
    }

    #[test]
    fn it_goes_on_after_a_full_disk() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), 1 << 20).unwrap();
        store.write(vec![vec![put(b"before", 1)]]).unwrap();
        store.commit().unwrap();
        store.stop_as_if_full();
        store.write(vec![vec![put(b"after", 1)]]).unwrap();
        store.commit().unwrap();
        assert!(store.get(b"before").unwrap().is_some() && store.get(b"after").unwrap().is_some());
    }

    #[test]
    fn half_a_snapshot_is_no_reason_to_refuse_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), 1 << 20).unwrap();
        store.write(vec![vec![put(b"a", 1)]]).unwrap();
        store.commit().unwrap();
        store.close().unwrap();
        std::fs::write(folder.path().join("snap.FFFFFFFFFFFFFFFF.generating"), "half").unwrap();
        assert!(Store::open(folder.path(), 1 << 20).unwrap().get(b"a").unwrap().is_some());
    }

    #[test]
    fn a_damaged_file_is_an_error_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), 1 << 20).unwrap();
        for i in 0..200_u16 {
            store.write(vec![vec![put(&i.to_be_bytes(), 3000)]]).unwrap();
        }
        store.commit().unwrap();
        drop(store);
        // A file that cannot be a database at all: sled gives an error or panics; neither may reach the caller raw.
        std::fs::remove_file(folder.path().join("db")).unwrap();
        std::fs::create_dir(folder.path().join("db")).unwrap();
        let error = Store::open(folder.path(), 1 << 20).unwrap_err();
        assert!(matches!(error, PortError::Damaged { .. } | PortError::Io { .. }), "{error}");
    }
}
