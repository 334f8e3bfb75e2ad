//! Consent: what is sent, what comes back, and what is refused.

use crate::support::desk::Desk;
use grantkeeper::connector::{AuthorizeOptions, Error};
use grantkeeper::demo::{Browser, Door, Fault, Gate, Habits};
use grantkeeper::model::{ConnectionState, TokenKind};
use grantkeeper::store::MemoryStore;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

#[tokio::test]
async fn a_consent_brings_an_access_token_and_a_refresh_token() {
    let desk = Desk::new(Habits::default()).await;
    let connection = desk.consent().await.unwrap();
    assert_eq!(connection.state, ConnectionState::Active);
    let token = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!(desk.call(token.secret()).await, 200);
    assert_eq!(desk.credential(TokenKind::RefreshToken).await.generation, 1);
    let request = desk.provider.last_token_request().unwrap();
    assert!(request.params.text("code_verifier").is_some_and(|verifier| verifier.len() >= 43));
    assert!(request.header("authorization").is_some_and(|header| header.starts_with("Basic ")));
    assert!(!request.params.contains("client_secret"));
}

#[tokio::test]
async fn without_the_script_no_refresh_token_comes() {
    let desk = Desk::new(Habits::default()).await;
    desk.apply("", "").await;
    desk.consent().await.unwrap();
    let kinds: Vec<_> = desk.connector.credentials(None, None).await.unwrap().iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [TokenKind::AccessToken]);
}

#[tokio::test]
async fn the_authorization_url_carries_a_challenge_and_a_long_state() {
    let desk = Desk::new(Habits::default()).await;
    let url = desk.connector.authorize(&desk.name, AuthorizeOptions::default()).await.unwrap().url;
    let query: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(query["code_challenge_method"], "S256");
    assert_eq!(query["response_type"], "code");
    assert_eq!(query["access_type"], "offline");
    assert_eq!(query["prompt"], "consent");
    assert!(query["state"].len() >= 43, "256 bits");
    assert!(query["redirect_uri"].ends_with("/oauth/callback/drive"), "a path of the application's own");
    let other = desk.connector.authorize(&desk.name, AuthorizeOptions::default()).await.unwrap().url;
    assert_ne!(url, other);
}

#[tokio::test]
async fn a_state_is_good_once() {
    let desk = Desk::new(Habits::default()).await;
    let callback = desk.callback().await;
    desk.connector.complete(&callback).await.unwrap();
    let again = desk.connector.complete(&callback).await;
    assert!(matches!(again, Err(Error::UnknownState)), "{again:?}");
    assert_eq!(desk.provider.token_requests("authorization_code"), 1);
    assert_eq!(desk.connection().await.state, ConnectionState::Active);
}

#[tokio::test]
async fn of_two_callbacks_at_once_one_goes_on() {
    let desk = Desk::new(Habits::default()).await;
    let callback = desk.callback().await;
    let (one, two) = tokio::join!(desk.connector.complete(&callback), desk.connector.complete(&callback));
    assert!(one.is_ok() != two.is_ok());
    assert_eq!(desk.provider.token_requests("authorization_code"), 1);
}

#[tokio::test]
async fn a_forged_state_is_refused_and_nothing_is_sent() {
    let desk = Desk::new(Habits::default()).await;
    desk.callback().await;
    let at = "http://127.0.0.1:8765/oauth/callback/drive";
    for forged in [format!("{at}?code=c&state=guess"), format!("{at}?code=c&state="), format!("{at}?code=c")] {
        let forged = forged.as_str();
        let refused = desk.connector.complete(forged).await;
        assert!(matches!(refused, Err(Error::UnknownState | Error::NoState | Error::Callback(_))), "{refused:?}");
    }
    assert_eq!(desk.provider.token_requests("authorization_code"), 0);
}

