//! How much room the samples take: for the operator who asks, and for the benchmark.

use std::collections::BTreeMap;
use std::path::Path;

use watchfire_model::Lsn;
use watchfire_pipeline::PortError;

use crate::bucket;
use crate::days::{Days, SlotEntry};
use crate::key_value::KeyValue;
use crate::slot::Slot;
use crate::store::failed;

/// Pairs looked at at once.
const STEP: usize = 1024;

/// What the sealed samples take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Samples.
    pub rows: u64,
    /// Bytes of keys and values.
    pub encoded_bytes: u64,
    /// Bytes of the files.
    pub disk_bytes: u64,
}

/// Counts. Costs a read of everything.
pub fn sizes(days: &Days, known: &BTreeMap<Slot, SlotEntry>) -> Result<Sizes, PortError> {
    let mut sizes = Sizes::default();
    for (slot, entry) in known {
        let Some(store) = days.reading(*slot, entry)? else { continue };
        let mut at = bucket::after(&store, Lsn(0))?;
        while let Some(head) = at {
            sizes.rows += head.rows;
            at = bucket::after(&store, head.last)?;
        }
        let mut from = Vec::new();
        loop {
            let pairs = store.range(&from, &[u8::MAX; 16], STEP)?;
            let Some((last, _)) = pairs.last() else { break };
            sizes.encoded_bytes += pairs.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>();
            from = [last.as_slice(), &[0]].concat();
        }
        sizes.disk_bytes += folder_bytes(store.folder())?;
    }
    Ok(sizes)
}

/// What the files of a folder take, bytes.
pub fn folder_bytes(folder: &Path) -> Result<u64, PortError> {
    let io = |error| failed("measuring", folder, error);
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let kind = entry.metadata().map_err(io)?;
        bytes += if kind.is_dir() { folder_bytes(&entry.path())? } else { kind.len() };
    }
    Ok(bytes)
}
