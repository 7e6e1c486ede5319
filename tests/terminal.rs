//! The alarm list at a terminal: an HMI like any other, with the rights of whoever logs in.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::end_to_end::FIRST;
use crate::harness::gateway::{PROGRAM, Site, detector, source};
use crate::harness::recording::Recorded;
use crate::security::hash;

const LEVEL: &str = "level/limit/plant/reactor_level";

fn said(output: &Output) -> (bool, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn whoever_reads_no_further_is_told_nothing_of_it() {
    let site = Site::new();
    site.configure(&source("plant", "opc.tcp://127.0.0.1:4", &["reactor_level"]));
    let mut command = site.command("check");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(141), ""));
}

/// As `ann`, who may look, or `bob`, who operates, or nobody in particular.
fn alarms(site: &Site, user: Option<&str>, words: &[&str]) -> (bool, String) {
    let file = site.folder().join("password");
    std::fs::write(&file, "correct horse\n").unwrap();
    let file = file.display().to_string();
    let login = user.map_or_else(Vec::new, |user| vec!["--user", user, "--password-file", &file]);
    said(&site.run("alarms", &[words, &login].concat()))
}

#[test]
fn whoever_sits_at_a_terminal_sees_the_alarms_and_deals_with_them_as_far_as_may_be() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let hash = hash("correct horse");
    let user = |name: &str, role: &str| {
        format!("[[server.user]]\nname = \"{name}\"\npassword_hash = \"{hash}\"\nrole = \"{role}\"\n\n")
    };
    let limit = "[detector.alarm.limit]\nseverity = 700\nresponse = \"open the drain\"\nmax_shelve_s = 3600\n\n\
                 [detector.config]\nhigh = 80.0\ndeadband = 0.0";
    let alone = user("ann", "view") + &user("bob", "operate") + &source("plant", &recorded.url(), &["reactor_level"]);
    let server = "security = [\"basic256sha256\"]\nanonymous = \"view\"";
    site.configure_with(server, &(alone.clone() + &detector("level", "limit", &["plant/reactor_level"], limit)));
    let (fine, told) = alarms(&site, None, &["list"]);
    assert!(!fine && told.contains("certificate"), "{told}");

    let mut plant = recorded.start();
    let gateway = site.start();
    gateway.logged(&["detector started", "level"]);
    plant.set("reactor_level", 1.0, 70.0, 0);
    assert_eq!(alarms(&site, None, &["list"]), (true, "no alarm stands or waits for anybody\n".to_owned()));
    plant.set("reactor_level", 2.0, 90.0, 0);
    crate::harness::wait_for("the alarm at the terminal", || {
        let (fine, told) = alarms(&site, Some("ann"), &["list"]);
        assert!(fine, "{told}");
        (told.contains("700  active, unacknowledged  level/limit/plant/reactor_level  90 is above")).then_some(())
    });
    let (_, shown) = alarms(&site, None, &["show", LEVEL]);
    for part in ["plant/reactor_level", "90 is above the high limit of 80", "open the drain", "Unacknowledged"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    let refused = alarms(&site, Some("ann"), &["ack", LEVEL]);
    assert!(!refused.0 && refused.1.contains("this user may not; log in as another with `--user`"), "{}", refused.1);
    let wrong = said(&site.run("alarms", &["list", "--user", "eve", "--password-file", "/dev/null"]));
    assert!(!wrong.0 && wrong.1.contains("password file"), "{}", wrong.1);
    let eve = alarms(&site, Some("eve"), &["list"]);
    assert!(!eve.0 && eve.1.contains("does not let in user `eve`"), "{}", eve.1);

    let (_, listed) = alarms(&site, None, &["list", "--json"]);
    let listed: Value = serde_json::from_str(listed.trim()).unwrap();
    assert_eq!((&listed["condition"], &listed["severity"]), (&LEVEL.into(), &700.into()));
    let event = listed["event"].as_str().unwrap().to_owned();
    let seen = alarms(&site, Some("bob"), &["ack", LEVEL, "--event", &event, "-m", "on my way"]);
    assert_eq!(seen, (true, format!("{LEVEL}: acknowledged\n")));
    let again = alarms(&site, Some("bob"), &["ack", LEVEL]);
    assert!(!again.0 && again.1.contains("it is acknowledged already"), "{}", again.1);
    let nothing = alarms(&site, Some("bob"), &["ack", "level/limit/plant/none"]);
    assert!(!nothing.0 && nothing.1.contains("there is no condition `level/limit/plant/none`"), "{}", nothing.1);

    let long = alarms(&site, Some("bob"), &["shelve", LEVEL, "--for", "2h"]);
    assert!(!long.0 && long.1.contains("longer than it may be shelved"), "{}", long.1);
    assert!(alarms(&site, Some("bob"), &["shelve", LEVEL, "--for", "30m", "-m", "drain is open"]).0);
    let (_, listed) = alarms(&site, None, &["list"]);
    assert!(listed.contains("active, timed shelved") && listed.contains("[bob: drain is open]"), "{listed}");
    assert!(alarms(&site, Some("bob"), &["unshelve", LEVEL]).0);

    let (_, past) = alarms(&site, None, &["history", "level/*"]);
    let lines: Vec<&str> = past.lines().collect();
    assert_eq!(lines.len(), 4, "{past}");
    for (line, part) in lines.iter().zip(["active  level", "timed shelved", "[bob: on my way]", "unacknowledged"]) {
        assert!(line.contains(part), "newest first, `{part}`: {past}");
    }
    let marked = alarms(&site, Some("bob"), &["mark", LEVEL, "false", "-m", "foam on the gauge"]);
    assert_eq!(marked, (true, format!("{LEVEL}: marked as false\n")));
    assert!(!alarms(&site, Some("ann"), &["mark", LEVEL, "true"]).0, "ann may look");
    let (fine, figures) = alarms(&site, None, &["metrics"]);
    assert!(fine && figures.contains("plant\n") && figures.contains("AlarmCount"), "{figures}");
    let of_detector = figures.split("detector level\n").nth(1).unwrap();
    let of_detector: Vec<&str> = of_detector.split_whitespace().take(6).collect();
    assert_eq!(of_detector, ["AlarmsIn30Days", "1", "MarkedTrue30Days", "0", "MarkedFalse30Days", "1"]);
    let nowhere = alarms(&site, None, &["metrics", "nowhere"]);
    assert!(!nowhere.0 && nowhere.1.contains("there is no console or area `nowhere`"), "{}", nowhere.1);
    assert!(!alarms(&site, Some("ann"), &["shelve", LEVEL, "--for", "5m"]).0);
    let told = alarms(&site, None, &["history"]);
    gateway.stop();

    // Without its detector the alarm ends in words; what it told stays on record, and what was counted counted.
    site.configure_with(server, &alone);
    let gateway = site.start();
    let (is_there, shown) = alarms(&site, None, &["show", LEVEL]);
    let (_, now) = alarms(&site, None, &["history"]);
    assert!(is_there && shown.contains("its detector was taken out of the configuration"), "{shown}\n{now}");
    assert!(told.1.contains("foam on the gauge") && now.ends_with(&told.1), "{now}");
    let (_, figures) = alarms(&site, None, &["metrics", "plant"]);
    let words: Vec<&str> = figures.split_whitespace().collect();
    assert!(words.windows(2).any(|pair| pair == ["UnauthorizedSuppressions", "1"]), "{figures}");
    gateway.stop();
}