#[tokio::test]
async fn a_callback_of_another_issuer_is_refused() {
    let desk = Desk::new(Habits::default()).await;
    let mut callback = Url::parse(&desk.callback().await).unwrap();
    let pairs: Vec<(String, String)> = callback.query_pairs().into_owned().collect();
    callback.query_pairs_mut().clear().extend_pairs(
        pairs
            .into_iter()
            .map(|(name, value)| if name == "iss" { (name, "https://evil.example".to_owned()) } else { (name, value) }),
    );
    let refused = desk.connector.complete(callback.as_str()).await;
    assert!(matches!(refused, Err(Error::Callback(_))), "{refused:?}");
    assert_eq!(desk.provider.token_requests("authorization_code"), 0);
}

#[tokio::test]
async fn an_issuer_that_was_promised_and_is_missing_is_refused() {
    let desk = Desk::new(Habits::default()).await;
    desk.apply("script = \"OAuthGoogleDrive\"\niss_required = true", "").await;
    let mut callback = Url::parse(&desk.callback().await).unwrap();
    let pairs: Vec<(String, String)> = callback.query_pairs().into_owned().filter(|(name, _)| name != "iss").collect();
    callback.query_pairs_mut().clear().extend_pairs(pairs);
    let refused = desk.connector.complete(callback.as_str()).await;
    assert!(matches!(refused, Err(Error::Callback(_))), "{refused:?}");
}

#[tokio::test]
async fn a_denied_consent_says_so_and_leaves_no_grant() {
    let desk = Desk::new(Habits::default()).await;
    let url = desk.connector.authorize(&desk.name, AuthorizeOptions::default()).await.unwrap().url;
    let callback = Browser::of("alice").unwrap().deny(&url).await.unwrap();
    let denied = desk.connector.complete(callback.as_str()).await;
    assert!(matches!(&denied, Err(Error::Denied { failure, .. }) if failure.code == "access_denied"), "{denied:?}");
    assert_eq!(desk.connection().await.state, ConnectionState::Unauthorized);
}

#[tokio::test]
async fn a_denied_second_consent_leaves_the_first_grant_alone() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let url = desk.connector.authorize(&desk.name, AuthorizeOptions::default()).await.unwrap().url;
    let callback = Browser::of("alice").unwrap().deny(&url).await.unwrap();
    assert!(desk.connector.complete(callback.as_str()).await.is_err());
    assert_eq!(desk.connection().await.state, ConnectionState::Active);
    assert!(desk.connector.token(&desk.name).await.is_ok());
}

#[tokio::test]
async fn an_authorization_ends_after_a_quarter_of_an_hour() {
    let desk = Desk::new(Habits::default()).await;
    let callback = desk.callback().await;
    desk.clock.advance(Duration::from_secs(15 * 60));
    let late = desk.connector.complete(&callback).await;
    assert!(matches!(late, Err(Error::Expired(_))), "{late:?}");
    assert_eq!(desk.provider.token_requests("authorization_code"), 0);
}

#[tokio::test]
async fn an_expired_code_is_told_with_what_to_do() {
    let desk = Desk::new(Habits::default()).await;
    let callback = desk.callback().await;
    desk.clock.advance(Duration::from_secs(61));
    let late = desk.connector.complete(&callback).await.unwrap_err();
    assert_eq!(late.code(), "reauthorization_required");
    assert!(late.to_string().contains("connect again"), "{late}");
    assert_eq!(desk.connection().await.state, ConnectionState::Unauthorized);
}

