//! The deliveries of one webhook.

use super::sending::{Outcome, Sending};
use super::{MOST_REFUSED, MOST_REFUSED_IN_A_ROW, STORE_TROUBLE, Tried, WINDOW, Watching, next_try};
use crate::access::Acting;
use crate::events::POLL;
use crate::model::{
    Action, Actor, Disabled, DisabledReason, RecordedEvent, Target, Timestamp, WaitingMessage, WebhookProgress, later,
    random_share,
};
use crate::store::{Change, StoreError};
use crate::vault::{Stored, VaultError, WebhookRecord};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use uuid::Uuid;

/// Events that are read at once.
const BATCH: usize = 64;

/// Events that a webhook may have passed over before that is written down: a new start reads so many again at the most.
const UNWRITTEN: u64 = 1000;

/// How long an endpoint that takes nothing is left alone, in seconds, where its messages' own times are later; one that refuses everything gets
/// no new message before.
const PROBE: u64 = 3600;

/// How long a stop waits for answers that are on their way.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// Delivers until the webhook is disabled or removed, or everything stops.
pub(super) async fn run(sending: Sending, id: Uuid, mut stopping: watch::Receiver<bool>, watching: Watching) {
    let shared = Arc::clone(&sending.shared);
    loop {
        let ended = match Lane::open(sending.clone(), id, stopping.clone(), Arc::clone(&watching)).await {
            Ok(Some(mut lane)) => lane.deliver().await,
            Ok(None) => return,
            Err(error) => Err(error.into()),
        };
        match ended {
            Ok(()) => return,
            // Somebody else wrote how far it has come; what they wrote counts.
            Err(Broken::Vault(VaultError::Store(StoreError::Conflict))) => continue,
            Err(error) => tracing::warn!("a webhook waits: {error}"),
        }
        tokio::select! {
            () = stopped(&mut stopping) => return,
            () = shared.clock.sleep_until(later(shared.clock.now(), STORE_TROUBLE)) => {}
        }
    }
}

/// Why a lane begins anew.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("a message's try ended without a result: {0}")]
    Try(#[from] JoinError),
}

/// Returns when everything stops.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error is the end of whoever would have said so.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

struct Lane {
    sending: Sending,
    record: Stored<WebhookRecord>,
    progress: Stored<WebhookProgress>,
    /// Events up to this one were read. The cursor follows when those that are wanted were tried.
    looked: u64,
    /// Events that were read and not tried.
    queue: VecDeque<RecordedEvent>,
    flights: JoinSet<Landed>,
    /// The sequences of what is under way.
    flying: HashSet<u64>,
    /// Of those, the one that is tried for the first time.
    first: Option<u64>,
    /// Messages that are tried before their time.
    sooner: HashSet<u64>,
    /// When an endpoint that takes nothing is asked again.
    probe: Timestamp,
    /// The time, for all that one turn decides by it.
    now: Timestamp,
    stopping: watch::Receiver<bool>,
    watching: Watching,
}

/// A try that came to its end.
struct Landed {
    sequence: u64,
    /// Whether it was one of those that a message has.
    in_time: bool,
    outcome: Outcome,
}

impl Lane {
    /// Of a webhook; nothing where it is not there or disabled.
    async fn open(
        sending: Sending,
        id: Uuid,
        stopping: watch::Receiver<bool>,
        watching: Watching,
    ) -> Result<Option<Self>, VaultError> {
        let vault = &sending.shared.vault;
        let Some(record) = vault.webhook(id).await? else { return Ok(None) };
        let progress = match vault.webhook_progress(&record.value).await? {
            Some(progress) => progress,
            None => {
                let value = WebhookProgress::from(id, vault.last_event().await?);
                vault.commit(vec![vault.put_webhook_progress(&record.value, &value, None)?]).await?;
                Stored { value, version: 1 }
            }
        };
        let (looked, now) = (progress.value.cursor, sending.shared.clock.now());
        Ok(Some(Self {
            sending,
            record,
            progress,
            looked,
            queue: VecDeque::new(),
            flights: JoinSet::new(),
            flying: HashSet::new(),
            first: None,
            sooner: HashSet::new(),
            probe: now,
            now,
            stopping,
            watching,
        }))
    }

