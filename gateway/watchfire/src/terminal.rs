//! What touches the terminal and the process: logging, signals, reading a password.

use std::io::{self, IsTerminal, Read, Write};

use anyhow::{Context, Result, bail};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use watchfire_model::plain;

use crate::control::{Control, Order};

/// The OPC UA stack tells what it meets in passing as if it were news; what matters of it our rooms tell themselves.
const QUIET: &str = "opcua=off,async_opcua=off";
/// The longest password that is read, bytes.
const PASSWORD_BYTES_MAX: u64 = 4096;

/// Logs to standard error, as `filter` says.
pub fn log_to_stderr(filter: &str) {
    let directives = format!("{QUIET},{filter}");
    let parsed = EnvFilter::try_new(&directives).unwrap_or_else(|error| {
        eprintln!("watchfire: `--log {filter}` is not understood ({error}); logging at `info`");
        EnvFilter::new(format!("{QUIET},info"))
    });
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(parsed).with_writer(io::stderr).with_ansi(colours).init();
}

/// Ends the program quietly where whoever reads what it prints, such as `head`, has enough. The standard library's way to
/// tell of that is a panic of `println!`.
pub fn end_when_nobody_reads() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let told = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if told.starts_with("failed printing to stdout") && told.contains("Broken pipe") {
            std::process::exit(0);
        }
        others(panic);
    }));
}

/// Makes the first interrupt or termination signal cancel `stop`; a second one ends the process at once.
///
/// # Errors
/// When the system refuses to tell of signals.
pub fn stop_on_signal(stop: &CancellationToken) -> Result<()> {
    let stop = stop.clone();
    let mut signals = Signals::new().context("cannot listen for the signal to stop")?;
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("told to stop");
        stop.cancel();
        signals.next().await;
        std::process::exit(130);
    });
    Ok(())
}

/// Makes a hang-up signal reload the configuration.
///
/// # Errors
/// When the system refuses to tell of it.
#[cfg(unix)]
pub fn reload_on_signal(control: Control) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hang_ups = signal(SignalKind::hangup()).context("cannot listen for the signal to reload")?;
    tokio::spawn(async move {
        while hang_ups.recv().await.is_some() {
            // What came of it is in the log.
            drop(control.give(Order::Reload { dry_run: false }, "SIGHUP".to_owned()).await);
        }
    });
    Ok(())
}

/// There is no such signal.
#[cfg(not(unix))]
pub fn reload_on_signal(_: Control) -> Result<()> {
    Ok(())
}

#[cfg(unix)]
struct Signals(tokio::signal::unix::Signal, tokio::signal::unix::Signal);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self(signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        drop(tokio::signal::ctrl_c().await);
    }
}

/// A text as a quoted cell of comma-separated values (RFC 4180): every byte of it for a program, and for a person at a
/// terminal without what that would obey.
pub fn quoted(text: &str) -> String {
    let kept = if io::stdout().is_terminal() { plain(text) } else { text.to_owned() };
    format!("\"{}\"", kept.replace('"', "\"\""))
}

/// A text as a cell of comma-separated values (RFC 4180).
pub fn cell(text: &str) -> String {
    if text.contains([',', ';', '"', '\n', '\r', '\t']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// A password from a person at the terminal, typed twice and not shown; else all that comes from standard input, without
/// the end of its last line.
///
/// # Errors
/// When it cannot be read, is longer than 4,096 bytes, or is typed differently.
pub fn password() -> Result<String> {
    if io::stdin().is_terminal() {
        let first = typed("password: ")?;
        if typed("once more: ")? != first {
            bail!("these were two different ones; try again");
        }
        return Ok(first);
    }
    let mut text = String::new();
    io::stdin().take(PASSWORD_BYTES_MAX + 1).read_to_string(&mut text).context("cannot read the password")?;
    if text.len() as u64 > PASSWORD_BYTES_MAX {
        bail!("a password has at most {PASSWORD_BYTES_MAX} bytes");
    }
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

/// The terminal as it was, whatever happens meanwhile.
struct Unshown;

impl Drop for Unshown {
    fn drop(&mut self) {
        drop(disable_raw_mode());
    }
}

fn typed(prompt: &str) -> Result<String> {
    eprint!("{prompt}");
    io::stderr().flush().context("cannot ask for the password")?;
    enable_raw_mode().context("cannot read from this terminal without showing what is typed; pipe the password in")?;
    let unshown = Unshown;
    let mut typed = String::new();
    loop {
        let Event::Key(key) = read().context("cannot read the password")? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match key.code {
            KeyCode::Enter => break,
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                drop(unshown);
                bail!("no password was given");
            }
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => typed.clear(),
            KeyCode::Char(c) => typed.push(c),
            KeyCode::Backspace => drop(typed.pop()),
            _ => {}
        }
    }
    drop(unshown);
    eprintln!();
    Ok(typed)
}
