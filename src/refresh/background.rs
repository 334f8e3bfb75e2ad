//! The background job: sleeps until the next connection is due, refreshes what is, and goes back to sleep.

use super::breaker::Urgency;
use super::flight::Order;
use super::{RefreshError, Refresher, Token};
use crate::model::{ApplicationName, Timestamp, later};
use crate::store::ConnectionRow;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::future::Future;
use std::time::Duration;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Rows that one look at the due queue takes.
const BATCH: usize = 256;

/// Rows in hand at the most that wait for their application's turn: behind them others may be due whose turn it is.
const MOST_WAITING: usize = 8 * BATCH;

/// The longest sleep: new connections of this process wake nobody, so the queue is looked at this often. A look
/// costs what is due.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Sentences that a round keeps: the same failure of a thousand connections says nothing new.
const MOST_REASONS: usize = 100;

/// What one round of refreshes came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct Round {
    /// Connections with a new token.
    pub refreshed: usize,
    /// Connections that failed; each carries its reason.
    pub failed: usize,
    /// Connections that were not asked for: their provider does not answer, or refuses their application's client.
    #[serde(default)]
    pub put_off: usize,
    /// A sentence for each that failed, the first hundred; one for all that were put off for the same reason.
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
                        let Round { refreshed, failed, put_off, .. } = round;
                        tracing::info!(refreshed, failed, put_off, "background refresh");
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
        let began = self.0.clock.now();
        let under_way = self.under_way();
        self.finish().await;
        let took = self.0.clock.now().duration_since(began);
        tracing::info!(
            under_way,
            milliseconds = i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
            "the background refresh has stopped"
        );
        Ok(())
    }

    /// Refreshes everything that is due now, a bounded number at once, and returns when it is done.
    pub async fn refresh_due(&self) -> Result<Round, RefreshError> {
        let mut queue = Queue::new(self.0.clock.now());
        let mut tally = Tally::default();
        let mut tasks = JoinSet::new();
        let (most, each) = (self.0.settings.at_once.max(1), self.0.settings.at_once_per_application.max(1));
        loop {
            while tasks.len() < most {
                let Some(row) = queue.next(each) else {
                    if queue.fill(self).await? {
                        continue;
                    }
                    break;
                };
                let (refresher, order) =
                    (self.clone(), Order { unwanted: row.generation, urgency: Urgency::Background });
                tasks.spawn(async move { (row.id, refresher.fly(row.id, order).await) });
            }
            match tasks.join_next().await {
                Some(Ok((id, result))) => {
                    queue.ended(id);
                    tally.count(result);
                }
                Some(Err(_)) => tally.round.failed += 1,
                None => return Ok(tally.round),
            }
        }
    }
}

/// What is due, in the order of its time but for applications that have their share of refreshes under way.
struct Queue {
    until: Timestamp,
    waiting: HashMap<ApplicationName, VecDeque<ConnectionRow>>,
    /// Applications whose turn comes, in the order in which their first connection is due.
    turns: VecDeque<ApplicationName>,
    under_way: HashMap<Uuid, ApplicationName>,
    running: HashMap<ApplicationName, usize>,
    /// In hand or done.
    seen: HashSet<Uuid>,
    /// Seen, and due all the same when it was looked again: what is behind it must be reached.
    stuck: HashSet<Uuid>,
    exhausted: bool,
}

impl Queue {
    fn new(until: Timestamp) -> Self {
        Self {
            until,
            waiting: HashMap::new(),
            turns: VecDeque::new(),
            under_way: HashMap::new(),
            running: HashMap::new(),
            seen: HashSet::new(),
            stuck: HashSet::new(),
            exhausted: false,
        }
    }

    /// The next connection whose application may have one more under way.
    fn next(&mut self, each: usize) -> Option<ConnectionRow> {
        let free = |name: &ApplicationName| self.running.get(name).copied().unwrap_or(0) < each;
        let at = self.turns.iter().position(free)?;
        let application = self.turns.remove(at)?;
        let rows = self.waiting.get_mut(&application)?;
        let row = rows.pop_front()?;
        if rows.is_empty() {
            self.waiting.remove(&application);
        } else {
            self.turns.push_back(application.clone());
        }
        *self.running.entry(application.clone()).or_default() += 1;
        self.under_way.insert(row.id, application);
        Some(row)
    }

    /// Takes more of what is due in hand. `false` when there is no more, or enough.
    async fn fill(&mut self, refresher: &Refresher) -> Result<bool, RefreshError> {
        let waiting: usize = self.waiting.values().map(VecDeque::len).sum();
        if self.exhausted || waiting >= MOST_WAITING {
            return Ok(false);
        }
        // Those in hand are still due, until they have landed.
        let limit = BATCH + waiting + self.under_way.len() + self.stuck.len();
        let rows = refresher.0.vault.due(self.until, limit).await?;
        let all = rows.len() < limit;
        let mut fresh = 0;
        for row in rows {
            if self.seen.insert(row.id) {
                fresh += 1;
                let application = row.name.application().clone();
                let rows = self.waiting.entry(application.clone()).or_default();
                if rows.is_empty() {
                    self.turns.push_back(application);
                }
                rows.push_back(row);
            } else if !self.under_way.contains_key(&row.id) {
                self.stuck.insert(row.id);
            }
        }
        self.exhausted = all && fresh == 0;
        Ok(fresh > 0)
    }

    fn ended(&mut self, id: Uuid) {
        let Some(application) = self.under_way.remove(&id) else { return };
        if let Some(running) = self.running.get_mut(&application) {
            *running = running.saturating_sub(1);
        }
    }
}

/// Counts what a round comes to.
#[derive(Default)]
struct Tally {
    round: Round,
    told: BTreeSet<String>,
}

impl Tally {
    fn count(&mut self, ended: Result<Token, RefreshError>) {
        let Err(error) = ended else {
            self.round.refreshed += 1;
            return;
        };
        match &error {
            // It was due to be told of, and that is done; nothing has failed yet.
            RefreshError::Expiring { .. } => tracing::warn!(%error, "a token ends soon"),
            RefreshError::Resting { provider, .. } => self.put_off(provider.clone(), &error),
            RefreshError::ClientRejected { application, .. } => self.put_off(application.to_string(), &error),
            _ => {
                tracing::warn!(%error, "a refresh failed");
                self.round.failed += 1;
                if self.round.reasons.len() < MOST_REASONS {
                    self.round.reasons.push(error.to_string());
                }
            }
        }
    }

    /// One sentence for all that wait for the same provider or application.
    fn put_off(&mut self, whose: String, error: &RefreshError) {
        self.round.put_off += 1;
        if self.told.insert(whose) {
            self.round.reasons.push(error.to_string());
        }
    }
}
