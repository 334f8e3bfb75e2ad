//! Refresh: once, by whoever asks, and never so that a grant is lost.

use crate::support::desk::Desk;
use grantkeeper::connector::Error;
use grantkeeper::demo::{Door, Fault, Gate, Habits, Rotation};
use grantkeeper::model::{ConnectionState, ExpirySource, FailureKind, ReauthorizationReason, TokenKind};
use grantkeeper::refresh::{Outlook, RefreshError, Want};
use grantkeeper::store::MemoryStore;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_fresh_token_comes_from_memory() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    for _ in 0..100 {
        desk.connector.token(&desk.name).await.unwrap();
    }
    assert_eq!(desk.refreshes(), 0);
}

#[tokio::test]
async fn an_ended_token_is_refreshed_and_the_rotation_kept() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    for generation in 2..6 {
        desk.pass_an_hour();
        let token = desk.connector.token(&desk.name).await.unwrap();
        assert_eq!(token.generation(), generation);
        assert_eq!(desk.call(token.secret()).await, 200);
    }
    assert_eq!(desk.refreshes(), 4);
    assert_eq!(desk.connector.credentials(None, None).await.unwrap().len(), 2, "the old ones are gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_callers_cause_one_refresh() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.pass_an_hour();
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (connector, name) = (desk.connector.clone(), desk.name.clone());
            tokio::spawn(async move { connector.token(&name).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().generation(), 2);
    }
    assert_eq!(desk.refreshes(), 1);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_stop_a_rotation() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.pass_an_hour();
    let gate = Gate::new();
    desk.provider.next(Door::Token, Fault::Hold(gate.clone()));
    let caller = {
        let (connector, name) = (desk.connector.clone(), desk.name.clone());
        tokio::spawn(async move { connector.token(&name).await })
    };
    gate.reached_by(1).await;
    caller.abort();
    gate.open();
    let token = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!((token.generation(), desk.refreshes()), (2, 1));
}

#[tokio::test]
async fn a_token_inside_its_margin_is_served_and_refreshed_behind() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.connector.token(&desk.name).await.unwrap();
    desk.clock.advance(Duration::from_secs(3500));
    assert_eq!(desk.connector.token(&desk.name).await.unwrap().generation(), 1);
    while desk.connection().await.generation < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(desk.refreshes(), 1);
}

#[tokio::test]
async fn a_wish_for_longer_life_refreshes_early_and_one_that_cannot_be_met_does_not_storm() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.clock.advance(Duration::from_secs(600));
    let wish = Want::GoodFor(Duration::from_secs(3300));
    assert_eq!(desk.connector.token_that(&desk.name, wish).await.unwrap().generation(), 2);
    for _ in 0..5 {
        let wish = Want::GoodFor(Duration::from_secs(86_400));
        assert_eq!(desk.connector.token_that(&desk.name, wish).await.unwrap().generation(), 2);
    }
    assert_eq!(desk.refreshes(), 1);
}

#[tokio::test]
async fn a_rejected_generation_is_refreshed_once_for_all_who_report_it() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let old = desk.connector.token(&desk.name).await.unwrap();
    for _ in 0..3 {
        let newer = desk.connector.token_that(&desk.name, Want::NewerThan(old.generation())).await.unwrap();
        assert_eq!(newer.generation(), 2);
    }
    assert_eq!(desk.refreshes(), 1);
}

#[tokio::test]
async fn a_lost_reply_of_a_strict_provider_ends_as_rotation_lost() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.pass_an_hour();
    desk.provider.next(Door::Token, Fault::Drop);
    let lost = desk.connector.token(&desk.name).await.unwrap_err();
    assert_eq!(lost.code(), "ambiguous", "{lost}");
    assert_eq!(desk.connection().await.state, ConnectionState::Degraded);
    desk.pass_an_hour();
    let dead = desk.connector.token(&desk.name).await.unwrap_err();
    assert_eq!(dead.code(), "reauthorization_required", "{dead}");
    let state = desk.connection().await.state;
    assert_eq!(state, ConnectionState::ReauthorizationRequired(ReauthorizationReason::RotationLost));
}

#[tokio::test]
async fn a_lost_reply_of_a_forgiving_provider_is_made_good() {
    let habits = Habits { rotation: Rotation::Always { grace_seconds: 7200 }, ..Habits::default() };
    let desk = Desk::new(habits).await;
    desk.consent().await.unwrap();
    desk.pass_an_hour();
    desk.provider.next(Door::Token, Fault::Drop);
    assert!(desk.connector.token(&desk.name).await.is_err());
    let token = desk.connector.refresh(&desk.name).await.unwrap();
    assert_eq!(desk.call(token.secret()).await, 200);
    assert_eq!(desk.connection().await.state, ConnectionState::Active);
}

