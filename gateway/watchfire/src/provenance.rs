//! What each detector runs, whence it comes, and whether it may: the program's own plugins, installed packages, files.
//! Judged anew whenever a detector is started, on the very bytes that are then run.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use pack::Label;
use parking_lot::Mutex;
use watchfire_config::{Config, PluginRef};
use watchfire_model::Clock;
use watchfire_package::{Bound, Digest, EXTENSION, Package, PackageError, Signer, Store, Trust};
use watchfire_sandbox::{Shelf, ShelfError, Shelved};

mod accept;
mod begin;
mod bundled;
mod upgrade;

use bundled::Bundled;
pub use bundled::{bundled, bundled_as};

/// Who signs what is part of the program.
const PROGRAM: &str = "part of the program";
/// What stands for a signer where the configuration allows the bytes themselves.
const ALLOWED: &str = "nobody; allowed by the configuration";

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
    /// SHA-256 of the detector's model; empty where it has none.
    pub model: String,
}

/// What one detector is configured with.
#[derive(Clone, Debug)]
struct Use {
    plugin: PluginRef,
    pinned: Option<Digest>,
    model: Option<PathBuf>,
    /// Whether the configuration says which bytes its model is.
    model_pinned: bool,
}

/// A file that was judged: the same bytes are judged the same.
#[derive(Clone, Debug)]
struct Judged {
    provenance: Provenance,
    signer: Signer,
    /// Where in the file the component is.
    place: Range<usize>,
}

/// What was judged: the file's BLAKE3, whether it was read as a package, and what the detector's entry allows.
type Verdicts = HashMap<(blake3::Hash, bool, Option<Digest>), Judged>;

/// Says what each detector may run.
#[derive(Clone)]
pub struct Plugins {
    store: Store,
    trust: Trust,
    /// What had been accepted when this was made, or why it cannot be known: a running gateway does not change its mind.
    bound: Result<Bound, String>,
    uses: BTreeMap<String, Use>,
    /// A thousand detectors may have the same file.
    judged: Arc<Mutex<Verdicts>>,
    clock: Arc<dyn Clock>,
    /// Whether a changed file is tried all the same: nothing that a replay finds is announced.
    unbound: bool,
    /// What detectors were first started with where nothing had been accepted; `None` where nothing is started.
    models: Option<Arc<Mutex<BTreeMap<String, Digest>>>>,
}

