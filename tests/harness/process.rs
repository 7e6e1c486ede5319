//! A process that ends with its handle, and what it says. When a test fails, what its processes said is printed.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{PATIENCE, wait_for};

/// Lines of a failed test's process that are printed.
const SHOWN_LINES: usize = 150;
/// How often it is looked whether a process that says nothing has ended.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How much of each.
const SHOWN_CHARS: usize = 600;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Error,
}

#[derive(Debug, Default)]
struct Said {
    lines: Mutex<Vec<(Stream, String)>>,
    more: Condvar,
}

/// A running process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    said: Arc<Said>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a program.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            piped.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}; run `make test`"));
        let said = Arc::new(Said::default());
        let (out, error) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let readers = vec![read(Stream::Out, out, said.clone()), read(Stream::Error, error, said.clone())];
        Self { name: name.to_owned(), input: child.stdin.take(), child, said, readers }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its standard input.
    pub fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").and_then(|()| input.flush()).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// How many lines there are so far: where to begin to look for what is said from now on.
    pub fn said(&self) -> usize {
        self.said.lines.lock().unwrap().len()
    }

    /// All lines of a stream so far.
    pub fn lines(&self, stream: Stream) -> Vec<String> {
        let lines = self.said.lines.lock().unwrap();
        lines.iter().filter(|(from, _)| *from == stream).map(|(_, line)| line.clone()).collect()
    }

    /// The first line from the `begin`th on in which `pick` finds something; waits for it.
    #[track_caller]
    pub fn line<T>(&self, what: &str, begin: usize, mut pick: impl FnMut(Stream, &str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut next = begin;
        let mut lines = self.said.lines.lock().unwrap();
        loop {
            while let Some((stream, line)) = lines.get(next) {
                if let Some(found) = pick(*stream, line) {
                    return found;
                }
                next += 1;
            }
            if self.readers.iter().all(JoinHandle::is_finished) && lines.len() == next {
                drop(lines);
                panic!("{} has ended without: {what}", self.name);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(lines);
                panic!("waited {PATIENCE:?} in vain for {}: {what}", self.name);
            }
            // Woken for lines; whether the process has ended is looked at now and then.
            lines = self.said.more.wait_timeout(lines, left.min(LOOK_EVERY)).unwrap().0;
        }
    }

    /// Sends a signal, as `kill` names it.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.id().to_string()]).status();
        assert!(sent.unwrap().success(), "{} is not there any more", self.name);
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it ends, and until everything it said is read.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        let what = format!("{} to end", self.name);
        let status = wait_for(&what, || self.child.try_wait().unwrap());
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        status
    }

    /// Interrupts it and waits until it ends; also how long that took.
    #[track_caller]
    pub fn interrupt(&mut self) -> (ExitStatus, Duration) {
        self.signal("INT");
        let began = Instant::now();
        let status = self.end();
        (status, began.elapsed())
    }

    /// Ends it at once, with SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.end();
    }

    fn show(&self) {
        let lines = self.said.lines.lock().unwrap();
        let hidden = lines.len().saturating_sub(SHOWN_LINES);
        eprintln!(
            "---- {} said{}",
            self.name,
            if hidden > 0 { format!(" ({hidden} lines before)") } else { String::new() }
        );
        for (stream, line) in lines.iter().skip(hidden) {
            let shown: String = line.chars().take(SHOWN_CHARS).collect();
            eprintln!("{} {shown}", if *stream == Stream::Out { '>' } else { '!' });
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What has ended already cannot be killed; either way it is waited for.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            self.readers.drain(..).for_each(|reader| drop(reader.join()));
            self.show();
        }
    }
}

fn read(stream: Stream, from: impl Read + Send + 'static, said: Arc<Said>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            said.lines.lock().unwrap().push((stream, text));
            said.more.notify_all();
            line.clear();
        }
    })
}
