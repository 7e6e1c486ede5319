//! A TCP proxy that can cut its connections, or keep them open in silence.

use std::net::SocketAddr;

use opcua::types::{BinaryDecodable, ContextOwned, DecodingOptions, NamespaceMap, RequestHeader, StatusCode};
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
    /// Answers of a kind, by the number of its binary encoding, that are longer than this never come, as far as the client
    /// can tell. Set before anything connects, and without security.
    Without(u16, usize),
    /// Requests to make items with this in them are answered with a fault, and nothing is made. Set before anything
    /// connects, and without security.
    Faults(&'static str),
}

/// Where the kind of an answer stands in a message without security, as a node id of four bytes.
const KIND: std::ops::Range<usize> = 24..28;
/// And which request it answers.
const REQUEST_ID: std::ops::Range<usize> = 20..24;
/// Where a fault has its status: after the time and the handle of the request.
const FAULT_STATUS: std::ops::Range<usize> = 40..44;
/// CreateMonitoredItemsRequest and ServiceFault (OPC 10000-6 §5.2.2.15, NodeIds.csv).
const CREATE: u16 = 751;
const FAULT: u16 = 397;

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

    pub(super) fn faults_for(&self, node: &'static str) {
        self.line.send_replace(Line::Faults(node));
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
        if matches!((line_now, is_down), (Line::Without(..), true) | (Line::Faults(_), _)) {
            whole.extend_from_slice(&buffer[..count]);
            while let Some(mut message) = next_message(&mut whole) {
                match (line_now, &swallowed) {
                    (Line::Without(kind, longer_than), Some(swallowed))
                        if message.len() > longer_than && is_of(&message, kind) =>
                    {
                        // An answer to nothing that was asked: the numbers of the messages after it stay in order.
                        message[REQUEST_ID].fill(0xEE);
                        swallowed.send_modify(|swallowed| *swallowed += 1);
                    }
                    (Line::Faults(node), None) => spoil(&mut message, node),
                    (Line::Faults(_), Some(_)) => fault(&mut message),
                    _ => {}
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

/// Takes a message out of what has come, once it is whole.
fn next_message(whole: &mut Vec<u8>) -> Option<Vec<u8>> {
    let size = u32::from_le_bytes(whole.get(4..8)?.try_into().unwrap()) as usize;
    (whole.len() >= size).then(|| whole.drain(..size).collect())
}

fn is_of(message: &[u8], kind: u16) -> bool {
    let kind = [[1, 0].as_slice(), &kind.to_le_bytes()].concat();
    message.starts_with(b"MSG") && message.get(KIND) == Some(&kind[..])
}

/// Has a request for a node name a subscription that there is none of, so that the server refuses it as a whole.
fn spoil(message: &mut [u8], node: &str) {
    if is_of(message, CREATE) && message.windows(node.len()).any(|part| part == node.as_bytes()) {
        let mut body = &message[KIND.end..];
        let context = ContextOwned::new_default(NamespaceMap::new(), DecodingOptions::default());
        RequestHeader::decode(&mut body, &context.context()).unwrap();
        let at = message.len() - body.len();
        message[at..at + 4].fill(0xEE);
    }
}

/// Has that refusal be the word of an exception.
fn fault(message: &mut [u8]) {
    let [from, to] = [StatusCode::BadSubscriptionIdInvalid, StatusCode::BadUnexpectedError]
        .map(|status| status.bits().to_le_bytes());
    if is_of(message, FAULT) && message[FAULT_STATUS] == from {
        message[FAULT_STATUS].copy_from_slice(&to);
    }
}
