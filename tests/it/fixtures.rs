//! The shipped fixtures, and that a replay can fail.

use grantkeeper::replay::{Difference, Fixture, replay, shipped};
use std::process::Command;

#[tokio::test]
async fn every_shipped_fixture_comes_out_as_it_says() {
    let all = shipped();
    assert!(all.len() >= 10, "{}", all.len());
    for fixture in all {
        let fixture = fixture.unwrap();
        let found: Vec<_> = replay(&fixture, None).await.differences().collect();
        assert!(found.is_empty(), "{}: {found:#?}", fixture.name);
    }
}

/// What a fixture's text finds to differ.
async fn differences(text: &str) -> Vec<Difference> {
    replay(&Fixture::read("wrong", text).unwrap(), None).await.differences().collect()
}

#[tokio::test]
async fn each_expectation_that_is_wrong_is_found() {
    let good = include_str!("fixtures/all.toml");
    assert_eq!(differences(good).await, []);
    for (right, wrong, what) in [
        ("url = \"https://provider.example/authorize\"", "url = \"https://x.example/\"", "authorization: url"),
        ("access_type = \"offline\"", "access_type = \"online\"", "authorization: parameter access_type"),
        ("absent = [\"prompt\"]", "absent = [\"state\"]", "authorization: parameter state, which must not be there"),
        ("state = \"*\"", "state = \"*\", other = \"*\"", "authorization: parameter other"),
        ("method = \"POST\"", "method = \"GET\"", "request 1: method"),
        ("url = \"https://provider.example/token\"", "url = \"https://x.example/\"", "request 1: url"),
        ("x-www-form-urlencoded\"", "json\"", "request 1: content type"),
        ("auth = \"basic\"", "auth = \"post\"", "request 1: client authentication"),
        ("code = \"code-1\"", "code = \"code-2\"", "request 1: parameter code"),
        ("query = { v = \"2\" }", "query = { v = \"3\" }", "request 1: query parameter v"),
        ("absent = [\"client_secret\"]", "absent = [\"code\"]", "request 1: parameter code, which must not be there"),
        ("accept = \"application/json\"", "accept = \"text/xml\"", "request 1: header accept"),
        ("access_token = \"at-new\"", "access_token = \"other\"", "token: access token"),
        ("refresh_token = \"rt-new\"\n", "", "token: refresh token"),
        ("expires_in = 3600", "expires_in = 1", "token: lifetime"),
        ("\nexpires_in = 3600", "", "token: lifetime"),
        ("refresh_expires_in = 7200", "", "token: lifetime of the refresh token"),
        ("\nlifespan = 3600", "\nlifespan = 1", "token: held for"),
        ("refresh_lifespan = 7200", "refresh_lifespan = 1", "token: refresh token held for"),
        ("due_after = 3100", "due_after = 3400", "token: next refresh"),
        ("due_within = 3400", "due_within = 3000", "token: next refresh"),
        ("{ token = \"rt-new\"", "{ token = \"rt-other\"", "request 2: parameter token"),
        ("scopes = [\"read\"]", "scopes = [\"x\"]", "token: scopes"),
        ("token_type = \"Bearer\"", "token_type = \"MAC\"", "token: type"),
        ("\"team.id\" = \"T1\"", "\"team.id\" = \"T2\"", "token: field team.id"),
        ("\"list.1.n\" = 7", "\"list.1.n\" = 8", "token: field list.1.n"),
    ] {
        // The last place: the one of [expect.…], where the reply has the same text.
        let at = good.rfind(right).unwrap_or_else(|| panic!("{right}"));
        let found = differences(&format!("{}{wrong}{}", &good[..at], &good[at + right.len()..])).await;
        assert_eq!(found.iter().map(|difference| difference.what.as_str()).collect::<Vec<_>>(), [what], "{right}");
    }
    let refused = include_str!("fixtures/refused.toml");
    assert_eq!(differences(refused).await, []);
    for (right, wrong, what) in [
        ("\"rate_limited\"", "\"transient\"", "outcome: kind"),
        ("code = \"slow_down_please\"", "code = \"other\"", "outcome: code"),
        ("words = \"not so fast\"", "words = \"other\"", "outcome: words"),
        ("retry_after = 30", "retry_after = 31", "outcome: to wait"),
    ] {
        let found = differences(&refused.replace(right, wrong)).await;
        assert_eq!(found.iter().map(|difference| difference.what.as_str()).collect::<Vec<_>>(), [what]);
    }
    let token = refused.split("[expect.error]").next().unwrap().to_owned() + "[expect.token]\naccess_token = \"x\"\n";
    assert_eq!(differences(&token).await[0].what, "outcome: what came of it");
    let error = good.split("[expect.token]").next().unwrap().to_owned() + "[expect.error]\nkind = \"transient\"\n";
    assert!(differences(&error).await.iter().any(|difference| difference.what == "outcome: kind"));
}

