//! What is made of components and when: what takes long to compile keeps nobody from starting what is there, what nobody
//! uses is not kept, and what may pass is not held against the plugin.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use watchfire_pipeline::{BindingSpec, CreateError, Detector, DetectorFactory, ModelFile};
use watchfire_sandbox::{
    CacheAt, CompileError, CompileLimits, Compiler, InProcess, Sandbox, SandboxOptions, Shelf, ShelfError, Shelved,
};

use crate::setup::{binding, bundled, component, refusal};

/// Compiles what begins as a component and is none only once it is told to.
#[derive(Debug, Default)]
struct Slow {
    compiling: AtomicUsize,
    compiled: AtomicUsize,
    told: Mutex<bool>,
    tell: Condvar,
}

impl Compiler for Slow {
    fn compile(&self, component: &[u8], limits: &CompileLimits) -> Result<Vec<u8>, CompileError> {
        self.compiled.fetch_add(1, Ordering::SeqCst);
        if component.len() > 100 {
            return InProcess.compile(component, limits);
        }
        self.compiling.fetch_add(1, Ordering::SeqCst);
        self.tell.wait_while(&mut self.told.lock(), |told| !*told);
        Err(CompileError::Damaged("it took long".into()))
    }
}

fn sandbox_of(compiler: &Arc<Slow>, cache: Option<CacheAt>) -> Arc<Sandbox> {
    let compiler: Option<Arc<dyn Compiler>> = Some(compiler.clone());
    Sandbox::new(SandboxOptions { cache, bundled: bundled(), compiler, shelf: None }).unwrap()
}

async fn limit(sandbox: &Sandbox) -> Box<dyn Detector> {
    sandbox.create(&binding("limit", r#"{"high":10}"#, 1)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn components_that_take_minutes_to_compile_stop_no_other_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let cache = CacheAt { folder: folder.path().join("cache"), key: folder.path().join("key") };
    let slow = Arc::new(Slow::default());
    drop(limit(&sandbox_of(&slow, Some(cache.clone()))).await);
    let sandbox = sandbox_of(&slow, Some(cache));
    let cores = std::thread::available_parallelism().unwrap().get();
    let started: Vec<_> = (0..=cores)
        .map(|number| {
            let path = folder.path().join(format!("{number}.wasm"));
            std::fs::write(&path, format!("\0asm\r\0\x01\0{number}")).unwrap();
            let (sandbox, spec) = (sandbox.clone(), binding(path.to_str().unwrap(), "{}", 1));
            tokio::spawn(async move { sandbox.create(&spec).await.map(drop) })
        })
        .collect();
    while slow.compiling.load(Ordering::SeqCst) < cores {
        tokio::task::yield_now().await;
    }
    let quick = tokio::time::timeout(Duration::from_secs(60), limit(&sandbox)).await;
    *slow.told.lock() = true;
    slow.tell.notify_all();
    assert!(quick.is_ok(), "what was compiled before waits for what is not");
    for one in started {
        assert!(one.await.unwrap().unwrap_err().to_string().contains("it took long"));
    }
}

#[tokio::test]
async fn code_that_no_detector_uses_is_let_go() {
    let compiler = Arc::new(Slow::default());
    let sandbox = sandbox_of(&compiler, None);
    let compiled = || compiler.compiled.load(Ordering::SeqCst);
    let first = limit(&sandbox).await;
    let second = limit(&sandbox).await;
    assert_eq!(compiled(), 1);
    drop(first);
    let other = binding("faulty", "{}", 1);
    let faulty = sandbox.create(&other).await.unwrap();
    drop(limit(&sandbox).await);
    assert_eq!(compiled(), 2, "one detector still uses it");
    drop(second);
    drop(sandbox.create(&other).await.unwrap());
    drop(limit(&sandbox).await);
    assert_eq!(compiled(), 3, "nobody used it any more");
    drop(faulty);
}

#[derive(Debug)]
struct Passing(CompileError);

impl Compiler for Passing {
    fn compile(&self, _: &[u8], _: &CompileLimits) -> Result<Vec<u8>, CompileError> {
        Err(self.0.clone())
    }
}

#[tokio::test]
async fn what_may_pass_is_not_held_against_the_plugin() {
    let long = Duration::from_secs(900);
    for (error, passes) in [
        (CompileError::Process("no process".into()), true),
        (CompileError::Clock(long), true),
        (CompileError::Time(long), false),
        (CompileError::Memory(1 << 20), false),
        (CompileError::Died("signal 11".into()), false),
        (CompileError::Damaged("it is cut".into()), false),
    ] {
        let compiler: Option<Arc<dyn Compiler>> = Some(Arc::new(Passing(error.clone())));
        let options = SandboxOptions { bundled: bundled(), compiler, ..SandboxOptions::default() };
        let refused = refusal(&Sandbox::new(options).unwrap(), &binding("limit", "{}", 1)).await;
        assert_eq!(matches!(refused, CreateError::NotNow(_)), passes, "{error:?}: {refused:?}");
    }
    let sandbox = Sandbox::new(SandboxOptions::default()).unwrap();
    let nowhere = refusal(&sandbox, &binding("nowhere/x.wasm", "{}", 1)).await;
    assert!(matches!(nowhere, CreateError::NotNow(_)), "{nowhere:?}");
}

/// Takes the first model that it sees, and no other.
#[derive(Debug, Default)]
struct First(Mutex<Option<String>>);

impl Shelf for First {
    fn component(&self, detector: &str) -> Result<Shelved, ShelfError> {
        match detector {
            "torn" => Err(ShelfError::Unreadable("the disk is away".into())),
            "revoked" => Err(ShelfError::Refused("it is revoked".into())),
            _ => {
                let bytes = std::fs::read(component("faulty")).unwrap();
                Ok(Shelved { bytes: bytes.into(), sha256: "f".into() })
            }
        }
    }

    fn model(&self, detector: &str, sha256: &str) -> Result<(), ShelfError> {
        let mut first = self.0.lock();
        if first.get_or_insert_with(|| sha256.to_owned()) == sha256 {
            return Ok(());
        }
        Err(ShelfError::Refused(format!("`{detector}` has another model")))
    }
}

#[tokio::test]
async fn the_shelf_is_asked_of_the_bytes_that_the_plugin_is_handed() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("m.onnx");
    let sandbox =
        Sandbox::new(SandboxOptions { shelf: Some(Arc::new(First::default())), ..SandboxOptions::default() }).unwrap();
    let plain = binding("faulty", "{}", 1);
    let model = Some(ModelFile { path: path.clone(), sha256: None });
    let spec = BindingSpec { model, ..plain.clone() };
    std::fs::write(&path, b"one").unwrap();
    drop(sandbox.create(&spec).await.unwrap());
    drop(sandbox.create(&plain).await.unwrap());
    std::fs::write(&path, b"two").unwrap();
    let refused = refusal(&sandbox, &spec).await;
    assert!(matches!(&refused, CreateError::Plugin(why) if why.contains("has another model")), "{refused:?}");
    std::fs::write(&path, b"one").unwrap();
    drop(sandbox.create(&spec).await.unwrap());
    for (name, passes) in [("torn", true), ("revoked", false)] {
        let refused = refusal(&sandbox, &BindingSpec { name: name.into(), ..plain.clone() }).await;
        assert_eq!(matches!(refused, CreateError::NotNow(_)), passes, "{refused:?}");
    }
}
