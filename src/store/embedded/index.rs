//! sled, kept at arm's length: its errors and its panics become a [`Fault`], and a fault is mended from the journal.

use super::files;
use super::layout::{self, Sum};
use super::overlay::{Edits, Entry, Overlay};
use super::spilling::Spilling;
use crate::store::{Key, Row, StoreError};
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// sled's page cache, in bytes. Its default is 1 GB; 32 MB kept a million records under 128 MB of memory.
const CACHE_BYTES: u64 = 32 << 20;
/// The folder of sled within the store's.
pub(super) const FOLDER: &str = "index";

/// What is wrong with the index. It never holds what cannot be made again from the journal.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// What was seen.
    pub(super) reason: String,
    /// Who is to blame.
    pub(super) kind: FaultKind,
}

/// Who is to blame for a [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The system: a full disk, missing rights. A new index would fare no better.
    System,
    /// Another process, or a dying one, has sled's lock.
    Held,
    /// The files.
    Damage,
}

/// What stops work that touches both index and journal.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The index: to be mended from the journal.
    Index(Fault),
    /// The journal or the folder: to be told.
    Store(StoreError),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Index(fault)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Fault {
    /// The files hold what we did not write.
    pub(super) fn damage(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), kind: FaultKind::Damage }
    }
}

impl From<sled::Error> for Fault {
    fn from(error: sled::Error) -> Self {
        match error {
            // sled says it in words only.
            sled::Error::Io(error) if error.to_string().starts_with("could not acquire lock") => {
                Self { reason: "another process holds its lock".to_owned(), kind: FaultKind::Held }
            }
            sled::Error::Io(error) => error.into(),
            other => Self::damage(other.to_string()),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                FaultKind::Damage
            }
            // sled keeps large values in files of their own, and a power cut may leave it a reference to one that is not there.
            io::ErrorKind::NotFound => FaultKind::Damage,
            _ => FaultKind::System,
        };
        Self { reason: files::advice(&error), kind }
    }
}

/// Runs what may meet damaged pages: sled 0.34 panics on some of them.
pub(super) fn guarded<T, E: From<Fault>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        // Only the first line, cut: sled prints whole pages.
        let said: String = said.unwrap_or("no words").lines().next().unwrap_or_default().chars().take(120).collect();
        Err(Fault::damage(format!("sled panicked ({said})")).into())
    })
}

/// Stands where nothing is being given to sled.
static NOTHING: Overlay = Overlay::new();

/// The open index: sled, and what the last groups changed and sled has not been given yet.
#[derive(Debug)]
pub(super) struct Index {
    /// What lies between the two below: a thread gives it to sled.
    spilling: Option<Spilling>,
    overlay: Overlay,
    db: sled::Db,
    folder: PathBuf,
}

impl Index {
    /// Opens sled in the store's folder, or makes it.
    pub(super) fn open(store: &Path) -> Result<Self, Fault> {
        Self::open_as(store, FOLDER)
    }

    /// The same under another name.
    pub(super) fn open_as(store: &Path, name: &str) -> Result<Self, Fault> {
        let folder = store.join(name);
        files::private_folder(&folder)?;
        let db = guarded(|| {
            sled::Config::new()
                .path(&folder)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(None) // one thread less; nothing here depends on sled's own flushing
                .open()
                .map_err(Fault::from)
        })?;
        files::make_private_below(&folder)?;
        Ok(Self { db, overlay: Overlay::default(), spilling: None, folder })
    }

    /// The store's folder, for messages.
    pub(super) fn store(&self) -> &Path {
        self.folder.parent().unwrap_or(&self.folder)
    }

