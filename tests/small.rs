//! Servers that take little: with the profile for them nothing is asked that they do not take, and without it less and less
//! until they do. What they have no room for is named.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::json;

use crate::harness::free_port;
use crate::harness::gateway::{Site, signal_table, source};
use crate::harness::hmi::{Hmi, Kind};
use crate::harness::peer::Peer;
use crate::harness::proxy::Proxy;
use crate::harness::wait_for;

/// The most operations that a request of each sort has had.
fn most(peer: &mut Peer, of: &str) -> BTreeMap<String, u64> {
    let answer = peer.ask("most", json!({ "of": of }));
    serde_json::from_value(answer["most"].clone()).unwrap()
}

/// Signals `v0` and so on; every tenth is looked up by its path.
fn signals(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, at| {
        let node = if at % 10 == 0 { format!("/2:v{at}") } else { format!("ns=2;s=v{at}") };
        let signal = signal_table(&format!("v{at}"), &node);
        // A queue of one drops what came during an outage without a mark.
        writeln!(text, "{}\nqueue_size = 1\n", signal.trim_end()).unwrap();
        text
    })
}

#[test]
fn with_its_profile_a_small_server_gets_small_requests_and_a_thousand_items() {
    let port = free_port();
    let mut server = Peer::node("small_server", "small_server.mjs", [format!("plain={port}")]);
    server.ready().unwrap();
    let way = Proxy::to(port);
    let site = Site::new();
    let head = source("plant", &format!("opc.tcp://127.0.0.1:{}/", way.port), &[]);
    let head = head.trim_end().to_owned() + "\nprofile = \"small\"\n\n";
    site.configure(&(head + &signals(1_020)));
    let gateway = site.start();
    gateway.logged(&["watching", "source=\"plant\"", "signals=1020", "watched=1000"]);
    for beyond in [1_000, 1_019] {
        gateway.logged(&["ERROR", &format!("signal=\"plant/v{beyond}\""), "BadTooManyMonitoredItems", "`profile`"]);
    }
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    wait_for("the last one to say that there is no room for it", || {
        (hmi.read(&["signal:plant/v1019"])[0]["status"] == "BadTooManyMonitoredItems").then_some(())
    });
    // After an outage what was missed of the first ones is fetched, many in a request.
    way.cut();
    gateway.logged(&["connection lost"]);
    server.ask("change", json!({ "of": "plain" }));
    way.open();
    server.ask("change", json!({ "of": "plain" }));
    wait_for("the history to be asked for", || most(&mut server, "plain").contains_key("HistoryRead").then_some(()));
    let most = most(&mut server, "plain");
    for sort in ["Read", "CreateMonitoredItems", "TranslateBrowsePathsToNodeIds", "HistoryRead"] {
        assert!(most[sort] > 50, "many at once: {most:?}");
    }
    assert!(most.values().all(|most| *most <= 100), "{most:?}");
    let items = server.ask("items", json!({ "of": "plain" }));
    assert_eq!(items["items"], 1_000, "{items}");
    gateway.stop();
}

#[test]
fn a_server_that_refuses_gets_smaller_requests_until_it_takes_them() {
    const REFUSALS: [&str; 4] =
        ["BadTooManyOperations", "BadEncodingLimitsExceeded", "BadResponseTooLarge", "BadRequestTooLarge"];
    let ports = REFUSALS.map(|_| free_port());
    let full = free_port();
    let words = REFUSALS.iter().zip(ports).map(|(status, port)| format!("{status}={port}"));
    let words = words.chain([format!("full={full}")]);
    let mut servers = Peer::node("small_server", "small_server.mjs", words);
    servers.ready().unwrap();
    let site = Site::new();
    let mut rest = String::new();
    for (name, port) in REFUSALS.into_iter().zip(ports).chain([("full", full)]) {
        rest += &source(name, &format!("opc.tcp://127.0.0.1:{port}/"), &[]);
        rest += &signals(200);
    }
    site.configure(&rest);
    let gateway = site.start();
    for refusal in REFUSALS {
        gateway.logged(&["watching", &format!("source=\"{refusal}\""), "watched=200"]);
        let most = most(&mut servers, refusal);
        assert!(most["Read"] > 30 && most["CreateMonitoredItems"] > 30, "{most:?}");
        assert!(most.values().all(|most| *most <= 60), "of those that were taken: {most:?}");
    }
    // The other has room for 120 items: the first come in, the others are named, and tried again for ever.
    gateway.logged(&["watching", "source=\"full\"", "watched=120"]);
    gateway.logged(&["ERROR", "signal=\"full/v199\"", "BadTooManyMonitoredItems"]);
    let subscriptions = |servers: &mut Peer| servers.ask("items", json!({ "of": "full" }))["subscriptions"].as_u64();
    let before = subscriptions(&mut servers);
    let tries = |servers: &mut Peer| servers.ask("items", json!({ "of": "full" }))["refused"].as_u64();
    let tried = tries(&mut servers);
    wait_for("them to be tried again", || (tries(&mut servers) > tried).then_some(()));
    assert_eq!(subscriptions(&mut servers), before, "in the subscription that is there");
    gateway.stop();
}
