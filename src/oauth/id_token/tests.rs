use super::*;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proptest::prelude::*;
use serde_json::json;

// Made for these tests alone, with `openssl genpkey`.
const RSA: &str = include_str!("../testdata/rsa.pem");
const P256: &str = include_str!("../testdata/ec-p256.pem");
const P384: &str = include_str!("../testdata/ec-p384.pem");
const ED25519: &str = include_str!("../testdata/ed25519.pem");

const NOW: i64 = 1_700_000_000;
const ISSUER: &str = "https://id.example/tenant";
const TENANT_ID: &str = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
const OTHER_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

fn signing_key(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(P256.as_bytes()),
        Algorithm::ES384 => EncodingKey::from_ec_pem(P384.as_bytes()),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(ED25519.as_bytes()),
        _ => EncodingKey::from_rsa_pem(RSA.as_bytes()),
    }
    .unwrap()
}

/// The public half of a key as a JWK, with more members over it; `null` takes one away.
fn jwk(algorithm: Algorithm, more: Value) -> Value {
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&signing_key(algorithm), algorithm).unwrap()).unwrap();
    jwk["kid"] = "k1".into();
    overlay(&mut jwk, more);
    jwk
}

fn overlay(object: &mut Value, more: Value) {
    let Value::Object(more) = more else { panic!("an object") };
    for (name, value) in more {
        match value {
            Value::Null => _ = object.as_object_mut().unwrap().remove(&name),
            value => object[name.as_str()] = value,
        }
    }
}

