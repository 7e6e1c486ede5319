//! Components that mean harm to the compiler: small files that become huge, or take for ever. Each is compiled in a
//! child process as the gateway does it, and what the operator reads names the limit.

use std::borrow::Cow;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use watchfire_model::Level;
use watchfire_pipeline::{BindingSpec, DetectorFactory};
use watchfire_sandbox::{ChildCompiler, CompileError, CompileLimits, Compiler, InProcess, Sandbox, SandboxOptions};

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

/// Enough for any component of ours.
fn narrow(mut spec: BindingSpec) -> BindingSpec {
    spec.quota.compile = CPU;
    spec.quota.compile_bytes = 512 << 20;
    spec.quota.code_bytes = 16 << 20;
    spec
}

/// A number as WebAssembly writes it.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7F).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Bytes behind their length.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [leb(bytes.len()), bytes.to_vec()].concat()
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [vec![id], sized(content)].concat()
}

/// A component of core modules and nothing else.
fn of_modules(modules: &[Vec<u8>]) -> Vec<u8> {
    let modules = modules.iter().map(|module| section(1, &[b"\0asm\x01\0\0\0", &module[..]].concat()));
    [b"\0asm\x0d\0\x01\0".to_vec(), modules.collect::<Vec<_>>().concat()].concat()
}

/// One module with a memory, of so many functions that take an i64 and answer nothing.
fn functions(count: usize, body: &[u8]) -> Vec<u8> {
    let types = section(1, &[1, 0x60, 1, 0x7E, 0]);
    let declared = section(3, &[leb(count), vec![0; count]].concat());
    let memory = section(5, &[1, 0, 1]);
    let code = section(10, &[leb(count), sized(body).repeat(count)].concat());
    of_modules(&[[types, declared, memory, code].concat()])
}

/// Each function has fifty thousand variables.
fn many_variables() -> Vec<u8> {
    let body = [vec![1], leb(49_999), vec![0x7E, 0x20], leb(49_999), vec![0x21, 0, 0x0B]].concat();
    functions(20_000, &body)
}

fn deep_blocks() -> Vec<u8> {
    functions(1, &[vec![0], [0x02, 0x40, 0x03, 0x40].repeat(500_000), vec![0x0B; 1_000_001]].concat())
}

/// Reads through what it read, adds and stores, again and again.
fn one_long_function() -> Vec<u8> {
    let step = [0x20, 0, 0x20, 0, 0xA7, 0x29, 0, 0, 0x7C, 0x21, 0];
    functions(1, &[vec![0], step.repeat(600_000), vec![0x0B]].concat())
}

fn many_functions() -> Vec<u8> {
    functions(200_000, &[0, 0x20, 0, 0x20, 0, 0xA7, 0x29, 0, 0, 0x7F, 0x21, 0, 0x0B])
}

fn many_types() -> Vec<u8> {
    let types = [leb(1_000_001), [0x60, 1, 0x7E, 0].repeat(1_000_001)].concat();
    of_modules(&[section(1, &types)])
}

/// Modules of two bytes of data each, the second of them just within what becomes an image of the memory.
fn far_data(modules: usize) -> Vec<u8> {
    let memory = section(5, &[1, 0, 0x80, 2]);
    let at = |offset: &[u8]| [vec![0, 0x41], offset.to_vec(), vec![0x0B, 1, 7]].concat();
    let data = section(11, &[vec![2], at(&[0]), at(&[0x80, 0x80, 0xFC, 0x07])].concat());
    of_modules(&vec![[memory, data].concat(); modules])
}

/// Components that each hold the one before it twice: as many instances as two to the power of the depth.
fn doubling() -> Vec<u8> {
    let mut text = "(component $c0 (core module $m (func)) (core instance (instantiate $m)))".to_owned();
    for level in 1..=24 {
        let twice = format!("(instance (instantiate $c{}))", level - 1).repeat(2);
        text = format!("(component $c{level} {text} {twice})");
    }
    wat::parse_str(text).unwrap()
}

