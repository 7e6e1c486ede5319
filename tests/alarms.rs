//! What operators do with alarms beside acknowledging them, from HMIs that are not ours.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::end_to_end::FIRST;
use crate::harness::gateway::{Gateway, Site, detector, source};
use crate::harness::hmi::{As, Hmi, KINDS, Kind, node_id};
use crate::harness::recording::{Recorded, RecordedServer};
use crate::security::hash;

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

/// The newest EventId of the alarm, as an argument.
fn newest(hmi: &Hmi) -> Value {
    json!(["ByteString", hmi.events(LEVEL).last().unwrap()["event"]])
}

#[test]
fn operators_put_alarms_aside_in_one_hmi_and_see_it_in_the_other() {
    let mut tank =
        Tank::with("latch = true\nconfirm = true\ngroup = 'tank'\nmax_shelve_s = 60\nresponse = 'open the drain'");
    let (gateway, mut hmis) = tank.start();
    let time = |ms: f64| json!(["Double", ms]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let in_an_hour = i64::try_from(now).unwrap() + 3_600_000;
    for at in 0..hmis.len() {
        let mut begins = marks(&hmis);
        tank.fill(90.0);
        all(&hmis, &begins, |event| event["active"] == true && event["aside"] == false);
        let seen = newest(&hmis[0]);
        let steps: [(&str, Value, &str, Value); 23] = [
            ("AddComment", json!([seen, why("looking")]), "comment", "looking".into()),
            ("2:Mark", json!([seen, ["Boolean", true], why("true")]), "comment", "true".into()),
            ("ShelvingState/TimedShelve", json!([time(30_000.0)]), "shelving", "TimedShelved".into()),
            ("ShelvingState/Unshelve", json!([]), "shelving", "Unshelved".into()),
            ("ShelvingState/TimedShelve2", json!([time(30_000.0), why("later")]), "comment", "later".into()),
            ("ShelvingState/OneShotShelve2", json!([why("known")]), "comment", "known".into()),
            ("ShelvingState/Unshelve2", json!([why("back")]), "shelving", "Unshelved".into()),
            ("ShelvingState/OneShotShelve", json!([]), "shelving", "OneShotShelved".into()),
            ("ShelvingState/Unshelve", json!([]), "shelving", "Unshelved".into()),
            ("Suppress", json!([]), "suppressed", true.into()),
            ("Unsuppress", json!([]), "suppressed", false.into()),
            ("Suppress2", json!([why("quiet")]), "comment", "quiet".into()),
            ("Unsuppress2", json!([why("enough")]), "suppressed", false.into()),
            ("RemoveFromService", json!([]), "outOfService", true.into()),
            ("PlaceInService2", json!([why("repaired")]), "outOfService", false.into()),
            ("RemoveFromService2", json!([why("repair")]), "outOfService", true.into()),
            ("PlaceInService", json!([]), "outOfService", false.into()),
            ("2:RemoveFromServiceFor", json!([time(3_600_000.0), why("seal")]), "comment", "seal".into()),
            ("PlaceInService", json!([]), "outOfService", false.into()),
            ("Silence", json!([]), "silenced", true.into()),
            ("Disable", json!([]), "enabled", false.into()),
            ("Enable", json!([]), "enabled", true.into()),
            ("Acknowledge", json!([seen, why("on my way")]), "acked", true.into()),
        ];
        for (path, arguments, field, told_is) in steps {
            begins = marks(&hmis);
            let hmi = &mut hmis[at];
            let kind = hmi.kind;
            assert_eq!(hmi.method(LEVEL, path, arguments), "Good", "{path} by {kind:?}");
            told(&hmis, &begins, path, field, &told_is);
        }
        let hmi = &mut hmis[at];
        let kind = hmi.kind;
        let planned = |ms: i64| json!([["DateTime", ms], time(1_000.0), why("")]);
        for (ms, status) in [(0, "BadOutOfRange"), (in_an_hour, "Good")] {
            assert_eq!(hmi.method(LEVEL, "2:PlanRemovalFromService", planned(ms)), status, "{kind:?}");
        }
        assert_eq!(hmi.method(LEVEL, "PlaceInService", json!([])), "Good", "{kind:?} takes it back");
        let listed = hmi.refreshed("refresh_item");
        let of_level: Vec<&Value> = listed.iter().filter(|event| event["conditionId"] == node_id(LEVEL)).collect();
        // What node-opcua shows late of the steps before comes in between.
        let listed = of_level.last().unwrap_or_else(|| panic!("{kind:?}: nothing is listed"));
        assert_eq!((&listed["acked"], &listed["confirmed"]), (&true.into(), &false.into()), "{kind:?}");
        let asked = json!({ "node": node_id(LEVEL), "path": "GetGroupMemberships", "arguments": [] });
        let groups = hmi.peer.ask("method", asked);
        assert_eq!(groups["outputs"], json!([node_id("group:tank")]), "{kind:?}: {groups}");
        assert_eq!(hmi.method(LEVEL, "Confirm", json!([seen, why("seen")])), "Good", "{kind:?}");
        all(&hmis, &begins, |event| event["confirmed"] == true && event["comment"] == "seen");
        let refusals: [(&str, Value, &str); 4] = [
            ("ShelvingState/TimedShelve", json!([time(60_001.0)]), "BadShelvingTimeOutOfRange"),
            ("Reset", json!([]), "BadInvalidState"),
            ("Suppress2", json!([]), "BadArgumentsMissing"),
            ("Acknowledge", json!([seen, why("")]), "BadConditionBranchAlreadyAcked"),
        ];
        for (path, arguments, status) in refusals {
            assert_eq!(hmis[at].method(LEVEL, path, arguments), status, "{path} by {kind:?}");
        }
        begins = marks(&hmis);
        tank.fill(70.0);
        all(&hmis, &begins, |event| event["active"] == false && event["retain"] == true);
        let (reset, arguments) = if at == 0 { ("Reset", json!([])) } else { ("Reset2", json!([why("drained")])) };
        assert_eq!(hmis[at].method(LEVEL, reset, arguments), "Good", "it was latched");
        all(&hmis, &begins, |event| event["retain"] == false);
    }
    gateway.stop();
}

/// What is called, on what, with what, and the result.
type Refusal<'a> = (&'a str, &'a str, Value, &'a str);

