//! The pages in headless Chromium: `tests/browser/run.mjs` drives it, one case a test. Without Chromium, Node or the packages of
//! tests/browser a case is left out, and says so; with `GRANTKEEPER_BROWSER=required`, as `tests/run` sets it, it fails.
//! Screenshots are kept under `target/browser/`.

use super::stage::{PASSWORD, Stage};
use crate::support::desk::CLIENT_SECRET;
use crate::support::machine::Machine;
use crate::support::outside::Outside;
use crate::support::peer::Peer;
use grantkeeper::demo::Client;
use grantkeeper::model::TokenKind;
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a case may take: somewhat longer than it gives itself.
const LONGEST: Duration = Duration::from_secs(270);

/// Runs a case on a stage.
async fn run(case: &str, stage: &Stage, more: serde_json::Value) {
    let links: Vec<String> = (0..4).map(|_| stage.link()).collect();
    run_at(case, (&stage.origin, &links), more).await;
}

/// Runs a case at the pages of an origin, with links that sign in there.
async fn run_at(case: &str, (origin, links): (&str, &[String]), more: serde_json::Value) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("tests/browser");
    if !folder.join("node_modules/puppeteer-core/package.json").is_file() {
        return left_out(case, "its packages are not installed (npm ci in tests/browser)");
    }
    let Some(chromium) = chromium() else {
        return left_out(case, "Chromium is not installed (Debian: apt-get install chromium), or name it in CHROMIUM");
    };
    let about = json!({
        "case": case, "origin": origin, "links": links, "chromium": chromium, "password": PASSWORD,
        "shots": root.join("target/browser"), "more": more,
    });
    let mut command = tokio::process::Command::new("node");
    command.arg("run.mjs").current_dir(folder).env("ABOUT", about.to_string()).kill_on_drop(true);
    let Ok(ran) = tokio::time::timeout(LONGEST, command.output()).await else { panic!("{case} hangs") };
    let Ok(ran) = ran else { return left_out(case, "node is not installed") };
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{case}: {}\n{said}", ran.status);
    // Had it not come to its end, nothing would have been wrong either.
    assert!(said.contains(&format!("{case}: passed")), "{said}");
}

fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
    let mut known = std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    named.or_else(|| known.find(|file| file.is_file()))
}

fn left_out(case: &str, why: &str) {
    let required = std::env::var("GRANTKEEPER_BROWSER").is_ok_and(|value| value == "required");
    assert!(!required, "GRANTKEEPER_BROWSER=required, but the case {case} cannot run: {why}");
    // Straight to standard error: what a passing test prints, the test runner keeps to itself.
    let _ = std::io::stderr().write_all(format!("\nLEFT OUT: the pages in a browser, {case}: {why}\n").as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_with_a_link_and_a_password_in_a_browser() {
    run("sign_in", &Stage::full().await, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_legible_reachable_and_accessible_in_a_browser() {
    let stage = Stage::full().await;
    super::audit::tell(&stage).await;
    super::api_keys::make(&stage).await;
    let expires = format!("{}/expires", stage.credential("drive/reports", TokenKind::AccessToken).await);
    let revoke = format!("{}/revoke", stage.credential("drive/reports", TokenKind::RefreshToken).await);
    let pages = json!({
        "sign-in": "/sign-in",
        "overview": "/",
        "events": "/events",
        "api-keys": "/api-keys",
        "api-keys-revoke": "/api-keys/reporting/revoke",
        "audit": "/audit",
        "audit-none": "/audit?of=nothing-such&action=revoke",
        "audit-verify": "/audit/verify",
        "scripts": "/scripts",
        "script": "/scripts/OAuthGoogleDrive?fixture=google-drive/code",
        "connect": "/connect?application=slack&name=ops-team",
        "applications": "/applications",
        "application": "/applications/google-drive",
        "application-edit": "/applications/hubspot/edit",
        "new-application": "/new-application",
        "new-application-entry": "/new-application?provider=google-drive",
        "new-application-hand": "/new-application?provider=hand",
        "tokens": "/tokens",
        "tokens-none": "/tokens?q=nothing-such",
        "connection": "/connections/hubspot/crm-emea",
        "connection-dead": "/connections/slack/ops-team",
        "connection-good": "/connections/google-drive/ann",
        "revoke": "/connections/google-drive/ann/revoke",
        "revoke-one": revoke,
        "expires": expires,
        "missing": "/connections/nobody/here",
    });
    run("every_page", &stage, json!({ "pages": pages })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn manage_tokens_keeps_itself_up_to_date_in_a_browser() {
    run("live", &Stage::full().await, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn manage_tokens_is_used_with_the_keyboard_alone_in_a_browser() {
    run("keyboard", &Stage::full().await, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_made_and_its_mistakes_mended_in_a_browser() {
    run("application", &Stage::full().await, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_leads_through_consent_and_back_in_a_browser() {
    let stage = Stage::full().await;
    let redirect_url = format!("{}/oauth/callback/drive", stage.origin);
    stage.desk.apply(&format!("redirect_url = \"{redirect_url}\""), "").await;
    let client = Client::new("drive-client", CLIENT_SECRET.to_owned()).redirecting_to(redirect_url.parse().unwrap());
    stage.desk.provider.register(client);
    run("connect", &stage, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_tried_in_a_browser() {
    run("script", &Stage::full().await, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn manage_tokens_works_without_script_in_a_browser() {
    run("without_script", &Stage::full().await, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_goes_from_consent_at_another_server_to_its_end_in_a_browser() {
    let Some(peer) = Peer::start("http://127.0.0.1:8765/oauth/callback/peer") else { return };
    let machine = Machine::new();
    let outside = Outside::start(&machine, "");
    let link = machine.run(&["sign-in", "--no-browser", "--json"]).json();
    let client = peer.client("basic");
    let more = json!({
        "peer": peer.issuer().as_str().trim_end_matches('/'), "ends_grants": peer.ends_grants(),
        "client_id": client.client_id, "client_secret": client.secret(),
    });
    let links = [link["url"].as_str().unwrap().to_owned()];
    run_at("round_trip", (&format!("http://{}", outside.address), &links), more).await;
    let log = outside.daemon.stopped();
    assert!(!log.err.contains(client.secret()), "{log:?}");
}
