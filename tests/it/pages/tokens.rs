//! Manage Tokens.

use super::stage::{Me, Page, Stage};
use serde_json::json;
use std::time::Duration;

/// The connections of the rows, in their order.
fn rows(page: &Page) -> Vec<String> {
    let body = page.body.split_once("<tbody").map_or("", |(_, body)| body);
    let links = body.split("class=\"name\" href=\"/connections/").skip(1);
    links.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

async fn shown(stage: &Stage, me: &Me, path: &str) -> Vec<String> {
    let page = stage.see(me, path).await;
    assert_eq!(page.status, 200, "{path}");
    rows(&page)
}

#[tokio::test]
async fn every_credential_has_a_row_with_its_state_in_words() {
    let stage = Stage::full().await;
    let me = stage.sign_in().await;
    let page = stage.see(&me, "/tokens").await;
    let all = stage.desk.connector.credentials(None, None).await.unwrap();
    assert_eq!(rows(&page).len(), all.len());
    for word in [
        "Good",
        "Degraded",
        "Needs consent",
        "Revoked",
        "access token",
        "refresh token",
        "received",
        "Google Drive",
        "Example Ltd",
        "in 35 min",
    ] {
        assert!(page.body.contains(word), "{word}: {}", page.body);
    }
    assert!(page.body.contains("2026-11-23 13:00:00 UTC"), "the exact time is there");
}

#[tokio::test]
async fn rows_are_searched_filtered_and_sorted_by_the_address() {
    let stage = Stage::full().await;
    let me = stage.sign_in().await;
    assert_eq!(shown(&stage, &me, "/tokens?q=CRM").await.len(), 4);
    assert_eq!(shown(&stage, &me, "/tokens?q=crm+apac").await, ["hubspot/crm-apac", "hubspot/crm-apac"]);
    assert_eq!(shown(&stage, &me, "/tokens?q=files.write+slack").await, ["slack/ops-team", "slack/ops-team"]);
    assert_eq!(shown(&stage, &me, "/tokens?application=zoom&type=refresh_token").await, ["zoom/webinars"]);
    assert_eq!(shown(&stage, &me, "/tokens?state=consent").await, ["slack/ops-team", "slack/ops-team"]);
    assert_eq!(shown(&stage, &me, "/tokens?q=nothing-such").await, [""; 0]);
    let up = shown(&stage, &me, "/tokens?sort=connection").await;
    let mut down = shown(&stage, &me, "/tokens?sort=-connection").await;
    assert!(up.is_sorted() && up != down);
    down.reverse();
    assert_eq!(up, down);
    assert_eq!(shown(&stage, &me, "/tokens?sort=state").await[0], "slack/ops-team", "what needs a person comes first");
}

#[tokio::test]
async fn many_rows_come_in_pages_and_each_row_is_on_one_of_them() {
    let stage = Stage::new().await;
    stage.application("many", "").await;
    for number in 0..60 {
        stage.connect(&format!("many/{number:02}"), json!({})).await;
    }
    let me = stage.sign_in().await;
    let mut all = Vec::new();
    for page in 1..=3 {
        let rows = shown(&stage, &me, &format!("/tokens?application=many&sort=-received&page={page}")).await;
        assert_eq!(rows.len(), if page < 3 { 50 } else { 20 });
        all.extend(rows);
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 60, "two rows a connection, none lost between pages");
    let first = stage.see(&me, "/tokens?application=many").await;
    assert!(first.body.contains("1–50 of 120") && first.body.contains("page=2"), "{}", first.body);
    assert_eq!(shown(&stage, &me, "/tokens?application=many&page=99").await.len(), 20, "past the last is the last");
}

#[tokio::test]
async fn a_connections_page_tells_its_history_its_outlook_and_the_last_words() {
    let stage = Stage::full().await;
    let me = stage.sign_in().await;
    let page = stage.see(&me, "/connections/slack/ops-team").await;
    for word in [
        "A person must consent again",
        "invalid_grant",
        "Token has been revoked by the workspace owner.",
        "Authorized",
        "What comes next",
        "A person must consent.",
    ] {
        assert!(page.body.contains(word), "{word}: {}", page.body);
    }
    let page = stage.see(&me, "/connections/hubspot/crm-emea").await;
    assert!(page.body.contains("Refreshing fails") && page.body.contains("is tried once more"), "{}", page.body);
    let page = stage.see(&me, "/connections/drive/reports").await;
    assert!(page.body.contains("It is refreshed") && !page.body.contains("Refreshing fails"), "{}", page.body);
}

#[tokio::test]
async fn an_open_page_is_told_that_something_happened_and_no_more_after_signing_out() {
    let stage = Stage::new().await;
    let me = stage.sign_in().await;
    let http = grantkeeper::reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let open = async || {
        let request = http.get(format!("{}/live", stage.origin)).header("cookie", &me.cookie);
        let mut stream = request.send().await.unwrap();
        assert_eq!(stream.headers()["content-type"], "text/event-stream");
        assert!(String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap()).starts_with("retry:"));
        stream
    };
    let mut stream = open().await;
    stage.desk.connector.refresh(&stage.desk.name).await.unwrap();
    let told = stream.chunk().await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(told.starts_with("event: news\nid: ") && !told.contains("drive"), "{told}");
    let mut idle = open().await;
    assert_eq!(stage.act(&me, "/sign-out", &[]).await.status, 303);
    stage.desk.connector.refresh(&stage.desk.name).await.unwrap();
    assert!(stream.chunk().await.unwrap().is_none(), "an event after signing out is not told");
    stage.desk.clock.advance(Duration::from_secs(20));
    assert!(idle.chunk().await.unwrap().is_none(), "nor is the stream kept open");
}
