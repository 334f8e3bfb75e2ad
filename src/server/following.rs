//! Following: what was written, and then what is, until the reader hangs up. As server-sent events where the reader asks for them, which
//! browsers and many libraries read and take up again by themselves; else as lines of JSON.

use super::answer::Refusal;
use super::doors::asker::Asker;
use super::lines::{Lines, line, sent};
use super::routes::Part;
use super::shared::Shared;
use crate::api::{EVENTS_TYPE, LINES_TYPE};
use crate::model::later;
use crate::vault::VaultError;
use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::future::Future;

/// How often, in seconds, a reader of server-sent events is told that nothing has happened: proxies close what is silent, and a reader
/// that is gone is noticed.
const HEARTBEAT: u64 = 15;

/// What is followed.
pub(super) trait Following: Send + 'static {
    type Item: Followed;

    /// The next one. May be given up at any time; nothing is lost.
    fn next(&mut self) -> impl Future<Output = Result<Self::Item, VaultError>> + Send;
}

/// One of what is followed.
pub(super) trait Followed: Serialize + Send + Sync {
    /// Its place: who was cut off goes on after it.
    fn sequence(&self) -> u64;
    /// What kind it is of, in a word.
    fn kind(&self) -> &'static str;
}

/// How a reader wants to be told, and after which one they were cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// A line of JSON each.
    Lines,
    /// Server-sent events, after the last that the reader knows (`Last-Event-ID`).
    Events { after: Option<u64> },
}

impl Telling {
    /// After which one to begin, where the newest is `newest`: what a reader that was cut off has seen goes before what it asked for at first.
    /// What has not come yet, of a store that was put back, is not waited for.
    pub(super) fn after(self, asked: Option<u64>, newest: u64) -> u64 {
        let seen = match self {
            Self::Events { after } => after,
            Self::Lines => None,
        };
        seen.or(asked).unwrap_or(newest).min(newest)
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Lines => LINES_TYPE,
            Self::Events { .. } => EVENTS_TYPE,
        }
    }

    fn of(self, item: &impl Followed) -> Option<Bytes> {
        let document = line(item)?;
        if self == Self::Lines {
            return Some(document);
        }
        // JSON has no line break but the one at its end.
        let mut event = format!("id: {}\nevent: {}\ndata: ", item.sequence(), item.kind()).into_bytes();
        event.extend_from_slice(&document);
        event.push(b'\n');
        Some(event.into())
    }

    /// What says that nothing has happened. Lines have no word for it.
    fn nothing(self) -> Option<Bytes> {
        matches!(self, Self::Events { .. }).then(|| Bytes::from_static(b": nothing yet\n\n"))
    }
}

impl Part for Telling {}

impl<S: Send + Sync> FromRequestParts<S> for Telling {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let accepted = text(header::ACCEPT).unwrap_or_default();
        let wants_events =
            accepted.split(',').any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == EVENTS_TYPE));
        if !wants_events {
            return Ok(Self::Lines);
        }
        let wrong =
            |_| Refusal::bad("Last-Event-ID is no sequence; send the `id` of the last event that you have, or nothing");
        let after = text(LAST_EVENT_ID).filter(|last| !last.is_empty()).map(str::parse).transpose().map_err(wrong)?;
        Ok(Self::Events { after })
    }
}

const LAST_EVENT_ID: header::HeaderName = header::HeaderName::from_static("last-event-id");

/// Answers with what is followed until the reader hangs up, is no longer who may ask, or the daemon ends.
pub(super) fn followed<F: Following>(
    shared: Shared,
    asker: Asker,
    telling: Telling,
    mut following: F,
    wants: impl Fn(&Asker, &F::Item) -> bool + Send + 'static,
) -> Response {
    let (lines, body) = Lines::channel();
    tokio::spawn(async move {
        // At once: the reader knows that it is heard.
        let (mut is_quiet, mut again) = (true, later(asker.clock().now(), HEARTBEAT));
        loop {
            if std::mem::take(&mut is_quiet) {
                let nothing = telling.nothing();
                if !asker.is_still_good().await || (nothing.is_some() && !sent(&lines, nothing).await) {
                    return;
                }
                again = later(asker.clock().now(), HEARTBEAT);
            }
            let next = tokio::select! {
                () = shared.stopped() => return,
                () = lines.closed() => return,
                next = following.next() => next,
                () = asker.clock().sleep_until(again) => {
                    is_quiet = true;
                    continue;
                }
            };
            match next {
                // Of which the reader hears nothing: their silence goes on.
                Ok(item) if !wants(&asker, &item) => {}
                Ok(item) => {
                    if !asker.is_still_good().await || !sent(&lines, telling.of(&item)).await {
                        return;
                    }
                    again = later(asker.clock().now(), HEARTBEAT);
                }
                // The end of the stream tells the reader, whose next request is told the reason.
                Err(error) => return tracing::warn!(%error, "a stream has ended"),
            }
        }
    });
    ([(header::CONTENT_TYPE, telling.media_type())], Body::from_stream(body)).into_response()
}
