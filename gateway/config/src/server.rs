//! `[server]`: the OPC UA server that HMIs connect to.

use crate::Security;

/// The OPC UA server's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The address it listens on. Default `0.0.0.0`: every interface.
    pub host: String,
    /// The port. Default 4840, the registered one.
    pub port: u16,
    /// What is offered to clients, without repetition, never empty. Default `basic256sha256` alone.
    pub security: Vec<Security>,
    /// What a client may do without a name; `None`: it is refused. Default [`Role::View`].
    pub anonymous: Option<Role>,
    /// `[[server.user]]`.
    pub users: Vec<UserConfig>,
}

/// Someone who may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConfig {
    /// The name, unique.
    pub name: String,
    /// The Argon2id hash of the password, in PHC text form; checked for its form.
    pub password_hash: String,
    /// What the user may do.
    pub role: Role,
}

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Read, browse, subscribe.
    View,
    /// Everything of `View`; acknowledge, confirm and comment too.
    Operate,
}
