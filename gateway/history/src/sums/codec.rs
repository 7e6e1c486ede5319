//! Summaries as bytes: the one of an hour in some fifty, those of its minutes as columns.

use watchfire_model::{Edge, Extreme, Instant, Moments, StatusCode, Summary};

use crate::bytes::{Reader, put_count, put_signed, put_varint};
use crate::column::{put_ints, put_runs, read_ints, read_runs};
use crate::floats::{put_few, put_floats, read_few, read_floats};

const VERSION: u8 = 1;
/// More than an hour has minutes; longer ones are damage.
const SUMMARIES_MAX: usize = 60;

/// There are samples that are no good numbers.
const HAS_OTHERS: u8 = 1;
/// There are good numbers.
const HAS_NUMBERS: u8 = 2;
const HAS_EXACT: u8 = 4;
const HAS_TEXT: u8 = 8;
/// Values differ, so that mean and squares are no value's own.
const HAS_SPREAD: u8 = 16;
/// Something is marked as repeated or blended.
const HAS_MARKS: u8 = 32;
const HAS_AREA: u8 = 64;

const LEAST_REPEATED: u64 = 1;
const GREATEST_REPEATED: u64 = 2;
const BLENDED: u64 = 4;
/// Which value of a summary a sparse column is of.
const FIRST: usize = 0;
const LEAST: usize = 1;
const GREATEST: usize = 2;
const LAST: usize = 3;
const EDGES: usize = 4;
/// Places of the units in which the times of a single summary are told: nanoseconds, microseconds, milliseconds.
const UNITS_NS: [i64; 3] = [1, 1_000, 1_000_000];

/// The bytes of one or more summaries. `origin` is a time near them, such as when their hour begins.
pub fn encode(origin: Instant, summaries: &[Summary]) -> Vec<u8> {
    let parts = parts(summaries);
    let mut out = vec![VERSION, parts];
    put_count(summaries.len(), &mut out);
    let mut columns = Writer { out: &mut out, is_single: summaries.len() == 1 };
    let of = |which: &dyn Fn(&Summary) -> i64| summaries.iter().map(which).collect::<Vec<i64>>();
    columns.ints(&[of(&|one| one.good as i64)]);
    if parts & HAS_OTHERS != 0 {
        columns.ints(&[
            of(&|one| one.uncertain as i64),
            of(&|one| one.bad as i64),
            of(&|one| one.numbers.count as i64),
            of(&|one| one.uncertain_numbers as i64),
            of(&|one| i64::from(one.first.status.0)),
            of(&|one| i64::from(one.last.status.0)),
            of(&|one| one.area_ns as i64),
        ]);
        columns.floats(&[
            summaries.iter().map(|one| one.uncertain_range.map_or(f64::NAN, |range| range.0)).collect(),
            summaries.iter().map(|one| one.uncertain_range.map_or(f64::NAN, |range| range.1)).collect(),
        ]);
    } else {
        columns.ints(&[of(&|one| i64::from(one.first.status.0)), of(&|one| i64::from(one.last.status.0))]);
    }
    let after = |time: Instant, before: Instant| time.ns().wrapping_sub(before.ns());
    let reached =
        |extreme: &Option<Extreme>, one: &Summary| extreme.map_or(0, |extreme| after(extreme.time, one.first.time));
    let mut times = vec![of(&|one| after(one.first.time, origin)), of(&|one| after(one.last.time, one.first.time))];
    if parts & HAS_NUMBERS != 0 {
        times.push(of(&|one| reached(&one.least, one)));
        times.push(of(&|one| reached(&one.greatest, one)));
    }
    columns.times(&times);
    columns.floats(&[
        summaries.iter().map(|one| one.first.value).collect(),
        summaries.iter().map(|one| value(one.least)).collect(),
        summaries.iter().map(|one| value(one.greatest)).collect(),
        summaries.iter().map(|one| one.last.value).collect(),
    ]);
    if parts & HAS_SPREAD != 0 {
        columns.bits(&summaries.iter().map(|one| one.numbers.mean).collect::<Vec<f64>>());
        columns.bits(&summaries.iter().map(|one| one.numbers.squares).collect::<Vec<f64>>());
    }
    if parts & HAS_AREA != 0 {
        columns.bits(&summaries.iter().map(|one| one.area).collect::<Vec<f64>>());
    }
    if parts & HAS_MARKS != 0 {
        put_runs(summaries.iter().map(marks), &mut out);
    }
    if parts & HAS_EXACT != 0 {
        let exact = summaries.iter().zip(0..).flat_map(|(one, at)| exact(one).into_iter().map(move |it| (at, it)));
        let sparse: Vec<(usize, i64)> =
            exact.filter_map(|(at, (edge, bits))| Some((at * EDGES + edge, bits?))).collect();
        put_count(sparse.len(), &mut out);
        sparse.iter().for_each(|(place, bits)| {
            put_count(*place, &mut out);
            put_signed(*bits, &mut out);
        });
    }
    if parts & HAS_TEXT != 0 {
        for text in summaries.iter().flat_map(|one| [&one.first.text, &one.last.text]) {
            put_count(text.as_ref().map_or(0, |text| text.len() + 1), &mut out);
            out.extend(text.iter().flat_map(|text| text.bytes()));
        }
    }
    out
}

