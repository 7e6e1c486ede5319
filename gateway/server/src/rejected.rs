//! Clients whose certificate is not trusted: says which file a person has to move, and keeps their number bounded.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use opcua::crypto::CertificateStore;
use watchfire_ua::{Pki, Trust};

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Certificates that are kept for a person to decide on; anybody can send one.
const KEPT_MAX: usize = 200;

/// Watches the folder of rejected certificates.
#[derive(Debug)]
pub(crate) struct Rejected {
    pki: Pki,
    told: BTreeSet<OsString>,
}

impl Rejected {
    pub(crate) fn new(pki: Pki) -> Self {
        let told = names(&pki.rejected_dir()).into_iter().map(|(_, name)| name).collect();
        Self { pki, told }
    }

    /// Looks for ever.
    pub(crate) async fn watch(mut self) {
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            let looked = tokio::task::spawn_blocking(move || (self.look(), self));
            match looked.await {
                Ok((refused, again)) => {
                    self = again;
                    self.tell(&refused);
                }
                Err(_) => return std::future::pending().await,
            }
        }
    }

    fn tell(&self, refused: &[PathBuf]) {
        for file in refused {
            tracing::warn!(
                file = %file.display(),
                to = %self.pki.trusted_dir().display(),
                "a client was refused, its certificate is not trusted; to trust it, move the file"
            );
        }
    }

    /// The certificates that were refused since the last look. Those that lie in `trusted` under another name are put
    /// right instead.
    pub(crate) fn look(&mut self) -> Vec<PathBuf> {
        let dir = self.pki.rejected_dir();
        let mut found = names(&dir);
        let new = found.iter().map(|(_, name)| name).filter(|name| !self.told.contains(*name)).map(|name| dir.join(name));
        let refused = new.filter(|file| !self.is_trusted_under_another_name(file)).collect();
        found.sort();
        let excess = found.len().saturating_sub(KEPT_MAX);
        for (_, name) in found.drain(..excess) {
            // Fails only if it is gone already, or the folder cannot be written; the next look tries again.
            drop(std::fs::remove_file(dir.join(name)));
        }
        self.told = found.into_iter().map(|(_, name)| name).collect();
        refused
    }

    /// The stack looks for a certificate under one name only; people choose others.
    fn is_trusted_under_another_name(&self, file: &Path) -> bool {
        let Ok(certificate) = CertificateStore::read_cert(file) else { return false };
        // Judging trusts nothing new: it copies within `trusted`, and takes the file out of `rejected`.
        matches!(self.pki.judge(&certificate, false), Ok(Trust::Trusted))
    }
}

/// Files and when they were written, unsorted.
fn names(dir: &Path) -> Vec<(SystemTime, OsString)> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let dated = |entry: std::fs::DirEntry| {
        let written = entry.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        (written, entry.file_name())
    };
    entries.map(dated).collect()
}
