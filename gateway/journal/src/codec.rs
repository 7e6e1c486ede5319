//! A record as bytes: `length | CRC-32 | kind | place | synced | payload`, where `synced` is the last place that was
//! durable when the record was written: it tells a torn end from damage after a power cut.

use watchfire_model::{Lsn, Record, RecordBody};

use crate::columns::{self, Form};

/// Bytes before the payload.
pub const HEAD_BYTES: usize = 25;
/// Where the place stands in the head.
pub const PLACE_AT: std::ops::Range<usize> = 9..17;
const CRC_AT: std::ops::Range<usize> = 4..8;
const KIND_AT: usize = 8;
const SYNCED_AT: std::ops::Range<usize> = 17..25;
/// The longest record; a longer length can only be damage.
pub const RECORD_BYTES_MAX: usize = 256 << 20;

/// Kinds: a change of a payload's form is a new kind, so that old files stay readable.
const KIND_PLAIN: u8 = 1;
const KIND_OTHER: u8 = 2;
const KIND_PACKED: u8 = 3;

/// What stands at a place in a file.
#[derive(Debug, PartialEq)]
pub enum Parsed<'b> {
    /// A record whose checksum fits: its place, its payload and its length with the head.
    Whole(Raw<'b>),
    /// More bytes are needed.
    Short,
    /// No record.
    Bad,
}

/// A record whose checksum fits, not yet decoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Raw<'b> {
    /// Its place.
    pub lsn: Lsn,
    /// The last place that was durable when it was written.
    pub synced: Lsn,
    /// Its length with the head.
    pub bytes: usize,
    kind: u8,
    payload: &'b [u8],
}

/// Encodes a record but for its place; `None` when it cannot be. This is what costs, and needs to know nothing of what
/// was written before. Too long a record is refused by [`head`].
pub fn encode(body: &RecordBody) -> Option<Vec<u8>> {
    let mut out = vec![0; HEAD_BYTES];
    let kind = match body {
        RecordBody::Data(frame) => {
            columns::write(frame, &mut out);
            KIND_PACKED
        }
        RecordBody::Control(_) | RecordBody::Decided(_) | RecordBody::Commanded { .. } => {
            out = postcard::to_extend(body, out).ok()?;
            KIND_OTHER
        }
    };
    let crc = out.get(HEAD_BYTES..).map(crc32fast::hash).unwrap_or_default();
    let head = out.first_chunk_mut::<HEAD_BYTES>()?;
    // The checksum of the payload alone, until the place is known.
    head.get_mut(CRC_AT)?.copy_from_slice(&crc.to_le_bytes());
    *head.get_mut(KIND_AT)? = kind;
    Some(out)
}

/// The head of an encoded record at its place; the payload's checksum is not computed again. `None` when it is too long.
pub fn head(encoded: &[u8], lsn: Lsn, synced: Lsn) -> Option<[u8; HEAD_BYTES]> {
    let (mut head, payload) = encoded.split_first_chunk::<HEAD_BYTES>().map(|(head, payload)| (*head, payload))?;
    if encoded.len() > RECORD_BYTES_MAX {
        return None;
    }
    let of_payload = u32::from_le_bytes(head.get(CRC_AT)?.try_into().ok()?);
    let length = u32::try_from(payload.len()).ok()?;
    head.get_mut(..4)?.copy_from_slice(&length.to_le_bytes());
    head.get_mut(PLACE_AT)?.copy_from_slice(&lsn.0.to_le_bytes());
    head.get_mut(SYNCED_AT)?.copy_from_slice(&synced.0.to_le_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(head.get(KIND_AT..)?);
    crc.combine(&crc32fast::Hasher::new_with_initial_len(of_payload, u64::from(length)));
    head.get_mut(CRC_AT)?.copy_from_slice(&crc.finalize().to_le_bytes());
    Some(head)
}

/// Looks at the bytes at a record's beginning.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return Parsed::Short };
    let [l0, l1, l2, l3, c0, c1, c2, c3, kind, places @ ..] = *head;
    let [p0, p1, p2, p3, p4, p5, p6, p7, synced @ ..] = places;
    let place = [p0, p1, p2, p3, p4, p5, p6, p7];
    let Ok(length) = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])) else { return Parsed::Bad };
    if length > RECORD_BYTES_MAX {
        return Parsed::Bad;
    }
    let Some(payload) = rest.get(..length) else { return Parsed::Short };
    let checked = bytes.get(8..HEAD_BYTES + length).map(crc32fast::hash);
    if checked != Some(u32::from_le_bytes([c0, c1, c2, c3])) {
        return Parsed::Bad;
    }
    let (lsn, synced) = (Lsn(u64::from_le_bytes(place)), Lsn(u64::from_le_bytes(synced)));
    Parsed::Whole(Raw { lsn, synced, bytes: HEAD_BYTES + length, kind, payload })
}

impl Raw<'_> {
    /// Decodes the payload; `None` when it is of a kind or form that this program does not know.
    pub fn decode(&self) -> Option<Record> {
        let body = match self.kind {
            KIND_PLAIN => RecordBody::Data(columns::read(self.payload, Form::Plain)?),
            KIND_PACKED => RecordBody::Data(columns::read(self.payload, Form::Packed)?),
            KIND_OTHER => postcard::from_bytes(self.payload).ok()?,
            _ => return None,
        };
        Some(Record { lsn: self.lsn, body })
    }
}
