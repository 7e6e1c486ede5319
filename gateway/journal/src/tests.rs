//! What the journal promises: what was appended is read back, whatever a kill left at the end.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use proptest::prelude::*;
use watchfire_model::{
    AlarmState, ConditionKey, Control, Decided, Frame, Gap, GapCause, Instant, Lsn, Quality, Record, RecordBody, Rows,
    SignalId, StatusCode,
};
use watchfire_pipeline::{Journal, PortError, RecordReader};

use crate::{FileJournal, FolderLock};

fn frame(rows_wanted: usize, seed: u64) -> Frame {
    let mut rows = Rows::default();
    for i in 0..rows_wanted as u64 {
        let x = seed.wrapping_mul(31).wrapping_add(i);
        let value = if x.is_multiple_of(7) { f64::NAN } else { f64::from_bits(x.wrapping_mul(0x9e37_79b9_7f4a_7c15)) };
        let status = StatusCode(if x.is_multiple_of(5) { 0x8000_0000 } else { 0 });
        let time = Instant::from_ns(i64::MIN.wrapping_add(i64::try_from(i).unwrap()));
        let skew = if x.is_multiple_of(3) { -5 } else { 0 };
        rows.push(
            SignalId(u32::try_from(i).unwrap()),
            time,
            value,
            status,
            Quality(u8::try_from(x % 2).unwrap()),
            skew,
        );
        if x.is_multiple_of(4) {
            rows.set_text(format!("text {x} ü"));
        }
        if x.is_multiple_of(6) {
            rows.set_exact(i64::MAX);
        }
    }
    let gap = Gap { signal: Some(SignalId(7)), since: Instant::MIN, until: Instant::MAX, cause: GapCause::Overflow };
    let gaps = if seed.is_multiple_of(2) {
        vec![gap, Gap { signal: None, cause: GapCause::NotRecorded, ..gap }]
    } else {
        vec![]
    };
    Frame { now: Instant::from_ns(i64::try_from(seed).unwrap()), utc_offset_s: -3600, mode: 3, rows, gaps }
}

fn body(seed: u64) -> RecordBody {
    match seed % 3 {
        0 => RecordBody::Control(Control::DetectorFault {
            binding: "hot".into(),
            frame: Lsn(seed),
            reason: "trapped".into(),
            skip: true,
        }),
        1 => RecordBody::Decided(Decided {
            binding: "hot".into(),
            frame: Lsn(seed),
            verdicts: vec![],
            transitions: vec![AlarmState { key: ConditionKey::new("a", "b", "c"), state: vec![1, 2, 3] }],
            events: vec![],
        }),
        _ => RecordBody::Data(frame(usize::try_from(seed % 40).unwrap(), seed)),
    }
}

/// Bit for bit: NaNs are equal to themselves here.
fn same(a: &Record, b: &Record) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

fn all(journal: &FileJournal) -> Result<Vec<Record>, PortError> {
    let mut records: Vec<Record> = Vec::new();
    loop {
        let next = records.last().map_or(Lsn(1), |last| last.lsn.next());
        let read = journal.read(next, 100)?;
        if read.is_empty() {
            return Ok(records);
        }
        records.extend(read);
    }
}

fn filled(folder: &Path, count: u64) -> Vec<Record> {
    let journal = FileJournal::open(folder).unwrap();
    let mut syncer = journal.syncer();
    let one = |i| {
        let lsn = journal.append(&body(i)).unwrap();
        assert_eq!(syncer.sync().unwrap(), Lsn(i));
        Record { lsn, body: body(i) }
    };
    (1..=count).map(one).collect()
}

#[test]
fn what_was_appended_is_read_back_before_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let written = filled(folder.path(), 500);
    for _ in 0..2 {
        let journal = FileJournal::open(folder.path()).unwrap();
        assert_eq!(journal.tail(), Lsn(500));
        let read = all(&journal).unwrap();
        assert_eq!(read.len(), written.len());
        assert!(read.iter().zip(&written).all(|(a, b)| same(a, b)));
        assert_eq!(journal.read(Lsn(250), 1).unwrap()[0].lsn, Lsn(250));
        assert!(journal.read(Lsn(501), 1).unwrap().is_empty());
    }
}

