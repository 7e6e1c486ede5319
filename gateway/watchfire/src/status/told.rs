//! How a gateway stands, on one screen.

use std::fmt::Write as _;

use watchfire_model::plain;

use super::{AlarmsStatus, DetectorStatus, FigureStatus, Priorities, SourceStatus, Status, TermStatus};

/// Digits of a digest that tell it from others.
const DIGEST_DIGITS: usize = 19;

/// All of it, without what could move a terminal's cursor.
pub fn page(status: &Status) -> String {
    let mut page = String::new();
    let mut line = |text: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "{}", plain(text).trim_end());
    };
    let (at, since) = (second(&status.at), second(&status.since));
    line(&format!("{} {}, {at}, runs since {since}", status.gateway, status.version));
    match &*status.attention {
        [] => line("all is well"),
        needed => {
            line("NEEDS A PERSON");
            needed.iter().for_each(|what| line(&format!("  ! {what}")));
        }
    }
    line("SOURCES");
    for source in &status.sources {
        line(&source_line(source));
        terms(source).into_iter().for_each(|text| line(&text));
    }
    line("DETECTORS");
    if status.detectors.is_empty() {
        line("  none");
    }
    status.detectors.iter().for_each(|detector| line(&detector_line(detector)));
    line("ALARMS                 high  medium  low");
    alarms(&status.alarms).iter().for_each(|text| line(text));
    for console in &status.figures {
        // Where nothing is worse than it should be, nobody has to read twenty lines of it.
        if console.figures.iter().all(|figure| figure.beyond != Some(true)) {
            line(&format!("FIGURES of {}: none beyond", console.of));
            continue;
        }
        line(&format!("FIGURES of {}", console.of));
        console.figures.iter().for_each(|figure| line(&figure_line(figure)));
    }
    let history = &status.history;
    line("HISTORY");
    let oldest =
        history.oldest_day.as_deref().map_or_else(|| "no samples sealed yet".to_owned(), |day| format!("from {day}"));
    let (kept, taken) = (history.retention_days, bytes(history.bytes));
    line(&format!("  {taken}, {oldest} (kept for {kept} days), {} values since the start", history.values));
    match (history.free_bytes, history.disk_bytes, history.reserve_bytes) {
        (Some(free), Some(all), Some(reserve)) => {
            line(&format!("  disk: {} of {} free, {} in reserve", bytes(free), bytes(all), bytes(reserve)));
        }
        _ => line("  disk: how much is free is not known"),
    }
    line("CERTIFICATES");
    match (&status.certificates.soon, &status.certificates.first_ends) {
        (Some(soon), _) => line(&format!("  {soon}")),
        (None, Some(first)) => line(&format!("  the first ends on {first}")),
        (None, None) => line("  none"),
    }
    page
}

fn source_line(source: &SourceStatus) -> String {
    let since = source.since.as_deref().map(second).unwrap_or_default();
    let standing = match source.connected {
        Some(true) => format!("connected since {since}"),
        Some(false) => format!("LOST since {since}: {}", source.reason),
        None => "not connected yet".to_owned(),
    };
    let age = source
        .newest_value_age_s
        .map_or_else(|| "no value yet".to_owned(), |age| format!("last value {} ago", span(age)));
    let gaps = match (source.gaps_day, source.gaps_filled_day) {
        (0, _) => "no gaps in 24 h".to_owned(),
        (all, filled) => format!("{all} gaps in 24 h, {filled} filled"),
    };
    format!("  {:<16} {standing}; {age}; {} of {} signals seen; {gaps}", source.name, source.seen, source.signals)
}

/// What a source's server has given otherwise than was asked for.
fn terms(source: &SourceStatus) -> Option<String> {
    let one = |term: &TermStatus| {
        let (asked, least, most) = (number(term.asked), number(term.least), number(term.most));
        let given = if least == most { most } else { format!("{least} to {most}") };
        (given != asked).then(|| format!("{} {asked}: {given} ({})", term.what, term.of))
    };
    let revised: Vec<String> = source.terms.iter().filter_map(one).collect();
    (!revised.is_empty()).then(|| format!("  {:<16} the server has revised {}", "", revised.join(", ")))
}

