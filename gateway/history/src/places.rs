//! A number for each of some signals. Ids are given densely, so that one look in a table finds it; what lies far beyond
//! is looked for elsewhere.

use rustc_hash::FxHashMap;
use watchfire_model::SignalId;

/// Ids below are in the table: four megabytes at the most.
const NEAR: u32 = if cfg!(test) { 64 } else { 1 << 20 };
const NONE: u32 = u32::MAX;

/// The numbers, each below [`u32::MAX`].
#[derive(Debug, Default)]
pub struct Places {
    near: Vec<u32>,
    far: FxHashMap<SignalId, u32>,
}

impl Places {
    /// A signal's number, if it has one.
    pub fn get(&self, signal: SignalId) -> Option<u32> {
        if signal.0 < NEAR {
            return self.near.get(signal.0 as usize).copied().filter(|place| *place != NONE);
        }
        self.far.get(&signal).copied()
    }

    /// Gives a signal its number.
    pub fn set(&mut self, signal: SignalId, place: u32) {
        if signal.0 >= NEAR {
            self.far.insert(signal, place);
            return;
        }
        let at = signal.0 as usize;
        if at >= self.near.len() {
            self.near.resize(at + 1, NONE);
        }
        self.near.get_mut(at).into_iter().for_each(|slot| *slot = place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_near_and_far_have_their_numbers_and_others_none() {
        let mut places = Places::default();
        for (signal, place) in [(3, 0), (NEAR - 1, 1), (NEAR, 2), (u32::MAX, 3), (3, 4)] {
            places.set(SignalId(signal), place);
        }
        let found = [3, NEAR - 1, NEAR, u32::MAX, 4, NEAR + 1, 0].map(|signal| places.get(SignalId(signal)));
        assert_eq!(found, [Some(4), Some(1), Some(2), Some(3), None, None, None]);
    }
}
