//! What the tests stand on: processes that end with their handle, peers that speak lines of JSON, a gateway with a
//! folder and a port of its own, a way in between that can be cut. Knows nothing of what a test wants to see.

pub mod gateway;
pub mod hmi;
pub mod liar;
pub mod peer;
pub mod process;
pub mod proxy;
pub mod recording;

use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine before a test gives up: so long only where it fails.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// How soon something is looked at again that does not tell by itself,
const LOOK_FIRST: Duration = Duration::from_millis(20);
/// and how late at the most: looking often may start a program and keep a busy machine from what is waited for.
const LOOK_LAST: Duration = Duration::from_millis(100);

/// Ports below those that systems give to outgoing connections, so that none of these takes one of ours.
const PORTS: std::ops::Range<u16> = 20_000..31_000;
/// Ports that a run takes at once.
const BLOCK_PORTS: u16 = 100;

/// The project's top folder.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Ports of this run alone: other runs on this machine leave them out while the first one's UDP port is held.
struct Block {
    _held: UdpSocket,
    rest: std::ops::Range<u16>,
}

/// A port that nobody listens on and that no other test is given, of this run or of another.
pub fn free_port() -> u16 {
    static BLOCKS: Mutex<Vec<Block>> = Mutex::new(Vec::new());
    let mut blocks = BLOCKS.lock().unwrap();
    loop {
        let mut rest = blocks.last_mut().into_iter().flat_map(|block| block.rest.by_ref());
        if let Some(port) = rest.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
            return port;
        }
        let hold = |first: u16| {
            let held = UdpSocket::bind(("127.0.0.1", first)).ok()?;
            Some(Block { _held: held, rest: first..first + BLOCK_PORTS })
        };
        let block = PORTS.step_by(BLOCK_PORTS.into()).find_map(hold);
        blocks.push(block.unwrap_or_else(|| panic!("no port of {PORTS:?} is free")));
    }
}

/// Looks again and again until `seen` has something; fails with `what` when it takes too long.
#[track_caller]
pub fn wait_for<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut look = LOOK_FIRST;
    loop {
        if let Some(found) = seen() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(look);
        look = (look * 2).min(LOOK_LAST);
    }
}
