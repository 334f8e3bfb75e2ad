//! From the authorization request, or the device, to the grant.

use super::*;

#[tokio::test]
async fn the_callback_carries_code_state_and_iss() {
    let site = site(Habits::default()).await;
    let callback = site.consent().await;
    assert!(callback.as_str().starts_with(REDIRECT));
    assert!(query(&callback, "code").starts_with("demo-code-"));
    assert_eq!(query(&callback, "state"), "st&te 1");
    assert_eq!(query(&callback, "iss"), site.provider.issuer());
}

#[tokio::test]
async fn a_denial_comes_back_as_access_denied() {
    let site = site(Habits::default()).await;
    let callback = Browser::of("alice").unwrap().deny(&site.authorization_url(&[])).await.unwrap();
    assert_eq!(query(&callback, "error"), "access_denied");
    assert_eq!(query(&callback, "code"), "");
}

#[tokio::test]
async fn a_refresh_token_needs_offline_access_and_the_consent_prompt() {
    let site = site(Habits::default()).await;
    let cases: [(&[(&str, &str)], bool); 4] =
        [(&[], false), (&OFFLINE[..1], false), (&OFFLINE[1..], false), (&OFFLINE, true)];
    for (more, expected) in cases {
        let callback = Browser::of("alice").unwrap().consent(&site.authorization_url(more)).await.unwrap();
        let reply = site.exchange(&query(&callback, "code")).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.json().get("refresh_token").is_some(), expected, "{more:?}");
    }
}

#[tokio::test]
async fn an_unregistered_redirect_address_gets_a_page_and_no_redirect() {
    let site = site(Habits::default()).await;
    for wrong in [
        "http://127.0.0.1/callback/other",
        "https://evil.example/callback/drive",
        "http://127.0.0.1/callback/drive?x=1",
    ] {
        let outcome = Browser::of("alice").unwrap().consent(&site.authorization_url(&[("redirect_uri", wrong)])).await;
        let Err(BrowserError::Page(page)) = outcome else { panic!("{wrong}: {outcome:?}") };
        assert_eq!((page.status, page.title().as_str()), (400, "redirect_uri_mismatch"));
        assert!(page.location.is_none());
    }
    let unknown = site.authorization_url(&[("client_id", "nobody")]);
    assert!(matches!(Browser::of("alice").unwrap().consent(&unknown).await, Err(BrowserError::Page(_))));
}

#[tokio::test]
async fn a_loopback_redirect_may_have_any_port() {
    let site = site(Habits::default()).await;
    let url = site.authorization_url(&[("redirect_uri", "http://127.0.0.1:54321/callback/drive")]);
    let callback = Browser::of("alice").unwrap().consent(&url).await.unwrap();
    assert_eq!(callback.port(), Some(54321));
}

#[tokio::test]
async fn faults_of_the_request_go_back_to_the_application() {
    let site = site(Habits::default()).await;
    site.provider.register(Client::public("native").redirecting_to(REDIRECT.parse().unwrap()));
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("code_challenge_method", "S512")], "invalid_request"),
        (&[("code_challenge", "short")], "invalid_request"),
        (&[("client_id", "native"), ("code_challenge", ""), ("code_challenge_method", "")], "invalid_request"),
    ];
    for (more, error) in cases {
        let callback = Browser::of("alice").unwrap().consent(&site.authorization_url(more)).await.unwrap();
        assert_eq!(query(&callback, "error"), error, "{more:?}");
        assert_eq!(query(&callback, "state"), "st&te 1");
    }
}

