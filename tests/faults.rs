//! What is wrong outside: nodes that do not exist, sources that are down, plugins that fail. Each is named in the log and
//! visible in the HMI, and nothing else stops.

use serde_json::Value;

use crate::end_to_end::{FIRST, value};
use crate::harness::gateway::{Site, allowed, detector, signal_table, source, upper_limit};
use crate::harness::hmi::{Hmi, Kind};
use crate::harness::liar::Liar;
use crate::harness::recording::Recorded;
use crate::harness::{top, wait_for};

#[test]
fn a_node_that_does_not_exist_is_shown_as_bad_and_the_others_go_on() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let ghost = signal_table("ghost", "ns=2;s=no_such_node");
    let rest = source("plant", &recorded.url(), &["a_feed"]) + &ghost + &signal_table("level", "ns=2;s=reactor_level");
    site.configure(&(rest + &upper_limit("level", "plant/level", 80.0)));
    let mut server = recorded.start();
    let gateway = site.start();
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    let told = gateway.logged(&["plant/ghost", "BadNodeIdUnknown"]);
    assert!(told.contains("no_such_node"), "the log names the node: {told}");
    wait_for("the signal's status to be bad", || {
        (hmi.read(&["signal:plant/ghost"])[0]["status"] == "BadNodeIdUnknown").then_some(())
    });
    server.set("reactor_level", 10.0, 91.0, 0);
    hmi.event(0, "level/limit/plant/level", |event| event["active"] == true);
    wait_for("the other signal", || value(&mut hmi, "signal:plant/level", 91.0));
    gateway.stop();
}

#[test]
fn a_value_that_was_beyond_its_limit_before_the_gateway_started_is_an_alarm() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    // Nothing is compiled yet: the source is connected long before the detector is there.
    let site = Site::bare();
    site.configure(
        &(source("plant", &recorded.url(), &["reactor_level"]) + &upper_limit("level", "plant/reactor_level", 80.0)),
    );
    let mut server = recorded.start();
    server.set("reactor_level", 10.0, 91.0, 0);
    let gateway = site.start();
    let hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    hmi.event(0, "level/limit/plant/reactor_level", |event| event["active"] == true);
    gateway.stop();
}

#[test]
fn p9_5_14_2_a_source_that_is_down_at_the_start_is_an_alarm_until_it_appears() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    site.configure(&(source("plant", &recorded.url(), &["a_feed"]) + &upper_limit("level", "plant/a_feed", 80.0)));
    let gateway = site.start();
    let mut hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    let condition = "gateway/source/plant";
    let lost = hmi.event(0, condition, |event| event["active"] == true);
    assert!(lost["message"].as_str().unwrap().contains(&recorded.port.to_string()), "it says where: {lost}");
    assert_eq!(hmi.read(&["signal:plant/a_feed"])[0]["status"], "BadNoCommunication");
    // What rests on it is suppressed, and leads to the group with the alarm that does it.
    let below = "level/limit/plant/a_feed";
    let suppressed = format!("{below}#SuppressedState/Id");
    wait_for("it to be suppressed", || (hmi.read(&[&suppressed])[0]["value"] == true).then_some(()));
    assert!(hmi.children(below).contains(&"ns=2;s=suppression:source/plant".to_owned()));
    assert_eq!(hmi.children("suppression:source/plant"), [format!("ns=2;s={condition}")]);
    let mut server = recorded.start();
    hmi.event(0, condition, |event| event["active"] == false);
    server.set("a_feed", 1.0, 0.25, 0);
    wait_for("a value", || value(&mut hmi, "signal:plant/a_feed", 0.25));
    gateway.stop();
}