#[test]
fn a_kill_at_every_byte_leaves_a_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let written = filled(folder.path(), 12);
    let file = folder.path().join("wal/00000000000000000001.wal");
    let bytes = std::fs::read(&file).unwrap();
    for length in (0..bytes.len()).rev() {
        std::fs::write(&file, &bytes[..length]).unwrap();
        // As if none of it had been durable.
        std::fs::remove_file(folder.path().join("wal.mark")).unwrap();
        let journal = FileJournal::open(folder.path()).unwrap();
        let read = all(&journal).unwrap();
        assert!(read.len() < written.len() && read.iter().zip(&written).all(|(a, b)| same(a, b)), "cut at {length}");
        let next = journal.append(&body(1)).unwrap();
        assert_eq!(next.0, read.len() as u64 + 1, "cut at {length}");
        assert_eq!(all(&journal).unwrap().len(), read.len() + 1, "cut at {length}");
    }
}

#[test]
fn a_flipped_bit_before_the_last_record_is_told_and_nothing_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), 30);
    let file = folder.path().join("wal/00000000000000000001.wal");
    let bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 600;
    for at in (16..last).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(&file, &damaged).unwrap();
        let error = FileJournal::open(folder.path()).unwrap_err();
        assert!(matches!(&error, PortError::Damaged { what, .. } if what.contains(".wal")), "byte {at}: {error}");
        assert_eq!(std::fs::read(&file).unwrap(), damaged);
    }
}

#[test]
fn an_end_that_was_durable_is_never_cut_off_however_it_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), 12);
    let file = folder.path().join("wal/00000000000000000001.wal");
    let bytes = std::fs::read(&file).unwrap();
    let refused = |changed: &[u8], what: &str| {
        std::fs::write(&file, changed).unwrap();
        let error = FileJournal::open(folder.path()).expect_err(what);
        assert!(matches!(error, PortError::Damaged { .. }), "{what}: {error}");
        assert_eq!(std::fs::read(&file).unwrap(), changed, "{what}");
    };
    (0..bytes.len()).for_each(|length| refused(&bytes[..length], &format!("cut at {length}")));
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        refused(&flipped, &format!("flipped at {at}"));
    }
    std::fs::remove_file(&file).unwrap();
    let gone = FileJournal::open(folder.path()).unwrap_err().to_string();
    assert!(gone.contains("record 12 was durable") && gone.contains("wal.mark`"), "{gone}");
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(FileJournal::open(folder.path()).unwrap().tail(), Lsn(12));
}

#[test]
fn a_look_through_finds_what_is_damaged_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    rolled(folder.path(), 200, 200);
    let journal = FileJournal::open(folder.path()).unwrap();
    let found = journal.verify();
    assert_eq!((found.records, found.faults.len()), (200, 0));
    assert!(found.files > 2 && found.rows > 1000);
    let file = OpenOptions::new().write(true).open(folder.path().join("wal/00000000000000000001.wal")).unwrap();
    file.write_all_at(&[0xff; 4], 40).unwrap();
    let found = journal.verify();
    assert_eq!(found.faults.len(), 1);
    assert!(found.faults[0].to_string().contains("00001.wal` is damaged: record 1 does"), "{:?}", found.faults);
}

#[test]
fn an_end_that_was_never_durable_is_cut_off_even_if_pieces_after_it_reached_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path()).unwrap();
    let mut syncer = journal.syncer();
    (1..=10).for_each(|i| assert!(journal.append(&body(i)).is_ok()));
    syncer.sync().unwrap();
    let file = folder.path().join("wal/00000000000000000001.wal");
    let durable = std::fs::metadata(&file).unwrap().len();
    (11..=20).for_each(|i| assert!(journal.append(&body(i)).is_ok()));
    drop(journal);
    // A power cut may write later pages and not earlier ones.
    let open = OpenOptions::new().write(true).open(&file).unwrap();
    open.write_all_at(&[0; 30], durable).unwrap();
    assert_eq!(FileJournal::open(folder.path()).unwrap().tail(), Lsn(10));
}

