//! `watchfire history SIGNAL --every`: what a signal's samples come to by intervals, also where the samples are no longer
//! kept.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use watchfire_model::{Edge, Extreme, Instant, Summary, plain};
use watchfire_pipeline::{Log, summed};

use crate::data::Data;
use crate::gaps::Form;
use crate::query::{self, Question, Span};
use crate::run;
use crate::terminal::quoted;

/// Intervals that are told at once.
const PAGE: usize = 1024;

/// An interval with samples.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    /// When it begins.
    from: Instant,
    summary: Summary,
}

/// The intervals of a signal from the stores, page by page, until `take` wants no more; blocks.
///
/// # Errors
/// When the signal is unknown or a store fails.
pub fn ask_stores(log: &Log, span: &Span, every: Duration, mut take: impl FnMut(Vec<Told>) -> bool) -> Result<()> {
    let id = query::id_of(log, &span.signal)?;
    let (mut page, mut wants_more) = (Vec::new(), true);
    summed(log, id, (span.from, span.to), every, &mut |from, summary| {
        page.push(Told { from, summary });
        if page.len() >= PAGE {
            wants_more = take(std::mem::take(&mut page));
        }
        wants_more
    })?;
    if wants_more && !page.is_empty() {
        take(page);
    }
    Ok(())
}

/// Prints the intervals of a signal.
///
/// # Errors
/// When the signal is unknown or nothing can be read.
pub fn print(folder: &Path, span: &Span, every: Duration, form: Form) -> Result<()> {
    let mut list = List { form, count: 0, out: BufWriter::new(io::stdout().lock()) };
    let done = asked(&mut list, folder, span, every);
    let is_closed = |error: &anyhow::Error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    // Whoever reads it, such as `head`, has enough.
    if done.as_ref().is_err_and(is_closed) { Ok(()) } else { done }
}

fn asked(list: &mut List<impl Write>, folder: &Path, span: &Span, every: Duration) -> Result<()> {
    list.begin()?;
    let runtime = run::runtime()?;
    if let Some(mut answers) = runtime.block_on(query::ask(folder, &Question::Every { span: span.clone(), every }))? {
        while let Some(page) = runtime.block_on(answers.every())? {
            list.page(&page)?;
        }
    } else {
        if !folder.exists() {
            bail!("there is no data in `{}` yet; `watchfire run` records it", folder.display());
        }
        let (data, mut written) = (Data::open(folder)?, Ok(()));
        ask_stores(&data.log, span, every, |page| {
            written = list.page(&page);
            written.is_ok()
        })?;
        written?;
    }
    list.end()
}

struct List<W> {
    form: Form,
    count: u64,
    out: W,
}

impl<W: Write> List<W> {
    fn begin(&mut self) -> Result<()> {
        match self.form {
            Form::Csv => writeln!(self.out, "time,count,good,min,mean,max,last,last_time")?,
            Form::Table => writeln!(
                self.out,
                "{:<24} {:>8} {:>16} {:>16} {:>16} {:>16}",
                "time", "count", "min", "mean", "max", "last"
            )?,
            Form::Json => {}
        }
        Ok(())
    }

