//! What a source's server gave while nobody listened is fetched from its own history: after a cut, a hang, a restart of
//! the server and a rest of the gateway, each value is recorded once, to the last bit and with its time.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use watchfire_model::Instant;

use crate::end_to_end::FIRST;
use crate::harness::gateway::{Gateway, Site, detector, signal_table, source};
use crate::harness::hmi::{Hmi, Kind};
use crate::harness::proxy::Proxy;
use crate::harness::recording::{Recorded, RecordedServer};
use crate::harness::wait_for;

const SIGNAL: &str = "a_feed";
/// Values given while nobody listens.
const MISSED: usize = 25;

/// A server with history, and a gateway that reads it over a line that can be cut.
struct Site1 {
    recorded: Recorded,
    server: RecordedServer,
    proxy: Proxy,
    site: Site,
    gateway: Option<Gateway>,
    seconds: f64,
    served: Vec<(i64, f64)>,
    _folder: TempDir,
}

/// Servers that keep history.
fn asyncua(folder: &Path) -> Recorded {
    Recorded::new("tep_normal.csv", Some(FIRST)).with_history(folder)
}

fn node_opcua(folder: &Path) -> Recorded {
    Recorded::by_node_opcua(&[SIGNAL], FIRST).with_history(folder)
}

fn open62541(folder: &Path) -> Recorded {
    Recorded::by_open62541(&[SIGNAL], FIRST).with_history(folder)
}

impl Site1 {
    fn begin(server: fn(&Path) -> Recorded) -> Self {
        Self::begin_with(server, "")
    }

    /// With detectors.
    fn begin_with(server: fn(&Path) -> Recorded, detectors: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let recorded = server(folder.path());
        let proxy = Proxy::to(recorded.port);
        let site = Site::new();
        let plant = source("plant", &format!("opc.tcp://127.0.0.1:{}/recorded", proxy.port), &[SIGNAL]);
        site.configure(&(plant + detectors));
        let server = recorded.start();
        let gateway = Some(site.start());
        let mut begun =
            Self { recorded, server, proxy, site, gateway, seconds: 0.0, served: Vec::new(), _folder: folder };
        begun.gateway.as_ref().unwrap().logged(&["watching", "plant"]);
        begun.give(3);
        begun.is_whole();
        begun
    }

    /// The server gets new values; some stay what they were.
    fn give(&mut self, count: usize) {
        for _ in 0..count {
            self.give_one(((self.seconds + 1.0) / 2.0).floor());
        }
    }

    /// The server gets this value.
    fn give_one(&mut self, value: f64) {
        self.seconds += 1.0;
        self.server.set(SIGNAL, self.seconds, value, 0);
        let served = self.server.served(SIGNAL);
        self.served.retain(|(time, _)| served.iter().all(|one| one.time_ns != *time));
        self.served.extend(served.iter().map(|one| (one.time_ns, one.value.as_f64().unwrap())));
    }

    /// Waits until what is recorded is what was served, each value once.
    fn is_whole(&self) {
        wait_for("all that was served to be recorded once", || {
            let recorded = recorded(&self.site, "plant/a_feed");
            let values: Vec<_> = recorded.iter().map(|(time, value, _)| (*time, *value)).collect();
            assert!(values.len() <= self.served.len(), "more than was served: {recorded:?}");
            (values == self.served).then_some(())
        });
    }

    /// How many values came late.
    fn late(&self) -> usize {
        recorded(&self.site, "plant/a_feed").iter().filter(|(_, _, marks)| marks.contains("late")).count()
    }

    /// `watchfire history gaps` lists gaps of these causes, all of them filled.
    fn lists_gaps(&self, causes: &[&str]) {
        let gaps = self.site.gaps("plant/*");
        let of_signal = gaps.iter().filter(|gap| gap["signal"] == "plant/a_feed");
        assert_eq!(of_signal.map(|gap| gap["cause"].as_str().unwrap()).collect::<Vec<_>>(), causes, "{gaps:?}");
        assert!(gaps.iter().all(|gap| gap["filled"] == true), "{gaps:?}");
        assert!(gaps.iter().all(|gap| gap["since"].as_str() < gap["until"].as_str()), "{gaps:?}");
    }

    fn filled(&self) {
        self.gateway.as_ref().unwrap().logged(&["gaps were filled from the server's history", "plant"]);
    }
}

