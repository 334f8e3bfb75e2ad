//! Pages of the audit log on their way into the store and out of it.
//!
//! A page is bound to the sequence of its last entry, so that it opens nowhere else; and it has the hash of the page before it,
//! so that who has the keys cannot change one without changing all that follow.

use super::{Vault, VaultError, audit_page, fits};
use crate::model::{AuditEntry, AuditPage, PageHash};
use crate::seal::{Binding, RecordKind};
use crate::store::{AuditRow, Change, Expect, Key, Row};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use uuid::Uuid;

/// A page as it was read, with the hash that the next one must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPage {
    /// The page.
    pub page: AuditPage,
    /// The sequence of its last entry.
    pub last: u64,
    /// Its hash.
    pub hash: PageHash,
}

impl Vault {
    /// Adds a page of entries, the first of a sequence, behind the last page, whose last sequence and hash `behind` are (0 and zeros
    /// before the first). In the commit that this is part of. Says the same of the new page. No entries are no page.
    pub fn put_audit(
        &self,
        first: u64,
        (before, previous): (u64, PageHash),
        entries: &[AuditEntry],
    ) -> Result<Option<(Change, u64, PageHash)>, VaultError> {
        let Some(newest) = entries.last() else { return Ok(None) };
        let last = first.saturating_add(entries.len() as u64 - 1);
        // Not wiped behind us: there is no secret in it, and what it says lies in memory as entries too.
        let plain = audit_page::written((first, before, previous), entries)
            .map_err(|reason| VaultError::Format { what: what(last), reason })?;
        let row = AuditRow {
            first,
            last,
            before,
            until: newest.at,
            sealed: self.seal_bytes(&what(last), &binding(last), &plain)?,
        };
        Ok(Some((Change::put(Row::Audit(row), Expect::Absent), last, hash_of(&plain))))
    }

    /// Up to `limit` pages that end after a sequence, in order, each opened or with the reason why it does not open.
    pub async fn audit_pages(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Result<ReadPage, VaultError>)>, VaultError> {
        let rows = self.store.audit(after, limit).await?;
        Ok(rows.iter().map(|row| (row.last, self.open_audit(row))).collect())
    }

    /// The page that ends with a sequence, opened or with the reason why it does not open; and the last sequence of the page before
    /// it, as its row says, so that a reader can go on past it.
    pub async fn audit_page(&self, last: u64) -> Result<Option<(u64, Result<ReadPage, VaultError>)>, VaultError> {
        match self.store.get(Key::Audit(last)).await? {
            Some(Row::Audit(row)) => {
                // Under another page's key it leads nowhere.
                let before = row.before.min(last.saturating_sub(1));
                let page = fits(&what(last), row.last == last).and_then(|()| self.open_audit(&row));
                Ok(Some((before, page)))
            }
            _ => Ok(None),
        }
    }

    /// The sequence of the last entry, 0 before the first.
    pub async fn last_audit(&self) -> Result<u64, VaultError> {
        Ok(self.store.last_audit().await?)
    }

    /// Removes pages from the old end ([`Store::purge_audit`](crate::store::Store::purge_audit)).
    pub async fn purge_audit(&self, up_to: u64) -> Result<usize, VaultError> {
        Ok(self.store.purge_audit(up_to).await?)
    }

    /// Changes whenever this process has committed a page of the audit log.
    #[must_use]
    pub fn audit_news(&self) -> watch::Receiver<()> {
        self.audit_news.subscribe()
    }

    fn open_audit(&self, row: &AuditRow) -> Result<ReadPage, VaultError> {
        let what = what(row.last);
        let plain = self.open_bytes(&what, &binding(row.last), &row.sealed)?;
        let page = audit_page::read(&plain).map_err(|reason| VaultError::Format { what: what.clone(), reason })?;
        let last = page.first.saturating_add(page.entries.len() as u64).saturating_sub(1);
        let until = page.entries.last().map(|entry| entry.at);
        let same = (page.first, page.before, last, until) == (row.first, row.before, row.last, Some(row.until));
        fits(&what, same)?;
        Ok(ReadPage { page, last, hash: hash_of(&plain) })
    }
}

fn hash_of(plain: &[u8]) -> PageHash {
    PageHash(Sha256::new().chain_update(b"grantkeeper/audit/v1").chain_update(plain).finalize().into())
}

pub(super) fn binding(last: u64) -> Binding {
    Binding { kind: RecordKind::Audit, owner: Uuid::nil(), record: Uuid::nil(), generation: last }
}

pub(super) fn what(last: u64) -> String {
    format!("the page of the audit log up to entry {last}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Action, Actor, Outcome, Timestamp};
    use crate::seal::Keyring;
    use crate::store::{MemoryStore, Store as _};
    use std::sync::Arc;

    fn entry(action: Action) -> AuditEntry {
        AuditEntry {
            at: Timestamp::UNIX_EPOCH,
            actor: Actor::System,
            action,
            target: None,
            outcome: Outcome::Done,
            code: None,
            detail: None,
            request: None,
            remote: None,
            times: 1,
        }
    }

    #[tokio::test]
    async fn a_log_that_began_in_another_format_goes_on_and_its_chain_holds() {
        let store = MemoryStore::new();
        let keyring = Keyring::generate(Timestamp::UNIX_EPOCH).unwrap();
        let vault = Vault::new(Arc::new(store.clone()), Arc::new(keyring));
        let before = AuditPage {
            first: 1,
            before: 0,
            previous: PageHash::default(),
            entries: vec![entry(Action::KeyCreate), entry(Action::SignIn)],
        };
        let plain = serde_json::to_vec(&before).unwrap();
        let sealed = vault.seal_bytes(&what(2), &binding(2), &plain).unwrap();
        let row = AuditRow { first: 1, last: 2, before: 0, until: Timestamp::UNIX_EPOCH, sealed };
        store.commit(vec![Change::put(Row::Audit(row), Expect::Absent)]).await.unwrap();
        let (_, read) = vault.audit_page(2).await.unwrap().unwrap();
        let read = read.unwrap();
        assert_eq!((read.page, read.hash), (before, hash_of(&plain)));
        let (change, last, hash) = vault.put_audit(3, (2, read.hash), &[entry(Action::SignOut)]).unwrap().unwrap();
        vault.commit(vec![change]).await.unwrap();
        let pages = vault.audit_pages(0, 10).await.unwrap();
        let newest = pages.last().unwrap().1.as_ref().unwrap();
        assert_eq!((pages.len(), last, newest.hash), (2, 3, hash));
        assert_eq!((newest.page.previous, newest.page.entries.as_slice()), (read.hash, &[entry(Action::SignOut)][..]));
    }
}