#[test]
fn a_deadband_in_percent_is_one_of_the_range_that_the_server_tells() {
    let recorded = Recorded::by_node_opcua(&["level", "flow"], FIRST).without_history().with_range(0.0, 200.0);
    let site = Site::new();
    let with_deadband = |signal: &str| signal_table(signal, &format!("ns=2;s={signal}")).trim_end().to_owned();
    let level = with_deadband("level") + "\ndeadband = \"10%\"\n\n";
    site.configure(&(source("plant", &recorded.url(), &["flow"]) + &level));
    let mut server = recorded.start();
    let gateway = site.start();
    gateway.logged(&["watching", "plant", "watched=2"]);
    // Twenty is a tenth of the range: a change of no more is not sent.
    for (second, value) in [(1, 100.0), (2, 110.0), (3, 119.0), (4, 121.0), (5, 105.0), (6, 99.0)] {
        server.set("level", f64::from(second), value, 0);
        server.set("flow", f64::from(second), value, 0);
    }
    let recorded_of = |signal: &str| -> Vec<String> {
        let output = site.run("history", &[signal, "--csv", "--to", "2025-01-01"]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().skip(1).map(|line| line.split(',').nth(2).unwrap().to_owned()).collect()
    };
    wait_for("every change of the other", || (recorded_of("plant/flow").len() == 6).then_some(()));
    assert_eq!(recorded_of("plant/level"), ["100", "121", "99"]);
    gateway.stop();
}

/// What is at the address of a source: its name, and what it says.
type Lying = (&'static str, &'static [u8]);

#[test]
fn beside_servers_that_speak_nonsense_or_stop_in_the_middle_other_sources_are_untouched() {
    const LYING: [Lying; 4] = [
        ("web", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        ("endless", b"MSGF\xff\xff\xff\x7f\x01\x00\x00\x00"),
        ("half", b"ACKF\x1c\x00\x00\x00\x00\x00\x00\x00\x00"),
        ("silent", b""),
    ];
    let liars = LYING.map(|(_, says)| Liar::says(says));
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let mut rest = source("plant", &recorded.url(), &["a_feed", "reactor_level"]);
    for ((name, _), liar) in LYING.iter().zip(&liars) {
        rest += &source(name, &format!("opc.tcp://127.0.0.1:{}/", liar.port), &["a_feed"]);
    }
    site.configure(&(rest + &upper_limit("level", "plant/reactor_level", 80.0)));
    let mut server = recorded.start();
    let gateway = site.start();
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    for ((name, _), liar) in LYING.iter().zip(&liars) {
        let lost = hmi.event(0, &format!("gateway/source/{name}"), |event| event["active"] == true);
        let message = lost["message"].as_str().unwrap();
        assert!(message.contains(&liar.port.to_string()), "{name}: {message}");
        assert_eq!(lost["source"], *name);
    }
    // Meanwhile, and after each has been tried again.
    for second in 1..=20 {
        server.set("a_feed", f64::from(second), f64::from(second) / 4.0, 0);
        wait_for("a value of the honest one", || value(&mut hmi, "signal:plant/a_feed", f64::from(second) / 4.0));
    }
    server.set("reactor_level", 30.0, 91.0, 0);
    let raised = hmi.event(0, "level/limit/plant/reactor_level", |event| event["active"] == true);
    assert_eq!(raised["quality"], Value::from("Good"));
    assert!(hmi.read(&["signal:plant/a_feed"])[0]["status"] == "Good");
    gateway.stop();
    for ((name, _), liar) in LYING.iter().zip(liars) {
        assert!(liar.end() > 0, "{name} was asked");
    }
}

/// A plugin that fails: its name, its `plugin`, what follows, and what the alarm must say.
type Failing = (&'static str, String, &'static str, &'static [&'static str]);

#[test]
fn failing_plugins_are_alarms_that_say_why_and_other_detectors_go_on() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let text = site.folder().join("text.wasm");
    std::fs::write(&text, "this is no component").unwrap();
    let file = top().join("plugins/dist/faulty.wasm");
    let allowed = allowed(&[&text, &file]);
    let faulty = file.display().to_string();
    let failing: [Failing; 5] = [
        ("text", "text.wasm".to_owned(), "", &["component"]),
        ("unknown", "limits".to_owned(), "", &["limits"]),
        ("traps", faulty.clone(), "[detector.config]\nfault = \"trap\"", &["trap"]),
        (
            "loops",
            faulty.clone(),
            "[detector.quota]\nfuel_per_call = 5000000\n\n[detector.config]\nfault = \"loop\"",
            &["fuel"],
        ),
        ("eats", faulty, "[detector.config]\nfault = \"memory\"", &["memory"]),
    ];
    let mut rest = source("plant", &recorded.url(), &["a_feed", "reactor_level"]);
    for (name, plugin, more, _) in &failing {
        rest += &detector(name, plugin, &["plant/a_feed"], more);
    }
    site.configure(&(rest + &upper_limit("level", "plant/reactor_level", 80.0) + &allowed));
    let mut server = recorded.start();
    let gateway = site.start();
    let hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    server.serve(20, 100);
    for (name, _, _, says) in &failing {
        let condition = format!("gateway/detector/{name}");
        let failed = hmi.event(0, &condition, |event| event["active"] == true);
        let message = failed["message"].as_str().unwrap();
        assert!(says.iter().all(|word| message.contains(word)), "{name} says {message}");
        assert_eq!(failed["source"], *name);
        gateway.logged(&[name]);
    }
    server.set("reactor_level", 90_000.0, 91.0, 0);
    let raised = hmi.event(0, "level/limit/plant/reactor_level", |event| event["active"] == true);
    assert_eq!(raised["quality"], Value::from("Good"));
    assert!(hmi.events("gateway/detector/level").iter().all(|event| event["active"] == false));
    gateway.stop();
}