/// Reads summaries; `None` when the bytes are none.
pub fn decode(origin: Instant, bytes: &[u8]) -> Option<Vec<Summary>> {
    let mut reader = Reader(bytes);
    reader.byte().filter(|version| *version == VERSION)?;
    let parts = reader.byte()?;
    let n = reader.count().filter(|n| (1..=SUMMARIES_MAX).contains(n))?;
    let mut columns = Columns { reader, n };
    let good = columns.ints()?;
    let mut read = (0..n).map(|_| empty()).collect::<Vec<Summary>>();
    fill(&mut read, good, |one, good| (one.good, one.numbers.count) = (good as u64, good as u64));
    if parts & HAS_OTHERS != 0 {
        fill(&mut read, columns.ints()?, |one, it| one.uncertain = it as u64);
        fill(&mut read, columns.ints()?, |one, it| one.bad = it as u64);
        fill(&mut read, columns.ints()?, |one, it| one.numbers.count = it as u64);
        fill(&mut read, columns.ints()?, |one, it| one.uncertain_numbers = it as u64);
    }
    fill(&mut read, columns.ints()?, |one, it| one.first.status = StatusCode(it as u32));
    fill(&mut read, columns.ints()?, |one, it| one.last.status = StatusCode(it as u32));
    if parts & HAS_OTHERS != 0 {
        fill(&mut read, columns.ints()?, |one, it| one.area_ns = it as u64);
        let [least, greatest] = columns.floats()?;
        for ((one, least), greatest) in read.iter_mut().zip(least).zip(greatest) {
            one.uncertain_range = (one.uncertain_numbers > 0).then_some((least, greatest));
        }
    }
    let many = if parts & HAS_NUMBERS != 0 { EDGES } else { 2 };
    let mut times = columns.times(many)?.into_iter();
    let from = |base: Instant, distance: i64| Instant::from_ns(base.ns().wrapping_add(distance));
    fill(&mut read, times.next()?, |one, it| one.first.time = from(origin, it));
    fill(&mut read, times.next()?, |one, it| one.last.time = from(one.first.time, it));
    let reached = |one: &mut Summary, it| {
        let time = from(one.first.time, it);
        (one.numbers.count > 0).then_some(Extreme { value: f64::NAN, exact: None, time, repeated: false })
    };
    times.next().into_iter().for_each(|column| fill(&mut read, column, |one, it| one.least = reached(one, it)));
    times.next().into_iter().for_each(|column| fill(&mut read, column, |one, it| one.greatest = reached(one, it)));
    let [first, least, greatest, last] = columns.floats()?;
    fill(&mut read, first, |one, it| one.first.value = it);
    fill(&mut read, least, |one, it| one.least.iter_mut().for_each(|extreme| extreme.value = it));
    fill(&mut read, greatest, |one, it| one.greatest.iter_mut().for_each(|extreme| extreme.value = it));
    fill(&mut read, last, |one, it| one.last.value = it);
    if parts & HAS_SPREAD != 0 {
        fill(&mut read, columns.bits()?, |one, it| one.numbers.mean = it);
        fill(&mut read, columns.bits()?, |one, it| one.numbers.squares = it);
    } else {
        read.iter_mut().for_each(|one| one.numbers.mean = one.least.map_or(0.0, |least| least.value));
    }
    if parts & HAS_AREA != 0 {
        fill(&mut read, columns.bits()?, |one, it| one.area = it);
    }
    let mut reader = columns.reader;
    if parts & HAS_MARKS != 0 {
        fill(&mut read, read_runs(&mut reader, n)?, |one, marks| {
            one.least.iter_mut().for_each(|least| least.repeated = marks & LEAST_REPEATED != 0);
            one.greatest.iter_mut().for_each(|greatest| greatest.repeated = marks & GREATEST_REPEATED != 0);
            one.is_blended = marks & BLENDED != 0;
        });
    }
    if parts & HAS_OTHERS == 0 {
        read.iter_mut().for_each(|one| one.area_ns = one.first.time.ns().abs_diff(one.last.time.ns()));
    }
    if parts & HAS_EXACT != 0 {
        for _ in 0..reader.count().filter(|count| *count <= n * EDGES)? {
            let (place, bits) = (reader.count()?, Some(reader.signed()?));
            let one = read.get_mut(place / EDGES)?;
            match place % EDGES {
                FIRST => one.first.exact = bits,
                LEAST => one.least.as_mut()?.exact = bits,
                GREATEST => one.greatest.as_mut()?.exact = bits,
                _ => one.last.exact = bits,
            }
        }
    }
    if parts & HAS_TEXT != 0 {
        for one in &mut read {
            one.first.text = text(&mut reader)?;
            one.last.text = text(&mut reader)?;
        }
    }
    reader.0.is_empty().then_some(read)
}

