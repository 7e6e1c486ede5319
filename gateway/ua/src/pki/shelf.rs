//! The folders of the certificate folder, and what lies in each: for judging, for listing, for moving from one to
//! another. Any name will do for a file; what it holds counts.

use std::fs;
use std::path::PathBuf;

use super::certificate::{Certificate, RevocationList, Thumbprint};
use super::{Pki, TrustList, pki_error, remove_if_there, write_whole};
use crate::UaError;

/// One of the folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shelf {
    /// Ours.
    Own,
    /// Trusted by a person.
    Trusted,
    /// Trusted on first use, for one source.
    Pinned,
    /// Authorities that may stand between.
    Issuers,
    /// What each source's server has shown last and was believed. Trusts nobody.
    Used,
    /// Refused.
    Rejected,
    /// Rejected by a person, whoever vouches for it.
    Denied,
    /// Revocation lists.
    Revocations,
}

/// A certificate in a folder.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Which folder.
    pub shelf: Shelf,
    /// The file.
    pub file: PathBuf,
    /// The certificate.
    pub certificate: Certificate,
}

impl Shelf {
    /// Every folder.
    pub const ALL: [Self; 8] = [
        Self::Own,
        Self::Trusted,
        Self::Issuers,
        Self::Revocations,
        Self::Pinned,
        Self::Used,
        Self::Rejected,
        Self::Denied,
    ];

    /// The folder's name.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Trusted => "trusted",
            Self::Pinned => "pinned",
            Self::Issuers => "issuers",
            Self::Used => "used",
            Self::Rejected => "rejected",
            Self::Denied => "denied",
            Self::Revocations => "crl",
        }
    }
}

impl Kept {
    /// Whose it is, where each source's server has a file of its own.
    #[must_use]
    pub fn seat(&self) -> String {
        let name = self.file.file_stem().unwrap_or_default().to_string_lossy();
        let (mut bytes, mut rest) = (Vec::new(), name.as_bytes());
        while let Some((first, more)) = rest.split_first() {
            let escaped = more.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
            match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                Some(byte) => {
                    bytes.push(byte);
                    rest = more.get(2..).unwrap_or_default();
                }
                None => {
                    bytes.push(*first);
                    rest = more;
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether it is the certificate of a server of this source.
    #[must_use]
    pub fn is_of(&self, source: &str) -> bool {
        let seat = self.seat();
        seat.strip_prefix(source).is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
    }
}

impl Pki {
    /// One of the folders. It may not be there.
    #[must_use]
    pub fn shelf(&self, shelf: Shelf) -> PathBuf {
        self.dir().join(shelf.folder())
    }

    /// The file for the server of a source, where each has its own: `press`, or `press@HOST:PORT` for one that stands
    /// in for the first.
    pub(super) fn seat(&self, shelf: Shelf, seat: &str) -> PathBuf {
        // A source's name may hold anything but a `/`.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_ ".contains(&byte);
        let name =
            seat.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") });
        self.shelf(shelf).join(format!("{}.der", name.collect::<String>()))
    }

    /// The certificates in a folder, by file name. Files that hold none are passed over; for those of several, each is
    /// given.
    ///
    /// # Errors
    /// When the folder cannot be read. One that is not there is empty.
    pub fn certificates(&self, shelf: Shelf) -> Result<Vec<Kept>, UaError> {
        let mut kept = Vec::new();
        for file in self.files(shelf)? {
            let Ok(bytes) = fs::read(&file) else { continue };
            // Beside ours lies its key, in PEM too.
            let all = Certificate::all_of(&bytes);
            kept.extend(all.into_iter().map(|certificate| Kept { shelf, file: file.clone(), certificate }));
        }
        Ok(kept)
    }

    /// The files among the revocation lists; `None` for one that holds none.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn revocation_lists(&self) -> Result<Vec<(PathBuf, Option<RevocationList>)>, UaError> {
        let read = |file: PathBuf| {
            let list = fs::read(&file).ok().as_deref().and_then(RevocationList::from_bytes);
            (file, list)
        };
        Ok(self.files(Shelf::Revocations)?.into_iter().map(read).collect())
    }

    /// Everything that certificates are judged by, as it lies there now.
    ///
    /// # Errors
    /// When a folder cannot be read, or a file among the revocation lists is none: what it takes back is not known, so
    /// nothing can be believed on its authority.
    pub fn trust_list(&self) -> Result<TrustList, UaError> {
        let all = |shelf| -> Result<Vec<Certificate>, UaError> {
            Ok(self.certificates(shelf)?.into_iter().map(|kept| kept.certificate).collect())
        };
        let lists = self.revocation_lists()?.into_iter().map(|(path, list)| {
            list.ok_or_else(|| {
                let detail = "it is no revocation list (version 2, DER or PEM); replace it or take it away".to_owned();
                UaError::Pki { doing: "read the revocation list", path, detail }
            })
        });
        let lists = lists.collect::<Result<_, _>>()?;
        Ok(TrustList {
            trusted: all(Shelf::Trusted)?,
            issuers: all(Shelf::Issuers)?,
            denied: all(Shelf::Denied)?,
            lists,
        })
    }

    /// Every certificate whose thumbprint begins with a text; ours, and what is only noted, left out.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn find(&self, thumbprint: &str) -> Result<Vec<Kept>, UaError> {
        let mut found = Vec::new();
        for shelf in [Shelf::Trusted, Shelf::Pinned, Shelf::Issuers, Shelf::Rejected, Shelf::Denied] {
            found.extend(self.certificates(shelf)?);
        }
        found.retain(|kept| kept.certificate.thumbprint().begins_with(thumbprint));
        Ok(found)
    }

    /// Puts a certificate into one folder, and takes it out of the others that speak of trust. Each step leaves whole
    /// files; a kill in between leaves the certificate in both.
    ///
    /// # Errors
    /// When a folder cannot be written.
    pub fn put(&self, certificate: &Certificate, shelf: Shelf) -> Result<PathBuf, UaError> {
        let to = self.shelf(shelf).join(certificate.file_name());
        write_whole(&to, certificate.der())?;
        for kept in self.find(certificate.thumbprint().as_str())? {
            if kept.file != to && kept.shelf != shelf {
                remove_if_there(&kept.file)?;
            }
        }
        Ok(to)
    }

    /// Puts a revocation list in place of an older one of the same authority.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn put_list(&self, list: &RevocationList) -> Result<PathBuf, UaError> {
        let name: String =
            list.issuer().chars().map(|c| if c.is_alphanumeric() || " -_=,.".contains(c) { c } else { '_' }).collect();
        let to = self.shelf(Shelf::Revocations).join(format!("{name}.crl"));
        write_whole(&to, list.der())?;
        Ok(to)
    }

    /// Thumbprint of our own certificate, if there is one.
    #[must_use]
    pub fn own_thumbprint(&self) -> Option<Thumbprint> {
        Certificate::first_of(&fs::read(self.own_certificate_path()).ok()?).map(|own| own.thumbprint())
    }

    fn files(&self, shelf: Shelf) -> Result<Vec<PathBuf>, UaError> {
        let dir = self.shelf(shelf);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(pki_error("read the folder", &dir, &error)),
        };
        let mut files: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        files.sort();
        Ok(files)
    }
}
