//! What a right configuration is turned into, and that no text at all makes the reader panic.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use watchfire_model::{AlarmClass, Instant, Maintained, PlannedMaintenance};

use crate::{
    Config, ConsoleConfig, Deadband, MessageMode, Mode, PasswordFrom, PluginRef, Profile, QuotaConfig, Role, Roles,
    Security,
};

fn parse(text: &str) -> Config {
    Config::parse(text, "w.toml", Path::new("/base")).unwrap_or_else(|told| panic!("{told}"))
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = parse("source = [{ name = 'p', url = 'opc.tcp://p', signal = [{ name = 't', node = 'i=1' }] }]");
    assert_eq!(config.gateway.name, "watchfire");
    assert_eq!(config.gateway.data, PathBuf::from("/base/data"));
    assert_eq!(config.gateway.commit_interval, Duration::from_millis(100));
    assert_eq!(
        (config.gateway.retention_days, config.gateway.retention_gb, config.gateway.utc_offset_s),
        (90, None, 0)
    );
    assert_eq!(config.gateway.summary_retention_days, 1100);
    assert_eq!((config.server.host.as_str(), config.server.port), ("0.0.0.0", 4840));
    assert_eq!(config.server.security, vec![Security::Basic256Sha256]);
    assert_eq!(config.server.anonymous, Some(Roles::of(&[Role::Observer])));
    let source = &config.sources[0];
    assert_eq!((source.security, source.area.as_str()), (Security::Basic256Sha256, "p"));
    assert_eq!((source.message_mode, &source.user_certificate), (MessageMode::SignAndEncrypt, &None));
    assert!(!source.trust_server_certificate && source.password().unwrap().is_none());
    let signal = &source.signals[0];
    assert_eq!((signal.name.as_str(), signal.area.as_str(), signal.queue_size), ("p/t", "p", 10));
    assert_eq!(signal.sampling_interval, Duration::from_millis(250));
    assert!(config.detectors.is_empty());
}

#[test]
fn signals_take_over_what_their_source_says_unless_they_say_it_themselves() {
    let config = parse(
        "[[source]]
        name = 'p'
        url = 'opc.tcp://p'
        security = 'none'
        user = 'me'
        password_env = 'P'
        area = 'line/p'
        sampling_interval_ms = 1000
        queue_size = 3
        signal = [
            { name = 'a', node = 'i=1' },
            { name = 'b', node = 'i=2', sampling_interval_ms = 0, queue_size = 7, area = 'x/y', range = [-1, 2.5] },
        ]",
    );
    let source = &config.sources[0];
    assert_eq!((source.security, source.user.as_deref()), (Security::None, Some("me")));
    assert_eq!(source.password_from, Some(PasswordFrom::Environment("P".into())));
    let [a, b] = &source.signals[..] else { panic!("two signals") };
    assert_eq!((a.sampling_interval.as_millis(), a.queue_size, a.area.as_str()), (1000, 3, "line/p"));
    assert_eq!((b.sampling_interval.as_millis(), b.queue_size, b.area.as_str()), (0, 7, "line/p/x/y"));
    assert_eq!((a.range, b.range), (None, Some((-1.0, 2.5))));
}

#[test]
fn a_range_of_elements_is_a_signal_of_each_and_deadbands_are_taken_over() {
    let config = parse(
        "[[source]]
        name = 'p'
        url = 'opc.tcp://p'
        deadband = '2 %'
        profile = 'small'
        publishing_interval_ms = 500
        signal = [
            { name = 'a', node = 'i=1', element = 'axes[1:3]', deadband = 0.5 },
            { name = 'b', node = 'i=1', element = 'axes[1].torque', publishing_interval_ms = 100 },
            { name = 'c', node = 'i=2', deadband = 0 },
        ]
        [[detector]]
        name = 'd'
        plugin = 'limit'
        signals = ['p/a/*']",
    );
    let source = &config.sources[0];
    assert_eq!(source.profile, Profile::Small);
    let seen: Vec<_> = source
        .signals
        .iter()
        .map(|s| (&*s.name, s.element.as_ref().map(ToString::to_string), s.deadband, s.publishing_interval.as_millis()))
        .collect();
    let element = |text: &str| Some(text.to_owned());
    assert_eq!(
        seen,
        [
            ("p/a/1", element("axes[1]"), Deadband::Absolute(0.5), 500),
            ("p/a/2", element("axes[2]"), Deadband::Absolute(0.5), 500),
            ("p/a/3", element("axes[3]"), Deadband::Absolute(0.5), 500),
            ("p/b", element("axes[1].torque"), Deadband::Percent(2.0), 100),
            ("p/c", None, Deadband::None, 500),
        ]
    );
    assert_eq!(config.detectors[0].signals, ["p/a/1", "p/a/2", "p/a/3"]);
}

