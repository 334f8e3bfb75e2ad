//! What the audit log writes together, and what in it is the same.

use super::refusals::Told;
use crate::model::{Action, Actor, AuditEntry, Outcome, Target};
use crate::store::Change;
use crate::vault::VaultError;
use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use tokio::sync::oneshot;

/// Entries of the same that are told one by one in each writing: by whom, what, to what, from where. A program that asks for a token with
/// each of its requests is counted beyond that, or its log would be larger than all else together.
pub const MOST_ALIKE: u32 = 8;

/// What is handed to the log.
pub(super) enum Work {
    /// Nobody waits for it.
    Soon(Box<AuditEntry>),
    /// Somebody waits until it is durable, with changes that are made in the same commit or not at all.
    Now(Vec<AuditEntry>, Vec<Change>, Done),
    /// What was not told one by one.
    Counted(Vec<AuditEntry>),
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
    pub(super) waiting: Vec<Done>,
    /// Each is a commit of its own: it may not fit.
    pub(super) with_changes: Vec<(Vec<AuditEntry>, Vec<Change>, Done)>,
    /// How many of those that are the same are in `soon`, and where the last of them is.
    alike: HashMap<u64, (u32, usize)>,
    hasher: RandomState,
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
    pub(super) fn take(&mut self, work: Work, told: &mut Told) {
        match work {
            Work::Soon(entry) => self.put(*entry, told),
            Work::Counted(entries) => self.soon.extend(entries),
            Work::Now(entries, changes, done) if changes.is_empty() => {
                // Whoever wants to read finds the counts too.
                if entries.is_empty() {
                    self.soon.extend(told.counted());
                }
                self.now.extend(entries);
                self.waiting.push(done);
            }
            Work::Now(entries, changes, done) => self.with_changes.push((entries, changes, done)),
        }
    }

    /// Adds an entry that nobody waits for. What is told often enough already, and a refusal that is told at all, is counted.
    fn put(&mut self, entry: AuditEntry, told: &mut Told) {
        let is_strange = entry.outcome == Outcome::Refused && matches!(entry.actor, Actor::Nobody | Actor::Key { .. });
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

    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty() || !self.with_changes.is_empty()
    }
}
