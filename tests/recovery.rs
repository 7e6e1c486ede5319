//! A source that goes away and comes back: killed, cut off, or silent. Values flow again, what was missed is either
//! fetched or on record as a gap, and the HMI is told of both ends.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_model::Instant as Time;

use crate::end_to_end::{FIRST, value};
use crate::harness::gateway::{Gateway, Site, signal_table, source};
use crate::harness::hmi::{Hmi, Kind};
use crate::harness::proxy::Proxy;
use crate::harness::recording::{Recorded, RecordedServer};
use crate::harness::wait_for;

const SIGNAL: &str = "a_feed";
const NODE: &str = "signal:plant/a_feed";
const CONDITION: &str = "gateway/source/plant";
/// Before and after all that is served, milliseconds since 1970.
const EVER_MS: (i64, i64) = (946_684_800_000, 4_102_444_800_000);
/// How long a cut lasts.
const CUT: Duration = Duration::from_secs(3);
/// A hang is noticed after nine seconds, on a busy machine later; after a minute and more it would be by a node that is
/// asked for in vain.
const HANG_MAX: Duration = Duration::from_secs(45);
/// What is configured of a source's security.
const NONE: &str = "security = \"none\"";
const ENCRYPTED: &str = "security = \"basic256sha256\"\ntrust_server_certificate = true";

struct Watched {
    site: Site,
    gateway: Gateway,
    hmi: Hmi,
    server: RecordedServer,
    /// The time of the last value.
    seconds: f64,
}

impl Watched {
    fn begin(recorded: &Recorded, url: &str) -> Self {
        Self::begin_as(recorded, url, NONE)
    }

    fn begin_as(recorded: &Recorded, url: &str, security: &str) -> Self {
        Self::begin_from(recorded, &source("plant", url, &[SIGNAL]).replacen(NONE, security, 1))
    }

    fn begin_from(recorded: &Recorded, plant: &str) -> Self {
        let site = Site::new();
        site.configure(&(plant.to_owned() + &signal_table("ghost", "ns=2;s=no_such_node")));
        let server = recorded.start();
        let gateway = site.start();
        let hmi = Hmi::connect(Kind::Asyncua, &site.url());
        let mut watched = Self { site, gateway, hmi, server, seconds: 0.0 };
        watched.flows();
        watched
    }

    fn give(&mut self) -> f64 {
        self.seconds += 1.0;
        let value = 100.0 + self.seconds;
        self.server.set(SIGNAL, self.seconds, value, 0);
        value
    }

    /// A new value comes through.
    fn flows(&mut self) {
        let wanted = self.give();
        wait_for(&format!("{NODE} to be {wanted}"), || value(&mut self.hmi, NODE, wanted));
    }

    /// The source's condition, active or not, since `begin`.
    fn told(&self, begin: usize, active: bool) -> Value {
        self.hmi.event(begin, CONDITION, |event| event["active"] == active)
    }

    /// While the source is away its signals say so, and a trend ends with a point without a value.
    fn shows_no_communication(&mut self) {
        wait_for("the signal's status to be bad", || {
            (self.hmi.read(&[NODE])[0]["status"] == "BadNoCommunication").then_some(())
        });
        let trend = self.trend();
        assert_eq!(trend.last().unwrap().1, Value::Null, "{trend:?}");
    }

    /// All that an HMI draws, without the bounds that it asks for beyond both ends.
    fn trend(&mut self) -> Vec<(f64, Value)> {
        let mut trend = self.hmi.history(NODE, EVER_MS.0, EVER_MS.1);
        trend.retain(|(time, _)| *time > EVER_MS.0 as f64 && *time < EVER_MS.1 as f64);
        trend
    }

