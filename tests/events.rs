//! What a server tells in events is kept beside its values: what stood before the gateway came, what comes, and what
//! came while the line was cut.

use std::path::Path;

use serde_json::{Value, json};

use crate::end_to_end::FIRST;
use crate::harness::gateway::{Site, allowed, detector, signal_table, source, upper_limit};
use crate::harness::hmi::{As, Hmi, Kind, node_id};
use crate::harness::peer::Peer;
use crate::harness::proxy::Proxy;
use crate::harness::recording::Recorded;
use crate::harness::{free_port, top, wait_for};
use crate::security::hash;

const STREAMS: &str = r#"
[[source.events]]

[[source.events]]
name = "machines"
type = "nsu=urn:watchfire:test:events;i=5001"
severity_min = 500
fields = ["nsu=urn:watchfire:test:events;/Machine"]

[[source.events]]
name = "sessions"
type = "AuditSecurityEventType"

[[source.events]]
name = "of-nobody"
notifier = "ns=2;s=temperature"
"#;

/// The events of a stream, each the fields of its text.
fn events(site: &Site, stream: &str) -> Vec<Value> {
    events_of(site, &format!("plant/{stream}"))
}

/// The same by the stream's full name.
fn events_of(site: &Site, stream: &str) -> Vec<Value> {
    let output = site.run("history", &[stream, "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let texts = rows.filter_map(|row| row["value"].as_str().map(str::to_owned));
    texts.map(|text| serde_json::from_str(&text).unwrap()).collect()
}

#[test]
fn events_are_recorded_with_their_fields_those_before_and_those_during_a_cut_too() {
    let port = free_port();
    let mut server = Peer::node("events_server", "events_server.mjs", ["--port", &port.to_string()]);
    server.ready().unwrap();
    server.ask("set", json!({ "value": 85.0 }));
    let way = Proxy::to(port);
    let site = Site::new();
    let url = format!("opc.tcp://127.0.0.1:{}/", way.port);
    site.configure(&(source("plant", &url, &["temperature"]) + STREAMS));
    let gateway = site.start();
    gateway.logged(&["watching", "plant", "signals=5", "watched=4"]);
    gateway.logged(&["plant/of-nobody", "no events where they are wanted"]);

    let standing = wait_for("the alarm that stood before", || {
        events(&site, "events").into_iter().find(|event| event["ConditionId"].is_string())
    });
    assert_eq!(standing["ActiveState/Id"], true, "{standing}");
    assert_eq!(standing["AckedState/Id"], false, "{standing}");
    assert_eq!(standing["SourceNode"], "nsu=urn:watchfire:test:events;s=temperature", "{standing}");
    assert!(standing["ConditionId"].as_str().unwrap().starts_with("nsu=urn:watchfire:test:events;"), "{standing}");
    assert!(standing["EventId"].is_string() && standing["Retain"] == true, "{standing}");

    let raise = |server: &mut Peer, severity: u16, message: &str| {
        server.ask("raise", json!({ "severity": severity, "message": message, "machine": "press 7" }));
    };
    raise(&mut server, 400, "oil is low");
    raise(&mut server, 600, "oil is out");
    way.cut();
    gateway.logged(&["connection lost"]);
    raise(&mut server, 700, "nobody listens");
    way.open();
    raise(&mut server, 800, "somebody listens");

    let messages = |stream: &str| -> Vec<String> {
        let of_type = |event: &Value| event["EventType"] == "nsu=urn:watchfire:test:events;i=5001";
        let all = events(&site, stream).into_iter().filter(of_type);
        all.map(|event| event["Message"].as_str().unwrap().to_owned()).collect()
    };
    let all = ["oil is low", "oil is out", "nobody listens", "somebody listens"];
    wait_for("all events", || (messages("events") == all).then_some(()));
    wait_for("the severe ones", || (messages("machines") == all[1..]).then_some(()));
    let machines = events(&site, "machines");
    assert!(machines.iter().all(|event| event["Machine"] == "press 7"), "{machines:?}");
    assert_eq!(machines[0]["Severity"], 600);
    // Our own session, which was activated anew after the cut.
    let activated = wait_for("what the server audits", || {
        events(&site, "sessions").into_iter().find(|event| event["EventType"] == "i=2075")
    });
    assert_eq!(activated["Status"], true, "{activated}");
    assert!(activated["ActionTimeStamp"].is_string() && activated["ServerId"].is_string(), "{activated}");
    gateway.stop();
}

const OF_PRESSES: &str = r#"
[[source.events]]

[[source.events]]
name = "presses"
type = "nsu=urn:watchfire:test:event-history;i=1"
fields = ["nsu=urn:watchfire:test:event-history;/Machine"]
"#;

/// A server that keeps its events in a file.
fn keeping(port: u16, file: &Path) -> Peer {
    let (port, file) = (port.to_string(), file.display().to_string());
    let server = Peer::python("event_history", "event_history_server.py", ["--port", &port, "--history", &file]);
    server.ready().unwrap();
    server
}

#[test]
fn events_that_were_missed_are_fetched_from_the_history_of_the_server_each_once() {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let file = folder.path().join("events");
    let mut server = keeping(port, &file);
    let way = Proxy::to(port);
    let site = Site::new();
    let url = format!("opc.tcp://127.0.0.1:{}/recorded", way.port);
    site.configure(&(source("plant", &url, &[]) + OF_PRESSES));
    let raise = |server: &mut Peer, message: &str, press: bool| {
        server.ask("raise", json!({ "severity": 500, "message": message, "press": press }));
    };
    let messages = |stream: &str| -> Vec<String> {
        let all = events(&site, stream).into_iter().filter(|event| event["Message"] != Value::Null);
        all.map(|event| event["Message"].as_str().unwrap().to_owned()).collect()
    };
    let gateway = site.start();
    gateway.logged(&["watching", "plant", "signals=2", "watched=2"]);
    raise(&mut server, "live 1", true);
    raise(&mut server, "live 2", false);
    wait_for("what comes live", || (messages("events") == ["live 1", "live 2"]).then_some(()));

    // Nobody listens while the gateway does not run. The server answers three events at a time.
    gateway.stop();
    for at in 1..=7 {
        raise(&mut server, &format!("stopped {at}"), at % 2 == 1);
    }
    let gateway = site.start();
    let stopped = ["stopped 1", "stopped 2", "stopped 3", "stopped 4", "stopped 5", "stopped 6", "stopped 7"];
    let mut all = ["live 1", "live 2"].to_vec();
    all.extend(stopped);
    wait_for("what was missed before the start", || (messages("events") == all).then_some(()));
    let mut presses = ["live 1", "stopped 1", "stopped 3", "stopped 5", "stopped 7"].to_vec();
    wait_for("those of the type alone", || (messages("presses") == presses).then_some(()));

    // A server that was restarted has forgotten who listened.
    way.cut();
    drop(server);
    let mut server = keeping(port, &file);
    raise(&mut server, "restarted 1", true);
    raise(&mut server, "restarted 2", false);
    way.open();
    all.extend(["restarted 1", "restarted 2"]);
    presses.push("restarted 1");
    wait_for("what was missed during the cut", || (messages("events") == all).then_some(()));
    raise(&mut server, "live 3", true);
    all.push("live 3");
    presses.push("live 3");
    wait_for("what comes live again", || (messages("events") == all).then_some(()));
    wait_for("those of the type alone, again", || (messages("presses") == presses).then_some(()));
    let missed: Vec<Value> =
        events(&site, "presses").into_iter().filter(|event| event["Message"] == "restarted 1").collect();
    assert_eq!(missed[0]["Machine"], "press 7", "with the fields of the live ones: {missed:?}");
    // Asked once more after ten seconds, none is there twice.
    gateway.logged(&["gaps were filled from the server's history"]);
    assert_eq!(
        (messages("events"), messages("presses")),
        (all.iter().map(ToString::to_string).collect(), presses.iter().map(ToString::to_string).collect())
    );
    gateway.stop();
}

/// The example of the page that keeps audit events.
fn documented() -> String {
    let page = std::fs::read_to_string(top().join("docs/signals.md")).unwrap();
    let mut blocks = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.contains("AuditEventType")).unwrap().to_owned() + "\n"
}

/// What a user did at another gateway, who may see it there, and what a detector makes of it here.
#[test]
fn what_people_do_at_another_gateway_is_kept_beside_its_values_and_heard_by_a_detector() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let below = Site::new();
    let users: String = [("operator", "operate"), ("collector", "security_admin")]
        .map(|(name, role)| {
            let hash = hash("open sesame");
            format!("[[server.user]]\nname = \"{name}\"\npassword_hash = \"{hash}\"\nrole = \"{role}\"\n\n")
        })
        .concat();
    let limit = upper_limit("level", "plant/reactor_level", 80.0);
    let rest = users + &source("plant", &recorded.url(), &["reactor_level"]) + &limit;
    below.configure_with("security = [\"none\"]\nanonymous = \"none\"", &rest);
    let mut server = recorded.start();
    let lower = below.start();

    let above = Site::new();
    std::fs::write(above.folder().join("password"), "open sesame\n").unwrap();
    let login = "user = \"collector\"\npassword_file = \"password\"\nsecurity";
    let values = signal_table("level", "nsu=urn:watchfire:alarms;s=signal:plant/reactor_level");
    let of_below = source("below", &below.url(), &[]).replacen("security", login, 1) + &values + &documented();
    let file = top().join("plugins/dist/apprentice.wasm");
    // A channel and a session that nobody has yet are asked for by the server's own users.
    let known = "[detector.config]\nknown = [\"collector\", \"System/OpenSecureChannel\", \"System/CreateSession\"]";
    let hears = detector("who", &file.display().to_string(), &["below/audit"], known);
    above.configure(&(of_below + &hears + &allowed(&[&file])));
    let upper = above.start();
    upper.logged(&["watching", "below", "watched=2"]);
    upper.logged(&["detector started", "who"]);
    let hmi = Hmi::connect(Kind::NodeOpcua, &above.url());

    server.set("reactor_level", 10.0, 91.0, 0);
    let as_operator = As { user: Some(("operator", "open sesame")), pki: None };
    let mut operator = Hmi::connect_as(Kind::Asyncua, &below.url(), as_operator).unwrap();
    let condition = "level/limit/plant/reactor_level";
    let raised = wait_for("the alarm", || {
        let shown = operator.refresh();
        let alarm = shown.iter().find(|event| event["conditionId"] == node_id(condition));
        alarm.map(|alarm| alarm["event"].as_str().unwrap().to_owned())
    });
    for result in ["Good", "BadConditionBranchAlreadyAcked"] {
        assert_eq!(operator.call("acknowledge", condition, &raised, Some("seen")), result);
    }
    // An AuditConditionAcknowledgeEventType each, whose MethodId is that of Acknowledge.
    let of_operator = |event: &Value| event["EventType"] == "i=8944" && event["MethodId"] == "i=9111";
    let both = wait_for("what the operator did and what was refused", || {
        let told: Vec<Value> =
            events_of(&above, "below/audit").into_iter().filter(|event| of_operator(event)).collect();
        (told.len() == 2).then_some(told)
    });
    assert_eq!([&both[0]["Status"], &both[1]["Status"]], [true, false], "{both:?}");
    assert!(both.iter().all(|event| event["ClientUserId"] == "operator"), "{both:?}");
    assert!(both.iter().all(|event| event["InputArguments"].to_string().contains("seen")), "{both:?}");

    let stranger = hmi.event(0, "who/stranger/below/audit", |event| event["active"] == true);
    assert!(stranger["message"].as_str().unwrap().contains("`operator`: "), "{stranger}");
    // Values and audit events lie beside each other, in the history and on the server.
    let output = above.run("history", &["below/level", "--json", "--to", "2025-01-01"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("91.0"), "{output:?}");
    let mut hmi = Hmi::connect(Kind::Asyncua, &above.url());
    let shown = hmi.read(&["signal:below/level", "signal:below/audit"]);
    assert_eq!(shown[0]["value"], 91.0, "{shown:?}");
    let text: Value = serde_json::from_str(shown[1]["value"].as_str().unwrap()).unwrap();
    assert!(text["EventType"].is_string(), "{shown:?}");
    upper.stop();
    lower.stop();
}
