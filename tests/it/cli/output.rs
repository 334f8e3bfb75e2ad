//! What is printed where, and what a shell is told.

use crate::support::machine::{Machine, Ran};
use serde_json::Value;
use std::process::Stdio;

#[test]
fn an_error_is_one_sentence_or_one_object() {
    let machine = Machine::new();
    let ran = machine.run(&["token", "drive/reports"]);
    let sentence = ran.failed(3);
    assert!(sentence.starts_with("grantkeeper: there is no connection drive/reports"), "{sentence}");
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
    let object: Value = serde_json::from_str(&machine.run(&["token", "drive/reports", "--json"]).failed(3)).unwrap();
    assert_eq!(object["error"]["code"], "unknown_connection");
    assert_eq!(object["error"]["retryable"], false);
    assert!(object["error"]["message"].as_str().unwrap().contains("drive/reports"));
}

#[test]
fn every_thing_that_is_not_there_is_told_with_3() {
    let machine = Machine::new();
    let id = "019ab3c4-d5e6-7000-8000-000000000001";
    for arguments in [
        &["token", "a/b"][..],
        &["refresh", "a/b"],
        &["revoke", "a/b"],
        &["connect", "a/b"],
        &["connections", "show", "a/b"],
        &["connections", "remove", "a/b"],
        &["connections", "list", "--app", "a"],
        &["tokens", "--app", "a"],
        &["tokens", "--connection", "a/b"],
        &["tokens", "show", id],
        &["tokens", "show", "019ab3c4"],
        &["tokens", "revoke", id],
        &["tokens", "introspect", id],
        &["tokens", "expire", id, "--at", "+1h"],
        &["app", "show", "a"],
        &["app", "export", "a"],
        &["provider", "show", "nothing"],
        &["script", "check", "OAuthNothing"],
        &["script", "check", "nothing.rhai"],
    ] {
        machine.run(arguments).failed(3);
    }
}

#[test]
fn a_wrong_command_line_is_told_with_2() {
    let machine = Machine::new();
    for arguments in [
        &["frobnicate"][..],
        &[],
        &["token"],
        &["token", "no-slash"],
        &["token", "a/b", "--min-ttl", "soon"],
        &["token", "a/b", "--header", "--json"],
        &["tokens", "show", "xyz"],
        &["tokens", "expire", "019ab3c4-d5e6-7000-8000-000000000001", "--at", "whenever"],
        &["connect", "a/b", "--label", "nothing"],
        &["connect", "a/b", "--device", "--paste"],
        &["refresh"],
        &["app", "add", "a", "--client-id", "x"],
        &["app", "add", "A", "--provider", "google-drive", "--client-id", "x"],
    ] {
        let ran = machine.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{arguments:?}: {ran:?}");
    }
    let object: Value = serde_json::from_str(&machine.run(&["token", "--json"]).failed(2)).unwrap();
    assert_eq!(object["error"]["code"], "usage");
}

#[test]
fn help_tells_the_exit_codes() {
    let machine = Machine::bare();
    for help in ["--help", "-h"] {
        let out = machine.run(&[help]).done();
        for line in ["0    done", "4    a person must consent", "7    the store", "130  interrupted"] {
            assert!(out.contains(line), "{line}: {out}");
        }
    }
    assert!(machine.run(&["--version"]).done().starts_with("grantkeeper "));
}

#[test]
fn completions_know_the_commands() {
    let machine = Machine::bare();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = machine.run(&["completions", shell]).done();
        assert!(script.contains("connections") && script.contains("min-ttl"), "{shell}");
    }
    machine.run(&["completions", "tcsh"]).failed(2);
}

