//! As a person or a script has it.

use crate::support::daemon::Daemon;
use crate::support::house::holding;
use crate::support::machine::Machine;
use crate::support::shop::{NAME, Shop};
use grantkeeper::demo::Habits;
use serde_json::{Value, json};

/// The lines of the log, `ACTION of WHAT by WHOM`, without those of hand-outs.
fn log(machine: &Machine) -> Vec<Value> {
    machine.run(&["audit", "--json", "--limit", "1000"]).json().as_array().unwrap().clone()
}

fn actions(machine: &Machine) -> Vec<String> {
    log(machine).iter().map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_key_is_printed_once_alone_on_standard_output_and_nowhere_else() {
    let machine = Machine::new();
    let ran = machine.run(&["api-key", "create", "reporting", "--may", "token:drive/*", "--expires", "90d"]);
    let shown = ran.out.trim_end().to_owned();
    assert_eq!((ran.code, ran.out.lines().count()), (Some(0), 1), "{ran:?}");
    assert!(shown.starts_with("gk_") && shown.len() == 67, "{shown}");
    assert!(ran.err.contains("shown this once") && ran.err.contains("token:drive/*") && !ran.err.contains(&shown[3..]));
    assert!(ran.err.contains("token:drive/* means nothing yet: there is no application drive"), "{}", ran.err);
    let list = machine.run(&["api-key", "list"]).done();
    assert!(list.contains("reporting") && list.contains("token:drive/*") && list.contains("in 89 d"), "{list}");
    let json = machine.run(&["api-key", "list", "--json"]).json();
    assert_eq!((&json[0]["state"], &json[0]["may"]), (&json!("good"), &json!(["token:drive/*"])));
    let audit = machine.run(&["audit"]).done();
    assert!(audit.contains("key.create") && audit.contains("key reporting"), "{audit}");
    for text in [list, json.to_string(), audit, machine.run(&["audit", "--json"]).done()] {
        assert!(!text.contains(&shown[3..]) && !text.contains("hash"), "{text}");
    }
    assert_eq!(holding(&machine.path(""), &shown.as_bytes()[25..]), Vec::<std::path::PathBuf>::new());
    let made = machine.run(&["api-key", "create", "other", "--may", "administer", "--json"]).json();
    assert!(made["api_key"].as_str().unwrap().starts_with("gk_") && made["name"] == "other", "{made}");
}

#[test]
fn a_key_that_cannot_be_made_is_told_with_what_can() {
    let machine = Machine::new();
    for (arguments, said) in [
        (&["api-key", "create", "k"][..], "--may"),
        (&["api-key", "create", "k", "--may", "token:drive"], "APPLICATION/*"),
        (&["api-key", "create", "K!", "--may", "token:*"], "name of an API key"),
        (&["api-key", "create", "k", "--may", "token:*", "--expires", "2001-01-01"], "ended already"),
        (&["api-key", "create", "k", "--may", "token:*", "--expires", "soon"], "is not a time"),
    ] {
        let sentence = machine.run(arguments).failed(2);
        assert!(sentence.contains(said), "{arguments:?}: {sentence}");
    }
    machine.run(&["api-key", "create", "k", "--may", "token:*"]).done();
    let sentence = machine.run(&["api-key", "create", "k", "--may", "token:*"]).failed(1);
    assert!(sentence.contains("api-key revoke k"), "{sentence}");
    let sentence = machine.run(&["api-key", "revoke", "none"]).failed(3);
    assert!(sentence.contains("api-key list"), "{sentence}");
    machine.run(&["api-key", "revoke", "k"]).done();
    assert!(machine.run(&["api-key", "list"]).done().contains("revoked"));
}

#[test]
fn the_administrators_password_comes_from_standard_input_and_is_no_argument() {
    let machine = Machine::new();
    let refused = machine.run_with(&["admin-password"], "short\n").failed(2);
    assert!(refused.contains("12 characters") && !refused.contains("short\n"), "{refused}");
    machine.run(&["admin-password", "correct horse battery"]).failed(2);
    let ran = machine.run_with(&["admin-password"], "correct horse battery\n");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!format!("{ran:?}").contains("horse"));
    assert_eq!(actions(&machine), ["password.set"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_in_the_log_with_their_user_whether_a_daemon_runs_or_not() {
    let shop = Shop::connected(Habits::default()).await;
    let machine = &shop.machine;
    let made = ["application.edit", "authorize", "complete"];
    assert_eq!(actions(machine), made);
    machine.run(&["token", NAME]).done();
    machine.run(&["exec", NAME, "--", "true"]).done();
    machine.run(&["refresh", NAME]).done();
    assert_eq!(actions(machine)[3..], ["token.read", "token.read", "refresh"]);
    let daemon = Daemon::start(machine);
    machine.run(&["token", NAME]).done();
    machine.run(&["refresh", NAME]).done();
    machine.run(&["revoke", NAME]).done();
    machine.run(&["token", NAME]).failed(4);
    let entries = log(machine);
    let last: Vec<_> = entries[6..].iter().map(|it| (it["action"].as_str().unwrap(), &it["outcome"])).collect();
    let (done, failed) = (json!("done"), json!("failed"));
    assert_eq!(last, [("token.read", &done), ("refresh", &done), ("revoke", &done), ("token.read", &failed)]);
    let own = entries[0]["actor"]["local"]["user"].as_u64().unwrap();
    for entry in &entries {
        let local = &entry["actor"]["local"];
        assert_eq!(local["user"].as_u64(), Some(own), "{entry}");
        // Each is the process that asked, and not the daemon.
        assert!(local["process"].as_u64().is_some_and(|process| process != u64::from(daemon.id())), "{entry}");
    }
    daemon.stopped().done();
    machine.run(&["audit", "--verify"]).done();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_handed_out_before_a_clean_stop_is_in_the_log_and_what_was_durable_outlives_a_kill() {
    let shop = Shop::connected(Habits::default()).await;
    let daemon = Daemon::start(&shop.machine);
    for _ in 0..20 {
        daemon.ask("GET", "/v1/connections/drive/reports/token", None).json(200);
    }
    daemon.stopped().done();
    // What is asked for in quick succession may be told in one entry.
    let count = |action: &str| -> u64 {
        let entries = log(&shop.machine);
        let entries = entries.iter().filter(|entry| entry["action"] == action);
        entries.map(|entry| entry["times"].as_u64().unwrap_or(1)).sum()
    };
    assert_eq!(count("token.read"), 20);
    let daemon = Daemon::start(&shop.machine);
    daemon.ask("POST", "/v1/connections/drive/reports/refresh", None).json(200);
    daemon.ask("POST", "/v1/api-keys", Some(r#"{"name":"k","may":["token:*"]}"#)).json(201);
    daemon.signal("KILL");
    daemon.ended();
    assert_eq!((count("refresh"), count("key.create")), (1, 1));
    shop.machine.run(&["audit", "--verify"]).done();
}

#[test]
fn the_log_is_filtered_paged_and_followed() {
    let machine = Machine::new();
    for name in ["a", "b", "c"] {
        machine.run(&["api-key", "create", name, "--may", "token:*"]).done();
    }
    machine.run(&["api-key", "revoke", "b"]).done();
    let sequences = |arguments: &[&str]| -> Vec<u64> {
        let all = machine.run(&[&["audit", "--json"], arguments].concat()).json();
        all.as_array().unwrap().iter().map(|entry| entry["sequence"].as_u64().unwrap()).collect()
    };
    assert_eq!(sequences(&[]), [1, 2, 3, 4]);
    assert_eq!(sequences(&["--limit", "2"]), [3, 4]);
    assert_eq!(sequences(&["--key", "b"]), [2, 4]);
    assert_eq!(sequences(&["--action", "key.create", "--since", "1h"]), [1, 2, 3]);
    assert_eq!(sequences(&["--since", "+1h"]), [] as [u64; 0]);
    assert_eq!(sequences(&["--connection", "drive/reports"]), [] as [u64; 0]);
    machine.run(&["audit", "--action", "key.steal"]).failed(2);
    let daemon = Daemon::start(&machine);
    let (line, mut child, mut out) =
        crate::support::shop::Consenting::first_line(&machine, &["audit", "--follow", "--json", "--limit", "1"]);
    let first: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(first["sequence"], 4);
    machine.run(&["api-key", "revoke", "c"]).done();
    let mut next = String::new();
    std::io::BufRead::read_line(&mut out, &mut next).unwrap();
    let next: Value = serde_json::from_str(&next).unwrap();
    assert_eq!((&next["sequence"], &next["target"]), (&json!(5), &json!({ "key": "c" })));
    child.kill().unwrap();
    child.wait().unwrap();
    daemon.stopped().done();
}

#[test]
fn a_log_that_is_not_whole_ends_the_check_with_an_error() {
    let machine = Machine::new();
    for name in ["a", "b"] {
        machine.run(&["api-key", "create", name, "--may", "token:*"]).done();
    }
    let verified = machine.run(&["audit", "--verify", "--json"]).json();
    let head = verified["head"].as_str().unwrap().to_owned();
    assert!(verified["entries"] == 2 && head.starts_with("2:"), "{verified}");
    machine.run(&["api-key", "revoke", "a"]).done();
    assert!(machine.run(&["audit", "--verify", "--head", &head]).done().contains("3 entries"));
    let other = format!("2:{}", "0".repeat(64));
    for daemon in [None, Some(Daemon::start(&machine))] {
        let ran = machine.run(&["audit", "--verify", "--head", &other]);
        assert_eq!(ran.code, Some(7), "{ran:?}");
        assert!(ran.out.contains("written anew") && ran.err.contains("not whole"), "{ran:?}");
        drop(daemon);
    }
    machine.run(&["audit", "--verify", "--head", "2"]).failed(2);
    machine.run(&["audit", "--head", &head]).failed(2);
}
