//! The journal over its files.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use watchfire_model::{Lsn, Record, RecordBody};
use watchfire_pipeline::{Encoded, Journal, JournalSync, PortError, RecordReader};

use crate::codec::{HEAD_BYTES, Parsed, encode, head, parse};
use crate::file::{Segment, failed};
use crate::mark::Mark;
use crate::open::{Opened, open};

/// A file is closed and the next begun at this size.
const ROLL_BYTES: u64 = if cfg!(test) { 1 << 20 } else { 64 << 20 };
/// Bytes read at once.
const READ_BYTES: usize = 1 << 18;

/// Bytes after which a read ends, however few rows they hold.
const READ_BYTES_MAX: u64 = 16 << 20;

/// The journal of a data folder. Clones of its inside are shared with its syncer.
#[derive(Debug)]
pub struct FileJournal(pub(crate) Arc<Mutex<Inner>>);

#[derive(Debug)]
pub(crate) struct Inner {
    folder: PathBuf,
    /// Never empty; the last is appended to.
    pub(crate) segments: VecDeque<Segment>,
    tail: Lsn,
    /// The last place known to be durable.
    pub(crate) synced: Lsn,
    mark: Arc<Mutex<Mark>>,
    /// Files that were closed since the last sync.
    rolled: Vec<Arc<File>>,
    folder_changed: bool,
    /// Set when a write or a sync failed in a way that leaves its extent unknown.
    broken: bool,
}

impl FileJournal {
    /// Opens the journal of a data folder by itself, making it where it is missing. Costs a read of every file.
    ///
    /// # Errors
    /// When a file cannot be read, or is damaged.
    pub fn open(data_folder: &Path) -> Result<Self, PortError> {
        open(data_folder, None).map(Self::over)
    }

    /// Opens the journal from which everything up to `sealed` was sealed: as [`FileJournal::open`], and it must go on
    /// there. It begins later than that only where the operator has renamed a journal to `wal.damaged`; whatever
    /// lies between is then left out.
    ///
    /// # Errors
    /// When a file cannot be read, is damaged, or is missing; with the way out.
    pub fn open_after(data_folder: &Path, sealed: Lsn) -> Result<Self, PortError> {
        open(data_folder, Some(sealed)).map(Self::over)
    }

    /// Begins the journal of a data folder that has none, as of a copy: its first record will be `first`.
    ///
    /// # Errors
    /// When the folder holds a journal already, or cannot be written.
    pub fn begin(data_folder: &Path, first: Lsn) -> Result<Self, PortError> {
        let folder = data_folder.join("wal");
        std::fs::create_dir_all(&folder).map_err(|error| failed("making the journal folder", &folder, error))?;
        Segment::create(&folder, first)?;
        Self::open(data_folder)
    }

    fn over(Opened { folder, segments, tail, mark }: Opened) -> Self {
        let inner = Inner {
            folder,
            segments,
            tail,
            synced: tail,
            mark: Arc::new(Mutex::new(mark)),
            rolled: Vec::new(),
            folder_changed: true,
            broken: false,
        };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// The place of its oldest record, whether it is there yet or not.
    #[must_use]
    pub fn first(&self) -> Lsn {
        let inner = self.0.lock();
        inner.segments.front().map_or(inner.tail.next(), |segment| segment.first)
    }
}

impl Inner {
    fn append(&mut self, encoded: &Encoded) -> Result<Lsn, PortError> {
        let lsn = self.tail.next();
        let bytes = encoded.0.as_slice();
        let head = head(bytes, lsn, self.synced).ok_or_else(|| too_long(bytes.len()))?;
        self.write(&head, bytes.get(HEAD_BYTES..).unwrap_or_default())?;
        if let Some(segment) = self.segments.back_mut() {
            segment.note(lsn, bytes.len());
        }
        self.tail = lsn;
        Ok(lsn)
    }

    fn write(&mut self, head: &[u8], payload: &[u8]) -> Result<(), PortError> {
        let full = self.segments.back().is_none_or(|segment| segment.end >= ROLL_BYTES);
        if full {
            self.roll()?;
        }
        let Some(segment) = self.segments.back() else { return Ok(()) };
        let io = |error| failed("appending to the journal file", &segment.path, error);
        if self.broken {
            return Err(io(std::io::Error::other("an earlier write or sync failed")));
        }
        write_both(&segment.file, head, payload).map_err(|error| {
            // What was written in part must not stand before what comes next.
            self.broken = segment.file.set_len(segment.end).is_err();
            io(error)
        })
    }

    fn roll(&mut self) -> Result<(), PortError> {
        let next = Segment::create(&self.folder, self.tail.next())?;
        if let Some(closed) = self.segments.back() {
            self.rolled.push(closed.file.clone());
        }
        self.segments.push_back(next);
        self.folder_changed = true;
        Ok(())
    }

