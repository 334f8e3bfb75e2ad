//! How providers really behave: replies that the default reading must take as they are, without a script. The values
//! are made up. A body that comes compressed is in the tests of `http`, which undoes it.

use super::{RawReply, TokenReply, classify, read_reply, token_reply};
use crate::model::{Failure, FailureKind, Habits, Secret, Timestamp};
use FailureKind::{BadResponse, ClientRejected, RateLimited, ReauthorizationRequired, RequestRejected, Transient};

/// The whole default reading, as a grant does it.
fn read(status: u16, headers: &[(&str, &str)], body: &str) -> Result<TokenReply, Failure> {
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let reply = RawReply { status, headers, body: body.as_bytes().to_vec().into() };
    let params = read_reply(&reply);
    match classify(&reply, params.as_ref().ok(), now) {
        Some(failure) => Err(failure),
        None => token_reply(params.map_err(|unreadable| unreadable.failure(status))?, now, &Habits::default(), " "),
    }
}

/// A token that must be read.
struct Token {
    habit: &'static str,
    content_type: &'static str,
    body: &'static str,
    access_token: &'static str,
    refresh_token: Option<&'static str>,
    expires_in: Option<u64>,
    scopes: Option<&'static [&'static str]>,
}

const JSON: &str = "application/json";

#[rustfmt::skip]
const TOKENS: &[Token] = &[
    Token { habit: "the end as epoch milliseconds", content_type: JSON,
        body: r#"{"access_token":"t-01","expires_at":1700003600000,"token_type":"Bearer"}"#,
        access_token: "t-01", refresh_token: None, expires_in: Some(3600), scopes: None },
    Token { habit: "the end as epoch seconds in a text", content_type: JSON,
        body: r#"{"access_token":"t-02","expires_at":"1700003600","token_type":"Bearer"}"#,
        access_token: "t-02", refresh_token: None, expires_in: Some(3600), scopes: None },
    Token { habit: "a lifetime over 64 bits", content_type: JSON,
        body: r#"{"access_token":"t-03","expires_in":99999999999999999999999,"token_type":"Bearer"}"#,
        access_token: "t-03", refresh_token: None, expires_in: Some(2_147_483_647), scopes: None },
    Token { habit: "a lifetime as a padded text", content_type: JSON,
        body: r#"{"access_token":"t-04","expires_in":" 3600 ","token_type":"Bearer"}"#,
        access_token: "t-04", refresh_token: None, expires_in: Some(3600), scopes: None },
    Token { habit: "Mailchimp: a lifetime of 0 and a scope of null", content_type: JSON,
        body: r#"{"access_token":"t-05","expires_in":0,"scope":null}"#,
        access_token: "t-05", refresh_token: None, expires_in: None, scopes: None },
    Token { habit: "Nest: ten years, no type, no scope", content_type: JSON,
        body: r#"{"access_token":"c.t-06","expires_in":315360000}"#,
        access_token: "c.t-06", refresh_token: None, expires_in: Some(315_360_000), scopes: None },
    Token { habit: "JSON as text/html, white space around", content_type: "text/html; charset=utf-8",
        body: "\n  {\"access_token\":\"t-07\",\"token_type\":\"bearer\",\"expires_in\":3600}\n",
        access_token: "t-07", refresh_token: None, expires_in: Some(3600), scopes: None },
    Token { habit: "JSON without a content type", content_type: "",
        body: r#"{"access_token":"t-08","expires_in":3600}"#,
        access_token: "t-08", refresh_token: None, expires_in: Some(3600), scopes: None },
    Token { habit: "Keycloak: a refresh lifetime of 0", content_type: JSON,
        body: r#"{"access_token":"t-09","expires_in":300,"refresh_expires_in":0,"token_type":"Bearer","not-before-policy":0,"scope":"profile email"}"#,
        access_token: "t-09", refresh_token: None, expires_in: Some(300), scopes: Some(&["profile", "email"]) },
    Token { habit: "Kakao: a refresh that brings no refresh token", content_type: JSON,
        body: r#"{"access_token":"t-10","token_type":"bearer","expires_in":43199}"#,
        access_token: "t-10", refresh_token: None, expires_in: Some(43_199), scopes: None },
    Token { habit: "Google: the same, with scopes", content_type: JSON,
        body: r#"{"access_token":"ya29.t-11","expires_in":3599,"scope":"openid email","token_type":"Bearer"}"#,
        access_token: "ya29.t-11", refresh_token: None, expires_in: Some(3599), scopes: Some(&["openid", "email"]) },
    Token { habit: "Bitbucket: scopes", content_type: JSON,
        body: r#"{"access_token":"t-12","scopes":"account pullrequest","expires_in":7200,"refresh_token":"r-12","token_type":"bearer"}"#,
        access_token: "t-12", refresh_token: Some("r-12"), expires_in: Some(7200), scopes: Some(&["account", "pullrequest"]) },
    Token { habit: "Fly.io: scope as a list", content_type: JSON,
        body: r#"{"access_token":"t-13","token_type":"Bearer","expires_in":7200,"scope":["read"],"created_at":1700000000}"#,
        access_token: "t-13", refresh_token: None, expires_in: Some(7200), scopes: Some(&["read"]) },
    Token { habit: "Apigee: BearerToken, texts for numbers, dots in names", content_type: JSON,
        body: r#"{"refresh_token_expires_in":"0","api_product_list":"[prod-a]","api_product_list_json":["prod-a"],"developer.email":"dev@example.org","token_type":"BearerToken","issued_at":"1700000000000","client_id":"cid","access_token":"t-14","scope":"","expires_in":"3599","refresh_count":"0","status":"approved"}"#,
        access_token: "t-14", refresh_token: None, expires_in: Some(3599), scopes: None },
    Token { habit: "BEARER", content_type: JSON,
        body: r#"{"access_token":"t-15","token_type":"BEARER","expires_in":60}"#,
        access_token: "t-15", refresh_token: None, expires_in: Some(60), scopes: None },
    Token { habit: "no type, and slashes in the tokens", content_type: JSON,
        body: r#"{"access_token":"Vn/16","refresh_token":"r5/16","scope":"base.profile","expires_in":1296000}"#,
        access_token: "Vn/16", refresh_token: Some("r5/16"), expires_in: Some(1_296_000), scopes: Some(&["base.profile"]) },
    Token { habit: "half a surrogate pair in a field nobody needs", content_type: JSON,
        body: r#"{"access_token":"t-17","token_type":"Bearer","note":"\ud83d","expires_in":60}"#,
        access_token: "t-17", refresh_token: None, expires_in: Some(60), scopes: None },
    Token { habit: "a form with a line break at its end", content_type: "application/x-www-form-urlencoded",
        body: "access_token=t-18&expires_in=3600\r\n",
        access_token: "t-18", refresh_token: None, expires_in: Some(3600), scopes: None },
    Token { habit: "escapes for plain and for rare characters", content_type: JSON,
        body: r#"{"access_token":"t\u002d19","token_type":"Bearer","scope":"caf\u00e9 \ud83d\ude00","expires_in":60}"#,
        access_token: "t-19", refresh_token: None, expires_in: Some(60), scopes: Some(&["café", "😀"]) },
];

