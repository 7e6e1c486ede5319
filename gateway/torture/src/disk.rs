//! A disk as a power cut leaves it: from the notes of every change and every sync (see `shim/trace.c`), up to any moment.
//!
//! What was synced is there. Of what was not, any part may be: none, all, all up to a moment, or pieces of a page's size
//! anywhere. Entries of a folder (files made, renamed, removed) are there up to a moment once their folder was not
//! synced. That is less than any file system promises.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rand::Rng;
use rand::rngs::SmallRng;

const HEAD_BYTES: usize = 21;
const PAGE_BYTES: usize = 4096;

/// One note.
#[derive(Clone, Debug)]
pub struct Note {
    op: u8,
    path: PathBuf,
    place: usize,
    data: Vec<u8>,
}

/// Reads notes; the last may be half written.
pub fn notes(mut bytes: &[u8]) -> Vec<Note> {
    let mut notes = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() {
        let number = |from: usize, to: usize| {
            let little = head[from..to].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
            usize::try_from(little).unwrap()
        };
        let (path, data) = (number(1, 5), number(13, 21));
        let Some((named, rest)) = rest.split_at_checked(path) else { break };
        let Some((data, rest)) = rest.split_at_checked(data) else { break };
        let path = PathBuf::from(String::from_utf8(named.to_vec()).unwrap());
        notes.push(Note { op: head[0], path, place: number(5, 13), data: data.to_vec() });
        bytes = rest;
    }
    notes
}

impl Note {
    /// What the process has said, if that is what it notes.
    pub fn told(&self) -> Option<&str> {
        (self.op == b't').then(|| str::from_utf8(&self.data).unwrap())
    }
}

/// What a file holds: what is durable, and what was done to it since.
#[derive(Clone, Debug, Default)]
struct Held {
    durable: Vec<u8>,
    since: Vec<Note>,
}

/// What has which name: files by their number, and folders.
#[derive(Clone, Debug, Default)]
struct Names {
    files: BTreeMap<PathBuf, usize>,
    folders: BTreeSet<PathBuf>,
}

/// A change of names.
#[derive(Clone, Debug)]
struct Entry {
    note: Note,
    /// The file that was made.
    made: usize,
}

/// A disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    held: Vec<Held>,
    now: Names,
    durable: Names,
    /// What leads from the durable names to those of now.
    entries: Vec<Entry>,
}

impl Names {
    fn change(&mut self, entry: &Entry) {
        let path = &entry.note.path;
        match entry.note.op {
            b'c' => drop(self.files.insert(path.clone(), entry.made)),
            b'r' => drop(self.files.remove(path)),
            b'f' => drop(self.folders.insert(path.clone())),
            _ => {
                let to = PathBuf::from(str::from_utf8(&entry.note.data).unwrap());
                let renamed = |old: &Path| match old.strip_prefix(path) {
                    Ok(rest) if rest.as_os_str().is_empty() => to.clone(),
                    Ok(rest) => to.join(rest),
                    Err(_) => old.to_owned(),
                };
                // What was under the new name goes, what is renamed comes in its place.
                let (moved, mut files): (BTreeMap<_, _>, BTreeMap<_, _>) =
                    std::mem::take(&mut self.files).into_iter().partition(|(old, _)| old.starts_with(path));
                files.extend(moved.into_iter().map(|(old, file)| (renamed(&old), file)));
                self.files = files;
                self.folders = self.folders.iter().map(|old| renamed(old)).collect();
            }
        }
    }
}

impl Disk {
    /// A folder as it stands, all of it durable.
    pub fn of(folder: &Path) -> Self {
        let mut disk = Self::default();
        disk.take(folder);
        disk.durable = disk.now.clone();
        disk
    }

    fn take(&mut self, folder: &Path) {
        self.now.folders.insert(folder.to_owned());
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.take(&path);
            } else {
                self.held.push(Held { durable: std::fs::read(&path).unwrap(), since: Vec::new() });
                self.now.files.insert(path, self.held.len() - 1);
            }
        }
    }

    fn file(&mut self, path: &Path) -> Option<&mut Held> {
        self.now.files.get(path).and_then(|file| self.held.get_mut(*file))
    }

    /// Takes over what a note says.
    pub fn note(&mut self, note: &Note) {
        match note.op {
            b'w' | b'l' => {
                if let Some(file) = self.file(&note.path) {
                    file.since.push(note.clone());
                }
            }
            b's' => {
                if let Some(file) = self.file(&note.path) {
                    let since = std::mem::take(&mut file.since);
                    since.iter().for_each(|note| apply(&mut file.durable, note));
                }
            }
            b'd' => {
                let (synced, rest): (Vec<_>, Vec<_>) =
                    self.entries.drain(..).partition(|entry| entry.note.path.parent() == Some(&*note.path));
                self.entries = rest;
                synced.iter().for_each(|entry| self.durable.change(entry));
            }
            b'c' | b'r' | b'n' | b'f' => {
                if note.op == b'c' {
                    self.held.push(Held::default());
                }
                let entry = Entry { note: note.clone(), made: self.held.len().saturating_sub(1) };
                self.now.change(&entry);
                self.entries.push(entry);
            }
            _ => {}
        }
    }

    /// Writes into an empty folder what a power cut leaves now; paths below `from` become those below `to`.
    pub fn cut(&self, from: &Path, to: &Path, random: &mut SmallRng) {
        let mut left = self.durable.clone();
        let upto = random.random_range(0..=self.entries.len());
        self.entries[..upto].iter().for_each(|entry| left.change(entry));
        let place = |path: &Path| to.join(path.strip_prefix(from).unwrap());
        let is_there = |folder: &Path| {
            folder.ancestors().take_while(|up| up.starts_with(from)).all(|up| left.folders.contains(up))
        };
        left.folders
            .iter()
            .filter(|folder| is_there(folder))
            .for_each(|folder| std::fs::create_dir_all(place(folder)).unwrap());
        for (path, file) in &left.files {
            if !path.parent().is_some_and(is_there) {
                continue;
            }
            let held = &self.held[*file];
            let mut bytes = held.durable.clone();
            survive(&mut bytes, &held.since, random);
            std::fs::write(place(path), bytes).unwrap();
        }
    }
}

fn apply(bytes: &mut Vec<u8>, note: &Note) {
    if note.op == b'l' {
        bytes.resize(note.place, 0);
        return;
    }
    let end = note.place + note.data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[note.place..end].copy_from_slice(&note.data);
}

/// Lets any part of what was not synced reach the disk.
fn survive(bytes: &mut Vec<u8>, since: &[Note], random: &mut SmallRng) {
    match random.random_range(0..4) {
        0 => {}
        1 => since.iter().for_each(|note| apply(bytes, note)),
        2 => {
            let upto = random.random_range(0..=since.len());
            since[..upto].iter().for_each(|note| apply(bytes, note));
        }
        _ => {
            for note in since {
                if note.op == b'l' {
                    if random.random_bool(0.5) {
                        apply(bytes, note);
                    }
                    continue;
                }
                let (mut at, mut rest) = (note.place, note.data.as_slice());
                while !rest.is_empty() {
                    let (page, after) = rest.split_at(rest.len().min(PAGE_BYTES - at % PAGE_BYTES));
                    if random.random_bool(0.5) {
                        apply(bytes, &Note { op: b'w', path: PathBuf::new(), place: at, data: page.to_vec() });
                    }
                    (at, rest) = (at + page.len(), after);
                }
            }
        }
    }
}
