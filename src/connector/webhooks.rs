//! Webhooks: making and keeping them, and sending what they tell.

use super::{Connector, Error};
use crate::model::{
    Action, Disabled, DisabledReason, EventKind, Reach, Target, Webhook, WebhookAnswer, WebhookName, WebhookProgress,
    WebhookUrl, later, new_id,
};
use crate::store::Change;
use crate::vault::{EarlierSecret, Stored, WebhookRecord};
use crate::webhooks::{EARLIER_SECRET_KEPT, MOST_EARLIER_SECRETS, MOST_WEBHOOKS, SigningSecret, Watching};
use std::future::Future;

/// A webhook to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWebhook {
    /// What people will call it.
    pub name: WebhookName,
    /// Where its messages go.
    pub url: WebhookUrl,
    /// The kinds of events that it tells of; all where there is none.
    pub kinds: Vec<EventKind>,
    /// What it tells of; everything where there is none.
    pub reach: Vec<Reach>,
}

/// What a webhook gets in place of what it has; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookEdit {
    /// Where its messages go.
    pub url: Option<WebhookUrl>,
    /// The kinds of events that it tells of; all where there is none.
    pub kinds: Option<Vec<EventKind>>,
    /// What it tells of; everything where there is none.
    pub reach: Option<Vec<Reach>>,
}

/// A webhook, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookStanding {
    /// The webhook.
    pub webhook: Webhook,
    /// How far it has come.
    pub progress: WebhookProgress,
    /// Of the next 500 events, those that wait until it has room, or until it is enabled.
    pub behind: u64,
}

/// A webhook with a secret that was made for it. The secret is here and nowhere else: it cannot be shown again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSecret {
    /// The webhook.
    pub standing: WebhookStanding,
    /// What its messages are signed with.
    pub secret: crate::model::Secret,
}

impl Connector {
    /// Makes a webhook. It tells of what happens from now on.
    pub async fn create_webhook(&self, new: NewWebhook) -> Result<WebhookSecret, Error> {
        if self.vault.webhook_removal(&new.name).await?.is_some() {
            return Err(Error::WebhookExists(new.name));
        }
        if self.vault.webhooks().await?.len() >= MOST_WEBHOOKS {
            return Err(Error::TooManyWebhooks(new.name));
        }
        let secret = SigningSecret::generate().ok_or(Error::NoRandomness)?.text();
        let now = self.clock.now();
        let webhook = Webhook {
            id: new_id(),
            name: new.name,
            url: new.url,
            kinds: once_each(new.kinds),
            reach: reaching(new.reach),
            created: now,
            secret_made: now,
            disabled: None,
        };
        let progress = WebhookProgress::from(webhook.id, self.vault.last_event().await?);
        let record = WebhookRecord { webhook, progress: new_id(), secret: secret.clone(), earlier: Vec::new() };
        let changes =
            vec![self.vault.put_webhook(&record, None)?, self.vault.put_webhook_progress(&record, &progress, None)?];
        self.webhook_changed(Action::WebhookCreate, &record.webhook, &said(&record.webhook), changes).await?;
        Ok(WebhookSecret { standing: self.standing_of(record).await?, secret })
    }

    /// All webhooks by name.
    pub async fn webhooks(&self) -> Result<Vec<WebhookStanding>, Error> {
        let mut all = Vec::new();
        for stored in self.vault.webhooks().await? {
            all.push(self.standing_of(stored?.value).await?);
        }
        Ok(all)
    }

    /// One webhook.
    pub async fn webhook(&self, name: &WebhookName) -> Result<WebhookStanding, Error> {
        let stored = self.webhook_stored(name).await?;
        self.standing_of(stored.value).await
    }

    /// Edits a webhook. What waits to be tried again goes where it leads from now on.
    pub async fn edit_webhook(&self, name: &WebhookName, edit: WebhookEdit) -> Result<WebhookStanding, Error> {
        let Stored { value: mut record, version } = self.webhook_stored(name).await?;
        let webhook = &mut record.webhook;
        if let Some(url) = edit.url {
            webhook.url = url;
        }
        if let Some(kinds) = edit.kinds {
            webhook.kinds = once_each(kinds);
        }
        if let Some(reach) = edit.reach {
            webhook.reach = reaching(reach);
        }
        let change = self.vault.put_webhook(&record, Some(version))?;
        self.webhook_changed(Action::WebhookEdit, &record.webhook, &said(&record.webhook), vec![change]).await?;
        self.standing_of(record).await
    }