    async fn deliver(&mut self) -> Result<(), Broken> {
        let shared = Arc::clone(&self.sending.shared);
        let (mut news, mut changes) = (shared.vault.news(), shared.changes.subscribe());
        let mut stopping = self.stopping.clone();
        loop {
            if *stopping.borrow() {
                return Ok(self.wind_down().await?);
            }
            // Before the looks: what is committed while they last is news.
            changes.mark_unchanged();
            news.mark_unchanged();
            self.now = shared.clock.now();
            match shared.vault.webhook(self.record.value.webhook.id).await? {
                Some(record) if record.value.webhook.disabled.is_none() => {
                    // Who edits it may have mended it.
                    if record.version != self.record.version {
                        self.probe = self.now;
                    }
                    self.record = record;
                }
                _ => return Ok(()),
            }
            // Somebody may have had it go on with what is new: what waits here is not to be sent then.
            let written = shared.vault.webhook_progress(&self.record.value).await?;
            if written.map(|progress| progress.version) != Some(self.progress.version) {
                return Err(VaultError::from(StoreError::Conflict).into());
            }
            self.look().await?;
            self.start();
            let wake = self.wake(shared.vault.store().is_exclusive());
            tokio::select! {
                biased;
                () = stopped(&mut stopping) => {}
                // Fails only when the sender is gone, and the webhooks hold it.
                _ = changes.changed() => {}
                Some(landed) = self.flights.join_next() => {
                    self.land(landed?).await?;
                    if self.record.value.webhook.disabled.is_some() {
                        return Ok(());
                    }
                }
                _ = news.changed(), if self.queue.is_empty() && self.has_room() => {}
                () = shared.clock.sleep_until(wake) => {}
            }
        }
    }

    /// Whether another message may be tried for the first time.
    fn has_room(&self) -> bool {
        self.progress.value.unanswered() + usize::from(self.first.is_some()) < WINDOW && !self.is_left_alone()
    }

    /// Whether an endpoint that refuses whatever it is sent is left alone until it is asked again. A time further ahead than any such rest was set
    /// by a clock that has since been put back.
    fn is_left_alone(&self) -> bool {
        self.refuses_all() && self.now < self.probe && self.probe <= later(self.now, PROBE)
    }

    /// Whether an endpoint has refused so many new messages, and taken none since, that it is not the messages.
    fn refuses_all(&self) -> bool {
        self.progress.value.refused_in_a_row >= MOST_REFUSED_IN_A_ROW
    }

    fn is_full(&self) -> bool {
        self.progress.value.unanswered() >= WINDOW
    }

    /// How many more messages may be tried again now: an endpoint that refused many is not asked for all at once.
    fn spare(&self) -> usize {
        WINDOW.saturating_sub(self.flying.len() - usize::from(self.first.is_some()))
    }

    /// Reads on in the outbox, where nothing that was read waits.
    async fn look(&mut self) -> Result<(), VaultError> {
        while self.queue.is_empty() && self.has_room() {
            let page = self.sending.shared.vault.outbox(self.looked, BATCH).await?;
            let Some((last, _)) = page.last() else { break };
            self.looked = *last;
            for (sequence, opened) in page {
                match opened {
                    Ok(recorded) if self.record.value.webhook.wants(&recorded.event) => self.queue.push_back(recorded),
                    Ok(_) => {}
                    Err(error) => {
                        let webhook = &self.record.value.webhook.name;
                        tracing::error!(%webhook, sequence, "an event is not told: {error}");
                    }
                }
            }
        }
        if self.queue.is_empty() && self.first.is_none() && self.looked - self.progress.value.cursor >= UNWRITTEN {
            self.progress.value.cursor = self.looked;
            self.keep(None).await?;
        }
        Ok(())
    }

