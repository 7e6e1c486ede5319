//! Recorded samples as a detector gets them: from a file as `watchfire history export` writes it to the frames of a log.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use watchfire_config::QuotaConfig;
use watchfire_exchange::{Line, Reader};
use watchfire_model::{AlarmSettings, Batch, Frame, Instant, Kind, Lsn, Quality, SignalId, SignalInfo};
use watchfire_pipeline::{BindingSpec, ModelFile, Quota};

use crate::assemble;
use crate::exchange::{chosen, format_of};

/// What a detector is run with.
#[derive(Args, Debug)]
pub struct Setting {
    /// The component.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Recorded samples, CSV or Parquet, as `watchfire history export` writes them.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The signals it gets, in this order; a name may end in `*`, and `=ROLE` says which slot it fills (default: all).
    #[arg(long, value_name = "NAME[=ROLE]", num_args = 1..)]
    signals: Vec<String>,
    /// Its configuration, JSON or a file with it.
    #[arg(long, value_name = "JSON|FILE", default_value = "{}")]
    config: String,
    /// From which score on the gateway raises a condition.
    #[arg(long, value_name = "CONDITION=SCORE")]
    threshold: Vec<String>,
    /// The model that it judges by.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// What it may use, as `[detector.quota]` says it in a gateway's configuration.
    #[arg(long, value_name = "KEY=NUMBER", num_args = 1..)]
    quota: Vec<String>,
    /// Seed for what is random in it.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How long the samples of a frame are collected, milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    frame_ms: u64,
}

/// A file's samples and the binding that sees them.
pub struct Recorded {
    /// The binding.
    pub binding: BindingSpec,
    lines: Vec<Line>,
    ids: BTreeMap<Arc<str>, SignalId>,
    /// Where each watched signal stands in the binding.
    indexes: HashMap<SignalId, u32>,
    frame: Duration,
}

impl Setting {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, holds a bad line or lacks a signal that is asked for.
    pub fn read(&self) -> Result<Recorded> {
        let file = &self.data;
        let doing = || format!("cannot read `{}`", file.display());
        let opened = File::open(file).with_context(doing)?;
        let mut reader = Reader::new(opened, format_of(None, file)?).with_context(doing)?;
        let mut lines: Vec<Line> = Vec::new();
        while let Some(line) = reader.line().with_context(doing)? {
            lines.push(line.with_context(doing)?);
        }
        // As in a gateway: what came late reaches a detector's learning, never its live state.
        let (all, late) = (lines.len(), lines.iter().filter(|line| is_late(line)).count());
        if late == all {
            bail!(
                "`{}` has no samples for a detector ({all} came late); export a time that was watched",
                file.display()
            );
        }
        if late > 0 {
            eprintln!(
                "{late} samples of `{}` came late: they are not judged, and learned where it learns",
                file.display()
            );
        }
        lines.sort_by_key(|line| line.server_time);
        let names: BTreeSet<Arc<str>> = lines.iter().map(|line| line.signal.clone()).collect();
        let ids: BTreeMap<_, _> = names.into_iter().zip((0..).map(SignalId)).collect();
        let binding = BindingSpec {
            name: "test".to_owned(),
            plugin: self.file.display().to_string(),
            signals: signals(&self.signals, &ids, &lines)?,
            config: config(&self.config)?,
            places: Default::default(),
            model: self.model.clone().map(|path| ModelFile { path, sha256: None }),
            seed: self.seed,
            alarms: self.alarms()?,
            quota: self.quota()?,
        };
        let indexes = binding.signals.iter().map(|signal| signal.id).zip(0..).collect();
        Ok(Recorded { binding, lines, ids, indexes, frame: Duration::from_millis(self.frame_ms) })
    }

    fn quota(&self) -> Result<Quota> {
        let lines: Vec<String> = self.quota.iter().map(|said| said.replace(['\n', '\r'], " ")).collect();
        Ok(assemble::quota(&QuotaConfig::parse(&lines.join("\n"), "--quota")?))
    }

    fn alarms(&self) -> Result<BTreeMap<String, AlarmSettings>> {
        let one = |said: &String| {
            let parts = said.split_once('=').and_then(|(id, score)| Some((id, score.parse::<f64>().ok()?)));
            let (id, score) = parts.with_context(|| format!("`{said}` is no threshold; write `CONDITION=SCORE`"))?;
            Ok((id.to_owned(), AlarmSettings { threshold: Some(score), ..AlarmSettings::default() }))
        };
        self.threshold.iter().map(one).collect()
    }
}

impl Recorded {
    /// Its frames; a frame's time is the end of its interval.
    pub fn frames(&self) -> Vec<(Lsn, Frame)> {
        let width_ns = i64::try_from(self.frame.as_nanos()).unwrap_or(i64::MAX).max(1);
        let interval = |line: &Line| line.server_time.ns().div_euclid(width_ns);
        let frames = self.lines.chunk_by(|one, other| interval(one) == interval(other));
        let cut = |(lsn, lines): (u64, &[Line])| {
            let end = lines.first().map_or(0, interval).saturating_add(1).saturating_mul(width_ns);
            (Lsn(lsn), self.frame_of(lines.iter(), Instant::from_ns(end), 0))
        };
        (1..).zip(frames).map(cut).collect()
    }

