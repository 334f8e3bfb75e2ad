//! The shipped fixtures, and that a replay can fail.

use grantkeeper::replay::{Fixture, replay, shipped};
use std::process::Command;

#[tokio::test]
async fn every_shipped_fixture_comes_out_as_it_says() {
    let all = shipped();
    assert!(all.len() >= 10, "{}", all.len());
    for fixture in all {
        let fixture = fixture.unwrap();
        let found = replay(&fixture, None).await;
        assert!(found.is_empty(), "{}: {found:#?}", fixture.name);
    }
}

#[tokio::test]
async fn each_expectation_that_is_wrong_is_found() {
    let good = include_str!("../../fixtures/google-drive/code.toml");
    for (right, wrong, what) in [
        ("prompt = \"consent\"", "prompt = \"none\"", "authorization prompt"),
        ("method = \"POST\"", "method = \"GET\"", "request method"),
        ("x-www-form-urlencoded\"", "json\"", "request content type"),
        ("auth = \"basic\"", "auth = \"post\"", "client authentication"),
        ("code = \"code-1\"", "code = \"code-2\"", "request parameter code"),
        ("absent = [\"client_secret\"]", "absent = [\"code\"]", "request parameter code"),
        ("access_token = \"ya29.made-up\"", "access_token = \"other\"", "access token"),
        ("refresh_token = \"1//made-up\"", "refresh_token = \"other\"", "refresh token"),
        ("expires_in = 3599\n", "expires_in = 1\n", "lifetime"),
        ("scopes = [\"https://www.googleapis.com/auth/drive.readonly\"]\n", "scopes = [\"x\"]\n", "scopes"),
    ] {
        // The last place: the one of [expect.…], where the reply has the same text.
        let at = good.rfind(right).unwrap_or_else(|| panic!("{right}"));
        let text = format!("{}{wrong}{}", &good[..at], &good[at + right.len()..]);
        let found = replay(&Fixture::read("wrong", &text).unwrap(), None).await;
        assert!(found.iter().any(|difference| difference.what == what), "{what}: {found:#?}");
    }
    let refused = include_str!("../../fixtures/generic/error-in-200.toml");
    for (right, wrong, what) in [
        ("\"reauthorization_required\"", "\"transient\"", "error kind"),
        ("code = \"invalid_grant\"", "code = \"other\"", "error code"),
    ] {
        let found = replay(&Fixture::read("wrong", &refused.replace(right, wrong)).unwrap(), None).await;
        assert_eq!(found.iter().map(|difference| difference.what.as_str()).collect::<Vec<_>>(), [what]);
    }
    let token = refused.split("[expect.error]").next().unwrap().to_owned() + "[expect.token]\naccess_token = \"x\"\n";
    assert!(!replay(&Fixture::read("wrong", &token).unwrap(), None).await.is_empty());
}

#[test]
fn an_unknown_key_of_a_fixture_is_refused_with_its_line() {
    let text = "about = \"x\"\ngrant = \"refresh_token\"\nreplay = 1\n";
    let error = Fixture::read("acme/x", text).unwrap_err().to_string();
    assert!(error.contains("acme/x") && error.contains("line 3") && error.contains("replay"), "{error}");
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
    let wrong = include_str!("../../fixtures/generic/error-in-200.toml")
        .replace("\"reauthorization_required\"", "\"transient\"");
    std::fs::write(folder.path().join("mine.toml"), wrong).unwrap();
    let failed = run(&["script", "test", folder.path().to_str().unwrap()]);
    let text = String::from_utf8(failed.stdout).unwrap();
    assert_eq!(failed.status.code(), Some(1), "{text}");
    assert!(text.contains("expected  transient") && text.contains("actual    reauthorization_required"), "{text}");
}
