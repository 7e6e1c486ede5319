//! How errors show values, numbers and words. What they mean is not known here.

use std::fmt::Write as _;

use toml::Spanned;
use toml::de::DeValue;

/// A number that is one.
pub(crate) fn finite(value: &DeValue<'_>) -> Option<f64> {
    let number: f64 = match value {
        DeValue::Float(digits) => digits.as_str().parse().ok()?,
        DeValue::Integer(digits) if digits.radix() == 10 => digits.as_str().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// A lower bound with as many digits as somebody reads, rounded up, so that it is allowed itself.
pub(crate) fn fewer_digits(bound: f64) -> f64 {
    let short = (bound * 10_000.0).ceil() / 10_000.0;
    if short.is_finite() { short } else { bound }
}

/// What stands where two numbers should: what in a list is none of them, with a decimal comma named as such.
pub(crate) fn not_two(value: &DeValue<'_>) -> String {
    let Some(items) = value.as_array() else { return format!("not {}", shown(value)) };
    let with_comma = |item: &&Spanned<DeValue<'_>>| {
        item.get_ref().as_str().is_some_and(|text| text.replacen(',', ".", 1).parse::<f64>().is_ok())
    };
    match items.iter().find(|item| finite(item.get_ref()).is_none()) {
        Some(item) => {
            let way_out = if with_comma(&item) { "; write a decimal point, and no quotes" } else { "" };
            format!("but {} is none{way_out}", shown(item.get_ref()))
        }
        None => format!("not {}; numbers have a decimal point", items.len()),
    }
}

/// A number in quotes, for who left them out.
pub(crate) fn quoted_if_plain(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(number) => format!(" (`\"{number}\"`)"),
        DeValue::Float(number) => format!(" (`\"{number}\"`)"),
        _ => String::new(),
    }
}

/// A value as an error shows it: itself where it is short, else its type.
pub(crate) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() <= 40 => format!("\"{}\"", text.escape_debug()),
        DeValue::String(_) => "a long text".to_owned(),
        DeValue::Integer(number) => format!("`{number}`"),
        DeValue::Float(number) => format!("`{number}`"),
        DeValue::Boolean(flag) => format!("`{flag}`"),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(items) if items.is_empty() => "an empty list".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// Words of which one is to be chosen.
pub(crate) fn spelled<T>(words: &[(&str, T)]) -> String {
    let quoted: Vec<String> = words.iter().map(|(word, _)| format!("`\"{word}\"`")).collect();
    match quoted.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        _ => quoted.concat(),
    }
}

/// Names in backticks, separated by commas.
pub(crate) fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names.into_iter().enumerate().fold(String::new(), |mut list, (place, name)| {
        let comma = if place == 0 { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(list, "{comma}`{name}`");
        list
    })
}
