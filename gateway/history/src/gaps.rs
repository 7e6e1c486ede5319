//! The gaps that a bucket's frames tell of, by themselves, so that whoever asks for them reads no samples. When a source
//! is lost there is one for each of its signals, with nearly the same bounds: some three bytes each.

use watchfire_model::{Gap, GapCause, Instant, Lsn, SignalId};

use crate::bucket::widen;
use crate::bytes::{Reader, put_count, put_signed, put_varint};
use crate::column::{VALUES_MAX, put_ints, put_runs, read_ints, read_runs};
use crate::frames::Shape;
use crate::reach::{Reach, Signals};

const VERSION: u8 = 1;
/// Stands for every signal.
const ALL: i64 = -1;

/// What is known of gaps without reading them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GapsKnown {
    /// How many there are.
    pub count: u64,
    /// When the first begins and the last ends, if there are any.
    pub span: Option<(Instant, Instant)>,
    /// Of which signals and hours they are, if there are any; not known of those that an earlier layout has written.
    pub reach: Option<Reach>,
}

impl GapsKnown {
    /// What is known of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let reach = |known: Self| if known.count == 0 { Some(Reach::default()) } else { known.reach };
        let reach = reach(self).zip(reach(other)).map(|(own, other)| own.with(other));
        let count = self.count + other.count;
        Self { count, span: widen(self.span, other.span), reach: reach.filter(|_| count > 0) }
    }

    /// Whether one of them may touch a time and be of some signals, or of any.
    pub fn concerns(&self, signals: Option<Signals>, between: (Instant, Instant)) -> bool {
        self.span.is_some_and(|span| touch(span, between))
            && self.reach.is_none_or(|reach| reach.concerns(signals, between))
    }

    /// Appends how many there are, and their span.
    pub fn put(&self, out: &mut Vec<u8>) {
        let Some((since, until)) = self.span.filter(|_| self.count > 0) else { return put_count(0, out) };
        put_varint(self.count, out);
        put_signed(since.ns(), out);
        put_signed(until.ns(), out);
    }

    /// Reads the same.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let count = reader.varint()?;
        if count == 0 {
            return Some(Self::default());
        }
        let span = Some((Instant::from_ns(reader.signed()?), Instant::from_ns(reader.signed()?)));
        Some(Self { count, span, reach: None })
    }
}

/// What a bucket's head says of its gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GapsHead {
    /// What is known of them.
    pub known: GapsKnown,
    /// CRC-32 of their bytes.
    pub sum: u32,
}

impl GapsHead {
    /// Appends its bytes.
    pub fn put(&self, out: &mut Vec<u8>) {
        self.known.put(out);
        if self.known.count > 0 {
            out.extend(self.sum.to_le_bytes());
            self.known.reach.into_iter().for_each(|reach| reach.put(out));
        }
    }

    /// Reads a head, with what it says of signals and hours or without.
    pub fn read(reader: &mut Reader, has_reach: bool) -> Option<Self> {
        let known = GapsKnown::read(reader)?;
        if known.count == 0 {
            return Some(Self::default());
        }
        let sum = u32::from_le_bytes(reader.array()?);
        let reach = if has_reach { Some(Reach::read(reader)?) } else { None };
        Some(Self { known: GapsKnown { reach, ..known }, sum })
    }
}

/// Whether something that lasts from one time to another touches a span.
pub fn touch((since, until): (Instant, Instant), (from, to): (Instant, Instant)) -> bool {
    since <= to && from <= until
}

/// The gaps of frames, and what is known of them.
pub fn encode(frames: &[Shape]) -> (Vec<u8>, GapsHead) {
    let gaps: Vec<(Lsn, Gap)> =
        frames.iter().flat_map(|shape| shape.frame.gaps.iter().map(|gap| (shape.lsn, *gap))).collect();
    let since = gaps.iter().map(|(_, gap)| gap.since).min();
    let Some(span) = since.zip(gaps.iter().map(|(_, gap)| gap.until).max()) else {
        return (Vec::new(), GapsHead::default());
    };
    let mut out = vec![VERSION];
    let mut column = |of: &dyn Fn(&(Lsn, Gap)) -> i64| put_ints(&gaps.iter().map(of).collect::<Vec<_>>(), &mut out);
    column(&|(lsn, _)| lsn.0 as i64);
    column(&|(_, gap)| gap.signal.map_or(ALL, |signal| i64::from(signal.0)));
    column(&|(_, gap)| gap.since.ns());
    column(&|(_, gap)| gap.until.ns());
    put_runs(gaps.iter().map(|(_, gap)| number_of(gap.cause)), &mut out);
    let reach = Some(Reach::of_gaps(gaps.iter().map(|(_, gap)| gap)));
    let known = GapsKnown { count: gaps.len() as u64, span: Some(span), reach };
    let sum = crc32fast::hash(&out);
    (out, GapsHead { known, sum })
}

