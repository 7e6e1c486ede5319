//! Signals that are selected or listed elsewhere: how they are read, and how what a server has is put in.

use std::collections::HashMap;
use std::path::Path;

use crate::{About, Config, ConfigErrors, Described, Found, FoundSignal, NodeAddress};

const SELECTING: &str = "
[gateway]
mode_signal = 'press/Line/Mode'
[[source]]
name = 'press'
url = 'opc.tcp://press'
area = 'hall'
[[source.signal]]
name = 'oil'
node = 'ns=2;s=Oil'
unit = 'bar'
[[source.select]]
path = '/Plant/*/Speed'
below = '/Plant'
area = 'pumps'
sampling_interval_ms = 50
group = 3
[[source.select]]
type = 'AnalogItemType'
exclude = ['/Plant/Test/**']
unit = 'Cel'
[[detector]]
name = 'fast'
plugin = 'limit'
signals = ['press/**/Speed', '!press/B/*']
[[detector]]
name = 'oily'
plugin = 'limit'
signals = ['press/oil']
";

fn parse(text: &str) -> Config {
    Config::parse(text, "w.toml", Path::new("")).unwrap_or_else(|told| panic!("{told}"))
}

fn found(select: &str, path: &str, node: &str) -> FoundSignal {
    let path = path.split('/').skip(1).map(str::to_owned).collect();
    FoundSignal { select: select.into(), path, node: node.into(), about: About::default() }
}

fn with(config: &Config, found: Found) -> (Config, Vec<String>) {
    config.clone().with_found(&HashMap::from([("press".to_owned(), found)]))
}

#[test]
fn what_is_selected_becomes_signals_once_it_is_found() {
    let config = parse(SELECTING);
    let source = &config.sources[0];
    assert_eq!(source.selects[0].key(), "/Plant/*/Speed");
    assert_eq!(source.selects[1].key(), "/** type AnalogItemType without /Plant/Test/**");
    assert!(source.needs_survey());

    let (nothing_yet, untaken) = with(&config, Found::default());
    assert_eq!(nothing_yet.detectors.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["oily"]);
    assert_eq!(nothing_yet.gateway.mode_signal, None);
    assert_eq!(untaken, ["detector `fast` waits: no server has shown any of its signals yet"]);

    let mut speed = found("/Plant/*/Speed", "/Plant/B/Speed", "nsu=urn:p;i=2");
    speed.about = About { unit: Some("/min".into()), range: Some((0.0, 0.1)), description: "of B".into() };
    let analog = source.selects[1].key();
    let signals = vec![
        speed,
        found("/Plant/*/Speed", "/Plant/A/Speed", "nsu=urn:p;i=1"),
        found(&analog, "/Plant/A/Speed", "nsu=urn:p;i=1"),
        found(&analog, "/Plant/A/Temp", "nsu=urn:p;i=3"),
        found(&analog, "/Line/Mode", "nsu=urn:p;i=4"),
        found("/no/longer/configured", "/x", "nsu=urn:p;i=5"),
    ];
    let described = vec![
        Described {
            name: "press/oil".into(),
            node: "ns=2;s=Oil".into(),
            about: About { unit: Some("Pa".into()), range: Some((0.0, 9.0)), description: "oil".into() },
        },
        Described { name: "press/oil".into(), node: "ns=9;s=Another".into(), about: About::default() },
    ];
    let (whole, untaken) = with(&config, Found { signals, described });
    assert_eq!(untaken, [""; 0]);
    let names: Vec<&str> = whole.sources[0].signals.iter().map(|signal| signal.name.as_str()).collect();
    assert_eq!(names, ["press/oil", "press/A/Speed", "press/B/Speed", "press/Line/Mode", "press/Plant/A/Temp"]);
    let [oil, a, b, .., temp] = &whole.sources[0].signals[..] else { panic!("five signals") };
    assert_eq!((oil.unit.as_deref(), oil.range, oil.description.as_str()), (Some("bar"), Some((0.0, 9.0)), "oil"));
    assert_eq!((a.area.as_str(), a.group, a.sampling_interval.as_millis()), ("hall/pumps", 3, 50));
    assert_eq!((b.unit.as_deref(), b.range, b.description.as_str()), (Some("/min"), Some((0.0, 0.1)), "of B"));
    assert_eq!((temp.unit.as_deref(), temp.area.as_str()), (Some("Cel"), "hall"));
    assert_eq!(whole.detectors[0].signals, ["press/A/Speed"]);
    assert_eq!(whole.gateway.mode_signal.as_deref(), Some("press/Line/Mode"));
}

