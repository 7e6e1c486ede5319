//! Compiled plugins on disk, since compiling takes seconds for a large one. Nothing is given out that this gateway did
//! not write itself: each file is read once and authenticated with a key that only the gateway's user can read and that
//! lies elsewhere. What the code is and who made it is not known here.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use wasmtime::Engine;

use crate::SandboxError;
use crate::key::{self, KEY_BYTES, make_folder, write_whole};
use crate::sealed::{Filling, Sealed};

const COMPILED: &str = "compiled";
/// What the folder may take, bytes: a dozen Python components, thousands of small ones.
const BYTES_MAX: u64 = 1 << 30;
const HASH_BYTES: usize = blake3::OUT_LEN;
/// What is read and authenticated together: no more than stays close to the core.
const PIECE_BYTES: usize = 256 << 10;

/// Where compiled plugins are kept. Both are made where they are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheAt {
    /// The folder that they lie in.
    pub folder: PathBuf,
    /// The file of the key that authenticates them; outside of the folder, so that who can write there alone can make
    /// nothing pass for ours.
    pub key: PathBuf,
}

/// The folder of compiled plugins.
pub(crate) struct Cache {
    folder: PathBuf,
    key: [u8; KEY_BYTES],
}

/// BLAKE3 where the standard library asks for a hasher.
struct Blake(blake3::Hasher);

impl Hasher for Blake {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    fn finish(&self) -> u64 {
        0
    }
}

impl Cache {
    /// Opens the folder with its key.
    pub(crate) fn open(at: &CacheAt) -> Result<Self, SandboxError> {
        let CacheAt { folder, key } = at;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SandboxError::Cache { path, source }
        };
        if key.starts_with(folder) {
            let message = "the key may not lie where it authenticates what lies there";
            return Err(failed(key)(io::Error::other(message)));
        }
        make_folder(folder).map_err(failed(folder))?;
        let key = key::of(key).map_err(|source| SandboxError::Key { path: key.clone(), source })?;
        Ok(Self { folder: folder.clone(), key })
    }

    /// The machine code of a component, if it was compiled before by this version with these settings.
    pub(crate) fn read(&self, engine: &Engine, sha256: &str) -> Option<Sealed> {
        let path = self.path(sha256);
        match self.read_ours(&path, &self.entry(engine, sha256)) {
            Ok(code) => code,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled plugin cannot be read and is compiled again");
                None
            }
        }
    }

    /// Reads a file once: each piece is authenticated while it is at hand, and nothing is given out before the last one
    /// was. `None` where it is not for this entry, or was changed. Comparing takes the same time for any bytes.
    fn read_ours(&self, path: &Path, entry: &blake3::Hash) -> io::Result<Option<Sealed>> {
        let mut file = fs::File::open(path)?;
        let (mut of, mut mac) = ([0; HASH_BYTES], [0; HASH_BYTES]);
        file.read_exact(&mut of)?;
        if blake3::Hash::from_bytes(of) != *entry {
            tracing::debug!(path = %path.display(), "compiled by another version or with another key; compiled again");
            return Ok(None);
        }
        file.read_exact(&mut mac)?;
        let bytes = usize::try_from(file.metadata()?.len()).unwrap_or(0).saturating_sub(2 * HASH_BYTES);
        let (mut code, mut hasher) = (Filling::new(bytes), self.hasher(entry));
        let mut piece = vec![0; PIECE_BYTES.min(bytes.max(1))];
        loop {
            let some = match file.read(&mut piece) {
                Ok(0) => break,
                Ok(some) => piece.get(..some).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(some);
            code.put(some)?;
        }
        if blake3::Hash::from_bytes(mac) != hasher.finalize() {
            tracing::warn!(path = %path.display(), "compiled plugin was changed by someone else; it is compiled again");
            return Ok(None);
        }
        code.seal().map(Some)
    }

    /// Keeps machine code. Failing costs time at the next start, nothing else.
    pub(crate) fn keep(&self, engine: &Engine, sha256: &str, code: &[u8]) {
        let path = self.path(sha256);
        let entry = self.entry(engine, sha256);
        let mac = self.hasher(&entry).update(code).finalize();
        let kept = write_whole(&path, &[entry.as_bytes(), mac.as_bytes(), code]).and_then(|()| self.make_room(&path));
        if let Err(error) = kept {
            tracing::warn!(path = %path.display(), %error, "compiled plugin cannot be kept");
        }
    }

    /// Removes what was kept first, until the rest is no more than [`BYTES_MAX`]; never what was kept just now.
    fn make_room(&self, newest: &Path) -> io::Result<()> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path != newest && path.extension().is_some_and(|extension| extension == COMPILED) {
                let about = fs::metadata(&path)?;
                kept.push((about.modified()?, about.len(), path));
            }
        }
        kept.sort();
        let mut bytes = fs::metadata(newest)?.len() + kept.iter().map(|(_, bytes, _)| bytes).sum::<u64>();
        for (_, freed, path) in kept {
            if bytes <= BYTES_MAX {
                break;
            }
            fs::remove_file(path)?;
            bytes -= freed;
        }
        Ok(())
    }

    /// One file a component: what another version compiled is written over.
    fn path(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}.{COMPILED}"))
    }

    /// What the compiled code depends on.
    fn entry(&self, engine: &Engine, sha256: &str) -> blake3::Hash {
        let mut hasher = Blake(blake3::Hasher::new_keyed(&self.key));
        hasher.write(b"entry");
        hasher.write(sha256.as_bytes());
        hasher.write(env!("CARGO_PKG_VERSION").as_bytes());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.0.finalize()
    }

    /// What authenticates the code of an entry.
    fn hasher(&self, entry: &blake3::Hash) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(b"code").update(entry.as_bytes());
        hasher
    }
}
