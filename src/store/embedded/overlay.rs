//! What the last groups have changed, kept in memory before it goes to sled: the youngest layer of the index.
//!
//! A refresh is two commits, or three where a script reads the reply, and most of what the first ones write is gone again with the last. In sled each of
//! those entries costs several microseconds of the one thread that writes; here it costs next to none, and sled is given what is left of
//! hundreds of groups at once; of a record that came and went meanwhile it never hears. Nothing depends on it: the journal has every group, and an index that is some groups behind
//! after a kill is given them again.

use super::index::Fault;
use super::layout::{self, Sum};
use sled::IVec;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Held;
use std::iter::Peekable;
use std::ops::Bound;

/// An entry of the index, or why it cannot be read.
pub(super) type Entry = Result<(IVec, IVec), Fault>;

/// How many entries it holds before they go to sled: more than what refreshes in flight have there, few enough that
/// the journal has soon given them to an index that a kill left behind. Few in this crate's own tests, so that they meet both layers.
const MOST_ENTRIES: usize = if cfg!(test) { 64 } else { 8192 };
/// The same in bytes.
const MOST_BYTES: usize = if cfg!(test) { 64 << 10 } else { 16 << 20 };

/// What a group writes under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    /// `None` removes.
    pub(super) value: Option<IVec>,
    /// Whether nothing was there before the group, as was seen by looking: not only by what another record says of it.
    pub(super) is_new: bool,
}

/// What a group writes.
pub(super) type Edits = BTreeMap<IVec, Edit>;

/// Changes on top of sled.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    edits: Edits,
    /// How far they bring the index. Where it is set there may be no edits.
    pub(super) progress: Option<(u64, Sum)>,
    /// What the edits were, in bytes; those that replaced each other are counted each.
    bytes: usize,
}

impl Overlay {
    /// One without changes.
    pub(super) const fn new() -> Self {
        Self { edits: BTreeMap::new(), progress: None, bytes: 0 }
    }

    /// Gives the changes to sled, in the order that [`layout`] explains, by single inserts: a batch of 1,000 cost sled 2 GB of
    /// memory at a million records.
    pub(super) fn write(&self, db: &sled::Db) -> Result<(), Fault> {
        let Some((sequence, sum)) = self.progress else { return Ok(()) };
        for (key, edit) in &self.edits {
            match &edit.value {
                Some(value) => db.insert(key, value)?,
                None => db.remove(key)?,
            };
        }
        db.insert(layout::PROGRESS, sum.progress(sequence))?;
        Ok(())
    }

    /// Takes a group's changes.
    pub(super) fn apply(&mut self, edits: Edits, progress: (u64, Sum)) {
        for (key, edit) in edits {
            self.bytes += key.len() + edit.value.as_ref().map_or(0, |value| value.len());
            match self.edits.entry(key) {
                // Below it there is nothing, whatever was here meanwhile.
                Held::Occupied(held) if held.get().is_new && edit.value.is_none() => drop(held.remove()),
                Held::Occupied(mut held) => held.get_mut().value = edit.value,
                Held::Vacant(_) if edit.is_new && edit.value.is_none() => {}
                Held::Vacant(free) => drop(free.insert(edit)),
            }
        }
        self.progress = Some(progress);
    }

    /// Whether it is time to write it to sled.
    pub(super) fn is_full(&self) -> bool {
        self.edits.len() >= MOST_ENTRIES || self.bytes >= MOST_BYTES
    }

    /// What it says of a key: `None` where it does not know, `Some(None)` where it was removed.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<&IVec>> {
        self.edits.get(key).map(|edit| edit.value.as_ref())
    }

    /// The entries below, from `start` on, as the changes make them.
    pub(super) fn over<'a>(
        &'a self,
        below: impl Iterator<Item = Entry> + 'a,
        start: Bound<&[u8]>,
    ) -> impl Iterator<Item = Entry> + 'a {
        let edits = self.edits.range::<[u8], _>((start, Bound::Unbounded));
        Merged { edits: edits.peekable(), below: below.peekable(), order: |edit, below| edit.cmp(below) }
    }

    /// The entries below whose key starts with `prefix`, the last first, as the changes make them.
    pub(super) fn over_reversed<'a>(
        &'a self,
        below: impl Iterator<Item = Entry> + 'a,
        prefix: &'a [u8],
    ) -> impl Iterator<Item = Entry> + 'a {
        let edits = self.edits.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
        let edits = edits.take_while(move |(key, _)| key.starts_with(prefix)).collect::<Vec<_>>().into_iter().rev();
        Merged { edits: edits.peekable(), below: below.peekable(), order: |edit, below| below.cmp(edit) }
    }
}

