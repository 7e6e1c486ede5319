//! What the tests stand on: processes that end with their handle, peers that speak lines of JSON, a gateway with a
//! folder and a port of its own, a way in between that can be cut. Knows nothing of what a test wants to see.

pub mod gateway;
pub mod hmi;
pub mod liar;
pub mod peer;
pub mod process;
pub mod proxy;
pub mod recording;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine before a test gives up: so long only where it fails.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// How often something is looked at that does not tell by itself.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Ports below those that systems give to outgoing connections, so that none of these takes one of ours.
const PORTS: std::ops::Range<u16> = 20_000..31_000;

/// The project's top folder.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A port that nobody listens on and that no other test of this run is given.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    let start = u16::try_from(std::process::id() % 100).unwrap() * (count / 100);
    for _ in 0..count {
        let port = PORTS.start + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % count;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free");
}

/// Looks again and again until `seen` has something; fails with `what` when it takes too long.
#[track_caller]
pub fn wait_for<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = seen() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}
