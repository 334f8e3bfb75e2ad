//! When what was not taken is tried again.

use super::{Delivering, Does, Endpoint, add, desk, in_time, name, pass_to_next, refresh, standing, until};
use crate::support::desk::Desk;
use crate::support::stalling::StallingStore;
use grantkeeper::demo::Habits;
use grantkeeper::model::{Action, Actor, Clock as _, DisabledReason, EventKind};
use grantkeeper::store::MemoryStore;
use grantkeeper::webhooks::{MOST_ATTEMPTS, Tried, WAITS, WINDOW};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_message_that_is_not_taken_is_tried_on_the_schedule_and_given_up_after_ten_tries() {
    let desk = desk().await;
    let endpoint = Endpoint::answering(500).await;
    let made = add(&desk.connector, "ops", &endpoint).await;
    let delivering = Delivering::of(&desk.connector);
    let sequence = refresh(&desk, 1).await;
    for (tried, wait) in WAITS.into_iter().enumerate() {
        let waited = pass_to_next(&desk.connector, &desk.clock, "ops", u32::try_from(tried).unwrap() + 1).await;
        let wait = i64::try_from(wait).unwrap();
        assert!((wait..=wait + wait / 10).contains(&waited), "{waited} after {tried}, and not {wait}");
        let message = endpoint.messages(tried + 2).await.remove(tried + 1);
        assert_eq!((message.second, message.sequence()), (desk.clock.now().as_second(), sequence));
        assert!(message.is_signed_with(made.secret.expose()));
    }
    let kept = standing(&desk.connector, "ops", |at| at.progress.given_up == 1).await;
    assert_eq!((kept.progress.waiting.len(), kept.progress.last_given_up), (0, Some(sequence)));
    assert_eq!((delivering.tried(Tried::Failed), delivering.tried(Tried::GivenUp)), (9, 1));
    let messages = endpoint.seen();
    assert_eq!(messages.len(), MOST_ATTEMPTS as usize);
    assert!(messages.iter().all(|message| message.id == messages[0].id), "one id");
    // The next event is told as ever.
    endpoint.now(|_| Does::Status(200));
    refresh(&desk, 1).await;
    standing(&desk.connector, "ops", |at| at.progress.delivered == 1).await;
    in_time(delivering.stopped()).await;
}

#[tokio::test]
async fn what_an_endpoint_asks_for_is_waited_for() {
    let desk = desk().await;
    let endpoint = Endpoint::that(|_| Does::With(429, "retry-after: 600")).await;
    add(&desk.connector, "ops", &endpoint).await;
    let delivering = Delivering::of(&desk.connector);
    refresh(&desk, 1).await;
    assert_eq!(pass_to_next(&desk.connector, &desk.clock, "ops", 1).await, 600);
    endpoint.messages(2).await;
    in_time(delivering.stopped()).await;
}

#[tokio::test]
async fn an_endpoint_that_is_back_is_told_all_that_waited_without_waiting_for_the_schedule() {
    let desk = desk().await;
    let endpoint = Endpoint::answering(502).await;
    add(&desk.connector, "ops", &endpoint).await;
    let delivering = Delivering::of(&desk.connector);
    let begun = desk.connector.last_event().await.unwrap();
    let last = refresh(&desk, WINDOW + 4).await;
    standing(&desk.connector, "ops", |at| at.progress.waiting.len() == WINDOW).await;
    // Through the schedule, until all waits are longer than an hour.
    for attempts in 1..5 {
        let kept = standing(&desk.connector, "ops", |at| {
            at.progress.waiting.iter().all(|message| message.attempts == attempts)
        })
        .await;
        desk.clock.set(kept.progress.waiting.iter().map(|message| message.next).max().unwrap());
    }
    let kept =
        standing(&desk.connector, "ops", |at| at.progress.waiting.iter().all(|message| message.attempts == 5)).await;
    let tried = endpoint.seen().len();
    assert_eq!(tried, 5 * WINDOW);
    let soonest = kept.progress.waiting.iter().map(|message| message.next).min().unwrap();
    assert!(soonest.duration_since(desk.clock.now()).as_secs() > 4 * 3600);
    // One is tried an hour later, and that is none of its tries.
    desk.clock.advance(Duration::from_secs(3600));
    endpoint.messages(tried + 1).await;
    let probed = standing(&desk.connector, "ops", |at| {
        at.progress.last_answer.as_ref().is_some_and(|answer| answer.at == desk.clock.now())
    })
    .await;
    assert_eq!(probed.progress.waiting, kept.progress.waiting);
    // It is back: an hour later all know.
    endpoint.now(|_| Does::Status(200));
    desk.clock.advance(Duration::from_secs(3600));
    let kept = standing(&desk.connector, "ops", |at| at.progress.delivered == WINDOW as u64 + 4).await;
    assert_eq!((kept.progress.waiting.len(), kept.progress.cursor), (0, last));
    assert!(desk.clock.now() < soonest);
    let mut taken: Vec<u64> = endpoint.sequences().split_off(tried + 1);
    taken.sort_unstable();
    assert_eq!(taken, (begun + 1..=last).collect::<Vec<_>>(), "each once");
    in_time(delivering.stopped()).await;
}

