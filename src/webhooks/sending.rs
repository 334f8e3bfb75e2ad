//! One message on its way.

use super::{Shared, signatures};
use crate::http::{HttpError, Notices};
use crate::model::{RecordedEvent, Timestamp, WebhookAnswer, quoted};
use crate::vault::WebhookRecord;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use std::sync::Arc;

/// The message's id: the same each time that it is tried.
const ID: HeaderName = HeaderName::from_static("webhook-id");
/// When this try was made, in seconds of the epoch.
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// Its signatures.
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The status of an endpoint that wants no message any more.
const GONE: u16 = 410;

/// What sends.
#[derive(Clone)]
pub(super) struct Sending {
    notices: Notices,
    pub(super) shared: Arc<Shared>,
}

/// What came of a try.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The endpoint took the message.
    Taken { status: u16 },
    /// It did not.
    Refused { status: Option<u16>, problem: String, retry_after: Option<String> },
    /// There is nothing to be sent: the event is kept no longer, or does not open.
    Lost { problem: String },
}

/// What is sent of an event.
#[derive(Serialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: Timestamp,
    data: &'a RecordedEvent,
}

impl Sending {
    pub(super) fn new(notices: Notices, shared: Arc<Shared>) -> Self {
        Self { notices, shared }
    }

    /// Sends an event.
    pub(super) async fn send(&self, record: &WebhookRecord, recorded: &RecordedEvent) -> Outcome {
        let event = &recorded.event;
        let message = Message { kind: event.kind.as_str(), timestamp: event.at, data: recorded };
        match serde_json::to_vec(&message) {
            Ok(body) => self.post(record, &event.id.to_string(), body).await,
            Err(error) => Outcome::Lost { problem: format!("the event cannot be written as JSON: {error}") },
        }
    }

    /// Sends the event of a sequence, read from the outbox again.
    pub(super) async fn send_again(&self, record: &WebhookRecord, sequence: u64) -> Outcome {
        match self.shared.vault.event(sequence).await {
            Ok(Some(recorded)) => self.send(record, &recorded).await,
            Ok(None) => Outcome::Lost { problem: format!("the event {sequence} is kept no longer") },
            // It may be read later.
            Err(crate::vault::VaultError::Store(error)) => {
                Outcome::Refused { status: None, problem: error.to_string(), retry_after: None }
            }
            Err(error) => Outcome::Lost { problem: error.to_string() },
        }
    }

    /// Sends a body under an id, signed now.
    pub(super) async fn post(&self, record: &WebhookRecord, id: &str, body: Vec<u8>) -> Outcome {
        let now = self.shared.clock.now();
        let refused = |problem: String| Outcome::Refused { status: None, problem, retry_after: None };
        let Some(signature) = signatures(record, now, id, &body) else {
            return refused("its secret cannot be used; give it another one with rotate-secret".to_owned());
        };
        let mut headers = HeaderMap::new();
        let second = now.as_second().to_string();
        for (name, value) in [(ID, id), (TIMESTAMP, second.as_str()), (SIGNATURE, signature.as_str())] {
            let Ok(value) = HeaderValue::from_str(value) else { return refused(HttpError::BadRequest.to_string()) };
            headers.insert(name, value);
        }
        match self.notices.post(&record.webhook.url, headers, body).await {
            Ok(told) => match told.status {
                status @ 200..=299 => Outcome::Taken { status },
                status => {
                    let problem = match status {
                        GONE => format!("it answered {status}: it wants no messages any more"),
                        300..=399 => format!("it answered {status}; redirects are not followed"),
                        _ => format!("it answered {status}"),
                    };
                    Outcome::Refused { status: Some(status), problem, retry_after: told.retry_after }
                }
            },
            Err(error) => refused(error.to_string()),
        }
    }
}

impl Outcome {
    /// Whether the endpoint wants no message any more.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Refused { status: Some(GONE), .. })
    }

    /// What is kept of it.
    pub(super) fn answer(&self, at: Timestamp) -> WebhookAnswer {
        match self {
            Self::Taken { status } => WebhookAnswer { at, status: Some(*status), problem: None },
            Self::Refused { status, problem, .. } => {
                WebhookAnswer { at, status: *status, problem: Some(quoted(problem)) }
            }
            Self::Lost { problem } => WebhookAnswer { at, status: None, problem: Some(quoted(problem)) },
        }
    }
}
