//! From whatever lies in the folder to a journal and an index that agree with it.

use super::draft::{Draft, Lasts};
use super::files;
use super::index::{self, Fault, FaultKind, Index, Trouble, guarded};
use super::journal::Journal;
use super::layout::Sum;
use super::marker::Marker;
use super::overlay::Edits;
use super::renewing;
use super::segment;
use super::{Healing, SledOptions};
use crate::store::StoreError;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// An open store.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) journal: Journal,
    pub(super) index: Index,
    /// Held as long as the store is.
    pub(super) lock: File,
    pub(super) healing: Option<Healing>,
}

/// Opens the store of a folder, or makes it.
pub(super) fn open(folder: &Path, options: &SledOptions) -> Result<Opened, StoreError> {
    let trouble = |error| files::trouble(folder, &error);
    files::private_folder(folder).map_err(trouble)?;
    let lock = files::lock(folder, options.wait)?;
    renewing::tidy(folder).map_err(trouble)?;
    let marker = Marker::read(folder);
    if segment::list(folder).map_err(trouble)?.is_empty() {
        let mut journal = create(folder, options)?;
        let (index, _) = agree(folder, &mut journal, options.wait, 0)?;
        return Ok(Opened { journal, index, lock, healing: None });
    }
    let Some(marker) = marker else {
        return check(folder, options, lock, None);
    };
    if !marker.fits(folder).map_err(trouble)? {
        return check(folder, options, lock, Some(&marker));
    }
    // A clean stop: journal and index are as they were left, and nothing is read.
    let as_left = |index: Index| {
        let is_as_left = index.progress()? == (marker.sequence, marker.sum);
        Ok(is_as_left.then_some(index))
    };
    match open_index(folder, options.wait).and_then(|index| guarded(|| as_left(index))) {
        Ok(Some(index)) => {
            let journal = Journal::resume(folder, options.segment_bytes, marker)?;
            Ok(Opened { journal, index, lock, healing: None })
        }
        Ok(None) => check(folder, options, lock, Some(&marker)),
        Err(fault) if fault.kind == FaultKind::Damage => check(folder, options, lock, Some(&marker)),
        Err(fault) => Err(refusal(folder, options.wait, fault)),
    }
}

/// Opens the index and makes it agree with the journal: applies what it lacks, adds it all up, and makes it anew from
/// the journal when that does not come out right. After a kill it may lack what sled had not written yet, but
/// nothing up to commit `known`: then the healing is told.
pub(super) fn agree(
    folder: &Path,
    journal: &mut Journal,
    wait: Duration,
    known: u64,
) -> Result<(Index, Option<Healing>), StoreError> {
    let was_there = folder.join(index::FOLDER).exists();
    let refuse = |trouble| match trouble {
        Trouble::Store(error) => error,
        Trouble::Index(fault) => refusal(folder, wait, fault),
    };
    let opened = open_index(folder, wait).map_err(Trouble::Index).and_then(|index| {
        // Letting go of a damaged sled may panic too, so it goes inside.
        guarded(|| catch_up(index, journal))
    });
    let (index, noticed) = match opened {
        Ok((index, come)) if come >= known => return Ok((index, None)),
        Ok((index, come)) => (index, format!("the index was that of commit {come}, older than the last clean stop")),
        Err(Trouble::Index(fault)) if fault.kind == FaultKind::Damage => {
            let noticed = if was_there { fault.reason } else { "the index was missing".to_owned() };
            (rebuild(folder, journal, wait).map_err(refuse)?, noticed)
        }
        Err(trouble) => return Err(refuse(trouble)),
    };
    index.sync().map_err(|fault| refusal(folder, wait, fault))?; // healed for good, also when a kill follows
    Ok((index, Some(Healing { noticed, records: journal.records() })))
}

/// Whether there ever was a commit, or anything that only a used store has.
pub(super) fn is_used(folder: &Path) -> std::io::Result<bool> {
    let numbers = if folder.exists() { segment::list(folder)? } else { Vec::new() };
    let is_longer = |number: &u64| segment::path(folder, *number).metadata().map(|about| about.len() > segment::HEAD);
    Ok(match numbers.as_slice() {
        [] => folder.join(index::FOLDER).exists() || Marker::exists(folder), // its journal is gone
        [only] => is_longer(only)?,
        _ => true,
    })
}

fn create(folder: &Path, options: &SledOptions) -> Result<Journal, StoreError> {
    if Marker::exists(folder) || folder.join(index::FOLDER).exists() {
        return Err(StoreError::Damaged {
            path: folder.display().to_string(),
            reason: format!("the store was used, and its journal is gone; {}", segment::RESTORE),
        });
    }
    Journal::create(folder, options.segment_bytes)
}

