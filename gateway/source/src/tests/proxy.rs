//! A TCP proxy that can cut its connections, or keep them open in silence.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Everything passes.
    Open,
    /// Connections are closed at once.
    Cut,
    /// Connections stay open, nothing passes.
    Silent,
    /// Of what the server says next half passes, then nothing.
    Half,
    /// In place of what the server says next comes this, then nothing.
    Instead(&'static [u8]),
    /// Answers of a kind, by the number of its binary encoding, that are longer than this never come, as far as the client can tell. Set before anything
    /// connects, and without security.
    Without(u16, usize),
}

/// Where the kind of an answer stands in a message without security, as a node id of four bytes.
const KIND: std::ops::Range<usize> = 24..28;
/// And which request it answers.
const REQUEST_ID: std::ops::Range<usize> = 20..24;

pub(super) struct Proxy {
    pub(super) port: u16,
    line: watch::Sender<Line>,
    /// How many answers were swallowed.
    swallowed: watch::Sender<usize>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(super) async fn start(to_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (line, seen) = watch::channel(Line::Open);
        let to = SocketAddr::from(([127, 0, 0, 1], to_port));
        let swallowed = watch::Sender::new(0);
        let counts = swallowed.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, to, seen.clone(), counts.clone()));
            }
        });
        Self { port, line, swallowed, task }
    }

    pub(super) fn url(&self) -> String {
        format!("opc.tcp://127.0.0.1:{}", self.port)
    }

    pub(super) fn open(&self) {
        self.line.send_replace(Line::Open);
    }

    pub(super) fn cut(&self) {
        self.line.send_replace(Line::Cut);
    }

    pub(super) fn half(&self) {
        self.line.send_replace(Line::Half);
    }

    pub(super) fn instead(&self, bytes: &'static [u8]) {
        self.line.send_replace(Line::Instead(bytes));
    }

    pub(super) fn without(&self, kind: u16, longer_than: usize) {
        self.line.send_replace(Line::Without(kind, longer_than));
    }

    /// Waits until so many answers were swallowed.
    pub(super) async fn swallowed(&self, count: usize) {
        let mut seen = self.swallowed.subscribe();
        let enough = seen.wait_for(|swallowed| *swallowed >= count);
        tokio::time::timeout(super::harness::PATIENCE, enough).await.expect("no such answer comes").unwrap();
    }

    pub(super) fn hang(&self) {
        self.line.send_replace(Line::Silent);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(
    client: TcpStream,
    to: SocketAddr,
    mut line: watch::Receiver<Line>,
    swallowed: watch::Sender<usize>,
) {
    let Ok(server) = TcpStream::connect(to).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let up = pass(from_client, to_server, line.clone(), None);
    let down = pass(from_server, to_client, line.clone(), Some(swallowed));
    tokio::select! {
        _ = line.wait_for(|line| *line == Line::Cut) => {}
        () = up => {}
        () = down => {}
    }
}

/// `swallowed`: of what the server says.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
    swallowed: Option<watch::Sender<usize>>,
) {
    let (mut buffer, mut whole, is_down) = (vec![0; 1 << 16], Vec::new(), swallowed.is_some());
    while let Ok(count) = from.read(&mut buffer).await {
        // What was read before the line fell silent is held, not lost: TCP would hold it as well.
        if count == 0 || line.wait_for(|line| *line != Line::Silent).await.is_err() {
            return;
        }
        let line_now = *line.borrow();
        if let (Line::Without(kind, longer_than), Some(swallowed)) = (line_now, &swallowed) {
            whole.extend_from_slice(&buffer[..count]);
            while whole.len() >= 8 {
                let size = u32::from_le_bytes(whole[4..8].try_into().unwrap()) as usize;
                if whole.len() < size {
                    break;
                }
                let mut message: Vec<u8> = whole.drain(..size).collect();
                let kind = [[1, 0].as_slice(), &kind.to_le_bytes()].concat();
                if size > longer_than && message.starts_with(b"MSG") && message.get(KIND) == Some(&kind[..]) {
                    // An answer to nothing that was asked: the numbers of the messages after it stay in order.
                    message[REQUEST_ID].fill(0xEE);
                    swallowed.send_modify(|swallowed| *swallowed += 1);
                }
                if to.write_all(&message).await.is_err() {
                    return;
                }
            }
            continue;
        }
        let (bytes, then_silent) = match line_now {
            Line::Half if is_down => (&buffer[..count / 2], true),
            Line::Instead(bytes) if is_down => (bytes, true),
            _ => (&buffer[..count], false),
        };
        if to.write_all(bytes).await.is_err() {
            return;
        }
        if then_silent {
            // For as long as the other end keeps the connection.
            while from.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
            std::future::pending::<()>().await;
        }
    }
}
