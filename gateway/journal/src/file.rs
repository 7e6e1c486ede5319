//! One file of the journal.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use watchfire_model::Lsn;
use watchfire_pipeline::PortError;

/// Bytes before the first record.
pub const FILE_HEAD_BYTES: u64 = 16;
const MAGIC: [u8; 8] = *b"WFWAL\0\0\x01";
/// A place is noted for reading every so many bytes.
const INDEX_EVERY_BYTES: u64 = 1 << 18;

/// A file of the journal.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Where it is.
    pub path: PathBuf,
    /// The place of its first record, whether it is there yet or not.
    pub first: Lsn,
    /// Open for reading and appending.
    pub file: Arc<File>,
    /// Where its records end.
    pub end: u64,
    /// Places and where they begin, some of them.
    index: Vec<(Lsn, u64)>,
}

/// What went wrong with a file.
pub fn failed(doing: &str, path: &Path, source: std::io::Error) -> PortError {
    let doing = format!("{doing} `{}`", path.display());
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => PortError::Full { doing },
        _ => PortError::Io { doing, source },
    }
}

impl Segment {
    /// The name of the file that begins at `first`.
    pub fn path_of(folder: &Path, first: Lsn) -> PathBuf {
        folder.join(format!("{:020}.wal", first.0))
    }

    /// Makes a new file.
    pub fn create(folder: &Path, first: Lsn) -> Result<Self, PortError> {
        let path = Self::path_of(folder, first);
        let open = OpenOptions::new().read(true).append(true).create_new(true).open(&path);
        let mut file = open.map_err(|error| failed("making the journal file", &path, error))?;
        let mut head = MAGIC.to_vec();
        head.extend(first.0.to_le_bytes());
        if let Err(error) = file.write_all(&head) {
            drop(std::fs::remove_file(&path));
            return Err(failed("making the journal file", &path, error));
        }
        Ok(Self { path, first, file: Arc::new(file), end: FILE_HEAD_BYTES, index: Vec::new() })
    }

    /// Opens a file that is there, its records not looked at yet.
    pub fn open(path: &Path, first: Lsn) -> Result<Self, PortError> {
        let open = OpenOptions::new().read(true).append(true).open(path);
        let file = open.map_err(|error| failed("opening the journal file", path, error))?;
        Ok(Self { path: path.to_owned(), first, file: Arc::new(file), end: FILE_HEAD_BYTES, index: Vec::new() })
    }

    /// Whether `bytes` begin as this file must.
    pub fn head_fits(&self, bytes: &[u8]) -> bool {
        bytes.get(..8) == Some(&MAGIC[..]) && bytes.get(8..16) == Some(&self.first.0.to_le_bytes()[..])
    }

    /// Notes that the record at `lsn` begins at `self.end` and is `bytes` long.
    pub fn note(&mut self, lsn: Lsn, bytes: usize) {
        let due = self.index.last().is_none_or(|(_, at)| self.end - at >= INDEX_EVERY_BYTES);
        if due {
            self.index.push((lsn, self.end));
        }
        self.end += bytes as u64;
    }

    /// Where to begin reading for the record at `lsn`: at or before it.
    pub fn near(&self, lsn: Lsn) -> u64 {
        let after = self.index.partition_point(|(noted, _)| *noted <= lsn);
        after.checked_sub(1).and_then(|at| self.index.get(at)).map_or(FILE_HEAD_BYTES, |(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_that_is_used_up_is_a_full_disk() {
        let of = |kind: ErrorKind| failed("appending to", Path::new("wal"), kind.into());
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
            assert!(matches!(of(kind), PortError::Full { .. }), "{kind}");
        }
        assert!(matches!(of(ErrorKind::PermissionDenied), PortError::Io { .. }));
    }
}
