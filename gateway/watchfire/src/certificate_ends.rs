//! Which certificates and revocation lists run out, and the command that mends each: what the alarm
//! `gateway/certificates` says.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use watchfire_config::{Config, Security};
use watchfire_model::Instant;
use watchfire_pipeline::{CertificatePurpose, EndingCertificate, Ends, FirstToEnd};
use watchfire_ua::{Certificate, Expiring, Held, Pki};

const DAY: Duration = Duration::from_secs(86_400);

/// The certificates of a gateway and of those it connects to.
#[derive(Debug)]
pub struct CertificateEnds {
    pki: Pki,
    warning: Duration,
    /// Sources whose connections are secured, with the certificate that each logs in with.
    sources: Vec<(String, Option<PathBuf>)>,
    /// Whether anything shows our own.
    shows_own: bool,
}

/// The same while the configuration may be taken over anew.
#[derive(Debug)]
pub struct LiveEnds {
    ends: RwLock<Arc<CertificateEnds>>,
    first: Arc<FirstToEnd>,
}

impl LiveEnds {
    /// Begins with these; says in `first` which certificate ends first.
    pub fn new(ends: CertificateEnds, first: Arc<FirstToEnd>) -> Self {
        Self { ends: RwLock::new(Arc::new(ends)), first }
    }

    /// Looks at others from now on.
    pub fn set(&self, ends: CertificateEnds) {
        *self.ends.write() = Arc::new(ends);
    }
}

impl Ends for LiveEnds {
    fn soon(&self, now: Instant) -> Option<String> {
        let ends = self.ends.read().clone();
        let (soon, first) = ends.look(now);
        self.first.set(first);
        soon
    }
}

impl CertificateEnds {
    /// Those of a configuration.
    pub fn new(config: &Config, pki: PathBuf) -> Self {
        let secured = config.sources.iter().filter(|source| source.security != Security::None);
        let sources: Vec<_> = secured
            .map(|source| {
                let login = source.user_certificate.as_ref().map(|files| files.certificate.clone());
                (source.name.clone(), login)
            })
            .collect();
        let serves = config.server.security.iter().any(|security| *security != Security::None);
        Self {
            pki: Pki::new(pki),
            warning: DAY * config.gateway.certificate_warning_days,
            shows_own: serves || !sources.is_empty(),
            sources,
        }
    }

    /// Whether it matters to this gateway that it ends.
    fn concerns(&self, one: &Expiring) -> bool {
        match &one.held {
            Held::Own => self.shows_own,
            Held::Server(seat) => {
                let is_of =
                    |name: &str| seat.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('@'));
                self.sources.iter().any(|(name, _)| is_of(name))
            }
            Held::Authority | Held::RevocationList => true,
        }
    }

    /// What sources log in with, the first to end first.
    fn logins(&self) -> Vec<Login<'_>> {
        let with_login = self.sources.iter().filter_map(|(source, file)| Some((source, file.as_ref()?)));
        let read = with_login.filter_map(|(source, file)| {
            let certificate = Certificate::first_of(&std::fs::read(file).ok()?)?;
            Some(Login { source, file, certificate })
        });
        let mut logins: Vec<Login<'_>> = read.collect();
        logins.sort_by_key(|login| login.certificate.valid_until());
        logins
    }

    /// What ends soon, for people, and the certificate that ends first, soon or not.
    fn look(&self, now: Instant) -> (Option<String>, Option<EndingCertificate>) {
        let by = now.plus(self.warning);
        let logins = self.logins();
        let mut first = logins.first().map(|login| self.ending(&login.certificate, CertificatePurpose::User));
        let mut soon = match self.pki.expiring(Instant::MAX) {
            Ok(mut all) => {
                all.retain(|one| self.concerns(one));
                let held = all.iter().find_map(|one| self.ending_of(one));
                let is_earlier =
                    |other: &EndingCertificate| first.as_ref().is_none_or(|first| other.until < first.until);
                first = held.filter(is_earlier).or(first);
                all.iter().filter(|one| one.until < by).map(|one| told(one, now)).collect()
            }
            Err(error) => vec![format!("whether certificates run out is not known: {error}")],
        };
        let ending = logins.iter().filter(|login| login.certificate.valid_until() < by);
        soon.extend(ending.map(|login| login.told(now)));
        ((!soon.is_empty()).then(|| soon.join("; ")), first)
    }

    fn ending(&self, certificate: &Certificate, purpose: CertificatePurpose) -> EndingCertificate {
        let (until, der) = (certificate.valid_until(), certificate.der().to_vec());
        EndingCertificate { until, purpose, der, warning: self.warning }
    }

    /// `None` for what is no certificate, or not there any more.
    fn ending_of(&self, one: &Expiring) -> Option<EndingCertificate> {
        let purpose = match one.held {
            Held::Own => CertificatePurpose::Own,
            Held::Server(_) => CertificatePurpose::Application,
            Held::Authority => CertificatePurpose::Authority,
            Held::RevocationList => return None,
        };
        let certificates = Certificate::all_of(&std::fs::read(&one.file).ok()?);
        let certificate = certificates.iter().find(|found| found.valid_until() == one.until)?;
        Some(self.ending(certificate, purpose))
    }
}

/// What a source logs in with.
struct Login<'a> {
    source: &'a str,
    file: &'a Path,
    certificate: Certificate,
}

impl Login<'_> {
    fn told(&self, now: Instant) -> String {
        let (file, source, when) = (self.file.display(), self.source, when(self.certificate.valid_until(), now));
        format!("the user certificate `{file}` of source `{source}` {when}: put a new one there")
    }
}

/// That it ends, and what mends it.
fn told(one: &Expiring, now: Instant) -> String {
    let (when, subject, file) = (when(one.until, now), &one.subject, one.file.display());
    match &one.held {
        Held::Own => format!("the gateway's own certificate {when}: run `watchfire certs renew`"),
        Held::Server(seat) => format!(
            "the certificate `{subject}` of the server of source `{seat}` {when}: have it renewed there, then run \
             `watchfire certs trust FILE` with the new one"
        ),
        Held::Authority => format!(
            "the authority `{subject}` (`{file}`) {when}: get its new certificate and run `watchfire certs trust FILE`, \
             with `--issuer` if it stands between"
        ),
        Held::RevocationList => format!(
            "the revocation list of `{subject}` (`{file}`) {}: get the new one and run `watchfire certs trust FILE`",
            if one.until < now {
                format!("was to be replaced by {}", one.until)
            } else {
                format!("is to be replaced by {}", one.until)
            }
        ),
    }
}

/// Without the days that are left, so that the text stays as it is from day to day.
fn when(until: Instant, now: Instant) -> String {
    if until < now { format!("has expired on {until}") } else { format!("expires on {until}") }
}
