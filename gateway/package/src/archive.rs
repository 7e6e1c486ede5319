//! The container: a plain tar file (POSIX ustar) of plain files in one folder, so that every system opens a package
//! with what it has. Of what tar can hold this reads the least: no links, folders, long names, extensions or holes, so
//! that no two readers can take one package for two things. Knows no manifest.

use crate::PackageError;

/// Everything in a tar file comes in blocks of so many bytes.
const BLOCK: usize = 512;
/// The most files in a package.
const ENTRIES_MAX: usize = 16;
/// The longest name, bytes.
const NAME_BYTES_MAX: usize = 80;
/// What every header says of itself: as POSIX has it, and as GNU tar writes it for plain files too.
const MAGICS: [&[u8; 8]; 2] = [b"ustar\x0000", b"ustar  \x00"];

/// Where the parts of a header stand, and how long they are.
const NAME: (usize, usize) = (0, 100);
const MODE: (usize, usize) = (100, 8);
const OWNERS: [(usize, usize); 2] = [(108, 8), (116, 8)];
const SIZE: (usize, usize) = (124, 12);
const TIME: (usize, usize) = (136, 12);
const SUM: (usize, usize) = (148, 8);
const KIND: (usize, usize) = (156, 1);
const LINK: (usize, usize) = (157, 100);
const MAGIC: (usize, usize) = (257, 8);
const PREFIX: (usize, usize) = (345, 155);

/// A file in a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub name: &'a str,
    pub bytes: &'a [u8],
    /// Where its bytes begin in the archive; of no concern when one is written.
    pub start: usize,
}

impl<'a> Entry<'a> {
    pub(crate) const fn new(name: &'a str, bytes: &'a [u8]) -> Self {
        Self { name, bytes, start: 0 }
    }
}

/// A name that leads nowhere else, on any system.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.starts_with('.') && name.chars().all(plain)
}

/// The files of an archive, in their order.
///
/// # Errors
/// For everything that is not a plain archive of plain files, each once.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Entry<'_>>, PackageError> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut rest = bytes;
    loop {
        let Some((header, after)) = rest.split_at_checked(BLOCK) else {
            return Err(if entries.is_empty() { no_archive() } else { PackageError::CutShort { bytes: bytes.len() } });
        };
        if header.iter().all(|byte| *byte == 0) {
            let zero = after.iter().all(|byte| *byte == 0);
            return match (entries.is_empty(), after.len() >= BLOCK, zero) {
                (true, ..) => Err(no_archive()),
                (_, false, _) => Err(PackageError::CutShort { bytes: bytes.len() }),
                (.., false) => Err(no_package("something follows after its end")),
                _ => Ok(entries),
            };
        }
        let (name, size) = entry(header)?;
        if entries.iter().any(|known| known.name == name) {
            return Err(PackageError::Twice { name: name.to_owned() });
        }
        if entries.len() == ENTRIES_MAX {
            return Err(PackageError::TooMany { most: ENTRIES_MAX });
        }
        let cut = || PackageError::CutShort { bytes: bytes.len() };
        let padded = size.checked_next_multiple_of(BLOCK).ok_or_else(cut)?;
        let (whole, following) = after.split_at_checked(padded).ok_or_else(cut)?;
        let (content, padding) = whole.split_at_checked(size).ok_or_else(cut)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(no_package("something is hidden between its files"));
        }
        entries.push(Entry { name, bytes: content, start: bytes.len() - after.len() });
        rest = following;
    }
}

/// An archive of these files, the same bytes for the same files.
pub(crate) fn write(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let mut header = [0_u8; BLOCK];
        put(&mut header, NAME, entry.name.as_bytes());
        put(&mut header, MODE, b"0000644\0");
        OWNERS.iter().for_each(|owner| put(&mut header, *owner, b"0000000\0"));
        put(&mut header, SIZE, format!("{:011o}\0", entry.bytes.len()).as_bytes());
        put(&mut header, TIME, b"00000000000\0");
        put(&mut header, KIND, b"0");
        put(&mut header, MAGIC, MAGICS[0]);
        let sum = format!("{:06o}\0 ", sum(&header));
        put(&mut header, SUM, sum.as_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(entry.bytes);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    bytes
}

fn no_package(reason: &str) -> PackageError {
    PackageError::NoPackage { reason: reason.to_owned() }
}

fn no_archive() -> PackageError {
    no_package("it is no tar archive")
}

/// Name and size of what a header announces.
fn entry(header: &[u8]) -> Result<(&str, usize), PackageError> {
    let magic = part(header, MAGIC);
    if !MAGICS.iter().any(|known| magic == known.as_slice()) || octal(part(header, SUM)) != Some(sum(header)) {
        return Err(no_archive());
    }
    let raw = upto_zero(part(header, NAME));
    let name = str::from_utf8(raw).ok().filter(|name| is_name(name) && upto_zero(part(header, PREFIX)).is_empty());
    let Some(name) = name else {
        let prefix = String::from_utf8_lossy(upto_zero(part(header, PREFIX)));
        let slash = if prefix.is_empty() { "" } else { "/" };
        let name = format!("{prefix}{slash}{}", String::from_utf8_lossy(raw)).escape_debug().to_string();
        return Err(PackageError::EntryName { name });
    };
    let kind = part(header, KIND);
    if !matches!(kind, b"0" | b"\0") || !upto_zero(part(header, LINK)).is_empty() {
        let kind = String::from_utf8_lossy(kind).escape_debug().to_string();
        return Err(PackageError::EntryKind { name: name.to_owned(), kind });
    }
    let size = octal(part(header, SIZE)).and_then(|size| usize::try_from(size).ok());
    let size = size.ok_or_else(|| no_package(&format!("the size of `{name}` is no number")))?;
    Ok((name, size))
}

/// A part of a block; empty outside of it.
fn part(header: &[u8], (at, len): (usize, usize)) -> &[u8] {
    header.get(at..at + len).unwrap_or_default()
}

fn put(header: &mut [u8; BLOCK], (at, len): (usize, usize), bytes: &[u8]) {
    let places = header.iter_mut().skip(at).take(len);
    places.zip(bytes).for_each(|(place, byte)| *place = *byte);
}

fn upto_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits up to a zero or a blank; `None` for anything else, the binary form of huge sizes included.
fn octal(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.iter().position(|byte| matches!(byte, 0 | b' ')).map_or(bytes, |end| part(bytes, (0, end)));
    let text = str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    u64::from_str_radix(text, 8).ok()
}

/// The sum over a header, in which the sum itself counts as blanks.
fn sum(header: &[u8]) -> u64 {
    let (at, len) = SUM;
    let bytes = header.iter().enumerate();
    bytes.map(|(place, byte)| if (at..at + len).contains(&place) { u64::from(b' ') } else { u64::from(*byte) }).sum()
}