    /// In a trend there is a point without a value where each gap begins, and nowhere else.
    fn draws_no_line_through_gaps(&mut self) {
        // A value is shown a moment before it is on record.
        let last = 100.0 + self.seconds;
        let trend = wait_for("the last value to be on record", || {
            let trend = self.trend();
            trend.iter().any(|(_, value)| value.as_f64() == Some(last)).then_some(trend)
        });
        let ms = |time: &Value| Time::parse(time.as_str().unwrap()).unwrap().ns() as f64 / 1e6;
        // Listed as they were noticed; those that begin together are one in a trend.
        let mut begins: Vec<f64> = self.site.gaps("plant/a_feed").iter().map(|gap| ms(&gap["since"])).collect();
        begins.sort_by(f64::total_cmp);
        begins.dedup();
        let marks: Vec<f64> = trend.iter().filter(|(_, value)| value.is_null()).map(|(time, _)| *time).collect();
        let is_same = begins.len() == marks.len() && begins.iter().zip(&marks).all(|(a, b)| (a - b).abs() < 1.0);
        assert!(is_same, "gaps begin at {begins:?}, but {trend:?}");
        for mark in &marks {
            let within = self.hmi.at(NODE, &[*mark as i64 + 1]);
            assert_eq!(within[0].1, Value::Null, "nothing was received then");
        }
    }

    /// The last value that is recorded, once it is the last one served.
    fn recorded_last(&self) -> Value {
        let last = 100.0 + self.seconds;
        wait_for("the last value to be on record", || on_record(&self.site).pop().filter(|one| one["value"] == last))
    }

    /// Every value served is recorded, each once, and there is no gap.
    fn nothing_is_missing(mut self) {
        let served: Vec<_> = self.server.served(SIGNAL).iter().map(|one| one.value.as_f64()).collect();
        self.gateway.stop();
        assert_eq!(recorded(&self.site), served);
        assert_eq!(self.site.gaps("plant/a_feed"), Vec::<Value>::new());
    }

    /// Every value served is recorded, or lies in a gap that is on record; how many these are.
    fn nothing_is_lost_silently(mut self) -> usize {
        self.draws_no_line_through_gaps();
        let served = self.server.served(SIGNAL);
        self.gateway.stop();
        let recorded = recorded(&self.site);
        let newest = served.last().unwrap().value.as_f64();
        assert!(recorded.contains(&newest), "{newest:?} was seen: {recorded:?}");

        let gaps = self.site.gaps("plant/a_feed");
        let mut lost = 0;
        for missing in served.iter().filter(|one| !recorded.contains(&one.value.as_f64())) {
            lost += 1;
            let time = |gap: &Value, bound: &str| Time::parse(gap[bound].as_str().unwrap()).unwrap().ns();
            let covers = |gap: &&Value| (time(gap, "since")..=time(gap, "until")).contains(&missing.time_ns);
            let gap = gaps.iter().find(covers).unwrap_or_else(|| panic!("{missing:?} is lost: {gaps:?}"));
            assert_eq!((gap["cause"].as_str(), gap["filled"].as_bool()), (Some("source-lost"), Some(false)), "{gap:?}");
        }
        lost
    }
}

