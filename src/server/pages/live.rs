//! The stream that tells a page that something has happened. It tells no more than that: the page then asks for itself anew.

use super::Pages;
use super::trouble::Trouble;
use crate::api::EVENTS_TYPE;
use crate::model::later;
use crate::server::doors::session::SignedIn;
use crate::server::following::{Followed as _, Following};
use crate::server::lines::Lines;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

/// How often a stream on which nothing happens says that it is there, in seconds: middleboxes cut what is silent for a minute.
const BEAT: u64 = 20;

/// That an event has happened.
pub(super) async fn events(pages: Pages, me: SignedIn, headers: HeaderMap) -> Result<Response, Trouble> {
    let newest = pages.connector.last_event().await?;
    let follow = pages.connector.follow_events(last_of(&headers, newest));
    Ok(stream(pages, me, follow))
}

/// That something was written into the audit log.
pub(super) async fn audit(pages: Pages, me: SignedIn, headers: HeaderMap) -> Result<Response, Trouble> {
    let newest = pages.connector.last_audit().await?;
    let follow = pages.connector.follow_audit(last_of(&headers, newest));
    Ok(stream(pages, me, follow))
}

/// The last one that the reader was told of.
fn last_of(headers: &HeaderMap, newest: u64) -> u64 {
    let last = headers.get("last-event-id").and_then(|last| last.to_str().ok()).and_then(|last| last.parse().ok());
    last.unwrap_or(newest).min(newest)
}

/// Server-sent events (HTML standard, section 9.2): `news` with the sequence, from the reader's last one on.
fn stream(pages: Pages, me: SignedIn, mut follow: impl Following) -> Response {
    let connector = pages.connector.clone();
    let (lines, body) = Lines::channel();
    tokio::spawn(async move {
        let mut line = "retry: 3000\n\n".to_owned();
        loop {
            if lines.send(Bytes::from(line)).await.is_err() {
                return;
            }
            let beat = later(connector.clock().now(), BEAT);
            line = tokio::select! {
                () = pages.shared.stopped() => return,
                () = lines.closed() => return,
                () = connector.clock().sleep_until(beat) => ": still here\n\n".to_owned(),
                next = follow.next() => match next {
                    Ok(recorded) => format!("event: news\nid: {0}\ndata: {0}\n\n", recorded.sequence()),
                    // The reader comes again, and is told the reason by a page.
                    Err(error) => return tracing::warn!(%error, "a page's stream of news has ended"),
                },
            };
            // Who signed out, or whose session has ended, is told nothing more.
            if !pages.lasts(&me).await {
                return;
            }
        }
    });
    ([(header::CONTENT_TYPE, EVENTS_TYPE)], Body::from_stream(body)).into_response()
}
