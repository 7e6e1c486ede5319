//! The database `ctl`: everything that is found by name or place, under keys `kind | name or number | part`.
//!
//! Each commit is counted, in the database and in the mark outside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use parking_lot::{Mutex, MutexGuard};
use watchfire_model::{Lsn, Record, RecordBody};
use watchfire_pipeline::PortError;

use crate::backup;
use crate::bytes::{Reader, put_count, put_varint};
use crate::days::SlotEntry;
use crate::digest;
use crate::fills;
use crate::key_value::{Change, Group, KeyValue, Pair, VALUE_BYTES_MAX};
use crate::mark::{Mark, Promise};
use crate::slot::Slot;
use crate::slot_entry::read_slot;
use crate::store::Store;

/// The layout of the data folder: 1 had no digest, no directories in buckets and no counts of days; 2 had gaps in the
/// tables of frames, and no places of what became of them; 3 had one slot a day; 4 had no hours of buckets and slots, and
/// fewer forms of columns; 5 had no signals and hours of gaps and of what became of them.
const SCHEMA: u64 = 6;
type Step = fn(&Store) -> Result<Vec<Group>, PortError>;
/// What turns a folder of each layout, from 1 on, into one of the next: changes that are committed together with the
/// number of the layout.
const STEPS: [Step; 5] = [digest::begin, fills::index, as_it_is, as_it_is, fills::tell_reach];
const CACHE_BYTES: u64 = 16 << 20;
pub(crate) const PART_BYTES: usize = 2;

/// What a key is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A condition's last state.
    Alarm = b'a',
    /// A checkpoint's manifest.
    Checkpoint = b'c',
    /// A record's hash in the chain of them.
    Chain = b'h',
    /// The last frame a binding decided on.
    Decided = b'd',
    /// A slot that is being dropped.
    Dropped = b'g',
    /// The place of a record that tells what became of gaps, and of which.
    Filled = b'f',
    /// A few numbers about the whole.
    Meta = b'm',
    /// A note of the program.
    Note = b'n',
    /// A piece of a checkpoint.
    Piece = b'p',
    /// A record that holds no samples.
    Record = b'r',
    /// A signal's id.
    Signal = b's',
    /// A slot of samples.
    Slot = b'y',
}

/// The database, for the one who writes to it. A full disk may take what a writer has not committed yet: the database is
/// then opened anew, by whoever looks at it next. The writer is told, and gives up; were there another one between, its
/// failure would take what the first believes to be written.
#[derive(Debug)]
pub struct Alone<'c> {
    ctl: &'c Ctl,
    _turn: MutexGuard<'c, ()>,
}

/// The database.
#[derive(Debug)]
pub struct Ctl {
    store: Store,
    /// Whoever writes, from the first change of what belongs together to its commit.
    turn: Mutex<()>,
    mark: Mutex<(Mark, Promise)>,
    fresh: bool,
    unmarked: bool,
    /// What is known of the records that tell what became of gaps.
    pub(crate) stretches: fills::Stretches,
}

