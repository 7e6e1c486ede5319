//! sled behind a small door: the one place that opens, flushes and makes durable.

use std::collections::BTreeMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use watchfire_pipeline::PortError;

/// The longest value: larger ones would become blobs, which sled does not sync.
pub const VALUE_BYTES_MAX: usize = 6_000;
/// sled's page cache of one database; its default is 1 GiB.
const CACHE_BYTES: u64 = 32 << 20;
/// Writes in one batch.
const BATCH_MAX: usize = 500;

/// A database of a folder of its own.
#[derive(Debug)]
pub struct Database {
    db: sled::Db,
    /// Held for life: a descriptor opened later would not see an earlier write error.
    file: File,
    path: PathBuf,
}

/// Writes to one tree; `None` removes the key.
pub type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

impl Database {
    /// Opens a database, making it where it is missing.
    ///
    /// # Errors
    /// [`PortError::Damaged`] when sled cannot read what is there.
    pub fn open(path: &Path) -> Result<Self, PortError> {
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
        let db = match opened {
            Ok(Ok(db)) => db,
            Ok(Err(error)) => return Err(failed(path, "opening", error)),
            Err(_) => return Err(damaged(path, "the store gave up reading it")),
        };
        let at = path.join("db");
        let file = File::open(&at).map_err(|source| io(&at, "opening", source))?;
        Ok(Self { db, file, path: path.to_owned() })
    }

    /// Writes to a tree, in order of the keys. Not durable before [`Database::flush`].
    ///
    /// # Errors
    /// When a value is too long or the store fails.
    pub fn write(&self, tree: &str, writes: &Writes) -> Result<(), PortError> {
        let tree = self.tree(tree)?;
        let mut pending = writes.iter().peekable();
        while pending.peek().is_some() {
            let mut batch = sled::Batch::default();
            for (key, value) in pending.by_ref().take(BATCH_MAX) {
                match value {
                    Some(value) if value.len() > VALUE_BYTES_MAX => {
                        return Err(damaged(
                            &self.path,
                            &format!("a value of {} bytes is too long to be safe", value.len()),
                        ));
                    }
                    Some(value) => batch.insert(key.as_slice(), value.as_slice()),
                    None => batch.remove(key.as_slice()),
                }
            }
            tree.apply_batch(batch).map_err(|error| failed(&self.path, "writing", error))?;
        }
        Ok(())
    }

    /// Makes everything written durable: sled's flush, then `fdatasync`.
    ///
    /// # Errors
    /// Final: after a failed sync nothing is known of what reached the disk.
    pub fn flush(&self) -> Result<(), PortError> {
        self.db.flush().map_err(|error| failed(&self.path, "flushing", error))?;
        self.file.sync_data().map_err(|source| io(&self.path, "making durable", source))?;
        let blobs = self.path.join("blobs");
        if std::fs::read_dir(&blobs).is_ok_and(|mut entries| entries.next().is_some()) {
            tracing::error!(folder = %blobs.display(), "the store has written a blob, which is not safe against a power cut");
        }
        Ok(())
    }

    /// The value of a key.
    ///
    /// # Errors
    /// When the store fails.
    pub fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>, PortError> {
        let value = self.tree(tree)?.get(key).map_err(|error| failed(&self.path, "reading", error))?;
        Ok(value.map(|bytes| bytes.to_vec()))
    }

    /// Every key from `from` up to and without `to`, with its value, ascending.
    ///
    /// # Errors
    /// When the store fails.
    pub fn range(&self, tree: &str, from: &[u8], to: &[u8]) -> Result<Vec<Entry>, PortError> {
        self.collect(self.tree(tree)?.range(from..to))
    }

    /// Every key that begins with `prefix`, with its value, ascending.
    ///
    /// # Errors
    /// When the store fails.
    pub fn prefix(&self, tree: &str, prefix: &[u8]) -> Result<Vec<Entry>, PortError> {
        self.collect(self.tree(tree)?.scan_prefix(prefix))
    }

    fn collect(&self, entries: sled::Iter) -> Result<Vec<Entry>, PortError> {
        let each = entries.map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())));
        each.collect::<Result<_, _>>().map_err(|error| failed(&self.path, "reading", error))
    }

    fn tree(&self, name: &str) -> Result<sled::Tree, PortError> {
        self.db.open_tree(name).map_err(|error| failed(&self.path, "opening", error))
    }
}

fn failed(path: &Path, doing: &str, error: sled::Error) -> PortError {
    match error {
        sled::Error::Io(source) => io(path, doing, source),
        other => damaged(path, &other.to_string()),
    }
}

fn io(path: &Path, doing: &str, source: std::io::Error) -> PortError {
    let doing = format!("{doing} the store `{}`", path.display());
    if source.kind() == std::io::ErrorKind::StorageFull {
        PortError::Full { doing }
    } else {
        PortError::Io { doing, source }
    }
}

/// What is said of a store that is not as it was written.
pub fn damaged(path: &Path, detail: &str) -> PortError {
    let detail =
        format!("{detail}; restore it from a backup, or move it away and start again (what it holds is then lost)");
    PortError::Damaged { what: format!("the store `{}`", path.display()), detail }
}
