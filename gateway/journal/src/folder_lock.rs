//! One process at a time may use a data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use watchfire_pipeline::PortError;

/// Holds a data folder until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes a data folder, which must exist.
    ///
    /// # Errors
    /// When another process holds it; the message names that process.
    pub fn take(folder: &Path) -> Result<Self, PortError> {
        let path = folder.join("lock");
        let io = |source| PortError::Io { doing: format!("cannot use the lock file `{}`", path.display()), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(io(error)),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let known = file.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
                let holder = if known { format!("process {}", holder.trim()) } else { "another process".to_owned() };
                return Err(PortError::InUse(format!(
                    "the data folder `{}` is in use by {holder}; stop that first, or name another folder",
                    folder.display()
                )));
            }
        }
        // Who holds it is for the message alone: a disk that is full must keep nobody from reading what is on it.
        let named =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        if named.is_err() {
            let _unnamed = file.set_len(0);
        }
        Ok(Self { _file: file })
    }
}
