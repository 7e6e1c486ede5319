//! Looking through a journal file at the start: where its records end, and whether what follows is a torn tail or
//! damage.

use watchfire_model::Lsn;
use watchfire_pipeline::PortError;

use crate::codec::{HEAD_BYTES, PLACE_AT, Parsed, parse};
use crate::file::{FILE_HEAD_BYTES, Segment, failed};

/// How far behind a bad record a later one is believed to belong to the same file.
const AHEAD_MAX: u64 = 1 << 20;

/// What a scan found.
pub struct Scanned {
    /// The file with its records noted.
    pub segment: Segment,
    /// The place after its last record.
    pub next: Lsn,
    /// Whether an end that was never durable was cut off: what later files hold then goes with it.
    pub torn: bool,
}

/// Reads a file through. An end that was never durable is cut off; `promised` says whether a later file knows a record
/// as durable.
///
/// # Errors
/// [`PortError::Damaged`] for anything else that does not fit. The file is left as it is.
pub fn scan(mut segment: Segment, promised: impl Fn(Lsn) -> Result<bool, PortError>) -> Result<Scanned, PortError> {
    let path = segment.path.clone();
    let bytes = std::fs::read(&path).map_err(|error| failed("reading the journal file", &path, error))?;
    let mut next = segment.first;
    let damaged = |at: u64, what: &str| PortError::Damaged {
        what: format!("the journal file `{}`", path.display()),
        detail: format!(
            "{what} at byte {at}; restore the file from a backup, or rename its folder to `wal.damaged` to go on without \
             what it holds that is not sealed"
        ),
    };
    if !segment.head_fits(&bytes) {
        // A kill between making the file and writing its head leaves less than a head, a power cut perhaps zeros, and no
        // record that was promised.
        let unwritten = (bytes.len() as u64) < FILE_HEAD_BYTES || bytes.iter().all(|byte| *byte == 0);
        if unwritten && !promised(next)? {
            let folder = path.parent().unwrap_or(&path).to_owned();
            std::fs::remove_file(&path)
                .map_err(|error| failed("removing the unfinished journal file", &path, error))?;
            return Ok(Scanned { segment: Segment::create(&folder, next)?, next, torn: true });
        }
        return Err(damaged(0, "its head does not fit"));
    }
    let mut rest = bytes.get(HEAD..).unwrap_or_default();
    loop {
        if rest.is_empty() {
            return Ok(Scanned { segment, next, torn: false });
        }
        match parse(rest) {
            Parsed::Whole(raw) if raw.lsn == next => {
                segment.note(raw.lsn, raw.bytes);
                rest = rest.get(raw.bytes..).unwrap_or_default();
                next = next.next();
            }
            _ if !was_durable(rest, next) && !promised(next)? => break,
            Parsed::Whole(raw) => {
                return Err(damaged(segment.end, &format!("record {} stands where {next} must", raw.lsn)));
            }
            Parsed::Short | Parsed::Bad => return Err(damaged(segment.end, "a record does not fit its checksum")),
        }
    }
    tracing::warn!(file = %path.display(), at = segment.end, bytes = rest.len(), "a torn record at the end was cut off");
    let cut = segment.file.set_len(segment.end).and_then(|()| segment.file.sync_data());
    cut.map_err(|error| failed("cutting off the torn end of", &path, error))?;
    Ok(Scanned { segment, next, torn: true })
}

const HEAD: usize = FILE_HEAD_BYTES as usize;

/// Whether the bad record at `next` had been durable: a later record says so. Otherwise it is what a kill or a power cut
/// leaves of an end that nobody was promised, even if pieces after it did reach the disk.
fn was_durable(rest: &[u8], next: Lsn) -> bool {
    says_durable(rest, 1, next)
}

/// Whether a record of a later file was written when the one at `next` was durable.
pub fn promises(file: &[u8], next: Lsn) -> bool {
    says_durable(file.get(HEAD..).unwrap_or_default(), 0, next)
}

fn says_durable(rest: &[u8], begin: usize, next: Lsn) -> bool {
    (begin..rest.len().saturating_sub(HEAD_BYTES)).any(|at| {
        let Some(here) = rest.get(at..) else { return false };
        // Looking at the place first keeps checksums to a few.
        let place = here.get(PLACE_AT).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        let plausible = place.is_some_and(|place| place > next.0 && place - next.0 < AHEAD_MAX);
        plausible && matches!(parse(here), Parsed::Whole(raw) if raw.synced >= next)
    })
}
