//! Everything that a run leaves to chance, from its seed.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// A sequence of numbers that follows from a seed (SplitMix64, Steele, Lea and Flood 2014). Clones draw from the same one.
#[derive(Debug, Clone)]
pub(super) struct Chance(Arc<Mutex<u64>>);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5851_f42d_4c95_7f2d)))
    }

    fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of a range.
    pub(super) fn of(&self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start).max(1)
    }

    /// True so often in a hundred.
    pub(super) fn percent(&self, share: u64) -> bool {
        self.of(0..100) < share
    }

    /// One of several.
    pub(super) fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.of(0..of.len() as u64)).unwrap()]
    }
}
