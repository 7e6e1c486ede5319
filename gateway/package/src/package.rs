//! A package as a whole: read from bytes, or made of its parts.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::archive::{self, Entry};
use crate::key::SigningKey;
use crate::{Digest, Manifest, PackageError};

/// How the names of packages end.
pub const EXTENSION: &str = "wfpkg";
/// The component's name in a package.
pub const COMPONENT: &str = "detector.wasm";
/// The manifest's.
const MANIFEST: &str = "manifest.toml";
/// The signature's: what `minisign` looks for beside the manifest.
const SIGNATURE: &str = "manifest.toml.minisig";
/// How the names of software bills of materials begin.
const SBOM: &str = "sbom.";
/// The largest package, bytes: a component of 128 MiB and what goes with it.
const BYTES_MAX: u64 = 160 << 20;

/// A package that is whole: every file is there, and is the one that the manifest names. Who signed it, and whether
/// that counts, [`Trust::judge`](crate::Trust::judge) says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package<'a> {
    /// What it says it is.
    pub manifest: Manifest,
    /// The WebAssembly component.
    pub component: &'a [u8],
    /// Where it begins in the package's bytes.
    start: usize,
    /// The component's digest, which detectors are bound to.
    pub digest: Digest,
    /// The software bill of materials: its name and its bytes.
    pub sbom: Option<(&'a str, &'a [u8])>,
    /// The manifest as it was signed.
    pub(crate) signed: &'a [u8],
    /// The signature, minisign's text.
    pub(crate) signature: Option<&'a str>,
}

impl<'a> Package<'a> {
    /// Reads a package. Takes as long as hashing its bytes; allocates little, whatever they are.
    ///
    /// # Errors
    /// Everything that does not make a whole package, by name; never for who signed it.
    pub fn read(bytes: &'a [u8]) -> Result<Self, PackageError> {
        check_size(bytes.len() as u64)?;
        let entries = archive::read(bytes)?;
        let found = |name: &str| entries.iter().find(|entry| entry.name == name).map(|entry| entry.bytes);
        let missing = |name: &str| PackageError::Missing { name: name.to_owned() };
        let signed = found(MANIFEST).ok_or_else(|| missing(MANIFEST))?;
        let manifest = Manifest::read(signed)?;
        let absent = manifest.files.keys().map(String::as_str).chain([COMPONENT]).find(|name| found(name).is_none());
        if let Some(name) = absent {
            return Err(missing(name));
        }
        for Entry { name, bytes, .. } in &entries {
            match (manifest.files.get(*name), *name) {
                (None, MANIFEST | SIGNATURE) => {}
                (Some(_), MANIFEST | SIGNATURE) | (None, _) => {
                    return Err(PackageError::Unlisted { name: (*name).to_owned() });
                }
                (Some(listed), _) => {
                    let found = Digest::of(bytes);
                    if found != *listed {
                        return Err(PackageError::Changed { name: (*name).to_owned(), listed: *listed, found });
                    }
                }
            }
        }
        let component = entries.iter().find(|entry| entry.name == COMPONENT).ok_or_else(|| missing(COMPONENT))?;
        let digest = *manifest.files.get(COMPONENT).ok_or_else(|| missing(COMPONENT))?;
        let sbom = entries.iter().find(|entry| entry.name.starts_with(SBOM)).map(|entry| (entry.name, entry.bytes));
        let text = |bytes: &'a [u8]| {
            str::from_utf8(bytes).map_err(|_| PackageError::Signature { reason: "it is no text".to_owned() })
        };
        let signature = found(SIGNATURE).map(text).transpose()?;
        let (component, start) = (component.bytes, component.start);
        Ok(Self { manifest, component, start, digest, sbom, signed, signature })
    }

    /// Where in the package's bytes the component is.
    #[must_use]
    pub fn place(&self) -> Range<usize> {
        self.start..self.start + self.component.len()
    }

    /// What its file is called.
    #[must_use]
    pub fn file_name(&self) -> String {
        file_name(&self.manifest)
    }

    /// The names of its files.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.manifest.files.keys().map(String::as_str)
    }
}

/// Whether a package can have so many bytes; to be asked before they are read.
pub(crate) fn check_size(bytes: u64) -> Result<(), PackageError> {
    if bytes > BYTES_MAX { Err(PackageError::TooLarge { bytes, most: BYTES_MAX }) } else { Ok(()) }
}

fn file_name(manifest: &Manifest) -> String {
    format!("{}-{}.{EXTENSION}", manifest.name, manifest.version)
}

/// Makes a package of a component and whatever goes with it, and signs it, or leaves it unsigned. Answers what its
/// file is called, and its bytes.
///
/// # Errors
/// When a name or a text is not good, or the package would be too large.
pub fn make(
    mut manifest: Manifest,
    component: &[u8],
    others: &[(String, Vec<u8>)],
    key: Option<&SigningKey>,
) -> Result<(String, Vec<u8>), PackageError> {
    let mut names = BTreeSet::from([MANIFEST, SIGNATURE, COMPONENT]);
    for (name, bytes) in others {
        if !archive::is_name(name) || !names.insert(name) {
            let reason = format!("`{name}` cannot be a file in it, or is there twice; rename it");
            return Err(PackageError::Unmakeable { reason });
        }
        manifest.files.insert(name.clone(), Digest::of(bytes));
    }
    manifest.files.insert(COMPONENT.to_owned(), Digest::of(component));
    let text = manifest.write()?;
    let comment = format!("{} {} for watchfire {}", manifest.name, manifest.version, manifest.contract);
    let signature = key.map(|key| key.sign(&text, &comment)).transpose()?;
    // What is signed comes first, the component last: whoever lists a package sees what it is.
    let mut entries = vec![Entry::new(MANIFEST, &text)];
    entries.extend(signature.as_ref().map(|signature| Entry::new(SIGNATURE, signature.as_bytes())));
    entries.extend(others.iter().map(|(name, bytes)| Entry::new(name, bytes)));
    entries.push(Entry::new(COMPONENT, component));
    let bytes = archive::write(&entries);
    Package::read(&bytes)?;
    Ok((file_name(&manifest), bytes))
}
