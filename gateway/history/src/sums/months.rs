//! The databases of summaries, one for each UTC month, hardly any of them open.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::{Mutex, RwLock};
use watchfire_pipeline::PortError;

use super::block::{Hour, hour_of_key, keys_of_hour, keys_of_list};
use super::ledger::{Held, Ledger, Month, NOTE, month_of};
use super::work::Work;
use crate::ctl::{Ctl, Kind, named};
use crate::digest::share;
use crate::key_value::KeyValue;
use crate::sizes::folder_bytes;
use crate::store::{Store, failed, sync_folder};

/// Databases that stay open for whoever reads on.
const OPEN_MAX: usize = 2;
/// What a database keeps decoded.
pub const CACHE_BYTES: u64 = 2 << 20;
/// What a month's name ends with while it is dropped.
const DROPPED: &str = "dropped";

/// The summaries of a data folder.
#[derive(Debug)]
pub struct Sums {
    folder: PathBuf,
    pub(super) ledger: RwLock<Ledger>,
    open: Mutex<Vec<(Month, Arc<Store>)>>,
    /// Months in which something was found that is not what was written.
    suspects: Mutex<BTreeSet<Month>>,
    /// What is being done, and what had been looked at when there was nothing to do.
    pub(super) work: Mutex<Option<Work>>,
    pub(super) idle_at: Mutex<Option<(watchfire_model::Lsn, Hour)>>,
    /// Something cannot be read or written, be it a damaged sample or that the system refuses it: nothing more is
    /// summarised until the next start.
    pub(super) is_stalled: AtomicBool,
}

impl Sums {
    /// The summaries of a data folder. What no ledger knows is set aside under another name.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn open(data: &Path, ctl: &Ctl) -> Result<Self, PortError> {
        let folder = data.join("sums");
        let noted = ctl.value(&named(Kind::Note, NOTE))?;
        let ledger = noted.as_deref().and_then(Ledger::decode);
        if noted.is_some() && ledger.is_none() {
            tracing::warn!("the ledger of summaries cannot be decoded: they are made anew from samples");
        }
        let ledger = ledger.unwrap_or_default();
        if folder.exists()
            && let Err(error) = tidied(&folder, &ledger)
        {
            // Whoever makes summaries will meet it again, and tell.
            tracing::warn!(%error, "the folder of summaries cannot be tidied");
        }
        Ok(Self {
            folder,
            ledger: RwLock::new(ledger),
            open: Mutex::default(),
            suspects: Mutex::default(),
            work: Mutex::default(),
            idle_at: Mutex::default(),
            is_stalled: AtomicBool::new(false),
        })
    }

    /// Where a month's database lies.
    pub fn path(&self, month: &Month) -> PathBuf {
        self.folder.join(month)
    }

    /// The months that the ledger knows.
    pub fn months(&self) -> Vec<Month> {
        self.ledger.read().months.keys().cloned().collect()
    }

    /// A month's database, if the ledger knows the month; opened, it holds what the ledger says. Costs, when it is
    /// opened, a read of the lists of its hours.
    ///
    /// # Errors
    /// [`PortError::Damaged`] when it does not; when it cannot be opened.
    pub fn store(&self, month: &Month) -> Result<Option<Arc<Store>>, PortError> {
        let ledger = self.ledger.read().clone();
        let Some(held) = ledger.months.get(month) else { return Ok(None) };
        let mut open = self.open.lock();
        if let Some(at) = open.iter().position(|(name, _)| name == month) {
            // The one used last goes last.
            open.get_mut(at..).into_iter().for_each(|rest| rest.rotate_left(1));
            return Ok(open.last().map(|(_, store)| store.clone()));
        }
        let path = self.path(month);
        if *held != Held::default() && !path.join("db").exists() {
            return Err(damaged(&path, "it is missing"));
        }
        if !self.folder.exists() {
            std::fs::create_dir_all(&self.folder).map_err(|error| failed("making the folder", &self.folder, error))?;
            self.folder.parent().map_or(Ok(()), sync_folder)?;
        }
        let mut surplus = (open.len() + 1).saturating_sub(OPEN_MAX);
        open.retain(|(_, store)| {
            let stays = surplus == 0 || Arc::strong_count(store) > 1;
            surplus -= usize::from(!stays);
            stays
        });
        let store = Arc::new(Store::open(&path, CACHE_BYTES)?);
        if held_by(&store, &ledger.writing)? != *held {
            return Err(damaged(&path, "it does not hold what the ledger says"));
        }
        open.push((month.clone(), store.clone()));
        Ok(Some(store))
    }

    /// Closes what nobody uses.
    pub fn close_idle(&self) {
        self.open.lock().retain(|(_, store)| Arc::strong_count(store) > 1);
    }

    /// Notes that something in a month is not what was written: it is set aside before anything else is summarised.
    pub fn suspect(&self, month: &Month, error: &PortError) {
        if self.suspects.lock().insert(month.clone()) {
            tracing::warn!(month, %error, "summaries are damaged: they are set aside, and made anew from samples");
        }
    }

    /// The month that an error names, if it is damage of one.
    pub(super) fn month_named(&self, error: &PortError) -> Option<Month> {
        let PortError::Damaged { what, .. } = error else { return None };
        self.months().into_iter().find(|month| what.contains(&self.path(month).display().to_string()))
    }

    /// Whether a month is to be set aside.
    pub fn is_suspect(&self, month: &Month) -> bool {
        self.suspects.lock().contains(month)
    }

    /// The months that are to be set aside.
    pub(super) fn suspects(&self) -> Vec<Month> {
        self.suspects.lock().iter().cloned().collect()
    }

    /// Gives a month's folder another name. The ledger must no longer know it.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub(super) fn set_aside(&self, month: &Month) -> Result<(), PortError> {
        self.open.lock().retain(|(name, _)| name != month);
        let path = self.path(month);
        if path.exists() {
            aside(&path)?;
            sync_folder(&self.folder)?;
        }
        self.suspects.lock().remove(month);
        Ok(())
    }

    /// Removes a month's folder. The ledger must no longer know it, and nobody may use it.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, month: &Month) -> Result<(), PortError> {
        self.open.lock().retain(|(name, _)| name != month);
        let (path, dropped) = (self.path(month), self.path(month).with_extension(DROPPED));
        if path.exists() {
            // Under another name first, so that a kill cannot leave half of it.
            remove(&dropped)?;
            std::fs::rename(&path, &dropped).map_err(|error| failed("dropping", &path, error))?;
            remove(&dropped)?;
            sync_folder(&self.folder)?;
        }
        self.suspects.lock().remove(month);
        Ok(())
    }

    /// What the months that the ledger knows take on the disk, bytes: what is set aside is not for it to drop.
    ///
    /// # Errors
    /// When they cannot be looked at.
    pub fn bytes_of_months(&self) -> Result<u64, PortError> {
        let paths = self.months().into_iter().map(|month| self.path(&month));
        paths.filter(|path| path.exists()).map(|path| folder_bytes(&path)).sum()
    }

    /// What all of it takes on the disk, bytes.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn bytes(&self) -> Result<u64, PortError> {
        if self.folder.exists() { folder_bytes(&self.folder) } else { Ok(0) }
    }

    /// Lets go of what is being done: it is begun again.
    pub fn forget_work(&self) {
        *self.work.lock() = None;
    }
}

