//! `signals_csv`: signals as a table that people keep in a spreadsheet (RFC 4180, with `,`, `;` or a tabulator between
//! the columns). Each row is judged as a `[[source.signal]]` is, with the same words; every mistake is told at once.

use std::fmt::Write as _;
use std::path::Path;

use toml::de::DeTable;

use crate::names::{Known, Unique};
use crate::nearest::nearest;
use crate::read::read_text;
use crate::report::Report;
use crate::section::{Section, listed};
use crate::source::Inherited;
use crate::{ConfigError, ConfigErrors, SignalConfig};

/// The columns that a list can have; the first two it must.
const COLUMNS: [&str; 14] = [
    "name",
    "node",
    "unit",
    "range_low",
    "range_high",
    "area",
    "sampling_interval_ms",
    "queue_size",
    "publishing_interval_ms",
    "deadband",
    "element",
    "role",
    "group",
    "description",
];
const NEEDED: usize = 2;
const NUMBERS: [&str; 5] = ["sampling_interval_ms", "queue_size", "publishing_interval_ms", "deadband", "group"];

/// Reads a list of signals.
pub(crate) fn read(
    path: &Path,
    source: &Inherited<'_>,
    unique: &mut Unique,
    known: &mut Known,
) -> Result<Vec<SignalConfig>, ConfigErrors> {
    let file = path.display().to_string();
    let text = read_text(path, "a relative path begins at the configuration file's folder")
        .map_err(|error| ConfigErrors(vec![error]))?;
    let (rows, mut errors) = rows(&text);
    let (listed, more) = match as_tables(&rows) {
        Ok((tables, more)) => (judged(&file, &tables, source, unique, known), more),
        Err(more) => (Ok(Vec::new()), more),
    };
    errors.extend(more);
    let mut errors: Vec<ConfigError> =
        errors.into_iter().map(|(line, message)| ConfigError { file: file.clone(), line, message }).collect();
    match listed {
        Ok(signals) if errors.is_empty() => return Ok(signals),
        Ok(_) => {}
        Err(ConfigErrors(more)) => errors.extend(more),
    }
    errors.sort_by_key(|error| error.line);
    Err(ConfigErrors(errors))
}

/// The tables as any others.
fn judged(
    file: &str,
    tables: &str,
    source: &Inherited<'_>,
    unique: &mut Unique,
    known: &mut Known,
) -> Result<Vec<SignalConfig>, ConfigErrors> {
    let report = Report::new(file, tables);
    let (root, unread) = DeTable::parse_recoverable(tables);
    let root = Section::root(&report, root.get_ref());
    let rows = root.tables("row", "row");
    drop(root);
    let signals = rows.into_iter().map(|row| SignalConfig::read(row, source, unique, known));
    let signals: Vec<Option<Vec<SignalConfig>>> = signals.collect();
    let unread = unread.iter().map(|error| {
        let line = report.line(error.span().map_or(0, |span| span.start));
        (line, format!("cannot be read: {}", error.message()))
    });
    let unread = unread.collect();
    report.finish(unread)?;
    Ok(signals.into_iter().flatten().flatten().collect())
}

/// A row: its line, and its cells.
struct Row {
    line: usize,
    cells: Vec<String>,
}

type Wrong = Vec<(usize, String)>;

/// Cuts a text into rows; blank lines are none.
fn rows(text: &str) -> (Vec<Row>, Wrong) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let head = text.lines().next().unwrap_or_default();
    let separator = [',', ';', '\t'].into_iter().max_by_key(|c| head.matches(*c).count()).unwrap_or(',');
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    let (mut row, mut cell, mut line) = (Row { line: 1, cells: Vec::new() }, String::new(), 1);
    let mut quoted_since = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quoted_since) {
            ('"', Some(_)) if characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            ('"', Some(_)) => quoted_since = None,
            ('"', None) if cell.trim().is_empty() => {
                cell.clear();
                quoted_since = Some(line);
            }
            ('\n', None) => {
                line += 1;
                row.cells.push(std::mem::take(&mut cell).trim().to_owned());
                rows.push(std::mem::replace(&mut row, Row { line, cells: Vec::new() }));
            }
            (other, None) if other == separator => row.cells.push(std::mem::take(&mut cell).trim().to_owned()),
            (other, _) => {
                line += usize::from(other == '\n');
                cell.push(other);
            }
        }
    }
    if let Some(since) = quoted_since {
        wrong.push((since, "a `\"` begins a text that does not end; close it, or write `\"\"` for one".to_owned()));
    }
    row.cells.push(cell.trim().to_owned());
    rows.push(row);
    rows.retain(|row| row.cells.iter().any(|cell| !cell.is_empty()));
    (rows, wrong)
}

