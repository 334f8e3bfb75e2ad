//! What the audit log writes together, and what in it is the same.

use super::inbox::Lost;
use super::refusals::{Told, comes_to_nothing};
use crate::model::{Action, Actor, AuditEntry, Outcome, Target};
use crate::store::Change;
use crate::vault::VaultError;
use foldhash::{fast, quality};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use tokio::sync::oneshot;

/// Entries of the same that are told one by one in each writing: by whom, what, to what, from where. A program that asks for a token with
/// each of its requests is counted beyond that, or its log would be larger than all else together.
pub const MOST_ALIKE: u32 = 8;

/// What somebody waits for until it is durable: entries, with changes that are made in the same commit or not at all.
pub(super) struct Work {
    pub(super) entries: Vec<AuditEntry>,
    pub(super) changes: Vec<Change>,
    pub(super) done: Done,
}

/// Who waits.
pub(super) type Done = oneshot::Sender<Result<(), VaultError>>;

/// What is written together.
#[derive(Default)]
pub(super) struct Batch {
    /// Entries that nobody waits for.
    pub(super) soon: Vec<AuditEntry>,
    /// Those that somebody waits for.
    pub(super) now: Vec<AuditEntry>,
    /// Who waits for them, each with where theirs end in `now`. A flush has none of its own.
    pub(super) waiting: Vec<(usize, Done)>,
    /// Each is a commit of its own: it may not fit.
    pub(super) with_changes: Vec<(Vec<AuditEntry>, Vec<Change>, Done)>,
    /// How many of those that are the same are in `soon`, and where the last of them is.
    alike: HashMap<u64, (u32, usize), fast::RandomState>,
    hasher: quality::RandomState,
    /// While it is written: of `soon`, which has those of `now` behind it then, what is still to be written and is nobody's.
    pub(super) writing: Option<(usize, usize)>,
}

/// What makes two entries the same but for their time and their request.
#[derive(PartialEq, Eq, Hash)]
struct Same<'a> {
    actor: &'a Actor,
    action: Action,
    target: Option<&'a Target>,
    outcome: Outcome,
    code: Option<&'a str>,
    detail: Option<&'a str>,
    remote: Option<IpAddr>,
}

impl<'a> Same<'a> {
    fn of(entry: &'a AuditEntry) -> Self {
        Self {
            actor: &entry.actor,
            action: entry.action,
            target: entry.target.as_ref(),
            outcome: entry.outcome,
            code: entry.code.as_deref(),
            detail: entry.detail.as_deref(),
            remote: entry.remote,
        }
    }
}

impl Batch {
    /// Adds what somebody waits for.
    pub(super) fn take(&mut self, Work { entries, changes, done }: Work, told: &mut Told) {
        if !changes.is_empty() {
            return self.with_changes.push((entries, changes, done));
        }
        // Whoever wants to read finds the counts too.
        if entries.is_empty() {
            self.soon.extend(told.counted());
        }
        self.now.extend(entries);
        self.waiting.push((self.now.len(), done));
    }

    /// Adds an entry that nobody waits for. What is told often enough already, and what comes to nothing and is told at all, is counted.
    pub(super) fn put(&mut self, mut entry: AuditEntry, told: &mut Told) {
        let is_strange = comes_to_nothing(&entry);
        if entry.action == Action::Proxy && !is_strange {
            told.with_path(&mut entry);
        }
        let hash = self.hasher.hash_one(Same::of(&entry));
        let entry = match is_strange && !self.alike.contains_key(&hash) {
            true => told.or_counted(entry),
            false => Some(entry),
        };
        let Some(entry) = entry else { return };
        let each = if is_strange { 1 } else { MOST_ALIKE };
        let at = self.soon.len();
        match self.alike.entry(hash) {
            Entry::Vacant(vacant) => {
                vacant.insert((1, at));
                self.soon.push(entry);
            }
            Entry::Occupied(mut occupied) => {
                let (told, last) = occupied.get_mut();
                // Two that are not the same and have one hash are both told.
                let is_same = Same::of(&self.soon[*last]) == Same::of(&entry);
                if is_same && *told >= each {
                    self.soon[*last].times = self.soon[*last].times.saturating_add(entry.times);
                } else {
                    (*told, *last) = (*told + 1, at);
                    self.soon.push(entry);
                }
            }
        }
    }

    /// The first `count` of those that nobody waits for are written, and leave it.
    pub(super) fn written(&mut self, count: usize) {
        self.soon.drain(..count);
        if self.soon.is_empty() {
            self.alike.clear();
        } else if count > 0 {
            self.alike.retain(|_, (_, at)| {
                let stays = *at >= count;
                *at = at.saturating_sub(count);
                stays
            });
        }
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.soon.is_empty() && !self.is_waited_for()
    }

    /// Whether somebody waits.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty() || !self.with_changes.is_empty()
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let (from, to) = self.writing.unwrap_or((0, self.soon.len()));
        drop(Lost::of(self.soon.get(from..to).unwrap_or_default()));
    }
}
