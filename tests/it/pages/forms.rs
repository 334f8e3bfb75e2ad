//! What forms do, and whose are taken.

use super::stage::{Me, Stage};
use grantkeeper::connector::CredentialState;
use grantkeeper::model::{ConnectionState, TokenKind};
use serde_json::json;

/// Where the stage stands, to tell whether anything was changed.
async fn standing(stage: &Stage) -> String {
    let connector = &stage.desk.connector;
    let mut all = String::new();
    for connection in connector.connections(None).await.unwrap() {
        all += &format!("{} {} {:?}\n", connection.name, connection.generation, connection.state);
    }
    for credential in connector.credentials(None, None).await.unwrap() {
        all += &format!("{} {:?} {:?}\n", credential.id, credential.expires, credential.revoked);
    }
    for application in connector.applications().await.unwrap() {
        all += &format!("{application:?}\n");
    }
    for key in connector.api_keys().await.unwrap() {
        all += &format!("{} {:?}\n", key.name, key.revoked);
    }
    all
}

/// Every form that changes something, with its fields.
async fn forms(stage: &Stage) -> Vec<(String, Vec<(&'static str, &'static str)>)> {
    let access = stage.credential("drive/reports", TokenKind::AccessToken).await;
    vec![
        ("/connections/drive/reports/refresh".to_owned(), vec![]),
        ("/connections/drive/reports/revoke".to_owned(), vec![]),
        (format!("{access}/expires"), vec![("expires", "2030-01-31T12:00")]),
        (format!("{access}/revoke"), vec![]),
        ("/scripts/OAuthUtil/try".to_owned(), vec![("reply", "{}")]),
        ("/connect".to_owned(), vec![("application", "drive"), ("name", "other")]),
        ("/connect/withdraw".to_owned(), vec![("id", "0")]),
        ("/applications/drive/switch".to_owned(), vec![]),
        ("/applications/drive/remove".to_owned(), vec![]),
        ("/applications/drive/test".to_owned(), vec![]),
        ("/applications/drive/edit".to_owned(), vec![("file", "name = \"drive\"")]),
        (
            "/new-application".to_owned(),
            vec![("provider", "google"), ("name", "new"), ("client_id", "x"), ("client_secret", "y")],
        ),
        ("/api-keys/reporting/revoke".to_owned(), vec![]),
        ("/audit/verify".to_owned(), vec![]),
        ("/sign-out".to_owned(), vec![]),
    ]
}

#[tokio::test]
async fn a_form_without_what_it_must_carry_or_from_elsewhere_changes_nothing() {
    let stage = Stage::new().await;
    super::api_keys::make(&stage).await;
    let (me, other) = (stage.sign_in().await, stage.sign_in().await);
    let before = standing(&stage).await;
    for (path, fields) in forms(&stage).await {
        let with = |form: &str| {
            let mut fields: Vec<(String, String)> =
                fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            fields.push(("form".to_owned(), form.to_owned()));
            fields
        };
        let sent = async |headers: &[(&str, &str)], form: &str| {
            let fields = with(form);
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let headers: Vec<(&str, &str)> = headers.iter().copied().chain([("cookie", me.cookie.as_str())]).collect();
            stage.post(&path, &headers, &fields).await.status
        };
        assert_eq!(sent(&[], "").await, 403, "{path} without the form's token");
        assert_eq!(sent(&[], &other.form).await, 403, "{path} with another session's");
        for headers in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", ""), ("origin", "https://evil.example")],
            &[("sec-fetch-site", ""), ("origin", "null")],
            &[("sec-fetch-site", ""), ("origin", "")],
            &[("origin", "https://evil.example")],
        ] {
            assert_eq!(sent(headers, &me.form).await, 403, "{path} {headers:?}");
        }
        assert_eq!(sent(&[("content-type", "text/plain")], &me.form).await, 415, "{path}");
        // Nor as somebody who is not signed in, or by looking.
        assert_eq!(stage.post(&path, &[], &[("form", &me.form)]).await.status, 401, "{path}");
        let looked = stage.see(&me, &path).await;
        assert!(matches!(looked.status, 200 | 405), "{path}: {looked:?}");
        assert_eq!(standing(&stage).await, before, "{path}");
        assert_eq!(stage.see(&me, "/tokens").await.status, 200, "still signed in");
    }
}