/// Samples of a signal on record.
#[track_caller]
fn recorded_of(site: &Site, signal: &str) -> usize {
    let output = site.run("history", &[signal, "--csv", "--from", "2024-01-01"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().skip(1).count()
}

#[test]
#[cfg(target_os = "linux")]
fn beside_a_plugin_that_uses_every_slice_no_value_is_lost_and_all_others_judge_each() {
    const SIGNALS: [&str; 3] = ["a_feed", "reactor_level", "reactor_pressure"];
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let file = top().join("plugins/dist/faulty.wasm");
    let greedy =
        "[detector.quota]\nfuel_per_call = 1000000000000\ncall_ms = 600000\n\n[detector.config]\nfault = \"loop\"";
    let mut rest = source("plant", &recorded.url(), &SIGNALS);
    rest += &detector("greedy", &file.display().to_string(), &["plant/a_feed"], greedy);
    let others = [
        ("high", "limit", "[detector.config]\nhigh = 80.0"),
        ("still", "stuck", "[detector.config]\nleast_s = 3.0"),
        ("odd", "novelty", ""),
    ];
    for (name, plugin, more) in others {
        rest += &detector(name, plugin, &["plant/**"], more);
    }
    site.configure(&(rest + &allowed(&[&file])));
    let mut server = recorded.start();
    let gateway = site.start();
    gateway.logged(&["watching", "plant"]);
    others.iter().for_each(|(name, _, _)| drop(gateway.logged(&["detector started", name])));
    server.serve(10, 100);
    let threads = format!("/proc/{}/task", gateway.process.id());
    let is_greedy = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("comm")).ok();
    wait_for("the plugin to give way in a thread of its own", || {
        let mut names = std::fs::read_dir(&threads).unwrap().flatten().filter_map(is_greedy);
        names.any(|name| name.trim() == "greedy").then_some(())
    });
    server.serve(300, 200);
    // Every value that was served, and the one that stood at the start.
    let served: Vec<usize> = SIGNALS.iter().map(|signal| server.served(signal).len()).collect();
    let names = SIGNALS.map(|signal| format!("plant/{signal}"));
    let counted = || names.iter().map(|name| recorded_of(&site, name)).collect::<Vec<usize>>();
    wait_for("all that was served", || {
        counted().iter().zip(&served).all(|(found, served)| found >= served).then_some(())
    });
    assert_eq!(site.gaps("plant/*"), Vec::<Value>::new());
    gateway.stop();
    // The last rows come in one by one: only what was stopped stands still.
    let counts = counted();
    for (name, _, _) in others {
        let replayed = site.run("replay", &["--detector", name]);
        let told = String::from_utf8_lossy(&replayed.stdout);
        let samples = format!(" frames, {} samples, 0 skipped; ", counts.iter().sum::<usize>());
        assert!(told.contains(&format!("{name}: identical; ")) && told.contains(&samples), "{told}, of {counts:?}");
    }
}
