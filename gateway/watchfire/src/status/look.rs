//! What a running gateway looks at to say how it stands. Reads what others keep, and changes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use watchfire_alarms::{Figures, Window};
use watchfire_model::{Instant, Phase, SignalId, SourceState};
use watchfire_pipeline::{DetectorHealth, Disk, Ends, Given, Mode, OwnConditions, Term, Terms, Tried, gaps};
use watchfire_server::Listed;

use super::{
    AlarmsStatus, CertificatesStatus, DetectorStatus, FigureStatus, FiguresStatus, HistoryStatus, Priorities,
    SourceStatus, Status, TermStatus,
};
use crate::live::Live;

const DAY: Duration = Duration::from_secs(86_400);
/// Alarms that are named one by one.
const NAMED_MAX: usize = 5;
/// With fewer alarms in a month their priorities say nothing,
const PRIORITIES_MIN: u32 = 20;
/// and with fewer than these the ten most frequent are more than a twentieth of them whatever they are.
const TOP_MIN: u32 = 200;

/// What is on the disk, and in the log; costs a while.
struct Looked {
    history: HistoryStatus,
    certificates: CertificatesStatus,
    /// Gaps of the last day by signal, and those that were filled.
    gaps: BTreeMap<Option<SignalId>, (u64, u64)>,
}

impl Live {
    /// How the gateway stands, as JSON.
    ///
    /// # Errors
    /// When a store fails.
    pub async fn standing(&self) -> Result<String> {
        let now = self.clock.now();
        let (data, ends, settings) = (self.data.clone(), self.ends.clone(), self.gateway.clone());
        let first = self.first_to_end.clone();
        let looking = tokio::task::spawn_blocking(move || -> Result<Looked> {
            let mut by_signal: BTreeMap<Option<SignalId>, (u64, u64)> = BTreeMap::new();
            for page in gaps(&data.log, None, now.minus(DAY), now)? {
                for found in page? {
                    let (all, filled) = by_signal.entry(found.gap.signal).or_default();
                    *all += 1;
                    *filled += u64::from(found.fill.is_some_and(|fill| fill.status.is_good()));
                }
            }
            let soon = ends.soon(now);
            let room = data.disk().room().ok();
            let history = HistoryStatus {
                bytes: bytes_of(&settings.data),
                oldest_day: oldest_day(&settings.data),
                retention_days: settings.retention_days,
                free_bytes: room.map(|room| room.free_bytes),
                disk_bytes: room.map(|room| room.total_bytes),
                reserve_bytes: room.map(|room| room.reserve_bytes),
                values: 0,
            };
            let first_ends = first.get().map(|first| first.until.to_string());
            Ok(Looked { history, certificates: CertificatesStatus { soon, first_ends }, gaps: by_signal })
        });
        let Looked { mut history, certificates, gaps } = looking.await.context("looking was ended")??;
        history.values = self.stats.values.load(Ordering::Relaxed);
        let listed = self.editor.listed();
        let sources = self.sources(now, &gaps);
        let detectors = self.detectors(now, &listed);
        let attention = attention(&sources, &detectors, &listed, &certificates);
        let status = Status {
            gateway: self.gateway.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at: now.to_string(),
            since: self.since.to_string(),
            attention,
            sources,
            detectors,
            alarms: alarms(&listed),
            figures: self.figures_of_all(now),
            history,
            certificates,
        };
        Ok(serde_json::to_string(&status)?)
    }

    fn sources(&self, now: Instant, gaps: &BTreeMap<Option<SignalId>, (u64, u64)>) -> Vec<SourceStatus> {
        let mut signals: BTreeMap<String, Vec<SignalId>> = BTreeMap::new();
        for (name, id) in self.editor.known_signals() {
            let source = name.split_once('/').map_or(&*name, |(source, _)| source);
            signals.entry(source.to_owned()).or_default().push(id);
        }
        let health = self.stats.sources.lock().clone();
        let terms = self.stats.terms.lock().clone();
        let of_all = gaps.get(&None).copied().unwrap_or_default();
        let one = |name: &String| {
            let own = signals.get(name).map_or(&[][..], Vec::as_slice);
            let times: Vec<Instant> = own.iter().filter_map(|id| Some(self.latest.get(*id)?.time)).collect();
            let (gaps_day, gaps_filled_day) = own.iter().fold(of_all, |(all, filled), id| {
                let (more, of_them) = gaps.get(&Some(*id)).copied().unwrap_or_default();
                (all + more, filled + of_them)
            });
            let health = health.get(name.as_str());
            SourceStatus {
                name: name.clone(),
                connected: health.map(|health| health.state == SourceState::Up),
                since: health.map(|health| health.since.to_string()),
                reason: health
                    .filter(|health| health.state == SourceState::Down)
                    .map(|health| health.reason.clone())
                    .unwrap_or_default(),
                signals: own.len(),
                seen: times.len(),
                newest_value_age_s: times.iter().max().map(|newest| seconds_between(*newest, now)),
                gaps_day,
                gaps_filled_day,
                terms: terms.get(name.as_str()).map(terms_of).unwrap_or_default(),
            }
        };
        self.prints.sources.keys().map(one).collect()
    }

