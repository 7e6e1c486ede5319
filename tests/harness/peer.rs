//! A peer: a process that answers requests, one JSON object a line, and tells unasked what it sees.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::process::{Process, Stream};
use super::top;

/// A peer that is ready.
#[derive(Debug)]
pub struct Peer {
    pub process: Process,
    requests: u64,
}

impl Peer {
    /// Starts a script of `tests/peers` in Python.
    pub fn python<S: AsRef<OsStr>>(name: &str, script: &str, arguments: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(top().join("third_party/python/bin/python"));
        command.arg("-u").arg(scripts().join(script)).args(arguments);
        Self::new(Process::start(name, &mut command))
    }

    /// Starts a script of `tests/peers` in JavaScript.
    pub fn node<S: AsRef<OsStr>>(name: &str, script: &str, arguments: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new("node");
        command.arg(scripts().join(script)).args(arguments).current_dir(scripts());
        Self::new(Process::start(name, &mut command))
    }

    fn new(process: Process) -> Self {
        Self { process, requests: 0 }
    }

    /// Waits until it is ready, or until it says that it was refused: then why.
    #[track_caller]
    pub fn ready(&self) -> Result<(), String> {
        self.unasked("to be ready", 0, |said| match said.get("refused") {
            Some(why) => Some(Err(why.as_str().unwrap_or_default().to_owned())),
            None => said.get("ready").map(|_| Ok(())),
        })
    }

    /// Asks, without waiting for the answer; answers the request's number.
    pub fn begin(&mut self, what: &str, mut with: Value) -> u64 {
        self.requests += 1;
        with["do"] = json!(what);
        with["id"] = json!(self.requests);
        self.process.tell(&with.to_string());
        self.requests
    }

    /// The answer to a request.
    #[track_caller]
    pub fn answer(&self, request: u64) -> Value {
        let answer = self.unasked("to answer", 0, |said| (said["id"] == request).then(|| said.clone()));
        assert!(answer.get("error").is_none(), "request {request}: {answer}");
        answer
    }

    /// Asks and waits for the answer.
    #[track_caller]
    pub fn ask(&mut self, what: &str, with: Value) -> Value {
        let request = self.begin(what, with);
        self.answer(request)
    }

    /// The first object from line `begin` on in which `pick` finds something; waits for it.
    #[track_caller]
    pub fn unasked<T>(&self, what: &str, begin: usize, mut pick: impl FnMut(&Value) -> Option<T>) -> T {
        self.process.line(what, begin, |stream, line| match stream {
            Stream::Out => serde_json::from_str(line).ok().and_then(|said: Value| pick(&said)),
            Stream::Error => None,
        })
    }

    /// Everything said so far.
    pub fn all(&self) -> Vec<Value> {
        self.process.lines(Stream::Out).iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

fn scripts() -> PathBuf {
    top().join("tests/peers")
}
