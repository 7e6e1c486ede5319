//! `watchfire alarms export|import`: what is settled of every alarm (ISA-18.2 §9) as a table for people, and back.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use watchfire_alarms::{AlarmType, ConditionClass, ConditionDef};
use watchfire_config::{ALARM_COLUMNS, Config, ConfigErrors, Lists};

use crate::terminal::cell;
use crate::trial;

/// Writes every condition that the configured detectors have. The gateway need not run.
///
/// # Errors
/// When the configuration is wrong, the file is there already, or it cannot be written.
pub fn export(config: &Path, file: &Path) -> Result<ExitCode> {
    let config = Config::load_with(config, Lists::AsFarAsThere)?;
    let (conditions, refused) = trial::tried(&config)?;
    let mut table = ALARM_COLUMNS.join(",") + "\n";
    for condition in &conditions {
        table += &row(condition);
        table.push('\n');
    }
    let out = fs::OpenOptions::new().write(true).create_new(true).open(file);
    let mut out =
        out.with_context(|| format!("cannot make `{}`; name a file that is not there yet", file.display()))?;
    out.write_all(table.as_bytes()).with_context(|| format!("cannot write `{}`", file.display()))?;
    println!("{}: {} conditions", file.display(), conditions.len());
    refused.iter().for_each(|refused| eprintln!("{refused}"));
    Ok(if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn row(condition: &ConditionDef) -> String {
    let rules = &condition.rules;
    let seconds = |time: Option<Duration>| time.map_or_else(String::new, |time| time.as_secs_f64().to_string());
    let flag = |is: bool| if is { "true" } else { "" }.to_owned();
    let group = rules.group.as_ref();
    let cells = ALARM_COLUMNS.iter().map(|column| match *column {
        "condition" => cell(condition.key.as_str()),
        "text" => cell(&condition.text),
        "severity" => condition.severity.get().to_string(),
        "class" => class(condition.class).to_owned(),
        "sub_classes" => rules.sub_classes.iter().map(|sub| class(*sub)).collect::<Vec<_>>().join(" "),
        "response" => cell(&condition.response),
        "cause" => cell(&rules.cause),
        "consequence" => cell(&rules.consequence),
        "respond_within_s" => seconds(rules.respond_within),
        "suppress_in_modes" => rules.suppress_in_modes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        "on_delay_s" => seconds(rules.on_delay),
        "off_delay_s" => seconds(rules.off_delay),
        "re_alarm_s" => seconds(rules.re_alarm),
        "max_shelve_s" => seconds(rules.max_shelve),
        "latch" => flag(rules.latch),
        "damp" => flag(rules.damp),
        "confirm" => flag(condition.confirm),
        "group" => group.map_or_else(String::new, |group| cell(&group.name)),
        "first_only" => flag(group.is_some_and(|group| group.first_only)),
        "instrument" => instrument(condition.alarm_type).to_owned(),
        "normal" => rules.normal.map_or_else(String::new, |normal| normal.to_string()),
        "expected_time_s" => seconds(rules.expected_time),
        "exclusive" if condition.alarm_type.is_non_exclusive() => "false".to_owned(),
        // Of the whole condition, and set there.
        _ => String::new(),
    });
    cells.collect::<Vec<_>>().join(",")
}

const fn instrument(alarm: AlarmType) -> &'static str {
    match alarm {
        AlarmType::DeviceFailure => "failure",
        AlarmType::DeviceCheckFunction => "check-function",
        AlarmType::DeviceOffSpec => "off-spec",
        AlarmType::DeviceMaintenanceRequired => "maintenance-required",
        _ => "",
    }
}

const fn class(class: ConditionClass) -> &'static str {
    match class {
        // The gateway's own alarms are not configured, and neither is what is gone.
        ConditionClass::Process | ConditionClass::System | ConditionClass::Unclassified => "process",
        ConditionClass::Maintenance => "maintenance",
        ConditionClass::Statistical => "statistical",
        ConditionClass::HighlyManaged => "highly-managed",
        ConditionClass::Safety => "safety",
        ConditionClass::Training => "training",
        ConditionClass::Testing => "testing",
    }
}

/// Puts a table in its place, once everything in it is right. What was there is kept beside it as `….before`.
///
/// # Errors
/// When the configuration names no place, or anything in it or in the table is wrong; nothing is changed then.
pub fn import(file: &Path, table: &Path) -> Result<ExitCode> {
    let bytes = fs::read(table).with_context(|| format!("cannot read `{}`", table.display()))?;
    // Judged as a start would once it lies there, with its own name and lines in what is told.
    let (place, refused) = match Config::load_with(file, Lists::WithAlarms(table)) {
        Ok(config) => (config.gateway.alarms_csv.clone(), trial::refused(&config)?),
        Err(ConfigErrors(errors)) => (None, errors.iter().map(ToString::to_string).collect()),
    };
    if !refused.is_empty() {
        bail!("`{}` was not taken over:\n{}", table.display(), refused.join("\n"));
    }
    let Some(place) = place else {
        bail!("the configuration has no place for it: set `alarms_csv = \"alarms.csv\"` in `[gateway]`");
    };
    let beside = |ending: &str| {
        let mut name = place.clone().into_os_string();
        name.push(ending);
        std::path::PathBuf::from(name)
    };
    let (new, old) = (beside(".new"), beside(".before"));
    let written = |path: &Path| format!("cannot write `{}`", path.display());
    // Imported twice, it is not what was there before.
    if fs::read(&place).is_ok_and(|there| there != bytes) {
        fs::copy(&place, &old).with_context(|| written(&old))?;
    }
    fs::write(&new, &bytes).with_context(|| written(&new))?;
    fs::rename(&new, &place).with_context(|| written(&place))?;
    println!("{} is good and in place; `watchfire reload` takes it up", place.display());
    Ok(ExitCode::SUCCESS)
}
