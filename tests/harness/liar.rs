//! What is at an address, and is no OPC UA server, or half of one: whoever connects gets some bytes, and then silence.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it is looked whether it should end.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// It.
#[derive(Debug)]
pub struct Liar {
    pub port: u16,
    stop: Arc<AtomicBool>,
    listening: Option<JoinHandle<usize>>,
}

impl Liar {
    /// Answers whatever comes first on a connection with these bytes.
    pub fn says(bytes: &'static [u8]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (port, stop) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
        listener.set_nonblocking(true).unwrap();
        let stopped = stop.clone();
        let listening = Some(std::thread::spawn(move || listen(&listener, bytes, &stopped)));
        Self { port, stop, listening }
    }

    /// Ends it, and answers how many have connected.
    pub fn end(mut self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.listening.take().unwrap().join().unwrap()
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

fn listen(listener: &TcpListener, bytes: &[u8], stop: &AtomicBool) -> usize {
    let (mut streams, mut count) = (Vec::new(), 0);
    while !stop.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true).unwrap();
                count += 1;
                streams.push((stream, false));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::park_timeout(LOOK_EVERY),
            Err(_) => break,
        }
        streams.retain_mut(|(stream, answered)| match stream.read(&mut [0; 4096]) {
            Ok(0) => false,
            Ok(_) if !std::mem::replace(answered, true) => stream.write_all(bytes).is_ok(),
            Ok(_) => true,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        });
    }
    count
}