#[tokio::test]
async fn an_endpoint_that_is_gone_disables_its_webhook_until_somebody_enables_it() {
    let desk = desk().await;
    let endpoint = Endpoint::answering(410).await;
    add(&desk.connector, "ops", &endpoint).await;
    let delivering = Delivering::of(&desk.connector);
    let first = refresh(&desk, 1).await;
    let kept = standing(&desk.connector, "ops", |at| at.webhook.disabled.is_some()).await;
    assert_eq!(kept.webhook.disabled.unwrap().reason, DisabledReason::Gone);
    assert_eq!(kept.progress.waiting.len(), 1);
    let log = desk.connector.audit_after(0, 100).await.unwrap();
    let entry = &log.last().unwrap().entry;
    assert_eq!((entry.action, &entry.actor), (Action::WebhookDisable, &Actor::System));
    endpoint.now(|_| Does::Status(200));
    refresh(&desk, 2).await;
    let kept = standing(&desk.connector, "ops", |at| at.behind == 2).await;
    assert_eq!((endpoint.seen().len(), kept.progress.delivered), (1, 0));
    // On from where it stopped.
    desk.connector.enable_webhook(&name("ops"), false).await.unwrap();
    standing(&desk.connector, "ops", |at| at.progress.delivered == 3).await;
    let mut sequences = endpoint.sequences();
    sequences.sort_unstable();
    assert_eq!(sequences, [first, first, first + 1, first + 2]);
    // By hand, and on with what is new.
    desk.connector.disable_webhook(&name("ops")).await.unwrap();
    refresh(&desk, 2).await;
    let enabled = desk.connector.enable_webhook(&name("ops"), true).await.unwrap();
    assert_eq!((enabled.behind, enabled.webhook.disabled), (0, None));
    let new = refresh(&desk, 1).await;
    standing(&desk.connector, "ops", |at| at.progress.delivered == 4).await;
    assert_eq!(endpoint.sequences().last(), Some(&new));
    assert_eq!(endpoint.seen().len(), 5);
    in_time(delivering.stopped()).await;
}

#[tokio::test]
async fn a_webhook_that_sends_is_told_to_drop_what_waits_and_to_go_on_with_what_is_new() {
    let desk = desk().await;
    let endpoint = Endpoint::answering(500).await;
    add(&desk.connector, "ops", &endpoint).await;
    let delivering = Delivering::of(&desk.connector);
    refresh(&desk, WINDOW + 3).await;
    let kept = standing(&desk.connector, "ops", |at| at.progress.waiting.len() == WINDOW).await;
    let entries = async || desk.connector.audit_after(0, 100).await.unwrap();
    let before = entries().await.len();
    // On from where it stopped is what it does.
    desk.connector.enable_webhook(&name("ops"), false).await.unwrap();
    assert_eq!((entries().await.len(), desk.connector.webhook(&name("ops")).await.unwrap()), (before, kept.clone()));
    let acting = grantkeeper::access::Acting::by(Actor::System);
    let enabled = desk.connector.acting(acting).enable_webhook(&name("ops"), true).await.unwrap();
    assert_eq!((enabled.progress.waiting.len(), enabled.behind), (0, 0));
    let log = entries().await;
    assert_eq!((log.len(), log.last().unwrap().entry.action), (before + 1, Action::WebhookEnable));
    let seen = endpoint.seen().len();
    endpoint.now(|_| Does::Status(200));
    desk.clock.set(kept.progress.waiting.iter().map(|message| message.next).max().unwrap());
    let new = refresh(&desk, 1).await;
    let kept = standing(&desk.connector, "ops", |at| at.progress.delivered == 1).await;
    assert_eq!((kept.progress.waiting.len(), kept.progress.cursor), (0, new));
    assert_eq!(endpoint.sequences().split_off(seen), [new]);
    in_time(delivering.stopped()).await;
}

