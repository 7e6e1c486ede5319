//! The data folder: what lies where in it, and opening its stores. Only one process at a time may.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use watchfire_history::SledHistory;
use watchfire_journal::{FileJournal, FolderLock};
use watchfire_pipeline::{History, Journal, Log};

/// An open data folder.
pub struct Data {
    folder: PathBuf,
    /// The log over its stores.
    pub log: Arc<Log>,
    _lock: FolderLock,
}

impl Data {
    /// Opens a data folder, making it where it is missing.
    ///
    /// # Errors
    /// When another process holds it, or a store cannot be opened.
    pub fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the data folder `{}`", folder.display()))?;
        let lock = FolderLock::take(folder)?;
        let history = SledHistory::open(folder)?;
        let journal = FileJournal::open(folder)?;
        if journal.tail() < history.sealed() {
            bail!(
                "the journal in `{0}` ends at {1}, but {2} was sealed from it: files of `{0}` are missing; put them back, \
                 or start with a new data folder",
                folder.join("wal").display(),
                journal.tail(),
                history.sealed()
            );
        }
        Ok(Self { folder: folder.to_owned(), log: Log::new(Arc::new(journal), Arc::new(history)), _lock: lock })
    }

    /// Certificates.
    pub fn pki(&self) -> PathBuf {
        self.folder.join("pki")
    }

    /// Compiled plugins.
    pub fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }

    /// Where a running gateway answers questions.
    pub fn socket(folder: &Path) -> PathBuf {
        folder.join("watchfire.sock")
    }
}
