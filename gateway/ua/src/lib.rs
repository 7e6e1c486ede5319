//! OPC UA values and times to the model and back, node ids, status codes, security settings and the certificate
//! folder: what `source`, `server` and `plant` share.
//!
//! It opens no connection, serves no node and keeps no task.

mod error;
mod identity;
mod json;
mod kinds;
mod node_id;
#[cfg(test)]
mod patches;
mod pki;
mod security;
mod status;
mod structure;
mod time;
mod units;
mod values;

pub use error::UaError;
pub use identity::Application;
pub use json::{event_json, value_json};
pub use kinds::{DataTypeKind, Kinds, data_type_of_kind, kind_of_data_type, kind_of_value};
pub use node_id::NodeAddress;
pub use pki::{
    Certificate, Expiring, Held, Kept, Peer, Pki, Refusal, Refused, Renewed, RevocationList, Shelf, Thumbprint, Trust,
    TrustList, is_pair,
};
pub use security::{Policy, Security};
pub use status::{has_overflow, is_out_of_reach, status_from_ua, status_name, status_to_ua};
pub use structure::{Described, Dictionary, Layouts, STANDARD_TYPES, Structure, Undecodable, Unread, is_structure};
pub use time::{date_time_from_instant, instant_from_date_time, ns_from_ticks, ticks_from_ns};
pub use units::ucum_of;
pub use values::{push_data_value, sample_to_data_value};
