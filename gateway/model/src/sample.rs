//! One value of one signal, by itself: what is shown and what is read back, where a column would be a burden.

use crate::{Instant, StatusCode};

/// A signal's value at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Source time stamp.
    pub time: Instant,
    /// Server time stamp.
    pub server_time: Instant,
    /// The value; NaN for text.
    pub value: f64,
    /// All 64 bits, where the value cannot hold them.
    pub exact: Option<i64>,
    /// Text, where it is text.
    pub text: Option<String>,
    /// StatusCode.
    pub status: StatusCode,
}
