//! The factory of detectors: finds a plugin's bytes, makes each component once, and starts an instance for a binding.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use watchfire_model::SignalInfo;
use watchfire_pipeline::{BindingSpec, CreateError, Detector, DetectorFactory, DetectorFault, DetectorIdentity, Quota};

use crate::bindings::wit::Blame;
use crate::cache::{Cache, CacheAt};
use crate::compiler::{CompileLimits, Compiler, InProcess};
use crate::detector::Sandboxed;
use crate::executor::{Executor, Lost};
use crate::instance::{Instance, Interfaces, NotStarted, sentence};
use crate::lane::Lane;
use crate::limits;
use crate::model::{self, Model};
use crate::plugin::{CodeSource, Maker, Plugin};
use crate::schema::{self, Misfit};
use crate::{SandboxError, engine};

/// The largest plugin file, bytes; a Python component has 18 MB.
const FILE_BYTES_MAX: u64 = 128 << 20;

/// What the sandbox is made with.
#[derive(Debug, Default)]
pub struct SandboxOptions {
    /// Where compiled plugins are kept. `None` compiles at each start.
    pub cache: Option<CacheAt>,
    /// The plugins shipped inside the program, by name.
    pub bundled: Vec<(String, Cow<'static, [u8]>)>,
    /// Who compiles. `None` compiles in this process, which suits plugins that one has made oneself.
    pub compiler: Option<Arc<dyn Compiler>>,
    /// Says what each detector may run. `None`: the plugin in `bundled`, or the file, that a binding's `plugin` names.
    pub shelf: Option<Arc<dyn Shelf>>,
}

/// Gives a detector the component that it may run, and refuses what it may not.
pub trait Shelf: std::fmt::Debug + Send + Sync {
    /// The bytes of a detector's component, judged anew each time: what is judged is what runs. Blocks.
    ///
    /// # Errors
    /// Why it may not run.
    fn component(&self, detector: &str) -> Result<Shelved, ShelfError>;

    /// Whether a detector may judge by a model with this SHA-256, hexadecimal; asked at each start, of the very bytes
    /// that the plugin is handed. Blocks.
    ///
    /// # Errors
    /// Why it may not.
    fn model(&self, detector: &str, sha256: &str) -> Result<(), ShelfError>;
}

/// Why a shelf gives nothing: a sentence with the plugin's name and the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShelfError {
    /// A person has to do something.
    #[error("{0}")]
    Refused(String),
    /// A file cannot be read; it may be in a while.
    #[error("{0}")]
    Unreadable(String),
}

impl From<ShelfError> for CreateError {
    fn from(error: ShelfError) -> Self {
        match error {
            ShelfError::Refused(reason) => Self::Plugin(reason),
            ShelfError::Unreadable(reason) => Self::NotNow(reason),
        }
    }
}

/// A component from a shelf.
#[derive(Debug)]
pub struct Shelved {
    /// Its bytes.
    pub bytes: Cow<'static, [u8]>,
    /// Their SHA-256, hexadecimal.
    pub sha256: String,
}

/// A component, which may be part of the program.
type PluginBytes = Arc<Cow<'static, [u8]>>;

/// SHA-256 of the component, bytes of stack.
type PluginKey = (String, usize);

/// Runs plugins. Its threads end with it.
pub struct Sandbox {
    source: Arc<CodeSource>,
    /// One for each size of stack, bytes: an engine has one for all its instances.
    makers: Mutex<HashMap<usize, Arc<Maker>>>,
    pub(crate) executor: Arc<Executor>,
    bundled: HashMap<String, Arc<Cow<'static, [u8]>>>,
    shelf: Option<Arc<dyn Shelf>>,
    /// Each component that is used, by digest and size of stack: compiled once, described once.
    plugins: Mutex<HashMap<PluginKey, Arc<OnceCell<Plugin>>>>,
}

impl Sandbox {
    /// A sandbox with its threads, one for each core. May be made outside a Tokio runtime.
    ///
    /// # Errors
    /// When the machine cannot run compiled plugins, or the cache's folder cannot be used.
    pub fn new(options: SandboxOptions) -> Result<Arc<Self>, SandboxError> {
        let cache = options.cache.as_ref().map(Cache::open).transpose()?;
        let executor = Arc::new(Executor::new()?);
        let bundled = options.bundled.into_iter().map(|(name, bytes)| (name, Arc::new(bytes))).collect();
        let compiler = options.compiler.unwrap_or_else(|| Arc::new(InProcess));
        let source = Arc::new(CodeSource { cache, compiler });
        let shelf = options.shelf;
        let sandbox = Self { source, makers: Mutex::default(), executor, bundled, shelf, plugins: Mutex::default() };
        // What this machine cannot do is told now.
        sandbox.maker(&Quota::default())?;
        Ok(Arc::new(sandbox))
    }

