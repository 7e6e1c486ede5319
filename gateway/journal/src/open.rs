//! Opening the journal's files at the start: which there are, where they end, and whether they go on where the sealed
//! records end. Where something that was promised is missing the start is refused, and the way on is the operator's
//! choice: who renames `wal` to `wal.damaged` goes on without it.
//!
//! Knows nothing of what was sealed but its last place.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};

use watchfire_model::Lsn;
use watchfire_pipeline::PortError;

use crate::file::{Segment, failed};
use crate::mark::Mark;
use crate::scan::{promises, scan};

/// Places left out when a journal begins anew: more than can have been given since the last one that was sealed. What
/// has a place of a lost record then never gets another record's.
const LEFT_OUT: u64 = 1 << 40;

/// The files of a journal, read through.
pub struct Opened {
    /// Where they lie.
    pub folder: PathBuf,
    /// Never empty; the last is appended to.
    pub segments: VecDeque<Segment>,
    /// The last place given.
    pub tail: Lsn,
    /// Where it is noted what is durable.
    pub mark: Mark,
}

/// Opens the files of a data folder's journal, making the first where there is none. `sealed` is the last record that
/// the store of record has of it; `None` looks at the journal alone.
///
/// # Errors
/// When a file cannot be read or is damaged, or when records between `sealed` and the journal's are missing.
pub fn open(data: &Path, sealed: Option<Lsn>) -> Result<Opened, PortError> {
    let folder = data.join("wal");
    std::fs::create_dir_all(&folder).map_err(|error| failed("making the journal folder", &folder, error))?;
    let firsts = firsts(&folder)?;
    let (mark, durable) = Mark::open(data)?;
    let (mut segments, mut next) = read_through(&folder, &firsts, durable)?;
    if let Some(sealed) = sealed {
        let begin = segments.front().map(|segment| segment.first);
        let anew = begins_anew(data, sealed, begin.is_none())?;
        match (begin, anew) {
            (None, Some(first)) => next = first,
            (None, None) if sealed > Lsn(0) => return Err(missing(&folder, sealed, "it holds no file of the journal")),
            (Some(begin), anew) if begin > sealed.next() && anew != Some(begin) => {
                return Err(missing(&folder, sealed, &format!("it begins at record {begin}")));
            }
            (Some(_), _) if next <= sealed => {
                return Err(missing(&folder, sealed, &format!("it ends before record {next}")));
            }
            (None, None) | (Some(_), _) => {}
        }
    }
    if next <= durable {
        return Err(PortError::Damaged {
            what: format!("the journal in `{}`", folder.display()),
            detail: format!(
                "it ends before record {next}, but everything up to record {durable} was durable: its end is missing; put \
                 it back, restore the whole data folder from one backup, or remove `{}.mark` to go on without it",
                folder.display()
            ),
        });
    }
    if segments.is_empty() {
        segments.push_back(Segment::create(&folder, next)?);
    }
    // What was read back may be in the page cache only; from here on it counts as durable.
    for segment in &segments {
        let synced = segment.file.sync_data();
        synced.map_err(|error| failed("making durable the journal file", &segment.path, error))?;
    }
    sync_folder(&folder)?;
    // The folder may be new itself.
    sync_folder(data)?;
    let tail = Lsn(next.0 - 1);
    Ok(Opened { folder, segments, tail, mark })
}

/// The first places of the files, ascending.
fn firsts(folder: &Path) -> Result<Vec<Lsn>, PortError> {
    let io = |error| failed("listing the journal folder", folder, error);
    let mut firsts = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".wal")).and_then(|stem| stem.parse().ok());
        match number {
            Some(number) => firsts.push(Lsn(number)),
            None => {
                tracing::warn!(file = ?name, "a file in the journal folder is none of the journal's and is left alone")
            }
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Reads files through, up to where their records end; answers the place after the last one. Files after an end that
/// was never durable go with it: nobody was promised what they hold. Everything up to `durable` was.
fn read_through(folder: &Path, firsts: &[Lsn], durable: Lsn) -> Result<(VecDeque<Segment>, Lsn), PortError> {
    let mut segments = VecDeque::new();
    let mut next = firsts.first().copied().unwrap_or(Lsn(1));
    for (at, first) in firsts.iter().enumerate() {
        let path = Segment::path_of(folder, *first);
        if *first != next {
            let these = firsts.get(at..).unwrap_or_default();
            if next <= durable || promised(folder, these, next)? {
                let detail = format!(
                    "it begins at {first}, but the file before it ends before {next}; put the files between back, or {}",
                    go_on(folder)
                );
                return Err(PortError::Damaged { what: format!("the journal file `{}`", path.display()), detail });
            }
            remove(folder, these)?;
            break;
        }
        let later = firsts.get(at + 1..).unwrap_or_default();
        let scanned =
            scan(Segment::open(&path, *first)?, |next| Ok(next <= durable || promised(folder, later, next)?))?;
        next = scanned.next;
        segments.push_back(scanned.segment);
        if scanned.torn {
            remove(folder, later)?;
            break;
        }
    }
    Ok((segments, next))
}

/// Whether one of the files has a record that was written when `next` was durable.
fn promised(folder: &Path, files: &[Lsn], next: Lsn) -> Result<bool, PortError> {
    for first in files {
        let path = Segment::path_of(folder, *first);
        let bytes = std::fs::read(&path).map_err(|error| failed("reading the journal file", &path, error))?;
        if promises(&bytes, next) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes files, the last first, so that a kill leaves no hole among them.
fn remove(folder: &Path, files: &[Lsn]) -> Result<(), PortError> {
    for first in files.iter().rev() {
        let path = Segment::path_of(folder, *first);
        tracing::warn!(file = %path.display(), "a journal file after an end that was never durable was removed");
        std::fs::remove_file(&path).map_err(|error| failed("removing the journal file", &path, error))?;
    }
    Ok(())
}

/// Where the journal begins anew, if the operator has said that it may: by `wal.damaged`, which is then renamed, so
/// that it was said once and not for ever.
fn begins_anew(data: &Path, sealed: Lsn, empty: bool) -> Result<Option<Lsn>, PortError> {
    let first = Lsn(sealed.0.saturating_add(LEFT_OUT));
    let (asked, done) = (data.join("wal.damaged"), data.join(format!("wal.before-{first}")));
    if empty && asked.exists() {
        std::fs::rename(&asked, &done).map_err(|error| failed("renaming", &asked, error))?;
        sync_folder(data)?;
    }
    Ok(done.exists().then_some(first))
}

fn go_on(folder: &Path) -> String {
    format!("rename `{0}` to `{0}.damaged` to go on without what it holds that is not sealed", folder.display())
}

fn missing(folder: &Path, sealed: Lsn, what: &str) -> PortError {
    PortError::Damaged {
        what: format!("the journal in `{}`", folder.display()),
        detail: format!(
            "{what}, but {sealed} is the last record that was sealed: files are missing; put them back, restore the whole \
             data folder from one backup, or {}",
            go_on(folder)
        ),
    }
}

fn sync_folder(folder: &Path) -> Result<(), PortError> {
    let synced = File::open(folder).and_then(|opened| opened.sync_all());
    synced.map_err(|error| failed("making durable the folder", folder, error))
}
