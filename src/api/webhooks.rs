//! Webhooks.

use crate::connector::{NewWebhook, WebhookEdit, WebhookSecret, WebhookStanding};
use crate::model::{
    Disabled, EventKind, Reach, Secret, Timestamp, WaitingMessage, WebhookAnswer, WebhookName, WebhookUrl, sealed_text,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A webhook: everything but its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookDocument {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: WebhookName,
    /// Where its messages go.
    #[schemars(with = "String")]
    pub url: WebhookUrl,
    /// The kinds of events that it tells of; all where there is none.
    pub kinds: Vec<EventKind>,
    /// What it tells of: `drive/*`, `drive/reports`; everything where there is none.
    #[serde(rename = "for")]
    pub reach: Vec<Reach>,
    /// `active`, `failing` (the last try was not taken, and something waits or the endpoint is down) or `disabled`.
    pub state: WebhookState,
    /// Since when and why nothing is sent, where that is so.
    pub disabled: Option<Disabled>,
    /// When it was made.
    pub created: Timestamp,
    /// When its secret was made.
    pub secret_made: Timestamp,
    /// Messages that were taken.
    pub delivered: u64,
    /// When a message was last taken.
    pub last_delivered: Option<Timestamp>,
    /// What came of the last try.
    pub last_answer: Option<WebhookAnswer>,
    /// Messages that were tried, not taken, and are tried again: at the most 8 that were not answered, and 64 that were refused.
    pub waiting: Vec<WaitingMessage>,
    /// Of the next 500 events, those that wait in the outbox because it is disabled or has 8 messages that were not answered.
    pub behind: u64,
    /// Messages that were given up.
    pub given_up: u64,
    /// The sequence of the event whose message was last given up.
    pub last_given_up: Option<u64>,
}

/// How a webhook does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookState {
    /// Its endpoint took the last message, or there was none.
    Active,
    /// It did not, and something waits or the endpoint is down.
    Failing,
    /// Nothing is sent.
    Disabled,
}

impl WebhookState {
    /// The word for tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Failing => "failing",
            Self::Disabled => "disabled",
        }
    }
}

impl WebhookDocument {
    /// What is told of a webhook.
    #[must_use]
    pub fn of(standing: WebhookStanding) -> Self {
        let WebhookStanding { webhook, progress, behind } = standing;
        let state = match (&webhook.disabled, progress.is_failing()) {
            (Some(_), _) => WebhookState::Disabled,
            (None, true) => WebhookState::Failing,
            (None, false) => WebhookState::Active,
        };
        Self {
            id: webhook.id,
            name: webhook.name,
            url: webhook.url,
            kinds: webhook.kinds,
            reach: webhook.reach,
            state,
            disabled: webhook.disabled,
            created: webhook.created,
            secret_made: webhook.secret_made,
            delivered: progress.delivered,
            last_delivered: progress.last_delivered,
            last_answer: progress.last_answer,
            waiting: progress.waiting,
            behind,
            given_up: progress.given_up,
            last_given_up: progress.last_given_up,
        }
    }
}

/// A webhook to be made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWebhookRequest {
    /// Its name.
    pub name: WebhookName,
    /// Where its messages go: https, or http on the daemon's own machine.
    #[schemars(with = "String")]
    pub url: WebhookUrl,
    /// The kinds of events that it tells of; all where there is none.
    #[serde(default)]
    pub kinds: Vec<EventKind>,
    /// What it tells of: `drive/*`, `drive/reports`; everything where there is none.
    #[serde(default, rename = "for")]
    pub reach: Vec<Reach>,
}

impl CreateWebhookRequest {
    /// Of a webhook that is to be made.
    #[must_use]
    pub fn of(new: NewWebhook) -> Self {
        Self { name: new.name, url: new.url, kinds: new.kinds, reach: new.reach }
    }

    /// The webhook that is to be made.
    #[must_use]
    pub fn into_new(self) -> NewWebhook {
        NewWebhook { name: self.name, url: self.url, kinds: self.kinds, reach: self.reach }
    }
}

/// A webhook with a new secret. The only time that the secret is told.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WebhookSecretDocument {
    /// What its messages are signed with: `whsec_…`.
    #[serde(with = "sealed_text")]
    #[schemars(with = "String")]
    pub secret: Secret,
    /// The webhook.
    #[serde(flatten)]
    pub webhook: WebhookDocument,
}

impl WebhookSecretDocument {
    /// What is told of a secret that was made.
    #[must_use]
    pub fn of(made: WebhookSecret) -> Self {
        Self { secret: made.secret, webhook: WebhookDocument::of(made.standing) }
    }
}

/// What a webhook gets in place of what it has; what is left out stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookEditRequest {
    /// Where its messages go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub url: Option<WebhookUrl>,
    /// The kinds of events that it tells of; all where the list is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<EventKind>>,
    /// What it tells of; everything where the list is empty.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub reach: Option<Vec<Reach>>,
}

impl WebhookEditRequest {
    /// Of an edit.
    #[must_use]
    pub fn of(edit: WebhookEdit) -> Self {
        Self { url: edit.url, kinds: edit.kinds, reach: edit.reach }
    }

    /// The edit.
    #[must_use]
    pub fn into_edit(self) -> WebhookEdit {
        WebhookEdit { url: self.url, kinds: self.kinds, reach: self.reach }
    }
}

/// How a webhook's secret is replaced.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSecretRequest {
    /// Whether the old secret ends at once; else messages are signed with both for a day.
    #[serde(default)]
    pub at_once: bool,
}

/// How a webhook goes on.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnableRequest {
    /// Whether what waits is dropped and it goes on with what is new, enabled already or not; else it goes on where it stopped.
    #[serde(default)]
    pub from_now: bool,
}
