//! Rows of some signals, each signal's together in the order of the log: a row is copied once, to where it belongs. Of
//! what most rows do not have there is no column until one has it.

use watchfire_model::{Instant, Quality, Rows, SignalId, StatusCode};

use crate::places::Places;

/// Rows that are held in one piece: a megabyte, which is let go of as soon as the signals in it are taken.
const PIECE_ROWS: usize = if cfg!(test) { 4 } else { 1 << 16 };
/// A row that belongs to none of the signals.
const ELSEWHERE: u32 = u32::MAX;

/// Which columns frames have beside times and values.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside {
    status: bool,
    quality: bool,
    skew: bool,
}

/// Rows that are being gathered.
#[derive(Debug, Default)]
pub struct Gathered {
    ranks: Places,
    /// Where the next row of each signal goes, and where its rows end.
    open: Vec<(u32, u32)>,
    /// Times and values, in pieces of [`PIECE_ROWS`]; those that are let go of are empty.
    cells: Vec<Vec<(Instant, f64)>>,
    /// How many rows there are.
    rows: usize,
    status: Vec<StatusCode>,
    quality: Vec<Quality>,
    skew_ns: Vec<i64>,
    exact: Vec<(u32, i64)>,
    text: Vec<(u32, String)>,
    /// Where each row of a frame goes.
    at: Vec<u32>,
}

impl Beside {
    /// With what these rows have.
    #[must_use]
    pub fn with(self, rows: &Rows) -> Self {
        Self {
            status: self.status || has_status(rows),
            quality: self.quality || has_quality(rows),
            skew: self.skew || has_skew(rows),
        }
    }

    /// What a row takes in memory, but for exact integers and texts.
    pub fn row_bytes(self) -> usize {
        let column = |has: bool, bytes: usize| if has { bytes } else { 0 };
        size_of::<(Instant, f64)>()
            + column(self.status, size_of::<StatusCode>())
            + column(self.quality, size_of::<Quality>())
            + column(self.skew, size_of::<i64>())
    }
}

fn has_status(rows: &Rows) -> bool {
    rows.status.iter().any(|status| *status != StatusCode::GOOD)
}

fn has_quality(rows: &Rows) -> bool {
    rows.quality.iter().any(|quality| *quality != Quality::NONE)
}

fn has_skew(rows: &Rows) -> bool {
    rows.skew_ns.iter().any(|skew| *skew != 0)
}

impl Gathered {
    /// Room for as many rows of each signal as were counted. The signals ascend.
    pub fn of(counts: &[(SignalId, usize)]) -> Self {
        let mut gathered = Self::default();
        let mut end = 0_u32;
        for ((signal, count), rank) in counts.iter().zip(0_u32..) {
            gathered.ranks.set(*signal, rank);
            let begin = end;
            end = end.saturating_add(u32::try_from(*count).unwrap_or(u32::MAX));
            gathered.open.push((begin, end));
        }
        gathered.rows = end as usize;
        let pieces = (0..gathered.rows).step_by(PIECE_ROWS);
        let piece = |begin: usize| vec![(Instant::default(), 0.0); (gathered.rows - begin).min(PIECE_ROWS)];
        gathered.cells = pieces.map(piece).collect();
        gathered
    }

