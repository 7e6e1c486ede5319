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
}

pub(super) struct Proxy {
    pub(super) port: u16,
    line: watch::Sender<Line>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(super) async fn start(to_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (line, seen) = watch::channel(Line::Open);
        let to = SocketAddr::from(([127, 0, 0, 1], to_port));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, to, seen.clone()));
            }
        });
        Self { port, line, task }
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

    pub(super) fn hang(&self) {
        self.line.send_replace(Line::Silent);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(client: TcpStream, to: SocketAddr, mut line: watch::Receiver<Line>) {
    let Ok(server) = TcpStream::connect(to).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let up = pass(from_client, to_server, line.clone());
    let down = pass(from_server, to_client, line.clone());
    tokio::select! {
        _ = line.wait_for(|line| *line == Line::Cut) => {}
        () = up => {}
        () = down => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut line: watch::Receiver<Line>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count) = from.read(&mut buffer).await {
        // What was read before the line fell silent is held, not lost: TCP would hold it as well.
        if count == 0 || line.wait_for(|line| *line != Line::Silent).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
