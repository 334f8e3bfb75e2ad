//! `connect` through a person's consent.

use crate::support::shop::{CLIENT_SECRET, Consenting, NAME, Shop, alice};
use grantkeeper::demo::Habits;
use url::Url;

const LISTEN: [&str; 5] = ["connect", NAME, "--no-browser", "--port", "0"];
const PASTE: [&str; 3] = ["connect", NAME, "--paste"];

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_comes_back_makes_a_connection_whose_token_works() {
    let shop = Shop::new(Habits::default()).await;
    let consenting = Consenting::start(&shop.machine, &[&LISTEN[..], &["--label", "team=sales"]].concat());
    let callback = alice().consent(&consenting.url).await.unwrap();
    let page = alice().open(&callback).await.unwrap();
    assert_eq!(page.status, 200);
    assert!(page.body.contains("drive/reports is connected"), "{}", page.body);
    let out = consenting.ended().done();
    assert!(out.contains("drive/reports is connected") && out.contains("refresh token until"), "{out}");

    let token = shop.machine.run(&["token", NAME]).done();
    assert_eq!(token.lines().count(), 1, "the token and nothing else");
    assert_eq!(shop.call(&token).await, 200);
    let connection = shop.machine.run(&["connections", "show", NAME, "--json"]).json();
    assert_eq!(connection["state"], "active");
    assert_eq!(connection["labels"]["team"], "sales");
    let label = |arguments: &[&str]| shop.machine.run(&[&["connections", "label", NAME], arguments].concat());
    let said = label(&["owner=ann", "region=eu"]).done();
    assert_eq!(said, format!("{NAME} has the labels owner=ann region=eu team=sales\n"));
    assert!(label(&["--remove", "none"]).failed(2).contains("has no label none"));
    assert_eq!(
        label(&["owner=bob", "--remove", "region"]).done(),
        format!("{NAME} has the labels owner=bob team=sales\n")
    );
    assert_eq!(label(&["--remove", "owner", "--json"]).json()["labels"], serde_json::json!({ "team": "sales" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_free_while_a_person_consents() {
    let shop = Shop::new(Habits::default()).await;
    let consenting = Consenting::start(&shop.machine, &LISTEN);
    let connections = shop.machine.run(&["connections", "list", "--json"]).json();
    assert_eq!(connections[0]["state"], "pending");
    shop.machine.run(&["profile", "add", "drive", "other", "--scope", "x"]).done();
    alice().open(&alice().consent(&consenting.url).await.unwrap()).await.unwrap();
    consenting.ended().done();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_callback_does_not_end_the_waiting() {
    let shop = Shop::new(Habits::default()).await;
    let consenting = Consenting::start(&shop.machine, &LISTEN);
    let callback = alice().consent(&consenting.url).await.unwrap();
    let mut forged = callback.clone();
    forged.set_query(Some("code=evil&state=evil"));
    assert_eq!(alice().open(&forged).await.unwrap().status, 400);
    assert_eq!(alice().open(&callback.join("/favicon.ico").unwrap()).await.unwrap().status, 404);
    assert_eq!(alice().open(&callback).await.unwrap().status, 200);
    consenting.ended().done();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_that_is_denied_is_told_to_the_browser_and_the_shell() {
    let shop = Shop::new(Habits::default()).await;
    let consenting = Consenting::start(&shop.machine, &LISTEN);
    let callback = alice().deny(&consenting.url).await.unwrap();
    let page = alice().open(&callback).await.unwrap();
    assert!(page.status == 400 && page.body.contains("was not given"), "{page:?}");
    let sentence = consenting.ended().failed(4);
    assert!(sentence.contains("access_denied"), "{sentence}");
    shop.machine.run(&["token", NAME]).failed(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pasted_url_makes_a_connection_and_works_once() {
    let shop = Shop::new(Habits::default()).await;
    let mut consenting = Consenting::start(&shop.machine, &PASTE);
    let callback = alice().consent(&consenting.url).await.unwrap();
    consenting.paste(callback.as_str());
    consenting.ended().done();
    assert_eq!(shop.call(&shop.machine.run(&["token", NAME]).done()).await, 200);

    let mut again = Consenting::start(&shop.machine, &PASTE);
    again.paste(callback.as_str());
    let ran = again.ended();
    assert!(ran.err.contains("its `state` is another one"), "{ran:?}");
    ran.failed(4);
    assert_eq!(shop.call(&shop.machine.run(&["token", NAME]).done()).await, 200, "the first grant goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_url_can_be_followed_by_the_right_one() {
    let shop = Shop::new(Habits::default()).await;
    let mut consenting = Consenting::start(&shop.machine, &PASTE);
    consenting.paste("https://example.org/?code=1&state=2");
    consenting.paste("nonsense");
    let callback = alice().consent(&consenting.url).await.unwrap();
    consenting.paste(callback.query().unwrap());
    consenting.paste(callback.as_str());
    consenting.ended().done();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_another_issuer_is_refused() {
    let shop = Shop::new(Habits::default()).await;
    let mut consenting = Consenting::start(&shop.machine, &PASTE);
    let callback = alice().consent(&consenting.url).await.unwrap();
    let mut mixed_up: Url = callback.clone();
    let pairs: Vec<_> = callback.query_pairs().filter(|(name, _)| name != "iss").collect();
    mixed_up.query_pairs_mut().clear().extend_pairs(pairs).append_pair("iss", "https://evil.example");
    consenting.paste(mixed_up.as_str());
    consenting.ended().failed(6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_leaves_nothing_half_done() {
    let shop = Shop::new(Habits::default()).await;
    for (arguments, signal) in [(&LISTEN[..], "INT"), (&PASTE[..], "TERM")] {
        let consenting = Consenting::start(&shop.machine, arguments);
        let sentence = consenting.interrupted(signal).failed(130);
        assert!(sentence.contains("no grant was made"), "{sentence}");
        let connection = shop.machine.run(&["connections", "show", NAME, "--json"]).json();
        assert_eq!(connection["state"], "unauthorized");
    }
    shop.machine.run(&["token", NAME]).failed(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_told_and_changes_nothing() {
    let shop = Shop::new(Habits::default()).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let sentence = shop.machine.run(&["connect", NAME, "--no-browser", "--port", &port]).failed(1);
    assert!(sentence.contains(&port) && sentence.contains("--paste"), "{sentence}");
    assert_eq!(shop.machine.run(&["connections", "list", "--json"]).json(), serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_url_elsewhere_needs_paste() {
    let shop = Shop::new(Habits::default()).await;
    shop.apply("redirect_url = \"https://app.example.org/cb\"", "").done();
    let sentence = shop.machine.run(&["connect", NAME, "--no-browser"]).failed(2);
    assert!(sentence.contains("--paste"), "{sentence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_without_a_refresh_token_is_told_at_once() {
    let shop = Shop::new(Habits::default()).await;
    shop.apply("script = \"OAuthUtil\"", "").done();
    let mut consenting = Consenting::start(&shop.machine, &PASTE);
    consenting.paste(alice().consent(&consenting.url).await.unwrap().as_str());
    let ran = consenting.ended();
    assert!(ran.err.contains("no refresh token"), "{ran:?}");
    ran.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_json_standard_output_is_one_document() {
    let shop = Shop::new(Habits::default()).await;
    let mut command = shop.machine.command(&[&PASTE[..], &["--json"]].concat());
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut errors = std::io::BufReader::new(child.stderr.take().unwrap());
    let url = loop {
        let mut line = String::new();
        assert_ne!(std::io::BufRead::read_line(&mut errors, &mut line).unwrap(), 0, "no URL on standard error");
        if let Ok(url) =
            line.trim().parse::<Url>().map_err(drop).and_then(|url| url.query().map(|_| url.clone()).ok_or(()))
        {
            break url;
        }
    };
    let callback = alice().consent(&url).await.unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), format!("{callback}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["name"], NAME);
    assert!(document["refresh_token_expires"].is_string(), "{document}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_or_printed_by_a_whole_consent() {
    let shop = Shop::new(Habits::default()).await;
    let mut consenting = Consenting::start(&shop.machine, &[&PASTE[..], &["-vvv"]].concat());
    let callback = alice().consent(&consenting.url).await.unwrap();
    let code = callback.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    consenting.paste(callback.as_str());
    let ran = consenting.ended();
    let token = shop.machine.run(&["token", NAME]).done().trim().to_owned();
    let mut command = shop.machine.command(&["refresh", NAME]);
    let refreshed = command.env("RUST_LOG", "trace").output().unwrap();
    let all = format!("{ran:?}{refreshed:?}");
    assert!(all.contains("authorized"), "something was logged: {all}");
    for secret in [CLIENT_SECRET, &code, &token] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

/// The application `drive` as an OpenID provider's, whose account is known.
fn openid(shop: &Shop) {
    let ran =
        shop.apply("script = \"OAuthGoogleDrive\"", "[profiles.signed]\nscopes = [\"openid\", \"drive.readonly\"]");
    ran.done();
}

async fn signed_in(shop: &Shop, user: &str, more: &[&str]) -> crate::support::machine::Ran {
    let arguments = [&LISTEN[..], &["--profile", "signed"], more].concat();
    let consenting = Consenting::start(&shop.machine, &arguments);
    let browser = grantkeeper::demo::Browser::of(user).unwrap();
    browser.open(&browser.consent(&consenting.url).await.unwrap()).await.unwrap();
    consenting.ended()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_is_shown_and_another_one_is_refused_unless_asked_for() {
    let shop = Shop::new(Habits::default()).await;
    openid(&shop);
    let out = signed_in(&shop, "alice", &[]).await.done();
    assert!(out.contains("account alice@demo.example (id alice)"), "{out}");
    let shown = shop.machine.run(&["connections", "show", NAME]).done();
    assert!(shown.contains("alice@demo.example (id alice)"), "{shown}");

    let sentence = signed_in(&shop, "bob", &[]).await.failed(4);
    assert!(sentence.contains("bob@demo.example (id bob)") && sentence.contains("--other-account"), "{sentence}");
    assert_eq!(shop.call(&shop.machine.run(&["token", NAME]).done()).await, 200, "the first grant goes on");

    signed_in(&shop, "bob", &["--other-account"]).await.done();
    let connection = shop.machine.run(&["connections", "show", NAME, "--json"]).json();
    let account = serde_json::json!({ "id": "bob", "name": "bob@demo.example", "issuer": shop.provider.issuer(), "subject": "bob" });
    assert_eq!(connection["account"], account);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_was_not_granted_is_told_and_shown() {
    let shop = Shop::new(Habits { withheld_scopes: vec!["drive.readonly".to_owned()], ..Habits::default() }).await;
    openid(&shop);
    let ran = signed_in(&shop, "alice", &[]).await;
    assert!(ran.err.contains("missing: drive.readonly"), "{ran:?}");
    ran.done();
    let shown = shop.machine.run(&["connections", "show", NAME]).done();
    for line in
        ["requested scopes  openid drive.readonly", "granted scopes    openid", "missing scopes    drive.readonly"]
    {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    let connection = shop.machine.run(&["connections", "show", NAME, "--json"]).json();
    let scopes = serde_json::json!({ "requested": ["openid", "drive.readonly"], "granted": ["openid"], "missing": ["drive.readonly"] });
    assert_eq!(connection["scopes"], scopes);

    let all = Shop::new(Habits::default()).await;
    openid(&all);
    let ran = signed_in(&all, "alice", &[]).await;
    assert!(!ran.err.contains("missing"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_not_told_is_told_to_whoever_connects() {
    let shop = Shop::new(Habits::default()).await;
    shop.apply("script = \"OAuthGoogleDrive\"\naccount.id = \"userinfo.sub\"", "").done();
    let consenting = Consenting::start(&shop.machine, &LISTEN);
    alice().open(&alice().consent(&consenting.url).await.unwrap()).await.unwrap();
    let ran = consenting.ended();
    assert!(ran.err.contains("whose account it is") && ran.err.contains("endpoints.userinfo"), "{ran:?}");
    ran.done();
    assert!(shop.machine.run(&["connections", "show", NAME, "--json"]).json()["account"].is_null());
}