#[tokio::test]
async fn a_request_more_or_fewer_than_the_fixture_has_is_found() {
    let good = include_str!("fixtures/refused.toml");
    let more =
        "[[exchange]]\nreply = { status = 200 }\nrequest = { url = \"https://provider.example/me\" }\n\n[expect.error]";
    let found = differences(&good.replace("[expect.error]", more)).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].what.as_str(), found[0].actual.as_str()), ("request 2: the request", "nothing"));
    let at = good.find("[[exchange]]").unwrap();
    let found = differences(&format!("{}[expect.error]\nkind = \"transient\"\n", &good[..at])).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].what, "request 1: the request");
    assert_eq!(
        (found[0].expected.as_str(), found[0].actual.as_str()),
        ("nothing", "POST https://provider.example/token")
    );
}

#[tokio::test]
async fn what_a_connection_held_before_is_there_in_the_refresh() {
    let text = include_str!("fixtures/held.toml");
    let script = "fn preprocessAccessToken(requestParamMap) {
        let connection = this.oauthContext.getConnection();
        requestParamMap.put('device_id', connection.get('device_id'));
        requestParamMap.put('shop', connection.getLabel('shop'));
    }";
    for (text, expected) in [
        (text.to_owned(), vec![]),
        (
            text.replace("fields = { device_id = \"dev1\"", "fields = { device_id = \"dev2\""),
            vec!["request 1: parameter device_id"],
        ),
        (text.replace("labels = { shop = \"acme\"", "labels = { shop = \"other\""), vec!["request 1: parameter shop"]),
    ] {
        let mut fixture = Fixture::read("held", &text).unwrap();
        fixture.scripts.insert("OAuthHeld".to_owned(), script.to_owned());
        let report = replay(&fixture, None).await;
        let found: Vec<_> = report.differences().map(|difference| difference.what).collect();
        assert_eq!(found, expected, "{report:#?}");
    }
}

#[tokio::test]
async fn a_report_shows_no_secret() {
    let text = include_str!("fixtures/all.toml")
        .replace("auth = \"basic\"", "auth = \"post\"")
        .replace("code_verifier = \"*\"", "code_verifier = \"wrong\"")
        .replace("[expect.token]\naccess_token = \"at-new\"", "[expect.token]\naccess_token = \"at-other\"");
    let report = replay(&Fixture::read("wrong", &text).unwrap(), None).await;
    let shown = serde_json::to_string(&report).unwrap();
    assert_eq!(report.differences().count(), 3, "{shown}");
    for secret in ["csecret", "code-1", "at-new", "rt-new", "at-other"] {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
    assert!(shown.contains("‹code›") && shown.contains("‹access_token of reply 1›"), "{shown}");
}

#[test]
fn an_unknown_key_of_a_fixture_is_refused_with_its_line() {
    let text = "about = \"x\"\ngrant = \"refresh_token\"\nreplay = 1\n";
    let error = Fixture::read("acme/x", text).unwrap_err().to_string();
    assert!(error.contains("acme/x") && error.contains("line 3") && error.contains("replay"), "{error}");
    let two = "about = \"x\"\ngrant = \"refresh_token\"\n[[exchange]]\nreply = { status = 200, body = \"\", body_base64 = \"\" }\n[expect.error]\nkind = \"transient\"\n";
    let error = Fixture::read("acme/x", two).unwrap_err().to_string();
    assert!(error.contains("exchange 1") && error.contains("two bodies"), "{error}");
}

#[test]
fn script_test_replays_files_and_tells_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grantkeeper"));
        command
            .args(args)
            .env("HOME", folder.path())
            .env("GRANTKEEPER_HOME", folder.path().join("home"))
            .output()
            .unwrap()
    };
    let shipped = run(&["script", "test"]);
    let text = String::from_utf8(shipped.stdout).unwrap();
    assert!(
        shipped.status.success() && text.contains("ok     google-drive/code") && text.contains(" 0 failed"),
        "{text}"
    );
    let wrong = include_str!("fixtures/refused.toml").replace("\"rate_limited\"", "\"transient\"");
    std::fs::write(folder.path().join("mine.toml"), wrong).unwrap();
    let failed = run(&["script", "test", folder.path().to_str().unwrap()]);
    let text = String::from_utf8(failed.stdout).unwrap();
    assert_eq!(failed.status.code(), Some(1), "{text}");
    assert!(
        text.contains("≠ kind") && text.contains("expected  transient") && text.contains("actual    rate_limited"),
        "{text}"
    );
    let json = run(&["script", "test", "--json", folder.path().to_str().unwrap()]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json[0]["differences"][0]["what"], "outcome: kind", "{json}");
}

#[test]
fn a_script_beside_a_fixture_goes_before_the_shipped_one() {
    let folder = tempfile::tempdir().unwrap();
    let text = include_str!("fixtures/refused.toml")
        .replace("[[exchange]]", "[application]\nscript = \"OAuthXmlReply\"\n\n[[exchange]]");
    std::fs::write(folder.path().join("mine.toml"), text).unwrap();
    let script = "fn classifyError(accessTokenResponse) { 'transient' }";
    std::fs::write(folder.path().join("OAuthXmlReply.rhai"), script).unwrap();
    let tested = Command::new(env!("CARGO_BIN_EXE_grantkeeper"))
        .args(["script", "test", folder.path().join("mine.toml").to_str().unwrap()])
        .env("GRANTKEEPER_HOME", folder.path().join("home"))
        .output()
        .unwrap();
    let text = String::from_utf8(tested.stdout).unwrap();
    assert!(text.contains("expected  rate_limited") && text.contains("actual    transient"), "{text}");
}
