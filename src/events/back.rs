//! Looking back over a gap: numbers are left out where a store was restored, many at once.

/// Finds the last event before a sequence, for who can only ask which is the first after one. It asks some two times as often as the gap's length has
/// bits.
#[derive(Debug, Clone, Copy)]
pub struct Back {
    before: u64,
    /// One that lies before it, the last that is known of.
    found: Option<u64>,
    /// Behind this one none lies before it.
    end: u64,
    /// The sequence that is asked for.
    asked: Option<u64>,
}

impl Back {
    /// From a sequence on.
    #[must_use]
    pub fn from(before: u64) -> Self {
        Self { before, found: None, end: before.saturating_sub(1), asked: Some(0) }
    }

    /// The sequence after which the first event is to be looked for; nothing when the last is known.
    #[must_use]
    pub fn asks(&self) -> Option<u64> {
        self.asked
    }

    /// The first event after the sequence that was asked for, where there is one.
    pub fn told(&mut self, first: Option<u64>) {
        let Some(asked) = self.asked else { return };
        match first.filter(|first| *first < self.before) {
            Some(first) => self.found = Some(first),
            None => self.end = asked,
        }
        self.asked = self.found.filter(|found| *found < self.end).map(|found| found + (self.end - found - 1) / 2);
    }

    /// The last event, where there is one.
    #[must_use]
    pub fn found(&self) -> Option<u64> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn the_last_one_is_found_over_any_gap(
            all in proptest::collection::btree_set(prop_oneof![1_u64..50, (1_u64 << 32)..(1 << 33)], 0..20),
            before in prop_oneof![0_u64..60, (1_u64 << 32)..(1 << 34)],
        ) {
            let all: BTreeSet<u64> = all;
            let (mut back, mut asked) = (Back::from(before), 0);
            while let Some(after) = back.asks() {
                back.told(all.range(after + 1..).next().copied());
                asked += 1;
                prop_assert!(asked <= 80, "{}", asked);
            }
            prop_assert_eq!(back.found(), all.range(..before).next_back().copied());
        }
    }
}
