//! A disk that is full: an alarm says so, operators' commands are still taken, and everything goes on by itself once
//! there is room. The disk is a shim before the program (`gateway/torture/shim/full.c`), so that no privileges are
//! needed; it takes a C compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::end_to_end::{FIRST, value};
use crate::harness::gateway::{PROGRAM, Site, source};
use crate::harness::hmi::{Hmi, Kind};
use crate::harness::recording::Recorded;
use crate::harness::{top, wait_for};

const NODE: &str = "signal:plant/a_feed";
const CONDITION: &str = "gateway/disk";
/// Nothing is left, and of what is given free somebody else takes all but this.
const FULL: &str = "0 300000";
const ROOM: &str = "-";

/// A disk of any size.
struct Disk {
    shim: PathBuf,
    room: PathBuf,
}

impl Disk {
    fn new(folder: &Path) -> Self {
        let (shim, room) = (folder.join("full.so"), folder.join("room"));
        let source = top().join("gateway/torture/shim/full.c");
        let built =
            Command::new("cc").args(["-O1", "-shared", "-fPIC", "-o"]).arg(&shim).arg(source).arg("-ldl").status();
        assert!(built.expect("a C compiler (`cc`) is needed").success());
        let disk = Self { shim, room };
        disk.has(ROOM);
        disk
    }

    fn has(&self, room: &str) {
        std::fs::write(&self.room, room).unwrap();
    }

    /// A command of the program on this disk.
    fn command(&self, site: &Site, name: &str) -> Command {
        let mut command = site.command(name);
        command.env("LD_PRELOAD", &self.shim).env("WATCHFIRE_ROOM", &self.room).env("WATCHFIRE_FOLDER", site.data());
        command
    }
}

#[test]
fn a_full_disk_is_an_alarm_and_what_was_given_meanwhile_is_recorded_once_there_is_room() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let (folder, site) = (tempfile::tempdir().unwrap(), Site::new());
    let disk = Disk::new(folder.path());
    site.configure(&source("plant", &recorded.url(), &["a_feed"]));
    let mut server = recorded.start();
    let gateway = site.start_by(&mut disk.command(&site, "run"));
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    let mut seconds = 0.0;
    let mut give = || {
        seconds += 1.0;
        server.set("a_feed", seconds, 100.0 + seconds, 0);
        100.0 + seconds
    };
    let wanted = give();
    wait_for("the first value", || value(&mut hmi, NODE, wanted));
    wait_for("room to be held in reserve", || site.data().join("reserve").exists().then_some(()));

    let begin = hmi.mark();
    disk.has(FULL);
    let told = hmi.event(begin, CONDITION, |event| event["active"] == true);
    assert!(told["message"].as_str().unwrap().contains("is full"), "{told}");
    assert!(!site.data().join("reserve").exists());
    assert_eq!(hmi.call("acknowledge", CONDITION, told["event"].as_str().unwrap(), Some("seen")), "Good");
    let given: Vec<f64> = (0..10).map(|_| give()).collect();

    let begin = hmi.mark();
    disk.has(ROOM);
    hmi.event(begin, CONDITION, |event| event["active"] == false);
    wait_for("what was given meanwhile", || value(&mut hmi, NODE, given[9]));
    wait_for("room to be held in reserve", || site.data().join("reserve").exists().then_some(()));
    gateway.stop();

    // On a full disk what was recorded can still be read, even where there is no room for the name of who reads it.
    std::fs::write(site.data().join("lock"), "").unwrap();
    disk.has(FULL);
    let output =
        disk.command(&site, "history").args(["plant/a_feed", "--json", "--to", "2025-01-01"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["value"].as_f64();
    let values: Vec<f64> = text.lines().filter_map(line).collect();
    assert!(values.ends_with(&given), "{values:?} {}", String::from_utf8_lossy(&output.stderr));
    disk.has(ROOM);
    let verify = Command::new(PROGRAM).args(["history", "verify", "--config"]).arg(site.config()).output().unwrap();
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));
}
