//! The detectors' own threads: however busy plugins are, the gateway's other tasks have theirs. Also the clock tick
//! that ends a plugin's slice.

use std::cell::Cell;
use std::future::Future;
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use wasmtime::{Engine, EngineWeak};

use crate::SandboxError;
use crate::lane::Lane;
use crate::quota::SLICE_MS;

/// The engines in which slices pass: one for each size of stack that is asked for.
type Engines = Arc<Mutex<Vec<EngineWeak>>>;

thread_local! {
    /// Whose thread this is: the address of its executor's [`Slices`], 0 for any other thread.
    static OF: Cell<usize> = const { Cell::new(0) };
}

/// Threads for plugins, as many as the machine has cores.
pub(crate) struct Executor {
    runtime: Option<Runtime>,
    handle: Handle,
    slices: Arc<Slices>,
    ticker: Thread,
    engines: Engines,
    /// As much is compiled at once as there are cores, and as much read: what takes the compiler minutes keeps nobody
    /// from starting what was compiled before. The tasks that feed detectors have blocking work of their own.
    compiling: Semaphore,
    reading: Semaphore,
}

/// Why a piece of work has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error("the host panicked: {0}")]
    Panic(String),
    #[error("the detectors' threads have ended")]
    Ended,
}

/// Ends the work with the one who waits for it.
struct Abort<T>(JoinHandle<T>);

impl<T> Drop for Abort<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Executor {
    pub(crate) fn new() -> Result<Self, SandboxError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let slices = Arc::new(Slices::default());
        let own = slices.address();
        // A detector in a loop is always runnable: look for new work after each of its slices.
        let runtime = Builder::new_multi_thread()
            .worker_threads(cores)
            .enable_time()
            .global_queue_interval(1)
            .thread_name("detector")
            .on_thread_start(move || OF.set(own))
            .build()
            .map_err(SandboxError::Threads)?;
        let engines = Engines::default();
        let ticker = tick(engines.clone(), slices.clone())?;
        let handle = runtime.handle().clone();
        let (compiling, reading) = (Semaphore::new(cores), Semaphore::new(cores));
        Ok(Self { runtime: Some(runtime), handle, slices, ticker, engines, compiling, reading })
    }

    /// From now on slices pass in this engine too, as long as it is used.
    pub(crate) fn tick(&self, engine: &Engine) {
        self.engines.lock().push(engine.weak());
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Whether the caller already runs on the detectors' threads. Asked at each call: no lock, and nothing is counted.
    pub(crate) fn is_here(&self) -> bool {
        OF.get() == self.slices.address()
    }

    /// Runs a detector's work on the detectors' threads: at once for a caller who is there already.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Lost> {
        self.begin();
        let running = Running(self.slices.clone());
        let work = async move {
            let done = work.await;
            drop(running);
            done
        };
        if self.is_here() { here(work).await } else { wait(self.handle.spawn(work)).await }
    }

    /// As [`Executor::run`], for work that may take many slices and has no detector yet that could be asked to give way.
    pub(crate) async fn start<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Lost> {
        let (handle, ended) = (self.handle.clone(), self.has_ended());
        self.run(async move { Lane::default().run(&handle, ended, pin!(work)).await }).await?
    }

    /// Whether the threads are about to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.slices.ended.load(Ordering::Relaxed)
    }

    /// As [`Executor::is_ending`], for who outlives the call.
    pub(crate) fn has_ended(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let slices = self.slices.clone();
        move || slices.ended.load(Ordering::Relaxed)
    }

    /// Notes that a plugin is running, until what it answers is dropped: only then do slices pass.
    pub(crate) fn running(&self) -> Running<&Slices> {
        self.begin();
        Running(&self.slices)
    }

    /// A plugin runs from now on.
    fn begin(&self) {
        self.slices.running.fetch_add(1, Ordering::SeqCst);
        // It is seldom asleep, and to look costs less than to change it.
        if self.slices.asleep.load(Ordering::SeqCst) && self.slices.asleep.swap(false, Ordering::SeqCst) {
            self.ticker.unpark();
        }
    }

    /// Compiles, for seconds or minutes.
    pub(crate) async fn compile<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Lost> {
        self.block(&self.compiling, work).await
    }

    /// Reads and hashes files, for some hundred milliseconds.
    pub(crate) async fn read<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Lost> {
        self.block(&self.reading, work).await
    }

    async fn block<T: Send + 'static>(
        &self,
        at_once: &Semaphore,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Lost> {
        let permit = at_once.acquire().await.map_err(|_| Lost::Ended)?;
        let done = wait(self.handle.spawn_blocking(work)).await;
        drop(permit);
        done
    }
}

/// Runs work on the caller's own task; a panic of the host is the work's failure, not the caller's end.
pub(crate) async fn here<T>(work: impl Future<Output = T>) -> Result<T, Lost> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.map_err(|panic| {
        let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
        Lost::Panic(said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default())
    })
}

async fn wait<T>(work: JoinHandle<T>) -> Result<T, Lost> {
    let mut work = Abort(work);
    (&mut work.0).await.map_err(|error| if error.is_panic() { Lost::Panic(error.to_string()) } else { Lost::Ended })
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.slices.ended.store(true, Ordering::SeqCst);
        self.ticker.unpark();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What the ticker has to know.
#[derive(Default)]
pub(crate) struct Slices {
    running: AtomicUsize,
    asleep: AtomicBool,
    ended: AtomicBool,
}

impl Slices {
    /// What tells one executor from another, as long as it is there.
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

/// A plugin that is running.
pub(crate) struct Running<S: Deref<Target = Slices>>(S);

impl<S: Deref<Target = Slices>> Drop for Running<S> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Ticks while a plugin is running, and sleeps while none is: two hundred wake-ups a second for nothing would cost more
/// than the detectors of a small plant.
fn tick(engines: Engines, slices: Arc<Slices>) -> Result<Thread, SandboxError> {
    let ticker = move || {
        while !slices.ended.load(Ordering::SeqCst) {
            if slices.running.load(Ordering::SeqCst) == 0 {
                slices.asleep.store(true, Ordering::SeqCst);
                // Whoever begins now sees that it sleeps, or is seen here.
                if slices.running.load(Ordering::SeqCst) == 0 {
                    std::thread::park();
                }
                slices.asleep.store(false, Ordering::SeqCst);
                continue;
            }
            std::thread::sleep(Duration::from_millis(SLICE_MS));
            for engine in engines.lock().iter().filter_map(EngineWeak::upgrade) {
                engine.increment_epoch();
            }
        }
    };
    let thread = std::thread::Builder::new().name("slices".into()).spawn(ticker).map_err(SandboxError::Threads)?;
    Ok(thread.thread().clone())
}
