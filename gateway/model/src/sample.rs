//! One value of one signal, by itself: what is shown and what is read back, where a column would be a burden.

use crate::{Instant, Locale, StatusCode};

/// A signal's value at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Source time stamp.
    pub time: Instant,
    /// Server time stamp.
    pub server_time: Instant,
    /// The value; NaN for text.
    pub value: f64,
    /// All 64 bits, where the value cannot hold them; where it is text, its [`Locale`].
    pub exact: Option<i64>,
    /// Text, where it is text.
    pub text: Option<String>,
    /// StatusCode.
    pub status: StatusCode,
}

impl Sample {
    /// The locale of its text, where it has one.
    #[must_use]
    pub fn locale(&self) -> Option<Locale> {
        self.text.as_ref().and(self.exact).and_then(Locale::from_bits)
    }
}
