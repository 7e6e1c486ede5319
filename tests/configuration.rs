//! What is wrong with a configuration is said at once, all of it, each with its line and the way out.

use crate::harness::gateway::Site;

const WRONG: &str = "\
[[source]]
name = \"plant\"
url = \"http://127.0.0.1:4841\"
securty = \"none\"

[[source.signal]]
name = \"flow\"
node = \"ns=2;Flow\"

[[detector]]
name = \"low flow\"
plugin = \"limit\"
signals = [\"plant/flw\"]
mode = \"lively\"

[[detector]]
name = \"own\"
plugin = \"missing.wasm\"
signals = [\"plant/*\"]
";

#[test]
fn every_error_of_a_configuration_is_told_at_once() {
    let site = Site::new();
    site.configure(WRONG);
    let text = std::fs::read_to_string(site.config()).unwrap();
    let line_of = |part: &str| 1 + text.lines().position(|line| line.contains(part)).unwrap();
    for command in ["check", "run"] {
        let output = site.run(command, &[]);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "`watchfire {command}`: {complaint}");
        assert!(output.stdout.is_empty());
        for (part, says) in [
            ("http://", "opc.tcp://"),
            ("securty", "security"),
            ("ns=2;Flow", "ns=2;s="),
            ("plant/flw", "plant/flow"),
            ("lively", "live"),
            ("missing.wasm", "cannot be read"),
        ] {
            let place = format!("gateway.toml:{}: ", line_of(part));
            let told =
                complaint.lines().find(|line| line.contains(&place)).unwrap_or_else(|| panic!("{place}\n{complaint}"));
            assert!(told.contains(says), "{told}");
        }
        assert!(complaint.trim_end().ends_with("6 errors"), "{complaint}");
    }
}

#[test]
fn a_good_configuration_is_called_good_and_a_missing_one_is_named() {
    let site = Site::new();
    let output = site.run("check", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("gateway.toml: cannot be read"));
    site.configure(&crate::harness::gateway::source("plant", "opc.tcp://127.0.0.1:4841", &["flow"]));
    let output = site.run("check", &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stdout).unwrap().contains("1 source with 1 signal, 0 detectors"));
}

#[test]
fn a_plugins_own_table_is_judged_by_its_schema_key_by_key_with_lines() {
    use crate::harness::gateway::{detector, source};
    let site = Site::new();
    let rest = "[detector.config]\nhigh = \"hot\"\nhihg = 3\ndeadband = -1";
    let sourced = source("plant", "opc.tcp://127.0.0.1:9", &["flow"]);
    site.configure(&(sourced + &detector("hot", "limit", &["plant/flow"], rest)));
    let text = std::fs::read_to_string(site.config()).unwrap();
    let place =
        |part: &str| format!("gateway.toml:{}: ", 1 + text.lines().position(|line| line.starts_with(part)).unwrap());
    let wanted = [
        format!("{}`high`: must be a number, not \"hot\"", place("high")),
        format!("{}`hihg`: unknown key; known here: `deadband`, `high`", place("hihg")),
        format!("{}`deadband`: must be at least 0, not -1", place("deadband")),
    ];
    let output = site.run("check", &[]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("but detector `hot` would not run: plugin `limit` refuses its configuration: "), "{told}");
    wanted.iter().for_each(|wanted| assert!(told.contains(wanted), "{wanted}: {told}"));
    // The quotes of a field of the log are escaped.
    let gateway = site.start();
    gateway.logged(&["refuses its configuration", &wanted[2], &wanted[1]]);
    gateway.stop();
}

#[test]
fn why_a_detector_would_not_run_names_it_once() {
    use crate::harness::gateway::{detector, source};
    let site = Site::new();
    let hot =
        detector("hot", "limit", &["plant/flow"], "[detector.config]\nhigh = 3\n[detector.alarm.lid]\nseverity = 5");
    site.configure(&(source("plant", "opc.tcp://127.0.0.1:9", &["flow"]) + &hot));
    let output = site.run("check", &[]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let wanted = "but detector `hot` would not run: plugin `limit` has no condition `lid`, for which `[detector.alarm.lid]` is set";
    assert!(told.contains(wanted) && told.matches("`hot`").count() == 1, "{told}");
}

#[test]
fn conditions_without_a_response_are_named_as_what_they_are() {
    use crate::harness::gateway::{detector, source};
    let site = Site::new();
    let sourced = source("plant", "opc.tcp://127.0.0.1:9", &["flow", "level"]);
    let hot = |alarm: &str| {
        detector("hot", "limit", &["plant/flow", "plant/level"], &format!("[detector.config]\nhigh = 3\n{alarm}"))
    };
    for (alarm, named) in [
        ("", None),
        ("[detector.alarm.limit]\nresponse = \"\"", Some("`hot/limit`")),
        ("[detector.alarm.\"limit/plant/level\"]\nresponse = \"\"", Some("`hot/limit/plant/level`")),
    ] {
        site.configure(&(sourced.clone() + &hot(alarm)));
        let output = site.run("check", &[]);
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{told}");
        let line =
            named.map(|named| format!("{named} has no `response`: what is found of it is an event and no alarm"));
        assert_eq!(told.lines().find(|line| line.contains("response")).map(str::to_owned), line, "{told}");
    }
}

#[test]
fn planned_maintenance_that_concerns_nothing_or_has_begun_is_named() {
    use crate::harness::gateway::{detector, source};
    let site = Site::new();
    let from = |of: &str, year: u32| format!("\n[[maintenance]]\nof = \"{of}\"\nfrom = \"{year}-12-01\"\nfor_h = 8\n");
    let planned = |of: &str| from(of, 2099);
    let hot = detector("hot", "limit", &["plant/flow"], "[detector.config]\nhigh = 3");
    let rest = planned("condition:hot/limit") + &planned("area:nowhere") + &from("condition:hot/limit", 2020);
    site.configure(&(source("plant", "opc.tcp://127.0.0.1:9", &["flow"]) + &hot + &rest));
    let output = site.run("check", &[]);
    let told = String::from_utf8_lossy(&output.stdout);
    let named: Vec<_> = told.lines().filter(|line| line.contains("maintenance")).collect();
    assert_eq!(
        named,
        [
            "`[[maintenance]]` of `area:nowhere` from 2099-12-01T00:00:00Z concerns no condition",
            "`[[maintenance]]` of `condition:hot/limit` from 2020-12-01T00:00:00Z has begun, so that no start and no \
             reload takes it up any more; `watchfire alarms out-of-service` does it now",
        ],
        "{told}"
    );
}

#[test]
fn a_second_gateway_on_the_same_data_is_refused() {
    let site = Site::new();
    site.configure(&crate::harness::gateway::source("plant", "opc.tcp://127.0.0.1:1", &["flow"]));
    let gateway = site.start();
    let output = site.run("run", &[]);
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains(&site.data().display().to_string()), "it names the folder: {complaint}");
    gateway.stop();
}

