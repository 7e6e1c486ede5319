//! A server that names another one which stands in for it is left for that one when it is not well, or gone.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::free_port;
use crate::harness::gateway::{Site, source};
use crate::harness::peer::Peer;
use crate::harness::process::Stream;
use crate::harness::proxy::Proxy;

/// How often the gateway looks at a server's ServiceLevel.
const LOOK: Duration = Duration::from_secs(5);

/// The RedundancySupport of OPC 10000-5 §12.5.
const NONE: &str = "0";
const COLD: &str = "1";
const WARM: &str = "2";
const HOT: &str = "3";
const TRANSPARENT: &str = "4";

fn server(port: u16, words: &[&str]) -> Peer {
    let server =
        Peer::python("redundant_server", "redundant_server.py", [&["--port", &port.to_string()], words].concat());
    server.ready().unwrap();
    server
}

/// What the doctor says of the set.
fn doctor(site: &Site) -> String {
    let output = site.run("doctor", &["plant"]);
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().find(|line| line.contains("redundancy")).unwrap_or_else(|| panic!("{said}")).to_owned()
}

#[test]
fn a_server_that_names_its_stand_in_is_left_for_it_and_taken_up_when_that_one_dies() {
    let (first, second) = (free_port(), free_port());
    let mut one = server(first, &["--other", &second.to_string(), "--mode", HOT]);
    let mut other = server(second, &["--mode", HOT]);
    let site = Site::new();
    site.configure(&source("plant", &format!("opc.tcp://127.0.0.1:{first}/"), &["level"]));
    let gateway = site.start();
    gateway.logged(&["the server says how others stand in for it", "mode=Hot"]);
    gateway.logged(&["stands in for it", &second.to_string()]);
    gateway.logged(&["watching", "plant", &first.to_string()]);
    one.ask("level", json!({ "level": 100 }));
    gateway.logged(&["another server is better off", &second.to_string()]);
    gateway.logged(&["watching", "plant", &format!(":{second}/")]);
    // The one that is read dies: the first one is not well, and better than nothing.
    other.process.kill();
    gateway.logged(&["connection lost"]);
    let back = format!("connected to `opc.tcp://127.0.0.1:{first}/`");
    let before = recorded(&site);
    crate::harness::wait_for(&back, || (recorded(&site) > before + 20).then_some(()));
    gateway.stop();
}

/// What is recorded of the variable, how many values.
fn recorded(site: &Site) -> usize {
    let output = site.run("history", &["plant/level", "--json"]);
    String::from_utf8(output.stdout).unwrap().lines().count()
}

/// How many of them were fetched later, gap by gap.
fn fetched(site: &Site) -> Vec<usize> {
    let output = site.run("history", &["plant/level", "--json"]);
    let lines: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let time = |text: &Value| watchfire_model::Instant::parse(text.as_str().unwrap()).unwrap();
    let late = lines.iter().filter(|line| line["quality"].to_string().contains("late"));
    let late: Vec<_> = late.map(|line| time(&line["source_time"])).collect();
    let within = |gap: Value| late.iter().filter(|at| time(&gap["since"]) < **at && **at < time(&gap["until"])).count();
    site.gaps("plant/level").into_iter().map(within).collect()
}

#[test]
fn what_was_missed_of_a_server_without_history_is_fetched_from_the_one_that_stands_in_for_it() {
    let (first, second) = (free_port(), free_port());
    let mut one = server(first, &["--other", &second.to_string(), "--mode", HOT]);
    let _other = server(second, &["--mode", HOT, "--history"]);
    let site = Site::new();
    site.configure(&source("plant", &format!("opc.tcp://127.0.0.1:{first}/"), &["level"]));
    for missed in 1..=2 {
        // What is missed while the gateway is off is noticed at the first server, and again after another start.
        let gateway = site.start();
        gateway.logged(&["watching", "plant", &first.to_string()]);
        let before = recorded(&site);
        crate::harness::wait_for("values", || (recorded(&site) > before + 20).then_some(()));
        assert_eq!(site.gaps("plant/level").len(), missed - 1);
        gateway.stop();
        let until = Instant::now() + Duration::from_secs(2);
        crate::harness::wait_for("some to be missed", || (Instant::now() > until).then_some(()));
    }
    let gateway = site.start();
    gateway.logged(&["watching", "plant", &first.to_string()]);
    crate::harness::wait_for("the gaps", || (site.gaps("plant/level").len() == 2).then_some(()));
    assert!(site.gaps("plant/level").iter().all(|gap| gap["filled"] != true));
    assert_eq!(fetched(&site), [0, 0]);
    one.ask("level", json!({ "level": 100 }));
    gateway.logged(&["watching", "plant", &format!(":{second}/")]);
    // Nearly twenty a second, of two seconds each.
    let is_there = || fetched(&site)[..2].iter().all(|count| *count > 20).then_some(());
    crate::harness::wait_for("what was missed", is_there);
    gateway.stop();
}