/// The exit code and what was said.
fn status(site: &Site, words: &[&str]) -> (i32, String) {
    let output = site.run("status", words);
    (output.status.code().unwrap(), said(&output).1)
}

#[test]
fn on_one_screen_stands_how_the_gateway_is_and_what_needs_a_person() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let limit = "[detector.alarm.limit]\nseverity = 700\nresponse = \"open the drain\"\n\n\
                 [detector.config]\nhigh = 80.0\ndeadband = 0.0";
    let console = "[[console]]\nname = \"east\"\nareas = [\"plant\"]\n\n";
    let rest = console.to_owned()
        + &source("plant", &recorded.url(), &["reactor_level"])
        + &detector("level", "limit", &["plant/reactor_level"], limit);
    site.configure(&rest);
    let (code, told) = status(&site, &[]);
    assert!(code == 1 && told.contains("no gateway runs on `"), "{code} {told}");

    let mut plant = recorded.start();
    let gateway = site.start();
    gateway.logged(&["detector started", "level"]);
    plant.set("reactor_level", 1.0, 70.0, 0);
    crate::harness::wait_for("all to be well", || {
        let (code, told) = status(&site, &[]);
        (code == 0 && told.contains("1 of 1 signals seen") && told.contains("live, watching")).then(|| {
            for part in ["all is well", "connected since ", "last value ", "FIGURES of console east", "GiB free"] {
                assert!(told.contains(part), "{part}: {told}");
            }
        })
    });
    plant.set("reactor_level", 2.0, 90.0, 0);
    let needed =
        "! alarm `level/limit/plant/reactor_level` (700) stands, unacknowledged: 90 is above the high limit of 80";
    crate::harness::wait_for("the alarm to need a person", || {
        let (code, told) = status(&site, &[]);
        (code == 3).then(|| assert!(told.contains(needed), "{told}"))
    });
    let (code, told) = status(&site, &["--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let (source, detector, figures) = (&told["sources"][0], &told["detectors"][0], &told["figures"][0]);
    assert_eq!((code, &told["gateway"], &source["connected"]), (3, &"test gateway".into(), &true.into()));
    assert_eq!(
        (&detector["mode"], &detector["plugin"], &detector["failures"]),
        (&"live".into(), &"limit".into(), &0.into())
    );
    assert!(detector["digest"].as_str().unwrap().starts_with("sha256:"), "{detector}");
    let mut terms = source["terms"].as_array().unwrap().iter();
    for (what, of) in [("keep_alive_count", 1), ("lifetime_count", 1), ("sampling_interval_ms", 1), ("queue_size", 1)] {
        let fits = |term: &&Value| term["what"] == what && term["of"] == of && term["most"].as_f64() > Some(0.0);
        assert!(terms.any(|term| fits(&term)), "{what}: {source}");
    }
    assert_eq!(told["alarms"]["active"], serde_json::json!({"high": 1, "medium": 0, "low": 0}));
    assert_eq!((&figures["of"], &figures["figures"][0]["value"]), (&"console east".into(), &1.0.into()));
    assert!(told["history"]["bytes"].as_u64().unwrap() > 0 && told["history"]["free_bytes"].as_u64().unwrap() > 0);
    let (fine, figures) = alarms(&site, None, &["metrics", "east"]);
    assert!(fine && figures.starts_with("console east\n") && !figures.contains("detector"), "{figures}");
    let (_, figures) = alarms(&site, None, &["metrics"]);
    assert!(figures.starts_with("console east\n") && figures.contains("\nplant\n"), "{figures}");

    // Whom alarms are counted for, and in which words they are told, changes with the next start.
    std::fs::write(site.folder().join("texts.csv"), "text;de\nActive;Aktiv\n").unwrap();
    let config = std::fs::read_to_string(site.config()).unwrap();
    let changed = config.replace("[\"plant\"]", "[\"plant\", \"test gateway\"]");
    std::fs::write(site.config(), changed.replace("[gateway]\n", "[gateway]\ntexts_csv = \"texts.csv\"\n")).unwrap();
    let (_, would) = said(&site.run("reload", &["--dry-run"]));
    for line in ["[[console]]: other consoles need a restart", "[gateway] texts_csv: other texts need a restart"] {
        assert!(would.contains(line), "{would}");
    }
    std::fs::write(site.config(), config).unwrap();

    drop(plant);
    crate::harness::wait_for("the source to be lost", || {
        let (code, told) = status(&site, &[]);
        assert_eq!(code, 3, "{told}");
        (told.contains("! source `plant` is lost: ") && told.contains("LOST since ")).then_some(())
    });
    gateway.stop();
}

#[test]
fn what_is_out_of_service_for_longer_than_was_stated_is_an_alarm_also_after_a_restart() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let hash = hash("correct horse");
    let rest = format!("[[server.user]]\nname = \"sue\"\npassword_hash = \"{hash}\"\nrole = \"supervisor\"\n\n")
        + &source("plant", &recorded.url(), &["reactor_level"])
        + &detector("level", "limit", &["plant/reactor_level"], "[detector.config]\nhigh = 80.0\ndeadband = 0.0");
    site.configure_with("security = [\"basic256sha256\"]\nanonymous = \"view\"", &rest);
    let _server = recorded.start();
    let gateway = site.start();
    gateway.logged(&["detector started", "level"]);
    let sue = |words: &[&str]| alarms(&site, Some("sue"), words);
    let ahead = sue(&["out-of-service", LEVEL, "--from", "2200-01-01", "--for", "8h"]);
    assert!(!ahead.0 && ahead.1.contains("longer than a year"), "{}", ahead.1);
    assert!(!sue(&["out-of-service", LEVEL, "--from", "2030-01-01"]).0, "an end is needed");
    let out = sue(&["out-of-service", LEVEL, "--for", "1s", "-m", "new level gauge"]);
    assert_eq!(out, (true, format!("{LEVEL}: out of service\n")));
    let reminder = "400  active, unacknowledged  gateway/maintenance/level  out of service for longer than was stated: \
                    level/limit/plant/reactor_level (until ";
    let reminded = || alarms(&site, None, &["list"]).1.contains(reminder).then_some(());
    crate::harness::wait_for("the reminder", reminded);
    let shown = alarms(&site, None, &["show", LEVEL]).1;
    assert!(shown.contains("Out of Service") && shown.contains("OutOfServiceUntil"), "it does not return: {shown}");
    gateway.stop();

    let gateway = site.start();
    crate::harness::wait_for("the reminder after a restart", reminded);
    assert!(sue(&["ack", "gateway/maintenance/level", "-m", "I ask"]).0);
    assert!(sue(&["in-service", LEVEL]).0);
    crate::harness::wait_for("its end", || {
        alarms(&site, None, &["list"]).1.contains("no alarm stands or waits").then_some(())
    });
    gateway.stop();
}

