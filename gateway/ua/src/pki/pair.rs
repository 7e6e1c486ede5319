//! A certificate and its private key: whether both can be read and belong together. The OPC UA stack fails by those that do
//! not in the middle of a connection, and does not say why.

use std::fs;
use std::path::Path;

use opcua::crypto::{KeySize, PrivateKey, X509};

use super::pki_error;
use crate::UaError;

/// Whether what a key signs is what a certificate vouches for. Takes a few milliseconds.
#[must_use]
pub fn is_pair(key: &PrivateKey, certificate: &X509) -> bool {
    let mut signature = vec![0; key.size()];
    let verified = key
        .sign_sha256(b"ours", &mut signature)
        .and_then(|_| certificate.public_key()?.verify_sha256(b"ours", &signature));
    verified.unwrap_or(false)
}

/// Refuses a certificate and a key that cannot be used together.
pub(super) fn check(certificate: &Path, key: &Path) -> Result<(), UaError> {
    let read = |file: &Path| fs::read(file).map_err(|error| pki_error("read", file, &error));
    let unusable = |file: &Path, what: &str| UaError::Pki {
        doing: "use",
        path: file.to_owned(),
        detail: format!(
            "{what}; put the right one back, or remove `cert.der` and `private.pem` to get new ones, which servers and HMIs \
             then have to trust"
        ),
    };
    let shown =
        X509::from_der(&read(certificate)?).map_err(|_| unusable(certificate, "it is no certificate in DER"))?;
    // The key's own error is dropped: no byte of it may get into a message.
    let ours = PrivateKey::from_pem(&read(key)?);
    let ours = ours.map_err(|_| unusable(key, "it is no RSA private key in PEM without a pass phrase"))?;
    if is_pair(&ours, &shown) { Ok(()) } else { Err(unusable(key, "it is not the key of `cert.der` beside it")) }
}

#[cfg(test)]
mod tests {
    use crate::{Application, Pki};

    #[test]
    fn our_certificate_and_key_are_told_where_they_cannot_be_used_together() {
        let (ours, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let application = Application::on_this_host("gateway");
        let (pki, other) = (Pki::new(ours.path()), Pki::new(others.path()));
        assert!(pki.ensure_own(&application).unwrap() && other.ensure_own(&application).unwrap());
        let [certificate, key] = ["own/cert.der", "own/private.pem"].map(|file| ours.path().join(file));
        let good = [&certificate, &key].map(|file| std::fs::read(file).unwrap());
        let theirs = std::fs::read(others.path().join("own/private.pem")).unwrap();
        for (file, bytes, told) in [
            (&certificate, &b"hunter2"[..], "cert.der`: it is no certificate in DER; put the right one back"),
            (
                &key,
                b"-----BEGIN PRIVATE KEY-----\nhunter2\n",
                "private.pem`: it is no RSA private key in PEM without a pass",
            ),
            (
                &key,
                &theirs,
                "private.pem`: it is not the key of `cert.der` beside it; put the right one back, or remove",
            ),
        ] {
            std::fs::write(file, bytes).unwrap();
            let refused = pki.ensure_own(&application).unwrap_err().to_string();
            assert!(refused.contains(told) && !refused.contains("hunter2"), "{refused}");
            for (file, good) in [&certificate, &key].into_iter().zip(&good) {
                std::fs::write(file, good).unwrap();
            }
            assert!(!pki.ensure_own(&application).unwrap(), "they are as they were");
        }
    }
}
