//! Keys of publishers in minisign's form: the public ones that are trusted, and the secret one that signs.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minisign::{KeyPair, SecretKey, SecretKeyBox};
use minisign_verify::{PublicKey, Signature};

use crate::PackageError;

/// Bytes of the algorithm's name, then of the key's id, in keys and in signatures.
const ALGORITHM_BYTES: usize = 2;
const ID_BYTES: usize = 8;
/// What minisign begins the algorithm's name with that protects a secret key by a password.
const SCRYPT: &[u8] = b"Sc";
/// What stands there where nothing protects it.
const UNPROTECTED: &[u8] = b"\0\0";

/// A key's id: a name to find it by, which proves nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyId([u8; ID_BYTES]);

impl KeyId {
    /// The id in a key or signature that is a line of base64.
    fn of(line: &str) -> Option<Self> {
        let bytes = STANDARD.decode(line.trim()).ok()?;
        let id = bytes.get(ALGORITHM_BYTES..ALGORITHM_BYTES + ID_BYTES)?;
        id.try_into().ok().map(Self)
    }
}

impl fmt::Display for KeyId {
    /// As minisign writes it: the number that the bytes are in little-endian order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

/// A publisher's public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublisherKey {
    key: PublicKey,
    id: KeyId,
    text: String,
}

impl PublisherKey {
    /// Whether a signature over `message` is this key's. `None`: it names another key.
    pub(crate) fn signed(&self, message: &[u8], signature: &SignatureText) -> Option<bool> {
        (self.id == signature.id).then(|| self.key.verify(message, &signature.signature, false).is_ok())
    }

    /// The key's id, as minisign shows it.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.to_string()
    }
}

impl fmt::Debug for PublisherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for PublisherKey {
    /// The line of 56 characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for PublisherKey {
    type Err = PackageError;

    fn from_str(text: &str) -> Result<Self, PackageError> {
        let wrong = |error: minisign_verify::Error| PackageError::NoKey { reason: error.to_string().to_lowercase() };
        let key = PublicKey::from_base64(text).map_err(wrong)?;
        let id = KeyId::of(text).ok_or_else(|| PackageError::NoKey { reason: "it has no id".to_owned() })?;
        Ok(Self { key, id, text: text.to_owned() })
    }
}

/// A signature that has been read, not judged.
pub(crate) struct SignatureText {
    signature: Signature,
    pub(crate) id: KeyId,
}

impl SignatureText {
    /// The longest text, bytes.
    const BYTES_MAX: usize = 2 << 10;
    /// Two lines of comments, two of signatures.
    const LINES: usize = 4;

    pub(crate) fn read(text: &str) -> Result<Self, PackageError> {
        let wrong = |reason: &str| PackageError::Signature { reason: reason.to_owned() };
        if text.len() > Self::BYTES_MAX || text.lines().count() != Self::LINES {
            return Err(wrong("minisign's signatures are four lines"));
        }
        let signature = Signature::decode(text).map_err(|error| wrong(&error.to_string().to_lowercase()))?;
        let id = text.lines().nth(1).and_then(KeyId::of).ok_or_else(|| wrong("it names no key"))?;
        Ok(Self { signature, id })
    }
}

/// A publisher's secret key.
pub struct SigningKey(KeyPair);

impl SigningKey {
    /// Reads a secret key's file, which minisign may have made.
    ///
    /// # Errors
    /// When it is none, or its password is missing or wrong.
    pub fn open(text: &str, password: Option<&str>) -> Result<Self, PackageError> {
        let wrong = |error: minisign::PError| PackageError::NoKey { reason: error.to_string().to_lowercase() };
        let line = text.lines().nth(1).unwrap_or_default();
        let bytes = STANDARD.decode(line.trim()).unwrap_or_default();
        let sk = match (bytes.get(ALGORITHM_BYTES..2 * ALGORITHM_BYTES), password) {
            (Some(SCRYPT), None) => return Err(PackageError::NeedsPassword),
            (Some(SCRYPT), Some(password)) => {
                let boxed = SecretKeyBox::from_string(text).map_err(wrong)?;
                boxed.into_secret_key(Some(password.to_owned())).map_err(|_| PackageError::WrongPassword)?
            }
            // Not as a box: minisign leaves the sum out of a key without a password.
            (Some(UNPROTECTED), _) => SecretKey::from_bytes(&bytes).map_err(wrong)?,
            _ => return Err(PackageError::NoKey { reason: "it has no line with a secret key".to_owned() }),
        };
        let pk = minisign::PublicKey::from_secret_key(&sk).map_err(wrong)?;
        Ok(Self(KeyPair { pk, sk }))
    }

    pub(crate) fn sign(&self, message: &[u8], comment: &str) -> Result<String, PackageError> {
        let untrusted = Some("signature of the manifest of a detector's package");
        let signed = minisign::sign(Some(&self.0.pk), &self.0.sk, message, Some(comment), untrusted);
        signed.map(minisign::SignatureBox::into_string).map_err(unusable)
    }
}

/// A new key's files: the secret one, protected by the password if there is one, and the public one with its line.
///
/// # Errors
/// When the system gives no randomness or too little memory.
pub fn new_key(password: Option<&str>) -> Result<(String, String, PublisherKey), PackageError> {
    let pair = match password {
        Some(password) => KeyPair::generate_encrypted_keypair(Some(password.to_owned())),
        None => KeyPair::generate_unencrypted_keypair(),
    };
    let pair = pair.map_err(unusable)?;
    let comment = "the secret key of a publisher of detectors; keep it to yourself";
    let secret = pair.sk.to_box(Some(comment)).map_err(unusable)?.into_string();
    let public = pair.pk.to_box().map_err(unusable)?.into_string();
    Ok((secret, public, pair.pk.to_base64().parse()?))
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn unusable(error: minisign::PError) -> PackageError {
    PackageError::Key { reason: error.to_string().to_lowercase() }
}
