//! The whole way: recordings that nobody here made, served by a server that is not ours, to HMIs that are not ours.

use serde_json::Value;
use watchfire_model::Instant;

use crate::harness::gateway::{Gateway, Site, detector, source, upper_limit};
use crate::harness::hmi::{As, Hmi, KINDS, Kind, node_id};
use crate::harness::recording::{Recorded, RecordedServer};
use crate::harness::{top, wait_for};

/// The columns of the Tennessee Eastman recordings.
pub const TEP: [&str; 6] = [
    "a_feed",
    "reactor_pressure",
    "reactor_level",
    "reactor_temperature",
    "cooling_water_outlet_temperature",
    "cooling_water_flow",
];
/// When the recordings without dates begin.
pub const FIRST: &str = "2024-03-01T00:00:00";
/// The process's own upper operating limit, kPa (Downs and Vogel 1993).
pub const PRESSURE_HIGH: f64 = 2895.0;
/// Rows before the fault.
const QUIET_ROWS: usize = 160;

const PRESSURE: &str = "pressure/limit/plant/reactor_pressure";
const FEED: &str = "feed/limit/plant/a_feed";

/// A feed is lost, the gateway watches, both HMIs are connected.
struct FeedLoss {
    server: RecordedServer,
    site: Site,
    gateway: Gateway,
    hmis: Vec<Hmi>,
}

impl FeedLoss {
    fn begin() -> Self {
        let recorded = Recorded::new("tep_feed_loss.csv", Some(FIRST));
        let site = Site::new();
        let low = "[detector.config]\nlow = 0.05\ndeadband = 0.0";
        let confirm = "[detector.alarm.limit]\nconfirm = true\nseverity = 800\n\n[detector.config]\nhigh = 2895.0\ndeadband = 0.0";
        let pressure = detector("pressure", "limit", &["plant/reactor_pressure"], confirm);
        site.configure(
            &(source("plant", &recorded.url(), &TEP) + &pressure + &detector("feed", "limit", &["plant/a_feed"], low)),
        );
        let server = recorded.start();
        let gateway = site.start();
        let hmis = connect_both(&site.url());
        Self { server, site, gateway, hmis }
    }

    /// Serves rows and waits until the last of them has come through.
    fn serve(&mut self, rows: usize) {
        self.server.serve(rows, 400);
        for signal in TEP {
            let last = self.server.served(signal).last().unwrap().value.as_f64().unwrap();
            let hmi = self.hmis.first_mut().unwrap();
            wait_for(&format!("{signal} to be {last}"), || value(hmi, &format!("signal:plant/{signal}"), last));
        }
    }
}

/// Both HMIs, which start at the same time.
pub fn connect_both(url: &str) -> Vec<Hmi> {
    let hmis: Vec<Hmi> = KINDS.iter().map(|kind| Hmi::begin(*kind, url, As::default())).collect();
    hmis.iter().for_each(|hmi| hmi.peer.ready().unwrap());
    hmis
}

/// Whether a variable of the gateway has this value.
pub fn value(hmi: &mut Hmi, node: &str, wanted: f64) -> Option<()> {
    let read = hmi.read(&[node]);
    (read[0]["value"].as_f64() == Some(wanted)).then_some(())
}

/// What must be the same after a restart.
fn lasting(event: &Value) -> Vec<(&'static str, Value)> {
    let fields = [
        "conditionId",
        "event",
        "type",
        "source",
        "time",
        "received",
        "message",
        "severity",
        "retain",
        "active",
        "acked",
        "confirmed",
        "comment",
        "user",
        "quality",
        "lastSeverity",
    ];
    fields.into_iter().map(|field| (field, event[field].clone())).collect()
}

/// The lasting fields of our two conditions in a refresh, by condition.
fn standing(hmi: &mut Hmi) -> Vec<Vec<(&'static str, Value)>> {
    let shown = hmi.refresh();
    let one = |condition: &str| {
        let of: Vec<&Value> = shown.iter().filter(|event| event["conditionId"] == node_id(condition)).collect();
        assert_eq!(of.len(), 1, "{condition} is shown once in {:?}'s refresh: {of:?}", hmi.kind);
        lasting(of[0])
    };
    vec![one(PRESSURE), one(FEED)]
}