#[test]
fn every_result_code_reaches_hmis_of_two_libraries() {
    let [enable, disable, comment] = ["i=9027", "i=9028", "i=9029"];
    let [acknowledge, confirm] = ["i=9111", "i=9113"];
    let [unshelve, once, timed] = ["i=2947", "i=2948", "i=2949"];
    let mut tank = Tank::with("confirm = true\nmax_shelve_s = 60");
    let (gateway, mut hmis) = tank.start();
    let level = &node_id(LEVEL);
    let (area, nothing) = (&node_id("area:plant"), &node_id("no/such"));
    let (remove_for, mark) = (&node_id("method:RemoveFromServiceFor"), &node_id("method:Mark"));
    let time = |ms: f64| json!(["Double", ms]);
    let unknown = json!([["ByteString", "00112233"], why("seen")]);
    for at in 0..hmis.len() {
        let begins = marks(&hmis);
        tank.fill(90.0);
        all(&hmis, &begins, |event| event["active"] == true);
        let seen = newest(&hmis[at]);
        let good = json!([seen, why("seen")]);
        let long = "x".repeat(65_536);
        let cases: Vec<Refusal<'_>> = vec![
            (level, enable, json!([]), "BadConditionAlreadyEnabled"),
            (level, unshelve, json!([]), "BadConditionNotShelved"),
            (level, once, json!([]), "Good"),
            (level, once, json!([]), "BadConditionAlreadyShelved"),
            (level, unshelve, json!([]), "Good"),
            (level, timed, json!([time(0.0)]), "BadShelvingTimeOutOfRange"),
            (level, remove_for, json!([time(0.0), why("")]), "BadOutOfRange"),
            (level, disable, json!([]), "Good"),
            (level, disable, json!([]), "BadConditionAlreadyDisabled"),
            (level, acknowledge, good.clone(), "BadConditionDisabled"),
            (level, enable, json!([]), "Good"),
            (level, acknowledge, unknown.clone(), "BadEventIdUnknown"),
            (level, mark, json!([["ByteString", "00"], ["Boolean", false], why("")]), "BadEventIdUnknown"),
            (level, acknowledge, json!([]), "BadArgumentsMissing"),
            (level, enable, json!([time(1.0)]), "BadTooManyArguments"),
            (level, acknowledge, json!([time(1.0), why("seen")]), "BadInvalidArgument"),
            (level, comment, json!([seen, why(&long)]), "BadInvalidArgument"),
            ("i=2915", acknowledge, good.clone(), "BadNodeIdInvalid"),
            (area, acknowledge, good.clone(), "BadMethodInvalid"),
            ("i=2253", disable, json!([]), "BadMethodInvalid"),
            (nothing, acknowledge, good.clone(), "BadNodeIdUnknown"),
            (level, "i=3875", json!([["UInt32", 1]]), "BadMethodInvalid"),
            (level, acknowledge, good.clone(), "Good"),
            (level, acknowledge, good.clone(), "BadConditionBranchAlreadyAcked"),
            (level, confirm, good.clone(), "Good"),
            (level, confirm, good.clone(), "BadConditionBranchAlreadyConfirmed"),
        ];
        for (node, method, arguments, status) in cases {
            let kind = hmis[at].kind;
            assert_eq!(hmis[at].invoke(node, method, arguments), status, "{method} on {node} by {kind:?}");
        }
        all(&hmis, &begins, |event| event["acked"] == true && event["confirmed"] == true);
        refreshes_that_are_refused(&mut hmis, at);
        let begins = marks(&hmis);
        tank.fill(70.0);
        all(&hmis, &begins, |event| event["retain"] == false);
    }
    // Bytes that are no text: the request means nothing, and the session goes on.
    let no_text = json!([["ByteString", "00"], ["LocalizedText", { "locale": "en", "hex": "c328" }]]);
    assert_eq!(hmis[0].invoke(level, comment, no_text), "BadDecodingError");
    assert_eq!(hmis[0].invoke(level, enable, json!([])), "BadConditionAlreadyEnabled");
    gateway.logged(&["a request was refused", "a message that cannot be read from 127.0.0.1", "BadDecodingError"]);
    for status in ["BadConditionAlreadyEnabled", "BadNodeIdInvalid", "BadRefreshInProgress"] {
        gateway.logged(&["a request was refused", "anonymous", status]);
    }
    gateway.stop();
}

