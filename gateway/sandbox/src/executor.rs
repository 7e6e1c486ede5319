//! The detectors' own threads: however busy plugins are, the gateway's other tasks have theirs. Also the clock tick
//! that ends a plugin's slice.

use std::future::Future;
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

/// Threads for plugins, as many as the machine has cores.
pub(crate) struct Executor {
    runtime: Option<Runtime>,
    handle: Handle,
    slices: Arc<Slices>,
    ticker: Thread,
    engines: Engines,
    /// As much blocking work as there are cores; the tasks that feed detectors have blocking work of their own.
    blocking: Semaphore,
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
        // A detector in a loop is always runnable: look for new work after each of its slices.
        let runtime = Builder::new_multi_thread()
            .worker_threads(cores)
            .enable_time()
            .global_queue_interval(1)
            .thread_name("detector")
            .build()
            .map_err(SandboxError::Threads)?;
        let slices = Arc::new(Slices::default());
        let engines = Engines::default();
        let ticker = tick(engines.clone(), slices.clone())?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle, slices, ticker, engines, blocking: Semaphore::new(cores) })
    }

    /// From now on slices pass in this engine too, as long as it is used.
    pub(crate) fn tick(&self, engine: &Engine) {
        self.engines.lock().push(engine.weak());
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Whether the caller already runs on the detectors' threads.
    pub(crate) fn is_here(&self) -> bool {
        Handle::try_current().is_ok_and(|current| current.id() == self.handle.id())
    }

    /// Runs a detector's work on the detectors' threads: at once for a caller who is there already.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Lost> {
        let running = self.running();
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
    pub(crate) fn has_ended(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let slices = self.slices.clone();
        move || slices.ended.load(Ordering::Relaxed)
    }

    /// Notes that a plugin is running, until what it answers is dropped: only then do slices pass.
    pub(crate) fn running(&self) -> Running {
        self.slices.running.fetch_add(1, Ordering::SeqCst);
        if self.slices.asleep.swap(false, Ordering::SeqCst) {
            self.ticker.unpark();
        }
        Running(self.slices.clone())
    }

    /// Runs work that blocks, such as compiling.
    pub(crate) async fn block<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Lost> {
        let permit = self.blocking.acquire().await.map_err(|_| Lost::Ended)?;
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
struct Slices {
    running: AtomicUsize,
    asleep: AtomicBool,
    ended: AtomicBool,
}

/// A plugin that is running.
pub(crate) struct Running(Arc<Slices>);

impl Drop for Running {
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
