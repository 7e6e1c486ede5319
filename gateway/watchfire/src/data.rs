//! The data folder: what lies where in it, and opening its stores. Only one process at a time may.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use watchfire_history::SledHistory;
use watchfire_journal::{DataDisk, FileJournal, FolderLock};
use watchfire_pipeline::{Disk, History, Log, PortError};
use watchfire_sandbox::CacheAt;

/// The stores of a data folder.
#[derive(Clone)]
pub struct Stores {
    /// The log over both.
    pub log: Arc<Log>,
    /// What is not sealed yet.
    pub journal: Arc<FileJournal>,
    /// What is.
    pub history: Arc<SledHistory>,
}

/// An open data folder.
pub struct Data {
    folder: PathBuf,
    /// The log over its stores.
    pub log: Arc<Log>,
    /// Its stores themselves.
    pub stores: Stores,
    _lock: FolderLock,
}

/// What a folder holds while it is restored: half a data folder must not look like one.
pub const RESTORING: &str = "restoring";

impl Data {
    /// Opens a data folder, making it where it is missing.
    ///
    /// # Errors
    /// When another process holds it, or a store cannot be opened.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_as(folder, |history| history)
    }

    /// Opens a data folder for a gateway, which goes on watching without what is found damaged of the samples, and says
    /// so.
    ///
    /// # Errors
    /// As [`Data::open`].
    pub fn open_to_go_on(folder: &Path) -> Result<Self> {
        Self::open_as(folder, SledHistory::that_goes_on)
    }

    fn open_as(folder: &Path, kind: impl FnOnce(SledHistory) -> SledHistory) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the data folder `{}`", folder.display()))?;
        let lock = FolderLock::take(folder)?;
        if folder.join(RESTORING).exists() {
            bail!("`{}` was not restored to the end; empty it and run `watchfire restore` again", folder.display());
        }
        let history = Arc::new(kind(open_history(folder)?));
        let journal = Arc::new(FileJournal::open_after(folder, history.sealed())?);
        history.go_on_at(journal.first())?;
        let log = Log::new(journal.clone(), history.clone());
        let stores = Stores { log: log.clone(), journal, history };
        Ok(Self { folder: folder.to_owned(), log, stores, _lock: lock })
    }

    /// The disk under it.
    pub fn disk(&self) -> DataDisk {
        DataDisk::of(&self.folder)
    }

    /// Certificates.
    pub fn pki(&self) -> PathBuf {
        self.folder.join("pki")
    }

    /// Compiled plugins. The key to them lies with the other private keys.
    pub fn cache(&self) -> CacheAt {
        CacheAt { folder: self.folder.join("cache"), key: self.pki().join("own/compiled.key") }
    }

    /// Where a running gateway answers questions.
    pub fn socket(folder: &Path) -> PathBuf {
        folder.join("watchfire.sock")
    }
}

/// Opens the store of record, which needs some room: on a full disk, what was held in reserve.
fn open_history(folder: &Path) -> Result<SledHistory, PortError> {
    match SledHistory::open(folder) {
        Err(PortError::Full { doing }) => {
            tracing::error!(doing, "no room left on the disk; what was held in reserve is used to start");
            DataDisk::of(folder).release()?;
            SledHistory::open(folder)
        }
        opened => opened,
    }
}
