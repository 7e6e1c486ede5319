//! Tests of the patches in `gateway/ua/patches`: each mended defect has one that fails without its patch.
//!
//! They go through the public interface of the OPC UA crates alone and know nothing of how a patch mends what it mends.

mod answers;
mod channels;
mod client;
mod fetching;
mod filters;
mod hostile;
mod idle;
mod kept;
mod memory;
mod notifications;
mod published;
mod ranges;
mod raw;
mod renewals;
mod requests;
mod sampling;
mod select;
mod sessions;
mod subscribed;
mod values;