    /// Takes over what a frame has of the signals. False when that is more than was counted; then nothing is taken.
    pub fn push(&mut self, rows: Rows) -> bool {
        self.at.clear();
        for signal in &rows.signal {
            let open = self.ranks.get(*signal).and_then(|rank| self.open.get_mut(rank as usize));
            let Some((next, end)) = open else {
                self.at.push(ELSEWHERE);
                continue;
            };
            if next == end {
                return false;
            }
            self.at.push(*next);
            *next += 1;
        }
        let all = self.rows;
        for (at, cell) in self.at.iter().zip(rows.time.iter().copied().zip(rows.value.iter().copied())) {
            let piece = self.cells.get_mut(*at as usize / PIECE_ROWS);
            piece.and_then(|piece| piece.get_mut(*at as usize % PIECE_ROWS)).into_iter().for_each(|slot| *slot = cell);
        }
        if has_status(&rows) {
            self.status.resize(all, StatusCode::GOOD);
            put(&self.at, &rows.status, &mut self.status);
        }
        if has_quality(&rows) {
            self.quality.resize(all, Quality::NONE);
            put(&self.at, &rows.quality, &mut self.quality);
        }
        if has_skew(&rows) {
            self.skew_ns.resize(all, 0);
            put(&self.at, &rows.skew_ns, &mut self.skew_ns);
        }
        let at = |row: u32| self.at.get(row as usize).copied().filter(|at| *at != ELSEWHERE);
        self.exact.extend(rows.exact.into_iter().filter_map(|(row, bits)| Some((at(row)?, bits))));
        self.text.extend(rows.text.into_iter().filter_map(|(row, text)| Some((at(row)?, text))));
        true
    }

    /// Whether all rows have come that were counted. Nothing is taken after that.
    pub fn is_whole(&mut self) -> bool {
        self.exact.sort_unstable_by_key(|(at, _)| *at);
        self.text.sort_unstable_by_key(|(at, _)| *at);
        self.open.iter().all(|(next, end)| next == end)
    }

    /// Puts the rows of a signal, which has this rank among the others, in the place of `into`. The signals are taken in
    /// ascending order: what lies before this one's rows is let go of.
    pub fn take(&mut self, signal: SignalId, rank: usize, into: &mut Rows) {
        into.clear();
        let begin = rank.checked_sub(1).and_then(|before| self.open.get(before)).map_or(0, |(_, end)| *end);
        let end = self.open.get(rank).map_or(begin, |(_, end)| *end);
        let own = begin as usize..end as usize;
        self.let_go_before(own.start);
        let mut at = own.start;
        while at < own.end {
            let upto = own.end.min((at / PIECE_ROWS + 1) * PIECE_ROWS);
            let within = at % PIECE_ROWS..at % PIECE_ROWS + (upto - at);
            let cells = self.cells.get(at / PIECE_ROWS).and_then(|piece| piece.get(within)).unwrap_or_default();
            into.time.extend(cells.iter().map(|(time, _)| *time));
            into.value.extend(cells.iter().map(|(_, value)| *value));
            at = upto;
        }
        let rows = into.time.len();
        into.signal.resize(rows, signal);
        into.status.extend_from_slice(self.status.get(own.clone()).unwrap_or_default());
        into.status.resize(rows, StatusCode::GOOD);
        into.quality.extend_from_slice(self.quality.get(own.clone()).unwrap_or_default());
        into.quality.resize(rows, Quality::NONE);
        let skews = self.skew_ns.get(own).unwrap_or_default();
        if skews.iter().any(|skew| *skew != 0) {
            into.skew_ns.extend_from_slice(skews);
        }
        into.exact.extend(of(&mut self.exact, begin, end).iter().map(|(at, bits)| (*at - begin, *bits)));
        let texts = of(&mut self.text, begin, end).iter_mut();
        into.text.extend(texts.map(|(at, text)| (*at - begin, std::mem::take(text))));
    }
}

impl Gathered {
    fn let_go_before(&mut self, row: usize) {
        let whole = self.cells.iter_mut().take(row / PIECE_ROWS).rev();
        whole.take_while(|piece| piece.capacity() > 0).for_each(|piece| *piece = Vec::new());
    }
}

fn put<T: Copy>(at: &[u32], from: &[T], into: &mut [T]) {
    for (at, value) in at.iter().zip(from) {
        into.get_mut(*at as usize).into_iter().for_each(|slot| *slot = *value);
    }
}

