//! Who is trusted: publishers by their keys, single components by their digests. Judges a package that is whole.

use std::collections::BTreeSet;

use watchfire_model::Instant;

use crate::key::SignatureText;
use crate::{Digest, Package, PackageError, PublisherKey};

/// Somebody whose signature counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Publisher {
    /// What the configuration calls it: the name shown to people.
    pub name: String,
    /// Its key.
    pub key: PublisherKey,
    /// From then on nothing new of it is taken; what runs goes on.
    pub until: Option<Instant>,
}

/// What is trusted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trust {
    /// Those whose signatures count.
    pub publishers: Vec<Publisher>,
    /// Components that are taken whoever made them.
    pub allowed: BTreeSet<Digest>,
    /// Components that are not taken, whoever made or allows them.
    pub revoked: BTreeSet<Digest>,
}

/// Why a component is trusted.
#[derive(Clone, Debug, PartialEq)]
pub enum Signer {
    /// A publisher signed it.
    Publisher {
        /// The configured name.
        name: String,
        /// The key's id.
        key: String,
        /// Since when the key counts no longer, where that is so.
        expired: Option<Instant>,
    },
    /// The configuration allows just these bytes.
    Allowed,
}

impl Signer {
    /// The refusal of what is new, where the key counts no longer.
    ///
    /// # Errors
    /// [`PackageError::Expired`].
    pub fn for_new(self, digest: Digest) -> Result<Self, PackageError> {
        match self {
            Self::Publisher { name, expired: Some(until), .. } => {
                Err(PackageError::Expired { publisher: name, until: until.to_string(), digest })
            }
            counts => Ok(counts),
        }
    }
}

impl Trust {
    /// Why a package is trusted, at this time.
    ///
    /// # Errors
    /// Revoked, unsigned, unknown, forged. A signature that names a trusted key and is not that key's is refused whatever else
    /// is allowed: somebody tried.
    pub fn judge(&self, package: &Package<'_>, now: Instant) -> Result<Signer, PackageError> {
        let digest = package.digest;
        let allowed = self.allowed.contains(&digest);
        self.not_revoked(digest)?;
        let Some(text) = package.signature else {
            return self.bare(digest);
        };
        let signature = SignatureText::read(text)?;
        for publisher in &self.publishers {
            match publisher.key.signed(package.signed, &signature) {
                None => {}
                Some(false) => {
                    return Err(PackageError::Forged { publisher: publisher.name.clone(), key: publisher.key.id() });
                }
                Some(true) => {
                    let expired = publisher.until.filter(|until| *until <= now);
                    if expired.is_some() && allowed {
                        return Ok(Signer::Allowed);
                    }
                    return Ok(Signer::Publisher { name: publisher.name.clone(), key: publisher.key.id(), expired });
                }
            }
        }
        if allowed { Ok(Signer::Allowed) } else { Err(PackageError::Unknown { key: signature.id.to_string(), digest }) }
    }

    /// Whether a component's trust stands: nothing else that is said of it counts where it does not.
    ///
    /// # Errors
    /// [`PackageError::Revoked`].
    pub fn not_revoked(&self, digest: Digest) -> Result<(), PackageError> {
        if self.revoked.contains(&digest) { Err(PackageError::Revoked { digest }) } else { Ok(()) }
    }

    /// Why a component without a package is trusted.
    ///
    /// # Errors
    /// When the configuration does not allow just these bytes, or takes that back.
    pub fn bare(&self, digest: Digest) -> Result<Signer, PackageError> {
        self.not_revoked(digest)?;
        if self.allowed.contains(&digest) { Ok(Signer::Allowed) } else { Err(PackageError::Unsigned { digest }) }
    }
}
