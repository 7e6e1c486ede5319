//! What the rest loses beside each plugin of the hostile corpus: four `limit` judge batches one after the other, as quick
//! as they can, alone and beside a fresh instance of the misdeed that is given a frame every ten milliseconds and asked
//! all that a detector is asked, until it fails; what explodes in the compiler is compiled meanwhile. Alone and beside
//! take turns, and the mean of the pairs counts. It wants a machine that does nothing else: what other programs take there
//! comes and goes by more than what is measured.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use watchfire_pipeline::{BindingSpec, Detector, DetectorFactory, Quota};
use watchfire_sandbox::Sandbox;

use crate::corpus::{CASES, ask, quota};
use crate::explosive::bombs;
use crate::guest::guest;
use crate::{batch, binding, built, sandbox};

/// Twice as many as there are cores on the machine of the documented figures: a fair share for one more were a fifth.
const DETECTORS: usize = 4;
const ROWS: u32 = 256;
const FRAME: Duration = Duration::from_millis(10);
/// A start each second: a gateway starts what fails five times a minute at the most.
const WINDOW: Duration = Duration::from_millis(500);
const PAIRS: usize = 2;

/// What compiling a bomb may take.
const COMPILE: Duration = Duration::from_secs(1);

/// Prints the table, or the rows of it whose names are given.
pub fn print(runtime: &Runtime, words: &[&str]) -> Result<(), Box<dyn Error>> {
    println!("| beside | batches/s alone | batches/s beside it | throughput lost, % | failed calls of the others |");
    println!("|---|---:|---:|---:|---:|");
    let chosen = |name: &str| words.is_empty() || words.contains(&name);
    let (mut plugins, mut specs) = (vec![("limit".to_owned(), built("limit")?.into())], Vec::new());
    for (name, misdeeds, _) in CASES.iter().filter(|(name, ..)| chosen(name)) {
        plugins.push(((*name).to_owned(), guest(misdeeds).into()));
        specs.push(BindingSpec { quota: quota(name), ..binding(name, "{}", 2) });
    }
    for (name, bytes, _) in bombs().into_iter().filter(|(name, ..)| chosen(name)) {
        plugins.push((name.to_owned(), bytes.into()));
        let quota = Quota { compile: COMPILE, compile_bytes: 512 << 20, code_bytes: 16 << 20, ..Quota::default() };
        specs.push(BindingSpec { quota, ..binding(name, "{}", 2) });
    }
    let sandbox = sandbox(plugins, None)?;
    let mut all = Vec::new();
    for spec in specs {
        // What can be compiled is before anything is measured, and stays as long as somebody uses it.
        let kept = runtime.block_on(sandbox.create(&spec));
        let (mut alone, mut with) = (Seen::default(), Seen::default());
        for pair in 0..PAIRS {
            // Which of the two comes first changes, so that a machine that gets busier is on neither side.
            let mut of = [None, Some(&spec)];
            of.rotate_left(pair % 2);
            let [first, second] = of.map(|misdeed| runtime.block_on(round(&sandbox, misdeed)));
            let (mut without, mut beside) = (first?, second?);
            if pair % 2 == 1 {
                std::mem::swap(&mut without, &mut beside);
            }
            alone.add(&without);
            with.add(&beside);
        }
        drop(kept);
        let failed = alone.failed + with.failed;
        let (alone, with) = (alone.batches / alone.clock_s, with.batches / with.clock_s);
        let lost = 100.0 - with / alone * 100.0;
        println!("| {} | {alone:.0} | {with:.0} | {lost:.1} | {failed} |", spec.plugin);
        all.push((lost, spec.plugin));
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    if let (Some((middle, _)), Some((most, name))) = (all.get(all.len() / 2), all.last()) {
        println!("\n{middle:.1} % in the median, most beside {name}: {most:.1} %");
    }
    Ok(())
}

/// What the others did in some windows.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    batches: f64,
    clock_s: f64,
    failed: u64,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.batches += other.batches;
        self.clock_s += other.clock_s;
        self.failed += other.failed;
    }
}

async fn round(sandbox: &Arc<Sandbox>, misdeed: Option<&BindingSpec>) -> Result<Seen, Box<dyn Error>> {
    let threads = sandbox.threads().ok_or("the sandbox has no threads of its own")?;
    let (ended, done, failed) = (Arc::new(AtomicBool::new(false)), Arc::default(), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for number in 0..DETECTORS {
        let detector = sandbox.create(&binding("limit", r#"{"high":90}"#, ROWS)).await?;
        tasks.push(at_full_load(&threads, detector, number, [&done, &failed].map(Arc::clone), ended.clone()));
    }
    let begun = Instant::now();
    let hostile = misdeed.map(|spec| threads.spawn(misbehave(sandbox.clone(), spec.clone(), ended.clone())));
    tokio::time::sleep(WINDOW).await;
    let (batches, clock_s) = (done.load(Ordering::Relaxed) as f64, begun.elapsed().as_secs_f64());
    ended.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await?;
    }
    if let Some(task) = hostile {
        // Nothing of it is left when the next round begins.
        task.await?;
    }
    Ok(Seen { batches, clock_s, failed: failed.load(Ordering::Relaxed) })
}

fn at_full_load(
    threads: &Handle,
    mut detector: Box<dyn Detector>,
    number: usize,
    [done, failed]: [Arc<AtomicU64>; 2],
    ended: Arc<AtomicBool>,
) -> JoinHandle<()> {
    let values = batch(number, ROWS);
    threads.spawn(async move {
        while !ended.load(Ordering::Relaxed) {
            match detector.process(&values).await {
                Ok(_) => done.fetch_add(1, Ordering::Relaxed),
                Err(_) => failed.fetch_add(1, Ordering::Relaxed),
            };
            tokio::task::yield_now().await;
        }
    })
}

/// Starts, and is asked all there is to ask, until it fails or nobody wants it any more.
async fn misbehave(sandbox: Arc<Sandbox>, spec: BindingSpec, ended: Arc<AtomicBool>) {
    let Ok(mut detector) = sandbox.create(&spec).await else { return };
    let mut frames = tokio::time::interval(FRAME);
    while !ended.load(Ordering::Relaxed) {
        frames.tick().await;
        if ask(&mut *detector, [4, 1, 2, 3].map(|number| batch(number, 2))).await.is_err() {
            return;
        }
    }
}
