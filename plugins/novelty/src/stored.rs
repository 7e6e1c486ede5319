//! Numbers in order, few enough to be searched at each sample: eight are compared at once, on each of three levels, so
//! that a search branches nowhere and touches four lines of memory, whatever the numbers are. Pure.

use crate::pair::below_in;

/// Numbers that are kept.
pub const STORED_MAX: usize = 512;
/// Numbers that are compared at once.
pub const AT_ONCE: usize = 8;
/// Blocks of so many, of one number more than are kept and of what searches need beyond.
const BLOCKS: usize = STORED_MAX / AT_ONCE + AT_ONCE;

/// Numbers in order.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The last number of each eighth block, then of each block; ∞ where there is none.
    lasts: Vec<f64>,
    /// Behind −∞, and before some ∞: nobody who searches has to ask whether there is one.
    fenced: Vec<f64>,
}

/// Where a number belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    /// How many are below it.
    pub at: usize,
    /// The nearest below, −∞ if none is.
    pub below: f64,
    /// The nearest at or above, ∞ if none is.
    pub above: f64,
}

/// What is kept for searches says nothing more of the numbers.
impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        self.numbers() == other.numbers()
    }
}

impl Default for Stored {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

impl Stored {
    /// Of numbers in order.
    pub fn of(numbers: Vec<f64>) -> Self {
        let mut fenced = vec![f64::NEG_INFINITY];
        fenced.extend(numbers);
        fenced.extend([f64::INFINITY; AT_ONCE]);
        let mut stored = Self { lasts: vec![f64::INFINITY; AT_ONCE + BLOCKS], fenced };
        stored.index();
        stored
    }

    /// The numbers.
    pub fn numbers(&self) -> &[f64] {
        self.fenced.get(1..=self.len()).unwrap_or_default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.fenced.len() - 1 - AT_ONCE
    }

    /// Where a number belongs.
    #[cfg_attr(target_arch = "wasm32", inline, target_feature(enable = "simd128"))]
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    pub fn place(&self, x: f64) -> Place {
        let of = |numbers: &[f64], at: usize| {
            numbers.get(at..).and_then(|from| from.first_chunk()).map_or(0, |eight| below_in(eight, x))
        };
        // What lies in the first eighth alone is not looked for in the others.
        let eighth = if self.len() > AT_ONCE * AT_ONCE { of(&self.lasts, 0) } else { 0 };
        let block = eighth * AT_ONCE + of(&self.lasts, AT_ONCE + eighth * AT_ONCE);
        let at = block * AT_ONCE + of(&self.fenced, 1 + block * AT_ONCE);
        match self.fenced.get(at..).and_then(|from| from.first_chunk()) {
            Some([below, above]) => Place { at, below: *below, above: *above },
            None => Place { at, below: f64::NEG_INFINITY, above: f64::INFINITY },
        }
    }

    /// Puts a number where it belongs.
    pub fn insert(&mut self, at: usize, x: f64) {
        self.fenced.insert(at + 1, x);
        self.index();
    }

    /// Leaves those out of which it is not said that they stay; of each is asked once, in order.
    pub fn retain(&mut self, mut stays: impl FnMut(f64) -> bool) {
        self.fenced.retain(|number| number.is_infinite() || stays(*number));
        self.index();
    }

    fn index(&mut self) {
        let (eighths, blocks) = self.lasts.split_at_mut(AT_ONCE);
        let last =
            |numbers: &[f64], block: usize| numbers.get((block + 1) * AT_ONCE - 1).copied().unwrap_or(f64::INFINITY);
        let numbers = self.fenced.get(1..).unwrap_or_default();
        (0..).zip(&mut *blocks).for_each(|(block, of)| *of = last(numbers, block));
        (0..).zip(eighths).for_each(|(block, of)| *of = last(blocks, block));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_as_by_counting() {
        let shapes: [fn(u32) -> f64; 4] = [
            |number| f64::from(number * 7_919 % 1_009),
            |number| f64::from(number).exp2(),
            |number| -f64::from(number),
            |number| if number == 9 { 1e300 } else { f64::from(number % 97) * 1e-9 },
        ];
        for shape in shapes {
            let mut stored = Stored::default();
            for number in 0..700 {
                let x = shape(number);
                let (numbers, found) = (stored.numbers().to_vec(), stored.place(x));
                let at = numbers.partition_point(|stored| *stored < x);
                let below = at.checked_sub(1).map_or(f64::NEG_INFINITY, |at| numbers[at]);
                let above = numbers.get(at).copied().unwrap_or(f64::INFINITY);
                assert_eq!(found, Place { at, below, above }, "{x} among {numbers:?}");
                if above != x {
                    stored.insert(found.at, x);
                }
                if stored.len() > STORED_MAX {
                    let mut kept = 0;
                    stored.retain(|_| {
                        kept += 1;
                        kept % 3 > 0
                    });
                }
                assert!(stored.numbers().is_sorted());
                assert_eq!(Stored::of(stored.numbers().to_vec()), stored);
            }
        }
    }
}