#[test]
fn patterns_take_signals_in_the_order_of_the_file() {
    let names = ["pump/speed", "pump/temp", "Tank[1].Level", "hall", "pump/deep/temp"];
    let signals: Vec<String> =
        names.iter().enumerate().map(|(n, name)| format!("{{ name = '{name}', node = 'i={n}' }}")).collect();
    let source = format!("source = [{{ name = 'p', url = 'opc.tcp://p', signal = [{}] }}]", signals.join(","));
    for (patterns, expected) in [
        ("'p/hall', 'p/pump/speed'", vec![0, 3]),
        ("'p/pump/*'", vec![0, 1]),
        ("'p/pump/**'", vec![0, 1, 4]),
        ("'**/temp'", vec![1, 4]),
        ("'p/*'", vec![2, 3]),
        ("'p/Tank[1].Level'", vec![2]),
        ("'!p/hall', '**', '!p/pump/deep/*'", vec![0, 1, 2]),
        ("'p/{hall,pump/speed}'", vec![0, 3]),
    ] {
        let text = format!("{source}\ndetector = [{{ name = 'd', plugin = 'limit', signals = [{patterns}] }}]");
        let expected: Vec<String> = expected.into_iter().map(|n: usize| format!("p/{}", names[n])).collect();
        assert_eq!(parse(&text).detectors[0].signals, expected, "{patterns}");
    }
}

#[test]
fn a_detectors_own_table_becomes_json_and_nothing_in_it_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("own.wasm"), "").unwrap();
    let text = "source = [{ name = 'p', url = 'opc.tcp://p', signal = [{ name = 't', node = 'i=1' }] }]
        [[detector]]
        name = 'd'
        plugin = 'own.wasm'
        signals = ['p/t']
        mode = 'live'
        seed = 0xffff
        quota = { memory_mb = 2, call_ms = 50, result_kb = 3, stack_kb = 64, tables = 4, log_lines = 0, compile_s = 9 }
        [detector.config]
        high = 80
        hex = 0xff
        share = 0.5
        name = 'x'
        on = true
        since = 2026-01-01
        list = [1, [2.0], {}]
        deep.er = -1
        [detector.alarm.high]
        severity = 700
        hold_off_s = 0.5
        confirm = true
        class = 'highly-managed'
        on_delay_s = 2
        off_delay_s = 3
        re_alarm_s = 4
        max_shelve_s = 5
        latch = true
        damp = false
        group = 'pump'
        first_only = true
        cause = 'why'
        consequence = 'what then'
        respond_within_s = 600
        exclusive = false
        response = ''
        [detector.alarm.'*']
        threshold = -1.5
        instrument = 'off-spec'
        sub_classes = ['safety', 'testing']
        response = 'run'";
    let config = Config::parse(text, "w.toml", folder.path()).unwrap_or_else(|told| panic!("{told}"));
    let detector = &config.detectors[0];
    assert_eq!(detector.plugin, PluginRef::File(folder.path().join("own.wasm")));
    assert_eq!((detector.mode, detector.seed), (Mode::Live, 65_535));
    let quota = detector.quota;
    assert_eq!((quota.memory_bytes, quota.call.as_millis(), quota.result_bytes), (2 << 20, 50, 3 << 10));
    assert_eq!((quota.stack_bytes, quota.tables, quota.log_lines, quota.compile.as_secs()), (64 << 10, 4, 0, 9));
    assert_eq!(
        detector.config,
        json!({ "high": 80, "hex": 255, "share": 0.5, "name": "x", "on": true, "since": "2026-01-01",
                "list": [1, [2.0], {}], "deep": { "er": -1 } })
    );
    let high = &detector.alarms["high"];
    assert_eq!((high.severity, high.hold_off, high.confirm), (Some(700), Some(Duration::from_millis(500)), Some(true)));
    let s = |s| Some(Duration::from_secs(s));
    assert_eq!((high.on_delay, high.off_delay, high.re_alarm, high.max_shelve), (s(2), s(3), s(4), s(5)));
    assert_eq!(
        (high.latch, high.damp, high.first_only, high.respond_within),
        (Some(true), Some(false), Some(true), s(600))
    );
    assert_eq!((high.class, high.group.as_deref()), (Some(AlarmClass::HighlyManaged), Some("pump")));
    assert_eq!((high.cause.as_deref(), high.consequence.as_deref()), (Some("why"), Some("what then")));
    assert_eq!(high.exclusive, Some(false));
    let all = &detector.alarms["*"];
    assert_eq!((all.threshold, all.response.as_deref()), (Some(-1.5), Some("run")));
    assert_eq!(high.response.as_deref(), Some(""), "there is nothing to do");
    assert_eq!(all.instrument, Some(watchfire_model::DeviceHealth::OffSpec));
    assert_eq!(all.sub_classes.as_deref(), Some(&[AlarmClass::Safety, AlarmClass::Testing][..]));
}