/// Time, value and marks of all that is recorded of a signal.
fn recorded(site: &Site, signal: &str) -> Vec<(i64, f64, String)> {
    let output = site.run("history", &[signal, "--json", "--to", "2025-01-01"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let one: Value = serde_json::from_str(line).unwrap();
        let time = Instant::parse(one["source_time"].as_str().unwrap()).unwrap();
        (time.ns(), one["value"].as_f64().unwrap_or(f64::NAN), one["quality"].to_string())
    };
    text.lines().map(line).collect()
}

/// What happens to the line, and what mends it.
fn after_an_outage(server: fn(&Path) -> Recorded, begin: fn(&Proxy)) {
    let mut plant = Site1::begin(server);
    begin(&plant.proxy);
    plant.gateway.as_ref().unwrap().logged(&["WARN", "plant", "connection lost"]);
    plant.give(MISSED);
    plant.proxy.open();
    plant.give(2);
    plant.is_whole();
}

#[test]
fn what_asyncua_gave_during_a_cut_is_not_missed() {
    after_an_outage(asyncua, Proxy::cut);
}

#[test]
fn what_asyncua_gave_while_the_line_hung_is_not_missed() {
    after_an_outage(asyncua, Proxy::hang);
}

#[test]
fn what_node_opcua_gave_during_a_cut_is_not_missed() {
    after_an_outage(node_opcua, Proxy::cut);
}

#[test]
fn what_node_opcua_gave_while_the_line_hung_is_not_missed() {
    after_an_outage(node_opcua, Proxy::hang);
}

#[test]
fn what_open62541_gave_during_a_cut_is_not_missed() {
    after_an_outage(open62541, Proxy::cut);
}

#[test]
fn what_open62541_gave_while_the_line_hung_is_not_missed() {
    after_an_outage(open62541, Proxy::hang);
}

#[test]
fn what_was_too_high_while_the_line_was_cut_is_an_event_of_its_time() {
    let limit = detector("hot", "limit", &["plant/a_feed"], "[detector.config]\nhigh = 80.0\ndeadband = 0.0");
    let mut plant = Site1::begin_with(asyncua, &limit);
    let mut hmi = Hmi::connect(Kind::Asyncua, &plant.site.url());
    let begin = hmi.mark();
    let plain = json!([["Equals", [{ "field": "EventType" }, { "literal": ["NodeId", "i=2041"] }]]]);
    assert_eq!(hmi.peer.ask("listen", json!({ "name": "plain", "where": plain }))["result"], "Good");
    plant.proxy.cut();
    plant.gateway.as_ref().unwrap().logged(&["WARN", "plant", "connection lost"]);
    let mut high = Vec::new();
    for value in [90.0, 91.0, 10.0, 95.0, 11.0] {
        plant.give_one(value);
        high.push(plant.served.last().unwrap().0);
    }
    // What it has in its file alone is not sent afterwards.
    plant.server.peer.process.kill();
    plant.server = plant.recorded.start();
    plant.proxy.open();
    plant.give(2);
    plant.is_whole();
    let mut told = Vec::new();
    hmi.peer.unasked("to tell what was found later", begin, |said| {
        told.extend((said["via"] == "plain").then(|| said["event"].clone()));
        (told.len() == 2).then_some(())
    });
    assert!(hmi.events("hot/limit/plant/a_feed").is_empty(), "it is no alarm");
    let mut node = Hmi::connect(Kind::NodeOpcua, &plant.site.url());
    for hmi in [&mut hmi, &mut node] {
        let mut past = hmi.past_of("i=2041", "i=2253", 0, 4_000_000_000_000);
        past.retain(|event| event["message"].to_string().contains("found later"));
        let of = |events: &[Value]| events.iter().map(|event| event["event"].clone()).collect::<Vec<_>>();
        assert_eq!(of(&past), of(&told), "{past:?}");
        let at = |event: &Value| Instant::parse(event["time"].as_str().unwrap()).unwrap().ns();
        assert_eq!(past.iter().map(at).collect::<Vec<_>>(), [high[0], high[3]], "{past:?}");
    }
    plant.gateway.take().unwrap().stop();
}

/// The source's clock goes an hour forward in one outage, and back in another.
fn after_steps_of_the_clock(server: fn(&Path) -> Recorded) {
    let mut plant = Site1::begin(server);
    for step in [3600.0, -3600.0] {
        plant.proxy.cut();
        plant.gateway.as_ref().unwrap().logged(&["WARN", "plant", "connection lost"]);
        plant.give(3);
        plant.seconds += step;
        plant.give(3);
        plant.proxy.open();
        plant.give(2);
        plant.served.sort_by_key(|(time, _)| *time);
        plant.is_whole();
    }
}

#[test]
fn nothing_is_missing_nor_double_when_the_clock_of_asyncua_steps_by_an_hour() {
    after_steps_of_the_clock(asyncua);
}

#[test]
fn nothing_is_missing_nor_double_when_the_clock_of_node_opcua_steps_by_an_hour() {
    after_steps_of_the_clock(node_opcua);
}

#[test]
fn nothing_is_missing_nor_double_when_the_clock_of_open62541_steps_by_an_hour() {
    after_steps_of_the_clock(open62541);
}

/// The server has what it gave in a file, and does not send it again.
fn after_a_restart_of(server: fn(&Path) -> Recorded) {
    let mut plant = Site1::begin(server);
    plant.proxy.cut();
    plant.give(MISSED);
    plant.server.peer.process.kill();
    plant.server = plant.recorded.start();
    plant.proxy.open();
    plant.give(2);
    plant.is_whole();
    plant.filled();
}

#[test]
fn what_asyncua_gave_before_it_was_restarted_is_fetched_from_its_file() {
    after_a_restart_of(asyncua);
}

#[test]
fn what_node_opcua_gave_before_it_was_restarted_is_fetched_from_its_file() {
    after_a_restart_of(node_opcua);
}

#[test]
fn what_open62541_gave_before_it_was_restarted_is_fetched_from_its_file() {
    after_a_restart_of(open62541);
}

/// The gateway does not run for a while.
fn after_a_rest(server: fn(&Path) -> Recorded, end: fn(Gateway)) {
    let mut plant = Site1::begin(server);
    end(plant.gateway.take().unwrap());
    plant.give(MISSED);
    plant.gateway = Some(plant.site.start());
    plant.filled();
    plant.is_whole();
    plant.give(2);
    plant.is_whole();
    plant.lists_gaps(&["not-recorded"]);
    assert!((MISSED - 1..=MISSED + 1).contains(&plant.late()), "{} came late", plant.late());
    // And once more, with nothing missed: what stands is not recorded twice.
    end(plant.gateway.take().unwrap());
    plant.gateway = Some(plant.site.start());
    plant.gateway.as_ref().unwrap().logged(&["watching", "plant"]);
    plant.give(1);
    plant.is_whole();
}

#[test]
fn what_asyncua_gave_while_the_gateway_was_stopped_is_fetched() {
    after_a_rest(asyncua, Gateway::stop);
}

#[test]
fn what_node_opcua_gave_while_the_gateway_lay_killed_is_fetched() {
    after_a_rest(node_opcua, Gateway::kill);
}

#[test]
fn what_open62541_gave_while_the_gateway_lay_killed_is_fetched() {
    after_a_rest(open62541, Gateway::kill);
}

#[test]
fn what_was_not_fetched_yet_when_the_gateway_was_killed_again_is_fetched_all_the_same() {
    let mut plant = Site1::begin(asyncua);
    plant.gateway.take().unwrap().kill();
    plant.give(MISSED);
    let gateway = plant.site.start();
    gateway.logged(&["watching", "plant"]);
    // What comes live is durable, and its history has not been asked for.
    plant.give(1);
    let newest = plant.served.last().unwrap().0;
    wait_for("the newest value", || {
        recorded(&plant.site, "plant/a_feed").iter().any(|(time, ..)| *time == newest).then_some(())
    });
    gateway.kill();
    plant.gateway = Some(plant.site.start());
    plant.is_whole();
}

/// A gateway whose source is another one, which is the server.
fn above(url: &str) -> (Site, Gateway) {
    let above = Site::new();
    let head = source("below", url, &[]);
    above.configure(&(head + &signal_table("feed", "nsu=urn:watchfire:alarms;s=signal:plant/a_feed")));
    let gateway = above.start();
    gateway.logged(&["watching", "below"]);
    (above, gateway)
}

/// Values come through both.
fn through(above: &Site, plant: &mut Site1, count: usize) {
    plant.give(count);
    let last = plant.served.iter().map(|(time, _)| *time).max().unwrap();
    let has_come = || recorded(above, "below/feed").iter().any(|(time, _, _)| *time == last).then_some(());
    wait_for("the value to come through both", has_come);
}

/// All that was served since the one above began, with the value that stood then, is recorded there, each once; that there
/// was none for a while is no value.
fn is_whole_above(above: &Site, plant: &Site1) {
    wait_for("all of it to be recorded once", || {
        let mut values: Vec<_> = recorded(above, "below/feed").iter().map(|(time, value, _)| (*time, *value)).collect();
        values.retain(|(_, value)| !value.is_nan());
        assert!(values.len() <= plant.served.len(), "more than was served: {values:?}");
        (values == plant.served.get(2..).unwrap()).then_some(())
    });
}

#[test]
fn a_gateway_fetches_from_another_one_what_it_missed() {
    let mut plant = Site1::begin(asyncua);
    let (above, gateway) = above(&plant.site.url());
    through(&above, &mut plant, 2);
    gateway.kill();
    plant.give(MISSED);
    plant.is_whole();
    let gateway = above.start();
    gateway.logged(&["gaps were filled from the server's history", "below"]);
    through(&above, &mut plant, 2);
    is_whole_above(&above, &plant);
}

#[test]
fn what_a_gateway_fetched_later_of_its_own_source_is_fetched_by_the_one_above() {
    let mut plant = Site1::begin(asyncua);
    let (above, gateway) = above(&plant.site.url());
    through(&above, &mut plant, 2);
    plant.proxy.cut();
    plant.gateway.as_ref().unwrap().logged(&["WARN", "plant", "connection lost"]);
    plant.give(MISSED);
    // What it has in its file alone is not sent afterwards.
    plant.server.peer.process.kill();
    plant.server = plant.recorded.start();
    plant.proxy.open();
    plant.give(2);
    plant.is_whole();
    plant.filled();
    gateway.logged(&["the server has told later what had been out of its reach", "below"]);
    is_whole_above(&above, &plant);
    let late = recorded(&above, "below/feed").iter().filter(|(_, _, marks)| marks.contains("late")).count();
    assert!((MISSED - 1..=MISSED + 1).contains(&late), "{late} came late");
    gateway.stop();
    assert_eq!(above.gaps("below/*"), Vec::<Value>::new(), "it had told so, which is no gap");
}

#[test]
fn what_a_gateway_fetched_later_of_its_own_source_is_fetched_by_one_above_that_was_restarted_before_it_asked() {
    let mut plant = Site1::begin(asyncua);
    let (above, gateway) = above(&plant.site.url());
    through(&above, &mut plant, 2);
    plant.proxy.cut();
    plant.gateway.as_ref().unwrap().logged(&["WARN", "plant", "connection lost"]);
    plant.give(MISSED);
    plant.server.peer.process.kill();
    plant.server = plant.recorded.start();
    plant.proxy.open();
    // It knows that the source is back, and not yet what there was meanwhile.
    through(&above, &mut plant, 2);
    gateway.stop();
    plant.is_whole();
    plant.filled();
    let gateway = above.start();
    is_whole_above(&above, &plant);
    gateway.stop();
    assert_eq!(above.gaps("below/*"), Vec::<Value>::new(), "it had told so, which is no gap");
}

#[test]
fn a_gateway_gives_another_one_each_value() {
    let mut plant = Site1::begin(asyncua);
    let (above, gateway) = above(&plant.site.url());
    through(&above, &mut plant, 100);
    is_whole_above(&above, &plant);
    gateway.stop();
    assert_eq!(above.gaps("below/*"), Vec::<Value>::new());
}

/// What happens to the line between two gateways, and what mends it.
fn after_an_outage_between_gateways(begin: fn(&Proxy)) {
    let mut plant = Site1::begin(asyncua);
    let way = Proxy::to(plant.site.port);
    let (above, gateway) = above(&format!("opc.tcp://127.0.0.1:{}/", way.port));
    through(&above, &mut plant, 2);
    begin(&way);
    gateway.logged(&["WARN", "below", "connection lost"]);
    plant.give(MISSED);
    plant.is_whole();
    way.open();
    through(&above, &mut plant, 2);
    is_whole_above(&above, &plant);
}

#[test]
fn what_a_gateway_gave_during_a_cut_is_not_missed_by_another_one() {
    after_an_outage_between_gateways(Proxy::cut);
}

#[test]
fn what_a_gateway_gave_while_the_line_hung_is_not_missed_by_another_one() {
    after_an_outage_between_gateways(Proxy::hang);
}

#[test]
fn nothing_is_missing_nor_double_between_gateways_when_the_clock_of_the_source_steps_by_an_hour() {
    let mut plant = Site1::begin(asyncua);
    let way = Proxy::to(plant.site.port);
    let (above, gateway) = above(&format!("opc.tcp://127.0.0.1:{}/", way.port));
    through(&above, &mut plant, 2);
    for step in [3600.0, -3600.0] {
        way.cut();
        gateway.logged(&["WARN", "below", "connection lost"]);
        plant.give(3);
        plant.seconds += step;
        plant.give(3);
        plant.served.sort_by_key(|(time, _)| *time);
        plant.is_whole();
        way.open();
        plant.give(2);
        plant.served.sort_by_key(|(time, _)| *time);
        is_whole_above(&above, &plant);
    }
}

#[test]
fn what_a_gateway_recorded_before_it_was_restarted_is_fetched_by_another_one() {
    let mut plant = Site1::begin(asyncua);
    let way = Proxy::to(plant.site.port);
    let (above, gateway) = above(&format!("opc.tcp://127.0.0.1:{}/", way.port));
    through(&above, &mut plant, 2);
    way.cut();
    plant.give(MISSED);
    plant.is_whole();
    plant.gateway.take().unwrap().kill();
    plant.gateway = Some(plant.site.start());
    way.open();
    gateway.logged(&["gaps were filled from the server's history", "below"]);
    through(&above, &mut plant, 2);
    is_whole_above(&above, &plant);
}
