//! What is sent, to whom, and what holds up whom.

use super::{Delivering, Does, Endpoint, add, desk, in_time, name, new, refresh, standing};
use crate::support::desk::Desk;
use grantkeeper::connector::{AuthorizeOptions, NewWebhook, WebhookEdit, WebhookStanding};
use grantkeeper::demo::Habits;
use grantkeeper::model::{Clock as _, EventKind};
use grantkeeper::store::MemoryStore;
use grantkeeper::webhooks::{MOST_REFUSED, MOST_REFUSED_IN_A_ROW, Tried, WINDOW};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_message_is_signed_and_says_what_the_event_says_and_no_secret() {
    let desk = Desk::new(Habits::default()).await;
    let endpoint = Endpoint::answering(204).await;
    let made = add(&desk.connector, "ops", &endpoint).await;
    let delivering = Delivering::of(&desk.connector);
    Box::pin(desk.consent()).await.unwrap();
    Box::pin(desk.connector.revoke(&desk.name)).await.unwrap();
    let messages = endpoint.messages(2).await;
    let events = desk.connector.events(0, 10).await.unwrap();
    assert_eq!(messages.len(), events.len());
    for (message, recorded) in messages.iter().zip(&events) {
        assert!(message.is_signed_with(made.secret.expose()), "{message:?}");
        assert_eq!((message.signatures.len(), message.second), (1, desk.clock.now().as_second()));
        assert_eq!(message.id, recorded.event.id.to_string());
        let expected = json!({
            "type": recorded.event.kind.as_str(),
            "timestamp": recorded.event.at,
            "data": serde_json::to_value(recorded).unwrap(),
        });
        assert_eq!(message.json(), expected);
        assert!(message.head.starts_with("post /hooks/marked-path http/1.1"), "{}", message.head);
        assert!(message.head.contains("content-type: application/json"), "{}", message.head);
        for secret in ["demo-access-", "demo-refresh-", "marked-client-secret", made.secret.expose()] {
            assert!(!message.body.contains(secret) && !message.head.contains(secret), "{message:?}");
        }
        // Whoever changes one byte, or knows another secret, is found out.
        let mut forged = message.clone();
        forged.body = forged.body.replace("drive", "slack");
        assert!(!forged.is_signed_with(made.secret.expose()));
    }
    let kept = standing(&desk.connector, "ops", |at| at.progress.delivered == 2).await;
    assert_eq!((kept.progress.waiting.len(), kept.behind, kept.progress.given_up), (0, 0, 0));
    assert_eq!(kept.progress.last_delivered, Some(desk.clock.now()));
    assert_eq!(kept.progress.cursor, events.last().unwrap().sequence);
    assert_eq!(delivering.tried(Tried::Delivered), 2);
    in_time(delivering.stopped()).await;
}

#[tokio::test]
async fn a_dead_endpoint_does_not_hold_up_another() {
    let desk = desk().await;
    let (dead, alive) = (Endpoint::that(|_| Does::Hangs).await, Endpoint::answering(200).await);
    add(&desk.connector, "a-dead", &dead).await;
    add(&desk.connector, "b-alive", &alive).await;
    let delivering = Delivering::of(&desk.connector);
    let last = refresh(&desk, 12).await;
    let messages = alive.messages(12).await;
    assert_eq!(messages.last().unwrap().sequence(), last);
    assert!(alive.sequences().is_sorted(), "in the order of events");
    assert_eq!(dead.messages(1).await.len(), 1, "first tries go one at a time");
    // Had one waited for the other, its try would have ended by now.
    let kept = desk.connector.webhook(&name("a-dead")).await.unwrap();
    assert_eq!((kept.progress.last_answer, kept.progress.waiting.len()), (None, 0));
    // What hangs does not hold a stop up either.
    in_time(delivering.stopped()).await;
}

#[tokio::test]
async fn a_message_that_an_endpoint_refuses_holds_no_other_up() {
    let desk = desk().await;
    let poison = desk.connector.last_event().await.unwrap() + 2;
    let endpoint =
        Endpoint::that(move |message| Does::Status(if message.sequence() == poison { 400 } else { 200 })).await;
    add(&desk.connector, "ops", &endpoint).await;
    let delivering = Delivering::of(&desk.connector);
    let last = refresh(&desk, 20).await;
    endpoint.messages(20).await;
    let kept = standing(&desk.connector, "ops", |at| at.progress.delivered == 19).await;
    assert_eq!((kept.progress.waiting.len(), kept.progress.waiting[0].sequence), (1, poison));
    assert_eq!((kept.progress.waiting[0].attempts, kept.progress.cursor), (1, last));
    assert_eq!(endpoint.sequences(), (poison - 1..=last).collect::<Vec<_>>(), "each once");
    in_time(delivering.stopped()).await;
}

