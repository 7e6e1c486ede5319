//! The mark outside the journal: up to which record it was durable. A journal that ends before has lost what was
//! promised, which its own end cannot tell from one that was never durable.
//!
//! It is written after each sync and never synced itself: a power cut may leave an older one, which only promises less.
//! Two slots in turns, so that a torn write leaves the one before.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use watchfire_model::Lsn;
use watchfire_pipeline::PortError;

use crate::file::failed;

const NAME: &str = "wal.mark";
const MAGIC: [u8; 4] = *b"WFJ\x01";
/// Bytes between the slots: they never share a sector.
const SLOT_BYTES: u64 = 512;
const BYTES: usize = 16;

/// The open file.
#[derive(Debug)]
pub struct Mark {
    path: PathBuf,
    file: File,
    turn: u64,
}

impl Mark {
    /// Opens a data folder's mark, making it where it is missing, and reads what it says; 0 from a new or torn one.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn open(data: &Path) -> Result<(Self, Lsn), PortError> {
        let path = data.join(NAME);
        let io = |error| failed("opening the journal's mark", &path, error);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        let mut durable = Lsn(0);
        for turn in 0..2 {
            let mut slot = [0; BYTES];
            if file.read_exact_at(&mut slot, turn * SLOT_BYTES).is_ok() {
                durable = durable.max(decode(slot).unwrap_or_default());
            }
        }
        // The slot that says less is the next to be written.
        let mut slot = [0; BYTES];
        let first_is_newest = file.read_exact_at(&mut slot, 0).is_ok() && decode(slot) == Some(durable);
        Ok((Self { path, file, turn: u64::from(first_is_newest) }, durable))
    }

    /// Notes that everything up to `durable` is.
    ///
    /// # Errors
    /// When the file cannot be written; what is durable stays so.
    pub fn set(&mut self, durable: Lsn) -> Result<(), PortError> {
        let written = self.file.write_all_at(&encode(durable), self.turn * SLOT_BYTES);
        self.turn = 1 - self.turn;
        written.map_err(|error| failed("writing the journal's mark", &self.path, error))
    }
}

fn encode(durable: Lsn) -> [u8; BYTES] {
    let mut slot = [0; BYTES];
    let (magic, rest) = slot.split_at_mut(4);
    let (crc, place) = rest.split_at_mut(4);
    magic.copy_from_slice(&MAGIC);
    place.copy_from_slice(&durable.0.to_le_bytes());
    crc.copy_from_slice(&crc32fast::hash(place).to_le_bytes());
    slot
}

fn decode(slot: [u8; BYTES]) -> Option<Lsn> {
    let [m0, m1, m2, m3, c0, c1, c2, c3, place @ ..] = slot;
    let fits = [m0, m1, m2, m3] == MAGIC && u32::from_le_bytes([c0, c1, c2, c3]) == crc32fast::hash(&place);
    fits.then_some(Lsn(u64::from_le_bytes(place)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_mark_promises_what_the_one_before_did() {
        let folder = tempfile::tempdir().unwrap();
        let said = || Mark::open(folder.path()).unwrap().1;
        assert_eq!(said(), Lsn(0));
        for durable in 1..6 {
            let (mut mark, before) = Mark::open(folder.path()).unwrap();
            mark.set(Lsn(durable)).unwrap();
            drop(mark);
            assert_eq!(said(), Lsn(durable));
            let path = folder.path().join(NAME);
            let whole = std::fs::read(&path).unwrap();
            let newest = if durable % 2 == 1 { 0 } else { 512 };
            for at in 0..BYTES {
                let mut torn = whole.clone();
                torn[newest + at] ^= 0x10;
                std::fs::write(&path, &torn).unwrap();
                assert_eq!(said(), before, "byte {at}");
            }
            std::fs::write(&path, &whole).unwrap();
        }
    }
}
