//! The digest of what counts in `ctl`: a sum over the hashes of its pairs, kept among them and changed with each of
//! them at once. A damaged database may open with an older state of some of its pages: whatever is older than the rest
//! no longer fits the sum.
//!
//! Left out are pieces of checkpoints, which have a hash of their own, records, which are missed by their places, the
//! hashes of their chain, which each record has to fit, and days that are being dropped.

use std::collections::BTreeMap;

use watchfire_pipeline::PortError;

use crate::ctl::{Kind, named};
use crate::key_value::{Change, Group, KeyValue};

/// The kinds that are digested.
const KINDS: [Kind; 8] =
    [Kind::Alarm, Kind::Checkpoint, Kind::Decided, Kind::Filled, Kind::Meta, Kind::Note, Kind::Signal, Kind::Slot];
/// Pairs read at once.
const STEP: usize = 1024;

fn digest_key() -> Vec<u8> {
    named(Kind::Meta, "digest")
}

fn is_digested(key: &[u8], own: &[u8]) -> bool {
    key != own && KINDS.iter().any(|kind| key.first() == Some(&(*kind as u8)))
}

/// A pair's share of the sum.
pub fn share(key: &[u8], value: &[u8]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    let mut half = [0; 16];
    hasher.finalize_xof().fill(&mut half);
    u128::from_le_bytes(half)
}

/// The sum over everything that is there.
fn sum(store: &impl KeyValue) -> Result<u128, PortError> {
    let own = digest_key();
    let mut sum = 0_u128;
    for kind in KINDS {
        let mut next = vec![kind as u8];
        loop {
            let pairs = store.range(&next, &[kind as u8, u8::MAX, u8::MAX, u8::MAX], STEP)?;
            let Some((last, _)) = pairs.last() else { break };
            next = [last.as_slice(), &[0]].concat();
            let digested = pairs.iter().filter(|(key, _)| is_digested(key, &own));
            sum = digested.fold(sum, |sum, (key, value)| sum.wrapping_add(share(key, value)));
        }
    }
    Ok(sum)
}

fn held(store: &impl KeyValue) -> Result<Option<u128>, PortError> {
    let bytes = store.get(&digest_key())?;
    Ok(bytes.and_then(|bytes| Some(u128::from_le_bytes(bytes.try_into().ok()?))))
}

fn put(sum: u128) -> Change {
    Change::Put(digest_key(), sum.to_le_bytes().to_vec())
}

/// What gives a database that has none its digest.
///
/// # Errors
/// When the store fails.
pub fn begin(store: &impl KeyValue) -> Result<Vec<Group>, PortError> {
    Ok(vec![vec![put(sum(store)?)]])
}

/// Adds to each group what it changes of the digest. Costs a read of each key that is replaced.
///
/// # Errors
/// When the store fails.
pub fn add(store: &impl KeyValue, mut groups: Vec<Group>) -> Result<Vec<Group>, PortError> {
    let own = digest_key();
    let mut now = held(store)?.unwrap_or_default();
    // What earlier groups have made of a key, which the store does not know yet.
    let mut changed: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
    for group in &mut groups {
        let mut touched = false;
        for change in group.iter() {
            let (key, value) = match change {
                Change::Put(key, value) => (key, Some(value)),
                Change::Remove(key) => (key, None),
            };
            if *key == own {
                now =
                    value.and_then(|value| Some(u128::from_le_bytes(value.as_slice().try_into().ok()?))).unwrap_or(now);
            }
            if !is_digested(key, &own) {
                continue;
            }
            let before = match changed.get(key) {
                Some(before) => before.clone(),
                None => store.get(key)?,
            };
            now = now.wrapping_sub(before.map_or(0, |before| share(key, &before)));
            now = now.wrapping_add(value.map_or(0, |value| share(key, value)));
            changed.insert(key.clone(), value.cloned());
            touched = true;
        }
        if touched {
            group.push(put(now));
        }
    }
    Ok(groups)
}

/// Holds everything against the digest.
///
/// # Errors
/// [`PortError::Damaged`] when it does not fit; when the store fails.
pub fn check(store: &impl KeyValue) -> Result<(), PortError> {
    if held(store)? == Some(sum(store)?) {
        return Ok(());
    }
    let folder = store.folder().display();
    Err(PortError::Damaged {
        what: format!("the database `{folder}`"),
        detail:
            "its contents do not fit their digest: some of them are older than the rest, or were changed; restore the \
                 whole data folder from one backup"
                .to_owned(),
    })
}
