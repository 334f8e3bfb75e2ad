//! The background job: sleeps until the next connection is due, refreshes what is, and goes back to sleep.

use super::breaker::Urgency;
use super::flight::{Order, Place};
use super::{RefreshError, Refresher, Settings, Token};
use crate::model::{ApplicationName, Timestamp, later};
use crate::store::{ConnectionRow, DuePlace};
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::future::Future;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::Uuid;

/// Rows that one look at the due queue takes.
const BATCH: usize = 256;

/// Rows in hand at the most that wait for their application's turn; more of it are passed over, for behind them others may be due whose turn
/// it is.
const MOST_WAITING: usize = BATCH;

/// The longest sleep: new connections of this process wake nobody, so the queue is looked at this often, also while a provider that is slow holds
/// a round up. A look costs what is due.
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
                round = self.round(true) => {
                    let round = round?;
                    // Nothing but failures: some may stay due, and looking at them each second helps nobody.
                    if round.refreshed == 0 && round.failed > 0 {
                        soonest = later(self.0.clock.now(), LONGEST_SLEEP.as_secs());
                    }
                    round.log();
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
        self.round(false).await
    }

    /// Refreshes what is due. Where it goes on looking, also what becomes due meanwhile: one application whose provider is slow must not keep the others
    /// waiting.
    ///
    /// What is bounded is how many ask at once, for that is what a provider feels: a place is free again when the reply is here and read, and the next
    /// one asks while what it brings is made durable.
    async fn round(&self, goes_on: bool) -> Result<Round, RefreshError> {
        let clock = &self.0.clock;
        let bounds = Bounds::of(&self.0.settings);
        let mut queue = Queue::new(clock.now());
        let mut tally = Tally::default();
        // Each flight is a task already; it needs no other that waits for it.
        let mut flights = FuturesUnordered::new();
        let next_look = || clock.sleep_until(later(clock.now(), LONGEST_SLEEP.as_secs()));
        let mut look = next_look();
        loop {
            queue.take_back();
            while queue.asking < bounds.asking && flights.len() < bounds.under_way {
                let Some((row, place)) = queue.next(bounds.each) else {
                    // What is in hand begins before more is looked for.
                    while let Some(Some((id, result))) = flights.next().now_or_never() {
                        queue.ended(id);
                        tally.count(result);
                    }
                    if queue.take_back() || queue.fill(self, bounds.each).await? {
                        continue;
                    }
                    break;
                };
                let (refresher, order) =
                    (self.clone(), Order { unwanted: row.generation, urgency: Urgency::Background });
                flights.push(async move { (row.id, refresher.fly(row.id, order, Some(place)).await) });
            }
            tokio::select! {
                biased;
                ended = flights.next() => match ended {
                    Some((id, result)) => {
                        queue.ended(id);
                        tally.count(result);
                    }
                    None => return Ok(tally.round),
                },
                Some(application) = queue.given_back.recv() => queue.answered(&application),
                () = &mut look, if goes_on => {
                    look = next_look();
                    queue.begin_anew(clock.now());
                    std::mem::take(&mut tally.round).log();
                }
            }
        }
    }
}

/// How many times as many may be under way as may ask: also of one application, whose revocations, say, may be slow.
const BEHIND: usize = 2;

/// How much of a round may be under way at once.
struct Bounds {
    /// Those that wait for a provider, or for leave to ask it.
    asking: usize,
    /// Of one application.
    each: usize,
    /// Also those that have asked, and whose end is not written yet: where the store is slow, no heap of them grows in memory.
    under_way: usize,
}

impl Bounds {
    fn of(settings: &Settings) -> Self {
        let asking = settings.at_once.max(1);
        Self { asking, each: settings.at_once_per_application.max(1), under_way: asking.saturating_mul(BEHIND) }
    }
}

impl Round {
    fn log(&self) {
        let Self { refreshed, failed, put_off, .. } = *self;
        if (refreshed, failed, put_off) != (0, 0, 0) {
            tracing::info!(refreshed, failed, put_off, "background refresh");
        }
    }
}

/// How many of an application are under way, and how many of them ask.
#[derive(Debug, Default)]
struct Share {
    asking: usize,
    under_way: usize,
}

/// What is due, in the order of its time but for applications that have their share of those that ask.
struct Queue {
    until: Timestamp,
    /// How far it was looked at.
    place: Option<DuePlace>,
    /// To its end.
    is_at_end: bool,
    waiting: HashMap<ApplicationName, VecDeque<ConnectionRow>>,
    /// Applications whose turn comes, in the order in which their first connection is due.
    turns: VecDeque<ApplicationName>,
    under_way: HashMap<Uuid, ApplicationName>,
    /// How many they are, of each application.
    of: HashMap<ApplicationName, Share>,
    /// How many still ask, of all.
    asking: usize,
    /// Where places are given back to, and where they come.
    free: UnboundedSender<ApplicationName>,
    given_back: UnboundedReceiver<ApplicationName>,
    /// In hand or done: what stays due all the same is not tried twice in one round.
    seen: HashSet<Uuid>,
    /// Applications of which rows were passed over.
    passed_over: HashSet<ApplicationName>,
    /// Those that it is looked anew for, from the start and no further than until each has something in hand; and all that had been passed over.
    looked_for: Option<(HashSet<ApplicationName>, HashSet<ApplicationName>)>,
}

