//! Compiled plugins on disk, since compiling takes seconds for a large one. Nothing is run that this gateway did not
//! write itself: each file is read once and authenticated with a key that only the gateway's user can read.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rand::TryRngCore;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::SandboxError;

const KEY_FILE: &str = "key";
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

    /// The compiled component, if it was compiled before by this version with these settings.
    #[expect(unsafe_code, reason = "loading code that this gateway compiled and authenticated")]
    pub(crate) fn load(&self, engine: &Engine, digest: &blake3::Hash) -> Option<Component> {
        let path = self.path(digest);
        let file = match fs::read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled plugin cannot be read and is compiled again");
                return None;
            }
        };
        let code = self.authenticated(&file, &self.entry(engine, digest), &path)?;
        // SAFETY: `code` was written by `store`: it carries a MAC under a key that only this gateway's user can read,
        // over the entry's name, which binds the component, the wasmtime version and the engine's settings. It was read
        // once into memory that nobody else can change, and is copied from there.
        let loaded = unsafe { Component::deserialize(engine, code) };
        loaded
            .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "compiled plugin is compiled again"))
            .ok()
    }

    /// Keeps a compiled component. Failing costs time at the next start, nothing else.
    pub(crate) fn store(&self, engine: &Engine, digest: &blake3::Hash, component: &Component) {
        let path = self.path(digest);
        let entry = self.entry(engine, digest);
        let kept = component.serialize().map_err(io::Error::other).and_then(|code| {
            let mac = self.mac(&entry, &code);
            write_whole(&path, &[entry.as_bytes(), mac.as_bytes(), &code])
        });
        if let Err(error) = kept {
            tracing::warn!(path = %path.display(), %error, "compiled plugin cannot be kept");
        }
    }

    /// One file a component: what another version compiled is written over.
    fn path(&self, digest: &blake3::Hash) -> PathBuf {
        self.folder.join(format!("{}.compiled", digest.to_hex()))
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

    /// The code in a file, if the file is for this entry and unchanged. Comparing takes the same time for any bytes.
    fn authenticated<'a>(&self, file: &'a [u8], entry: &blake3::Hash, path: &Path) -> Option<&'a [u8]> {
        let (of, rest) = file.split_first_chunk::<HASH_BYTES>()?;
        if blake3::Hash::from_bytes(*of) != *entry {
            tracing::debug!(path = %path.display(), "compiled by another version or with another key; compiled again");
            return None;
        }
        let (mac, code) = rest.split_first_chunk::<HASH_BYTES>()?;
        if blake3::Hash::from_bytes(*mac) != self.mac(entry, code) {
            tracing::warn!(path = %path.display(), "compiled plugin was changed by someone else; it is compiled again");
            return None;
        }
        Some(code)
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
