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

    pub(super) fn half(&self) {
        self.line.send_replace(Line::Half);
    }

    pub(super) fn instead(&self, bytes: &'static [u8]) {
        self.line.send_replace(Line::Instead(bytes));
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
    let up = pass(from_client, to_server, line.clone(), false);
    let down = pass(from_server, to_client, line.clone(), true);
    tokio::select! {
        _ = line.wait_for(|line| *line == Line::Cut) => {}
        () = up => {}
        () = down => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut line: watch::Receiver<Line>, is_down: bool) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count) = from.read(&mut buffer).await {
        // What was read before the line fell silent is held, not lost: TCP would hold it as well.
        if count == 0 || line.wait_for(|line| *line != Line::Silent).await.is_err() {
            return;
        }
        let line_now = *line.borrow();
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
