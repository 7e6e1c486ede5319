//! Configuration: a TOML file in, validated values out, or every error at once, each with its line and the way out.
//!
//! It knows no OPC UA stack, no plugin and no network: that a server answers or a plugin accepts its own table is
//! found out by the rooms that talk to them. Passwords are read when they are asked for, never kept.

mod access;
mod alarm;
mod alarms_csv;
mod console;
mod csv_table;
mod detector;
mod element;
mod endpoint;
mod error;
#[cfg(test)]
mod error_tests;
mod events;
mod found;
mod gateway;
mod json;
#[cfg(test)]
mod list_tests;
mod lists;
mod lockout;
mod login;
mod maintenance;
mod names;
mod nearest;
mod node;
mod open_to_others;
#[cfg(test)]
mod page_tests;
mod path;
mod pattern;
mod places;
mod plugins;
mod reach;
mod read;
mod report;
mod secret;
mod section;
mod security;
mod select;
#[cfg(test)]
mod selection_tests;
mod server;
mod shown;
mod signals_csv;
mod source;
mod texts;
mod unit;
mod users_file;
#[cfg(test)]
mod value_tests;

pub use access::{AccessConfig, Operation, Role, Roles};
pub use alarms_csv::COLUMNS as ALARM_COLUMNS;
pub use console::ConsoleConfig;
pub use detector::{DetectorConfig, Mode, PluginRef, QuotaConfig};
pub use element::{ElementError, ElementPath, ElementStep};
pub use endpoint::{EndpointError, EndpointUrl};
pub use error::{ConfigError, ConfigErrors};
pub use events::EventsConfig;
pub use found::{About, Described, Found, FoundSignal};
pub use gateway::GatewayConfig;
pub use lists::Lists;
pub use lockout::LockoutConfig;
pub use login::UserCertificate;
pub use node::{Identifier, Namespace, NodeAddress, NodeAddressError};
pub use open_to_others::open_to_others;
pub use path::{BrowsePath, PathPart};
pub use pattern::{PathPattern, Progress};
pub use places::Places;
pub use reach::Reach;
pub use secret::{PasswordFrom, Secret, SecretError};
pub use security::{MessageMode, Security};
pub use select::SelectConfig;
pub use server::{ServerConfig, ShownCertificate, UserConfig};
pub use source::{Deadband, Profile, SignalConfig, SourceConfig};
pub use texts::{Language, Texts};
pub use unit::{is_unit, unit_meant};
pub use users_file::{UsersFile, roles_of};

use watchfire_model::PlannedMaintenance;
use watchfire_package::Trust;

/// A whole, valid configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[gateway]`.
    pub gateway: GatewayConfig,
    /// `[server]`.
    pub server: ServerConfig,
    /// `[[source]]`, in the file's order.
    pub sources: Vec<SourceConfig>,
    /// `[[detector]]`, in the file's order.
    pub detectors: Vec<DetectorConfig>,
    /// `[[maintenance]]`, in the file's order.
    pub maintenance: Vec<PlannedMaintenance>,
    /// `[[console]]`, in the file's order.
    pub consoles: Vec<ConsoleConfig>,
    /// What is told to people, in their languages.
    pub texts: Texts,
    /// `[plugins]` and `[[publisher]]`: whose detectors, and which, may run.
    pub trust: Trust,
}
