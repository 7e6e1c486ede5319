//! Packages of detectors: one file with the component, a manifest that binds every file by SHA-256, a minisign signature
//! over the manifest and whatever else belongs to it (an SBOM, a licence). Whether it is whole, who signed it, whether
//! that one is trusted, and which bytes each detector was accepted with.
//!
//! Knows nothing of WebAssembly and runs nothing: to this room a component is bytes. Never reads a configuration: what
//! is trusted is handed in.

mod archive;
mod digest;
mod error;
mod key;
mod manifest;
mod package;
mod store;
#[cfg(test)]
mod tests;
mod trust;
mod upgrade;

pub use digest::Digest;
pub use error::PackageError;
pub use key::{PublisherKey, SigningKey, new_key};
pub use manifest::Manifest;
pub use package::{COMPONENT, EXTENSION, Package, make};
pub use store::{Bound, Store};
pub use trust::{Publisher, Signer, Trust};
pub use upgrade::{RolledBack, Upgrade, Version};