/// Removes what was being dropped from the folder of summaries, and sets aside what no ledger knows.
fn tidied(folder: &Path, ledger: &Ledger) -> Result<(), PortError> {
    let listing = |error| failed("listing", folder, error);
    for entry in std::fs::read_dir(folder).map_err(listing)? {
        let path = entry.map_err(listing)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == DROPPED) {
            remove(&path)?;
        } else if path.extension().is_none() && !ledger.months.contains_key(name) {
            aside(&path)?;
        }
    }
    Ok(())
}

/// What a database holds, but for hours that are being written.
pub fn held_by(store: &Store, writing: &BTreeSet<Hour>) -> Result<Held, PortError> {
    let (mut held, mut next) = (Held::default(), Some(0));
    while let Some(hour) = next.map_or(Ok(None), |next| hour_from(store, next))? {
        if !writing.contains(&hour)
            && let Some(list) = list_of(store, hour)?
        {
            held.add(hour, &list);
        }
        next = hour.checked_add(1);
    }
    Ok(held)
}

/// The first hour from one on of which there is anything.
pub fn hour_from(store: &Store, hour: Hour) -> Result<Option<Hour>, PortError> {
    Ok(store.at_or_after(&keys_of_hour(hour).0)?.and_then(|(key, _)| hour_of_key(&key)))
}

/// What lies between two keys, joined; nothing where nothing does.
pub fn bytes_of(store: &Store, (first, last): (Vec<u8>, Vec<u8>)) -> Result<Vec<u8>, PortError> {
    Ok(store.range(&first, &last, usize::MAX)?.into_iter().flat_map(|(_, piece)| piece).collect())
}

/// The bytes of an hour's list, if it has one.
pub fn list_of(store: &Store, hour: Hour) -> Result<Option<Vec<u8>>, PortError> {
    // Even a list of no blocks has a byte.
    Ok(Some(bytes_of(store, keys_of_list(hour))?).filter(|bytes| !bytes.is_empty()))
}

impl Held {
    /// Counts an hour's list.
    pub fn add(&mut self, hour: Hour, list: &[u8]) {
        self.hours += 1;
        self.digest = self.digest.wrapping_add(share(&hour.to_be_bytes(), list));
    }

    /// No longer counts it.
    pub fn take(&mut self, hour: Hour, list: &[u8]) {
        self.hours = self.hours.saturating_sub(1);
        self.digest = self.digest.wrapping_sub(share(&hour.to_be_bytes(), list));
    }
}

/// Summaries of a month that are not what was written.
pub fn damaged(path: &Path, detail: &str) -> PortError {
    PortError::Damaged {
        what: format!("the summaries in `{}`", path.display()),
        detail: format!(
            "{detail}; the gateway sets them aside and makes them anew from the samples that are still kept"
        ),
    }
}

/// The same of one hour.
pub fn damaged_hour(folder: &Path, hour: Hour, detail: &str) -> PortError {
    damaged(folder, &format!("hour {} {detail}", super::block::begin_of(hour)))
}

/// Whether an hour lies in a month.
pub fn is_of(hour: Hour, month: &Month) -> bool {
    month_of(hour) == *month
}

fn aside(path: &Path) -> Result<(), PortError> {
    let aside = (0..).map(|n| path.with_extension(format!("damaged{n}"))).find(|aside| !aside.exists());
    let Some(aside) = aside else { return Ok(()) };
    tracing::warn!(folder = %aside.display(), "summaries are set aside; remove the folder once nobody misses them");
    std::fs::rename(path, &aside).map_err(|error| failed("setting aside", path, error))
}

fn remove(folder: &Path) -> Result<(), PortError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("removing", folder, error)),
        _ => Ok(()),
    }
}
