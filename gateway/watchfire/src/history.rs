//! `watchfire history`: what was recorded of a signal, exactly.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use watchfire_config::Config;
use watchfire_model::{Instant, Quality, Rows};

use crate::cli::History;
use crate::data::Data;
use crate::query::{self, Answer, Question};
use crate::run;

/// Prints the samples of a signal.
///
/// # Errors
/// When the signal is unknown or nothing can be read.
pub fn history(options: &History) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let folder = &config.gateway.data;
    let question = Question {
        signal: options.signal.clone(),
        from: options.from.unwrap_or(Instant::MIN),
        to: options.to.unwrap_or(Instant::MAX),
    };
    let rows = match run::runtime()?.block_on(query::ask(folder, &question))? {
        Some(Answer::Rows(rows)) => rows,
        Some(Answer::Error(error)) => bail!(error),
        None if !folder.exists() => bail!("there is no data in `{}` yet; `watchfire run` records it", folder.display()),
        None => query::ask_stores(&Data::open(folder)?.log, &question)?,
    };
    let write = if options.json {
        json
    } else if options.csv {
        csv
    } else {
        table
    };
    match write(&mut BufWriter::new(io::stdout().lock()), &rows) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        result => result.map(|()| ExitCode::SUCCESS).context("cannot write the samples"),
    }
}

/// Whole numbers of 64 bits lie below.
const WHOLE_MAX: f64 = 18_446_744_073_709_551_616.0;

/// One sample, ready to be written.
struct Line<'r> {
    time: Instant,
    server_time: Instant,
    value: f64,
    /// All 64 bits where a double could not hold them.
    exact: Option<i64>,
    text: Option<&'r str>,
    status: u32,
    quality: String,
}

impl Line<'_> {
    /// Reads back as the same bits of a double. What may have been a whole number of 64 bits is written with all its
    /// digits, not with the fewest that tell it from other doubles.
    fn number(&self) -> String {
        match self.exact {
            Some(bits) => bits.to_string(),
            None if self.value.abs() < WHOLE_MAX && self.value.fract() == 0.0 => format!("{:.0}", self.value),
            None => self.value.to_string(),
        }
    }
}

fn lines(rows: &Rows) -> impl Iterator<Item = Line<'_>> {
    let columns = rows.time.iter().zip(&rows.value).zip(&rows.status).zip(&rows.quality);
    columns.enumerate().map(|(row, (((time, value), status), quality))| Line {
        time: *time,
        server_time: Instant::from_ns(time.ns().saturating_add(rows.skew_ns_at(row))),
        value: *value,
        exact: rows.exact_at(row),
        text: rows.text_at(row),
        status: status.0,
        quality: marks(*quality),
    })
}

fn marks(quality: Quality) -> String {
    let names = [
        (Quality::LATE, "late"),
        (Quality::OVERFLOW, "overflow"),
        (Quality::ROUNDED, "rounded"),
        (Quality::SERVER_TIME, "server-time"),
        (Quality::DISTRUSTED, "distrusted"),
    ];
    names.iter().filter(|(mark, _)| quality.has(*mark)).map(|(_, name)| *name).collect::<Vec<_>>().join("+")
}

fn csv(out: &mut dyn Write, rows: &Rows) -> io::Result<()> {
    writeln!(out, "source_time,server_time,value,status,quality")?;
    for line in lines(rows) {
        let value = match line.text {
            Some(text) => format!("\"{}\"", text.replace('"', "\"\"")),
            None => line.number(),
        };
        writeln!(out, "{},{},{value},0x{:08X},{}", line.time, line.server_time, line.status, line.quality)?;
    }
    out.flush()
}

fn json(out: &mut dyn Write, rows: &Rows) -> io::Result<()> {
    for line in lines(rows) {
        // A double is written so that it reads back as the same bits; what is no number is null.
        let number = || line.exact.map_or_else(|| line.value.into(), serde_json::Value::from);
        let value = line.text.map_or_else(number, Into::into);
        let object = serde_json::json!({
            "source_time": line.time.to_string(),
            "server_time": line.server_time.to_string(),
            "value": value,
            "status": format!("0x{:08X}", line.status),
            "quality": line.quality,
        });
        writeln!(out, "{object}")?;
    }
    out.flush()
}

fn table(out: &mut dyn Write, rows: &Rows) -> io::Result<()> {
    for line in lines(rows) {
        let value = line.text.map_or_else(|| line.number(), str::to_owned);
        let status = if line.status == 0 { String::new() } else { format!("0x{:08X}", line.status) };
        writeln!(out, "{:<30} {value:>22} {status} {}", line.time.to_string(), line.quality)?;
    }
    writeln!(out, "{} samples", rows.len())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use watchfire_model::{SignalId, StatusCode};

    use super::*;

    #[test]
    fn every_form_gives_values_exactly() {
        let mut rows = Rows::default();
        let at = Instant::parse("2026-03-01T12:00:00.000000001Z").unwrap();
        rows.push(SignalId(1), at, 0.1 + 0.2, StatusCode::GOOD, Quality::NONE, 1_000_000);
        rows.push(SignalId(1), at, 9.0e18, StatusCode(0x8031_0000), Quality::ROUNDED, 0);
        rows.set_exact(i64::MAX);
        rows.push(SignalId(1), at, f64::NAN, StatusCode::GOOD, Quality::NONE, 0);
        rows.set_text("a \"b\"".into());
        rows.push(SignalId(1), at, -9_223_372_036_854_775_808.0, StatusCode::GOOD, Quality::NONE, 0);
        let written = |write: fn(&mut dyn Write, &Rows) -> io::Result<()>| {
            let mut out = Vec::new();
            write(&mut out, &rows).unwrap();
            String::from_utf8(out).unwrap()
        };
        let as_csv = written(csv);
        assert!(as_csv.contains(
            "2026-03-01T12:00:00.000000001Z,2026-03-01T12:00:00.001000001Z,0.30000000000000004,0x00000000,\n"
        ));
        assert!(as_csv.contains(",9223372036854775807,0x80310000,rounded\n") && as_csv.contains(",\"a \"\"b\"\"\","));
        assert!(as_csv.contains(",-9223372036854775808,0x00000000,\n"));
        let as_json = written(json);
        assert!(as_json.contains("\"value\":0.30000000000000004") && as_json.contains("\"value\":9223372036854775807"));
        assert!(written(table).ends_with("4 samples\n"));
    }
}
