//! What operators do with alarms beside acknowledging them, from HMIs that are not ours.

use serde_json::{Value, json};

use crate::end_to_end::FIRST;
use crate::harness::gateway::{Gateway, Site, detector, source};
use crate::harness::hmi::{Hmi, KINDS, Kind, node_id};
use crate::harness::recording::{Recorded, RecordedServer};

const LEVEL: &str = "level/limit/plant/reactor_level";

/// A tank with an upper limit of 80.
struct Tank {
    server: RecordedServer,
    site: Site,
    seconds: f64,
}

impl Tank {
    fn with(rules: &str) -> Self {
        let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
        let site = Site::new();
        let limit = format!("[detector.alarm.limit]\n{rules}\n\n[detector.config]\nhigh = 80.0\ndeadband = 0.0");
        let level = detector("level", "limit", &["plant/reactor_level"], &limit);
        site.configure(&(source("plant", &recorded.url(), &["reactor_level"]) + &level));
        Self { server: recorded.start(), site, seconds: 0.0 }
    }

    fn fill(&mut self, level: f64) {
        self.seconds += 1.0;
        self.server.set("reactor_level", self.seconds, level, 0);
    }

    fn start(&self) -> (Gateway, Vec<Hmi>) {
        let gateway = self.site.start();
        let hmis = KINDS.into_iter().map(|kind| Hmi::connect(kind, &self.site.url())).collect();
        (gateway, hmis)
    }
}

fn all(hmis: &[Hmi], begins: &[usize], fits: impl Fn(&Value) -> bool) {
    for (hmi, begin) in hmis.iter().zip(begins) {
        hmi.event(*begin, LEVEL, &fits);
    }
}

/// Waits until both have been told that a field is as it should be.
fn told(hmis: &[Hmi], begins: &[usize], what: &str, field: &str, seen: &Value) {
    for (hmi, begin) in hmis.iter().zip(begins) {
        // asyncua's filter asks for no state machines: it sees whether the alarm is aside, not how.
        let aside = field == "shelving" && hmi.kind == Kind::Asyncua;
        let fits = |event: &Value| if aside { event["aside"] == (*seen != "Unshelved") } else { event[field] == *seen };
        hmi.event_where(*begin, what, |event| event["conditionId"] == node_id(LEVEL) && fits(event));
    }
}

fn marks(hmis: &[Hmi]) -> Vec<usize> {
    hmis.iter().map(Hmi::mark).collect()
}

fn why(text: &str) -> Value {
    json!(["LocalizedText", { "locale": "en", "text": text }])
}

#[test]
fn operators_put_alarms_aside_in_one_hmi_and_see_it_in_the_other() {
    let mut tank = Tank::with("latch = true\nmax_shelve_s = 60\nresponse = 'open the drain'");
    let (gateway, mut hmis) = tank.start();
    let mut begins = marks(&hmis);
    tank.fill(90.0);
    all(&hmis, &begins, |event| event["active"] == true && event["aside"] == false);
    let time = |ms: f64| json!(["Double", ms]);
    let steps: [(&str, Value, &str, Value); 12] = [
        ("ShelvingState/TimedShelve", json!([time(30_000.0)]), "shelving", "Timed Shelved".into()),
        ("ShelvingState/Unshelve", json!([]), "shelving", "Unshelved".into()),
        ("ShelvingState/TimedShelve2", json!([time(30_000.0), why("later")]), "comment", "later".into()),
        ("ShelvingState/OneShotShelve2", json!([why("known")]), "shelving", "One Shot Shelved".into()),
        ("ShelvingState/Unshelve2", json!([why("back")]), "shelving", "Unshelved".into()),
        ("Suppress", json!([]), "suppressed", true.into()),
        ("Unsuppress2", json!([why("enough")]), "suppressed", false.into()),
        ("RemoveFromService2", json!([why("repair")]), "outOfService", true.into()),
        ("PlaceInService", json!([]), "outOfService", false.into()),
        ("Silence", json!([]), "silenced", true.into()),
        ("Disable", json!([]), "enabled", false.into()),
        ("Enable", json!([]), "enabled", true.into()),
    ];
    for (at, (path, arguments, field, seen)) in steps.into_iter().enumerate() {
        begins = marks(&hmis);
        let hmi = &mut hmis[at % 2];
        let kind = hmi.kind;
        assert_eq!(hmi.method(LEVEL, path, arguments), "Good", "{path} by {kind:?}");
        told(&hmis, &begins, path, field, &seen);
    }
    let refusals: [(&str, Value, &str); 5] = [
        ("ShelvingState/TimedShelve", json!([time(60_001.0)]), "BadShelvingTimeOutOfRange"),
        ("ShelvingState/Unshelve", json!([]), "BadConditionNotShelved"),
        ("Reset", json!([]), "BadInvalidState"),
        ("Enable", json!([]), "BadConditionAlreadyEnabled"),
        ("Suppress2", json!([]), "BadArgumentsMissing"),
    ];
    for (path, arguments, status) in refusals {
        for hmi in &mut hmis {
            assert_eq!(hmi.method(LEVEL, path, arguments.clone()), status, "{path} by {:?}", hmi.kind);
        }
    }
    begins = marks(&hmis);
    tank.fill(70.0);
    let over = hmis[0].event(begins[0], LEVEL, |event| event["active"] == false);
    assert_eq!(hmis[0].call("acknowledge", LEVEL, over["event"].as_str().unwrap(), None), "Good");
    all(&hmis, &begins, |event| event["acked"] == true && event["retain"] == true);
    assert_eq!(hmis[1].method(LEVEL, "Reset2", json!([why("drained")])), "Good", "it was latched");
    all(&hmis, &begins, |event| event["retain"] == false && event["comment"] == "drained");
    gateway.stop();
}

