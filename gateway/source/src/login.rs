//! Whom we log in as, read anew for each connection, so that a changed password or certificate needs no restart.
//! What is secret is never told: neither in an error nor in a log.

use std::path::Path;

use opcua::client::IdentityToken;
use opcua::crypto::{PrivateKey, X509};
use opcua::types::UserTokenType;
use watchfire_config::{SourceConfig, UserCertificate};
use watchfire_ua::is_pair;

use crate::SourceError;

/// The kind of login that a configuration asks for.
pub(crate) const fn kind(config: &SourceConfig) -> UserTokenType {
    match (&config.user, &config.user_certificate) {
        (_, Some(_)) => UserTokenType::Certificate,
        (Some(_), None) => UserTokenType::UserName,
        (None, None) => UserTokenType::Anonymous,
    }
}

/// What people call the login.
pub(crate) fn name(config: &SourceConfig) -> String {
    match (&config.user, &config.user_certificate) {
        (_, Some(files)) => format!("the user certificate `{}`", files.certificate.display()),
        (Some(user), None) => format!("user `{user}`"),
        (None, None) => "anonymously".to_owned(),
    }
}

/// Reads the login. Blocks on files.
pub(crate) fn read(config: &SourceConfig) -> Result<IdentityToken, SourceError> {
    if let Some(files) = &config.user_certificate {
        return certificate(files);
    }
    Ok(match (&config.user, config.password()?) {
        (Some(user), Some(password)) => IdentityToken::UserName(user.clone(), password.expose().into()),
        _ => IdentityToken::Anonymous,
    })
}

/// Whether the login of a source can be had, as a connection would read it. Blocks on files.
///
/// # Errors
/// Why not; never with anything of what is secret.
pub fn check_login(config: &SourceConfig) -> Result<(), SourceError> {
    read(config).map(drop)
}

fn certificate(files: &UserCertificate) -> Result<IdentityToken, SourceError> {
    let bytes = contents(&files.certificate)?;
    let certificate = X509::from_der(&bytes).or_else(|_| X509::from_pem(&bytes));
    let certificate =
        certificate.map_err(|_| unusable(&files.certificate, "is no certificate; give one in DER or PEM"))?;
    // The key's own error is dropped: no byte of it may get into a message.
    let key = PrivateKey::from_pem(&contents(&files.key)?).map_err(|_| {
        unusable(
            &files.key,
            "is no RSA private key in PEM without a pass phrase; `openssl pkcs8 -topk8 -nocrypt` makes one",
        )
    })?;
    if !is_pair(&key, &certificate) {
        return Err(unusable(&files.key, "is not the key of the user certificate; give the one it was made with"));
    }
    Ok(IdentityToken::X509(Box::new(certificate), Box::new(key)))
}

fn contents(path: &Path) -> Result<Vec<u8>, SourceError> {
    std::fs::read(path).map_err(|error| unusable(path, &format!("cannot be read: {error}")))
}

fn unusable(path: &Path, why: &str) -> SourceError {
    SourceError::UserCertificate { file: path.to_owned(), why: why.to_owned() }
}
