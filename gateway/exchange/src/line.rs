//! A sample by itself, with its signal's name.

use std::sync::Arc;

use watchfire_model::{Instant, Locale, Quality, Rows, StatusCode};

/// A sample of a signal, or with the mark [`Quality::GAP`] an interval in which samples are missing, from the source time
/// stamp to the server time stamp.
#[derive(Clone, Debug)]
pub struct Line {
    /// The signal's name, `source/name`.
    pub signal: Arc<str>,
    /// Source time stamp.
    pub time: Instant,
    /// Server time stamp.
    pub server_time: Instant,
    /// The number; NaN where there is only text.
    pub value: f64,
    /// All 64 bits of an integer that a double cannot hold, or the locale of a text; see [`Rows::exact`].
    pub exact: Option<i64>,
    /// Text.
    pub text: Option<String>,
    /// StatusCode.
    pub status: StatusCode,
    /// Marks.
    pub quality: Quality,
}

impl Line {
    /// A row of samples; `None` when there is no such row.
    #[must_use]
    pub fn of(signal: &Arc<str>, rows: &Rows, row: usize) -> Option<Self> {
        let time = *rows.time.get(row)?;
        Some(Self {
            signal: signal.clone(),
            time,
            // As it is undone when it is read.
            server_time: Instant::from_ns(time.ns().wrapping_add(rows.skew_ns_at(row))),
            value: *rows.value.get(row)?,
            exact: rows.exact_at(row),
            text: rows.text_at(row).map(str::to_owned),
            status: *rows.status.get(row)?,
            quality: *rows.quality.get(row)?,
        })
    }

    /// Server minus source time stamp, nanoseconds.
    #[must_use]
    pub fn skew_ns(&self) -> i64 {
        self.server_time.ns().wrapping_sub(self.time.ns())
    }

    /// The integer that the value cannot hold, with its sign; see [`Rows::whole_at`].
    #[must_use]
    pub fn whole(&self) -> Option<i128> {
        let bits = self.exact?;
        if self.locale().is_some() {
            return None;
        }
        let is_unsigned = bits < 0 && self.value > 0.0;
        Some(if is_unsigned { i128::from(bits.cast_unsigned()) } else { i128::from(bits) })
    }

    /// The locale of the text, where it has one.
    #[must_use]
    pub fn locale(&self) -> Option<Locale> {
        self.text.as_ref().and(self.exact).and_then(Locale::from_bits)
    }

    /// The line, unless it says what cannot be: a gap has no value, and an end after its beginning.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn sound(self) -> Result<Self, String> {
        if !self.quality.has(Quality::GAP) {
            return Ok(self);
        }
        if !self.value.is_nan() || self.exact.is_some() || self.text.is_some() {
            return Err("a line of quality `gap` says that values are missing, but it has one; leave out one or the \
                        other"
                .to_owned());
        }
        if self.server_time <= self.time {
            return Err(format!(
                "a gap begins at its `source_time` and ends at its `server_time`, but {} does not lie after {}",
                self.server_time, self.time
            ));
        }
        Ok(self)
    }

    /// Equal in every bit.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let bits =
            |line: &Self| (line.time, line.server_time, line.value.to_bits(), line.exact, line.status, line.quality);
        bits(self) == bits(other) && self.signal == other.signal && self.text == other.text
    }
}

/// The longest name of a signal, bytes.
const NAME_BYTES_MAX: usize = 500;

/// Whether a signal can have this name: `source/name`.
pub fn is_name(name: &str) -> bool {
    let has_parts = name.split_once('/').is_some_and(|(source, rest)| !source.is_empty() && !rest.is_empty());
    has_parts && name.len() <= NAME_BYTES_MAX
}

/// The marks by name.
const MARKS: [(Quality, &str); 7] = [
    (Quality::LATE, "late"),
    (Quality::OVERFLOW, "overflow"),
    (Quality::ROUNDED, "rounded"),
    (Quality::SERVER_TIME, "server-time"),
    (Quality::DISTRUSTED, "distrusted"),
    (Quality::INITIAL, "initial"),
    (Quality::GAP, "gap"),
];

/// The names of marks, joined by `+`; what has no name as a number.
#[must_use]
pub fn marks(quality: Quality) -> String {
    let named = MARKS.iter().filter(|(mark, _)| quality.has(*mark));
    let mut names: Vec<String> = named.clone().map(|(_, name)| (*name).to_owned()).collect();
    let rest = named.fold(quality.0, |rest, (mark, _)| rest & !mark.0);
    if rest != 0 {
        names.push(rest.to_string());
    }
    names.join("+")
}

/// Marks from their names; `None` when one has no meaning.
#[must_use]
pub fn marks_of(text: &str) -> Option<Quality> {
    let mut quality = Quality::NONE;
    for name in text.split('+').filter(|name| !name.is_empty()) {
        let known = MARKS.iter().find(|(_, known)| *known == name).map(|(mark, _)| *mark);
        quality |= known.or_else(|| name.parse().ok().map(Quality))?;
    }
    Some(quality)
}
