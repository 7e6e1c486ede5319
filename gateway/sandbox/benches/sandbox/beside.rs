//! Ninety-nine detectors at work beside one that uses every slice it gets, against the same without it: what they get
//! done, how late the latest verdict is, and whether any is missing. Runs with and without take turns, and what counts is
//! the median of their pairs: whatever else keeps the machine busy is in both.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;
use watchfire_pipeline::{DetectorFactory, Quota};
use watchfire_sandbox::Sandbox;

use crate::{batch, binding, built, sandbox};

const DETECTORS: usize = 99;
const ROWS: u32 = 256;
const FRAME: Duration = Duration::from_millis(100);
const WINDOW: Duration = Duration::from_secs(5);
/// Pairs of runs, each with and without, of which the median counts.
const ROUNDS: usize = 5;

struct Seen {
    /// Batches a second of all detectors, each as quick as it can be.
    batches_per_s: f64,
    /// The longest time from a frame to its verdict, frames every 100 ms.
    latest: Duration,
    /// Frames without a verdict.
    lost: u64,
}

/// Prints the table.
pub fn print(runtime: &Runtime) -> Result<(), Box<dyn Error>> {
    println!(
        "| beside 99 detectors | batches/s at full load | throughput lost, % | latest verdict, ms | later than alone, ms \
         | verdicts lost |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    let plugins = || -> Result<_, Box<dyn Error>> {
        Ok(vec![("limit".to_owned(), built("limit")?.into()), ("faulty".to_owned(), built("faulty")?.into())])
    };
    let sandbox = sandbox(plugins()?, None)?;
    for (what, config) in [("one in a loop without end", r#"{"fault":"loop","at":1}"#)] {
        let (mut taken, mut later, mut alone, mut beside) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let without = round(runtime, &sandbox, None)?;
            let with = round(runtime, &sandbox, Some(config))?;
            taken.push(100.0 - with.batches_per_s / without.batches_per_s * 100.0);
            later.push((with.latest.as_secs_f64() - without.latest.as_secs_f64()) * 1e3);
            alone.push(without);
            beside.push(with);
        }
        for (name, seen, taken, later) in [("none", &alone, 0.0, 0.0), (what, &beside, median(taken), median(later))] {
            let rate = seen.iter().map(|seen| seen.batches_per_s).sum::<f64>() / ROUNDS as f64;
            let latest_ms = median(seen.iter().map(|seen| seen.latest.as_secs_f64() * 1e3).collect());
            let lost: u64 = seen.iter().map(|seen| seen.lost).sum();
            println!("| {name} | {rate:.0} | {taken:.1} | {latest_ms:.1} | {later:.1} | {lost} |");
        }
    }
    Ok(())
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or_default()
}

fn round(runtime: &Runtime, sandbox: &Arc<Sandbox>, greedy: Option<&str>) -> Result<Seen, Box<dyn Error>> {
    let threads = sandbox.threads().ok_or("the sandbox has no threads of its own")?;
    let ended = Arc::new(AtomicBool::new(false));
    let greedy_task = match greedy {
        Some(config) => {
            let mut spec = binding("faulty", config, 1);
            spec.quota = Quota { fuel_per_call: u64::MAX, call: Duration::from_secs(3_600), ..spec.quota };
            let mut detector = runtime.block_on(sandbox.create(&spec))?;
            Some(threads.spawn(async move { detector.process(&batch(1, 1)).await.is_ok() }))
        }
        None => None,
    };
    let seen = runtime.block_on(async {
        let batches_per_s = at_full_load(sandbox, &threads, &ended).await?;
        let (latest, lost) = in_time(sandbox, &threads).await?;
        Ok::<_, Box<dyn Error>>(Seen { batches_per_s, latest, lost })
    })?;
    if let Some(task) = greedy_task {
        task.abort();
    }
    Ok(seen)
}

/// Every detector judges one batch after the other.
async fn at_full_load(
    sandbox: &Arc<Sandbox>,
    threads: &tokio::runtime::Handle,
    ended: &Arc<AtomicBool>,
) -> Result<f64, Box<dyn Error>> {
    let done = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for number in 0..DETECTORS {
        let mut detector = sandbox.create(&binding("limit", r#"{"high":90}"#, ROWS)).await?;
        let (ended, done, values) = (ended.clone(), done.clone(), batch(number, ROWS));
        tasks.push(threads.spawn(async move {
            while !ended.load(Ordering::Relaxed) && detector.process(&values).await.is_ok() {
                done.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }));
    }
    let begun = Instant::now();
    tokio::time::sleep(WINDOW).await;
    let rate = done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    ended.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await?;
    }
    Ok(rate)
}

/// Every detector gets a frame at a time, as in a plant: the longest time from its moment to the verdict, and for how
/// many there was none.
async fn in_time(sandbox: &Arc<Sandbox>, threads: &tokio::runtime::Handle) -> Result<(Duration, u64), Box<dyn Error>> {
    let mut tasks = Vec::new();
    let frames = WINDOW.as_millis() / FRAME.as_millis();
    for number in 0..DETECTORS {
        let mut detector = sandbox.create(&binding("limit", r#"{"high":90}"#, ROWS)).await?;
        let values = batch(number, ROWS);
        tasks.push(threads.spawn(async move {
            let mut ticks = tokio::time::interval(FRAME);
            let (mut latest, mut lost) = (Duration::ZERO, 0);
            for _ in 0..frames {
                let due = ticks.tick().await;
                lost += u64::from(detector.process(&values).await.is_err());
                latest = latest.max(due.elapsed());
            }
            (latest, lost)
        }));
    }
    let (mut latest, mut lost) = (Duration::ZERO, 0);
    for task in tasks {
        let (of_one, lost_by_one) = task.await?;
        latest = latest.max(of_one);
        lost += lost_by_one;
    }
    Ok((latest, lost))
}
