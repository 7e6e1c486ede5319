//! One process at a time may use a data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
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
    /// When another process holds it, which the message names; when it is another user's.
    pub fn take(folder: &Path) -> Result<Self, PortError> {
        let path = folder.join("lock");
        if let Some(owner) = owner(&path)
            && !may_use(owner, user())
        {
            return Err(PortError::InUse(format!(
                "the data folder `{}` is used by user {owner}, who could not read what root writes there; run this as \
                 that user, such as by `sudo -u '#{owner}'`",
                folder.display()
            )));
        }
        let io = |source: io::Error| {
            let is_closed = source.kind() == io::ErrorKind::PermissionDenied;
            let way_out = if is_closed { " (run this as the user that the gateway runs as)" } else { "" };
            PortError::Io { doing: format!("cannot use the lock file `{}`{way_out}", path.display()), source }
        };
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

/// Whether what `user` writes where files are `owner`'s stays readable for them. To others than root the system says so
/// itself.
const fn may_use(owner: u32, user: u32) -> bool {
    user != ROOT || owner == ROOT
}

const ROOT: u32 = 0;

#[cfg(unix)]
fn owner(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|about| std::os::unix::fs::MetadataExt::uid(&about))
}

#[cfg(unix)]
fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Files have no such owners.
#[cfg(not(unix))]
const fn owner(_: &Path) -> Option<u32> {
    None
}

#[cfg(not(unix))]
const fn user() -> u32 {
    ROOT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_writes_nothing_among_the_files_of_a_gateway_that_could_not_read_it() {
        for (owner, user, may) in [(0, 0, true), (998, 998, true), (998, 0, false), (0, 998, true), (998, 1000, true)] {
            assert_eq!(may_use(owner, user), may, "{owner} {user}");
        }
        let folder = tempfile::tempdir().unwrap();
        drop(FolderLock::take(folder.path()).unwrap());
        let ours = owner(&folder.path().join("lock"));
        assert_eq!(ours, Some(user()), "who has made the folder goes on with it");
        assert!(FolderLock::take(folder.path()).is_ok());
        // Only root can give files away, and it is about root.
        if std::os::unix::fs::chown(folder.path().join("lock"), Some(65_534), None).is_ok() {
            let refused = FolderLock::take(folder.path()).unwrap_err().to_string();
            assert!(refused.contains("is used by user 65534") && refused.contains("sudo -u '#65534'"), "{refused}");
        }
    }
}