#[tokio::test]
async fn a_consent_page_is_answered_once() {
    let site = site(Habits::default()).await;
    let page = Browser::of("alice").unwrap().open(&site.authorization_url(&[])).await.unwrap();
    let ticket = page.body.split("name=\"ticket\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let form = [("ticket", ticket), ("user", "alice"), ("decision", "approve")];
    let statuses = [
        site.post(site.provider.authorization_endpoint(), None, &form).await.status,
        site.post(site.provider.authorization_endpoint(), None, &form).await.status,
    ];
    assert_eq!(statuses, [302, 400]);
}

#[tokio::test]
async fn a_wrong_missing_or_uncalled_for_verifier_is_an_invalid_grant() {
    let site = site(Habits::default()).await;
    let code = site.code().await;
    let mut form = exchange_of(&code);
    form[3].1 = "another-verifier-of-at-least-forty-three-chars-0";
    assert_eq!(site.token(&form).await.error(), "invalid_grant");
    assert_eq!(site.token(&form[..3]).await.error(), "invalid_grant");
    // Had the right one been refused too, the two above would say nothing.
    assert_eq!(site.exchange(&code).await.status, 200);
    let bare = site.authorization_url(&[("code_challenge", ""), ("code_challenge_method", "")]);
    let callback = Browser::of("alice").unwrap().consent(&bare).await.unwrap();
    assert_eq!(site.exchange(&query(&callback, "code")).await.error(), "invalid_grant");
}

#[tokio::test]
async fn a_plain_challenge_is_the_verifier_itself() {
    let site = site(Habits::default()).await;
    let url = site.authorization_url(&[("code_challenge", VERIFIER), ("code_challenge_method", "plain")]);
    let callback = Browser::of("alice").unwrap().consent(&url).await.unwrap();
    assert_eq!(site.exchange(&query(&callback, "code")).await.status, 200);
}

#[tokio::test]
async fn a_code_used_twice_ends_what_it_brought() {
    let site = site(Habits::default()).await;
    let code = site.code().await;
    let access = site.exchange(&code).await.text("access_token");
    assert_eq!(site.files(&access).await.status, 200);
    assert_eq!(site.exchange(&code).await.error(), "invalid_grant");
    assert_eq!(site.files(&access).await.status, 401);
    assert_eq!(site.provider.families()[0].ended, Some(Ended::CodeReused));
}

#[tokio::test]
async fn a_code_is_bound_to_time_redirect_and_client() {
    let site = site(Habits::default()).await;
    site.provider.register(Client::new("other", "s3cret".to_owned()));
    let code = site.code().await;
    let other = site.post(site.provider.token_endpoint(), Some("other:s3cret"), &exchange_of(&code)).await;
    assert_eq!(other.error(), "invalid_grant");
    let mut form = exchange_of(&code);
    form[2].1 = "http://127.0.0.1:1/callback/drive";
    assert_eq!(site.token(&form).await.error(), "invalid_grant");
    site.clock.advance(Duration::from_secs(59));
    let late = site.code().await;
    assert_eq!(site.exchange(&code).await.status, 200);
    site.clock.advance(Duration::from_secs(60));
    assert_eq!(site.exchange(&late).await.error(), "invalid_grant");
}

#[tokio::test]
async fn a_device_waits_for_the_person_and_is_told_to_slow_down() {
    let site = site(Habits::default()).await;
    let asked = site.post(site.provider.device_authorization_endpoint(), Some("web:s3cret"), &[("scope", DRIVE_SCOPE)]);
    let asked = asked.await;
    let code = asked.text("device_code");
    let poll = async || {
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        site.token(&[("grant_type", grant), ("device_code", &code)]).await
    };
    assert_eq!(poll().await.error(), "authorization_pending");
    assert_eq!(poll().await.error(), "slow_down");
    site.clock.advance(Duration::from_secs(10));
    assert_eq!(poll().await.error(), "authorization_pending");
    let page: Url = asked.text("verification_uri").parse().unwrap();
    let browser = Browser::of("bob").unwrap();
    assert!(matches!(browser.allow_device(&page, Some("WRONG")).await, Err(BrowserError::Page(_))));
    browser.allow_device(&page, Some(&asked.text("user_code"))).await.unwrap();
    site.provider.register(Client::new("other", "s3cret".to_owned()));
    let stolen = [("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", code.as_str())];
    let stolen = site.post(site.provider.token_endpoint(), Some("other:s3cret"), &stolen).await;
    assert_eq!(stolen.error(), "invalid_grant");
    let reply = poll().await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(site.provider.families()[0].subject, "bob");
    assert_eq!(poll().await.error(), "invalid_grant");
}

#[tokio::test]
async fn a_device_can_be_refused_or_come_too_late() {
    let site = site(Habits::default()).await;
    let ask = async || site.post(site.provider.device_authorization_endpoint(), Some("web:s3cret"), &[]).await;
    let poll = async |code: &str| {
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        site.token(&[("grant_type", grant), ("device_code", code)]).await.error()
    };
    let (refused, late) = (ask().await, ask().await);
    let page: Url = refused.text("verification_uri_complete").parse().unwrap();
    Browser::of("alice").unwrap().deny_device(&page, None).await.unwrap();
    assert_eq!(poll(&refused.text("device_code")).await, "access_denied");
    site.clock.advance(Duration::from_secs(600));
    assert_eq!(poll(&late.text("device_code")).await, "expired_token");
}
