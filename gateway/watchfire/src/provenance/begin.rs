//! The look at every detector's plugin before they are started: what is told of it, and what is bound for the first time.

use std::collections::BTreeMap;

use anyhow::Result;
use watchfire_config::PluginRef;
use watchfire_package::{Digest, PackageError, Signer};

use super::{Plugins, Provenance, Resolved, Use};

impl Plugins {
    /// Looks at every detector's plugin before they are started: tells the log, and binds files that are new.
    pub fn begin(&mut self) -> BTreeMap<String, Provenance> {
        // What has no model on record yet is bound to the one that it is first started with.
        self.models.get_or_insert_default();
        let resolve = |name: &str| self.resolve(name).map_err(|refused| refused.reason);
        let mut found: BTreeMap<String, Result<Resolved, String>> =
            self.names().map(|detector| (detector.clone(), resolve(&detector))).collect();
        let mut new = BTreeMap::new();
        for (detector, resolved) in &mut found {
            if let Ok(given) = resolved {
                match self.newly_bound(detector, given) {
                    Ok(None) => {}
                    Ok(Some(digest)) => _ = new.insert(detector.clone(), digest),
                    Err(error) => *resolved = Err(format!("plugin `{}`: {error}", given.provenance.plugin)),
                }
            }
        }
        // All at once: each change of the list waits for the disk.
        if let Err(error) = self.bind(&new) {
            for detector in new.keys() {
                found.insert(detector.clone(), Err(error.to_string()));
            }
        }
        found.into_iter().map(|(detector, resolved)| self.told(detector, resolved)).collect()
    }

    /// The same without a change: what would be told.
    pub fn look(&self) -> BTreeMap<String, Provenance> {
        self.look_at(self.names())
    }

    /// The same of some detectors, or what runs beside them.
    pub fn look_at(&self, names: impl Iterator<Item = String>) -> BTreeMap<String, Provenance> {
        let refused = |name: &str| Provenance { plugin: self.plugin_of(name), ..Provenance::default() };
        let known = |name: &str| match self.resolve(name) {
            Ok(resolved) => Provenance { model: self.model(name), ..resolved.provenance },
            Err(_) => refused(name),
        };
        names.map(|name| (name.clone(), known(&name))).collect()
    }

    /// What a detector is to be bound to, where its entry names a file for the first time: what is in that, whatever runs
    /// in its place.
    fn newly_bound(&self, detector: &str, resolved: &Resolved) -> Result<Option<Digest>> {
        let in_file = |used: &Use| matches!(used.plugin, PluginRef::File(_)) && used.pinned.is_none();
        if !self.uses.get(detector).is_some_and(in_file) || self.bound()?.detector.contains_key(detector) {
            return Ok(None);
        }
        let configured = self.upgrade(detector).map(|_| self.configured(detector));
        let resolved = match &configured {
            None => resolved,
            Some(Ok(configured)) => configured,
            Some(Err(_)) => return Ok(None),
        };
        let digest: Digest = resolved.provenance.digest.parse()?;
        if let Some(signer) = &resolved.signer {
            signer.clone().for_new(digest)?;
        }
        Ok(Some(digest))
    }

    fn bind(&mut self, new: &BTreeMap<String, Digest>) -> Result<(), PackageError> {
        if new.is_empty() {
            return Ok(());
        }
        self.store.bind(|bound| {
            for (detector, digest) in new {
                bound.detector.entry(detector.clone()).or_insert(*digest);
            }
        })?;
        self.bound = Ok(self.store.bound()?);
        Ok(())
    }

    fn told(&self, detector: String, resolved: Result<Resolved, String>) -> (String, Provenance) {
        let provenance = match resolved {
            Ok(mut resolved) => {
                resolved.provenance.model = self.model(&detector);
                let Provenance { plugin, version, digest, signer, licence, model } = &resolved.provenance;
                tracing::info!(
                    detector,
                    plugin,
                    version,
                    digest,
                    signer,
                    licence,
                    model,
                    "detector's plugin is accepted"
                );
                if let Some(Signer::Publisher { name, expired: Some(until), .. }) = &resolved.signer {
                    tracing::warn!(
                        detector,
                        publisher = name,
                        %until,
                        "the publisher's key counts no longer; what runs goes on, nothing new of it is accepted"
                    );
                }
                resolved.provenance
            }
            Err(reason) => {
                tracing::error!(detector, reason, "detector's plugin is refused");
                let plugin = self.plugin_of(&detector);
                Provenance { plugin, ..Provenance::default() }
            }
        };
        (detector, provenance)
    }
}