    fn detectors(&self, now: Instant, listed: &[Listed]) -> Vec<DetectorStatus> {
        let health = self.stats.detectors.lock().clone();
        let failures = self.stats.failures.lock().clone();
        let budgets = self.editor.budgets();
        let one = |(name, plan): (&String, &Arc<watchfire_pipeline::BindingPlan>)| {
            let (state, reason, learned) = match health.get(name) {
                None | Some(DetectorHealth::Starting) => ("starting", String::new(), (0, 0)),
                Some(DetectorHealth::Running { phase, have, need }) => {
                    let state = match phase {
                        Phase::Learning => "learning",
                        Phase::Ready => "watching",
                        Phase::Relearn => "relearn",
                    };
                    (state, String::new(), if *phase == Phase::Learning { (*have, *need) } else { (0, 0) })
                }
                Some(DetectorHealth::Failed(reason)) => ("failed", reason.clone(), (0, 0)),
                Some(DetectorHealth::GaveUp(reason)) => ("given up", reason.clone(), (0, 0)),
            };
            let found = self.found.get(name).cloned().unwrap_or_default();
            let over = OwnConditions::budget_key(name);
            let trusted = self.figures.detector(name, now);
            DetectorStatus {
                name: name.clone(),
                mode: match plan.mode {
                    Mode::Learning => "learning",
                    Mode::Shadow => "shadow",
                    Mode::Live => "live",
                }
                .to_owned(),
                state: state.to_owned(),
                reason,
                learned,
                plugin: found.plugin,
                version: found.version,
                digest: found.digest,
                failures: failures.get(name).copied().unwrap_or_default(),
                alarm_budget: budgets.get(name.as_str()).copied(),
                over_budget: listed.iter().any(|alarm| alarm.active && *alarm.key == *over.as_str()),
                alarms_30_days: trusted.alarms,
                marked_false_30_days: trusted.mistaken,
            }
        };
        self.plans.iter().map(one).collect()
    }

    /// Of each console; where there is none, of each area at the top.
    fn figures_of_all(&self, now: Instant) -> Vec<FiguresStatus> {
        let of = |of: String, tried: Tried, read: &dyn Fn(Take<'_>)| {
            let mut told = Vec::new();
            read(&mut |figures| told = figures_with_targets(figures, tried));
            FiguresStatus { of, figures: told }
        };
        let figures = &self.figures;
        if self.consoles.is_empty() {
            let area = |path: Arc<str>| {
                let read = |take: Take<'_>| figures.area(&path, now, take);
                of(format!("area {path}"), figures.tried_in(&path), &read)
            };
            return self.editor.top_areas().into_iter().map(area).collect();
        }
        let console = |console: &watchfire_config::ConsoleConfig| {
            let name = &console.name;
            let read = |take: Take<'_>| figures.console(name, now, take);
            of(format!("console {name}"), figures.tried_at(name), &read)
        };
        self.consoles.iter().map(console).collect()
    }
}

