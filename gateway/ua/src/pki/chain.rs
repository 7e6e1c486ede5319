//! Whether a certificate is to be believed, given those that are trusted, those of further authorities, and revocation
//! lists (OPC 10000-4 §6.1.3). Pure: reads no file and no clock.

use opcua::types::StatusCode;
use watchfire_model::Instant;

use super::certificate::{BadSignature, Certificate, RevocationList};

/// Authorities between a certificate and the trusted one above it, at most.
const DEPTH_MAX: usize = 8;
/// Certificates that came with one and are looked at: more cannot stand on one way. Whoever answers a connection chooses
/// them, before anything of it is believed.
const SENT_MAX: usize = DEPTH_MAX;

/// What is known of certificates before one comes.
#[derive(Clone, Debug, Default)]
pub struct TrustList {
    /// Trusted: themselves, and what they have signed if they are authorities.
    pub trusted: Vec<Certificate>,
    /// Authorities that are not trusted by themselves, but may stand between.
    pub issuers: Vec<Certificate>,
    /// Rejected by a person.
    pub denied: Vec<Certificate>,
    /// Revocation lists.
    pub lists: Vec<RevocationList>,
}

/// What the other side says it is; what is `None` is not compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peer<'a> {
    /// Its application URI.
    pub application_uri: Option<&'a str>,
    /// The host that we connect to. Given for a server.
    pub host: Option<&'a str>,
}

/// Why a certificate is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A person has rejected it.
    #[error("was rejected by a person")]
    Denied,
    /// Neither it nor anything above it is trusted.
    #[error("is not trusted")]
    Unknown,
    /// The authority that signed it is not at hand.
    #[error("is not trusted, and its authority `{issuer}` is not known either")]
    IssuerUnknown {
        /// The authority's name.
        issuer: String,
    },
    /// What it or an authority above it says has been changed, or is of a kind that is not believed.
    #[error(
        "has a signature that does not hold or is of no kind that is believed (RSA with SHA-256, 384 or 512): that of `{subject}`"
    )]
    Signature {
        /// Whose signature.
        subject: String,
    },
    /// Its time is over, or an authority's.
    #[error("has expired: `{subject}`")]
    Expired {
        /// Whose.
        subject: String,
    },
    /// Its time, or an authority's, has not begun.
    #[error("is not valid yet, or this machine's clock is wrong: `{subject}`")]
    NotYetValid {
        /// Whose.
        subject: String,
    },
    /// Its authority has taken it back, or one above it.
    #[error("has been revoked by `{issuer}`: `{subject}`")]
    Revoked {
        /// Whose.
        subject: String,
        /// By whom.
        issuer: String,
    },
    /// It was signed with a certificate that may not sign others.
    #[error("was signed with a certificate that is no authority's: `{issuer}`")]
    NoAuthority {
        /// Whose.
        issuer: String,
    },
    /// It must not be used for this.
    #[error("is not meant for {what}")]
    Usage {
        /// What it was used for.
        what: String,
    },
    /// It stands for another application.
    #[error("is for the application `{found}`, but the other side says that it is `{wanted}`")]
    Application {
        /// In the certificate.
        found: String,
        /// What the other side says.
        wanted: String,
    },
    /// It stands for another machine.
    #[error("is not for the host `{host}`")]
    Host {
        /// The host that was asked for.
        host: String,
    },
    /// Another one came before it, and was to be the only one.
    #[error("is not the one that was pinned at the first connection (`{pinned}`)")]
    NotPinned {
        /// The beginning of the thumbprint of that one.
        pinned: String,
    },
}

impl Refusal {
    /// Whether it would stand even if a person trusted the certificate.
    pub(super) const fn outweighs_trust(&self) -> bool {
        matches!(self, Self::Expired { .. } | Self::NotYetValid { .. } | Self::Revoked { .. } | Self::Denied)
    }

    /// The status that stands for it (OPC 10000-4 §6.1.3), of the certificate that was judged: an authority's defects have
    /// their own.
    #[must_use]
    pub fn status(&self, judged: &Certificate) -> StatusCode {
        let own_or = |subject: &str, own, issuers| if *subject == judged.subject() { own } else { issuers };
        match self {
            Self::Denied | Self::Unknown | Self::NotPinned { .. } => StatusCode::BadCertificateUntrusted,
            Self::IssuerUnknown { .. } => StatusCode::BadCertificateChainIncomplete,
            Self::Signature { .. } => StatusCode::BadCertificateInvalid,
            Self::Expired { subject } | Self::NotYetValid { subject } => {
                own_or(subject, StatusCode::BadCertificateTimeInvalid, StatusCode::BadCertificateIssuerTimeInvalid)
            }
            Self::Revoked { subject, .. } => {
                own_or(subject, StatusCode::BadCertificateRevoked, StatusCode::BadCertificateIssuerRevoked)
            }
            Self::NoAuthority { .. } => StatusCode::BadCertificateIssuerUseNotAllowed,
            Self::Usage { .. } => StatusCode::BadCertificateUseNotAllowed,
            Self::Application { .. } => StatusCode::BadCertificateUriInvalid,
            Self::Host { .. } => StatusCode::BadCertificateHostNameInvalid,
        }
    }
}

