//! The peer's harness itself: a hand-made authorization request, consent, and a device, without the connector.

use crate::support::peer::Peer;
use serde_json::{Value, json};
use std::collections::HashMap;
use url::Url;

const REDIRECT: &str = "http://127.0.0.1/callback/peer";

fn authorization_url(peer: &Peer) -> Url {
    let mut url = peer.issuer().join("/auth").unwrap();
    url.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", &peer.client("basic").client_id),
        ("redirect_uri", peer.redirect_uri().as_str()),
        ("scope", "openid offline_access api:read"),
        ("prompt", "consent"),
        ("state", "a state"),
    ]);
    url
}

fn query(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

/// Sends a form; `basic` is user and password as the header carries them.
async fn post(url: Url, basic: Option<(&str, &str)>, form: &[(&str, &str)]) -> Value {
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut request = http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body);
    if let Some((user, password)) = basic {
        request = request.basic_auth(user, Some(password));
    }
    serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn the_peer_gives_a_code_and_tokens_to_whoever_consents() {
    let Some(peer) = Peer::start(REDIRECT) else { return };
    let callback = peer.consent(&authorization_url(&peer)).await;
    let fields = query(&callback);
    assert!(callback.as_str().starts_with(REDIRECT), "{callback}");
    assert_eq!(fields["state"], "a state");
    assert_eq!(fields["iss"], peer.issuer().as_str().trim_end_matches('/'));
    let client = peer.client("basic");
    let form = [("grant_type", "authorization_code"), ("code", &fields["code"]), ("redirect_uri", REDIRECT)];
    let reply = post(peer.issuer().join("/token").unwrap(), Some((&client.client_id, client.secret())), &form).await;
    assert!(reply["access_token"].is_string() && reply["refresh_token"].is_string(), "{reply}");
}

#[tokio::test]
async fn the_peer_tells_of_a_denied_consent() {
    let Some(peer) = Peer::start(REDIRECT) else { return };
    let fields = query(&peer.deny(&authorization_url(&peer)).await);
    assert_eq!(fields["error"], "access_denied");
}

#[tokio::test]
async fn the_peer_lets_a_device_in() {
    let Some(peer) = Peer::start(REDIRECT) else { return };
    let client = [("client_id", peer.client("public").client_id.as_str())];
    let form = [client.as_slice(), &[("scope", "openid offline_access")]].concat();
    let device = post(peer.issuer().join("/device/auth").unwrap(), None, &form).await;
    let text = |name: &str| device[name].as_str().expect("a field of RFC 8628 section 3.2");
    peer.allow_device(&text("verification_uri_complete").parse().unwrap()).await;
    let grant = ("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
    let form = [client.as_slice(), &[grant, ("device_code", text("device_code"))]].concat();
    let reply = post(peer.issuer().join("/token").unwrap(), None, &form).await;
    assert!(reply["access_token"].is_string(), "{reply}");
}

#[tokio::test]
async fn the_peer_knows_its_clients_each_by_its_own_proof() {
    let Some(peer) = Peer::start(REDIRECT) else { return };
    let token = peer.issuer().join("/token").unwrap();
    let grant = [("grant_type", "client_credentials"), ("scope", "api:read"), ("resource", peer.resource())];
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    for name in ["basic", "odd"] {
        let client = peer.client(name);
        let (user, password) = (encoded(&client.client_id), encoded(client.secret()));
        let reply = post(token.clone(), Some((&user, &password)), &grant).await;
        assert!(reply["access_token"].is_string(), "{name}: {reply}");
    }
    let client = peer.client("post");
    let proof = [("client_id", client.client_id.as_str()), ("client_secret", client.secret())];
    let reply = post(token.clone(), None, &[grant.as_slice(), &proof].concat()).await;
    assert!(reply["access_token"].is_string(), "post: {reply}");
    let id = &peer.client("private_key_jwt").client_id;
    let in_2100 = 4_102_444_800_u64; // the peer bounds `exp` by nothing but its being in the future
    let claims = json!({ "iss": id, "sub": id, "aud": peer.issuer().as_str().trim_end_matches('/'), "jti": "1", "exp": in_2100 });
    let key = jsonwebtoken::EncodingKey::from_ec_pem(peer.private_key().as_bytes()).unwrap();
    let assertion = jsonwebtoken::encode(&jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256), &claims, &key);
    let assertion = assertion.unwrap();
    let proof = [
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion.as_str()),
    ];
    let reply = post(token, None, &[grant.as_slice(), &proof].concat()).await;
    assert!(reply["access_token"].is_string(), "private_key_jwt: {reply}");
}
