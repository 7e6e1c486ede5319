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

/// A file and when it was written.
type Written = (SystemTime, OsString);

/// Watches the folder of rejected certificates.
#[derive(Debug)]
pub(crate) struct Rejected {
    pki: Pki,
    told: BTreeSet<Written>,
    /// When a person last put something into `trusted`.
    trusted_at: Option<SystemTime>,
}

impl Rejected {
    pub(crate) fn new(pki: Pki) -> Self {
        let told = files(&pki.rejected_dir());
        Self { pki, told, trusted_at: None }
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
        let trusted_at = std::fs::metadata(self.pki.trusted_dir()).and_then(|data| data.modified()).ok();
        let trust_has_changed = trusted_at != std::mem::replace(&mut self.trusted_at, trusted_at);
        let mut found = files(&dir);
        let mut refused = Vec::new();
        for written in &found {
            let (file, is_new) = (dir.join(&written.1), !self.told.contains(written));
            if !is_new && !trust_has_changed {
                continue;
            }
            let put_right = self.is_trusted_under_another_name(&file);
            if is_new && !put_right {
                refused.push(file);
            }
        }
        while found.len() > KEPT_MAX
            && let Some((_, oldest)) = found.pop_first()
        {
            // Fails only if it is gone already, or the folder cannot be written; the next look tries again.
            drop(std::fs::remove_file(dir.join(oldest)));
        }
        self.told = found;
        refused
    }

    /// The stack looks for a certificate under one name only; people choose others.
    fn is_trusted_under_another_name(&self, file: &Path) -> bool {
        let Ok(certificate) = CertificateStore::read_cert(file) else { return false };
        // Judging trusts nothing new: it copies within `trusted`, and takes the file out of `rejected`.
        matches!(self.pki.judge(&certificate, false), Ok(Trust::Trusted))
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
        let mut rejected = Rejected::new(pki.clone());
        for at in 0..KEPT_MAX + 3 {
            let file = std::fs::File::create(pki.rejected_dir().join(format!("{at}.der"))).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(at as u64)).unwrap();
        }
        assert_eq!(rejected.look().len(), KEPT_MAX + 3);
        assert_eq!(files(&pki.rejected_dir()).len(), KEPT_MAX);
        assert!(!pki.rejected_dir().join("2.der").exists() && pki.rejected_dir().join("3.der").exists());
        assert!(rejected.look().is_empty());
    }
}