impl TrustList {
    /// Judges a certificate; `sent` are those that came with it, the first eight of which are looked at, and believed
    /// only as far as they lead to a trusted one. However they have signed each other, it takes some hundred checks of
    /// signatures at the most.
    ///
    /// One that is trusted by itself needs neither names that fit nor an authority that is known: a person has chosen
    /// exactly it. One that is trusted through its authority needs all. Whatever was revoked is refused either way.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn judge(
        &self,
        certificate: &Certificate,
        sent: &[Certificate],
        peer: &Peer<'_>,
        now: Instant,
    ) -> Result<(), Refusal> {
        if self.denied.contains(certificate) {
            return Err(Refusal::Denied);
        }
        in_time(certificate, now)?;
        let is_chosen = self.trusted.contains(certificate);
        let mut ascent = Ascent { list: self, sent: sent.get(..SENT_MAX).unwrap_or(sent), now, ended: Vec::new() };
        match ascent.climb(&mut vec![certificate]) {
            Err(revoked @ Refusal::Revoked { .. }) => return Err(revoked),
            _ if is_chosen => return Ok(()),
            Err(refusal) => return Err(refusal),
            Ok(()) => {}
        }
        if let Some(id) = certificate.unknown_extension() {
            return Err(Refusal::Usage { what: format!("programs that do not know its extension {id}") });
        }
        if let Some(wanted) = peer.application_uri {
            let found = certificate.application_uri().unwrap_or_default();
            if found != wanted {
                return Err(Refusal::Application { found, wanted: wanted.to_owned() });
            }
        }
        if let Some(host) = peer.host {
            if !certificate.is_for_servers() {
                return Err(Refusal::Usage { what: "servers".to_owned() });
            }
            if !certificate.is_for_host(host) {
                return Err(Refusal::Host { host: host.to_owned() });
            }
        }
        Ok(())
    }

    /// Whether `above` may have signed `below`, and did; `below` has `height` certificates from itself down.
    fn step(&self, below: &Certificate, above: &Certificate, height: usize, now: Instant) -> Result<(), Refusal> {
        match below.is_signed_by(above) {
            Ok(()) => {}
            Err(BadSignature::Wrong | BadSignature::Unsupported) => {
                return Err(Refusal::Signature { subject: below.subject() });
            }
        }
        if !above.is_authority() {
            return Err(Refusal::NoAuthority { issuer: above.subject() });
        }
        if height > DEPTH_MAX || height - 1 > above.authorities_below_max() {
            return Err(Refusal::Usage { what: format!("so long a chain of authorities below `{}`", above.subject()) });
        }
        if let Some(id) = above.unknown_extension() {
            return Err(Refusal::Usage { what: format!("programs that do not know its authority's extension {id}") });
        }
        let by_above = |list: &&RevocationList| list.takes_back(below.serial()) && list.is_of(above);
        if self.lists.iter().any(|list| by_above(&list)) {
            return Err(Refusal::Revoked { subject: below.subject(), issuer: above.subject() });
        }
        in_time(above, now)
    }
}

/// A search for a way up to a trusted authority.
struct Ascent<'a> {
    list: &'a TrustList,
    sent: &'a [Certificate],
    now: Instant,
    /// From where nothing leads up, how many certificates there were to that one, and why: from higher it does not
    /// either, since a longer way is allowed no more than a short one.
    ended: Vec<(&'a Certificate, usize, Refusal)>,
}

impl<'a> Ascent<'a> {
    /// Whether a way leads from the last of `way` up to a trusted authority. Of several reasons against it the first is
    /// told, but for one: what was revoked is revoked.
    fn climb(&mut self, way: &mut Vec<&'a Certificate>) -> Result<(), Refusal> {
        let Some(&below) = way.last() else { return Err(Refusal::Unknown) };
        let is_self_signed = below.subject_name() == below.issuer_name();
        let mut reason = None;
        for above in self.list.trusted.iter().chain(&self.list.issuers).chain(self.sent) {
            let is_next = above.subject_name() == below.issuer_name() && !self.list.denied.contains(above);
            if !is_next || way.contains(&above) {
                continue;
            }
            let tried = self.list.step(below, above, way.len(), self.now).and_then(|()| self.go_on(way, above));
            match tried {
                Ok(()) => return Ok(()),
                Err(revoked @ Refusal::Revoked { .. }) => return Err(revoked),
                Err(refusal) => reason = reason.or(Some(refusal)),
            }
        }
        Err(reason.unwrap_or_else(|| match (is_self_signed, way.len()) {
            (true, _) => Refusal::Unknown,
            _ => Refusal::IssuerUnknown { issuer: below.issuer() },
        }))
    }

    /// The same from `above`, which has signed the last of `way`.
    fn go_on(&mut self, way: &mut Vec<&'a Certificate>, above: &'a Certificate) -> Result<(), Refusal> {
        let height = way.len();
        let ended = self.ended.iter().find(|(at, from, _)| *at == above && *from <= height);
        if let Some((_, _, refusal)) = ended {
            return Err(refusal.clone());
        }
        way.push(above);
        let climbed = self.climb(way);
        way.pop();
        match climbed {
            // Nothing needs to be above a trusted one; what is may have revoked it all the same.
            Err(revoked @ Refusal::Revoked { .. }) => Err(revoked),
            _ if self.list.trusted.contains(above) => Ok(()),
            Err(refusal) => {
                self.ended.push((above, height, refusal.clone()));
                Err(refusal)
            }
            Ok(()) => Ok(()),
        }
    }
}

fn in_time(certificate: &Certificate, now: Instant) -> Result<(), Refusal> {
    if now < certificate.valid_from() {
        return Err(Refusal::NotYetValid { subject: certificate.subject() });
    }
    if now > certificate.valid_until() {
        return Err(Refusal::Expired { subject: certificate.subject() });
    }
    Ok(())
}