/// Opens a store that was not stopped cleanly, or is not as it was left.
fn check(folder: &Path, options: &SledOptions, lock: File, marker: Option<&Marker>) -> Result<Opened, StoreError> {
    let mut journal = Journal::recover(folder, options.segment_bytes)?;
    let (sequence, _) = journal.progress();
    let known = marker.map_or(0, |marker| marker.sequence);
    if known > sequence {
        return Err(cut_short(folder, sequence, known));
    }
    let was_there = folder.join(index::FOLDER).exists();
    let (index, healing) = agree(folder, &mut journal, options.wait, known)?;
    journal.cut_torn_end()?;
    // A store that never held anything may well lack its index: its making was interrupted.
    Ok(Opened { journal, index, lock, healing: healing.filter(|_| was_there || sequence > 0) })
}

/// Applies what the index lacks and adds it up; also says how far it had come.
fn catch_up(mut index: Index, journal: &mut Journal) -> Result<(Index, u64), Trouble> {
    let (come, _) = index.progress()?;
    let (sequence, sum) = journal.progress();
    if come > sequence {
        return Err(cut_short(index.store(), sequence, come).into());
    }
    if come + 1 < journal.first() {
        let older = format!("the index was that of commit {come}, older than the journal reaches back");
        return Err(Fault::damage(older).into());
    }
    apply_after(&mut index, journal, come)?;
    if count(&index, journal)? != sum {
        return Err(Fault::damage("the index did not hold what the journal says").into());
    }
    Ok((index, come))
}

/// Makes a new index from the journal.
fn rebuild(folder: &Path, journal: &mut Journal, wait: Duration) -> Result<Index, Trouble> {
    journal.cut_torn_end()?;
    let place = folder.join(index::FOLDER);
    if place.exists() {
        std::fs::remove_dir_all(&place).map_err(|error| files::trouble(folder, &error))?;
    }
    let mut index = open_index(folder, wait)?;
    apply_after(&mut index, journal, 0)?;
    let found = count(&index, journal)?;
    if found != journal.progress().1 {
        // The sum was kept while the index was already wrong. The journal's groups are whole and without a gap, so
        // what they make is right; an empty group puts the sum right.
        journal.append(Vec::new(), found, false)?;
        index.apply(Edits::new(), journal.progress().0, found)?;
    }
    Ok(index)
}

/// Applies the groups after `come`.
fn apply_after(index: &mut Index, journal: &Journal, come: u64) -> Result<(), Trouble> {
    journal.replay(come, |frame| {
        let applied = guarded(|| {
            let mut draft = Draft::after((frame.sequence - 1, Sum::default()), Lasts::default());
            draft.repeat(index, &frame.changes)?;
            index.apply(draft.edits, frame.sequence, frame.sum)?;
            if index.is_full() { settle(index) } else { Ok(()) }
        });
        Ok::<(), Trouble>(applied?)
    })?;
    Ok(settle(index)?)
}

/// Gives sled everything.
fn settle(index: &mut Index) -> Result<(), Fault> {
    index.spill()?;
    index.spilled();
    Ok(())
}

/// Adds up the index, and counts anew what is live in the journal.
fn count(index: &Index, journal: &mut Journal) -> Result<Sum, Fault> {
    journal.forget_live();
    index.add_up(|sequence, bytes| journal.born(sequence, bytes))
}

/// Opens sled, waiting for a dying process to let go of it: our own lock is free before sled's is.
pub(super) fn open_index(folder: &Path, wait: Duration) -> Result<Index, Fault> {
    let mut waited = Duration::ZERO;
    loop {
        match Index::open(folder) {
            Err(fault) if fault.kind == FaultKind::Held && waited < wait => files::pause(&mut waited),
            result => return result,
        }
    }
}

/// A fault of the index that making it anew does not mend.
pub(super) fn refusal(folder: &Path, waited: Duration, fault: Fault) -> StoreError {
    let path = folder.join(index::FOLDER).display().to_string();
    match fault.kind {
        FaultKind::Held => files::held(folder, waited),
        FaultKind::System => StoreError::Io { path, reason: fault.reason },
        FaultKind::Damage => StoreError::Damaged { path, reason: format!("{}; start again", fault.reason) },
    }
}

fn cut_short(folder: &Path, sequence: u64, known: u64) -> StoreError {
    StoreError::Damaged {
        path: folder.display().to_string(),
        reason: format!("its journal ends at commit {sequence}, and commit {known} was written; {}", segment::RESTORE),
    }
}
