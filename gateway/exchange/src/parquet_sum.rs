//! The checksum of a whole Parquet file: a BLAKE3 of all its bytes stands in its own metadata, where its own digits count
//! as zeros. The library checks checksums of pages, which others write, and writes none itself; those would say nothing of
//! the metadata. It is looked for in the metadata's bytes, since what is damaged may be understood as something else. Knows
//! no columns.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use crate::ExchangeError;

/// The name of the checksum in the file's metadata.
pub const KEY: &str = "watchfire:blake3";
/// How the program that writes it calls itself (`created_by`).
pub const CREATED_BY: &str = "watchfire version";
/// Between a name and its text, in Thrift's compact protocol: the field's type and how long the text is.
const BETWEEN: usize = 2;
/// Hexadecimal digits of a checksum.
const DIGITS: usize = 64;
/// What ends a file: the length of its metadata, and the name of the form.
const TAIL_BYTES: u64 = 8;
/// Read at once.
const STEP: usize = 1 << 20;

/// What stands in the place of the checksum until it is known.
pub fn unknown() -> String {
    "0".repeat(DIGITS)
}

/// Writes on, sums up, and puts the checksum into the metadata, which comes last.
pub struct Summing<W> {
    out: W,
    sum: blake3::Hasher,
    /// The metadata, once it has begun.
    last: Option<Vec<u8>>,
}

impl<W: Write> Summing<W> {
    /// Nothing is written yet.
    pub fn new(out: W) -> Self {
        Self { out, sum: blake3::Hasher::new(), last: None }
    }

    /// What follows is the metadata, with [`unknown`] under its name.
    pub fn begin_metadata(&mut self) {
        self.last.get_or_insert_default();
    }

    /// Writes the metadata with the checksum.
    pub fn finish(mut self) -> Result<(), ExchangeError> {
        let mut last = self.last.take().unwrap_or_default();
        self.sum.update(&last);
        let sum = self.sum.finalize().to_hex();
        let place = digits_in(&mut last);
        place
            .ok_or_else(|| ExchangeError::Form("there is no place for a checksum".to_owned()))?
            .copy_from_slice(sum.as_bytes());
        self.out.write_all(&last)?;
        Ok(self.out.flush()?)
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(last) = &mut self.last {
            last.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let written = self.out.write(bytes)?;
        self.sum.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Reads a file to its end and holds it against the checksum that its metadata has. Costs as much as reading it; a file of
/// another make is not looked at, and is not known to be whole (`false`).
///
/// # Errors
/// When it is another one, or is missing.
pub fn verify(file: &mut File) -> Result<bool, ExchangeError> {
    let length = file.seek(SeekFrom::End(0))?;
    let tail_at = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(tail_at))?;
    let mut tail = [0; 4];
    file.read_exact(&mut tail)?;
    let begin = tail_at.saturating_sub(u32::from_le_bytes(tail).into());
    file.seek(SeekFrom::Start(begin))?;
    let mut last = Vec::new();
    file.read_to_end(&mut last)?;
    let Some(digits) = digits_in(&mut last) else {
        let is_ours = place_of(CREATED_BY, &last).is_some();
        return if is_ours { Err(damaged("its checksum is missing")) } else { Ok(false) };
    };
    let noted = String::from_utf8_lossy(digits).into_owned();
    digits.fill(b'0');

    let mut sum = blake3::Hasher::new();
    file.seek(SeekFrom::Start(0))?;
    let (mut left, mut step) = (begin, vec![0; STEP]);
    while left > 0 {
        let some = usize::try_from(left).unwrap_or(STEP).min(STEP);
        let some = step.get_mut(..some).unwrap_or_default();
        file.read_exact(some)?;
        sum.update(some);
        left -= some.len() as u64;
    }
    sum.update(&last);
    let sum = sum.finalize().to_hex();
    if *sum.as_str() == *noted {
        return Ok(true);
    }
    Err(damaged(&format!(
        "its checksum is {sum}, and {noted} is noted in it; export it again or restore it, or leave out its metadata `{KEY}` if another program wrote it anew"
    )))
}

fn damaged(why: &str) -> ExchangeError {
    ExchangeError::Form(format!("this Parquet file is damaged: {why}"))
}

/// The digits of the checksum in the metadata.
fn digits_in(metadata: &mut [u8]) -> Option<&mut [u8]> {
    let begin = place_of(KEY, metadata)? + KEY.len() + BETWEEN;
    metadata.get_mut(begin..begin + DIGITS)
}

/// The last place where a text stands: what a file holds may look like it, and comes before.
fn place_of(wanted: &str, among: &[u8]) -> Option<usize> {
    among.windows(wanted.len()).rposition(|window| window == wanted.as_bytes())
}
