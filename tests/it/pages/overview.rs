//! The overview, and events.

use super::stage::Stage;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn the_overview_says_what_needs_a_person_and_how_refreshing_went() {
    let stage = Stage::full().await;
    let me = stage.sign_in().await;
    let page = stage.see(&me, "/").await;
    let needs = page.body.split_once("Needs a person").unwrap().1.split_once("</section>").unwrap().0;
    assert!(needs.contains("slack/ops-team") && needs.contains("the provider refuses the refresh token"), "{needs}");
    assert!(!needs.contains("hubspot"), "passing trouble is nobody's to mend: {needs}");
    let plot = page.body.split_once("Refreshes, the last 24 hours").unwrap().1.split_once("</section>").unwrap().0;
    // Seven adopted refresh tokens were used; of those grants two have failed since.
    assert!(plot.contains("7 refreshed, 2 failed"), "{plot}");
    assert!(plot.contains("77.7 %") && plot.contains("HubSpot"), "{plot}");
    stage.desk.clock.advance(Duration::from_secs(86_401));
    let me = stage.sign_in().await;
    assert!(stage.see(&me, "/").await.body.contains("No refresh was due."));
}

#[tokio::test]
async fn the_overview_says_what_only_a_person_can_renew_in_time() {
    let stage = Stage::new().await;
    stage.application("brief", "[lifespans]\nrefresh_token = 864000").await;
    stage.connect("brief/one", json!({})).await;
    let ending = async || {
        let me = stage.sign_in().await;
        let page = stage.see(&me, "/").await.body;
        page.split_once("Expires soon").unwrap().1.split_once("</section>").unwrap().0.contains("brief/one")
    };
    assert!(!ending().await, "it lasts ten days");
    stage.desk.clock.advance(Duration::from_secs(8 * 86_400));
    assert!(ending().await);
}

#[tokio::test]
async fn events_are_looked_back_at_by_name_and_kind_in_pages() {
    let stage = Stage::full().await;
    for _ in 0..120 {
        stage.desk.connector.refresh(&stage.desk.name).await.unwrap();
    }
    let me = stage.sign_in().await;
    let count = |body: &str| body.matches("id=\"event-").count();
    let first = stage.see(&me, "/events?of=drive/reports").await.body;
    assert_eq!(count(&first), 100);
    let next = first.split("href=\"").find(|rest| rest.starts_with("/events?of") && rest.contains("before=")).unwrap();
    let next = next.split('"').next().unwrap().replace("&amp;", "&");
    let second = stage.see(&me, &next).await.body;
    assert_eq!(count(&second), 21, "120 refreshes and a consent, each once");
    assert!(second.contains("Authorized") && !second.contains("Older"));
    assert_eq!(count(&stage.see(&me, "/events?of=slack&kind=reauthorization_required").await.body), 1);
    assert_eq!(count(&stage.see(&me, "/events?kind=revoked").await.body), 1);
    assert!(stage.see(&me, "/events?of=no+name").await.body.contains("the name of no connection"));
}
