//! Power cuts at random moments.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::check::{Promised, check};
use crate::disk::{Disk, notes};

/// Cuts of one life: what a process did is the same for all, what is left of it is not.
const CUTS_A_LIFE: usize = 10;
/// How long a life lasts, milliseconds.
const LIFE_MS: std::ops::Range<u64> = 100..500;

/// Cuts the power of `program write` so often, and checks after each; answers what was done.
///
/// # Panics
/// At the first record that is lost or not what was written; where there is no C compiler (`cc`).
#[must_use]
pub fn cuts(program: &Path, count: usize, seed: u64) -> String {
    let mut random = SmallRng::seed_from_u64(seed);
    let work = tempfile::tempdir().unwrap();
    let shim = shim(work.path(), "trace");
    let (mut done, mut records) = (0, 0);
    while done < count {
        let folder = tempfile::tempdir().unwrap();
        let (mut base, mut promised) = (folder.path().to_owned(), Promised::default());
        let mut kept = Vec::new();
        // Each life goes on from what one of the cuts before it has left.
        for life in 0..5 {
            let trace = work.path().join(format!("trace-{done}-{life}"));
            let before = Disk::of(&base);
            live(program, &shim, &base, &trace, Duration::from_millis(random.random_range(LIFE_MS)));
            let notes = notes(&std::fs::read(&trace).unwrap());
            std::fs::remove_file(&trace).unwrap();
            let mut next = None;
            for _ in 0..CUTS_A_LIFE.min(count - done) {
                let at = random.random_range(0..=notes.len());
                let (mut disk, mut promised) = (before.clone(), promised);
                for note in &notes[..at] {
                    disk.note(note);
                    note.told().into_iter().flat_map(str::lines).for_each(|line| promised.hear(line));
                }
                let left = tempfile::tempdir().unwrap();
                disk.cut(&base, left.path(), &mut random);
                let tail = check(left.path(), promised, 1);
                records += tail;
                done += 1;
                // What is there after a start counts as durable.
                next = Some((left, Promised { record: tail, ..promised }));
            }
            let Some((left, then)) = next else { break };
            (base, promised) = (left.path().to_owned(), then);
            kept.push(left);
        }
    }
    format!(
        "{count} power cuts: {records} records read back, none lost that was durable, each of them what was written"
    )
}

/// Builds a shim that stands between a process and its files.
pub fn shim(folder: &Path, name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("shim").join(name).with_extension("c");
    let shim = folder.join(name).with_extension("so");
    let built = Command::new("cc").args(["-O1", "-shared", "-fPIC", "-o"]).arg(&shim).arg(&source).arg("-ldl").status();
    assert!(built.expect("a C compiler (`cc`) is needed").success(), "{} cannot be compiled", source.display());
    shim
}

fn live(program: &Path, shim: &Path, folder: &Path, trace: &Path, lasting: Duration) {
    let mut command = Command::new(program);
    command.arg("write").arg(folder).stdout(Stdio::null());
    command.env("LD_PRELOAD", shim).env("WATCHFIRE_TRACE", trace).env("WATCHFIRE_FOLDER", folder);
    let mut child = command.spawn().unwrap();
    std::thread::sleep(lasting);
    assert!(child.try_wait().unwrap().is_none(), "the writer ended by itself");
    child.kill().unwrap();
    child.wait().unwrap();
}