fn parts(summaries: &[Summary]) -> u8 {
    let any = |has: &dyn Fn(&Summary) -> bool, bit: u8| if summaries.iter().any(has) { bit } else { 0 };
    // What is left out otherwise must follow from the rest.
    let is_plain = |one: &Summary| {
        one.is_plain() && one.area_ns == one.first.time.ns().abs_diff(one.last.time.ns()) && one.uncertain_numbers == 0
    };
    let is_flat = |one: &Summary| {
        let own = one.least.map_or(0.0, |least| least.value);
        own.to_bits() == one.numbers.mean.to_bits() && one.numbers.squares.to_bits() == 0
    };
    any(&|one| !is_plain(one), HAS_OTHERS)
        | any(&|one| one.numbers.count > 0, HAS_NUMBERS)
        | any(&|one| exact(one).iter().any(|(_, bits)| bits.is_some()), HAS_EXACT)
        | any(&|one| one.first.text.is_some() || one.last.text.is_some(), HAS_TEXT)
        | any(&|one| !is_flat(one), HAS_SPREAD)
        | any(&|one| marks(one) != 0, HAS_MARKS)
        | any(&|one| one.area.to_bits() != 0, HAS_AREA)
}

fn value(extreme: Option<Extreme>) -> f64 {
    extreme.map_or(f64::NAN, |extreme| extreme.value)
}

fn exact(one: &Summary) -> [(usize, Option<i64>); EDGES] {
    let of = |extreme: Option<Extreme>| extreme.and_then(|extreme| extreme.exact);
    [(FIRST, one.first.exact), (LEAST, of(one.least)), (GREATEST, of(one.greatest)), (LAST, one.last.exact)]
}

