//! `alarms_csv`: what alarm rationalisation has settled (ISA-18.2 §9), as a table that people keep in a spreadsheet. Each row
//! is judged as a `[detector.alarm.CONDITION]` is, with the same words, and counts before it.

use std::collections::BTreeSet;
use std::path::Path;

use watchfire_model::AlarmSettings;

use crate::csv_table::{self, Shape, comma_in_number, number, quoted};
use crate::section::Text;
use crate::{ConfigErrors, alarm};

/// The columns that a list can have; the first it must. `text` is for whoever reads it.
pub const COLUMNS: &[&str] = &[
    "condition",
    "text",
    "severity",
    "class",
    "sub_classes",
    "response",
    "cause",
    "consequence",
    "respond_within_s",
    "suppress_in_modes",
    "on_delay_s",
    "off_delay_s",
    "re_alarm_s",
    "max_shelve_s",
    "latch",
    "damp",
    "confirm",
    "group",
    "first_only",
    "exclusive",
    "instrument",
    "normal",
    "expected_time_s",
    "threshold",
    "hold_off_s",
];
const TEXTS: [&str; 7] = ["condition", "class", "response", "cause", "consequence", "group", "instrument"];
const FLAGS: [&str; 5] = ["latch", "damp", "confirm", "first_only", "exclusive"];

const WAY_OUT: &str = "`alarms_csv` in `[gateway]` names it: `watchfire alarms export FILE` writes one to begin with, \
                       `watchfire alarms import FILE` puts it there";

/// What a row says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub detector: String,
    /// The condition, or one instance of it: `limit`, `limit/press/oil_temp`.
    pub condition: String,
    pub settings: AlarmSettings,
    /// Where it stands.
    pub line: usize,
}

/// Reads a list of alarms.
pub(crate) fn read(path: &Path) -> Result<Vec<Row>, ConfigErrors> {
    let mut seen = BTreeSet::new();
    csv_table::read(path, &Shape { columns: COLUMNS, needed: 1, table, way_out: WAY_OUT }, |row| {
        let whole = row.required_text("condition", "name it as `detector/condition` or `detector/condition/signal`")?;
        if !seen.insert(whole.text.to_owned()) {
            row.wrong(whole.at, format_args!("`{}` is there twice; keep one of them", whole.text.escape_debug()));
        }
        let Some((detector, condition)) = whole.text.split_once('/') else {
            let name = whole.text.escape_debug();
            row.wrong(
                whole.at,
                format_args!("`{name}` is no condition; write `detector/condition` or `detector/condition/signal`"),
            );
            return None;
        };
        let line = row.report.line(whole.at);
        let settings = alarm::settings(Text { text: condition, at: whole.at }, row);
        Some(Row { detector: detector.to_owned(), condition: condition.to_owned(), settings, line })
    })
}

/// A row as the inside of an inline table; empty cells are left out.
fn table(cells: &[(&str, &str)]) -> Result<String, String> {
    let given = || cells.iter().filter(|(column, text)| !text.is_empty() && *column != "text");
    let is_number = |column: &str| {
        !TEXTS.contains(&column) && !FLAGS.contains(&column) && !["suppress_in_modes", "sub_classes"].contains(&column)
    };
    let mut numbers = given().filter(|(column, _)| is_number(column));
    if let Some(wrong) = numbers.find_map(|(column, text)| comma_in_number(column, text)) {
        return Err(wrong);
    }
    let settings = given().map(|(column, text)| {
        let value = if TEXTS.contains(column) {
            quoted(text)
        } else if FLAGS.contains(column) {
            flag(text)
        } else if *column == "suppress_in_modes" {
            let modes: Vec<String> = text.split_whitespace().map(number).collect();
            format!("[{}]", modes.join(", "))
        } else if *column == "sub_classes" {
            let classes: Vec<String> = text.split_whitespace().map(quoted).collect();
            format!("[{}]", classes.join(", "))
        } else {
            number(text)
        };
        format!("{column} = {value}")
    });
    Ok(settings.collect::<Vec<_>>().join(", "))
}

