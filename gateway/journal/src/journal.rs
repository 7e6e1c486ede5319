//! The journal over its files.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use watchfire_model::{Lsn, Record, RecordBody};
use watchfire_pipeline::{Journal, JournalSync, PortError, RecordReader};

use crate::codec::{Parsed, encode, parse};
use crate::file::{Segment, failed};
use crate::open::{Opened, open};

/// A file is closed and the next begun at this size.
const ROLL_BYTES: u64 = if cfg!(test) { 1 << 20 } else { 64 << 20 };
/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// The journal of a data folder. Clones of its inside are shared with its syncer.
#[derive(Debug)]
pub struct FileJournal(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    /// Never empty; the last is appended to.
    segments: VecDeque<Segment>,
    tail: Lsn,
    /// The last place known to be durable.
    synced: Lsn,
    /// Files that were closed since the last sync.
    rolled: Vec<Arc<File>>,
    folder_changed: bool,
    buffer: Vec<u8>,
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

    fn over(Opened { folder, segments, tail }: Opened) -> Self {
        let inner = Inner {
            folder,
            segments,
            tail,
            synced: tail,
            rolled: Vec::new(),
            folder_changed: true,
            buffer: Vec::new(),
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
    fn append(&mut self, body: &RecordBody) -> Result<Lsn, PortError> {
        let lsn = self.tail.next();
        let mut buffer = std::mem::take(&mut self.buffer);
        let fits = encode(lsn, self.synced, body, &mut buffer);
        let written = if fits { self.write(&buffer) } else { Err(self.too_long(buffer.len())) };
        let bytes = buffer.len();
        self.buffer = buffer;
        written?;
        if let Some(segment) = self.segments.back_mut() {
            segment.note(lsn, bytes);
        }
        self.tail = lsn;
        Ok(lsn)
    }

    fn too_long(&self, bytes: usize) -> PortError {
        let source = std::io::Error::other(format!("a record of {bytes} bytes is too long"));
        failed("appending to the journal in", &self.folder, source)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), PortError> {
        let full = self.segments.back().is_none_or(|segment| segment.end >= ROLL_BYTES);
        if full {
            self.roll()?;
        }
        let Some(segment) = self.segments.back() else { return Ok(()) };
        let io = |error| failed("appending to the journal file", &segment.path, error);
        if self.broken {
            return Err(io(std::io::Error::other("an earlier write or sync failed")));
        }
        (&*segment.file).write_all(bytes).map_err(|error| {
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

impl RecordReader for FileJournal {
    fn read(&self, from: Lsn, rows_max: usize) -> Result<Vec<Record>, PortError> {
        let Some(segment) = self.0.lock().holding(from) else { return Ok(Vec::new()) };
        let mut at = segment.near(from);
        let (mut records, mut rows) = (Vec::new(), 0);
        let mut buffer = Vec::new();
        while at < segment.end && (records.is_empty() || rows < rows_max) {
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
    fn append(&self, body: &RecordBody) -> Result<Lsn, PortError> {
        self.0.lock().append(body)
    }

    fn syncer(&self) -> Box<dyn JournalSync> {
        Box::new(Syncer(self.0.clone()))
    }

    fn tail(&self) -> Lsn {
        self.0.lock().tail
    }

    fn truncate(&self, sealed: Lsn) -> Result<(), PortError> {
        let mut inner = self.0.lock();
        // The last file stays, whatever it holds: its name keeps the place where the journal goes on.
        while inner.segments.get(1).is_some_and(|second| second.first <= sealed.next()) {
            if let Some(oldest) = inner.segments.pop_front() {
                let removed = std::fs::remove_file(&oldest.path);
                removed.map_err(|error| failed("removing the sealed journal file", &oldest.path, error))?;
                inner.folder_changed = true;
            }
        }
        Ok(())
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
        Ok(tail)
    }
}
