//! Which certificates and revocation lists run out, and the command that mends each: what the alarm
//! `gateway/certificates` says.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use watchfire_config::{Config, Security};
use watchfire_model::Instant;
use watchfire_pipeline::Ends;
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
pub struct LiveEnds(RwLock<Arc<CertificateEnds>>);

impl LiveEnds {
    /// Begins with these.
    pub fn new(ends: CertificateEnds) -> Self {
        Self(RwLock::new(Arc::new(ends)))
    }

    /// Looks at others from now on.
    pub fn set(&self, ends: CertificateEnds) {
        *self.0.write() = Arc::new(ends);
    }
}

impl Ends for LiveEnds {
    fn soon(&self, now: Instant) -> Option<String> {
        let ends = self.0.read().clone();
        ends.soon(now)
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

    fn told(&self, one: &Expiring, now: Instant) -> Option<String> {
        let (when, subject, file) = (when(one.until, now), &one.subject, one.file.display());
        Some(match &one.held {
            Held::Own if !self.shows_own => return None,
            Held::Own => format!("the gateway's own certificate {when}: run `watchfire certs renew`"),
            Held::Server(seat) => {
                let is_of =
                    |name: &str| seat.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('@'));
                self.sources.iter().find(|(name, _)| is_of(name))?;
                format!(
                    "the certificate `{subject}` of the server of source `{seat}` {when}: have it renewed there, then run \
                     `watchfire certs trust FILE` with the new one"
                )
            }
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
        })
    }

    /// What sources log in with.
    fn logins(&self, by: Instant, now: Instant) -> Vec<String> {
        let login = |(source, file): &(String, Option<PathBuf>)| {
            let file = file.as_ref()?;
            let until = Certificate::first_of(&std::fs::read(file).ok()?)?.valid_until();
            let file = file.display();
            (until < by).then(|| {
                format!("the user certificate `{file}` of source `{source}` {}: put a new one there", when(until, now))
            })
        };
        self.sources.iter().filter_map(login).collect()
    }
}

impl Ends for CertificateEnds {
    fn soon(&self, now: Instant) -> Option<String> {
        let by = now.plus(self.warning);
        let mut told = match self.pki.expiring(by) {
            Ok(expiring) => expiring.iter().filter_map(|one| self.told(one, now)).collect(),
            Err(error) => vec![format!("whether certificates run out is not known: {error}")],
        };
        told.extend(self.logins(by, now));
        (!told.is_empty()).then(|| told.join("; "))
    }
}

/// Without the days that are left, so that the text stays as it is from day to day.
fn when(until: Instant, now: Instant) -> String {
    if until < now { format!("has expired on {until}") } else { format!("expires on {until}") }
}
