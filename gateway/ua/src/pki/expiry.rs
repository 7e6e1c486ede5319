//! What of the folder runs out: our certificate, those that sources' servers show, authorities, revocation lists. Reads
//! no clock and says nothing to people.

use std::path::PathBuf;

use watchfire_model::Instant;

use super::{Certificate, Pki, Shelf};
use crate::UaError;

/// What runs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Our own certificate.
    Own,
    /// What the server of a source has shown last: the source's name, or `NAME@HOST:PORT`.
    Server(String),
    /// An authority that is trusted, or stands between.
    Authority,
    /// A revocation list, which was to be replaced by then.
    RevocationList,
}

/// Something with an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiring {
    /// What it is.
    pub held: Held,
    /// Its owner, or who gave out the list; for people.
    pub subject: String,
    /// Where it lies.
    pub file: PathBuf,
    /// Its end.
    pub until: Instant,
}

impl Pki {
    /// Everything that is no longer valid at `by`, the first to end first. Of two certificates of the same authority only
    /// the one that is valid longer counts, since the other one was replaced; the same holds for revocation lists.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn expiring(&self, by: Instant) -> Result<Vec<Expiring>, UaError> {
        let mut all = Vec::new();
        for kept in self.certificates(Shelf::Own)? {
            if kept.file == self.own_certificate_path() {
                all.push(expiring(Held::Own, &kept.certificate, kept.file));
            }
        }
        for kept in self.certificates(Shelf::Used)? {
            let seat = kept.seat();
            all.push(expiring(Held::Server(seat), &kept.certificate, kept.file));
        }
        let mut replaceable = Vec::new();
        for shelf in [Shelf::Trusted, Shelf::Issuers] {
            for kept in self.certificates(shelf)? {
                // Applications often have certificates that may sign their own.
                if kept.certificate.is_authority() && kept.certificate.application_uri().is_none() {
                    replaceable.push(expiring(Held::Authority, &kept.certificate, kept.file));
                }
            }
        }
        for (file, list) in self.revocation_lists()? {
            let Some((list, until)) = list.and_then(|list| Some((list.issuer(), list.next_update()?))) else {
                continue;
            };
            replaceable.push(Expiring { held: Held::RevocationList, subject: list, file, until });
        }
        let newest = |one: &Expiring| {
            let same = |other: &&Expiring| (&other.held, &other.subject) == (&one.held, &one.subject);
            replaceable.iter().filter(same).all(|other| other.until <= one.until)
        };
        all.extend(replaceable.iter().filter(|one| newest(one)).cloned());
        all.retain(|one| one.until < by);
        all.sort_by(|a, b| (a.until, &a.file).cmp(&(b.until, &b.file)));
        Ok(all)
    }
}

fn expiring(held: Held, certificate: &Certificate, file: PathBuf) -> Expiring {
    Expiring { held, subject: certificate.subject(), file, until: certificate.valid_until() }
}
