//! Writing everything anew, so that nothing that was replaced or removed is left in the files: for a key that is to retire.
//!
//! The journal is emptied up to a file that was begun for it, as it empties its oldest file anyway. Then the index is
//! copied, for sled keeps old bytes in its pages: a page at a time between commits, each of which goes to both, until the
//! copy's sum says that it is whole. It takes the index's place by two renames; [`tidy`] puts right what a crash between them leaves.

use super::committer::Committer;
use super::files;
use super::index::{self, Fault, Index, guarded};
use super::layout::{self, Sum};
use super::overlay::Edits;
use super::{opening, segment};
use crate::store::StoreError;
use std::io;
use std::path::Path;
use std::sync::PoisonError;

/// What [`Committer::renew`] is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// The first step. What an earlier attempt had done is done again.
    Begin,
    /// The next one.
    Next,
    /// No further one.
    GiveUp,
}

/// How far it has come.
#[derive(Debug)]
pub(super) struct Renewing {
    /// The first journal file that stays.
    upto: u64,
    /// The journal files to empty when it began.
    files: u64,
    copy: Option<Copy>,
}

/// The index that is being made.
#[derive(Debug)]
struct Copy {
    index: Index,
    /// What it adds up to.
    sum: Sum,
    /// Up to which key it is copied. Commits go to it whole: what lies behind is copied once more.
    after: Vec<u8>,
    /// How many records are in it.
    records: u64,
    /// Why it is of no use.
    fault: Option<Fault>,
}

/// The folder of the copy.
const COPY: &str = "index.new";
/// The folder of the index that the copy has replaced.
const REPLACED: &str = "index.old";
/// Entries of the index that one step copies.
const PAGE: usize = 1000;

/// Puts right what a crash left: the copy takes its place where the index had made room for it, and goes otherwise.
pub(super) fn tidy(folder: &Path) -> io::Result<()> {
    let [index, copy, replaced] = [index::FOLDER, COPY, REPLACED].map(|name| folder.join(name));
    if !copy.exists() && !replaced.exists() {
        return Ok(());
    }
    // Room was made only for a copy that was whole and on disk. It is added up all the same, as after every crash.
    if !index.exists() && copy.exists() {
        std::fs::rename(&copy, &index)?;
    }
    for leftover in [copy, replaced] {
        remove(&leftover)?;
    }
    files::sync_folder(folder)
}

impl Renewing {
    /// Takes a group of commits over into the copy.
    pub(super) fn follow(&mut self, edits: &Edits) {
        if let Some(copy) = &mut self.copy {
            let entries = edits.iter().map(|(key, edit)| (key.as_ref(), edit.value.as_deref()));
            match copy.index.take(entries, copy.sum) {
                Ok(sum) => copy.sum = sum,
                Err(fault) => copy.fault = Some(fault),
            }
        }
    }

    /// The index was found to be wrong: what was copied from it is copied again.
    pub(super) fn distrust(&mut self) {
        if let Some(copy) = &mut self.copy {
            copy.fault = Some(Fault::damage("the index that it was copied from was mended meanwhile"));
        }
    }
}

impl Committer {
    /// One step. Says how much is done, and of how much.
    pub(super) fn renew(&mut self, step: Step) -> Result<(u64, u64), StoreError> {
        let result = match step {
            Step::Begin => self.begin_renewing(),
            Step::Next => self.renew_further(),
            Step::GiveUp => {
                self.give_up_renewing();
                return Ok((0, 1));
            }
        };
        if result.is_err() {
            self.give_up_renewing();
        }
        result
    }

    /// Forgets the copy.
    pub(super) fn give_up_renewing(&mut self) {
        let copy = self.renewing.take().and_then(|renewing| renewing.copy);
        if let Some(Err(fault)) = copy.map(|copy| copy.index.close()) {
            tracing::debug!(fault.reason, "the copy of the index was let go of");
        }
        if let Err(error) = remove(&self.shared.folder.join(COPY)) {
            tracing::warn!(%error, "a copy of the index that is not needed is removed at the next start");
        }
    }

    fn begin_renewing(&mut self) -> Result<(u64, u64), StoreError> {
        self.give_up_renewing();
        let upto = self.journal.begin_file()?;
        let files = upto - self.journal.range().0;
        self.renewing = Some(Renewing { upto, files, copy: None });
        Ok((0, self.journal.records() * 2 + 1))
    }

