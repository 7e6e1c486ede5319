//! Gathering the chunks of neighbouring signals from all buckets that touch some hours: so many signals at a time that
//! what is held stays small, and one slot after the other, so that few are open.

use std::collections::BTreeMap;

use watchfire_model::{Instant, SignalId};
use watchfire_pipeline::PortError;

use super::make::Piece;
use super::walk::{Buckets, Place, Walk};
use crate::chunk::Chunk;
use crate::slot::Slot;

/// What is held at once, unless one signal has more: bytes of chunks, each with what it costs beside,
const BYTES_MAX: usize = if cfg!(test) { 20_000 } else { 2 << 20 };
const BESIDE_BYTES: usize = 48;
/// and samples in them.
const ROWS_MAX: usize = if cfg!(test) { 4000 } else { 1_000_000 };

/// The chunks of neighbouring signals.
#[derive(Debug)]
pub struct Gathered {
    /// By signal, in the order of the log.
    pub pieces: BTreeMap<SignalId, Vec<Piece>>,
    /// The first signal that was not looked at.
    pub until: SignalId,
    /// Whether there are chunks of it or of later ones.
    pub is_more: bool,
    /// Samples in the chunks.
    pub rows: usize,
    bytes: usize,
}

impl Gathered {
    /// Gathers what there is in some buckets of the signals in `from..to`, or of as many of the first of them as may be
    /// held; chunks without a sample in `span` are passed over.
    ///
    /// # Errors
    /// When a bucket cannot be read.
    pub fn of(
        buckets: &Buckets<'_>,
        places: &[Place],
        (from, to): (SignalId, SignalId),
        span: (Instant, Instant),
    ) -> Result<Self, PortError> {
        let mut gathered = Self { pieces: BTreeMap::new(), until: to, is_more: false, rows: 0, bytes: 0 };
        let mut by_slot: BTreeMap<Slot, Vec<&Place>> = BTreeMap::new();
        places.iter().for_each(|place| by_slot.entry(place.slot).or_default().push(place));
        for (slot, places) in by_slot {
            buckets.with(slot, |store| {
                let mut add = |place: &&Place| gathered.add(Walk::new(store.clone(), place.head)?, place, from, span);
                places.iter().try_for_each(&mut add)
            })?;
        }
        gathered.pieces.values_mut().for_each(|pieces| pieces.sort_unstable_by_key(|piece| piece.last));
        Ok(gathered)
    }

    fn add(
        &mut self,
        mut walk: Walk,
        place: &Place,
        from: SignalId,
        (begin, end): (Instant, Instant),
    ) -> Result<(), PortError> {
        walk.skip_to(from)?;
        while walk.signal()?.is_some_and(|signal| signal < self.until) {
            let Some((signal, bytes)) = walk.next()? else { break };
            let (earliest, latest, rows) = Chunk::extent(signal, &bytes).ok_or_else(|| walk.damaged(signal))?;
            if earliest >= end || latest < begin {
                continue;
            }
            let piece = Piece { last: place.head.last, rows, bytes };
            (self.rows, self.bytes) = (self.rows + piece.rows, self.bytes + piece.weight());
            self.pieces.entry(signal).or_default().push(piece);
            while (self.bytes > BYTES_MAX || self.rows > ROWS_MAX) && self.pieces.len() > 1 {
                self.halve();
            }
        }
        self.is_more |= walk.signal()?.is_some();
        Ok(())
    }

    /// Lets go of the later half of the signals.
    fn halve(&mut self) {
        let Some(middle) = self.pieces.keys().nth(self.pieces.len().div_ceil(2)).copied() else { return };
        let dropped = self.pieces.split_off(&middle);
        for piece in dropped.values().flatten() {
            (self.rows, self.bytes) = (self.rows - piece.rows, self.bytes - piece.weight());
        }
        (self.until, self.is_more) = (middle, true);
    }
}

impl Piece {
    fn weight(&self) -> usize {
        self.bytes.len() + BESIDE_BYTES
    }
}
