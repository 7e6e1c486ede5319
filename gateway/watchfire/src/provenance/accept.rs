//! A person's word that a detector may run or judge by what its files are now, and which model that was.

use anyhow::{Result, bail};
use watchfire_config::PluginRef;
use watchfire_package::{Digest, Store};

use super::{Plugins, Provenance, Use, name_of};

/// What was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The component, where it is in a file.
    pub component: Option<Provenance>,
    /// The model, where there is one.
    pub model: Option<Digest>,
}

impl Plugins {
    /// Accepts what a detector's plugin and model are now, as far as they are in files that nothing else binds. Blocks.
    ///
    /// # Errors
    /// When neither is, one is not trusted or cannot be read, or the list cannot be written.
    pub fn accept(&self, detector: &str) -> Result<Accepted> {
        let Some(used) = self.uses.get(detector) else {
            let known = self.uses.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            bail!("there is no detector `{detector}`; there are {known}");
        };
        let model = match used.model.as_ref().filter(|_| !used.model_pinned) {
            Some(path) => Some(Digest::of(&Store::read(path)?)),
            None => None,
        };
        let component = match (&used.plugin, used.pinned) {
            (PluginRef::File(path), None) => {
                let resolved = self.unbound_file(path, None)?;
                let digest: Digest = resolved.provenance.digest.parse()?;
                if let Some(signer) = &resolved.signer {
                    signer.clone().for_new(digest)?;
                }
                Some((digest, resolved.provenance))
            }
            _ if model.is_some() => None,
            (PluginRef::File(_), Some(pinned)) => {
                bail!("detector `{detector}` has `digest = \"{pinned}\"` in the configuration; change it there")
            }
            (PluginRef::Named(_), _) => bail!(
                "detector `{detector}` runs plugin `{}` by its name; what that means changes with `watchfire plugin install`",
                name_of(&used.plugin)
            ),
        };
        self.store.bind(|bound| {
            if let Some((digest, _)) = &component {
                bound.detector.insert(detector.to_owned(), *digest);
            }
            if let Some(model) = model {
                bound.model.insert(detector.to_owned(), model);
            }
        })?;
        Ok(Accepted { component: component.map(|(_, provenance)| provenance), model })
    }

    /// Whether a detector may judge by a model: the one that was accepted, or its first. Blocks.
    ///
    /// # Errors
    /// When it is another, or what was accepted cannot be read or written.
    pub(super) fn may_judge_by(&self, detector: &str, sha256: &str) -> Result<()> {
        let owner = owner_of(detector);
        let Some(Use { model: Some(path), model_pinned: false, .. }) = self.uses.get(owner) else { return Ok(()) };
        if self.unbound {
            return Ok(());
        }
        let digest: Digest = format!("sha256:{sha256}").parse()?;
        let Some(accepted) = self.model_bound(owner, digest)?.filter(|accepted| *accepted != digest) else {
            return Ok(());
        };
        bail!(
            "model `{}` was changed: it is {digest} now, and {accepted} was accepted for detector `{owner}`; where it was \
             changed on purpose, run `watchfire plugin accept {owner}`",
            path.display()
        )
    }

    /// The model that was accepted for a detector; from now on this one, where none was and it is started with it.
    fn model_bound(&self, owner: &str, first: Digest) -> Result<Option<Digest>> {
        if let Some(accepted) = self.bound()?.model.get(owner) {
            return Ok(Some(*accepted));
        }
        let Some(models) = &self.models else { return Ok(None) };
        if let Some(known) = models.lock().get(owner) {
            return Ok(Some(*known));
        }
        self.store.bind(|bound| {
            bound.model.entry(owner.to_owned()).or_insert(first);
        })?;
        Ok(Some(*models.lock().entry(owner.to_owned()).or_insert(first)))
    }

    /// The digest of a detector's model, or why there is none; empty where it has no model. Blocks: reads the file.
    pub fn model(&self, detector: &str) -> String {
        let Some(path) = self.uses.get(owner_of(detector)).and_then(|used| used.model.as_ref()) else {
            return String::new();
        };
        match Store::read(path) {
            Ok(bytes) => Digest::of(&bytes).to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Why a detector may not judge by what its model is now, if that is so. Blocks: reads the file.
    pub fn model_refused(&self, detector: &str) -> Option<String> {
        let digest = self.model(detector);
        let sha256 = digest.strip_prefix("sha256:")?;
        self.may_judge_by(detector, sha256).err().map(|error| format!("{error:#}"))
    }
}

/// What runs beside a detector judges by the same.
fn owner_of(detector: &str) -> &str {
    detector.split('/').next().unwrap_or_default()
}
