//! To whom belongs what is made in the folder of certificates: to whom the folder belongs. An administrator's commands
//! would else leave there what is closed to the gateway.

use std::fs;
use std::path::Path;

use super::pki_error;
use crate::UaError;

/// Makes a folder, and those above it that are missing, each as its parent's owner's.
pub(super) fn make_folder(dir: &Path) -> Result<(), UaError> {
    let missing: Vec<&Path> =
        dir.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    fs::create_dir_all(dir).map_err(|error| pki_error("make the folder", dir, &error))?;
    missing.into_iter().rev().try_for_each(as_its_folder)
}

/// Gives what was made to the owner of the folder that it is in.
pub(super) fn as_its_folder(made: &Path) -> Result<(), UaError> {
    let folder = made.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    same_owner(folder, made)
}

/// Gives a file to whom another one belongs: an administrator's files would be closed to the gateway.
pub(super) fn same_owner(of: &Path, file: &Path) -> Result<(), UaError> {
    match give(of, file) {
        // Only root gives files away. What another makes is its own, and open to whom it was made.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        given => given.map_err(|error| pki_error("give an owner", file, &error)),
    }
}

#[cfg(unix)]
fn give(of: &Path, file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let (of, now) = (fs::metadata(of)?, fs::metadata(file)?);
    if (now.uid(), now.gid()) == (of.uid(), of.gid()) {
        return Ok(());
    }
    std::os::unix::fs::chown(file, Some(of.uid()), Some(of.gid()))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as where files have owners")]
fn give(_of: &Path, _file: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt, chown};

    use super::*;
    use crate::{Application, Pki};

    #[test]
    fn what_an_administrator_makes_there_belongs_to_the_gateways_user() {
        let site = tempfile::tempdir().unwrap();
        let data = site.path().join("data");
        fs::create_dir(&data).unwrap();
        // Only root can give it to somebody; else it is everybody's own, as all below it.
        let _given = chown(&data, Some(65_534), Some(65_534));
        let owner = |path: &Path| (fs::metadata(path).unwrap().uid(), fs::metadata(path).unwrap().gid());
        let theirs = owner(&data);
        let pki = Pki::new(data.join("pki"));
        assert!(pki.ensure_own(&Application::on_this_host("gateway")).unwrap());
        pki.serve_own().unwrap();
        let shown = fs::read(pki.own_certificate_path()).unwrap();
        pki.note_used("press", &shown).unwrap();
        let mut seen = 0;
        let mut folders = vec![pki.dir().to_owned()];
        while let Some(folder) = folders.pop() {
            assert_eq!(owner(&folder), theirs, "{}", folder.display());
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                assert_eq!(owner(&path), theirs, "{}", path.display());
                seen += usize::from(path.is_file());
                folders.extend(path.is_dir().then_some(path));
            }
        }
        assert_eq!(seen, 5, "a certificate and its key, those that are served, and one that was seen");
    }
}