/// What a sorted sparse column has from one place to another.
fn of<T>(column: &mut [(u32, T)], begin: u32, end: u32) -> &mut [(u32, T)] {
    let (from, to) = (column.partition_point(|(at, _)| *at < begin), column.partition_point(|(at, _)| *at < end));
    column.get_mut(from..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(each: &[(u32, i64)]) -> Rows {
        let mut rows = Rows::default();
        for (signal, s) in each {
            rows.push(SignalId(*signal), Instant::from_s(*s), *s as f64, StatusCode::GOOD, Quality::NONE, 0);
        }
        rows
    }

    fn taken(gathered: &mut Gathered, signal: u32, rank: usize) -> Rows {
        let mut rows = Rows::default();
        gathered.take(SignalId(signal), rank, &mut rows);
        rows.check().unwrap();
        rows
    }

    #[test]
    fn each_signals_rows_come_together_in_their_order_with_what_they_have_beside() {
        let mut gathered = Gathered::of(&[(SignalId(2), 2), (SignalId(5), 1), (SignalId(u32::MAX), 2)]);
        let mut odd = rows(&[(5, 2), (9, 3), (2, 4)]);
        odd.status[0] = StatusCode(0x8000_0000);
        odd.quality[2] = Quality::ROUNDED;
        odd.skew_ns = vec![0, 0, 7];
        odd.exact = vec![(1, -1), (2, i64::MAX)];
        odd.text = vec![(0, "five".into()), (1, "nobody's".into())];
        assert!(gathered.push(rows(&[(u32::MAX, 0), (2, 1), (7, 1)])));
        assert!(gathered.push(odd));
        assert!(!gathered.is_whole(), "one is missing");
        assert!(gathered.push(rows(&[(u32::MAX, 5)])));
        assert!(gathered.is_whole());

        let two = taken(&mut gathered, 2, 0);
        assert_eq!((two.value, two.quality), (vec![1.0, 4.0], vec![Quality::NONE, Quality::ROUNDED]));
        assert_eq!((two.skew_ns, two.exact), (vec![0, 7], vec![(1, i64::MAX)]));
        let five = taken(&mut gathered, 5, 1);
        assert_eq!((five.status, five.text), (vec![StatusCode(0x8000_0000)], vec![(0, "five".to_owned())]));
        assert_eq!(taken(&mut gathered, u32::MAX, 2), rows(&[(u32::MAX, 0), (u32::MAX, 5)]));
    }

    #[test]
    fn signals_over_several_pieces_come_whole_and_pieces_are_let_go_of_once_they_are_taken() {
        let counts = [(1, 3), (2, 9), (3, 1), (4, 4)].map(|(signal, count)| (SignalId(signal), count));
        let mut gathered = Gathered::of(&counts);
        for s in 0..9 {
            let at = counts.iter().filter(|(_, count)| s < *count as i64).map(|(signal, _)| (signal.0, s));
            assert!(gathered.push(rows(&at.collect::<Vec<_>>())));
        }
        assert!(gathered.is_whole());
        let held = |gathered: &Gathered| gathered.cells.iter().map(Vec::capacity).sum::<usize>();
        let mut most = vec![held(&gathered)];
        for ((signal, count), rank) in counts.iter().zip(0..) {
            let wanted: Vec<_> = (0..*count as i64).map(|s| (signal.0, s)).collect();
            assert_eq!(taken(&mut gathered, signal.0, rank), rows(&wanted));
            most.push(held(&gathered));
        }
        assert_eq!(most, [17, 17, 17, 5, 5]);
    }

    #[test]
    fn more_rows_than_were_counted_are_refused() {
        let mut gathered = Gathered::of(&[(SignalId(1), 1), (SignalId(2), 1)]);
        assert!(gathered.push(rows(&[(1, 0)])));
        assert!(!gathered.push(rows(&[(1, 1)])));
    }

    #[test]
    fn a_row_takes_what_its_frames_have() {
        let mut odd = rows(&[(1, 0), (2, 0)]);
        assert_eq!(Beside::default().with(&odd).row_bytes(), 16);
        odd.skew_ns = vec![0, 0];
        odd.status[1] = StatusCode::UNCERTAIN;
        assert_eq!(Beside::default().with(&odd).row_bytes(), 20, "skews that are all zero are none");
        odd.skew_ns[1] = 1;
        odd.quality[0] = Quality::ROUNDED;
        assert_eq!(Beside::default().with(&odd).with(&Rows::default()).row_bytes(), 29);
    }
}