impl std::fmt::Debug for Plugins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugins").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Plugins {
    /// The plugins of a configuration. Blocks: reads what was accepted.
    pub fn of(config: &Config, clock: &Arc<dyn Clock>) -> Self {
        let uses = config.detectors.iter();
        let one = |detector: &watchfire_config::DetectorConfig| {
            let used = Use {
                plugin: detector.plugin.clone(),
                pinned: detector.digest,
                model: detector.model.clone(),
                model_pinned: detector.model_digest.is_some(),
            };
            (detector.name.clone(), used)
        };
        let store = Store::of(&config.gateway.data);
        Self {
            bound: store.bound().map_err(|error| error.to_string()),
            store,
            trust: config.trust.clone(),
            uses: uses.map(one).collect(),
            judged: Arc::default(),
            clock: clock.clone(),
            unbound: false,
            models: None,
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

    /// What the configuration means for a detector. Blocks: reads and hashes the file.
    ///
    /// # Errors
    /// Why it may not run.
    pub fn configured(&self, detector: &str) -> Result<Resolved, Refused> {
        let Some(used) = self.uses.get(detector) else {
            return Err(Refused { reason: format!("there is no detector `{detector}`"), for_now: false });
        };
        let name = name_of(&used.plugin);
        let refused = |error: anyhow::Error| Refused::of(&name, &error);
        let resolved = match &used.plugin {
            PluginRef::Named(named) => self.named(named, used.pinned),
            PluginRef::File(path) => self.file(detector, path, used.pinned),
        };
        resolved.map_err(refused)
    }

    fn named(&self, name: &str, pinned: Option<Digest>) -> Result<Resolved> {
        if let Some(bundled) = bundled_as(name) {
            let digest = bundled.digest;
            if let Some(pinned) = pinned.filter(|pinned| *pinned != digest) {
                bail!("it is part of the program and is {digest}, but the detector's `digest` is {pinned}; correct it");
            }
            self.trust.not_revoked(digest)?;
            return Ok(part_of_the_program(bundled));
        }
        let Some(digest) = pinned.or(self.bound()?.installed.get(name).copied()) else {
            let known: Vec<String> = bundled().iter().map(|bundled| format!("`{}`", bundled.name)).collect();
            let known = known.join(", ");
            bail!(
                "it is neither part of the program ({known}) nor installed; install its package with `watchfire plugin \
                 install FILE`, or give the file's path"
            );
        };
        let path = self.store.path(digest);
        if !path.exists() {
            bail!("its package {digest} is not in `{}`; install it again", path.display());
        }
        let resolved = self.judge(Store::read(&path)?, true, pinned)?;
        let found = &resolved.provenance;
        if found.plugin != name {
            bail!("its package says that it is `{}`; install the right one", found.plugin);
        }
        if found.digest != digest.to_string() {
            let (path, found) = (path.display(), &found.digest);
            bail!("its package `{path}` was changed: it is {found} now, and {digest} was installed; install it again");
        }
        Ok(resolved)
    }

    fn bound(&self) -> Result<&Bound> {
        self.bound.as_ref().map_err(|reason| anyhow!("{reason}"))
    }

    /// A file: bound to what it was when its detector was first started, or to what the configuration says.
    fn file(&self, detector: &str, path: &Path, pinned: Option<Digest>) -> Result<Resolved> {
        let resolved = self.unbound_file(path, pinned)?;
        let digest = &resolved.provenance.digest;
        if let Some(pinned) = pinned {
            if *digest != pinned.to_string() {
                bail!(
                    "it is {digest}, but the detector's `digest` is {pinned}; where it was changed on purpose, correct \
                     the configuration"
                );
            }
            return Ok(resolved);
        }
        match self.bound()?.detector.get(detector) {
            Some(bound) if *digest != bound.to_string() && !self.unbound => bail!(
                "it was changed: it is {digest} now, and {bound} was accepted for detector `{detector}`; where it was \
                 changed on purpose, run `watchfire plugin accept {detector}`"
            ),
            _ => Ok(resolved),
        }
    }

    fn unbound_file(&self, path: &Path, pinned: Option<Digest>) -> Result<Resolved> {
        let packed = path.extension().is_some_and(|extension| extension == EXTENSION);
        let mut resolved = self.judge(Store::read(path)?, packed, pinned)?;
        resolved.provenance.plugin = path.display().to_string();
        Ok(resolved)
    }

    /// The component of a file, if the configuration trusts it; what the detector's own entry names is allowed to it.
    fn judge(&self, mut bytes: Vec<u8>, packed: bool, pinned: Option<Digest>) -> Result<Resolved> {
        let key = (blake3::hash(&bytes), packed, pinned);
        let known = self.judged.lock().get(&key).cloned();
        let Judged { provenance, signer, place } = match known {
            Some(known) => known,
            None => {
                let judged = if packed { self.package(&bytes, pinned) } else { self.bare(&bytes, pinned) }?;
                self.judged.lock().insert(key, judged.clone());
                judged
            }
        };
        bytes.truncate(place.end);
        bytes.drain(..place.start);
        Ok(Resolved { component: Cow::Owned(bytes), provenance, signer: Some(signer) })
    }

    fn package(&self, bytes: &[u8], pinned: Option<Digest>) -> Result<Judged, PackageError> {
        let package = Package::read(bytes)?;
        let mut trust = self.trust.clone();
        trust.allowed.extend(pinned);
        let signer = trust.judge(&package, self.clock.now())?;
        let provenance = Provenance {
            plugin: package.manifest.name.clone(),
            version: package.manifest.version.clone(),
            digest: package.digest.to_string(),
            signer: signer_name(&signer),
            licence: package.manifest.licence.clone(),
            model: String::new(),
        };
        Ok(Judged { provenance, signer, place: package.place() })
    }

    /// A component without a package: it says itself what it is, with nobody to vouch for it.
    fn bare(&self, bytes: &[u8], pinned: Option<Digest>) -> Result<Judged, PackageError> {
        let digest = Digest::of(bytes);
        let mut trust = self.trust.clone();
        trust.allowed.extend(pinned);
        let signer = trust.bare(digest)?;
        let label = Label::read(bytes).unwrap_or_default();
        let provenance = Provenance {
            plugin: label.name.unwrap_or_default(),
            version: label.version.unwrap_or_default(),
            digest: digest.to_string(),
            signer: signer_name(&signer),
            licence: label.licence.unwrap_or_default(),
            model: String::new(),
        };
        Ok(Judged { provenance, signer, place: 0..bytes.len() })
    }
}

impl Shelf for Plugins {
    fn component(&self, detector: &str) -> Result<Shelved, ShelfError> {
        let resolved = self.resolve(detector).map_err(|refused| match refused {
            Refused { reason, for_now: true } => ShelfError::Unreadable(reason),
            Refused { reason, for_now: false } => ShelfError::Refused(reason),
        })?;
        let digest = resolved.provenance.digest;
        let sha256 = digest.rsplit(':').next().unwrap_or_default().to_owned();
        Ok(Shelved { bytes: resolved.component, sha256 })
    }

    fn model(&self, detector: &str, sha256: &str) -> Result<(), ShelfError> {
        self.may_judge_by(detector, sha256).map_err(|error| ShelfError::Refused(format!("{error:#}")))
    }
}

/// Why a detector's plugin may not run: one sentence with its name and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The sentence.
    pub reason: String,
    /// Whether a file could not be read, and may be in a while.
    pub for_now: bool,
}

impl Refused {
    fn of(plugin: &str, error: &anyhow::Error) -> Self {
        let unreadable = |error: &PackageError| matches!(error, PackageError::Store { .. } | PackageError::File { .. });
        let for_now = error.chain().filter_map(|cause| cause.downcast_ref()).any(unreadable);
        Self { reason: format!("plugin `{plugin}`: {error:#}"), for_now }
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
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

fn part_of_the_program(bundled: &Bundled) -> Resolved {
    let provenance = Provenance {
        plugin: bundled.name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        digest: bundled.digest.to_string(),
        signer: PROGRAM.to_owned(),
        licence: env!("CARGO_PKG_LICENSE").to_owned(),
        model: String::new(),
    };
    Resolved { component: Cow::Borrowed(bundled.component), provenance, signer: None }
}
