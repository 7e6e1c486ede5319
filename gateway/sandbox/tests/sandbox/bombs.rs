//! Components that mean harm to the compiler, each compiled in a child process as the gateway does it: what the operator
//! reads names the limit.

use std::borrow::Cow;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::Level;
use watchfire_pipeline::{BindingSpec, DetectorFactory};
use watchfire_sandbox::{ChildCompiler, CompileError, CompileLimits, Compiler, InProcess, Sandbox, SandboxOptions};

use crate::explosive::{End, bombs};
use crate::setup::{batch, binding, bundled, component, refusal};

/// What compiling may take here.
const CPU: Duration = Duration::from_secs(2);

fn child() -> ChildCompiler {
    ChildCompiler { program: PathBuf::from(env!("CARGO_BIN_EXE_compile-plugin")), arguments: Vec::new() }
}

fn sandbox(plugins: Vec<(String, Cow<'static, [u8]>)>) -> Arc<Sandbox> {
    let compiler = Some(Arc::new(child()) as _);
    Sandbox::new(SandboxOptions { bundled: plugins, compiler, ..SandboxOptions::default() }).unwrap()
}

/// Enough for any component of ours, on a machine that is not busy otherwise.
fn narrow(spec: BindingSpec) -> BindingSpec {
    let mut spec = patient(spec);
    spec.quota.compile = CPU;
    spec
}

/// The same, however busy the machine is: the child gives way to whatever else there is.
fn patient(mut spec: BindingSpec) -> BindingSpec {
    spec.quota.compile = 60 * CPU;
    spec.quota.compile_bytes = 512 << 20;
    spec.quota.code_bytes = 16 << 20;
    spec
}

/// Which of the first three is reached first is the machine's.
fn words(end: End) -> &'static [&'static str] {
    match end {
        End::TooMuch => &[
            "takes more than 2 s to compile; ask its maker for a simpler one, or raise `compile_s`",
            "takes more than 512 MB to compile; ask its maker for a simpler one, or raise `compile_mb`",
            "was not compiled within 10 s by the clock, since the machine is busy; see what else runs there",
        ],
        End::Code => &["becomes more than 16 MB of machine code; ask its maker for a simpler one, or raise `code_mb`"],
        End::Damaged => &["is damaged or cut short (failed to parse WebAssembly module: types count exceeds limit"],
    }
}

#[tokio::test]
async fn what_explodes_in_the_compiler_is_named_and_the_others_go_on() {
    let bombs = bombs();
    let named = bombs.iter().map(|(name, bytes, _)| ((*name).to_owned(), bytes.clone().into()));
    let sandbox = sandbox(bundled().into_iter().chain(named).collect());
    let mut neighbour = sandbox.create(&patient(binding("limit", r#"{"high":10}"#, 1))).await.unwrap();
    for (s, (name, _, end)) in (1..).zip(&bombs) {
        // Time ends what would go on for ever; what comes to another end has all the time that a busy machine takes.
        let limited = if *end == End::TooMuch { narrow } else { patient };
        let binding = limited(binding(name, "{}", 1));
        let refused = async { refusal(&sandbox, &binding).await.to_string() };
        let (value, level) = if s % 2 == 0 { (1.0, Level::Normal) } else { (11.0, Level::High) };
        let values = batch(s, &[value]);
        let (said, found) = tokio::join!(refused, neighbour.process(&values));
        let said = said.strip_prefix(&format!("plugin `{name}` ")).unwrap_or_default().to_owned();
        assert!(words(*end).iter().any(|expected| said.starts_with(expected)), "{name}: {said}");
        let levels: Vec<Level> = found.unwrap().verdicts.iter().map(|verdict| verdict.level).collect();
        assert_eq!(levels, [level], "beside {name}");
    }
}

/// Of time there is enough, however busy the machine is.
fn limits() -> CompileLimits {
    CompileLimits { memory_bytes: 512 << 20, cpu: 60 * CPU, code_bytes: 16 << 20 }
}

#[test]
fn a_child_compiles_to_the_same_code_as_this_process() {
    let plugin = std::fs::read(component("limit")).unwrap();
    assert_eq!(child().compile(&plugin, &limits()), InProcess.compile(&plugin, &limits()));
}

/// A compiler that is a line of shell.
#[cfg(target_os = "linux")]
fn shell(line: &str) -> ChildCompiler {
    ChildCompiler { program: "/bin/sh".into(), arguments: vec!["-c".into(), line.into()] }
}

#[cfg(target_os = "linux")]
#[test]
fn however_a_child_ends_it_is_told_and_leaves_nothing() {
    let (limits, soon) = (limits(), CompileLimits { cpu: Duration::from_millis(40), ..limits() });
    let bytes = b"much".repeat(1 << 20);
    // It stays; and it closes its pipes and stays.
    for line in ["exec sleep 1000", "exec sleep 1000 <&- >&- 2>&-"] {
        assert_eq!(shell(line).compile(&bytes, &soon), Err(CompileError::Clock(soon.cpu * 5)), "{line}");
    }
    for (line, expected) in [
        ("exec cat /dev/zero", CompileError::Code(limits.code_bytes)),
        ("kill -XCPU $$", CompileError::Time(limits.cpu)),
        ("kill -SEGV $$", CompileError::Died("signal: 11 (SIGSEGV)".into())),
        ("echo oh >&2; exit 7", CompileError::Died("exit status: 7: oh".into())),
        ("echo memory allocation of 9 bytes failed >&2; kill -ABRT $$", CompileError::Memory(limits.memory_bytes)),
        ("echo why >&2; exit 3", CompileError::Damaged("why".into())),
        ("test -z \"$HOME$PATH_INFO$CARGO\" && pwd >&2; exit 3", CompileError::Damaged("/".into())),
    ] {
        assert_eq!(shell(line).compile(&bytes, &limits), Err(expected), "{line}");
    }
    let missing = ChildCompiler { program: "/nowhere/at/all".into(), arguments: Vec::new() };
    let error = missing.compile(b"", &limits).unwrap_err();
    assert!(matches!(&error, CompileError::Process(why) if why.contains("No such file")), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_child_gives_up_what_it_does_not_need() {
    let mut running = Command::new(child().program)
        .args(["536870912", "2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let of = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", running.id())).unwrap();
    while !of("status").contains("NoNewPrivs:\t1") || !of("limits").contains("Max open files            3 ") {
        std::thread::yield_now();
    }
    let limits = of("limits");
    for row in
        ["Max address space         536870912            536870912", "Max cpu time              2                    2"]
    {
        assert!(limits.contains(row), "{limits}");
    }
    for nothing in ["Max file size             0  ", "Max core file size        0  ", "Max processes             0  "] {
        assert!(limits.contains(nothing), "{limits}");
    }
    running.kill().unwrap();
    running.wait().unwrap();
}