fn set(keys: &[Value]) -> JwkSet {
    JwkSet::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn claims(more: Value) -> Value {
    let mut claims = json!({ "iss": ISSUER, "sub": "u-1", "aud": "cid", "exp": NOW + 600, "iat": NOW, "nonce": "n-1" });
    overlay(&mut claims, more);
    claims
}

fn signed_as(algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> Secret {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    Secret::new(jsonwebtoken::encode(&header, claims, &signing_key(algorithm)).unwrap())
}

fn signed(more: Value) -> Secret {
    signed_as(Algorithm::ES256, Some("k1"), &claims(more))
}

/// A token with a header of its own, which no library would write, over a right signature of it.
fn with_header(header: &Value, claims: &Value) -> Secret {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let key = signing_key(Algorithm::ES256);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::ES256).unwrap();
    Secret::new(format!("{message}.{signature}"))
}

fn expected<'a>(issuer: &'a str, nonce: Option<&'a Secret>) -> ExpectedIdToken<'a> {
    ExpectedIdToken { issuer, client_id: "cid", nonce, received: Timestamp::from_second(NOW).unwrap() }
}

fn check_with(token: &Secret, keys: &JwkSet) -> Result<IdToken, IdTokenError> {
    validate_id_token(token, keys, &expected(ISSUER, Some(&Secret::new("n-1"))))
}

fn check(token: &Secret) -> Result<IdToken, IdTokenError> {
    check_with(token, &set(&[jwk(Algorithm::ES256, json!({}))]))
}

const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

#[test]
fn a_token_of_every_algorithm_is_taken_and_gives_its_claims() {
    for algorithm in ALGORITHMS {
        let token = signed_as(algorithm, Some("k1"), &claims(json!({ "email": "ann@a.example" })));
        for pinned in [json!({}), json!({ "alg": null }), json!({ "use": "sig", "key_ops": ["verify"] })] {
            let token = check_with(&token, &set(&[jwk(algorithm, pinned.clone())]))
                .unwrap_or_else(|error| panic!("{algorithm:?}: {error}"));
            assert_eq!((token.issuer(), token.subject()), (Some(ISSUER), Some("u-1")), "{pinned}");
            assert_eq!(token.claims()["email"], "ann@a.example");
        }
    }
}

#[test]
fn each_claim_is_checked() {
    let refused = |more: Value| check(&signed(more)).unwrap_err();
    use IdTokenError as E;
    for iss in [json!(null), json!(7), json!("https://id.example"), json!("https://id.example/tenant/")] {
        assert!(matches!(refused(json!({ "iss": iss })), E::OtherIssuer { .. }));
    }
    for aud in [json!(null), json!("other"), json!(["other"]), json!([]), json!({ "cid": 1 }), json!("CID")] {
        assert!(matches!(refused(json!({ "aud": aud })), E::OtherAudience(_)));
    }
    for more in [json!({ "azp": "other" }), json!({ "aud": ["cid", "other"] })] {
        assert!(matches!(refused(more), E::OtherParty(_)));
    }
    for (name, value) in [("exp", json!(null)), ("exp", json!("soon")), ("iat", json!(null)), ("iat", json!(-1))] {
        assert_eq!(refused(json!({ name: value })), E::NoTime(name));
    }
    assert_eq!(refused(json!({ "nbf": "then" })), E::NoTime("nbf"));
    assert!(matches!(refused(json!({ "exp": NOW - 120 })), E::Ended(_)));
    for name in ["iat", "nbf"] {
        assert!(matches!(refused(json!({ name: NOW + 121 })), E::NotYet(_)));
    }
    for nonce in [json!(null), json!("n-2"), json!(1), json!("")] {
        assert_eq!(refused(json!({ "nonce": nonce })), E::Nonce);
    }
    for sub in [json!(null), json!(""), json!(1), json!("x".repeat(256))] {
        assert_eq!(refused(json!({ "sub": sub })), E::NoSubject);
    }
    for good in [
        json!({}),
        json!({ "aud": ["cid"] }),
        json!({ "aud": ["cid", "other"], "azp": "cid" }),
        json!({ "exp": NOW - 119, "iat": NOW + 120, "nbf": NOW + 120 }),
        json!({ "exp": 1_700_000_600.5, "iat": 1_699_999_999.25 }),
        json!({ "exp": 1e300 }),
    ] {
        assert!(check(&signed(good.clone())).is_ok(), "{good}");
    }
}

#[test]
fn a_nonce_is_demanded_only_where_one_was_sent() {
    let keys = set(&[jwk(Algorithm::ES256, json!({}))]);
    let token = signed(json!({ "nonce": null }));
    assert!(validate_id_token(&token, &keys, &expected(ISSUER, None)).is_ok());
    // Without keys: one that is repeated must be right.
    let nonce = Secret::new("n-1");
    assert!(read_id_token(&token, Some(&nonce)).is_ok());
    assert!(read_id_token(&signed(json!({})), Some(&nonce)).is_ok());
    assert_eq!(read_id_token(&signed(json!({ "nonce": "n-2" })), Some(&nonce)), Err(IdTokenError::Nonce));
}

#[test]
fn no_signature_and_a_secrets_signature_are_refused_whatever_the_keys_are() {
    // The public key as the secret of an HMAC (RFC 8725 section 2.1), in each form that a library might take.
    let public = include_str!("../testdata/rsa.pub.pem");
    let keys = set(&[jwk(Algorithm::RS256, json!({})), jwk(Algorithm::RS256, json!({ "alg": null, "kid": "k2" }))]);
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        for secret in [public.as_bytes(), public.trim().as_bytes(), b"csecret"] {
            let header = Header { kid: Some("k2".into()), ..Header::new(algorithm) };
            let token = jsonwebtoken::encode(&header, &claims(json!({})), &EncodingKey::from_secret(secret)).unwrap();
            assert_eq!(check_with(&Secret::new(token), &keys), Err(IdTokenError::Algorithm(format!("{algorithm:?}"))));
        }
    }
    for name in ["none", "None", "nOnE", "", "RS256 ", "ES256K", "ES512"] {
        let token = with_header(&json!({ "alg": name, "kid": "k1" }), &claims(json!({})));
        let bare = format!("{}.", token.expose().rsplit_once('.').unwrap().0);
        for token in [token, Secret::new(bare)] {
            assert!(matches!(check(&token), Err(IdTokenError::Algorithm(_))), "{name:?}");
        }
    }
    assert!(matches!(
        check(&with_header(&json!({ "kid": "k1" }), &claims(json!({})))),
        Err(IdTokenError::Algorithm(_))
    ));
}

