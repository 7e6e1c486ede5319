//! Certificates and revocation lists as authorities make them.

use std::sync::OnceLock;
use std::time::Duration;

use rsa::RsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::EncodePublicKey;
use rsa::rand_core::OsRng;
use rsa::sha2::Sha256;
use rsa::signature::{SignatureEncoding, Signer};
use watchfire_model::Instant;
use x509_cert::builder::{Builder, CertificateBuilder, Profile};
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::der::asn1::{BitString, Ia5String, ObjectIdentifier, UtcTime};
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Encode, EncodePem};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

use super::{Certificate, RevocationList};

/// When the tests are.
pub(super) const NOW: Instant = Instant::from_s(NOW_S);
const NOW_S: i64 = 1_800_000_000;
const DAY_S: i64 = 86_400;
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");

/// Seconds since 1970 so many days from now.
pub(super) fn day(days: i64) -> i64 {
    NOW_S + days * DAY_S
}

/// Keys, made once for all tests.
#[derive(Clone)]
pub(super) struct Maker {
    pub(super) root: RsaPrivateKey,
    pub(super) plant: RsaPrivateKey,
    pub(super) server: RsaPrivateKey,
}

/// A certificate that waits for its signature.
pub(super) struct Made {
    subject: String,
    serial: u32,
    key: RsaPrivateKey,
    authority: Option<Option<u8>>,
    names: Vec<GeneralName>,
    purpose: Option<ObjectIdentifier>,
    valid: (i64, i64),
}

impl Maker {
    pub(super) fn new() -> Self {
        static MADE: OnceLock<Maker> = OnceLock::new();
        let key = || RsaPrivateKey::new(&mut OsRng, 2048).unwrap();
        MADE.get_or_init(|| Self { root: key(), plant: key(), server: key() }).clone()
    }

    pub(super) fn authority(&self, subject: &str, serial: u32) -> Made {
        let key = if subject == "CN=root" { &self.root } else { &self.plant };
        Made {
            subject: subject.to_owned(),
            serial,
            key: key.clone(),
            authority: Some(None),
            names: Vec::new(),
            purpose: None,
            valid: (day(-100), day(100)),
        }
    }

    pub(super) fn server(&self, subject: &str, serial: u32) -> Made {
        let server = Made {
            key: self.server.clone(),
            authority: None,
            purpose: Some(ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1")),
            ..self.authority(subject, serial)
        };
        server.application("urn:plc").host("plc.example")
    }

    pub(super) fn revocations(&self, issuer: &str, key: &RsaPrivateKey, serials: &[u32]) -> RevocationList {
        let algorithm =
            AlgorithmIdentifierOwned { oid: SHA256_WITH_RSA, parameters: Some(x509_cert::der::Any::null()) };
        let revoked = |serial: &u32| RevokedCert {
            serial_number: SerialNumber::from(*serial),
            revocation_date: time(day(-1)),
            crl_entry_extensions: None,
        };
        let tbs_cert_list = TbsCertList {
            version: x509_cert::Version::V2,
            signature: algorithm.clone(),
            issuer: issuer.parse::<Name>().unwrap(),
            this_update: time(day(-1)),
            next_update: Some(time(day(10))),
            revoked_certificates: Some(serials.iter().map(revoked).collect()),
            crl_extensions: None,
        };
        let signature = SigningKey::<Sha256>::new(key.clone()).sign(&tbs_cert_list.to_der().unwrap());
        let signature = BitString::from_bytes(&signature.to_vec()).unwrap();
        let list = CertificateList { tbs_cert_list, signature_algorithm: algorithm, signature };
        RevocationList::from_bytes(&list.to_der().unwrap()).unwrap()
    }
}

impl Made {
    pub(super) fn valid(self, from_s: i64, until_s: i64) -> Self {
        Self { valid: (from_s, until_s), ..self }
    }

    pub(super) fn no_authority_below(self) -> Self {
        Self { authority: Some(Some(0)), ..self }
    }

    pub(super) fn for_clients(self) -> Self {
        Self { purpose: Some(ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2")), ..self }
    }

    pub(super) fn application(mut self, uri: &str) -> Self {
        self.names.retain(|name| !matches!(name, GeneralName::UniformResourceIdentifier(_)));
        self.names.push(GeneralName::UniformResourceIdentifier(Ia5String::new(uri).unwrap()));
        self
    }

    pub(super) fn host(mut self, host: &str) -> Self {
        self.names.retain(|name| !matches!(name, GeneralName::DnsName(_)));
        self.names.push(GeneralName::DnsName(Ia5String::new(host).unwrap()));
        self
    }

    pub(super) fn sign(self, key: &RsaPrivateKey, issuer: &str) -> Certificate {
        let profile = Profile::Manual { issuer: Some(issuer.parse().unwrap()) };
        let validity = Validity { not_before: time(self.valid.0), not_after: time(self.valid.1) };
        let public = self.key.to_public_key().to_public_key_der().unwrap();
        let public = SubjectPublicKeyInfoOwned::try_from(public.as_bytes()).unwrap();
        let signer = SigningKey::<Sha256>::new(key.clone());
        let subject = self.subject.parse().unwrap();
        let serial = SerialNumber::from(self.serial);
        let mut builder = CertificateBuilder::new(profile, serial, validity, subject, public, &signer).unwrap();
        let usage = match self.authority {
            Some(path_len_constraint) => {
                builder.add_extension(&BasicConstraints { ca: true, path_len_constraint }).unwrap();
                KeyUsages::KeyCertSign | KeyUsages::CRLSign
            }
            None => KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment,
        };
        builder.add_extension(&KeyUsage(usage)).unwrap();
        if let Some(purpose) = self.purpose {
            builder.add_extension(&ExtendedKeyUsage(vec![purpose])).unwrap();
        }
        if !self.names.is_empty() {
            builder.add_extension(&SubjectAltName(self.names)).unwrap();
        }
        Certificate::first_of(&builder.build().unwrap().to_der().unwrap()).unwrap()
    }
}

/// Several certificates in one file.
pub(super) fn pem(certificates: &[&Certificate]) -> String {
    let one = |certificate: &&Certificate| {
        use x509_cert::der::Decode;
        x509_cert::Certificate::from_der(certificate.der()).unwrap().to_pem(LineEnding::LF).unwrap()
    };
    certificates.iter().map(one).collect()
}

fn time(seconds: i64) -> Time {
    Time::UtcTime(UtcTime::from_unix_duration(Duration::from_secs(seconds.try_into().unwrap())).unwrap())
}