fn marks(one: &Summary) -> u64 {
    let mark = |is_set: bool, mark: u64| if is_set { mark } else { 0 };
    mark(one.least.is_some_and(|least| least.repeated), LEAST_REPEATED)
        | mark(one.greatest.is_some_and(|greatest| greatest.repeated), GREATEST_REPEATED)
        | mark(one.is_blended, BLENDED)
}

fn text(reader: &mut Reader) -> Option<Option<String>> {
    let Some(length) = reader.count()?.checked_sub(1) else { return Some(None) };
    Some(Some(str::from_utf8(reader.take(length)?).ok()?.to_owned()))
}

fn empty() -> Summary {
    let (time, status) = (Instant::default(), StatusCode::GOOD);
    let edge = Edge { time, value: f64::NAN, exact: None, text: None, status };
    Summary {
        good: 0,
        uncertain: 0,
        bad: 0,
        numbers: Moments::default(),
        uncertain_numbers: 0,
        first: edge.clone(),
        last: edge,
        least: None,
        greatest: None,
        uncertain_range: None,
        area: 0.0,
        area_ns: 0,
        is_blended: false,
    }
}

fn fill<T>(summaries: &mut [Summary], column: Vec<T>, set: impl Fn(&mut Summary, T)) {
    summaries.iter_mut().zip(column).for_each(|(one, it)| set(one, it));
}

/// Columns on their way out; those of a single summary have no need to say what they have in common.
struct Writer<'o> {
    out: &'o mut Vec<u8>,
    is_single: bool,
}

impl Writer<'_> {
    fn ints(&mut self, columns: &[Vec<i64>]) {
        for column in columns {
            if self.is_single {
                column.iter().for_each(|value| put_signed(*value, self.out));
            } else {
                put_ints(column, self.out);
            }
        }
    }

    fn times(&mut self, columns: &[Vec<i64>]) {
        if !self.is_single {
            return self.ints(columns);
        }
        let all = || columns.iter().flatten();
        let unit = UNITS_NS.iter().rposition(|unit| all().all(|ns| ns % unit == 0)).unwrap_or(0);
        put_count(unit, self.out);
        let unit_ns = UNITS_NS.get(unit).copied().unwrap_or(1);
        all().for_each(|ns| put_signed(ns / unit_ns, self.out));
    }

    /// Values of samples.
    fn floats<const N: usize>(&mut self, columns: &[Vec<f64>; N]) {
        if self.is_single {
            put_few(&columns.iter().flatten().copied().collect::<Vec<f64>>(), self.out);
        } else {
            columns.iter().for_each(|column| put_floats(column, self.out));
        }
    }

    /// Values that were calculated, of which nothing is to be expected.
    fn bits(&mut self, column: &[f64]) {
        if self.is_single {
            column.iter().for_each(|value| self.out.extend(value.to_bits().to_le_bytes()));
        } else {
            put_floats(column, self.out);
        }
    }
}

/// Columns on their way in.
struct Columns<'b> {
    reader: Reader<'b>,
    n: usize,
}

impl Columns<'_> {
    fn ints(&mut self) -> Option<Vec<i64>> {
        if self.n == 1 { Some(vec![self.reader.signed()?]) } else { read_ints(&mut self.reader, self.n) }
    }

    fn times(&mut self, many: usize) -> Option<Vec<Vec<i64>>> {
        if self.n > 1 {
            return (0..many).map(|_| self.ints()).collect();
        }
        let unit_ns = *UNITS_NS.get(self.reader.count()?)?;
        (0..many).map(|_| Some(vec![self.reader.signed()?.wrapping_mul(unit_ns)])).collect()
    }

    fn floats<const N: usize>(&mut self) -> Option<[Vec<f64>; N]> {
        if self.n == 1 {
            return Some(read_few::<N>(&mut self.reader)?.map(|value| vec![value]));
        }
        let columns: Option<Vec<Vec<f64>>> = (0..N).map(|_| read_floats(&mut self.reader, self.n)).collect();
        columns?.try_into().ok()
    }

    fn bits(&mut self) -> Option<Vec<f64>> {
        if self.n == 1 {
            return Some(vec![f64::from_bits(u64::from_le_bytes(self.reader.array()?))]);
        }
        read_floats(&mut self.reader, self.n)
    }
}