fn text(event: &Value, field: &str) -> String {
    event[field].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_recorded_fault_is_acknowledged_in_one_hmi_confirmed_in_another_and_survives_a_kill() {
    let mut plant = FeedLoss::begin();
    plant.serve(QUIET_ROWS);
    for hmi in &plant.hmis {
        for condition in [PRESSURE, FEED] {
            assert!(hmi.events(condition).iter().all(|event| event["retain"] == false), "nothing is wrong yet");
        }
    }
    plant.serve(110);

    // Both HMIs are shown the same alarm, at the time at which the recording passes the limit.
    let pressures = plant.server.served("reactor_pressure");
    let first = pressures.iter().find(|served| served.value.as_f64() > Some(PRESSURE_HIGH)).unwrap();
    let mut raised = Vec::new();
    for hmi in &plant.hmis {
        let event = hmi.event(0, PRESSURE, |event| event["active"] == true);
        assert_eq!(Instant::parse(&text(&event, "time")).unwrap().ns(), first.time_ns, "{event}");
        for (field, wanted) in [
            ("type", "i=9482"),
            ("conditionName", "pressure/limit"),
            ("conditionClass", "ProcessConditionClassType"),
            ("sourceNode", "ns=2;s=signal:plant/reactor_pressure"),
            ("source", "plant/reactor_pressure"),
            ("quality", "Good"),
        ] {
            assert_eq!(text(&event, field), wanted, "{field} of {event}");
        }
        for (field, wanted) in [("retain", true), ("enabled", true), ("acked", false)] {
            assert_eq!(event[field], wanted, "{field} of {event}");
        }
        assert_eq!(event["severity"], 800);
        assert_eq!(event["branch"], Value::Null);
        let (message, observed) = (text(&event, "message"), first.value.to_string());
        assert!(message.contains("plant/reactor_pressure") && message.contains("2895"), "{message}");
        assert!(message.contains(observed.split('.').next().unwrap()), "{message} tells {observed}");
        assert_eq!(text(&event, "event").len(), 32, "an EventId has 16 bytes: {event}");
        raised.push(text(&event, "event"));
    }
    assert_eq!(raised[0], raised[1], "both are shown the same EventId");
    // asyncua's own default subscription is told as well, in its own time.
    plant.hmis[0].peer.unasked("to show the alarm by its own default", 0, |said| {
        (said["via"] == "default" && said["event"]["conditionId"] == node_id(PRESSURE)).then_some(())
    });

    acknowledge_and_confirm(&mut plant.hmis, &raised[0]);
    plain_variables_tell_the_same_and_acknowledge(&mut plant.hmis);

    let before: Vec<_> = plant.hmis.iter_mut().map(standing).collect();
    assert_eq!(before[0][0][1], before[1][0][1], "both HMIs are refreshed with the same EventId");
    drop(plant.hmis);
    plant.gateway.kill();

    let restarted = plant.site.start();
    plant.hmis = connect_both(&plant.site.url());
    let last = plant.server.served("reactor_pressure").last().unwrap().value.as_f64().unwrap();
    wait_for("values after the restart", || value(&mut plant.hmis[0], "signal:plant/reactor_pressure", last));
    for (hmi, before) in plant.hmis.iter_mut().zip(before) {
        assert_eq!(standing(hmi), before, "{:?} after the kill", hmi.kind);
        for condition in [PRESSURE, FEED] {
            let events = hmi.events(condition);
            assert!(
                events.iter().all(|event| event["event"] == events[0]["event"]),
                "nothing alarms again: {events:?}"
            );
        }
    }
    restarted.stop();
}

/// asyncua acknowledges, node-opcua confirms, and both are refused what makes no sense.
fn acknowledge_and_confirm(hmis: &mut [Hmi], raised: &str) {
    let unknown = "00112233445566778899aabbccddeeff";
    for hmi in hmis.iter_mut() {
        assert_eq!(hmi.call("acknowledge", PRESSURE, unknown, Some("which?")), "BadEventIdUnknown", "{:?}", hmi.kind);
    }
    assert_eq!(hmis[0].call("acknowledge", PRESSURE, raised, Some("valve checked")), "Good");
    let mut acknowledged = String::new();
    for hmi in hmis.iter() {
        let event = hmi.event(0, PRESSURE, |event| event["acked"] == true && event["active"] == true);
        assert_eq!((&event["confirmed"], &event["retain"]), (&Value::from(false), &Value::from(true)), "{event}");
        assert_eq!(text(&event, "comment"), "valve checked");
        acknowledged = text(&event, "event");
        assert_ne!(acknowledged, raised, "each transition has an EventId of its own");
    }
    for hmi in hmis.iter_mut() {
        let again = hmi.call("acknowledge", PRESSURE, &acknowledged, Some("again"));
        assert_eq!(again, "BadConditionBranchAlreadyAcked", "{:?}", hmi.kind);
    }
    let marks: Vec<usize> = hmis.iter().map(Hmi::mark).collect();
    let confirmer = hmis.iter_mut().find(|hmi| hmi.kind == Kind::NodeOpcua).unwrap();
    assert_eq!(confirmer.call("confirm", PRESSURE, &acknowledged, Some("feed restored")), "Good");
    let mut confirmed = String::new();
    for (hmi, begin) in hmis.iter().zip(marks) {
        let event = hmi.event(begin, PRESSURE, |event| event["confirmed"] == true && event["acked"] == true);
        assert_eq!(text(&event, "comment"), "feed restored");
        confirmed = text(&event, "event");
    }
    for hmi in hmis.iter_mut() {
        let again = hmi.call("confirm", PRESSURE, &confirmed, None);
        assert_eq!(again, "BadConditionBranchAlreadyConfirmed", "{:?}", hmi.kind);
        assert_eq!(hmi.call("comment", PRESSURE, &confirmed, Some("noted")), "Good", "{:?}", hmi.kind);
    }
}

/// An HMI that reads and writes values alone can do as much.
fn plain_variables_tell_the_same_and_acknowledge(hmis: &mut [Hmi]) {
    let raised = hmis[0].event(0, FEED, |event| event["active"] == true);
    let reader = &mut hmis[0];
    let names = ["Active", "Acknowledged", "Severity", "EventId", "EventIdText", "Message"]
        .map(|name| format!("{FEED}#Values/{name}"));
    let nodes: Vec<&str> = names.iter().map(String::as_str).collect();
    let values: Vec<Value> = reader.read(&nodes).into_iter().map(|read| read["value"].clone()).collect();
    assert_eq!(
        values,
        [
            Value::from(true),
            Value::from(false),
            raised["severity"].clone(),
            raised["event"].clone(),
            raised["event"].clone(),
            raised["message"].clone()
        ]
    );
    let request = format!("{FEED}#Values/AcknowledgeRequest");
    assert_eq!(reader.write(&request, "00112233445566778899aabbccddeeff"), "BadEventIdUnknown");
    assert_eq!(reader.write(&format!("{FEED}#Values/Active"), "00"), "BadNotWritable");
    assert_eq!(reader.write(&request, &text(&raised, "event")), "Good");
    for hmi in hmis.iter_mut() {
        // Tags that cannot be ByteStrings.
        let (request, event) = (format!("{FEED}#Values/AcknowledgeRequestText"), text(&raised, "event"));
        assert_eq!(hmi.write_text(&request, "no event"), "BadEventIdUnknown", "{:?}", hmi.kind);
        assert_eq!(hmi.write_text(&request, &event.to_uppercase()), "BadConditionBranchAlreadyAcked", "{:?}", hmi.kind);
    }
    for hmi in hmis {
        hmi.event(0, FEED, |event| event["acked"] == true && event["active"] == true);
    }
}

#[test]
fn an_acknowledgement_is_durable_before_it_is_answered() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    site.configure(
        &(source("plant", &recorded.url(), &["reactor_level"]) + &upper_limit("level", "plant/reactor_level", 80.0)),
    );
    let mut server = recorded.start();
    let condition = "level/limit/plant/reactor_level";
    let said = |round: i32| format!("round {round}");
    for round in 0..3 {
        let gateway = site.start();
        let mut hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
        let seconds = f64::from(round) * 10.0;
        if round > 0 {
            let shown = hmi.event(0, condition, |event| event["active"] == true);
            assert_eq!(
                (&shown["acked"], &shown["comment"]),
                (&Value::from(true), &Value::from(said(round - 1))),
                "{shown}"
            );
            server.set("reactor_level", seconds, 70.0, 0);
            hmi.event(0, condition, |event| event["active"] == false);
        }
        let begin = hmi.mark();
        server.set("reactor_level", seconds + 5.0, 90.0, 0);
        let raised = hmi.event(begin, condition, |event| event["active"] == true && event["acked"] == false);
        assert_eq!(hmi.call("acknowledge", condition, &text(&raised, "event"), Some(&said(round))), "Good");
        gateway.kill();
    }
}

