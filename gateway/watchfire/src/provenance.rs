//! What each detector runs, whence it comes, and whether it may: the program's own plugins, installed packages, files.
//! Judged anew whenever a detector is started, on the very bytes that are then run.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use pack::Label;
use watchfire_config::{Config, PluginRef};
use watchfire_model::Clock;
use watchfire_package::{Digest, EXTENSION, Package, PackageError, Signer, Store, Trust};
use watchfire_sandbox::Shelf;

mod bundled {
    //! The bundled plugins.
    include!(concat!(env!("OUT_DIR"), "/bundled.rs"));
}

/// Who signs what is part of the program.
const PROGRAM: &str = "part of the program";
/// What stands for a signer where the configuration allows the bytes themselves.
const ALLOWED: &str = "nobody; allowed by the configuration";

/// The plugins that the program carries: name and component.
pub fn bundled() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    bundled::BUNDLED.iter().map(|(name, _, bytes)| (*name, *bytes))
}

/// The names of the plugins that the program carries.
fn bundled_names() -> String {
    bundled().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// A component that may run, and whence it comes.
#[derive(Debug)]
pub struct Resolved {
    /// The component.
    pub component: Cow<'static, [u8]>,
    /// What is known of it.
    pub provenance: Provenance,
    /// Why it is trusted; `None` for what is part of the program.
    signer: Option<Signer>,
}

/// Whence a component comes, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The plugin's name, or its file.
    pub plugin: String,
    /// Its version, as its package or itself says; empty where it says none.
    pub version: String,
    /// Its SHA-256; empty where there is no component.
    pub digest: String,
    /// Who signed it; empty where it is refused.
    pub signer: String,
    /// Its licence, as `version`.
    pub licence: String,
}

/// What one detector is configured with.
#[derive(Clone, Debug)]
struct Use {
    plugin: PluginRef,
    pinned: Option<Digest>,
}

/// Says what each detector may run.
#[derive(Clone)]
pub struct Plugins {
    store: Store,
    trust: Trust,
    uses: BTreeMap<String, Use>,
    clock: Arc<dyn Clock>,
    /// Whether a changed file is tried all the same: nothing that a replay finds is announced.
    unbound: bool,
}

