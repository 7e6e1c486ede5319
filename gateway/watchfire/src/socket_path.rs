//! The path of a socket as the system takes it, and what a refusal means. Knows nothing of what is said over it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// The longest path of a socket that every system takes, bytes: that of a folder may have thousands.
const PATH_BYTES_MAX: usize = 100;

/// A path by which a socket can be bound or connected to, for as long as this lives.
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
    /// Open for as long as the path goes by it.
    _folder: Option<File>,
}

impl SocketPath {
    /// The path itself, or a short one to the same place.
    ///
    /// # Errors
    /// When it is long, and its folder cannot be opened.
    pub fn of(path: &Path) -> io::Result<Self> {
        let short = path.as_os_str().len() <= PATH_BYTES_MAX || !cfg!(target_os = "linux");
        let (false, Some(folder), Some(name)) = (short, path.parent(), path.file_name()) else {
            return Ok(Self { path: path.to_owned(), _folder: None });
        };
        let folder = File::open(folder)?;
        let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
        Ok(Self { path, _folder: Some(folder) })
    }

    /// What to hand to the system.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether it means that nobody listens: there is no socket, or it is left from who was killed. Anything else, such as a
/// folder that is closed to us, says nothing about that.
pub fn is_nobody_there(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn a_socket_may_lie_deep() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("a".repeat(90)).join("b".repeat(90));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("watchfire.sock");
        assert!(UnixListener::bind(&path).is_err(), "the system does not take it itself");
        let connect = || UnixStream::connect(SocketPath::of(&path)?.path());
        assert!(is_nobody_there(&connect().unwrap_err()), "there is none yet");
        let door = UnixListener::bind(SocketPath::of(&path).unwrap().path()).unwrap();
        assert!(path.exists() && connect().is_ok());
        drop(door);
        assert!(is_nobody_there(&connect().unwrap_err()), "nobody listens any more");
        std::fs::remove_dir_all(top.path().join("a".repeat(90))).unwrap();
        assert!(is_nobody_there(&connect().unwrap_err()), "nor is there a folder");
    }

    #[test]
    fn a_folder_that_is_closed_to_us_does_not_mean_that_nobody_is_there() {
        assert!(!is_nobody_there(&ErrorKind::PermissionDenied.into()));
        assert_eq!(SocketPath::of(Path::new("data/watchfire.sock")).unwrap().path(), "data/watchfire.sock");
    }
}
