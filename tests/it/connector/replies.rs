//! Replies as providers really give them.

use crate::support::desk::Desk;
use grantkeeper::connector::{ConnectOptions, Proof};
use grantkeeper::demo::{Door, Fault, Gate, Habits, ReplyStyle, SeenRequest};
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

/// A script, or a provider, that brings a further token with every reply, each time under one name more.
const BRINGS_MORE: &str = r#"
fn preprocessAuthCode(requestParamMap) {
    requestParamMap.put('access_type', 'offline');
    requestParamMap.put('prompt', 'consent');
}

fn postprocessAccessToken(accessTokenResponse) {
    let paramMap = accessTokenResponse.getparameters();
    let another = 'n' + uuid();
    let tokens = #{ user: #{ access_token: 'user-' + uuid() } };
    tokens[another] = #{ access_token: another };
    paramMap.put('tokens', tokens);
}
"#;

#[tokio::test]
async fn a_further_token_that_was_ended_does_not_come_back_with_a_refresh() {
    let scripts = tempfile::tempdir().unwrap();
    std::fs::write(scripts.path().join("OAuthMore.rhai"), BRINGS_MORE).unwrap();
    let store = Arc::new(MemoryStore::new());
    let desk = Desk::with(Habits::default(), store, Some(scripts.path()), "script = \"OAuthMore\"").await;
    desk.consent().await.unwrap();
    let user = desk.name.with_token("user").unwrap();
    desk.connector.revoke(&user).await.unwrap();
    desk.connector.refresh(&desk.name).await.unwrap();
    assert_eq!(desk.connector.token(&user).await.unwrap_err().code(), "revoked");
    // What the refresh brought of it is ended at the provider too.
    let ended = |request: &SeenRequest| request.params.text("token").is_some_and(|token| token.starts_with("user-"));
    assert_eq!(desk.provider.requests(Door::Revocation).iter().filter(|request| ended(request)).count(), 2);
    desk.consent().await.unwrap();
    assert!(desk.connector.token(&user).await.is_ok(), "a consent brings it back");
}

#[tokio::test]
async fn further_tokens_do_not_grow_without_end() {
    let scripts = tempfile::tempdir().unwrap();
    std::fs::write(scripts.path().join("OAuthMore.rhai"), BRINGS_MORE).unwrap();
    let store = Arc::new(MemoryStore::new());
    let desk = Desk::with(Habits::default(), store, Some(scripts.path()), "script = \"OAuthMore\"").await;
    desk.consent().await.unwrap();
    for _ in 0..20 {
        desk.connector.refresh(&desk.name).await.unwrap();
    }
    assert_eq!(desk.connection().await.tokens.len(), 16);
    assert_eq!(desk.connector.connections(None).await.unwrap().len(), 17);
}

/// A refresh token from elsewhere is another grant: what the old one brought does not live on under the connection's name.
#[tokio::test]
async fn a_refresh_token_from_elsewhere_ends_the_further_tokens_of_the_old_grant() {
    let habits = Habits { further_token: true, ..Habits::default() };
    let lines = "script = \"OAuthGoogleDrive\"\ntokens.user.root = \"authed_user\"";
    let desk = Desk::with(habits, Arc::new(MemoryStore::new()), None, lines).await;
    desk.consent().await.unwrap();
    let user = desk.name.with_token("user").unwrap();
    assert!(desk.connector.token(&user).await.is_ok());
    let proof = Proof::RefreshToken(desk.provider.current_refresh_token(0).unwrap());
    let options = ConnectOptions { proof, ..ConnectOptions::default() };
    assert!(desk.connector.connect(&desk.name, options).await.unwrap().tokens.is_empty());
    assert_eq!(desk.connector.token(&user).await.unwrap_err().code(), "unknown_connection");
}

/// A refresh of the connection repeats the further token's access token while that one is being rotated: the new refresh
/// token must not be lost, the old one is dead.
#[tokio::test]
async fn a_connections_refresh_does_not_cost_its_further_token_a_rotation_under_way() {
    let scripts = tempfile::tempdir().unwrap();
    let script = r#"
fn preprocessAuthCode(requestParamMap) {
    requestParamMap.put('access_type', 'offline');
    requestParamMap.put('prompt', 'consent');
}

fn postprocessAccessToken(accessTokenResponse) {
    let context = this.oauthContext;
    if context.getGrantType() == 'refresh_token' && context.getConnection().getTokenName() == () {
        accessTokenResponse.getparameters().put('tokens', #{ user: #{ access_token: 'user-' + uuid() } });
    }
}
"#;
    std::fs::write(scripts.path().join("OAuthRepeats.rhai"), script).unwrap();
    let habits = Habits { further_token: true, ..Habits::default() };
    let lines = "script = \"OAuthRepeats\"\ntokens.user.root = \"authed_user\"";
    let desk = Desk::with(habits, Arc::new(MemoryStore::new()), Some(scripts.path()), lines).await;
    desk.consent().await.unwrap();
    let user = desk.name.with_token("user").unwrap();
    let gate = Gate::new();
    desk.provider.next(Door::Token, Fault::Hold(gate.clone()));
    let rotating = {
        let (connector, user) = (desk.connector.clone(), user.clone());
        tokio::spawn(async move { connector.refresh(&user).await })
    };
    gate.reached_by(1).await;
    desk.connector.refresh(&desk.name).await.unwrap();
    gate.open();
    rotating.await.unwrap().unwrap();
    desk.connector.refresh(&user).await.unwrap();
}

/// A header of the application's own and our client authentication cannot both be `Authorization`: which one the provider would see is not left to
/// chance.
#[tokio::test]
async fn two_authorizations_of_one_request_are_told_and_nothing_is_sent() {
    let lines = "token.headers = { Authorization = \"Bearer {client_secret}\" }";
    let desk = Desk::with(Habits::default(), Arc::new(MemoryStore::new()), None, lines).await;
    let error = desk.consent().await.unwrap_err().to_string();
    assert!(error.contains("client_authentication") && error.contains("Authorization"), "{error}");
    assert!(desk.provider.requests(Door::Token).is_empty());
    let lines = format!("{lines}\nclient_authentication = \"none\"");
    let desk = Desk::with(Habits::default(), Arc::new(MemoryStore::new()), None, &lines).await;
    let _ = desk.consent().await; // what the provider makes of it is its own
    assert_eq!(desk.provider.requests(Door::Token).len(), 1);
}
