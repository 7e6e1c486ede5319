//! The chain of records without samples: whatever is done to one of them is found, and time takes them away from the
//! beginning alone.

use std::path::Path;

use watchfire_model::{Control, Frame, Instant, Lsn, Quality, Record, RecordBody, Rows, SignalId, StatusCode};
use watchfire_pipeline::History;

use crate::SledHistory;
use crate::chain::{Chained, link};
use crate::ctl::{Kind, body, placed, set};
use crate::key_value::{Change, Group, KeyValue};

const DAY_S: i64 = 86_400;

/// Of each three records two are of what the gateway did.
fn record(lsn: u64) -> Record {
    let body = if lsn.is_multiple_of(3) {
        let mut rows = Rows::default();
        let time = Instant::from_s(i64::try_from(lsn).unwrap() * DAY_S / 30);
        rows.push(SignalId(1), time, lsn as f64, StatusCode::GOOD, Quality::NONE, 0);
        RecordBody::Data(Frame { now: time, rows, ..Frame::default() })
    } else {
        RecordBody::Control(Control::Forgot { binding: format!("detector{lsn}"), signal: None, by: "ann".to_owned() })
    };
    Record { lsn: Lsn(lsn), body }
}

fn sealed(folder: &Path) -> SledHistory {
    let history = SledHistory::open(folder).unwrap();
    let records: Vec<Record> = (1..=120).map(record).collect();
    records.chunks(30).for_each(|part| history.seal(part).unwrap());
    history
}

fn followed(history: &SledHistory) -> Chained {
    history.ctl().follow_chain(history.sealed(), None).unwrap()
}

#[test]
fn each_record_follows_the_one_before_over_seals_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    drop(sealed(folder.path()));
    let history = SledHistory::open(folder.path()).unwrap();
    history.seal(&(121..=125).map(record).collect::<Vec<_>>()).unwrap();
    let chained = followed(&history);
    assert_eq!((chained.records, chained.span, chained.broken), (84, Some((Lsn(1), Lsn(125))), None));
    let mut end = [0; 32];
    for one in (1..=125).map(record).filter(|one| !matches!(one.body, RecordBody::Data(_))) {
        end = link(&end, one.lsn, &body(&one.body).unwrap());
    }
    assert_eq!(chained.end, Some(end));
    assert!(history.verify().faults.is_empty());
    assert_eq!(history.verify_noted(Some(&end)).chain.passes, Some(Lsn(125)));
    history.seal(&(126..=130).map(record).collect::<Vec<_>>()).unwrap();
    let later = history.verify_noted(Some(&end));
    assert!(later.faults.is_empty() && later.chain.passes == Some(Lsn(125)) && later.chain.end != Some(end));
    assert_eq!(history.verify_noted(Some(&[7; 32])).faults.len(), 1, "no such record");
}

#[test]
fn one_that_is_changed_taken_out_or_put_in_is_found() {
    let other = set(&placed(Kind::Record, Lsn(50)), &body(&record(49).body).unwrap());
    let without = vec![Change::Remove([placed(Kind::Record, Lsn(50)), vec![0, 0]].concat())];
    let more = set(&placed(Kind::Record, Lsn(51)), &body(&record(50).body).unwrap());
    let unchained = vec![Change::Remove(placed(Kind::Chain, Lsn(50)))];
    let damages: [(&str, Group, u64); 4] =
        [("changed", other, 50), ("gone", without, 52), ("new", more, 51), ("without a hash", unchained, 50)];
    for (what, damage, broken) in damages {
        let folder = tempfile::tempdir().unwrap();
        let history = sealed(folder.path());
        history.ctl().store().write(vec![damage]).unwrap();
        assert_eq!(followed(&history).broken, Some(Lsn(broken)), "{what}");
        let faults: Vec<String> = history.verify().faults.iter().map(ToString::to_string).collect();
        assert!(faults.iter().any(|fault| fault.contains("the chain of records")), "{what}: {faults:?}");
    }
}

#[test]
fn what_is_no_longer_kept_leaves_the_hash_that_the_next_one_follows() {
    let folder = tempfile::tempdir().unwrap();
    let history = sealed(folder.path());
    let before = followed(&history);
    for _ in 0..3 {
        history.retain(Instant::from_s(3 * DAY_S)).unwrap();
    }
    let after = followed(&history);
    assert!(after.records < before.records && after.span.unwrap().0 > Lsn(1), "{after:?}");
    assert_eq!((after.end, after.broken), (before.end, None));
    assert!(history.verify().faults.is_empty());
}

#[test]
fn what_records_say_takes_the_disk_once() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    let said = |lsn: u64| {
        let by = format!("{lsn:05}").repeat(1_100);
        let body = RecordBody::Control(Control::Forgot { binding: "detector".to_owned(), signal: None, by });
        Record { lsn: Lsn(lsn), body }
    };
    let records: Vec<Record> = (1..=2_000).map(said).collect();
    records.chunks(500).for_each(|part| history.seal(part).unwrap());
    assert!(history.verify().faults.is_empty());
    drop(history);
    let bytes = std::fs::metadata(folder.path().join("ctl/db")).unwrap().len();
    assert!(bytes < 2_000 * 5_500 * 7 / 5, "{bytes} bytes for 11,000,000");
}