/// As spreadsheets write it; what is none stays a text, and is judged as such.
fn flag(text: &str) -> String {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => "true".to_owned(),
        "false" | "no" | "0" => "false".to_owned(),
        _ => quoted(text),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use watchfire_model::AlarmClass;

    use crate::{Config, ConfigErrors};

    fn settled(csv: &str) -> Result<Config, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("alarms.csv"), csv).unwrap();
        let text = "[gateway]
alarms_csv = 'alarms.csv'
mode_signal = 'p/x'
[[source]]
name = 'p'
url = 'opc.tcp://p'
[[source.signal]]
name = 'x'
node = 'i=1'
[[detector]]
name = 'hot'
plugin = 'limit'
signals = ['p/x']
[detector.alarm.limit]
severity = 500
response = 'look'
";
        Config::parse(text, "w.toml", folder.path()).map_err(|ConfigErrors(errors)| {
            let place = format!("{}/", folder.path().display());
            errors.iter().map(|error| error.to_string().replace(&place, "")).collect()
        })
    }

    #[test]
    fn what_a_list_settles_counts_before_the_detectors_own_tables() {
        let config = settled(
            "condition;text;severity;class;sub_classes;response;cause;respond_within_s;latch;on_delay_s;\
             suppress_in_modes\n\
             hot/limit;too hot;;;;;\"fan; or filter\";600;yes;\n\
             hot/limit/p/x;;812;highly-managed;safety testing;open the flap;;;;2.5;2 3\n",
        );
        let alarms = &config.unwrap().detectors[0].alarms;
        let [whole, one] = [&alarms["limit"], &alarms["limit/p/x"]];
        assert_eq!((whole.severity, whole.response.as_deref()), (Some(500), Some("look")), "left empty: as it was");
        assert_eq!((whole.cause.as_deref(), whole.latch), (Some("fan; or filter"), Some(true)));
        assert_eq!(whole.respond_within, Some(Duration::from_secs(600)));
        assert_eq!((one.severity, one.class), (Some(812), Some(AlarmClass::HighlyManaged)));
        assert_eq!(one.sub_classes.as_deref(), Some(&[AlarmClass::Safety, AlarmClass::Testing][..]));
        assert_eq!((one.response.as_deref(), one.on_delay), (Some("open the flap"), Some(Duration::from_millis(2500))));
        assert_eq!((one.cause.as_deref(), one.suppress_in_modes.as_deref()), (None, Some(&[2, 3][..])));
    }

    #[test]
    fn every_mistake_of_a_list_is_told_with_its_line() {
        let errors = settled(
            "condition,severity,latch,threshold,class\n\
             hot/limit,5000,,,\n\
             hot/limit,,perhaps,,\n\
             hit/limit,1,,,\n\
             limit,1,,,\n\
             hot/limit/p/x,,,3,\n\
             hot/,1,,,vital\n",
        )
        .unwrap_err();
        for part in [
            "alarms.csv:2: row \"#1\": `severity` must be a whole number from 1 to 1000, not `5000`",
            "alarms.csv:3: row \"#2\": `hot/limit` is there twice",
            "alarms.csv:3: row \"#2\": `latch`",
            "alarms.csv:5: row \"#4\": `limit` is no condition",
            "alarms.csv:6: row \"#5\": `threshold` and `hold_off_s` are of the whole condition; set them for `limit`",
            "alarms.csv:7: row \"#6\": \"\" is no condition",
            "alarms.csv:7: row \"#6\": `class`",
        ] {
            assert!(errors.iter().any(|error| error.starts_with(part)), "{part}: {errors:#?}");
        }
        let errors = settled("condition,severity\nhit/limit,1\n").unwrap_err();
        assert_eq!(errors, ["alarms.csv:2: there is no detector `hit`; did you mean `hot`?"]);
    }
}