#[test]
fn limits_are_shown_before_they_are_passed_and_alarms_by_the_types_that_are_configured() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let limits = "[detector.config]\nhigh = 80.0\nhigh_high = 85.0\ndeadband = 0.0";
    let each = format!("[detector.alarm.limit]\nexclusive = false\n\n{limits}");
    let probe = format!("[detector.alarm.limit]\ninstrument = \"off-spec\"\nsub_classes = [\"safety\"]\n\n{limits}");
    let level = &["plant/reactor_level"];
    site.configure(
        &(source("plant", &recorded.url(), &["reactor_level"])
            + &detector("level", "limit", level, &each)
            + &detector("probe", "limit", level, &probe)),
    );
    let mut server = recorded.start();
    let gateway = site.start();
    let (alarm, of_probe) = ("level/limit/plant/reactor_level", "probe/limit/plant/reactor_level");
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    server.set("reactor_level", 1.0, 70.0, 0);
    for (limit, wanted) in [("HighLimit", 80.0), ("HighHighLimit", 85.0)] {
        let node = format!("{alarm}#{limit}");
        wait_for(limit, || value(&mut hmi, &node, wanted));
    }
    server.set("reactor_level", 5.0, 90.0, 0);
    let raised = hmi.event(0, alarm, |event| event["active"] == true);
    assert_eq!(text(&raised, "type"), "i=10060", "{raised}");
    let raised = hmi.event(0, of_probe, |event| event["active"] == true);
    assert_eq!(text(&raised, "type"), "ns=3;i=15590", "{raised}");
    assert_eq!(text(&raised, "conditionClass"), "MaintenanceConditionClassType");
    let states = ["HighState/Id", "HighHighState/Id"].map(|state| format!("{alarm}#{state}"));
    let nodes: Vec<&str> = states.iter().map(String::as_str).collect();
    let values: Vec<Value> = hmi.read(&nodes).into_iter().map(|read| read["value"].clone()).collect();
    assert_eq!(values, [true, true], "what is above high-high is above high");
    gateway.stop();
}

