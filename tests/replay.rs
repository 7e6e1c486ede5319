//! Replay: the detectors again over what was recorded say the same, from the journal and from sealed chunks alike.

use std::process::Output;

use crate::end_to_end::{FIRST, PRESSURE_HIGH, TEP};
use crate::harness::gateway::{Site, allowed, detector, source, upper_limit};
use crate::harness::hmi::{Hmi, Kind};
use crate::harness::recording::Recorded;
use crate::harness::top;

/// What `watchfire replay` says of a detector.
#[derive(Debug, PartialEq)]
struct Report {
    detector: String,
    identical: bool,
    frames: u64,
    samples: u64,
    skipped: u64,
    recorded: u64,
    replayed: u64,
    /// Of the verdicts, and of all that was learned.
    digests: String,
}

fn reports(output: &Output) -> Vec<Report> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let own = |line: &&str| line.contains("; digest ");
    text.lines().filter(own).map(report).collect()
}

/// `hot: identical; 12 frames, 960 samples, 0 skipped; 3 verdicts recorded, 3 replayed; digest 0123…, state 4567…`
fn report(line: &str) -> Report {
    let (detector, rest) = line.split_once(": ").unwrap();
    let numbers: Vec<u64> = rest.split([' ', ';', ',']).filter_map(|word| word.parse().ok()).collect();
    let digests = rest.split("digest ").nth(1).unwrap().to_owned();
    assert!(digests.contains(", state "), "{line}");
    let [frames, samples, skipped, recorded, replayed, ..] = numbers[..] else { panic!("{line}") };
    Report {
        detector: detector.to_owned(),
        identical: rest.starts_with("identical"),
        frames,
        samples,
        skipped,
        recorded,
        replayed,
        digests,
    }
}

#[test]
fn replay_gives_the_verdicts_of_live_from_the_journal_and_from_sealed_chunks() {
    let recorded = Recorded::new("tep_feed_loss.csv", Some(FIRST));
    let site = Site::new();
    let faulty = top().join("plugins/dist/faulty.wasm").display().to_string();
    // A plugin from a file that finds values above 100.
    let own = site.folder().join("own.wasm");
    std::fs::copy(top().join("plugins/dist/faulty.wasm"), &own).unwrap();
    let detectors = |high: f64| {
        upper_limit("pressure", "plant/reactor_pressure", high)
            + &detector("own", "own.wasm", &["plant/reactor_pressure"], "")
            + &detector("strange", "novelty", &["plant/*"], "[detector.config]\nwarm_up_samples = 100")
            + &detector("frozen", "stuck", &["plant/*"], "")
            + &detector(
                "poisoned",
                &faulty,
                &["plant/reactor_level"],
                "[detector.config]\nfault = \"trap\"\nat_value = 666",
            )
    };
    let other = top().join("plugins/dist/stuck.wasm");
    let source = allowed(&[&own, &other]) + &source("plant", &recorded.url(), &TEP);
    site.configure(&(source.clone() + &detectors(PRESSURE_HIGH)));
    let mut server = recorded.start();
    let gateway = site.start();
    // Each is compiled first.
    for name in ["pressure", "own", "strange", "frozen", "poisoned"] {
        gateway.logged(&["detector started", &format!("detector=\"{name}\"")]);
    }
    let hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    server.serve(200, 400);
    server.serve(70, 400);
    let condition = "pressure/limit/plant/reactor_pressure";
    hmi.event(0, condition, |event| event["active"] == true);
    gateway.kill();

    // Started once more, so that what is replayed spans a kill and a detector's second life.
    let gateway = site.start();
    gateway.logged(&["watching", "plant"]);
    let hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    server.set("reactor_pressure", 50_000.0, 2700.0, 0);
    hmi.event(0, condition, |event| event["active"] == false);
    // One frame on which a plugin fails each time: it is passed over, on record, and the plugin goes on.
    server.set("reactor_level", 50_001.0, 666.0, 0);
    gateway.logged(&["poisoned", "skip"]);
    server.set("reactor_level", 50_002.0, 170.0, 0);
    hmi.event(0, "poisoned/above/plant/reactor_level", |event| {
        event["active"] == true && event["message"].as_str().is_some_and(|why| why.contains("170"))
    });
    gateway.stop();

    let output = site.run("replay", &[]);
    let live = reports(&output);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{live:?} {complaint}");
    let names: Vec<&str> = live.iter().map(|report| report.detector.as_str()).collect();
    assert_eq!(names, ["pressure", "own", "strange", "frozen", "poisoned"]);
    for report in &live {
        assert!(report.identical && report.recorded == report.replayed, "{report:?}");
        assert!(report.frames > 10 && report.samples >= 270, "{report:?}");
    }
    assert!(live[0].recorded >= 2, "active and inactive again: {live:?}");
    assert!(live[1].recorded >= 1 && live[2].recorded >= 1, "the loss of a feed is something new: {live:?}");

    assert!(live[4].skipped >= 1, "what it failed at is passed over again: {live:?}");

    // Ten processes, which interleave them differently; from the seventh on they read sealed chunks.
    let ways: [&[&str]; 9] = [
        &["--at-once", "5"],
        &["--at-once", "2"],
        &["--detector", "strange"],
        &["--detector", "poisoned"],
        &["--at-once", "3"],
        &["--seal-first"],
        &["--at-once", "5"],
        &["--detector", "frozen"],
        &["--at-once", "2"],
    ];
    for way in ways {
        let again = site.run("replay", way);
        assert!(again.status.success(), "{way:?}: {}", String::from_utf8_lossy(&again.stderr));
        let again = reports(&again);
        let same = |report: &Report| live.iter().any(|live| live == report);
        assert!(
            again.iter().all(same),
            "{way:?}: each verdict and all that was learned is the same: {again:?} {live:?}"
        );
        assert_eq!(again.len(), if way[0] == "--detector" { 1 } else { live.len() }, "{way:?}");
    }

    // It can tell a difference: another plugin in the file's place judges otherwise.
    std::fs::copy(&other, &own).unwrap();
    let changed = site.run("replay", &["--detector", "own"]);
    let told = reports(&changed);
    assert_eq!(changed.status.code(), Some(1), "{told:?} {}", String::from_utf8_lossy(&changed.stderr));
    assert!(!told[0].identical, "{told:?}");

    // And that with another configuration there is nothing to compare.
    site.configure(&(source + &detectors(2800.0)));
    let other = site.run("replay", &["--detector", "pressure"]);
    assert!(reports(&other).is_empty());
    assert!(String::from_utf8_lossy(&other.stdout).contains("has never run with this configuration"));
}

#[test]
fn a_replay_without_detectors_says_that_it_did_nothing() {
    let site = Site::new();
    site.configure(&source("plant", "opc.tcp://127.0.0.1:9", &["flow"]));
    let output = site.run("replay", &[]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("nothing was replayed"), "{told}");
}
