//! A gateway with a folder, a port and a configuration of its own.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use watchfire_package::Digest;

use super::process::{Process, Stream};
use super::{free_port, wait_for};

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_watchfire");

/// Where a gateway runs, again and again.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
    pub port: u16,
}

impl Site {
    /// A port, and a folder in which there is nothing but plugins that earlier tests have compiled: an unoptimised
    /// build takes seconds for each.
    pub fn new() -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap(), port: free_port() };
        let compiled = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled-plugins");
        let keys = site.data().join("pki/own");
        for folder in [&compiled, &keys] {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::os::unix::fs::symlink(compiled, site.data().join("cache")).unwrap();
        // What is compiled is believed by whoever has the key that it was compiled with.
        let key = OpenOptions::new().write(true).create_new(true).mode(0o600).open(keys.join("compiled.key"));
        key.unwrap().write_all(&[7; 32]).unwrap();
        site
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// An empty folder and a port.
    pub fn bare() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), port: free_port() }
    }

    /// The configuration's file.
    pub fn config(&self) -> PathBuf {
        self.folder().join("gateway.toml")
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// Writes a configuration: a quick gateway open to everyone on this machine, then `rest`.
    pub fn configure(&self, rest: &str) {
        self.configure_with("security = [\"none\"]\nanonymous = \"supervisor\"", rest);
    }

    /// The same with other settings of the server.
    pub fn configure_with(&self, server: &str, rest: &str) {
        let port = self.port;
        let head = format!(
            "[gateway]\nname = \"test gateway\"\ncommit_interval_ms = 20\nretention_days = 36500\n\
             disk_warning_mb = 1\n\n\
             [server]\nhost = \"127.0.0.1\"\nport = {port}\n{server}\n\n"
        );
        std::fs::write(self.config(), head + rest).unwrap();
    }

    /// Where HMIs connect.
    pub fn url(&self) -> String {
        format!("opc.tcp://127.0.0.1:{}/", self.port)
    }

    /// Starts the gateway and waits until one can connect to it.
    #[track_caller]
    pub fn start(&self) -> Gateway {
        self.start_by(&mut self.command("run"))
    }

    /// The same by a command that was made ready.
    #[track_caller]
    pub fn start_by(&self, command: &mut Command) -> Gateway {
        let mut process = Process::start("watchfire run", command.args(["--log", LOG]));
        wait_for("the gateway to listen", || {
            assert!(process.ended().is_none(), "the gateway ended at its start");
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
        Gateway { process }
    }

    /// A command of the program with this configuration.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg(name).arg("--config").arg(self.config());
        command
    }

    /// Runs a command of the program to its end.
    #[track_caller]
    pub fn run(&self, name: &str, arguments: &[&str]) -> Output {
        self.command(name).args(arguments).output().unwrap()
    }

    /// The gaps on record of signals, as `watchfire history gaps` lists them.
    #[track_caller]
    pub fn gaps(&self, signals: &str) -> Vec<serde_json::Value> {
        let mut command = Command::new(PROGRAM);
        let output =
            command.args(["history", "gaps", signals, "--json", "--config"]).arg(self.config()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

const LOG: &str = "info";

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    pub process: Process,
}

impl Gateway {
    /// Ends it with SIGKILL.
    pub fn kill(mut self) {
        self.process.kill();
    }

    /// Tells it to stop; it must do so without an error.
    #[track_caller]
    pub fn stop(mut self) {
        let (status, _) = self.process.interrupt();
        assert!(status.success(), "the gateway ended with {status}");
    }

    /// Waits until the log has a line with all of `words`.
    #[track_caller]
    pub fn logged(&self, words: &[&str]) -> String {
        self.process.line(&format!("to log {words:?}"), 0, |stream, line| {
            (stream == Stream::Error && words.iter().all(|word| line.contains(word))).then(|| line.to_owned())
        })
    }
}

/// The `[[source]]` of a configuration, with a `[[source.signal]]` for each name, served as `ns=2;s=<name>`.
pub fn source(name: &str, url: &str, signals: &[&str]) -> String {
    let head = format!(
        "[[source]]\nname = \"{name}\"\nurl = \"{url}\"\nsecurity = \"none\"\npublishing_interval_ms = 50\n\
         sampling_interval_ms = 0\nqueue_size = 10000\n\n"
    );
    signals.iter().fold(head, |text, signal| text + &signal_table(signal, &format!("ns=2;s={signal}")))
}

/// A `[[source.signal]]`.
pub fn signal_table(name: &str, node: &str) -> String {
    format!("[[source.signal]]\nname = \"{name}\"\nnode = \"{node}\"\n\n")
}

/// A live `[[detector]]`; `rest` is what follows its name, plugin and signals.
pub fn detector(name: &str, plugin: &str, signals: &[&str], rest: &str) -> String {
    format!(
        "[[detector]]\nname = \"{name}\"\nplugin = \"{plugin}\"\nsignals = {signals:?}\nmode = \"live\"\n{rest}\n\n"
    )
}

/// The line that lets these files run as they are now.
pub fn allowed(files: &[&Path]) -> String {
    let digest = |file: &&Path| format!("{:?}", Digest::of(&std::fs::read(file).unwrap()).to_string());
    format!("[plugins]\nallow = [{}]\n\n", files.iter().map(digest).collect::<Vec<_>>().join(", "))
}

/// A detector `limit` with an upper limit.
pub fn upper_limit(name: &str, signal: &str, high: f64) -> String {
    detector(name, "limit", &[signal], &format!("[detector.config]\nhigh = {high}\ndeadband = 0.0"))
}
