//! The key that authenticates what was compiled: a file that is this user's alone, or is no key. It lies elsewhere than
//! what it authenticates, so that who can write there cannot make any of it pass for ours.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use rand::TryRngCore;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = blake3::KEY_LEN;

/// The key in a file; a new one where there is none, or where it is not ours alone.
pub(crate) fn of(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    if let Some(key) = read(path)? {
        return Ok(key);
    }
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let mut key = [0; KEY_BYTES];
    rand::rngs::OsRng.try_fill_bytes(&mut key).map_err(io::Error::other)?;
    write_whole(path, &[&key])?;
    Ok(key)
}

/// What is asked of the file is asked of the one that was opened: its name may mean another by then.
fn read(path: &Path) -> io::Result<Option<[u8; KEY_BYTES]>> {
    let file = match open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(no_key(path, "it is another user's")),
        Err(error) => return Err(error),
    };
    if let Some(reason) = whose(&file)? {
        return Ok(no_key(path, reason));
    }
    let mut key = Vec::new();
    file.take(KEY_BYTES as u64 + 1).read_to_end(&mut key)?;
    Ok(key.try_into().ok().or_else(|| no_key(path, "it has another length")))
}

fn no_key<T>(path: &Path, reason: &str) -> Option<T> {
    tracing::warn!(path = %path.display(), reason, "the key of the compiled plugins is not used; a new one is made");
    None
}

/// A link leads nowhere, and what is no file is not waited for.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.bits().cast_signed());
    options.read(true).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Why an open file is not this user's alone; `None` where it is.
#[cfg(unix)]
fn whose(file: &File) -> io::Result<Option<&'static str>> {
    use std::os::unix::fs::MetadataExt;
    let about = file.metadata()?;
    Ok(match about {
        _ if !about.is_file() => Some("it is no file"),
        _ if about.uid() != rustix::process::geteuid().as_raw() => Some("it is another user's"),
        _ if about.mode() & 0o077 != 0 => Some("others could read or write it"),
        // A file of ours that somebody else has given this name.
        _ if about.nlink() != 1 => Some("it has another name as well"),
        _ => None,
    })
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as where files have owners")]
fn whose(_file: &File) -> io::Result<Option<&'static str>> {
    Ok(None)
}

/// Writes a private file beside its place and renames it, so that nobody ever reads half of it.
pub(crate) fn write_whole(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let part = path.with_extension(format!("{}.part", std::process::id()));
    // What was left behind, or put there by somebody, is not written into.
    if let Err(error) = fs::remove_file(&part)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&part)?;
    for bytes in parts {
        file.write_all(bytes)?;
    }
    file.sync_all()?;
    fs::rename(&part, path)
}

/// A folder that is the user's alone where it has to be made.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_key_is_used_again_only_while_it_is_ours_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/own.key");
        let key = of(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(of(&path).unwrap(), key);
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        for (what, misdeed) in [
            ("readable", &(|| mode(0o640)) as &dyn Fn()),
            ("writable", &|| mode(0o602)),
            ("short", &|| fs::write(&path, [7; KEY_BYTES - 1]).unwrap()),
            ("long", &|| fs::write(&path, [7; KEY_BYTES + 1]).unwrap()),
            ("two names", &|| fs::hard_link(&path, folder.path().join("other")).unwrap()),
        ] {
            let before = of(&path).unwrap();
            misdeed();
            let after = of(&path).unwrap();
            assert_ne!(after, before, "{what}");
            assert_eq!(of(&path).unwrap(), after, "{what}");
        }
    }

    #[test]
    fn a_key_of_another_user_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.key");
        let planted = of(&path).unwrap();
        // Only who may give files away can try; all others cannot plant one.
        if std::os::unix::fs::chown(&path, Some(65_534), None).is_ok() {
            assert_ne!(of(&path).unwrap(), planted);
        }
    }

    #[test]
    fn a_link_in_its_place_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let (path, known) = (folder.path().join("own.key"), folder.path().join("known"));
        write_whole(&known, &[&[7; KEY_BYTES]]).unwrap();
        symlink(&known, &path).unwrap();
        assert!(of(&path).is_err());
    }

    #[test]
    fn nothing_is_written_into_what_somebody_has_put_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.compiled");
        let victim = folder.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        symlink(&victim, path.with_extension(format!("{}.part", std::process::id()))).unwrap();
        write_whole(&path, &[b"code"]).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"untouched");
        assert_eq!(fs::read(&path).unwrap(), b"code");
    }
}
