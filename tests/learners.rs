//! A detector that learns: taught what is on record, shown to a person, and made to forget.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::gateway::{PROGRAM, Site, detector, source};
use crate::harness::top;
use watchfire_package::Digest;

const LEVEL: &str = "plant/reactor_level";

/// Takes values of the level as a file; they are late.
#[track_caller]
fn import(site: &Site, name: &str, values: &[f64]) {
    let lines = values.iter().zip(1..).map(|(value, s)| format!("{LEVEL},2024-01-01T00:00:{s:02}Z,{value}\n"));
    let file = site.folder().join(name);
    fs::write(&file, format!("signal,source_time,value\n{}", lines.collect::<String>())).unwrap();
    let mut command = Command::new(PROGRAM);
    let output = command.args(["history", "import"]).arg(&file).arg("--config").arg(site.config()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs `watchfire plugin` with the site's configuration; what it printed, and its exit code.
fn plugin(site: &Site, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(PROGRAM);
    let output = command.arg("plugin").args(words).arg("--config").arg(site.config()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

#[track_caller]
fn tells(site: &Site, words: &[&str], code: i32, part: &str) {
    let (ended, told) = plugin(site, words);
    assert!(ended == Some(code) && told.contains(part), "{words:?}: {told}");
}

/// Runs the gateway for a moment: what its detectors have learned is saved at its end.
fn run_once(site: &Site) {
    let gateway = site.start();
    gateway.logged(&["detector has caught up", "level"]);
    gateway.stop();
}

#[test]
fn a_detector_is_taught_what_is_on_record_shown_and_made_to_forget() {
    let site = Site::new();
    let file = top().join("plugins/dist/apprentice.wasm");
    let digest = Digest::of(&fs::read(&file).unwrap()).to_string();
    // Nobody answers there: all that is known comes from files.
    let sourced = source("plant", "opc.tcp://127.0.0.1:9", &["reactor_level"]);
    site.configure(&sourced);
    import(&site, "before.csv", &[40.0, 60.0]);
    let rest = format!("digest = \"{digest}\"\nlearn_days = 1\nconfig.learn = 2");
    let level = detector("level", &file.display().to_string(), &[LEVEL], &rest);
    let limit = detector("high", "limit", &[LEVEL], "[detector.config]\nhigh = 80.0");
    site.configure(&(sourced + &level + &limit));
    tells(&site, &["model", "level"], 1, "no gateway runs on `");
    run_once(&site);

    let gateway = site.start();
    tells(&site, &["model", "level"], 0, "plant/reactor_level: 40 to 60 in 2 values");
    let out = site.folder().join("model.txt").display().to_string();
    tells(&site, &["model", "level", "--out", &out], 0, "what detector `level` has learned up to record ");
    let model = fs::read_to_string(Path::new(&out)).unwrap();
    assert_eq!(model, "plant/reactor_level: 40 to 60 in 2 values\n");
    tells(&site, &["model", "level", "--out", &out], 1, "cannot be written");
    for (words, part) in [
        (vec!["model", "high"], "its plugin has no `learner`"),
        (vec!["forget", "high"], "its plugin has no `learner`"),
        (vec!["forget", "other"], "there is no detector `other`; there are `high`, `level`"),
        (vec!["forget", "level", "plant/other"], "watches no signal `plant/other`; it has `plant/reactor_level`"),
    ] {
        tells(&site, &words, 1, part);
    }
    tells(&site, &["forget", "level", LEVEL], 0, "detector `level` forgets `plant/reactor_level`; on record as ");
    // What comes late is learned from while it runs.
    import(&site, "more.csv", &[50.0, 55.0, 58.0]);
    gateway.stop();
    run_once(&site);

    let gateway = site.start();
    tells(&site, &["model", "level"], 0, "plant/reactor_level: 50 to 58 in 3 values");
    gateway.stop();
    let replayed = site.run("replay", &["--detector", "level"]);
    let told = String::from_utf8_lossy(&replayed.stdout);
    assert!(replayed.status.success() && told.contains("level: identical"), "{told}");
}