    /// Gives a webhook another secret. Its messages carry a signature with the old one too for a day, unless `at_once` says that the
    /// old one is not to be trusted any more.
    pub async fn rotate_webhook_secret(&self, name: &WebhookName, at_once: bool) -> Result<WebhookSecret, Error> {
        let Stored { value: mut record, version } = self.webhook_stored(name).await?;
        let secret = SigningSecret::generate().ok_or(Error::NoRandomness)?.text();
        let now = self.clock.now();
        let old = std::mem::replace(&mut record.secret, secret.clone());
        record.earlier.retain(|earlier| now < earlier.until);
        record.earlier.insert(0, EarlierSecret { secret: old, until: later(now, EARLIER_SECRET_KEPT) });
        record.earlier.truncate(if at_once { 0 } else { MOST_EARLIER_SECRETS });
        record.webhook.secret_made = now;
        let change = self.vault.put_webhook(&record, Some(version))?;
        let detail = if at_once { "the old secret ended at once" } else { "the old secret is good for a day" };
        self.webhook_changed(Action::WebhookRotate, &record.webhook, detail, vec![change]).await?;
        Ok(WebhookSecret { standing: self.standing_of(record).await?, secret })
    }

    /// Has a webhook send again, on from where it stopped; or `from_now`, with what happens from now on. What waits is dropped then, also
    /// where the webhook is enabled already; without `from_now` nothing happens to such a one.
    pub async fn enable_webhook(&self, name: &WebhookName, from_now: bool) -> Result<WebhookStanding, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.enable_once(name, from_now).await {
                // One that sends writes down how far it has come, again and again.
                Err(Error::Changed(_)) if tries < MOST_TRIES => {}
                enabled => return enabled,
            }
        }
    }

    async fn enable_once(&self, name: &WebhookName, from_now: bool) -> Result<WebhookStanding, Error> {
        let Stored { value: mut record, version } = self.webhook_stored(name).await?;
        let was_disabled = record.webhook.disabled.take().is_some();
        if !was_disabled && !from_now {
            return self.standing_of(record).await;
        }
        let mut changes = Vec::new();
        if was_disabled {
            changes.push(self.vault.put_webhook(&record, Some(version))?);
        }
        if let Some(Stored { value: mut progress, version }) = self.vault.webhook_progress(&record).await? {
            let now = self.clock.now();
            progress.waiting.iter_mut().for_each(|message| message.next = now);
            if from_now {
                progress.waiting.clear();
                progress.cursor = self.vault.last_event().await?;
            }
            changes.push(self.vault.put_webhook_progress(&record, &progress, Some(version))?);
        }
        let detail = if from_now { "on with what is new" } else { "on from where it stopped" };
        self.webhook_changed(Action::WebhookEnable, &record.webhook, detail, changes).await?;
        self.standing_of(record).await
    }

    /// Stops a webhook: nothing is sent until it is enabled.
    pub async fn disable_webhook(&self, name: &WebhookName) -> Result<WebhookStanding, Error> {
        let Stored { value: mut record, version } = self.webhook_stored(name).await?;
        if record.webhook.disabled.is_none() {
            record.webhook.disabled = Some(Disabled { at: self.clock.now(), reason: DisabledReason::ByHand });
            let change = self.vault.put_webhook(&record, Some(version))?;
            self.webhook_changed(Action::WebhookDisable, &record.webhook, "", vec![change]).await?;
        }
        self.standing_of(record).await
    }

    /// Removes a webhook with all that waits. One that does not open any more is removed too.
    pub async fn remove_webhook(&self, name: &WebhookName) -> Result<(), Error> {
        let removal = self.vault.webhook_removal(name).await?.ok_or_else(|| Error::NoWebhook(name.clone()))?;
        let target = Some(Target::Webhook(name.clone()));
        self.changed(Action::WebhookRemove, target, "", removal, &format!("the webhook {name}")).await?;
        self.hooks.changed();
        Ok(())
    }

    /// Sends one message that tells of nothing, signed as all are, and says what its endpoint answered. Whether the webhook is enabled
    /// does not count, and what comes of it changes nothing.
    pub async fn test_webhook(&self, name: &WebhookName) -> Result<WebhookAnswer, Error> {
        let tested = async {
            let record = self.webhook_stored(name).await?.value;
            Ok(self.hooks.test(&record).await?)
        };
        let said = |tested: &Result<WebhookAnswer, Error>| {
            let answer = tested.as_ref().ok()?;
            Some(answer.problem.clone().unwrap_or_else(|| "it was taken".to_owned()))
        };
        let target = Some(Target::Webhook(name.clone()));
        self.audited_as(Action::WebhookTest, tested, |tested| (target, said(tested))).await
    }

    /// Sends what webhooks tell, until `shutdown` ends. One process of those that share a store does so.
    pub async fn deliver_webhooks(&self, shutdown: impl Future<Output = ()>, watching: Watching) -> Result<(), Error> {
        Ok(self.hooks.run(shutdown, watching).await?)
    }

    /// Forgets secrets that were replaced and are good no longer.
    pub(super) async fn forget_webhook_secrets(&self) -> Result<(), Error> {
        let now = self.clock.now();
        for Stored { value: mut record, version } in self.vault.webhooks().await?.into_iter().flatten() {
            let before = record.earlier.len();
            record.earlier.retain(|earlier| now < earlier.until);
            if record.earlier.len() < before {
                let change = self.vault.put_webhook(&record, Some(version))?;
                // One that is edited at the same moment is looked at again in an hour.
                self.committed(vec![change]).await?;
            }
        }
        Ok(())
    }

    async fn webhook_stored(&self, name: &WebhookName) -> Result<Stored<WebhookRecord>, Error> {
        self.vault.webhook_named(name).await?.ok_or_else(|| Error::NoWebhook(name.clone()))
    }

    async fn standing_of(&self, record: WebhookRecord) -> Result<WebhookStanding, Error> {
        let newest = self.vault.last_event().await?;
        let progress = self.vault.webhook_progress(&record).await?.map(|stored| stored.value);
        let progress = progress.unwrap_or_else(|| WebhookProgress::from(record.webhook.id, newest));
        // While it has room, what it has not written down is what it does not tell of.
        let waits = record.webhook.disabled.is_some() || crate::webhooks::holds_back(&progress);
        let behind = if waits { self.wanted_after(&record.webhook, progress.cursor).await? } else { 0 };
        Ok(WebhookStanding { webhook: record.webhook, progress, behind })
    }

    /// How many of the next events after a sequence a webhook tells of.
    async fn wanted_after(&self, webhook: &Webhook, after: u64) -> Result<u64, Error> {
        let page = self.vault.outbox(after, MOST_COUNTED).await?;
        let opened = page.iter().filter_map(|(_, opened)| opened.as_ref().ok());
        Ok(opened.filter(|recorded| webhook.wants(&recorded.event)).count() as u64)
    }

    async fn webhook_changed(
        &self,
        action: Action,
        webhook: &Webhook,
        detail: &str,
        changes: Vec<Change>,
    ) -> Result<(), Error> {
        let (target, what) = (Some(Target::Webhook(webhook.name.clone())), format!("the webhook {}", webhook.name));
        self.changed(action, target, detail, changes, &what).await?;
        self.hooks.changed();
        Ok(())
    }
}