    /// Sends what is to be sent now.
    fn start(&mut self) {
        let now = self.now;
        let idle = self.flying.is_empty() && self.sooner.is_empty();
        if self.is_full() && idle && self.probe <= now {
            let unanswered = self.progress.value.waiting.iter().filter(|message| !message.refused);
            self.sooner.extend(unanswered.min_by_key(|message| message.next).map(|message| message.sequence));
        }
        let mut due: Vec<&WaitingMessage> = self
            .progress
            .value
            .waiting
            .iter()
            .filter(|message| !self.flying.contains(&message.sequence))
            .filter(|message| message.next <= now || self.sooner.contains(&message.sequence))
            .collect();
        due.sort_by_key(|message| (message.refused, message.next));
        let due: Vec<(u64, bool)> =
            due.into_iter().take(self.spare()).map(|message| (message.sequence, message.next <= now)).collect();
        for (sequence, in_time) in due {
            self.flying.insert(sequence);
            let (sending, record) = (self.sending.clone(), self.record.value.clone());
            self.flights.spawn(async move {
                let outcome = sending.send_again(&record, sequence).await;
                Landed { sequence, in_time, outcome }
            });
        }
        while self.first.is_none() && self.has_room() {
            let Some(recorded) = self.queue.pop_front() else { break };
            // It may have been edited since the event was read.
            if !self.record.value.webhook.wants(&recorded.event) {
                continue;
            }
            let sequence = recorded.sequence;
            self.first = Some(sequence);
            self.flying.insert(sequence);
            let (sending, record) = (self.sending.clone(), self.record.value.clone());
            self.flights.spawn(async move {
                let outcome = sending.send(&record, &recorded).await;
                Landed { sequence, in_time: true, outcome }
            });
        }
    }

    /// When something is to be done next, if nothing happens before.
    fn wake(&self, is_exclusive: bool) -> Timestamp {
        let now = self.now;
        let waiting = self.progress.value.waiting.iter().filter(|message| !self.flying.contains(&message.sequence));
        // What is due and has no place goes when one that is under way lands.
        let is_crowded = self.spare() == 0;
        let waiting = waiting.filter(|message| !is_crowded || message.next > now);
        let mut wake = waiting.map(|message| message.next).min().unwrap_or(later(now, PROBE));
        if (self.is_full() && self.flying.is_empty()) || self.is_left_alone() {
            wake = wake.min(self.probe);
        }
        // What another process commits is no news here.
        if is_exclusive { wake } else { wake.min(later(now, POLL.as_secs())) }
    }

    /// Writes down what came of a try.
    async fn land(&mut self, landed: Landed) -> Result<(), VaultError> {
        let Landed { sequence, in_time, outcome } = landed;
        let now = self.sending.shared.clock.now();
        let (was_full, was_first) = (self.is_full(), self.first == Some(sequence));
        self.flying.remove(&sequence);
        self.sooner.remove(&sequence);
        let progress = &mut self.progress.value;
        if was_first {
            self.first = None;
            // All that was read and is not wanted lies behind it too, where nothing that is wanted waits.
            progress.cursor = if self.queue.is_empty() { self.looked } else { sequence };
            progress.waiting.push(WaitingMessage { sequence, attempts: 0, next: now, refused: false });
        }
        let answer = outcome.answer(now);
        let is_refusal = answer.is_refusal();
        progress.last_answer = Some(answer);
        let at = progress.waiting.iter().position(|message| message.sequence == sequence);
        // Of a message that was refused before, another refusal says nothing of whether the endpoint is down.
        let was_unanswered = at.is_some_and(|at| !progress.waiting[at].refused);
        let is_back = matches!(outcome, Outcome::Taken { .. }) || (was_unanswered && is_refusal);
        let tried = match (&outcome, at) {
            (Outcome::Taken { .. }, at) => {
                at.map(|at| progress.waiting.remove(at));
                progress.delivered += 1;
                progress.refused_in_a_row = 0;
                progress.last_delivered = Some(now);
                Tried::Delivered
            }
            (Outcome::Refused { retry_after, .. }, Some(at)) => {
                let message = &mut progress.waiting[at];
                message.attempts += u32::from(in_time);
                message.refused |= is_refusal;
                let next = match in_time {
                    true => next_try(message.attempts, retry_after.as_deref(), random_share(), now),
                    false => Some(message.next),
                };
                match next {
                    Some(next) => {
                        message.next = next;
                        Tried::Failed
                    }
                    None => self.give_up(sequence),
                }
            }
            (Outcome::Lost { .. }, _) | (Outcome::Refused { .. }, None) => self.give_up(sequence),
        };
        if was_full && is_back {
            let unanswered = self.progress.value.waiting.iter().filter(|message| !message.refused);
            self.sooner.extend(unanswered.map(|message| message.sequence));
        }
        if was_first && is_refusal {
            self.progress.value.refused_in_a_row = self.progress.value.refused_in_a_row.saturating_add(1);
        }
        if (self.is_full() && was_unanswered) || (self.refuses_all() && was_first) {
            self.probe = later(now, PROBE);
        }
        self.tell(sequence, tried);
        self.make_room();
        let gone = outcome.is_gone().then_some(Disabled { at: now, reason: DisabledReason::Gone });
        self.keep(gone).await
    }

