//! Counts of bins, also kept summed up, so that it takes a few steps to say how many lie in a bin and above. Pure.

use crate::histogram::{BINS, Counted};

/// Bins whose counts are kept summed up.
const FEW: usize = 4;
/// The same of more of them.
const BLOCK: usize = 16;

/// The sums of a histogram's counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranks {
    /// Counts of [`FEW`] bins each.
    fews: Vec<u64>,
    /// Counts of [`BLOCK`] bins each.
    blocks: Vec<u64>,
}

impl Default for Ranks {
    fn default() -> Self {
        Self { fews: vec![0; BINS / FEW], blocks: vec![0; BINS / BLOCK] }
    }
}

impl Ranks {
    /// Those of bins with these counts.
    pub fn of(bins: &[Counted]) -> Self {
        let mut ranks = Self::default();
        for (bin, counted) in bins.iter().enumerate() {
            ranks.add(bin, counted.count);
        }
        ranks
    }

    /// So many more in a bin.
    pub fn add(&mut self, bin: usize, count: u64) {
        if let (Some(few), Some(block)) = (self.fews.get_mut(bin / FEW), self.blocks.get_mut(bin / BLOCK)) {
            *few = few.wrapping_add(count);
            *block = block.wrapping_add(count);
        }
    }

    /// How many counts lie in this bin and above, of bins up to `top`. All of a part at once: a turn of a loop costs a
    /// guest more than what is done in it.
    pub fn from(&self, bins: &[Counted], bin: usize, top: usize) -> u64 {
        let from = |part: [u64; 4], first: usize| {
            let [a, b, c, d] = part;
            let of = |at: usize, count: u64| if at >= first { count } else { 0 };
            of(0, a) + of(1, b) + of(2, c) + of(3, d)
        };
        let (few, block) = (bin / FEW, bin / BLOCK);
        let counts = bins.as_chunks::<4>().0.get(few).map_or([0; 4], |four| four.each_ref().map(|bin| bin.count));
        let own = from(counts, bin % FEW);
        let fews = from(self.fews.as_chunks().0.get(block).copied().unwrap_or_default(), few % (BLOCK / FEW) + 1);
        let (fours, left) = self.blocks.get(block + 1..=top / BLOCK).unwrap_or_default().as_chunks::<4>();
        own + fews + fours.iter().map(|[a, b, c, d]| a + b + c + d).sum::<u64>() + left.iter().sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_the_sum_of_the_counts_from_a_bin_on() {
        let bin = |bin: u64| Counted { count: bin * 7 % 23, ..Counted::default() };
        let bins: Vec<Counted> = (0..BINS as u64).map(bin).collect();
        let ranks = Ranks::of(&bins);
        for bin in 0..BINS {
            let expected: u64 = bins[bin..].iter().map(|bin| bin.count).sum();
            assert_eq!(ranks.from(&bins, bin, BINS - 1), expected, "{bin}");
        }
    }
}
