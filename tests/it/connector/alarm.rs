//! A provider that refuses our client, or does not answer at all: what it costs, whom it is told, and how it ends.

use crate::support::desk::{CLIENT_SECRET, Desk, NAME};
use grantkeeper::connector::ConnectOptions;
use grantkeeper::demo::{Client, Door, Fault, Habits};
use grantkeeper::model::{ConnectionName, ConnectionState, EventKind, FailureKind};
use grantkeeper::refresh::{Outlook, RefreshError};
use grantkeeper::{Error, Want};
use std::collections::BTreeMap;
use std::time::Duration;

/// Connections `drive/robot-N` by client credentials, whose tokens have ended.
async fn robots(desk: &Desk, count: usize) -> Vec<ConnectionName> {
    let names = robots_beside(desk, count).await;
    desk.pass_an_hour();
    names
}

async fn robots_beside(desk: &Desk, count: usize) -> Vec<ConnectionName> {
    desk.apply("", "grant = \"client_credentials\"").await;
    let mut names = Vec::new();
    for number in 0..count {
        let name: ConnectionName = format!("drive/robot-{number}").parse().unwrap();
        desk.connector.connect(&name, ConnectOptions::default()).await.unwrap();
        names.push(name);
    }
    names
}

async fn told(desk: &Desk) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for recorded in desk.connector.events(0, 10_000).await.unwrap() {
        *counts.entry(recorded.event.kind.as_str()).or_default() += 1;
    }
    counts
}

fn asked(desk: &Desk) -> usize {
    desk.provider.token_requests("client_credentials")
}

/// The provider knows our client by another secret from now on, or by the right one again.
fn change_secret(desk: &Desk, secret: &str) {
    let redirect_url = desk.connector.settings().callback.redirect_url(desk.name.application());
    desk.provider.register(Client::new("drive-client", secret.to_owned()).redirecting_to(redirect_url));
}

#[tokio::test]
async fn a_refused_client_is_one_alarm_and_all_its_connections_wait() {
    let desk = Desk::new(Habits::default()).await;
    let names = robots(&desk, 40).await;
    let before = asked(&desk);
    change_secret(&desk, "another");
    let round = desk.connector.refresh_due().await.unwrap();
    // The first one may be told of itself alone; the second confirms that it is the application.
    assert_eq!((round.refreshed, round.failed, round.put_off), (0, 1, 39), "{round:?}");
    assert_eq!(round.reasons.len(), 2, "one sentence for all that wait: {round:?}");
    // As many as were under way before the first answer came, and none after it.
    assert!(asked(&desk) - before <= 16, "{}", asked(&desk) - before);
    let after_the_alarm = asked(&desk);
    let mut waiting = None;
    for name in &names {
        let error = desk.connector.token(name).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), ("client_rejected", false));
        if matches!(error, Error::Refresh(RefreshError::ClientRejected { .. })) {
            assert!(error.to_string().contains("application drive"), "{error}");
            waiting = Some(name);
        }
    }
    let waiting = waiting.unwrap();
    assert_eq!(asked(&desk), after_the_alarm);
    let events = told(&desk).await;
    assert_eq!(events.get(EventKind::ClientRejected.as_str()), Some(&1), "{events:?}");
    assert_eq!(events.get(EventKind::Degraded.as_str()), Some(&1), "{events:?}");
    let connection = desk.connector.connection(waiting).await.unwrap();
    assert_eq!((connection.state, connection.failures), (ConnectionState::Active, 0));
    let outlook = desk.connector.outlook(waiting).await.unwrap();
    assert!(matches!(outlook, Outlook::WaitForApplication { .. }), "{outlook:?}");
}

#[tokio::test]
async fn a_refusal_of_one_connection_stops_no_other() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let names = robots_beside(&desk, 9).await;
    for _ in 0..12 {
        // Whoever is first meets a refusal that is its own; nobody else does.
        desk.provider.set_habits(Habits { refuses: Some("invalid_client".to_owned()), ..Habits::default() });
        let refused = desk.connector.refresh(&desk.name).await.unwrap_err();
        desk.provider.set_habits(Habits::default());
        assert_eq!(refused.code(), "client_rejected");
        desk.pass_an_hour();
        for name in &names {
            desk.connector.token(name).await.unwrap();
        }
    }
    assert_eq!(told(&desk).await.get("client_rejected"), None);
    assert_eq!(desk.connection().await.state, ConnectionState::Degraded, "who is to blame is shown");
}

