//! A certificate or a revocation list as a file or a peer gives it, and what it says of itself. Knows no trust.

use std::fmt;
use std::net::IpAddr;

use opcua::crypto::X509;
use rsa::RsaPublicKey;
use rsa::pkcs1v15::{Signature, VerifyingKey};
use rsa::sha2::{Sha256, Sha384, Sha512};
use rsa::signature::Verifier;
use rsa::traits::PublicKeyParts;
use watchfire_model::Instant;
use x509_cert::crl::CertificateList;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::referenced::OwnedToRef;
use x509_cert::der::{Decode, Encode, Header, Reader, SliceReader};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Time;

const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const SHA384_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const SHA512_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// An issuer's key below this is not believed.
const KEY_BITS_MIN: usize = 2048;

/// A certificate (RFC 5280 §4).
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    parsed: x509_cert::Certificate,
}

/// A list of certificates that an authority has taken back (RFC 5280 §5).
#[derive(Clone, Debug)]
pub struct RevocationList {
    der: Vec<u8>,
    parsed: CertificateList,
}

/// Why a signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadSignature {
    /// It was made by another key, or over other bytes.
    Wrong,
    /// Its kind is not known here, or is no longer safe (SHA-1), or the key is too short.
    Unsupported,
}

/// The SHA-1 of a certificate, by which OPC UA names it (OPC 10000-6 §6.2.2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thumbprint(String);

impl Thumbprint {
    /// 40 hexadecimal digits, small letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it begins with `text`; capitals, colons and blanks in it do not matter.
    #[must_use]
    pub fn begins_with(&self, text: &str) -> bool {
        let wanted: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
        !wanted.is_empty() && self.0.starts_with(&wanted.to_ascii_lowercase())
    }

    /// Enough of it to name a certificate in a command.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, {})", self.subject(), self.thumbprint())
    }
}

impl Certificate {
    /// The certificates of a file or a message: one or several after each other in DER, the owner's first
    /// (OPC 10000-6 §6.2.6), or in PEM. Empty if it holds none.
    #[must_use]
    pub fn all_of(bytes: &[u8]) -> Vec<Self> {
        if bytes.starts_with(b"-----")
            || bytes.iter().take(64).any(|byte| *byte == b'-') && Self::first_der(bytes).is_none()
        {
            let parsed = x509_cert::Certificate::load_pem_chain(bytes).unwrap_or_default();
            let with_der = |parsed: x509_cert::Certificate| Some(Self { der: parsed.to_der().ok()?, parsed });
            return parsed.into_iter().filter_map(with_der).collect();
        }
        let (mut found, mut rest) = (Vec::new(), bytes);
        while let Some((certificate, more)) = Self::first_der(rest) {
            found.push(certificate);
            rest = more;
        }
        found
    }

    /// The first certificate of a file or a message.
    #[must_use]
    pub fn first_of(bytes: &[u8]) -> Option<Self> {
        Self::all_of(bytes).into_iter().next()
    }

    fn first_der(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut reader = SliceReader::new(bytes).ok()?;
        let der = reader.tlv_bytes().ok()?;
        let parsed = x509_cert::Certificate::from_der(der).ok()?;
        Some((Self { der: der.to_vec(), parsed }, bytes.get(der.len()..).unwrap_or_default()))
    }

