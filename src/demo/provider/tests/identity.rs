//! Id tokens, their keys, and userinfo.

use super::*;
use crate::oauth::{ExpectedIdToken, IdToken, IdTokenError, JwkSet, validate_id_token};

impl Site {
    /// A token reply to a consent for `openid` with a nonce.
    async fn signed_in(&self) -> Reply {
        let more = [&OFFLINE[..], &[("scope", "openid drive.readonly"), ("nonce", "n-1")]].concat();
        let url = Browser::of("alice").unwrap().consent(&self.authorization_url(&more)).await.unwrap();
        self.exchange(&query(&url, "code")).await
    }

    async fn keys(&self) -> JwkSet {
        let set = reply(self.http.get(self.provider.jwks_endpoint())).await;
        JwkSet::read(set.body.as_bytes()).unwrap()
    }

    async fn checked(&self, reply: &Reply, nonce: Option<&str>) -> Result<IdToken, IdTokenError> {
        let nonce = nonce.map(Secret::new);
        let expected = ExpectedIdToken {
            issuer: self.provider.issuer(),
            client_id: "web",
            nonce: nonce.as_ref(),
            received: self.clock.now(),
        };
        validate_id_token(&Secret::new(reply.text("id_token")), &self.keys().await, &expected)
    }
}

#[tokio::test]
async fn an_id_token_comes_with_openid_and_repeats_the_nonce_once() {
    let site = site(Habits::default()).await;
    let first = site.signed_in().await;
    let token = site.checked(&first, Some("n-1")).await.unwrap();
    assert_eq!((token.subject(), token.claims()["email"].as_str()), (Some("alice"), Some("alice@demo.example")));
    let again = site.refresh(&first.text("refresh_token")).await;
    assert_eq!(site.checked(&again, Some("n-1")).await, Err(IdTokenError::Nonce));
    assert_eq!(site.checked(&again, None).await.unwrap().subject(), Some("alice"));
    // Without `openid` there is none.
    assert_eq!(site.exchange(&site.code().await).await.json().get("id_token"), None);
}

#[tokio::test]
async fn id_tokens_and_userinfo_lie_as_told() {
    let site = site(Habits { id_tokens: IdTokens::Forged, ..Habits::default() }).await;
    let forged = site.signed_in().await;
    assert_eq!(site.checked(&forged, None).await, Err(IdTokenError::Signature { named: true }));
    let Value::Object(claims) = json!({ "sub": "mallory", "email": null }) else { unreachable!() };
    let (id_token_claims, userinfo_claims) = (claims.clone(), claims);
    site.provider.set_habits(Habits { id_token_claims, userinfo_claims, ..Habits::default() });
    let reply_to = site.signed_in().await;
    let token = site.checked(&reply_to, None).await.unwrap();
    assert_eq!((token.subject(), token.claims().contains_key("email")), (Some("mallory"), false));
    let bearer = format!("Bearer {}", reply_to.text("access_token"));
    let info = reply(site.http.get(site.provider.userinfo_endpoint()).header("authorization", bearer)).await.json();
    assert_eq!(info, json!({ "sub": "mallory", "name": "alice" }));
    site.provider.set_habits(Habits { id_tokens: IdTokens::Absent, ..Habits::default() });
    assert_eq!(site.signed_in().await.json().get("id_token"), None);
}

#[tokio::test]
async fn a_changed_key_is_not_in_the_old_set() {
    let site = site(Habits::default()).await;
    let old = site.keys().await;
    site.provider.change_signing_key().unwrap();
    let reply = site.signed_in().await;
    assert!(site.checked(&reply, None).await.is_ok());
    let expected =
        ExpectedIdToken { issuer: site.provider.issuer(), client_id: "web", nonce: None, received: site.clock.now() };
    let error = validate_id_token(&Secret::new(reply.text("id_token")), &old, &expected).unwrap_err();
    assert!(error.may_need_newer_keys(), "{error}");
}
