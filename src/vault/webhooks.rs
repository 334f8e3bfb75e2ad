//! Webhooks on their way into the store and out of it. A webhook and how far it has come are two records: whoever edits one does not
//! get in the way of the deliveries, which write the other after each try.

use super::access::binding;
use super::{Stored, Vault, VaultError, expected, fits, next};
use crate::model::{RecordedEvent, Secret, Timestamp, Webhook, WebhookName, WebhookProgress, sealed_text};
use crate::store::{AccessKind, AccessRow, Change, Expect, Key, Row};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A webhook as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookRecord {
    /// What people see of it.
    pub webhook: Webhook,
    /// The id of the record that says how far it has come.
    pub progress: Uuid,
    /// What its messages are signed with.
    #[serde(with = "sealed_text")]
    pub secret: Secret,
    /// Secrets before that one, the newest first: messages are signed with them too for as long as they are good.
    pub earlier: Vec<EarlierSecret>,
}

/// A secret that another one has replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlierSecret {
    /// The secret.
    #[serde(with = "sealed_text")]
    pub secret: Secret,
    /// Until when messages are signed with it.
    pub until: Timestamp,
}

/// What the record of a webhook's progress is called in messages.
pub(super) const PROGRESS: &str = "how far a webhook has come";

impl Vault {
    /// The webhooks, by name. One that does not open is an error in its place, so that it does not cost the others.
    pub async fn webhooks(&self) -> Result<Vec<Result<Stored<WebhookRecord>, VaultError>>, VaultError> {
        let rows = self.store.access().await?;
        Ok(rows.iter().filter(|row| row.kind == AccessKind::Webhook).map(|row| self.open_webhook(row)).collect())
    }

    /// The webhook of an id.
    pub async fn webhook(&self, id: Uuid) -> Result<Option<Stored<WebhookRecord>>, VaultError> {
        match self.store.get(Key::Access(id)).await? {
            Some(Row::Access(row)) if row.kind == AccessKind::Webhook => {
                fits(&what(&row.name), row.id == id)?;
                Ok(Some(self.open_webhook(&row)?))
            }
            _ => Ok(None),
        }
    }

    /// The webhook of a name. Few enough that they are looked through.
    pub async fn webhook_named(&self, name: &WebhookName) -> Result<Option<Stored<WebhookRecord>>, VaultError> {
        self.webhook_row(name).await?.map(|row| self.open_webhook(&row)).transpose()
    }

    /// What removes the webhook of a name with its progress, whether they open or not. Nothing where there is none.
    pub async fn webhook_removal(&self, name: &WebhookName) -> Result<Option<Vec<Change>>, VaultError> {
        let Some(row) = self.webhook_row(name).await? else { return Ok(None) };
        let id = row.id.to_string();
        let rows = self.store.access().await?;
        let progress = rows.iter().filter(|row| row.kind == AccessKind::WebhookProgress && row.name == id);
        let mut changes: Vec<Change> =
            progress.map(|progress| Change::remove(Key::Access(progress.id), Expect::Any)).collect();
        changes.push(Change::remove(Key::Access(row.id), Expect::Version(row.version)));
        Ok(Some(changes))
    }

    /// Writes a webhook. `read` is the version it was read at, `None` for a new one.
    pub fn put_webhook(&self, record: &WebhookRecord, read: Option<u64>) -> Result<Change, VaultError> {
        let (id, kind, version) = (record.webhook.id, AccessKind::Webhook, next(read));
        let sealed = self.seal("a webhook", &binding(kind, id, version), record)?;
        let row = AccessRow { id, kind, name: record.webhook.name.to_string(), version, sealed };
        Ok(Change::put(Row::Access(row), expected(read)))
    }

    /// How far a webhook has come.
    pub async fn webhook_progress(
        &self,
        record: &WebhookRecord,
    ) -> Result<Option<Stored<WebhookProgress>>, VaultError> {
        match self.store.get(Key::Access(record.progress)).await? {
            Some(Row::Access(row)) if row.kind == AccessKind::WebhookProgress => {
                let value: WebhookProgress =
                    self.open(PROGRESS, &binding(row.kind, row.id, row.version), &row.sealed)?;
                let same = row.id == record.progress && value.webhook == record.webhook.id;
                fits(PROGRESS, same && row.name == value.webhook.to_string())?;
                Ok(Some(Stored { value, version: row.version }))
            }
            _ => Ok(None),
        }
    }

    /// Writes how far a webhook has come. `read` is the version it was read at, `None` for the first.
    pub fn put_webhook_progress(
        &self,
        record: &WebhookRecord,
        progress: &WebhookProgress,
        read: Option<u64>,
    ) -> Result<Change, VaultError> {
        let (id, kind, version) = (record.progress, AccessKind::WebhookProgress, next(read));
        let sealed = self.seal(PROGRESS, &binding(kind, id, version), progress)?;
        let row = AccessRow { id, kind, name: progress.webhook.to_string(), version, sealed };
        Ok(Change::put(Row::Access(row), expected(read)))
    }

    /// Up to `limit` events after a sequence, in order. One that does not open is an error in its place.
    pub async fn outbox(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Result<RecordedEvent, VaultError>)>, VaultError> {
        let rows = self.store.events(after, limit).await?;
        Ok(rows.iter().map(|row| (row.sequence, self.open_event(row))).collect())
    }

    /// The event of a sequence; nothing where it is kept no longer.
    pub async fn event(&self, sequence: u64) -> Result<Option<RecordedEvent>, VaultError> {
        match self.store.get(Key::Event(sequence)).await? {
            Some(Row::Event(row)) => {
                fits("an event", row.sequence == sequence)?;
                self.open_event(&row).map(Some)
            }
            _ => Ok(None),
        }
    }

    async fn webhook_row(&self, name: &WebhookName) -> Result<Option<AccessRow>, VaultError> {
        let rows = self.store.access().await?;
        Ok(rows.into_iter().find(|row| row.kind == AccessKind::Webhook && row.name == name.as_str()))
    }

    fn open_webhook(&self, row: &AccessRow) -> Result<Stored<WebhookRecord>, VaultError> {
        let what = what(&row.name);
        let value: WebhookRecord = self.open(&what, &binding(row.kind, row.id, row.version), &row.sealed)?;
        fits(&what, value.webhook.id == row.id && value.webhook.name.as_str() == row.name)?;
        Ok(Stored { value, version: row.version })
    }
}

pub(super) fn what(name: &str) -> String {
    format!("the webhook {name:?}")
}
