//! Signals that the server is asked for: browsed, selected, kept for when it is away.

use std::process::Command;

use crate::end_to_end::{FIRST, value};
use crate::harness::gateway::{PROGRAM, Site, detector, signal_table};
use crate::harness::hmi::{Hmi, Kind};
use crate::harness::recording::Recorded;
use crate::harness::wait_for;

/// A source whose signals are whatever the server has at its top.
fn selecting(url: &str) -> String {
    format!(
        "[[source]]\nname = \"plant\"\nurl = \"{url}\"\nsecurity = \"none\"\npublishing_interval_ms = 50\n\n\
         [[source.select]]\npath = \"/*\"\nexclude = [\"/re*\"]\nsampling_interval_ms = 0\n\n"
    )
}

fn feed_detector() -> String {
    detector("feed", "limit", &["plant/a_*"], "[detector.config]\nhigh = 1000.0\ndeadband = 0.0")
}

#[test]
fn a_gateway_whose_server_comes_later_takes_its_signals_over_and_keeps_them_for_when_it_is_away() {
    let recorded = Recorded::new("tep_feed_loss.csv", Some(FIRST));
    let site = Site::new();
    site.configure(&(selecting(&recorded.url()) + &feed_detector()));
    let gateway = site.start();
    gateway.logged(&["what it has is not known yet", "plant"]);
    gateway.logged(&["detector `feed` waits"]);

    let mut server = recorded.start();
    gateway.logged(&["taking over what the servers have now"]);
    gateway.logged(&["detector started", "feed"]);
    gateway.logged(&["watching", "plant"]);
    server.set("a_feed", 1.0, 0.75, 0);
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    wait_for("the value", || value(&mut hmi, "signal:plant/a_feed", 0.75));
    assert!(site.data().join("found/plant.json").exists());
    gateway.stop();
    drop(server);

    // The server is away: the same signals, and the detector goes on.
    let gateway = site.start();
    gateway.logged(&["cannot be surveyed", "plant"]);
    gateway.logged(&["detector started", "feed"]);
    gateway.stop();
    let history = site.run("history", &["plant/a_feed", "--csv"]);
    assert!(String::from_utf8(history.stdout).unwrap().contains("0.75"));
}

#[test]
fn what_browse_writes_is_a_configuration_that_check_accepts() {
    let recorded = Recorded::new("tep_feed_loss.csv", Some(FIRST));
    let site = Site::new();
    let source = format!("[[source]]\nname = \"plant\"\nurl = \"{}\"\nsecurity = \"none\"\n\n", recorded.url());
    site.configure(&source);
    let mut server = recorded.start();
    server.set("a_feed", 1.0, 0.75, 0);

    let browse = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(["browse", "plant", "--config"]).arg(site.config()).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let tree = browse(&["--depth", "1"]);
    let feed = tree.lines().find(|line| line.contains("a_feed")).unwrap_or_else(|| panic!("{tree}"));
    assert!(feed.contains("= 0.75") && feed.contains("nsu=urn:watchfire:test:recording;s=a_feed"), "{feed}");
    assert!(feed.contains("BaseDataVariableType Double"), "{feed}");
    let one = browse(&["/2:a_feed"]);
    assert_eq!(one.lines().count(), 1, "{one}");

    let entries = browse(&["--toml"]);
    assert!(entries.contains("node = \"nsu=urn:watchfire:test:recording;s=a_feed\""), "{entries}");
    site.configure(&(source + &entries + &feed_detector()));
    let output = site.run("check", &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("1 source with") && said.contains("1 detector"), "{said}");

    let nowhere = Command::new(PROGRAM).args(["browse", "plant", "/No/Where", "-c"]).arg(site.config()).output();
    let nowhere = nowhere.unwrap();
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(String::from_utf8(nowhere.stderr).unwrap().contains("there is no node `/No/Where`"));
}

#[test]
fn the_doctor_names_the_step_that_fails_and_what_mends_it() {
    let recorded = Recorded::new("tep_feed_loss.csv", Some(FIRST));
    let site = Site::new();
    let configure = |rest: &str| {
        let url = recorded.url();
        let signals = "[[source.signal]]\nname = \"a_feed\"\nnode = \"ns=2;s=a_feed\"\n\n";
        site.configure(&format!("[[source]]\nname = \"plant\"\nurl = \"{url}\"\n{rest}\n{signals}"));
    };
    let doctor = || {
        let output = site.run("doctor", &["plant"]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    configure("security = \"none\"");
    let (code, said) = doctor();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("FAIL address") && said.contains("check `url`"), "{said}");

    let mut server = recorded.start();
    server.set("a_feed", 1.0, 0.75, 0);
    let (code, said) = doctor();
    assert_eq!(code, Some(0), "{said}");
    for step in ["address", "endpoint", "certificates", "login", "limits", "clock", "subscription", "history"] {
        assert!(said.lines().any(|line| line.get(5..).is_some_and(|rest| rest.starts_with(step))), "{step}: {said}");
    }
    assert!(said.contains("first value after"), "{said}");

    // One that keeps what it gave says since when.
    drop(server);
    let folder = tempfile::tempdir().unwrap();
    let mut server = recorded.clone().with_history(folder.path()).start();
    server.set("a_feed", 1.0, 0.75, 0);
    let (code, said) = doctor();
    assert_eq!(code, Some(0), "{said}");
    let kept = said.lines().find(|line| line.contains("history")).unwrap();
    assert!(kept.starts_with("OK") && kept.contains("of 1 of 1 signals tried, the first since 2024-03-01"), "{kept}");

    configure("");
    let (code, said) = doctor();
    assert_eq!(code, Some(1), "{said}");
    let failed = said.lines().find(|line| line.starts_with("FAIL")).unwrap_or_else(|| panic!("{said}"));
    assert!(failed.contains("endpoint") && failed.contains("set `security`"), "{failed}");
}

#[test]
fn check_online_tells_every_node_that_the_server_does_not_have() {
    let recorded = Recorded::new("tep_feed_loss.csv", Some(FIRST));
    let site = Site::new();
    let (good, gone, folder) = (
        signal_table("a_feed", "ns=2;s=a_feed"),
        signal_table("gone", "nsu=urn:elsewhere;s=gone"),
        signal_table("folder", "/Server"),
    );
    let head = format!("[[source]]\nname = \"plant\"\nurl = \"{}\"\nsecurity = \"none\"\n\n", recorded.url());
    let streams = "[[source.events]]\n\n[[source.events]]\nname = \"x\"\nnotifier = \"ns=2;s=a_feed\"\n\n";
    site.configure(&(head.clone() + &good + &gone + &folder + streams));
    let _server = recorded.start();
    let output = site.run("check", &["--online"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("signal `plant/gone`: node `nsu=urn:elsewhere;s=gone` is not on the server"), "{said}");
    assert!(said.contains("signal `plant/folder`: node `/Server` is no variable"), "{said}");
    assert!(said.contains("signal `plant/x`: node `ns=2;s=a_feed` has no events"), "{said}");
    assert!(said.contains("2 of 5 signals are good") && said.ends_with("3 problems\n"), "{said}");

    site.configure(&(head + &good));
    let output = site.run("check", &["--online"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