/// Which of the two is reached first is the machine's.
const TOO_MUCH: [&str; 3] = [
    "takes more than 2 s to compile; ask its maker for a simpler one, or raise `compile_s`",
    "takes more than 512 MB to compile; ask its maker for a simpler one, or raise `compile_mb`",
    "was not compiled within 10 s by the clock, since the machine is busy; see what else runs there",
];
const CODE: [&str; 1] =
    ["becomes more than 16 MB of machine code; ask its maker for a simpler one, or raise `code_mb`"];
const DAMAGED: [&str; 1] = ["is damaged or cut short (failed to parse WebAssembly module: types count exceeds limit"];

#[tokio::test]
async fn what_explodes_in_the_compiler_is_named_and_the_others_go_on() {
    let bombs: [(&str, Vec<u8>, &[&str]); 8] = [
        ("many-variables", many_variables(), &TOO_MUCH),
        ("deep-blocks", deep_blocks(), &TOO_MUCH),
        ("one-long-function", one_long_function(), &TOO_MUCH),
        ("many-functions", many_functions(), &TOO_MUCH),
        ("doubling", doubling(), &TOO_MUCH),
        ("far-data-a-hundred-times", far_data(100), &TOO_MUCH),
        ("far-data", far_data(4), &CODE),
        ("many-types", many_types(), &DAMAGED),
    ];
    let named = bombs.iter().map(|(name, bytes, _)| ((*name).to_owned(), bytes.clone().into()));
    let sandbox = sandbox(bundled().into_iter().chain(named).collect());
    let mut neighbour = sandbox.create(&narrow(binding("limit", r#"{"high":10}"#, 1))).await.unwrap();
    for (s, (name, _, expected)) in (1..).zip(&bombs) {
        let (begun, binding) = (Instant::now(), narrow(binding(name, "{}", 1)));
        let refused = async { refusal(&sandbox, &binding).await.to_string() };
        let (value, level) = if s % 2 == 0 { (1.0, Level::Normal) } else { (11.0, Level::High) };
        let values = batch(s, &[value]);
        let (said, found) = tokio::join!(refused, neighbour.process(&values));
        assert!(begun.elapsed() < 6 * CPU, "{name} took {:?}", begun.elapsed());
        let said = said.strip_prefix(&format!("plugin `{name}` ")).unwrap_or_default().to_owned();
        assert!(expected.iter().any(|expected| said.starts_with(expected)), "{name}: {said}");
        let levels: Vec<Level> = found.unwrap().verdicts.iter().map(|verdict| verdict.level).collect();
        assert_eq!(levels, [level], "beside {name}");
    }
}

fn limits() -> CompileLimits {
    CompileLimits { memory_bytes: 512 << 20, cpu: CPU, code_bytes: 16 << 20 }
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
    let limits = CompileLimits { cpu: Duration::from_millis(40), ..limits() };
    for (line, expected) in [
        ("exec sleep 1000", CompileError::Clock(limits.cpu * 5)),
        // It closes its pipes and stays.
        ("exec sleep 1000 <&- >&- 2>&-", CompileError::Clock(limits.cpu * 5)),
        ("exec cat /dev/zero", CompileError::Code(limits.code_bytes)),
        ("kill -XCPU $$", CompileError::Time(limits.cpu)),
        ("kill -SEGV $$", CompileError::Died("signal: 11 (SIGSEGV)".into())),
        ("echo oh >&2; exit 7", CompileError::Died("exit status: 7: oh".into())),
        ("echo memory allocation of 9 bytes failed >&2; kill -ABRT $$", CompileError::Memory(limits.memory_bytes)),
        ("echo why >&2; exit 3", CompileError::Damaged("why".into())),
        ("test -z \"$HOME$PATH_INFO$CARGO\" && pwd >&2; exit 3", CompileError::Damaged("/".into())),
    ] {
        assert_eq!(shell(line).compile(b"much".repeat(1 << 20).as_slice(), &limits), Err(expected), "{line}");
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