/// How often one is enabled anew that wrote something at the same moment.
const MOST_TRIES: usize = 10;

/// Events that are looked at for who asks how much waits: a list must not take long because an endpoint is down for a month.
const MOST_COUNTED: usize = 500;

/// What the audit log says of a webhook: the host alone of its URL, whose path some take for a secret.
fn said(webhook: &Webhook) -> String {
    let kinds: Vec<&str> = webhook.kinds.iter().map(|kind| kind.as_str()).collect();
    let reach: Vec<String> = webhook.reach.iter().map(ToString::to_string).collect();
    let kinds = if kinds.is_empty() { "all kinds".to_owned() } else { kinds.join(" ") };
    let reach = if reach.is_empty() { "*".to_owned() } else { reach.join(" ") };
    format!("{} to {}: {kinds} of {reach}", webhook.id, webhook.url.authority())
}

fn once_each<T: PartialEq>(all: Vec<T>) -> Vec<T> {
    let mut once = Vec::new();
    for one in all {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once
}

/// Everything beside something else is everything.
fn reaching(reach: Vec<Reach>) -> Vec<Reach> {
    if reach.contains(&Reach::All) { Vec::new() } else { once_each(reach) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Clock as _, TestClock, Timestamp};
    use crate::seal::Keyring;
    use crate::store::MemoryStore;
    use std::sync::Arc;
    use std::time::Duration;

    #[tokio::test]
    async fn a_secret_that_was_replaced_is_forgotten_when_it_is_good_no_longer() {
        let clock = TestClock::new("2026-11-23T12:00:00Z".parse::<Timestamp>().unwrap());
        let keyring = Keyring::generate(clock.now()).unwrap();
        let builder = Connector::builder(Arc::new(MemoryStore::new()), keyring);
        let connector = builder.clock(Arc::new(clock.clone())).build().unwrap();
        let (name, url) = ("ops".parse::<WebhookName>().unwrap(), "https://hooks.example.com/".parse().unwrap());
        let new = NewWebhook { name: name.clone(), url, kinds: Vec::new(), reach: Vec::new() };
        connector.create_webhook(new).await.unwrap();
        let kept = async || {
            Box::pin(connector.refresh_due()).await.unwrap();
            connector.webhook_stored(&name).await.unwrap().value.earlier.len()
        };
        connector.rotate_webhook_secret(&name, false).await.unwrap();
        clock.advance(Duration::from_secs(EARLIER_SECRET_KEPT - 1));
        assert_eq!(kept().await, 1);
        clock.advance(Duration::from_secs(1));
        assert_eq!(kept().await, 0);
    }
}