#[tokio::test]
async fn messages_that_an_endpoint_refuses_hold_no_other_up_and_the_oldest_are_given_up() {
    let desk = desk().await;
    let begun = desk.connector.last_event().await.unwrap();
    let is_taken = move |sequence: u64| (sequence - begun).is_multiple_of(10);
    let endpoint =
        Endpoint::that(move |message| Does::Status(if is_taken(message.sequence()) { 200 } else { 403 })).await;
    add(&desk.connector, "ops", &endpoint).await;
    let delivering = Delivering::of(&desk.connector);
    let last = refresh(&desk, 74).await;
    let kept = standing(&desk.connector, "ops", |at| at.progress.given_up == 3).await;
    assert_eq!((kept.progress.waiting.len(), kept.progress.delivered, kept.behind), (MOST_REFUSED, 7, 0));
    assert!(kept.progress.waiting.iter().all(|message| message.refused && message.attempts == 1));
    assert_eq!((kept.progress.cursor, kept.progress.last_given_up), (last, Some(begun + 3)));
    assert_eq!((delivering.tried(Tried::GivenUp), delivering.tried(Tried::Delivered)), (3, 7));
    assert_eq!(endpoint.sequences(), (begun + 1..=last).collect::<Vec<_>>(), "each once");
    // They are tried again all the same, some at a time.
    endpoint.now(|_| Does::Status(200));
    desk.clock.set(kept.progress.waiting.iter().map(|message| message.next).max().unwrap());
    standing(&desk.connector, "ops", |at| at.progress.delivered == 7 + MOST_REFUSED as u64).await;
    in_time(delivering.stopped()).await;
}

#[tokio::test]
async fn an_endpoint_that_refuses_everything_gets_nothing_new_until_it_takes_something_and_nothing_is_lost() {
    let desk = desk().await;
    let endpoint = Endpoint::answering(404).await;
    add(&desk.connector, "ops", &endpoint).await;
    let delivering = Delivering::of(&desk.connector);
    let most = MOST_REFUSED_IN_A_ROW as usize;
    refresh(&desk, most + 2 * MOST_REFUSED).await;
    let alone = |refused: usize| {
        move |at: &WebhookStanding| {
            let waiting = &at.progress.waiting;
            waiting.len() == refused && at.behind as usize == most + 2 * MOST_REFUSED - refused
        }
    };
    standing(&desk.connector, "ops", alone(most)).await;
    assert_eq!(endpoint.seen().len(), most, "no more than those");
    // A new message goes each hour, beside those that are tried again.
    for hour in 1..=2 {
        desk.clock.advance(Duration::from_secs(3600));
        standing(&desk.connector, "ops", alone(most + hour)).await;
    }
    // One of them is taken: the endpoint is back, before its hour is over.
    endpoint.now(|_| Does::Status(200));
    desk.clock.advance(Duration::from_secs(300 + 30));
    let all = (most + 2 * MOST_REFUSED) as u64;
    let kept = standing(&desk.connector, "ops", |at| at.behind == 0).await;
    assert_eq!(kept.progress.given_up, 0);
    desk.clock.advance(Duration::from_secs(3 * 3600));
    standing(&desk.connector, "ops", |at| at.progress.delivered == all).await;
    in_time(delivering.stopped()).await;
}

#[tokio::test]
async fn who_mends_a_webhook_need_not_wait_for_its_hour() {
    let desk = desk().await;
    let (wrong, right) = (Endpoint::answering(404).await, Endpoint::answering(204).await);
    add(&desk.connector, "ops", &wrong).await;
    let delivering = Delivering::of(&desk.connector);
    refresh(&desk, MOST_REFUSED_IN_A_ROW as usize + 3).await;
    standing(&desk.connector, "ops", |at| at.behind == 3).await;
    let edit = WebhookEdit { url: Some(right.url.parse().unwrap()), ..WebhookEdit::default() };
    desk.connector.edit_webhook(&name("ops"), edit).await.unwrap();
    standing(&desk.connector, "ops", |at| at.behind == 0 && at.progress.delivered == 3).await;
    in_time(delivering.stopped()).await;
}