/// A journal of several files of which nothing after the first `durable` records was promised.
fn rolled(folder: &Path, durable: u64, count: u64) -> Vec<std::path::PathBuf> {
    let journal = FileJournal::open(folder).unwrap();
    let mut syncer = journal.syncer();
    let big = RecordBody::Data(frame(1_000, 1));
    for i in 1..=count {
        journal.append(&big).unwrap();
        if i == durable {
            syncer.sync().unwrap();
        }
    }
    let mut files: Vec<_> = std::fs::read_dir(folder.join("wal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 2);
    files
}

fn cut(file: &Path, length: u64) {
    OpenOptions::new().write(true).open(file).unwrap().set_len(length).unwrap();
}

#[test]
fn files_that_were_rolled_but_never_durable_are_no_damage_after_a_power_cut() {
    for (cut_at, missing) in [(500_000, None), (16, None), (7, None), (0, None), (500_000, Some(2)), (500_000, Some(1))]
    {
        let folder = tempfile::tempdir().unwrap();
        let files = rolled(folder.path(), 1, 200);
        // The disk has the middle of the second file, and the third or not, in whatever order it liked.
        cut(&files[1], cut_at);
        if let Some(missing) = missing {
            std::fs::remove_file(&files[missing]).unwrap();
        }
        for _ in 0..2 {
            let journal = FileJournal::open_after(folder.path(), Lsn(1)).unwrap();
            let read = all(&journal).unwrap();
            assert_eq!(read.len() as u64, journal.tail().0, "{cut_at}, {missing:?}");
            assert!(journal.tail() > Lsn(1) && journal.tail() < Lsn(200));
            let next = journal.append(&body(1)).unwrap();
            assert_eq!(next, Lsn(read.len() as u64 + 1));
        }
    }
}

#[test]
fn a_hole_in_what_was_durable_is_damage_whichever_file_has_it() {
    let folder = tempfile::tempdir().unwrap();
    // The one record written after the sync knows that all before it were durable.
    let files = rolled(folder.path(), 199, 200);
    let length = std::fs::metadata(&files[0]).unwrap().len();
    for left in [length - 10, 16, 3] {
        let whole = std::fs::read(&files[0]).unwrap();
        cut(&files[0], left);
        let error = FileJournal::open(folder.path()).unwrap_err();
        assert!(matches!(&error, PortError::Damaged { .. }), "{left}: {error}");
        std::fs::write(&files[0], whole).unwrap();
    }
    std::fs::remove_file(&files[1]).unwrap();
    assert!(FileJournal::open(folder.path()).unwrap_err().to_string().contains("put the files between back"));
}

#[test]
fn a_journal_that_does_not_go_on_where_the_sealed_records_end_is_refused_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let wal = folder.path().join("wal");
    let files = rolled(folder.path(), 200, 200);
    let aside = tempfile::tempdir().unwrap();
    let refused = |sealed: u64| {
        let error = FileJournal::open_after(folder.path(), Lsn(sealed)).unwrap_err();
        assert!(matches!(&error, PortError::Damaged { detail, .. } if detail.contains("wal.damaged`")), "{error}");
        error.to_string()
    };
    assert!(refused(201).contains("ends before record 201"));
    let moved = aside.path().join(files[0].file_name().unwrap());
    std::fs::copy(&files[0], &moved).unwrap();
    std::fs::remove_file(&files[0]).unwrap();
    assert!(refused(1).contains("it begins at record"));
    std::fs::copy(&moved, &files[0]).unwrap();
    assert_eq!(FileJournal::open_after(folder.path(), Lsn(1)).unwrap().tail(), Lsn(200));

    // Without any file it is not begun anew: they can still be put back.
    std::fs::rename(&wal, aside.path().join("wal")).unwrap();
    assert!(refused(150).contains("no file of the journal"));
    assert_eq!(std::fs::read_dir(&wal).unwrap().count(), 0);
    std::fs::remove_dir(&wal).unwrap();
    std::fs::rename(aside.path().join("wal"), &wal).unwrap();
    assert_eq!(FileJournal::open_after(folder.path(), Lsn(150)).unwrap().tail(), Lsn(200));
}

#[test]
fn a_journal_that_was_renamed_is_gone_on_without_once_and_its_places_are_not_given_again() {
    let folder = tempfile::tempdir().unwrap();
    rolled(folder.path(), 200, 200);
    let (wal, damaged) = (folder.path().join("wal"), folder.path().join("wal.damaged"));
    for sealed in [Lsn(0), Lsn(150)] {
        std::fs::rename(&wal, &damaged).unwrap();
        let first = FileJournal::open_after(folder.path(), sealed).unwrap().first();
        assert!(first > Lsn(200));
        // As after a kill before the store of record knows of it, and when it does.
        assert_eq!(FileJournal::open_after(folder.path(), sealed).unwrap().first(), first);
        let journal = FileJournal::open_after(folder.path(), Lsn(first.0 - 1)).unwrap();
        assert_eq!(journal.append(&body(1)).unwrap(), first);
        drop(journal);
        assert!(!damaged.exists());
        std::fs::remove_dir_all(&wal).unwrap();
        let again = FileJournal::open_after(folder.path(), Lsn(first.0 - 1)).unwrap_err().to_string();
        assert!(again.contains("no file of the journal"), "{again}");
    }
}

#[test]
fn damage_while_it_runs_is_told_by_reading() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path()).unwrap();
    (1..40).for_each(|i| assert!(journal.append(&body(i)).is_ok()));
    let file = OpenOptions::new().write(true).open(folder.path().join("wal/00000000000000000001.wal")).unwrap();
    file.write_all_at(&[0xff; 4], 40).unwrap();
    assert!(matches!(journal.read(Lsn(1), 10_000), Err(PortError::Damaged { .. })));
}

