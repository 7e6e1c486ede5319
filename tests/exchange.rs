//! What was recorded goes out as Parquet and CSV and comes into another gateway, bit for bit and once.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use crate::end_to_end::FIRST;
use crate::harness::gateway::{PROGRAM, Site, source};
use crate::harness::recording::Recorded;
use crate::harness::wait_for;

const SIGNALS: [&str; 4] = ["a_feed", "counter", "recipe", "reactor_level"];

fn run(site: &Site, words: &[&str], file: &Path) -> (Output, String) {
    let mut command = Command::new(PROGRAM);
    command.arg("history").args(words).arg(file).arg("--config").arg(site.config());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (output, text)
}

/// Everything of the recording, without the marks.
fn samples(site: &Site) -> Vec<String> {
    let of = |signal: &str| {
        let name = format!("plant/{signal}");
        let output = site.run("history", &[&name, "--csv", "--from", "2024-01-01", "--to", "2025-01-01"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let without_marks = |line: &str| line.rsplit_once(',').unwrap().0.to_owned();
        text.lines().skip(1).map(without_marks).collect::<Vec<String>>()
    };
    SIGNALS.into_iter().flat_map(of).collect()
}

#[test]
fn samples_go_out_and_come_in_bit_for_bit_and_once() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let (site, stopped, running) = (Site::new(), Site::bare(), Site::new());
    [&site, &stopped, &running].iter().for_each(|site| site.configure(&source("plant", &recorded.url(), &SIGNALS)));
    let mut server = recorded.start();
    let gateway = site.start();
    gateway.logged(&["watching", "plant"]);
    server.serve(60, 600);
    for (at, value) in [(0.0, json!(9_007_199_254_740_993_i64)), (1.0, json!(i64::MIN)), (2.0, json!(i64::MAX))] {
        server.set("counter", 90_000.0 + at, value, 0);
    }
    for (at, value) in [(0.0, json!("Grade A, \"fine\"")), (1.0, json!("")), (2.0, json!("Größe\n3"))] {
        server.set("recipe", 90_000.0 + at, value, 0);
    }
    server.set("reactor_level", 90_000.0, -0.0, 0x4000_0000);
    wait_for("all samples", || {
        let found = samples(&site);
        let last = ["-0,0x4", "3\""];
        last.iter().all(|last| found.iter().any(|line| line.contains(last))).then_some(())
    });
    // What was looked at before the last ones came may have been short.
    let wanted = samples(&site);

    let folder = tempfile::tempdir().unwrap();
    let parquet = folder.path().join("while-it-runs.parquet");
    let (out, told) = run(&site, &["export", "--from", "2024-01-01", "--to", "2025-01-01"], &parquet);
    assert!(out.status.success(), "{told}");
    let (again, told) = run(&site, &["export"], &parquet);
    assert!(!again.status.success() && told.contains("name a file that is not there"), "{told}");
    gateway.stop();
    let csv = folder.path().join("afterwards.csv");
    let (out, told) = run(&site, &["export", "--signal", "plant/*", "--to", "2025-01-01"], &csv);
    assert!(out.status.success(), "{told}");

    // Into a gateway that does not run, and into one that does: each twice, from either file.
    let taken = |site: &Site, file: &Path, nothing_new: bool| {
        let (taken, told) = run(site, &["import"], file);
        assert!(taken.status.success() && told.starts_with("0 samples") == nothing_new, "{told}");
    };
    let (first, told) = run(&stopped, &["import"], &parquet);
    assert!(first.status.success() && !told.starts_with("0 samples"), "{told}");
    assert!(told.contains("`plant/a_feed` was not known before"), "it may be misspelt: {told}");
    assert_eq!(samples(&stopped), wanted);
    taken(&stopped, &parquet, true);
    let mut text = std::fs::read_to_string(&csv).unwrap();
    text.push_str("plant/a_feed,not a time,,1,,,,\n");
    std::fs::write(&csv, text).unwrap();
    let (bad, told) = run(&stopped, &["import"], &csv);
    assert_eq!(bad.status.code(), Some(1), "{told}");
    assert!(told.contains("not a time") && told.contains("1 lines are bad"), "{told}");
    assert_eq!(samples(&stopped), wanted);

    // A file that says where values are missing brings that, and no value.
    let gap = "plant/a_feed,2024-06-01T00:00:00Z,2024-06-01T01:00:00Z,NaN,,,0x809D0000,gap,";
    let gaps = folder.path().join("gaps.csv");
    let head = "signal,source_time,server_time,value,integer,text,status,quality,locale";
    std::fs::write(&gaps, format!("{head}\n{gap}\n")).unwrap();
    let has_the_gap_once = |site: &Site| {
        let (taken, told) = run(site, &["import"], &gaps);
        assert!(taken.status.success() && told.starts_with("0 samples and 1 gaps of 1 signals were taken"), "{told}");
        let (_, told) = run(site, &["import"], &gaps);
        assert!(
            told.starts_with("0 samples of 1 signals were taken") && told.contains("1 were there already"),
            "{told}"
        );
        let listed = site.gaps("plant/a_feed");
        let imported: Vec<_> = listed.iter().filter(|gap| gap["cause"] == "imported").collect();
        assert!(imported.len() == 1 && imported[0]["until"] == "2024-06-01T01:00:00Z", "{listed:?}");
        assert_eq!(samples(site), wanted, "and nothing else has changed");
        let out = folder.path().join(format!("{}.csv", site.data().display().to_string().replace('/', "-")));
        let (exported, told) = run(site, &["export", "--signal", "plant/a_feed"], &out);
        assert!(exported.status.success() && told.contains(" samples and "), "{told}");
        let text = std::fs::read_to_string(&out).unwrap();
        assert_eq!(text.lines().filter(|line| *line == gap).count(), 1, "{text}");
    };
    has_the_gap_once(&stopped);

    drop(server);
    let gateway = running.start();
    taken(&running, &parquet, false);
    taken(&running, &parquet, true);
    assert_eq!(samples(&running), wanted);
    has_the_gap_once(&running);
    gateway.kill();
    assert_eq!(samples(&running), wanted, "what was taken was durable");
}
