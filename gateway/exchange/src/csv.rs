//! CSV: a head, then one sample a line. Text stands in quotes, so that none and an empty one differ; whole numbers that
//! a double cannot hold have a column of their own.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::sync::Arc;

use watchfire_model::{Instant, Locale, StatusCode};

use crate::line::{Line, is_name, marks, marks_of};
use crate::{BadLine, ExchangeError};

const COLUMNS: [&str; 9] =
    ["signal", "source_time", "server_time", "value", "integer", "text", "status", "quality", "locale"];
/// Columns without which there is no sample.
const NEEDED: [&str; 3] = ["signal", "source_time", "value"];
/// The longest line that is believed, bytes.
const LINE_BYTES_MAX: usize = 64 << 20;

/// Writes CSV.
pub struct Writer<W: Write>(W);

impl<W: Write> Writer<W> {
    /// Begins with the head.
    pub fn new(mut out: W) -> Result<Self, ExchangeError> {
        writeln!(out, "{}", COLUMNS.join(","))?;
        Ok(Self(out))
    }

    /// Appends a line.
    pub fn write(&mut self, line: &Line) -> Result<(), ExchangeError> {
        let whole = line.whole().map(|whole| whole.to_string()).unwrap_or_default();
        let text = line.text.as_ref().map(|text| quoted(text)).unwrap_or_default();
        let locale = line.locale().map(|locale| locale.to_string()).unwrap_or_default();
        writeln!(
            self.0,
            "{},{},{},{},{whole},{text},0x{:08X},{},{locale}",
            if line.signal.contains(['"', ',', '\n', '\r']) { quoted(&line.signal) } else { line.signal.to_string() },
            line.time,
            line.server_time,
            line.value,
            line.status.0,
            marks(line.quality)
        )?;
        Ok(())
    }

    /// Ends the file.
    pub fn finish(mut self) -> Result<(), ExchangeError> {
        Ok(self.0.flush()?)
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// A field, and whether it stood in quotes.
type Field = (String, bool);

/// Reads CSV.
pub struct Reader<R> {
    input: R,
    /// Which field holds which column.
    places: HashMap<&'static str, usize>,
    /// How many the head names.
    columns: usize,
    /// The number of the line read last.
    number: u64,
    names: HashMap<String, Arc<str>>,
}

impl<R: BufRead> Reader<R> {
    /// Reads the head.
    pub fn new(input: R) -> Result<Self, ExchangeError> {
        let mut reader = Self { input, places: HashMap::new(), columns: 0, number: 0, names: HashMap::new() };
        let head = match reader.fields()? {
            // Spreadsheets pad lines with empty fields.
            Some((_, Ok(mut head))) => {
                head.truncate(filled(&head));
                head
            }
            Some((_, Err(reason))) => {
                return Err(ExchangeError::Form(format!("its first line names no columns: {reason}")));
            }
            None => {
                return Err(ExchangeError::Form("the file is empty; its first line must name its columns".to_owned()));
            }
        };
        reader.columns = head.len();
        reader.places = places(&head).map_err(ExchangeError::Form)?;
        Ok(reader)
    }

    /// The next sample, or why its line is none.
    pub fn line(&mut self) -> Result<Option<Result<Line, BadLine>>, ExchangeError> {
        loop {
            let Some((number, fields)) = self.fields()? else { return Ok(None) };
            let is_blank = |fields: &Vec<Field>| matches!(fields.as_slice(), [(text, false)] if text.trim().is_empty());
            if fields.as_ref().is_ok_and(is_blank) {
                continue;
            }
            let line = fields.and_then(|fields| self.parsed(self.fitting(&fields)?));
            return Ok(Some(line.map_err(|reason| BadLine { number, reason })));
        }
    }

    /// Refuses a line with more fields than columns, but for empty ones at its end: one of them is in two, such as a number
    /// with a decimal comma, and what follows would be taken for something else.
    fn fitting<'f>(&self, fields: &'f [Field]) -> Result<&'f [Field], String> {
        let (count, columns) = (filled(fields), self.columns);
        if count > columns {
            return Err(format!(
                "it has {count} fields, but there are {columns} columns; numbers have a decimal point, and a text with a comma \
                 stands in quotes"
            ));
        }
        Ok(fields)
    }

