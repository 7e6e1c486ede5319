//! Connections that servers open to us (reverse connect, OPC 10000-6 §7.1.3): one listening socket for all sources with
//! the same address, each connection handed to the source whose URL the server's greeting names. Knows no session.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::FutureExt;
use opcua::core::comms::tcp_types::ReverseHelloMessage;
use opcua::types::{DecodingOptions, SimpleBinaryDecodable};
use parking_lot::Mutex;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::AbortOnDropHandle;
use watchfire_config::EndpointUrl;

/// How long a greeting may take.
const GREETING_MAX: Duration = Duration::from_secs(5);
/// The longest greeting: two strings of 4,096 bytes (OPC 10000-6 §7.1.2.6).
const GREETING_BYTES_MAX: usize = 8 + 2 * (4 + 4096);
/// Connections that may be greeting at a time; others wait in the system's queue.
const GREETING_AT_ONCE: usize = 64;
/// Connections of one server that may wait; the newest are kept.
const WAITING_MAX: usize = 4;

/// Each address that is listened at. A port belongs to the whole process: sources that share one share its door.
static DOORS: Mutex<BTreeMap<SocketAddr, Weak<Door>>> = Mutex::new(BTreeMap::new());

/// A listening socket and who has come.
#[derive(Debug)]
pub(crate) struct Door {
    hall: Arc<Hall>,
    _accepting: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Hall {
    /// Who is waited for, and the connections that have come.
    guests: Mutex<BTreeMap<String, VecDeque<TcpStream>>>,
    come: Notify,
}

impl Door {
    /// The door at an address, opened unless it is open. Closed when the last one who has it lets go.
    pub(crate) fn at(address: SocketAddr) -> io::Result<Arc<Self>> {
        let mut doors = DOORS.lock();
        if let Some(open) = doors.get(&address).and_then(Weak::upgrade) {
            return Ok(open);
        }
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let hall = Arc::new(Hall::default());
        let accepting = tokio::spawn(accept(listener, hall.clone()));
        let door = Arc::new(Self { hall, _accepting: AbortOnDropHandle::new(accepting) });
        doors.insert(address, Arc::downgrade(&door));
        Ok(door)
    }

    /// A server of this URL may come from now on.
    pub(crate) fn expect(&self, url: &EndpointUrl) {
        self.hall.guests.lock().entry(name(url)).or_default();
    }

    /// Waits until the server that calls itself so has come, and leaves it waiting. Cancel-safe.
    pub(crate) async fn come(&self, url: &EndpointUrl) {
        let name = name(url);
        self.expect(url);
        loop {
            let come = self.hall.come.notified();
            if self.hall.guests.lock().get(&name).is_some_and(|waiting| waiting.iter().any(is_alive)) {
                return;
            }
            come.await;
        }
    }

    /// Waits for a connection from the server that calls itself so. Cancel-safe.
    pub(crate) async fn wait_for(&self, url: &EndpointUrl) -> TcpStream {
        let name = name(url);
        loop {
            let come = self.hall.come.notified();
            {
                let mut guests = self.hall.guests.lock();
                let waiting = guests.entry(name.clone()).or_default();
                while let Some(stream) = waiting.pop_back() {
                    if is_alive(&stream) {
                        return stream;
                    }
                }
            }
            come.await;
        }
    }
}

/// A server says nothing more until it is greeted: what can be read is the end of the connection.
fn is_alive(stream: &TcpStream) -> bool {
    stream.peek(&mut [0]).now_or_never().is_none()
}

async fn accept(listener: TcpListener, hall: Arc<Hall>) {
    let room = Arc::new(Semaphore::new(GREETING_AT_ONCE));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let hall = hall.clone();
        tokio::spawn(async move {
            let greeted = tokio::time::timeout(GREETING_MAX, greeting(stream)).await;
            match greeted {
                Ok(Ok((stream, greeting))) => hall.take_in(stream, from, &greeting),
                Ok(Err(error)) => tracing::warn!(%from, %error, "a connection that does not begin as a server's"),
                Err(_) => tracing::warn!(%from, "a connection that says nothing is closed"),
            }
            drop(place);
        });
    }
}

/// Reads what a server that opens a connection says first.
async fn greeting(mut stream: TcpStream) -> io::Result<(TcpStream, ReverseHelloMessage)> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut bytes = vec![0; 8];
    stream.read_exact(&mut bytes).await?;
    let size = match bytes.as_slice() {
        [b'R', b'H', b'E', b'F', size @ ..] => size.try_into().map(u32::from_le_bytes).ok(),
        _ => None,
    };
    let size = size.and_then(|size| usize::try_from(size).ok()).ok_or_else(|| wrong("it is no ReverseHello"))?;
    if !(bytes.len()..=GREETING_BYTES_MAX).contains(&size) {
        return Err(wrong("its ReverseHello is longer than one can be"));
    }
    let mut rest = vec![0; size - bytes.len()];
    stream.read_exact(&mut rest).await?;
    bytes.append(&mut rest);
    let decoded = ReverseHelloMessage::decode(&mut bytes.as_slice(), &DecodingOptions::default());
    let greeting = decoded.map_err(|_| wrong("its ReverseHello cannot be read"))?;
    stream.set_nodelay(true)?;
    Ok((stream, greeting))
}

impl Hall {
    fn take_in(&self, stream: TcpStream, from: SocketAddr, greeting: &ReverseHelloMessage) {
        let (url, server) = (greeting.endpoint_url.as_ref(), greeting.server_uri.as_ref());
        let parsed = EndpointUrl::parse(url);
        let mut guests = self.guests.lock();
        let Some(waiting) = parsed.ok().and_then(|url| guests.get_mut(&name(&url))) else {
            let url: String = url.chars().take(200).collect();
            let server: String = server.chars().take(200).collect();
            tracing::warn!(%from, url, server, "a server that no source waits for; its `url` must be what it calls itself");
            return;
        };
        if waiting.len() >= WAITING_MAX {
            waiting.pop_front();
        }
        waiting.push_back(stream);
        drop(guests);
        self.come.notify_waiters();
    }
}

/// What a URL is known by: hosts know no case, and a last `/` means nothing.
fn name(url: &EndpointUrl) -> String {
    format!("{}:{}{}", url.host.to_lowercase(), url.port, url.path.trim_end_matches('/'))
}
