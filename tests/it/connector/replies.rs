//! Replies as providers really give them.

use crate::support::desk::Desk;
use grantkeeper::demo::{Door, Fault, Habits, ReplyStyle};
use grantkeeper::model::ConnectionState;
use grantkeeper::store::MemoryStore;
use std::sync::Arc;

#[tokio::test]
async fn json_as_html_and_a_form_are_read_without_a_script() {
    for style in [ReplyStyle::Json, ReplyStyle::JsonAsHtml, ReplyStyle::Form] {
        let desk = Desk::new(Habits { reply_style: style, ..Habits::default() }).await;
        desk.consent().await.unwrap();
        let token = desk.connector.token(&desk.name).await.unwrap();
        assert_eq!(desk.call(token.secret()).await, 200, "{style:?}");
        desk.pass_an_hour();
        assert!(desk.connector.token(&desk.name).await.is_ok(), "{style:?}");
    }
}

#[tokio::test]
async fn an_error_inside_a_200_is_an_error() {
    let desk = Desk::new(Habits { reply_style: ReplyStyle::ErrorInOk, ..Habits::default() }).await;
    desk.consent().await.unwrap();
    desk.provider.kill_family(0);
    desk.pass_an_hour();
    let refused = desk.connector.token(&desk.name).await.unwrap_err();
    assert_eq!(refused.code(), "reauthorization_required", "{refused}");
}

#[tokio::test]
async fn a_page_an_empty_body_and_ten_megabytes_kill_no_grant_and_are_told_by_their_shape() {
    for (style, shape) in
        [(ReplyStyle::Html, "HTML"), (ReplyStyle::Empty, "nothing"), (ReplyStyle::Huge, "1048576 bytes")]
    {
        let desk = Desk::new(Habits::default()).await;
        desk.consent().await.unwrap();
        desk.provider.set_habits(Habits { reply_style: style, ..Habits::default() });
        let error = desk.connector.refresh(&desk.name).await.unwrap_err();
        assert!(error.to_string().contains(shape), "{style:?}: {error}");
        assert_eq!(desk.connection().await.state, ConnectionState::Degraded);
        assert!(desk.connector.token(&desk.name).await.is_ok(), "the old token still works");
    }
}

#[tokio::test]
async fn a_redirect_at_the_token_endpoint_is_not_followed() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let elsewhere = Desk::new(Habits::default()).await;
    desk.provider.next(Door::Token, Fault::Redirect(elsewhere.provider.token_endpoint().into()));
    assert!(desk.connector.refresh(&desk.name).await.is_err());
    assert!(elsewhere.provider.requests(Door::Token).is_empty(), "the refresh token went to a stranger");
}

#[tokio::test]
async fn xml_is_read_by_a_short_script() {
    let scripts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scripts");
    let habits = Habits { reply_style: ReplyStyle::Xml, ..Habits::default() };
    let desk = Desk::with(habits, Arc::new(MemoryStore::new()), Some(&scripts), "script = \"OAuthAcmeXml\"").await;
    desk.consent().await.unwrap();
    let token = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!(desk.call(token.secret()).await, 200);
}

#[tokio::test]
async fn a_renamed_copy_of_oauthutil_does_what_it_does() {
    let scripts = tempfile::tempdir().unwrap();
    let util = include_str!("../../../scripts/OAuthUtil.rhai");
    std::fs::write(scripts.path().join("OAuthMyUtil.rhai"), util).unwrap();
    let store = Arc::new(MemoryStore::new());
    let desk = Desk::with(Habits::default(), store, Some(scripts.path()), "script = \"OAuthMyUtil\"").await;
    desk.consent().await.unwrap();
    assert!(desk.connector.token(&desk.name).await.is_ok());
}

/// Slack's bot and person: one consent, one connection, two tokens that live and die by themselves.
#[tokio::test]
async fn a_second_token_of_a_reply_is_a_credential_with_its_own_refresh() {
    let habits = Habits { further_token: true, ..Habits::default() };
    let lines = "script = \"OAuthGoogleDrive\"\ntokens.user.root = \"authed_user\"";
    let desk = Desk::with(habits, Arc::new(MemoryStore::new()), None, lines).await;
    let connection = desk.consent().await.unwrap();
    let user = desk.name.with_token("user").unwrap();
    assert_eq!(connection.further().next().as_ref(), Some(&user));
    let token = async |name| desk.connector.token(name).await.unwrap();
    let (first, second) = (token(&desk.name).await, token(&user).await);
    assert_ne!(first.secret(), second.secret());
    assert_eq!(second.scopes(), ["search.read"]);
    assert!(!serde_json::to_string(&connection.fields).unwrap().contains("token"), "{:?}", connection.fields);
    assert_eq!((desk.call(first.secret()).await, desk.call(second.secret()).await), (200, 403), "the scopes differ");

    // Each is refreshed by itself, with its own refresh token.
    desk.connector.refresh(&user).await.unwrap();
    assert_ne!(token(&user).await.secret(), second.secret());
    assert_eq!(token(&desk.name).await.secret(), first.secret());
    desk.connector.refresh(&desk.name).await.unwrap();
    assert_ne!(token(&desk.name).await.secret(), first.secret());
    desk.pass_an_hour();
    assert_eq!(desk.connector.refresh_due().await.unwrap().refreshed, 2);

    // One that dies leaves the other alone.
    desk.provider.kill_family(1);
    assert_eq!(desk.connector.refresh(&user).await.unwrap_err().code(), "reauthorization_required");
    assert_eq!(desk.connection().await.state, ConnectionState::Active);
    assert!(desk.connector.refresh(&desk.name).await.is_ok());

    // A new consent brings both back; without the second it ends.
    desk.consent().await.unwrap();
    assert!(desk.connector.token(&user).await.is_ok());
    desk.provider.set_habits(Habits::default());
    assert!(desk.consent().await.unwrap().tokens.is_empty());
    assert_eq!(desk.connector.token(&user).await.unwrap_err().code(), "unknown_connection");
}

#[tokio::test]
async fn a_connection_ends_with_its_further_tokens() {
    let habits = Habits { further_token: true, ..Habits::default() };
    let lines = "script = \"OAuthGoogleDrive\"\ntokens.user.root = \"authed_user\"";
    let desk = Desk::with(habits, Arc::new(MemoryStore::new()), None, lines).await;
    desk.consent().await.unwrap();
    let user = desk.name.with_token("user").unwrap();
    let said = desk.connector.revoke(&desk.name).await.unwrap().said;
    assert_eq!(said.len(), 4, "{said:?}");
    assert_eq!(desk.connector.token(&user).await.unwrap_err().code(), "revoked");
    desk.connector.remove_connection(&desk.name).await.unwrap();
    assert!(desk.connector.connections(None).await.unwrap().is_empty());
    assert_eq!(desk.consent_to(&user).await.unwrap_err().code(), "further_token");
}
