//! Reading the audit log: the newest first, or on from an entry.

use crate::model::{
    Action, ApplicationName, AuditEntry, Clock, ConnectionName, KeyName, RecordedAudit, Target, Timestamp, later,
};
use crate::vault::{ReadPage, Vault, VaultError};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;

/// Which entries are wanted; all that fit every part that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditFilter {
    /// Only what was done to this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionName>,
    /// Only what was done to this application, or to one of its connections or profiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationName>,
    /// Only what was done with this API key, or to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyName>,
    /// Only this action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// Only from this time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// Some entries, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditList {
    /// The entries.
    pub entries: Vec<RecordedAudit>,
    /// What to ask for older ones with (`before`); `None` where there are none. A look ends after a thousand pages, so that
    /// there may be more although fewer came than were asked for.
    pub next: Option<u64>,
    /// Pages on the way that do not open, with the reason. `grantkeeper audit --verify` looks at the whole log.
    pub unread: Vec<String>,
}

/// How many pages one look goes back through: a filter that hardly anything fits must not hold its reader, or the store, up for
/// the whole log.
const MOST_PAGES: usize = 1000;

/// How many pages are read at once: a thousand entries.
const PAGES: usize = 4;

/// How many entries whoever follows takes at a time: more than a page has, or it would be read again for the rest.
const FOLLOWED: usize = 1024;

/// How long it takes at most until what another process wrote is seen, in seconds.
const POLL: u64 = 2;

/// In seconds.
const A_DAY: u64 = 86_400;

/// The first `limit` entries that are wanted, going back from before a sequence, or from the newest.
///
/// # Errors
/// When the store cannot be read.
pub async fn newest(
    vault: &Vault,
    filter: &AuditFilter,
    before: Option<u64>,
    limit: usize,
) -> Result<AuditList, VaultError> {
    let mut list = AuditList { entries: Vec::new(), next: None, unread: Vec::new() };
    let below = before.unwrap_or(u64::MAX);
    // The page that the entry before `before` is in: the first that ends there or later.
    let mut at = match before {
        None => vault.last_audit().await?,
        Some(before) => {
            let pages = vault.audit_pages(before.saturating_sub(2), 1).await?;
            match pages.first() {
                Some((last, _)) => *last,
                None => vault.last_audit().await?,
            }
        }
    };
    let mut looked = 0;
    while at > 0 {
        if looked == MOST_PAGES {
            list.next = Some(at.saturating_add(1));
            break;
        }
        looked += 1;
        let Some((earlier, page)) = vault.audit_page(at).await? else { break };
        match page {
            Ok(page) => {
                if filter.is_past(&page) {
                    return Ok(list);
                }
                for recorded in recorded(page).into_iter().rev().filter(|recorded| recorded.sequence < below) {
                    if filter.wants(&recorded.entry) {
                        if list.entries.len() == limit {
                            list.next = list.entries.last().map(|last| last.sequence);
                            return Ok(list);
                        }
                        list.entries.push(recorded);
                    }
                }
            }
            Err(error) => list.unread.push(error.to_string()),
        }
        at = earlier;
    }
    Ok(list)
}

/// Up to `limit` entries after a sequence, in their order.
///
/// # Errors
/// When the store cannot be read, or a page does not open.
pub async fn after(vault: &Vault, after: u64, limit: usize) -> Result<Vec<RecordedAudit>, VaultError> {
    let (mut entries, mut reached) = (Vec::new(), after);
    while entries.len() < limit {
        let pages = vault.audit_pages(reached, PAGES).await?;
        let Some((last, _)) = pages.last() else { break };
        reached = *last;
        for (_, page) in pages {
            let page = match page {
                Ok(page) => page,
                // What comes before it first; the next look meets it.
                Err(_) if !entries.is_empty() => return Ok(entries),
                Err(error) => return Err(error),
            };
            entries.extend(recorded(page).into_iter().filter(|recorded| recorded.sequence > after));
            if entries.len() >= limit {
                break;
            }
        }
    }
    entries.truncate(limit);
    Ok(entries)
}

/// Entries in their order, those that are there and then those that come, without an end.
pub struct FollowAudit {
    vault: Vault,
    clock: Arc<dyn Clock>,
    news: watch::Receiver<()>,
    /// The last one that was given out.
    after: u64,
    waiting: VecDeque<RecordedAudit>,
}

impl FollowAudit {
    /// Entries after a sequence; 0 is from the first on.
    #[must_use]
    pub fn new(vault: Vault, clock: Arc<dyn Clock>, after: u64) -> Self {
        let news = vault.audit_news();
        Self { vault, clock, news, after, waiting: VecDeque::new() }
    }

    /// The next entry: at once where there is one, else as soon as this process writes one, or within two seconds when another one
    /// does. May be given up at any time; nothing is lost. A page that does not open is an error each time: to go past it,
    /// begin after its last entry.
    pub async fn next(&mut self) -> Result<RecordedAudit, VaultError> {
        loop {
            if let Some(recorded) = self.waiting.pop_front() {
                self.after = recorded.sequence;
                return Ok(recorded);
            }
            // Before the look: what is written while it lasts is news.
            self.news.mark_unchanged();
            self.waiting = after(&self.vault, self.after, FOLLOWED).await?.into();
            if self.waiting.is_empty() {
                let again = later(self.clock.now(), POLL);
                tokio::select! {
                    // Fails only when the sender is gone, and the vault holds it.
                    _ = self.news.changed() => {}
                    () = self.clock.sleep_until(again) => {}
                }
            }
        }
    }
}

impl AuditFilter {
    /// Whether an entry is wanted.
    #[must_use]
    pub fn wants(&self, entry: &AuditEntry) -> bool {
        let target = entry.target.as_ref();
        self.connection.as_ref().is_none_or(|name| target.and_then(Target::connection) == Some(name))
            && self.application.as_ref().is_none_or(|name| target.and_then(Target::application) == Some(name))
            && self.key.as_ref().is_none_or(|name| {
                let did = entry.actor.key() == Some(name.as_str());
                did || matches!(target, Some(Target::Key(key)) if key == name)
            })
            && self.action.is_none_or(|action| entry.action == action)
            && self.since.is_none_or(|since| entry.at >= since)
    }
}

impl AuditFilter {
    /// Whether nothing that is wanted comes on this page or before it. Clocks are set: an entry may stand a while behind a later one.
    fn is_past(&self, page: &ReadPage) -> bool {
        let Some(since) = self.since else { return false };
        page.page.entries.iter().all(|entry| later(entry.at, A_DAY) < since)
    }
}

fn recorded(page: ReadPage) -> Vec<RecordedAudit> {
    let sequences = page.page.first..;
    sequences.zip(page.page.entries).map(|(sequence, entry)| RecordedAudit { sequence, entry }).collect()
}

impl fmt::Debug for FollowAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowAudit").field("after", &self.after).finish_non_exhaustive()
    }
}
