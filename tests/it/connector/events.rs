//! Events: told by the commit that makes them true, once, in order, and without a secret.

use crate::support::desk::{CLIENT_SECRET, Desk};
use grantkeeper::connector::{Connector, Settings};
use grantkeeper::demo::{Door, Fault, Habits, Rotation};
use grantkeeper::events::POLL;
use grantkeeper::model::{Clock as _, EventKind, RecordedEvent, TokenKind};
use grantkeeper::seal::Keyring;
use grantkeeper::store::{Key, MemoryStore, SledOptions, SledStore, Store};
use std::sync::Arc;
use std::time::Duration;

/// All events of a desk.
async fn events(desk: &Desk) -> Vec<RecordedEvent> {
    let events = desk.connector.events(0, usize::MAX).await.unwrap();
    for event in events.iter().map(|recorded| &recorded.event) {
        let row = documented(event.kind);
        for name in event.details.keys() {
            assert!(row.contains(&format!("`{name}`")), "docs/events.md does not name {name} of {}", event.kind);
        }
    }
    events
}

/// The row of a kind in docs/events.md.
fn documented(kind: EventKind) -> &'static str {
    let page = include_str!("../../../docs/events.md");
    page.lines().find(|line| line.starts_with(&format!("| `{kind}` |"))).unwrap()
}

#[test]
fn every_kind_has_a_row_on_its_page() {
    assert!(EventKind::ALL.into_iter().all(|kind| documented(kind).matches('|').count() == 4));
}

/// The kinds of all events of a desk.
async fn kinds(desk: &Desk) -> Vec<&'static str> {
    events(desk).await.iter().map(|recorded| recorded.event.kind.as_str()).collect()
}

/// The last event of a kind.
async fn last(desk: &Desk, kind: EventKind) -> RecordedEvent {
    events(desk).await.into_iter().rfind(|recorded| recorded.event.kind == kind).unwrap()
}

#[tokio::test]
async fn a_consent_and_each_refresh_are_told_with_what_they_brought() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.pass_an_hour();
    let token = desk.connector.token(&desk.name).await.unwrap();
    desk.consent().await.unwrap();
    assert_eq!(kinds(&desk).await, ["authorized", "refreshed", "authorized"]);
    let all = events(&desk).await;
    assert!(all.iter().map(|recorded| recorded.sequence).eq(1..=3));
    let [first, refreshed, again] = [0, 1, 2].map(|at| all[at].event.clone());
    assert_eq!((first.connection.as_ref(), &first.application), (Some(&desk.name), desk.name.application()));
    assert_eq!((&first.details["profile"], &first.details["again"]), (&"default".into(), &false.into()));
    assert!(first.details["scopes"][0].as_str().unwrap().contains("drive"), "{:?}", first.details);
    assert_eq!(again.details["again"], true);
    assert_eq!(refreshed.details["generation"], 2);
    assert_eq!(refreshed.details["expires"], serde_json::json!(token.expires().at));
    assert_eq!(refreshed.at, desk.clock.now());
}

#[tokio::test]
async fn the_first_failure_is_told_and_then_that_it_is_over() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    for _ in 0..3 {
        desk.provider.next(Door::Token, Fault::Status(503));
        desk.connector.refresh(&desk.name).await.unwrap_err();
    }
    desk.connector.refresh(&desk.name).await.unwrap();
    desk.connector.refresh(&desk.name).await.unwrap();
    assert_eq!(kinds(&desk).await, ["authorized", "degraded", "refreshed", "recovered", "refreshed"]);
    let degraded = last(&desk, EventKind::Degraded).await.event;
    assert_eq!(degraded.details["failure"]["kind"], "transient");
    assert_eq!(degraded.details["failure"]["status"], 503);
    assert!(degraded.details["next_try"].is_string(), "{:?}", degraded.details);
    assert_eq!(last(&desk, EventKind::Recovered).await.event.details["failures"], 3);
}

