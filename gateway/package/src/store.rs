//! The folder `plugins/` of a data folder: installed packages by the digest of their component, and which bytes each
//! installed name, each detector and each model was accepted with (`bound.toml`). Judges nothing.
//!
//! Whoever can write here alone can take a detector away or put an older package of a trusted publisher in its place, but
//! cannot have anything run that the configuration does not trust: packages are verified whenever they are read. What was
//! compiled of them lies elsewhere (`cache/`), under a key that lies with the private keys (`pki/own/`).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::package::check_size;
use crate::{Digest, EXTENSION, PackageError, Upgrade};

/// The list of what was accepted.
const BOUND: &str = "bound.toml";
/// Held while the list is changed.
const LOCK: &str = "lock";
/// The first lines of the list.
const HEAD: &str = "# Which bytes each installed plugin, each detector with a plugin in a file and each model was accepted with.\n\
                    # Written by `watchfire plugin install`, `accept`, `remove` and `upgrade`, and at a detector's first start.\n\n";

/// What was accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// The component that an installed name means.
    #[serde(default)]
    pub installed: BTreeMap<String, Digest>,
    /// The component that a detector was accepted with, where its plugin is a file.
    #[serde(default)]
    pub detector: BTreeMap<String, Digest>,
    /// The model that a detector was accepted with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub model: BTreeMap<String, Digest>,
    /// Detectors that a person has moved to another version of their plugin, or is trying one beside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub upgrade: BTreeMap<String, Upgrade>,
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The store in a data folder; nothing is made before it is needed.
    #[must_use]
    pub fn of(data: &Path) -> Self {
        Self { folder: data.join("plugins") }
    }

    /// Where a component's package lies.
    #[must_use]
    pub fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!("{}.{EXTENSION}", digest.hex()))
    }

    /// Where a component without a package lies, which somebody upgraded a detector to.
    #[must_use]
    pub fn bare_path(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!("{}.wasm", digest.hex()))
    }

    /// The bytes of a file, unless it is too large to be a package. Blocks.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<Vec<u8>, PackageError> {
        let unread = |source| PackageError::File { path: path.to_owned(), source };
        let size = fs::metadata(path).map_err(unread)?.len();
        check_size(size)?;
        fs::read(path).map_err(unread)
    }

    /// The installed packages' files, in the order of their digests.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn packages(&self) -> Result<Vec<PathBuf>, PackageError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(at(&self.folder, error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(|source| at(&self.folder, source))?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// What was accepted.
    ///
    /// # Errors
    /// When the list is there and cannot be read.
    pub fn bound(&self) -> Result<Bound, PackageError> {
        let path = self.folder.join(BOUND);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Bound::default()),
            Err(error) => return Err(at(&path, error)),
        };
        toml::from_str(&text).map_err(|error| PackageError::Damaged {
            path,
            reason: error.message().lines().collect::<Vec<_>>().join(" "),
        })
    }

    /// Changes what was accepted, alone among all processes, and durably.
    ///
    /// # Errors
    /// When the list cannot be read or written.
    pub fn bind(&self, change: impl FnOnce(&mut Bound)) -> Result<(), PackageError> {
        fs::create_dir_all(&self.folder).map_err(|source| at(&self.folder, source))?;
        let path = self.folder.join(LOCK);
        let lock = File::create(&path).map_err(|source| at(&path, source))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| at(&path, error.into()))?;
        let before = self.bound()?;
        let mut bound = before.clone();
        change(&mut bound);
        if bound == before {
            return Ok(());
        }
        let path = self.folder.join(BOUND);
        let text = toml::to_string(&bound)
            .map_err(|error| PackageError::Damaged { path: path.clone(), reason: error.to_string() })?;
        self.write(&path, format!("{HEAD}{text}").as_bytes())
    }

    /// Puts a package in.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn put(&self, digest: Digest, package: &[u8]) -> Result<PathBuf, PackageError> {
        self.put_at(self.path(digest), package)
    }

    /// Puts a component without a package in.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn put_bare(&self, digest: Digest, component: &[u8]) -> Result<PathBuf, PackageError> {
        self.put_at(self.bare_path(digest), component)
    }

    fn put_at(&self, path: PathBuf, bytes: &[u8]) -> Result<PathBuf, PackageError> {
        fs::create_dir_all(&self.folder).map_err(|source| at(&self.folder, source))?;
        self.write(&path, bytes)?;
        Ok(path)
    }

    /// Takes a package out.
    ///
    /// # Errors
    /// When it is not there, or the folder cannot be written.
    pub fn remove(&self, path: &Path) -> Result<(), PackageError> {
        fs::remove_file(path).map_err(|source| at(path, source))?;
        self.sync()
    }

    /// Writes beside the place, then renames: nobody ever reads half of it, not after a power cut either.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), PackageError> {
        let part = path.with_extension("part");
        let written = File::create(&part).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(|source| at(&part, source))?;
        fs::rename(&part, path).map_err(|source| at(path, source))?;
        self.sync()
    }

    fn sync(&self) -> Result<(), PackageError> {
        let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
        synced.map_err(|source| at(&self.folder, source))
    }
}

fn at(path: &Path, source: io::Error) -> PackageError {
    PackageError::Store { path: path.to_owned(), source }
}
