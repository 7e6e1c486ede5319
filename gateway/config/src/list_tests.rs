//! Lists that people keep in spreadsheets: what is told where one is not there, or is not what it should be, and how one is
//! made that is named already. And what numbers people write there and elsewhere.

use std::path::Path;

use crate::{Config, ConfigErrors, Lists};

/// A gateway's section and a source, to which a case adds its lines.
fn with(gateway: &str, source: &str) -> String {
    format!(
        "[gateway]\n{gateway}\n[[source]]\nname = 'p'\nurl = 'opc.tcp://p'\n{source}\n[[source.signal]]\nname = 'x'\n\
         node = 'i=1'\n[[detector]]\nname = 'hot'\nplugin = 'limit'\nsignals = ['p/x']\n"
    )
}

fn told(folder: &Path, text: &str, lists: Lists<'_>) -> Vec<String> {
    let file = folder.join("w.toml");
    std::fs::write(&file, text).unwrap();
    let place = format!("{}/", folder.display());
    match Config::load_with(&file, lists) {
        Ok(_) => Vec::new(),
        Err(ConfigErrors(errors)) => errors.iter().map(|error| error.to_string().replace(&place, "")).collect(),
    }
}

#[test]
fn a_list_that_is_not_there_is_told_by_the_key_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    for (text, way_out) in [
        (with("alarms_csv = 'l.csv'", ""), "`alarms_csv` in `[gateway]` names it: `watchfire alarms export FILE`"),
        (with("texts_csv = 'l.csv'", ""), "`texts_csv` in `[gateway]` names it: `watchfire alarms texts FILE`"),
        (with("", "signals_csv = 'l.csv'"), "`signals_csv` of a `[[source]]` names it; a relative path begins at"),
    ] {
        let told = told(folder.path(), &text, Lists::AsNamed);
        let begin = format!("l.csv: cannot be read: No such file or directory (os error 2); {way_out}");
        assert!(told.len() == 1 && told[0].starts_with(&begin), "{told:#?}");
    }
}

#[test]
fn a_list_that_is_about_to_be_made_may_be_missing_and_another_may_be_judged_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let named = with("alarms_csv = 'l.csv'\ntexts_csv = 't.csv'", "") + "[server]\nlocale = 'de'\n";
    assert_eq!(told(folder.path(), &named, Lists::AsFarAsThere), [""; 0], "neither is there");
    std::fs::write(folder.path().join("t.csv"), "text,de\nActive,Aktiv\n").unwrap();
    let new = folder.path().join("new.csv");
    std::fs::write(&new, "condition,severity\nhot/limit,700\n").unwrap();
    assert_eq!(told(folder.path(), &named, Lists::WithAlarms(&new)), [""; 0], "the one that is named is not needed");
    std::fs::write(&new, "condition,severity\nhot/limit,7000\n").unwrap();
    let judged = told(folder.path(), &named, Lists::WithAlarms(&new));
    assert_eq!(judged, ["new.csv:2: row \"#1\": `severity` must be a whole number from 1 to 1000, not `7000`"]);
}

#[test]
fn a_workbook_and_a_decimal_comma_are_called_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let signals = with("", "signals_csv = 'l.csv'");
    let write = |bytes: &[u8]| std::fs::write(folder.path().join("l.csv"), bytes).unwrap();
    write(b"PK\x03\x04\x14\x00\xff");
    let workbook = "l.csv: is a workbook or another archive and no text; save it as CSV in UTF-8";
    assert_eq!(told(folder.path(), &signals, Lists::AsNamed), [workbook]);
    write(b"name;node;range_low;range_high\na;i=1;0,5;1000\nb;i=2;0;1,000.5\n");
    assert_eq!(
        told(folder.path(), &signals, Lists::AsNamed),
        [
            "l.csv:2: `range_low` is `0,5`; write it with a decimal point, `0.5`, and thousands without a comma",
            "l.csv:3: row \"b\": `range` must be two finite numbers, `[low, high]`, but \"1,000.5\" is none",
        ]
    );
    let alarms = with("alarms_csv = 'l.csv'", "");
    write(b"condition;on_delay_s\nhot/limit;2,5\n");
    assert_eq!(
        told(folder.path(), &alarms, Lists::AsNamed),
        ["l.csv:2: `on_delay_s` is `2,5`; write it with a decimal point, `2.5`, and thousands without a comma"]
    );
}

#[test]
fn bounds_of_numbers_are_told_as_people_write_them() {
    let folder = tempfile::tempdir().unwrap();
    let planned = |hours: &str| {
        with("", "") + &format!("[[maintenance]]\nof = 'source:p'\nfrom = '2099-01-01'\nfor_h = {hours}\n")
    };
    let range = |range: &str| with("", &format!("[[source.signal]]\nname = 'y'\nnode = 'i=2'\nrange = {range}"));
    for (text, wanted) in [
        (with("", "deadband = -1"), "`deadband` must be a number from 0, not `-1`"),
        (planned("0"), "`for_h` must be a number from 0.0167 to 8784, not `0`"),
        (range("['0,5', 9]"), "[low, high]`, but \"0,5\" is none; write a decimal point, and no quotes"),
        (range("[0,5, 9]"), "[low, high]`, not 3; numbers have a decimal point"),
        (range("9"), "[low, high]`, not `9`"),
    ] {
        let told = told(folder.path(), &text, Lists::AsNamed);
        assert!(told.len() == 1 && told[0].ends_with(wanted), "{wanted}: {told:#?}");
    }
    assert_eq!(told(folder.path(), &planned("0.0167"), Lists::AsNamed), [""; 0]);
}

#[test]
fn one_port_has_one_listener() {
    let folder = tempfile::tempdir().unwrap();
    let both = |host: &str, listen: &str| {
        let text = with("", &format!("reverse_connect = '{listen}'")) + &format!("[server]\nhost = '{host}'\n");
        told(folder.path(), &text, Lists::AsNamed)
    };
    let wrong = "w.toml: source `p`: `reverse_connect` listens at port 4840, which is `port` of `[server]`; give one of them \
                 another";
    for (host, listen) in [
        ("0.0.0.0", "0.0.0.0:4840"),
        ("127.0.0.1", "0.0.0.0:4840"),
        ("0.0.0.0", "127.0.0.1:4840"),
        ("127.0.0.1", "127.0.0.1:4840"),
        ("::", "[::]:4840"),
        ("::", "10.0.0.1:4840"),
        ("0.0.0.0", "[::]:4840"),
        ("gateway.plant.example", "0.0.0.0:4840"),
    ] {
        assert_eq!(both(host, listen), [wrong], "{host} {listen}");
    }
    for (host, listen) in [
        ("0.0.0.0", "0.0.0.0:4845"),
        ("127.0.0.1", "10.0.0.1:4840"),
        ("0.0.0.0", "[::1]:4840"),
        // Which address the name stands for shows at the start.
        ("gateway.plant.example", "10.0.0.1:4840"),
    ] {
        assert_eq!(both(host, listen), [""; 0], "{host} {listen}");
    }
}
