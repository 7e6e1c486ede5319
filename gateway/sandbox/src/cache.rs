//! Compiled plugins on disk, since compiling takes seconds for a large one. Nothing is given out that this gateway did
//! not write itself: each file is read once and authenticated with a key that only the gateway's user can read. What the
//! code is and who made it is not known here.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rand::TryRngCore;
use wasmtime::Engine;

use crate::SandboxError;

const KEY_FILE: &str = "key";
const COMPILED: &str = "compiled";
/// What the folder may take, bytes: a dozen Python components, thousands of small ones.
const BYTES_MAX: u64 = 1 << 30;
const HASH_BYTES: usize = blake3::OUT_LEN;

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
    pub(crate) fn read(&self, engine: &Engine, digest: &blake3::Hash) -> Option<Kept> {
        let path = self.path(digest);
        let file = match fs::read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled plugin cannot be read and is compiled again");
                return None;
            }
        };
        self.is_ours(&file, &self.entry(engine, digest), &path).then_some(Kept(file))
    }

    /// Keeps machine code. Failing costs time at the next start, nothing else.
    pub(crate) fn keep(&self, engine: &Engine, digest: &blake3::Hash, code: &[u8]) {
        let path = self.path(digest);
        let entry = self.entry(engine, digest);
        let mac = self.mac(&entry, code);
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
    fn path(&self, digest: &blake3::Hash) -> PathBuf {
        self.folder.join(format!("{}.{COMPILED}", digest.to_hex()))
    }

    /// What the compiled code depends on.
    fn entry(&self, engine: &Engine, digest: &blake3::Hash) -> blake3::Hash {
        let mut hasher = Blake(blake3::Hasher::new_keyed(&self.key));
        hasher.write(b"entry");
        hasher.write(digest.as_bytes());
        hasher.write(env!("CARGO_PKG_VERSION").as_bytes());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.0.finalize()
    }

    fn mac(&self, entry: &blake3::Hash, code: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(b"code").update(entry.as_bytes()).update(code);
        hasher.finalize()
    }

    /// Whether a file is for this entry and unchanged. Comparing takes the same time for any bytes.
    fn is_ours(&self, file: &[u8], entry: &blake3::Hash, path: &Path) -> bool {
        let Some((of, rest)) = file.split_first_chunk::<HASH_BYTES>() else { return false };
        if blake3::Hash::from_bytes(*of) != *entry {
            tracing::debug!(path = %path.display(), "compiled by another version or with another key; compiled again");
            return false;
        }
        let Some((mac, code)) = rest.split_first_chunk::<HASH_BYTES>() else { return false };
        if blake3::Hash::from_bytes(*mac) != self.mac(entry, code) {
            tracing::warn!(path = %path.display(), "compiled plugin was changed by someone else; it is compiled again");
            return false;
        }
        true
    }
}

/// A file that was read once and is ours.
pub(crate) struct Kept(Vec<u8>);

impl Kept {
    /// The machine code in it.
    pub(crate) fn code(&self) -> &[u8] {
        self.0.get(2 * HASH_BYTES..).unwrap_or_default()
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
