//! Ids and jitter. Nothing secret comes from here: secrets come straight from the system, in `oauth` and `seal`. So a
//! simulation may hand in a seed, and sees the same run again.

use uuid::Uuid;

/// A new id of a record. Ids grow with time, so that records of one kind lie in the order of their making.
#[must_use]
pub fn new_id() -> Uuid {
    #[cfg(feature = "demo")]
    if let Some(id) = seeded::id() {
        return id;
    }
    Uuid::now_v7()
}

/// A number that, in practice, nothing had before: 62 bits by chance.
#[must_use]
pub fn new_number() -> u64 {
    // The random half of an id, without the two bits that say what kind of id it is.
    new_id().as_u64_pair().1 & (u64::MAX >> 2)
}

/// A share from 0 to 1, for waits that must not be the same everywhere.
#[must_use]
pub fn random_share() -> f64 {
    #[cfg(feature = "demo")]
    if let Some(share) = seeded::share() {
        return share;
    }
    let mut bytes = [0; 2];
    // Without randomness the wait is the longest: slow, and never a stampede.
    if getrandom::fill(&mut bytes).is_err() {
        return 1.0;
    }
    f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX)
}

#[cfg(feature = "demo")]
pub use seeded::Seeded;

#[cfg(feature = "demo")]
mod seeded {
    use std::cell::Cell;
    use uuid::Uuid;

    thread_local! {
        static STATE: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
    }

    /// While it lives, ids and shares made in this thread follow from a seed: for simulations, which run in one thread.
    #[derive(Debug)]
    pub struct Seeded(());

    impl Seeded {
        /// Begins the sequence of a seed.
        #[must_use]
        pub fn by(seed: u64) -> Self {
            STATE.set(Some((seed, 0)));
            Self(())
        }
    }

    impl Drop for Seeded {
        fn drop(&mut self) {
            STATE.set(None);
        }
    }

    pub(super) fn id() -> Option<Uuid> {
        let (number, random) = next()?;
        let [a, b, c, d, e, f, g, h] = random.to_be_bytes();
        // The count stands where the time does.
        Some(uuid::Builder::from_unix_timestamp_millis(number, &[a, b, c, d, e, f, g, h, a, b]).into_uuid())
    }

    pub(super) fn share() -> Option<f64> {
        let (_, random) = next()?;
        let short = u16::try_from(random >> 48).unwrap_or(u16::MAX);
        Some(f64::from(short) / f64::from(u16::MAX))
    }

    /// A count and a number that follows from the seed (SplitMix64, Steele, Lea and Flood 2014).
    fn next() -> Option<(u64, u64)> {
        let (state, count) = STATE.get()?;
        let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        STATE.set(Some((state, count + 1)));
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some((count + 1, mixed ^ (mixed >> 31)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_and_shares_stay_in_their_range() {
        let ids: Vec<Uuid> = (0..100).map(|_| new_id()).collect();
        assert!(ids.is_sorted() && ids[0] != ids[99]);
        assert!((0..100).all(|_| (0.0..=1.0).contains(&random_share())));
    }

    #[cfg(feature = "demo")]
    #[test]
    fn a_seed_brings_the_same_ids_and_shares_again_and_ends_with_its_guard() {
        let run = |seed| {
            let _seeded = Seeded::by(seed);
            (new_id(), random_share(), new_id())
        };
        let first = run(7);
        assert_eq!(first, run(7));
        assert_ne!(first, run(8));
        assert!(first.0 < first.2);
        assert_ne!(new_id(), run(7).0);
    }
}
