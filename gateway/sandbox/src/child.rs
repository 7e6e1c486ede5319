//! Compiling in a child process: what a hostile component does to the compiler ends there. Both ends are here, the
//! gateway's and the child's; which program the child is, the caller says.
//!
//! The child reads the component from its standard input and writes machine code to its standard output. Its
//! environment is empty, and it has taken from itself what it does not need before it reads the first byte.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use tokio::time::Instant;

use crate::compiler::{self, CLOCK_SHARE, CompileError, CompileLimits, Compiler};
use crate::log::one_line;

/// Exit code of a child that says on standard error why the component is none.
const REFUSED: u8 = 3;
/// How often is looked whether a child that has written everything has ended.
const LOOK: Duration = Duration::from_millis(1);
/// What is kept of its standard error, bytes.
const SAID_BYTES_MAX: u64 = 2_048;
/// How much the child gives way to the gateway.
#[cfg(unix)]
const NICE: i32 = 10;
/// What the standard library says when memory has run out.
const NO_MEMORY: &str = "memory allocation of";

/// Compiles in a child of the given program, which must hand its further arguments to [`compile_confined`].
#[derive(Clone, Debug)]
pub struct ChildCompiler {
    /// The program.
    pub program: PathBuf,
    /// What comes before the limits on its command line.
    pub arguments: Vec<OsString>,
}

impl ChildCompiler {
    /// The program that is running, whatever has happened to its file since.
    ///
    /// # Errors
    /// When the system does not say which it is.
    pub fn this_program(arguments: Vec<OsString>) -> io::Result<Self> {
        let program =
            if cfg!(target_os = "linux") { PathBuf::from("/proc/self/exe") } else { std::env::current_exe()? };
        Ok(Self { program, arguments })
    }
}

/// A child that does not outlive the one who waits for it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, or it ends here.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Compiler for ChildCompiler {
    fn compile(&self, component: &[u8], limits: &CompileLimits) -> Result<Vec<u8>, CompileError> {
        let clock_end = Instant::now() + limits.cpu * CLOCK_SHARE;
        let failed = |error: io::Error| CompileError::Process(error.to_string());
        let mut child = Running(self.command(limits).spawn().map_err(failed)?);
        let pipes = (child.0.stdin.take(), child.0.stdout.take(), child.0.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(CompileError::Process("it has no pipes".into()));
        };
        let code_bytes_max = u64::try_from(limits.code_bytes).unwrap_or(u64::MAX);
        std::thread::scope(|scope| {
            // A child that ends early reads no further: what it says counts.
            scope.spawn(move || drop(stdin.write_all(component)));
            let said = scope.spawn(move || read(stderr, SAID_BYTES_MAX));
            let (send, written) = sync_channel(1);
            scope.spawn(move || drop(send.send(read(stdout, code_bytes_max))));
            let (code, more) = match written.recv_timeout(clock_end.saturating_duration_since(Instant::now())) {
                Ok(read) => read.map_err(failed)?,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    drop(child);
                    return Err(CompileError::Clock(limits.cpu * CLOCK_SHARE));
                }
            };
            if more {
                drop(child);
                return Err(CompileError::Code(limits.code_bytes));
            }
            let ended = end(&mut child.0, clock_end).map_err(failed)?;
            drop(child);
            let said = said.join().ok().and_then(Result::ok).map(|(said, _)| said).unwrap_or_default();
            let said = one_line(String::from_utf8_lossy(&said).trim());
            match ended {
                None => Err(CompileError::Clock(limits.cpu * CLOCK_SHARE)),
                Some(status) if status.success() => Ok(code),
                Some(status) => Err(reason(status, &said, limits)),
            }
        })
    }
}

impl ChildCompiler {
    fn command(&self, limits: &CompileLimits) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(limits.memory_bytes.to_string()).arg(limits.cpu.as_secs().max(1).to_string());
        command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if cfg!(unix) {
            command.current_dir("/");
        }
        command
    }
}

/// All that comes, up to so many bytes, and whether there is more.
fn read(mut from: impl Read, bytes_max: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    from.by_ref().take(bytes_max).read_to_end(&mut bytes)?;
    let more = from.read(&mut [0])? > 0;
    Ok((bytes, more))
}

/// How the child ended; `None` when it did not.
fn end(child: &mut Child, clock_end: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= clock_end {
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

fn reason(status: ExitStatus, said: &str, limits: &CompileLimits) -> CompileError {
    if status.code() == Some(i32::from(REFUSED)) {
        return CompileError::Damaged(said.to_owned());
    }
    if said.contains(NO_MEMORY) {
        return CompileError::Memory(limits.memory_bytes);
    }
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status)
        && [rustix::process::Signal::XCPU, rustix::process::Signal::KILL].iter().any(|ours| ours.as_raw() == signal)
    {
        return CompileError::Time(limits.cpu);
    }
    CompileError::Died(if said.is_empty() { status.to_string() } else { format!("{status}: {said}") })
}

/// The child's part: takes from this process what compiling does not need, then compiles standard input to standard
/// output. The arguments are those that [`ChildCompiler`] appends: bytes of memory and seconds of CPU time.
pub fn compile_confined(arguments: &[String]) -> ExitCode {
    match confined(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(CompileError::Damaged(reason)) => {
            eprintln!("{reason}");
            ExitCode::from(REFUSED)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn confined(arguments: &[String]) -> Result<(), CompileError> {
    let mut numbers = arguments.iter().map(|number| number.parse::<u64>().ok());
    let (Some(Some(memory_bytes)), Some(Some(cpu_s))) = (numbers.next(), numbers.next()) else {
        return Err(CompileError::Process("its limits are missing".into()));
    };
    let failed = |error: io::Error| CompileError::Process(error.to_string());
    confine(memory_bytes, cpu_s).map_err(failed)?;
    let mut component = Vec::new();
    io::stdin().lock().read_to_end(&mut component).map_err(failed)?;
    let code = compiler::compile(&component)?;
    let mut out = io::stdout().lock();
    out.write_all(&code).and_then(|()| out.flush()).map_err(failed)
}

/// Memory and CPU time are limited; there is no other process, no file, no core and no higher right to be had; it ends
/// with the gateway and gives way to it.
#[cfg(unix)]
fn confine(memory_bytes: u64, cpu_s: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    #[cfg(target_os = "linux")]
    {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        rustix::thread::set_no_new_privs(true)?;
    }
    // It may give way already, as far as it goes.
    let _ = rustix::process::nice(NICE);
    let limits = [
        (Resource::As, memory_bytes),
        (Resource::Cpu, cpu_s),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Nproc, 0),
        // Its three pipes are what it keeps.
        (Resource::Nofile, 3),
    ];
    for (resource, most) in limits {
        // Who started the gateway may have set less.
        let most = Some(getrlimit(resource).maximum.map_or(most, |set| set.min(most)));
        setrlimit(resource, Rlimit { current: most, maximum: most })?;
    }
    Ok(())
}

/// Other systems have a process and a clock, no more.
#[cfg(not(unix))]
fn confine(_memory_bytes: u64, _cpu_s: u64) -> io::Result<()> {
    Ok(())
}