/// What is recorded.
fn on_record(site: &Site) -> Vec<Value> {
    let output = site.run("history", &["plant/a_feed", "--json", "--to", "2025-01-01"]);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The values that are recorded.
fn recorded(site: &Site) -> Vec<Option<f64>> {
    on_record(site).iter().map(|line| line["value"].as_f64()).collect()
}

/// A server that keeps no history.
fn asyncua() -> Recorded {
    Recorded::new("tep_normal.csv", Some(FIRST))
}

fn node_opcua() -> Recorded {
    Recorded::by_node_opcua(&[SIGNAL], FIRST).without_history()
}

fn open62541() -> Recorded {
    Recorded::by_open62541(&[SIGNAL], FIRST).without_history()
}

#[test]
fn a_source_of_asyncua_that_is_killed_and_restarted_is_read_again() {
    killed_and_restarted(&asyncua());
}

#[test]
fn a_source_of_node_opcua_that_is_killed_and_restarted_is_read_again() {
    killed_and_restarted(&node_opcua());
}

#[test]
fn a_source_of_open62541_that_is_killed_and_restarted_is_read_again() {
    killed_and_restarted(&open62541());
}

fn killed_and_restarted(recorded: &Recorded) {
    let mut plant = Watched::begin(recorded, &recorded.url());
    let begin = plant.hmi.mark();
    plant.server.peer.process.kill();
    let lost = plant.told(begin, true);
    assert_eq!((&lost["retain"], &lost["source"]), (&Value::from(true), &Value::from("plant")));
    assert_eq!(lost["conditionClass"], "SystemConditionClassType");
    assert!(lost["message"].as_str().unwrap().len() > 10, "it says why: {lost}");
    plant.shows_no_communication();

    let before = Time::parse(plant.recorded_last()["source_time"].as_str().unwrap()).unwrap();
    plant.server = recorded.start();
    plant.told(begin, false);
    plant.flows();
    // What the one before gave in the end nobody knows.
    let gaps = plant.site.gaps("plant/a_feed");
    let begins_there = |gap: &&Value| Time::parse(gap["since"].as_str().unwrap()).unwrap() == before;
    let gap = gaps.iter().find(begins_there).unwrap_or_else(|| panic!("none begins at {before}: {gaps:?}"));
    assert_eq!((gap["cause"].as_str(), gap["filled"].as_bool()), (Some("source-lost"), Some(false)), "{gap:?}");
    plant.nothing_is_lost_silently();
}

#[test]
fn a_connection_that_is_cut_for_three_seconds_is_made_again() {
    cut_for_three_seconds(&asyncua());
}

#[test]
fn one_to_node_opcua_that_is_cut_leaves_its_gap_on_record() {
    cut_for_three_seconds(&node_opcua());
}

#[test]
fn one_to_open62541_that_is_cut_leaves_its_gap_on_record() {
    cut_for_three_seconds(&open62541());
}

fn cut_for_three_seconds(recorded: &Recorded) {
    let proxy = Proxy::to(recorded.port);
    let url = format!("opc.tcp://127.0.0.1:{}/recorded", proxy.port);
    let mut plant = Watched::begin(recorded, &url);
    let begin = plant.hmi.mark();
    proxy.cut();
    let since = Instant::now();
    plant.told(begin, true);
    plant.shows_no_communication();
    plant.give();
    plant.give();
    wait_for("the cut to have lasted", || (since.elapsed() >= CUT).then_some(()));
    proxy.open();
    plant.told(begin, false);
    plant.flows();
    plant.nothing_is_lost_silently();
}

#[test]
fn a_connection_to_asyncua_that_hangs_is_given_up_and_made_again() {
    hanging_until_it_is_noticed(&asyncua());
}

#[test]
fn a_connection_to_node_opcua_that_hangs_is_given_up_and_made_again() {
    hanging_until_it_is_noticed(&node_opcua());
}

#[test]
fn a_connection_to_open62541_that_hangs_is_given_up_and_made_again() {
    hanging_until_it_is_noticed(&open62541());
}

fn hanging_until_it_is_noticed(recorded: &Recorded) {
    let proxy = Proxy::to(recorded.port);
    let url = format!("opc.tcp://127.0.0.1:{}/recorded", proxy.port);
    let mut plant = Watched::begin(recorded, &url);
    let begin = plant.hmi.mark();
    let since = Instant::now();
    proxy.hang();
    plant.told(begin, true);
    assert!(since.elapsed() < HANG_MAX, "noticed after {:?}", since.elapsed());
    // The last one stands when all is made anew, and those before it do not.
    plant.give();
    plant.give();
    proxy.open();
    plant.told(begin, false);
    plant.flows();
    plant.nothing_is_lost_silently();
}

#[test]
fn what_asyncua_gave_around_a_step_of_its_clock_and_did_not_keep_is_on_record() {
    steps_of_the_clock(&asyncua(), |_| ());
}

#[test]
fn what_node_opcua_gave_around_a_step_of_its_clock_and_did_not_keep_is_on_record() {
    // It keeps messages that it could not send, however short its queues are, for as long as the session.
    steps_of_the_clock(&node_opcua(), RecordedServer::forget);
}

#[test]
fn what_open62541_gave_around_a_step_of_its_clock_and_did_not_keep_is_on_record() {
    steps_of_the_clock(&open62541(), |_| ());
}

/// The source's clock goes an hour forward in one outage and back in another, and its server keeps the last value alone.
fn steps_of_the_clock(recorded: &Recorded, before_the_end: fn(&mut RecordedServer)) {
    let proxy = Proxy::to(recorded.port);
    let url = format!("opc.tcp://127.0.0.1:{}/recorded", proxy.port);
    let plant = source("plant", &url, &[SIGNAL]).replacen("queue_size = 10000", "queue_size = 1", 1);
    let mut plant = Watched::begin_from(recorded, &plant);
    for step in [3600.0, -3600.0] {
        let begin = plant.hmi.mark();
        proxy.cut();
        plant.told(begin, true);
        plant.give();
        plant.give();
        plant.seconds += step;
        plant.give();
        plant.give();
        before_the_end(&mut plant.server);
        proxy.open();
        plant.told(begin, false);
        plant.flows();
    }
    assert!(plant.nothing_is_lost_silently() >= 4, "each outage had what is lost");
}

/// The server forgets the session and keeps its subscriptions, after three messages that did not arrive.
fn forgotten_during_an_outage(recorded: &Recorded, security: &str) -> (Watched, Proxy) {
    let proxy = Proxy::to(recorded.port);
    let mut plant = Watched::begin_as(recorded, &format!("opc.tcp://127.0.0.1:{}/recorded", proxy.port), security);
    proxy.hang();
    for _ in 0..3 {
        plant.give();
    }
    plant.server.forget();
    proxy.cut();
    plant.gateway.logged(&["WARN", "connection lost; taking the session up again"]);
    for _ in 0..2 {
        plant.give();
    }
    proxy.open();
    (plant, proxy)
}

#[test]
fn what_is_left_of_a_session_that_node_opcua_has_ended_is_taken_over_and_nothing_is_missing() {
    let recorded = node_opcua().encrypted(Path::new(""));
    let (mut plant, _line) = forgotten_during_an_outage(&recorded, ENCRYPTED);
    plant.gateway.logged(&["subscriptions were taken over", "kept=1", "of=1"]);
    plant.gateway.logged(&["the server has sent messages again that did not come"]);
    plant.flows();
    plant.nothing_is_missing();
}

#[test]
fn where_node_opcua_hands_nothing_over_all_is_made_anew_and_each_error_stays() {
    let (mut plant, _line) = forgotten_during_an_outage(&node_opcua(), NONE);
    plant.gateway.logged(&["subscriptions were taken over", "kept=0", "of=1", "BadUserAccessDenied"]);
    plant.flows();
    let ghost = plant.hmi.read(&["signal:plant/ghost"]);
    assert_eq!(ghost[0]["status"], "BadNodeIdUnknown", "{ghost:?}");
    plant.nothing_is_lost_silently();
}

/// It answers that the subscription was handed over, and sends what comes of it nowhere.
#[test]
fn a_subscription_that_asyncua_hands_over_dead_is_made_anew() {
    let (mut plant, _line) = forgotten_during_an_outage(&asyncua(), NONE);
    plant.gateway.logged(&["subscriptions were taken over", "kept=1", "of=1"]);
    plant.gateway.logged(&["subscriptions of which nothing has come are made anew", "dead=1"]);
    plant.flows();
    plant.nothing_is_lost_silently();
}

#[test]
fn a_server_that_numbers_its_namespaces_otherwise_after_a_restart_is_read_as_before() {
    let recorded = asyncua();
    let site = Site::new();
    site.configure(
        &(source("plant", &recorded.url(), &[]) + &signal_table(SIGNAL, "nsu=urn:watchfire:test:recording;s=a_feed")),
    );
    let mut server = recorded.start();
    let gateway = site.start();
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    server.set(SIGNAL, 1.0, 0.25, 0);
    wait_for("a value", || value(&mut hmi, NODE, 0.25));
    server.peer.process.kill();
    let mut server = recorded.clone().renumbered().start();
    gateway.logged(&["connection lost"]);
    server.set(SIGNAL, 2.0, 0.5, 0);
    wait_for("a value of another index", || value(&mut hmi, NODE, 0.5));
    gateway.stop();
}
