//! `[server]`: the OPC UA server that HMIs connect to.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use argon2::PasswordHash;

use crate::access::{AccessConfig, Role, Roles};
use crate::lockout::LockoutConfig;
use crate::names::{self, Unique};
use crate::section::{Section, Text};
use crate::texts::{Texts, is_locale};
use crate::{ConfigError, ConfigErrors, Security, UsersFile};

/// Names that stand on record for somebody else than a user, and for whom; in small letters, whatever a user writes. The
/// stack knows the first as well.
const RESERVED: [(&str, &str); 2] = [
    ("anonymous", "clients that do not log in; what they may do is `anonymous` in `[server]`"),
    ("the configuration", "what is planned in `[[maintenance]]`; give the user another"),
];

/// What is said of a language that there is not.
const TRANSLATE: &str = "give it a column in the table that `texts_csv` in `[gateway]` names";

/// The OPC UA server's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The address it listens on. Default `0.0.0.0`: every interface.
    pub host: String,
    /// The port. Default 4840, the registered one.
    pub port: u16,
    /// What is offered to clients, without repetition, never empty. Default `basic256sha256` alone.
    pub security: Vec<Security>,
    /// The roles of a client that does not log in; `None`: it is refused. Default [`Role::Observer`].
    pub anonymous: Option<Roles>,
    /// `[[server.user]]`, and after them those of `users_file`.
    pub users: Vec<UserConfig>,
    /// `[server.access]`: who may do what.
    pub access: AccessConfig,
    /// `[server.lockout]`: how log-ins that fail are slowed down.
    pub lockout: LockoutConfig,
    /// The language in which clients are told whose user has none of their own; `None`: the gateway's own words.
    pub locale: Option<String>,
}

/// Someone who may log in, by a password, by a certificate, or by either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConfig {
    /// The name, unique.
    pub name: String,
    /// The Argon2id hash of the password, in PHC text form; checked for its form.
    pub password_hash: Option<String>,
    /// The X.509 certificate whose owner this is.
    pub certificate: Option<ShownCertificate>,
    /// What the user is, beside [`Role::Anonymous`] and [`Role::AuthenticatedUser`].
    pub roles: Roles,
    /// The language in which this user is told; `None`: the server's.
    pub locale: Option<String>,
}

/// Which certificate a user shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShownCertificate {
    /// The one in a file, DER or PEM. The file can be read; what is in it has not been looked at.
    File(PathBuf),
    /// The one with this SHA-1, 40 hexadecimal digits in small letters.
    Thumbprint(String),
}

/// Words for what one user is: the roles of old, and the standard's.
pub(crate) const ROLES: [(&str, Role); 8] = [
    ("view", Role::Observer),
    ("operate", Role::Operator),
    (Role::Observer.word(), Role::Observer),
    (Role::Operator.word(), Role::Operator),
    (Role::Engineer.word(), Role::Engineer),
    (Role::Supervisor.word(), Role::Supervisor),
    (Role::ConfigureAdmin.word(), Role::ConfigureAdmin),
    (Role::SecurityAdmin.word(), Role::SecurityAdmin),
];
const ANONYMOUS: [(&str, Option<Role>); 7] = [
    ("none", None),
    ("view", Some(Role::Observer)),
    ("operate", Some(Role::Operator)),
    (Role::Observer.word(), Some(Role::Observer)),
    (Role::Operator.word(), Some(Role::Operator)),
    (Role::Engineer.word(), Some(Role::Engineer)),
    (Role::Supervisor.word(), Some(Role::Supervisor)),
];

impl ServerConfig {
    /// `texts` are the languages that there are; `None` where they could not be read.
    pub(crate) fn read(section: Section<'_>, base: &Path, texts: Option<&Texts>) -> Option<Self> {
        let host = section.text_or("host", "0.0.0.0");
        if !is_host(host.text) {
            let message = "is no host name or address; write one of this machine's, or `0.0.0.0` for every interface";
            section.wrong(host.at, format_args!("`host` \"{}\" {message}", host.text.escape_debug()));
        }
        let port = section.integer_or("port", 1..=65_535, 4840);
        let security = section.choices_or("security", Security::Basic256Sha256, &Security::WORDS);
        let anonymous = section.choice_or("anonymous", Some(Role::Observer), &ANONYMOUS);
        let given = section.tables("user", "[[server.user]]");
        let file = section.text("users_file").map(|file| base.join(file.text));
        let mut unique = Unique::new("user");
        let mut read: Vec<Option<UserConfig>> =
            given.into_iter().map(|user| UserConfig::read(user, base, &mut unique, texts)).collect();
        if let Some(file) = &file {
            read.extend(of_file(&section, file, &mut unique, texts));
        }
        if anonymous.is_none() && read.is_empty() {
            let message =
                "`anonymous` is \"none\" and there is no `[[server.user]]`, so nobody could connect; add a user";
            section.missing(section.at, message);
        }
        let locale = locale(&section, texts);
        let access = AccessConfig::read(section.table("access", "[server.access]"));
        let lockout = LockoutConfig::read(section.table("lockout", "[server.lockout]"));
        section.close();
        Some(Self {
            host: host.text.to_owned(),
            port: u16::try_from(port).ok()?,
            security,
            anonymous: anonymous.map(|role| Roles::of(&[role])),
            users: read.into_iter().collect::<Option<_>>()?,
            access,
            lockout,
            locale,
        })
    }
}

