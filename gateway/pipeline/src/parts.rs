//! Where values begin to be missing in gaps that were filled in part, kept from one reader to the next: to find it, all that
//! was fetched has to be read. It knows nothing of how.

use std::collections::BTreeMap;
use std::ops::Range;

use watchfire_model::{Instant, Rows, SignalId};

/// Gaps that are kept.
const PARTS_MAX: usize = 1 << 14;

/// A gap: its signal, the last time of which something is known before it, and the first one after it.
pub(crate) type Gapped = (SignalId, Instant, Instant);

/// Gaps of which some values were fetched.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    of: BTreeMap<Gapped, Part>,
    /// When the last of them ends.
    until: Option<Instant>,
    tokens: u64,
}

#[derive(Debug)]
struct Part {
    /// Who looks for it, or did so last.
    token: u64,
    begin: Option<Instant>,
}

impl Parts {
    /// Where a gap's values are missing from. Where it is not known the caller is to look, at what is recorded from now on,
    /// and to tell with this token.
    pub fn begin(&mut self, gap: Gapped) -> Result<Instant, u64> {
        if let Some(begin) = self.of.get(&gap).and_then(|part| part.begin) {
            return Ok(begin);
        }
        if self.of.len() >= PARTS_MAX {
            self.clear();
        }
        self.tokens += 1;
        self.of.insert(gap, Part { token: self.tokens, begin: None });
        self.until = self.until.max(Some(gap.2));
        Err(self.tokens)
    }

    /// Keeps what was found, unless something came of it meanwhile.
    pub fn found(&mut self, gap: Gapped, token: u64, begin: Instant) {
        if let Some(part) = self.of.get_mut(&gap).filter(|part| part.token == token) {
            part.begin = Some(begin);
        }
    }

    /// Forgets the gaps that rows lie in. Costs a look at their times where there are such gaps.
    pub fn hear(&mut self, rows: &Rows) {
        let Some(end) = self.until else { return };
        for (signal, time) in rows.signal.iter().zip(&rows.time).filter(|(_, time)| **time < end) {
            self.forget(*signal..SignalId(signal.0.saturating_add(1)), (*time, *time));
        }
    }

    /// Forgets the gaps of some signals that a time touches.
    pub fn forget(&mut self, signals: Range<SignalId>, (since, until): (Instant, Instant)) {
        let some = (signals.start, Instant::MIN, Instant::MIN)..(signals.end, Instant::MIN, Instant::MIN);
        let touched = self.of.range(some).filter(|((_, from, to), _)| since <= *to && *from <= until);
        let gone: Vec<Gapped> = touched.map(|(gap, _)| *gap).collect();
        for gap in gone {
            self.of.remove(&gap);
        }
        if self.of.is_empty() {
            self.until = None;
        }
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.of.clear();
        self.until = None;
    }
}