/// What was refused before it was down does not count.
#[tokio::test]
async fn an_endpoint_that_answers_again_by_a_refusal_is_back() {
    let desk = desk().await;
    let endpoint = Endpoint::answering(503).await;
    add(&desk.connector, "ops", &endpoint).await;
    let delivering = Delivering::of(&desk.connector);
    let begun = desk.connector.last_event().await.unwrap();
    let last = refresh(&desk, WINDOW + 2).await;
    let kept = standing(&desk.connector, "ops", |at| at.progress.unanswered() == WINDOW).await;
    assert_eq!(kept.behind, 2);
    endpoint.now(move |message| Does::Status(if message.sequence() == begun + 1 { 400 } else { 200 }));
    let first = kept.progress.waiting.iter().find(|message| message.sequence == begun + 1).unwrap();
    desk.clock.set(first.next);
    let kept = standing(&desk.connector, "ops", |at| at.progress.delivered == WINDOW as u64 + 1).await;
    assert_eq!((kept.progress.waiting.len(), kept.progress.cursor, kept.behind), (1, last, 0));
    assert!(kept.progress.waiting[0].refused);
    in_time(delivering.stopped()).await;
}

#[tokio::test]
async fn a_restart_goes_on_where_it_stopped_and_loses_nothing() {
    let store = Arc::new(MemoryStore::new());
    let desk = Desk::with(Habits::default(), store.clone(), None, "script = \"OAuthGoogleDrive\"").await;
    Box::pin(desk.consent()).await.unwrap();
    let first = desk.connector.last_event().await.unwrap() + 1;
    let endpoint =
        Endpoint::that(move |message| Does::Status(if message.sequence() == first { 500 } else { 200 })).await;
    let made = add(&desk.connector, "ops", &endpoint).await;
    let delivering = Delivering::of(&desk.connector);
    refresh(&desk, 3).await;
    let kept = standing(&desk.connector, "ops", |at| at.progress.delivered == 2).await;
    assert_eq!(kept.progress.waiting.len(), 1);
    in_time(delivering.stopped()).await;
    // Nobody delivers.
    let last = refresh(&desk, 3).await;
    assert_eq!(endpoint.seen().len(), 3);
    endpoint.now(|_| Does::Status(200));
    let again = desk.another(store, None);
    let delivering = Delivering::of(&again);
    endpoint.messages(6).await;
    desk.clock.set(kept.progress.waiting[0].next);
    let messages = endpoint.messages(7).await;
    standing(&again, "ops", |at| at.progress.delivered == 6 && at.progress.waiting.is_empty()).await;
    assert_eq!(endpoint.sequences(), [first, first + 1, first + 2, first + 3, first + 4, last, first]);
    assert_eq!((&messages[0].id, &messages[0].body), (&messages[6].id, &messages[6].body), "the same message");
    assert_ne!(messages[0].signatures, messages[6].signatures, "signed anew, with its own time");
    assert!(messages[6].is_signed_with(made.secret.expose()));
    in_time(delivering.stopped()).await;
}

#[tokio::test]
async fn a_webhook_tells_of_the_kinds_and_the_reach_it_names() {
    let desk = desk().await;
    let endpoints = [Endpoint::answering(200).await, Endpoint::answering(200).await, Endpoint::answering(200).await];
    let [all, other, revocations] = &endpoints;
    let some = |called: &str, endpoint: &Endpoint, kinds: &[EventKind], reach: &[&str]| NewWebhook {
        kinds: kinds.to_vec(),
        reach: reach.iter().map(|text| text.parse().unwrap()).collect(),
        ..new(called, &endpoint.url)
    };
    for new in [
        some("all", all, &[], &["drive/*"]),
        some("other", other, &[], &["drive/other", "slack/*"]),
        some("revocations", revocations, &[EventKind::Revoked, EventKind::Revoked], &["*", "drive/*"]),
    ] {
        desk.connector.create_webhook(new).await.unwrap();
    }
    let kept = desk.connector.webhook(&name("revocations")).await.unwrap().webhook;
    assert_eq!((kept.kinds, kept.reach), (vec![EventKind::Revoked], vec![]), "once each; everything is everything");
    let delivering = Delivering::of(&desk.connector);
    refresh(&desk, 2).await;
    Box::pin(desk.connector.revoke(&desk.name)).await.unwrap();
    all.messages(3).await;
    assert_eq!(revocations.messages(1).await[0].json()["type"], "revoked");
    // Edited while it goes: what is new is told by what it is now.
    let edit = WebhookEdit { reach: Some(Vec::new()), ..WebhookEdit::default() };
    desk.connector.edit_webhook(&name("other"), edit).await.unwrap();
    let moved = Endpoint::answering(200).await;
    let edit = WebhookEdit { url: Some(moved.url.parse().unwrap()), ..WebhookEdit::default() };
    desk.connector.edit_webhook(&name("all"), edit).await.unwrap();
    Box::pin(desk.consent()).await.unwrap();
    assert_eq!(other.messages(1).await[0].json()["type"], "authorized");
    assert_eq!(moved.messages(1).await[0].json()["type"], "authorized");
    assert_eq!((all.seen().len(), other.seen().len(), revocations.seen().len()), (3, 1, 1));
    // One that is removed says nothing more.
    desk.connector.remove_webhook(&name("other")).await.unwrap();
    Box::pin(desk.connector.revoke(&desk.name)).await.unwrap();
    moved.messages(2).await;
    revocations.messages(2).await;
    assert_eq!(other.seen().len(), 1);
    in_time(delivering.stopped()).await;
}

