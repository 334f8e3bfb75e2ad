//! Habits and faults.

use super::*;

#[tokio::test]
async fn a_reduced_scope_is_stated() {
    let site = site(Habits { withheld_scopes: vec!["profile".to_owned()], ..Habits::default() }).await;
    let reply = site.exchange(&site.code().await).await;
    assert_eq!(reply.text("scope"), "drive.readonly");
}

#[tokio::test]
async fn replies_come_in_every_style() {
    let site = site(Habits::default()).await;
    let styled = async |reply_style, form: &[(&str, &str)]| {
        site.provider.set_habits(Habits { reply_style, ..Habits::default() });
        site.token(form).await
    };
    let good = [("grant_type", "client_credentials"), ("scope", "a&b")];
    let bad = [("grant_type", "refresh_token"), ("refresh_token", "unknown")];
    let reply = styled(ReplyStyle::JsonAsHtml, &good).await;
    assert_eq!((reply.content_type.as_str(), reply.text("scope").as_str()), ("text/html", "a&b"));
    let reply = styled(ReplyStyle::Form, &good).await;
    assert_eq!(reply.content_type, "application/x-www-form-urlencoded");
    assert_eq!(Params::from_form(reply.body.as_bytes()).text("scope"), Some("a&b"));
    let reply = styled(ReplyStyle::Xml, &good).await;
    let xml = roxmltree::Document::parse(&reply.body).unwrap();
    let scope = xml.descendants().find(|node| node.has_tag_name("scope")).unwrap();
    assert_eq!((reply.content_type.as_str(), scope.text()), ("application/xml", Some("a&b")));
    let reply = styled(ReplyStyle::Nested, &good).await.json();
    assert!(reply["ok"] == json!(true) && reply["authed_user"]["access_token"].is_string());
    for style in [ReplyStyle::Nested, ReplyStyle::ErrorInOk] {
        let reply = styled(style, &bad).await;
        assert_eq!(
            (reply.status, &reply.json()["ok"], reply.error()),
            (200, &json!(false), "invalid_grant".to_owned())
        );
    }
    let reply = styled(ReplyStyle::Html, &good).await;
    assert!(reply.status == 200 && reply.body.starts_with("<!doctype html>"));
    assert_eq!(styled(ReplyStyle::Empty, &good).await.body, "");
    assert!(styled(ReplyStyle::Huge, &good).await.body.len() > 10 << 20);
}

#[tokio::test]
async fn a_lifetime_is_stated_in_every_spelling() {
    let site = site(Habits::default()).await;
    let cases = [
        (ExpiresIn::Number, json!(3600)),
        (ExpiresIn::Text, json!("3600")),
        (ExpiresIn::Float, json!(3600.0)),
        (ExpiresIn::Absent, Value::Null),
    ];
    for (expires_in, expected) in cases {
        site.provider.set_habits(Habits { expires_in, ..Habits::default() });
        assert_eq!(site.token(&[("grant_type", "client_credentials")]).await.json()["expires_in"], expected);
    }
}

#[tokio::test]
async fn a_provider_that_refuses_everything_does() {
    let site = site(Habits { refuses: Some("invalid_grant".to_owned()), ..Habits::default() }).await;
    assert_eq!(site.token(&[("grant_type", "client_credentials")]).await.error(), "invalid_grant");
}

#[tokio::test]
async fn faults_happen_in_order_once_each_and_process_nothing() {
    let site = site(Habits::default()).await;
    site.provider.next(Door::Token, Fault::Status(503));
    site.provider.next(Door::Token, Fault::TooManyRequests { retry_after: "7".to_owned() });
    site.provider.next(Door::Token, Fault::Redirect("https://evil.example/".to_owned()));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(site.token(&[("grant_type", "client_credentials")]).await.status);
    }
    assert_eq!(statuses, [503, 429, 307, 200]);
    assert_eq!(site.provider.families().len(), 1);
    assert_eq!(site.provider.token_requests("client_credentials"), 4);
    let seen = site.provider.last_token_request().unwrap();
    assert_eq!(seen.header("authorization"), Some("Basic d2ViOnMzY3JldA=="));
    assert!(!format!("{seen:?}").contains("d2ViOnMzY3JldA"));
}

#[tokio::test]
async fn a_dropped_reply_was_processed() {
    let site = site(Habits::default()).await;
    let (_, refresh) = site.granted().await;
    site.provider.next(Door::Token, Fault::Drop);
    let request = site
        .http
        .post(site.provider.token_endpoint())
        .header("content-type", "application/x-www-form-urlencoded")
        .basic_auth("web", Some("s3cret"))
        .body(format!("grant_type=refresh_token&refresh_token={refresh}"));
    assert!(request.send().await.is_err());
    assert_ne!(site.provider.current_refresh_token(0).unwrap().expose(), refresh);
    assert_eq!(site.token(&[("grant_type", "client_credentials")]).await.status, 200);
}

#[tokio::test]
async fn a_lost_request_was_not_processed_and_a_gateways_error_may_hide_that_one_was() {
    let site = site(Habits::default()).await;
    let (_, refresh) = site.granted().await;
    site.provider.next_all(Door::Token, 2, &Fault::Lose);
    for _ in 0..2 {
        let request = site
            .http
            .post(site.provider.token_endpoint())
            .header("content-type", "application/x-www-form-urlencoded")
            .basic_auth("web", Some("s3cret"))
            .body(format!("grant_type=refresh_token&refresh_token={refresh}"));
        assert!(request.send().await.is_err());
    }
    assert_eq!(site.provider.current_refresh_token(0).unwrap().expose(), refresh);
    site.provider.next(Door::Token, Fault::StatusAfter(504));
    assert_eq!(site.refresh(&refresh).await.status, 504);
    assert_ne!(site.provider.current_refresh_token(0).unwrap().expose(), refresh);
}

#[tokio::test]
async fn a_held_reply_was_processed_and_waits_for_the_gate() {
    let site = site(Habits::default()).await;
    let (_, refresh) = site.granted().await;
    let gate = Gate::new();
    site.provider.next(Door::Token, Fault::Hold(gate.clone()));
    let mut waiting = Box::pin(site.refresh(&refresh));
    tokio::select! {
        _ = &mut waiting => panic!("the reply came through a closed gate"),
        () = gate.reached_by(1) => {}
    }
    let current = site.provider.current_refresh_token(0).unwrap();
    assert_ne!(current.expose(), refresh);
    gate.open();
    assert_eq!(waiting.await.text("refresh_token"), current.expose());
}

#[tokio::test]
async fn a_stopped_or_dropped_provider_does_not_answer() {
    let stopped = site(Habits::default()).await;
    let url = stopped.provider.files_url();
    stopped.provider.stop().await;
    assert!(stopped.http.get(url).send().await.is_err());
    let dropped = site(Habits::default()).await;
    let url = dropped.provider.files_url();
    drop(dropped.provider);
    tokio::task::yield_now().await;
    assert!(dropped.http.get(url).send().await.is_err());
}

#[tokio::test]
async fn nothing_prints_a_secret() {
    let site = site(Habits::default()).await;
    let (access, refresh) = site.granted().await;
    let printed =
        format!("{:?} {:?} {:?}", site.provider, site.provider.families(), site.provider.last_token_request());
    for secret in [access.as_str(), refresh.as_str(), "s3cret", VERIFIER] {
        assert!(!printed.contains(secret));
    }
}
