//! `[gateway]`: what concerns the whole.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::names::{self, Known};
use crate::section::Section;

/// The gateway's own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Its name, shown to HMIs. Default `watchfire`.
    pub name: String,
    /// The folder of its data, resolved against the configuration file's folder. Default `data`.
    pub data: PathBuf,
    /// How often written data is made durable, 10 ms to 1 s. Default 100 ms.
    pub commit_interval: Duration,
    /// How long history is kept, in whole days. Default 90.
    pub retention_days: u32,
    /// How much room recorded samples may take, GiB; no bound without it.
    pub retention_gb: Option<u64>,
    /// How long what history comes to by the minute and hour is kept, in whole days; 0: none is made. Default 1100.
    pub summary_retention_days: u32,
    /// With less room on the disk than this it is told, MiB; the lesser of a twentieth and 10 GiB without it.
    pub disk_warning_mb: Option<u64>,
    /// How many days before a certificate ends it is told. Default 30.
    pub certificate_warning_days: u32,
    /// The list of what was settled of alarms, over what detectors say of them.
    pub alarms_csv: Option<PathBuf>,
    /// The table of what is told to people in other languages.
    pub texts_csv: Option<PathBuf>,
    /// Full name of the signal that holds the plant's operating mode, one of the configured signals.
    pub mode_signal: Option<String>,
    /// The site's time zone: seconds east of UTC. Default 0.
    pub utc_offset_s: i32,
}

impl GatewayConfig {
    pub(crate) fn read(section: Section<'_>, base: &Path, signals: &Known) -> Option<Self> {
        let name = section.text_or("name", "watchfire");
        names::check(&section, "name", name, &[]);
        let data = section.text_or("data", "data");
        let folder = base.join(data.text);
        if folder.exists() && !folder.is_dir() {
            section.wrong(data.at, format_args!("`data` is `{}`, which is no folder; name a folder", folder.display()));
        }
        let commit_interval_ms = section.integer_or("commit_interval_ms", 10..=1000, 100);
        let retention_days = section.integer_or("retention_days", 1..=36_500, 90);
        let retention_gb = section.integer("retention_gb", 1..=1_000_000);
        let summary_retention_days = section.integer_or("summary_retention_days", 0..=36_500, 1100);
        let disk_warning_mb = section.integer("disk_warning_mb", 1..=1_000_000_000);
        let certificate_warning_days = section.integer_or("certificate_warning_days", 1..=3650, 30);
        let alarms_csv = section.text("alarms_csv").map(|file| base.join(file.text));
        let texts_csv = section.text("texts_csv").map(|file| base.join(file.text));
        let mode_signal = section.text("mode_signal");
        if let Some(wanted) = mode_signal
            && !signals.has(wanted.text)
            && !signals.may_come(wanted.text)
        {
            let message = format!(
                "`mode_signal` is `{}`, but there is no such signal; {}",
                wanted.text,
                signals.offer(wanted.text)
            );
            section.missing(wanted.at, message);
        }
        let offset = section.text_or("utc_offset", "+00:00");
        let utc_offset_s = seconds_east(offset.text);
        if utc_offset_s.is_none() {
            let message = "must be hours and minutes from UTC with their sign, such as `\"+01:00\"`, up to 14 hours";
            section.wrong(offset.at, format_args!("`utc_offset` {message}, not \"{}\"", offset.text.escape_debug()));
        }
        section.close();
        Some(Self {
            name: name.text.to_owned(),
            data: folder,
            commit_interval: Duration::from_millis(commit_interval_ms),
            retention_days: u32::try_from(retention_days).ok()?,
            retention_gb,
            summary_retention_days: u32::try_from(summary_retention_days).ok()?,
            disk_warning_mb,
            certificate_warning_days: u32::try_from(certificate_warning_days).ok()?,
            alarms_csv,
            texts_csv,
            mode_signal: mode_signal.map(|signal| signal.text.to_owned()),
            utc_offset_s: utc_offset_s?,
        })
    }
}

/// `+hh:mm` or `-hh:mm`.
fn seconds_east(text: &str) -> Option<i32> {
    let (sign, rest) = match text.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => (-1, text.strip_prefix('-')?),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let two_digits = |part: &str| {
        (part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse::<i32>().ok()).flatten()
    };
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= 14 * 60).then_some(sign * total * 60)
}

#[cfg(test)]
mod tests {
    use super::seconds_east;

    #[test]
    fn offsets_are_hours_and_minutes() {
        for (text, seconds) in [
            ("+00:00", Some(0)),
            ("+05:30", Some(19_800)),
            ("-03:30", Some(-12_600)),
            ("+14:00", Some(50_400)),
            ("+14:01", None),
            ("+01:60", None),
            ("01:00", None),
            ("+1:00", None),
            ("+-1:00", None),
            ("", None),
            ("Z", None),
        ] {
            assert_eq!(seconds_east(text), seconds, "{text}");
        }
    }
}
