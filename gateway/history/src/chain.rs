//! The chain of what is on record beside samples: each record (of alarms, of what people did, of what the gateway did)
//! has a hash over it and the hash of the one before, so that none can be changed, taken out or put in without all that
//! follow. Whoever can write the data folder can make the whole chain anew: whoever has noted its end elsewhere sees
//! that.

use watchfire_model::Lsn;
use watchfire_pipeline::PortError;

use crate::ctl::{Ctl, Kind, placed};
use crate::key_value::{Change, KeyValue, Pair};

/// A hash of the chain: BLAKE3 of the one before, the record's place and its bytes.
pub type Link = [u8; 32];

/// What the first record follows.
const BEGIN: Link = [0; 32];
/// Records that are looked at between two reads.
const STEP: usize = 1024;

/// The hash of a record that follows another.
pub fn link(before: &Link, lsn: Lsn, record: &[u8]) -> Link {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(&lsn.0.to_be_bytes()).update(record);
    *hasher.finalize().as_bytes()
}

/// Where a record's hash is noted.
pub fn noted(lsn: Lsn, link: &Link) -> Pair {
    (placed(Kind::Chain, lsn), link.to_vec())
}

/// What a look along the chain found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chained {
    /// Records in it.
    pub records: u64,
    /// The first and the last of them.
    pub span: Option<(Lsn, Lsn)>,
    /// The last one's hash.
    pub end: Option<Link>,
    /// The record that has the hash that was looked for.
    pub passes: Option<Lsn>,
    /// The first record that does not follow the one before, or has no hash though one before it has.
    pub broken: Option<Lsn>,
}

impl Ctl {
    /// The hash of the last record up to `lsn`: what the next one follows.
    ///
    /// # Errors
    /// When the store fails, or the hash is none.
    pub fn chained_to(&self, lsn: Lsn) -> Result<Link, PortError> {
        let found = self.store().at_or_before(&placed(Kind::Chain, lsn))?;
        let found = found.filter(|(key, _)| key.first() == Some(&(Kind::Chain as u8)));
        let Some((_, hash)) = found else { return Ok(BEGIN) };
        hash.try_into().map_err(|_| self.damaged("the chain of records"))
    }

    /// Removals of the hashes of records before `lsn`, but for the last of them: the first that stays follows it.
    pub(crate) fn unchain_before(&self, lsn: Lsn) -> Result<Vec<Change>, PortError> {
        let last = placed(Kind::Chain, Lsn(lsn.0.saturating_sub(1)));
        let mut found = self.store().range(&[Kind::Chain as u8], &last, usize::MAX)?;
        found.pop();
        Ok(found.into_iter().map(|(key, _)| Change::Remove(key)).collect())
    }

    /// Follows the chain from its first record that is kept to `sealed`, and looks for a hash in it.
    ///
    /// # Errors
    /// When the store fails, or a record cannot be put together.
    pub fn follow_chain(&self, sealed: Lsn, noted: Option<&Link>) -> Result<Chained, PortError> {
        let mut found = Chained::default();
        // None until the first record that has a hash: those of an earlier program have none.
        let mut before: Option<Link> = None;
        let mut from = Lsn(0);
        loop {
            let records = self.raw_records(from, sealed, STEP)?;
            let Some((last, _)) = records.last() else { return Ok(found) };
            from = last.next();
            for (lsn, bytes) in records {
                let own = self.store().get(&placed(Kind::Chain, lsn))?;
                let Some(own) = own else {
                    if before.is_some() {
                        found.broken = Some(lsn);
                        return Ok(found);
                    }
                    continue;
                };
                let follows = match before {
                    Some(before) => before,
                    None => self.chained_to(Lsn(lsn.0.saturating_sub(1)))?,
                };
                let expected = link(&follows, lsn, &bytes);
                if own != expected {
                    found.broken = Some(lsn);
                    return Ok(found);
                }
                before = Some(expected);
                if noted == Some(&expected) {
                    found.passes = Some(lsn);
                }
                found.records += 1;
                found.span = Some((found.span.map_or(lsn, |(first, _)| first), lsn));
                found.end = before;
            }
        }
    }
}
