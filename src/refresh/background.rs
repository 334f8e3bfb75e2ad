//! The background job: sleeps until the next connection is due, refreshes what is, and goes back to sleep.

use super::{RefreshError, Refresher};
use crate::model::{Timestamp, later};
use std::future::Future;
use std::time::Duration;
use tokio::task::JoinSet;

/// Rows that one look at the due queue takes.
const BATCH: usize = 256;

/// The longest sleep: new connections of this process wake nobody, so the queue is looked at this often. A look
/// costs what is due.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// What one round of refreshes came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Connections with a new token.
    pub refreshed: usize,
    /// Connections that failed; each carries its reason.
    pub failed: usize,
}

impl Refresher {
    /// Refreshes what is due until `shutdown` ends; refreshes under way then are finished first.
    pub async fn run_background(&self, shutdown: impl Future<Output = ()>) -> Result<(), RefreshError> {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                round = self.refresh_due() => {
                    let round = round?;
                    if round != Round::default() {
                        tracing::info!(refreshed = round.refreshed, failed = round.failed, "background refresh");
                    }
                }
            }
            let now = self.0.clock.now();
            let soonest = later(now, 1);
            let latest = later(now, LONGEST_SLEEP.as_secs());
            let next = self.0.vault.store().next_due().await.map_err(crate::vault::VaultError::from)?;
            let wake = next.map_or(latest, |next| next.clamp(soonest, latest));
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = self.0.clock.sleep_until(wake) => {}
            }
        }
        // A rotation that has begun is waited for; nothing new is begun.
        self.finish().await;
        Ok(())
    }

    /// Refreshes everything that is due now, a bounded number at once, and returns when it is done.
    pub async fn refresh_due(&self) -> Result<Round, RefreshError> {
        let mut round = Round::default();
        let began: Timestamp = self.0.clock.now();
        loop {
            let rows = self.0.vault.due(began, BATCH).await?;
            let full = rows.len() == BATCH;
            let mut progress = 0;
            let mut tasks = JoinSet::new();
            for row in rows {
                if tasks.len() >= self.0.settings.at_once.max(1) {
                    count(&mut round, &mut progress, tasks.join_next().await);
                }
                let refresher = self.clone();
                tasks.spawn(async move { refresher.fly(row.id, row.generation, false).await });
            }
            while let Some(ended) = tasks.join_next().await {
                count(&mut round, &mut progress, Some(ended));
            }
            // Each one that ended has a later due time or none; a queue that does not move is not worth a second look.
            if !full || progress == 0 {
                return Ok(round);
            }
        }
    }
}

type Ended = Option<Result<Result<super::Token, RefreshError>, tokio::task::JoinError>>;

fn count(round: &mut Round, progress: &mut usize, ended: Ended) {
    match ended {
        Some(Ok(Ok(_))) => {
            round.refreshed += 1;
            *progress += 1;
        }
        Some(Ok(Err(error))) => {
            tracing::warn!(%error, "a refresh failed");
            round.failed += 1;
            // These leave the connection where it is in the queue.
            let stays = matches!(error, RefreshError::Vault(_) | RefreshError::Busy(_) | RefreshError::Stopped);
            *progress += usize::from(!stays);
        }
        Some(Err(_)) | None => round.failed += 1,
    }
}