    fn give_up(&mut self, sequence: u64) -> Tried {
        let progress = &mut self.progress.value;
        progress.waiting.retain(|message| message.sequence != sequence);
        progress.given_up += 1;
        progress.last_given_up = Some(sequence);
        Tried::GivenUp
    }

    /// Gives up the oldest of the messages that were refused, where there are more than are kept. None that is under way: it is heard of.
    fn make_room(&mut self) {
        loop {
            let refused = self.progress.value.waiting.iter().filter(|message| message.refused);
            let kept = refused.clone().count();
            let oldest =
                refused.map(|message| message.sequence).filter(|sequence| !self.flying.contains(sequence)).min();
            let Some(sequence) = oldest.filter(|_| kept > MOST_REFUSED) else { return };
            self.sooner.remove(&sequence);
            let tried = self.give_up(sequence);
            let webhook = &self.record.value.webhook;
            (self.watching)(&webhook.name, tried);
            let (webhook, host) = (&webhook.name, webhook.url.authority());
            tracing::warn!(
                %webhook, host, sequence, "a message is given up: {MOST_REFUSED} newer ones were refused and wait too"
            );
        }
    }

    fn tell(&self, sequence: u64, tried: Tried) {
        let webhook = &self.record.value.webhook;
        (self.watching)(&webhook.name, tried);
        let (name, host) = (&webhook.name, webhook.url.authority());
        let problem = self.progress.value.last_answer.as_ref().and_then(|answer| answer.problem.as_deref());
        let problem = problem.unwrap_or_default();
        match tried {
            Tried::Delivered => tracing::debug!(webhook = %name, host, sequence, "a message was taken"),
            Tried::Failed => tracing::info!(webhook = %name, host, sequence, "a message was not taken: {problem}"),
            Tried::GivenUp => tracing::warn!(webhook = %name, host, sequence, "a message is given up: {problem}"),
        }
    }

    /// Makes how far it has come durable, and that it is disabled where it is. Waits where the store takes nothing: what cannot be
    /// written down would be sent again and again.
    async fn keep(&mut self, disabled: Option<Disabled>) -> Result<(), VaultError> {
        let shared = Arc::clone(&self.sending.shared);
        let mut stopping = self.stopping.clone();
        loop {
            let kept = self.kept(disabled).await;
            match kept {
                Ok(()) => return Ok(()),
                Err(error @ VaultError::Store(StoreError::Conflict)) => return Err(error),
                Err(error) => tracing::warn!("how far a webhook has come cannot be written: {error}"),
            }
            tokio::select! {
                () = stopped(&mut stopping) => return Ok(()),
                () = shared.clock.sleep_until(later(shared.clock.now(), STORE_TROUBLE)) => {}
            }
        }
    }

    async fn kept(&mut self, disabled: Option<Disabled>) -> Result<(), VaultError> {
        let shared = &self.sending.shared;
        let mut record = self.record.clone();
        let mut changes: Vec<Change> = vec![shared.vault.put_webhook_progress(
            &record.value,
            &self.progress.value,
            Some(self.progress.version),
        )?];
        if disabled.is_none() {
            shared.vault.commit(changes).await?;
        } else {
            record.value.webhook.disabled = disabled;
            changes.push(shared.vault.put_webhook(&record.value, Some(record.version))?);
            let name = record.value.webhook.name.clone();
            tracing::warn!(webhook = %name, "the endpoint answered 410 Gone; the webhook is disabled");
            let entry = Acting::by(Actor::System).entry(
                Action::WebhookDisable,
                Some(Target::Webhook(name)),
                shared.clock.now(),
            );
            shared.log.commit(vec![entry.with_detail("its endpoint answered 410 Gone")], changes).await?;
            record.version += 1;
            self.record = record;
        }
        self.progress.version += 1;
        Ok(())
    }

    /// Hears what is on its way, for a moment.
    async fn wind_down(&mut self) -> Result<(), VaultError> {
        let heard = async {
            while let Some(landed) = self.flights.join_next().await {
                if let Ok(landed) = landed {
                    self.land(landed).await?;
                }
            }
            Ok(())
        };
        // What was not heard in time is sent again by whoever starts next.
        tokio::time::timeout(LAST_MOMENT, heard).await.unwrap_or(Ok(()))
    }
}