/// Reads gaps; `None` when the bytes are not those of the head.
pub fn decode(bytes: &[u8], head: &GapsHead) -> Option<Vec<(Lsn, Gap)>> {
    let n =
        usize::try_from(head.known.count).ok().filter(|n| *n <= VALUES_MAX && crc32fast::hash(bytes) == head.sum)?;
    let mut reader = Reader(bytes);
    reader.byte().filter(|version| *version == VERSION)?;
    let mut column = || read_ints(&mut reader, n).map(Vec::into_iter);
    let places = column()?.zip(column()?).zip(column()?.zip(column()?));
    let causes = read_runs(&mut reader, n)?;
    let gaps = places.zip(causes).map(|(((lsn, signal), (since, until)), cause)| {
        let signal = if signal == ALL { None } else { Some(SignalId(u32::try_from(signal).ok()?)) };
        let (since, until) = (Instant::from_ns(since), Instant::from_ns(until));
        Some((Lsn(lsn as u64), Gap { signal, since, until, cause: cause_of(cause)? }))
    });
    gaps.collect::<Option<_>>().filter(|_| reader.0.is_empty())
}

const fn number_of(cause: GapCause) -> u64 {
    match cause {
        GapCause::SourceLost => 0,
        GapCause::Overflow => 1,
        GapCause::Skipped => 2,
        GapCause::NotRecorded => 3,
        GapCause::Imported => 4,
    }
}

const fn cause_of(number: u64) -> Option<GapCause> {
    Some(match number {
        0 => GapCause::SourceLost,
        1 => GapCause::Overflow,
        2 => GapCause::Skipped,
        3 => GapCause::NotRecorded,
        4 => GapCause::Imported,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use watchfire_model::Frame;

    use super::*;

    #[test]
    fn the_gaps_of_a_lost_source_take_a_few_bytes_each_and_are_read_back() {
        let gap = |signal: u32| Gap {
            signal: Some(SignalId(signal)),
            since: Instant::from_ns(1_800_000_000_000_000_000 + i64::from(signal * 7919 % 1000) * 1_000_000),
            until: Instant::from_ns(1_800_000_030_000_000_000 + i64::from(signal * 6151 % 1000) * 1_000_000),
            cause: GapCause::SourceLost,
        };
        let all = Gap { signal: None, since: Instant::MIN, until: Instant::MAX, cause: GapCause::NotRecorded };
        let shape = |lsn: u64, frame: &Frame| Shape { lsn: Lsn(lsn), frame: frame.clone(), rows: 0, has_skew: false };
        let lost = Frame { gaps: (0..10_000).map(gap).collect(), ..Frame::default() };
        let of = |cause| Gap { cause, ..all };
        let other = Frame { gaps: vec![all, of(GapCause::Skipped), of(GapCause::Imported)], ..Frame::default() };
        for (frames, bytes_max) in [
            (vec![shape(7, &lost)], 10_000 * 4),
            (vec![shape(7, &lost), shape(8, &other)], 10_000 * 8 + 100),
            (vec![shape(9, &other)], 120),
            (vec![shape(9, &Frame::default())], 0),
        ] {
            let expected: Vec<_> =
                frames.iter().flat_map(|shape| shape.frame.gaps.iter().map(|gap| (shape.lsn, *gap))).collect();
            let (bytes, head) = encode(&frames);
            assert!(bytes.len() <= bytes_max, "{} bytes", bytes.len());
            let mut out = Vec::new();
            head.put(&mut out);
            assert_eq!(GapsHead::read(&mut Reader(&out), head.known.reach.is_some()), Some(head));
            if head.known.count > 0 {
                assert!(head.known.reach.is_some());
                assert_eq!(decode(&bytes, &head), Some(expected));
                let mut damaged = bytes.clone();
                damaged[bytes.len() / 2] ^= 1;
                assert_eq!(decode(&damaged, &head), None);
            }
        }
    }
}
