//! Events: looking back, and following.

use crate::api::{EventsQuery, NewestDocument};
use crate::events::Follow;
use crate::model::{ConnectionName, Event, RecordedEvent};
use crate::server::answer::{Answer, Asked, Json, Refusal};
use crate::server::doors::asker::Asker;
use crate::server::following::{Followed, Following, Telling, followed};
use crate::server::routes::{Routes, get};
use crate::server::shared::Shared;
use crate::store::EventRow;
use crate::vault::VaultError;
use axum::extract::State;
use axum::response::Response;

/// Events that are given at once, at the most.
const MOST: usize = 500;

pub(in crate::server) fn routes() -> Routes {
    Routes::new()
        .route("/v1/events", get(list))
        .route("/v1/events/newest", get(newest))
        .route("/v1/events/stream", get(stream))
}

async fn list(asker: Asker, Asked(query): Asked<EventsQuery>) -> Answer<Vec<RecordedEvent>> {
    let limit = query.limit.unwrap_or(100);
    if !(1..=MOST).contains(&limit) {
        return Err(Refusal::bad(format!("limit must be 1 to {MOST}; ask again after the last sequence for more")));
    }
    let (mut after, mut wanted) = (query.after.unwrap_or(0), Vec::new());
    let is_wanted =
        |row: &EventRow| is_asked_for(&query, row) && shows(&asker, row.connection.as_ref(), &row.application);
    while wanted.len() < limit && asker.may_see_some() {
        let (page, Some(last)) = asker.events_that(after, MOST, is_wanted).await? else { break };
        after = last;
        wanted.extend(page);
    }
    wanted.truncate(limit);
    Ok(Json(wanted))
}

async fn newest(asker: Asker) -> Answer<NewestDocument> {
    Ok(Json(NewestDocument { sequence: asker.last_event().await? }))
}

/// Events after a sequence and then new ones, as lines of JSON or server-sent events, until the reader hangs up or the daemon ends. Without
/// `after`, only what is new.
async fn stream(
    State(shared): State<Shared>,
    asker: Asker,
    telling: Telling,
    Asked(query): Asked<EventsQuery>,
) -> Result<Response, Refusal> {
    if query.limit.is_some() {
        return Err(Refusal::bad("limit means nothing to a stream; begin after the sequence that you have"));
    }
    let after = telling.after(query.after, asker.last_event().await?);
    let follow = asker.follow_events(after);
    let wants = move |asker: &Asker, RecordedEvent { event, .. }: &RecordedEvent| {
        wants(&query, event) && shows(asker, event.connection.as_ref(), event.application.as_str())
    };
    Ok(followed(shared, asker, telling, follow, wants))
}

fn wants(query: &EventsQuery, event: &Event) -> bool {
    query.connection.as_ref().is_none_or(|name| event.connection.as_ref() == Some(name))
        && query.kind.is_none_or(|kind| event.kind == kind)
}

/// The same, of an event that is not opened.
fn is_asked_for(query: &EventsQuery, row: &EventRow) -> bool {
    query.connection.as_ref().is_none_or(|name| row.connection.as_ref() == Some(name))
        && query.kind.is_none_or(|kind| row.kind == kind.as_str())
}

/// Whether who asks may see what an event is about.
fn shows(asker: &Asker, connection: Option<&ConnectionName>, application: &str) -> bool {
    match connection {
        Some(connection) => asker.manages(connection),
        None => application.parse().is_ok_and(|application| asker.manages_application(&application)),
    }
}

impl Following for Follow {
    type Item = RecordedEvent;

    async fn next(&mut self) -> Result<RecordedEvent, VaultError> {
        Self::next(self).await
    }
}

impl Followed for RecordedEvent {
    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn kind(&self) -> &'static str {
        self.event.kind.as_str()
    }
}