    /// Its bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its thumbprint.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        let hex = X509::from_der(&self.der).map(|certificate| certificate.thumbprint().as_hex_string());
        Thumbprint(hex.unwrap_or_default().to_ascii_lowercase())
    }

    /// The name under which it is kept: its owner's and its thumbprint. The stack uses the same.
    #[must_use]
    pub fn file_name(&self) -> String {
        let owner: String = self.common_name().chars().filter(|c| !c.is_control() && !"/\\:".contains(*c)).collect();
        let (owner, thumbprint) = (owner.trim(), self.thumbprint());
        if owner.is_empty() { format!("{thumbprint}.der") } else { format!("{owner} [{thumbprint}].der") }
    }

    /// Whether `below` was signed by this one.
    #[must_use]
    pub fn has_signed(&self, below: &Self) -> bool {
        below.issuer_name() == self.subject_name() && below.is_signed_by(self).is_ok()
    }

    pub(super) fn common_name(&self) -> String {
        let names = self.parsed.tbs_certificate.subject.0.iter().flat_map(|part| part.0.iter());
        let text = names.filter(|name| name.oid == COMMON_NAME).map(ToString::to_string).next().unwrap_or_default();
        text.strip_prefix("CN=").unwrap_or(&text).to_owned()
    }

    /// Whose it is, for people.
    #[must_use]
    pub fn subject(&self) -> String {
        self.parsed.tbs_certificate.subject.to_string()
    }

    /// Who signed it, for people.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.parsed.tbs_certificate.issuer.to_string()
    }

    /// The application that it stands for.
    #[must_use]
    pub fn application_uri(&self) -> Option<String> {
        self.alternative_names().into_iter().find_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
            _ => None,
        })
    }

    /// Whether it is for this host: a name, whatever its case, or an address.
    #[must_use]
    pub fn is_for_host(&self, host: &str) -> bool {
        let address: Option<IpAddr> = host.parse().ok();
        self.alternative_names().into_iter().any(|name| match name {
            GeneralName::DnsName(name) => name.as_str().eq_ignore_ascii_case(host),
            GeneralName::IpAddress(bytes) => address.is_some_and(|address| match address {
                IpAddr::V4(address) => bytes.as_bytes() == address.octets(),
                IpAddr::V6(address) => bytes.as_bytes() == address.octets(),
            }),
            _ => false,
        })
    }

    fn alternative_names(&self) -> Vec<GeneralName> {
        match self.parsed.tbs_certificate.get::<SubjectAltName>() {
            Ok(Some((_, names))) => names.0,
            _ => Vec::new(),
        }
    }

    /// From when on it may be used.
    #[must_use]
    pub fn valid_from(&self) -> Instant {
        instant(&self.parsed.tbs_certificate.validity.not_before)
    }

    /// Until when it may be used.
    #[must_use]
    pub fn valid_until(&self) -> Instant {
        instant(&self.parsed.tbs_certificate.validity.not_after)
    }

    /// Whether it is an authority's: it may sign others (RFC 5280 §4.2.1.9 and §4.2.1.3).
    #[must_use]
    pub fn is_authority(&self) -> bool {
        let constraints = self.parsed.tbs_certificate.get::<BasicConstraints>();
        let authority = matches!(constraints, Ok(Some((_, BasicConstraints { ca: true, .. }))));
        authority && self.usage_allows(KeyUsage::key_cert_sign)
    }

    pub(super) fn may_sign_lists(&self) -> bool {
        self.is_authority() && self.usage_allows(KeyUsage::crl_sign)
    }

    /// Whether its key may secure the connection of a server (OPC 10000-4 §6.1.3, "certificate usage").
    pub(super) fn is_for_servers(&self) -> bool {
        const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
        const ANY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
        let purposes = match self.parsed.tbs_certificate.get::<ExtendedKeyUsage>() {
            Ok(Some((_, purposes))) => purposes.0.iter().any(|purpose| *purpose == SERVER_AUTH || *purpose == ANY),
            Ok(None) => true,
            Err(_) => false,
        };
        purposes && self.usage_allows(KeyUsage::digital_signature)
    }

    fn usage_allows(&self, what: impl Fn(&KeyUsage) -> bool) -> bool {
        match self.parsed.tbs_certificate.get::<KeyUsage>() {
            Ok(Some((_, usage))) => what(&usage),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// How many authorities may stand between it and the certificate that it vouches for in the end.
    pub(super) fn authorities_below_max(&self) -> usize {
        match self.parsed.tbs_certificate.get::<BasicConstraints>() {
            Ok(Some((_, BasicConstraints { path_len_constraint: Some(most), .. }))) => usize::from(most),
            _ => usize::MAX,
        }
    }

    /// A critical extension that is not understood here: such a certificate must not be believed (RFC 5280 §4.2).
    pub(super) fn unknown_extension(&self) -> Option<String> {
        // Subject key id, key usage, alternative names, basic constraints, authority key id, extended key usage; and
        // policies, which restrict nothing as long as nobody asks for one.
        const KNOWN: [&str; 7] =
            ["2.5.29.14", "2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.35", "2.5.29.37", "2.5.29.32"];
        let extensions = self.parsed.tbs_certificate.extensions.as_deref().unwrap_or_default();
        let ids =
            extensions.iter().filter(|extension| extension.critical).map(|extension| extension.extn_id.to_string());
        ids.into_iter().find(|id| !KNOWN.contains(&id.as_str()))
    }

    pub(super) fn subject_name(&self) -> &Name {
        &self.parsed.tbs_certificate.subject
    }

    pub(super) fn issuer_name(&self) -> &Name {
        &self.parsed.tbs_certificate.issuer
    }

    pub(super) fn serial(&self) -> &SerialNumber {
        &self.parsed.tbs_certificate.serial_number
    }

    /// Whether `issuer`'s key has signed this certificate.
    pub(super) fn is_signed_by(&self, issuer: &Self) -> Result<(), BadSignature> {
        let signature = self.parsed.signature.as_bytes();
        issuer.verify(&self.der, self.parsed.signature_algorithm.oid, signature)
    }

    /// Checks a signature over what is signed of `der`: its first part (RFC 5280 §4.1.1.3), the bytes as they came.
    fn verify(&self, der: &[u8], kind: ObjectIdentifier, signature: Option<&[u8]>) -> Result<(), BadSignature> {
        let signed = signed_part(der).ok_or(BadSignature::Wrong)?;
        let signature = signature.and_then(|bytes| Signature::try_from(bytes).ok()).ok_or(BadSignature::Wrong)?;
        let key = self.public_key().ok_or(BadSignature::Unsupported)?;
        let verified = match kind {
            SHA256_WITH_RSA => VerifyingKey::<Sha256>::new(key).verify(signed, &signature),
            SHA384_WITH_RSA => VerifyingKey::<Sha384>::new(key).verify(signed, &signature),
            SHA512_WITH_RSA => VerifyingKey::<Sha512>::new(key).verify(signed, &signature),
            _ => return Err(BadSignature::Unsupported),
        };
        verified.map_err(|_| BadSignature::Wrong)
    }

    fn public_key(&self) -> Option<RsaPublicKey> {
        let key = RsaPublicKey::try_from(self.parsed.tbs_certificate.subject_public_key_info.owned_to_ref()).ok()?;
        (key.n().bits() >= KEY_BITS_MIN).then_some(key)
    }
}

impl RevocationList {
    /// Reads one in DER or PEM.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if let Ok(parsed) = CertificateList::from_der(bytes) {
            return Some(Self { der: bytes.to_vec(), parsed });
        }
        let (label, der) = x509_cert::der::pem::decode_vec(bytes).ok()?;
        (label == "X509 CRL").then(|| Self::from_bytes(&der)).flatten()
    }

    /// Its bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The authority that gave it out, for people.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.parsed.tbs_cert_list.issuer.to_string()
    }

    /// When the next one was to come.
    #[must_use]
    pub fn next_update(&self) -> Option<Instant> {
        self.parsed.tbs_cert_list.next_update.as_ref().map(instant)
    }

    /// When it was given out.
    #[must_use]
    pub fn this_update(&self) -> Instant {
        instant(&self.parsed.tbs_cert_list.this_update)
    }

    /// How many certificates it takes back.
    #[must_use]
    pub fn count(&self) -> usize {
        self.parsed.tbs_cert_list.revoked_certificates.as_ref().map_or(0, Vec::len)
    }

    /// Whether it is `authority`'s, by name and by signature.
    #[must_use]
    pub fn is_of(&self, authority: &Certificate) -> bool {
        self.parsed.tbs_cert_list.issuer == *authority.subject_name()
            && authority.may_sign_lists()
            && authority
                .verify(&self.der, self.parsed.signature_algorithm.oid, self.parsed.signature.as_bytes())
                .is_ok()
    }

    pub(super) fn takes_back(&self, serial: &SerialNumber) -> bool {
        self.parsed.tbs_cert_list.revoked_certificates.iter().flatten().any(|revoked| revoked.serial_number == *serial)
    }
}

/// The first element within a sequence, whole.
fn signed_part(der: &[u8]) -> Option<&[u8]> {
    let mut reader = SliceReader::new(der).ok()?;
    Header::decode(&mut reader).ok()?;
    reader.tlv_bytes().ok()
}

fn instant(time: &Time) -> Instant {
    Instant::from_s(i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
}
