//! `watchfire history export` and `watchfire history import`.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use watchfire_config::Config;
use watchfire_exchange::{Format, Line, Reader, Writer};
use watchfire_model::{Clock, Instant, Quality, Rows, SignalId, SystemClock};
use watchfire_pipeline::{History, SignalsOf, not_yet_recorded, record_late, recover};

use crate::cli::{Export, Import};
use crate::data::{Data, Stores};
use crate::query::{self, Question, Span};
use crate::run;
use crate::verify::Report;

/// Lines looked at together.
const PAGE_LINES: usize = 1 << 15;
/// Bad lines that are told one by one.
const BAD_TOLD_MAX: usize = 100;
/// New signals that are told one by one.
const NEW_TOLD_MAX: usize = 20;
/// How often it is looked whether a running gateway has recorded what was handed in.
const LOOK_EVERY: Duration = Duration::from_millis(20);

const STOPPING: &str =
    "the gateway is stopping or starting; import the file again when it runs, what is there already is left out";

/// The way into the running gateway, which may be made anew.
#[derive(Clone, Default)]
pub struct WayIn(Arc<Mutex<Option<mpsc::Sender<Rows>>>>);

impl WayIn {
    /// A new way in, in place of the one before.
    pub fn begin(&self) -> mpsc::Receiver<Rows> {
        let (sender, receiver) = mpsc::channel(1);
        *self.0.lock() = Some(sender);
        receiver
    }

    /// The way in, while it is open.
    fn now(&self) -> Option<mpsc::Sender<Rows>> {
        self.0.lock().clone().filter(|way_in| !way_in.is_closed())
    }
}

/// A file's form: as asked for, else by its name.
///
/// # Errors
/// When neither says it.
pub fn format_of(asked: Option<&str>, file: &Path) -> Result<Format> {
    let by_name = || file.extension().and_then(|extension| extension.to_str());
    match asked.or_else(by_name) {
        Some("csv") => Ok(Format::Csv),
        Some("parquet") => Ok(Format::Parquet),
        _ => bail!("`{}` does not say what it is; add `--format csv` or `--format parquet`", file.display()),
    }
}

/// Writes what was recorded into a file.
///
/// # Errors
/// When nothing can be read, or the file is there or cannot be written.
pub fn export(options: &Export) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let folder = &config.gateway.data;
    let format = format_of(options.format.as_deref(), &options.file)?;
    let runtime = run::runtime()?;
    let open = if runtime.block_on(query::ask(folder, &Question::Signals))?.is_some() {
        None
    } else if folder.exists() {
        Some(Data::open(folder)?)
    } else {
        bail!("there is no data in `{}` yet; `watchfire run` records it", folder.display());
    };
    let known = match &open {
        Some(data) => data.log.history().known_signals()?.into_keys().collect(),
        None => match runtime.block_on(query::ask(folder, &Question::Signals))? {
            Some(mut answers) => runtime.block_on(answers.names())?,
            None => bail!("the gateway has stopped meanwhile; try again"),
        },
    };
    let signals = chosen(&known, &options.signals)?;
    let file = OpenOptions::new().write(true).create_new(true).open(&options.file);
    let file =
        file.with_context(|| format!("cannot make `{}`; name a file that is not there", options.file.display()))?;
    let write = || -> Result<(u64, u64)> {
        let mut writer = Writer::new(file, format)?;
        let (mut written, mut gaps) = (0, 0);
        for signal in &signals {
            let name: Arc<str> = signal.as_str().into();
            let mut page = |rows: &Rows| -> Result<()> {
                for line in (0..rows.len()).filter_map(|row| Line::of(&name, rows, row)) {
                    writer.write(&line)?;
                    *if line.quality.has(Quality::GAP) { &mut gaps } else { &mut written } += 1;
                }
                Ok(())
            };
            let span = Span {
                signal: signal.clone(),
                from: options.from.unwrap_or(Instant::MIN),
                to: options.to.unwrap_or(Instant::MAX),
            };
            if let Some(data) = &open {
                for rows in query::ask_stores_with_gaps(&data.log, &span)? {
                    page(&rows?)?;
                }
            } else {
                let asked = runtime.block_on(query::ask(folder, &Question::SamplesAndGaps(span)))?;
                let mut answers = asked.context("the gateway has stopped meanwhile; try again")?;
                while let Some(rows) = runtime.block_on(answers.next())? {
                    page(&rows)?;
                }
            }
        }
        writer.finish()?;
        Ok((written, gaps))
    };
    let (written, gaps) =
        write().with_context(|| format!("cannot write `{}`", options.file.display())).inspect_err(|_| {
            // Half a file must not look like a whole one.
            drop(std::fs::remove_file(&options.file));
        })?;
    let gaps = and_gaps(gaps);
    println!("{written} samples{gaps} of {} signals are in `{}`", signals.len(), options.file.display());
    Ok(ExitCode::SUCCESS)
}

/// So many gaps, if there are any.
fn and_gaps(gaps: u64) -> String {
    if gaps == 0 { String::new() } else { format!(" and {gaps} gaps") }
}

/// The known signals that were asked for, each by name or by the beginning of names before a `*`; all without any.
///
/// # Errors
/// When one that was asked for is not known.
pub fn chosen(known: &[String], asked: &[String]) -> Result<Vec<String>> {
    let fits = |name: &str, asked: &str| match asked.strip_suffix('*') {
        Some(begin) => name.starts_with(begin),
        None => name == asked,
    };
    for one in asked {
        if !known.iter().any(|name| fits(name, one)) {
            bail!("there is no signal `{one}` in this data; names read `source/name`, and may end in `*`");
        }
    }
    let wanted = |name: &&String| asked.is_empty() || asked.iter().any(|one| fits(name, one));
    Ok(known.iter().filter(wanted).cloned().collect())
}