    fn page(&mut self, page: &[Told]) -> Result<()> {
        for Told { from, summary } in page {
            self.count += 1;
            let time = from.to_string();
            let [min, mean, max] = [extreme(summary.least.as_ref()), mean(summary), extreme(summary.greatest.as_ref())];
            let (count, last) = (summary.rows(), plain(&edge(&summary.last)));
            match self.form {
                Form::Table => {
                    writeln!(self.out, "{time:<24} {count:>8} {min:>16} {mean:>16} {max:>16} {last:>16}")?;
                }
                Form::Csv => {
                    let last = match &summary.last.text {
                        Some(text) => quoted(text),
                        None => last,
                    };
                    let (good, at) = (summary.good, summary.last.time);
                    writeln!(self.out, "{time},{count},{good},{min},{mean},{max},{last},{at}")?;
                }
                Form::Json => {
                    let at = |extreme: Option<&Extreme>| extreme.map(|extreme| extreme.time.to_string());
                    let object = serde_json::json!({
                        "time": time,
                        "count": count,
                        "good": summary.good,
                        "uncertain": summary.uncertain,
                        "bad": summary.bad,
                        "min": summary.least.map(|least| least.value),
                        "min_time": at(summary.least.as_ref()),
                        "mean": (summary.numbers.count > 0).then_some(summary.numbers.mean),
                        "max": summary.greatest.map(|greatest| greatest.value),
                        "max_time": at(summary.greatest.as_ref()),
                        "first": value(&summary.first),
                        "first_time": summary.first.time.to_string(),
                        "last": value(&summary.last),
                        "last_time": summary.last.time.to_string(),
                    });
                    writeln!(self.out, "{object}")?;
                }
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        if self.form == Form::Table {
            writeln!(self.out, "{} intervals", self.count)?;
        }
        Ok(self.out.flush()?)
    }
}

/// A number with all its digits; nothing where there is none.
fn number(value: f64, exact: Option<i64>) -> String {
    match exact {
        // Beyond what a signed one holds it is unsigned.
        Some(bits) if value > 0.0 && bits < 0 => bits.cast_unsigned().to_string(),
        Some(bits) => bits.to_string(),
        None if value.is_nan() => String::new(),
        None => value.to_string(),
    }
}

fn extreme(extreme: Option<&Extreme>) -> String {
    extreme.map_or_else(String::new, |extreme| number(extreme.value, extreme.exact))
}

fn mean(summary: &Summary) -> String {
    if summary.numbers.count == 0 { String::new() } else { number(summary.numbers.mean, None) }
}

fn edge(edge: &Edge) -> String {
    edge.text.clone().unwrap_or_else(|| number(edge.value, edge.exact))
}

fn value(edge: &Edge) -> serde_json::Value {
    edge.text.as_ref().map_or_else(|| edge.value.into(), |text| text.as_str().into())
}

#[cfg(test)]
mod tests {
    use watchfire_model::{Quality, Rows, SignalId, StatusCode};

    use super::*;

    #[test]
    fn every_form_says_what_an_interval_comes_to() {
        let mut rows = Rows::default();
        for (s, value) in [(7200, 1.5), (7260, 0.5), (7320, 4.0)] {
            rows.push(SignalId(1), Instant::from_s(s), value, StatusCode::GOOD, Quality::NONE, 0);
        }
        rows.push(SignalId(1), Instant::from_s(7400), f64::NAN, StatusCode(0x8031_0000), Quality::NONE, 0);
        let mut summary = Summary::of(&rows, 0).unwrap();
        (1..4).for_each(|row| summary.add(&rows, row));
        let mut text = Summary::of(&rows, 3).unwrap();
        text.last.text = Some("a \"b\"".to_owned());
        let page = [(7200, summary), (10_800, text)].map(|(s, summary)| Told { from: Instant::from_s(s), summary });
        let written = |form| {
            let mut list = List { form, count: 0, out: Vec::new() };
            list.begin().unwrap();
            list.page(&page).unwrap();
            list.end().unwrap();
            String::from_utf8(list.out).unwrap()
        };
        assert_eq!(
            written(Form::Csv),
            "time,count,good,min,mean,max,last,last_time\n\
             1970-01-01T02:00:00Z,4,3,0.5,2,4,,1970-01-01T02:03:20Z\n\
             1970-01-01T03:00:00Z,1,0,,,,\"a \"\"b\"\"\",1970-01-01T02:03:20Z\n"
        );
        let json = written(Form::Json);
        assert!(json.contains("\"mean\":2.0,\"min\":0.5,\"min_time\":\"1970-01-01T02:01:00Z\""), "{json}");
        assert!(json.contains("\"min\":null") && json.lines().count() == 2, "{json}");
        let table = written(Form::Table);
        assert!(table.ends_with("2 intervals\n") && table.lines().count() == 4, "{table}");
    }

    #[test]
    fn what_a_server_has_written_is_shown_without_what_a_terminal_obeys() {
        let mut rows = Rows::default();
        rows.push(SignalId(1), Instant::from_s(7200), f64::NAN, StatusCode::GOOD, Quality::NONE, 0);
        rows.set_text("a\u{1b}[2J\nb".into());
        let mut summary = Summary::of(&rows, 0).unwrap();
        summary.last.text = Some("a\u{1b}[2J\nb".to_owned());
        let mut list = List { form: Form::Table, count: 0, out: Vec::new() };
        list.page(&[Told { from: Instant::from_s(7200), summary }]).unwrap();
        let shown = String::from_utf8(list.out).unwrap();
        assert!(shown.ends_with(" a [2J b\n") && shown.lines().count() == 1, "{shown:?}");
    }
}