fn detector_line(detector: &DetectorStatus) -> String {
    let mut state = detector.state.clone();
    match detector.learned {
        (_, 0) => {}
        (have, need) => state += &format!(" {have} of {need} samples"),
    }
    if !detector.reason.is_empty() {
        state = format!("{state}: {}", detector.reason);
    }
    let digest = detector.digest.get(..DIGEST_DIGITS).unwrap_or(&detector.digest);
    let budget = match (detector.over_budget, detector.alarm_budget) {
        (true, _) => "OVER ITS BUDGET, suppressed".to_owned(),
        (false, Some(budget)) => format!("budget {budget} in 10 min"),
        (false, None) => "no budget".to_owned(),
    };
    format!(
        "  {:<16} {}, {state}; {} {} {digest}; {} failures; {} alarms in 30 days, {} marked false; {budget}",
        detector.name,
        detector.mode,
        detector.plugin,
        detector.version,
        detector.failures,
        detector.alarms_30_days,
        detector.marked_false_30_days
    )
}

fn alarms(alarms: &AlarmsStatus) -> Vec<String> {
    let row = |what: &str, of: Priorities| format!("  {what:<20} {:>4}  {:>6}  {:>3}", of.high, of.medium, of.low);
    vec![
        row("active", alarms.active),
        row("unacknowledged", alarms.unacknowledged),
        format!("  {:<20} {:>4}", "put aside", alarms.aside),
    ]
}

fn figure_line(figure: &FigureStatus) -> String {
    let verdict = match figure.beyond {
        Some(true) => "BEYOND",
        Some(false) => "ok",
        None => "too few to say",
    };
    let share = figure.name.contains("Share");
    let value = if share { format!("{:.1} %", figure.value * 100.0) } else { number(figure.value) };
    format!("  {:<26} {value:>8}  {:<34} {verdict}", figure.name, figure.target)
}

/// A time without parts of a second, which nobody reads.
fn second(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, fraction)) if fraction.ends_with('Z') => format!("{seconds}Z"),
        _ => time.to_owned(),
    }
}

/// With two decimals where it is no whole number.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.strip_suffix(".00").map_or(text.clone(), str::to_owned)
}

/// A time for people.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

/// A size for people.
fn bytes(count: u64) -> String {
    let (whole, unit) = match count {
        c if c < 1 << 20 => (c >> 10, "KiB"),
        c if c < 10 << 30 => (c >> 20, "MiB"),
        c => (c >> 30, "GiB"),
    };
    format!("{whole} {unit}")
}

#[cfg(test)]
mod tests {
    use super::super::{CertificatesStatus, FiguresStatus, HistoryStatus};
    use super::*;