#[test]
fn deep_nesting_is_refused_without_a_stack_overflow() {
    let lists = format!("a = {}{}", "[".repeat(20_000), "]".repeat(20_000));
    let dots = format!("a{} = 1", ".a".repeat(200_000));
    let quoted_dots = format!("a{} = 1", ".'a'".repeat(200_000));
    let header = format!("[a{}]", ".a".repeat(200_000));
    let both = format!("a = {}1{}", "{a.a.a.a.a.a.a.a.a.a.a.a = ".repeat(70), "}".repeat(70));
    for text in [lists, dots, quoted_dots, header, both] {
        assert!(Config::parse(&text, "w.toml", Path::new("/base")).is_err());
    }
    let config = format!(
        "detector = [{{ name = 'd', plugin = 'limit', signals = ['x'], config = {}1{} }}]",
        "{a.a.a.a.a.a.a.a.a.a.a.a = ".repeat(60),
        "}".repeat(60)
    );
    let told = Config::parse(&config, "w.toml", Path::new("/base")).unwrap_err().to_string();
    assert!(told.contains("`config`: is nested more than 32 deep"), "{told}");
}

/// Words that lead deep into the reader.
fn fragment() -> impl Strategy<Value = String> {
    let words = [
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        " = ",
        ",",
        ".",
        "\n",
        "\r\n",
        "#",
        "'",
        "\"",
        "'''",
        "\"\"\"",
        "\\",
        "\0",
        "\u{feff}",
        "é",
        "gateway",
        "server",
        "server.user",
        "source",
        "source.signal",
        "detector",
        "detector.alarm.x",
        "detector.config",
        "name",
        "url",
        "node",
        "signals",
        "plugin",
        "port",
        "range",
        "security",
        "password_file",
        "user_certificate",
        "message_mode",
        "utc_offset",
        "data",
        "'opc.tcp://p'",
        "'**'",
        "'!'",
        "'ns=1;s=x'",
        "1",
        "-1",
        "0x",
        "1e999",
        "nan",
        "1_0",
        "99999999999999999999",
        "true",
        "2026-01-01",
        "25:61:00",
        "[1, 2]",
        "['a']",
        "''",
        "'/'",
    ];
    prop_oneof![4 => proptest::sample::select(words.map(str::to_owned).to_vec()), 1 => "\\PC{0,6}"]
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic_and_every_error_has_a_line_of_it(
        parts in proptest::collection::vec(fragment(), 0..60),
    ) {
        let text = parts.concat();
        if let Err(errors) = Config::parse(&text, "w.toml", Path::new("/no/such/folder")) {
            prop_assert!(!errors.0.is_empty());
            let lines = text.matches('\n').count() + 1;
            prop_assert!(errors.0.iter().all(|error| error.line <= lines), "{errors}\n{text}");
        }
    }

    #[test]
    fn a_good_file_with_a_piece_cut_out_or_put_in_makes_no_panic(at in 0_usize..6000, cut in 0_usize..40, put in fragment()) {
        let example = include_str!("../../../config/watchfire.toml");
        let boundary = |at: usize| (at.min(example.len())..=example.len()).find(|at| example.is_char_boundary(*at));
        let (from, to) = (boundary(at).unwrap(), boundary(at + cut).unwrap());
        let text = format!("{}{put}{}", &example[..from], &example[to..]);
        if let Err(errors) = Config::parse(&text, "w.toml", Path::new("/no/such/folder")) {
            prop_assert!(!errors.0.is_empty());
        }
    }
}

