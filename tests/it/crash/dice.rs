//! Chance that can be had again: everything random in a crash test comes from one number, which is printed.

use super::say;

/// The variable that repeats a run.
const VARIABLE: &str = "GRANTKEEPER_SEED";

/// A stream of numbers from a seed (SplitMix64, which any seed is good for).
pub(crate) struct Dice(u64);

impl Dice {
    /// From the seed that the environment names, else from a new one. Says which, and of which test.
    pub(crate) fn of(test: &str) -> Self {
        let named = std::env::var(VARIABLE).ok().map(|seed| seed.parse().expect("GRANTKEEPER_SEED is a number"));
        let seed = named.unwrap_or_else(|| uuid::Uuid::new_v4().as_u128() as u64);
        say(&format!("{test}: {VARIABLE}={seed}"));
        Self(seed)
    }

    /// A stream of its own for each number: a case can be repeated without those before it.
    pub(crate) fn case(&self, number: u64) -> Self {
        Self(self.0 ^ Self(number).next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// Once in so many times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