impl std::fmt::Debug for Plugins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugins").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Plugins {
    /// The plugins of a configuration.
    pub fn of(config: &Config, clock: &Arc<dyn Clock>) -> Self {
        let uses = config.detectors.iter();
        let one = |detector: &watchfire_config::DetectorConfig| {
            let used = Use { plugin: detector.plugin.clone(), pinned: detector.digest };
            (detector.name.clone(), used)
        };
        Self {
            store: Store::of(&config.gateway.data),
            trust: config.trust.clone(),
            uses: uses.map(one).collect(),
            clock: clock.clone(),
            unbound: false,
        }
    }

    /// The same for a replay: what is in a file now is tried, if it is trusted, whatever was accepted.
    pub fn unbound(self) -> Self {
        Self { unbound: true, ..self }
    }

    /// The folder of installed packages.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// What is trusted.
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The detectors that run an installed plugin: this name, or just these bytes of it.
    pub fn users(&self, name: &str, digest: Digest, current: bool) -> Vec<&str> {
        let of = |used: &Use| match (&used.plugin, used.pinned) {
            (PluginRef::Named(named), Some(pinned)) => named == name && pinned == digest,
            (PluginRef::Named(named), None) => named == name && current,
            (PluginRef::File(_), _) => false,
        };
        self.uses.iter().filter(|(_, used)| of(used)).map(|(detector, _)| detector.as_str()).collect()
    }

    /// What a detector may run. Blocks: reads and hashes the file.
    ///
    /// # Errors
    /// Why it may not: one sentence with the plugin's name and the way out.
    pub fn resolve(&self, detector: &str) -> Result<Resolved, String> {
        let Some(used) = self.uses.get(detector) else { return Err(format!("there is no detector `{detector}`")) };
        let name = name_of(&used.plugin);
        let refused = |error: anyhow::Error| format!("plugin `{name}`: {error:#}");
        let resolved = match &used.plugin {
            PluginRef::Named(named) => self.named(named, used.pinned),
            PluginRef::File(path) => self.file(detector, path, used.pinned),
        };
        resolved.map_err(refused)
    }

    fn named(&self, name: &str, pinned: Option<Digest>) -> Result<Resolved> {
        if let Some((_, component)) = bundled().find(|(known, _)| *known == name) {
            let digest = Digest::of(component);
            if let Some(pinned) = pinned.filter(|pinned| *pinned != digest) {
                bail!("it is part of the program and is {digest}, but the detector's `digest` is {pinned}; correct it");
            }
            return Ok(part_of_the_program(name, component, digest));
        }
        let bound = self.store.bound()?;
        let Some(digest) = pinned.or_else(|| bound.installed.get(name).copied()) else {
            let known = bundled_names();
            bail!(
                "it is neither part of the program ({known}) nor installed; install its package with `watchfire plugin \
                 install FILE`, or give the file's path"
            );
        };
        let path = self.store.path(digest);
        if !path.exists() {
            bail!("its package {digest} is not in `{}`; install it again", path.display());
        }
        let bytes = Store::read(&path)?;
        let resolved = self.package(name, bytes, pinned)?;
        if resolved.provenance.digest != digest.to_string() {
            let (path, found) = (path.display(), resolved.provenance.digest);
            bail!("its package `{path}` was changed: it is {found} now, and {digest} was installed; install it again");
        }
        Ok(resolved)
    }

    /// A file: bound to what it was when its detector was first started, or to what the configuration says.
    fn file(&self, detector: &str, path: &Path, pinned: Option<Digest>) -> Result<Resolved> {
        let resolved = self.unbound_file(path, pinned)?;
        let digest = &resolved.provenance.digest;
        if let Some(pinned) = pinned {
            if *digest != pinned.to_string() {
                bail!(
                    "it is {digest}, but the detector's `digest` is {pinned}; where it was changed on purpose, correct it"
                );
            }
            return Ok(resolved);
        }
        match self.store.bound()?.detector.get(detector) {
            Some(bound) if *digest != bound.to_string() && !self.unbound => bail!(
                "it was changed: it is {digest} now, and {bound} was accepted for detector `{detector}`; where it was \
                 changed on purpose, run `watchfire plugin accept {detector}`"
            ),
            _ => Ok(resolved),
        }
    }

    fn unbound_file(&self, path: &Path, pinned: Option<Digest>) -> Result<Resolved> {
        let bytes = Store::read(path)?;
        let name = path.display().to_string();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            return self.package(&name, bytes, pinned);
        }
        let digest = Digest::of(&bytes);
        let signer = if pinned == Some(digest) { Signer::Allowed } else { self.trust.bare(digest)? };
        Ok(bare(&name, bytes, digest, signer))
    }

    /// A package that the configuration trusts; what the detector's own entry names is allowed to it.
    fn package(&self, name: &str, mut bytes: Vec<u8>, pinned: Option<Digest>) -> Result<Resolved> {
        let package = Package::read(&bytes)?;
        let mut trust = self.trust.clone();
        trust.allowed.extend(pinned);
        let signer = trust.judge(&package, self.clock.now())?;
        let provenance = Provenance {
            plugin: name.to_owned(),
            version: package.manifest.version.clone(),
            digest: package.digest.to_string(),
            signer: signer_name(&signer),
            licence: package.manifest.licence.clone(),
        };
        let component = package.place();
        bytes.truncate(component.end);
        bytes.drain(..component.start);
        Ok(Resolved { component: Cow::Owned(bytes), provenance, signer: Some(signer) })
    }

    /// Accepts what a detector's file is now.
    ///
    /// # Errors
    /// When it is not trusted, is not in a file, or the list cannot be written.
    pub fn accept(&self, detector: &str) -> Result<Resolved> {
        let Some(used) = self.uses.get(detector) else {
            let known = self.uses.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            bail!("there is no detector `{detector}`; there are {known}");
        };
        let PluginRef::File(path) = &used.plugin else {
            bail!(
                "detector `{detector}` runs plugin `{}` by its name; what that means changes with `watchfire plugin install`",
                name_of(&used.plugin)
            );
        };
        if let Some(pinned) = used.pinned {
            bail!("detector `{detector}` has `digest = \"{pinned}\"` in the configuration; change it there");
        }
        let resolved = self.unbound_file(path, None)?;
        let digest: Digest = resolved.provenance.digest.parse()?;
        if let Some(signer) = &resolved.signer {
            signer.clone().for_new(digest)?;
        }
        self.store.bind(|bound| {
            bound.detector.insert(detector.to_owned(), digest);
        })?;
        Ok(resolved)
    }

    /// Looks at every detector's plugin before they are started: tells the log, and binds files that are new.
    pub fn begin(&self) -> BTreeMap<String, Provenance> {
        self.uses.iter().map(|(detector, used)| (detector.clone(), self.begin_one(detector, used))).collect()
    }

    fn begin_one(&self, detector: &str, used: &Use) -> Provenance {
        let resolved = self.resolve(detector).and_then(|resolved| self.bind_new(detector, used, resolved));
        match resolved {
            Ok(resolved) => {
                let Provenance { plugin, version, digest, signer, licence } = &resolved.provenance;
                tracing::info!(detector, plugin, version, digest, signer, licence, "detector's plugin is accepted");
                if let Some(Signer::Publisher { name, expired: Some(until), .. }) = &resolved.signer {
                    tracing::warn!(detector, publisher = name, %until, "the publisher's key counts no longer; what runs goes on, nothing new of it is accepted");
                }
                resolved.provenance
            }
            Err(reason) => {
                tracing::error!(detector, reason, "detector's plugin is refused");
                Provenance { plugin: name_of(&used.plugin), ..Provenance::default() }
            }
        }
    }

    /// Binds a detector to its file at its first start.
    fn bind_new(&self, detector: &str, used: &Use, resolved: Resolved) -> Result<Resolved, String> {
        let said = |error: PackageError| format!("plugin `{}`: {error}", name_of(&used.plugin));
        let in_file = matches!(used.plugin, PluginRef::File(_)) && used.pinned.is_none();
        if !in_file || self.store.bound().map_err(said)?.detector.contains_key(detector) {
            return Ok(resolved);
        }
        let digest: Digest = resolved.provenance.digest.parse().map_err(said)?;
        if let Some(signer) = &resolved.signer {
            signer.clone().for_new(digest).map_err(said)?;
        }
        let bind = |bound: &mut watchfire_package::Bound| {
            bound.detector.entry(detector.to_owned()).or_insert(digest);
        };
        self.store.bind(bind).map_err(said)?;
        Ok(resolved)
    }
}