    /// The file that holds `from`, or the first one if `from` is older than all; `None` beyond the end.
    fn holding(&self, from: Lsn) -> Option<Segment> {
        if from > self.tail {
            return None;
        }
        let after = self.segments.partition_point(|segment| segment.first <= from);
        self.segments.get(after.saturating_sub(1)).cloned()
    }
}

fn too_long(bytes: usize) -> PortError {
    let source = std::io::Error::other(format!("a record of {bytes} bytes is too long"));
    PortError::Io { doing: "appending to the journal".to_owned(), source }
}

/// One call of the system as a rule, without a copy of the payload.
fn write_both(mut file: &File, head: &[u8], payload: &[u8]) -> std::io::Result<()> {
    let mut written = match file.write_vectored(&[IoSlice::new(head), IoSlice::new(payload)]) {
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => 0,
        written => written?,
    };
    for part in [head, payload] {
        file.write_all(part.get(written.min(part.len())..).unwrap_or_default())?;
        written = written.saturating_sub(part.len());
    }
    Ok(())
}

impl RecordReader for FileJournal {
    fn read(&self, from: Lsn, rows_max: usize) -> Result<Vec<Record>, PortError> {
        let Some(segment) = self.0.lock().holding(from) else { return Ok(Vec::new()) };
        let mut at = segment.near(from);
        let (mut records, mut rows) = (Vec::new(), 0);
        let mut buffer = Vec::new();
        let begin = at;
        while at < segment.end && (records.is_empty() || (rows < rows_max && at - begin < READ_BYTES_MAX)) {
            let (mut used, mut wanted) = (0, READ_BYTES);
            while used == 0 {
                let left = usize::try_from(segment.end - at).unwrap_or(usize::MAX);
                buffer.resize(wanted.min(left), 0);
                let read = segment.file.read_exact_at(&mut buffer, at);
                read.map_err(|error| failed("reading the journal file", &segment.path, error))?;
                used = take(&buffer, from, rows_max, &mut records, &mut rows);
                if used == 0 && wanted >= left {
                    let what = format!("the journal file `{}`", segment.path.display());
                    let detail = format!("a record does not fit its checksum near byte {at}; restore it from a backup");
                    return Err(PortError::Damaged { what, detail });
                }
                wanted = wanted.saturating_mul(4);
            }
            at += used as u64;
        }
        Ok(records)
    }
}

/// Decodes whole records from the beginning of `bytes`; answers how many bytes they took.
fn take(bytes: &[u8], from: Lsn, rows_max: usize, records: &mut Vec<Record>, rows: &mut usize) -> usize {
    let mut used = 0;
    while let Some(Parsed::Whole(raw)) = bytes.get(used..).map(parse) {
        if raw.lsn >= from {
            let Some(record) = raw.decode() else { break };
            *rows += if let RecordBody::Data(frame) = &record.body { frame.rows.len().max(1) } else { 1 };
            records.push(record);
        }
        used += raw.bytes;
        if *rows >= rows_max && !records.is_empty() {
            break;
        }
    }
    used
}

impl Journal for FileJournal {
    fn encode(&self, body: &RecordBody) -> Result<Encoded, PortError> {
        encode(body).map(Encoded).ok_or_else(|| PortError::Io {
            doing: "encoding a record".to_owned(),
            source: std::io::Error::other("it cannot be encoded"),
        })
    }

    fn append_encoded(&self, encoded: &Encoded) -> Result<Lsn, PortError> {
        self.0.lock().append(encoded)
    }

    fn syncer(&self) -> Box<dyn JournalSync> {
        Box::new(Syncer(self.0.clone()))
    }

    fn tail(&self) -> Lsn {
        self.0.lock().tail
    }

    fn truncate(&self, sealed: Lsn) -> Result<(), PortError> {
        // Removing a file takes a while: nobody who appends may wait for it.
        loop {
            let mut inner = self.0.lock();
            // The last file stays, whatever it holds: its name keeps the place where the journal goes on.
            if inner.segments.get(1).is_none_or(|second| second.first > sealed.next()) {
                return Ok(());
            }
            let Some(oldest) = inner.segments.pop_front() else { return Ok(()) };
            drop(inner);
            let removed = std::fs::remove_file(&oldest.path);
            let mut inner = self.0.lock();
            inner.folder_changed = true;
            removed.map_err(|error| {
                let error = failed("removing the sealed journal file", &oldest.path, error);
                inner.segments.push_front(oldest);
                error
            })?;
        }
    }
}

/// Makes the journal durable while others append to it.
struct Syncer(Arc<Mutex<Inner>>);

impl JournalSync for Syncer {
    fn sync(&mut self) -> Result<Lsn, PortError> {
        let mut inner = self.0.lock();
        let tail = inner.tail;
        let mut files = std::mem::take(&mut inner.rolled);
        files.extend(inner.segments.back().map(|segment| segment.file.clone()));
        let folder = std::mem::take(&mut inner.folder_changed).then(|| inner.folder.clone());
        let path = inner.folder.clone();
        drop(inner);
        let synced = files.iter().try_for_each(|file| file.sync_data());
        let synced = synced.and_then(|()| folder.map_or(Ok(()), |folder| File::open(folder)?.sync_all()));
        let mut inner = self.0.lock();
        // After a failed sync nothing is known of what reached the disk: nothing more is taken.
        inner.broken |= synced.is_err();
        synced.map_err(|source| PortError::Io {
            doing: format!("making the journal in `{}` durable", path.display()),
            source,
        })?;
        inner.synced = tail;
        let mark = inner.mark.clone();
        drop(inner);
        // It only guards: what is durable is so without it.
        if let Err(error) = mark.lock().set(tail) {
            tracing::warn!(%error, "how far the journal is durable could not be noted beside it");
        }
        Ok(tail)
    }
}
