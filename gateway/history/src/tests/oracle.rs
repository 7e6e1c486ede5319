//! The same asked of two databases that share nothing: sled, as the store uses it, and redb. Whatever is written, read,
//! removed and opened anew, both answer the same.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use redb::{Database, Durability, ReadableDatabase, TableDefinition};
use watchfire_model::{Instant, Lsn};
use watchfire_pipeline::{History, PortError};

use super::made::{START_S, records};
use crate::SledHistory;
use crate::bucket;
use crate::digest;
use crate::key_value::{Change, Group, KEY_BYTES_MAX, KeyValue, Pair, VALUE_BYTES_MAX};
use crate::slot::Slot;
use crate::store::Store;

const PAIRS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("pairs");

/// The other database.
struct Oracle {
    folder: PathBuf,
    db: Database,
}

impl Oracle {
    fn open(folder: &Path) -> Self {
        let db = Database::create(folder.join("oracle")).unwrap();
        let oracle = Self { folder: folder.to_owned(), db };
        oracle.write(Vec::new()).unwrap();
        oracle
    }

    fn pairs(&self, first: &[u8], last: Option<&[u8]>) -> Vec<Pair> {
        let reading = self.db.begin_read().unwrap();
        let table = reading.open_table(PAIRS).unwrap();
        let found = match last {
            Some(last) => table.range::<&[u8]>(first..=last).unwrap(),
            None => table.range::<&[u8]>(first..).unwrap(),
        };
        found.map(|pair| pair.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())).unwrap()).collect()
    }
}

impl KeyValue for Oracle {
    fn folder(&self) -> &Path {
        &self.folder
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PortError> {
        let reading = self.db.begin_read().unwrap();
        let found = reading.open_table(PAIRS).unwrap().get(key).unwrap();
        Ok(found.map(|value| value.value().to_vec()))
    }

    fn at_or_before(&self, key: &[u8]) -> Result<Option<Pair>, PortError> {
        Ok(self.pairs(&[], Some(key)).pop())
    }

    fn at_or_after(&self, key: &[u8]) -> Result<Option<Pair>, PortError> {
        Ok(self.pairs(key, None).into_iter().next())
    }

    fn range(&self, first: &[u8], last: &[u8], most: usize) -> Result<Vec<Pair>, PortError> {
        let found = if first > last { Vec::new() } else { self.pairs(first, Some(last)) };
        Ok(found.into_iter().take(most).collect())
    }

    fn write(&self, groups: Vec<Group>) -> Result<(), PortError> {
        let mut writing = self.db.begin_write().unwrap();
        // What is not committed yet may be lost, as with the other.
        writing.set_durability(Durability::None).unwrap();
        let mut table = writing.open_table(PAIRS).unwrap();
        for change in groups.into_iter().flatten() {
            let (key, value) = match &change {
                Change::Put(key, value) => (key, value.len()),
                Change::Remove(key) => (key, 0),
            };
            if key.len() > KEY_BYTES_MAX || value > VALUE_BYTES_MAX {
                let source = std::io::Error::from(std::io::ErrorKind::InvalidInput);
                return Err(PortError::Io { doing: "writing".to_owned(), source });
            }
            match change {
                Change::Put(key, value) => drop(table.insert(&*key, &*value).unwrap()),
                Change::Remove(key) => drop(table.remove(&*key).unwrap()),
            }
        }
        drop(table);
        writing.commit().unwrap();
        Ok(())
    }

    fn lay(&self, pairs: Vec<Pair>) -> Result<(), PortError> {
        self.write(pairs.into_iter().map(|(key, value)| vec![Change::Put(key, value)]).collect())
    }

    fn commit(&self) -> Result<(), PortError> {
        self.db.begin_write().unwrap().commit().unwrap();
        Ok(())
    }
}

/// What is done to both.
#[derive(Clone, Debug)]
enum Doing {
    Write(Vec<Group>),
    Lay(Vec<Pair>),
    Commit,
    Reopen,
    Get(Vec<u8>),
    AtOrBefore(Vec<u8>),
    AtOrAfter(Vec<u8>),
    Range(Vec<u8>, Vec<u8>, usize),
}

/// Few keys, so that they meet; among them the empty one, beginnings of others, and one that is too long.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => prop::collection::vec(0_u8..4, 0..4),
        5 => prop::collection::vec(prop_oneof![Just(0_u8), Just(255)], 0..12),
        1 => Just(vec![7; KEY_BYTES_MAX]),
        1 => Just(vec![7; KEY_BYTES_MAX + 1]),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![20 => 0..60_usize, 5 => 5_900..=VALUE_BYTES_MAX, 1 => Just(VALUE_BYTES_MAX + 1)];
    (any::<u8>(), length).prop_map(|(byte, length)| vec![byte; length])
}