    /// What makes plugins within these bounds.
    pub(crate) fn maker(&self, quota: &Quota) -> Result<Arc<Maker>, SandboxError> {
        let mut makers = self.makers.lock();
        if let Some(maker) = makers.get(&quota.stack_bytes) {
            return Ok(maker.clone());
        }
        let engine = engine::engine(quota.stack_bytes)?;
        let linker = engine::linker(&engine)?;
        self.executor.tick(&engine);
        let maker = Arc::new(Maker { engine, linker, source: self.source.clone() });
        makers.insert(quota.stack_bytes, maker.clone());
        Ok(maker)
    }

    /// The bundled plugin of that name, or the file.
    pub(crate) async fn bytes(&self, name: &str) -> Result<Arc<Cow<'static, [u8]>>, CreateError> {
        if let Some(bytes) = self.bundled.get(name) {
            return Ok(bytes.clone());
        }
        let mut names: Vec<&str> = self.bundled.keys().map(String::as_str).collect();
        names.sort_unstable();
        let bundled = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let path = PathBuf::from(name);
        let read = self.executor.read(move || read(&path)).await.map_err(lost)?;
        let way_out = format!("name a component's file or a bundled plugin ({bundled})");
        let bytes = read.map_err(|error| {
            let kind =
                if error.kind() == std::io::ErrorKind::Other { CreateError::Plugin } else { CreateError::NotNow };
            kind(format!("plugin `{name}` cannot be read: {error}; {way_out}"))
        })?;
        Ok(Arc::new(Cow::Owned(bytes)))
    }

    /// What a detector may run, and its SHA-256.
    async fn bytes_for(&self, binding: &BindingSpec) -> Result<(PluginBytes, String), CreateError> {
        let Some(shelf) = self.shelf.clone() else {
            let bytes = self.bytes(&binding.plugin).await?;
            return self
                .executor
                .read(move || {
                    let sha256 = sha256(&bytes);
                    (bytes, sha256)
                })
                .await
                .map_err(lost);
        };
        let detector = binding.name.clone();
        let given = self.executor.read(move || shelf.component(&detector)).await.map_err(lost)?;
        let Shelved { bytes, sha256 } = given?;
        Ok((Arc::new(bytes), sha256))
    }

    pub(crate) async fn plugin(&self, binding: &BindingSpec) -> Result<Arc<OnceCell<Plugin>>, CreateError> {
        let (bytes, sha256) = self.bytes_for(binding).await?;
        let cell = self.cell((sha256.clone(), binding.quota.stack_bytes));
        let plugin = cell.get_or_try_init(|| self.make(binding, bytes, sha256)).await?;
        fits(plugin, binding)?;
        Ok(cell)
    }

    /// Where a plugin is or comes. What nobody uses any more goes: a Python component has 37 MB of code.
    fn cell(&self, key: PluginKey) -> Arc<OnceCell<Plugin>> {
        let mut plugins = self.plugins.lock();
        plugins.retain(|known, cell| *known == key || Arc::strong_count(cell) > 1);
        plugins.entry(key).or_default().clone()
    }

    /// A detector's model, read anew at each start, and only if it may judge by that.
    pub(crate) async fn model(&self, binding: &BindingSpec) -> Result<Option<Model>, CreateError> {
        if binding.model.is_none() {
            return Ok(None);
        }
        let (binding, shelf) = (binding.clone(), self.shelf.clone());
        let read = move || {
            let model = model::read(&binding)?;
            if let (Some(model), Some(shelf)) = (&model, shelf) {
                shelf.model(&binding.name, &model.sha256)?;
            }
            Ok(model)
        };
        self.executor.read(read).await.map_err(lost)?
    }

    /// A component's interfaces, from the cache or compiled.
    pub(crate) async fn interfaces(
        &self,
        maker: &Arc<Maker>,
        name: &str,
        bytes: PluginBytes,
        sha256: &str,
        limits: CompileLimits,
    ) -> Result<Interfaces, CreateError> {
        let of = || (maker.clone(), bytes.clone(), name.to_owned(), sha256.to_owned());
        let (loading, bytes_kept, plugin, digest) = of();
        let load = move || loading.load(&plugin, &bytes_kept, &digest);
        if let Some(kept) = self.executor.read(load).await.map_err(lost)?? {
            return Ok(kept);
        }
        let (making, bytes, plugin, digest) = of();
        let compile = move || making.compile(&plugin, &bytes, &digest, &limits);
        self.executor.compile(compile).await.map_err(lost)?
    }

    async fn make(&self, binding: &BindingSpec, bytes: PluginBytes, sha256: String) -> Result<Plugin, CreateError> {
        let maker = self.maker(&binding.quota).map_err(no_engine)?;
        let limits = CompileLimits::from(&binding.quota);
        let interfaces = self.interfaces(&maker, &binding.plugin, bytes, &sha256, limits).await?;
        let (name, quota) = (binding.plugin.clone(), binding.quota);
        let describe = async move { maker.describe(&name, interfaces, sha256, quota).await };
        self.executor.start(describe).await.map_err(lost)?
    }
}

