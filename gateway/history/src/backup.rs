//! A copy of the store of record while it is in use: its databases are read and written anew, key by key, so that what
//! is copied was read and checked, and the copy is whole whatever is sealed meanwhile.

use std::path::Path;

use watchfire_model::Lsn;
use watchfire_pipeline::PortError;

use crate::bucket::bucket_of;
use crate::days::{SlotEntry, filled};
use crate::history::SledHistory;
use crate::key_value::KeyValue;
use crate::store::{Store, failed, sync_folder};

/// Pairs copied at once: some megabytes.
const STEP: usize = 512;
const CACHE_BYTES: u64 = 16 << 20;

/// What was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Everything up to this record is in the copy of the store.
    pub sealed: Lsn,
    /// Days of samples.
    pub days: usize,
}

impl SledHistory {
    /// Copies everything sealed into the data folder `to`, which must exist and hold none. `rest` is called once, with
    /// the last record of the copy, while nothing is sealed: whoever copies what follows finds all of it. The mark of
    /// the copy is its own. Costs a read and a write of everything; days are not dropped meanwhile.
    ///
    /// # Errors
    /// When a store fails, or `rest` does. What was copied until then is of no use.
    pub fn back_up(&self, to: &Path, rest: impl FnOnce(Lsn) -> Result<(), PortError>) -> Result<Copied, PortError> {
        let _kept = self.keeping.lock();
        let sealing = self.sealing.lock();
        let (sealed, days) = self.counted();
        self.ctl().copy_to(to)?;
        rest(sealed)?;
        drop(sealing);
        let folder = to.join("ts");
        std::fs::create_dir(&folder).map_err(|error| failed("making the folder", &folder, error))?;
        let mut copied = Copied { sealed, days: 0 };
        for (slot, entry) in &days {
            let path = folder.join(slot.to_string());
            let Some(from) = self.days().reading(*slot, entry)? else {
                // Set aside as damaged here, and so there.
                let aside = path.with_extension("damaged");
                std::fs::create_dir(&aside).map_err(|error| failed("making the folder", &aside, error))?;
                continue;
            };
            copy_day(&from, Store::open(&path, CACHE_BYTES)?, entry)?;
            copied.days += 1;
        }
        sync_folder(&folder)?;
        self.copy_sums(to)?;
        sync_folder(to)?;
        Ok(copied)
    }
}

/// Copies the buckets of a day up to the last one that counts.
fn copy_day(from: &Store, to: Store, entry: &SlotEntry) -> Result<(), PortError> {
    let counts = |key: &[u8]| bucket_of(key).is_some_and(|first| first <= entry.last);
    copy(from, &to, counts)?;
    to.write(vec![vec![filled(entry.last)]])?;
    to.commit()?;
    to.close()
}

/// Copies the pairs whose keys are `wanted` into a database that has none of them; not durable until committed.
pub fn copy(from: &impl KeyValue, to: &impl KeyValue, wanted: impl Fn(&[u8]) -> bool) -> Result<(), PortError> {
    let mut next = Vec::new();
    loop {
        let pairs = from.range(&next, &[u8::MAX; 64], STEP)?;
        let Some((last, _)) = pairs.last() else { return Ok(()) };
        next = [last.as_slice(), &[0]].concat();
        to.lay(pairs.into_iter().filter(|(key, _)| wanted(key)).collect())?;
    }
}
