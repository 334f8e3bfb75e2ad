//! The home folder and its keys.

use crate::support::machine::{Machine, copy};
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn init_makes_a_home_and_puts_the_keys_elsewhere() {
    let machine = Machine::bare();
    let out = machine.run(&["init"]).done();
    let keys = machine.key_file();
    assert!(out.contains(&keys.display().to_string()), "{out}");
    assert_eq!(keys.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    for there in ["grantkeeper.toml", "scripts", "store"] {
        assert!(machine.home().join(there).exists(), "{there}");
    }
    assert_eq!(machine.home().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert!(machine.run(&["init"]).done().contains("nothing was missing"));
    assert!(machine.run(&["tokens"]).done().is_empty());
}

#[test]
fn a_command_without_a_home_says_how_to_make_one() {
    let machine = Machine::bare();
    for arguments in [&["tokens"][..], &["token", "a/b"], &["key", "list"], &["script", "list"], &["app", "list"]] {
        let sentence = machine.run(arguments).failed(3);
        assert!(sentence.contains("grantkeeper init"), "{arguments:?}: {sentence}");
    }
    assert!(!machine.home().exists(), "a command that fails makes nothing");
}

#[test]
fn a_copied_home_does_not_open() {
    let machine = Machine::new();
    machine.run_with(&ADD, "s3cret").done();
    let stolen = machine.path("stolen");
    copy(&machine.home(), &stolen);
    let sentence = machine.run(&["--home", stolen.to_str().unwrap(), "app", "list"]).failed(7);
    assert!(sentence.contains("key"), "{sentence}");
    let sentence = machine.run(&["--home", stolen.to_str().unwrap(), "init"]).failed(7);
    assert!(sentence.contains("put the key file back"), "{sentence}");
    // With the keys, it does: they were all that was missing.
    let keys = machine.key_file();
    let out = machine.run(&["--home", stolen.to_str().unwrap(), "--key-file", keys.to_str().unwrap(), "app", "list"]);
    assert!(out.done().contains("drive"));
}

#[test]
fn two_homes_have_two_key_files() {
    let machine = Machine::new();
    let other = machine.path("other");
    machine.run(&["--home", other.to_str().unwrap(), "init"]).done();
    let keys = |home: &str| machine.run(&["--home", home, "key", "list", "--json"]).json()[0]["id"].clone();
    assert_ne!(keys(other.to_str().unwrap()), keys(machine.home().to_str().unwrap()));
}

#[test]
fn a_key_file_that_is_named_wins_over_the_environment() {
    let machine = Machine::new();
    let mut command = machine.command(&["--key-file", machine.key_file().to_str().unwrap(), "key", "list"]);
    let named = command.env("GRANTKEEPER_KEYS", "not keys").output().unwrap();
    assert!(named.status.success(), "{named:?}");
    let mut command = machine.command(&["key", "list"]);
    let unnamed = command.env("GRANTKEEPER_KEYS", "not keys").output().unwrap();
    assert_eq!(unnamed.status.code(), Some(7), "{unnamed:?}");
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let machine = Machine::new();
    std::fs::set_permissions(machine.key_file(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let sentence = machine.run(&["tokens"]).failed(7);
    assert!(sentence.contains("chmod 600"), "{sentence}");
}

#[test]
fn a_wrong_setting_is_told_with_its_line() {
    let machine = Machine::new();
    std::fs::write(machine.home().join("grantkeeper.toml"), "[http]\ntimeot = 3\n").unwrap();
    let sentence = machine.run(&["tokens"]).failed(1);
    assert!(sentence.contains("line 2") && sentence.contains("timeot"), "{sentence}");
}

#[test]
fn a_full_quota_is_a_sentence_and_not_the_end_of_the_process() {
    let machine = Machine::new();
    machine.run_with(&ADD, "s3cret").done();
    // Blocks of 512 bytes: whatever the store writes is past it.
    let ran = machine.shell("ulimit -f 1; exec $GRANTKEEPER profile add drive more --scope x");
    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert!(ran.err.starts_with("grantkeeper: the store at "), "{ran:?}");
    assert!(!machine.run(&["profile", "list", "drive"]).done().contains("more"), "nothing was changed");
}

/// Adds the application `drive`.
const ADD: [&str; 8] =
    ["app", "add", "drive", "--provider", "google-drive", "--client-id", "id", "--client-secret-stdin"];
