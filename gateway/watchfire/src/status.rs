//! `watchfire status`: on one screen, how the gateway and its alarms are doing, and what needs a person. The running
//! gateway answers; what it looks at is known in `look`.

mod look;
mod told;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use watchfire_config::Config;

use crate::cli::ConfigFile;
use crate::control::Order;
use crate::query::{self, Question};
use crate::run;

/// Exit code when something needs a person.
const NEEDS_A_PERSON: u8 = 3;
/// So long a gateway may take to answer: one that starts, or carries out another order, answers afterwards.
const PATIENCE: Duration = Duration::from_secs(20);

/// Options of `status`.
#[derive(Args, Debug)]
pub struct StatusOptions {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// How a gateway stands. Times are UTC, as `2026-12-01T06:00:00Z`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub gateway: String,
    /// Its program's version.
    pub version: String,
    /// When it was asked.
    pub at: String,
    /// When it was started.
    pub since: String,
    /// What needs a person; nothing when all is well.
    pub attention: Vec<String>,
    /// The sources.
    pub sources: Vec<SourceStatus>,
    /// The detectors.
    pub detectors: Vec<DetectorStatus>,
    /// The alarms that stand.
    pub alarms: AlarmsStatus,
    /// How the alarms of each operator console are doing; where there is none, of each area at the top.
    pub figures: Vec<FiguresStatus>,
    /// What was recorded.
    pub history: HistoryStatus,
    /// The certificates.
    pub certificates: CertificatesStatus,
}

/// A source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Its name.
    pub name: String,
    /// Whether it is read; `None` before anything is known of it.
    pub connected: Option<bool>,
    /// Since when.
    pub since: Option<String>,
    /// Why it is lost.
    pub reason: String,
    /// How many signals it has.
    pub signals: usize,
    /// Of how many of them a value has come since the start.
    pub seen: usize,
    /// How old the newest of their values is, seconds.
    pub newest_value_age_s: Option<f64>,
    /// Gaps of the last 24 hours.
    pub gaps_day: u64,
    /// How many of them were filled from the source's own history.
    pub gaps_filled_day: u64,
    /// What was asked of its server when it was last connected to, and what that gave.
    pub terms: Vec<TermStatus>,
}

/// Something that was asked of a source's server, which it may revise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TermStatus {
    /// What: `publishing_interval_ms`, `keep_alive_count`, `lifetime_count`, `sampling_interval_ms` or `queue_size`.
    pub what: String,
    /// What was asked for.
    pub asked: f64,
    /// The least that was given.
    pub least: f64,
    /// The greatest that was given.
    pub most: f64,
    /// How many subscriptions, or items, asked for it.
    pub of: u64,
}

/// A detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectorStatus {
    /// Its name.
    pub name: String,
    /// `learning`, `shadow` or `live`.
    pub mode: String,
    /// `starting`, `learning`, `watching`, `relearn`, `failed` or `given up`.
    pub state: String,
    /// Why it has failed.
    pub reason: String,
    /// How much it has of what it needs to learn, samples; zero of zero where it does not say.
    pub learned: (u64, u64),
    /// Its plugin.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// SHA-256 of the component.
    pub digest: String,
    /// How often it has failed since the gateway's start.
    pub failures: u32,
    /// How many alarms it may raise in ten minutes, before it is suppressed; `None`: any number.
    pub alarm_budget: Option<u32>,
    /// Whether it has raised more, and is suppressed until somebody lifts that.
    pub over_budget: bool,
    /// Alarms of the last 30 days.
    pub alarms_30_days: u32,
    /// How many of them somebody has marked as false.
    pub marked_false_30_days: u32,
}

/// The alarms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmsStatus {
    /// That are active and not put aside, by priority.
    pub active: Priorities,
    /// That wait for acknowledgement and are not put aside, by priority.
    pub unacknowledged: Priorities,
    /// That are shelved, suppressed or out of service.
    pub aside: u32,
}

/// Counts by priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Priorities {
    /// Severities from 667.
    pub high: u32,
    /// From 334.
    pub medium: u32,
    /// Below.
    pub low: u32,
}

/// The figures of ISA-18.2 that have a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FiguresStatus {
    /// `console NAME` or `area NAME`.
    pub of: String,
    /// Each of them.
    pub figures: Vec<FigureStatus>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FigureStatus {
    /// What it is, as its OPC UA variable is called.
    pub name: String,
    /// Its value; shares from 0 to 1.
    pub value: f64,
    /// What it should be, for people.
    pub target: String,
    /// Whether it is beyond that; `None` where there were too few alarms to say.
    pub beyond: Option<bool>,
}

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HistoryStatus {
    /// How much room the data folder takes, bytes.
    pub bytes: u64,
    /// The first day of which there are samples.
    pub oldest_day: Option<String>,
    /// How long samples are kept, days.
    pub retention_days: u32,
    /// What is free on the disk, bytes.
    pub free_bytes: Option<u64>,
    /// How large it is.
    pub disk_bytes: Option<u64>,
    /// What is held in reserve, bytes.
    pub reserve_bytes: Option<u64>,
    /// Values received since the start.
    pub values: u64,
}

/// The certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificatesStatus {
    /// What ends soon, or has ended, with the way out.
    pub soon: Option<String>,
    /// When the first of them ends.
    pub first_ends: Option<String>,
}

/// Prints how the gateway stands. Exit code 3 when something needs a person.
///
/// # Errors
/// When no gateway runs, or it does not answer in time.
pub fn status(options: &StatusOptions) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let folder = &config.gateway.data;
    let runtime = run::runtime()?;
    let answer = runtime.block_on(async {
        let asked = async {
            match query::ask(folder, &Question::Order(Order::Status)).await? {
                Some(mut answers) => answers.told().await,
                None => bail!("no gateway runs on `{}`; `watchfire run` starts it", folder.display()),
            }
        };
        let late = "the gateway does not answer: it is starting, or carries out something else; its log says what";
        tokio::time::timeout(PATIENCE, asked).await.context(late)?
    })?;
    let status: Status = serde_json::from_str(&answer).context("the gateway answers something else")?;
    let text = if options.json { format!("{answer}\n") } else { told::page(&status) };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads it, such as `head`, has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    Ok(if status.attention.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(NEEDS_A_PERSON) })
}