#[tokio::test]
async fn a_dead_grant_is_told_once() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.provider.kill_family(0);
    for _ in 0..3 {
        desk.connector.refresh(&desk.name).await.unwrap_err();
    }
    assert_eq!(kinds(&desk).await, ["authorized", "reauthorization_required"]);
    let told = last(&desk, EventKind::ReauthorizationRequired).await.event;
    assert_eq!(
        (&told.details["reason"], &told.details["failure"]["code"]),
        (&"refused".into(), &"invalid_grant".into())
    );
}

#[tokio::test]
async fn a_lost_rotation_is_told_by_its_name_and_as_a_consent_that_is_needed() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.provider.next(Door::Token, Fault::Drop);
    desk.connector.refresh(&desk.name).await.unwrap_err();
    desk.pass_an_hour();
    desk.connector.token(&desk.name).await.unwrap_err();
    desk.connector.token(&desk.name).await.unwrap_err();
    assert_eq!(kinds(&desk).await, ["authorized", "degraded", "rotation_lost", "reauthorization_required"]);
    let told = last(&desk, EventKind::ReauthorizationRequired).await.event;
    assert_eq!(told.details["reason"], "rotation_lost");
}

#[tokio::test]
async fn a_revocation_is_told_once_and_a_dropped_access_token_is_not_one() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let access = desk.credential(TokenKind::AccessToken).await;
    desk.connector.revoke_credential(access.id).await.unwrap();
    assert_eq!(kinds(&desk).await, ["authorized"]);
    desk.connector.revoke(&desk.name).await.unwrap();
    desk.connector.revoke(&desk.name).await.unwrap();
    desk.connector.remove_connection(&desk.name).await.unwrap();
    assert_eq!(kinds(&desk).await, ["authorized", "revoked"]);
    assert_eq!(last(&desk, EventKind::Revoked).await.event.details["was"], "active");
}

#[tokio::test]
async fn a_token_that_nothing_renews_is_told_of_before_its_end_and_once() {
    // Without its script no refresh token comes.
    let desk = Desk::with(Habits::default(), Arc::new(MemoryStore::new()), None, "").await;
    desk.consent().await.unwrap();
    desk.clock.advance(Duration::from_secs(2600));
    assert_eq!(desk.connector.refresh_due().await.unwrap(), Default::default());
    let early = desk.connector.refresh(&desk.name).await.unwrap_err();
    assert!(early.to_string().contains("cannot be renewed"), "{early}");
    assert_eq!(kinds(&desk).await, ["authorized"], "an hour's last quarter is told of, and not before");
    desk.clock.advance(Duration::from_secs(200));
    for _ in 0..3 {
        assert_eq!(desk.connector.refresh_due().await.unwrap(), Default::default(), "nothing has failed yet");
    }
    desk.connector.refresh(&desk.name).await.unwrap_err();
    assert_eq!(kinds(&desk).await, ["authorized", "expiring"]);
    let told = last(&desk, EventKind::Expiring).await.event;
    assert_eq!(told.details["token"], "access_token");
    assert_eq!(told.details["expires"], "2026-11-23T13:00:00Z");
    assert!(desk.connector.token(&desk.name).await.is_ok(), "it still works");
    desk.pass_an_hour();
    assert_eq!(desk.connector.refresh_due().await.unwrap().failed, 1);
    assert_eq!(kinds(&desk).await, ["authorized", "expiring", "reauthorization_required"]);
    assert_eq!(last(&desk, EventKind::ReauthorizationRequired).await.event.details["reason"], "no_refresh_token");
}

