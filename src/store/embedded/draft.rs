//! A group of commits before it is written: what it would change, on top of the index. Each commit is checked against
//! the index and the commits before it, and one that does not fit leaves no trace.

use super::index::{Fault, Index};
use super::layout::{self, Sum};
use super::overlay::{Edit, Edits};
use super::queries;
use crate::store::{Change, Expect, Key, Row};
use sled::IVec;
use std::borrow::Cow;

/// What a group would change.
#[derive(Debug)]
pub(super) struct Draft {
    /// The number that the group will have.
    sequence: u64,
    /// The sum of the index after it.
    pub(super) sum: Sum,
    /// What to write to the index.
    pub(super) edits: Edits,
    /// What to write to the journal.
    pub(super) changes: Vec<(Key, Option<Row>)>,
    /// The sizes of the records written, in bytes.
    pub(super) born: Vec<u64>,
    /// The groups and sizes of the records that are replaced or removed.
    pub(super) died: Vec<(u64, u64)>,
    pub(super) lasts: Lasts,
}

/// The last sequences, once they were asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lasts {
    /// Of the events.
    event: Option<u64>,
    /// Of the entries of the audit log.
    audit: Option<u64>,
}

/// Why a commit is not taken into the group.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Something is not as the writer expects.
    Conflict,
    /// The index cannot be read.
    Fault(Fault),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Draft {
    /// An empty group, to follow the last one, with what is known of the last sequences.
    pub(super) fn after((sequence, sum): (u64, Sum), lasts: Lasts) -> Self {
        Self {
            sequence: sequence + 1,
            sum,
            edits: Edits::new(),
            changes: Vec::new(),
            born: Vec::new(),
            died: Vec::new(),
            lasts,
        }
    }

    /// Takes a commit into the group, or leaves the group as it was.
    pub(super) fn commit(&mut self, index: &Index, changes: &[Change]) -> Result<(), Refusal> {
        let mut undo = Undo {
            sum: self.sum,
            edits: Vec::new(),
            counts: (self.changes.len(), self.born.len(), self.died.len()),
            lasts: self.lasts,
        };
        let result = changes.iter().try_for_each(|change| {
            let change = self.numbered(index, change)?;
            self.logged(index, &change)?;
            let old = self.old(index, change.key)?;
            self.check(index, &change, old.as_ref())?;
            Ok(self.make(index, (change.key, change.row.as_ref()), old.as_ref(), &mut undo.edits)?)
        });
        if result.is_err() {
            self.take_back(undo);
        }
        result
    }

    /// Takes changes into the group that were checked when they were first made.
    pub(super) fn repeat(&mut self, index: &Index, changes: &[(Key, Option<Row>)]) -> Result<(), Fault> {
        changes.iter().try_for_each(|(key, row)| {
            let old = self.old(index, *key)?;
            self.make(index, (*key, row.as_ref()), old.as_ref(), &mut Vec::new())
        })
    }

    /// Gives an event its sequence. Only here, on the one thread that writes: so the order of sequences is that of commits.
    fn numbered<'a>(&mut self, index: &Index, change: &'a Change) -> Result<Cow<'a, Change>, Refusal> {
        if !matches!(change.key, Key::Event(_)) {
            return Ok(Cow::Borrowed(change));
        }
        let last = self.lasts.event.map_or_else(|| queries::last_event(index), Ok)?;
        let next = last.saturating_add(1);
        let change = change.clone().numbered(next).ok_or(Refusal::Conflict)?;
        self.lasts.event = Some(next);
        Ok(Cow::Owned(change))
    }

    /// The audit log takes pages behind its last one, and no other change.
    fn logged(&mut self, index: &Index, change: &Change) -> Result<(), Refusal> {
        let Key::Audit(page) = change.key else { return Ok(()) };
        let last = self.lasts.audit.map_or_else(|| queries::last_audit(index), Ok)?;
        if !change.only_adds_to_the_log(last) {
            return Err(Refusal::Conflict);
        }
        self.lasts.audit = Some(page);
        Ok(())
    }

    fn check(&self, index: &Index, change: &Change, old: Option<&Old>) -> Result<(), Refusal> {
        let fits = match change.expect {
            Expect::Any => true,
            Expect::Absent => old.is_none(),
            Expect::Version(version) => old.is_some_and(|old| old.row.version() == version),
        };
        let name = change.row.as_ref().and_then(layout::name_key);
        // A record that keeps its name has it already.
        let name = name.filter(|name| old.is_none_or(|old| layout::name_key(&old.row).as_ref() != Some(name)));
        let owner = name.map(|name| self.read(index, &name)).transpose()?.flatten();
        let is_own = match (change.key, owner) {
            (Key::Application(id) | Key::Connection(id) | Key::Access(id), Some(owner)) => layout::id_of(&owner)? == id,
            _ => true,
        };
        if fits && is_own { Ok(()) } else { Err(Refusal::Conflict) }
    }

    /// Each record is read once, and its entries are known from it: what they were need not be read.
    fn make(
        &mut self,
        index: &Index,
        (key, row): (Key, Option<&Row>),
        old: Option<&Old>,
        undo: &mut Vec<Before>,
    ) -> Result<(), Fault> {
        if old.is_none() && row.is_none() {
            return Ok(());
        }
        let at = layout::row_key(key);
        let mut gone = old.map(|old| layout::entries(&old.row)).unwrap_or_default();
        gone.extend(self.left_behind(index, old, row)?);
        let new = row.map(layout::entries).unwrap_or_default();
        for (entry, value) in gone.iter().filter(|(entry, _)| !new.iter().any(|(new, _)| new == entry)) {
            self.set(entry.clone(), Some(value), None, false, undo);
        }
        for (entry, value) in new {
            let before = gone.iter().find(|(gone, _)| *gone == entry).map(|(_, value)| value);
            if before != Some(&value) {
                // Not new: only the record was looked at, and a crash may have left the entry without it.
                self.set(entry, before.map(AsRef::as_ref), Some(value), false, undo);
            }
        }
        let value = row.map(|row| layout::row_value(self.sequence, row)).transpose()?.map(IVec::from);
        self.died.extend(old.map(|old| (old.sequence, (at.len() + old.value.len()) as u64)));
        self.born.extend(value.as_ref().map(|value| (at.len() + value.len()) as u64));
        self.changes.push((key, row.cloned()));
        self.set(at.into(), old.map(|old| old.value.as_ref()), value, old.is_none(), undo);
        Ok(())
    }

    /// The entry of an event that goes, where an earlier format made one that this one would not.
    fn left_behind(&self, index: &Index, old: Option<&Old>, new: Option<&Row>) -> Result<Option<(IVec, IVec)>, Fault> {
        let (Some(Old { row: Row::Event(event), .. }), None) = (old, new) else { return Ok(None) };
        if event.sequence.is_multiple_of(layout::MARKED) {
            return Ok(None);
        }
        let key = layout::age_key(event);
        Ok(self.read(index, &key)?.map(|value| (key.into(), value)))
    }

    /// A record as it is, with what the group has made of it so far.
    fn old(&self, index: &Index, key: Key) -> Result<Option<Old>, Fault> {
        let Some(value) = self.read(index, &layout::row_key(key))? else { return Ok(None) };
        let (sequence, row) = layout::row(&value)?;
        Ok(Some(Old { value, sequence, row }))
    }

    fn read(&self, index: &Index, key: &[u8]) -> Result<Option<IVec>, Fault> {
        match self.edits.get(key) {
            Some(edit) => Ok(edit.value.clone()),
            None => index.get(key),
        }
    }

    /// `is_new` where nothing was found under the key.
    fn set(&mut self, key: IVec, old: Option<&[u8]>, value: Option<IVec>, is_new: bool, undo: &mut Vec<Before>) {
        if let Some(old) = old {
            self.sum = self.sum.without(&key, old);
        }
        if let Some(new) = &value {
            self.sum = self.sum.with(&key, new);
        }
        let is_new = self.edits.get(&key).map_or(is_new, |edit| edit.is_new);
        undo.push((key.clone(), self.edits.insert(key, Edit { value, is_new })));
    }

    fn take_back(&mut self, undo: Undo) {
        self.sum = undo.sum;
        self.lasts = undo.lasts;
        self.changes.truncate(undo.counts.0);
        self.born.truncate(undo.counts.1);
        self.died.truncate(undo.counts.2);
        for (key, before) in undo.edits.into_iter().rev() {
            match before {
                Some(before) => self.edits.insert(key, before),
                None => self.edits.remove(&key),
            };
        }
    }
}

/// A record that a change meets.
struct Old {
    value: IVec,
    /// The number of the group that wrote it.
    sequence: u64,
    row: Row,
}

/// A key, and what the group had for it before.
type Before = (IVec, Option<Edit>);

struct Undo {
    sum: Sum,
    edits: Vec<Before>,
    counts: (usize, usize, usize),
    lasts: Lasts,
}
