//! A way between a client and a server that can be cut, or can hang: it forwards TCP.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::free_port;

/// How often a forwarder looks whether it should go on.
const LOOK_EVERY: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Way {
    Open,
    /// Connections are broken and none is let through.
    Cut,
    /// Connections stay and nothing goes through.
    Hanging,
}

#[derive(Debug)]
struct State {
    way: AtomicU8,
    stop: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

/// The way.
#[derive(Debug)]
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A way to a port of this machine.
    pub fn to(target: u16) -> Self {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let state = Arc::new(State { way: AtomicU8::new(0), stop: AtomicBool::new(false), streams: Mutex::default() });
        let shared = state.clone();
        let acceptor = std::thread::spawn(move || accept(&listener, target, &shared));
        Self { port, state, acceptor: Some(acceptor) }
    }

    /// Breaks every connection and refuses new ones until [`Proxy::open`].
    pub fn cut(&self) {
        self.state.set(Way::Cut);
        self.state.break_all();
    }

    /// Forwards nothing until [`Proxy::open`]; connections stay.
    pub fn hang(&self) {
        self.state.set(Way::Hanging);
    }

    /// Forwards again.
    pub fn open(&self) {
        self.state.set(Way::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        self.state.break_all();
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
    }
}

impl State {
    fn set(&self, way: Way) {
        self.way.store(way as u8, Ordering::SeqCst);
    }

    fn is(&self, way: Way) -> bool {
        self.way.load(Ordering::SeqCst) == way as u8
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn break_all(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

fn accept(listener: &TcpListener, target: u16, state: &Arc<State>) {
    while !state.stopped() {
        match listener.accept() {
            Ok((client, _)) if state.is(Way::Cut) => drop(client),
            Ok((client, _)) => {
                if let Ok(server) = TcpStream::connect(("127.0.0.1", target)) {
                    forward(&client, &server, state);
                    forward(&server, &client, state);
                    state.streams.lock().unwrap().extend([client, server]);
                }
            }
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// Copies one way until either end is gone; the thread ends then.
fn forward(from: &TcpStream, to: &TcpStream, state: &Arc<State>) {
    let (mut from, mut to, state) = (from.try_clone().unwrap(), to.try_clone().unwrap(), state.clone());
    from.set_nonblocking(false).unwrap();
    from.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while !state.stopped() {
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(_) => break,
            };
            while state.is(Way::Hanging) && !state.stopped() {
                std::thread::sleep(LOOK_EVERY);
            }
            // What was held back is lost where the way was cut meanwhile.
            if state.is(Way::Cut) || to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Both));
        drop(from.shutdown(Shutdown::Both));
    });
}
