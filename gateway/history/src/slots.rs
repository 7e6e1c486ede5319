//! The databases of the time slots, one a UTC day, opened when they are needed and few at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use watchfire_model::Instant;
use watchfire_pipeline::PortError;

use crate::kv::Database;

/// Slots that stay open.
const OPEN_MAX: usize = 4;
const NS_PER_DAY: i64 = 86_400_000_000_000;

/// A UTC day: days since 1970-01-01.
pub type Day = i64;

/// The day of a time.
pub fn day_of(at: Instant) -> Day {
    at.ns().div_euclid(NS_PER_DAY)
}

/// The databases below `<data>/ts`.
#[derive(Debug)]
pub struct Slots {
    folder: PathBuf,
    open: Mutex<Vec<(Day, Arc<Database>)>>,
}

impl Slots {
    pub fn new(data_folder: &Path) -> Self {
        Self { folder: data_folder.join("ts"), open: Mutex::default() }
    }

    fn path(&self, day: Day) -> PathBuf {
        let date = Instant::from_s(day.saturating_mul(86_400)).to_string();
        self.folder.join(date.get(..10).unwrap_or(&date))
    }

    /// The database of a day.
    pub fn get(&self, day: Day) -> Result<Arc<Database>, PortError> {
        let mut open = self.open.lock();
        if let Some(at) = open.iter().position(|(held, _)| *held == day) {
            let found = open.remove(at);
            open.push(found.clone());
            return Ok(found.1);
        }
        if open.len() >= OPEN_MAX {
            open.remove(0);
        }
        let database = Arc::new(Database::open(&self.path(day))?);
        open.push((day, database.clone()));
        Ok(database)
    }

    /// Removes a day with everything in it.
    pub fn remove(&self, day: Day) -> Result<(), PortError> {
        self.open.lock().retain(|(held, _)| *held != day);
        let path = self.path(day);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(PortError::Io { doing: format!("removing `{}`", path.display()), source: error })
            }
            _ => Ok(()),
        }
    }
}