/// While one alarm is retained.
fn refreshes_that_are_refused(hmis: &mut [Hmi], at: usize) {
    let (other, kind) = (hmis[1 - at].peer.ask("subscriptions", json!({})), hmis[at].kind);
    let own = hmis[at].peer.ask("subscriptions", json!({}));
    let silent = hmis[at].peer.ask("silent", json!({}));
    let cases = [
        ("refresh", json!({ "subscription": 987_654 }), "BadSubscriptionIdInvalid"),
        ("refresh", json!({ "subscription": other["alarms"] }), "BadUserAccessDenied"),
        ("refresh", json!({ "subscription": own["values"] }), "BadNothingToDo"),
        ("refresh", json!({ "subscription": silent["subscription"] }), "Good"),
        ("refresh", json!({ "subscription": silent["subscription"] }), "BadRefreshInProgress"),
        ("refresh_item", json!({ "item": 987_654 }), "BadMonitoredItemIdInvalid"),
        ("refresh_item", json!({ "subscription": other["alarms"], "item": other["item"] }), "BadUserAccessDenied"),
    ];
    for (how, with, status) in cases {
        assert_eq!(hmis[at].peer.ask(how, with.clone())["result"], status, "{how} {with} by {kind:?}");
    }
}

/// Filters of asyncua with every operator that there is: what each lets through of two alarms, `level` of severity 700,
/// which is exclusive, and `warm` of 300, which is not.
fn filters() -> Vec<(&'static str, Value, &'static str)> {
    let severity = || json!({ "field": "Severity" });
    let name = || json!({ "field": "ConditionName" });
    let number = |value: u16| json!({ "literal": ["UInt16", value] });
    let text = |value: &str| json!({ "literal": ["String", value] });
    let element = |at: u32| json!({ "element": at });
    let node = |id: &str| json!({ "literal": ["NodeId", id] });
    vec![
        ("Equals", json!([["Equals", [severity(), number(700)]]]), "level"),
        ("Not", json!([["Not", [element(1)]], ["Equals", [severity(), number(700)]]]), "warm"),
        ("GreaterThan", json!([["GreaterThan", [severity(), number(300)]]]), "level"),
        ("LessThan", json!([["LessThan", [severity(), number(700)]]]), "warm"),
        ("GreaterThanOrEqual", json!([["GreaterThanOrEqual", [severity(), number(700)]]]), "level"),
        ("LessThanOrEqual", json!([["LessThanOrEqual", [severity(), number(300)]]]), "warm"),
        ("Like", json!([["Like", [name(), text("l[ae]v_l/%")]]]), "level"),
        ("Between", json!([["Between", [severity(), number(200), number(400)]]]), "warm"),
        ("InList", json!([["InList", [name(), text("other"), text("warm/limit")]]]), "warm"),
        (
            "And",
            json!([
                ["And", [element(1), element(2)]],
                ["GreaterThan", [severity(), number(1)]],
                ["LessThan", [severity(), number(500)]],
            ]),
            "warm",
        ),
        (
            "Or",
            json!([
                ["Or", [element(1), element(2)]],
                ["Equals", [severity(), number(1)]],
                ["Equals", [severity(), number(700)]],
            ]),
            "level",
        ),
        (
            "IsNull",
            json!([
                ["And", [element(1), element(2)]],
                ["IsNull", [{ "field": "HighHighLimit" }]],
                ["Equals", [severity(), number(300)]],
            ]),
            "warm",
        ),
        (
            "Cast",
            json!([
                ["GreaterThan", [element(1), { "literal": ["Double", 300.5] }]],
                ["Cast", [severity(), node("i=11")]],
            ]),
            "level",
        ),
        (
            "BitwiseAnd",
            json!([["Equals", [element(1), number(512)]], ["BitwiseAnd", [severity(), number(512)]]]),
            "level",
        ),
        ("BitwiseOr", json!([["Equals", [element(1), number(301)]], ["BitwiseOr", [severity(), number(1)]]]), "warm"),
        ("OfType", json!([["OfType", [node("i=10060")]]]), "warm"),
    ]
}

