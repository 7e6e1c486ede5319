//! Passwords: where they come from, and a type that does not print them.

use std::fmt;
use std::path::PathBuf;

/// Text that must not reach a log: `Debug` prints `***`, there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes over a text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, to hand to whoever must have it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a password is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordFrom {
    /// The first line of a file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
}

/// Why a password cannot be had; the connection has to wait for a person.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("password file `{}` cannot be read: {cause}; make it readable by the user the gateway runs as", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        cause: std::io::Error,
    },
    /// The file has no text in its first line.
    #[error("password file `{}` is empty; write the password on its first line", .0.display())]
    Empty(PathBuf),
    /// The variable is not set, or is not text.
    #[error("environment variable `{0}` holds no password; set it where the gateway is started")]
    Environment(String),
}

impl PasswordFrom {
    /// Reads the password now. Blocks on a file.
    ///
    /// # Errors
    /// When there is none, by its place.
    pub fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::File(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|cause| SecretError::File { path: path.clone(), cause })?;
                match text.lines().next() {
                    Some(line) if !line.is_empty() => Ok(Secret::new(line.to_owned())),
                    _ => Err(SecretError::Empty(path.clone())),
                }
            }
            Self::Environment(name) => match std::env::var(name) {
                Ok(text) if !text.is_empty() => Ok(Secret::new(text)),
                _ => Err(SecretError::Environment(name.clone())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".into())), "***");
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let read = || PasswordFrom::File(path.clone()).read();
        assert!(matches!(read(), Err(SecretError::File { .. })));
        std::fs::write(&path, "\nsecond").unwrap();
        assert!(matches!(read(), Err(SecretError::Empty(_))));
        std::fs::write(&path, " first \r\nsecond").unwrap();
        assert_eq!(read().unwrap().expose(), " first ");
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let error = PasswordFrom::Environment("WATCHFIRE_NO_SUCH_VARIABLE".into()).read().unwrap_err();
        assert!(error.to_string().contains("`WATCHFIRE_NO_SUCH_VARIABLE`"));
    }
}
