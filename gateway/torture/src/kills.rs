//! SIGKILL at random moments, again and again on the same data folder.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::check::{Promised, check};

/// A folder is begun anew after so many: it grows with each.
const KILLS_A_FOLDER: usize = 25;
/// The longest life, milliseconds.
const LIFE_MS_MAX: u64 = 300;

/// Kills `program write` so often, and checks after each; answers what was done.
///
/// # Panics
/// At the first record that is lost or not what was written.
#[must_use]
pub fn kills(program: &Path, count: usize, seed: u64) -> String {
    let mut random = SmallRng::seed_from_u64(seed);
    let (mut done, mut records) = (0, 0);
    while done < count {
        let folder = tempfile::tempdir().unwrap();
        let (mut promised, mut tail) = (Promised::default(), 0);
        let lives = KILLS_A_FOLDER.min(count - done);
        for life in 0..lives {
            // Some die while they open, most while they write.
            let lasting = if random.random_bool(0.2) { 30 } else { LIFE_MS_MAX };
            live(program, folder.path(), Duration::from_millis(random.random_range(1..lasting)), &mut promised);
            let from = if life + 1 == lives { 1 } else { tail + 1 };
            tail = check(folder.path(), promised, from);
            done += 1;
        }
        records += tail;
    }
    format!("{count} kills: {records} records, none lost that was durable, each of them what was written")
}

fn live(program: &Path, folder: &Path, lasting: Duration, promised: &mut Promised) {
    let mut child = Command::new(program).arg("write").arg(folder).stdout(Stdio::piped()).spawn().unwrap();
    let heard = BufReader::new(child.stdout.take().unwrap());
    std::thread::scope(|scope| {
        let listening = scope.spawn(|| heard.lines().map_while(Result::ok).for_each(|line| promised.hear(&line)));
        std::thread::sleep(lasting);
        assert!(child.try_wait().unwrap().is_none(), "the writer ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        listening.join().unwrap();
    });
}
