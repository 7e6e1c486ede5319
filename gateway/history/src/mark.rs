//! The mark outside the database: how far it had promised to be. A database that opens at less has lost what was
//! durable, which sled itself may not notice.
//!
//! The file has two slots that are written in turns, so that a kill always leaves one whole.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use watchfire_model::Lsn;
use watchfire_pipeline::PortError;

use crate::store::{failed, sync_folder};

const MAGIC: [u8; 8] = *b"WFMARK\0\x01";
/// Bytes between the slots: the least that a disk writes.
const SLOT_BYTES: u64 = 4096;
const HASH_BYTES: usize = 16;

/// What was promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Promise {
    /// Commits of the database so far.
    pub commits: u64,
    /// The last record sealed.
    pub sealed: Lsn,
}

/// The open file.
#[derive(Debug)]
pub struct Mark {
    path: PathBuf,
    file: File,
}

impl Mark {
    /// Opens the mark, making it where it is missing, and reads what it says; `None` from a new one.
    ///
    /// # Errors
    /// [`PortError::Damaged`] when neither slot can be read.
    pub fn open(path: &Path) -> Result<(Self, Option<Promise>), PortError> {
        let io = |error| failed("opening", path, error);
        let fresh = !path.exists();
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        if fresh {
            path.parent().map_or(Ok(()), sync_folder)?;
        }
        let slots = [0, SLOT_BYTES as usize].map(|at| bytes.get(at..).and_then(decode));
        let promise = slots.into_iter().flatten().max();
        // The very first write goes to the second slot: as long as the first holds nothing, nothing was promised.
        if promise.is_none() && bytes.iter().take(SLOT_BYTES as usize).any(|byte| *byte != 0) {
            let detail = "neither of its two slots can be read; remove it to go on without its guard".to_owned();
            return Err(PortError::Damaged { what: format!("the mark `{}`", path.display()), detail });
        }
        Ok((Self { path: path.to_owned(), file }, promise))
    }

    /// Promises durably.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set(&mut self, promise: Promise) -> Result<(), PortError> {
        let slot = SeekFrom::Start(promise.commits % 2 * SLOT_BYTES);
        let written = self.file.seek(slot).and_then(|_| self.file.write_all(&encode(promise)));
        written.and_then(|()| self.file.sync_data()).map_err(|error| failed("writing the mark", &self.path, error))
    }
}

fn encode(promise: Promise) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(promise.commits.to_le_bytes());
    out.extend(promise.sealed.0.to_le_bytes());
    let hash = blake3::hash(&out);
    out.extend(hash.as_bytes().iter().take(HASH_BYTES));
    out
}

fn decode(bytes: &[u8]) -> Option<Promise> {
    let (said, rest) = bytes.split_first_chunk::<24>()?;
    let [m0, m1, m2, m3, m4, m5, m6, m7, c0, c1, c2, c3, c4, c5, c6, c7, sealed @ ..] = *said;
    let hash = blake3::hash(said);
    let fits = [m0, m1, m2, m3, m4, m5, m6, m7] == MAGIC && rest.get(..HASH_BYTES) == hash.as_bytes().get(..HASH_BYTES);
    let commits = u64::from_le_bytes([c0, c1, c2, c3, c4, c5, c6, c7]);
    fits.then_some(Promise { commits, sealed: Lsn(u64::from_le_bytes(sealed)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_is_cut_off_leaves_the_promise_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        let (mut mark, promise) = Mark::open(&path).unwrap();
        assert_eq!(promise, None);
        for commits in 1..=4 {
            mark.set(Promise { commits, sealed: Lsn(commits * 10) }).unwrap();
        }
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(Mark::open(&path).unwrap().1, Some(Promise { commits: 4, sealed: Lsn(40) }));
        for at in 0..40 {
            let mut torn = whole.clone();
            torn[at] ^= 0x55;
            std::fs::write(&path, &torn).unwrap();
            assert_eq!(Mark::open(&path).unwrap().1, Some(Promise { commits: 3, sealed: Lsn(30) }), "byte {at}");
        }
        std::fs::write(&path, vec![1; whole.len()]).unwrap();
        assert!(Mark::open(&path).is_err());
    }
}