    fn renew_further(&mut self) -> Result<(u64, u64), StoreError> {
        let Some(renewing) = &mut self.renewing else {
            return Err(self.not_renewed("nobody began it"));
        };
        let (upto, files) = (renewing.upto, renewing.files);
        let records = self.journal.records();
        let of = records * 2 + 1;
        if self.journal.range().0 < upto {
            self.empty_oldest()?;
            let left = upto.saturating_sub(self.journal.range().0);
            return Ok((records * (files - left.min(files)) / files.max(1), of));
        }
        if let Some(copy) = &mut renewing.copy {
            if let Some(fault) = copy.fault.take() {
                return Err(self.not_renewed(&fault.reason));
            }
            let after = std::mem::take(&mut copy.after);
            let page = self.asked(|index| index.page(&after, PAGE))?;
            let Some(last) = page.last().map(|(key, _)| key.to_vec()) else {
                self.put_in_place()?;
                return Ok((of, of));
            };
            let Some(copy) = self.renewing.as_mut().and_then(|renewing| renewing.copy.as_mut()) else {
                return Err(self.not_renewed("the index was mended meanwhile"));
            };
            let entries = page.iter().map(|(key, value)| (key.as_ref(), Some(value.as_ref())));
            let taken = copy.index.take(entries, copy.sum);
            copy.records += page.iter().filter(|(key, _)| key.starts_with(layout::ROWS)).count() as u64;
            copy.after = last;
            let done = records + copy.records.min(records);
            match taken {
                Ok(sum) => copy.sum = sum,
                Err(fault) => return Err(self.not_renewed(&fault.reason)),
            }
            return Ok((done, of));
        }
        self.refuse_leftovers(upto)?;
        let index = remove(&self.shared.folder.join(COPY)).map_err(Fault::from);
        match index.and_then(|()| Index::open_as(&self.shared.folder, COPY)) {
            Ok(index) => {
                renewing_copy(&mut self.renewing, index);
                Ok((records, of))
            }
            Err(fault) => Err(self.not_renewed(&fault.reason)),
        }
    }

    /// The copy becomes the index. Nobody reads meanwhile; opening it takes a second where there are millions of records.
    fn put_in_place(&mut self) -> Result<(), StoreError> {
        let Some(mut copy) = self.renewing.take().and_then(|renewing| renewing.copy) else {
            return Err(self.not_renewed("there is no copy"));
        };
        let (sequence, sum) = self.journal.progress();
        if copy.sum != sum {
            return Err(self.not_renewed("its copy did not hold what the journal says"));
        }
        let whole = copy.index.apply(Edits::new(), sequence, sum).and_then(|()| copy.index.sync());
        if let Err(fault) = whole.and_then(|()| copy.index.close()) {
            return Err(self.not_renewed(&fault.reason));
        }
        let shared = self.shared.clone();
        let folder = &shared.folder;
        let mut slot = shared.slot.write().unwrap_or_else(PoisonError::into_inner);
        let closed = slot.index.take().map_or(Ok(()), Index::close);
        let swapped = closed.and_then(|()| {
            remove(&folder.join(REPLACED))?;
            std::fs::rename(folder.join(index::FOLDER), folder.join(REPLACED))?;
            std::fs::rename(folder.join(COPY), folder.join(index::FOLDER))?;
            files::sync_folder(folder)?;
            opening::open_index(folder, self.wait)
        });
        match swapped.and_then(|index| guarded(|| Ok((index.progress()? == (sequence, sum)).then_some(index)))) {
            Ok(Some(index)) => {
                slot.age += 1;
                slot.index = Some(index);
                self.synced = sequence;
            }
            // The next question has it mended from the journal.
            Ok(None) => return Err(self.not_renewed("its copy is not what was written")),
            Err(fault) => return Err(self.not_renewed(&fault.reason)),
        }
        drop(slot);
        remove(&folder.join(REPLACED)).and_then(|()| files::sync_folder(folder)).map_err(|e| files::trouble(folder, &e))
    }

    /// Emptied journal files that are still there are what was to go.
    fn refuse_leftovers(&mut self, upto: u64) -> Result<(), StoreError> {
        self.journal.remove_emptied();
        if self.journal.is_held() {
            return Err(self.not_renewed("a backup that is being made still needs files of it"));
        }
        let folder = &self.shared.folder;
        let numbers = segment::list(folder).map_err(|error| files::trouble(folder, &error))?;
        match numbers.first() {
            Some(number) if *number < upto => {
                let path = segment::path(folder, *number);
                Err(self.not_renewed(&format!("the emptied journal file {} could not be removed", path.display())))
            }
            _ => Ok(()),
        }
    }

    fn not_renewed(&self, reason: &str) -> StoreError {
        StoreError::Io {
            path: self.shared.folder.display().to_string(),
            reason: format!("it could not be written anew ({reason}); nothing is lost, try again"),
        }
    }
}

fn renewing_copy(renewing: &mut Option<Renewing>, index: Index) {
    if let Some(renewing) = renewing {
        let (sum, after) = (Sum::default(), Vec::new());
        renewing.copy = Some(Copy { index, sum, after, records: 0, fault: None });
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    if folder.exists() { std::fs::remove_dir_all(folder) } else { Ok(()) }
}
