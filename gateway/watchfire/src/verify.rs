//! `watchfire history verify`: every record, chunk, mark and checkpoint is read again.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use watchfire_alarms::Engine;
use watchfire_config::Config;
use watchfire_history::Link;
use watchfire_pipeline::{History, PortError};

use crate::cli::Verify;
use crate::data::{Data, Stores};
use crate::query::{self, Question};
use crate::run;

/// What a look through the stores found, as it is printed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// What there is.
    pub counts: String,
    /// What is missing, and known to be.
    pub notes: Vec<String>,
    /// What is damaged, each with the way out.
    pub faults: Vec<String>,
}

/// Looks through the data and prints what was found. Exit code 1 when something is damaged.
///
/// # Errors
/// When there is no data, or it cannot be opened.
pub fn verify(options: &Verify) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let noted = options.noted.clone();
    noted.as_deref().map(read_link).transpose()?;
    let folder = &config.gateway.data;
    let runtime = run::runtime()?;
    let report = match runtime.block_on(query::ask(folder, &Question::Verify { noted: noted.clone() }))? {
        Some(mut answers) => match runtime.block_on(answers.report())? {
            Some(report) => report,
            None => bail!("the gateway that runs on `{}` cannot look through its data", folder.display()),
        },
        None => stopped(folder, noted.as_deref())?,
    };
    Ok(print(&report))
}

/// Prints a report.
pub fn print(report: &Report) -> ExitCode {
    println!("{}", report.counts);
    report.notes.iter().for_each(|note| println!("note: {note}"));
    report.faults.iter().for_each(|fault| println!("DAMAGED: {fault}"));
    if report.faults.is_empty() {
        println!("everything is what was written");
        return ExitCode::SUCCESS;
    }
    match report.faults.len() {
        1 => println!("1 fault"),
        count => println!("{count} faults"),
    }
    ExitCode::FAILURE
}

/// Looks through the data of a gateway that does not run. What cannot even be opened is the finding.
fn stopped(folder: &Path, noted: Option<&str>) -> Result<Report> {
    if !folder.exists() {
        bail!("there is no data in `{}` yet; `watchfire run` records it", folder.display());
    }
    match Data::open(folder) {
        Ok(data) => look_noted(&data.stores, noted),
        // What another holds, and what the system refuses, says nothing of what was written.
        Err(error) if matches!(error.downcast_ref(), Some(PortError::Damaged { .. })) => Ok(Report {
            counts: "the data cannot be opened".to_owned(),
            faults: vec![format!("{error:#}")],
            ..Report::default()
        }),
        Err(error) => Err(error),
    }
}

/// Looks through the stores; blocks for as long as it takes to read everything.
pub fn look(stores: &Stores) -> Report {
    report(stores, None)
}

/// The same, and whether the chain of records has a hash that somebody has noted.
///
/// # Errors
/// When the hash is none.
pub fn look_noted(stores: &Stores, noted: Option<&str>) -> Result<Report> {
    Ok(report(stores, noted.map(read_link).transpose()?.as_ref()))
}

/// Sixty-four hexadecimal digits.
fn read_link(text: &str) -> Result<Link> {
    let digit = |at: usize| text.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(digit).collect();
    let link = bytes.and_then(|bytes| bytes.try_into().ok());
    link.with_context(|| {
        format!("`{text}` is no hash of the chain: it has 64 digits from 0 to f, as `verify` prints them")
    })
}

fn report(stores: &Stores, noted: Option<&Link>) -> Report {
    let sealed = stores.history.verify_noted(noted);
    let journal = stores.journal.verify();
    let mut counts = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        counts,
        "sealed: {} samples of {} days in {} buckets and {} chunks, {} gaps, {} other records, {} conditions, {} checkpoints\n\
         summarised: {} hours and {} minutes of signals\n\
         journal: {} records with {} samples in {} files",
        sealed.rows,
        sealed.days,
        sealed.buckets,
        sealed.chunks,
        sealed.gaps,
        sealed.records,
        sealed.conditions,
        sealed.checkpoints,
        sealed.summaries.hours,
        sealed.summaries.minutes,
        journal.records,
        journal.rows,
        journal.files
    );
    if let (Some((first, last)), Some(end)) = (sealed.chain.span, sealed.chain.end) {
        let end: String = end.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = write!(counts, "\nchained: {} records from {first} to {last}, ending in {end}", sealed.chain.records);
    }
    if let Some(passes) = sealed.chain.passes {
        let _ = write!(counts, "\nthe hash that was noted is that of record {passes}");
    }
    let mut faults: Vec<String> = sealed.faults.iter().chain(&journal.faults).map(ToString::to_string).collect();
    let mut engine = Engine::default();
    for state in stores.history.alarm_states().unwrap_or_default() {
        if let Err(error) = engine.restore(&state.key, &state.state) {
            faults.push(format!("the state of condition `{}` cannot be read: {error}; it would begin anew", state.key));
        }
    }
    Report { counts, notes: sealed.notes, faults }
}
