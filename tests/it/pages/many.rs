//! Many connections, and many who look at them.

use super::stage::Stage;
use crate::support::desk::Desk;
use crate::support::stalling::StallingStore;
use grantkeeper::connector::{Grant, ImportOptions};
use grantkeeper::demo::Habits;
use grantkeeper::store::MemoryStore;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// A stage with so many connections, each with an access token and a refresh token.
async fn with(stage: &Stage, connections: usize) {
    let grants: Vec<Grant> = (0..connections)
        .map(|number| {
            let token = |kind: &str| json!({ "token": format!("{kind}-{number}") });
            let tokens = json!({ "access": token("access"), "refresh": token("refresh"), "scopes": ["files.read"] });
            let account = json!({ "id": format!("user-{number}"), "name": format!("person{number}@example.org") });
            let name = format!("drive/person-{number:05}");
            serde_json::from_value(json!({ "name": name, "tokens": tokens, "account": account })).unwrap()
        })
        .collect();
    stage.desk.connector.import(grants, &ImportOptions::default()).await.unwrap();
}

#[tokio::test]
async fn however_many_pages_are_open_a_few_read_everything_at_once() {
    let store = Arc::new(StallingStore::over(MemoryStore::new()));
    let desk = Desk::with(Habits::default(), store.clone(), None, "script = \"OAuthGoogleDrive\"").await;
    let stage = Stage::of(desk).await;
    with(&stage, 20).await;
    let me = stage.sign_in().await;
    store.most_readers.store(0, Ordering::SeqCst);
    let (one, two, three) = (stage.see(&me, "/tokens"), stage.see(&me, "/"), stage.see(&me, "/tokens?q=person"));
    let (four, five) = (stage.see(&me, "/"), stage.see(&me, "/tokens?page=2"));
    let pages = tokio::join!(one, two, three, four, five);
    assert!([&pages.0, &pages.1, &pages.2, &pages.3, &pages.4].iter().all(|page| page.status == 200));
    let most = store.most_readers.load(Ordering::SeqCst);
    assert_eq!(most, 2, "so many at once, and no more");
}

#[tokio::test]
#[ignore = "the figures of docs/pages.md: run it with --ignored --nocapture, built with --profile soak"]
#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
async fn what_a_view_costs_with_ten_thousand_connections() {
    let stage = Stage::new().await;
    with(&stage, 10_000).await;
    let me = stage.sign_in().await;
    for path in ["/tokens", "/tokens?q=person-00007", "/", "/applications", "/audit", "/connections/drive/person-00007"]
    {
        stage.see(&me, path).await;
        let began = Instant::now();
        for _ in 0..5 {
            assert_eq!(stage.see(&me, path).await.status, 200);
        }
        println!("{path}: {} ms", began.elapsed().as_millis() / 5);
    }
}