/// The key of what has a name, without the part.
pub fn named(kind: Kind, name: &str) -> Vec<u8> {
    let mut key = vec![kind as u8];
    // The length first: no name is then the beginning of another key. A name that is too long is refused when written.
    key.extend(u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
    key.extend(name.as_bytes());
    key
}

/// The key of what has a place in the log, without the part.
pub fn placed(kind: Kind, lsn: Lsn) -> Vec<u8> {
    let mut key = vec![kind as u8];
    key.extend(lsn.0.to_be_bytes());
    key
}

/// The key of a slot; those of a day's first one have no part.
pub fn slot_key(kind: Kind, slot: Slot) -> Vec<u8> {
    let mut key = vec![kind as u8];
    // Negative days sort before positive ones.
    key.extend((i64::from(slot.day) - i64::from(i32::MIN)).to_be_bytes());
    if slot.part > 0 {
        key.extend(slot.part.to_be_bytes());
    }
    key
}

pub(crate) fn part(key: &[u8], part: u16) -> Vec<u8> {
    [key, &part.to_be_bytes()].concat()
}

/// Sets a value of any length, in parts. Parts of a longer one before it stay: see [`Ctl::replace`].
pub fn set(key: &[u8], value: &[u8]) -> Group {
    parts(key, value).into_iter().map(|(key, piece)| Change::Put(key, piece)).collect()
}

/// The parts of a value of any length.
pub fn parts(key: &[u8], value: &[u8]) -> Vec<Pair> {
    let mut head = Vec::new();
    put_count(value.len(), &mut head);
    head.extend(value);
    let pieces = head.chunks(VALUE_BYTES_MAX).zip(0_u16..=u16::MAX);
    pieces.map(|(piece, number)| (part(key, number), piece.to_vec())).collect()
}

/// Joins parts; `None` when one is missing. Parts beyond the value's length do not count.
pub(crate) fn join<'p>(parts: impl Iterator<Item = &'p Pair>) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    for ((key, bytes), number) in parts.zip(0_u16..=u16::MAX) {
        key.ends_with(&number.to_be_bytes()).then_some(())?;
        whole.extend(bytes);
    }
    let mut reader = Reader(&whole);
    let length = reader.count()?;
    (reader.0.len() == length).then(|| reader.0.to_vec())
}

pub(crate) fn without_part(key: &[u8]) -> &[u8] {
    key.get(..key.len().saturating_sub(PART_BYTES)).unwrap_or_default()
}

impl Ctl {
    /// Its database.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Opens the database of a data folder.
    ///
    /// # Errors
    /// [`PortError::Damaged`] when it cannot be read, or is older than what was promised; both with the way out.
    pub fn open(data: &Path) -> Result<Self, PortError> {
        let store = Store::open(&data.join("ctl"), CACHE_BYTES)?;
        let mark_path = data.join("ctl.mark");
        let (mark, promised) = Mark::open(&mark_path)?;
        let mark_state = Mutex::new((mark, Promise::default()));
        let unmarked = promised.is_none();
        let stretches = fills::Stretches::default();
        let mut ctl = Self { store, turn: Mutex::default(), mark: mark_state, fresh: false, unmarked, stretches };
        let found = Promise { commits: ctl.number("commits")?, sealed: Lsn(ctl.number("sealed")?) };
        if let Some(promised) = promised
            && found < promised
        {
            return Err(PortError::Damaged {
                what: format!("the database `{}`", ctl.store.folder().display()),
                detail: format!(
                    "it is sealed up to record {} in commit {}, but `{}` knows of record {} in commit {}: it is older \
                     than what was durable; restore the whole data folder from one backup, or remove the mark to go on \
                     from the older state, without what the journal no longer holds",
                    found.sealed,
                    found.commits,
                    mark_path.display(),
                    promised.sealed,
                    promised.commits
                ),
            });
        }
        ctl.mark.get_mut().1 = found;
        ctl.take_up(data)?;
        Ok(ctl)
    }

    /// Brings the folder to the layout that this program writes.
    fn take_up(&mut self, data: &Path) -> Result<(), PortError> {
        let schema = |number: u64| {
            let mut bytes = Vec::new();
            put_varint(number, &mut bytes);
            vec![Change::Put(named(Kind::Meta, "schema"), bytes)]
        };
        let found = self.number("schema")?;
        if found > SCHEMA {
            return Err(PortError::Damaged {
                what: format!("the data folder `{}`", data.display()),
                detail: format!(
                    "it is of layout {found}, this program knows layouts up to {SCHEMA}; use the program that wrote it, or a \
                     later one"
                ),
            });
        }
        if found == 0 {
            self.fresh = true;
            return self.commit([digest::begin(&self.store)?, vec![schema(SCHEMA)]].concat());
        }
        let done = usize::try_from(found.saturating_sub(1)).unwrap_or(usize::MAX);
        for (step, layout) in STEPS.iter().zip(1_u64..).skip(done) {
            let mut groups = step(&self.store)?;
            groups.push(schema(layout + 1));
            self.commit(groups)?;
            tracing::info!(folder = %data.display(), from = layout, to = layout + 1, "the data folder has a newer layout");
        }
        self.check()
    }

