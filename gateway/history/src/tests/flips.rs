//! Flipped bits, cut files, and blocks that are empty, older, or of another place, as a disk gives them back that has lost a
//! write or misplaced one: whatever they hit, what is read is what was written, or it is refused.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use watchfire_model::{Instant, Lsn, SignalId, Unit};
use watchfire_pipeline::{History, PortError, RecordReader};

use super::made::{Dice, START_S, bits, copy_folder, range, records};
use crate::SledHistory;

/// How many of each kind: more of them when asked for, as by `make torture`.
fn rounds() -> u64 {
    std::env::var("WATCHFIRE_TORTURE_FLIPS").ok().and_then(|count| count.parse().ok()).unwrap_or(16)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Everything that can be asked, bit for bit.
fn everything(folder: &Path) -> Result<Vec<String>, PortError> {
    let history = SledHistory::open(folder)?;
    let (mut found, mut next) = (Vec::new(), Lsn(1));
    loop {
        let more = history.read(next, 1000)?;
        let Some(last) = more.last() else { break };
        next = last.lsn.next();
        found.extend(bits(&more).iter().map(|bits| format!("{bits:?}")));
    }
    for signal in (0..5).map(|n| SignalId(n * 1000)) {
        found.push(format!("{:?}", range(&history, signal, Instant::MIN, Instant::MAX)?));
    }
    found.push(format!("{:?} {:?} {}", history.alarm_states()?, history.decided()?, history.sealed()));
    Ok(found)
}

/// Everything that is told without samples.
fn told(folder: &Path) -> Vec<String> {
    let Ok(history) = SledHistory::open(folder) else { return Vec::new() };
    let one = |signal: SignalId| {
        let told = [Unit::Hour, Unit::Minute].map(|unit| history.summaries(signal, unit, Instant::MIN, Instant::MAX));
        let told = told.into_iter().flatten().flat_map(|told| told.told);
        told.map(|told| format!("{signal} {told:?}")).collect::<Vec<String>>()
    };
    (0..5).flat_map(|n| one(SignalId(n * 1000))).collect()
}

/// The least that a disk writes, bytes.
const BLOCK_BYTES: usize = 4096;
/// How many kinds of damage there are.
const KINDS: u64 = 5;

/// Does damage of a kind to a file at a place where something is; `older`: what the file was earlier.
fn damage(kind: u64, bytes: &mut Vec<u8>, older: &[u8], at: usize, dice: &mut Dice) {
    let begin = at / BLOCK_BYTES * BLOCK_BYTES;
    let end = (begin + BLOCK_BYTES).min(bytes.len());
    match kind {
        0 => bytes[at] ^= 1 << dice.roll(8),
        1 => bytes.truncate(at),
        2 => bytes[begin..end].fill(0),
        3 => {
            let end = end.min(older.len()).max(begin);
            if let Some(before) = older.get(begin..end) {
                bytes[begin..end].copy_from_slice(before);
            }
        }
        _ => {
            let blocks = bytes.len().div_ceil(BLOCK_BYTES) as u64;
            let from = usize::try_from(dice.roll(blocks)).unwrap() * BLOCK_BYTES;
            let other = bytes[from..(from + end - begin).min(bytes.len())].to_vec();
            bytes[begin..begin + other.len()].copy_from_slice(&other);
        }
    }
}

#[test]
fn whatever_a_damaged_file_gives_back_is_what_was_written() {
    let (folder, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let history = SledHistory::open(folder.path()).unwrap();
    let (all, earlier) = (records(3, 450, 1), tempfile::tempdir().unwrap());
    all[..200].chunks(50).for_each(|part| history.seal(part).unwrap());
    copy_folder(folder.path(), earlier.path());
    all[200..400].chunks(50).for_each(|part| history.seal(part).unwrap());
    let later = Instant::from_s(START_S + 9 * 3600);
    while history.summarise(later).unwrap() {}
    drop(history);
    let summarised = told(folder.path());
    assert!(!summarised.is_empty());
    let written = everything(folder.path()).unwrap();
    // And as it is with what comes next.
    let more = |folder: &Path| SledHistory::open(folder)?.seal(&all[400..]);
    copy_folder(folder.path(), work.path());
    more(work.path()).unwrap();
    let written_on = everything(work.path()).unwrap();
    let files = files(folder.path());
    let mut dice = Dice(rounds());
    let place = |dice: &mut Dice, below: usize| usize::try_from(dice.roll(below as u64)).unwrap();
    let (mut refused, mut unhurt) = (0, 0);
    for round in 0..KINDS * rounds() {
        copy_folder(folder.path(), work.path());
        let file = files[place(&mut dice, files.len())].strip_prefix(folder.path()).unwrap();
        let older = std::fs::read(earlier.path().join(file)).unwrap_or_default();
        let mut bytes = std::fs::read(work.path().join(file)).unwrap();
        // Where there is something: most of a database's file is room.
        let used = |at: usize| bytes[at.saturating_sub(8)..(at + 8).min(bytes.len())].iter().any(|byte| *byte != 0);
        let at = (0..).map(|_| place(&mut dice, bytes.len())).find(|at| used(*at)).unwrap();
        damage(round % KINDS, &mut bytes, &older, at, &mut dice);
        std::fs::write(work.path().join(file), &bytes).unwrap();
        let read = catch_unwind(AssertUnwindSafe(|| everything(work.path())));
        match read.unwrap_or_else(|_| panic!("round {round}: {} at {at} panics", file.display())) {
            Err(_) => refused += 1,
            Ok(read) => {
                assert!(read == written, "round {round}: {} at {at} is read as something else", file.display());
                unhurt += 1;
                let told = told(work.path());
                let is_written = told.iter().all(|told| summarised.contains(told));
                assert!(is_written, "round {round}: {} at {at} is told as something else", file.display());
                let of_sums = file.starts_with("sums");
                assert!(of_sums || told == summarised, "round {round}: {} at {at} hurts summaries", file.display());
                if more(work.path()).is_ok() {
                    let is_whole = everything(work.path()).is_ok_and(|read| read == written_on);
                    assert!(is_whole, "round {round}: {} at {at} takes more and loses it", file.display());
                }
            }
        }
    }
    println!("{refused} refused, {unhurt} unhurt");
    assert!(refused > rounds());
}
