//! Values that are not plain numbers: elements of arrays, members of structures, enumerations and large integers reach
//! history as they were served, and a part that is not there is said to be missing.

use serde_json::{Value, json};

use crate::harness::gateway::{Gateway, Site, source};
use crate::harness::hmi::{Hmi, Kind};
use crate::harness::peer::Peer;
use crate::harness::{free_port, wait_for};

/// What is served begins then, milliseconds since 1970.
const FROM_MS: i64 = 1_709_251_200_000;

/// Signal, node, element, and what it is for 3.
type Expected = (&'static str, &'static str, &'static str, &'static str);

const SIGNALS: [Expected; 16] = [
    ("line", "line", "[1:2]", ""),
    ("corner", "table", "[1,2]", "312"),
    ("far", "table", "[2,0]", "BAD"),
    ("beyond", "line", "[4]", "BAD"),
    ("position", "axes", "[1].position", "3.25"),
    ("torque", "axes", "[0].torque", "4611686018427387907"),
    ("name", "axes", "[1].name", "axis 1 at 3"),
    ("angle", "axes", "[1].joint.angle", "31"),
    ("nothing", "axes", "[0].colour", "BAD"),
    ("mode", "mode", "", "0"),
    ("count", "count", "", "18446744073709551612"),
    ("flag", "flag", "", "1"),
    ("since", "since", "", "1709510400000000000"),
    ("title", "title", "", "batch 3"),
    ("all-of-table", "table", "", "[[300,301,302],[310,311,312]]"),
    (
        "all-axes",
        "axes",
        "",
        "[{\"joint\":{\"angle\":30.0},\"name\":\"axis 0 at 3\",\"position\":3.0,\"torque\":4611686018427387907},\
         {\"joint\":{\"angle\":31.0},\"name\":\"axis 1 at 3\",\"position\":3.25,\"torque\":4611686018427387907}]",
    ),
];

/// The last recorded value and status of a signal.
fn last(site: &Site, signal: &str) -> Option<Value> {
    let output = site.run("history", &[&format!("plant/{signal}"), "--json", "--to", "2025-01-01"]);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().last().map(|line| serde_json::from_str(line).unwrap())
}

/// Of a server that has type dictionaries alone.
const DESCRIBED: [Expected; 18] = [
    ("position", "axis", "position", "3"),
    ("torque", "axes", "[1].torque", "4611686018427387907"),
    ("name", "axes", "[1].name", "axis 1 at 3"),
    ("angle", "axes", "[1].joint.angle", "31"),
    ("third", "axis", "joints[2].angle", "5"),
    ("fourth", "axis", "joints[3].angle", "BAD"),
    ("since", "axis", "since", "1709510400000000000"),
    ("state", "valve", "Position", "1"),
    ("comment", "valve", "Comment", "comment 3"),
    ("flow", "valve", "Flow", "0.375"),
    ("stroke", "valve", "Strokes[1]", "4"),
    ("unit", "valve", "Unit.DisplayName", "m/s"),
    ("number", "either", "Number", "1.5"),
    ("text", "either", "Text", "BAD"),
    ("odd", "odd", "Tail", "BAD"),
    ("liar", "liar", "Parts[0]", "BAD"),
    ("whole-either", "either", "", "{\"Number\":1.5}"),
    (
        "whole-valve",
        "valve",
        "",
        "{\"Comment\":\"comment 3\",\"Flow\":0.375,\"Position\":1,\"Strokes\":[3,4],\"Unit\":{\"Description\":\
         \"metre per second\",\"DisplayName\":\"m/s\",\"NamespaceUri\":\"urn:units\",\"UnitId\":4408652}}",
    ),
];

#[test]
fn elements_members_and_whole_numbers_are_recorded_as_they_were_served() {
    let (gateway, site, _server) = serve("shapes_server", &SIGNALS, &["signals=17", "watched=17"]);
    let expected = SIGNALS.iter().filter(|(name, ..)| *name != "line").map(|(name, _, _, value)| (*name, *value));
    for (name, value) in expected.chain([("line/1", "3.125"), ("line/2", "3.25")]) {
        expect(&site, name, value);
    }
    assert_eq!(last(&site, "title").unwrap()["locale"], "en");
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    let titles = hmi.history("signal:plant/title", FROM_MS, FROM_MS + 60_000);
    let title = (FROM_MS as f64 + 3_000.0, json!({ "text": "batch 3", "locale": "en" }));
    assert!(titles.contains(&title), "{titles:?}");
    gateway.stop();
}

#[test]
fn structures_are_read_from_servers_that_have_only_type_dictionaries() {
    let (gateway, site, mut server) = serve("dictionary_server", &DESCRIBED, &["signals=18", "watched=18"]);
    for (name, _, _, value) in DESCRIBED {
        expect(&site, name, value);
    }
    gateway.logged(&["members of a structure cannot be read", "Odd", "its field `Tail`: it ends with a terminator"]);
    // Members that are optional come and go.
    server.ask("set", json!({ "n": 4 }));
    for (name, value) in [("comment", "BAD"), ("flow", "BAD"), ("stroke", "5"), ("text", "text 4"), ("number", "BAD")] {
        expect(&site, name, value);
    }
    gateway.stop();
}

/// A gateway that watches signals of a server, which then has the values for 3.
fn serve(script: &str, signals: &[Expected], watching: &[&str]) -> (Gateway, Site, Peer) {
    let port = free_port();
    let mut server = Peer::python(script, &format!("{script}.py"), ["--port", &port.to_string()]);
    server.ready().unwrap();
    let site = Site::new();
    let mut text = source("plant", &format!("opc.tcp://127.0.0.1:{port}/recorded"), &[]);
    for (name, node, element, _) in signals {
        let element = if element.is_empty() { String::new() } else { format!("element = \"{element}\"\n") };
        text += &format!("[[source.signal]]\nname = \"{name}\"\nnode = \"ns=2;s={node}\"\n{element}\n");
    }
    site.configure(&text);
    let gateway = site.start();
    gateway.logged(&[&["watching", "plant"], watching].concat());
    server.ask("set", json!({ "n": 3 }));
    (gateway, site, server)
}

/// Waits until the last recorded value of a signal is this one.
fn expect(site: &Site, name: &str, value: &str) {
    let mut found = None;
    wait_for(&format!("{name} to be {value}"), || {
        let one = last(site, name)?;
        let is_bad = one["status"].as_str().is_some_and(|status| status.starts_with("0x8"));
        let shown = one["value"].as_str().map_or_else(|| one["value"].to_string(), str::to_owned);
        found = Some(one);
        let equal = shown.parse::<f64>().is_ok_and(|shown| value.parse::<f64>() == Ok(shown));
        let is_it = if value == "BAD" { is_bad } else { shown.starts_with(value) || equal };
        is_it.then_some(())
    });
    if value != "BAD" && value.len() > 17 && value.bytes().all(|byte| byte.is_ascii_digit()) {
        assert_eq!(found.unwrap()["value"].to_string().trim_matches('"'), value, "every bit of {name}");
    }
}
