//! From a file's bytes to a plugin that can be instantiated: is it a component, of this contract, wanting no more than
//! the contract gives? Each refusal names the plugin and the way out.

use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::{Component, Linker};
use watchfire_pipeline::{CreateError, Quota};

use crate::bindings::out;
use crate::cache::Cache;
use crate::code::Code;
use crate::compiler::{CompileError, CompileLimits, Compiler};
use crate::guest::{Has, Indices, OLDEST, Speaks, VERSION};
use crate::instance::{Instance, Interfaces};
use crate::log;
use crate::quota::HostState;

/// The contract this gateway answers to.
const CONTRACT: &str = "watchfire:detector";
/// The first bytes of every WebAssembly file, then four of version: a core module's or a component's.
const MAGIC: [u8; 4] = *b"\0asm";
const CORE_MODULE: [u8; 4] = [1, 0, 0, 0];

/// A plugin, ready to be instantiated.
pub(crate) struct Plugin {
    pub interfaces: Interfaces,
    pub description: out::Description,
    /// Of the component, hexadecimal: what people know it by.
    pub sha256: String,
}

/// What a plugin is made with.
pub(crate) struct Maker {
    pub engine: Engine,
    pub linker: Linker<HostState>,
    pub source: Arc<CodeSource>,
}

/// Where machine code comes from.
pub(crate) struct CodeSource {
    pub cache: Option<Cache>,
    pub compiler: Arc<dyn Compiler>,
}

/// A refusal of the file; what the compiler says of it may hold names from it, and lines.
fn no_plugin(name: &str, reason: impl std::fmt::Display) -> CreateError {
    CreateError::Plugin(format!("plugin `{name}` {}", log::one_line(&reason.to_string())))
}

/// The same where it is not the file's fault.
fn not_now(name: &str, reason: impl std::fmt::Display) -> CreateError {
    CreateError::NotNow(format!("plugin `{name}` {}", log::one_line(&reason.to_string())))
}

impl Maker {
    /// Loads a component's code from the cache and looks at its interfaces; `None` where it must be compiled. Blocks for
    /// some milliseconds, for a Python component 50.
    pub(crate) fn load(&self, name: &str, bytes: &[u8], sha256: &str) -> Result<Option<Interfaces>, CreateError> {
        check_header(name, bytes)?;
        self.kept(name, sha256).map(|component| self.interfaces(name, &component)).transpose()
    }

    /// Compiles a component and looks at its interfaces. Blocks: 20 ms for a small one, 24 s for a Python component.
    pub(crate) fn compile(
        &self,
        name: &str,
        bytes: &[u8],
        sha256: &str,
        limits: &CompileLimits,
    ) -> Result<Interfaces, CreateError> {
        let component = self.fresh(name, bytes, sha256, limits)?;
        self.interfaces(name, &component)
    }

    fn interfaces(&self, name: &str, component: &Component) -> Result<Interfaces, CreateError> {
        self.check_imports(name, component)?;
        let (speaks, has) = self.check_exports(name, component)?;
        let mismatch = |error: wasmtime::Error| {
            let way_out = format!("build it against `wit/{VERSION}`");
            no_plugin(name, format_args!("does not match the contract {CONTRACT}@{VERSION} ({error:#}); {way_out}"))
        };
        let pre = self.linker.instantiate_pre(component).map_err(mismatch)?;
        let functions = Indices::new(&pre, speaks, has).map_err(mismatch)?;
        Ok(Interfaces { pre, functions })
    }

    /// What the cache has.
    fn kept(&self, name: &str, sha256: &str) -> Option<Component> {
        let kept = self.source.cache.as_ref()?.read(&self.engine, sha256)?;
        let loaded = Code::Kept(kept).load(&self.engine);
        loaded.inspect_err(|error| tracing::warn!(plugin = name, %error, "compiled plugin is compiled again")).ok()
    }