/// The rows as TOML, each in the line in which it stands in the list, so that errors name the list's lines.
fn as_tables(rows: &[Row]) -> Result<(String, Wrong), Wrong> {
    let Some((head, rows)) = rows.split_first() else {
        return Err(vec![(0, format!("is empty; its first line names the columns, such as {}", all_columns()))]);
    };
    let columns = columns(head)?;
    let (mut text, mut wrong, mut line) = (String::from("row = ["), Vec::new(), 1);
    for row in rows {
        if row.cells.len() > columns.len() {
            let (cells, count) = (row.cells.len(), columns.len());
            let way_out = "put quotes around a text with a separator in it";
            wrong.push((row.line, format!("has {cells} cells, but there are {count} columns; {way_out}")));
            continue;
        }
        while line < row.line {
            text.push('\n');
            line += 1;
        }
        let cells: Vec<(&str, &str)> = columns.iter().copied().zip(row.cells.iter().map(String::as_str)).collect();
        let table = table(&cells).unwrap_or_else(|message| {
            wrong.push((row.line, message));
            String::new()
        });
        if !table.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{{ {table} }},");
        }
    }
    text.push(']');
    Ok((text, wrong))
}

fn all_columns() -> String {
    listed(COLUMNS)
}

fn columns(head: &Row) -> Result<Vec<&'static str>, Wrong> {
    let mut wrong = Vec::new();
    let mut columns: Vec<&'static str> = Vec::new();
    for name in &head.cells {
        match COLUMNS.into_iter().find(|column| column.eq_ignore_ascii_case(name)) {
            Some(column) if columns.contains(&column) => {
                wrong.push((head.line, format!("the column `{column}` is there twice; take one out")));
            }
            Some(column) => columns.push(column),
            None => {
                let way_out = match nearest(name, COLUMNS) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("known: {}", all_columns()),
                };
                wrong.push((head.line, format!("unknown column `{}`; {way_out}", name.escape_debug())));
            }
        }
    }
    let missing = COLUMNS.into_iter().take(NEEDED).filter(|column| !columns.contains(column));
    wrong.extend(missing.map(|column| (head.line, format!("there is no column `{column}`; it is needed"))));
    if wrong.is_empty() { Ok(columns) } else { Err(wrong) }
}

/// A row as the inside of an inline table; empty cells are left out.
fn table(cells: &[(&str, &str)]) -> Result<String, String> {
    let cell = |column: &str| cells.iter().find(|(c, _)| *c == column).map(|(_, cell)| *cell).filter(|c| !c.is_empty());
    let mut settings = Vec::new();
    match (cell("range_low"), cell("range_high")) {
        (Some(low), Some(high)) => settings.push(format!("range = [{}, {}]", number(low), number(high))),
        (None, None) => {}
        _ => return Err("has one of `range_low` and `range_high`; give both or none".to_owned()),
    }
    for (column, text) in cells.iter().filter(|(column, text)| !text.is_empty() && !column.starts_with("range_")) {
        let value = if NUMBERS.contains(column) { number(text) } else { quoted(text) };
        settings.push(format!("{column} = {value}"));
    }
    Ok(settings.join(", "))
}

/// A number as TOML has it; what is none stays a text, and is judged as such.
fn number(text: &str) -> String {
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(whole), _) => whole.to_string(),
        (_, Ok(number)) if number.is_finite() => format!("{number:?}"),
        _ => quoted(text),
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if character.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(character));
            }
            character => quoted.push(character),
        }
    }
    quoted + "\""
}