#[test]
fn names_that_cannot_be_had_are_told_and_hold_up_no_other() {
    let config = parse(SELECTING);
    let key = "/Plant/*/Speed";
    let signals = vec![
        found(key, "/oil", "nsu=urn:p;i=1"),
        found(key, &format!("/Plant/{}", "x".repeat(200)), "nsu=urn:p;i=2"),
        found(key, "/Plant/A ", "nsu=urn:p;i=3"),
        FoundSignal { path: vec!["a/b".into()], ..found(key, "/", "nsu=urn:p;i=4") },
    ];
    let (config, untaken) = with(&config, Found { signals, described: Vec::new() });
    let names: Vec<&str> = config.sources[0].signals.iter().map(|signal| signal.name.as_str()).collect();
    assert_eq!(names, ["press/oil", "press/A", "press/a_b"]);
    assert_eq!(untaken.len(), 3, "{untaken:?}");
    assert!(untaken[1].contains("nsu=urn:p;i=1") && untaken[1].contains("`press/oil`"), "{untaken:?}");
    assert!(untaken[0].contains("longer than 128 bytes"), "{untaken:?}");
}

#[test]
fn what_was_found_is_written_and_read_to_the_last_bit_and_outlasts_a_server_that_hides_it() {
    let range = Some((-0.1 - 0.2, 123_456_789.123_456_78));
    let about = About { unit: None, range, description: String::new() };
    let earlier = Found {
        signals: vec![
            FoundSignal { about, ..found("k", "/a", "i=1") },
            found("k", "/b", "i=2"),
            found("k", "/c", "i=3"),
        ],
        described: vec![Described { name: "p/x".into(), node: "i=9".into(), about: About::default() }],
    };
    let text = serde_json::to_string(&earlier).unwrap();
    assert_eq!(serde_json::from_str::<Found>(&text).unwrap(), earlier);
    let now = Found { signals: vec![found("k", "/a", "i=7"), found("k", "/moved", "i=2")], described: Vec::new() };
    let (kept, gone) = now.over(&earlier);
    let nodes: Vec<&str> = kept.signals.iter().map(|signal| signal.node.as_str()).collect();
    assert_eq!((nodes, gone, kept.described.len()), (vec!["i=7", "i=2", "i=3"], 1, 1));
}

#[test]
fn selections_with_mistakes_are_told_all_at_once() {
    let text = "[[source]]
name = 'p'
url = 'opc.tcp://p'
[[source.select]]
area = 'x'
[[source.select]]
path = 'Plant'
exclude = '/x'
[[source.select]]
type = 'T'
below = 'Plant'
[[detector]]
name = 'd'
plugin = 'limit'
signals = ['q/**']
";
    let ConfigErrors(errors) = Config::parse(text, "w.toml", Path::new("")).unwrap_err();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    for (error, part) in errors.iter().zip([
        "w.toml:4: [[source.select]] \"p/#1\": neither `path` nor `type`",
        "w.toml:7: [[source.select]] \"p/#2\": `path` \"Plant\" does not begin with a `/`",
        "w.toml:8: [[source.select]] \"p/#2\": `exclude` must be a list of texts",
        "w.toml:11: [[source.select]] \"p/#3\": `below` \"Plant\" is no path",
        "w.toml:15: [[detector]] \"d\": `signals`: `q/**` matches no signal",
    ]) {
        assert!(error.starts_with(part), "{error}");
    }
    assert_eq!(errors.len(), 5, "{errors:?}");
}

fn listed(csv: &str) -> Result<Config, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("signals.csv"), csv).unwrap();
    let text = "[[source]]
name = 'p'
url = 'opc.tcp://p'
area = 'hall'
signals_csv = 'signals.csv'
[[source.signal]]
name = 'first'
node = 'i=1'
[[detector]]
name = 'd'
plugin = 'limit'
signals = ['p/pump/*']
";
    Config::parse(text, "w.toml", folder.path()).map_err(|ConfigErrors(errors)| {
        let place = format!("{}/", folder.path().display());
        errors.iter().map(|error| error.to_string().replace(&place, "")).collect()
    })
}

#[test]
fn a_list_of_signals_is_read_whatever_spreadsheet_wrote_it() {
    for csv in [
        "name,node,unit,range_low,range_high,area,sampling_interval_ms,description\n\
         pump/speed,ns=2;s=Speed,/min,0,3600.5,pumps,50,\"fast, and \"\"loud\"\"\"\n\n\
         tank/level,/Plant/Tank/Level,,,,,,\n",
        "\u{feff}Name;Node;Unit;Range_Low;Range_High;Area;Sampling_Interval_MS;Description\r\n\
         pump/speed;\"ns=2;s=Speed\";/min;0;3600.5;pumps;50;\"fast, and \"\"loud\"\"\"\r\n\
         tank/level;/Plant/Tank/Level\r\n",
    ] {
        let config = listed(csv).unwrap();
        let [first, speed, level] = &config.sources[0].signals[..] else { panic!("{config:?}") };
        assert_eq!(first.name, "p/first");
        assert_eq!((speed.name.as_str(), speed.node.to_string().as_str()), ("p/pump/speed", "ns=2;s=Speed"));
        assert_eq!((speed.unit.as_deref(), speed.range), (Some("/min"), Some((0.0, 3600.5))));
        assert_eq!((speed.area.as_str(), speed.sampling_interval.as_millis()), ("hall/pumps", 50));
        assert_eq!(speed.description, "fast, and \"loud\"");
        assert_eq!((level.node.clone(), level.range), (NodeAddress::parse("/Plant/Tank/Level").unwrap(), None));
        assert_eq!(config.detectors[0].signals, ["p/pump/speed"]);
    }
}

