//! What the sandbox costs: `cargo bench -p watchfire-sandbox`, after `python3 plugins/build.py`. Prints tables in
//! Markdown, each with its baseline in the same run. Words after `--` choose: `samples`, `start`, `crowd`, `beside` or `hostile`;
//! for `samples` also a detector and a number of rows, for `start` also files of components.

mod beside;
mod crowd;
mod hostile;
mod samples;
mod start;

/// What the tests have of it.
#[path = "../../tests/sandbox/corpus.rs"]
mod corpus;
#[path = "../../tests/sandbox/explosive.rs"]
#[expect(clippy::unwrap_used, reason = "made for tests")]
mod explosive;
#[path = "../../tests/sandbox/guest.rs"]
#[expect(clippy::unwrap_used, reason = "made for tests")]
mod guest;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use watchfire_model::{Batch, Instant as Time, Lsn, SignalId, SignalInfo};
use watchfire_pipeline::{BindingSpec, Quota};
use watchfire_sandbox::{CacheAt, ChildCompiler, Sandbox, SandboxOptions};

/// The first argument with which this program compiles, as the gateway's child does.
const COMPILE: &str = "compile-plugin";
const PARTS: [&str; 5] = ["samples", "start", "crowd", "beside", "hostile"];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let Some((COMPILE, limits)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return watchfire_sandbox::compile_confined(limits);
    }
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<(), Box<dyn Error>> {
    let named: Vec<&str> = PARTS.into_iter().filter(|part| words.iter().any(|word| word == part)).collect();
    let others: Vec<&str> = words.iter().map(String::as_str).filter(|word| !PARTS.contains(word)).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    for part in PARTS {
        match part {
            _ if !named.is_empty() && !named.contains(&part) => {}
            "samples" => samples::print(&runtime, &others)?,
            "start" => start::print(&runtime, &others)?,
            "crowd" => crowd::print(&runtime)?,
            "beside" => beside::print(&runtime)?,
            _ => hostile::print(&runtime, &others)?,
        }
    }
    Ok(())
}

/// A sandbox as the gateway's: it compiles in a child and keeps what it compiled in that folder, if any.
fn sandbox(
    plugins: Vec<(String, Cow<'static, [u8]>)>,
    kept_in: Option<PathBuf>,
) -> Result<Arc<Sandbox>, Box<dyn Error>> {
    let cache = kept_in.map(|folder| CacheAt { key: folder.with_extension("key"), folder });
    let compiler = ChildCompiler::this_program(vec![COMPILE.into()])?;
    Ok(Sandbox::new(SandboxOptions { cache, bundled: plugins, compiler: Some(Arc::new(compiler)), shelf: None })?)
}

/// The bytes of a built detector.
fn built(plugin: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let file = format!("{}/../../plugins/dist/{plugin}.wasm", env!("CARGO_MANIFEST_DIR"));
    Ok(std::fs::read(&file).map_err(|error| format!("{file}: {error}; run `python3 plugins/build.py`"))?)
}

fn binding(plugin: &str, config: &str, count: u32) -> BindingSpec {
    let signal = |id| SignalInfo { id: SignalId(id), name: format!("plant/s{id}").into(), ..SignalInfo::default() };
    BindingSpec {
        name: plugin.to_owned(),
        plugin: plugin.to_owned(),
        signals: (0..count).map(signal).collect(),
        config: config.to_owned(),
        places: Default::default(),
        model: None,
        seed: 7,
        alarms: BTreeMap::new(),
        quota: Quota::default(),
    }
}

/// One value of each signal, noise around 50.
fn batch(number: usize, rows: u32) -> Batch {
    let now = Time::from_s(1_700_000_000 + i64::try_from(number).unwrap_or_default());
    let mut batch = Batch { frame: Lsn(1), now, ..Batch::default() };
    let mut state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(number as u64 + 1);
    for signal in 0..rows {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        batch.signal.push(signal);
        batch.time.push(now.ns());
        batch.value.push(40.0 + (state >> 40) as f64 / (1 << 24) as f64 * 20.0);
        batch.status.push(0);
        batch.quality.push(0);
    }
    batch
}

/// What this process holds in memory, bytes.
fn resident_bytes() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}
