//! The background job: sleeps until the next connection is due, refreshes what is, and goes back to sleep.

use super::{RefreshError, Refresher};
use crate::model::{Timestamp, later};
use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;
use tokio::task::JoinSet;

/// Rows that one look at the due queue takes.
const BATCH: usize = 256;

/// The longest sleep: new connections of this process wake nobody, so the queue is looked at this often. A look
/// costs what is due.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// What one round of refreshes came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Round {
    /// Connections with a new token.
    pub refreshed: usize,
    /// Connections that failed; each carries its reason.
    pub failed: usize,
    /// A sentence for each that failed.
    pub reasons: Vec<String>,
}

impl Refresher {
    /// Refreshes what is due until `shutdown` ends; refreshes under way then are finished first.
    pub async fn run_background(&self, shutdown: impl Future<Output = ()>) -> Result<(), RefreshError> {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let mut soonest = later(self.0.clock.now(), 1);
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                round = self.refresh_due() => {
                    let round = round?;
                    // Nothing but failures: some may stay due, and looking at them each second helps nobody.
                    if round.refreshed == 0 && round.failed > 0 {
                        soonest = later(self.0.clock.now(), LONGEST_SLEEP.as_secs());
                    }
                    if round != Round::default() {
                        tracing::info!(refreshed = round.refreshed, failed = round.failed, "background refresh");
                    }
                }
            }
            let now = self.0.clock.now();
            let latest = later(now, LONGEST_SLEEP.as_secs());
            let next = self.0.vault.store().next_due().await.map_err(crate::vault::VaultError::from)?;
            let wake = next.map_or(latest, |next| next.max(soonest).min(latest.max(soonest)));
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
        // What was tried and stays due (a record that does not open) must not hide what is behind it in the queue.
        let mut tried = HashSet::new();
        loop {
            let rows = self.0.vault.due(began, BATCH + tried.len()).await?;
            let fresh: Vec<_> = rows.into_iter().filter(|row| tried.insert(row.id)).collect();
            if fresh.is_empty() {
                return Ok(round);
            }
            let mut tasks = JoinSet::new();
            for row in fresh {
                if tasks.len() >= self.0.settings.at_once.max(1) {
                    count(&mut round, tasks.join_next().await);
                }
                let refresher = self.clone();
                tasks.spawn(async move { refresher.fly(row.id, row.generation, false).await });
            }
            while let Some(ended) = tasks.join_next().await {
                count(&mut round, Some(ended));
            }
        }
    }
}

type Ended = Option<Result<Result<super::Token, RefreshError>, tokio::task::JoinError>>;

fn count(round: &mut Round, ended: Ended) {
    match ended {
        Some(Ok(Ok(_))) => round.refreshed += 1,
        // It was due to be told of, and that is done; nothing has failed yet.
        Some(Ok(Err(error @ RefreshError::Expiring { .. }))) => tracing::warn!(%error, "a token ends soon"),
        Some(Ok(Err(error))) => {
            tracing::warn!(%error, "a refresh failed");
            round.failed += 1;
            round.reasons.push(error.to_string());
        }
        Some(Err(_)) | None => round.failed += 1,
    }
}
