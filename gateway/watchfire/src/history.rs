//! `watchfire history`: what was recorded of a signal, exactly.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use watchfire_config::Config;
use watchfire_exchange::marks;
use watchfire_model::{Instant, Locale, Rows, plain};

use crate::cli::{History, HistoryCommand};
use crate::data::Data;
use crate::query::{self, Question, Span};
use crate::terminal::quoted;
use crate::{every, exchange, gaps, run, verify};

/// Prints the samples of a signal.
///
/// # Errors
/// When the signal is unknown or nothing can be read.
pub fn history(options: &History) -> Result<ExitCode> {
    if let Some(command) = &options.command {
        return match command {
            HistoryCommand::Verify(config) => verify::verify(config),
            HistoryCommand::Gaps(options) => gaps::print(options),
            HistoryCommand::Export(options) => exchange::export(options),
            HistoryCommand::Import(options) => exchange::import(options),
        };
    }
    let config = Config::load(&options.config.config)?;
    let folder = &config.gateway.data;
    let span = Span {
        signal: options.signal.clone().unwrap_or_default(),
        from: options.from.unwrap_or(Instant::MIN),
        to: options.to.unwrap_or(Instant::MAX),
    };
    if let Some(every) = options.every {
        return every::print(folder, &span, every, options.form()).map(|()| ExitCode::SUCCESS);
    }
    let form = if options.json {
        Form::Json
    } else if options.csv {
        Form::Csv
    } else {
        Form::Table
    };
    let mut output = Output::new(form, BufWriter::new(io::stdout().lock()));
    match print(&mut output, folder, &span) {
        // Whoever reads it, such as `head`, has enough.
        Err(_) if output.closed => Ok(ExitCode::SUCCESS),
        written => written.map(|()| ExitCode::SUCCESS),
    }
}

/// Asks whoever has the stores, and prints page by page: a signal may have more samples than fit into memory.
fn print(output: &mut Output<impl Write>, folder: &Path, span: &Span) -> Result<()> {
    let runtime = run::runtime()?;
    if let Some(mut answers) = runtime.block_on(query::ask(folder, &Question::Samples(span.clone())))? {
        while let Some(rows) = runtime.block_on(answers.next())? {
            output.page(&rows)?;
        }
    } else {
        if !folder.exists() {
            bail!("there is no data in `{}` yet; `watchfire run` records it", folder.display());
        }
        let data = Data::open(folder)?;
        for rows in query::ask_stores(&data.log, span)? {
            output.page(&rows?)?;
        }
    }
    output.end()
}

/// Whole numbers of 64 bits lie below.
const WHOLE_MAX: f64 = 18_446_744_073_709_551_616.0;

/// One sample, ready to be written.
struct Line<'r> {
    time: Instant,
    server_time: Instant,
    value: f64,
    /// All digits where a double could not hold them.
    whole: Option<i128>,
    text: Option<&'r str>,
    locale: Option<Locale>,
    status: u32,
    quality: String,
}

impl Line<'_> {
    /// Reads back as the same bits of a double. What may have been a whole number of 64 bits is written with all its
    /// digits, not with the fewest that tell it from other doubles.
    fn number(&self) -> String {
        match self.whole {
            Some(whole) => whole.to_string(),
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
        whole: rows.whole_at(row),
        text: rows.text_at(row),
        locale: rows.locale_at(row),
        status: status.0,
        quality: marks(*quality),
    })
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Csv,
    Json,
    Table,
}

/// What is printed, page by page.
struct Output<W> {
    form: Form,
    begun: bool,
    samples: usize,
    /// Nobody reads any more.
    closed: bool,
    out: W,
}

impl<W: Write> Output<W> {
    fn new(form: Form, out: W) -> Self {
        Self { form, begun: false, samples: 0, closed: false, out }
    }

    fn page(&mut self, rows: &Rows) -> Result<()> {
        self.samples += rows.len();
        let form = self.form;
        self.write(|out| match form {
            Form::Csv => lines(rows).try_for_each(|line| csv(out, &line)),
            Form::Json => lines(rows).try_for_each(|line| json(out, &line)),
            Form::Table => lines(rows).try_for_each(|line| table(out, &line)),
        })
    }

    fn end(&mut self) -> Result<()> {
        let (form, samples) = (self.form, self.samples);
        self.write(|out| {
            if form == Form::Table {
                writeln!(out, "{samples} samples")?;
            }
            out.flush()
        })
    }