#[tokio::test]
async fn a_new_consent_replaces_every_token_of_the_old_one() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let first = desk.connector.token(&desk.name).await.unwrap();
    desk.consent().await.unwrap();
    let second = desk.connector.token(&desk.name).await.unwrap();
    assert_ne!(first.secret(), second.secret());
    assert_eq!(desk.connector.credentials(None, None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_application_that_is_not_active_connects_nobody() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.apply("active = false", "").await;
    let refused = desk.connector.authorize(&desk.name, AuthorizeOptions::default()).await;
    assert!(matches!(refused, Err(Error::Inactive(_))));
    assert_eq!(desk.connector.token(&desk.name).await.unwrap_err().code(), "inactive");
}

#[tokio::test]
async fn the_metadata_of_an_issuer_fills_the_endpoints_in() {
    let desk = Desk::new(Habits::default()).await;
    let file = format!(
        "name = \"found\"\nclient_id = \"x\"\nclient_secret = {{ env = \"ANY\" }}\n[endpoints]\nissuer = {:?}\n",
        desk.provider.issuer()
    );
    let draft = grantkeeper::registry::parse_application(&file, "found.toml", false).unwrap();
    let (application, _) = desk.connector.apply(draft, &mut |_| Ok("s".to_owned().into())).await.unwrap();
    assert_eq!(application.endpoints.token.unwrap().url(), &desk.provider.token_endpoint());
    assert_eq!(application.endpoints.revocation.unwrap().url(), &desk.provider.revocation_endpoint());
    assert!(application.iss_required, "the metadata promises iss");
}

#[tokio::test]
async fn a_callback_that_arrived_elsewhere_is_refused_and_the_right_one_still_works() {
    let desk = Desk::new(Habits::default()).await;
    let callback = desk.callback().await;
    for elsewhere in
        ["127.0.0.1:8765/oauth/callback/other", "127.0.0.1:9/oauth/callback/drive", "192.0.2.7/oauth/callback/drive"]
    {
        let moved = callback.replace("127.0.0.1:8765/oauth/callback/drive", elsewhere);
        assert_ne!(moved, callback);
        let refused = desk.connector.complete(&moved).await;
        assert!(matches!(refused, Err(Error::WrongRedirect { .. })), "{refused:?}");
    }
    let query = callback.split_once('?').unwrap().1;
    assert!(desk.connector.complete(query).await.is_err(), "a bare query does not say where it arrived");
    assert_eq!(desk.provider.token_requests("authorization_code"), 0);
    desk.connector.complete(&callback).await.unwrap();
}

#[tokio::test]
async fn a_consent_that_was_begun_before_a_revocation_does_not_outlive_it() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let callback = desk.callback().await;
    desk.connector.revoke(&desk.name).await.unwrap();
    let refused = desk.connector.complete(&callback).await;
    assert!(matches!(refused, Err(Error::RevokedMeanwhile(_))), "{refused:?}");
    assert_eq!(desk.connection().await.state, ConnectionState::Revoked);
    desk.consent().await.unwrap();
    assert_eq!(desk.connection().await.state, ConnectionState::Active, "a consent begun afterwards is a new one");
}

#[tokio::test]
async fn what_comes_back_for_a_connection_that_was_removed_meanwhile_is_revoked() {
    let desk = Desk::new(Habits::default()).await;
    let callback = desk.callback().await;
    let gate = Gate::new();
    desk.provider.next(Door::Token, Fault::Hold(gate.clone()));
    let completing = {
        let connector = desk.connector.clone();
        tokio::spawn(async move { connector.complete(&callback).await })
    };
    gate.reached_by(1).await;
    desk.connector.remove_connection(&desk.name).await.unwrap();
    gate.open();
    assert!(matches!(completing.await.unwrap(), Err(Error::RevokedMeanwhile(_))));
    assert!(desk.connector.connections(None).await.unwrap().is_empty());
    assert!(desk.provider.families()[0].ended.is_some(), "the new grant was ended at the provider");
}

#[tokio::test]
async fn a_script_cannot_drop_what_protects_the_callback() {
    let scripts = tempfile::tempdir().unwrap();
    for (name, parameter) in [("OAuthA", "state"), ("OAuthB", "code_challenge"), ("OAuthC", "nonce")] {
        let script = format!("fn preprocessAuthCode(m) {{ m.remove('{parameter}'); }}");
        std::fs::write(scripts.path().join(format!("{name}.rhai")), script).unwrap();
        let store = Arc::new(MemoryStore::new());
        let desk = Desk::with(Habits::default(), store, Some(scripts.path()), &format!("script = \"{name}\"")).await;
        desk.apply(&format!("script = \"{name}\""), "[profiles.signed]\nscopes = [\"openid\"]").await;
        let options = AuthorizeOptions { profile: Some("signed".parse().unwrap()), ..AuthorizeOptions::default() };
        let refused = desk.connector.authorize(&desk.name, options).await;
        assert!(
            matches!(&refused, Err(Error::ScriptTook { parameter: took, .. }) if *took == parameter),
            "{refused:?}"
        );
    }
}
