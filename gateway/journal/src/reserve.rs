//! The disk under the data folder: how much room it has, and the file that holds some of it in reserve.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use watchfire_pipeline::{Disk, PortError, Room};

use crate::file::failed;

/// The file's name in the data folder.
const NAME: &str = "reserve";
/// How much is held: so much,
const RESERVE_BYTES: u64 = 32 << 20;
/// or this share of a small disk.
const RESERVE_SHARE: u64 = 64;
/// Written at once.
const PIECE_BYTES: usize = 1 << 20;

/// The disk of a data folder, and the reserve on it.
#[derive(Clone, Debug)]
pub struct DataDisk {
    folder: PathBuf,
}

impl DataDisk {
    /// The disk of a data folder, which must be there.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// Under this name as long as it is not whole.
    fn unfinished(&self) -> PathBuf {
        self.path().with_extension("new")
    }

    fn write(&self, bytes: u64) -> std::io::Result<()> {
        let mut file = File::create(self.unfinished())?;
        let mut left = bytes;
        // Bytes that no file system can pack or leave out.
        let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
        while left > 0 {
            let piece: Vec<u8> = (0..PIECE_BYTES / 8)
                .flat_map(|_| {
                    noise ^= noise << 13;
                    noise ^= noise >> 7;
                    noise ^= noise << 17;
                    noise.to_le_bytes()
                })
                .collect();
            let here = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            file.write_all(piece.get(..here).unwrap_or_default())?;
            left -= here as u64;
        }
        file.sync_all()?;
        std::fs::rename(self.unfinished(), self.path())
    }
}

impl Disk for DataDisk {
    fn room(&self) -> Result<Room, PortError> {
        let asked = rustix::fs::statvfs(&self.folder);
        let found = asked.map_err(|error| failed("asking for the room on the disk of", &self.folder, error.into()))?;
        let total_bytes = found.f_blocks.saturating_mul(found.f_frsize);
        let reserve_bytes = RESERVE_BYTES.min(total_bytes / RESERVE_SHARE);
        Ok(Room { free_bytes: found.f_bavail.saturating_mul(found.f_frsize), total_bytes, reserve_bytes })
    }

    fn hold(&self) -> Result<(), PortError> {
        let wanted = self.room()?.reserve_bytes;
        let path = self.path();
        if std::fs::metadata(&path).is_ok_and(|about| about.len() == wanted) {
            return Ok(());
        }
        self.write(wanted).map_err(|error| {
            // Half a reserve would be no use to anyone.
            drop(std::fs::remove_file(self.unfinished()));
            failed("holding room in reserve in", &path, error)
        })
    }

    fn release(&self) -> Result<(), PortError> {
        for path in [self.path(), self.unfinished()] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed("removing", &path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_there_until_it_is_given_free() {
        let folder = tempfile::tempdir().unwrap();
        let disk = DataDisk::of(folder.path());
        let room = disk.room().unwrap();
        assert!(room.free_bytes <= room.total_bytes && room.reserve_bytes > 0);
        for _ in 0..2 {
            disk.hold().unwrap();
            let file = std::fs::metadata(folder.path().join(NAME)).unwrap();
            assert_eq!(file.len(), room.reserve_bytes);
        }
        std::fs::write(folder.path().join("reserve.new"), "half").unwrap();
        disk.release().unwrap();
        disk.release().unwrap();
        assert!(!folder.path().join("reserve.new").exists());
        assert!(!folder.path().join(NAME).exists());
    }
}
