//! What can go wrong in this room, each with the way out.

use std::path::PathBuf;

/// Errors of the shared OPC UA ground.
#[derive(Debug, thiserror::Error)]
pub enum UaError {
    /// A text that is no node id.
    #[error("`{text}` is not a node id; write `ns=2;s=Name`, `ns=2;i=1001` or `nsu=urn:maker:namespace;s=Name`")]
    NodeId {
        /// The text.
        text: String,
    },
    /// A namespace that the server does not have.
    #[error("namespace `{uri}` is not on the server; it has {known}")]
    Namespace {
        /// The namespace asked for.
        uri: String,
        /// Those it has, for people.
        known: String,
    },
    /// A text that names no security setting.
    #[error(
        "`{text}` is not a security setting; use `none`, `basic256sha256`, `aes128_sha256_rsaoaep` or `aes256_sha256_rsapss`"
    )]
    Security {
        /// The text.
        text: String,
    },
    /// The certificate folder cannot be used.
    #[error("cannot {doing} `{}`: {detail}", path.display())]
    Pki {
        /// What was tried.
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The reason.
        detail: String,
    },
    /// A type dictionary that cannot be read.
    #[error("the type dictionary cannot be read: {why}")]
    Dictionary {
        /// What is wrong with it.
        why: String,
    },
}
