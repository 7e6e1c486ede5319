//! `[[source]]` and `[[source.signal]]`: the OPC UA servers that are read, and which of their nodes.

use std::time::Duration;

use crate::{EndpointUrl, NodeAddress, PasswordFrom, Secret, SecretError};

/// Message security of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Security {
    /// None at all: only when asked for by name.
    None,
    /// Basic256Sha256, SignAndEncrypt.
    Basic256Sha256,
}

/// An OPC UA server that is read.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceConfig {
    /// Its name, without `/`, unique.
    pub name: String,
    /// Where it is.
    pub url: EndpointUrl,
    /// Default `basic256sha256`.
    pub security: Security,
    /// The user to log in as; `None`: anonymous.
    pub user: Option<String>,
    /// Where the user's password is: there exactly when `user` is.
    pub password_from: Option<PasswordFrom>,
    /// The area of its signals, parts separated by `/`. Default: its name.
    pub area: String,
    /// The publishing interval asked for. Default 250 ms.
    pub publishing_interval: Duration,
    /// Whether an unknown server certificate is trusted at the first connection and kept. Default: no.
    pub trust_server_certificate: bool,
    /// `[[source.signal]]`, in the file's order. May be empty.
    pub signals: Vec<SignalConfig>,
}

impl SourceConfig {
    /// Reads the user's password now; `None` for an anonymous connection. Blocks on a file.
    ///
    /// # Errors
    /// When it cannot be read, by its place.
    pub fn password(&self) -> Result<Option<Secret>, SecretError> {
        self.password_from.as_ref().map(PasswordFrom::read).transpose()
    }
}

/// A node value to watch.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalConfig {
    /// The full name, `source/name`, unique.
    pub name: String,
    /// The node.
    pub node: NodeAddress,
    /// UCUM code of its unit.
    pub unit: Option<String>,
    /// Engineering range, low < high, both finite.
    pub range: Option<(f64, f64)>,
    /// The sampling interval asked for; zero asks for the fastest. Default: the source's, 250 ms.
    pub sampling_interval: Duration,
    /// How many samples the server may queue, at least 1. Default: the source's, 10.
    pub queue_size: u32,
    /// The whole area: the source's, then the signal's own part.
    pub area: String,
    /// Which slot of a detector it fills; empty for any.
    pub role: String,
    /// Its group, for conditions of a group. Default 0.
    pub group: u32,
    /// What it is, for people; empty when not given.
    pub description: String,
}
