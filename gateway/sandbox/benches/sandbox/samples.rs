//! Nanoseconds a sample through the sandbox, against the same detector compiled natively.
//!
//! "native" calls the detector's Rust code with columns at hand. "sandboxed" is the port `Detector` called on the
//! detectors' own threads. "from outside" is the same port called on another runtime: a copy of the batch and two
//! wake-ups more.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;
use watchfire_detector::{Batch as Columns, Detector as Native, Row, Setup, Signal};
use watchfire_detector_limit::Limit;
use watchfire_detector_novelty::Novelty;
use watchfire_model::Batch;
use watchfire_pipeline::{Detector, DetectorFactory};

use crate::{batch, binding, built, sandbox};

const SIZES: [u32; 4] = [1, 16, 256, 4096];
/// Short rounds, of which the quickest counts: the one in which nothing else ran on the core.
const ROUNDS: usize = 800;
const ROUND: Duration = Duration::from_millis(1);
/// No more rounds after so long: a pass over large batches takes longer than a round.
const ROUNDS_LAST: Duration = Duration::from_secs(3);
/// Different batches of one size, so that nothing is the same each time.
const BATCHES: usize = 64;
/// Samples that each signal has learned before anything is measured.
const LEARNED: usize = 1_000;

const LIMIT: &str = r#"{"high_high":95,"high":90,"low":10,"low_low":5}"#;
const NOVELTY: &str = r#"{"warm_up_samples":100}"#;

/// Prints the table, or the rows of it that every word means.
pub fn print(runtime: &Runtime, words: &[&str]) -> Result<(), Box<dyn Error>> {
    let chosen = |plugin: &str, rows: u32| {
        words.iter().all(|word| *word == plugin || word.parse() == Ok(rows) || word.ends_with(".wasm"))
    };
    println!(
        "| detector | samples a batch | native ns/sample | sandboxed ns/sample | times native | from outside ns/sample |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    for rows in SIZES.into_iter().filter(|rows| chosen("limit", *rows)) {
        row::<Limit>(runtime, "limit", LIMIT, rows)?;
    }
    for rows in SIZES.into_iter().filter(|rows| chosen("novelty", *rows)) {
        row::<Novelty>(runtime, "novelty", NOVELTY, rows)?;
    }
    Ok(())
}

/// One row of the table.
fn row<D: Native>(runtime: &Runtime, plugin: &str, config: &str, rows: u32) -> Result<(), Box<dyn Error>> {
    let batches: Arc<Vec<Batch>> = Arc::new((0..BATCHES).map(|number| batch(number, rows)).collect());
    let learn = if plugin == "limit" { 1 } else { LEARNED / BATCHES };

    let columns: Vec<Columns> = batches.iter().map(columns).collect();
    let signals = (0..rows).map(|id| Signal { name: format!("plant/s{id}"), ..Signal::default() }).collect();
    let setup = Setup { config: config.to_owned(), signals, seed: 7, model: None };
    let (mut native, _) = D::init(setup).map_err(|refusal| refusal.message)?;
    let mut next = columns.iter().cycle();
    let native_ns = measure(learn, || {
        black_box(next.next().map(|columns| native.process(black_box(columns))).is_some());
    });

    let sandbox = sandbox(vec![(plugin.to_owned(), built(plugin)?.into())], None)?;
    let mut binding = binding(plugin, config, rows);
    binding.quota.memory_bytes = 1 << 30;
    let inside = runtime.block_on(sandbox.create(&binding))?;
    let feeding = batches.clone();
    let threads = sandbox.threads().ok_or("the sandbox has no threads of its own")?;
    let inside_ns = runtime.block_on(threads.spawn(async move { feed(inside, &feeding, learn).await }))?;
    let outside = runtime.block_on(sandbox.create(&binding))?;
    let outside_ns = runtime.block_on(runtime.spawn(async move { feed(outside, &batches, learn).await }))?;

    let a_sample = |ns: f64| format!("{:.1}", ns / f64::from(rows));
    let times = inside_ns / native_ns;
    let (native_ns, inside_ns, outside_ns) = (a_sample(native_ns), a_sample(inside_ns), a_sample(outside_ns));
    println!("| {plugin} | {rows} | {native_ns} | {inside_ns} | {times:.2} | {outside_ns} |");
    Ok(())
}

/// Nanoseconds for one batch, the quickest of the rounds.
fn measure(learn: usize, mut batch: impl FnMut()) -> f64 {
    (0..learn * BATCHES).for_each(|_| batch());
    let (mut rounds, begun) = (Vec::new(), Instant::now());
    while rounds.len() < ROUNDS && begun.elapsed() < ROUNDS_LAST {
        let (began, mut done) = (Instant::now(), 0_u32);
        while began.elapsed() < ROUND {
            (0..BATCHES).for_each(|_| batch());
            done += u32::try_from(BATCHES).unwrap_or(u32::MAX);
        }
        rounds.push(began.elapsed().as_nanos() as f64 / f64::from(done));
    }
    quickest(rounds)
}

/// As [`measure`], through the port.
async fn feed(mut detector: Box<dyn Detector>, batches: &[Batch], learn: usize) -> f64 {
    let mut rounds = Vec::new();
    for _ in 0..learn {
        pass(&mut detector, batches).await;
    }
    let begun = Instant::now();
    while rounds.len() < ROUNDS && begun.elapsed() < ROUNDS_LAST {
        let (began, mut done) = (Instant::now(), 0_u32);
        while began.elapsed() < ROUND {
            pass(&mut detector, batches).await;
            done += u32::try_from(batches.len()).unwrap_or(u32::MAX);
        }
        rounds.push(began.elapsed().as_nanos() as f64 / f64::from(done));
    }
    quickest(rounds)
}

#[expect(clippy::panic, reason = "a benchmark that fails measures nothing")]
async fn pass(detector: &mut Box<dyn Detector>, batches: &[Batch]) {
    for batch in batches {
        if let Err(fault) = detector.process(batch).await {
            panic!("{fault}");
        }
    }
}

fn quickest(rounds: Vec<f64>) -> f64 {
    rounds.into_iter().fold(f64::INFINITY, f64::min)
}

fn columns(batch: &Batch) -> Columns {
    let mut columns = Columns { frame: batch.frame.0, now: batch.now.ns(), ..Columns::default() };
    for ((signal, time), value) in batch.signal.iter().zip(&batch.time).zip(&batch.value) {
        columns.push(Row { signal: *signal, time: *time, value: *value, status: 0, quality: 0 });
    }
    columns
}