    /// One value.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, Fault> {
        let changed = || self.spilling.as_ref().and_then(|spilling| spilling.overlay().get(key));
        match self.overlay.get(key).or_else(changed) {
            Some(value) => Ok(value.cloned()),
            None => Ok(self.db.get(key)?),
        }
    }

    /// The record of a key.
    pub(super) fn row(&self, key: Key) -> Result<Option<Row>, Fault> {
        self.get(&layout::row_key(key))?.map(|value| Ok(layout::row(&value)?.1)).transpose()
    }

    /// The record that an entry points to.
    pub(super) fn pointed(&self, key: Key) -> Result<Row, Fault> {
        self.row(key)?.ok_or_else(|| Fault::damage("an entry points to a record that is not there"))
    }

    /// Keys and values whose key starts with `prefix`, from those after `after` on.
    pub(super) fn after<'a>(&'a self, prefix: &'a [u8], after: &'a [u8]) -> impl Iterator<Item = Entry> + 'a {
        let start = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let below = self.db.range::<&[u8], _>((start, Bound::Unbounded)).map(|item| item.map_err(Fault::from));
        let between = self.spilling.as_ref().map_or(&NOTHING, Spilling::overlay);
        self.overlay
            .over(between.over(below, start), start)
            .take_while(move |item| item.as_ref().map_or(true, |(key, _)| key.starts_with(prefix)))
    }

    /// Up to `limit` entries after a key, without how far it has come.
    pub(super) fn page(&self, after: &[u8], limit: usize) -> Result<Vec<(sled::IVec, sled::IVec)>, Fault> {
        let entries = self.after(b"", after);
        entries
            .filter(|item| item.as_ref().map_or(true, |(key, _)| key.as_ref() != layout::PROGRESS))
            .take(limit)
            .collect()
    }

    /// The last key that starts with `prefix`.
    pub(super) fn last(&self, prefix: &[u8]) -> Result<Option<sled::IVec>, Fault> {
        let below = self.db.scan_prefix(prefix).rev().map(|item| item.map_err(Fault::from));
        let between = self.spilling.as_ref().map_or(&NOTHING, Spilling::overlay);
        let last = self.overlay.over_reversed(between.over_reversed(below, prefix), prefix).next();
        Ok(last.transpose()?.map(|(key, _)| key))
    }

    /// How far it has come: the number of the last group applied, and the sum after it. Nothing when it is new.
    pub(super) fn progress(&self) -> Result<(u64, Sum), Fault> {
        let below = || self.get(layout::PROGRESS)?.map_or(Ok((0, Sum::default())), |value| Sum::from_progress(&value));
        let between = self.spilling.as_ref().and_then(|spilling| spilling.overlay().progress);
        self.overlay.progress.or(between).map_or_else(below, Ok)
    }

    /// Takes a group of changes: whoever asks finds them from now on. They go to sled with [`Index::spill_aside`]. Fails where
    /// sled did not take what it was given before.
    pub(super) fn apply(&mut self, edits: Edits, sequence: u64, sum: Sum) -> Result<(), Fault> {
        self.overlay.apply(edits, (sequence, sum));
        if self.spilling.as_ref().is_some_and(Spilling::is_over) { self.end_spilling() } else { Ok(()) }
    }

    /// Whether enough has changed that sled is to be given it.
    pub(super) fn is_full(&self) -> bool {
        self.overlay.is_full()
    }

    /// Has a thread give sled what changed. Whoever reads or commits goes on meanwhile.
    pub(super) fn spill_aside(&mut self) -> Result<(), Fault> {
        self.end_spilling()?;
        let changes = Arc::new(std::mem::take(&mut self.overlay));
        match Spilling::begin(&self.db, &changes) {
            Ok(spilling) => self.spilling = Some(spilling),
            Err(fault) => {
                // No thread has it.
                self.overlay = Arc::into_inner(changes).unwrap_or_default();
                return Err(fault);
            }
        }
        Ok(())
    }

    /// Waits until sled has what a thread gives it.
    pub(super) fn wait_for_spilling(&self) -> Result<(), Fault> {
        self.spilling.as_ref().map_or(Ok(()), Spilling::wait)
    }

    fn end_spilling(&mut self) -> Result<(), Fault> {
        let ended = self.wait_for_spilling();
        self.spilling = None;
        ended
    }

    /// Gives sled all that changed. It is kept in memory too until [`Index::spilled`].
    pub(super) fn spill(&self) -> Result<(), Fault> {
        self.wait_for_spilling()?;
        guarded(|| self.overlay.write(&self.db))
    }

    /// sled has it all.
    pub(super) fn spilled(&mut self) {
        (self.spilling, self.overlay) = (None, Overlay::default());
    }

    /// Writes entries to sled, and gives the sum of all that is here when it was `sum` before. How far it has come is not
    /// written. Only for an index to which no group was applied.
    pub(super) fn take<'a>(
        &self,
        entries: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
        sum: Sum,
    ) -> Result<Sum, Fault> {
        guarded(|| {
            let mut sum = sum;
            for (key, value) in entries {
                let old = match value {
                    Some(value) => self.db.insert(key, value)?,
                    None => self.db.remove(key)?,
                };
                sum = old.map_or(sum, |old| sum.without(key, &old));
                sum = value.map_or(sum, |value| sum.with(key, value));
            }
            Ok(sum)
        })
    }

    /// Reads everything: calls `each` with every record's group number and size, and gives the sum of all.
    pub(super) fn add_up(&self, mut each: impl FnMut(u64, u64) -> Result<(), Fault>) -> Result<Sum, Fault> {
        guarded(|| {
            let mut sum = Sum::default();
            for item in self.after(b"", b"") {
                let (key, value) = item?;
                if key.as_ref() == layout::PROGRESS {
                    continue;
                }
                sum = sum.with(&key, &value);
                if key.starts_with(layout::ROWS) {
                    each(layout::row_sequence(&value)?, (key.len() + value.len()) as u64)?;
                }
            }
            Ok(sum)
        })
    }

    /// Puts everything on disk. sled's `flush` alone does not: it calls `sync_file_range`, which leaves the disk's own cache
    /// and the file's size aside.
    pub(super) fn sync(&self) -> Result<(), Fault> {
        self.spill()?;
        guarded(|| {
            self.db.flush()?;
            files::make_private_below(&self.folder)?;
            Ok(files::sync_below(&self.folder)?)
        })
    }

    /// Lets go of the files. sled writes what it has in memory, and may panic over it; what it was not given is left to the
    /// journal, unless [`Index::sync`] came before.
    pub(super) fn close(self) -> Result<(), Fault> {
        guarded(|| {
            let ended = self.wait_for_spilling();
            drop(self);
            ended
        })
    }

    /// Writes or removes a value past everything that keeps the index right.
    #[cfg(test)]
    pub(super) fn plant(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.spill().unwrap();
        self.spilled();
        value.map_or_else(|| self.db.remove(key), |value| self.db.insert(key, value)).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_sled_is_a_fault_of_one_short_line() {
        let fault = guarded(|| -> Result<(), Fault> { panic!("bad page\n{}", "x".repeat(10_000)) }).unwrap_err();
        assert_eq!((fault.kind, fault.reason.as_str()), (FaultKind::Damage, "sled panicked (bad page)"));
    }

    #[test]
    fn a_file_of_sleds_that_is_missing_is_damage() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(Fault::from(sled::Error::Io(missing)).kind, FaultKind::Damage);
    }

    #[test]
    fn a_full_disk_is_not_taken_for_damage() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(Fault::from(sled::Error::Io(full)).kind, FaultKind::System);
        assert_eq!(Fault::from(sled::Error::ReportableBug(String::new())).kind, FaultKind::Damage);
    }
}