impl Shelf for Plugins {
    fn component(&self, detector: &str) -> Result<Cow<'static, [u8]>, String> {
        self.resolve(detector).map(|resolved| resolved.component)
    }
}

/// A plugin as messages name it.
pub fn name_of(plugin: &PluginRef) -> String {
    match plugin {
        PluginRef::Named(name) => name.clone(),
        PluginRef::File(path) => path.display().to_string(),
    }
}

/// Who signed, for people.
pub fn signer_name(signer: &Signer) -> String {
    match signer {
        Signer::Publisher { name, .. } => name.clone(),
        Signer::Allowed => ALLOWED.to_owned(),
    }
}

fn part_of_the_program(name: &str, component: &'static [u8], digest: Digest) -> Resolved {
    let provenance = Provenance {
        plugin: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        digest: digest.to_string(),
        signer: PROGRAM.to_owned(),
        licence: env!("CARGO_PKG_LICENSE").to_owned(),
    };
    Resolved { component: Cow::Borrowed(component), provenance, signer: None }
}

/// A component without a package: it says itself what it is, with nobody to vouch for it.
fn bare(name: &str, component: Vec<u8>, digest: Digest, signer: Signer) -> Resolved {
    let label = Label::read(&component).unwrap_or_default();
    let provenance = Provenance {
        plugin: name.to_owned(),
        version: label.version.unwrap_or_default(),
        digest: digest.to_string(),
        signer: signer_name(&signer),
        licence: label.licence.unwrap_or_default(),
    };
    Resolved { component: Cow::Owned(component), provenance, signer: Some(signer) }
}
