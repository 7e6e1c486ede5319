//! What the store of record promises: what is sealed reads back bit for bit, in order, whatever happened in between.

mod chain;
mod crash;
mod flips;
mod made;
mod oracle;
mod outliers;
mod reach;
mod round_trip;
mod slots;
mod states;
mod summaries;
mod whole;