#[async_trait]
impl DetectorFactory for Sandbox {
    async fn create(&self, binding: &BindingSpec) -> Result<Box<dyn Detector>, CreateError> {
        let cell = self.plugin(binding).await?;
        let model = self.model(binding).await?;
        let (maker, spec) = (self.maker(&binding.quota).map_err(no_engine)?, binding.clone());
        let used = cell.clone();
        let start = async move {
            let Some(plugin) = cell.get() else { return Err(lost(Lost::Ended)) };
            let engine = &maker.engine;
            let detector: Arc<str> = spec.name.as_str().into();
            let mut instance = Instance::new(engine, &plugin.interfaces, spec.quota, detector).await?;
            let (model, sha256) = model.map(|model| (model.bytes, model.sha256)).unzip();
            instance.init(&spec, model).await.map_err(|not| not_started(&spec.plugin, not))?;
            Ok((identity(plugin, &spec, sha256), Box::new(instance)))
        };
        let (identity, instance) = self.executor.start(start).await.map_err(lost)??;
        Ok(Box::new(Sandboxed {
            executor: self.executor.clone(),
            _plugin: used,
            identity,
            conditions: instance.conditions().to_vec(),
            learns: instance.learns(),
            observes: instance.observes(),
            instance: Some(instance),
            lane: Lane::default(),
        }))
    }

    fn threads(&self) -> Option<tokio::runtime::Handle> {
        Some(self.executor.handle().clone())
    }
}

/// Reads a plugin's file, unless it is too large to be one.
fn read(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    let bytes = std::fs::metadata(path)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it has {bytes} bytes, a plugin has {FILE_BYTES_MAX} at the most")));
    }
    std::fs::read(path)
}

pub(crate) fn no_engine(error: SandboxError) -> CreateError {
    CreateError::Plugin(error.to_string())
}

pub(crate) fn lost(lost: Lost) -> CreateError {
    CreateError::Fault(DetectorFault::Trap(lost.to_string()))
}

pub(crate) fn not_started(plugin: &str, not: NotStarted) -> CreateError {
    match not {
        NotStarted::Fault(fault) => fault.into(),
        NotStarted::Refused(refusal) => {
            let what = match refusal.blame {
                Blame::Config => "its configuration",
                Blame::Signals => "its signals",
                Blame::Model => "its model",
                Blame::State => "its state",
                Blame::Bug => "to start, by a mistake of its own",
            };
            CreateError::Refused(format!("plugin `{plugin}` refuses {what}: {}", sentence(&refusal)))
        }
    }
}

/// Refuses a configuration that the plugin's own schema refuses: each key with the place where it was written.
fn fits(plugin: &Plugin, binding: &BindingSpec) -> Result<(), CreateError> {
    let misfits = schema::misfits(&plugin.description.config_schema, &binding.config);
    if misfits.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = misfits.iter().map(|misfit| placed(misfit, &binding.places)).collect();
    let (name, told) = (&binding.plugin, told.join("; "));
    Err(CreateError::Refused(format!("plugin `{name}` refuses its configuration: {told}")))
}

/// A misfit with the place of its key, or of the nearest table around it.
fn placed(misfit: &Misfit, places: &BTreeMap<String, String>) -> String {
    let above = (0..=misfit.path.len()).rev().filter_map(|keys| misfit.path.get(..keys));
    match above.map(|keys| keys.join(".")).find_map(|keys| places.get(&keys)) {
        Some(place) => format!("{place}: {misfit}"),
        None => misfit.to_string(),
    }
}

/// The SHA-256 of a component, hexadecimal.
pub(crate) fn sha256(component: &[u8]) -> String {
    hex(&Sha256::digest(component))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn identity(plugin: &Plugin, binding: &BindingSpec, model: Option<String>) -> DetectorIdentity {
    let said = &plugin.description;
    DetectorIdentity {
        id: said.id.clone(),
        version: said.version.clone(),
        title: said.title.clone(),
        digest: plugin.sha256.clone(),
        state_version: said.state_version,
        config_hash: config_hash(&binding.config, &binding.signals, model.as_deref()),
        model,
        tick: said.tick_ns.map(Duration::from_nanos),
        warm_up_samples: said.warm_up_samples,
        limits: limits::told(&said.config_schema, &binding.config),
    }
}

/// What a saved state depends on: the configuration, the model, and what the signals are, not where they stand in the
/// log.
fn config_hash(config: &str, signals: &[SignalInfo], model: Option<&str>) -> String {
    let described: Vec<_> = signals
        .iter()
        .map(|s| (&s.name, format!("{:?}", s.kind), &s.unit, s.range, s.sampling_ns, &s.role, s.group))
        .collect();
    let mut hasher = blake3::Hasher::new();
    // JSON keeps the parts apart, and writes each number one way.
    match serde_json::to_vec(&(config, described)) {
        Ok(text) => hasher.update(&text),
        Err(error) => hasher.update(error.to_string().as_bytes()),
    };
    // No JSON ends so: one with a model is another than any without.
    if let Some(model) = model {
        hasher.update(b"\0").update(model.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