#[test]
fn filters_of_every_operator_and_open62541_as_a_listener() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let limit = |name: &str, rules: &str, high: f64| {
        let rest = format!("[detector.alarm.limit]\n{rules}\n\n[detector.config]\nhigh = {high:?}\ndeadband = 0.0");
        detector(name, "limit", &["plant/reactor_level"], &rest)
    };
    let detectors = limit("level", "severity = 700", 80.0) + &limit("warm", "severity = 300\nexclusive = false", 60.0);
    site.configure(&(source("plant", &recorded.url(), &["reactor_level"]) + &detectors));
    let mut tank = Tank { server: recorded.start(), site, seconds: 0.0 };
    let gateway = tank.site.start();
    gateway.logged(&["watching", "plant"]);
    for name in ["level", "warm"] {
        gateway.logged(&["detector started", name]);
    }
    let mut open62541 = Hmi::connect(Kind::Open62541, &tank.site.url());
    let mut hmi = Hmi::connect(Kind::Asyncua, &tank.site.url());
    for (name, filter, _) in filters() {
        let answer = hmi.peer.ask("listen", json!({ "name": name, "where": filter }));
        assert_eq!(answer["result"], "Good", "{name}");
    }
    for level in [70.0, 90.0, 50.0] {
        tank.fill(level);
    }
    for (name, _, passes) in filters() {
        let condition = format!("{passes}/limit");
        // The first event and the last, with nothing of the other in between.
        let mut told = Vec::new();
        hmi.peer.unasked(&format!("to tell what {name} lets through"), 0, |said| {
            told.extend((said["via"] == name).then(|| said["event"]["conditionName"].clone()));
            (told.len() == 2).then_some(())
        });
        assert_eq!(told, [condition.as_str(), &condition], "{name}");
    }
    let raised = open62541.event(0, LEVEL, |event| event["active"] == true);
    open62541.event(0, LEVEL, |event| event["active"] == false);
    let listed = open62541.refresh();
    let retained = |event: &&Value| event["conditionId"] == node_id(LEVEL) && event["retain"] == true;
    assert_eq!(listed.iter().filter(retained).count(), 1, "{listed:?}");
    let seen = json!([["ByteString", raised["event"]], why("seen")]);
    assert_eq!(open62541.invoke(&node_id(LEVEL), "i=9111", seen.clone()), "Good");
    let gone = open62541.event(0, LEVEL, |event| event["acked"] == true);
    assert_eq!((&gone["retain"], &gone["user"]), (&false.into(), &"anonymous".into()));
    assert_eq!(open62541.invoke(&node_id(LEVEL), "i=9111", seen), "BadConditionBranchAlreadyAcked");
    gateway.stop();
}

