//! Whom a source logs in as: nobody, a user with a password, or the owner of a certificate. Reads no secret: only where
//! it lies.

use std::path::{Path, PathBuf};

use crate::names;
use crate::section::{Section, Text};
use crate::{PasswordFrom, Security};

/// A certificate that stands for a person or a role, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserCertificate {
    /// The certificate: DER, or PEM.
    pub certificate: PathBuf,
    /// Its private key: PEM, PKCS #8 or #1, without a pass phrase.
    pub key: PathBuf,
}

/// What was read of a login. Anonymous when all is empty.
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password_from: Option<PasswordFrom>,
    pub(crate) certificate: Option<UserCertificate>,
}

impl Login {
    pub(crate) fn read(section: &Section<'_>, base: &Path, security: Security) -> Self {
        let user = section.text("user");
        let password_from = password_from(section, base, user);
        let certificate = user_certificate(section, base);
        if let (Some(_), Some((at, _))) = (user, &certificate) {
            section.wrong(*at, "`user` and `user_certificate` are both given; keep one");
        }
        if let (Security::None, Some((at, _))) = (security, &certificate) {
            let message = "`user_certificate` needs a `security` other than \"none\"";
            section.wrong(*at, message);
        }
        Self {
            user: user.map(|user| user.text.to_owned()),
            password_from,
            certificate: certificate.map(|(_, certificate)| certificate),
        }
    }
}

fn user_certificate(section: &Section<'_>, base: &Path) -> Option<(usize, UserCertificate)> {
    let given = (section.text("user_certificate"), section.text("user_key"));
    let file = |key: &'static str, text: Text<'_>| {
        let path = base.join(text.text);
        names::check_file(section, key, text.at, &path);
        path
    };
    match given {
        (Some(certificate), Some(key)) => {
            let files =
                UserCertificate { certificate: file("user_certificate", certificate), key: file("user_key", key) };
            return Some((certificate.at, files));
        }
        (Some(certificate), None) => {
            section.missing(certificate.at, "`user_certificate` needs its private key; give `user_key = \"…\"`");
        }
        (None, Some(key)) => {
            section.missing(key.at, "`user_key` needs its certificate; give `user_certificate = \"…\"`")
        }
        (None, None) => {}
    }
    None
}

fn password_from(section: &Section<'_>, base: &Path, user: Option<Text<'_>>) -> Option<PasswordFrom> {
    let file = section.text("password_file");
    let variable = section.text("password_env");
    match (user, file, variable) {
        (None, Some(from), _) | (None, None, Some(from)) => {
            section.missing(from.at, "there is a password but no `user`; name the user or leave the password out");
        }
        (Some(user), None, None) => {
            let message = "`user` needs a password; give `password_file = \"…\"` or `password_env = \"…\"`";
            section.missing(user.at, message);
        }
        (Some(_), Some(_), Some(variable)) => {
            section.wrong(variable.at, "`password_file` and `password_env` are both given; keep one");
        }
        (Some(_), Some(file), None) => {
            let path = base.join(file.text);
            names::check_file(section, "password_file", file.at, &path);
            return Some(PasswordFrom::File(path));
        }
        (Some(_), None, Some(variable)) => {
            if variable.text.contains(['=', '\0', '$']) {
                let message = "`password_env` is the bare name of an environment variable, without `$` or `=`";
                section.wrong(variable.at, message);
            }
            return Some(PasswordFrom::Environment(variable.text.to_owned()));
        }
        (None, None, None) => {}
    }
    None
}