    fn parsed(&mut self, fields: &[Field]) -> Result<Line, String> {
        let field = |name: &str| self.places.get(name).and_then(|at| fields.get(*at));
        let plain = |name: &str| field(name).map(|(text, _)| text.trim()).filter(|text| !text.is_empty());
        let time = |name: &str| match plain(name) {
            Some(text) => Instant::parse(text)
                .map(Some)
                .ok_or_else(|| format!("`{name}` is `{text}`, which is no time; write it as 2026-03-01T12:00:00.5Z")),
            None => Ok(None),
        };
        let at = time("source_time")?.ok_or_else(|| "`source_time` is missing".to_owned())?;
        let text = field("text").filter(|(text, quoted)| *quoted || !text.is_empty()).map(|(text, _)| text.clone());
        let value = match plain("value") {
            Some(text) => text.parse().map_err(|_| format!("`value` is `{text}`, which is no number"))?,
            None if text.is_some() => f64::NAN,
            None => return Err("`value` is missing, and there is no `text`".to_owned()),
        };
        let exact = match plain("integer") {
            Some(text) => {
                let whole = text.parse::<i128>().ok();
                let bits = whole.and_then(|whole| {
                    i64::try_from(whole).ok().or_else(|| u64::try_from(whole).ok().map(u64::cast_signed))
                });
                Some(bits.ok_or_else(|| format!("`integer` is `{text}`, which is no whole number of 64 bits"))?)
            }
            None => text.as_ref().and(plain("locale")).and_then(Locale::parse).map(Locale::bits),
        };
        let status = match plain("status") {
            Some(text) => {
                let digits = text.strip_prefix("0x").map(|digits| u32::from_str_radix(digits, 16));
                StatusCode(
                    digits
                        .unwrap_or_else(|| text.parse())
                        .map_err(|_| format!("`status` is `{text}`, which is no StatusCode; write it as 0x80000000"))?,
                )
            }
            None => StatusCode::GOOD,
        };
        let quality = plain("quality").unwrap_or_default();
        let quality = marks_of(quality).ok_or_else(|| format!("`quality` is `{quality}`, which is no mark"))?;
        let server_time = time("server_time")?.unwrap_or(at);
        let signal = plain("signal").ok_or_else(|| "`signal` is missing".to_owned())?;
        if !is_name(signal) {
            return Err(format!("`{signal}` is no name of a signal; names read `source/name`"));
        }
        let signal = match self.names.get(signal) {
            Some(known) => known.clone(),
            None => {
                let name: Arc<str> = signal.into();
                self.names.insert(signal.to_owned(), name.clone());
                name
            }
        };
        Line { signal, time: at, server_time, value, exact, text, status, quality }.sound()
    }

    /// The fields of the next line, which may go on over several where it has quotes, and its number.
    #[expect(clippy::type_complexity, reason = "used here alone")]
    fn fields(&mut self) -> Result<Option<(u64, Result<Vec<Field>, String>)>, ExchangeError> {
        let mut bytes = Vec::new();
        let number = self.number + 1;
        loop {
            let before = bytes.len();
            let read = std::io::Read::take(&mut self.input, LINE_BYTES_MAX as u64).read_until(b'\n', &mut bytes)?;
            if read == 0 {
                if before == 0 {
                    return Ok(None);
                }
                return Ok(Some((number, Err("a quote is never closed".to_owned()))));
            }
            self.number += 1;
            let quotes = bytes.iter().filter(|byte| **byte == b'"').count();
            if quotes % 2 == 0 {
                break;
            }
            if bytes.len() >= LINE_BYTES_MAX {
                return Err(ExchangeError::Form(format!("line {number} is longer than {LINE_BYTES_MAX} bytes")));
            }
        }
        let fields = match str::from_utf8(&bytes) {
            Ok(text) => split(text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text))),
            Err(_) => Err("it is not UTF-8".to_owned()),
        };
        // Spreadsheets leave out empty fields at a line's end, but not the end of a line.
        let fields = fields.and_then(|fields| match bytes.last() {
            Some(b'\n') => Ok(fields),
            _ if fields.len() >= self.columns => Ok(fields),
            _ => Err("the file ends within it; it was cut short".to_owned()),
        });
        Ok(Some((number, fields)))
    }
}

/// How many fields there are up to the last one with something in it.
fn filled(fields: &[Field]) -> usize {
    fields.iter().rposition(|(text, quoted)| *quoted || !text.trim().is_empty()).map_or(0, |last| last + 1)
}

/// Where each column is.
fn places(head: &[Field]) -> Result<HashMap<&'static str, usize>, String> {
    let known = COLUMNS.join(",");
    let mut places = HashMap::new();
    for (at, (name, _)) in head.iter().enumerate() {
        let name = name.trim().trim_start_matches('\u{feff}');
        let Some(column) = COLUMNS.into_iter().find(|column| *column == name) else {
            let way_out = match name.contains([';', '\t']) {
                true => "columns have a `,` between them",
                false => "take it out, or give it the name that is meant",
            };
            return Err(format!("there is no such column as `{}`; {way_out}; there are {known}", name.escape_debug()));
        };
        if places.insert(column, at).is_some() {
            return Err(format!("the column `{column}` is there twice; take one out"));
        }
    }
    match NEEDED.into_iter().find(|needed| !places.contains_key(needed)) {
        Some(needed) => Err(format!("there is no column `{needed}`; the first line may name {known}")),
        None => Ok(places),
    }
}

/// A line's fields.
fn split(line: &str) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        if let Some(mut quoted) = rest.strip_prefix('"') {
            let mut text = String::new();
            loop {
                let Some((before, after)) = quoted.split_once('"') else {
                    return Err("a quote is never closed".to_owned());
                };
                text.push_str(before);
                match after.strip_prefix('"') {
                    Some(after) => {
                        text.push('"');
                        quoted = after;
                    }
                    None => {
                        quoted = after;
                        break;
                    }
                }
            }
            fields.push((text, true));
            match quoted.strip_prefix(',') {
                Some(after) => rest = after,
                None if quoted.is_empty() => return Ok(fields),
                None => return Err(format!("`{quoted}` stands after a closed quote")),
            }
        } else if let Some((field, after)) = rest.split_once(',') {
            fields.push((field.to_owned(), false));
            rest = after;
        } else {
            fields.push((rest.to_owned(), false));
            return Ok(fields);
        }
    }
}
