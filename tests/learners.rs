//! A detector that learns: taught what is on record, shown to a person, and made to forget.

use std::fs;
use std::process::Command;

use crate::harness::gateway::{PROGRAM, Site, detector, source};
use crate::harness::top;
use crate::plugins::commands;
use watchfire_package::Digest;

/// The page whose commands are given here.
const PAGE: &str = "docs/detectors.md";
const OIL: &str = "press/oil";

/// Takes values of the oil as a file; they are late.
#[track_caller]
fn import(site: &Site, name: &str, values: &[f64]) {
    let lines = values.iter().zip(1..).map(|(value, s)| format!("{OIL},2024-01-01T00:00:{s:02}Z,{value}\n"));
    let file = site.folder().join(name);
    fs::write(&file, format!("signal,source_time,value\n{}", lines.collect::<String>())).unwrap();
    let mut command = Command::new(PROGRAM);
    let output = command.args(["history", "import"]).arg(&file).arg("--config").arg(site.config()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs `watchfire plugin` with the site's configuration; what it printed, and its exit code.
fn plugin(site: &Site, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(PROGRAM);
    let output = command
        .arg("plugin")
        .args(words)
        .arg("--config")
        .arg(site.config())
        .current_dir(site.folder())
        .output()
        .unwrap();
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
    gateway.logged(&["detector has caught up", "oil"]);
    gateway.stop();
}

#[test]
fn a_detector_is_taught_what_is_on_record_shown_and_made_to_forget() {
    let site = Site::new();
    let file = top().join("plugins/dist/apprentice.wasm");
    let digest = Digest::of(&fs::read(&file).unwrap()).to_string();
    // Nobody answers there: all that is known comes from files.
    let sourced = source("press", "opc.tcp://127.0.0.1:9", &["oil"]);
    site.configure(&sourced);
    import(&site, "before.csv", &[40.0, 60.0]);
    let rest = format!("digest = \"{digest}\"\nlearn_days = 1\nconfig.learn = 2");
    let oil = detector("oil", &file.display().to_string(), &[OIL], &rest);
    let limit = detector("high", "limit", &[OIL], "[detector.config]\nhigh = 80.0");
    site.configure(&(sourced + &oil + &limit));
    tells(&site, &["model", "oil"], 1, "no gateway runs on `");
    run_once(&site);

    let gateway = site.start();
    tells(&site, &["model", "oil"], 0, "press/oil: 40 to 60 in 2 values");
    // As the page says it: shown, and taken away.
    let page = commands(PAGE, "watchfire plugin model");
    let page: Vec<Vec<&str>> = page.lines().map(|line| line.split_whitespace().skip(2).collect()).collect();
    tells(&site, &page[0], 0, "what detector `oil` has learned up to record ");
    let model = fs::read_to_string(site.folder().join("oil-model.txt")).unwrap();
    assert_eq!(model, "press/oil: 40 to 60 in 2 values\n");
    tells(&site, &page[0], 1, "cannot be written");
    for (words, part) in [
        (vec!["model", "high"], "its plugin has no `learner`"),
        (vec!["forget", "high"], "its plugin has no `learner`"),
        (vec!["forget", "other"], "there is no detector `other`; there are `high`, `oil`"),
        (vec!["forget", "oil", "press/other"], "watches no signal `press/other`; it has `press/oil`"),
    ] {
        tells(&site, &words, 1, part);
    }
    tells(&site, &page[1], 0, "detector `oil` forgets `press/oil`; on record as ");
    // What comes late is learned from while it runs.
    import(&site, "more.csv", &[50.0, 55.0, 58.0]);
    gateway.stop();
    run_once(&site);

    let gateway = site.start();
    tells(&site, &["model", "oil"], 0, "press/oil: 50 to 58 in 3 values");
    gateway.stop();
    let replayed = site.run("replay", &["--detector", "oil"]);
    let told = String::from_utf8_lossy(&replayed.stdout);
    assert!(replayed.status.success() && told.contains("oil: identical"), "{told}");
}

/// As they are recorded: two values to learn from, one that came late, two more, and what somebody does.
const RECORDED: &str = r#"signal,source_time,server_time,value,integer,text,status,quality
press/oil,2026-01-01T00:00:01Z,2026-01-01T00:00:01Z,50,,,0x00000000,
press/oil,2026-01-01T00:00:02Z,2026-01-01T00:00:02Z,58,,,0x00000000,
press/oil,2025-12-31T00:00:00Z,2026-01-01T00:00:03Z,70,,,0x00000000,late
press/oil,2026-01-01T00:00:04Z,2026-01-01T00:00:04Z,65,,,0x00000000,
press/oil,2026-01-01T00:00:05Z,2026-01-01T00:00:05Z,80,,,0x00000000,
press/log,2026-01-01T00:00:06Z,2026-01-01T00:00:06Z,,,"{""EventType"":""i=2915"",""ClientUserId"":""mallory"",""Message"":""opens""}",0x00000000,
"#;

#[test]
fn a_detector_that_is_tried_learns_what_came_late_and_hears_events_as_in_a_gateway() {
    let site = Site::new();
    fs::write(site.folder().join("recorded.csv"), RECORDED).unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["plugin", "test"]).arg(top().join("plugins/dist/apprentice.wasm")).current_dir(site.folder());
    let output = command.args(["--data", "recorded.csv", "--config", r#"{"learn":2}"#]).output().unwrap();
    let (told, beside) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && beside.contains("1 samples of `recorded.csv` came late"), "{beside}");
    let active: Vec<&str> = told.lines().filter(|line| line.contains(r#""level":"active""#)).collect();
    let [oil, log] = &active[..] else { panic!("{told}") };
    assert!(oil.contains(r#""why":"80, and it was between 50 and 70""#), "{oil}");
    assert!(log.contains(r#""instance":"press/log""#) && log.contains("`mallory`: opens"), "{log}");
}
