//! Servers that lie, each in its way: the gateway stays up, says which of them did what, and the others are untouched.

use serde_json::json;

use crate::end_to_end::{FIRST, value};
use crate::harness::gateway::{Site, signal_table, source};
use crate::harness::hmi::{Hmi, Kind};
use crate::harness::peer::Peer;
use crate::harness::process::Stream;
use crate::harness::proxy::Proxy;
use crate::harness::recording::Recorded;
use crate::harness::{free_port, wait_for};

/// The lies of `lying_server.mjs`.
const LIES: [&str; 11] =
    ["browse", "crowd", "handles", "revised", "history", "limits", "long", "spoils", "claims", "fewer", "forgets"];
/// More than is kept of a text.
const LONG: usize = 3_000_000;
/// More elements than are read.
const MANY: usize = 1_200_000;

/// It goes on to be recorded.
#[track_caller]
fn goes_on(site: &Site, signal: &str) {
    let count = || {
        let output = site.run("history", &[signal, "--csv"]);
        String::from_utf8(output.stdout).unwrap().lines().count()
    };
    let before = count();
    wait_for(&format!("more of {signal}"), || (count() > before + 5).then_some(()));
}

#[test]
fn each_server_that_lies_is_named_with_what_it_did_and_an_honest_one_is_untouched() {
    let ports = LIES.map(|_| free_port());
    let words = LIES.iter().zip(ports).map(|(lie, port)| format!("{lie}={port}"));
    let mut liars = Peer::node("lying_server", "lying_server.mjs", words);
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let mut honest = recorded.start();
    liars.ready().unwrap();

    let [_, _, _, _, history, .., forgets] = ports;
    let way = Proxy::to(history);
    let site = Site::new();
    let mut rest = source("plant", &recorded.url(), &["a_feed"]);
    for (lie, port) in LIES.iter().zip(ports) {
        let port = if *lie == "history" { way.port } else { port };
        // A queue of one drops what came during an outage without a mark.
        let queue = if *lie == "history" { "queue_size = 1\n" } else { "" };
        let more: &[&str] = if *lie == "long" { &["text", "many"] } else { &["text"] };
        rest += &source(lie, &format!("opc.tcp://127.0.0.1:{port}/"), more);
        for signal in ["a", "b"] {
            rest += &(signal_table(signal, &format!("ns=2;s={signal}")).trim_end().to_owned() + "\n" + queue + "\n");
        }
        if ["browse", "crowd", "forgets"].contains(lie) {
            rest += "[[source.select]]\npath = \"/Nothing/*\"\n\n";
        }
    }
    site.configure(&rest);
    let gateway = site.start();
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    for lie in LIES {
        gateway.logged(&[
            "watching",
            &format!("source=\"{lie}\""),
            match lie {
                "long" => "watched=4",
                "spoils" => "watched=2",
                _ => "watched=3",
            },
        ]);
    }
    for (lie, port) in LIES.iter().zip(ports).take(2) {
        let told = ["WARN", "the server's answers to browsing have no end and are cut off", &port.to_string()]
            .map(str::to_owned);
        gateway.logged(&told.each_ref().map(String::as_str));
        goes_on(&site, &format!("{lie}/a"));
    }
    gateway.logged(&["WARN", "one id for several items", "source=\"handles\""]);
    gateway.logged(&["WARN", "values of handles that nobody gave out", "source=\"handles\""]);
    gateway.logged(&["WARN", "intervals that cannot be", "source=\"revised\""]);
    gateway.logged(&["ERROR", "signal=\"spoils/text\"", "BadInternalError"]);
    gateway.logged(&["WARN", "the server does not go on with browsing a node", &forgets.to_string()]);
    ["spoils/a", "spoils/b", "claims/b", "fewer/b", "forgets/a"].iter().for_each(|signal| goes_on(&site, signal));
    ["handles/a", "handles/b", "revised/a", "limits/b"].iter().for_each(|signal| goes_on(&site, signal));

    way.cut();
    gateway.logged(&["connection lost", "source=\"history\""]);
    way.open();
    gateway.logged(&["the server's history does not fill these gaps", "source=\"history\""]);
    goes_on(&site, "history/a");

    liars.ask("text", json!({ "of": "long", "length": LONG }));
    wait_for("the text that is too long", || {
        let output = site.run("history", &["long/text", "--json"]);
        let kept = String::from_utf8(output.stdout).unwrap();
        kept.lines().last().is_some_and(|last| last.contains("text of 3000000 bytes")).then_some(())
    });
    goes_on(&site, "long/a");
    liars.ask("many", json!({ "of": "long", "length": MANY }));
    gateway.logged(&["a message is too large, or cannot be read; its values are lost", "source=\"long\""]);
    gateway.logged(&["ERROR", "the value cannot be read here", "signal=\"long/many\""]);
    wait_for("the signal's status to say so", || {
        (hmi.read(&["signal:long/many"])[0]["status"] == "BadEncodingLimitsExceeded").then_some(())
    });
    goes_on(&site, "long/a");
    let lost = |line: &String| line.contains("connection lost") && line.contains("source=\"long\"");
    assert!(!gateway.process.lines(Stream::Error).iter().any(lost), "its connection stays");

    honest.set("a_feed", 1.0, 0.25, 0);
    wait_for("a value of the honest one", || value(&mut hmi, "signal:plant/a_feed", 0.25));
    assert_eq!(site.gaps("plant/*"), Vec::<serde_json::Value>::new());
    gateway.stop();
}
