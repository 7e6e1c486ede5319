//! What is recorded is what was served: every value, status and time stamp, while the gateway runs, after it stopped and
//! after it was killed.

use serde_json::{Value, json};
use watchfire_model::Instant;

use crate::end_to_end::{FIRST, TEP};
use crate::harness::gateway::{Site, source};
use crate::harness::recording::{Recorded, SERVER_LATER_NS, Served};
use crate::harness::wait_for;

const ROWS: usize = 300;
const UNCERTAIN: u32 = 0x4000_0000;
const BAD_SENSOR_FAILURE: u32 = 0x808C_0000;

/// What `watchfire history` prints of a signal, with the server's times where they are known.
fn history(site: &Site, signal: &str, more: &[&str]) -> Vec<(Served, i64)> {
    let arguments = [&[signal, "--json", "--to", "2025-01-01"], more].concat();
    let output = site.run("history", &arguments);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    String::from_utf8(output.stdout).unwrap().lines().map(sample).collect()
}

fn sample(line: &str) -> (Served, i64) {
    let said: Value = serde_json::from_str(line).unwrap();
    let time = |field: &str| Instant::parse(said[field].as_str().unwrap()).unwrap().ns();
    let status = said["status"].as_str().unwrap().trim_start_matches("0x");
    let status = u32::from_str_radix(status, 16).unwrap();
    (Served { time_ns: time("source_time"), value: said["value"].clone(), status }, time("server_time"))
}

/// What was served, as it must come back.
fn expected(served: &[Served]) -> Vec<(Served, i64)> {
    served.iter().map(|one| (one.clone(), one.time_ns + SERVER_LATER_NS)).collect()
}

#[test]
fn history_is_what_was_served_while_the_gateway_runs_after_a_kill_and_after_a_stop() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let extras = ["counter", "recipe", "running"];
    site.configure(&source("plant", &recorded.url(), &[&TEP[..], &extras[..]].concat()));
    let mut server = recorded.start();
    let gateway = site.start();
    gateway.logged(&["plant", "connected"]);

    server.serve(ROWS, 600);
    let hour = |count: f64| 60_000.0 + count * 3600.0;
    for (count, value, status) in [
        (0.0, json!(0.1 + 0.2), 0),
        (1.0, json!(-0.0), UNCERTAIN),
        (2.0, json!(null), BAD_SENSOR_FAILURE),
        (3.0, json!(5e-324), 0),
        (4.0, json!(1.797_693_134_862_315_7e308), 0),
    ] {
        server.set("reactor_level", hour(count), value, status);
    }
    for (count, value) in [(0.0, json!(9_007_199_254_740_993_i64)), (1.0, json!(i64::MIN)), (2.0, json!(-1))] {
        server.set("counter", hour(count), value, 0);
    }
    for (count, value) in [(0.0, json!("Grade A, \"fine\"")), (1.0, json!("")), (2.0, json!("Größe 3"))] {
        server.set("recipe", hour(count), value, 0);
    }
    for (count, value) in [(0.0, json!(true)), (1.0, json!(false))] {
        server.set("running", hour(count), value, 0);
    }

    let mut all = Vec::new();
    for signal in TEP.iter().chain(&extras[..2]) {
        let wanted = expected(&server.served(signal));
        let name = format!("plant/{signal}");
        wait_for(&format!("{} samples of {name}", wanted.len()), || {
            (history(&site, &name, &["--from", "2024-01-01"]).len() >= wanted.len()).then_some(())
        });
        assert_eq!(history(&site, &name, &["--from", "2024-01-01"]), wanted, "{name} while the gateway runs");
        all.push((name, wanted));
    }
    let running: Vec<Value> =
        history(&site, "plant/running", &["--from", "2024-01-01"]).into_iter().map(|(one, _)| one.value).collect();
    assert!(running == [json!(1), json!(0)] || running == [json!(true), json!(false)], "{running:?}");

    gateway.kill();
    for (name, wanted) in &all {
        assert_eq!(history(&site, name, &["--from", "2024-01-01"]), *wanted, "{name} after a kill");
    }
    site.start().stop();
    for (name, wanted) in &all {
        assert_eq!(history(&site, name, &["--from", "2024-01-01"]), *wanted, "{name} after a stop");
    }

    // A part of it: from a row on, up to and without another.
    let (name, wanted) = &all[0];
    let at = |row: usize| Instant::from_ns(wanted[row].0.time_ns).to_string();
    let part = site.run("history", &[name, "--json", "--from", &at(10), "--to", &at(20)]);
    let part: Vec<_> = String::from_utf8(part.stdout).unwrap().lines().map(sample).collect();
    assert_eq!(part, wanted[10..20]);
}

#[test]
fn history_of_an_unknown_signal_says_what_is_missing() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    site.configure(&source("plant", &recorded.url(), &TEP));
    let asked = |words: &[&str]| {
        let output = site.run("history", &["plant/a_feedd"]);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert!(words.iter().all(|word| complaint.contains(word)), "{complaint}");
    };
    asked(&["there is no data in", "watchfire run"]);
    let gateway = site.start();
    asked(&["there is no signal `plant/a_feedd`"]);
    gateway.stop();
    asked(&["there is no signal `plant/a_feedd`"]);
}
