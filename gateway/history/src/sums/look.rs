//! Looking through summaries and copying them: whether all of them are what was written.

use std::path::Path;

use watchfire_pipeline::PortError;

use super::block::{Found, Hour, keys_of_block, keys_of_minutes, read_list, read_minutes};
use super::months::{CACHE_BYTES, bytes_of, damaged_hour, hour_from, list_of};
use crate::backup::copy;
use crate::history::SledHistory;
use crate::key_value::KeyValue;
use crate::store::{Store, failed, sync_folder};

/// What a look through the summaries found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Summaries of hours.
    pub hours: u64,
    /// Summaries of minutes.
    pub minutes: u64,
}

impl SledHistory {
    /// Looks through everything that is summarised; what is damaged goes to `faults`, and is made anew later.
    pub(crate) fn look_through_sums(&self, faults: &mut Vec<PortError>) -> Looked {
        let mut looked = Looked::default();
        let writing = self.sums().ledger.read().writing.clone();
        for month in self.sums().months() {
            let whole = self.sums_of(&month).and_then(|store| {
                let Some(store) = store else { return Ok(()) };
                let mut next = Some(0);
                while let Some(hour) = next.map_or(Ok(None), |next| hour_from(&store, next))? {
                    next = hour.checked_add(1);
                    if !writing.contains(&hour) {
                        look_at(&store, hour, &mut looked)?;
                    }
                }
                Ok(())
            });
            if let Err(error) = self.noted(&month, whole) {
                faults.push(error);
            }
        }
        looked
    }

    /// Copies the summaries into the data folder `to`. What is damaged is left out: it is made anew there.
    pub(crate) fn copy_sums(&self, to: &Path) -> Result<(), PortError> {
        let folder = to.join("sums");
        for month in self.sums().months() {
            let from = match self.sums_of(&month) {
                Ok(Some(store)) => store,
                Ok(None) | Err(PortError::Damaged { .. }) => continue,
                Err(error) => return Err(error),
            };
            std::fs::create_dir_all(&folder).map_err(|error| failed("making the folder", &folder, error))?;
            let copied = Store::open(&folder.join(&month), CACHE_BYTES)?;
            copy(&*from, &copied, |_| true)?;
            copied.commit()?;
            copied.close()?;
            sync_folder(&folder)?;
        }
        self.sums().close_idle();
        Ok(())
    }
}

fn look_at(store: &Store, hour: Hour, looked: &mut Looked) -> Result<(), PortError> {
    let damaged = |detail: &str| damaged_hour(store.folder(), hour, detail);
    let list = list_of(store, hour)?.and_then(|list| read_list(&list)).ok_or_else(|| damaged("has no list"))?;
    for (block, sum) in list {
        let found = Found::read(hour, block, &bytes_of(store, keys_of_block(hour, block, false))?);
        let Some((found, _)) = found.filter(|(_, own)| *own == sum) else {
            return Err(damaged(&format!("lacks block {block}")));
        };
        for (signal, (_, minutes)) in found.entries {
            looked.hours += 1;
            let Some((length, sum)) = minutes else { continue };
            let bytes = bytes_of(store, keys_of_minutes(hour, signal))?;
            let read = read_minutes(hour, &bytes).filter(|_| bytes.len() == length && crc32fast::hash(&bytes) == sum);
            let read = read.ok_or_else(|| damaged(&format!("lacks minutes of signal {signal}")))?;
            looked.minutes += read.len() as u64;
        }
    }
    Ok(())
}