#[test]
fn every_mistake_of_a_list_is_told_with_its_file_and_line() {
    let csv = "name,node,range_low,range_high,queue_size\n\
               pump/speed,Speed,1,0,\n\
               first,i=2\n\
               \"pump\n/x\",i=3\n\
               b,i=4,1,,\n\
               c,i=5,,,many\n\
               d,i=6,,,1,too,much\n";
    let errors = listed(csv).unwrap_err();
    for (error, part) in errors.iter().zip([
        "signals.csv:2: row \"pump/speed\": `node`: `Speed` has no identifier",
        "signals.csv:2: row \"pump/speed\": `range` is [1, 0]",
        "signals.csv:3: row \"first\": `name`: the signal in line 7 of w.toml is named `first` too",
        "signals.csv:4: row \"pump\\n/x\": `name` \"pump\\n/x\" has an empty part",
        "signals.csv:6: has one of `range_low` and `range_high`",
        "signals.csv:7: row \"c\": `queue_size` must be a whole number from 1 to 100000, not \"many\"",
        "signals.csv:8: has 7 cells, but there are 5 columns",
    ]) {
        assert!(error.starts_with(part), "{error}\n{part}");
    }
    assert_eq!(errors.len(), 7, "{errors:?}");
    for (csv, part) in [
        ("", "signals.csv: is empty"),
        ("name\na", "signals.csv:1: there is no column `node`"),
        ("name,nodes\na,i=1", "signals.csv:1: unknown column `nodes`; did you mean `node`?"),
        ("name,node,name\na,i=1", "signals.csv:1: the column `name` is there twice"),
        ("name,node\na,\"i=1", "signals.csv:2: a `\"` begins a text that does not end"),
    ] {
        assert!(listed(csv).unwrap_err()[0].starts_with(part), "{:?}", listed(csv));
    }
}

const STREAMS: &str = "[[source]]
name = 'p'
url = 'opc.tcp://p'
area = 'hall'
[[source.signal]]
name = 'x'
node = 'i=1'
[[source.events]]
[[source.events]]
name = 'alarms'
notifier = '/Plant'
type = 'AlarmConditionType'
severity_min = 500
fields = ['nsu=urn:p;/Machine/Id']
area = 'a'
[[detector]]
name = 'd'
plugin = 'limit'
signals = ['p/**']
[[detector]]
name = 'e'
plugin = 'limit'
signals = ['p/alarms', 'p/x']
";

#[test]
fn streams_of_events_are_signals_that_no_pattern_means() {
    let config = Config::parse(STREAMS, "w.toml", Path::new("")).unwrap();
    let signals = &config.sources[0].signals;
    let names: Vec<&str> = signals.iter().map(|signal| signal.name.as_str()).collect();
    assert_eq!(names, ["p/x", "p/events", "p/alarms"]);
    let events = |at: usize| signals[at].events.as_deref().unwrap();
    assert_eq!((&events(1).of_type, events(1).severity_min, signals[1].queue_size), (&None, 1, 1000));
    assert_eq!((events(2).severity_min, &*signals[2].area), (500, "hall/a"));
    assert_eq!(events(2).of_type.as_ref().unwrap().to_string(), "i=2915");
    assert_eq!(events(2).fields[0].parts.len(), 2);
    assert_eq!(config.detectors[0].signals, ["p/x"]);
    assert_eq!(config.detectors[1].signals, ["p/x", "p/alarms"]);
}

#[test]
fn streams_with_mistakes_are_told_all_at_once() {
    let text = STREAMS.replace("name = 'alarms'", "name = 'x'").replace("'AlarmConditionType'", "'Alarms'");
    let text =
        text.replace("'/Plant'", "'Plant'").replace("500", "1001").replace("'nsu=urn:p;/Machine/Id'", "'Machine'");
    let ConfigErrors(errors) = Config::parse(&text, "w.toml", Path::new("")).unwrap_err();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    for (error, part) in errors.iter().zip([
        "w.toml:10: [[source.events]] \"p/x\": `name`: the signal in line 6 is named `x` too",
        "w.toml:11: [[source.events]] \"p/x\": `notifier`: `Plant` has no identifier",
        "w.toml:12: [[source.events]] \"p/x\": `type` \"Alarms\" is no event type known here",
        "w.toml:13: [[source.events]] \"p/x\": `severity_min` must be a whole number from 1 to 1000",
        "w.toml:14: [[source.events]] \"p/x\": `fields`:",
    ]) {
        assert!(error.contains(part), "{error}\n{part}");
    }
    assert!(errors.len() >= 5, "{errors:?}");
}
