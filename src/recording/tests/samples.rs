//! Replies of real providers' shapes, with made-up values.

use super::*;
use crate::oauth::token_reply;

/// A JWT with exp 1700003600.
const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3MDAwMDM2MDB9.bWFkZXVw";

/// Body; access token, refresh token, lifetime, lifetime of the refresh token, scopes; what is needed.
type Sample =
    (&'static str, &'static str, Option<&'static str>, Option<u64>, Option<u64>, &'static [&'static str], Needs);

#[derive(Debug, PartialEq, Clone, Copy)]
enum Needs {
    Nothing,
    Keys,
    Script,
}
use Needs::{Keys, Nothing, Script};

const SAMPLES: [Sample; 46] = [
    // Standard, more or less.
    (
        r#"{"access_token":"mk-1","refresh_token":"mr-1","expires_in":86400,"token_type":"Bearer"}"#,
        "mk-1",
        Some("mr-1"),
        Some(86_400),
        None,
        &[],
        Nothing,
    ),
    (
        r#"{"access_token":"mk-2","token_type":"Bearer","scope":"me:read boards:read"}"#,
        "mk-2",
        None,
        None,
        None,
        &["me:read", "boards:read"],
        Nothing,
    ),
    (
        r#"{"access_token":"mk-3","token_type":"bearer","expires_at":"2023-12-14T22:13:20Z","merchant_id":"ML","refresh_token":"mr-3","short_lived":false}"#,
        "mk-3",
        Some("mr-3"),
        Some(2_592_000),
        None,
        &[],
        Nothing,
    ),
    (
        r#"{"access_token":"mk-4","expires_in":14124,"refresh_token":"mr-4","scope":["user:read:email"],"token_type":"bearer"}"#,
        "mk-4",
        Some("mr-4"),
        Some(14_124),
        None,
        &["user:read:email"],
        Nothing,
    ),
    (
        r#"{"access_token":"mk-5","expires_at":1700003600000,"token_type":"Bearer"}"#,
        "mk-5",
        None,
        Some(3600),
        None,
        &[],
        Nothing,
    ),
    (r#"{"access_token":"mk-6","expires_at":"1700003600"}"#, "mk-6", None, Some(3600), None, &[], Nothing),
    (r#"{"access_token":"mk-7","expires_in":" 3600 "}"#, "mk-7", None, Some(3600), None, &[], Nothing),
    (r#"{"access_token":"mk-8","expires_in":0,"scope":null}"#, "mk-8", None, None, None, &[], Nothing),
    (
        r#"{"token_type":"Bearer","scope":"User.Read Mail.Read","expires_in":3599,"ext_expires_in":7199,"access_token":"mk-9","refresh_token":"mr-9"}"#,
        "mk-9",
        Some("mr-9"),
        Some(3599),
        None,
        &["User.Read", "Mail.Read"],
        Nothing,
    ),
    (r#"{"access_token":"mk-10","expires_in":315360000}"#, "mk-10", None, Some(315_360_000), None, &[], Nothing),
    (
        r#"{"token_type":"Bearer","expires_at":1700021600,"expires_in":21600,"refresh_token":"mr-11","access_token":"mk-11","athlete":{"id":12345678987654321}}"#,
        "mk-11",
        Some("mr-11"),
        Some(21_600),
        None,
        &[],
        Nothing,
    ),
    ("access_token=mk-12&expires=5183999", "mk-12", None, Some(5_183_999), None, &[], Nothing),
    ("access_token=mk%28%2813%29%29&expires=86399\r\n", "mk((13))", None, Some(86_399), None, &[], Nothing),
    (
        r#"{"access_token":"mk-14","refresh_token":"mr-14","expires_in":28800,"refresh_token_expires_in":15897600,"scope":""}"#,
        "mk-14",
        Some("mr-14"),
        Some(28_800),
        Some(15_897_600),
        &[],
        Nothing,
    ),
    (
        r#"{"access_token":"mk-15","scopes":"account pullrequest","expires_in":7200}"#,
        "mk-15",
        None,
        Some(7200),
        None,
        &["account", "pullrequest"],
        Nothing,
    ),
    (
        r#"{"errcode":0,"errmsg":"ok","access_token":"mk-16","expires_in":7200}"#,
        "mk-16",
        None,
        Some(7200),
        None,
        &[],
        Nothing,
    ),
    (
        "\n {\"access_token\":\"mk-17\",\"note\":\"\\ud83d\",\"expires_in\":60}\n",
        "mk-17",
        None,
        Some(60),
        None,
        &[],
        Nothing,
    ),
    // Where a separator or a name is another.
    ("access_token=mk-18&scope=repo%2Cgist&token_type=bearer", "mk-18", None, None, None, &["repo", "gist"], Keys),
    (
        r#"{"access_token":"mk-19","scope":"write_orders,read_customers"}"#,
        "mk-19",
        None,
        None,
        None,
        &["write_orders", "read_customers"],
        Keys,
    ),
    (r#"{"access_token":"mk-20","scope":"a; b;c"}"#, "mk-20", None, None, None, &["a", "b", "c"], Keys),
    (
        r#"{"accessToken":"mk-21","tokenType":"Bearer","expiresIn":86400,"refreshToken":"mr-21"}"#,
        "mk-21",
        Some("mr-21"),
        Some(86_400),
        None,
        &[],
        Keys,
    ),
    (
        r#"{"accessToken":"mk-22","refreshToken":"mr-22","expireIn":7200,"corpId":"c"}"#,
        "mk-22",
        Some("mr-22"),
        Some(7200),
        None,
        &[],
        Keys,
    ),
    (
        r#"{"respCode":"200","respMsg":"success","data":{"accessToken":"mk-23","refreshToken":"mr-23","accessTokenExpiresIn":86400,"refreshTokenExpiresIn":604800}}"#,
        "mk-23",
        Some("mr-23"),
        Some(86_400),
        Some(604_800),
        &[],
        Keys,
    ),
    (
        r#"{"tokens":{"accessToken":"mk-24","refreshToken":"mr-24","accessTokenExpiresIn":86400000,"refreshTokenExpiresIn":604800000},"success":true}"#,
        "mk-24",
        Some("mr-24"),
        Some(86_400),
        Some(604_800),
        &[],
        Keys,
    ),
    (
        r#"{"token":{"tokenType":"Bearer","expiresIn":86400,"accessToken":"mk-25"},"status":"SUCCESS"}"#,
        "mk-25",
        None,
        Some(86_400),
        None,
        &[],
        Keys,
    ),
    (
        r#"{"access_token":{"token":"mk-26","user_id":1010,"expires_at":null},"user":{"id":1010}}"#,
        "mk-26",
        None,
        None,
        None,
        &[],
        Keys,
    ),
    (
        r#"{"data":{"access_token":"mk-27","description":"","error_code":0,"expires_in":1296000,"open_id":"o","refresh_expires_in":2592000,"refresh_token":"mr-27","scope":"user_info"},"message":"success"}"#,
        "mk-27",
        Some("mr-27"),
        Some(1_296_000),
        Some(2_592_000),
        &["user_info"],
        Keys,
    ),
    (
        r#"{"code":0,"message":"success","data":{"access_token":"mk-28","access_token_expire_in":1700604800,"refresh_token":"mr-28","refresh_token_expire_in":4818450857,"granted_scopes":["seller.order.info"]}}"#,
        "mk-28",
        Some("mr-28"),
        Some(604_800),
        Some(3_118_450_857),
        &["seller.order.info"],
        Keys,
    ),
    (
        r#"{"gateway_token_response":{"access_token":"mk-29","auth_start":"2023-11-14 22:13:20","expires_in":1209600,"re_expires_in":"2592000","refresh_token":"mr-29","user_id":"2088"},"sign":"bWFkZXVw"}"#,
        "mk-29",
        Some("mr-29"),
        Some(1_209_600),
        Some(2_592_000),
        &[],
        Keys,
    ),
    (
        r#"{"token_type":"bearer","expires_in":3600,"refresh_token":"mr-30","x_refresh_token_expires_in":8726400,"access_token":"mk-30"}"#,
        "mk-30",
        Some("mr-30"),
        Some(3600),
        Some(8_726_400),
        &[],
        Nothing,
    ),
    (r#"{"result":{"items":[{"token":"mk-31","ttl":1800}]}}"#, "mk-31", None, Some(1800), None, &[], Keys),
    ("&&&START&&&{\"access_token\":\"mk-32\",\"expires_in\":3600}", "mk-32", None, Some(3600), None, &[], Keys),
    (")]}',\n{\"token\":\"mk-33\",\"expires_in_minutes\":90}", "mk-33", None, Some(5400), None, &[], Keys),
    ("mk34Madeup.token-of-a-body\r\n", "mk34Madeup.token-of-a-body", None, None, None, &[], Keys),
    (
        r#"{"access":{"token":{"id":"mk-35","expires":"2023-11-14T23:13:20Z","issued_at":"2023-11-14T22:13:20Z"},"user":{"id":"u"}}}"#,
        "mk-35",
        None,
        Some(3600),
        None,
        &[],
        Keys,
    ),
    (
        r#"{"tokens":{"access":{"token":"mk-36","expires":"2023-11-14T22:43:20Z"},"refresh":{"token":"mr-36","expires":"2023-12-14T22:13:20Z"}}}"#,
        "mk-36",
        Some("mr-36"),
        Some(1800),
        Some(2_592_000),
        &[],
        Keys,
    ),
    // Where only a script reads.
    (
        "<OAuth><access_token>mk-37</access_token><refresh_token>mr-37</refresh_token><expires_in>3600</expires_in></OAuth>",
        "mk-37",
        Some("mr-37"),
        Some(3600),
        None,
        &[],
        Script,
    ),
    (
        "<?xml version=\"1.0\"?>\n<s:Envelope xmlns:s=\"urn:s\"><s:Body><login><Token expires=\"2023-11-14T23:13:20Z\">mk-38</Token></login></s:Body></s:Envelope>",
        "mk-38",
        None,
        Some(3600),
        None,
        &[],
        Script,
    ),
    (
        concat!("{\"jwt\":\"", "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3MDAwMDM2MDB9.bWFkZXVw", "\"}"),
        JWT,
        None,
        Some(3600),
        None,
        &[],
        Script,
    ),
    ("eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3MDAwMDM2MDB9.bWFkZXVw", JWT, None, Some(3600), None, &[], Script),
    ("\"mk41-madeup-token\"", "mk41-madeup-token", None, None, None, &[], Script),
    (r#"[{"access_token":"mk-42","expires_in":60}]"#, "mk-42", None, Some(60), None, &[], Script),
    (
        r#"{"status":"ok","payload":"{\"accessToken\":\"mk-43\",\"refreshToken\":\"mr-43\",\"ttl\":120}"}"#,
        "mk-43",
        Some("mr-43"),
        Some(120),
        None,
        &[],
        Script,
    ),
    (r#"{"token":"mk-44","validTo":"2023-11-14 23:13:20"}"#, "mk-44", None, Some(3600), None, &[], Script),
    ("callback( {\"token\":\"mk-45\",\"expires_in\":7776000} );\n", "mk-45", None, Some(7_776_000), None, &[], Keys),
    (
        r#"{"response":"Zk3xQ9vT2mB7nL5pR8wY1cD4","user":"ana"}"#,
        "Zk3xQ9vT2mB7nL5pR8wY1cD4",
        None,
        None,
        None,
        &[],
        Keys,
    ),
];

#[tokio::test]
async fn the_script_of_each_shape_reads_what_is_in_it() {
    for (body, access, refresh, expires, refresh_expires, scopes, needs) in SAMPLES {
        let reply = ok(body);
        let guess = Guess::of(&reply, now());
        let expected = guess.expected();
        let found = expected.access_token.as_ref().map(Secret::expose);
        assert_eq!(found, Some(access), "{body}\n{guess:?}");
        let script = script_of(&guess);
        let params = params_of(&script, &reply).await;
        let tokens = token_reply(params, now(), &crate::model::Habits::default(), " ")
            .unwrap_or_else(|error| panic!("{error}\n{body}\n{script}"));
        assert_eq!(tokens.access_token.expose(), access, "{body}\n{script}");
        assert_eq!(tokens.refresh_token.as_ref().map(Secret::expose), refresh, "{body}\n{script}");
        assert_eq!(tokens.expires_in, expires, "{body}\n{script}");
        assert_eq!(tokens.refresh_expires_in.filter(|_| refresh.is_some()), refresh_expires, "{body}\n{script}");
        assert_eq!(tokens.scopes.unwrap_or_default(), scopes, "{body}\n{script}");
        let advice = match guess.advice(&reply, now()) {
            Advice::Nothing => Nothing,
            Advice::Keys(_) => Keys,
            Advice::Script => Script,
        };
        assert_eq!(advice, needs, "{body}\n{guess:?}");
        // Both, where both are there: what the guess expects is what came.
        assert_eq!(expected.expires_in, expires, "{body}");
        assert_eq!(expected.scopes, scopes, "{body}");
    }
}

const ERRORS: [(u16, &str, &str); 9] = [
    (200, r#"{"data":{"error_code":10007,"description":"code expired"},"message":"error"}"#, "10007"),
    (200, r#"{"code":40110,"message":"auth_code made-up is invalid","data":{}}"#, "40110"),
    (200, r#"{"result":"5002","message":"Unauthorized client id"}"#, "5002"),
    (200, r#"{"status":503,"body":{},"error":"Invalid Params: made-up code"}"#, "503"),
    (400, r#"{"serviceErrorCode":100,"message":"Unable to retrieve access token","status":401}"#, "100"),
    (
        400,
        r#"{"message":"Bad Request","errors":[{"resource":"Application","field":"client_secret","code":"invalid"}]}"#,
        "invalid",
    ),
    (200, "callback( {\"error\":100020,\"error_description\":\"code is reused error\"} );\n", "100020"),
    (200, "&&&START&&&{\"error\":96010,\"error_description\":\"invalid redirect uri\"}", "96010"),
    (200, "<r><errorCode>77</errorCode><message>token expired</message></r>", "77"),
];

#[tokio::test]
async fn the_script_of_each_error_says_what_it_is() {
    for (status, body, code) in ERRORS {
        let reply = reply(status, &[], body);
        let guess = Guess::of(&reply, now());
        let script = script_of(&guess);
        match read_with(&script, &reply).await {
            Ok(Reading::Failed(failure)) => assert_eq!(failure.code, code, "{body}\n{script}"),
            other => panic!("{body}: {other:?}\n{script}"),
        }
    }
}

#[tokio::test]
async fn the_fixture_of_each_passes_with_its_script_and_holds_nothing_of_the_reply() {
    let errors = ERRORS.map(|(status, body, _)| (status, body, "of-a-cookie"));
    for (status, body, secret) in SAMPLES.map(|sample| (200, sample.0, sample.1)).into_iter().chain(errors) {
        let reply = reply(status, &[("content-type", "text/plain"), ("set-cookie", "of-a-cookie")], body);
        let guess = Guess::of(&reply, now());
        let mut fixture = fixture_of(&name(), &reply, now());
        fixture.scripts.insert("OAuthAcme".to_owned(), script_of(&guess));
        let report = crate::replay::replay(&fixture, None).await;
        let differences: Vec<_> = report.differences().collect();
        assert!(differences.is_empty(), "{differences:#?}\n{body}\n{}\n{}", fixture.to_toml(), script_of(&guess));
        let text = fixture.to_toml();
        for secret in [secret, "mr-", "12345678987654321", "2088", "ana", "QwfT"] {
            assert!(!text.contains(secret), "{secret}\n{body}\n{text}");
        }
        assert_eq!(crate::replay::Fixture::read("", &text).map(|read| read.to_toml()), Ok(text), "{body}");
    }
}

#[test]
fn an_error_that_the_default_reading_knows_needs_nothing() {
    for (status, body) in [
        (400, r#"{"error":"invalid_grant"}"#),
        (400, r#"{"error":"invalid_grant","error_description":"no code","error_code":"K320"}"#),
        (200, r#"{"error":"bad_verification_code","error_description":"The code is wrong or old."}"#),
        (503, "<html><h1>503</h1></html>"),
    ] {
        let reply = reply(status, &[], body);
        assert_eq!(Guess::of(&reply, now()).advice(&reply, now()), Advice::Nothing, "{body}");
    }
}

#[tokio::test]
async fn a_token_in_a_header_is_found() {
    let reply = reply(201, &[("x-subject-token", "mk-50"), ("content-type", "application/json")], "{\"user\":\"ana\"}");
    let guess = Guess::of(&reply, now());
    assert_eq!(guess.access_token, Some(TokenAt::Header("x-subject-token".to_owned())));
    assert_eq!(params_of(&script_of(&guess), &reply).await.text("access_token"), Some("mk-50"));
}

#[test]
fn what_could_not_be_found_is_told_and_has_a_line_to_fill_in() {
    let guess = Guess::of(&ok(r#"{"data":{"token":"mk-1"}}"#), now());
    let notes = guess.notes.join(" ");
    for missing in ["No refresh token", "No lifetime", "No scopes"] {
        assert!(notes.contains(missing), "{notes}");
    }
    let script = script_of(&guess);
    for line in ["// paramMap.put('refresh_token'", "// paramMap.put('expires_in'", "// paramMap.put('scope'"] {
        assert!(script.contains(line), "{script}");
    }
    let guess = Guess::of(&ok("log in please"), now());
    assert!(script_of(&guess).contains("// paramMap.put('access_token'"), "{}", script_of(&guess));
}

#[test]
fn a_second_token_is_told_of() {
    let body = r#"{"ok":true,"access_token":"mk-bot","authed_user":{"id":"U1","access_token":"mk-user"}}"#;
    let notes = Guess::of(&ok(body), now()).notes.join(" ");
    assert!(notes.contains("`authed_user.access_token` could be one too"), "{notes}");
}

#[test]
fn the_keys_of_an_entry_say_where_the_fields_are() {
    let reply = ok(SAMPLES[23].0);
    let Advice::Keys(keys) = Guess::of(&reply, now()).advice(&reply, now()) else { panic!("keys") };
    let expected: toml::Table = "[reply]\nroot = 'tokens'\naccess_token = 'accessToken'\nrefresh_token = 'refreshToken'\n\
        expires_in = 'accessTokenExpiresIn'\nrefresh_expires_in = 'refreshTokenExpiresIn'\nexpires_unit = 'milliseconds'\n\
        success = { success = true }"
        .parse()
        .unwrap();
    assert_eq!(keys, expected);
}
