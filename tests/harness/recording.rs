//! The server that serves recordings of `tests/data`.

use std::path::Path;

use serde_json::{Value, json};

use super::peer::Peer;
use super::{free_port, top};

/// How it is started.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub port: u16,
    script: Script,
    arguments: Vec<String>,
}

/// What serves.
#[derive(Clone, Copy, Debug)]
enum Script {
    Asyncua,
    NodeOpcua,
    Open62541,
}

/// A value as it was served.
#[derive(Clone, Debug, PartialEq)]
pub struct Served {
    pub time_ns: i64,
    /// Null where there was none.
    pub value: Value,
    /// The digits of a number, as [`f64`] or [`i64`] writes it.
    pub number: Option<String>,
    pub status: u32,
}

/// How much later the server's own time stamps are, nanoseconds.
pub const SERVER_LATER_NS: i64 = 250_000_000;

/// The server.
#[derive(Debug)]
pub struct RecordedServer {
    pub peer: Peer,
}

impl Recorded {
    /// A file of `tests/data`; `first` is the time of its first row, where it has none of its own.
    pub fn new(file: &str, first: Option<&str>) -> Self {
        let port = free_port();
        let csv = top().join("tests/data").join(file).display().to_string();
        let mut arguments = vec!["--port".to_owned(), port.to_string(), "--csv".to_owned(), csv];
        arguments.extend(first.into_iter().flat_map(|first| ["--first".to_owned(), first.to_owned()]));
        Self { port, script: Script::Asyncua, arguments }
    }

    /// Signals that are served by hand alone, by a server that keeps their history in memory.
    pub fn by_node_opcua(signals: &[&str], first: &str) -> Self {
        Self::by_hand(Script::NodeOpcua, signals, first)
    }

    /// The same by another server.
    pub fn by_open62541(signals: &[&str], first: &str) -> Self {
        Self::by_hand(Script::Open62541, signals, first)
    }

    fn by_hand(script: Script, signals: &[&str], first: &str) -> Self {
        let port = free_port();
        let words = ["--port", &port.to_string(), "--first", first, "--signals", &signals.join(",")];
        Self { port, script, arguments: words.map(str::to_owned).to_vec() }
    }

    /// Keeps no history of what is served by hand.
    pub fn without_history(mut self) -> Self {
        self.arguments.push("--no-history".to_owned());
        self
    }

    /// Numbers its namespaces otherwise.
    pub fn renumbered(mut self) -> Self {
        self.arguments.push("--renumbered".to_owned());
        self
    }

    /// Its variables have an EURange, where node-opcua serves them.
    pub fn with_range(mut self, low: f64, high: f64) -> Self {
        self.arguments.extend(["--range".to_owned(), low.to_string(), high.to_string()]);
        self
    }

    /// Keeps the history of what it serves in a file of `folder`.
    pub fn with_history(mut self, folder: &Path) -> Self {
        self.arguments.extend(["--history".to_owned(), folder.join("history").display().to_string()]);
        self
    }

    /// Encrypted alone; keys in `folder`, where the server does not keep them itself.
    pub fn encrypted(mut self, folder: &Path) -> Self {
        match self.script {
            Script::NodeOpcua => self.arguments.push("--encrypted".to_owned()),
            _ => self.arguments.extend(["--pki".to_owned(), folder.display().to_string()]),
        }
        self
    }

    /// For the owner of a certificate.
    pub fn user_certificate(mut self, certificate: &Path) -> Self {
        self.arguments.extend(["--user-certificate".to_owned(), certificate.display().to_string()]);
        self
    }

    /// For one user.
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.arguments.extend(["--user".to_owned(), name.to_owned(), password.to_owned()]);
        self
    }

    /// The URL.
    pub fn url(&self) -> String {
        format!("opc.tcp://127.0.0.1:{}/recorded", self.port)
    }

    /// Starts it and waits until it is ready.
    #[track_caller]
    pub fn start(&self) -> RecordedServer {
        let peer = match self.script {
            Script::Asyncua => Peer::python("recorded_server", "recorded_server.py", &self.arguments),
            Script::Open62541 => Peer::python("open62541_server", "open62541_server.py", &self.arguments),
            Script::NodeOpcua => Peer::node("history_server", "history_server.mjs", &self.arguments),
        };
        peer.ready().unwrap();
        RecordedServer { peer }
    }
}

impl RecordedServer {
    /// Serves the next rows, so many a second; waits until they are served.
    #[track_caller]
    pub fn serve(&mut self, rows: usize, rate: u32) {
        let served = self.peer.ask("serve", json!({ "rows": rows, "rate": rate }));
        assert_eq!(served["served"], rows, "the recording is shorter than that");
    }

    /// Serves one value by hand.
    #[track_caller]
    pub fn set(&mut self, signal: &str, seconds: f64, value: impl Into<Value>, status: u32) {
        let value: Value = value.into();
        self.peer.ask("set", json!({ "signal": signal, "seconds": seconds, "value": value, "status": status }));
    }

    /// Ends all sessions and keeps their subscriptions.
    #[track_caller]
    pub fn forget(&mut self) {
        assert!(self.peer.ask("forget", json!({}))["forgotten"].as_u64() > Some(0), "there is no session");
    }

    /// What was served of a signal.
    #[track_caller]
    pub fn served(&mut self, signal: &str) -> Vec<Served> {
        let answer = self.peer.ask("record", json!({}));
        let rows = answer["served"][signal].as_array().unwrap();
        let served = rows.iter().map(|row| Served {
            time_ns: row[0].as_i64().unwrap(),
            value: row[1].clone(),
            number: row[3].as_str().map(digits),
            status: row[2].as_u64().unwrap().try_into().unwrap(),
        });
        served.collect()
    }
}

/// A number as the peer writes it, as this language writes it: JSON's own numbers would lose the last bit.
fn digits(text: &str) -> String {
    text.parse::<i64>().map_or_else(|_| text.parse::<f64>().unwrap().to_string(), |whole| whole.to_string())
}
