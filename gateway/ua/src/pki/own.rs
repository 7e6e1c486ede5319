//! Our own certificate: made at the first need, and made anew when its time runs out. Knows no other.

use std::fs;
use std::path::{Path, PathBuf};

use opcua::crypto::{CertificateStore, X509Data};
use opcua::sync::Mutex;

use super::owner::{as_its_folder, make_folder, same_owner};
use super::{Certificate, Pki, Shelf, pair, pki_error};
use crate::{Application, UaError};

/// Days that a certificate of our own making is valid.
const VALID_DAYS: u32 = 5 * 365;
const KEY_BITS: u32 = 2048;

/// Only one thread of the process makes a certificate, even if client and server start at the same moment.
static MAKING: Mutex<()> = Mutex::new(());

/// What became of a renewal.
#[derive(Clone, Debug)]
pub struct Renewed {
    /// The certificate until now.
    pub old: Certificate,
    /// The one from now on.
    pub new: Certificate,
    /// Where the old one and its key are kept.
    pub kept: PathBuf,
}

impl Pki {
    /// Makes our certificate and key unless they are there; true if it made them. The key is readable by its owner
    /// alone. Making takes about a second of CPU: call it off the runtime.
    ///
    /// # Errors
    /// When the folder cannot be written, or what is there is no certificate with its key.
    pub fn ensure_own(&self, application: &Application) -> Result<bool, UaError> {
        let _one_at_a_time = MAKING.lock();
        for shelf in Shelf::ALL {
            make_folder(&self.shelf(shelf))?;
        }
        let certificate = self.own_certificate_path();
        let key = self.dir.join(Self::own_key());
        match (certificate.exists(), key.exists()) {
            (true, true) => {
                finish_renewal(&certificate, &key)?;
                pair::check(&certificate, &key)?;
                return Ok(false);
            }
            (true, false) => {
                let detail =
                    "its private key `own/private.pem` is missing; put it back, or remove both to get new ones";
                return Err(UaError::Pki { doing: "use", path: certificate, detail: detail.to_owned() });
            }
            (false, _) => {}
        }
        make(application, &certificate, &key)?;
        for file in [&certificate, &key] {
            as_its_folder(&file.with_extension("new"))?;
        }
        put_in_place(&certificate, &key)?;
        Ok(true)
    }

    /// Copies our certificate and its key to where a server takes them from. The OPC UA stack reads both anew for every
    /// connection, and what it offers once, when it starts: a renewal in between would shut everybody out.
    ///
    /// # Errors
    /// When there are none yet, or the folder cannot be written.
    pub fn serve_own(&self) -> Result<(), UaError> {
        let _one_at_a_time = MAKING.lock();
        let dir = self.shelf(Shelf::Own).join("served");
        make_folder(&dir)?;
        let pairs = [(Self::own_certificate(), Self::served_certificate()), (Self::own_key(), Self::served_key())];
        for (from, to) in pairs {
            let (from, to) = (self.dir.join(from), self.dir.join(to));
            // Permissions are copied as well.
            fs::copy(&from, &to).map_err(|error| pki_error("copy our certificate to", &to, &error))?;
            same_owner(&from, &to)?;
        }
        Ok(())
    }

    /// Makes a new certificate and key for the same application. The old ones are kept beside, in `own/old`. Takes about
    /// a second of CPU.
    ///
    /// # Errors
    /// When there is none yet, it was given out by an authority and `self_signed` is not wanted, or the folder cannot be
    /// written.
    pub fn renew_own(&self, self_signed: bool) -> Result<Renewed, UaError> {
        let _one_at_a_time = MAKING.lock();
        let certificate = self.own_certificate_path();
        let key = self.dir().join(Self::own_key());
        let refused = |detail: String| UaError::Pki { doing: "renew", path: certificate.clone(), detail };
        finish_renewal(&certificate, &key)?;
        let bytes = fs::read(&certificate).map_err(|error| pki_error("read", &certificate, &error))?;
        let old = Certificate::first_of(&bytes).ok_or_else(|| refused("it is no certificate".to_owned()))?;
        if old.subject() != old.issuer() && !self_signed {
            let issuer = old.issuer();
            return Err(refused(format!(
                "it was given out by the authority `{issuer}`: ask it for a new one and put that in its place with its \
                 key, or have one made without the authority with `--self-signed`"
            )));
        }
        let uri = old.application_uri().ok_or_else(|| refused("it names no application".to_owned()))?;
        let application = Application { name: old.common_name(), uri };
        make(&application, &certificate, &key)?;
        let kept = self.shelf(Shelf::Own).join("old");
        make_folder(&kept)?;
        let name = old.thumbprint();
        for (file, ending) in [(&certificate, "der"), (&key, "pem")] {
            // Permissions are copied as well.
            let to = kept.join(format!("{name}.{ending}"));
            fs::copy(file, &to).map_err(|error| pki_error("keep the old certificate as", &to, &error))?;
            same_owner(file, &to)?;
            same_owner(file, &file.with_extension("new"))?;
        }
        put_in_place(&certificate, &key)?;
        let bytes = fs::read(&certificate).map_err(|error| pki_error("read", &certificate, &error))?;
        let new = Certificate::first_of(&bytes).ok_or_else(|| refused("the new one cannot be read".to_owned()))?;
        Ok(Renewed { old, new, kept })
    }
}

/// Makes a certificate and its key beside where they are to lie.
fn make(application: &Application, certificate: &Path, key: &Path) -> Result<(), UaError> {
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
    for file in [&new_key, &new_certificate] {
        let synced = fs::File::open(file).and_then(|file| file.sync_all());
        synced.map_err(|error| pki_error("write", file, &error))?;
    }
    Ok(())
}

/// The key first: whoever finds a new certificate without its key beside it knows that the key has moved already.
fn put_in_place(certificate: &Path, key: &Path) -> Result<(), UaError> {
    for to in [key, certificate] {
        fs::rename(to.with_extension("new"), to).map_err(|error| pki_error("write", to, &error))?;
    }
    Ok(())
}

/// Ends what a kill has cut short between the two steps of putting them in place.
fn finish_renewal(certificate: &Path, key: &Path) -> Result<(), UaError> {
    let new = certificate.with_extension("new");
    if new.exists() && !key.with_extension("new").exists() {
        fs::rename(new, certificate).map_err(|error| pki_error("write", certificate, &error))?;
    }
    Ok(())
}

/// An empty file that only its owner can read, there before the key is written into it.
fn private_file(path: &Path) -> Result<(), UaError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|error| pki_error("write", path, &error))
}
