//! The folder of certificates. `own`: ours and its key. `trusted`: servers, clients and authorities that a person trusts.
//! `issuers`: authorities that are not trusted by themselves, but may stand between. `crl`: revocation lists. `pinned`:
//! the one server of a source that is trusted on first use. `used`: what each source's server has shown last and was
//! believed; trusts nobody. `rejected`: what was refused, for a person to look at. `denied`: what a person has rejected,
//! whoever vouches for it.
//!
//! Who is trusted is decided in `chain`, from what lies in the folder at that moment: nothing has to be restarted.

mod certificate;
mod chain;
mod expiry;
mod own;
mod owner;
mod pair;
mod shelf;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use opcua::crypto::{CertificateStore, CertificateVerifier, X509, X509Data};
use opcua::types::{Error, StatusCode};
use watchfire_model::{Clock, Instant};

pub use certificate::{Certificate, RevocationList, Thumbprint};
pub use chain::{Peer, Refusal, TrustList};
pub use expiry::{Expiring, Held};
pub use own::Renewed;
pub use pair::is_pair;
pub use shelf::{Kept, Shelf};

use crate::UaError;

/// The certificate folder of a data folder.
#[derive(Clone, Debug)]
pub struct Pki {
    dir: PathBuf,
}

/// Whether a certificate is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is, by itself, by its authority, or as the one that is pinned.
    Trusted,
    /// It is from now on: it is the first that the server showed, and has been pinned here.
    Pinned(PathBuf),
    /// It is not.
    Refused(Box<Refused>),
}

/// A certificate that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The certificate.
    pub certificate: Certificate,
    /// Where it has been put for a person to look at.
    pub file: PathBuf,
    /// The folder it would have to lie in.
    pub trusted: PathBuf,
}

impl std::fmt::Display for Refused {
    /// Which certificate, why, and what to do.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { refusal, certificate, file, trusted } = self;
        let (subject, thumbprint) = (certificate.subject(), certificate.thumbprint());
        write!(f, "certificate `{subject}` ({}) {refusal}; ", thumbprint.short())?;
        match refusal {
            Refusal::Expired { .. } => f.write_str("have it renewed"),
            Refusal::NotYetValid { .. } => f.write_str("check the clocks of both machines"),
            Refusal::Revoked { .. } => f.write_str("its owner needs a new one"),
            Refusal::Denied => write!(f, "`watchfire certs trust {}` takes that back", thumbprint.short()),
            _ => {
                let (file, trusted, short) = (file.display(), trusted.display(), thumbprint.short());
                write!(
                    f,
                    "look at `{file}`, and if you trust it run `watchfire certs trust {short}` or move it to `{trusted}`"
                )
            }
        }
    }
}