    /// Holds what counts against its digest. Costs a read of it.
    ///
    /// # Errors
    /// [`PortError::Damaged`] when something of it is not what was written last.
    pub fn check(&self) -> Result<(), PortError> {
        let _mark = self.mark.lock();
        digest::check(&self.store)
    }

    fn number(&self, name: &str) -> Result<u64, PortError> {
        let Some(bytes) = self.store.get(&named(Kind::Meta, name))? else { return Ok(0) };
        Reader(&bytes).varint().ok_or_else(|| self.damaged(name))
    }

    pub(crate) fn damaged(&self, key: &str) -> PortError {
        PortError::Damaged {
            what: format!("`{key}` in `{}`", self.store.folder().display()),
            detail: "it cannot be decoded; restore the data folder from a backup".to_owned(),
        }
    }

    /// Whether it was made just now.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether it was opened without a mark: it is new, or somebody has removed the mark.
    pub fn is_unmarked(&self) -> bool {
        self.unmarked
    }

    /// The last record sealed, as committed.
    pub fn sealed(&self) -> Lsn {
        self.mark.lock().1.sealed
    }

    /// As [`Store::end_after`].
    #[cfg(test)]
    pub fn end_after(&self, batches: u64) {
        self.store.end_after(batches);
    }

    /// Waits until nobody else writes, and keeps others from it.
    pub fn alone(&self) -> Alone<'_> {
        Alone { ctl: self, _turn: self.turn.lock() }
    }

    /// Applies changes and makes them durable.
    ///
    /// # Errors
    /// When the store fails.
    pub fn commit(&self, groups: Vec<Group>) -> Result<(), PortError> {
        self.alone().commit(groups)
    }

    /// As [`Alone::write`].
    ///
    /// # Errors
    /// When the store fails.
    pub fn write(&self, groups: Vec<Group>) -> Result<(), PortError> {
        self.alone().write(groups)
    }

    fn promise(
        &self,
        mark: &mut (Mark, Promise),
        mut groups: Vec<Group>,
        mut together: Group,
        sealed: Lsn,
    ) -> Result<(), PortError> {
        let promise = Promise { commits: mark.1.commits + 1, sealed };
        let number = |name: &str, value: u64| {
            let mut bytes = Vec::new();
            put_varint(value, &mut bytes);
            Change::Put(named(Kind::Meta, name), bytes)
        };
        together.extend([number("commits", promise.commits), number("sealed", promise.sealed.0)]);
        groups.push(together);
        self.store.write(digest::add(&self.store, groups)?)?;
        self.store.commit()?;
        mark.1 = promise;
        mark.0.set(promise)
    }

    /// A value set by [`set`].
    pub fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PortError> {
        let parts = self.store.range(&part(key, 0), &part(key, u16::MAX), usize::MAX)?;
        if parts.is_empty() {
            return Ok(None);
        }
        join(parts.iter()).map(Some).ok_or_else(|| self.damaged(&String::from_utf8_lossy(key)))
    }

    /// Sets a value in place of an earlier one, which may have had more parts.
    pub fn replace(&self, key: &[u8], value: &[u8]) -> Result<Group, PortError> {
        let mut group = set(key, value);
        if let Ok(next) = u16::try_from(group.len()) {
            let old = self.store.range(&part(key, next), &part(key, u16::MAX), usize::MAX)?;
            group.extend(old.into_iter().map(|(key, _)| Change::Remove(key)));
        }
        Ok(group)
    }

    /// Copies all of it, as it stands at one commit, into another data folder, with a mark of its own. Whoever writes
    /// waits meanwhile.
    ///
    /// # Errors
    /// When a store fails.
    pub fn copy_to(&self, data: &Path) -> Result<(), PortError> {
        let own = self.mark.lock();
        let copy = Store::open(&data.join("ctl"), CACHE_BYTES)?;
        backup::copy(&self.store, &copy, |_| true)?;
        copy.commit()?;
        copy.close()?;
        Mark::open(&data.join("ctl.mark"))?.0.set(own.1)
    }

    /// Every pair whose key begins with `key`, at most 16 bytes longer, in order.
    pub fn under(&self, key: &[u8]) -> Result<Vec<Pair>, PortError> {
        self.store.range(key, &[key, &[u8::MAX; 16]].concat(), usize::MAX)
    }

    /// Removals of everything under a key that does not begin with `but`.
    pub fn remove_under(&self, key: &[u8], but: Option<&[u8]>) -> Result<Vec<Group>, PortError> {
        let found = self.under(key)?;
        let stays = |found: &[u8]| but.is_some_and(|but| found.starts_with(but));
        Ok(found.into_iter().filter(|(key, _)| !stays(key)).map(|(key, _)| vec![Change::Remove(key)]).collect())
    }

    /// Every name of a kind and its value.
    pub fn all(&self, kind: Kind) -> Result<BTreeMap<String, Vec<u8>>, PortError> {
        let pairs = self.store.range(&[kind as u8], &[kind as u8 + 1], usize::MAX)?;
        let each = pairs.chunk_by(|(a, _), (b, _)| without_part(a) == without_part(b)).map(|parts| {
            let (key, _) = parts.first()?;
            let name = String::from_utf8(without_part(key).get(3..)?.to_vec()).ok()?;
            Some((name, join(parts.iter())?))
        });
        each.collect::<Option<_>>().ok_or_else(|| self.damaged(&format!("{kind:?}")))
    }

    /// The records without samples from `from` to `to`, the first `most` of them or a few less, but one if there is any.
    pub fn records(&self, from: Lsn, to: Lsn, most: usize) -> Result<Vec<Record>, PortError> {
        let each = self.raw_records(from, to, most)?.into_iter().map(|(lsn, bytes)| {
            let body = read_body(&bytes);
            Ok(Record { lsn, body: body.ok_or_else(|| self.damaged(&format!("record {lsn}")))? })
        });
        each.collect()
    }

    /// The same as they are stored.
    pub fn raw_records(&self, from: Lsn, to: Lsn, most: usize) -> Result<Vec<(Lsn, Vec<u8>)>, PortError> {
        let (first, last) = (part(&placed(Kind::Record, from), 0), part(&placed(Kind::Record, to), u16::MAX));
        let mut most = most.max(2);
        loop {
            let pairs = self.store.range(&first, &last, most)?;
            let mut runs: Vec<&[Pair]> = pairs.chunk_by(|(a, _), (b, _)| without_part(a) == without_part(b)).collect();
            if pairs.len() == most {
                // More parts of the last one may follow.
                runs.pop();
                if runs.is_empty() {
                    most = most.saturating_mul(8);
                    continue;
                }
            }
            return runs.into_iter().map(|parts| self.raw(parts)).collect();
        }
    }

    fn raw(&self, parts: &[Pair]) -> Result<(Lsn, Vec<u8>), PortError> {
        let place = parts.first().and_then(|(key, _)| without_part(key).get(1..)?.try_into().ok());
        let lsn = Lsn(place.map(u64::from_be_bytes).unwrap_or_default());
        Ok((lsn, join(parts.iter()).ok_or_else(|| self.damaged(&format!("record {lsn}")))?))
    }

    /// Removals of the records without samples before `lsn`.
    pub fn remove_records_before(&self, lsn: Lsn) -> Result<Vec<Group>, PortError> {
        let last = Lsn(lsn.0.saturating_sub(1));
        let mut found =
            self.store.range(&[Kind::Record as u8], &part(&placed(Kind::Record, last), u16::MAX), usize::MAX)?;
        found.extend(self.store.range(&[Kind::Filled as u8], &placed(Kind::Filled, last), usize::MAX)?);
        let mut changes: Vec<Change> = found.into_iter().map(|(key, _)| Change::Remove(key)).collect();
        changes.extend(self.unchain_before(lsn)?);
        Ok(changes.into_iter().map(|change| vec![change]).collect())
    }

    /// What takes away the records beyond a place, and what was chained of them, as a killed seal left them.
    ///
    /// # Errors
    /// When the store fails.
    pub fn remove_records_after(&self, lsn: Lsn) -> Result<Vec<Group>, PortError> {
        let mut groups = Vec::new();
        for kind in [Kind::Record, Kind::Filled, Kind::Chain] {
            let found = self.store.range(&placed(kind, lsn.next()), &[kind as u8 + 1], usize::MAX)?;
            groups.extend(found.into_iter().map(|(key, _)| vec![Change::Remove(key)]));
        }
        Ok(groups)
    }

    /// The slots of which samples are kept.
    pub fn days(&self) -> Result<BTreeMap<Slot, SlotEntry>, PortError> {
        let each = self.by_slot(Kind::Slot)?.into_iter().map(|(slot, bytes)| Some((slot, read_slot(&bytes)?)));
        each.collect::<Option<_>>().ok_or_else(|| self.damaged("days"))
    }

    /// The slots that were dropped, as long as their folders may still be there.
    pub fn dropped(&self) -> Result<BTreeSet<Slot>, PortError> {
        Ok(self.by_slot(Kind::Dropped)?.into_keys().collect())
    }

    fn by_slot(&self, kind: Kind) -> Result<BTreeMap<Slot, Vec<u8>>, PortError> {
        let pairs = self.store.range(&[kind as u8], &[kind as u8 + 1], usize::MAX)?;
        let each = pairs.into_iter().map(|(key, bytes)| {
            let (day, part) = key.get(1..)?.split_first_chunk()?;
            let day = i32::try_from(i64::from_be_bytes(*day) + i64::from(i32::MIN)).ok()?;
            let part = if part.is_empty() { 0 } else { u16::from_be_bytes(part.try_into().ok()?) };
            Some((Slot { day, part }, bytes))
        });
        each.collect::<Option<_>>().ok_or_else(|| self.damaged("days"))
    }
}

