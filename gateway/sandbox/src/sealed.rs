//! Bytes that nobody can change any more, in a file in memory where the system has such: what is mapped from there is
//! not copied once more. Knows not what they are.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

/// Bytes on their way.
pub(crate) enum Filling {
    /// Into a file in memory.
    File(File),
    /// Where there is none.
    Bytes(Vec<u8>),
}

/// Bytes that stay as they are.
pub(crate) enum Sealed {
    /// In a file in memory that takes no more writes, from this process either.
    File(File),
    /// Where there is none.
    Bytes(Vec<u8>),
}

impl Filling {
    /// Room for so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        memory_file().map_or_else(|| Self::Bytes(Vec::with_capacity(bytes)), Self::File)
    }

    /// Appends some.
    pub(crate) fn put(&mut self, more: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.write_all(more),
            Self::Bytes(bytes) => {
                bytes.extend_from_slice(more);
                Ok(())
            }
        }
    }

    /// From now on they stay as they are.
    pub(crate) fn seal(self) -> io::Result<Sealed> {
        Ok(match self {
            Self::File(file) => {
                seal(&file)?;
                Sealed::File(file)
            }
            Self::Bytes(bytes) => Sealed::Bytes(bytes),
        })
    }
}

impl Sealed {
    /// Where they can be mapped from, as long as this is there; `None` where they are no file.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File(file) => path(file),
            Self::Bytes(_) => None,
        }
    }

    /// The bytes, where they are no file.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::File(_) => &[],
            Self::Bytes(bytes) => bytes,
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::{File, PathBuf, io};
    use std::os::fd::AsRawFd;
    use std::path::Path;

    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

    /// What this process has open, by name.
    const OPEN: &str = "/proc/self/fd";

    pub(super) fn memory_file() -> Option<File> {
        if !Path::new(OPEN).exists() {
            return None;
        }
        memfd_create("compiled", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).ok().map(File::from)
    }

    pub(super) fn seal(file: &File) -> io::Result<()> {
        let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        Ok(fcntl_add_seals(file, all)?)
    }

    pub(super) fn path(file: &File) -> Option<PathBuf> {
        Some(Path::new(OPEN).join(file.as_raw_fd().to_string()))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{File, PathBuf, io};

    pub(super) const fn memory_file() -> Option<File> {
        None
    }

    pub(super) fn seal(_: &File) -> io::Result<()> {
        Ok(())
    }

    pub(super) const fn path(_: &File) -> Option<PathBuf> {
        None
    }
}

use system::{memory_file, path, seal};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_what_was_put_in_and_takes_no_more() {
        let mut filling = Filling::new(6);
        filling.put(b"one").unwrap();
        filling.put(b"two").unwrap();
        let sealed = filling.seal().unwrap();
        let Some(path) = sealed.path() else {
            assert_eq!(sealed.bytes(), b"onetwo");
            return;
        };
        assert_eq!(std::fs::read(&path).unwrap(), b"onetwo");
        let opened = std::fs::OpenOptions::new().write(true).open(&path);
        assert!(opened.and_then(|mut file| file.write_all(b"x")).is_err(), "nobody can change it");
    }
}
