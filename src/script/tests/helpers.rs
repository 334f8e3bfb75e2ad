//! The functions that scripts call: what each makes of good and of odd input.

use super::*;
use serde_json::json;

#[tokio::test]
async fn json_is_read_and_written() {
    let read = out(
        r#"let j = parse_json("{\"b\":1,\"a\":[1.5,null,true,\"x\"],\"n\":{\"c\":\"d\"}}"); requestParamMap.put('out', [j.b, j.a, j.n.c, j.none == ()]);"#,
    );
    assert_eq!(read.await, json!([1, [1.5, null, true, "x"], "d", true]));
    let written = out("requestParamMap.put('out', to_json(#{ b: 1, a: [1.5, (), 'é\"'] }));").await;
    assert_eq!(written, r#"{"a":[1.5,null,"é\""],"b":1}"#);
}

#[tokio::test]
async fn forms_jsonp_and_jwts_are_read() {
    assert_eq!(
        out("requestParamMap.put('out', parse_form('a=1&b=x+y%26&a=2'));").await,
        json!({"a": ["1", "2"], "b": "x y&"})
    );
    assert_eq!(out("requestParamMap.put('out', to_form(#{ b: 'x y', a: ['1', 2], c: () }));").await, "a=1&a=2&b=x+y");
    assert_eq!(
        out(r#"requestParamMap.put('out', parse_jsonp("callback( {\"error\":100020} );\n").error);"#).await,
        100_020
    );
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1MSIsImV4cCI6MTcwMDAwMDAwMH0.c2ln";
    assert_eq!(
        out(&format!("let c = jwt_payload('{token}'); requestParamMap.put('out', [c.sub, c.exp]);")).await,
        json!(["u1", 1_700_000_000])
    );
    for wrong in [
        "parse_json('nope')",
        "jwt_payload('a.b')",
        "jwt_payload('x')",
        "parse_jsonp('f(')",
        "base64_decode('*')",
        "parse_xml('<a>')",
    ] {
        assert!(broke(&request_script(&format!("{wrong};"))).await.what.starts_with("that is not"), "{wrong}");
    }
}

#[tokio::test]
async fn xml_becomes_maps_arrays_and_texts() {
    let xml =
        r#"<r xmlns:x=\"u\" a=\"1\"><x:t>at</x:t><list><i>1</i><i>2</i></list><e/> tail <c><![CDATA[<raw>]]></c></r>"#;
    let made = out(&format!("requestParamMap.put('out', parse_xml(\"{xml}\"));")).await;
    assert_eq!(
        made,
        json!({"r": {"@a": "1", "t": "at", "list": {"i": ["1", "2"]}, "e": "", "c": "<raw>", "#text": "tail"}})
    );
}

#[tokio::test]
async fn the_default_reading_can_be_asked_for() {
    let body = r#"let text = "while(1);{\"access_token\":\"at\"}"; text.replace('while(1);', ''); requestParamMap.put('out', read_default(text).access_token);"#;
    assert_eq!(out(body).await, "at");
}

#[tokio::test]
async fn paths_lead_through_maps_and_arrays() {
    let body = "let v = #{ a: [#{ b: 'c' }] }; requestParamMap.put('out', [path(v, 'a.0.b'), path(v, 'a.1.b') == (), path(requestParamMap, 'grant_type')]);";
    assert_eq!(out(body).await, json!(["c", true, "authorization_code"]));
}

#[tokio::test]
async fn digests_and_signatures_are_those_of_their_standards() {
    // FIPS 180-4's "abc", RFC 4231's second case.
    assert_eq!(
        out("requestParamMap.put('out', hex(sha256('abc')));").await,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(
        out("requestParamMap.put('out', hex(hmac_sha256('Jefe', 'what do ya want for nothing?')));").await,
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    assert_eq!(out("requestParamMap.put('out', [base64('a>?'), base64url('a>?'), base64_decode('YT4_'), base64_decode('YT4/')]);").await, json!(["YT4/", "YT4_", "a>?", "a>?"]));
    let parts = out("requestParamMap.put('out', hex(sha256(['a', 'b', 'c'])) == hex(sha256('abc')));").await;
    assert_eq!(parts, true);
}

#[tokio::test]
async fn secrets_sign_without_being_seen() {
    let mac = out(
        "requestParamMap.put('out', hex(hmac_sha256(secret('api'), 'm')) == hex(hmac_sha256('key-of-the-api', 'm')));",
    )
    .await;
    assert_eq!(mac, true);
    let hashed =
        out("requestParamMap.put('out', hex(sha256([secret('api'), 'x'])) == hex(sha256('key-of-the-apix')));").await;
    assert_eq!(hashed, true);
    let said = broke(&request_script("secret('none');")).await.what;
    assert_eq!(said, "the application has no secret none; it has: api, client_secret, private_key");
}

#[tokio::test]
async fn rsa_signatures_and_jwts_verify_with_the_public_key() {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    let key = DecodingKey::from_rsa_pem(include_bytes!("rsa.pub.pem")).unwrap();
    let signed = out("requestParamMap.put('out', base64url(rsa_sha256(secret('private_key'), 'message')));").await;
    assert!(jsonwebtoken::crypto::verify(signed.as_str().unwrap(), b"message", &key, Algorithm::RS256).unwrap());

    let token = out("requestParamMap.put('out', sign_jwt(#{ iss: 'cid', exp: now() + 4000000000 }, secret('private_key'), 'RS256', #{ kid: 'k1' }));").await;
    let read =
        jsonwebtoken::decode::<Value>(token.as_str().unwrap(), &key, &Validation::new(Algorithm::RS256)).unwrap();
    assert_eq!((read.claims["iss"].as_str(), read.header.kid.as_deref()), (Some("cid"), Some("k1")));
    let token =
        out("requestParamMap.put('out', sign_jwt(#{ exp: now() + 4000000000 }, secret('client_secret'), 'HS256'));")
            .await;
    let key = DecodingKey::from_secret(b"the-client-secret-1");
    assert!(jsonwebtoken::decode::<Value>(token.as_str().unwrap(), &key, &Validation::new(Algorithm::HS256)).is_ok());

    for (call, words) in [
        ("sign_jwt(#{}, secret('api'), 'RS256')", "that key does not fit"),
        ("sign_jwt(#{}, secret('api'), 'none')", "sign_jwt knows HS256"),
        ("sign_jwt(#{}, secret('api'), 'HS256', #{ alg: 'none' })", "takes kid, typ"),
        ("rsa_sha256(secret('api'), 'm')", "that key does not fit"),
    ] {
        assert!(broke(&request_script(&format!("{call};"))).await.what.contains(words), "{call}");
    }
}

#[tokio::test]
async fn times_are_read_as_providers_write_them() {
    for time in [
        "1700000000",
        "1700000000000",
        "'1700000000'",
        "1.7e9",
        "'2023-11-14T22:13:20Z'",
        "'2023-11-14T22:13:20+00:00'",
        "'2023-11-14T22:13:20+0000'",
        "'2023-11-14T22:13:20.123Z'",
        "'2023-11-14 22:13:20'",
        "'Tue, 14 Nov 2023 22:13:20 GMT'",
        "now()",
    ] {
        assert_eq!(out(&format!("requestParamMap.put('out', parse_time({time}));")).await, 1_700_000_000, "{time}");
    }
    assert_eq!(
        out("requestParamMap.put('out', [to_rfc3339(1700000000), format_time(1700000000, '%Y-%m-%d %H:%M:%S')]);")
            .await,
        json!(["2023-11-14T22:13:20Z", "2023-11-14 22:13:20"])
    );
    for wrong in [
        "parse_time('soon')",
        "parse_time([])",
        "to_rfc3339(999999999999)",
        "format_time(0, '%999999999999d')",
        "format_time(0, '%')",
    ] {
        assert!(broke(&request_script(&format!("{wrong};"))).await.what.starts_with("that "), "{wrong}");
    }
}

#[tokio::test]
async fn queries_are_sorted_and_values_compared() {
    assert_eq!(out("requestParamMap.put('out', [sorted_query(#{ b: 'x y', a: '&' }), sorted_pairs(#{ b: 'x y', a: '&', c: '', d: () })]);").await, json!(["a=%26&b=x+y", "a=&&b=x y"]));
    assert_eq!(
        out("requestParamMap.put('out', [same('a', 'a'), same('a', 'b'), same(secret('api'), 'key-of-the-api')]);")
            .await,
        json!([true, false, true])
    );
    let id = out("requestParamMap.put('out', uuid());").await;
    assert!(uuid::Uuid::parse_str(id.as_str().unwrap()).is_ok());
}

#[tokio::test]
async fn texts_and_arrays_have_what_rhai_has() {
    let body = "let s = '  A-b-c '; s.trim(); let parts = s.split('-'); parts.push('d'); s.replace('-', '+'); let p = 'x'; p.pad(3, '0');
        requestParamMap.put('out', [s, parts.join(' '), s.to_lower(), s.sub_string(2), s.index_of('c'), p, 'a' == \"a\", 'abc'.contains('b'), 'a b'.split()]);";
    assert_eq!(out(body).await, json!(["A+b+c", "A b c d", "a+b+c", "b+c", 4, "x00", true, true, ["a", "b"]]));
}

/// Rhai would quietly write the name of its type.
#[tokio::test]
async fn a_secret_joined_to_a_text_is_told() {
    for body in [
        "let t = 'x' + secret('api');",
        "let t = secret('api') + 'x';",
        "let t = `x ${secret('api')}`;",
        "let t = 'x'; t += secret('api');",
    ] {
        let said = match request(&request_script(body)).await {
            Err(error) => error.to_string(),
            Ok(_) => String::new(),
        };
        assert!(said.contains("cannot become part of a text"), "{body}: {said}");
        assert!(!said.contains("key-of-the-api"));
    }
}
