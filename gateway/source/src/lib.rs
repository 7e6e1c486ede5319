//! OPC UA client: connects to a server, subscribes to the configured signals, and hands what it receives to the inlet,
//! for ever; every trouble is told and outlived.
//!
//! It only reads: of the services that change a server it uses none. It knows no log, no detector and no alarm. The
//! library's own publish loop and recovery are left aside (they lose values silently): Publish requests are issued
//! here, so that they can be held back while the gateway is behind, and every sequence number is checked.

mod about;
mod awaited;
mod backfill;
mod browse;
mod connect;
mod convert;
mod dial;
mod discover;
mod doctor;
mod element;
mod error;
mod events;
mod examine;
mod items;
mod ledger;
mod login;
mod online;
mod order;
mod paths;
mod publish;
mod received;
mod redundancy;
mod redundant_set;
mod refresh;
mod report;
mod reverse;
mod sequence;
mod server_info;
mod setup;
mod source;
mod stamp;
mod standins;
mod structures;
mod survey;
mod timing;
mod tree;
mod unreadable;
mod visit;
mod walk;
mod watchdog;
mod watched;

pub use doctor::{Finding, Verdict, diagnose};
pub use error::SourceError;
pub use login::check_login;
pub use online::{Online, check_online};
pub use source::OpcUaSource;
pub use survey::{Survey, survey};
pub use timing::Timing;
pub use tree::{Tree, TreeNode, Variable, tree};
pub use watchfire_ua::Kinds;

#[cfg(test)]
mod tests;
