//! Who goes first when there is more to compute than cores: a detector that uses little is served at once, one that
//! uses every slice it gets goes on in a thread of its own that gives way to everything else. It loses nothing on an
//! idle machine, and takes little from others on a busy one. Knows no plugin.

use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio::time::Instant;

use crate::executor::Lost;

/// Slices that a detector may use at once before it has to give way.
const CREDIT_MAX: u32 = 4;
/// After so long it may use one more: a tenth of a core on the average.
const REFILL: Duration = Duration::from_millis(50);
/// How much the threads of the greedy give way: a thirtieth of what others get, where both want a core.
#[cfg(unix)]
const NICE: i32 = 15;

/// What a detector may still use before it has to give way.
#[derive(Debug)]
pub(crate) struct Lane {
    credit: u32,
    refilled: Instant,
    /// Whether its last call was running when a slice ended: calls of microseconds rarely are, however many there are.
    was_long: bool,
}

impl Default for Lane {
    fn default() -> Self {
        Self { credit: CREDIT_MAX, refilled: Instant::now(), was_long: false }
    }
}

impl Lane {
    /// Runs a call of which each `Pending` is a slice. The caller is on the detectors' threads, whose handle that is.
    /// It is pinned where it is made: it is some kilobytes, and a move of it would cost more than many a call. Once it
    /// has to give way, the call cannot be dropped before its end: `stop` is asked after each slice.
    ///
    /// # Errors
    /// When it was stopped.
    pub(crate) async fn run<T: Send>(
        &mut self,
        handle: &Handle,
        stop: impl Fn() -> bool + Sync,
        mut call: Pin<&mut (impl Future<Output = T> + Send)>,
    ) -> Result<T, Lost> {
        self.refill();
        let was_long = std::mem::take(&mut self.was_long);
        loop {
            let quick = poll_fn(|context| {
                if self.credit == 0 && (was_long || self.was_long) {
                    return Poll::Ready(None);
                }
                let polled = call.as_mut().poll(context);
                if polled.is_pending() {
                    self.was_long = true;
                    self.credit = self.credit.saturating_sub(1);
                }
                polled.map(Some)
            });
            if let Some(done) = quick.await {
                return Ok(done);
            }
            let slow = poll_fn(|context| {
                if stop() {
                    return Poll::Ready(Err(Lost::Ended));
                }
                let polled = call.as_mut().poll(context);
                self.was_long |= polled.is_pending();
                polled.map(Ok)
            });
            match block_in_place(|| apart(handle, slow)) {
                Some(Ok(done)) => return done,
                Some(Err(panic)) => resume_unwind(panic),
                // There is no thread to be had: it goes on here for a slice.
                None => self.credit = 1,
            }
        }
    }

    fn refill(&mut self) {
        if self.credit == CREDIT_MAX {
            return;
        }
        let slices = self.refilled.elapsed().as_millis() / REFILL.as_millis();
        let slices = u32::try_from(slices).unwrap_or(CREDIT_MAX).min(CREDIT_MAX);
        if slices > 0 {
            self.credit = self.credit.saturating_add(slices).min(CREDIT_MAX);
            self.refilled = Instant::now();
        }
    }
}

/// Runs work to its end in a thread of its own that gives way; `None` when there is none to be had.
fn apart<T: Send>(handle: &Handle, work: impl Future<Output = T> + Send) -> Option<std::thread::Result<T>> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("greedy".into());
        let work = || {
            give_way();
            handle.block_on(work)
        };
        Some(thread.spawn_scoped(scope, work).ok()?.join())
    })
}

/// The thread gives way from now on. Where the system refuses, it is served as others are.
fn give_way() {
    #[cfg(unix)]
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "a greedy detector cannot be made to give way");
    }
}