#[test]
fn a_shelving_outlives_a_kill_and_ends_when_it_was_to_end() {
    let mut tank = Tank::with("severity = 700");
    let (gateway, mut hmis) = tank.start();
    tank.fill(90.0);
    all(&hmis, &[0, 0], |event| event["active"] == true);
    // Longer than a start and two HMIs take on a machine with much else to do.
    assert_eq!(hmis[0].method(LEVEL, "ShelvingState/TimedShelve", json!([["Double", 60_000.0]])), "Good");
    hmis[0].event(0, LEVEL, |event| event["aside"] == true);
    let mut lived = hmis[0].events(LEVEL);
    gateway.kill();
    let (gateway, mut hmis) = tank.start();
    // Only node-opcua's list asks for what stands as it connects.
    hmis[1].event(0, LEVEL, |event| event["active"] == true && event["shelving"] == "TimedShelved");
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
    gateway.logged(&["watching", "plant"]);
    gateway.logged(&["detector started", "level"]);
    // One after the other, whoever is slow to show them: the first does not last.
    tank.fill(90.0);
    tank.fill(70.0);
    let mut filled = |hmi: &mut Hmi, level: f64| {
        tank.fill(level);
        crate::harness::wait_for(&format!("{level}"), || (hmi.read(&[node])[0]["value"] == level).then_some(()));
    };
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
    assert_eq!(
        hmi.call("acknowledge", LEVEL, raised["event"].as_str().unwrap(), None),
        "BadConditionBranchAlreadyAcked"
    );
    assert_eq!(hmi.call("acknowledge", LEVEL, again["event"].as_str().unwrap(), Some("the second")), "Good");
    gateway.stop();
}

#[test]
fn findings_that_are_no_alarms_are_read_back_as_they_were_seen() {
    let mut tank = Tank::with("response = \"\"");
    let (gateway, mut hmis) = tank.start();
    gateway.logged(&["watching", "plant"]);
    gateway.logged(&["detector started", "level"]);
    let plain = json!([["Equals", [{ "field": "EventType" }, { "literal": ["NodeId", "i=2041"] }]]]);
    assert_eq!(hmis[0].peer.ask("listen", json!({ "name": "plain", "where": plain }))["result"], "Good");
    for level in [90.0, 50.0, 91.0] {
        tank.fill(level);
    }
    let mut seen = Vec::new();
    hmis[0].peer.unasked("to tell what was found", 0, |said| {
        seen.extend((said["via"] == "plain").then(|| said["event"].clone()));
        (seen.len() == 2).then_some(())
    });
    assert!(hmis[0].events(LEVEL).is_empty(), "it is no alarm");
    gateway.kill();
    let (gateway, mut hmis) = tank.start();
    for hmi in &mut hmis {
        for notifier in ["i=2253", &node_id("area:plant")] {
            let mut past = hmi.past_of("i=2041", notifier, 0, 4_000_000_000_000);
            past.retain(|event| event["message"].to_string().contains("high limit of 80"));
            let of = |events: &[Value]| -> Vec<[Value; 2]> {
                events.iter().map(|event| ["event", "message"].map(|field| event[field].clone())).collect()
            };
            assert_eq!(of(&past), of(&seen), "{:?}, {notifier}: {past:?}", hmi.kind);
        }
        assert_eq!(hmi.past("i=2253", 0, 4_000_000_000_000), Vec::<Value>::new(), "no alarm was told");
    }
    gateway.stop();
}

