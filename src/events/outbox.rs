//! Listening to events.

use crate::model::{Clock, RecordedEvent, later};
use crate::vault::{Vault, VaultError};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long it takes at most until what another process committed is seen: a store tells nobody, it is asked this often.
pub const POLL: Duration = Duration::from_secs(2);

/// How many events are read at once.
const BATCH: usize = 256;

/// Events in their order, those that are there and then those that come, without an end.
pub struct Follow {
    vault: Vault,
    clock: Arc<dyn Clock>,
    news: watch::Receiver<()>,
    /// The last one that was given out.
    after: u64,
    waiting: VecDeque<RecordedEvent>,
}

impl Follow {
    /// Events after a sequence; 0 is from the first on.
    #[must_use]
    pub fn new(vault: Vault, clock: Arc<dyn Clock>, after: u64) -> Self {
        let news = vault.news();
        Self { vault, clock, news, after, waiting: VecDeque::new() }
    }

    /// The next event: at once where there is one, else as soon as this process commits one, or within [`POLL`] when another
    /// one does. May be given up at any time; nothing is lost. An event that does not open is an error each time: to go
    /// past it, begin after its sequence.
    pub async fn next(&mut self) -> Result<RecordedEvent, VaultError> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                self.after = event.sequence;
                return Ok(event);
            }
            // Before the look: what is committed while it lasts is news.
            self.news.mark_unchanged();
            self.waiting = self.vault.events(self.after, BATCH).await?.into();
            if self.waiting.is_empty() {
                let again = later(self.clock.now(), POLL.as_secs());
                tokio::select! {
                    // Fails only when the sender is gone, and the vault holds it.
                    _ = self.news.changed() => {}
                    () = self.clock.sleep_until(again) => {}
                }
            }
        }
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("after", &self.after).finish_non_exhaustive()
    }
}