#[test]
fn a_frame_in_the_older_form_is_read() {
    let mut bytes = Vec::new();
    bytes.extend(7_i64.to_le_bytes());
    bytes.extend(3600_i32.to_le_bytes());
    bytes.extend(2_u32.to_le_bytes());
    bytes.extend(2_u32.to_le_bytes());
    [5_u32, 9].iter().for_each(|signal| bytes.extend(signal.to_le_bytes()));
    [-1_i64, 1].iter().for_each(|time| bytes.extend(time.to_le_bytes()));
    [0.1_f64, -0.0].iter().for_each(|value| bytes.extend(value.to_bits().to_le_bytes()));
    // Status and quality are all zero, and nothing else is there.
    bytes.extend([0, 0]);
    bytes.extend([0; 16]);
    let mut rows = Rows::default();
    for (signal, time, value) in [(5, -1, 0.1), (9, 1, -0.0)] {
        rows.push(SignalId(signal), Instant::from_ns(time), value, StatusCode::GOOD, Quality::NONE, 0);
    }
    let frame = Frame { now: Instant::from_ns(7), utc_offset_s: 3600, mode: 2, rows, gaps: vec![] };
    assert_eq!(crate::columns::read(&bytes, crate::columns::Form::Plain), Some(frame.clone()));
    let mut packed = Vec::new();
    crate::columns::write(&frame, &mut packed);
    assert_eq!(crate::columns::read(&packed, crate::columns::Form::Packed), Some(frame));
    assert!(packed.len() < bytes.len());
}

#[test]
fn sealed_files_go_and_the_last_one_keeps_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path()).unwrap();
    let big = RecordBody::Data(frame(1_000, 1));
    let mut syncer = journal.syncer();
    for _ in 0..200 {
        journal.append(&big).unwrap();
    }
    assert_eq!(syncer.sync().unwrap(), Lsn(200));
    let files = || std::fs::read_dir(folder.path().join("wal")).unwrap().count();
    assert!(files() > 2);
    journal.truncate(Lsn(200)).unwrap();
    assert_eq!(files(), 1);
    drop(journal);
    let journal = FileJournal::open(folder.path()).unwrap();
    assert_eq!(journal.tail(), Lsn(200));
    assert!(journal.read(Lsn(1), 1).unwrap()[0].lsn > Lsn(1), "older places are gone, and that shows");
}

#[test]
fn a_folder_belongs_to_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let held = FolderLock::take(folder.path()).unwrap();
    let refused = FolderLock::take(folder.path()).unwrap_err().to_string();
    assert!(refused.contains(&std::process::id().to_string()), "{refused}");
    drop(held);
    assert!(FolderLock::take(folder.path()).is_ok());
}

proptest! {
    #[test]
    fn any_record_survives_its_bytes(seed in any::<u32>(), rows in 0..200_usize) {
        let seed = u64::from(seed);
        for body in [body(seed), RecordBody::Data(frame(rows, seed))] {
            let mut bytes = crate::codec::encode(&body).unwrap();
            let head = crate::codec::head(&bytes, Lsn(seed), Lsn(0)).unwrap();
            bytes[..head.len()].copy_from_slice(&head);
            let crate::codec::Parsed::Whole(raw) = crate::codec::parse(&bytes) else { panic!("not whole") };
            let record = raw.decode().unwrap();
            let written = Record { lsn: Lsn(seed), body };
            prop_assert!(same(&record, &written));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let crate::codec::Parsed::Whole(raw) = crate::codec::parse(&bytes) {
            drop(raw.decode());
        }
        drop(crate::columns::read(&bytes, crate::columns::Form::Plain));
        drop(crate::columns::read(&bytes, crate::columns::Form::Packed));
    }
}