#[tokio::test]
async fn refresh_now_refreshes_and_says_what_the_provider_said_when_it_does_not() {
    let stage = Stage::full().await;
    let me = stage.sign_in().await;
    let done = stage.act(&me, "/connections/drive/reports/refresh", &[]).await;
    assert_eq!((done.status, done.header("location")), (303, "/connections/drive/reports?did=refreshed"));
    assert_eq!(stage.desk.connection().await.generation, 2);
    assert!(stage.see(&me, done.header("location")).await.body.contains("a new access token is here"));
    let words = "Come back on Monday.";
    stage.answers("quickbooks", 503, json!({ "error": "temporarily_unavailable", "error_description": words }));
    let failed = stage.act(&me, "/connections/quickbooks/ledger/refresh", &[]).await;
    assert_eq!(failed.status, 503);
    assert!(failed.body.contains("It was not refreshed.") && failed.body.contains(words), "{}", failed.body);
    let missing = stage.act(&me, "/connections/quickbooks/nobody/refresh", &[]).await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn revoke_asks_first_and_says_what_the_provider_answered() {
    let stage = Stage::full().await;
    let me = stage.sign_in().await;
    let asked = stage.see(&me, "/connections/drive/reports/revoke").await;
    assert!(asked.body.contains("Revoke access of drive/reports?") && asked.body.contains("Keep it"), "{}", asked.body);
    assert_eq!(stage.desk.connection().await.state, ConnectionState::Active);
    let done = stage.act(&me, "/connections/drive/reports/revoke", &[]).await;
    assert_eq!(done.status, 200);
    assert!(done.body.contains("Ended here.") && done.body.contains("It revoked the token"), "{}", done.body);
    assert_eq!(stage.desk.connection().await.state, ConnectionState::Revoked);
    stage.answers("quickbooks", 500, json!({ "error": "server_error", "error_description": "Ask somebody else." }));
    let failed = stage.act(&me, "/connections/quickbooks/ledger/revoke", &[]).await;
    assert!(
        failed.body.contains("It did not revoke the token") && failed.body.contains("Ask somebody else."),
        "{}",
        failed.body
    );
}

#[tokio::test]
async fn one_access_token_is_revoked_and_its_grant_goes_on() {
    let stage = Stage::new().await;
    let me = stage.sign_in().await;
    let path = format!("{}/revoke", stage.credential("drive/reports", TokenKind::AccessToken).await);
    assert!(stage.see(&me, &path).await.body.contains("Only this access token ends"));
    let done = stage.act(&me, &path, &[]).await;
    assert!(done.body.contains("A token of drive/reports is revoked"), "{}", done.body);
    assert_eq!(stage.desk.connection().await.state, ConnectionState::Active);
    let credential = stage.desk.connector.credential(path.split('/').nth(2).unwrap().parse().unwrap()).await.unwrap();
    assert_eq!(credential.state, CredentialState::Revoked);
}

#[tokio::test]
async fn expires_is_edited_and_what_is_no_time_is_said_at_the_field() {
    let stage = Stage::new().await;
    let me = stage.sign_in().await;
    let path = format!("{}/expires", stage.credential("drive/reports", TokenKind::AccessToken).await);
    let shown = stage.see(&me, &path).await;
    assert!(shown.body.contains("value=\"2026-11-23T13:00:00\""), "{}", shown.body);
    let wrong = stage.act(&me, &path, &[("expires", "soon")]).await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.body.contains("aria-invalid=\"true\"") && wrong.body.contains("This is not a time"),
        "{}",
        wrong.body
    );
    let done = stage.act(&me, &path, &[("expires", "2026-11-23T12:10")]).await;
    assert_eq!((done.status, done.header("location")), (303, "/connections/drive/reports?did=expires"));
    let credential = stage.desk.credential(TokenKind::AccessToken).await;
    assert_eq!(credential.expires.at.to_string(), "2026-11-23T12:10:00Z");
    assert!(stage.see(&me, "/tokens").await.body.contains("edited here"));
}

#[tokio::test]
async fn a_form_that_is_too_large_is_refused() {
    let stage = Stage::new().await;
    let me: Me = stage.sign_in().await;
    let large = "x".repeat(2 * 1024 * 1024);
    let refused = stage.act(&me, "/connections/drive/reports/refresh", &[("more", &large)]).await;
    assert_eq!(refused.status, 413);
    assert_eq!(stage.desk.connection().await.generation, 1);
}