#[test]
fn a_symmetric_key_in_a_set_is_no_key() {
    let oct = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode("published"), "kid": "k1" });
    let alone = JwkSet::read(json!({ "keys": [oct] }).to_string().as_bytes());
    assert_eq!(alone.map(drop), Err(JwksError::NoUsableKey));
}

#[test]
fn a_key_is_used_for_what_it_is_for() {
    let token = signed(json!({}));
    for unfit in [
        jwk(Algorithm::ES256, json!({ "alg": "ES384" })),
        jwk(Algorithm::ES256, json!({ "alg": "RS256" })),
        jwk(Algorithm::RS256, json!({ "alg": null })),
        jwk(Algorithm::EdDSA, json!({})),
    ] {
        assert_eq!(check_with(&token, &set(&[unfit])), Err(IdTokenError::UnfitKey("ES256".into())));
    }
    let other = jwk(Algorithm::RS256, json!({ "kid": "k9" }));
    for left_out in [
        json!({ "use": "enc" }),
        json!({ "key_ops": ["encrypt"] }),
        json!({ "key_ops": "verify" }),
        json!({ "crv": "P-521" }),
        json!({ "kty": "PQC" }),
        json!({ "x": "AA" }),
        json!({ "y": "***" }),
    ] {
        let keys = set(&[jwk(Algorithm::ES256, left_out.clone()), other.clone()]);
        assert_eq!(check_with(&token, &keys), Err(IdTokenError::UnknownKey("k1".into())), "{left_out}");
    }
    // RS256 with a key that is pinned to PS256, and the other way round.
    let rs = signed_as(Algorithm::RS256, Some("k1"), &claims(json!({})));
    let keys = set(&[jwk(Algorithm::PS256, json!({}))]);
    assert_eq!(check_with(&rs, &keys), Err(IdTokenError::UnfitKey("RS256".into())));
}

#[test]
fn an_unknown_key_is_told_apart_so_that_the_set_is_fetched_again() {
    let keys = set(&[jwk(Algorithm::ES256, json!({ "kid": "old" })), jwk(Algorithm::RS256, json!({ "kid": "k9" }))]);
    let unknown = check_with(&signed(json!({})), &keys).unwrap_err();
    assert_eq!((unknown.may_need_newer_keys(), &unknown), (true, &IdTokenError::UnknownKey("k1".into())));
    // Without a `kid` every key that fits is tried.
    let nameless = signed_as(Algorithm::ES256, None, &claims(json!({})));
    assert!(check_with(&nameless, &keys).is_ok());
    let others = set(&[foreign_key(json!({}))]);
    let error = check_with(&nameless, &others).unwrap_err();
    assert_eq!((error.may_need_newer_keys(), &error), (true, &IdTokenError::Signature { named: false }));
    // A known key whose signature does not fit is a forgery, and no newer set changes that.
    let error = check_with(&signed(json!({})), &others).unwrap_err();
    assert_eq!((error.may_need_newer_keys(), &error), (false, &IdTokenError::Signature { named: true }));
}

/// RFC 7517 appendix A.1's P-256 key, with the `kid` of ours.
fn foreign_key(more: Value) -> Value {
    let mut key = json!({ "kty": "EC", "crv": "P-256", "kid": "k1", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
                          "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM" });
    overlay(&mut key, more);
    key
}

