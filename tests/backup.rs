//! A backup that is made while the gateway records, and what comes back from it: every sample and every alarm that was
//! acknowledged before. A look through the data says what is whole and what is not.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use crate::end_to_end::FIRST;
use crate::harness::gateway::{PROGRAM, Site, source, upper_limit};
use crate::harness::hmi::{Hmi, Kind, node_id};
use crate::harness::recording::Recorded;
use crate::harness::wait_for;

/// A recorded one, and one that is set by hand alone.
const SIGNALS: [&str; 2] = ["a_feed", "counter"];
const CONDITION: &str = "level/limit/plant/counter";

fn samples(site: &Site, signal: &str) -> Vec<String> {
    let output = site.run("history", &[signal, "--csv", "--from", "2024-01-01", "--to", "2025-01-01"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().skip(1).map(str::to_owned).collect()
}

fn verify(site: &Site) -> (Output, String) {
    let output = Command::new(PROGRAM).args(["history", "verify", "--config"]).arg(site.config()).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (output, text)
}

#[track_caller]
fn run(site: &Site, name: &str, folder: &Path) -> String {
    let output = site.run(name, &[folder.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text
}

#[track_caller]
fn refused(site: &Site, name: &str, folder: &Path, words: &[&str]) {
    let output = site.run(name, &[folder.to_str().unwrap()]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && words.iter().all(|word| told.contains(word)), "{told}");
}

#[test]
fn what_was_acknowledged_before_a_backup_comes_back_from_it() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let (site, other) = (Site::new(), Site::bare());
    let rest = source("plant", &recorded.url(), &SIGNALS) + &upper_limit("level", "plant/counter", 80.0);
    [&site, &other].iter().for_each(|site| site.configure(&rest));
    let mut server = recorded.start();
    let gateway = site.start();
    gateway.logged(&["watching", "plant"]);
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    server.set("counter", 10.0, 91, 0);
    let raised = hmi.event(0, CONDITION, |event| event["active"] == true);
    let event = raised["event"].as_str().unwrap();
    assert_eq!(hmi.call("acknowledge", CONDITION, event, Some("seen before")), "Good");
    server.serve(100, 600);
    let before = wait_for("the first samples", || {
        let found = samples(&site, "plant/a_feed");
        (found.len() >= 100).then_some(found)
    });

    // Under load.
    let aside = tempfile::tempdir().unwrap();
    let backup = aside.path().join("backup");
    std::thread::scope(|scope| {
        scope.spawn(|| server.serve(200, 100));
        let told = run(&site, "backup", &backup);
        assert!(told.contains("everything up to record"), "{told}");
    });
    let (whole, told) = verify(&site);
    assert!(whole.status.success() && told.contains("everything is what was written"), "{told}");
    let after = wait_for("all samples", || {
        let found = samples(&site, "plant/a_feed");
        (found.len() >= 300).then_some(found)
    });
    refused(&site, "backup", &backup, &["is not empty"]);
    gateway.stop();
    refused(&site, "restore", &backup, &["is not empty", "move away"]);

    let told = run(&other, "restore", &backup);
    assert!(told.contains("everything is what was written"), "{told}");
    let restored = samples(&other, "plant/a_feed");
    assert!(restored.len() >= before.len() && restored[..] == after[..restored.len()]);
    let gateway = other.start();
    let mut hmi = Hmi::connect(Kind::Asyncua, &other.url());
    // It is told once its detector has been made, which takes a while with plugins that are new here.
    let told = wait_for("the condition to be told", || {
        hmi.refresh().into_iter().find(|event| event["conditionId"] == node_id(CONDITION))
    });
    assert_eq!((&told["acked"], &told["comment"]), (&json!(true), &json!("seen before")), "{told}");
    gateway.stop();
    is_chained(&other);

    // A backup that was not made to its end, or was changed, is none.
    let third = Site::bare();
    third.configure(&rest);
    let list = std::fs::read(backup.join("backup.json")).unwrap();
    std::fs::remove_file(backup.join("backup.json")).unwrap();
    refused(&third, "restore", &backup, &["is no backup that was made to its end"]);
    std::fs::write(backup.join("backup.json"), list).unwrap();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(backup.join("ctl/db")).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 1000).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 1000).unwrap();
    refused(&third, "restore", &backup, &["ctl/db", "is not what was backed up"]);
    assert!(!samples_or_refusal(&third).status.success(), "half a restored folder is not used");
}

/// Once sealed, the acknowledgement and all else that is no sample is a chain, whose end can be noted.
fn is_chained(site: &Site) {
    assert!(site.run("replay", &["--seal-first"]).status.success());
    let (_, told) = verify(site);
    let end = told.lines().find_map(|line| line.strip_prefix("chained: ")?.split(" ending in ").nth(1)).expect(&told);
    let noted = |hash: &str| {
        let mut command = Command::new(PROGRAM);
        command.args(["history", "verify", "--noted", hash, "--config"]).arg(site.config()).output().unwrap()
    };
    let found = noted(end);
    let told = String::from_utf8(found.stdout).unwrap();
    assert!(found.status.success() && told.contains("the hash that was noted is that of record"), "{told}");
    let other = noted(&"07".repeat(32));
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8(other.stdout).unwrap().contains("no record that is kept has the hash"));
    let none = noted("5f0c");
    assert!(!none.status.success() && String::from_utf8(none.stderr).unwrap().contains("64 digits"));
}