impl UserConfig {
    fn read(section: Section<'_>, base: &Path, unique: &mut Unique, texts: Option<&Texts>) -> Option<Self> {
        let name = names::required(&section, "name", &[], unique);
        if let Some((name, whom)) = name.and_then(|name| Some((name, reserved(name.text)?))) {
            section.wrong(name.at, format_args!("the name \"{}\" stands for {whom}", name.text));
        }
        let hash = section.text("password_hash");
        if let Some(hash) = hash.filter(|hash| !is_argon2id(hash.text)) {
            // Not repeated: it may be a password.
            let message =
                "`password_hash` is no Argon2id hash in PHC form (`$argon2id$…`); `watchfire password` makes one";
            section.wrong(hash.at, message);
        }
        let certificate = shown_certificate(&section, base);
        if hash.is_none() && section.value("certificate").or(section.value("thumbprint")).is_none() {
            let message = "has no way to log in; give `password_hash` (`watchfire password` makes one), `certificate` or `thumbprint`";
            section.missing(section.at, message);
        }
        let roles = roles(&section);
        let locale = locale(&section, texts);
        section.close();
        Some(Self { name: owned(name?), password_hash: hash.map(owned), certificate, roles: roles?, locale })
    }
}

/// For whom a name stands on record, if for somebody else than a user.
pub(crate) fn reserved(name: &str) -> Option<&'static str> {
    RESERVED.iter().find(|(reserved, _)| name.eq_ignore_ascii_case(reserved)).map(|(_, whom)| *whom)
}

/// The users of a file; nobody, after a report, where anything in it is wrong.
fn of_file(section: &Section<'_>, path: &Path, unique: &mut Unique, texts: Option<&Texts>) -> Vec<Option<UserConfig>> {
    let users = match UsersFile::load(path) {
        Ok(users) => users,
        Err(ConfigErrors(errors)) => {
            section.report.wrong_elsewhere(errors);
            return vec![None];
        }
    };
    let file: Rc<str> = path.display().to_string().into();
    let judged = users.users().map(|(line, user)| {
        let shown = user.name.escape_debug();
        let unknown = user.locale.as_ref().filter(|locale| texts.is_some_and(|texts| !texts.has(locale)));
        let unknown = unknown.map(|locale| {
            format!("user `{shown}`: the language is \"{locale}\", but nothing is translated to it; {TRANSLATE}")
        });
        let taken = unique.claim_at((file.clone(), line), &user.name).err();
        let wrong: Vec<String> = unknown.into_iter().chain(taken).collect();
        let is_right = wrong.is_empty();
        let error = |message| ConfigError { file: file.to_string(), line, message };
        section.report.wrong_elsewhere(wrong.into_iter().map(error).collect());
        is_right.then(|| user.clone())
    });
    judged.collect()
}

/// In which language somebody is told.
fn locale(section: &Section<'_>, texts: Option<&Texts>) -> Option<String> {
    let locale = section.text("locale")?;
    let shown = locale.text.escape_debug();
    if !is_locale(locale.text) {
        section
            .wrong(locale.at, format_args!("`locale` \"{shown}\" is no language; write it as `\"de\"` or `\"pt-BR\"`"));
    } else if texts.is_some_and(|texts| !texts.has(locale.text)) {
        section
            .missing(locale.at, format_args!("`locale` is \"{shown}\", but nothing is translated to it; {TRANSLATE}"));
    }
    Some(locale.text.to_owned())
}

fn roles(section: &Section<'_>) -> Option<Roles> {
    let (one, several) = (section.choice("role", &ROLES), section.choices("roles", &ROLES));
    match (section.value("role"), section.value("roles")) {
        (None, None) => {
            let message = "`role` is missing; write one of `\"view\"`, `\"operate\"`, `\"engineer\"`, `\"supervisor\"`, \
                           `\"configure_admin\"` and `\"security_admin\"`, or several as `roles = [\"…\"]`";
            section.missing(section.at, message);
            None
        }
        (Some(_), Some(both)) => {
            section.wrong(both.span().start, "`role` and `roles` are both given; keep one");
            None
        }
        _ => one.map(|role| Roles::of(&[role])).or_else(|| several.map(|roles| roles.into_iter().collect())),
    }
}

fn shown_certificate(section: &Section<'_>, base: &Path) -> Option<ShownCertificate> {
    match (section.text("certificate"), section.text("thumbprint")) {
        (Some(_), Some(both)) => {
            section.wrong(both.at, "`certificate` and `thumbprint` are both given; keep one");
            None
        }
        (Some(file), None) => {
            let path = base.join(file.text);
            names::check_file(section, "certificate", file.at, &path);
            Some(ShownCertificate::File(path))
        }
        (None, Some(thumbprint)) => {
            let digits: String = thumbprint.text.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
            if digits.len() != 40 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                let message = "is no SHA-1 in hexadecimal (40 digits); `openssl x509 -fingerprint -sha1 -noout -in FILE` prints it";
                let given = thumbprint.text.escape_debug();
                section.wrong(thumbprint.at, format_args!("`thumbprint` \"{given}\" {message}"));
            }
            Some(ShownCertificate::Thumbprint(digits.to_ascii_lowercase()))
        }
        (None, None) => None,
    }
}

fn owned(text: Text<'_>) -> String {
    text.text.to_owned()
}

pub(crate) fn is_argon2id(text: &str) -> bool {
    PasswordHash::new(text)
        .is_ok_and(|hash| hash.algorithm.as_str() == "argon2id" && hash.salt.is_some() && hash.hash.is_some())
}

fn is_host(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
        || text
            .split('.')
            .all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_'))
}
