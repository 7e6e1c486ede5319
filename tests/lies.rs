//! Servers that lie, each in its way: the gateway stays up, says which of them did what, and the others are untouched.

use serde_json::{Value, json};
use watchfire_model::Instant as Time;

use crate::end_to_end::{FIRST, value};
use crate::harness::gateway::{Gateway, Site, signal_table, source};
use crate::harness::hmi::{Hmi, Kind};
use crate::harness::peer::Peer;
use crate::harness::process::Stream;
use crate::harness::proxy::Proxy;
use crate::harness::recording::{Recorded, RecordedServer};
use crate::harness::{free_port, wait_for};

/// The lies of `lying_server.mjs`.
const LIES: [&str; 11] =
    ["browse", "crowd", "handles", "revised", "history", "limits", "long", "spoils", "claims", "fewer", "forgets"];
/// Those in what it publishes.
const PUBLISHED: [&str; 4] = ["anew", "back", "types", "twins"];
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
    gateway.logged(&["WARN", "takes fewer items in a request than it says", "source=\"claims\"", "items=1"]);
    gateway.logged(&["WARN", "does not answer for items that it was to make", "source=\"fewer\""]);
    gateway.logged(&["WARN", "the server does not go on with browsing a node", &forgets.to_string()]);
    goes_on(&site, "fewer/a");
    let values: Vec<f64> = on_record(&site, "fewer/a").iter().filter_map(|one| one["value"].as_f64()).collect();
    assert!(values.is_sorted_by(|a, b| a < b), "none comes twice: {values:?}");
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

    is_untouched(&mut honest, &site, &gateway, &mut hmi);
    gateway.stop();
}

/// The source `plant` goes on, and nothing is said of it nor missing.
#[track_caller]
fn is_untouched(honest: &mut RecordedServer, site: &Site, gateway: &Gateway, hmi: &mut Hmi) {
    honest.set("a_feed", 1.0, 0.25, 0);
    wait_for("a value of the honest one", || value(hmi, "signal:plant/a_feed", 0.25));
    assert_eq!(site.gaps("plant/*"), Vec::<Value>::new());
    let of_it = |line: &String| line.contains("source=\"plant\"") && (line.contains("WARN") || line.contains("ERROR"));
    let said: Vec<_> = gateway.process.lines(Stream::Error).into_iter().filter(of_it).collect();
    assert_eq!(said, Vec::<String>::new());
}

/// What is on record of a signal.
fn on_record(site: &Site, signal: &str) -> Vec<Value> {
    let output = site.run("history", &[signal, "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_a_server_publishes_is_taken_for_what_it_can_be_and_each_lie_in_it_is_told() {
    let ports = PUBLISHED.map(|_| free_port());
    let words = PUBLISHED.iter().zip(ports).map(|(lie, port)| format!("{lie}={port}"));
    let liars = Peer::node("lying_server", "lying_server.mjs", words);
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let mut honest = recorded.start();
    liars.ready().unwrap();
    let of_liar = |(lie, port): (&&str, u16)| source(lie, &format!("opc.tcp://127.0.0.1:{port}/"), &["a", "b", "text"]);
    let sources: String = PUBLISHED.iter().zip(ports).map(of_liar).collect();
    let site = Site::new();
    site.configure(&(source("plant", &recorded.url(), &["a_feed"]) + &sources));
    let gateway = site.start();
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());

    gateway.logged(&["WARN", "begins the numbers of its messages anew", "source=\"anew\"", "number=1"]);
    for signal in ["anew/a", "anew/b"] {
        let gaps =
            wait_for("what may be missing to be on record", || Some(site.gaps(signal)).filter(|gaps| !gaps.is_empty()));
        assert!(gaps.len() == 1 && gaps[0]["cause"] == "overflow", "{gaps:?}");
        goes_on(&site, signal);
        let values: Vec<f64> = on_record(&site, signal).iter().filter_map(|one| one["value"].as_f64()).collect();
        assert!(values.windows(2).all(|pair| pair[1] == pair[0] + 1.0), "each value is on record: {values:?}");
    }

    gateway.logged(&[
        "WARN",
        "times more than a second before those of the ones before them",
        "source=\"back\"",
        "signal=\"back/",
    ]);
    goes_on(&site, "back/a");
    let times: Vec<String> =
        on_record(&site, "back/a").iter().map(|one| one["source_time"].as_str().unwrap().to_owned()).collect();
    let at = |time: Option<&String>| Time::parse(time.unwrap()).unwrap();
    let older_s = at(times.iter().max()).since_ns(at(times.iter().min())) / 1_000_000_000;
    assert!(older_s >= 3_500, "each value has the time that it was given: {times:?}");
    assert_eq!(site.gaps("back/*"), Vec::<Value>::new());

    gateway.logged(&["WARN", "another type than it says its nodes have", "source=\"types\"", "signal=\"types/"]);
    for signal in ["types/a", "types/b"] {
        goes_on(&site, signal);
    }
    let texts = ["types/a", "types/b"].map(|signal| on_record(&site, signal));
    assert!(texts.iter().flatten().any(|one| one["value"] == "no number"), "a text is on record as it came");

    // It is found by reading what nothing comes of.
    let told = gateway.logged(&["ERROR", "no longer reports these though they change", "source=\"twins\""]);
    assert!(told.contains("first=\"twins/b\""), "{told}");
    goes_on(&site, "twins/a");
    let lost = |line: &String| line.contains("connection lost");
    assert!(!gateway.process.lines(Stream::Error).iter().any(lost), "each connection stays");
    is_untouched(&mut honest, &site, &gateway, &mut hmi);
    gateway.stop();
}
