//! The data folder: what lies where in it, and opening its stores. Only one process at a time may.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use watchfire_history::SledHistory;
use watchfire_journal::{FileJournal, FolderLock};
use watchfire_pipeline::{History, Log};

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
        let journal = FileJournal::open_after(folder, history.sealed())?;
        history.go_on_at(journal.first())?;
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