impl Pki {
    /// The certificates in `dir`. Touches nothing.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Our certificate, DER, relative to the folder.
    #[must_use]
    pub fn own_certificate() -> &'static Path {
        Path::new("own/cert.der")
    }

    /// Its private key, PKCS #8 PEM, relative to the folder.
    #[must_use]
    pub fn own_key() -> &'static Path {
        Path::new("own/private.pem")
    }

    /// The certificate that a server of ours shows as long as it runs ([`Pki::serve_own`]), relative to the folder.
    #[must_use]
    pub fn served_certificate() -> &'static Path {
        Path::new("own/served/cert.der")
    }

    /// Its private key, relative to the folder.
    #[must_use]
    pub fn served_key() -> &'static Path {
        Path::new("own/served/private.pem")
    }

    /// Where our certificate lies, for an administrator to copy.
    #[must_use]
    pub fn own_certificate_path(&self) -> PathBuf {
        self.dir.join(Self::own_certificate())
    }

    /// Where trusted certificates lie.
    #[must_use]
    pub fn trusted_dir(&self) -> PathBuf {
        self.shelf(Shelf::Trusted)
    }

    /// Where certificates go that are not trusted.
    #[must_use]
    pub fn rejected_dir(&self) -> PathBuf {
        self.shelf(Shelf::Rejected)
    }

    /// Where the pinned certificate of a source's server lies, once there is one.
    #[must_use]
    pub fn pin_of(&self, seat: &str) -> PathBuf {
        self.seat(Shelf::Pinned, seat)
    }

    /// Notes what the server of a source has shown and was believed, so that people can see it and its end is watched.
    ///
    /// # Errors
    /// When it is no certificate, or the folder cannot be written.
    pub fn note_used(&self, seat: &str, shown: &[u8]) -> Result<(), UaError> {
        let (certificate, _) = self.read_shown(shown)?;
        write_whole(&self.seat(Shelf::Used, seat), certificate.der())
    }

    /// The stack's view of the folder, which trusts `only` one certificate: who that may be is decided by
    /// [`Pki::judge`] before.
    #[must_use]
    pub fn store(&self, with_own: bool, only: Vec<u8>) -> CertificateStore {
        let mut store = if with_own {
            let (certificate, key) = (Some(Self::own_certificate()), Some(Self::own_key()));
            CertificateStore::new_with_x509_data::<X509Data>(&self.dir, false, certificate, key, None).0
        } else {
            CertificateStore::new(&self.dir)
        };
        store.set_skip_verify_certs(true);
        store.set_verifier(Arc::new(Only(only)));
        store
    }

    /// Whether a certificate is the gateway's own, the one that it began with or a newer one.
    fn is_own(&self, der: &[u8]) -> bool {
        let own = [Self::own_certificate(), Self::served_certificate()];
        own.iter().any(|file| fs::read(self.dir.join(file)).is_ok_and(|own| own == der))
    }

    /// Lets this folder decide which clients a server's store trusts.
    pub fn decide_for(&self, store: &mut CertificateStore, clock: Arc<dyn Clock>) {
        store.set_skip_verify_certs(true);
        store.set_verifier(Arc::new(Clients { pki: self.clone(), clock }));
    }

    /// Whether what a peer has shown, a certificate and perhaps those of its authorities, is trusted. If not, it goes to
    /// `rejected`. Reads every file of the folder and checks a few RSA signatures: about a millisecond each.
    ///
    /// # Errors
    /// When it is no certificate, or the folder cannot be read or written.
    pub fn judge(&self, shown: &[u8], peer: &Peer<'_>, now: Instant) -> Result<Trust, UaError> {
        let (certificate, sent) = self.read_shown(shown)?;
        match self.trust_list()?.judge(&certificate, &sent, peer, now) {
            Ok(()) => {
                remove_if_there(&self.rejected_dir().join(certificate.file_name()))?;
                Ok(Trust::Trusted)
            }
            Err(refusal) => self.refuse(certificate, refusal),
        }
    }

    /// The same, but the first certificate that nobody trusts yet is pinned for the source: from then on it is trusted
    /// for this source, and no other that a person does not trust.
    ///
    /// # Errors
    /// As [`Pki::judge`].
    pub fn judge_or_pin(&self, source: &str, shown: &[u8], peer: &Peer<'_>, now: Instant) -> Result<Trust, UaError> {
        let (certificate, sent) = self.read_shown(shown)?;
        let mut list = self.trust_list()?;
        let refusal = match list.judge(&certificate, &sent, peer, now) {
            Ok(()) => return Ok(Trust::Trusted),
            Err(refusal) => refusal,
        };
        let pin = self.pin_of(source);
        let pinned = fs::read(&pin).ok().map(|bytes| Certificate::first_of(&bytes).ok_or(bytes));
        match pinned {
            Some(Ok(pinned)) if pinned == certificate => {
                list.trusted.push(pinned);
                match list.judge(&certificate, &sent, peer, now) {
                    Ok(()) => Ok(Trust::Trusted),
                    Err(refusal) => self.refuse(certificate, refusal),
                }
            }
            Some(Ok(_)) if refusal.outweighs_trust() => self.refuse(certificate, refusal),
            Some(Ok(pinned)) => {
                let pinned = pinned.thumbprint().short().to_owned();
                self.refuse(certificate, Refusal::NotPinned { pinned })
            }
            Some(Err(_)) => Err(UaError::Pki {
                doing: "read",
                path: pin,
                detail: "it is no certificate; remove it to pin the server's anew".to_owned(),
            }),
            None if refusal.outweighs_trust() => self.refuse(certificate, refusal),
            None => {
                write_whole(&pin, certificate.der())?;
                remove_if_there(&self.rejected_dir().join(certificate.file_name()))?;
                Ok(Trust::Pinned(pin))
            }
        }
    }

    fn read_shown(&self, shown: &[u8]) -> Result<(Certificate, Vec<Certificate>), UaError> {
        let mut all = Certificate::all_of(shown);
        if all.is_empty() {
            let detail = "the other side shows no certificate that can be read".to_owned();
            return Err(UaError::Pki { doing: "judge a certificate by", path: self.dir.clone(), detail });
        }
        let certificate = all.remove(0);
        Ok((certificate, all))
    }

    fn refuse(&self, certificate: Certificate, refusal: Refusal) -> Result<Trust, UaError> {
        let file = self.rejected_dir().join(certificate.file_name());
        write_whole(&file, certificate.der())?;
        Ok(Trust::Refused(Box::new(Refused { refusal, certificate, file, trusted: self.trusted_dir() })))
    }
}

