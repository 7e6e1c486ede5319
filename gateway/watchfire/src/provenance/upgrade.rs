//! Detectors that a person has moved to another version of their plugin, or tries one beside. The configuration says
//! who is trusted here as well; what it means for a detector counts more than a move that was made over something else.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use watchfire_package::{Digest, EXTENSION, Store, Upgrade};

use super::{Plugins, Provenance, Refused, Resolved, name_of};

/// A component that somebody wants a detector to run.
#[derive(Debug)]
pub struct Offered {
    /// What it is.
    pub provenance: Provenance,
    /// Its digest.
    pub digest: Digest,
    /// The file's bytes.
    bytes: Vec<u8>,
    packed: bool,
}

impl Plugins {
    /// The detectors that are configured, and what runs beside them.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        let beside = self.upgrades().filter_map(|(_, upgrade)| Some(upgrade.beside.as_ref()?.kept_as.clone()));
        self.uses.keys().cloned().chain(beside.collect::<Vec<_>>())
    }

    /// How configured detectors were moved.
    pub fn upgrades(&self) -> impl Iterator<Item = (&str, &Upgrade)> {
        let all = self.bound.as_ref().map_or_else(|_| None, |bound| Some(&bound.upgrade));
        let of_ours = all.into_iter().flatten().filter(|(detector, _)| self.uses.contains_key(*detector));
        of_ours.map(|(detector, upgrade)| (detector.as_str(), upgrade))
    }

    /// How a detector was moved.
    pub fn upgrade(&self, detector: &str) -> Option<&Upgrade> {
        self.upgrades().find(|(name, _)| *name == detector).map(|(_, upgrade)| upgrade)
    }

    /// The same with what is on record of moves now; nothing else that was accepted meanwhile counts.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn with_upgrades(&self) -> Result<Self> {
        let upgrade: BTreeMap<String, Upgrade> = self.store.bound()?.upgrade;
        let bound = self.bound.clone().map(|bound| watchfire_package::Bound { upgrade, ..bound });
        Ok(Self { bound, ..self.clone() })
    }

    /// What a detector may run, or what runs beside one. Blocks: reads and hashes files.
    ///
    /// # Errors
    /// Why it may not.
    pub fn resolve(&self, detector: &str) -> Result<Resolved, Refused> {
        let beside = |upgrade: &Upgrade| upgrade.beside.clone().filter(|beside| beside.kept_as == detector);
        if let Some(digest) = self.upgrades().find_map(|(_, upgrade)| beside(upgrade)?.digest) {
            return self.kept(digest);
        }
        let configured = self.configured(detector);
        match self.moved_to(detector, &configured) {
            Some(digest) => self.kept(digest),
            None => configured,
        }
    }

    /// What runs in place of what is configured, by what that was found to be. A digest in the configuration is the last
    /// word; what is refused runs on as it was moved only while the entry is still the one that it was moved over.
    fn moved_to(&self, detector: &str, configured: &Result<Resolved, Refused>) -> Option<Digest> {
        let (used, upgrade) = (self.uses.get(detector)?, self.upgrade(detector)?);
        let now = upgrade.now.as_ref().and_then(|now| now.digest)?;
        let stands = match configured {
            _ if used.pinned.is_some() => false,
            Ok(found) => found.provenance.digest == upgrade.over.to_string(),
            Err(_) => upgrade.named.as_ref().is_none_or(|named| *named == name_of(&used.plugin)),
        };
        stands.then_some(now)
    }

    /// A component that was taken into the store.
    fn kept(&self, digest: Digest) -> Result<Resolved, Refused> {
        let kept = || -> Result<Resolved> {
            let (packed, bare) = (self.store.path(digest), self.store.bare_path(digest));
            let path = if packed.exists() { packed } else { bare };
            let is_package = path.extension().is_some_and(|extension| extension == EXTENSION);
            let resolved = self.judge(Store::read(&path)?, is_package, None)?;
            let (found, path) = (&resolved.provenance.digest, path.display());
            if *found != digest.to_string() {
                bail!("`{path}` was changed: it is {found} now; roll the upgrade back, or make it anew");
            }
            Ok(resolved)
        };
        kept().map_err(|error| Refused::of(&digest.to_string(), &error))
    }

    /// Whether a detector is changed by an upgrade, and not in the configuration.
    ///
    /// # Errors
    /// When the configuration binds it, or there is none of that name.
    pub fn may_be_moved(&self, detector: &str) -> Result<()> {
        let Some(used) = self.uses.get(detector) else { bail!("there is no detector `{detector}`") };
        match used.pinned {
            Some(pinned) => bail!(
                "detector `{detector}` has `digest = \"{pinned}\"` in the configuration; take it out, or change it there"
            ),
            None => Ok(()),
        }
    }

    /// Judges a file as a detector's next version. Blocks.
    ///
    /// # Errors
    /// When it is not trusted, nothing new of its publisher is taken, or the configuration binds the detector.
    pub fn offered(&self, detector: &str, file: &Path) -> Result<Offered> {
        self.may_be_moved(detector)?;
        let bytes = Store::read(file)?;
        let packed = file.extension().is_some_and(|extension| extension == EXTENSION);
        let judged = self.judge(bytes.clone(), packed, None);
        let resolved = judged.with_context(|| format!("plugin `{}`", file.display()))?;
        let digest: Digest = resolved.provenance.digest.parse()?;
        if let Some(signer) = &resolved.signer {
            signer.clone().for_new(digest)?;
        }
        Ok(Offered { provenance: resolved.provenance, digest, bytes, packed })
    }

    /// Takes an offered component into the store. Blocks.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn keep(&self, offered: &Offered) -> Result<()> {
        let put = if offered.packed { Store::put } else { Store::put_bare };
        put(&self.store, offered.digest, &offered.bytes)?;
        Ok(())
    }

    /// What the configuration means for a detector, as its digest.
    ///
    /// # Errors
    /// When it is refused.
    pub fn over(&self, detector: &str) -> Result<Digest> {
        let configured = self.configured(detector).map_err(|refused| anyhow::anyhow!(refused.reason))?;
        Ok(configured.provenance.digest.parse()?)
    }

    /// What the configuration names as a detector's plugin.
    pub fn plugin_of(&self, detector: &str) -> String {
        self.uses.get(detector).map(|used| name_of(&used.plugin)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
