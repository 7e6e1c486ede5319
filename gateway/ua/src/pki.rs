//! The folder of certificates: `own` (ours and its key), `trusted` and `rejected`.
//!
//! Trust is by file: a certificate is trusted if and only if it lies in `trusted`. Chains and revocation lists are not
//! known here.

use std::fs;
use std::path::{Path, PathBuf};

use opcua::crypto::{CertificateStore, X509, X509Data};
use opcua::sync::Mutex;

use crate::{Application, UaError};

/// Years that a certificate of our own making is valid.
const VALID_DAYS: u32 = 5 * 365;
const KEY_BITS: u32 = 2048;

/// Only one thread of the process makes a certificate, even if client and server start at the same moment.
static MAKING: Mutex<()> = Mutex::new(());

/// The certificate folder of a data folder.
#[derive(Clone, Debug)]
pub struct Pki {
    dir: PathBuf,
}

/// Whether a certificate is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It lies in `trusted`.
    Trusted,
    /// It has just been put into `trusted`, because the configuration says to trust whatever comes.
    Accepted(PathBuf),
    /// It does not: it has been put here, for a person to look at and to move.
    Rejected(PathBuf),
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

    /// Where our certificate lies, for an administrator to copy.
    #[must_use]
    pub fn own_certificate_path(&self) -> PathBuf {
        self.dir.join(Self::own_certificate())
    }

    /// Where trusted certificates lie.
    #[must_use]
    pub fn trusted_dir(&self) -> PathBuf {
        self.dir.join("trusted")
    }

    /// Where certificates go that are not trusted.
    #[must_use]
    pub fn rejected_dir(&self) -> PathBuf {
        self.dir.join("rejected")
    }

    /// Makes our certificate and key unless they are there; true if it made them. The key is readable by its owner
    /// alone. Making takes about a second of CPU: call it off the runtime.
    ///
    /// # Errors
    /// When the folder cannot be written, or a certificate is there without its key.
    pub fn ensure_own(&self, application: &Application) -> Result<bool, UaError> {
        let _one_at_a_time = MAKING.lock();
        for dir in [self.dir.join("own"), self.trusted_dir(), self.rejected_dir()] {
            fs::create_dir_all(&dir).map_err(|error| pki_error("make the folder", &dir, &error))?;
        }
        let certificate = self.own_certificate_path();
        let key = self.dir.join(Self::own_key());
        match (certificate.exists(), key.exists()) {
            (true, true) => return Ok(false),
            (true, false) => {
                let detail =
                    "its private key `own/private.pem` is missing; put it back, or remove both to get new ones";
                return Err(UaError::Pki { doing: "use", path: certificate, detail: detail.to_owned() });
            }
            (false, _) => {}
        }
        self.make_own(application, &certificate, &key)?;
        Ok(true)
    }

    /// Writes under other names first, the certificate last: a kill in between leaves nothing half.
    fn make_own(&self, application: &Application, certificate: &Path, key: &Path) -> Result<(), UaError> {
        let data = X509Data {
            key_size: KEY_BITS,
            common_name: application.name.clone(),
            organization: application.name.clone(),
            organizational_unit: application.name.clone(),
            country: String::new(),
            state: String::new(),
            alt_host_names: X509Data::alt_host_names(&application.uri, None, true, true, true),
            certificate_duration_days: VALID_DAYS,
        };
        let (new_certificate, new_key) = (certificate.with_extension("new"), key.with_extension("new"));
        private_file(&new_key)?;
        CertificateStore::create_certificate_and_key(&data, true, &new_certificate, &new_key)
            .map_err(|detail| UaError::Pki { doing: "make", path: certificate.to_owned(), detail })?;
        for (from, to) in [(&new_key, key), (&new_certificate, certificate)] {
            fs::rename(from, to).map_err(|error| pki_error("write", to, &error))?;
        }
        Ok(())
    }

    /// The stack's view of the folder. It does not check names and dates of certificates: who is trusted is decided by
    /// [`Pki::judge`].
    #[must_use]
    pub fn store(&self, with_own: bool) -> CertificateStore {
        let mut store = if with_own {
            let (certificate, key) = (Some(Self::own_certificate()), Some(Self::own_key()));
            CertificateStore::new_with_x509_data::<X509Data>(&self.dir, false, certificate, key, None).0
        } else {
            CertificateStore::new(&self.dir)
        };
        store.set_skip_verify_certs(true);
        store
    }

    /// Whether `certificate` is trusted: a file in `trusted` holds it, under whatever name. If not, it goes to
    /// `rejected`, or to `trusted` if `accept_unknown`.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn judge(&self, certificate: &X509, accept_unknown: bool) -> Result<Trust, UaError> {
        let name = CertificateStore::cert_file_name(certificate);
        let trusted = self.trusted_dir().join(&name);
        let rejected = self.rejected_dir().join(&name);
        let was_trusted = self.is_in_trusted(certificate)?;
        if !was_trusted && !accept_unknown {
            write_certificate(certificate, &rejected)?;
            return Ok(Trust::Rejected(rejected));
        }
        // The stack looks for the file under this one name, and refuses what also lies in `rejected`.
        write_certificate(certificate, &trusted)?;
        if rejected.exists() {
            fs::remove_file(&rejected).map_err(|error| pki_error("remove", &rejected, &error))?;
        }
        Ok(if was_trusted { Trust::Trusted } else { Trust::Accepted(trusted) })
    }

    fn is_in_trusted(&self, certificate: &X509) -> Result<bool, UaError> {
        let dir = self.trusted_dir();
        let Ok(wanted) = certificate.to_der() else { return Ok(false) };
        let entries = fs::read_dir(&dir).map_err(|error| pki_error("read the folder", &dir, &error))?;
        for entry in entries.flatten() {
            let Ok(bytes) = fs::read(entry.path()) else { continue };
            let der =
                if bytes == wanted { Some(bytes) } else { X509::from_pem(&bytes).ok().and_then(|c| c.to_der().ok()) };
            if der.is_some_and(|der| der == wanted) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn write_certificate(certificate: &X509, path: &Path) -> Result<(), UaError> {
    let der = certificate.to_der().map_err(|_| UaError::Pki {
        doing: "write",
        path: path.to_owned(),
        detail: "the certificate cannot be encoded".to_owned(),
    })?;
    if fs::read(path).is_ok_and(|there| there == der) {
        return Ok(());
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(|error| pki_error("make the folder", dir, &error))?;
    }
    fs::write(path, der).map_err(|error| pki_error("write", path, &error))
}

/// An empty file that only its owner can read, there before the key is written into it.
fn private_file(path: &Path) -> Result<(), UaError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|error| pki_error("write", path, &error))
}