#[tokio::test]
async fn a_webhook_that_refuses_nothing_any_more_is_not_failing() {
    let desk = desk().await;
    let begun = desk.connector.last_event().await.unwrap();
    let endpoint =
        Endpoint::that(move |message| Does::Status(if message.sequence() == begun + 1 { 400 } else { 200 })).await;
    add(&desk.connector, "ops", &endpoint).await;
    let delivering = Delivering::of(&desk.connector);
    refresh(&desk, 1).await;
    assert!(standing(&desk.connector, "ops", |at| at.progress.waiting.len() == 1).await.progress.is_failing());
    refresh(&desk, 1).await;
    standing(&desk.connector, "ops", |at| at.progress.delivered == 1).await;
    for attempts in 1..MOST_ATTEMPTS {
        pass_to_next(&desk.connector, &desk.clock, "ops", attempts).await;
    }
    // The last try was refused, and it is none of the endpoint's troubles.
    let kept = standing(&desk.connector, "ops", |at| at.progress.given_up == 1).await;
    assert_eq!((kept.progress.waiting.len(), kept.progress.last_answer.as_ref().unwrap().status), (0, Some(400)));
    assert!(!kept.progress.is_failing());
    in_time(delivering.stopped()).await;
}

#[tokio::test]
async fn a_message_whose_event_is_kept_no_longer_is_given_up() {
    let desk = desk().await;
    let endpoint = Endpoint::answering(500).await;
    let mut new = super::new("ops", &endpoint.url);
    new.kinds = vec![EventKind::Revoked];
    desk.connector.create_webhook(new).await.unwrap();
    Box::pin(desk.connector.revoke(&desk.name)).await.unwrap();
    Box::pin(desk.consent()).await.unwrap();
    let delivering = Delivering::of(&desk.connector);
    standing(&desk.connector, "ops", |at| at.progress.waiting.len() == 1).await;
    in_time(delivering.stopped()).await;
    desk.clock.advance(Duration::from_secs(31 * 24 * 3600));
    Box::pin(desk.connector.refresh_due()).await.unwrap();
    let delivering = Delivering::of(&desk.connector);
    let kept = standing(&desk.connector, "ops", |at| at.progress.given_up == 1).await;
    assert!(kept.progress.last_answer.unwrap().problem.unwrap().contains("kept no longer"));
    assert_eq!(endpoint.seen().len(), 1);
    in_time(delivering.stopped()).await;
}

#[tokio::test]
async fn a_message_whose_end_cannot_be_written_down_is_not_sent_again_and_again() {
    let store = Arc::new(StallingStore::over(MemoryStore::new()));
    let desk = Desk::with(Habits::default(), store.clone(), None, "script = \"OAuthGoogleDrive\"").await;
    Box::pin(desk.consent()).await.unwrap();
    let endpoint = Endpoint::answering(200).await;
    add(&desk.connector, "ops", &endpoint).await;
    refresh(&desk, 2).await;
    store.refuse(true);
    let delivering = Delivering::of(&desk.connector);
    for round in 1..4 {
        until("it cannot be written", async || store.refused() >= round).await;
        assert_eq!(endpoint.seen().len(), 1);
        desk.clock.advance(Duration::from_secs(30));
    }
    store.refuse(false);
    desk.clock.advance(Duration::from_secs(30));
    standing(&desk.connector, "ops", |at| at.progress.delivered == 2).await;
    assert_eq!(endpoint.seen().len(), 2);
    in_time(delivering.stopped()).await;
}
