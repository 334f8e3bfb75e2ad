//! Clients, and the proofs that they bring.

use super::*;

#[tokio::test]
async fn each_client_authenticates_in_its_own_way_only() {
    let site = site(Habits::default()).await;
    let odd = ("odd:id +%", "s:e/c+r e=t&%");
    site.provider.register(Client::new(odd.0, odd.1.to_owned()));
    site.provider.register(Client::new("raw", odd.1.to_owned()).authenticating(ClientAuthentication::BasicRaw));
    site.provider.register(Client::new("post", "p".to_owned()).authenticating(ClientAuthentication::Post));
    site.provider.register(Client::public("native"));
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let spelled = format!("{}:{}", encoded(odd.0), encoded(odd.1));
    let raw = format!("raw:{}", odd.1);
    let raw_of_encoded = format!("raw:{}", encoded(odd.1));
    let post = [("client_id", "post"), ("client_secret", "p")];
    let web_by_post = [("client_id", "web"), ("client_secret", "s3cret")];
    type Case<'a> = (Option<&'a str>, &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 11] = [
        (Some("web:s3cret"), &[], ""),
        (Some("web:wrong"), &[], "invalid_client"),
        (Some("nobody:s3cret"), &[], "invalid_client"),
        (Some(&spelled), &[], ""),
        (Some(&raw), &[], ""),
        (Some(&raw_of_encoded), &[], "invalid_client"),
        (None, &post, ""),
        (Some("post:p"), &[], "invalid_client"),
        (None, &web_by_post, "invalid_client"),
        (Some("web:s3cret"), &web_by_post, "invalid_request"),
        (None, &[("client_id", "native")], "unauthorized_client"),
    ];
    for (basic, more, error) in cases {
        let form: Vec<_> = [("grant_type", "client_credentials")].iter().chain(more).copied().collect();
        let reply = site.post(site.provider.token_endpoint(), basic, &form).await;
        assert_eq!(reply.error(), error, "{basic:?} {more:?}");
        assert_eq!(reply.status == 401, error == "invalid_client");
        assert_eq!(reply.authenticate.starts_with("Basic"), reply.status == 401);
    }
}

#[tokio::test]
async fn a_parameter_sent_twice_is_refused() {
    let site = site(Habits::default()).await;
    let form = [("grant_type", "client_credentials"), ("scope", "a"), ("scope", "b")];
    assert_eq!(site.token(&form).await.error(), "invalid_request");
}

#[tokio::test]
async fn the_password_grant_checks_the_password() {
    let site = site(Habits::default()).await;
    let form = |password| [("grant_type", "password"), ("username", "alice"), ("password", password)];
    assert_eq!(site.token(&form("wrong")).await.error(), "invalid_grant");
    let reply = site.token(&form(PASSWORD)).await;
    assert!(reply.json().get("refresh_token").is_some());
}

fn assertion(key: &SigningKey, claims: &Value) -> String {
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
    let key = jsonwebtoken::EncodingKey::from_ec_pem(key.pem().expose().as_bytes()).unwrap();
    jsonwebtoken::encode(&header, claims, &key).unwrap()
}

#[tokio::test]
async fn an_assertion_is_good_once_for_its_issuer_audience_and_time() {
    let site = site(Habits::default()).await;
    let (key, other_key) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    site.provider.register(Client::public("robot").with_key(&key));
    let now = site.clock.now().as_second();
    let audience = site.provider.token_endpoint().to_string();
    let claims = |jti: &str| json!({ "iss": "robot", "sub": "alice", "aud": audience, "exp": now + 60, "jti": jti });
    let with = |name: &str, value: Value| {
        let mut claims = claims(name);
        claims[name] = value;
        claims
    };
    let good = assertion(&key, &claims("1"));
    let cases = [
        (good.clone(), ""),
        (good, "invalid_grant"),
        (assertion(&other_key, &claims("2")), "invalid_grant"),
        (assertion(&key, &with("aud", json!("https://elsewhere.example/token"))), "invalid_grant"),
        (assertion(&key, &with("exp", json!(now))), "invalid_grant"),
        (assertion(&key, &with("exp", json!(now + 7200))), "invalid_grant"),
        (assertion(&key, &with("iss", json!("web"))), "invalid_grant"),
        (assertion(&key, &with("aud", json!([site.provider.issuer()]))), ""),
    ];
    for (at, (assertion, error)) in cases.iter().enumerate() {
        let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion.as_str())];
        let reply = site.post(site.provider.token_endpoint(), None, &form).await;
        assert_eq!(reply.error(), *error, "case {at}");
        assert!(reply.json().get("refresh_token").is_none());
    }
    assert_eq!(site.provider.families()[0].subject, "alice");
}

#[tokio::test]
async fn a_client_may_authenticate_with_a_signed_assertion() {
    let site = site(Habits::default()).await;
    let key = SigningKey::generate().unwrap();
    let client = Client::public("signer").authenticating(ClientAuthentication::PrivateKeyJwt).with_key(&key);
    site.provider.register(client);
    let claims = |sub: &str, jti: &str| {
        json!({ "iss": "signer", "sub": sub, "aud": site.provider.issuer(), "jti": jti,
                "exp": site.clock.now().as_second() + 60 })
    };
    let good = assertion(&key, &claims("signer", "1"));
    let someone = assertion(&key, &claims("alice", "2"));
    for (assertion, error) in [(&good, ""), (&good, "invalid_client"), (&someone, "invalid_client")] {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ];
        assert_eq!(site.post(site.provider.token_endpoint(), None, &form).await.error(), error);
    }
}

#[tokio::test]
async fn a_client_cannot_present_an_assertion_in_anothers_name() {
    let site = site(Habits::default()).await;
    let now = site.clock.now().as_second();
    let key = jsonwebtoken::EncodingKey::from_secret(b"s3cret");
    let by = |issuer: &str| {
        let claims = json!({ "iss": issuer, "aud": site.provider.issuer(), "exp": now + 60 });
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
    };
    for (issuer, status) in [("web", 200), ("other", 400)] {
        let grant = ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
        assert_eq!(site.token(&[grant, ("assertion", &by(issuer))]).await.status, status, "{issuer}");
    }
}

#[tokio::test]
async fn a_client_id_beside_the_credentials_is_the_same_one() {
    let site = site(Habits::default()).await;
    let form = [("grant_type", "client_credentials"), ("client_id", "other")];
    assert_eq!(site.token(&form).await.error(), "invalid_request");
}

#[tokio::test]
async fn a_body_that_is_no_form_is_refused() {
    let site = site(Habits::default()).await;
    let request = site.http.post(site.provider.token_endpoint()).basic_auth("web", Some("s3cret"));
    let request = request.header("content-type", "application/json").body("grant_type=client_credentials");
    assert_eq!(reply(request).await.error(), "invalid_request");
}
