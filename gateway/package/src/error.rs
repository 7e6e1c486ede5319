//! Why a package is not taken. Each message says what is wrong and what can be done about it.

use std::path::PathBuf;

use crate::Digest;

/// Why a package, a key or a store is refused.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// More bytes than any package has.
    #[error("the package has {bytes} bytes; {most} are the most that is read")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The bound.
        most: u64,
    },
    /// Not the container that packages are.
    #[error("it is no package: {reason}; make packages with `watchfire plugin sign`")]
    NoPackage {
        /// What is not as it must be.
        reason: String,
    },
    /// It ends too early.
    #[error("the package is cut short after {bytes} bytes; copy it again")]
    CutShort {
        /// What there is of it.
        bytes: usize,
    },
    /// An entry whose name would lead elsewhere, or is none.
    #[error(
        "the package has an entry `{name}`; names are letters, digits, `.`, `-` and `_`, without folders, and begin with \
         no `.`: do not use this package"
    )]
    EntryName {
        /// Escaped.
        name: String,
    },
    /// A link, a folder, a device.
    #[error("the package's entry `{name}` is no plain file (type `{kind}`): do not use this package")]
    EntryKind {
        /// Its name.
        name: String,
        /// The archive's letter for what it is.
        kind: String,
    },
    /// The same name twice: which one is meant cannot be known.
    #[error("the package has `{name}` twice: do not use this package")]
    Twice {
        /// The name.
        name: String,
    },
    /// Too many entries.
    #[error("the package has more than {most} entries: do not use this package")]
    TooMany {
        /// The bound.
        most: usize,
    },
    /// Something that belongs to every package is not there.
    #[error("the package has no `{name}`; ask its publisher for a whole one")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A file that the manifest does not know, so that the signature does not cover it.
    #[error("the package has `{name}`, of which its manifest knows nothing: do not use this package")]
    Unlisted {
        /// Its name.
        name: String,
    },
    /// A file is not the one that the manifest names.
    #[error(
        "`{name}` of the package was changed: it is {found}, and the manifest says {listed}; get the package from its \
         publisher again"
    )]
    Changed {
        /// Its name.
        name: String,
        /// What the manifest says.
        listed: Digest,
        /// What it is.
        found: Digest,
    },
    /// The manifest cannot be read.
    #[error("the package's manifest is not good: {reason}; ask its publisher for a new one")]
    Manifest {
        /// What is wrong.
        reason: String,
    },
    /// The signature is none.
    #[error("the package's signature is not good: {reason}; ask its publisher for a new one")]
    Signature {
        /// What is wrong.
        reason: String,
    },
    /// Made by somebody who has not got the key that it names.
    #[error(
        "the package's signature does not fit its manifest, although it names the key {key} of `{publisher}`: the package \
         was changed after it was signed; do not use it"
    )]
    Forged {
        /// Whose key it names.
        publisher: String,
        /// The key.
        key: String,
    },
    /// The configuration takes its trust back.
    #[error(
        "it is revoked by the configuration (`revoked` under `[plugins]` has {digest}): install another version, or, where \
         that was a mistake, take it out of the list"
    )]
    Revoked {
        /// The component.
        digest: Digest,
    },
    /// Nobody signed it.
    #[error(
        "it is not signed; ask for a signed package, or, where you know that it is what it should be, allow just these bytes: \
         `allow = [\"{digest}\"]` under `[plugins]`"
    )]
    Unsigned {
        /// The component.
        digest: Digest,
    },
    /// Nobody whose key is configured signed it.
    #[error(
        "it is signed with the key {key}, which is no trusted publisher's; compare the key with its publisher and add \
         a `[[publisher]]` with it, or allow just these bytes: `allow = [\"{digest}\"]` under `[plugins]`"
    )]
    Unknown {
        /// The key's id.
        key: String,
        /// The component.
        digest: Digest,
    },
    /// Signed by one whose key counts no longer.
    #[error(
        "it is signed by `{publisher}`, whose key counts until {until} only (`until`); ask for a package that is signed with \
         a newer key, or allow just these bytes: `allow = [\"{digest}\"]` under `[plugins]`"
    )]
    Expired {
        /// Who.
        publisher: String,
        /// When, RFC 3339.
        until: String,
        /// The component.
        digest: Digest,
    },
    /// A text that is no digest.
    #[error(
        "\"{text}\" is no digest; write `sha256:` and 64 hexadecimal digits, as `watchfire plugin verify` shows them"
    )]
    NoDigest {
        /// Escaped.
        text: String,
    },
    /// A text that is no key.
    #[error(
        "it is no minisign key ({reason}); a public key is one line of 56 characters that begins with `RW`, a secret one the file that `watchfire plugin keygen` or minisign made"
    )]
    NoKey {
        /// What is wrong.
        reason: String,
    },
    /// A key that opens with a password only.
    #[error(
        "the key is protected by a password; give it with `--password-file FILE`, or in the variable `--password-env` names"
    )]
    NeedsPassword,
    /// A password that does not open the key.
    #[error("the password does not open the key")]
    WrongPassword,
    /// The system gives no randomness, or a key cannot be made.
    #[error("the key cannot be used: {reason}")]
    Key {
        /// The library's reason.
        reason: String,
    },
    /// What a package is to be made of is not good.
    #[error("no package can be made of it: {reason}")]
    Unmakeable {
        /// What is wrong.
        reason: String,
    },
    /// A package or a component cannot be read.
    #[error("`{}` {}", path.display(), unread(source))]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The store of packages cannot be read or written.
    #[error("`{path}` cannot be used: {source}; it must belong to the gateway's user")]
    Store {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The list of what was accepted cannot be read.
    #[error(
        "`{path}` cannot be read: {reason}; restore it, or rename it to `.damaged` and accept what is installed again with \
         `watchfire plugin install` and `watchfire plugin accept`"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What is so of a file that cannot be read, and the way out.
fn unread(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "is not there; give the path of a file that is".to_owned(),
        _ => format!("cannot be read: {error}; it must be a file that this user may read"),
    }
}