#[tokio::test]
async fn a_refused_refresh_is_told_once_and_never_tried_again() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.provider.kill_family(0);
    desk.pass_an_hour();
    for _ in 0..5 {
        let refused = desk.connector.token(&desk.name).await.unwrap_err();
        assert_eq!(refused.code(), "reauthorization_required");
        assert!(refused.to_string().contains("grantkeeper connect drive/reports"), "{refused}");
        desk.pass_an_hour();
    }
    assert_eq!(desk.refreshes(), 1);
    let state = desk.connection().await.state;
    assert_eq!(state, ConnectionState::ReauthorizationRequired(ReauthorizationReason::Refused));
    assert!(desk.connection().await.due.is_none());
}

#[tokio::test]
async fn a_failing_refresh_does_not_withhold_a_token_that_works() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.provider.next(Door::Token, Fault::Status(503));
    let failed = desk.connector.refresh(&desk.name).await.unwrap_err();
    assert!(failed.retryable(), "{failed}");
    assert_eq!(desk.connection().await.state, ConnectionState::Degraded);
    let token = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!((token.generation(), desk.call(token.secret()).await), (1, 200));
}

#[tokio::test]
async fn a_provider_that_is_down_is_not_stormed() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.pass_an_hour();
    desk.provider.next(Door::Token, Fault::TooManyRequests { retry_after: "120".to_owned() });
    for _ in 0..50 {
        let error = desk.connector.token(&desk.name).await.unwrap_err();
        assert!(
            matches!(&error, Error::Refresh(RefreshError::Failing { failure, .. }) if failure.kind == FailureKind::RateLimited)
        );
    }
    assert_eq!(desk.refreshes(), 1);
    desk.clock.advance(Duration::from_secs(131));
    assert_eq!(desk.connector.token(&desk.name).await.unwrap().generation(), 2);
    assert_eq!(desk.connection().await.failures, 0);
}

#[tokio::test]
async fn a_refresh_token_that_the_reply_omits_is_kept_and_its_end_not_moved() {
    let desk = Desk::new(Habits { rotation: Rotation::Omit, ..Habits::default() }).await;
    desk.consent().await.unwrap();
    let before = desk.credential(TokenKind::RefreshToken).await;
    assert_eq!(before.expires.source, ExpirySource::Default);
    desk.pass_an_hour();
    desk.connector.token(&desk.name).await.unwrap();
    assert_eq!(desk.credential(TokenKind::RefreshToken).await.expires, before.expires);
    desk.apply("script = \"OAuthGoogleDrive\"\nextend_refresh_token_expiry = true", "").await;
    desk.pass_an_hour();
    desk.connector.token(&desk.name).await.unwrap();
    let after = desk.credential(TokenKind::RefreshToken).await;
    assert_eq!(after.expires.at, before.expires.at + Duration::from_secs(7200));
    assert_eq!(after.id, before.id);
}

#[tokio::test]
async fn a_reply_that_a_broken_script_could_not_read_is_read_again_when_it_is_mended() {
    let scripts = tempfile::tempdir().unwrap();
    let file = scripts.path().join("OAuthMine.rhai");
    let good = "fn preprocessAuthCode(m) { m.put('access_type', 'offline'); m.put('prompt', 'consent'); }";
    std::fs::write(&file, good).unwrap();
    let store = Arc::new(MemoryStore::new());
    let desk = Desk::with(Habits::default(), store, Some(scripts.path()), "script = \"OAuthMine\"").await;
    desk.consent().await.unwrap();
    std::fs::write(&file, format!("{good}\nfn parseTokenResponse(r) {{ let x = r.getBody().no_such_method(); }}"))
        .unwrap();
    desk.pass_an_hour();
    let broken = desk.connector.token(&desk.name).await.unwrap_err();
    assert!(broken.to_string().contains("OAuthMine"), "{broken}");
    assert_eq!(desk.refreshes(), 1);
    std::fs::write(&file, format!("{good}\n// mended\n")).unwrap();
    let token = desk.connector.refresh(&desk.name).await.unwrap();
    assert_eq!(desk.call(token.secret()).await, 200);
    assert_eq!(desk.refreshes(), 1, "the kept reply was read, and nothing was sent");
    desk.pass_an_hour();
    assert!(desk.connector.token(&desk.name).await.is_ok(), "the rotated refresh token was in the kept reply");
}

#[tokio::test]
async fn a_connection_without_a_refresh_token_asks_for_a_person_when_its_token_ends() {
    let desk = Desk::new(Habits::default()).await;
    desk.apply("", "").await;
    desk.consent().await.unwrap();
    desk.pass_an_hour();
    let ended = desk.connector.token(&desk.name).await.unwrap_err();
    assert_eq!(ended.code(), "reauthorization_required");
    let state = desk.connection().await.state;
    assert_eq!(state, ConnectionState::ReauthorizationRequired(ReauthorizationReason::NoRefreshToken));
    assert_eq!(desk.provider.token_requests("refresh_token"), 0);
}

