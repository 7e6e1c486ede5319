//! `watchfire history gaps`: where values are missing, why, and what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use watchfire_config::Config;
use watchfire_model::{GapCause, Instant, SignalId, StatusCode};
use watchfire_pipeline::{Log, gaps};

use crate::cli;
use crate::data::Data;
use crate::exchange::chosen;
use crate::query::{self, Question};
use crate::run;
use crate::terminal::cell;

/// Which gaps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// Names of signals, or beginnings before a `*`; all without any.
    pub signals: Vec<String>,
    /// That end at this time or later.
    pub from: Instant,
    /// That begin at this time or earlier.
    pub to: Instant,
}

/// A gap, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The signal; `None` for every one.
    signal: Option<String>,
    since: Instant,
    until: Instant,
    cause: GapCause,
    /// How many values the source's own history had, and whether it was read to the end of the gap.
    fill: Option<(u32, StatusCode)>,
}

/// The gaps of a log, page by page, until `take` wants no more; blocks.
///
/// # Errors
/// When a signal is unknown, a store fails, or `take` does.
pub fn ask_stores(log: &Log, wanted: &Wanted, mut take: impl FnMut(Vec<Told>) -> Result<bool>) -> Result<()> {
    let known = log.history().known_signals().context("cannot read the list of signals")?;
    let signals = if wanted.signals.is_empty() {
        None
    } else {
        let names = chosen(&known.keys().cloned().collect::<Vec<_>>(), &wanted.signals)?;
        Some(names.iter().filter_map(|name| known.get(name).copied()).collect::<BTreeSet<SignalId>>())
    };
    let names: BTreeMap<SignalId, String> = known.into_iter().map(|(name, id)| (id, name)).collect();
    for page in gaps(log, signals, wanted.from, wanted.to)? {
        let told = page?.into_iter().map(|found| Told {
            signal: found.gap.signal.map(|id| names.get(&id).cloned().unwrap_or_else(|| format!("signal {id}"))),
            since: found.gap.since,
            until: found.gap.until,
            cause: found.gap.cause,
            fill: found.fill.map(|fill| (fill.values, fill.status)),
        });
        if !take(told.collect())? {
            return Ok(());
        }
    }
    Ok(())
}

/// Prints the gaps on record.
///
/// # Errors
/// When a signal is unknown or nothing can be read.
pub fn print(options: &cli::Gaps) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let folder = &config.gateway.data;
    let wanted = Wanted {
        signals: options.signals.clone(),
        from: options.from.unwrap_or(Instant::MIN),
        to: options.to.unwrap_or(Instant::MAX),
    };
    let mut list = List { form: options.form(), count: 0, filled: 0, out: BufWriter::new(io::stdout().lock()) };
    let done = list.begin().and_then(|()| {
        let runtime = run::runtime()?;
        if let Some(mut answers) = runtime.block_on(query::ask(folder, &Question::Gaps(wanted.clone())))? {
            while let Some(page) = runtime.block_on(answers.gaps())? {
                list.page(&page)?;
            }
        } else {
            if !folder.exists() {
                bail!("there is no data in `{}` yet; `watchfire run` records it", folder.display());
            }
            ask_stores(&Data::open(folder)?.log, &wanted, |page| list.page(&page).map(|()| true))?;
        }
        list.end()
    });
    let is_closed = |error: &anyhow::Error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    match done {
        // Whoever reads it, such as `head`, has enough.
        Err(error) if is_closed(&error) => Ok(ExitCode::SUCCESS),
        done => done.map(|()| ExitCode::SUCCESS),
    }
}

/// How gaps are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Table,
    /// Comma-separated values.
    Csv,
    /// One JSON object a line.
    Json,
}

struct List<W> {
    form: Form,
    count: u64,
    filled: u64,
    out: W,
}

impl<W: Write> List<W> {
    fn begin(&mut self) -> Result<()> {
        if self.form == Form::Csv {
            writeln!(self.out, "signal,since,until,cause,filled,values,status")?;
        }
        Ok(())
    }

    fn page(&mut self, page: &[Told]) -> Result<()> {
        for told in page {
            self.count += 1;
            self.filled += u64::from(told.is_filled());
            let signal = told.signal.as_deref().unwrap_or("*");
            let (since, until, cause) = (told.since, told.until, name_of(told.cause));
            match self.form {
                Form::Table => writeln!(self.out, "{since:<30} {until:<30} {signal}  {cause}; {}", told.outcome())?,
                Form::Csv => {
                    let filled = told.is_filled();
                    let (values, status) = match told.fill {
                        Some((values, status)) => (values.to_string(), format!("0x{:08X}", status.0)),
                        None => Default::default(),
                    };
                    let signal = cell(signal);
                    writeln!(self.out, "{signal},{since},{until},{cause},{filled},{values},{status}")?;
                }
                Form::Json => {
                    let object = serde_json::json!({
                        "signal": told.signal,
                        "since": since.to_string(),
                        "until": until.to_string(),
                        "cause": cause,
                        "filled": told.is_filled(),
                        "values": told.fill.map(|(values, _)| values),
                        "status": told.fill.map(|(_, status)| format!("0x{:08X}", status.0)),
                    });
                    writeln!(self.out, "{object}")?;
                }
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        if self.form == Form::Table {
            let Self { count, filled, .. } = self;
            writeln!(self.out, "{count} gaps, {filled} of them filled from the server's history")?;
        }
        Ok(self.out.flush()?)
    }
}

impl Told {
    fn is_filled(&self) -> bool {
        self.fill.is_some_and(|(_, status)| status.is_good())
    }

    fn outcome(&self) -> String {
        match self.fill {
            None => "not filled".to_owned(),
            Some((values, status)) if status.is_good() => format!("filled with {values} values"),
            Some((values, status)) => {
                format!("not filled: the server's history gave {values} values and 0x{:08X}", status.0)
            }
        }
    }
}

const fn name_of(cause: GapCause) -> &'static str {
    match cause {
        GapCause::SourceLost => "source-lost",
        GapCause::Overflow => "overflow",
        GapCause::Skipped => "skipped",
        GapCause::NotRecorded => "not-recorded",
        GapCause::Imported => "imported",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_says_what_became_of_a_gap() {
        let gap = |signal: Option<&str>, fill| Told {
            signal: signal.map(str::to_owned),
            since: Instant::from_s(0),
            until: Instant::from_s(3),
            cause: GapCause::SourceLost,
            fill,
        };
        let page = [
            gap(Some("a/b,c"), Some((7, StatusCode::GOOD))),
            gap(None, None),
            gap(Some("a/d"), Some((2, StatusCode(0x8071_0000)))),
        ];
        let written = |form| {
            let mut list = List { form, count: 0, filled: 0, out: Vec::new() };
            list.begin().unwrap();
            list.page(&page).unwrap();
            list.end().unwrap();
            String::from_utf8(list.out).unwrap()
        };
        let table = written(Form::Table);
        assert!(table.contains("a/b,c  source-lost; filled with 7 values\n"), "{table}");
        assert!(table.contains(" *  source-lost; not filled\n") && table.contains("gave 2 values and 0x80710000\n"));
        assert!(table.ends_with("3 gaps, 1 of them filled from the server's history\n"), "{table}");
        let csv = written(Form::Csv);
        assert!(csv.contains("\"a/b,c\",1970-01-01T00:00:00") && csv.contains(",source-lost,true,7,0x00000000\n"));
        assert!(csv.contains(",source-lost,false,,\n"));
        let json = written(Form::Json);
        assert!(json.contains("\"signal\":null") && json.contains("\"filled\":true") && json.lines().count() == 3);
    }
}