#[test]
fn what_nobody_could_log_in_with_is_told_by_a_check_and_not_by_the_first_try() {
    let site = Site::new();
    let at = |name: &str, text: &str| {
        let path = site.folder().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let [empty, garbage, password] =
        [at("empty", "\n"), at("garbage.der", "no certificate"), at("password", "secret\n")];
    let source =
        |name: &str, login: &str| format!("[[source]]\nname = {name:?}\nurl = \"opc.tcp://127.0.0.1:9\"\n{login}\n");
    let check = |server: &str, rest: &str| {
        site.configure_with(server, rest);
        let output = site.run("check", &[]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let by_file = |file: &str| source("plant", &format!("user = \"u\"\npassword_file = {file:?}"));
    let by_certificate = source("mill", &format!("user_certificate = {garbage:?}\nuser_key = {garbage:?}"));
    let user = format!("[[server.user]]\nname = \"ann\"\ncertificate = {garbage:?}\nrole = \"view\"");
    let (code, told) = check(&user, &(by_file(&empty) + &by_certificate));
    assert_eq!(code, Some(1), "{told}");
    for wanted in [
        format!("but the gateway would not start: the certificate `{garbage}` of user `ann`"),
        format!("but source `plant` could not be read: password file `{empty}` is empty; write the password"),
        format!(
            "but source `mill` could not be read: user certificate: `{garbage}` is no certificate; give one in DER or PEM"
        ),
    ] {
        assert!(told.contains(&wanted), "{wanted}: {told}");
    }
    let variable = source("oven", "user = \"u\"\npassword_env = \"WATCHFIRE_NO_SUCH_VARIABLE\"");
    let (code, told) = check("", &(by_file(&password) + &variable));
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("source `oven`, as far as this environment goes: environment variable `WATCHFIRE_NO_SUCH"),
        "{told}"
    );
    assert!(!told.contains("others") && !told.contains("secret\n"), "{told}");
    std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let (code, told) = check("", &by_file(&password));
    let wanted = format!("source `plant`: `{password}` (`password_file`) can be read or written by others");
    assert!(code == Some(0) && told.contains(&wanted) && told.contains("chmod 600"), "{told}");
}

#[test]
fn an_address_of_another_machine_is_told_by_a_check() {
    let site = Site::new();
    site.configure(&crate::harness::gateway::source("plant", "opc.tcp://127.0.0.1:9", &["flow"]));
    let text = std::fs::read_to_string(site.config()).unwrap();
    // Of documentation (RFC 5737): no machine has it.
    std::fs::write(site.config(), text.replace("host = \"127.0.0.1\"", "host = \"192.0.2.1\"")).unwrap();
    let output = site.run("check", &[]);
    let told = String::from_utf8_lossy(&output.stdout);
    // The configuration may be written on another machine than the gateway's.
    assert_eq!(output.status.code(), Some(0), "{told}");
    let wanted = "as far as this machine goes: the gateway would not start, since `host` \"192.0.2.1\" in `[server]` is none \
                  of its addresses";
    assert!(told.contains(wanted) && told.contains("`0.0.0.0` is every one"), "{told}");
}

#[test]
fn a_unit_that_is_written_otherwise_than_in_ucum_is_told_with_what_is_meant() {
    let site = Site::new();
    let signal =
        |name: &str, unit: &str| format!("[[source.signal]]\nname = {name:?}\nnode = \"i=1\"\nunit = {unit:?}\n");
    let signals =
        [("oil", "degC"), ("air", "degC"), ("fan", "rpm"), ("line", "bar")].map(|(name, unit)| signal(name, unit));
    site.configure(&(crate::harness::gateway::source("plant", "opc.tcp://127.0.0.1:9", &[]) + &signals.concat()));
    let output = site.run("check", &[]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    let named: Vec<_> = told.lines().filter(|line| line.contains("`unit`")).collect();
    assert_eq!(
        named,
        [
            "`unit` \"degC\" of `plant/oil` and 1 more is not what UCUM calls it; write `Cel` if that is meant",
            "`unit` \"rpm\" of `plant/fan` is not what UCUM calls it; write `/min` if that is meant",
        ],
        "{told}"
    );
}