/// Two sorted runs as one; where both have a key the edit counts.
struct Merged<E: Iterator, B: Iterator> {
    edits: Peekable<E>,
    below: Peekable<B>,
    order: fn(&IVec, &IVec) -> Ordering,
}

impl<'a, E, B> Iterator for Merged<E, B>
where
    E: Iterator<Item = (&'a IVec, &'a Edit)>,
    B: Iterator<Item = Entry>,
{
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let order = match (self.edits.peek(), self.below.peek()) {
                (Some((edit, _)), Some(Ok((below, _)))) => (self.order)(edit, below),
                (Some(_), None) => Ordering::Less,
                _ => return self.below.next(),
            };
            if order.is_gt() {
                return self.below.next();
            }
            if order.is_eq() {
                self.below.next();
            }
            if let Some((key, Edit { value: Some(value), .. })) = self.edits.next() {
                return Some(Ok((key.clone(), value.clone())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

    fn below(entries: &Entries) -> impl DoubleEndedIterator<Item = Entry> {
        entries.iter().map(|(key, value)| Ok((key.as_slice().into(), value.as_slice().into())))
    }

    fn plain(entries: impl Iterator<Item = Entry>) -> Vec<(Vec<u8>, Vec<u8>)> {
        entries.map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())).unwrap()).collect()
    }

    fn keys() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(0..3u8, 1..4)
    }

    proptest! {
        #[test]
        fn what_is_read_through_it_is_what_was_written(
            entries in proptest::collection::btree_map(keys(), keys(), 0..12),
            groups in proptest::collection::vec(proptest::collection::btree_map(keys(), proptest::option::of(keys()), 0..8), 0..6),
            start in keys(),
        ) {
            let (mut overlay, mut model) = (Overlay::default(), entries.clone());
            for group in &groups {
                let edit = |key: &Vec<u8>, value: &Option<Vec<u8>>| {
                    let value = value.as_ref().map(|value| IVec::from(value.as_slice()));
                    (IVec::from(key.as_slice()), Edit { value, is_new: !model.contains_key(key) })
                };
                overlay.apply(group.iter().map(|(key, value)| edit(key, value)).collect(), (1, Sum::default()));
                for (key, value) in group {
                    match value {
                        Some(value) => model.insert(key.clone(), value.clone()),
                        None => model.remove(key),
                    };
                }
            }
            for key in model.keys().chain(entries.keys()) {
                let through = overlay.get(key).map_or_else(|| entries.get(key).cloned(), |value| value.map(|value| value.to_vec()));
                prop_assert_eq!(through.as_ref(), model.get(key));
            }
            let is_needless = |(key, edit): (&IVec, &Edit)| edit.value.is_none() && !entries.contains_key(key.as_ref());
            let was_there: Vec<_> = overlay.edits.iter().filter(|edit| is_needless(*edit)).map(|(_, edit)| edit.is_new).collect();
            prop_assert!(!was_there.contains(&true), "what came and went is no change");
            let from = below(&entries).filter(|entry| entry.as_ref().is_ok_and(|(key, _)| key.as_ref() > start.as_slice()));
            let expected: Vec<_> = model.clone().into_iter().filter(|(key, _)| *key > start).collect();
            prop_assert_eq!(plain(overlay.over(from, Bound::Excluded(&start))), expected);
            let of = |key: &[u8]| key.starts_with(&start[..1]);
            let back = below(&entries).rev().filter(|entry| entry.as_ref().is_ok_and(|(key, _)| of(key)));
            let expected: Vec<_> = model.into_iter().rev().filter(|(key, _)| of(key)).collect();
            prop_assert_eq!(plain(overlay.over_reversed(back, &start[..1])), expected);
        }
    }

    #[test]
    fn a_fault_below_is_told_and_not_read_over() {
        let mut overlay = Overlay::default();
        overlay.apply([("a".into(), Edit { value: Some("1".into()), is_new: true })].into(), (1, Sum::default()));
        let faulty = std::iter::once_with(|| Err(Fault::damage("a bad page")));
        assert!(overlay.over(faulty, Bound::Unbounded).next().unwrap().is_err());
    }
}