fn doing() -> impl Strategy<Value = Doing> {
    let change = prop_oneof![
        3 => (key(), value()).prop_map(|(key, value)| Change::Put(key, value)),
        1 => key().prop_map(Change::Remove),
    ];
    let groups = prop::collection::vec(prop::collection::vec(change, 0..8), 0..6);
    prop_oneof![
        6 => groups.prop_map(Doing::Write),
        3 => prop::collection::vec((key(), value()), 0..20).prop_map(Doing::Lay),
        2 => Just(Doing::Commit),
        1 => Just(Doing::Reopen),
        3 => key().prop_map(Doing::Get),
        3 => key().prop_map(Doing::AtOrBefore),
        3 => key().prop_map(Doing::AtOrAfter),
        3 => (key(), key(), prop_oneof![Just(usize::MAX), 0..5_usize]).prop_map(|(a, b, n)| Doing::Range(a, b, n)),
    ]
}

/// What one of them answers; of errors, only that there is one.
fn answer(of: &impl KeyValue, doing: &Doing) -> Result<Vec<Pair>, ()> {
    let answered = match doing {
        Doing::Write(groups) => of.write(groups.clone()).map(|()| Vec::new()),
        Doing::Lay(pairs) => of.lay(pairs.clone()).map(|()| Vec::new()),
        Doing::Commit | Doing::Reopen => of.commit().map(|()| Vec::new()),
        Doing::Get(key) => of.get(key).map(|value| value.map(|value| (key.clone(), value)).into_iter().collect()),
        Doing::AtOrBefore(key) => of.at_or_before(key).map(|pair| pair.into_iter().collect()),
        Doing::AtOrAfter(key) => of.at_or_after(key).map(|pair| pair.into_iter().collect()),
        Doing::Range(first, last, most) => of.range(first, last, *most),
    };
    answered.map_err(drop)
}

fn everything(of: &impl KeyValue) -> Vec<Pair> {
    of.range(&[], &[u8::MAX; 2 * KEY_BYTES_MAX], usize::MAX).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn both_databases_answer_the_same_whatever_is_asked(doings in prop::collection::vec(doing(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let mut ours = Store::open(&folder.path().join("sled"), 1 << 20).unwrap();
        let mut other = Oracle::open(folder.path());
        for (at, doing) in doings.iter().enumerate() {
            prop_assert_eq!(answer(&ours, doing), answer(&other, doing), "{}: {:?}", at, doing);
            if matches!(doing, Doing::Reopen) {
                ours.close().unwrap();
                drop(other);
                ours = Store::open(&folder.path().join("sled"), 1 << 20).unwrap();
                other = Oracle::open(folder.path());
            }
        }
        prop_assert_eq!(everything(&ours), everything(&other));
    }

    #[test]
    fn the_digest_is_the_same_over_both(doings in prop::collection::vec(doing(), 1..20)) {
        let folder = tempfile::tempdir().unwrap();
        let ours = Store::open(&folder.path().join("sled"), 1 << 20).unwrap();
        let other = Oracle::open(folder.path());
        ours.write(digest::begin(&ours).unwrap()).unwrap();
        other.write(digest::begin(&other).unwrap()).unwrap();
        for doing in &doings {
            let Doing::Write(groups) = doing else { continue };
            // Under the kinds that are digested.
            let under = |key: &[u8]| [b"n\0", key].concat();
            let groups: Vec<Group> = groups.iter().map(|group| group.iter().map(|change| match change {
                Change::Put(key, value) => Change::Put(under(key), value.clone()),
                Change::Remove(key) => Change::Remove(under(key)),
            }).collect()).collect();
            let done = ours.write(digest::add(&ours, groups.clone()).unwrap());
            prop_assert_eq!(done.is_ok(), other.write(digest::add(&other, groups).unwrap()).is_ok());
            digest::check(&ours).unwrap();
            digest::check(&other).unwrap();
        }
        prop_assert_eq!(everything(&ours), everything(&other));
    }
}

#[test]
fn a_day_of_samples_holds_in_either_what_it_holds_in_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    records(5, 300, 30).chunks(40).for_each(|part| history.seal(part).unwrap());
    drop(history);
    let day = folder.path().join("ts").join(Slot::first_of(Instant::from_s(START_S)).to_string());
    let ours = Store::open(&day, 1 << 20).unwrap();
    let other = Oracle::open(folder.path());
    crate::backup::copy(&ours, &other, |_| true).unwrap();
    assert_eq!(everything(&ours), everything(&other));
    let mut at = bucket::after(&ours, Lsn(0)).unwrap();
    let mut buckets = 0;
    while let Some(head) = at {
        // The key at which it begins and the one where the next does are found alike.
        let key = bucket::from_key(head.first);
        assert_eq!(ours.at_or_after(&key).unwrap(), other.at_or_after(&key).unwrap());
        assert_eq!(ours.at_or_before(&key).unwrap(), other.at_or_before(&key).unwrap());
        at = bucket::after(&ours, head.last).unwrap();
        buckets += 1;
    }
    assert!(buckets > 1);
}