    fn example() -> Status {
        let source = SourceStatus {
            name: "press".into(),
            connected: Some(true),
            since: Some("2026-11-29T22:14:05Z".into()),
            reason: String::new(),
            signals: 240,
            seen: 240,
            newest_value_age_s: Some(0.31),
            gaps_day: 2,
            gaps_filled_day: 2,
            terms: [
                ("publishing_interval_ms", 500.0, (500.0, 500.0), 1),
                ("keep_alive_count", 5.0, (10.0, 10.0), 1),
                ("sampling_interval_ms", 100.0, (250.0, 1000.0), 240),
                ("queue_size", 10.0, (10.0, 10.0), 240),
            ]
            .map(|(what, asked, (least, most), of)| TermStatus { what: what.into(), asked, least, most, of })
            .to_vec(),
        };
        let detector = DetectorStatus {
            name: "hot".into(),
            mode: "live".into(),
            state: "watching".into(),
            reason: String::new(),
            learned: (0, 0),
            plugin: "limit".into(),
            version: "0.1.0".into(),
            digest: "sha256:58a77aa5d6338f2b35e8ddfdf879793d1a730919cf79971c8b21eea7babce1c7".into(),
            failures: 0,
            alarm_budget: None,
            over_budget: false,
            alarms_30_days: 41,
            marked_false_30_days: 3,
        };
        let learns = DetectorStatus {
            name: "odd".into(),
            mode: "shadow".into(),
            state: "learning".into(),
            learned: (1200, 3600),
            plugin: "novelty".into(),
            alarm_budget: Some(30),
            alarms_30_days: 0,
            marked_false_30_days: 0,
            ..detector.clone()
        };
        let figure = |name: &str, value: f64, target: &str, beyond: Option<bool>| FigureStatus {
            name: name.into(),
            value,
            target: target.into(),
            beyond,
        };
        Status {
            gateway: "watchfire".into(),
            version: "0.1.0".into(),
            at: "2026-11-30T06:02:11.437332225Z".into(),
            since: "2026-11-02T09:30:00Z".into(),
            attention: vec![
                "source `tanks` is lost: no answer within 10 s".into(),
                "alarm `hot/limit/press/oil_temp` (800) stands, unacknowledged: 91.3 is above the high limit of 85"
                    .into(),
            ],
            sources: vec![
                source.clone(),
                SourceStatus {
                    name: "tanks".into(),
                    connected: Some(false),
                    since: Some("2026-11-30T02:40:51Z".into()),
                    reason: "no answer within 10 s".into(),
                    signals: 12,
                    seen: 12,
                    newest_value_age_s: Some(12_080.0),
                    gaps_day: 0,
                    gaps_filled_day: 0,
                    terms: Vec::new(),
                },
            ],
            detectors: vec![detector, learns],
            alarms: AlarmsStatus {
                active: Priorities { high: 1, medium: 0, low: 2 },
                unacknowledged: Priorities { high: 1, medium: 0, low: 0 },
                aside: 1,
            },
            figures: vec![
                FiguresStatus {
                    of: "console east".into(),
                    figures: vec![
                        figure("CurrentAlarmRate", 1.0, "about 1 in 10 min; over 10: flood", Some(false)),
                        figure("AlarmsInDay", 307.0, "about 144; 288 at most", Some(true)),
                        figure("FloodShare30Days", 0.004, "below 1 %", Some(false)),
                        figure("TopTenShare30Days", 0.61, "below 5 %", None),
                    ],
                },
                FiguresStatus {
                    of: "console west".into(),
                    figures: vec![
                        figure("CurrentAlarmRate", 0.0, "about 1 in 10 min; over 10: flood", Some(false)),
                        figure("TopTenShare30Days", 0.4, "below 5 %", None),
                    ],
                },
            ],
            history: HistoryStatus {
                bytes: 41 << 30,
                oldest_day: Some("2026-09-01".into()),
                retention_days: 90,
                free_bytes: Some(118 << 30),
                disk_bytes: Some(250 << 30),
                reserve_bytes: Some(64 << 20),
                values: 580_442_118,
            },
            certificates: CertificatesStatus { soon: None, first_ends: Some("2027-10-03T00:00:00Z".into()) },
        }
    }

    #[test]
    fn the_page_of_the_guide_is_what_is_printed() {
        let guide = include_str!("../../../../docs/operators.md");
        let page = page(&example());
        assert!(guide.contains(&format!("```text\n{page}```\n")), "the guide has another page than\n{page}");
    }

    #[test]
    fn what_comes_from_elsewhere_moves_no_cursor() {
        let mut status = example();
        status.sources[1].reason = "bad\u{1b}[2J\nnews".into();
        assert!(!page(&status).contains('\u{1b}') && page(&status).lines().count() == page(&example()).lines().count());
    }

    #[test]
    fn spans_and_sizes_are_short() {
        assert_eq!([0.31, 59.0, 600.0, 7300.0, 200_000.0].map(span), ["0.3 s", "59 s", "10 min", "2 h", "2 days"]);
        assert_eq!([2048, 5 << 20, 41 << 30].map(bytes), ["2 KiB", "5 MiB", "41 GiB"]);
        assert_eq!([3.0, 0.25].map(number), ["3", "0.25"]);
    }
}