#[test]
fn operators_at_the_same_time_are_told_each_in_their_own_language() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let texts = "text;de\n{1} is above the high limit of {2};{1} liegt über der oberen Grenze {2}\n\
                 Unacknowledged;Nicht quittiert\nUnshelved;Frei\nopen the drain;den Ablass öffnen\n";
    std::fs::write(site.folder().join("texts.csv"), texts).unwrap();
    let hash = hash("correct horse");
    let user = |name: &str, locale: &str| {
        format!("[[server.user]]\nname = \"{name}\"\npassword_hash = \"{hash}\"\nrole = \"operate\"\n{locale}\n\n")
    };
    let limit =
        "[detector.alarm.limit]\nresponse = \"open the drain\"\n\n[detector.config]\nhigh = 80.0\ndeadband = 0.0";
    let rest = user("ann", "locale = \"de-DE\"")
        + &user("bob", "")
        + &source("plant", &recorded.url(), &["reactor_level"])
        + &detector("level", "limit", &["plant/reactor_level"], limit);
    site.configure_with("security = [\"none\"]\nanonymous = \"none\"", &rest);
    let config = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), config.replace("[gateway]\n", "[gateway]\ntexts_csv = \"texts.csv\"\n")).unwrap();
    let mut tank = Tank { server: recorded.start(), site, seconds: 0.0 };
    let gateway = tank.site.start();
    gateway.logged(&["detector started", "level"]);
    let who = |kind: Kind, name: &'static str| {
        let who = As { user: Some((name, "correct horse")), pki: None };
        (name, Hmi::connect_as(kind, &tank.site.url(), who).unwrap())
    };
    let mut hmis: Vec<_> = KINDS.into_iter().flat_map(|kind| [who(kind, "ann"), who(kind, "bob")]).collect();
    tank.fill(90.0);
    let said = |name: &str| match name {
        "ann" => ("90 liegt über der oberen Grenze 80", "Nicht quittiert", "den Ablass öffnen"),
        _ => ("90 is above the high limit of 80", "Unacknowledged", "open the drain"),
    };
    for (name, hmi) in &mut hmis {
        let (message, acked, response) = said(name);
        let starts = |event: &Value| event["message"].as_str().is_some_and(|told| told.starts_with(message));
        hmi.event(0, LEVEL, |event| event["active"] == true && starts(event));
        let refreshed = hmi.refresh();
        assert!(refreshed.iter().any(|event| event["conditionId"] == node_id(LEVEL) && starts(event)), "{refreshed:?}");
        let read = hmi.read(&[&format!("{LEVEL}#AckedState"), &format!("{LEVEL}#Response")]);
        assert!(read[0].to_string().contains(acked) && read[1].to_string().contains(response), "{name}: {read:?}");
    }
    // What scripts go by at the terminal is the same in every language.
    let password = tank.site.folder().join("password");
    std::fs::write(&password, "correct horse\n").unwrap();
    let login = ["list", "--user", "ann", "--password-file", password.to_str().unwrap()];
    let listed = String::from_utf8(tank.site.run("alarms", &login).stdout).unwrap();
    assert!(listed.contains(&format!("active, unacknowledged  {LEVEL}  90 liegt über")), "{listed}");
    gateway.stop();
}