    fn fresh(&self, name: &str, bytes: &[u8], sha256: &str, limits: &CompileLimits) -> Result<Component, CreateError> {
        let code = self.source.compiler.compile(bytes, limits).map_err(|error| match error {
            CompileError::Process(_) | CompileError::Clock(_) => not_now(name, error),
            _ => no_plugin(name, error),
        })?;
        let code = Code::Fresh(code);
        let component = code.load(&self.engine).map_err(|error| {
            no_plugin(name, format_args!("cannot be loaded ({error:#}); restart the gateway, its program was replaced"))
        })?;
        if let Some(cache) = &self.source.cache {
            cache.keep(&self.engine, sha256, code.bytes());
        }
        Ok(component)
    }

    /// Asks a compiled component what it is.
    pub(crate) async fn describe(
        &self,
        name: &str,
        interfaces: Interfaces,
        sha256: String,
        quota: Quota,
    ) -> Result<Plugin, CreateError> {
        let detector: Arc<str> = name.into();
        let mut instance = Instance::new(&self.engine, &interfaces, quota, detector)
            .await
            .map_err(|fault| no_plugin(name, format_args!("cannot be started: {fault}; ask its maker")))?;
        let description = instance
            .describe()
            .await
            .map_err(|fault| no_plugin(name, format_args!("does not say what it is: {fault}; ask its maker")))?;
        Ok(Plugin { interfaces, description, sha256 })
    }

    fn check_imports(&self, name: &str, component: &Component) -> Result<(), CreateError> {
        let shape = component.component_type();
        let foreign: Vec<String> = shape
            .imports(&self.engine)
            .filter(|(import, _)| interface(import).is_none())
            .map(|(import, _)| format!("`{import}`"))
            .collect();
        if foreign.is_empty() {
            return Ok(());
        }
        let names = foreign.join(", ");
        let way_out = "build it without files, clocks, network or randomness, for wasm32-unknown-unknown";
        Err(no_plugin(name, format_args!("wants {names}, and gets nothing but `{CONTRACT}/log`; {way_out}")))
    }

    /// Which version of the contract the component was built against, and which of the interfaces that it may have it has.
    fn check_exports(&self, name: &str, component: &Component) -> Result<(Speaks, Has), CreateError> {
        let shape = component.component_type();
        let exports: Vec<String> = shape.exports(&self.engine).map(|(export, _)| export.to_owned()).collect();
        let of = |wanted: &str| {
            let versions = exports.iter().filter_map(|export| interface(export));
            versions.filter(|(found, _)| *found == wanted).map(|(_, version)| version.to_owned()).next()
        };
        let Some(version) = of("detector") else {
            let way_out = "export that interface of the contract's world `minimal`";
            return Err(no_plugin(name, format_args!("does not export `{CONTRACT}/detector@{VERSION}`; {way_out}")));
        };
        let Some(speaks) = Speaks::of(&version) else {
            let way_out = format!("build it against `wit/{VERSION}`, or upgrade the gateway");
            let ours = format!("this gateway has {OLDEST} and {VERSION}");
            return Err(no_plugin(name, format_args!("is made for contract {version}, {ours}; {way_out}")));
        };
        let has = |wanted: &str| of(wanted).is_some_and(|version| Speaks::of(&version) == Some(speaks));
        Ok((speaks, Has { state: has("state"), learner: has("learner"), events_in: has("events-in") }))
    }
}

/// The interface and version in a name such as `watchfire:detector/log@1.0.0`.
fn interface(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(CONTRACT)?.strip_prefix('/')?.split_once('@')
}

fn check_header(name: &str, bytes: &[u8]) -> Result<(), CreateError> {
    let way_out = "turn it into one with `wasm-tools component new`";
    match (bytes.get(..4), bytes.get(4..8)) {
        (None, _) | (_, None) => Err(no_plugin(name, "is empty or cut short; build or copy it again")),
        (Some(magic), _) if magic != MAGIC => {
            Err(no_plugin(name, "is no WebAssembly file; name a component (`.wasm`) or a bundled plugin"))
        }
        (_, Some(version)) if version == CORE_MODULE => {
            Err(no_plugin(name, format_args!("is a WebAssembly core module, not a component; {way_out}")))
        }
        _ => Ok(()),
    }
}