#[test]
fn what_was_settled_in_a_table_is_what_the_operator_reads() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let at = |name: &str| site.folder().join(name);
    let limit = "[detector.alarm.limit]\nseverity = 400\n\n[detector.config]\nhigh = 80.0\ndeadband = 0.0";
    site.configure(
        &(source("plant", &recorded.url(), &["reactor_level", "reactor_pressure"])
            + &detector("level", "limit", &["plant/*"], limit)),
    );
    let all = at("all.csv").display().to_string();
    let (fine, told) = alarms(&site, None, &["export", &all]);
    assert!(fine && told.contains("2 conditions"), "{told}");
    let table = std::fs::read_to_string(&all).unwrap();
    let first = table.lines().nth(1).unwrap();
    assert!(first.starts_with("level/limit/plant/reactor_level,") && first.contains(",400,process,"), "{table}");
    assert!(!alarms(&site, None, &["export", &all]).0, "what is there is not written over");
    let (fine, told) = alarms(&site, None, &["import", &all]);
    assert!(!fine && told.contains("set `alarms_csv = \"alarms.csv\"`"), "{told}");

    // The place is named before anything is there. What was written is taken as it is; and then one cell is another.
    let config = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), config.replacen("[gateway]\n", "[gateway]\nalarms_csv = \"alarms.csv\"\n", 1))
        .unwrap();
    let (fine, told) = said(&site.run("check", &[]));
    assert!(!fine && told.contains("`alarms_csv` in `[gateway]` names it"), "{told}");
    assert!(alarms(&site, None, &["export", &at("again.csv").display().to_string()]).0, "it is not there yet");
    let (fine, told) = alarms(&site, None, &["import", &all]);
    assert!(fine && told.contains("alarms.csv is good and in place"), "{told}");
    assert!(!at("alarms.csv.before").exists(), "there was none before");
    let mut server = recorded.start();
    let gateway = site.start();
    gateway.logged(&["detector started", "level"]);
    server.set("reactor_level", 1.0, 90.0, 0);
    crate::harness::wait_for("the alarm", || alarms(&site, None, &["list"]).1.contains(" 400  active").then_some(()));

    let head = "condition,severity,response,cause\n";
    std::fs::write(&all, format!("{head}{LEVEL},812,\"open the drain, then call\",pump\n")).unwrap();
    let wrong = at("wrong.csv").display().to_string();
    std::fs::write(&wrong, format!("{head}{LEVEL},5000,,\n")).unwrap();
    let (fine, told) = alarms(&site, None, &["import", &wrong]);
    assert!(!fine && told.contains("wrong.csv:2") && told.contains("not `5000`"), "{told}");
    std::fs::write(&wrong, format!("{head}level/lid,5,,\n")).unwrap();
    let (fine, told) = alarms(&site, None, &["import", &wrong]);
    assert!(!fine && told.contains("has no condition `lid`"), "{told}");
    assert_eq!(std::fs::read_to_string(at("alarms.csv")).unwrap(), table, "what was there is there still");

    let (fine, told) = alarms(&site, None, &["import", &all]);
    assert!(fine && told.contains("`watchfire reload` takes it up"), "{told}");
    // What was there before stays, whatever is imported in vain or twice; and what was broken by hand is replaced.
    assert!(!alarms(&site, None, &["import", &wrong]).0);
    assert!(alarms(&site, None, &["import", &all]).0);
    assert_eq!(std::fs::read_to_string(at("alarms.csv.before")).unwrap(), table);
    std::fs::write(at("alarms.csv"), "by hand").unwrap();
    let (fine, told) = alarms(&site, None, &["import", &all]);
    assert!(fine, "{told}");
    let (fine, told) = said(&site.run("reload", &[]));
    assert!(fine && told.contains("detector `level`: replaced"), "{told}");
    crate::harness::wait_for("what the table says", || {
        let (_, shown) = alarms(&site, None, &["show", LEVEL]);
        ["open the drain, then call", "Cause", "pump"].iter().all(|text| shown.contains(text)).then_some(())
    });
    let (_, other) = alarms(&site, None, &["show", "level/limit/plant/reactor_pressure"]);
    assert!(!other.contains("open the drain"), "{other}");
    server.set("reactor_level", 2.0, 70.0, 0);
    crate::harness::wait_for("the end", || alarms(&site, None, &["list"]).1.contains("over").then_some(()));
    server.set("reactor_level", 3.0, 91.0, 0);
    crate::harness::wait_for("the next", || alarms(&site, None, &["list"]).1.contains(" 812  active").then_some(()));
    gateway.stop();
}

#[test]
fn a_user_without_a_password_is_told_where_to_put_it() {
    let site = Site::new();
    site.configure(&source("plant", "opc.tcp://127.0.0.1:9", &["flow"]));
    let mut command = Command::new(PROGRAM);
    command.args(["alarms", "list", "--user", "ann", "--config"]).arg(site.config()).env_remove("WATCHFIRE_PASSWORD");
    let (fine, told) = said(&command.output().unwrap());
    assert!(!fine && told.contains("there is no password for `ann`"), "{told}");
    assert!(told.contains("WATCHFIRE_PASSWORD") && told.contains("`--password-file`"), "{told}");
}
