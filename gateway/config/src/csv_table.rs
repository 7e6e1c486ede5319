//! Tables that people keep in a spreadsheet (RFC 4180, with `,`, `;` or a tabulator between the columns), as TOML: each
//! row is then judged with the words of any other table, and every mistake is told with its line.

use std::fmt::Write as _;
use std::path::Path;

use toml::de::DeTable;

use crate::nearest::nearest;
use crate::read::read_text;
use crate::report::Report;
use crate::section::{Section, listed};
use crate::{ConfigError, ConfigErrors};

/// Makes TOML of a row's cells, each with its column; or says what is wrong with the row.
type AsTable = fn(&[(&str, &str)]) -> Result<String, String>;

/// What a table looks like.
pub(crate) struct Shape {
    /// The columns that it can have.
    pub columns: &'static [&'static str],
    /// So many of the first it must have.
    pub needed: usize,
    /// A row as the inside of an inline table; empty cells are left out.
    pub table: AsTable,
    /// What is said where there is no such file.
    pub way_out: &'static str,
}

/// Reads a file and judges each row.
pub(crate) fn read<T>(
    path: &Path,
    shape: &Shape,
    mut judge: impl FnMut(Section<'_>) -> Option<T>,
) -> Result<Vec<T>, ConfigErrors> {
    let file = path.display().to_string();
    let text = read_text(path, shape.way_out).map_err(|error| ConfigErrors(vec![error]))?;
    let (rows, mut errors) = rows(&text);
    let (listed, more) = match as_tables(&rows, shape) {
        Ok((tables, more)) => (judged(&file, &tables, &mut judge), more),
        Err(more) => (Ok(Vec::new()), more),
    };
    errors.extend(more);
    let mut errors: Vec<ConfigError> =
        errors.into_iter().map(|(line, message)| ConfigError { file: file.clone(), line, message }).collect();
    match listed {
        Ok(rows) if errors.is_empty() => return Ok(rows),
        Ok(_) => {}
        Err(ConfigErrors(more)) => errors.extend(more),
    }
    errors.sort_by_key(|error| error.line);
    Err(ConfigErrors(errors))
}

/// Rows as they are, each with its line.
pub(crate) type Plain = Vec<(usize, Vec<String>)>;

/// Lines with what is wrong in them.
pub(crate) type Wrong = Vec<(usize, String)>;

/// The rows of a file as they are, each with its line, and what is no table in it; `way_out` is for one that is not there.
pub(crate) fn plain(path: &Path, way_out: &str) -> Result<(Plain, Wrong), ConfigErrors> {
    let text = read_text(path, way_out).map_err(|error| ConfigErrors(vec![error]))?;
    let (rows, wrong) = rows(&text);
    Ok((rows.into_iter().map(|row| (row.line, row.cells)).collect(), wrong))
}

/// The tables as any others.
fn judged<T>(
    file: &str,
    tables: &str,
    judge: &mut impl FnMut(Section<'_>) -> Option<T>,
) -> Result<Vec<T>, ConfigErrors> {
    let report = Report::new(file, tables);
    let (root, unread) = DeTable::parse_recoverable(tables);
    let root = Section::root(&report, root.get_ref());
    let rows = root.tables("row", "row");
    drop(root);
    let judged: Vec<Option<T>> = rows.into_iter().map(judge).collect();
    let unread = unread.iter().map(|error| {
        let line = report.line(error.span().map_or(0, |span| span.start));
        (line, format!("cannot be read: {}", error.message()))
    });
    let unread = unread.collect();
    report.finish(unread)?;
    Ok(judged.into_iter().flatten().collect())
}

/// A row: its line, and its cells.
struct Row {
    line: usize,
    cells: Vec<String>,
}

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
fn as_tables(rows: &[Row], shape: &Shape) -> Result<(String, Wrong), Wrong> {
    let Some((head, rows)) = rows.split_first() else {
        return Err(vec![(
            0,
            format!("is empty; its first line names the columns, such as {}", listed(shape.columns.iter().copied())),
        )]);
    };
    let columns = columns(head, shape)?;
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
        let table = (shape.table)(&cells).unwrap_or_else(|message| {
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

fn columns(head: &Row, shape: &Shape) -> Result<Vec<&'static str>, Wrong> {
    let mut wrong = Vec::new();
    let mut columns: Vec<&'static str> = Vec::new();
    for name in &head.cells {
        match shape.columns.iter().copied().find(|column| column.eq_ignore_ascii_case(name)) {
            Some(column) if columns.contains(&column) => {
                wrong.push((head.line, format!("the column `{column}` is there twice; take one out")));
            }
            Some(column) => columns.push(column),
            None => {
                let way_out = match nearest(name, shape.columns.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("known: {}", listed(shape.columns.iter().copied())),
                };
                wrong.push((head.line, format!("unknown column `{}`; {way_out}", name.escape_debug())));
            }
        }
    }
    let missing = shape.columns.iter().copied().take(shape.needed).filter(|column| !columns.contains(column));
    wrong.extend(missing.map(|column| (head.line, format!("there is no column `{column}`; it is needed"))));
    if wrong.is_empty() { Ok(columns) } else { Err(wrong) }
}

/// A number as TOML has it; what is none stays a text, and is judged as such.
pub(crate) fn number(text: &str) -> String {
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(whole), _) => whole.to_string(),
        (_, Ok(number)) if number.is_finite() => format!("{number:?}"),
        _ => quoted(text),
    }
}

/// What is wrong with a cell that is to be a number, where that can be told better than of the value that comes of it.
pub(crate) fn comma_in_number(column: &str, text: &str) -> Option<String> {
    let point = text.replacen(',', ".", 1);
    (point != text && point.parse::<f64>().is_ok()).then(|| {
        format!("`{column}` is `{text}`; write it with a decimal point, `{point}`, and thousands without a comma")
    })
}

pub(crate) fn quoted(text: &str) -> String {
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