#[test]
fn a_step_in_the_cooling_is_something_new_and_told_with_its_evidence() {
    let recorded = Recorded::new("tep_cooling_step.csv", Some(FIRST));
    let site = Site::new();
    let learn = "[detector.config]\nwarm_up_samples = 100";
    let strange = detector("strange", "novelty", &["plant/cooling_water_flow"], learn);
    site.configure(&(source("plant", &recorded.url(), &["cooling_water_flow"]) + &strange));
    let mut server = recorded.start();
    let gateway = site.start();
    let hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    server.serve(QUIET_ROWS, 400);
    server.serve(20, 100);
    let raised = hmi.event_where(0, "something new", |event| is_of("strange", event) && event["active"] == true);
    let served = server.served("cooling_water_flow");
    let at = Instant::parse(&text(&raised, "time")).unwrap().ns();
    assert!(served[QUIET_ROWS..QUIET_ROWS + 3].iter().any(|row| row.time_ns == at), "it is told of the step: {raised}");
    assert_eq!(text(&raised, "conditionClass"), "StatisticalConditionClassType");
    assert!(text(&raised, "message").contains("cooling_water_flow"), "{raised}");
    gateway.stop();
}

/// When the cooling failed, as those who published the recording have it.
const FAILURES: [(&str, &str); 2] = [("2013-12-15 07", "2013-12-30 09"), ("2014-03-29 15", "2014-04-20 22")];

#[test]
fn both_failures_in_a_year_of_an_offices_temperature_are_found_and_nothing_between_them() {
    let file = std::fs::read_to_string(top().join("tests/data/nab_ambient_temperature.csv")).unwrap();
    let times: Vec<&str> = file.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    let rows_before = |time: &str| times.iter().filter(|row| **row < time).count();

    let recorded = Recorded::new("nab_ambient_temperature.csv", None);
    let site = Site::new();
    let strange = detector("strange", "novelty", &["office/value"], "[detector.alarm.\"*\"]\nthreshold = 2.2");
    site.configure(&(source("office", &recorded.url(), &["value"]) + &strange));
    let mut server = recorded.start();
    let gateway = site.start();
    let hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    let mut served = 0;
    let mut serve_until = |time: &str| {
        let until = rows_before(time);
        server.serve(until - served, 3000);
        served = until;
    };

    // The first days are all new; an event ends once nothing new was seen for ten seconds of the gateway's time.
    serve_until(FAILURES[0].0);
    let is_strange = |active: bool| move |event: &Value| is_of("strange", event) && event["active"] == active;
    hmi.event_where(0, "the first alarm", is_strange(true));
    let mut begin = 0;
    for (at, (from, to)) in FAILURES.into_iter().enumerate() {
        hmi.event_where(begin, "the end of the alarm before", is_strange(false));
        begin = hmi.mark();
        serve_until(to);
        let raised = hmi.event_where(begin, "the failure", is_strange(true));
        let time = text(&raised, "time").replace('T', " ");
        assert!((from..=to).contains(&time.as_str()), "failure {at}, from {from} to {to}, is told at {time}");
    }
    gateway.stop();
}

fn is_of(detector: &str, event: &Value) -> bool {
    text(event, "conditionId").starts_with(&node_id(&format!("{detector}/")))
}
