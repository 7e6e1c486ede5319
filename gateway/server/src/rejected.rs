//! Clients whose certificate is not trusted: says why and what a person can do, and keeps their number bounded.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use watchfire_model::Clock;
use watchfire_ua::{Peer, Pki, Refused, Trust};

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Certificates that are kept for a person to decide on; anybody can send one.
const KEPT_MAX: usize = 200;

/// A file and when it was written.
type Written = (SystemTime, OsString);

/// Watches the folder of rejected certificates.
pub(crate) struct Rejected {
    pki: Pki,
    clock: Arc<dyn Clock>,
    told: BTreeSet<Written>,
}

impl Rejected {
    pub(crate) fn new(pki: Pki, clock: Arc<dyn Clock>) -> Self {
        let told = files(&pki.rejected_dir());
        Self { pki, clock, told }
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
                    tell(&refused);
                }
                Err(_) => return std::future::pending().await,
            }
        }
    }

    /// The certificates that were refused since the last look, and would be again.
    pub(crate) fn look(&mut self) -> Vec<Refused> {
        let dir = self.pki.rejected_dir();
        let mut found = files(&dir);
        let new = found.difference(&self.told).map(|written| dir.join(&written.1));
        let refused = new.filter_map(|file| self.refused(&file)).collect();
        while found.len() > KEPT_MAX
            && let Some((_, oldest)) = found.pop_first()
        {
            // Fails only if it is gone already, or the folder cannot be written; the next look tries again.
            drop(std::fs::remove_file(dir.join(oldest)));
        }
        self.told = found;
        refused
    }

    fn refused(&self, file: &Path) -> Option<Refused> {
        match self.pki.judge(&std::fs::read(file).ok()?, &Peer::default(), self.clock.now()) {
            Ok(Trust::Refused(refused)) => Some(*refused),
            _ => None,
        }
    }
}

fn tell(refused: &[Refused]) {
    for refused in refused {
        let reason = refused.to_string();
        tracing::warn!(file = %refused.file.display(), reason, "a certificate was refused");
    }
}

/// The files of a folder, the oldest first.
fn files(dir: &Path) -> BTreeSet<Written> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let dated = |entry: std::fs::DirEntry| {
        let written = entry.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        (written, entry.file_name())
    };
    entries.map(dated).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_kept_and_the_newest() {
        let folder = tempfile::TempDir::new().unwrap();
        let pki = Pki::new(folder.path());
        std::fs::create_dir_all(pki.rejected_dir()).unwrap();
        let mut rejected = Rejected::new(pki.clone(), Arc::new(watchfire_model::SystemClock));
        for at in 0..KEPT_MAX + 3 {
            let file = std::fs::File::create(pki.rejected_dir().join(format!("{at}.der"))).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(at as u64)).unwrap();
        }
        assert!(rejected.look().is_empty(), "what holds no certificate is no news");
        assert_eq!(files(&pki.rejected_dir()).len(), KEPT_MAX);
        assert!(!pki.rejected_dir().join("2.der").exists() && pki.rejected_dir().join("3.der").exists());
        assert!(rejected.look().is_empty());
    }
}
