//! Revocation: durable here first, told to the provider, and whatever it answers the token is not used any more.

use crate::support::desk::Desk;
use grantkeeper::connector::{CredentialState, ProviderSaid};
use grantkeeper::demo::{Door, Ended, Fault, Gate, Habits};
use grantkeeper::model::{ConnectionState, TokenKind};
use grantkeeper::store::MemoryStore;
use std::sync::Arc;

#[tokio::test]
async fn a_revoked_connection_is_ended_at_the_provider_and_here() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let token = desk.connector.token(&desk.name).await.unwrap();
    let revocation = desk.connector.revoke(&desk.name).await.unwrap();
    assert!(revocation.said.iter().all(|(_, said)| *said == ProviderSaid::Revoked), "{revocation:?}");
    assert_eq!(desk.call(token.secret()).await, 401);
    assert_eq!(desk.connector.token(&desk.name).await.unwrap_err().code(), "revoked");
    assert_eq!(desk.provider.families()[0].ended, Some(Ended::Revoked));
    let states: Vec<_> = desk.connector.credentials(None, None).await.unwrap().iter().map(|one| one.state).collect();
    assert_eq!(states, [CredentialState::Revoked; 2]);
}

#[tokio::test]
async fn a_provider_that_is_down_does_not_keep_a_token_alive_here_and_is_told_later() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.connector.token(&desk.name).await.unwrap();
    desk.provider.next(Door::Revocation, Fault::Status(503));
    desk.provider.next(Door::Revocation, Fault::Status(503));
    let revocation = desk.connector.revoke(&desk.name).await.unwrap();
    assert!(revocation.said.iter().all(|(_, said)| matches!(said, ProviderSaid::Failed(_))), "{revocation:?}");
    assert_eq!(desk.connector.token(&desk.name).await.unwrap_err().code(), "revoked");
    assert!(desk.provider.families()[0].ended.is_none());
    let again = desk.connector.revoke(&desk.name).await.unwrap();
    assert!(again.said.iter().all(|(_, said)| *said == ProviderSaid::Revoked), "{again:?}");
    assert!(desk.provider.families()[0].ended.is_some());
}

#[tokio::test]
async fn a_revoked_access_token_is_dropped_and_the_grant_goes_on() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let old = desk.connector.token(&desk.name).await.unwrap();
    let revocation = desk.connector.revoke_credential(old.credential_id()).await.unwrap();
    assert!(!revocation.grant_ended);
    assert_eq!(desk.call(old.secret()).await, 401);
    let new = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!(desk.call(new.secret()).await, 200);
}

#[tokio::test]
async fn a_revoked_refresh_token_ends_the_connection() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let refresh = desk.credential(TokenKind::RefreshToken).await;
    assert!(desk.connector.revoke_credential(refresh.id).await.unwrap().grant_ended);
    assert_eq!(desk.connection().await.state, ConnectionState::Revoked);
}

#[tokio::test]
async fn a_revocation_during_a_refresh_revokes_what_the_refresh_brings_back() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.pass_an_hour();
    let gate = Gate::new();
    desk.provider.next(Door::Token, Fault::Hold(gate.clone()));
    // The old refresh token's revocation goes astray: only what the flight brings back can end the grant.
    desk.provider.next(Door::Revocation, Fault::Status(503));
    desk.provider.next(Door::Revocation, Fault::Status(503));
    let caller = {
        let (connector, name) = (desk.connector.clone(), desk.name.clone());
        tokio::spawn(async move { connector.token(&name).await })
    };
    gate.reached_by(1).await;
    desk.connector.revoke(&desk.name).await.unwrap();
    gate.open();
    assert_eq!(caller.await.unwrap().unwrap_err().code(), "revoked");
    assert_eq!(desk.provider.families()[0].ended, Some(Ended::Revoked));
    assert_eq!(desk.connection().await.state, ConnectionState::Revoked);
}

#[tokio::test]
async fn a_removed_connection_leaves_no_record() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.connector.remove_connection(&desk.name).await.unwrap();
    assert!(desk.connector.connections(None).await.unwrap().is_empty());
    assert!(desk.connector.credentials(None, None).await.unwrap().is_empty());
    assert!(desk.provider.families()[0].ended.is_some(), "it was revoked first");
    let gone = desk.connector.token(&desk.name).await.unwrap_err();
    assert_eq!(gone.code(), "unknown_connection");
    desk.connector.remove_application(desk.name.application()).await.unwrap();
}

#[tokio::test]
async fn an_application_in_use_is_not_removed() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let refused = desk.connector.remove_application(desk.name.application()).await.unwrap_err();
    assert_eq!(refused.code(), "in_use");
}

#[tokio::test]
async fn a_reply_that_waits_to_be_read_is_revoked_with_its_connection() {
    let scripts = tempfile::tempdir().unwrap();
    let file = scripts.path().join("OAuthMine.rhai");
    let good = "fn preprocessAuthCode(m) { m.put('access_type', 'offline'); m.put('prompt', 'consent'); }";
    std::fs::write(&file, good).unwrap();
    let store = Arc::new(MemoryStore::new());
    let desk = Desk::with(Habits::default(), store, Some(scripts.path()), "script = \"OAuthMine\"").await;
    desk.consent().await.unwrap();
    std::fs::write(&file, format!("{good}\nfn parseTokenResponse(r) {{ throw 'broken'; }}")).unwrap();
    assert!(desk.connector.refresh(&desk.name).await.is_err());
    let live = desk.provider.current_refresh_token(0).unwrap();
    let told = desk.connector.revoke(&desk.name).await.unwrap();
    assert!(
        told.said.iter().any(|(_, said)| matches!(said, ProviderSaid::NotAsked(_))),
        "unread, and it says so: {told:?}"
    );
    std::fs::write(&file, format!("{good} // mended")).unwrap();
    let told = desk.connector.revoke(&desk.name).await.unwrap();
    assert!(told.said.iter().all(|(_, said)| *said == ProviderSaid::Revoked), "{told:?}");
    let sent = desk.provider.requests(Door::Revocation);
    assert!(sent.iter().any(|request| request.params.text("token") == Some(live.expose())), "the live token was named");
}
