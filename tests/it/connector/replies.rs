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