#[test]
fn of_a_cold_set_the_stand_in_is_read_once_it_was_started_in_the_place_of_the_first() {
    let (first, second) = (free_port(), free_port());
    let mut one = server(first, &["--other", &second.to_string(), "--mode", COLD]);
    let site = Site::new();
    site.configure(&source("plant", &format!("opc.tcp://127.0.0.1:{first}/"), &["level"]));
    let gateway = site.start();
    gateway.logged(&["the server says how others stand in for it", "mode=Cold"]);
    gateway.logged(&["stands in for it", &second.to_string()]);
    gateway.logged(&["watching", "plant", &format!(":{first}/")]);
    // Nobody answers for the other one while it is not needed: a first one that is not quite well is stayed with.
    one.ask("level", json!({ "level": 100 }));
    let before = recorded(&site);
    crate::harness::wait_for("values of the first", || (recorded(&site) > before + 20).then_some(()));
    one.process.kill();
    gateway.logged(&["connection lost"]);
    let _other = server(second, &["--mode", COLD]);
    gateway.logged(&["watching", "plant", &format!(":{second}/")]);
    let before = recorded(&site);
    crate::harness::wait_for("values of the other", || (recorded(&site) > before + 20).then_some(()));
    gateway.stop();
}

#[test]
fn of_a_warm_set_the_stand_in_is_read_once_it_says_that_it_is_the_better_one() {
    let (first, second) = (free_port(), free_port());
    let mut one = server(first, &["--other", &second.to_string(), "--mode", WARM]);
    let mut other = server(second, &["--mode", WARM]);
    // It runs, and has nothing from the plant.
    other.ask("level", json!({ "level": 1 }));
    let site = Site::new();
    site.configure(&source("plant", &format!("opc.tcp://127.0.0.1:{first}/"), &["level"]));
    let gateway = site.start();
    gateway.logged(&["the server says how others stand in for it", "mode=Warm"]);
    gateway.logged(&["watching", "plant", &format!(":{first}/")]);
    one.ask("level", json!({ "level": 100 }));
    let until = Instant::now() + 2 * LOOK;
    crate::harness::wait_for("two looks", || (Instant::now() > until).then_some(()));
    assert!(!gateway.process.lines(Stream::Error).iter().any(|line| line.contains("another server is better off")));
    // The set changes over: what fed the first feeds the other.
    one.ask("level", json!({ "level": 1 }));
    other.ask("level", json!({ "level": 255 }));
    gateway.logged(&["another server is better off", &second.to_string()]);
    gateway.logged(&["watching", "plant", &format!(":{second}/")]);
    let before = recorded(&site);
    crate::harness::wait_for("values of the other", || (recorded(&site) > before + 20).then_some(()));
    gateway.stop();
}

#[test]
fn a_server_that_says_that_nobody_stands_in_for_it_is_not_left_for_those_it_names() {
    let (first, second) = (free_port(), free_port());
    let mut one = server(first, &["--other", &second.to_string(), "--mode", NONE]);
    let _other = server(second, &[]);
    let site = Site::new();
    site.configure(&source("plant", &format!("opc.tcp://127.0.0.1:{first}/"), &["level"]));
    let said = doctor(&site);
    assert!(said.contains("mode None") && said.contains("names none") && said.contains("`redundant_urls`"), "{said}");
    let gateway = site.start();
    gateway.logged(&["the server names others and says that none stands in for it", "others=1"]);
    // It is as bad as can be, for as long as two looks take, and is read all the same.
    one.ask("level", json!({ "level": 1 }));
    let until = Instant::now() + 2 * LOOK;
    crate::harness::wait_for("two looks", || (Instant::now() > until).then_some(()));
    assert!(!gateway.process.lines(Stream::Error).iter().any(|line| line.contains(&format!(":{second}"))));
    gateway.stop();
}

#[test]
fn of_a_transparent_set_one_address_is_read_and_it_is_told_who_answers() {
    let port = free_port();
    let mut set = server(port, &["--mode", TRANSPARENT, "--current", "one"]);
    let way = Proxy::to(port);
    let site = Site::new();
    site.configure(&source("plant", &format!("opc.tcp://127.0.0.1:{}/", way.port), &["level"]));
    let said = doctor(&site);
    assert!(said.contains("mode Transparent (one address for all; now answers one)"), "{said}");
    let gateway = site.start();
    gateway.logged(&["the server says how others stand in for it", "mode=Transparent"]);
    set.ask("current", json!({ "server": "two" }));
    way.cut();
    gateway.logged(&["connection lost"]);
    way.open();
    gateway.logged(&["another server of the set answers", "before=\"one\"", "now=\"two\""]);
    gateway.stop();
}
