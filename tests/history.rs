//! What is recorded is what was served: every value, status and time stamp, while the gateway runs, after it stopped and
//! after it was killed.

use serde_json::{Value, json};
use watchfire_model::Instant;

use crate::end_to_end::{FIRST, TEP};
use crate::harness::gateway::{Site, source};
use crate::harness::hmi::{Hmi, KINDS};
use crate::harness::recording::{Recorded, SERVER_LATER_NS, Served};
use crate::harness::wait_for;

const ROWS: usize = 300;
/// AggregateFunction_Average.
const AVERAGE: u32 = 2342;
const UNCERTAIN: u32 = 0x4000_0000;
const BAD_SENSOR_FAILURE: u32 = 0x808C_0000;

/// A sample to the last bit, with the server's time.
#[derive(Debug, PartialEq)]
struct Sample {
    time_ns: i64,
    server_time_ns: i64,
    status: u32,
    value: String,
}

/// What `watchfire history --csv` prints of a signal.
fn history(site: &Site, signal: &str, more: &[&str]) -> Vec<Sample> {
    let output = site.run("history", &[&[signal, "--csv", "--to", "2025-01-01"], more].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().skip(1).map(sample).collect()
}

/// `source_time,server_time,value,status,quality`; a text may hold commas.
fn sample(line: &str) -> Sample {
    let (source_time, rest) = line.split_once(',').unwrap();
    let (server_time, rest) = rest.split_once(',').unwrap();
    let (rest, quality) = rest.rsplit_once(',').unwrap();
    let (value, status) = rest.rsplit_once(',').unwrap();
    // Rounded is a double beside which all 64 bits are kept.
    assert!(quality.is_empty() || quality == "rounded", "nothing is wrong with {line}");
    let time = |text: &str| Instant::parse(text).unwrap().ns();
    let status = u32::from_str_radix(status.trim_start_matches("0x"), 16).unwrap();
    Sample { time_ns: time(source_time), server_time_ns: time(server_time), status, value: value.to_owned() }
}

/// What was served, as it must come back.
fn expected(served: &[Served]) -> Vec<Sample> {
    let one = |served: &Served| Sample {
        time_ns: served.time_ns,
        server_time_ns: served.time_ns + SERVER_LATER_NS,
        status: served.status,
        value: written(served),
    };
    served.iter().map(one).collect()
}

/// A value as the program writes it: the shortest text that reads back as the same bits.
fn written(served: &Served) -> String {
    match &served.value {
        Value::Null => "NaN".to_owned(),
        Value::Bool(value) => u8::from(*value).to_string(),
        Value::String(text) => format!("\"{}\"", text.replace('"', "\"\"")),
        Value::Number(_) => served.number.clone().unwrap(),
        other => panic!("{other} was not served"),
    }
}

#[test]
fn history_is_what_was_served_while_the_gateway_runs_after_a_kill_and_after_a_stop() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let extras = ["counter", "recipe", "running"];
    site.configure(&source("plant", &recorded.url(), &[&TEP[..], &extras[..]].concat()));
    let mut server = recorded.start();
    let gateway = site.start();
    gateway.logged(&["watching", "plant"]);

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
        let name = format!("plant/{signal}");
        let wanted = expected(&server.served(signal));
        wait_for(&format!("{} samples of {name}", wanted.len()), || {
            (history(&site, &name, &["--from", "2024-01-01"]).len() >= wanted.len()).then_some(())
        });
        assert_eq!(history(&site, &name, &["--from", "2024-01-01"]), wanted, "{name} while the gateway runs");
        all.push((name, wanted));
    }
    wait_for("both states of what runs", || {
        let running = history(&site, "plant/running", &["--from", "2024-01-01"]);
        running.iter().map(|sample| sample.value.as_str()).eq(["1", "0"]).then_some(())
    });

    gateway.kill();
    for (name, wanted) in &all {
        assert_eq!(history(&site, name, &["--from", "2024-01-01"]), *wanted, "{name} after a kill");
    }
    site.start().stop();
    for (name, wanted) in &all {
        assert_eq!(history(&site, name, &["--from", "2024-01-01"]), *wanted, "{name} after a stop");
    }

    // A part of it, from a row on, up to and without another; and as JSON.
    let (name, wanted) = &all[0];
    let at = |row: usize| Instant::from_ns(wanted[row].time_ns).to_string();
    let part = site.run("history", &[name, "--json", "--from", &at(10), "--to", &at(20)]);
    let lines: Vec<Value> =
        String::from_utf8(part.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let values: Vec<f64> = lines.iter().map(|line| line["value"].as_f64().unwrap()).collect();
    assert_eq!(values, wanted[10..20].iter().map(|sample| sample.value.parse().unwrap()).collect::<Vec<f64>>());
    assert_eq!((&lines[0]["source_time"], &lines[0]["status"]), (&json!(at(10)), &json!("0x00000000")));
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sum of squared distances from the mean.
fn squares(values: &[f64]) -> f64 {
    values.iter().map(|value| (value - mean(values)).powi(2)).sum()
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn greatest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// What the trapezoids of nine minutes come to, less their length: `after` is the value at their end.
fn by_time(values: &[f64], after: f64) -> f64 {
    (values[0] / 2.0 + values[1] + values[2] + after / 2.0) / 3.0
}

/// An aggregate by its number, and what three values in nine minutes come to, with the value after them.
type AggregateOf = (u32, &'static str, fn(&[f64], f64) -> f64);

/// OPC 10000-13 §5.4.3, computed here by its words.
const AGGREGATES: [AggregateOf; 25] = [
    (2341, "Interpolative", |values, _| values[0]),
    (AVERAGE, "Average", |values, _| mean(values)),
    (2343, "TimeAverage", by_time),
    (2344, "Total", |values, after| by_time(values, after) * 540.0),
    (2346, "Minimum", |values, _| least(values)),
    (2347, "Maximum", |values, _| greatest(values)),
    (2350, "Range", |values, _| greatest(values) - least(values)),
    (2352, "Count", |values, _| values.len() as f64),
    (2357, "Start", |values, _| values[0]),
    (2358, "End", |values, _| values[2]),
    (2359, "Delta", |values, _| values[2] - values[0]),
    (2360, "DurationGood", |_, _| 540_000.0),
    (2362, "PercentGood", |_, _| 100.0),
    (11426, "StandardDeviationSample", |values, _| (squares(values) / 2.0).sqrt()),
    (11427, "StandardDeviationPopulation", |values, _| (squares(values) / 3.0).sqrt()),
    (11428, "VarianceSample", |values, _| squares(values) / 2.0),
    (11429, "VariancePopulation", |values, _| squares(values) / 3.0),
    // With simple bounds: there is a value where each interval ends.
    (11285, "TimeAverage2", by_time),
    (11304, "Total2", |values, after| by_time(values, after) * 540.0),
    (11286, "Minimum2", |values, after| least(values).min(after)),
    (11287, "Maximum2", |values, after| greatest(values).max(after)),
    (11288, "Range2", |values, after| greatest(values).max(after) - least(values).min(after)),
    (11505, "StartBound", |values, _| values[0]),
    (11506, "EndBound", |_, after| after),
    (11507, "DeltaBounds", |values, after| after - values[0]),
];

#[test]
fn hmis_that_are_not_ours_draw_what_was_recorded() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    site.configure(&source("plant", &recorded.url(), &TEP));
    let mut server = recorded.start();
    let gateway = site.start();
    gateway.logged(&["watching", "plant"]);
    server.serve(ROWS, 600);
    let served = server.served("reactor_pressure");
    let wanted: Vec<(f64, f64)> =
        served.iter().map(|one| (one.time_ns as f64 / 1e6, one.value.as_f64().unwrap())).collect();
    wait_for("all samples", || {
        (history(&site, "plant/reactor_pressure", &["--from", "2024-01-01"]).len() == wanted.len()).then_some(())
    });
    let (first, last) = (wanted[10].0 as i64, wanted[200].0 as i64);
    for kind in KINDS {
        let mut hmi = Hmi::connect(kind, &site.url());
        let drawn = hmi.history("signal:plant/reactor_pressure", first, last);
        let drawn: Vec<(f64, f64)> = drawn.iter().map(|(time, value)| (*time, value.as_f64().unwrap())).collect();
        // Both ask for bounds, so that the value at the end belongs to it.
        assert_eq!(drawn, wanted[10..=200], "{kind:?}");

        // A row each three minutes, so nine minutes hold three.
        for (function, name, of) in AGGREGATES {
            let found = hmi.aggregate("signal:plant/reactor_pressure", (first, first + 3_600_000), 540_000, function);
            assert_eq!(found.len(), 7, "{kind:?}: the last one is shorter");
            for ((time, found), rows) in found.iter().zip(wanted[10..].chunks(3)).take(6) {
                let after = wanted.iter().find(|(time, _)| *time > rows[2].0).unwrap().1;
                let values: Vec<f64> = rows.iter().map(|(_, value)| *value).collect();
                let wanted = of(&values, after);
                // That of the sample itself, where it is one.
                assert_eq!(*time, if name == "End" { rows[2].0 } else { rows[0].0 }, "{kind:?} {name}");
                let found = found.as_f64().unwrap();
                assert!((found - wanted).abs() <= wanted.abs() * 1e-9, "{kind:?} {name}: {found} is not {wanted}");
            }
        }

        // A value that is there, and half of the way between two.
        let times = [wanted[12].0 as i64, (wanted[12].0 + 90_000.0) as i64];
        let found = hmi.at("signal:plant/reactor_pressure", &times);
        let half = (wanted[12].1 + wanted[13].1) / 2.0;
        assert_eq!(found.iter().map(|(time, _)| *time as i64).collect::<Vec<_>>(), times, "{kind:?}");
        let values: Vec<f64> = found.iter().map(|(_, value)| value.as_f64().unwrap()).collect();
        assert!((values[0] - wanted[12].1).abs() < 1e-9 && (values[1] - half).abs() < 1e-9, "{kind:?}: {values:?}");
    }
    gateway.stop();
}

/// What `watchfire history` or another command of the program prints.
#[track_caller]
fn printed(site: &Site, words: &[&str]) -> String {
    let mut command = std::process::Command::new(crate::harness::gateway::PROGRAM);
    let output = command.args(words).arg("--config").arg(site.config()).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn hourly_figures_outlive_the_samples_for_the_terminal_and_for_hmis() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    site.configure(&source("plant", &recorded.url(), &["a_feed"]));
    let (first_s, hours) = (1_740_787_200, 3);
    let mut csv = "signal,source_time,value\n".to_owned();
    for s in (0..hours * 3600).step_by(2) {
        let value = f64::from(s % 997) / 8.0;
        csv.push_str(&format!("plant/a_feed,{},{value}\n", Instant::from_s(first_s + i64::from(s))));
    }
    let file = site.folder().join("old.csv");
    std::fs::write(&file, csv).unwrap();
    printed(&site, &["history", "import", file.to_str().unwrap()]);
    let every = |every: &str| {
        let words = ["history", "plant/a_feed", "--csv", "--to", "2025-12-01", "--every", every];
        printed(&site, &words)
    };
    let (by_hours, by_days) = (every("1h"), every("1d"));
    assert!(by_hours.starts_with("time,count,good,min,mean,max,last,last_time\n2025-03-01T00:00:00Z,1800,1800,0,"));
    assert_eq!((by_hours.lines().count(), by_days.lines().count(), every("15m").lines().count()), (4, 2, 13));
    printed(&site, &["replay", "--seal-first"]);
    let gateway = site.start();
    wait_for("summaries of three hours", || {
        printed(&site, &["history", "verify"]).contains("summarised: 3 hours").then_some(())
    });
    assert_eq!((every("1h"), every("1d").lines().count()), (by_hours.clone(), 2), "from summaries");
    gateway.stop();

    // What retention does as well: the samples go, and what they came to stays.
    for entry in std::fs::read_dir(site.data().join("ts")).unwrap() {
        let day = entry.unwrap().path();
        std::fs::rename(&day, day.with_extension("damaged")).unwrap();
    }
    let gateway = site.start();
    let wanted = ["history", "plant/a_feed", "--csv", "--to", "2025-12-01"];
    assert_eq!(printed(&site, &wanted).lines().count(), 1, "no sample is left");
    assert_eq!((every("1h"), every("1d").lines().count()), (by_hours.clone(), 2));
    let means: Vec<f64> =
        by_hours.lines().skip(1).map(|line| line.split(',').nth(4).unwrap().parse().unwrap()).collect();
    let (from, to) = (first_s * 1000, (first_s + i64::from(hours) * 3600) * 1000);
    for kind in KINDS {
        let mut hmi = Hmi::connect(kind, &site.url());
        let averages = hmi.aggregate("signal:plant/a_feed", (from, to), 3_600_000, AVERAGE);
        let found: Vec<f64> = averages.iter().map(|(_, average)| average.as_f64().unwrap()).collect();
        assert_eq!(found, means, "{kind:?}");
        let whole = hmi.aggregate("signal:plant/a_feed", (from, to), to - from, AVERAGE);
        let mean = means.iter().sum::<f64>() / 3.0;
        assert!((whole[0].1.as_f64().unwrap() - mean).abs() < 1e-9, "{kind:?}: {whole:?} is not {mean}");
    }
    gateway.stop();
}

#[test]
fn history_of_an_unknown_signal_says_what_is_missing() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::bare();
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
