//! What is kept of webhooks: in the store, in a backup, and through a rotation of keys.

use super::{Delivering, Does, Endpoint, Message, add, desk, in_time, name, new, standing};
use crate::support::desk::Desk;
use crate::support::house::{House, holding};
use grantkeeper::access::Acting;
use grantkeeper::demo::Habits;
use grantkeeper::model::{Action, Actor, Outcome};
use grantkeeper::vault::RotateOptions;
use grantkeeper::webhooks::MOST_WEBHOOKS;
use std::ops::ControlFlow;

/// No event of before a backup comes after this one; what is new after its restore does.
const BACKED_UP: u64 = 1 << 32;

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_lie_sealed_and_open_after_a_rotation_of_keys() {
    let house = House::new(Habits::default(), 1).await;
    let endpoint = Endpoint::answering(500).await;
    let connector = house.desk.connector.clone();
    let made = add(&connector, "ops", &endpoint).await;
    let earlier = connector.rotate_webhook_secret(&name("ops"), false).await.unwrap();
    let delivering = Delivering::of(&connector);
    Box::pin(connector.refresh(&house.names[0])).await.unwrap();
    let before = standing(&connector, "ops", |at| at.progress.waiting.len() == 1).await;
    in_time(delivering.stopped()).await;
    let rotated = connector.rotate_keys(&RotateOptions { batch: 3 }, &mut |_| ControlFlow::Continue(())).await.unwrap();
    assert_eq!((rotated.left, rotated.retired.len()), (0, 1));
    drop(connector);
    let house = house.reopened().await;
    assert_eq!(house.desk.connector.webhook(&name("ops")).await.unwrap(), before);
    for secret in [made.secret.expose(), earlier.secret.expose(), "marked-path"] {
        let needle = secret.trim_start_matches("whsec_").as_bytes();
        assert_eq!(holding(&house.path(""), needle), Vec::<std::path::PathBuf>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_webhook_is_named_and_tells_of_what_is_new_and_of_nothing_old() {
    let house = House::new(Habits::default(), 1).await;
    let endpoint = Endpoint::answering(500).await;
    let connector = house.desk.connector.clone();
    let made = add(&connector, "ops", &endpoint).await;
    add(&connector, "quiet", &endpoint).await;
    connector.disable_webhook(&name("quiet")).await.unwrap();
    let delivering = Delivering::of(&connector);
    Box::pin(connector.refresh(&house.names[0])).await.unwrap();
    standing(&connector, "ops", |at| at.progress.waiting.len() == 1).await;
    in_time(delivering.stopped()).await;
    for _ in 0..3 {
        Box::pin(connector.refresh(&house.names[0])).await.unwrap();
    }
    connector.back_up(&house.path("backup")).await.unwrap();
    connector.remove_webhook(&name("ops")).await.unwrap();
    drop(connector);
    let (house, restored) = house.restored(true).await;
    assert_eq!(restored.webhooks, [name("ops")]);
    let connector = house.desk.connector.clone();
    let kept = connector.webhook(&name("ops")).await.unwrap();
    assert_eq!((kept.progress.waiting.len(), kept.behind), (0, 0));
    let old = endpoint.seen().len();
    endpoint.now(|_| Does::Status(200));
    let delivering = Delivering::of(&connector);
    Box::pin(connector.refresh(&house.names[0])).await.unwrap();
    let new = connector.events(BACKED_UP, 10).await.unwrap();
    let messages = endpoint.messages(old + new.len()).await.split_off(old);
    let expected: Vec<_> = new.iter().map(|recorded| recorded.sequence).collect();
    assert!(!expected.is_empty());
    assert_eq!(messages.iter().map(Message::sequence).collect::<Vec<_>>(), expected);
    assert!(messages.iter().all(|message| message.is_signed_with(made.secret.expose())));
    standing(&connector, "ops", |at| at.progress.delivered == new.len() as u64).await;
    in_time(delivering.stopped()).await;
}

#[tokio::test]
async fn what_is_done_to_webhooks_is_in_the_audit_log_without_their_secrets_and_paths() {
    let desk = desk().await;
    let endpoint = Endpoint::answering(200).await;
    let connector = desk.connector.acting(Acting::by(Actor::Session { who: "admin".to_owned(), key: None }));
    let ops = name("ops");
    let mut secrets = vec![add(&connector, "ops", &endpoint).await.secret];
    secrets.push(connector.rotate_webhook_secret(&ops, false).await.unwrap().secret);
    connector.edit_webhook(&ops, Default::default()).await.unwrap();
    connector.disable_webhook(&ops).await.unwrap();
    connector.disable_webhook(&ops).await.unwrap();
    connector.enable_webhook(&ops, false).await.unwrap();
    assert!(connector.test_webhook(&ops).await.unwrap().is_taken());
    endpoint.now(|_| Does::Status(404));
    let answer = connector.test_webhook(&ops).await.unwrap();
    assert_eq!((answer.status, answer.is_taken()), (Some(404), false));
    connector.remove_webhook(&ops).await.unwrap();
    connector.test_webhook(&ops).await.unwrap_err();
    let log = connector.audit_after(0, 100).await.unwrap();
    let told: Vec<_> = log.iter().map(|recorded| (recorded.entry.action, recorded.entry.outcome)).collect();
    let done = |action| (action, Outcome::Done);
    let expected = [
        done(Action::WebhookCreate),
        done(Action::WebhookRotate),
        done(Action::WebhookEdit),
        done(Action::WebhookDisable),
        done(Action::WebhookEnable),
        done(Action::WebhookTest),
        done(Action::WebhookTest),
        done(Action::WebhookRemove),
        (Action::WebhookTest, Outcome::Failed),
    ];
    assert_eq!(told, expected);
    let text = serde_json::to_string(&log).unwrap();
    assert!(text.contains(r#"{"webhook":"ops"}"#), "{text}");
    for secret in secrets.iter().map(|secret| secret.expose().trim_start_matches("whsec_")).chain(["marked-path"]) {
        assert!(!text.contains(secret), "{text}");
    }
    let message = &endpoint.seen()[0];
    assert_eq!((message.json()["type"].as_str(), message.signatures.len()), (Some("test"), 2));
    assert!(secrets.iter().all(|secret| message.is_signed_with(secret.expose())));
}

#[tokio::test]
async fn names_are_unique_there_are_not_too_many_and_none_that_is_not_there() {
    let desk = Desk::new(Habits::default()).await;
    let (connector, url) = (&desk.connector, "https://hooks.example.com/");
    for number in 0..MOST_WEBHOOKS {
        connector.create_webhook(new(&format!("w{number}"), url)).await.unwrap();
    }
    let code = async |called: &str| connector.create_webhook(new(called, url)).await.unwrap_err().code();
    assert_eq!((code("w7").await, code("more").await), ("in_use", "too_many"));
    let none = name("none");
    assert_eq!(connector.webhook(&none).await.unwrap_err().code(), "unknown_webhook");
    assert_eq!(connector.remove_webhook(&none).await.unwrap_err().code(), "unknown_webhook");
    assert_eq!(connector.rotate_webhook_secret(&none, true).await.unwrap_err().code(), "unknown_webhook");
    connector.remove_webhook(&name("w7")).await.unwrap();
    connector.create_webhook(new("w7", url)).await.unwrap();
    assert_eq!(connector.webhooks().await.unwrap().len(), MOST_WEBHOOKS);
}
