//! `signals_csv`: signals as a table that people keep in a spreadsheet. Each row is judged as a `[[source.signal]]` is, with
//! the same words; every mistake is told at once.

use std::path::Path;

use crate::csv_table::{self, Shape, comma_in_number, number, quoted};
use crate::names::{Known, Unique};
use crate::source::Inherited;
use crate::{ConfigErrors, SignalConfig};

/// The columns that a list can have; the first two it must.
const COLUMNS: &[&str] = &[
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
const WAY_OUT: &str =
    "`signals_csv` of a `[[source]]` names it; a relative path begins at the configuration file's folder";
const NUMBERS: [&str; 5] = ["sampling_interval_ms", "queue_size", "publishing_interval_ms", "deadband", "group"];
const BOUNDS: [&str; 2] = ["range_low", "range_high"];

/// Reads a list of signals.
pub(crate) fn read(
    path: &Path,
    source: &Inherited<'_>,
    unique: &mut Unique,
    known: &mut Known,
) -> Result<Vec<SignalConfig>, ConfigErrors> {
    let shape = Shape { columns: COLUMNS, needed: NEEDED, table, way_out: WAY_OUT };
    let signals = csv_table::read(path, &shape, |row| SignalConfig::read(row, source, unique, known))?;
    Ok(signals.into_iter().flatten().collect())
}

/// A row as the inside of an inline table; empty cells are left out.
fn table(cells: &[(&str, &str)]) -> Result<String, String> {
    let cell = |column: &str| cells.iter().find(|(c, _)| *c == column).map(|(_, cell)| *cell).filter(|c| !c.is_empty());
    let mut numbers = cells.iter().filter(|(column, _)| NUMBERS.contains(column) || BOUNDS.contains(column));
    if let Some(wrong) = numbers.find_map(|(column, text)| comma_in_number(column, text)) {
        return Err(wrong);
    }
    let mut settings = Vec::new();
    match (cell("range_low"), cell("range_high")) {
        (Some(low), Some(high)) => settings.push(format!("range = [{}, {}]", number(low), number(high))),
        (None, None) => {}
        _ => return Err("has one of `range_low` and `range_high`; give both or none".to_owned()),
    }
    for (column, text) in cells.iter().filter(|(column, text)| !text.is_empty() && !BOUNDS.contains(column)) {
        let value = if NUMBERS.contains(column) { number(text) } else { quoted(text) };
        settings.push(format!("{column} = {value}"));
    }
    Ok(settings.join(", "))
}