impl Alone<'_> {
    /// Applies changes and makes them durable.
    ///
    /// # Errors
    /// When the store fails.
    pub fn commit(&self, groups: Vec<Group>) -> Result<(), PortError> {
        let mut mark = self.ctl.mark.lock();
        let sealed = mark.1.sealed;
        self.ctl.promise(&mut mark, groups, Vec::new(), sealed)
    }

    /// Applies changes and makes them durable, with `sealed` the last to be written, and `together` in one with it: a kill
    /// leaves both or neither of them.
    ///
    /// # Errors
    /// When the store fails.
    pub fn commit_sealed(&self, groups: Vec<Group>, together: Group, sealed: Lsn) -> Result<(), PortError> {
        self.ctl.promise(&mut self.ctl.mark.lock(), groups, together, sealed)
    }

    /// Applies changes that are made durable with the next commit, none of what is digested.
    ///
    /// # Errors
    /// When the store fails.
    pub fn write(&self, groups: Vec<Group>) -> Result<(), PortError> {
        // Not while all of it is copied.
        let _mark = self.ctl.mark.lock();
        self.ctl.store.write(groups)
    }

    /// Adds pairs whose keys are new, none of what is digested, as [`KeyValue::lay`] does: durable with the next commit.
    ///
    /// # Errors
    /// When the store fails.
    pub fn lay(&self, pairs: Vec<Pair>) -> Result<(), PortError> {
        let _mark = self.ctl.mark.lock();
        self.ctl.store.lay(pairs)
    }
}

/// What was written is read as it is.
fn as_it_is(_: &Store) -> Result<Vec<Group>, PortError> {
    Ok(Vec::new())
}

/// The form of a record's body.
pub(crate) const BODY: u8 = 1;

/// A record's body as bytes.
pub fn body(body: &RecordBody) -> Result<Vec<u8>, PortError> {
    postcard::to_extend(body, vec![BODY]).map_err(|error| PortError::Io {
        doing: "encoding a record".to_owned(),
        source: std::io::Error::other(error.to_string()),
    })
}

pub(crate) fn read_body(bytes: &[u8]) -> Option<RecordBody> {
    let (form, rest) = bytes.split_first()?;
    (*form == BODY).then(|| postcard::from_bytes(rest).ok()).flatten()
}