#[tokio::test]
async fn a_page_that_a_script_stumbles_over_is_not_kept_and_the_next_try_asks_again() {
    let scripts = tempfile::tempdir().unwrap();
    let script = "fn preprocessAuthCode(m) { m.put('access_type', 'offline'); m.put('prompt', 'consent'); }
        fn parseTokenResponse(r) { r.getparameters().put('seen', parse_json(r.getBody()).access_token); }";
    std::fs::write(scripts.path().join("OAuthStrict.rhai"), script).unwrap();
    let store = Arc::new(MemoryStore::new());
    let habits = Habits { rotation: Rotation::Always { grace_seconds: 7200 }, ..Habits::default() };
    let desk = Desk::with(habits.clone(), store, Some(scripts.path()), "script = \"OAuthStrict\"").await;
    desk.consent().await.unwrap();
    desk.provider.set_habits(Habits { reply_style: grantkeeper::demo::ReplyStyle::Html, ..habits.clone() });
    assert!(desk.connector.refresh(&desk.name).await.is_err());
    desk.provider.set_habits(habits);
    assert_eq!(desk.connector.refresh(&desk.name).await.unwrap().generation(), 2);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_lose_the_first_tokens() {
    let desk = Desk::new(Habits::default()).await;
    let callback = desk.callback().await;
    let gate = Gate::new();
    desk.provider.next(Door::Token, Fault::Hold(gate.clone()));
    let caller = {
        let connector = desk.connector.clone();
        tokio::spawn(async move { connector.complete(&callback).await })
    };
    gate.reached_by(1).await;
    caller.abort();
    gate.open();
    while desk.connection().await.state != ConnectionState::Active {
        tokio::task::yield_now().await;
    }
    assert!(desk.connector.token(&desk.name).await.is_ok());
}

#[tokio::test]
async fn a_kept_reply_is_dated_when_it_came_and_not_when_it_is_read() {
    let scripts = tempfile::tempdir().unwrap();
    let file = scripts.path().join("OAuthMine.rhai");
    let good = "fn preprocessAuthCode(m) { m.put('access_type', 'offline'); m.put('prompt', 'consent'); }";
    std::fs::write(&file, good).unwrap();
    let store = Arc::new(MemoryStore::new());
    let desk = Desk::with(Habits::default(), store, Some(scripts.path()), "script = \"OAuthMine\"").await;
    desk.consent().await.unwrap();
    std::fs::write(&file, format!("{good}\nfn parseTokenResponse(r) {{ throw 'broken'; }}")).unwrap();
    assert!(desk.connector.refresh(&desk.name).await.is_err());
    for _ in 0..3 {
        desk.pass_an_hour();
    }
    std::fs::write(&file, format!("{good} // mended")).unwrap();
    let token = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!(desk.call(token.secret()).await, 200, "a token that had ended while it waited is not handed out");
    assert_eq!(desk.refreshes(), 2, "its refresh token was used for the next");
}

#[tokio::test]
async fn a_kept_reply_that_holds_no_token_has_a_way_out() {
    let scripts = tempfile::tempdir().unwrap();
    let file = scripts.path().join("OAuthMine.rhai");
    let good = "fn preprocessAuthCode(m) { m.put('access_type', 'offline'); m.put('prompt', 'consent'); }";
    std::fs::write(&file, good).unwrap();
    let store = Arc::new(MemoryStore::new());
    let habits = Habits { rotation: Rotation::Always { grace_seconds: 7200 }, ..Habits::default() };
    let desk = Desk::with(habits, store, Some(scripts.path()), "script = \"OAuthMine\"").await;
    desk.consent().await.unwrap();
    std::fs::write(&file, format!("{good}\nfn parseTokenResponse(r) {{ throw 'broken'; }}")).unwrap();
    assert!(desk.connector.refresh(&desk.name).await.is_err());
    // Reading it again asks nobody, however often.
    for _ in 0..3 {
        assert!(desk.connector.refresh(&desk.name).await.is_err());
    }
    assert_eq!(desk.refreshes(), 1);
    assert!(matches!(desk.connector.outlook(&desk.name).await.unwrap(), Outlook::ReadKeptReply { .. }));
    std::fs::write(&file, format!("{good} // mended")).unwrap();
    let token = desk.connector.ask_again(&desk.name).await.unwrap();
    assert_eq!((desk.refreshes(), desk.call(token.secret()).await), (2, 200));
}
