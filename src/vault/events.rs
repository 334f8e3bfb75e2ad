//! Events on their way into the store and out of it.
//!
//! What is sealed is bound to the event's id: its sequence is given by the store, in the commit, when it is sealed long since. So
//! the order of events is the store's word, and who can write the store's files can change it (`SECURITY.md`).

use super::{Vault, VaultError, fits};
use crate::model::{Event, RecordedEvent, Timestamp};
use crate::seal::{Binding, RecordKind};
use crate::store::{Change, EventRow, Expect, Row};
use tokio::sync::watch;
use uuid::Uuid;

/// Events that were looked for.
#[derive(Debug)]
pub struct EventsFound {
    /// Those that were wanted.
    pub events: Vec<RecordedEvent>,
    /// When the first of all that were looked at happened.
    pub first: Option<Timestamp>,
    /// The sequence of the last of them.
    pub last: Option<u64>,
}

impl Vault {
    /// Adds an event behind the last one, in the commit that this is part of.
    pub fn put_event(&self, event: &Event) -> Result<Change, VaultError> {
        let row = EventRow {
            sequence: 0, // the store's to give
            id: event.id,
            at: event.at,
            kind: event.kind.as_str().to_owned(),
            connection: event.connection.clone(),
            application: event.application.to_string(),
            sealed: self.seal("an event", &binding(event.id), event)?,
        };
        Ok(Change::put(Row::Event(row), Expect::Absent))
    }

    /// Up to `limit` events after a sequence, in order ([`Store::events`](crate::store::Store::events)).
    pub async fn events(&self, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, VaultError> {
        self.store.events(after, limit).await?.iter().map(|row| self.open_event(row)).collect()
    }

    /// Of up to `limit` events after a sequence and before another, in order, those whose plain fields are wanted: the others are not opened.
    pub async fn events_that(
        &self,
        after: u64,
        limit: usize,
        before: u64,
        wanted: impl Fn(&EventRow) -> bool,
    ) -> Result<EventsFound, VaultError> {
        let rows = self.store.events(after, limit).await?;
        let rows = || rows.iter().take_while(|row| row.sequence < before);
        let events = rows().filter(|row| wanted(row)).map(|row| self.open_event(row)).collect::<Result<_, _>>()?;
        let (first, last) = (rows().next().map(|row| row.at), rows().last().map(|row| row.sequence));
        Ok(EventsFound { events, first, last })
    }

    /// The sequence of the last event, 0 before the first.
    pub async fn last_event(&self) -> Result<u64, VaultError> {
        Ok(self.store.last_event().await?)
    }

    /// Removes events that happened before a time ([`Store::purge_events`](crate::store::Store::purge_events)).
    pub async fn purge_events(&self, before: Timestamp) -> Result<usize, VaultError> {
        Ok(self.store.purge_events(before).await?)
    }

    /// Changes whenever this process has committed an event.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    pub(super) fn open_event(&self, row: &EventRow) -> Result<RecordedEvent, VaultError> {
        let what = format!("the event {}", row.sequence);
        let event: Event = self.open(&what, &binding(row.id), &row.sealed)?;
        let same = event.id == row.id
            && event.at == row.at
            && event.kind.as_str() == row.kind
            && event.connection == row.connection
            && event.application.as_str() == row.application;
        fits(&what, same)?;
        Ok(RecordedEvent { sequence: row.sequence, event })
    }
}

pub(super) fn binding(id: Uuid) -> Binding {
    Binding { kind: RecordKind::Event, owner: id, record: id, generation: 0 }
}
