//! Looking through a journal while it is in use: every record is read again and decoded.

use watchfire_model::{Lsn, RecordBody};
use watchfire_pipeline::PortError;

use crate::FileJournal;
use crate::codec::{Parsed, parse};
use crate::file::{FILE_HEAD_BYTES, failed};

/// What a look through the journal found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Files.
    pub files: u64,
    /// Records that are what was written.
    pub records: u64,
    /// Samples in them.
    pub rows: u64,
    /// What is not what was written, with the file and the way out.
    pub faults: Vec<PortError>,
}

impl FileJournal {
    /// Reads every record again. Costs a read of every file, one in memory at a time; appends go on meanwhile, and what
    /// they append is left out.
    #[must_use]
    pub fn verify(&self) -> Verified {
        let segments = self.0.lock().segments.clone();
        let mut found = Verified::default();
        let mut next = segments.front().map_or(Lsn(1), |segment| segment.first);
        for segment in &segments {
            found.files += 1;
            let fault = |at: u64, what: &str| PortError::Damaged {
                what: format!("the journal file `{}`", segment.path.display()),
                detail: format!("{what} at byte {at}; restore the file from a backup"),
            };
            // By the descriptor that is open: the file may be sealed and removed meanwhile.
            let mut bytes = vec![0; usize::try_from(segment.end).unwrap_or(usize::MAX)];
            if let Err(error) = std::os::unix::fs::FileExt::read_exact_at(&*segment.file, &mut bytes, 0) {
                found.faults.push(failed("reading the journal file", &segment.path, error));
                continue;
            }
            if !segment.head_fits(&bytes) || segment.first != next {
                found.faults.push(fault(0, "its head does not fit"));
            }
            let mut at = FILE_HEAD_BYTES;
            while at < segment.end {
                let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                let decoded = match parse(rest) {
                    Parsed::Whole(raw) if raw.lsn == next => raw.decode().map(|record| (raw.bytes, record)),
                    Parsed::Whole(_) | Parsed::Short | Parsed::Bad => None,
                };
                let Some((length, record)) = decoded else {
                    found.faults.push(fault(at, &format!("record {next} does not fit its checksum")));
                    break;
                };
                found.records += 1;
                if let RecordBody::Data(frame) = &record.body {
                    found.rows += frame.rows.len() as u64;
                }
                (at, next) = (at + length as u64, next.next());
            }
            if let Some(after) = segments.iter().map(|other| other.first).find(|first| *first > segment.first) {
                next = after;
            }
        }
        found
    }
}