/// Takes samples from a file into the store, as late data. Exit code 1 when a line is bad; the others are taken.
///
/// # Errors
/// When the file or the stores cannot be used.
pub fn import(options: &Import) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let folder = &config.gateway.data;
    format_of(options.format.as_deref(), &options.file)?;
    let file = std::path::absolute(&options.file)?;
    let question = Question::Import { file: file.clone(), format: options.format.clone() };
    let runtime = run::runtime()?;
    let report = match runtime.block_on(query::ask(folder, &question))? {
        Some(mut answers) => {
            runtime.block_on(answers.report())?.context("the gateway answers something else; use its own program")?
        }
        None => stopped(folder, &file, options.format.as_deref(), config.gateway.utc_offset_s)?,
    };
    println!("{}", report.counts);
    report.notes.iter().chain(&report.faults).for_each(|bad| println!("{bad}"));
    Ok(if report.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Into the store of a gateway that does not run.
fn stopped(folder: &Path, file: &Path, format: Option<&str>, utc_offset_s: i32) -> Result<Report> {
    let data = Data::open(folder)?;
    let last = recover(&data.log, &SignalsOf::default())?.last_now;
    take(&data.stores, file, format, |rows| {
        // Time in the log never runs backwards.
        record_late(&data.log, rows, SystemClock.now().max(last), utc_offset_s)?;
        Ok(())
    })
}

/// Into the store of the running gateway; blocks until all of it is durable.
///
/// # Errors
/// As [`import`].
pub fn running(stores: &Stores, file: &Path, format: Option<&str>, way_in: &WayIn) -> Result<Report> {
    let report = take(stores, file, format, |rows| {
        let handed = rows.clone();
        if way_in.now().is_none_or(|way_in| way_in.blocking_send(rows).is_err()) {
            bail!("{STOPPING}");
        }
        while !not_yet_recorded(&stores.log, &handed)?.is_empty() {
            if way_in.now().is_none() {
                bail!("{STOPPING}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    })?;
    let tail = stores.log.tail();
    while stores.log.durable_tail() < tail && way_in.now().is_some() {
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(report)
}

/// Reads a file and hands on, page by page, what the log does not hold yet.
fn take(
    stores: &Stores,
    file: &Path,
    format: Option<&str>,
    mut record: impl FnMut(Rows) -> Result<()>,
) -> Result<Report> {
    let doing = || format!("cannot read `{}`", file.display());
    let mut reader =
        Reader::new(File::open(file).with_context(doing)?, format_of(format, file)?).with_context(doing)?;
    let mut ids: HashMap<Arc<str>, SignalId> = HashMap::new();
    let before = stores.history.known_signals().context("cannot read the list of signals")?;
    let (mut taken, mut gaps, mut known, mut bad) = (0, 0, 0, Vec::new());
    let mut bad_count = 0_u64;
    let mut more = true;
    while more {
        let mut lines = Vec::new();
        while more && lines.len() < PAGE_LINES {
            match reader.line().with_context(doing)? {
                Some(Ok(line)) => lines.push(line),
                Some(Err(wrong)) => {
                    bad_count += 1;
                    if bad.len() < BAD_TOLD_MAX {
                        bad.push(wrong.to_string());
                    }
                }
                None => more = false,
            }
        }
        name_all(stores, &lines, &mut ids)?;
        let rows = rows_of(&lines, &ids);
        let fresh = not_yet_recorded(&stores.log, &rows)?;
        let fresh_gaps = fresh.quality.iter().filter(|quality| quality.has(Quality::GAP)).count();
        gaps += fresh_gaps as u64;
        taken += fresh.len() - fresh_gaps;
        known += rows.len() - fresh.len();
        if !fresh.is_empty() {
            record(fresh)?;
        }
    }
    if bad_count > bad.len() as u64 {
        bad.push(format!("and {} more bad lines", bad_count - bad.len() as u64));
    }
    let counts = format!(
        "{taken} samples{} of {} signals were taken from `{}`, {known} were there already, {bad_count} lines are bad",
        and_gaps(gaps),
        ids.len(),
        file.display()
    );
    let mut new: Vec<&Arc<str>> = ids.keys().filter(|name| !before.contains_key(&***name)).collect();
    new.sort();
    let more = new.len().saturating_sub(NEW_TOLD_MAX);
    let mut notes: Vec<String> =
        new.iter().take(NEW_TOLD_MAX).map(|name| format!("`{name}` was not known before")).collect();
    if more > 0 {
        notes.push(format!("and {more} more signals were not known before"));
    }
    Ok(Report { counts, notes, faults: bad })
}

fn name_all(stores: &Stores, lines: &[Line], ids: &mut HashMap<Arc<str>, SignalId>) -> Result<()> {
    let mut fresh: Vec<Arc<str>> =
        lines.iter().map(|line| &line.signal).filter(|name| !ids.contains_key(*name)).cloned().collect();
    fresh.sort();
    fresh.dedup();
    if fresh.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = fresh.iter().map(|name| name.to_string()).collect();
    let given = stores.history.signal_ids(&names).context("cannot give the signals their ids")?;
    ids.extend(fresh.into_iter().zip(given));
    Ok(())
}

fn rows_of(lines: &[Line], ids: &HashMap<Arc<str>, SignalId>) -> Rows {
    let mut rows = Rows::default();
    for line in lines {
        let Some(id) = ids.get(&line.signal) else { continue };
        rows.push(*id, line.time, line.value, line.status, line.quality | Quality::LATE, line.skew_ns());
        line.exact.into_iter().for_each(|bits| rows.set_exact(bits));
        line.text.iter().for_each(|text| rows.set_text(text.clone()));
    }
    rows
}