#[tokio::test]
async fn after_a_rotation_messages_have_two_signatures_for_a_day() {
    let desk = desk().await;
    let endpoint = Endpoint::answering(200).await;
    let first = add(&desk.connector, "ops", &endpoint).await.secret;
    let delivering = Delivering::of(&desk.connector);
    let second = desk.connector.rotate_webhook_secret(&name("ops"), false).await.unwrap().secret;
    assert_ne!(first, second);
    refresh(&desk, 1).await;
    let message = endpoint.messages(1).await.remove(0);
    assert_eq!(message.signatures.len(), 2);
    assert!(message.is_signed_with(first.expose()) && message.is_signed_with(second.expose()));
    desk.clock.advance(std::time::Duration::from_secs(24 * 3600));
    refresh(&desk, 1).await;
    let message = endpoint.messages(2).await.remove(1);
    assert!(!message.is_signed_with(first.expose()) && message.is_signed_with(second.expose()));
    assert_eq!(message.signatures.len(), 1);
    // One that somebody else may know ends at once, and all before it.
    let third = desk.connector.rotate_webhook_secret(&name("ops"), false).await.unwrap().secret;
    let fourth = desk.connector.rotate_webhook_secret(&name("ops"), true).await.unwrap().secret;
    refresh(&desk, 1).await;
    let message = endpoint.messages(3).await.remove(2);
    assert_eq!(message.signatures.len(), 1);
    assert!(message.is_signed_with(fourth.expose()) && !message.is_signed_with(third.expose()));
    // Rotated again and again, the header stays short.
    for _ in 0..6 {
        desk.connector.rotate_webhook_secret(&name("ops"), false).await.unwrap();
    }
    refresh(&desk, 1).await;
    assert_eq!(endpoint.messages(4).await.remove(3).signatures.len(), 4);
    in_time(delivering.stopped()).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_an_answer_without_an_end_is_not_read() {
    let desk = desk().await;
    let target = Endpoint::answering(200).await;
    let location: &'static str = format!("location: {}", target.url).leak();
    let redirecting = Endpoint::that(move |_| Does::With(307, location)).await;
    let endless = Endpoint::that(|_| Does::Endless).await;
    add(&desk.connector, "endless", &endless).await;
    add(&desk.connector, "redirecting", &redirecting).await;
    let delivering = Delivering::of(&desk.connector);
    refresh(&desk, 3).await;
    standing(&desk.connector, "endless", |at| at.progress.delivered == 3).await;
    let kept = standing(&desk.connector, "redirecting", |at| at.progress.waiting.len() == 3).await;
    let answer = kept.progress.last_answer.unwrap();
    assert_eq!(answer.status, Some(307));
    assert!(answer.problem.unwrap().contains("redirects are not followed"));
    assert_eq!(target.seen().len(), 0);
    in_time(delivering.stopped()).await;
}

/// Neither the endpoint nor the store is asked without an end.
#[tokio::test]
async fn no_more_than_a_window_of_messages_waits_and_events_wait_in_the_outbox() {
    let desk = desk().await;
    let endpoint = Endpoint::answering(503).await;
    add(&desk.connector, "ops", &endpoint).await;
    let delivering = Delivering::of(&desk.connector);
    let begun = desk.connector.last_event().await.unwrap();
    refresh(&desk, WINDOW + 5).await;
    // Other kinds are no part of what waits.
    Box::pin(desk.connector.authorize(&desk.name, AuthorizeOptions::default())).await.unwrap();
    let kept = standing(&desk.connector, "ops", |at| at.progress.waiting.len() == WINDOW).await;
    assert_eq!((kept.behind, kept.progress.cursor), (5, begun + WINDOW as u64));
    assert_eq!(endpoint.sequences(), (begun + 1..=begun + WINDOW as u64).collect::<Vec<_>>());
    in_time(delivering.stopped()).await;
}
