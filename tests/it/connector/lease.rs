//! Several processes on one store, one of which is slow in the worst moment.

use crate::support::desk::Desk;
use crate::support::stalling::StallingStore;
use grantkeeper::demo::{Door, Fault, Gate, Habits};
use grantkeeper::model::ConnectionState;
use grantkeeper::store::MemoryStore;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn what_changed_before_the_lease_was_taken_is_read_again() {
    let store = MemoryStore::new();
    let stalling = Arc::new(StallingStore::over(store.clone()));
    let desk = Desk::with(Habits::default(), stalling.clone(), None, "script = \"OAuthGoogleDrive\"").await;
    desk.consent().await.unwrap();
    desk.pass_an_hour();
    stalling.arm();
    let slow = {
        let (connector, name) = (desk.connector.clone(), desk.name.clone());
        tokio::spawn(async move { connector.token(&name).await })
    };
    stalling.stalled().await;
    // It has read the connection and that nobody refreshes it. Another process does, from the first to the last step.
    let other = desk.another(Arc::new(store), None);
    assert_eq!(other.token(&desk.name).await.unwrap().generation(), 2);
    stalling.go_on();
    let token = slow.await.unwrap().unwrap();
    assert_eq!((token.generation(), desk.refreshes()), (2, 1), "the used refresh token was not sent again");
    assert_eq!(desk.call(token.secret()).await, 200);
    desk.pass_an_hour();
    assert_eq!(desk.connector.token(&desk.name).await.unwrap().generation(), 3);
}

/// The intent, and what came; a reply that a script sees is kept before.
#[tokio::test]
async fn a_reply_that_no_script_sees_is_durable_with_what_it_brings() {
    let stalling = Arc::new(StallingStore::over(MemoryStore::new()));
    let desk = Desk::with(Habits::default(), stalling.clone(), None, "script = \"OAuthGoogleDrive\"").await;
    desk.consent().await.unwrap();
    let before = stalling.commits();
    desk.connector.refresh(&desk.name).await.unwrap();
    assert_eq!(stalling.commits() - before, 2);
    let scripts = tempfile::tempdir().unwrap();
    let looks = "fn preprocessAuthCode(m) { m.put('access_type', 'offline'); m.put('prompt', 'consent'); }
        fn postprocessAccessToken(r) { r.getparameters(); }";
    std::fs::write(scripts.path().join("OAuthLooks.rhai"), looks).unwrap();
    let stalling = Arc::new(StallingStore::over(MemoryStore::new()));
    let lines = "script = \"OAuthLooks\"";
    let desk = Desk::with(Habits::default(), stalling.clone(), Some(scripts.path()), lines).await;
    desk.consent().await.unwrap();
    let before = stalling.commits();
    desk.connector.refresh(&desk.name).await.unwrap();
    assert_eq!(stalling.commits() - before, 3);
}

#[tokio::test]
async fn a_reply_is_kept_where_what_it_brings_cannot_be_taken_over() {
    let stalling = Arc::new(StallingStore::over(MemoryStore::new()));
    let desk = Desk::with(Habits::default(), stalling.clone(), None, "script = \"OAuthGoogleDrive\"").await;
    desk.consent().await.unwrap();
    let gate = Gate::new();
    desk.provider.next(Door::Token, Fault::Hold(gate.clone()));
    let refresh = {
        let (connector, name) = (desk.connector.clone(), desk.name.clone());
        tokio::spawn(async move { connector.refresh(&name).await })
    };
    gate.reached_by(1).await;
    stalling.refuse_one();
    gate.open();
    let error = refresh.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!((stalling.refused(), desk.connection().await.generation), (1, 1));
    // The provider has rotated. What it gave is not asked for again.
    let token = desk.connector.refresh(&desk.name).await.unwrap();
    assert_eq!((token.generation(), desk.refreshes()), (2, 1));
    assert_eq!(desk.call(token.secret()).await, 200);
}

#[tokio::test]
async fn a_process_that_slept_past_its_lease_sends_nothing() {
    let store = MemoryStore::new();
    let scripts = tempfile::tempdir().unwrap();
    let file = scripts.path().join("OAuthSlow.rhai");
    let consenting = "fn preprocessAuthCode(m) { m.put('access_type', 'offline'); m.put('prompt', 'consent'); }";
    std::fs::write(&file, consenting).unwrap();
    let lines = "script = \"OAuthSlow\"";
    let desk = Desk::with(Habits::default(), Arc::new(store.clone()), Some(scripts.path()), lines).await;
    desk.consent().await.unwrap();
    desk.pass_an_hour();
    // A request hook that asks the provider something first, and waits for long.
    let slow = format!("{consenting}\nfn preprocessAccessToken(m) {{ http_get('{}'); }}", desk.provider.files_url());
    std::fs::write(&file, slow).unwrap();
    let other = desk.another(Arc::new(store), Some(scripts.path()));
    let gate = Gate::new();
    desk.provider.next(Door::Api, Fault::Hold(gate.clone()));
    let sleeper = {
        let (connector, name) = (desk.connector.clone(), desk.name.clone());
        tokio::spawn(async move { connector.token(&name).await })
    };
    gate.reached_by(1).await;
    desk.clock.advance(Duration::from_secs(121));
    assert_eq!(other.token(&desk.name).await.unwrap().generation(), 2, "the lease has run out: another one takes it");
    gate.open();
    let token = sleeper.await.unwrap().unwrap();
    assert_eq!((token.generation(), desk.refreshes()), (2, 1), "who woke up late sent nothing");
    assert_eq!(desk.connection().await.state, ConnectionState::Active);
    desk.pass_an_hour();
    assert_eq!(desk.connector.token(&desk.name).await.unwrap().generation(), 3, "the family is alive");
}