#[test]
fn publishers_and_what_is_allowed_are_read() {
    let digest = format!("sha256:{}", "0f".repeat(32));
    let text = format!(
        "[[source]]\nname = 'plant'\nurl = 'opc.tcp://plc'\n[[source.signal]]\nname = 't'\nnode = 'i=1'\n\
         [[detector]]\nname = 'd'\nplugin = 'theirs'\nsignals = ['**']\ndigest = '{digest}'\n\
         [plugins]\nallow = ['{digest}']\n[[publisher]]\nname = 'acme'\n\
         key = 'RWQ5mzap+qn2LcYMOYSulLrpQMukMpOYJ75xvy9yuON/nSkb31/VEgCe'\nuntil = '2028-12-31'\n"
    );
    let config = Config::parse(&text, "w.toml", Path::new("")).unwrap();
    assert_eq!(config.detectors[0].plugin, PluginRef::Named("theirs".to_owned()));
    assert_eq!(config.detectors[0].digest.map(|digest| digest.to_string()), Some(digest.clone()));
    assert_eq!(config.trust.allowed.iter().map(ToString::to_string).collect::<Vec<_>>(), [digest]);
    let [acme] = &config.trust.publishers[..] else { panic!("{:?}", config.trust) };
    assert_eq!((acme.name.as_str(), acme.key.id().as_str()), ("acme", "2DF6A9FAA9369B39"));
    assert_eq!(acme.until.map(|until| until.to_string()), Some("2028-12-31T00:00:00Z".to_owned()));
}

#[test]
fn bounds_are_read_by_themselves() {
    let read = QuotaConfig::parse("memory_mb=256\ncall_ms = 5000", "--quota").unwrap();
    let defaults = QuotaConfig::parse("", "--quota").unwrap();
    assert_eq!(read, QuotaConfig { memory_bytes: 256 << 20, call: Duration::from_secs(5), ..defaults });
    let told = |text: &str| QuotaConfig::parse(text, "--quota").unwrap_err().to_string();
    assert!(told("stack_kb=1").starts_with("--quota:1: [detector.quota]: `stack_kb` must be a whole number from 64"));
    assert!(
        told("a=1\nmemory=1").contains("--quota:2: [detector.quota]: unknown key `memory`"),
        "{}",
        told("memory=1")
    );
    assert!(told("memory_mb").starts_with("--quota:1: "), "{}", told("memory_mb"));
}

#[test]
fn a_console_looks_after_areas_that_there_are() {
    let source = "[[source]]\nname = 'line'\nurl = 'opc.tcp://line:4840'\n\
                  [[source.signal]]\nname = 'oil'\nnode = 'i=1'\narea = 'press/oil'\n\
                  [[source.signal]]\nname = 'level'\nnode = 'i=2'\narea = 'tank'\n\
                  [[source.events]]\nname = 'events'\narea = 'events'\n\
                  [[source.select]]\npath = '/Plant/**'\narea = 'found'\n";
    let given = |console: &str| {
        let text = format!("{source}[[console]]\n{console}\n");
        Config::parse(&text, "w.toml", Path::new("")).map(|config| config.consoles)
    };
    for (areas, meant) in [
        ("'line'", vec!["line"]),
        ("'line/press'", vec!["line/press"]),
        ("'line/*'", vec!["line/events", "line/found", "line/press", "line/tank"]),
        ("'line/press/oil', 'line/press'", vec!["line/press"]),
        ("'**/oil', 'watchfire'", vec!["line/press/oil", "watchfire"]),
    ] {
        let read = given(&format!("name = 'east'\nareas = [{areas}]")).unwrap_or_else(|told| panic!("{told}"));
        assert_eq!(
            read,
            [ConsoleConfig { name: "east".into(), title: None, areas: meant.into_iter().map(Into::into).collect() }]
        );
    }
    let titled = given("name = 'east'\ntitle = 'Control room east'\nareas = ['line']").unwrap();
    assert_eq!(titled[0].title.as_deref(), Some("Control room east"));
    for (console, says) in [
        (
            "name = 'e'\nareas = ['line/pres']",
            "w.toml:20: [[console]] \"e\": `areas`: there is no area `line/pres`; nearest: `line/press`",
        ),
        ("name = 'e'\nareas = ['x/**']", "there is no area `x/**`; known: `line`, `line/events`"),
        ("name = 'e'\nareas = ['[']", "`areas`: `[` is no pattern: "),
        ("name = 'e'\nareas = []", "`areas` must be a list of texts"),
        ("name = 'e'", "`areas` is missing; name the areas that it looks after"),
        ("name = 'a/b'\nareas = ['line']", "`name` \"a/b\" has a `/` in it"),
        ("areas = ['line']", "`name` is missing; give the console a name"),
        ("name = 'e'\nareas = ['line']\n[[console]]\nname = 'e'\nareas = ['line']", "names must differ"),
        ("name = 'e'\nareas = ['line']\narea = 1", "unknown key `area`; did you mean"),
    ] {
        let told = given(console).unwrap_err().to_string();
        assert!(told.contains(says), "{console}: {told}");
    }
}

