//! Whether the audit log is whole, and what is removed from it by age.
//!
//! What this finds: an entry that was changed, put in or taken out, and an old end that was removed by anything but the
//! retention, whose own entry says up to where and with which hash. What it cannot find by itself: pages taken off the newest end, and a
//! log that was written anew from one page on by somebody who has the keys. For these, note [`Verified::head`] elsewhere now and then,
//! and have it checked ([`Head`]).

use super::Acting;
use super::log::{AuditLog, older_than};
use crate::model::{Action, Actor, AuditEntry, Clock, PageHash, Target};
use crate::vault::{ReadPage, Vault, VaultError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A place in the log that can be noted elsewhere, written `SEQUENCE:HASH`: the last entry of a page, and the page's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Head {
    /// The sequence of the last entry.
    pub sequence: u64,
    /// The hash of its page, and with it of all that came before.
    pub hash: PageHash,
}

/// What a verification came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Entries that were read.
    pub entries: u64,
    /// The sequence of the first that is kept.
    pub first: Option<u64>,
    /// The newest page: note it elsewhere, and have it checked later.
    pub head: Option<Head>,
    /// Where a backup was restored: what had been written after it was made is in the store that was moved aside.
    pub restored: Vec<u64>,
    /// What is wrong, at most 100.
    pub findings: Vec<Finding>,
}

/// Something that is wrong with the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// At which entry.
    pub sequence: u64,
    /// What.
    pub reason: String,
}

const MOST_FINDINGS: usize = 100;

/// Pages that are read at once.
const PAGES: usize = 64;

/// Old pages are removed once their newest is so much too old, so that the log does not say so every hour.
const AT_ONCE: i64 = 24 * 3600;

/// Reads the whole log, and checks that each page opens and follows the one before it. A head that was noted earlier must still be
/// there as it was.
///
/// # Errors
/// When the store cannot be read. What is wrong with the log is no error but a finding.
pub async fn verify(vault: &Vault, noted: Option<Head>) -> Result<Verified, VaultError> {
    let verified = look(vault, noted).await?;
    if verified.findings.is_empty() {
        return Ok(verified);
    }
    // What the retention removes in the midst of a look seems missing; what is missing is so twice.
    look(vault, noted).await
}

async fn look(vault: &Vault, noted: Option<Head>) -> Result<Verified, VaultError> {
    let mut check = Check { noted, ..Check::default() };
    let mut after = 0;
    loop {
        let pages = vault.audit_pages(after, PAGES).await?;
        let Some((last, _)) = pages.last() else { break };
        after = *last;
        for (last, page) in pages {
            match page {
                Ok(page) => check.page(page),
                Err(error) => check.unread(last, &error),
            }
        }
    }
    Ok(check.end())
}

/// Removes the pages whose entries are all older than so many days, and says so in the log before it does. Nothing but the old end
/// is ever removed, and never the last page.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn purge(vault: &Vault, log: &AuditLog, clock: &dyn Clock, days: u32) -> Result<usize, VaultError> {
    let now = clock.now();
    let oldest = older_than(days, now);
    let is_old = |page: &ReadPage| page.page.entries.iter().all(|entry| entry.at < oldest);
    let first = vault.audit_pages(0, 1).await?;
    let is_time =
        |page: &ReadPage| page.page.entries.iter().all(|entry| oldest.as_second() - entry.at.as_second() >= AT_ONCE);
    if !first.iter().any(|(_, page)| page.as_ref().is_ok_and(is_time)) {
        return Ok(0);
    }
    let (newest, mut up_to, mut after) = (vault.last_audit().await?, None, 0);
    'pages: loop {
        let pages = vault.audit_pages(after, PAGES).await?;
        let Some((last, _)) = pages.last() else { break };
        after = *last;
        for (last, page) in pages {
            match page {
                Ok(page) if last < newest && is_old(&page) => up_to = Some((last, page.hash)),
                // One that does not open stays, and with it what follows: it is evidence.
                _ => break 'pages,
            }
        }
    }
    let Some((up_to, hash)) = up_to else { return Ok(0) };
    let target = Target::Log { up_to, hash };
    let entry = Acting::by(Actor::System).entry(Action::AuditPurge, Some(target), now);
    log.write(vec![entry.with_detail(&format!("older than {days} days"))]).await?;
    vault.purge_audit(up_to).await
}

