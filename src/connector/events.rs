//! Events: reading them, listening to them, and what becomes of old ones.

use super::{Connector, Error};
use crate::access::purge;
use crate::events::Follow;
use crate::model::{RecordedEvent, later};
use std::convert::Infallible;
use std::sync::Arc;

/// How often old records are removed in the background, in seconds.
const PURGE_EVERY: u64 = 3600;

impl Connector {
    /// Up to `limit` events after a sequence, in order; 0 is from the first on. Who has read up to one never finds a new one
    /// before it. There may be gaps.
    pub async fn events(&self, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, Error> {
        Ok(self.vault.events(after, limit).await?)
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
        Ok(())
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
