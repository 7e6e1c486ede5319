//! The standard aggregates of OPC 10000-13 (1.05), and the read at given times of OPC 10000-11 §6.5.5.
//!
//! Raw samples come in, in the order of their times and page by page; one value for each interval comes out. A
//! [`Processor`] keeps one open interval and the last points before it, so the length of an interval costs no memory.
//! Knows no store, no clock and no OPC UA stack: which samples there are and who asked for them is the caller's affair.

mod aggregate;
mod at_time;
mod configuration;
mod intervals;
mod link;
mod outcome;
mod point;
mod processor;
mod status;
mod tally;

#[cfg(test)]
mod annex;
#[cfg(test)]
mod by_summaries;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod model;

pub use aggregate::{Aggregate, Bounds};
pub use at_time::interpolate_at;
pub use configuration::{AggregateError, Configuration, Rules};
pub use intervals::{Interval, Intervals};
pub use point::{Point, Processed, Value};
pub use processor::{Processor, process};
pub use status::{
    BAD, BAD_NO_DATA, CALCULATED, EXTRA_DATA, INTERPOLATED, MULTIPLE_VALUES, PARTIAL, UNCERTAIN_SUB_NORMAL,
};
