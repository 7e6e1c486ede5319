//! OPC UA server: condition nodes, methods, events, variables.
//!
//! Shows what the annunciator publishes, as HMIs expect it: Part 9 events and condition instances, and plain variables
//! for clients that know no alarms. It decides nothing about alarms and keeps nothing: commands go to the annunciator,
//! states come from it.

mod acknowledge_request;
mod alarm_state;
mod asking;
mod attempts;
mod audit;
mod audit_event;
mod browse;
mod by_itself;
mod condition_values;
mod core;
mod counted;
mod detector_parts;
mod device_types;
mod editor;
mod enabled;
mod error;
mod event;
mod fields;
mod followers;
mod gone;
mod history;
mod limits;
mod lockout;
mod manager;
mod method_table;
mod methods;
mod metrics;
mod names;
mod nodes;
mod part;
mod past;
mod permissions;
mod plain_events;
mod profiles;
mod publisher;
mod references;
mod refresh;
mod refusals;
mod rejected;
mod rights;
mod seats;
mod server;
mod shared;
mod signal_parts;
mod space;
mod speech;
mod state_machines;
mod state_names;
mod suppression;
mod tally;
mod teller;
mod tongues;
mod trend;
mod users;
mod watch;

#[cfg(test)]
mod tests;

pub use detector_parts::DetectorNode;
pub use editor::{Editor, Listed};
pub use error::ServerError;
pub use server::{Server, ServerOptions};
pub use space::SignalNode;
pub use state_names::STATE_NAMES;
pub use users::{OtherUsers, UserStep, unusable_certificates};
