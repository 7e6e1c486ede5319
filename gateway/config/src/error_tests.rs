//! What the user is told about each mistake, word for word.

use std::path::Path;

use crate::{Config, ConfigErrors};

/// A source that is right, in twelve lines, to which a case adds its mistake.
const SOURCE: &str = "[[source]]
name = 'plant'
url = 'opc.tcp://plc'
[[source.signal]]
name = 'pump/temp'
node = 'i=1'
[[source.signal]]
name = 'pump/speed'
node = 'i=2'
[[source.signal]]
name = 'hall'
node = 'i=3'
";

fn errors(text: &str) -> Vec<String> {
    match Config::parse(text, "w.toml", Path::new("/no/such/folder")) {
        Ok(config) => panic!("this should not be right: {text}\n{config:?}"),
        Err(ConfigErrors(errors)) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(errors(text), expected, "\n{text}");
}

/// Checks cases that each add lines below the good source, so that the first added line is line 13.
#[track_caller]
fn check_below_source(cases: &[(&str, &[&str])]) {
    for (added, expected) in cases {
        check(&format!("{SOURCE}{added}"), expected);
    }
}

#[test]
fn every_error_is_told_at_once_in_the_order_of_lines() {
    let text = "\
[[detector]]
name = 'hot'
plugin = 'limit'
signals = ['plant/pmp/temp']
theshold = 80

[gateway]
commit_interval_ms = 5

[[source]]
name = 'plant'
url = 'plc:4840'

[[source.signal]]
name = 'pump/temp'
range = [100, 0]
";
    check(
        text,
        &[
            "w.toml:4: [[detector]] \"hot\": `signals`: `plant/pmp/temp` matches no signal; nearest: `plant/pump/temp`",
            "w.toml:5: [[detector]] \"hot\": unknown key `theshold`; known here: `name`, `plugin`, `digest`, `signals`, `model`, \
             `model_digest`, `mode`, `config`, `quota`, `seed`, `learn_days`, `alarm_budget`, `alarm`",
            "w.toml:8: [gateway]: `commit_interval_ms` must be a whole number from 10 to 1000, not `5`",
            "w.toml:12: [[source]] \"plant\": `url`: `plc:4840` does not begin with `opc.tcp://`; a URL reads \
             `opc.tcp://host:4840/path`",
            "w.toml:14: [[source.signal]] \"plant/pump/temp\": `node` is missing; give the node, such as \
             `node = \"ns=2;s=Pump.Speed\"`",
            "w.toml:16: [[source.signal]] \"plant/pump/temp\": `range` is [100, 0]; the first must be below the second",
        ],
    );
    let told = Config::parse(text, "w.toml", Path::new("")).unwrap_err().to_string();
    assert_eq!(told.lines().last(), Some("6 errors"));
    assert_eq!(told.lines().count(), 7);
}

#[test]
fn unknown_keys_are_errors_everywhere() {
    check_below_source(&[
        ("[gatway]", &["w.toml:13: top level: unknown key `gatway`; did you mean `gateway`?"]),
        ("[gateway]\nNmae = 'x'", &["w.toml:14: [gateway]: unknown key `Nmae`; did you mean `name`?"]),
        ("[server]\nports = 1", &["w.toml:14: [server]: unknown key `ports`; did you mean `port`?"]),
        (
            "[[server.user]]\nname = 'a'\npassword = 'b'\nrole = 'view'",
            &[
                "w.toml:13: [[server.user]] \"a\": has no way to log in; give `password_hash` (`watchfire password` makes one), \
             `certificate` or `thumbprint`",
                "w.toml:15: [[server.user]] \"a\": unknown key `password`; did you mean `password_hash`?",
            ],
        ),
        (
            "[[source.signal]]\nname = 'x'\nnode = 'i=1'\nunits = 'bar'",
            &["w.toml:16: [[source.signal]] \"plant/x\": unknown key `units`; did you mean `unit`?"],
        ),
        (
            "[[detector]]\nname = 'hot'\nplugin = 'limit'\nsignals = ['**']\nquota.memory = 1\nalarm.high.sevrity = 1",
            &[
                "w.toml:17: [detector.quota] \"hot\": unknown key `memory`; did you mean `memory_mb`?",
                "w.toml:18: [detector.alarm.high] \"hot\": unknown key `sevrity`; did you mean `severity`?",
            ],
        ),
    ]);
}

#[test]
fn values_of_another_type_are_named() {
    check_below_source(&[
        ("[gateway]\nname = 5", &["w.toml:14: [gateway]: `name` must be text in quotes (`\"5\"`), not `5`"]),
        ("[gateway]\nname = ' '", &["w.toml:14: [gateway]: `name` is empty; give it a text or leave it out"]),
        (
            "[gateway]\nretention_days = '90'",
            &["w.toml:14: [gateway]: `retention_days` must be a whole number from 1 to 36500, not \"90\""],
        ),
        (
            "[gateway]\nretention_days = 1.5",
            &["w.toml:14: [gateway]: `retention_days` must be a whole number from 1 to 36500, not `1.5`"],
        ),
        (
            "[gateway]\nretention_days = -1",
            &["w.toml:14: [gateway]: `retention_days` must be a whole number from 1 to 36500, not `-1`"],
        ),
        ("[server]\nport = [1]", &["w.toml:14: [server]: `port` must be a whole number from 1 to 65535, not a list"]),
        (
            "[server]\nport = 2026-01-01",
            &["w.toml:14: [server]: `port` must be a whole number from 1 to 65535, not a date or time"],
        ),
        (
            "[server]\nuser = 'me'",
            &["w.toml:14: [server]: `user` is a list of tables, not \"me\"; begin each with `[[server.user]]`"],
        ),
        (
            "[server.user]\nname = 'me'",
            &["w.toml:13: [server]: `user` is a list of tables, not a table; begin each with `[[server.user]]`"],
        ),
        (
            "[server]\nuser = ['me']",
            &["w.toml:14: [server]: `user` must be a table (begin it with `[[server.user]]`), not \"me\""],
        ),
        (
            "[[source]]\nname = 'b'\nurl = 'opc.tcp://b'\ntrust_server_certificate = 'yes'",
            &["w.toml:16: [[source]] \"b\": `trust_server_certificate` must be `true` or `false`, not \"yes\""],
        ),
    ]);
}

#[test]
fn the_gateway_section_is_checked() {
    check_below_source(&[
        (
            "[gateway]\nutc_offset = '01:00'",
            &[
                "w.toml:14: [gateway]: `utc_offset` must be hours and minutes from UTC with their sign, such as `\"+01:00\"`, \
             up to 14 hours, not \"01:00\"",
            ],
        ),
        (
            "[gateway]\nmode_signal = 'pump/temp'",
            &[
                "w.toml:14: [gateway]: `mode_signal` is `pump/temp`, but there is no such signal; nearest: `plant/pump/temp`",
            ],
        ),
        (
            "[gateway]\nmode_signal = 'x'",
            &["w.toml:14: [gateway]: `mode_signal` is `x`, but there is no such signal; known: `plant/pump/temp`, \
             `plant/pump/speed`, `plant/hall`"],
        ),
        (
            "[gateway]\nname = \"a\\u0007\"",
            &["w.toml:14: [gateway]: `name` \"a\\u{7}\" has a `\\u{7}` in it; leave it out"],
        ),
    ]);
}

#[test]
fn the_server_section_is_checked() {
    check_below_source(&[
        (
            "[server]\nhost = 'a b'",
            &[
                "w.toml:14: [server]: `host` \"a b\" is no host name or address; write one of this machine's, or `0.0.0.0` \
             for every interface",
            ],
        ),
        (
            "[server]\nsecurity = ['Basic256']",
            &[
                "w.toml:14: [server]: `security` must be `\"none\"`, `\"basic256sha256\"`, `\"aes128_sha256_rsaoaep\"` or `\"aes256_sha256_rsapss\"`, not \"Basic256\"",
            ],
        ),
        (
            "[server]\nsecurity = []",
            &[
                "w.toml:14: [server]: `security` must be a list of at least one of `\"none\"`, `\"basic256sha256\"`, `\"aes128_sha256_rsaoaep\"` or `\"aes256_sha256_rsapss\"`, not \
             an empty list",
            ],
        ),
        (
            "[server]\nsecurity = 'none'",
            &[
                "w.toml:14: [server]: `security` must be a list of at least one of `\"none\"`, `\"basic256sha256\"`, `\"aes128_sha256_rsaoaep\"` or `\"aes256_sha256_rsapss\"`, not \
             \"none\"",
            ],
        ),
        (
            "[server]\nanonymous = true",
            &[
                "w.toml:14: [server]: `anonymous` must be `\"none\"`, `\"view\"`, `\"operate\"`, `\"observer\"`, `\"operator\"`, `\"engineer\"` or \
             `\"supervisor\"`, not `true`",
            ],
        ),
        (
            "[server]\nanonymous = 'none'",
            &[
                "w.toml:13: [server]: `anonymous` is \"none\" and there is no `[[server.user]]`, so nobody could connect; add \
             a user",
            ],
        ),
        (
            "[[server.user]]\nname = 'a'\npassword_hash = 'hunter2'",
            &[
                "w.toml:13: [[server.user]] \"a\": `role` is missing; write one of `\"view\"`, `\"operate\"`, `\"engineer\"`, \
             `\"supervisor\"`, `\"configure_admin\"` and `\"security_admin\"`, or several as `roles = [\"…\"]`",
                "w.toml:15: [[server.user]] \"a\": `password_hash` is no Argon2id hash in PHC form (`$argon2id$…`); \
             `watchfire password` makes one",
            ],
        ),
        (
            "[[server.user]]\nname = 'Anonymous'\nthumbprint = '3f9a0c51771ed28b6405eeb9104ca738f26d901b'\nrole = 'view'",
            &[
                "w.toml:14: [[server.user]] \"Anonymous\": the name \"Anonymous\" stands for clients that do not log in; what \
             they may do is `anonymous` in `[server]`",
            ],
        ),
        (
            "[[server.user]]\nname = 'the configuration'\nthumbprint = '3f9a0c51771ed28b6405eeb9104ca738f26d901b'\n\
             role = 'view'",
            &[
                "w.toml:14: [[server.user]] \"the configuration\": the name \"the configuration\" stands for what is planned in \
             `[[maintenance]]`; give the user another",
            ],
        ),
        (
            "[[server.user]]\npassword_hash = '$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$c29tZWhhc2hzb21laGFzaA'\nrole = 'view'",
            &[
                "w.toml:13: [[server.user]] \"#1\": `name` is missing; give the user a name",
                "w.toml:14: [[server.user]] \"#1\": `password_hash` is no Argon2id hash in PHC form (`$argon2id$…`); \
             `watchfire password` makes one",
            ],
        ),
    ]);
}

#[test]
fn sources_are_checked() {
    check("", &["w.toml: there is no `[[source]]`, so nothing would be watched; add one with `name` and `url`"]);
    check_below_source(&[
        (
            "[[source]]",
            &[
                "w.toml:13: [[source]] \"#2\": `name` is missing; give the source a name",
                "w.toml:13: [[source]] \"#2\": `url` is missing; give the server's address, such as \
             `url = \"opc.tcp://plc:4840\"`",
            ],
        ),
        (
            "[[source]]\nname = 'plant'\nurl = 'opc.tcp://b'",
            &["w.toml:14: [[source]] \"plant\": `name`: the source in line 2 is named `plant` too; names must differ"],
        ),
        (
            "[[source]]\nname = 'b'\nurl = 'opc.tcp://b'\nredundant_urls = ['b:1']\nreverse_connect = 'here'",
            &[
                "w.toml:16: [[source]] \"b\": `redundant_urls`: `b:1` does not begin with `opc.tcp://`; a URL reads \
             `opc.tcp://host:4840/path`",
                "w.toml:17: [[source]] \"b\": `reverse_connect` \"here\" is no address with a port; write where to listen, such \
             as `\"0.0.0.0:4845\"`",
            ],
        ),
        (
            "[[source]]\nname = 'b'\nurl = 'opc.tcp://b'\nredundant_urls = ['opc.tcp://c']\nreverse_connect = '0.0.0.0:1'",
            &[
                "w.toml:17: [[source]] \"b\": `reverse_connect` and `redundant_urls` are both given; the other servers would \
             not be reached",
            ],
        ),
        (
            "[[source]]\nname = 'a/b'\nurl = 'opc.tcp://b:x'",
            &[
                "w.toml:14: [[source]] \"a/b\": `name` \"a/b\" has a `/` in it; leave it out",
                "w.toml:15: [[source]] \"a/b\": `url`: `opc.tcp://b:x` has no port from 1 to 65535; a URL reads \
             `opc.tcp://host:4840/path`",
            ],
        ),
        (
            "[[source]]\nname = 'b'\nurl = 'opc.tcp://b'\nuser = 'me'",
            &[
                "w.toml:16: [[source]] \"b\": `user` needs a password; give `password_file = \"…\"` or `password_env = \"…\"`",
            ],
        ),
        (
            "[[source]]\nname = 'b'\nurl = 'opc.tcp://b'\npassword_env = 'P'",
            &[
                "w.toml:16: [[source]] \"b\": there is a password but no `user`; name the user or leave the password out",
            ],
        ),
        (
            "[[source]]\nname = 'b'\nurl = 'opc.tcp://b'\nuser = 'me'\npassword_file = 'p'",
            &[
                "w.toml:17: [[source]] \"b\": `password_file`: `/no/such/folder/p` cannot be read: No such file or directory \
             (os error 2); a relative path begins at the configuration file's folder",
            ],
        ),
        (
            "[[source]]\nname = 'b'\nurl = 'opc.tcp://b'\nuser = 'me'\npassword_file = 'p'\npassword_env = 'P'",
            &["w.toml:18: [[source]] \"b\": `password_file` and `password_env` are both given; keep one"],
        ),
        (
            "[[source]]\nname = 'b'\nurl = 'opc.tcp://b'\nuser = 'me'\npassword_env = '$P'",
            &[
                "w.toml:17: [[source]] \"b\": `password_env` is the bare name of an environment variable, without `$` or `=`",
            ],
        ),
        (
            "[[source]]\nname = 'b'\nurl = 'opc.tcp://b'\nsecurity = 'none'\nmessage_mode = 'sign'",
            &[
                "w.toml:13: [[source]] \"b\": `message_mode` is \"sign\", but `security` is \"none\": nothing would be signed; take one out",
            ],
        ),
        (
            "[[source]]\nname = 'b'\nurl = 'opc.tcp://b'\nmessage_mode = 'encrypt'",
            &[
                "w.toml:16: [[source]] \"b\": `message_mode` must be `\"sign_and_encrypt\"` or `\"sign\"`, not \"encrypt\"",
            ],
        ),
        (
            "[[source]]\nname = 'b'\nurl = 'opc.tcp://b'\nuser_certificate = 'c.der'",
            &["w.toml:16: [[source]] \"b\": `user_certificate` needs its private key; give `user_key = \"…\"`"],
        ),
        (
            "[[source]]\nname = 'b'\nurl = 'opc.tcp://b'\nuser_key = 'c.pem'",
            &["w.toml:16: [[source]] \"b\": `user_key` needs its certificate; give `user_certificate = \"…\"`"],
        ),
        (
            "[[source]]\nname = 'b'\nurl = 'opc.tcp://b'\nsecurity = 'none'\nuser = 'me'\npassword_env = 'P'\nuser_certificate = 'c'\nuser_key = 'k'",
            &[
                "w.toml:19: [[source]] \"b\": `user_certificate`: `/no/such/folder/c` cannot be read: No such file or directory (os error 2); a relative path begins at the configuration file's folder",
                "w.toml:19: [[source]] \"b\": `user` and `user_certificate` are both given; keep one",
                "w.toml:19: [[source]] \"b\": `user_certificate` needs a `security` other than \"none\"",
                "w.toml:20: [[source]] \"b\": `user_key`: `/no/such/folder/k` cannot be read: No such file or directory (os error 2); a relative path begins at the configuration file's folder",
            ],
        ),
        (
            "[[source]]\nname = 'b'\nurl = 'opc.tcp://b'\narea = 'line//pump'",
            &[
                "w.toml:16: [[source]] \"b\": `area` \"line//pump\" has an empty part or blanks around a `/`; give a way \
             through the areas such as `\"line/pump\"`",
            ],
        ),
        (
            "[source.x]",
            &[
                "w.toml:13: [[source]] \"plant\": unknown key `x`; known here: `name`, `url`, `redundant_urls`, `reverse_connect`, `security`, `message_mode`, \
             `user`, `password_file`, `password_env`, `user_certificate`, `user_key`, `area`, `publishing_interval_ms`, \
             `sampling_interval_ms`, `queue_size`, `deadband`, `profile`, `trust_server_certificate`, `read_metadata`, `signal`, `events`, \
             `signals_csv`, `select`",
            ],
        ),
    ]);
    check(
        "[source]\nname = 'a'",
        &["w.toml:1: top level: `source` is a list of tables, not a table; begin each with `[[source]]`"],
    );
}

#[test]
fn signals_are_checked() {
    let signal =
        |lines: &str| format!("{SOURCE}[[source]]\nname = 'b'\nurl = 'opc.tcp://b'\n[[source.signal]]\n{lines}");
    for (lines, expected) in [
        ("node = 'i=1'", "w.toml:16: [[source.signal]] \"b/#1\": `name` is missing; name the signal, such as"),
        ("name = 't'\nnode = 'x=1'", "w.toml:18: [[source.signal]] \"b/t\": `node`: `x=` is none of"),
        ("name = '/t'\nnode = 'i=1'", "w.toml:17: [[source.signal]] \"b//t\": `name` \"/t\" has an empty part"),
        (
            "name = 't'\nnode = 'i=1'\nunit = '°C'",
            "w.toml:19: [[source.signal]] \"b/t\": `unit` \"°C\" is no UCUM code; write `Cel`",
        ),
        (
            "name = 't'\nnode = 'i=1'\nrange = [1, nan]",
            "w.toml:19: [[source.signal]] \"b/t\": `range` must be two finite numbers, `[low, high]`, but `nan` is none",
        ),
        (
            "name = 't'\nnode = 'i=1'\nrange = [1, 1.0]",
            "w.toml:19: [[source.signal]] \"b/t\": `range` is [1, 1]; the first must be below the second",
        ),
        (
            "name = 't'\nnode = 'i=1'\ndeadband = '101%'",
            "w.toml:19: [[source.signal]] \"b/t\": `deadband` \"101%\" is no deadband; write a number in the signal's unit, \
             or a share of its range such as \"1%\"",
        ),
        (
            "name = 't'\nnode = 'i=1'\nelement = '[1'",
            "w.toml:19: [[source.signal]] \"b/t\": `element`: `[1` names no part of a value; write `[3]`, `[1,2]`, \
             `member`, or `member[3].part`, or `[0:9]` for ten signals",
        ),
        (
            "name = 't'\nnode = 'i=1'\nqueue_size = 0",
            "w.toml:19: [[source.signal]] \"b/t\": `queue_size` must be a whole number from 1 to 100000, not `0`",
        ),
        (
            "name = 't'\nnode = 'i=1'\n[[source.signal]]\nname = 't'\nnode = 'i=2'",
            "w.toml:20: [[source.signal]] \"b/t\": `name`: the signal in line 17 is named `t` too; names must differ",
        ),
    ] {
        let told = errors(&signal(lines));
        assert!(told.len() == 1 && told.concat().starts_with(expected), "{told:?}\n{expected}");
    }
}

#[test]
fn detectors_are_checked() {
    let head = "[[detector]]\nname = 'd'\nplugin = 'limit'\n";
    let detector = |lines: &str| format!("{SOURCE}{head}{lines}");
    let with_signals = |lines: &str| detector(&format!("signals = ['**']\n{lines}"));
    check_below_source(&[
        (
            "[[detector]]",
            &[
                "w.toml:13: [[detector]] \"#1\": `name` is missing; give the detector a name",
                "w.toml:13: [[detector]] \"#1\": `plugin` is missing; name a bundled or installed plugin such as `\"limit\"`, or a file",
                "w.toml:13: [[detector]] \"#1\": `signals` is missing; list signals by name or pattern, such as \
             `[\"source/**\"]`",
            ],
        ),
        (
            "[[detector]]\nname = 'gateway'\nplugin = 'limit'\nsignals = ['**']",
            &[
                "w.toml:14: [[detector]] \"gateway\": `name` \"gateway\" is kept for the gateway's own alarms; choose another",
            ],
        ),
        (
            "[[detector]]\nname = 'a'\nplugin = './x.wasm'\nsignals = ['**']",
            &["w.toml:15: [[detector]] \"a\": `plugin`: `/no/such/folder/./x.wasm` cannot be read: No such file or \
             directory (os error 2); a relative path begins at the configuration file's folder"],
        ),
    ]);
    for (text, expected) in [
        (
            detector("signals = []"),
            "w.toml:16: [[detector]] \"d\": `signals` must be a list of texts; list signals by name or pattern, such as `[\"source/**\"]`, not an empty list",
        ),
        (
            detector("signals = ['plant/pump/*', 'nothing/**']"),
            "w.toml:16: [[detector]] \"d\": `signals`: `nothing/**` matches no signal; known: `plant/pump/temp`, `plant/pump/speed`, `plant/hall`",
        ),
        (
            detector("signals = [\n'hall']"),
            "w.toml:17: [[detector]] \"d\": `signals`: `hall` matches no signal; nearest: `plant/hall`",
        ),
        (
            detector("signals = ['**', '!plant/hal']"),
            "w.toml:16: [[detector]] \"d\": `signals`: `!plant/hal` matches no signal; nearest: `plant/hall`",
        ),
        (
            detector("signals = ['plant/[']"),
            "w.toml:16: [[detector]] \"d\": `signals`: `plant/[` is no pattern: unclosed character class; missing ']'; put a `\\` before a character that stands for itself",
        ),
        (
            detector("signals = ['!**']"),
            "w.toml:16: [[detector]] \"d\": `signals` only takes signals out; put some in first, such as `\"source/**\"`",
        ),
        (
            detector("signals = ['plant/hall', '!**']"),
            "w.toml:16: [[detector]] \"d\": `signals` takes out all that it puts in; leave one `!` pattern away",
        ),
        (
            with_signals("mode = 'on'"),
            "w.toml:17: [[detector]] \"d\": `mode` must be `\"learning\"`, `\"shadow\"` or `\"live\"`, not \"on\"",
        ),
        (
            with_signals("config = 'x'"),
            "w.toml:17: [[detector]] \"d\": `config` must be a table (begin it with `[detector.config]`), not \"x\"",
        ),
        (with_signals("config.a = [1, nan]"), "w.toml:17: [[detector]] \"d\": `config`: `nan` is no finite number"),
        (
            with_signals("quota.memory_mb = 0"),
            "w.toml:17: [detector.quota] \"d\": `memory_mb` must be a whole number from 1 to 4096, not `0`",
        ),
        (
            with_signals("alarm.severity = 5"),
            "w.toml:17: [[detector]] \"d\": `alarm.severity` is no table; begin one with `[detector.alarm.CONDITION]`",
        ),
        (
            with_signals("alarm.'a/' = {}"),
            "w.toml:17: [detector.alarm.a/] \"d\": \"a/\" is no condition; name one of the plugin's, `\"*\"` for all that are not named, or one of its signals as `\"limit/press/oil_temp\"`",
        ),
        (
            with_signals("alarm.'a/b'.threshold = 3"),
            "w.toml:17: [detector.alarm.a/b] \"d\": `threshold` and `hold_off_s` are of the whole condition; set them for `a`",
        ),
        (
            with_signals("alarm.a.severity = 1001"),
            "w.toml:17: [detector.alarm.a] \"d\": `severity` must be a whole number from 1 to 1000, not `1001`",
        ),
        (
            with_signals("alarm.a.threshold = inf"),
            "w.toml:17: [detector.alarm.a] \"d\": `threshold` must be a finite number, not `inf`",
        ),
        (
            with_signals("alarm.a.hold_off_s = -1"),
            "w.toml:17: [detector.alarm.a] \"d\": `hold_off_s` must be a number from 0 to 86400, not `-1`",
        ),
        (
            with_signals("alarm.a.class = 'vital'"),
            "w.toml:17: [detector.alarm.a] \"d\": `class` must be `\"process\"`, `\"maintenance\"`, \
             `\"statistical\"`, `\"highly-managed\"`, `\"safety\"`, `\"training\"` or `\"testing\"`, not \"vital\"",
        ),
        (
            with_signals("alarm.a = { instrument = 'failure', exclusive = true }"),
            "w.toml:17: [detector.alarm.a] \"d\": `exclusive` is of limit alarms, `instrument` of instruments; set one of \
             them",
        ),
        (
            with_signals("alarm.a.first_only = true"),
            "w.toml:17: [detector.alarm.a] \"d\": `first_only` is of a group; name it with `group`",
        ),
        (
            with_signals(&format!("alarm.a.cause = '{}'", "x".repeat(2049))),
            "w.toml:17: [detector.alarm.a] \"d\": `cause` may have 2048 bytes at most, not 2049",
        ),
        (
            with_signals("[[detector]]\nname = 'd'\nplugin = 'limit'\nsignals = ['**']"),
            "w.toml:18: [[detector]] \"d\": `name`: the detector in line 14 is named `d` too; names must differ",
        ),
    ] {
        check(&text, &[expected]);
    }
}

#[test]
fn what_is_no_toml_is_told_with_its_line_and_the_rest_is_still_judged() {
    check_below_source(&[
        ("[server]\nport = 1\nport = 2", &["w.toml:15: not TOML: duplicate key at `port`; keep one of them"]),
        (
            "[server]\nport = \nprot = 1\nhost = 'unclosed\n",
            &[
                "w.toml:14: not TOML: there is no value after the `=`; write one or take the line out",
                "w.toml:15: [server]: unknown key `prot`; did you mean `port`?",
                "w.toml:16: not TOML: invalid literal string, expected `'`",
            ],
        ),
        ("[server\nport = 1", &["w.toml:13: not TOML: unclosed table, expected `]`"]),
        (
            "[gateway]\na.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a = 1",
            &["w.toml:14: not TOML: a key of more than 30 parts; flatten it"],
        ),
    ]);
}

#[test]
fn a_mistake_in_a_signal_is_not_told_again_by_the_detectors_that_watch_it() {
    let text = "[[source]]\nname = 'p'\nurl = 'opc.tcp://p'\n[[source.signal]]\nname = 't'\nnode = '?'\n\
                [[detector]]\nname = 'd'\nplugin = 'limit'\nsignals = ['p/t']";
    assert_eq!(errors(text).len(), 1);
}

#[test]
fn files_that_cannot_be_read_are_told_without_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.toml");
    let told = || Config::load(&path).unwrap_err().to_string().replace(&path.display().to_string(), "w.toml");
    assert!(told().starts_with("w.toml: cannot be read: No such file or directory"), "{}", told());
    std::fs::write(&path, b"# one\n# two \xff\n").unwrap();
    assert_eq!(told(), "w.toml:2: has bytes that are no UTF-8; save the file as UTF-8\n1 error");
    std::fs::write(&path, b"\xef\xbb\xbfx = 1\r\n").unwrap();
    assert!(told().starts_with("w.toml: there is no `[[source]]`"), "{}", told());
}