fn samples_or_refusal(site: &Site) -> Output {
    site.run("history", &["plant/a_feed"])
}

#[test]
fn a_look_through_damaged_data_names_the_file_and_the_way_out() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    site.configure(&source("plant", &recorded.url(), &SIGNALS));
    let mut server = recorded.start();
    let gateway = site.start();
    gateway.logged(&["watching", "plant"]);
    server.serve(50, 600);
    wait_for("the samples", || (samples(&site, "plant/a_feed").len() >= 50).then_some(()));
    gateway.stop();
    let (whole, told) = verify(&site);
    assert!(whole.status.success() && told.contains("journal: "), "{told}");
    let wal = site.data().join("wal/00000000000000000001.wal");
    let length = std::fs::metadata(&wal).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&wal).unwrap().set_len(length - 1).unwrap();
    let (cut, told) = verify(&site);
    assert_eq!(cut.status.code(), Some(1), "{told}");
    assert!(told.contains("00001.wal") && told.contains("wal.damaged"), "{told}");
}

#[test]
fn a_gateway_goes_on_without_a_day_that_is_damaged_and_an_alarm_says_so() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let (site, folder) = (Site::new(), tempfile::tempdir().unwrap());
    site.configure(&source("plant", &recorded.url(), &SIGNALS));
    let csv = folder.path().join("old.csv");
    std::fs::write(&csv, "signal,source_time,value\nplant/a_feed,2024-05-01T00:00:00Z,1\n").unwrap();
    let taken = |file: &Path| {
        let mut command = Command::new(PROGRAM);
        command.args(["history", "import"]).arg(file).arg("--config").arg(site.config()).output().unwrap()
    };
    assert!(taken(&csv).status.success());
    let day = std::fs::read_dir(site.data().join("ts")).unwrap().next().expect("it is sealed").unwrap().path();
    std::fs::OpenOptions::new().write(true).open(day.join("db")).unwrap().set_len(100).unwrap();
    let (looked, told) = verify(&site);
    assert!(!looked.status.success() && told.contains(".damaged"), "{told}");
    assert!(day.exists(), "whoever looks changes nothing");

    let mut server = recorded.start();
    let gateway = site.start();
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    let alarm = wait_for("the alarm", || {
        hmi.refresh().into_iter().find(|event| event["conditionId"] == node_id("gateway/history"))
    });
    let message = alarm["message"].as_str().unwrap();
    assert!(alarm["active"] == true && message.contains(day.file_name().unwrap().to_str().unwrap()), "{alarm}");
    assert!(day.with_extension("damaged").join("db").exists() && !day.exists(), "nothing is removed");
    gateway.logged(&["watching", "plant"]);
    server.serve(50, 600);
    wait_for("the samples", || (samples(&site, "plant/a_feed").len() >= 50).then_some(()));
    gateway.stop();
    let (whole, told) = verify(&site);
    assert!(whole.status.success() && told.contains("was set aside as damaged"), "{told}");
}