/// Trusts one certificate.
struct Only(Vec<u8>);

impl CertificateVerifier for Only {
    fn verify(&self, certificate: &X509) -> Result<(), Error> {
        if !self.0.is_empty() && certificate.to_der().is_ok_and(|der| self.0.starts_with(&der)) {
            return Ok(());
        }
        Err(Error::new(StatusCode::BadCertificateUntrusted, "it is not the certificate of the endpoint"))
    }
}

/// Decides about the clients of a server.
struct Clients {
    pki: Pki,
    clock: Arc<dyn Clock>,
}

impl CertificateVerifier for Clients {
    fn verify(&self, certificate: &X509) -> Result<(), Error> {
        self.verify_application(certificate, None)
    }

    fn verify_application(&self, certificate: &X509, application_uri: Option<&str>) -> Result<(), Error> {
        let untrusted = |why: String| Error::new(StatusCode::BadCertificateUntrusted, why);
        let der = certificate.to_der().map_err(|_| untrusted("it cannot be read".to_owned()))?;
        if self.pki.is_own(&der) {
            // Whoever has our key reads it where we do: a terminal on the gateway.
            return Ok(());
        }
        let client = Peer { application_uri, ..Peer::default() };
        match self.pki.judge(&der, &client, self.clock.now()) {
            Ok(Trust::Trusted | Trust::Pinned(_)) => Ok(()),
            Ok(Trust::Refused(refused)) => {
                let status = refused.refusal.status(&refused.certificate);
                Err(Error::new(status, refused.refusal.to_string()))
            }
            Err(error) => Err(untrusted(error.to_string())),
        }
    }
}

/// Writes a file that is whole whenever it is there; one that is there already and the same stays as it is.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), UaError> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    owner::make_folder(dir)?;
    // Not among the others before it is whole: whoever reads the folder reads every file.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let half = dir.parent().unwrap_or(dir).join(format!(".{}.{name}", std::process::id()));
    let written = fs::File::create(&half).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| pki_error("write", path, &error))?;
    owner::as_its_folder(&half)?;
    fs::rename(&half, path).map_err(|error| pki_error("write", path, &error))
}

fn remove_if_there(path: &Path) -> Result<(), UaError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(pki_error("remove", path, &error)),
        _ => Ok(()),
    }
}

fn pki_error(doing: &'static str, path: &Path, error: &std::io::Error) -> UaError {
    let is_closed = error.kind() == std::io::ErrorKind::PermissionDenied;
    let way_out =
        if is_closed { "; let it belong to the user that the gateway runs as, and run this as that one" } else { "" };
    UaError::Pki { doing, path: path.to_owned(), detail: format!("{error}{way_out}") }
}

#[cfg(test)]
mod tests;