/// Appends the length of bytes, and them.
pub fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use watchfire_model::{Quality, Rows, SignalId};

    use super::*;

    fn summary(rows: &Rows, which: std::ops::Range<usize>) -> Summary {
        let mut one = Summary::of(rows, which.start).unwrap();
        which.skip(1).for_each(|row| one.add(rows, row));
        one
    }

    /// NaN is like itself here.
    fn shown(summaries: &[Summary]) -> String {
        format!("{summaries:?}")
    }

    #[test]
    fn an_hour_of_a_walk_takes_little_more_than_its_sums() {
        let (mut rows, mut walk) = (Rows::default(), 5000);
        for s in 0..3600_i64 {
            walk += s * 7919 % 11 - 5;
            let time = Instant::from_ns((1_800_000_000_000 + s * 1000 + s % 7) * 1_000_000);
            rows.push(SignalId(1), time, walk as f64 / 100.0, StatusCode::GOOD, Quality::NONE, 0);
        }
        let origin = Instant::from_s(1_800_000_000);
        let hour = encode(origin, &[summary(&rows, 0..3600)]);
        let minutes: Vec<Summary> = (0..60).map(|minute| summary(&rows, minute * 60..minute * 60 + 60)).collect();
        let columns = encode(origin, &minutes);
        println!("an hour {} bytes, a minute {:.1}", hour.len(), columns.len() as f64 / 60.0);
        assert!(hour.len() <= 60 && columns.len() <= 60 * 40, "{} and {}", hour.len(), columns.len());
        assert_eq!(shown(&decode(origin, &columns).unwrap()), shown(&minutes));
    }

    #[test]
    fn damaged_summaries_are_refused_or_wrong_but_never_panic() {
        let mut rows = Rows::default();
        for s in 0..20_i64 {
            rows.push(SignalId(1), Instant::from_s(s), s as f64, StatusCode(((s % 3) as u32) << 30), Quality::NONE, 0);
        }
        rows.set_text("last".into());
        let bytes = encode(Instant::MIN, &[summary(&rows, 0..7), summary(&rows, 7..20)]);
        for at in 0..bytes.len() {
            assert_eq!(decode(Instant::MIN, &bytes[..at]), None);
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            drop(decode(Instant::MIN, &damaged));
        }
    }

    prop_compose! {
        fn any_rows()(each in prop::collection::vec(
            (any::<i32>(), prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-0.0), any::<f64>(), (0..99_i32).prop_map(f64::from)],
             0..4_u32, prop::option::of(any::<i64>()), prop::option::of(Just("text".to_owned()))), 1..40)) -> Rows {
            let mut rows = Rows::default();
            let mut time = 0_i64;
            for (step, value, severity, exact, text) in each {
                time += i64::from(step).abs();
                rows.push(SignalId(1), Instant::from_ns(time), value, StatusCode(severity << 30), Quality::NONE, 0);
                exact.into_iter().for_each(|bits| rows.set_exact(bits));
                text.into_iter().for_each(|text| rows.set_text(text));
            }
            rows
        }
    }

    proptest! {
        #[test]
        fn summaries_are_read_back(rows in any_rows(), origin: i64, parts in 1..5_usize) {
            let step = rows.len().div_ceil(parts);
            let made: Vec<Summary> = (0..rows.len()).step_by(step)
                .map(|from| summary(&rows, from..(from + step).min(rows.len()))).collect();
            let origin = Instant::from_ns(origin);
            let read = decode(origin, &encode(origin, &made)).unwrap();
            prop_assert_eq!(shown(&read), shown(&made));
        }
    }
}
