//! A disk that runs full at random moments while a process writes to both stores: what was durable stays, nothing else
//! than what was written is read, and the process goes on by itself once there is room, or can be started then.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::check::{Promised, check};
use crate::cuts::shim;

/// A folder is begun anew after so many: it grows with each.
const TIMES_A_FOLDER: usize = 10;
/// Room that is left at first, bytes.
const ROOM_BYTES: std::ops::Range<u64> = 1..2_000_000;
/// How long a full disk lasts, milliseconds.
const FULL_MS: std::ops::Range<u64> = 100..1500;
/// How long it may take to go on.
const GO_ON_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Lets the disk of `program write` run full so often, and checks after each; answers what was done.
///
/// # Panics
/// At the first record that is lost or not what was written, and where the process does not go on; where there is no C
/// compiler (`cc`).
#[must_use]
pub fn full(program: &Path, count: usize, seed: u64) -> String {
    let mut random = SmallRng::seed_from_u64(seed);
    let work = tempfile::tempdir().unwrap();
    let shim = shim(work.path(), "full");
    let room = work.path().join("room");
    let (mut done, mut records, mut went_on) = (0, 0, 0);
    while done < count {
        let folder = tempfile::tempdir().unwrap();
        let (mut promised, mut tail) = (Promised::default(), 0);
        let times = TIMES_A_FOLDER.min(count - done);
        for time in 0..times {
            // Some meet it while they open, but not one of these opens anything for the first time: that may fail.
            std::fs::write(&room, "-").unwrap();
            let mut command = Command::new(program);
            command.arg("write").arg(folder.path()).stdout(Stdio::piped());
            command.env("LD_PRELOAD", &shim).env("WATCHFIRE_ROOM", &room).env("WATCHFIRE_FOLDER", folder.path());
            let mut child = command.spawn().unwrap();
            let heard = BufReader::new(child.stdout.take().unwrap());
            let told = Mutex::new(promised);
            std::thread::scope(|scope| {
                scope.spawn(|| heard.lines().map_while(Result::ok).for_each(|line| told.lock().unwrap().hear(&line)));
                let before = wait_beyond(&told, promised.record);
                std::fs::write(&room, random.random_range(ROOM_BYTES).to_string()).unwrap();
                std::thread::sleep(Duration::from_millis(random.random_range(FULL_MS)));
                if random.random_bool(0.7) {
                    let full = told.lock().unwrap().record.max(before);
                    std::fs::write(&room, "-").unwrap();
                    // Beyond what may have been on its way.
                    wait_beyond(&told, full + 200);
                    went_on += 1;
                }
                assert!(child.try_wait().unwrap().is_none(), "the writer ended by itself");
                child.kill().unwrap();
                child.wait().unwrap();
            });
            promised = *told.lock().unwrap();
            let from = if time + 1 == times { 1 } else { tail + 1 };
            tail = check(folder.path(), promised, from);
            done += 1;
        }
        records += tail;
    }
    format!(
        "{count} full disks: {went_on} times it went on by itself, else it was killed; {records} records, none lost that was \
         durable, each of them what was written"
    )
}

/// Waits until a record beyond this one is durable.
fn wait_beyond(told: &Mutex<Promised>, record: u64) -> u64 {
    let mut looks = GO_ON_MAX.as_millis() / LOOK_EVERY.as_millis();
    loop {
        let now = told.lock().unwrap().record;
        if now > record {
            return now;
        }
        assert!(looks > 0, "it does not go on after record {now}");
        looks -= 1;
        std::thread::sleep(LOOK_EVERY);
    }
}
