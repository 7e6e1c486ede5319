//! The manifest: what a package is, and the SHA-256 of every file in it. It alone is signed, so it binds all others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::archive::is_name;
use crate::{Digest, PackageError};

/// The form of manifests.
const FORM: u32 = 1;
/// The longest manifest, bytes.
const BYTES_MAX: usize = 64 << 10;
/// The longest text in it, bytes.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// The most brackets in all, and the most dots in a key or text.
const NESTED_MAX: usize = 100;
/// The longest name of a detector, and the longest version, bytes.
const NAME_BYTES_MAX: usize = 40;

/// What a package says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The form of this file.
    pub form: u32,
    /// The detector's name: small letters, digits, `-` and `_`.
    pub name: String,
    /// Its version: letters, digits, `.`, `-`, `+`.
    pub version: String,
    /// Its licence, an SPDX expression.
    pub licence: String,
    /// What it does, one sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The version of the detector contract that it is made for.
    pub contract: String,
    /// The digest of every other file.
    pub files: BTreeMap<String, Digest>,
}

impl Manifest {
    /// A manifest without files.
    #[must_use]
    pub fn new(name: &str, version: &str, licence: &str, contract: &str) -> Self {
        Self {
            form: FORM,
            name: name.to_owned(),
            version: version.to_owned(),
            licence: licence.to_owned(),
            description: String::new(),
            contract: contract.to_owned(),
            files: BTreeMap::new(),
        }
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, PackageError> {
        let wrong = |reason: String| PackageError::Manifest { reason };
        if bytes.len() > BYTES_MAX {
            return Err(wrong(format!("it has {} bytes, {BYTES_MAX} are the most", bytes.len())));
        }
        let text = str::from_utf8(bytes).map_err(|_| wrong("it is no UTF-8".to_owned()))?;
        if nests(text) {
            return Err(wrong("it nests keys".to_owned()));
        }
        let manifest: Self = toml::from_str(text).map_err(|error| wrong(one_line(error.message())))?;
        manifest.fault().map_or(Ok(manifest), |fault| Err(wrong(fault)))
    }

    pub(crate) fn write(&self) -> Result<Vec<u8>, PackageError> {
        let wrong = |reason: String| PackageError::Unmakeable { reason };
        if let Some(fault) = self.fault() {
            return Err(wrong(fault));
        }
        toml::to_string(self).map(String::into_bytes).map_err(|error| wrong(error.to_string()))
    }

    /// What is wrong with it.
    fn fault(&self) -> Option<String> {
        if self.form != FORM {
            return Some(format!("it has form {}, this version knows {FORM}; upgrade the gateway", self.form));
        }
        if !is_detector_name(&self.name) {
            let way_out = "use small letters, digits, `-` and `_`, and begin with a letter";
            return Some(format!("`name` is \"{}\"; {way_out}", self.name.escape_debug()));
        }
        let texts = [
            ("version", &self.version),
            ("licence", &self.licence),
            ("contract", &self.contract),
            ("description", &self.description),
        ];
        for (key, text) in texts {
            let empty = text.trim().is_empty() && key != "description";
            if empty || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
                return Some(format!("`{key}` is empty, too long or not one line of text"));
            }
        }
        let in_version = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
        if self.version.len() > NAME_BYTES_MAX || !self.version.chars().all(in_version) {
            let way_out = "use letters, digits, `.`, `-` and `+`, such as `1.4.0`";
            return Some(format!("`version` is \"{}\"; {way_out}", self.version.escape_debug()));
        }
        let odd = self.files.keys().find(|name| !is_name(name));
        odd.map(|name| format!("it lists \"{}\", which cannot be a file of a package", name.escape_debug()))
    }
}

/// Whether a detector can have this name: it is part of file names and of the configuration.
fn is_detector_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= NAME_BYTES_MAX && name.chars().all(plain)
}

/// Deeply nested values take stack when they are dropped; a manifest has none.
fn nests(text: &str) -> bool {
    let opened = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    opened > NESTED_MAX || text.split(['=', '\n']).any(|part| part.matches('.').count() > NESTED_MAX)
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ")
}
