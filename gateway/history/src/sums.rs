//! Summaries: what the samples of each signal come to by the hour, and of fast signals by the minute. They lie outside
//! the days, in a database for each UTC month, so that they outlive the samples and a trend over months opens no day.
//!
//! All of it is derived: whatever is damaged is set aside and made anew from the samples that are still kept. So nothing
//! here refuses a start or a read of samples.

mod block;
mod codec;
mod gather;
mod keep;
mod ledger;
mod look;
mod make;
mod months;
mod plan;
mod read;
mod turn;
mod walk;
mod work;

pub use look::Looked;
pub use months::Sums;
