//! `[[maintenance]]`: what will be worked on, so that its alarms are out of service then. Which conditions there are is
//! not known here.

use std::time::Duration;

use watchfire_model::{Instant, Maintained, PlannedMaintenance};

use crate::names::Known;
use crate::section::Section;

/// The longest time that can be stated, in hours: a year.
const HOURS_MAX: f64 = 8784.0;
/// The shortest: a minute.
const HOURS_MIN: f64 = 1.0 / 60.0;
/// Bytes of a comment.
const COMMENT_BYTES_MAX: usize = 2048;

/// Reads one; a mistake in it is reported.
pub(crate) fn read(section: Section<'_>, sources: &[&str], signals: &Known) -> Option<PlannedMaintenance> {
    let way_out = "name what is worked on, as `\"area:press/pump\"`, `\"source:press\"`, `\"signal:press/oil_temp\"` or \
                   `\"condition:hot/limit\"`";
    let of = section.required_text("of", way_out).and_then(|text| {
        let of = Maintained::parse(text.text);
        match &of {
            None => section.wrong(text.at, format_args!("`of` is \"{}\"; {way_out}", text.text.escape_debug())),
            Some(Maintained::Source(name)) if !sources.contains(&name.as_str()) => {
                section.missing(text.at, format_args!("`of`: there is no source `{}`", name.escape_debug()));
            }
            Some(Maintained::Signal(name)) if !signals.has(name) && !signals.may_come(name) => {
                section.missing(text.at, format_args!("`of`: there is no such signal; {}", signals.offer(name)));
            }
            Some(_) => {}
        }
        of
    });
    let such = "a time such as `\"2026-12-01T06:00:00Z\"`";
    let from = section.required_text("from", &format!("give {such}")).and_then(|text| {
        let from = Instant::parse(text.text);
        if from.is_none() {
            section.wrong(text.at, format_args!("`from`: \"{}\" is no time; write {such}", text.text.escape_debug()));
        }
        from
    });
    let hours = section.number("for_h", HOURS_MIN..=HOURS_MAX);
    if section.value("for_h").is_none() {
        section.missing(section.at, "`for_h` is missing; say for how many hours");
    }
    let comment = section.text("comment").map(|text| {
        if text.text.len() > COMMENT_BYTES_MAX {
            let message = format_args!("`comment` may have {COMMENT_BYTES_MAX} bytes at most, not {}", text.text.len());
            section.wrong(text.at, message);
        }
        text.text.to_owned()
    });
    section.close();
    let lasts = Duration::from_secs_f64(hours? * 3600.0);
    Some(PlannedMaintenance { of: of?, from: from?, lasts, comment: comment.unwrap_or_default() })
}