    /// `count` batches of `rows` rows each, of the watched samples in turn; when they are used up they come again, later.
    pub fn batches_of(&self, rows: usize, count: usize) -> Vec<Batch> {
        let watched = |line: &Line| self.ids.get(&line.signal).is_some_and(|id| self.indexes.contains_key(id));
        let of = |line: &&Line| watched(line) && !is_late(line);
        let lines: Vec<&Line> = self.lines.iter().filter(of).collect();
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return Vec::new() };
        let span_ns = last.server_time.since_ns(first.server_time).saturating_add(1_000_000_000);
        let row = |at: usize| lines.get(at % lines.len()).map(|line| (*line, (at / lines.len()) as i64));
        let batch = |number: usize| {
            let taken: Vec<(&Line, i64)> = (number * rows..(number + 1) * rows).filter_map(row).collect();
            let (line, turn) = taken.last().copied().unwrap_or((last, 0));
            let later_ns = turn.saturating_mul(span_ns);
            let now = Instant::from_ns(line.server_time.ns().saturating_add(later_ns));
            self.cut(Lsn(number as u64 + 1), taken.into_iter().map(|(line, _)| line), now, later_ns)
        };
        (0..count).map(batch).collect()
    }

    fn cut<'a>(&self, lsn: Lsn, lines: impl Iterator<Item = &'a Line>, now: Instant, later_ns: i64) -> Batch {
        Batch::cut(lsn, &self.frame_of(lines, now, later_ns), |id| self.indexes.get(&id).copied())
    }

    fn frame_of<'a>(&self, lines: impl Iterator<Item = &'a Line>, now: Instant, later_ns: i64) -> Frame {
        let mut frame = Frame { now, ..Frame::default() };
        let rows = &mut frame.rows;
        for line in lines {
            let Some(id) = self.ids.get(&line.signal) else { continue };
            let time = Instant::from_ns(line.time.ns().saturating_add(later_ns));
            rows.push(*id, time, line.value, line.status, line.quality, line.skew_ns());
            line.exact.into_iter().for_each(|bits| rows.set_exact(bits));
            line.text.iter().for_each(|text| rows.set_text(text.clone()));
        }
        frame
    }
}

fn is_late(line: &Line) -> bool {
    line.quality.has(Quality::LATE)
}

/// The signals that were asked for, in that order.
fn signals(asked: &[String], ids: &BTreeMap<Arc<str>, SignalId>, lines: &[Line]) -> Result<Vec<SignalInfo>> {
    let known: Vec<String> = ids.keys().map(|name| name.to_string()).collect();
    let everything = ["*".to_owned()];
    let mut found: Vec<SignalInfo> = Vec::new();
    for one in if asked.is_empty() { &everything } else { asked } {
        let (name, role) = one.split_once('=').unwrap_or((one, ""));
        for name in chosen(&known, &[name.to_owned()])? {
            let Some((name, id)) = ids.get_key_value(name.as_str()) else { continue };
            if found.iter().any(|signal| signal.id == *id) {
                continue;
            }
            let of_it = || lines.iter().filter(|line| line.signal == *name);
            let (kind, events, name) = (kind(of_it()), are_events(of_it()), name.clone());
            found.push(SignalInfo { id: *id, name, kind, role: role.into(), events, ..SignalInfo::default() });
        }
    }
    Ok(found)
}

/// What the values of a signal are, as far as they show it.
fn kind<'a>(lines: impl Iterator<Item = &'a Line>) -> Kind {
    lines.fold(Kind::Real, |kind, line| match kind {
        Kind::Real if line.text.is_some() && line.value.is_nan() => Kind::Text,
        Kind::Real if line.whole().is_some_and(|whole| whole > i128::from(i64::MAX)) => Kind::Unsigned,
        Kind::Real if line.whole().is_some() => Kind::Signed,
        kind => kind,
    })
}

/// Whether values are events of a server, as far as they show it.
fn are_events<'a>(lines: impl Iterator<Item = &'a Line>) -> bool {
    let mut texts = lines.filter_map(|line| line.text.as_deref()).peekable();
    let is_event = |text: &str| {
        let said = serde_json::from_str::<serde_json::Value>(text);
        said.is_ok_and(|said| said.get("EventType").is_some_and(serde_json::Value::is_string))
    };
    texts.peek().is_some() && texts.all(is_event)
}

/// A configuration as it stands, or of a file.
fn config(said: &str) -> Result<String> {
    let text = if said.trim_start().starts_with('{') {
        said.to_owned()
    } else {
        std::fs::read_to_string(Path::new(said)).with_context(|| format!("cannot read the configuration `{said}`"))?
    };
    serde_json::from_str::<serde_json::Value>(&text).context("the configuration is no JSON")?;
    Ok(text)
}
