//! Webhooks: events sent to somebody's endpoint, as Standard Webhooks says it. May use `access`, `events`, `vault`, `http` and below.
//!
//! The outbox of events is the queue: nothing is copied out of it. Each webhook has a task of its own (`lane`), so that an endpoint that
//! is dead or slow holds up no other, and a record of its own that says how far it has come: a cursor, up to which every event was
//! tried once at the least or is none of its own, and the messages that were tried and not taken, with how often and when next: a small
//! window of those that were not answered, and a ring of those that were refused. While the window is full, events wait in the outbox;
//! where the ring is, its oldest message is given up. So what is kept of a webhook is bounded, messages that an endpoint refuses now and then hold
//! no other up, and nothing that it does not refuse is lost for as long as events are kept.
//!
//! What was decided, and why:
//!
//! - **At least once.** A try is written down when its answer is here. A process that dies between the two sends the message again, with
//!   the same id, which is the event's.
//! - **In order while the endpoint takes messages.** First tries go one at a time, in the order of events; tries again go beside them,
//!   and each message says its event's sequence.
//! - **A full window means that the endpoint is down.** Then one of its messages is tried every hour, and at the first that is answered
//!   all others at once: or an endpoint that is back would be left alone for up to a day. A try before its time is not one of the
//!   message's ten.
//! - **No answer, 5xx and 429 speak of the endpoint; any other status speaks of the message.** A firewall that answers 403 to what is
//!   in some messages would else stop all others with eight of them. A message that was refused once stays in the ring, whatever its
//!   next answer is: so the window never has more than its eight.
//! - **An endpoint that refuses everything is down too**, whatever it answers: behind a sign-in page or at a wrong path all messages are refused,
//!   and the ring would lose a month of them in minutes. After sixteen new messages in a row that were refused, and none taken, new ones wait in
//!   the outbox, and one of them is tried every hour; at the first message that is taken, a new one or one of those that wait, all others go. So
//!   what a firewall refuses for what is in it holds others up only where there are sixteen of it in a row, and for an hour each.
//! - **410 Gone** stops the webhook until somebody enables it. It goes on where it stopped, or with what is new, as they say.
//! - **After a restore** a webhook tells of what happens from then on: what its endpoint was told since the backup was made cannot be
//!   known, and a month of old events is worth less than it costs.

mod lane;
mod schedule;
mod sending;
mod signing;

pub use schedule::{MOST_ATTEMPTS, WAITS, next_try};
pub use signing::{SECRET_PREFIX, SigningSecret, signatures};

use crate::access::AuditLog;
use crate::events::POLL;
use crate::http::{HttpError, Notices, Settings};
use crate::model::{Clock, WebhookAnswer, WebhookName, WebhookProgress, later, new_id};
use crate::vault::{Vault, WebhookRecord};
use sending::Sending;
use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Messages of one webhook that its endpoint did not answer and that wait to be tried again, at the most. While there are so many, events
/// wait in the outbox. So many are tried again at the same time, too.
pub const WINDOW: usize = 8;

/// Messages of one webhook that its endpoint refused and that wait to be tried again, at the most. The oldest of more is given up.
pub const MOST_REFUSED: usize = 64;

/// New messages that an endpoint may refuse one after the other, and take none meanwhile, before new ones wait in the outbox too.
pub const MOST_REFUSED_IN_A_ROW: u32 = 16;

/// Whether new events wait in the outbox: too much of what was sent was not answered, or nothing of it was taken.
#[must_use]
pub fn holds_back(progress: &WebhookProgress) -> bool {
    progress.unanswered() >= WINDOW || progress.refused_in_a_row >= MOST_REFUSED_IN_A_ROW
}

/// Webhooks, at the most: each is a task, and each reads every event.
pub const MOST_WEBHOOKS: usize = 50;

/// How long a secret that was replaced is good, in seconds: receivers take the new one over in that time.
pub const EARLIER_SECRET_KEPT: u64 = 24 * 3600;

/// Earlier secrets that are good at the same time, at the most: each makes the header longer.
pub const MOST_EARLIER_SECRETS: usize = 3;

/// How long is waited, in seconds, when the store cannot be read or written.
const STORE_TROUBLE: u64 = 30;

/// What came of a try, for figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tried {
    /// The message was taken.
    Delivered,
    /// It was not, and is tried again.
    Failed,
    /// It was not, and is tried no more.
    GivenUp,
}