#[test]
fn a_shelving_outlives_a_kill_and_ends_when_it_was_to_end() {
    let mut tank = Tank::with("severity = 700");
    let (gateway, mut hmis) = tank.start();
    tank.fill(90.0);
    all(&hmis, &[0, 0], |event| event["active"] == true);
    assert_eq!(hmis[0].method(LEVEL, "ShelvingState/TimedShelve", json!([["Double", 15_000.0]])), "Good");
    hmis[0].event(0, LEVEL, |event| event["aside"] == true);
    let mut lived = hmis[0].events(LEVEL);
    gateway.kill();
    let (gateway, mut hmis) = tank.start();
    // Only node-opcua's list asks for what stands as it connects.
    hmis[1].event(0, LEVEL, |event| event["active"] == true && event["shelving"] == "Timed Shelved");
    all(&hmis, &[0, 0], |event| event["aside"] == false);
    // asyncua does not ask for what stands: it was told each event once.
    lived.extend(hmis[0].events(LEVEL));
    let ids = |events: &[Value]| events.iter().map(|event| event["event"].clone()).collect::<Vec<_>>();
    for hmi in &mut hmis {
        for notifier in ["i=2253", &node_id("area:plant")] {
            let mut past = hmi.past(notifier, 0, 4_000_000_000_000);
            past.retain(|event| event["message"].to_string().contains("reactor_level"));
            assert_eq!(ids(&past), ids(&lived), "{:?}, {notifier}: {past:?}", hmi.kind);
        }
    }
    gateway.stop();
}

#[test]
fn what_does_not_last_raises_nothing_and_what_comes_again_is_a_branch() {
    let mut tank = Tank::with("on_delay_s = 3");
    let gateway = tank.site.start();
    let mut hmi = Hmi::connect(Kind::NodeOpcua, &tank.site.url());
    let node = "signal:plant/reactor_level";
    let mut filled = |hmi: &mut Hmi, level: f64| {
        tank.fill(level);
        crate::harness::wait_for(&format!("{level}"), || (hmi.read(&[node])[0]["value"] == level).then_some(()));
    };
    filled(&mut hmi, 90.0);
    filled(&mut hmi, 70.0);
    filled(&mut hmi, 91.0);
    let raised = hmi.event(0, LEVEL, |event| event["active"] == true);
    assert!(raised["message"].as_str().unwrap().contains("91"), "not the one that did not last: {raised}");
    assert_eq!(hmi.events(LEVEL).len(), 1);
    filled(&mut hmi, 70.0);
    hmi.event(0, LEVEL, |event| event["active"] == false);
    let begin = hmi.mark();
    filled(&mut hmi, 92.0);
    let again = hmi.event(begin, LEVEL, |event| event["active"] == true);
    let listed = hmi.refresh();
    let [branch] = &listed.iter().filter(|event| !event["branch"].is_null()).collect::<Vec<_>>()[..] else {
        panic!("{listed:?}")
    };
    assert_eq!((&branch["active"], &branch["acked"]), (&Value::from(false), &Value::from(false)));
    // The first event is of what is a branch now; acknowledging it leaves the alarm that stands as it is.
    assert_eq!(hmi.call("acknowledge", LEVEL, raised["event"].as_str().unwrap(), Some("the first")), "Good");
    assert_eq!(hmi.call("acknowledge", LEVEL, raised["event"].as_str().unwrap(), None), "BadEventIdUnknown");
    assert_eq!(hmi.call("acknowledge", LEVEL, again["event"].as_str().unwrap(), Some("the second")), "Good");
    gateway.stop();
}