#[tokio::test]
async fn a_mended_application_wakes_its_connections() {
    let desk = Desk::new(Habits::default()).await;
    robots(&desk, 5).await;
    change_secret(&desk, "another");
    desk.connector.refresh_due().await.unwrap();
    change_secret(&desk, CLIENT_SECRET);
    // The same file again: whatever was wrong was mended at the provider.
    desk.apply("", "grant = \"client_credentials\"").await;
    assert_eq!(desk.connector.application(desk.name.application()).await.unwrap().rejected, None);
    desk.clock.advance(Duration::from_secs(31));
    let round = desk.connector.refresh_due().await.unwrap();
    assert_eq!((round.refreshed, round.put_off), (5, 0), "{round:?}");
}

#[tokio::test]
async fn a_refusal_that_was_the_providers_own_mistake_ends_by_itself() {
    let desk = Desk::new(Habits::default()).await;
    let names = robots(&desk, 10).await;
    change_secret(&desk, "another");
    desk.connector.refresh_due().await.unwrap();
    let before = asked(&desk);
    for _ in 0..4 {
        desk.pass_an_hour();
        desk.connector.refresh_due().await.unwrap();
    }
    assert!(asked(&desk) - before <= 6, "a probe now and then: {}", asked(&desk) - before);
    change_secret(&desk, CLIENT_SECRET);
    desk.pass_an_hour();
    desk.pass_an_hour();
    assert!(desk.connector.token(&names[0]).await.is_ok());
    assert_eq!(told(&desk).await.get("client_accepted"), Some(&1));
    desk.clock.advance(Duration::from_secs(31));
    let round = desk.connector.refresh_due().await.unwrap();
    assert_eq!((round.failed, round.put_off), (0, 0), "{round:?}");
    for name in &names {
        assert_eq!(desk.connector.token_that(name, Want::Working).await.unwrap().connection(), name);
    }
}

#[tokio::test]
async fn an_outage_costs_a_probe_at_a_time_and_ends_without_a_stampede() {
    let desk = Desk::new(Habits::default()).await;
    let names = robots(&desk, 60).await;
    let before = asked(&desk);
    for _ in 0..100 {
        desk.provider.next(Door::Token, Fault::Status(503));
    }
    let mut rounds = 0;
    for _ in 0..60 {
        let round = desk.connector.refresh_due().await.unwrap();
        rounds += round.failed + round.put_off;
        desk.clock.advance(Duration::from_secs(10));
    }
    let cost = asked(&desk) - before;
    assert!(cost <= 60, "ten minutes of an outage, with sixty connections: {cost} requests");
    assert!(rounds >= 60, "{rounds}");
    let error = desk.connector.token(&names[0]).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("transient", true), "{error}");
}

#[tokio::test]
async fn callers_who_are_rejected_do_not_storm_a_provider_that_is_down() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let token = desk.connector.token(&desk.name).await.unwrap();
    for _ in 0..10 {
        desk.provider.next(Door::Token, Fault::Status(503));
    }
    for _ in 0..50 {
        let error = desk.connector.token_rejected(&desk.name, &token).await.unwrap_err();
        assert!(error.retryable(), "{error}");
    }
    assert_eq!(desk.refreshes(), 1);
    // A person's own refresh is not held back.
    assert!(desk.connector.refresh(&desk.name).await.is_err());
    assert_eq!(desk.refreshes(), 2);
}