#[test]
fn a_reader_that_hangs_up_is_no_panic() {
    let machine = Machine::bare();
    let mut child =
        machine.command(&["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_result_that_cannot_be_printed_is_an_error() {
    let machine = Machine::bare();
    let ran = machine.shell("exec $GRANTKEEPER completions bash > /dev/full");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("cannot be printed"), "{ran:?}");
}

#[test]
fn nothing_is_coloured_off_a_terminal() {
    let machine = Machine::new();
    let ran = machine.run(&["script", "list"]);
    assert!(!ran.done().contains('\u{1b}'));
    let ran = machine.run(&["-vvv", "app", "list"]);
    assert!(!ran.err.contains('\u{1b}'), "{ran:?}");
}

#[test]
fn empty_lists_are_empty_documents() {
    let machine = Machine::new();
    for arguments in [&["tokens"][..], &["connections", "list"], &["app", "list"]] {
        let ran = machine.run(arguments);
        assert!(ran.err.contains("there are no"), "{ran:?}");
        assert_eq!(ran.done(), "");
        assert_eq!(machine.run(&[arguments, &["--json"]].concat()).json(), serde_json::json!([]));
    }
}

#[test]
fn the_catalog_needs_no_home() {
    let machine = Machine::bare();
    assert!(machine.run(&["provider", "list"]).done().contains("google-drive"));
    let shown = machine.run(&["provider", "show", "google-drive"]).done();
    assert!(
        shown.contains("https://oauth2.googleapis.com/token") && shown.contains("/oauth/callback/google-drive"),
        "{shown}"
    );
    assert_eq!(machine.run(&["provider", "show", "google-drive", "--json"]).json()["script"], "OAuthGoogleDrive");
}

#[test]
fn an_entry_that_somebody_writes_is_checked() {
    let machine = Machine::bare();
    assert!(machine.run(&["provider", "lint"]).done().contains("entries are as they should be"));
    let entry = concat!(env!("CARGO_MANIFEST_DIR"), "/src/registry/catalog/github.toml");
    assert!(machine.run(&["provider", "lint", entry]).done().contains("1 entry is as they should be"));
    let folder = tempfile::TempDir::new().unwrap();
    let wrong = folder.path().join("github.toml");
    let text = std::fs::read_to_string(entry).unwrap();
    std::fs::write(&wrong, text.replace("client_authentication", "client_authentification")).unwrap();
    let ran = machine.run(&["provider", "lint", wrong.to_str().unwrap()]);
    assert!(ran.out.contains("did you mean `client_authentication`?") && ran.out.contains("github.toml:"), "{ran:?}");
    assert_eq!(ran.code, Some(1), "{ran:?}");
}

#[test]
fn what_the_environment_gives_is_not_told_as_if_it_had_to_be_written() {
    let machine = Machine::new();
    let mut command = machine.command(&["tokens", "revoke"]);
    let home = machine.home();
    command.env("GRANTKEEPER_HOME", &home).env("GRANTKEEPER_KEY_FILE", machine.key_file());
    let told = Ran::of(command.output().unwrap()).failed(2);
    assert!(told.contains("Usage: grantkeeper tokens revoke <ID>"), "{told}");
    let written = machine.run(&["tokens", "revoke", "--home", home.to_str().unwrap()]).failed(2);
    assert!(written.contains("--home <FOLDER>"), "{written}");
}

#[test]
fn settings_that_are_wrong_are_told_in_one_sentence_with_their_place() {
    let machine = Machine::new();
    let file = machine.home().join("grantkeeper.toml");
    for (text, said) in [
        (
            "[server]\nlistne = \"127.0.0.1:1\"\n",
            "line 2, column 1: there is no setting `listne` there; one of `listen`",
        ),
        (
            "[server]\nlisten = 8765\n",
            "line 2, column 10: invalid type: integer `8765`, expected an address with a port",
        ),
        ("[callback]\npublic_url = \"example.com\"\n", "expected a whole URL, e.g. \"https://grants.example.com\""),
    ] {
        std::fs::write(&file, text).unwrap();
        let sentence = machine.run(&["connections", "list"]).failed(1);
        assert!(sentence.contains(said) && sentence.lines().count() == 1, "{sentence}");
    }
}