#[test]
fn every_token_is_read_as_the_provider_meant_it() {
    for token in TOKENS {
        let reply = read(200, &[("content-type", token.content_type)], token.body)
            .unwrap_or_else(|failure| panic!("{}: {failure}", token.habit));
        let scopes = token.scopes.map(|scopes| scopes.iter().map(|&scope| scope.to_owned()).collect());
        assert_eq!(reply.access_token.expose(), token.access_token, "{}", token.habit);
        assert_eq!(reply.refresh_token.as_ref().map(Secret::expose), token.refresh_token, "{}", token.habit);
        assert_eq!(reply.token_type, "Bearer", "{}", token.habit);
        assert_eq!((reply.expires_in, reply.refresh_expires_in), (token.expires_in, None), "{}", token.habit);
        assert_eq!(reply.scopes, scopes, "{}", token.habit);
    }
}

/// A failure that must be told as what it is.
struct Told {
    habit: &'static str,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    kind: FailureKind,
    code: &'static str,
    retry_after: Option<u64>,
}

#[rustfmt::skip]
const FAILURES: &[Told] = &[
    Told { habit: "an error with 200", status: 200, headers: &[], body: r#"{"error":"invalid_grant"}"#,
        kind: ReauthorizationRequired, code: "invalid_grant", retry_after: None },
    Told { habit: "our secret is wrong: the person's grant stays", status: 400, headers: &[], body: r#"{"error":"invalid_client"}"#,
        kind: ClientRejected, code: "invalid_client", retry_after: None },
    Told { habit: "an OAuth error with 500", status: 500, headers: &[], body: r#"{"error":"invalid_grant"}"#,
        kind: ReauthorizationRequired, code: "invalid_grant", retry_after: None },
    Told { habit: "Discord: code 0 is no success", status: 429, headers: &[], body: r#"{"code":0,"message":"You are being blocked from accessing our API temporarily."}"#,
        kind: RateLimited, code: "0", retry_after: None },
    Told { habit: "Kakao: a finer code", status: 400, headers: &[], body: r#"{"error":"invalid_grant","error_description":"authorization code not found for code=madeup","error_code":"KOE320"}"#,
        kind: ReauthorizationRequired, code: "KOE320", retry_after: None },
    Told { habit: "Microsoft: consent is missing", status: 400, headers: &[], body: r#"{"error":"consent_required","error_description":"AADSTS65001: The user or administrator has not consented","error_codes":[65001]}"#,
        kind: ReauthorizationRequired, code: "65001", retry_after: None },
    Told { habit: "Microsoft: passing, with 400", status: 400, headers: &[], body: r#"{"error":"temporarily_unavailable","error_description":"AADSTS50196: The server encountered a loop.","error_codes":[50196]}"#,
        kind: Transient, code: "50196", retry_after: None },
    Told { habit: "Retry-After as a date", status: 429, headers: &[("content-type", "text/plain"), ("retry-after", "Tue, 14 Nov 2023 22:14:20 GMT")], body: "Too Many Requests",
        kind: RateLimited, code: "http_429", retry_after: Some(60) },
    Told { habit: "an empty token", status: 200, headers: &[], body: r#"{"access_token":"","token_type":"bearer"}"#,
        kind: BadResponse, code: "no_access_token", retry_after: None },
    Told { habit: "200 and nothing", status: 200, headers: &[("content-type", JSON)], body: "",
        kind: BadResponse, code: "unreadable_reply", retry_after: None },
    Told { habit: "204", status: 204, headers: &[], body: "",
        kind: BadResponse, code: "unreadable_reply", retry_after: None },
    Told { habit: "a guest network's page", status: 200, headers: &[("content-type", "text/html")], body: "<!DOCTYPE html><html><body>Please log in to the guest network</body></html>",
        kind: BadResponse, code: "unreadable_reply", retry_after: None },
    Told { habit: "a page with 503, and Retry-After", status: 503, headers: &[("content-type", "text/html"), ("Retry-After", "120")], body: "<h1>503</h1>",
        kind: Transient, code: "http_503", retry_after: Some(120) },
    Told { habit: "a firewall's page as application/json", status: 200, headers: &[("content-type", JSON)], body: "<!DOCTYPE html><html><head><title>Blocked</title></head></html>",
        kind: BadResponse, code: "unreadable_reply", retry_after: None },
    Told { habit: "JSON without a token", status: 200, headers: &[], body: r#"{"scope":"user","token_type":"bearer"}"#,
        kind: BadResponse, code: "no_access_token", retry_after: None },
    Told { habit: "Withings: an endpoint that has moved", status: 302, headers: &[("location", "https://developer.example.org/")], body: "<!DOCTYPE HTML><html><head><title>302 Found</title></head></html>",
        kind: RequestRejected, code: "http_302", retry_after: None },
];

#[test]
fn every_failure_is_told_as_what_it_is() {
    for told in FAILURES {
        let failure = read(told.status, told.headers, told.body).expect_err(told.habit);
        assert_eq!((failure.kind, failure.code.as_str()), (told.kind, told.code), "{}", told.habit);
        assert_eq!(failure.retry_after, told.retry_after, "{}", told.habit);
    }
}

#[test]
fn a_field_with_a_dot_in_its_name_is_kept_under_that_name() {
    let apigee = TOKENS.iter().find(|token| token.habit.starts_with("Apigee")).unwrap();
    let reply = read(200, &[], apigee.body).unwrap();
    assert_eq!(reply.extra["developer.email"], "dev@example.org");
    assert_eq!(reply.extra["api_product_list_json"][0], "prod-a");
}
