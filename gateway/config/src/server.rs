//! `[server]`: the OPC UA server that HMIs connect to.

use argon2::PasswordHash;

use crate::Security;
use crate::names::{self, Unique};
use crate::section::{Section, Text};

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

const ROLES: [(&str, Role); 2] = [("view", Role::View), ("operate", Role::Operate)];
const ANONYMOUS: [(&str, Option<Role>); 3] =
    [("none", None), ("view", Some(Role::View)), ("operate", Some(Role::Operate))];

impl ServerConfig {
    pub(crate) fn read(section: Section<'_>) -> Option<Self> {
        let host = section.text_or("host", "0.0.0.0");
        if !is_host(host.text) {
            let message = "is no host name or address; write one of this machine's, or `0.0.0.0` for every interface";
            section.wrong(host.at, format_args!("`host` \"{}\" {message}", host.text.escape_debug()));
        }
        let port = section.integer_or("port", 1..=65_535, 4840);
        let security = section.choices_or("security", Security::Basic256Sha256, &Security::WORDS);
        let anonymous = section.choice_or("anonymous", Some(Role::View), &ANONYMOUS);
        let given = section.tables("user", "[[server.user]]");
        if anonymous.is_none() && given.is_empty() {
            let message =
                "`anonymous` is \"none\" and there is no `[[server.user]]`, so nobody could connect; add a user";
            section.missing(section.at, message);
        }
        let mut unique = Unique::new("user");
        let read: Vec<Option<UserConfig>> = given.into_iter().map(|user| UserConfig::read(user, &mut unique)).collect();
        section.close();
        Some(Self {
            host: host.text.to_owned(),
            port: u16::try_from(port).ok()?,
            security,
            anonymous,
            users: read.into_iter().collect::<Option<_>>()?,
        })
    }
}

impl UserConfig {
    fn read(section: Section<'_>, unique: &mut Unique) -> Option<Self> {
        let name = names::required(&section, "name", &[], unique);
        let hash = section.required_text("password_hash", "`watchfire password` makes one");
        let hash = hash.filter(|hash| {
            let fits = is_argon2id(hash.text);
            if !fits {
                // Not repeated: it may be a password.
                let message =
                    "`password_hash` is no Argon2id hash in PHC form (`$argon2id$…`); `watchfire password` makes one";
                section.wrong(hash.at, message);
            }
            fits
        });
        let role = section.required_choice("role", &ROLES);
        section.close();
        Some(Self { name: owned(name?), password_hash: owned(hash?), role: role? })
    }
}

fn owned(text: Text<'_>) -> String {
    text.text.to_owned()
}

fn is_argon2id(text: &str) -> bool {
    PasswordHash::new(text)
        .is_ok_and(|hash| hash.algorithm.as_str() == "argon2id" && hash.salt.is_some() && hash.hash.is_some())
}

fn is_host(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
        || text
            .split('.')
            .all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_'))
}