fn pki_error(doing: &'static str, path: &Path, error: &std::io::Error) -> UaError {
    UaError::Pki { doing, path: path.to_owned(), detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One folder for all steps, since making a key takes long.
    #[test]
    fn a_certificate_is_made_once_and_trusted_only_when_it_is_put_there() {
        let dir = std::env::temp_dir().join(format!("watchfire-pki-{}", std::process::id()));
        let pki = Pki::new(&dir);
        let application = Application { name: "Peer".into(), uri: "urn:peer".into() };
        assert!(pki.ensure_own(&application).unwrap());
        let made = fs::read(pki.own_certificate_path()).unwrap();
        assert!(!pki.ensure_own(&application).unwrap(), "the second time it is there");
        assert_eq!(fs::read(pki.own_certificate_path()).unwrap(), made);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(dir.join(Pki::own_key())).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "nobody else may read the key");
        }
        let certificate = pki.store(true).read_own_cert().unwrap();
        certificate.is_application_uri_valid("urn:peer").unwrap();

        let Trust::Rejected(file) = pki.judge(&certificate, false).unwrap() else { panic!("nobody trusts it yet") };
        fs::rename(&file, pki.trusted_dir().join("as a person names it.der")).unwrap();
        assert_eq!(pki.judge(&certificate, false).unwrap(), Trust::Trusted);
        fs::remove_dir_all(pki.trusted_dir()).unwrap();
        fs::create_dir_all(pki.trusted_dir()).unwrap();
        assert!(matches!(pki.judge(&certificate, false).unwrap(), Trust::Rejected(_)));
        assert!(matches!(pki.judge(&certificate, true).unwrap(), Trust::Accepted(_)));
        assert!(fs::read_dir(pki.rejected_dir()).unwrap().next().is_none(), "what is trusted is no longer rejected");

        fs::remove_file(dir.join(Pki::own_key())).unwrap();
        assert!(pki.ensure_own(&application).unwrap_err().to_string().contains("private.pem"));
        fs::remove_dir_all(dir).unwrap();
    }
}