#[tokio::test]
async fn a_rejected_token_is_named_and_any_newer_one_satisfies_the_report() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let old = desk.connector.token(&desk.name).await.unwrap();
    let newer = desk.connector.token_rejected(&desk.name, &old).await.unwrap();
    assert_eq!((newer.generation(), desk.refreshes()), (2, 1));
    for _ in 0..5 {
        assert_eq!(desk.connector.token_rejected(&desk.name, &old).await.unwrap().generation(), 2);
        assert_eq!(desk.connector.token_rejected(&desk.name, old.secret()).await.unwrap().generation(), 2);
    }
    assert_eq!(desk.refreshes(), 1);
    assert!(NAME.starts_with("drive/"));
    let kind = desk.connector.token_rejected(&"drive/nobody".parse().unwrap(), &old).await.unwrap_err();
    assert_eq!(kind.code(), "unknown_connection");
}

#[tokio::test]
async fn how_long_tokens_live_is_learned_from_reports() {
    let habits = Habits { expires_in: grantkeeper::demo::ExpiresIn::Absent, ..Habits::default() };
    let desk = Desk::new(habits).await;
    desk.consent().await.unwrap();
    let token = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!(token.expires().source.as_str(), "default");
    // A rejection early in its life teaches nothing.
    desk.clock.advance(Duration::from_secs(60));
    let token = desk.connector.token_rejected(&desk.name, &token).await.unwrap();
    assert_eq!(token.expires().source.as_str(), "default");
    desk.clock.advance(Duration::from_secs(3600));
    assert_eq!(desk.call(token.secret()).await, 401);
    // Nor does a single one later: it may have had another reason.
    let token = desk.connector.token_rejected(&desk.name, &token).await.unwrap();
    assert_eq!(token.expires().source.as_str(), "default");
    desk.clock.advance(Duration::from_secs(3700));
    let token = desk.connector.token_rejected(&desk.name, &token).await.unwrap();
    assert_eq!(token.expires().source.as_str(), "learned");
    assert_eq!(token.expires().seconds_left(token.issued()), 3600, "the shorter of two that are about the same");
    // From now on it is refreshed before anybody is rejected.
    desk.clock.advance(Duration::from_secs(3400));
    assert_eq!(desk.connector.refresh_due().await.unwrap().refreshed, 1);
    let token = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!((token.expires().source.as_str(), desk.call(token.secret()).await), ("learned", 200));
    // A rejection that age cannot explain undoes it: an API that refuses everything makes no storm of refreshes.
    desk.clock.advance(Duration::from_secs(60));
    let token = desk.connector.token_rejected(&desk.name, &token).await.unwrap();
    assert_eq!(token.expires().source.as_str(), "default");
}

#[tokio::test]
async fn the_last_seconds_of_a_token_are_served_when_no_new_one_can_be_had() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.clock.advance(Duration::from_secs(3585));
    for _ in 0..3 {
        desk.provider.next(Door::Token, Fault::Status(503));
    }
    let token = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!((token.generation(), desk.call(token.secret()).await), (1, 200));
    let wish = Want::GoodFor(Duration::from_secs(60));
    assert!(desk.connector.token_that(&desk.name, wish).await.is_err(), "a stated wish is kept");
    desk.clock.advance(Duration::from_secs(15));
    let error = desk.connector.token(&desk.name).await.unwrap_err();
    let kind = match &error {
        Error::Refresh(RefreshError::Failing { failure, .. }) => failure.kind,
        _ => panic!("{error}"),
    };
    assert_eq!(kind, FailureKind::Transient);
}

#[tokio::test]
async fn a_refresh_token_is_used_before_it_dies_of_disuse() {
    let habits =
        Habits { access_token_seconds: 90 * 86_400, refresh_token_seconds: Some(30 * 86_400), ..Habits::default() };
    let desk = Desk::new(habits).await;
    desk.apply("script = \"OAuthGoogleDrive\"\nrefresh.idle = 864_000", "").await;
    desk.consent().await.unwrap();
    for _ in 0..12 {
        desk.clock.advance(Duration::from_secs(7 * 86_400 + 43_200));
        assert_eq!(desk.connector.refresh_due().await.unwrap().refreshed, 1);
    }
    let state = desk.connection().await.state;
    assert_eq!(state, ConnectionState::Active, "its access token alone would have slept three months");
}