#[test]
fn keys_that_the_token_brings_along_are_not_looked_at() {
    let own = jwk(Algorithm::ES256, json!({}));
    let header = json!({ "alg": "ES256", "kid": "k1", "jwk": own, "jku": "https://evil.example/jwks", "x5u": "https://evil.example" });
    let token = with_header(&header, &claims(json!({})));
    assert_eq!(check_with(&token, &set(&[foreign_key(json!({}))])), Err(IdTokenError::Signature { named: true }));
    // A signature that is no base64url.
    let odd = format!("{}.***", token.expose().rsplit_once('.').unwrap().0);
    assert_eq!(check(&Secret::new(odd)), Err(IdTokenError::Signature { named: true }));
    // What must be understood and is not (RFC 7515 section 4.1.11).
    let token = with_header(&json!({ "alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false }), &claims(json!({})));
    assert_eq!(check(&token), Err(IdTokenError::Critical));
}

#[test]
fn what_is_no_signed_jwt_is_told_by_its_shape() {
    use IdTokenError as E;
    for (text, error) in [
        ("a.b.c.d.e", E::Encrypted),
        ("", E::NotJwt("it has not three parts with dots between them")),
        ("a.b", E::NotJwt("it has not three parts with dots between them")),
        ("a.b.c.d", E::NotJwt("it has not three parts with dots between them")),
        ("a.b.c.d.e.f", E::NotJwt("it has not three parts with dots between them")),
        ("e30.WzFd.AA", E::NotJwt("its claims are no JSON object in base64url")),
        ("WzFd.e30.AA", E::NotJwt("its header is no JSON object in base64url")),
    ] {
        assert_eq!(check(&Secret::new(text)), Err(error), "{text}");
    }
    assert_eq!(check(&Secret::new("x".repeat(70_000))), Err(E::TooLong(70_000)));
}

#[test]
fn a_set_is_read_with_caps_and_odd_keys_do_not_spoil_it() {
    let read = |set: Value| JwkSet::read(set.to_string().as_bytes()).map(drop);
    for none in [json!([]), json!({ "keys": {} }), json!({}), json!("keys")] {
        assert_eq!(read(none), Err(JwksError::NotASet));
    }
    assert_eq!(JwkSet::read(b"<html>").map(drop), Err(JwksError::NotASet));
    assert_eq!(read(json!({ "keys": [] })), Err(JwksError::NoUsableKey));
    assert_eq!(JwkSet::read(&vec![b' '; 300_000]).map(drop), Err(JwksError::TooLarge(300_000)));
    let good = jwk(Algorithm::ES256, json!({}));
    assert_eq!(read(json!({ "keys": [1, null, { "kty": "?" }, {}, good] })), Ok(()));
    // More keys than are looked at: the one behind them is not.
    let mut many = vec![json!({ "kty": "oct" }); 100];
    many.push(good);
    assert_eq!(read(json!({ "keys": many })), Err(JwksError::NoUsableKey));
}

#[test]
fn rsa_keys_are_neither_short_nor_endless_and_a_zero_before_the_modulus_does_no_harm() {
    let token = signed_as(Algorithm::RS256, Some("k1"), &claims(json!({})));
    let key = jwk(Algorithm::RS256, json!({}));
    let modulus = URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap();
    let with = |modulus: &[u8]| jwk(Algorithm::RS256, json!({ "n": URL_SAFE_NO_PAD.encode(modulus) }));
    assert!(check_with(&token, &set(&[with(&[&[0], &modulus[..]].concat())])).is_ok());
    for bad in [&modulus[..128], &[], &[0, 0], &[0xff; 1025]] {
        let body = json!({ "keys": [with(bad)] }).to_string();
        assert_eq!(JwkSet::read(body.as_bytes()).map(drop), Err(JwksError::NoUsableKey), "{} bytes", bad.len());
    }
}

fn microsoft(tenant: &str) -> String {
    format!("https://login.example/{tenant}/v2.0")
}

fn of_tenant(iss: &str, tid: &Value, key_issuer: &Value) -> Result<IdToken, IdTokenError> {
    let token = signed(json!({ "iss": iss, "tid": tid }));
    let keys = set(&[jwk(Algorithm::ES256, json!({ "issuer": key_issuer }))]);
    let nonce = Secret::new("n-1");
    validate_id_token(&token, &keys, &expected(&microsoft("{tid}"), Some(&nonce)))
}

#[test]
fn an_issuer_with_a_tenant_in_it_is_the_tokens_own_and_its_keys() {
    use IdTokenError as E;
    let own = microsoft(TENANT_ID);
    for key in [microsoft("{tenantid}"), own.clone()] {
        assert!(of_tenant(&own, &json!(TENANT_ID), &json!(key)).is_ok(), "{key}");
    }
    // `iss` is of another tenant, of another host, or of no tenant.
    for iss in [microsoft(OTHER_TENANT), own.replace("login", "evil"), microsoft("{tid}"), microsoft("common")] {
        let error = of_tenant(&iss, &json!(TENANT_ID), &json!(microsoft("{tenantid}"))).unwrap_err();
        assert!(matches!(error, E::OtherIssuer { .. }), "{iss}");
    }
    // A tenant that is no GUID could be anything, `../evil` too.
    for tid in [json!(null), json!("common"), json!(""), json!("8eaef023-2b34-4da1-9baa-8bc8c9d6a49/")] {
        let iss = microsoft(tid.as_str().unwrap_or_default());
        assert_eq!(of_tenant(&iss, &tid, &json!(microsoft("{tenantid}"))), Err(E::NoTenant));
    }
    // A key that signs for one tenant signs for no other; one that says nothing signs for none.
    for key in [json!(microsoft(OTHER_TENANT)), json!(null), json!("{tenantid}"), json!("")] {
        let error = of_tenant(&own, &json!(TENANT_ID), &key).unwrap_err();
        assert!(matches!(error, E::KeyOfOtherIssuer(_)), "{key}");
    }
    // The application may name one tenant: then it is that one, and the key's issuer still counts.
    let check = |key: String| {
        let token = signed(json!({ "iss": own, "tid": TENANT_ID }));
        let keys = set(&[jwk(Algorithm::ES256, json!({ "issuer": key }))]);
        validate_id_token(&token, &keys, &expected(&own, None))
    };
    assert!(check(microsoft("{tenantid}")).is_ok());
    assert!(matches!(check(microsoft(OTHER_TENANT)), Err(E::KeyOfOtherIssuer(_))));
}

#[test]
fn a_tenant_in_an_issuer_stands_for_a_guid_and_nothing_else() {
    let named = microsoft("{tid}");
    assert!(is_issuer_of(&named, &microsoft(TENANT_ID)));
    for other in ["common", "", "x/8eaef023-2b34-4da1-9baa-8bc8c9d6a490", "{tid}"] {
        assert!(!is_issuer_of(&named, &microsoft(other)), "{other}");
    }
    assert!(!is_issuer_of(&named, "https://login.example"));
    assert!(is_issuer_of("https://a.example/", "https://a.example"));
}

#[test]
fn no_message_and_no_debug_shows_the_token_or_a_person() {
    let token = signed(json!({ "email": "marked@a.example", "nonce": "n-2" }));
    let error = check(&token).unwrap_err();
    for part in token.expose().split('.') {
        assert!(!format!("{error} {error:?}").contains(part));
    }
    let token = check(&signed(json!({ "email": "marked@a.example" }))).unwrap();
    assert!(format!("{token:?}").contains("email") && !format!("{token:?}").contains("marked"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_token_with_any_one_character_changed_is_refused(at in 0usize..1000, to in "[A-Za-z0-9_.-]") {
        let token = signed(json!({}));
        let mut text = token.expose().to_owned();
        let at = at % text.len();
        text.replace_range(at..=at, &to);
        prop_assume!(text != token.expose());
        prop_assert!(check(&Secret::new(text)).is_err());
    }

    #[test]
    fn claims_of_one_token_under_the_signature_of_another_are_refused(sub in "[a-z]{1,20}") {
        let (ours, theirs) = (signed(json!({})), signed(json!({ "sub": sub })));
        prop_assume!(sub != "u-1");
        let claims = theirs.expose().split('.').nth(1).unwrap();
        let parts: Vec<&str> = ours.expose().split('.').collect();
        let mixed = Secret::new(format!("{}.{claims}.{}", parts[0], parts[2]));
        prop_assert_eq!(check(&mixed), Err(IdTokenError::Signature { named: true }));
    }

    #[test]
    fn a_token_is_good_between_its_times(exp in -400i64..400, iat in -400i64..400) {
        let good = check(&signed(json!({ "exp": NOW + exp, "iat": NOW + iat }))).is_ok();
        prop_assert_eq!(good, exp > -120 && iat <= 120);
    }

    #[test]
    fn no_text_panics(token in ".{0,200}", body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = check(&Secret::new(token.as_str()));
        let _ = JwkSet::read(&body);
        let encoded = URL_SAFE_NO_PAD.encode(&body);
        let _ = check(&Secret::new(format!("{encoded}.{encoded}.{encoded}")));
        prop_assert!(read_id_token(&Secret::new(token), None).is_err());
    }
}
