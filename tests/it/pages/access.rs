//! Who sees a page.

use super::stage::{MARKED, PASSWORD, Stage};
use std::time::Duration;

/// Every page that is asked for with GET.
pub(crate) const PAGES: &[&str] = &[
    "/",
    "/tokens",
    "/tokens?q=a&page=2&sort=-expires",
    "/events",
    "/events?of=drive/reports&kind=authorized&before=9",
    "/api-keys",
    "/api-keys/nobody/revoke",
    "/audit",
    "/audit?of=drive/reports&action=sign-in&since=2026-11-23&before=9",
    "/audit/verify",
    "/scripts",
    "/scripts/OAuthGoogleDrive",
    "/scripts/OAuthUtil?fixture=google-drive/code",
    "/scripts/OAuthNotThere",
    "/connect",
    "/connect?application=drive&name=reports",
    "/applications",
    "/applications/drive",
    "/applications/drive/edit",
    "/applications/drive/remove",
    "/applications/nobody",
    "/new-application",
    "/new-application?provider=hand",
    "/new-application?provider=okta",
    "/connections/drive/reports",
    "/connections/drive/reports/revoke",
    "/connections/nobody/here",
    "/nothing/here",
];

#[tokio::test]
async fn no_page_is_seen_without_a_session() {
    let stage = Stage::new().await;
    // Somebody else is signed in.
    stage.sign_in().await;
    let expires =
        format!("{}/expires", stage.credential("drive/reports", grantkeeper::model::TokenKind::AccessToken).await);
    for path in PAGES.iter().chain([&expires.as_str()]) {
        for cookie in ["", "__Host-grantkeeper=", "__Host-grantkeeper=AAAA", "other=1"] {
            let page = stage.get(path, &[("cookie", cookie)]).await;
            assert_eq!(page.status, 303, "{path}");
            assert!(page.header("location").starts_with("/sign-in"), "{path}: {page:?}");
            assert!(!page.body.contains("drive"), "{path}: {}", page.body);
        }
    }
    for path in ["/live", "/live/audit"] {
        assert_eq!(stage.get(path, &[]).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_sign_in_link_is_used_up_by_the_button_and_not_by_looking_at_it() {
    let stage = Stage::new().await;
    let link = stage.link();
    let path = link.strip_prefix(&stage.origin).unwrap().to_owned();
    let key = path.split_once("key=").unwrap().1;
    for _ in 0..3 {
        let looked = stage.get(&path, &[]).await;
        assert_eq!(looked.status, 200);
        assert!(looked.body.contains("Sign in here") && looked.headers.get("set-cookie").is_none());
    }
    let used = stage.post("/sign-in/link", &[], &[("key", key)]).await;
    assert_eq!((used.status, used.header("location")), (303, "/"));
    let set = used.header("set-cookie").to_owned();
    for word in ["__Host-grantkeeper=", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
        assert!(set.contains(word), "{set}");
    }
    assert!(!set.contains("Domain"), "{set}");
    for again in [stage.post("/sign-in/link", &[], &[("key", key)]).await, stage.get(&path, &[]).await] {
        assert_eq!(again.status, 403);
        assert!(again.headers.get("set-cookie").is_none() && again.body.contains("used already or has ended"));
    }
}

#[tokio::test]
async fn a_sign_in_link_ends_after_ten_minutes_and_is_not_used_from_another_site() {
    let stage = Stage::new().await;
    let link = stage.link();
    let key = link.split_once("key=").unwrap().1;
    for headers in
        [&[("sec-fetch-site", "cross-site")][..], &[("sec-fetch-site", ""), ("origin", "https://evil.example")]]
    {
        assert_eq!(stage.post("/sign-in/link", headers, &[("key", key)]).await.status, 403, "{headers:?}");
    }
    stage.desk.clock.advance(Duration::from_secs(600));
    assert_eq!(stage.post("/sign-in/link", &[], &[("key", key)]).await.status, 403);
}

#[tokio::test]
async fn a_password_signs_in_and_tries_of_it_are_limited() {
    let stage = Stage::new().await;
    let form = async || {
        let page = stage.get("/sign-in?to=/tokens?q=x", &[]).await;
        (page.cookie("__Host-grantkeeper-form").unwrap(), page.form().unwrap())
    };
    let tried = async |password: &str| {
        let (cookie, form) = form().await;
        let fields = [("form", form.as_str()), ("to", "/tokens?q=x"), ("password", password)];
        stage.post("/sign-in", &[("cookie", &cookie)], &fields).await
    };
    let (cookie, own) = form().await;
    for (cookie, form) in [("", own.as_str()), (cookie.as_str(), "")] {
        let refused = stage.post("/sign-in", &[("cookie", cookie)], &[("form", form), ("password", PASSWORD)]).await;
        assert_eq!(refused.status, 403, "without what the form must carry");
    }
    let right = tried(PASSWORD).await;
    assert_eq!((right.status, right.header("location")), (303, "/tokens?q=x"));
    assert!(right.cookie("__Host-grantkeeper").is_some());
    for _ in 0..5 {
        let wrong = tried("marked-other").await;
        assert_eq!(wrong.status, 403);
        assert!(wrong.cookie("__Host-grantkeeper").is_none() && !wrong.body.contains("marked-other"));
    }
    assert_eq!(tried(PASSWORD).await.status, 429);
    stage.desk.clock.advance(Duration::from_secs(30));
    assert_eq!(tried(PASSWORD).await.status, 303);
}

#[tokio::test]
async fn who_signs_in_is_sent_to_no_other_site() {
    let stage = Stage::new().await;
    let page = stage.get("/sign-in?to=//evil.example/", &[]).await;
    assert!(!page.body.contains("evil"), "{}", page.body);
    let (cookie, form) = (page.cookie("__Host-grantkeeper-form").unwrap(), page.form().unwrap());
    let fields = [("form", form.as_str()), ("to", "https://evil.example/"), ("password", PASSWORD)];
    assert_eq!(stage.post("/sign-in", &[("cookie", &cookie)], &fields).await.header("location"), "/");
}

#[tokio::test]
async fn a_session_ends_by_signing_out_and_by_not_being_used() {
    let stage = Stage::new().await;
    let (one, other) = (stage.sign_in().await, stage.sign_in().await);
    assert_eq!(stage.see(&one, "/tokens").await.status, 200);
    assert_eq!(stage.act(&one, "/sign-out", &[]).await.status, 303);
    assert_eq!(stage.see(&one, "/tokens").await.status, 303);
    stage.desk.clock.advance(Duration::from_secs(1800));
    // A page that keeps itself up to date is no use of the session.
    for _ in 0..2 {
        let live = stage.get("/tokens", &[("cookie", &other.cookie), ("x-live", "1")]).await;
        assert_eq!(live.status, 200);
    }
    stage.desk.clock.advance(Duration::from_secs(1800));
    assert_eq!(stage.get("/tokens", &[("cookie", &other.cookie), ("x-live", "1")]).await.status, 401);
    assert_eq!(stage.see(&other, "/tokens").await.status, 303);
}

#[tokio::test]
async fn every_response_tells_the_browser_to_be_strict() {
    let stage = Stage::full().await;
    let me = stage.sign_in().await;
    let style = {
        let page = stage.see(&me, "/tokens").await;
        page.body.split('"').find(|part| part.starts_with("/assets/style.")).unwrap().to_owned()
    };
    let mut pages = vec![stage.get("/sign-in", &[]).await, stage.get("/tokens", &[]).await];
    for path in PAGES.iter().chain([&style.as_str(), &"/assets/none.css"]) {
        pages.push(stage.see(&me, path).await);
    }
    pages.push(stage.post("/connections/drive/reports/refresh", &[], &[]).await);
    pages.push(stage.act(&me, "/connections/drive/reports/refresh", &[]).await);
    for page in &pages {
        let policy = page.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{page:?}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("cross-origin-opener-policy"), "same-origin");
        assert!(page.header("permissions-policy").contains("camera=()"));
        let kept = page.header("cache-control");
        assert!(kept == "no-store" || (kept.contains("immutable") && !page.body.contains("<html")), "{kept}");
        // What the policy forbids would not work: none of it is there.
        assert!(!page.body.contains(" style=") && !page.body.contains("<style") && !page.body.contains(" onclick="));
        assert!(!page.body.contains("<script>"), "{}", page.body);
    }
}

#[tokio::test]
async fn no_token_and_no_secret_is_in_any_page() {
    let stage = Stage::full().await;
    let me = stage.sign_in().await;
    let connector = &stage.desk.connector;
    let mut paths: Vec<String> = PAGES.iter().map(|path| (*path).to_owned()).collect();
    for connection in connector.connections(None).await.unwrap() {
        paths.push(format!("/connections/{}", connection.name));
        paths.push(format!("/connections/{}/revoke", connection.name));
    }
    for credential in connector.credentials(None, None).await.unwrap() {
        paths.push(format!("/credentials/{}/expires", credential.id));
        paths.push(format!("/credentials/{}/revoke", credential.id));
    }
    let mut seen = 0;
    for path in paths {
        let page = stage.see(&me, &path).await;
        seen += usize::from(page.status == 200);
        assert!(!page.body.contains(MARKED), "{path}: {}", page.body);
    }
    assert!(seen > 30, "{seen}");
    let token = connector.token(&stage.desk.name).await.unwrap();
    let page = stage.see(&me, "/connections/drive/reports").await;
    assert!(page.body.contains("access token") && !page.body.contains(token.secret().expose()));
}