impl Queue {
    fn new(until: Timestamp) -> Self {
        let (free, given_back) = unbounded_channel();
        Self {
            until,
            place: None,
            is_at_end: false,
            waiting: HashMap::new(),
            turns: VecDeque::new(),
            under_way: HashMap::new(),
            of: HashMap::new(),
            asking: 0,
            free,
            given_back,
            seen: HashSet::new(),
            passed_over: HashSet::new(),
            looked_for: None,
        }
    }

    /// Begins another round, with what is in hand.
    fn begin_anew(&mut self, until: Timestamp) {
        self.until = until;
        self.seen = self.waiting.values().flatten().map(|row| row.id).chain(self.under_way.keys().copied()).collect();
        (self.place, self.is_at_end) = (None, false);
        self.passed_over.clear();
        self.looked_for = None;
    }

    /// The next connection whose application may have one more, with its place.
    fn next(&mut self, each: usize) -> Option<(ConnectionRow, Place)> {
        let at = self.turns.iter().position(|name| self.is_free(name, each))?;
        let application = self.turns.remove(at)?;
        let rows = self.waiting.get_mut(&application)?;
        let row = rows.pop_front()?;
        if rows.is_empty() {
            self.waiting.remove(&application);
        } else {
            self.turns.push_back(application.clone());
        }
        let share = self.of.entry(application.clone()).or_default();
        (share.asking, share.under_way) = (share.asking + 1, share.under_way + 1);
        self.asking += 1;
        self.under_way.insert(row.id, application.clone());
        Some((row, Place::new(application, self.free.clone())))
    }

    /// Whether an application may have one more.
    fn is_free(&self, name: &ApplicationName, each: usize) -> bool {
        self.of.get(name).is_none_or(|share| share.asking < each && share.under_way < each.saturating_mul(BEHIND))
    }

    /// Looks at more of what is due, and takes it in hand. `false` when there is no more, or nothing whose turn it could be.
    async fn fill(&mut self, refresher: &Refresher, each: usize) -> Result<bool, RefreshError> {
        if self.is_at_end {
            // Of those that were passed over, an application has used up what was in hand.
            let used_up = |name: &&ApplicationName| !self.waiting.contains_key(*name) && self.is_free(name, each);
            let used_up: HashSet<_> = self.passed_over.iter().filter(used_up).cloned().collect();
            if used_up.is_empty() {
                return Ok(false);
            }
            (self.place, self.is_at_end) = (None, false);
            self.looked_for = Some((used_up, std::mem::take(&mut self.passed_over)));
        }
        let rows = refresher.0.vault.due(self.until, self.place, BATCH).await?;
        self.is_at_end = rows.len() < BATCH;
        self.place = rows.last().and_then(|last| Some((last.due?, last.id)));
        for row in rows {
            let application = row.name.application();
            if self.seen.contains(&row.id) {
                continue;
            }
            match self.waiting.get_mut(application) {
                Some(rows) if rows.len() >= MOST_WAITING => {
                    self.passed_over.insert(application.clone());
                    continue;
                }
                Some(rows) => {
                    self.seen.insert(row.id);
                    rows.push_back(row);
                }
                None => {
                    self.seen.insert(row.id);
                    self.turns.push_back(application.clone());
                    self.waiting.insert(application.clone(), [row].into());
                }
            }
        }
        // One that cannot be gone on from is no place.
        self.is_at_end |= self.place.is_none();
        if let Some((wanted, passed_over)) = &mut self.looked_for {
            wanted.retain(|name| self.waiting.get(name).is_none_or(|rows| rows.len() < MOST_WAITING));
            // Behind it lies what was passed over before: a scan of all of it for each refill would cost more than the refreshes.
            if wanted.is_empty() && !self.is_at_end {
                self.passed_over.extend(passed_over.drain());
                self.is_at_end = true;
            }
        }
        if self.is_at_end {
            self.looked_for = None;
        }
        Ok(true)
    }

    /// Takes the places back that were given back. Tells whether there were any.
    fn take_back(&mut self) -> bool {
        let before = self.asking;
        while let Ok(application) = self.given_back.try_recv() {
            self.answered(&application);
        }
        self.asking < before
    }

    /// One of an application asks no more.
    fn answered(&mut self, application: &ApplicationName) {
        if let Some(share) = self.of.get_mut(application) {
            share.asking -= 1;
            self.asking -= 1;
            self.forget_idle(application);
        }
    }

    fn ended(&mut self, id: Uuid) {
        let Some(application) = self.under_way.remove(&id) else { return };
        if let Some(share) = self.of.get_mut(&application) {
            share.under_way -= 1;
            self.forget_idle(&application);
        }
    }

    fn forget_idle(&mut self, application: &ApplicationName) {
        if self.of.get(application).is_some_and(|share| (share.asking, share.under_way) == (0, 0)) {
            self.of.remove(application);
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