/// A verification on its way.
#[derive(Default)]
struct Check {
    noted: Option<Head>,
    entries: u64,
    first: Option<(u64, u64, PageHash)>,
    /// The page before: its last sequence, and its hash where it opened.
    before: Option<(u64, Option<PageHash>)>,
    restored: Vec<u64>,
    /// Up to where the retention says that it removed.
    removed: Vec<(u64, PageHash)>,
    noted_is_there: bool,
    findings: Vec<Finding>,
}

impl Check {
    fn page(&mut self, read: ReadPage) {
        let ReadPage { page, last, hash } = read;
        let is_restore = page.entries.first().is_some_and(|entry: &AuditEntry| entry.action == Action::StoreRestore);
        match self.before {
            None => self.first = Some((page.first, page.before, page.previous)),
            Some((before, _)) if page.before != before => {
                self.find(page.first, format!("entries between {before} and {} are missing", page.first));
            }
            Some((_, Some(previous))) if page.previous != previous => {
                self.find(
                    page.first,
                    "the page before it is not the one that it was written behind: that was changed".to_owned(),
                );
            }
            Some(_) => {}
        }
        if page.first != page.before.saturating_add(1) {
            match is_restore {
                true => self.restored.push(page.first),
                false => {
                    self.find(page.first, format!("it does not follow {}, and no restore explains that", page.before));
                }
            }
        }
        for entry in &page.entries {
            if let (Action::AuditPurge, Some(Target::Log { up_to, hash })) = (entry.action, &entry.target) {
                self.removed.push((*up_to, *hash));
            }
        }
        if let Some(noted) = self.noted.filter(|noted| noted.sequence == last) {
            self.noted_is_there = true;
            if noted.hash != hash {
                self.find(last, "it is not what was noted: the log was written anew up to here".to_owned());
            }
        }
        self.entries += page.entries.len() as u64;
        self.before = Some((last, Some(hash)));
    }

    fn unread(&mut self, last: u64, error: &VaultError) {
        self.find(last, error.to_string());
        self.before = Some((last, None));
    }

    fn end(mut self) -> Verified {
        if let Some((first, before, previous)) = self.first.filter(|(_, before, _)| *before > 0) {
            let explains = |(up_to, hash): &(u64, PageHash)| *up_to > before || (*up_to == before && *hash == previous);
            if !self.removed.iter().any(explains) {
                self.find(
                    first,
                    format!("the entries up to {before} are missing, and it was not their age that removed them"),
                );
            }
        }
        if let Some(noted) = self.noted.filter(|_| !self.noted_is_there) {
            let reason = match self.before {
                Some((last, _)) if last > noted.sequence => {
                    "no page ends here any more: it was removed, or the log was written anew"
                }
                _ => {
                    "the log ends before the head that was noted: its newest entries were removed, or an older store was put back"
                }
            };
            self.find(noted.sequence, reason.to_owned());
        }
        let head = self.before.and_then(|(sequence, hash)| Some(Head { sequence, hash: hash? }));
        let first = self.first.map(|(first, ..)| first);
        Verified { entries: self.entries, first, head, restored: self.restored, findings: self.findings }
    }

    fn find(&mut self, sequence: u64, reason: String) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(Finding { sequence, reason });
        }
    }
}

/// A text that is no head of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no head of the audit log; write SEQUENCE:HASH, as `grantkeeper audit --verify` prints it")]
pub struct NotAHead;

impl FromStr for Head {
    type Err = NotAHead;

    fn from_str(text: &str) -> Result<Self, NotAHead> {
        let (sequence, hash) = text.split_once(':').ok_or(NotAHead)?;
        let sequence = sequence.parse().map_err(|_| NotAHead)?;
        Ok(Self { sequence, hash: hash.parse().map_err(|_| NotAHead)? })
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, self.hash)
    }
}

impl TryFrom<String> for Head {
    type Error = NotAHead;

    fn try_from(text: String) -> Result<Self, NotAHead> {
        text.parse()
    }
}

impl From<Head> for String {
    fn from(head: Head) -> Self {
        head.to_string()
    }
}