#[tokio::test]
async fn a_refresh_token_whose_end_stays_is_told_of_in_its_last_days() {
    const DAY: u64 = 86_400;
    let with = async |rotation, days| {
        let lines = format!("script = \"OAuthGoogleDrive\"\nlifespans.refresh_token = {}", days * DAY);
        Desk::with(Habits { rotation, ..Habits::default() }, Arc::new(MemoryStore::new()), None, &lines).await
    };
    let desk = with(Rotation::Repeat, 30).await;
    desk.consent().await.unwrap();
    for _ in 0..29 {
        desk.clock.advance(Duration::from_secs(DAY));
        desk.connector.token(&desk.name).await.unwrap();
    }
    let told: Vec<_> = events(&desk).await.into_iter().filter(|it| it.event.kind == EventKind::Expiring).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].event.details["token"], "refresh_token");
    assert_eq!(told[0].event.at, "2026-12-16T12:00:00Z".parse().unwrap(), "a week before");
    // One that each refresh replaces goes on.
    let desk = with(Rotation::Always { grace_seconds: 0 }, 3).await;
    desk.consent().await.unwrap();
    for _ in 0..9 {
        desk.clock.advance(Duration::from_secs(DAY));
        desk.connector.token(&desk.name).await.unwrap();
    }
    assert!(!kinds(&desk).await.contains(&"expiring"));
}

#[tokio::test]
async fn a_further_token_has_events_of_its_own() {
    let lines = "script = \"OAuthGoogleDrive\"\ntokens.user.root = \"authed_user\"";
    let habits = Habits { further_token: true, ..Habits::default() };
    let desk = Desk::with(habits, Arc::new(MemoryStore::new()), None, lines).await;
    desk.consent().await.unwrap();
    desk.connector.revoke(&desk.name).await.unwrap();
    let mut told: Vec<_> = events(&desk).await;
    told.sort_by_key(|recorded| recorded.event.connection.clone());
    let told = told.iter().map(|it| format!("{} {}", it.event.connection.as_ref().unwrap(), it.event.kind));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "drive/reports authorized",
            "drive/reports revoked",
            "drive/reports~user authorized",
            "drive/reports~user revoked"
        ]
    );
}

#[tokio::test]
async fn what_did_not_come_to_pass_is_not_told() {
    let desk = Desk::new(Habits::default()).await;
    desk.connector.authorize(&desk.name, Default::default()).await.unwrap();
    let callback = desk.callback().await;
    desk.provider.next(Door::Token, Fault::Status(503));
    desk.connector.complete(&callback).await.unwrap_err();
    assert_eq!(kinds(&desk).await, [""; 0]);
    // A refresh that a revocation overtakes never lands.
    desk.consent().await.unwrap();
    let gate = grantkeeper::demo::Gate::new();
    desk.provider.next(Door::Token, Fault::Hold(gate.clone()));
    let flying = {
        let (connector, name) = (desk.connector.clone(), desk.name.clone());
        tokio::spawn(async move { connector.refresh(&name).await })
    };
    gate.reached_by(1).await;
    desk.connector.revoke(&desk.name).await.unwrap();
    gate.open();
    flying.await.unwrap().unwrap_err();
    assert_eq!(kinds(&desk).await, ["authorized", "revoked"]);
}

#[tokio::test]
async fn who_follows_gets_each_event_as_it_is_committed() {
    let desk = Desk::new(Habits::default()).await;
    let mut all = desk.connector.follow_events(0);
    let follower = tokio::spawn(async move {
        let mut told = Vec::new();
        while told.len() < 3 {
            told.push(all.next().await.unwrap().event.kind.as_str());
        }
        told
    });
    desk.consent().await.unwrap();
    desk.connector.refresh(&desk.name).await.unwrap();
    desk.connector.revoke(&desk.name).await.unwrap();
    // The clock stands still: nothing is found by looking again.
    assert_eq!(follower.await.unwrap(), ["authorized", "refreshed", "revoked"]);
    let mut late = desk.connector.follow_events(desk.connector.last_event().await.unwrap() - 1);
    assert_eq!(late.next().await.unwrap().sequence, 3);
}