#[test]
fn publishers_and_allowed_digests_are_checked() {
    let digest = "is no digest; write `sha256:` and 64 hexadecimal digits, as `watchfire plugin verify` shows them";
    let key = "it is no minisign key (invalid encoding in minisign data); a public key is one line of 56 characters that \
               begins with `RW`, a secret one the file that `watchfire plugin keygen` or minisign made";
    let (one, other) = (format!("sha256:{}", "0f".repeat(32)), format!("sha256:{}", "1f".repeat(32)));
    check_below_source(&[
        (
            "[plugins]\nallow = ['sha256:00', 'x']\nalow = 1",
            &[
                &format!("w.toml:14: [plugins]: `allow`: \"sha256:00\" {digest}"),
                &format!("w.toml:14: [plugins]: `allow`: \"x\" {digest}"),
                "w.toml:15: [plugins]: unknown key `alow`; did you mean `allow`?",
            ],
        ),
        (
            "[plugins]\nallow = 'x'\n[[publisher]]\nname = 'a'\nkey = 'RW'\nuntil = 'soon'\n[[publisher]]\nname = 'a'",
            &[
                "w.toml:14: [plugins]: `allow` must be a list of texts, not \"x\"",
                &format!("w.toml:17: [[publisher]] \"a\": `key`: {key}"),
                "w.toml:18: [[publisher]] \"a\": `until`: \"soon\" is no time; write a date such as `\"2027-12-31\"`",
                "w.toml:19: [[publisher]] \"a\": `key` is missing; give the line that begins with `RW`, as `watchfire plugin \
                 keygen` prints it",
                "w.toml:20: [[publisher]] \"a\": `name`: the publisher in line 16 is named `a` too; names must differ",
            ],
        ),
        (
            &format!("[plugins]\nallow = ['{one}']\nrevoked = ['{other}', '{one}', 'x']"),
            &[
                &format!("w.toml:15: [plugins]: `revoked`: \"x\" {digest}"),
                &format!("w.toml:15: [plugins]: `revoked`: {one} stands under `allow` too; take it out of one of them"),
            ],
        ),
        (
            "[[detector]]\nname = 'd'\nplugin = 'limit'\nsignals = ['**']\ndigest = 'md5:1'",
            &[&format!("w.toml:17: [[detector]] \"d\": `digest`: \"md5:1\" {digest}")],
        ),
        (
            "[[detector]]\nname = 'd'\nplugin = 'limit'\nsignals = ['**']\nmodel = 'no/such.onnx'\nmodel_digest = '1'",
            &[
                "w.toml:17: [[detector]] \"d\": `model`: `/no/such/folder/no/such.onnx` cannot be read: No such file or directory (os error 2); a \
                 relative path begins at the configuration file's folder",
                &format!("w.toml:18: [[detector]] \"d\": `model_digest`: \"1\" {digest}"),
            ],
        ),
        (
            "[[detector]]\nname = 'd'\nplugin = 'limit'\nsignals = ['**']\nmodel_digest = 'sha256:0'",
            &[
                "w.toml:17: [[detector]] \"d\": `model_digest` binds a `model`, and there is none; give `model`, or take it away",
                &format!("w.toml:17: [[detector]] \"d\": `model_digest`: \"sha256:0\" {digest}"),
            ],
        ),
    ]);
}
