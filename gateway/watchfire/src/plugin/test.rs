//! `watchfire plugin test`: a detector over recorded samples, judged as the gateway judges, compared with what it is
//! known to say.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use watchfire_model::{ConditionSpec, Level, Scope, SignalInfo, Verdict};
use watchfire_pipeline::Judge;

use super::recorded::{Recorded, Setting};
use crate::run;

/// Differences that are shown.
const SHOWN_MAX: usize = 5;

/// Options of `plugin test`.
#[derive(Args, Debug)]
pub struct Test {
    #[command(flatten)]
    setting: Setting,
    /// Verdicts that are known to be right, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    /// Write the verdicts into the golden file instead of comparing them with it.
    #[arg(long, requires = "golden")]
    update: bool,
}

/// A verdict as it is printed and kept.
#[derive(Serialize)]
struct Said<'a> {
    at: String,
    condition: &'a str,
    instance: String,
    level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    why: &'a str,
    evidence: Vec<Evidence<'a>>,
}

#[derive(Serialize)]
struct Evidence<'a> {
    signal: &'a str,
    observed: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    low: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    high: Option<f64>,
    share: f64,
}

/// Runs a detector and prints its verdicts. Exit code 1 when they differ from the golden ones.
///
/// # Errors
/// When the detector or a file cannot be used, or the detector fails.
pub fn test(options: &Test) -> Result<ExitCode> {
    let recorded = options.setting.read()?;
    let said = run::runtime()?.block_on(judge(&recorded))?;
    said.iter().for_each(|line| println!("{line}"));
    let Some(golden) = &options.golden else { return Ok(ExitCode::SUCCESS) };
    if options.update {
        let text: String = said.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        std::fs::write(golden, text).with_context(|| format!("cannot write `{}`", golden.display()))?;
        eprintln!("{} verdicts are in `{}` now", said.len(), golden.display());
        return Ok(ExitCode::SUCCESS);
    }
    let known = std::fs::read_to_string(golden)
        .with_context(|| format!("cannot read `{}`; `--update` makes it", golden.display()))?;
    Ok(if same(&known.lines().collect::<Vec<_>>(), &said) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn judge(recorded: &Recorded) -> Result<Vec<String>> {
    let sandbox = super::sandbox()?;
    let mut judge = Judge::create(&*sandbox, &recorded.binding).await?;
    let mut said = Vec::new();
    let signals = &recorded.binding.signals;
    for (lsn, frame) in recorded.frames() {
        match judge.take_frame(lsn, &frame, signals).await {
            Ok(judgement) => {
                for verdict in &judgement.verdicts {
                    said.push(tell(verdict, judge.conditions(), signals)?);
                }
            }
            Err(fault) => bail!("it fails on the frame of {} with {} rows: {fault}", frame.now, frame.rows.len()),
        }
    }
    Ok(said)
}

fn tell(verdict: &Verdict, conditions: &[ConditionSpec], signals: &[SignalInfo]) -> Result<String> {
    let name = |index: u32| signals.get(index as usize).map_or("", |signal| &*signal.name);
    let condition = conditions.get(usize::from(verdict.condition));
    let instance = match condition.map(|condition| condition.scope) {
        Some(Scope::Signal) => name(verdict.instance).to_owned(),
        Some(Scope::Group) => verdict.instance.to_string(),
        Some(Scope::Binding) | None => String::new(),
    };
    let said = Said {
        at: verdict.at.to_string(),
        condition: condition.map_or("", |condition| &condition.id),
        instance,
        level: level_name(verdict.level),
        score: verdict.score,
        why: &verdict.why,
        evidence: (verdict.evidence.iter())
            .map(|finding| Evidence {
                signal: name(finding.signal),
                observed: finding.observed,
                low: finding.low,
                high: finding.high,
                share: finding.share,
            })
            .collect(),
    };
    Ok(serde_json::to_string(&said)?)
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::Normal => "normal",
        Level::LowLow => "low-low",
        Level::Low => "low",
        Level::High => "high",
        Level::HighHigh => "high-high",
        Level::Active => "active",
        Level::Unknown => "unknown",
    }
}

/// Whether the verdicts are the known ones; says where they are not.
fn same(known: &[&str], said: &[String]) -> bool {
    let of = |line: usize| (known.get(line).copied(), said.get(line).map(String::as_str));
    let differ: Vec<usize> = (0..known.len().max(said.len())).filter(|line| of(*line).0 != of(*line).1).collect();
    for line in differ.iter().take(SHOWN_MAX) {
        let (known, said) = of(*line);
        eprintln!("verdict {}: golden {}", line + 1, known.unwrap_or("nothing"));
        eprintln!("verdict {}: now    {}", line + 1, said.unwrap_or("nothing"));
    }
    match differ.len() {
        0 => eprintln!("all {} verdicts are the golden ones", said.len()),
        count => eprintln!("{count} verdicts differ; where the new ones are right, `--update` keeps them"),
    }
    differ.is_empty()
}