/// What figures are handed to.
type Take<'t> = &'t mut dyn FnMut(&Figures<'_>);

/// What needs a person.
fn attention(
    sources: &[SourceStatus],
    detectors: &[DetectorStatus],
    listed: &[Listed],
    certificates: &CertificatesStatus,
) -> Vec<String> {
    let mut needed = Vec::new();
    let lost = sources.iter().filter(|source| source.connected == Some(false));
    needed.extend(lost.map(|source| format!("source `{}` is lost: {}", source.name, source.reason)));
    let failed = detectors.iter().filter(|detector| !detector.reason.is_empty());
    needed
        .extend(failed.map(|detector| format!("detector `{}` {}: {}", detector.name, detector.state, detector.reason)));
    let over = detectors.iter().filter(|detector| detector.over_budget);
    needed.extend(
        over.map(|one| format!("detector `{}` raised more alarms than its budget and is suppressed", one.name)),
    );
    needed.extend(certificates.soon.clone());
    let mut waiting: Vec<&Listed> =
        listed.iter().filter(|alarm| !alarm.aside && (alarm.active || !alarm.acknowledged)).collect();
    waiting.sort_by_key(|alarm| std::cmp::Reverse((alarm.active, alarm.severity)));
    for alarm in waiting.iter().take(NAMED_MAX) {
        let how = match (alarm.active, alarm.acknowledged) {
            (true, true) => "stands",
            (true, false) => "stands, unacknowledged",
            (false, _) => "is over, unacknowledged",
        };
        needed.push(format!("alarm `{}` ({}) {how}: {}", alarm.key, alarm.severity, alarm.message));
    }
    if waiting.len() > NAMED_MAX {
        needed.push(format!("and {} more alarms; `watchfire alarms list`", waiting.len() - NAMED_MAX));
    }
    needed
}

/// What a source's server gave of what was asked of it.
fn terms_of(terms: &Terms) -> Vec<TermStatus> {
    let one = |(term, asked, given): (Term, f64, Given)| {
        let what = match term {
            Term::PublishingInterval => "publishing_interval_ms",
            Term::KeepAliveCount => "keep_alive_count",
            Term::LifetimeCount => "lifetime_count",
            Term::SamplingInterval => "sampling_interval_ms",
            Term::QueueSize => "queue_size",
        };
        TermStatus { what: what.to_owned(), asked, least: given.least, most: given.most, of: given.of }
    };
    terms.iter().map(one).collect()
}

fn alarms(listed: &[Listed]) -> AlarmsStatus {
    let mut all = AlarmsStatus::default();
    let count = |of: &mut Priorities, severity: u16| {
        let priority = match severity {
            ..=333 => &mut of.low,
            334..=666 => &mut of.medium,
            _ => &mut of.high,
        };
        *priority += 1;
    };
    for alarm in listed {
        if alarm.aside {
            all.aside += 1;
            continue;
        }
        if alarm.active {
            count(&mut all.active, alarm.severity);
        }
        if !alarm.acknowledged {
            count(&mut all.unacknowledged, alarm.severity);
        }
    }
    all
}

/// The figures that have a target, as ISA-18.2 and EEMUA 191 give them.
fn figures_with_targets(figures: &Figures<'_>, tried: Tried) -> Vec<FigureStatus> {
    let month = figures.alarms(Window::Month);
    let [low, medium, high] = figures.priorities(Window::Month);
    let count = |count: u32| f64::from(count);
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let of = |name: &str, value: f64, target: &str, beyond: Option<bool>| FigureStatus {
        name: name.to_owned(),
        value,
        target: target.to_owned(),
        beyond,
    };
    // ≈ 2 in ten minutes are the most that an operator can manage.
    let rate = |name: &str, window: Window, most: u32, target: &str| {
        let alarms = figures.alarms(window);
        of(name, count(alarms), target, Some(alarms > most))
    };
    let none = |name: &str, value: f64| of(name, value, "0", Some(value > 0.0));
    let share = |name: &str, value: f64, target: &str, beyond: bool, least: u32| {
        of(name, value, target, (month >= least).then_some(beyond))
    };
    vec![
        rate("CurrentAlarmRate", Window::Period, 10, "about 1 in 10 min; over 10: flood"),
        rate("AlarmsInHour", Window::Hour, 12, "about 6; 12 at most"),
        rate("AlarmsInDay", Window::Day, 288, "about 144; 288 at most"),
        rate("AlarmsIn30Days", Window::Month, 8640, "about 4320; 8640 at most"),
        share(
            "FloodShare30Days",
            figures.flood_share(Window::Month),
            "below 1 %",
            figures.flood_share(Window::Month) >= 0.01,
            0,
        ),
        share(
            "TopTenShare30Days",
            figures.top_share(Window::Month),
            "below 5 %",
            figures.top_share(Window::Month) >= 0.05,
            TOP_MIN,
        ),
        none("Chattering", number(figures.chattering())),
        none("FleetingInDay", count(figures.fleeting(Window::Day))),
        of("Stale", number(figures.stale()), "below 5", Some(figures.stale() >= 5)),
        share("LowShare30Days", low, "about 80 %; 70 % at least", low < 0.7, PRIORITIES_MIN),
        share("MediumShare30Days", medium, "about 15 %; 25 % at most", medium > 0.25, PRIORITIES_MIN),
        share("HighShare30Days", high, "about 5 %; 10 % at most", high > 0.1, PRIORITIES_MIN),
        none("UnauthorizedSuppressions", count(tried.suppressions)),
        none("UnauthorizedChanges", count(tried.changes)),
    ]
}

fn seconds_between(since: Instant, now: Instant) -> f64 {
    let ns = u64::try_from(now.since_ns(since)).unwrap_or_default();
    Duration::from_nanos(ns).as_secs_f64()
}

/// What a folder takes, with all below it; what goes meanwhile counts for nothing.
fn bytes_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let one = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_of(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.map(one).sum()
}

/// The first UTC day of which there are samples, as the folders are named.
fn oldest_day(data: &Path) -> Option<String> {
    let entries = std::fs::read_dir(data.join("ts")).into_iter().flatten().flatten();
    let days = entries.filter_map(|entry| Some(entry.file_name().to_str()?.get(..10)?.to_owned()));
    days.filter(|day| Instant::parse(day).is_some()).min()
}
