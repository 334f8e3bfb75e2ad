//! API keys as people look at them.

use super::stage::Stage;
use grantkeeper::connector::NewKey;
use grantkeeper::model::{Clock as _, KeyState, Secret};
use std::time::Duration;

/// Makes keys in every state. Returns the one that is good.
pub(super) async fn make(stage: &Stage) -> Secret {
    let connector = &stage.desk.connector;
    let new = |name: &str, may: &[&str], expires| NewKey {
        name: name.parse().unwrap(),
        allowances: may.iter().map(|may| may.parse().unwrap()).collect(),
        expires,
    };
    let soon = stage.desk.clock.now() + Duration::from_secs(60);
    let good = connector.create_key(new("reporting", &["token:google-drive/*", "manage:hubspot/crm-emea"], None)).await;
    connector.create_key(new("for-a-minute", &["administer"], Some(soon))).await.unwrap();
    connector.create_key(new("ended", &["manage:*"], None)).await.unwrap();
    connector.revoke_key(&"ended".parse().unwrap()).await.unwrap();
    stage.desk.clock.advance(Duration::from_secs(90));
    good.unwrap().secret
}

#[tokio::test]
async fn keys_are_listed_without_themselves_and_revoked_when_somebody_means_it() {
    let stage = Stage::new().await;
    let key = make(&stage).await;
    let me = stage.sign_in().await;
    let page = stage.see(&me, "/api-keys").await;
    assert_eq!(page.status, 200);
    for words in
        ["reporting", "token:google-drive/*", "manage:hubspot/crm-emea", "Expired", "Revoked", "Good", "1 min ago"]
    {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    assert_eq!(page.body.matches("/revoke\">").count(), 1, "only what is good can be ended");
    assert!(!page.body.contains(key.expose()) && !page.body.contains("gk_"), "{}", page.body);
    let asks = stage.see(&me, "/api-keys/reporting/revoke").await;
    assert!(asks.status == 200 && asks.body.contains("Revoke the key reporting?"), "{}", asks.body);
    let state = async || {
        let keys = stage.desk.connector.api_keys().await.unwrap();
        keys.iter().find(|key| key.name.as_str() == "reporting").unwrap().state(stage.desk.clock.now())
    };
    assert_eq!(state().await, KeyState::Good, "asking ends nothing");
    let revoked = stage.act(&me, "/api-keys/reporting/revoke", &[]).await;
    assert_eq!((revoked.status, revoked.header("location")), (303, "/api-keys?did=revoked"));
    assert_eq!(state().await, KeyState::Revoked);
    assert!(stage.desk.connector.let_in(key.expose()).await.is_err());
    for path in ["/api-keys/nobody/revoke", "/api-keys/a%2Fb/revoke"] {
        assert_eq!(stage.see(&me, path).await.status, 404, "{path}");
        assert_eq!(stage.act(&me, path, &[]).await.status, 404, "{path}");
    }
    let list = stage.desk.connector.audit(&Default::default(), None, 1).await.unwrap();
    assert_eq!(list.entries[0].entry.actor.to_string(), "session administrator");
    assert_eq!(list.entries[0].entry.action.as_str(), "key.revoke");
}