impl Tried {
    /// The word for figures.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
        }
    }
}

/// Told of each try.
pub type Watching = Arc<dyn Fn(&WebhookName, Tried) + Send + Sync>;

/// The webhooks of a store. Clones share everything.
#[derive(Clone)]
pub struct Webhooks(Arc<Shared>);

struct Shared {
    vault: Vault,
    clock: Arc<dyn Clock>,
    log: AuditLog,
    http: Settings,
    notices: OnceLock<Notices>,
    /// A webhook was made, edited or removed here.
    changes: watch::Sender<()>,
}

impl Webhooks {
    /// Over a vault.
    #[must_use]
    pub fn new(vault: Vault, clock: Arc<dyn Clock>, log: AuditLog, http: Settings) -> Self {
        let (notices, changes) = (OnceLock::new(), watch::Sender::new(()));
        Self(Arc::new(Shared { vault, clock, log, http, notices, changes }))
    }

    /// Says that a webhook was made, edited or removed.
    pub fn changed(&self) {
        self.0.changes.send_replace(());
    }

    /// Delivers until `shutdown` ends. What is under way then is given a moment; what was not heard of is sent again by the next run.
    ///
    /// # Errors
    /// When the settings of the HTTP client cannot be used.
    pub async fn run(&self, shutdown: impl Future<Output = ()>, watching: Watching) -> Result<(), HttpError> {
        let shared = &self.0;
        let notices = shared.notices()?;
        let (stop, stopping) = watch::channel(false);
        let (mut lanes, mut running) = (JoinSet::new(), HashSet::new());
        let mut changes = shared.changes.subscribe();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            // Before the look: what changes while it lasts is news.
            changes.mark_unchanged();
            let mut again = if shared.vault.store().is_exclusive() { 3600 } else { POLL.as_secs() };
            match shared.vault.webhooks().await {
                Ok(webhooks) => {
                    for webhook in webhooks {
                        match webhook {
                            Ok(stored) if stored.value.webhook.disabled.is_none() => {
                                let id = stored.value.webhook.id;
                                if running.insert(id) {
                                    let sending = Sending::new(notices.clone(), Arc::clone(shared));
                                    let (stopping, watching) = (stopping.clone(), Arc::clone(&watching));
                                    lanes.spawn(async move {
                                        lane::run(sending, id, stopping, watching).await;
                                        id
                                    });
                                }
                            }
                            Ok(_) => {}
                            Err(error) => tracing::error!("a webhook sends nothing: {error}"),
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!("the webhooks cannot be read: {error}");
                    again = STORE_TROUBLE;
                }
            }
            let again = later(shared.clock.now(), again);
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(ended) = lanes.join_next() => match ended {
                    Ok(id) => drop(running.remove(&id)),
                    // Its id stays among those that run: started again, it would only end again.
                    Err(error) => tracing::error!("a webhook sends nothing until the daemon starts anew: {error}"),
                },
                // Fails only when the sender is gone, and this holds it.
                _ = changes.changed() => {}
                () = shared.clock.sleep_until(again) => {}
            }
        }
        // Fails only when nobody is left to be told.
        let _ = stop.send(true);
        while lanes.join_next().await.is_some() {}
        Ok(())
    }

    /// Sends one message that tells of nothing, signed as all are. What comes of it changes nothing here.
    ///
    /// # Errors
    /// When the settings of the HTTP client cannot be used.
    pub async fn test(&self, record: &WebhookRecord) -> Result<WebhookAnswer, HttpError> {
        let sending = Sending::new(self.0.notices()?.clone(), Arc::clone(&self.0));
        let now = self.0.clock.now();
        let body = serde_json::json!({ "type": "test", "timestamp": now, "data": { "webhook": record.webhook.name } });
        let outcome = sending.post(record, &new_id().to_string(), body.to_string().into_bytes()).await;
        Ok(outcome.answer(self.0.clock.now()))
    }
}

impl Shared {
    fn notices(&self) -> Result<&Notices, HttpError> {
        if self.notices.get().is_none() {
            // Of two that are made at once one is kept.
            let _ = self.notices.set(Notices::new(&self.http)?);
        }
        self.notices.get().ok_or(HttpError::BadRequest)
    }
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks").finish_non_exhaustive()
    }
}