#[test]
fn a_language_has_a_column_in_the_table_of_texts() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("texts.csv"), "text,de\nActive,Aktiv\n").unwrap();
    let given = |server: &str, user: &str, texts: &str| {
        let text = format!(
            "[gateway]\n{texts}\n[server]\n{server}\n[[server.user]]\nname = 'ann'\nrole = 'view'\n\
             thumbprint = '3f9a0c51771ed28b6405eeb9104ca738f26d901b'\n{user}\n\
             [[source]]\nname = 's'\nurl = 'opc.tcp://s'\n"
        );
        Config::parse(&text, "w.toml", folder.path())
    };
    let table = "texts_csv = 'texts.csv'";
    let config = given("locale = 'en-GB'", "locale = 'de-AT'", table).unwrap_or_else(|told| panic!("{told}"));
    assert_eq!(
        (config.server.locale.as_deref(), config.server.users[0].locale.as_deref()),
        (Some("en-GB"), Some("de-AT"))
    );
    assert_eq!(config.texts.languages().len(), 1);
    for (server, user, texts, says) in [
        ("locale = 'fr'", "", table, "w.toml:4: [server]: `locale` is \"fr\", but nothing is translated to it"),
        ("", "locale = 'de'", "", "w.toml:9: [[server.user]] \"ann\": `locale` is \"de\", but nothing"),
        ("locale = 'German'", "", table, "`locale` \"German\" is no language; write it as"),
        ("", "", "texts_csv = 'none.csv'", "none.csv: cannot be read"),
    ] {
        let told = given(server, user, texts).unwrap_err().to_string();
        assert!(told.contains(says), "{says}: {told}");
    }
}

#[test]
fn planned_maintenance_is_read_and_its_mistakes_are_named() {
    let source =
        "[[source]]\nname = 'press'\nurl = 'opc.tcp://press:4840'\n[[source.signal]]\nname = 'oil'\nnode = 'i=1'\n";
    let given = |maintenance: &str| {
        let text = format!("{source}[[maintenance]]\n{maintenance}\n");
        Config::parse(&text, "w.toml", Path::new("")).map(|config| config.maintenance)
    };
    let read =
        given("of = 'area:line/press/'\nfrom = '2026-12-01T06:00:00+01:00'\nfor_h = 1.5\ncomment = 'seal'").unwrap();
    let expected = PlannedMaintenance {
        of: Maintained::Area("line/press".into()),
        from: Instant::parse("2026-12-01T05:00:00Z").unwrap(),
        lasts: Duration::from_secs(5400),
        comment: "seal".into(),
    };
    assert_eq!(read, [expected]);
    for (maintenance, says) in [
        ("of = 'press'\nfrom = '2026-12-01'\nfor_h = 1", "`of` is \"press\"; name what is worked on"),
        ("of = 'source:mill'\nfrom = '2026-12-01'\nfor_h = 1", "there is no source `mill`"),
        ("of = 'signal:press/oill'\nfrom = '2026-12-01'\nfor_h = 1", "nearest: `press/oil`"),
        ("of = 'area:x'\nfrom = 'Monday'\nfor_h = 1", "`from`: \"Monday\" is no time"),
        ("of = 'area:x'\nfrom = '2026-12-01'", "`for_h` is missing"),
        ("of = 'area:x'\nfrom = '2026-12-01'\nfor_h = 9000", "`for_h`"),
        ("from = '2026-12-01'\nfor_h = 1", "`of` is missing"),
    ] {
        let told = given(maintenance).unwrap_err().to_string();
        assert!(told.contains(says), "{maintenance}: {told}");
    }
}
