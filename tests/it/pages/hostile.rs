//! What comes from providers and people is text, and never markup.

use super::stage::Stage;
use serde_json::json;

/// Would do something in a page, wherever it stands: in text, in an attribute, in an address.
const EVIL: &str = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)> javascript:alert(1)";

#[tokio::test]
async fn a_providers_words_scopes_and_accounts_are_escaped_in_every_page() {
    let stage = Stage::new().await;
    stage.application("evil", "").await;
    let more =
        json!({ "scope": EVIL, "token_type": EVIL, "sub": EVIL, "email": EVIL, "name": EVIL, "account_id": EVIL });
    stage.connect("evil/one", more).await;
    let name = "evil/one".parse().unwrap();
    let labels = [(EVIL.to_owned(), EVIL.to_owned())].into();
    stage.desk.connector.set_labels(&name, labels).await.unwrap();
    stage.fails("evil/one", 400, json!({ "error": "invalid_grant", "error_description": EVIL })).await;
    let me = stage.sign_in().await;
    let query: String = serde_urlencoded::to_string([("q", EVIL), ("application", EVIL), ("sort", EVIL)]).unwrap();
    let mut escaped = 0;
    for path in [
        "/",
        "/events",
        "/applications",
        "/applications/evil",
        "/applications/evil/edit",
        &format!("/new-application?{query}"),
        &format!("/new-application?provider={query}"),
        &format!("/events?{}", query.replace("q=", "of=")),
        "/audit",
        &format!("/audit?{}", query.replace("q=", "of=").replace("sort=", "key=")),
        &format!("/audit?{}", query.replace("q=", "since=")),
        "/tokens",
        &format!("/tokens?{query}"),
        "/connections/evil/one",
        "/connections/evil/one/revoke",
        &format!("/connections/evil/{query}"),
        "/%3Cscript%3Ealert(1)%3C/script%3E",
    ] {
        let page = stage.see(&me, path).await;
        assert!(!page.body.contains("<script>") && !page.body.contains("<img"), "{path}: {}", page.body);
        assert!(!page.body.contains("href=\"javascript:"), "{path}");
        escaped += page.body.matches("&lt;script&gt;").count();
    }
    assert!(escaped > 6, "the words are shown, as text: {escaped}");
    let fields = [
        ("provider", "hand"),
        ("name", EVIL),
        ("client_id", EVIL),
        ("endpoints.issuer", EVIL),
        ("profiles.default.scopes", EVIL),
    ];
    let wrong = stage.act(&me, "/new-application", &fields).await;
    assert!(wrong.status == 422 && !wrong.body.contains("<script>") && !wrong.body.contains("<img"), "{}", wrong.body);
    let wrong = stage.act(&me, "/applications/evil/edit", &[("file", &format!("</textarea>{EVIL}"))]).await;
    assert!(
        wrong.status == 422 && !wrong.body.contains("<script>") && !wrong.body.contains("</textarea></title>"),
        "{}",
        wrong.body
    );
    let made = stage.act(&me, "/connect", &[("application", "evil"), ("name", "one"), ("whom", EVIL)]).await;
    assert!(
        made.status == 200 && !made.body.contains("<script>") && made.body.contains("&lt;script&gt;"),
        "{}",
        made.body
    );
    let link = made.body.split_once("<code id=\"link\">http://127.0.0.1:8765").unwrap().1.split('<').next().unwrap();
    let offered = stage.get(link, &[]).await;
    assert!(offered.status == 200 && !offered.body.contains("<script>") && offered.body.contains("&lt;script&gt;"));
    let reply = json!({ "access_token": EVIL, EVIL: EVIL, "scope": EVIL, "error_description": EVIL }).to_string();
    let tried = stage.act(&me, "/scripts/OAuthUtil/try", &[("reply", &reply)]).await;
    assert!(
        tried.status == 200 && !tried.body.contains("<script>") && tried.body.contains("&lt;script&gt;"),
        "{}",
        tried.body
    );
    stage.answers("evil", 500, json!({ "error": EVIL, "error_description": EVIL }));
    let failed = stage.act(&me, "/connections/evil/one/revoke", &[]).await;
    assert!(!failed.body.contains("<script>") && failed.body.contains("&lt;script&gt;"), "{}", failed.body);
}
