//! Compiled plugins on disk, since compiling takes seconds for a large one. Nothing is given out that this gateway did
//! not write itself: each file is read once and authenticated with a key that only the gateway's user can read. What the
//! code is and who made it is not known here.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rand::TryRngCore;
use wasmtime::Engine;

use crate::SandboxError;
use crate::sealed::{Filling, Sealed};

const KEY_FILE: &str = "key";
const COMPILED: &str = "compiled";
/// What the folder may take, bytes: a dozen Python components, thousands of small ones.
const BYTES_MAX: u64 = 1 << 30;
const HASH_BYTES: usize = blake3::OUT_LEN;
/// What is read and authenticated together: no more than stays close to the core.
const PIECE_BYTES: usize = 256 << 10;

/// The folder of compiled plugins.
pub(crate) struct Cache {
    folder: PathBuf,
    key: [u8; HASH_BYTES],
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
    /// Opens the folder, made where it is missing, with its key.
    pub(crate) fn open(folder: &Path) -> Result<Self, SandboxError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SandboxError::Cache { path, source }
        };
        make_folder(folder).map_err(failed(folder))?;
        let path = folder.join(KEY_FILE);
        let key = match read_key(&path).map_err(failed(&path))? {
            Some(key) => key,
            None => make_key(&path).map_err(failed(&path))?,
        };
        Ok(Self { folder: folder.to_owned(), key })
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

/// The key; `None` where there is none, or where others could have read or written it.
fn read_key(path: &Path) -> io::Result<Option<[u8; HASH_BYTES]>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !is_private(path)? {
        tracing::warn!(path = %path.display(), "others could read the key of the compiled plugins; a new one is made");
        return Ok(None);
    }
    Ok(bytes.try_into().ok())
}

fn make_key(path: &Path) -> io::Result<[u8; HASH_BYTES]> {
    let mut key = [0; HASH_BYTES];
    rand::rngs::OsRng.try_fill_bytes(&mut key).map_err(io::Error::other)?;
    write_whole(path, &[&key])?;
    Ok(key)
}

/// Writes a private file beside its place and renames it, so that nobody ever reads half of it.
fn write_whole(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let part = path.with_extension(format!("{}.part", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&part)?;
    for bytes in parts {
        file.write_all(bytes)?;
    }
    file.sync_all()?;
    fs::rename(&part, path)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(unix)]
fn is_private(path: &Path) -> io::Result<bool> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path)?.permissions());
    Ok(mode & 0o077 == 0)
}

#[cfg(not(unix))]
fn is_private(_path: &Path) -> io::Result<bool> {
    Ok(true)
}