#[tokio::test]
async fn what_another_process_commits_is_seen_within_the_stated_time() {
    let desk = Desk::new(Habits::default()).await;
    let store = MemoryStore::new();
    // The other one has the same keys, as every process of a home does.
    let keys = tempfile::tempdir().unwrap();
    let file = keys.path().join("keys");
    Keyring::create_file(&file, desk.clock.now()).unwrap();
    let open = || {
        let builder = Connector::builder(Arc::new(store.clone()), Keyring::from_file(&file).unwrap());
        builder.clock(Arc::new(desk.clock.clone())).build().unwrap()
    };
    let (here, there) = (open(), open());
    let desk = Desk { connector: there, ..desk };
    desk.apply("script = \"OAuthGoogleDrive\"", "").await;
    let mut follow = here.follow_events(0);
    let follower = tokio::spawn(async move { follow.next().await });
    // It has looked and found nothing.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    desk.consent().await.unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!follower.is_finished(), "a store tells nobody");
    desk.clock.advance(POLL);
    assert_eq!(follower.await.unwrap().unwrap().event.kind, EventKind::Authorized);
}

#[tokio::test]
async fn old_events_are_purged_with_the_pending_authorizations_and_in_the_background() {
    let store = Arc::new(MemoryStore::new());
    let desk = Desk::with(Habits::default(), store.clone(), None, "script = \"OAuthGoogleDrive\"").await;
    desk.consent().await.unwrap();
    desk.connector.refresh(&desk.name).await.unwrap();
    desk.clock.advance(Duration::from_secs(29 * 86_400));
    desk.connector.refresh_due().await.unwrap();
    assert_eq!(kinds(&desk).await, ["authorized", "refreshed", "refreshed"], "30 days is what they are kept");
    desk.clock.advance(Duration::from_secs(2 * 86_400));
    desk.connector.refresh_due().await.unwrap();
    assert_eq!(kinds(&desk).await, ["refreshed", "refreshed"]);
    // The background job does it too.
    desk.clock.advance(Duration::from_secs(31 * 86_400));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let connector = desk.connector.clone();
    let job = tokio::spawn(async move { connector.run_background(async { drop(stopped.await) }).await });
    while store.get(Key::Event(3)).await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    job.await.unwrap().unwrap();
    assert!(desk.connector.last_event().await.unwrap() >= 5);
}

#[tokio::test]
async fn a_settings_file_says_how_long_events_are_kept() {
    let settings: Settings = toml::from_str("[events]\nretention_days = 7").unwrap();
    let now = "2026-11-23T12:00:00Z".parse().unwrap();
    assert_eq!(settings.events.oldest(now), "2026-11-16T12:00:00Z".parse().unwrap());
    assert_eq!(Settings::default().events.oldest(now), "2026-10-24T12:00:00Z".parse().unwrap());
    let all = Settings { events: grantkeeper::events::Settings { retention_days: u32::MAX }, ..Settings::default() };
    assert!(all.events.oldest(now) < "-009000-01-01T00:00:00Z".parse().unwrap());
}

