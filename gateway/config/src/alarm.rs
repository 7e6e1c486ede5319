//! `[detector.alarm.CONDITION]`: what a site says of a condition.

use std::ops::RangeInclusive;
use std::time::Duration;

use watchfire_model::{AlarmClass, AlarmSettings, DeviceHealth};

use crate::section::{Section, Text};

/// Up to a day.
const DAY_S: RangeInclusive<f64> = 0.0..=86_400.0;
/// From a second to a month.
const MONTH_S: RangeInclusive<f64> = 1.0..=2_678_400.0;
/// The longest text, bytes: it is part of each event.
const TEXT_BYTES_MAX: usize = 2048;

const CLASSES: [(&str, AlarmClass); 7] = [
    ("process", AlarmClass::Process),
    ("maintenance", AlarmClass::Maintenance),
    ("statistical", AlarmClass::Statistical),
    ("highly-managed", AlarmClass::HighlyManaged),
    ("safety", AlarmClass::Safety),
    ("training", AlarmClass::Training),
    ("testing", AlarmClass::Testing),
];

const INSTRUMENT: [(&str, DeviceHealth); 4] = [
    ("failure", DeviceHealth::Failure),
    ("check-function", DeviceHealth::CheckFunction),
    ("off-spec", DeviceHealth::OffSpec),
    ("maintenance-required", DeviceHealth::MaintenanceRequired),
];

/// Reads what is said of a condition.
pub(crate) fn settings(condition: Text<'_>, section: Section<'_>) -> AlarmSettings {
    let (name, instance) = condition.text.split_once('/').map_or((condition.text, None), |(n, i)| (n, Some(i)));
    if name.is_empty() || instance == Some("") {
        let message = "is no condition; name one of the plugin's, `\"*\"` for all that are not named, or one of its signals \
                       as `\"limit/press/oil_temp\"`";
        section.wrong(condition.at, format_args!("\"{}\" {message}", condition.text.escape_debug()));
    }
    let time = |key, bounds| section.number(key, bounds).map(Duration::from_secs_f64);
    let severity = section.integer("severity", 1..=1000);
    let settings = AlarmSettings {
        severity: severity.and_then(|severity| u16::try_from(severity).ok()),
        threshold: section.number("threshold", f64::MIN..=f64::MAX),
        hold_off: time("hold_off_s", DAY_S),
        // An empty one says that there is nothing to do, and that it is no alarm.
        response: short(&section, "response", section.any_text("response")),
        confirm: section.flag("confirm"),
        class: section.choice("class", &CLASSES),
        on_delay: time("on_delay_s", DAY_S),
        off_delay: time("off_delay_s", DAY_S),
        re_alarm: time("re_alarm_s", MONTH_S),
        max_shelve: time("max_shelve_s", MONTH_S),
        latch: section.flag("latch"),
        damp: section.flag("damp"),
        group: text(&section, "group"),
        first_only: section.flag("first_only"),
        cause: text(&section, "cause"),
        consequence: text(&section, "consequence"),
        respond_within: time("respond_within_s", MONTH_S),
        suppress_in_modes: section
            .integers("suppress_in_modes", 0..=u64::from(u32::MAX))
            .map(|modes| modes.into_iter().filter_map(|mode| u32::try_from(mode).ok()).collect()),
        sub_classes: section.choices("sub_classes", &CLASSES),
        instrument: section.choice("instrument", &INSTRUMENT),
        exclusive: section.flag("exclusive"),
        normal: section.number("normal", f64::MIN..=f64::MAX),
        expected_time: time("expected_time_s", DAY_S),
    };
    if settings.instrument.is_some() && settings.exclusive.is_some() {
        section.wrong(condition.at, "`exclusive` is of limit alarms, `instrument` of instruments; set one of them");
    }
    if let (Some(true), None) = (settings.first_only, &settings.group) {
        section.wrong(condition.at, "`first_only` is of a group; name it with `group`");
    }
    if instance.is_some() && (settings.threshold.is_some() || settings.hold_off.is_some()) {
        let message = format!("`threshold` and `hold_off_s` are of the whole condition; set them for `{name}`");
        section.wrong(condition.at, message);
    }
    section.close();
    settings
}

fn text(section: &Section<'_>, key: &'static str) -> Option<String> {
    short(section, key, section.text(key))
}

fn short(section: &Section<'_>, key: &'static str, text: Option<Text<'_>>) -> Option<String> {
    let text = text?;
    if text.text.len() > TEXT_BYTES_MAX {
        let message = format_args!("`{key}` may have {TEXT_BYTES_MAX} bytes at most, not {}", text.text.len());
        section.wrong(text.at, message);
        return None;
    }
    Some(text.text.to_owned())
}
