//! Events: reading them, listening to them, and what becomes of old ones.

use super::{Connector, Error};
use crate::access::purge;
use crate::events::{Back, Follow};
use crate::model::{ApplicationName, ConnectionName, EventKind, RecordedEvent, Timestamp, later};
use crate::store::EventRow;
use std::convert::Infallible;
use std::sync::Arc;

/// How often old records are removed in the background, in seconds.
const PURGE_EVERY: u64 = 3600;

/// How many events are looked at together, and how many windows of that size one look goes through.
const WINDOW: u64 = 500;
const MOST_WINDOWS: usize = 100;

/// Which of the newest events are wanted.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    /// Only those before a sequence; the newest when there is none.
    pub before: Option<u64>,
    /// Only a connection's.
    pub connection: Option<ConnectionName>,
    /// Only an application's.
    pub application: Option<ApplicationName>,
    /// Only of some kinds; of all when it is empty.
    pub kinds: Vec<EventKind>,
    /// None that happened before.
    pub since: Option<Timestamp>,
    /// So many at the most.
    pub limit: usize,
}

/// What a look back has found.
#[derive(Debug, Clone, Default)]
pub struct Looked {
    /// The events, the newest first.
    pub events: Vec<RecordedEvent>,
    /// Where to look on, where there may be more: the next look's `before`.
    pub before: Option<u64>,
}

impl Connector {
    /// Looks back from the newest event. It goes through fifty thousand at the most: [`Looked::before`] says where it stopped.
    pub async fn recent_events(&self, recent: &Recent) -> Result<Looked, Error> {
        let mut before = match recent.before {
            Some(before) => before,
            None => self.last_event().await?.saturating_add(1),
        };
        let mut looked = Looked::default();
        for _ in 0..MOST_WINDOWS {
            if before <= 1 {
                return Ok(looked);
            }
            let after = before.saturating_sub(WINDOW + 1);
            let window = usize::try_from(before - after - 1).unwrap_or(usize::MAX);
            let page = self.vault.events_that(after, window, before, |row| recent.wants(row)).await?;
            for recorded in page.events.into_iter().rev() {
                if looked.events.len() == recent.limit {
                    looked.before = looked.events.last().map(|last| last.sequence);
                    return Ok(looked);
                }
                looked.events.push(recorded);
            }
            match page.first {
                // What lies before is older still.
                Some(first) if recent.since.is_some_and(|since| first < since) => return Ok(looked),
                Some(_) => before = after + 1,
                // A gap, or the end of what is kept.
                None => {
                    let mut back = Back::from(before);
                    while let Some(after) = back.asks() {
                        back.told(self.vault.events_that(after, 1, u64::MAX, |_| false).await?.last);
                    }
                    let Some(last) = back.found() else { return Ok(looked) };
                    before = last + 1;
                }
            }
        }
        looked.before = Some(before);
        Ok(looked)
    }

    /// Up to `limit` events after a sequence, in order; 0 is from the first on. Who has read up to one never finds a new one
    /// before it. There may be gaps.
    pub async fn events(&self, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, Error> {
        Ok(self.vault.events(after, limit).await?)
    }

    /// Of up to `limit` events after a sequence, in order, those whose plain fields are wanted; and the sequence of the last that was looked at, where
    /// there was one. Opens no other.
    pub async fn events_that(
        &self,
        after: u64,
        limit: usize,
        wanted: impl Fn(&EventRow) -> bool,
    ) -> Result<(Vec<RecordedEvent>, Option<u64>), Error> {
        let found = self.vault.events_that(after, limit, u64::MAX, wanted).await?;
        Ok((found.events, found.last))
    }

    /// The sequence of the last event, 0 before the first: where to begin for who wants only what is new.
    pub async fn last_event(&self) -> Result<u64, Error> {
        Ok(self.vault.last_event().await?)
    }

    /// The events after a sequence, and then new ones as they come ([`Follow::next`]).
    #[must_use]
    pub fn follow_events(&self, after: u64) -> Follow {
        Follow::new(self.vault.clone(), Arc::clone(&self.clock), after)
    }

    /// Removes pending authorizations that nobody came back for, and events and entries of the audit log that are too old; writes down
    /// when API keys were last used.
    pub(super) async fn purge(&self) -> Result<(), Error> {
        self.vault.purge(self.clock.as_ref()).await?;
        self.vault.purge_events(self.settings.events.oldest(self.clock.now())).await?;
        purge(&self.vault, &self.log, self.clock.as_ref(), self.settings.audit.keep_days).await?;
        self.api_keys.keep_uses().await?;
        self.forget_webhook_secrets().await
    }

    /// Purges now and then, for as long as it is polled.
    pub(super) async fn keep_tidy(&self) -> Infallible {
        loop {
            if let Err(error) = self.purge().await {
                tracing::warn!("old records could not be removed: {error}");
            }
            self.clock.sleep_until(later(self.clock.now(), PURGE_EVERY)).await;
        }
    }
}

impl Recent {
    /// By the row's plain fields, which its sealed ones must equal where it is opened.
    fn wants(&self, row: &EventRow) -> bool {
        self.connection.as_ref().is_none_or(|name| row.connection.as_ref() == Some(name))
            && self.application.as_ref().is_none_or(|name| row.application == name.as_str())
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind.as_str() == row.kind))
            && self.since.is_none_or(|since| row.at >= since)
    }
}