    fn write(&mut self, more: impl FnOnce(&mut W) -> io::Result<()>) -> Result<()> {
        let is_first = !std::mem::replace(&mut self.begun, true);
        let head = if is_first && self.form == Form::Csv { CSV_HEAD } else { "" };
        let written = self.out.write_all(head.as_bytes()).and_then(|()| more(&mut self.out));
        self.closed |= written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        written.context("cannot write the samples")
    }
}

const CSV_HEAD: &str = "source_time,server_time,value,status,quality\n";

fn csv(out: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    let value = match line.text {
        Some(text) => quoted(text),
        None => line.number(),
    };
    writeln!(out, "{},{},{value},0x{:08X},{}", line.time, line.server_time, line.status, line.quality)
}

fn json(out: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    // A double is written so that it reads back as the same bits; what is no number is null.
    let whole = |whole: i128| {
        let unsigned = u64::try_from(whole).map(serde_json::Value::from);
        unsigned.or_else(|_| i64::try_from(whole).map(serde_json::Value::from)).unwrap_or_default()
    };
    let number = || line.whole.map_or_else(|| line.value.into(), whole);
    let mut object = serde_json::json!({
        "source_time": line.time.to_string(),
        "server_time": line.server_time.to_string(),
        "value": line.text.map_or_else(number, Into::into),
        "status": format!("0x{:08X}", line.status),
        "quality": line.quality,
    });
    if let (Some(locale), Some(members)) = (line.locale, object.as_object_mut()) {
        members.insert("locale".to_owned(), locale.to_string().into());
    }
    writeln!(out, "{object}")
}

fn table(out: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    let value = line.text.map_or_else(|| line.number(), plain);
    let status = if line.status == 0 { String::new() } else { format!("0x{:08X}", line.status) };
    writeln!(out, "{:<30} {value:>22} {status} {}", line.time.to_string(), line.quality)
}

#[cfg(test)]
mod tests {
    use watchfire_model::{Quality, SignalId, StatusCode};

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
        rows.set_exact(Locale::parse("de").unwrap().bits());
        rows.push(SignalId(1), at, -9_223_372_036_854_775_808.0, StatusCode::GOOD, Quality::NONE, 0);
        rows.push(SignalId(1), at, u64::MAX as f64, StatusCode::GOOD, Quality::ROUNDED, 0);
        rows.set_exact(u64::MAX.cast_signed());
        // In two pages, as one.
        let written = |form| {
            let mut output = Output::new(form, Vec::new());
            output.page(&rows).unwrap();
            output.page(&rows).unwrap();
            output.end().unwrap();
            String::from_utf8(output.out).unwrap()
        };
        let as_csv = written(Form::Csv);
        assert_eq!((as_csv.matches("source_time").count(), as_csv.lines().count()), (1, 11));
        assert!(as_csv.contains(",18446744073709551615,0x00000000,rounded\n"));
        assert!(as_csv.contains(
            "2026-03-01T12:00:00.000000001Z,2026-03-01T12:00:00.001000001Z,0.30000000000000004,0x00000000,\n"
        ));
        assert!(as_csv.contains(",9223372036854775807,0x80310000,rounded\n") && as_csv.contains(",\"a \"\"b\"\"\","));
        assert!(as_csv.contains(",-9223372036854775808,0x00000000,\n"));
        let as_json = written(Form::Json);
        assert!(as_json.contains("\"value\":0.30000000000000004") && as_json.contains("\"value\":9223372036854775807"));
        assert!(as_json.contains("\"value\":18446744073709551615"));
        assert!(as_json.contains(r#""value":"a \"b\"""#) && as_json.matches(r#""locale":"de""#).count() == 2);
        assert!(written(Form::Table).ends_with("10 samples\n"));
    }

    #[test]
    fn what_a_server_has_written_is_shown_without_what_a_terminal_obeys() {
        let mut rows = Rows::default();
        rows.push(SignalId(1), Instant::from_s(1), f64::NAN, StatusCode::GOOD, Quality::NONE, 0);
        rows.set_text("a\u{1b}[2J\nb".into());
        let mut output = Output::new(Form::Table, Vec::new());
        output.page(&rows).unwrap();
        output.end().unwrap();
        let shown = String::from_utf8(output.out).unwrap();
        assert!(shown.contains(" a [2J b ") && shown.lines().count() == 2, "{shown:?}");
    }
}