#[tokio::test]
async fn no_event_holds_a_secret_and_none_is_read_without_the_keys() {
    let folder = tempfile::tempdir().unwrap();
    let scripts = tempfile::tempdir().unwrap();
    let good = "fn preprocessAuthCode(m) { m.put('access_type', 'offline'); m.put('prompt', 'consent'); }";
    let file = scripts.path().join("OAuthLoud.rhai");
    std::fs::write(&file, good).unwrap();
    let store = Arc::new(SledStore::open(folder.path(), &SledOptions::default()).unwrap());
    let desk = Desk::with(Habits::default(), store.clone(), Some(scripts.path()), "script = \"OAuthLoud\"").await;
    let callback = desk.callback().await;
    desk.connector.complete(&callback).await.unwrap();
    desk.connector.refresh(&desk.name).await.unwrap();
    // A failure whose words hold the whole reply, and the request's secrets.
    let loud = "fn parseTokenResponse(r) { throw 'marked: ' + r.getBody(); }";
    std::fs::write(&file, format!("{good}\n{loud}")).unwrap();
    let failed = desk.connector.refresh(&desk.name).await.unwrap_err();
    assert!(failed.to_string().contains("marked"), "{failed}");
    std::fs::write(&file, format!("{good} // mended")).unwrap();
    desk.connector.refresh(&desk.name).await.unwrap();
    desk.connector.revoke(&desk.name).await.unwrap();
    assert_eq!(kinds(&desk).await, ["authorized", "refreshed", "degraded", "refreshed", "recovered", "revoked"]);
    let mut secrets = vec![CLIENT_SECRET.to_owned()];
    let callback: url::Url = callback.parse().unwrap();
    secrets.extend(callback.query_pairs().filter(|(name, _)| name == "code").map(|(_, code)| code.into_owned()));
    for family in desk.provider.families() {
        let tokens = family.access_tokens.iter().chain(&family.refresh_tokens);
        secrets.extend(tokens.map(|token| token.expose().to_owned()));
    }
    assert!(secrets.len() >= 8, "{}", secrets.len());
    let told = serde_json::to_string(&events(&desk).await).unwrap();
    assert!(told.contains("marked"), "the loud failure is told: {told}");
    for secret in &secrets {
        assert!(!told.contains(secret), "an event holds {secret}: {told}");
    }
    for row in store.events(0, 100).await.unwrap() {
        let sealed = String::from_utf8_lossy(&row.sealed).into_owned();
        assert!(!sealed.contains("details") && !sealed.contains("drive/reports"), "{sealed}");
    }
    let stranger = Connector::builder(store, Keyring::generate(desk.clock.now()).unwrap()).build().unwrap();
    assert!(stranger.events(0, 100).await.unwrap_err().to_string().contains("the event 1"));
}

#[tokio::test]
async fn what_is_not_wanted_of_a_list_is_not_opened() {
    let store = Arc::new(MemoryStore::new());
    let desk = Desk::with(Habits::default(), store.clone(), None, "script = \"OAuthGoogleDrive\"").await;
    desk.consent().await.unwrap();
    // With other keys: nothing opens.
    let stranger = Connector::builder(store, Keyring::generate(desk.clock.now()).unwrap()).build().unwrap();
    let (none, last) = stranger.events_that(0, 100, |row| row.kind == "nothing").await.unwrap();
    assert_eq!((none.len(), last), (0, Some(1)));
    stranger.events_that(0, 100, |row| row.sequence == 1).await.unwrap_err();
    let (none, next) = stranger.connections_that(None, None, 1, |_| false).await.unwrap();
    assert_eq!((none.len(), next.as_ref()), (0, Some(&desk.name)));
    stranger.connections_that(None, None, 1, |name| *name == desk.name).await.unwrap_err();
}

#[tokio::test]
async fn a_refresh_that_takes_a_scope_away_is_told_once() {
    let scripts = tempfile::tempdir().unwrap();
    let good = "fn preprocessAuthCode(m) { m.put('access_type', 'offline'); m.put('prompt', 'consent'); }";
    let file = scripts.path().join("OAuthMine.rhai");
    std::fs::write(&file, good).unwrap();
    let store = Arc::new(MemoryStore::new());
    let desk = Desk::with(Habits::default(), store, Some(scripts.path()), "script = \"OAuthMine\"").await;
    desk.consent().await.unwrap();
    desk.connector.refresh(&desk.name).await.unwrap();
    let less = "fn postprocessAccessToken(reply) { reply.getparameters().put('scope', 'profile'); }";
    std::fs::write(&file, format!("{good}\n{less}")).unwrap();
    desk.connector.refresh(&desk.name).await.unwrap();
    desk.connector.refresh(&desk.name).await.unwrap();
    assert_eq!(kinds(&desk).await, ["authorized", "refreshed", "refreshed", "scopes_missing", "refreshed"]);
    let missing = last(&desk, EventKind::ScopesMissing).await.event.details["missing"].clone();
    assert_eq!(missing.as_array().unwrap().len(), 1, "{missing}");
}
