//! What servers were found to have, kept in the data folder as `found/SOURCE.json`: so that the gateway starts with the
//! same signals while a server is away. Whole or not at all: written beside, then renamed.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use watchfire_config::Found;
use watchfire_model::Instant;

/// The form of the files.
const VERSION: u32 = 1;
/// Larger files are not ours: a hundred thousand signals take a third of it.
const FILE_BYTES_MAX: u64 = 256 << 20;

#[derive(Serialize, Deserialize)]
struct Kept<F> {
    version: u32,
    source: String,
    surveyed: String,
    #[serde(flatten)]
    found: F,
}

/// The folder of the lists.
#[derive(Clone, Debug)]
pub struct FoundFolder(PathBuf);

impl FoundFolder {
    /// The one of a data folder. Touches nothing.
    pub fn of(data: &Path) -> Self {
        Self(data.join("found"))
    }

    /// Where the list of a source is.
    pub fn file(&self, source: &str) -> PathBuf {
        self.0.join(format!("{source}.json"))
    }

    /// What was found of a source the last time; `None` when there is no list, or none that can be read: then it says so
    /// in the log. Blocks.
    pub fn load(&self, source: &str) -> Option<Found> {
        let path = self.file(source);
        if !path.exists() {
            return None;
        }
        read(&path, source)
            .inspect_err(|error| {
                let error = format!("{error:#}");
                tracing::warn!(source, path = %path.display(), error, "the list of found signals is not used");
            })
            .ok()
    }

    /// Keeps what was found; on the disk when it returns. Blocks.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, source: &str, found: &Found, now: Instant) -> Result<()> {
        let path = self.file(source);
        let kept = Kept { version: VERSION, source: source.to_owned(), surveyed: now.to_string(), found };
        self.write(&path, &serde_json::to_vec_pretty(&kept)?)
            .with_context(|| format!("cannot keep what was found of source `{source}` in `{}`", path.display()))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        fs::create_dir_all(&self.0)?;
        let new = path.with_extension("json.new");
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        #[cfg(unix)]
        File::open(&self.0)?.sync_all()?;
        Ok(())
    }
}

fn read(path: &Path, source: &str) -> Result<Found> {
    let size = fs::metadata(path)?.len();
    if size > FILE_BYTES_MAX {
        bail!("it has {size} bytes; {FILE_BYTES_MAX} are the most that is read");
    }
    let kept: Kept<Found> = serde_json::from_slice(&fs::read(path)?).context("it is no such list")?;
    if (kept.version, kept.source.as_str()) != (VERSION, source) {
        bail!("it is of source `{}` in form {}; remove it", kept.source, kept.version);
    }
    Ok(kept.found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_config::{About, FoundSignal};

    #[test]
    fn a_list_is_kept_whole_and_a_damaged_one_is_none() {
        let data = tempfile::tempdir().unwrap();
        let folder = FoundFolder::of(data.path());
        assert_eq!(folder.load("press"), None);
        let about = About { range: Some((0.1, 1e300)), ..About::default() };
        let path = vec!["Plant".to_owned(), "Speed".to_owned()];
        let found = Found {
            signals: vec![FoundSignal { select: "/**".into(), path, node: "i=1".into(), about }],
            ..Found::default()
        };
        folder.keep("press", &found, Instant::from_s(1)).unwrap();
        assert_eq!(folder.load("press"), Some(found));
        fs::copy(folder.file("press"), folder.file("other")).unwrap();
        assert_eq!(folder.load("other"), None, "another source's");
        let half = fs::read(folder.file("press")).unwrap();
        fs::write(folder.file("press"), &half[..half.len() / 2]).unwrap();
        assert_eq!(folder.load("press"), None);
    }
}
