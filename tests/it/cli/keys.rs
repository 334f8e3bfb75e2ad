//! `key`: rotated, interrupted, killed and gone on with.

use crate::support::daemon::Daemon;
use crate::support::house::{bytes_of, holding};
use crate::support::machine::{Machine, Ran};
use crate::support::shop::{NAME, Shop};
use grantkeeper::connector::{Connector, Home};
use grantkeeper::demo::Habits;
use grantkeeper::model::Secret;
use grantkeeper::registry::parse_application;
use std::process::{Child, Stdio};
use std::time::Duration;

/// The names of the keys in the key file.
fn keys(machine: &Machine) -> Vec<String> {
    let listed = machine.run(&["key", "list", "--json"]).json();
    listed.as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect()
}

/// Puts applications into the store, so that there is something to seal.
async fn fill(machine: &Machine, applications: usize) {
    let home = Home::new(machine.home(), machine.key_file()).with_keys(machine.key_file());
    let connector = Connector::open(&home).await.unwrap();
    for number in 0..applications {
        let file = format!(
            "name = \"filler-{number}\"\nclient_id = \"id\"\nclient_secret = {{ env = \"ANY\" }}\n[endpoints]\nauthorization = \"https://a.example/a\"\ntoken = \"https://a.example/t\"\n"
        );
        let draft = parse_application(&file, "filler.toml", false).unwrap();
        connector.apply(draft, &mut |_| Ok(Secret::new("secret"))).await.unwrap();
    }
    connector.close().await;
}

fn applications(machine: &Machine) -> usize {
    machine.run(&["app", "list", "--json"]).json().as_array().unwrap().len()
}

fn started(machine: &Machine) -> Child {
    let mut command = machine.command(&["key", "rotate", "--batch", "1"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_says_what_it_did_and_everything_works_under_the_new_key() {
    let shop = Shop::connected(Habits::default()).await;
    let machine = &shop.machine;
    let before = keys(machine);
    let counted = machine.run(&["key", "list", "--count", "--json"]).json();
    assert!(counted[0]["records"].as_u64().unwrap() > 3, "{counted}");
    let out = machine.run(&["key", "rotate"]).done();
    let after = keys(machine);
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before, after);
    assert!(out.contains(&after[0]) && out.contains(&format!("nothing names {} any more", before[0])), "{out}");
    assert!(out.contains("Keep a copy of that file"), "{out}");
    assert_eq!(holding(&machine.home(), &bytes_of(&before[0])), Vec::<std::path::PathBuf>::new());
    machine.run(&["refresh", NAME]).done();
    let token = machine.run(&["token", NAME]).done();
    assert_eq!(shop.call(&token).await, 200);
    let rotated = machine.run(&["key", "rotate", "--json"]).json();
    assert_eq!(rotated["retired"], serde_json::json!([after[0]]));
    assert_eq!((&rotated["resumed"], &rotated["stopped"]), (&false.into(), &false.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_rotation_says_how_to_go_on_and_does() {
    let machine = Machine::new();
    fill(&machine, 400).await;
    let file = machine.key_file();
    for signal in ["INT", "TERM"] {
        let before = keys(&machine);
        let child = started(&machine);
        // The new key is in the file before anything is sealed under it.
        let written = async {
            while std::fs::read_to_string(&file).unwrap().matches("grantkeeper-key-1:").count() < 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), written).await.unwrap();
        let sent = std::process::Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        let sentence = Ran::of(child.wait_with_output().unwrap()).failed(130);
        assert!(sentence.contains("run `grantkeeper key rotate` again"), "{sentence}");
        let between = keys(&machine);
        assert_eq!((between.len(), &between[0]), (2, &before[0]));
        assert_eq!(applications(&machine), 400);
        let out = machine.run(&["key", "rotate"]).done();
        assert!(out.contains("was finished") && out.contains(&before[0]), "{out}");
        assert_eq!(keys(&machine), between[1..]);
        assert_eq!(holding(&machine.home(), &bytes_of(&before[0])), Vec::<std::path::PathBuf>::new());
    }
}

/// Whatever moment it is killed at: the key file opens the store as it lies, nothing is lost, and the next run goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_is_killed_at_any_moment_loses_nothing() {
    let shop = Shop::connected(Habits::default()).await;
    let machine = &shop.machine;
    fill(machine, 60).await;
    let rounds = if std::env::var_os("GRANTKEEPER_SOAK").is_some() { 300 } else { 20 };
    // How long a whole rotation takes here, so that the kills fall all over it.
    let began = tokio::time::Instant::now();
    assert!(started(machine).wait().unwrap().success());
    let whole = began.elapsed();
    let (mut seen, mut killed) = (keys(machine), 0);
    for round in 0..rounds {
        let mut child = started(machine);
        let random = (uuid::Uuid::new_v4().as_u128() % 1000) as u32;
        let ended = tokio::time::timeout(whole * random / 900, async {
            loop {
                if let Some(status) = child.try_wait().unwrap() {
                    break status;
                }
                tokio::task::yield_now().await;
            }
        });
        if let Ok(status) = ended.await {
            assert!(status.success(), "round {round}");
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
        }
        for key in keys(machine) {
            if !seen.contains(&key) {
                seen.push(key);
            }
        }
        assert_eq!(applications(machine), 61, "round {round}");
        machine.run(&["refresh", NAME]).done();
    }
    assert!(killed > rounds / 4, "{killed} of {rounds} were killed: they came too late");
    machine.run(&["key", "rotate"]).done();
    let last = keys(machine);
    assert_eq!(last.len(), 1);
    for key in seen.iter().filter(|key| **key != last[0]) {
        assert_eq!(holding(&machine.home(), &bytes_of(key)), Vec::<std::path::PathBuf>::new(), "{key}");
    }
    assert_eq!(applications(machine), 61);
    let token = machine.run(&["token", NAME]).done();
    assert_eq!(shop.call(&token).await, 200);
}

#[test]
fn keys_from_the_environment_are_rotated_by_hand_and_by_one_command() {
    let machine = Machine::new();
    machine
        .run_with(
            &["app", "add", "drive", "--provider", "google-drive", "--client-id", "id", "--client-secret-stdin"],
            "s3",
        )
        .done();
    let sentence = machine.run(&["key", "new"]).failed(2);
    assert!(sentence.contains("`grantkeeper key rotate` writes itself"), "{sentence}");
    let with = |keys: &str, arguments: &[&str]| {
        let mut command = machine.command(arguments);
        Ran::of(command.env("GRANTKEEPER_KEYS", keys).output().unwrap())
    };
    let old = std::fs::read_to_string(machine.key_file()).unwrap();
    std::fs::remove_file(machine.key_file()).unwrap();
    let sentence = with(&old, &["key", "rotate"]).failed(2);
    assert!(sentence.contains("GRANTKEEPER_KEYS") && sentence.contains("grantkeeper key new"), "{sentence}");
    let both = with(&old, &["key", "new"]).done();
    assert_eq!(both.matches("grantkeeper-key-1:").count(), 2);
    let out = with(&both, &["key", "rotate"]).done();
    let id = old.lines().last().unwrap().split(' ').next().unwrap();
    assert!(out.contains(&format!("nothing names {id} any more; remove it from")), "{out}");
    let new: String = both.lines().filter(|line| !line.starts_with(id)).map(|line| format!("{line}\n")).collect();
    assert!(with(&new, &["app", "list"]).done().contains("drive"));
    assert_eq!(with(&old, &["app", "list"]).code, Some(7));
}

/// A command that waits for the store while another one rotates the keys must not go on with those that it had read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_waited_for_a_rotation_has_the_new_keys() {
    let machine = Machine::new();
    fill(&machine, 200).await;
    let mut rotating = started(&machine);
    let lock = machine.home().join("store/lock");
    // It holds the store; whoever comes now waits.
    while std::fs::File::open(&lock).unwrap().try_lock().is_ok() {
        assert!(rotating.try_wait().unwrap().is_none(), "it ended before it was seen");
        tokio::task::yield_now().await;
    }
    assert_eq!(applications(&machine), 200);
    let added = machine.run_with(
        &["app", "add", "drive", "--provider", "google-drive", "--client-id", "id", "--client-secret-stdin"],
        "s3",
    );
    added.done();
    assert!(rotating.wait().unwrap().success());
    assert_eq!(applications(&machine), 201);
    assert_eq!(keys(&machine).len(), 1);
}

/// The daemon holds the store and has the keys in memory: it is the one who rotates, and who copies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_a_daemon_keys_are_rotated_interrupted_and_gone_on_with() {
    let machine = Machine::new();
    fill(&machine, 300).await;
    let before = keys(&machine);
    let file = machine.key_file();
    let daemon = Daemon::start(&machine);
    let child = started(&machine);
    let written = async {
        while std::fs::read_to_string(&file).unwrap().matches("grantkeeper-key-1:").count() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), written).await.unwrap();
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
    let sentence = Ran::of(child.wait_with_output().unwrap()).failed(130);
    assert!(sentence.contains("run `grantkeeper key rotate` again"), "{sentence}");
    assert_eq!(applications(&machine), 300);
    // The daemon notices that it was hung up on when it next tells; until then it says that it is at it.
    let gone_on = async {
        loop {
            let ran = machine.run(&["key", "rotate"]);
            if ran.code != Some(5) {
                break ran;
            }
            tokio::task::yield_now().await;
        }
    };
    let out = tokio::time::timeout(Duration::from_secs(60), gone_on).await.unwrap().done();
    assert!(out.contains("nothing names") || out.contains("sealed"), "{out}");
    assert!(!keys(&machine).contains(&before[0]));
    assert_eq!(holding(&machine.home(), &bytes_of(&before[0])), Vec::<std::path::PathBuf>::new());
    let counted = machine.run(&["key", "list", "--count", "--json"]).json();
    assert!(counted.as_array().unwrap().iter().any(|key| key["records"].as_u64() >= Some(300)), "{counted}");
    machine.run(&["store", "backup", "backup"]).done();
    assert!(machine.run(&["store", "check", "backup"]).done().contains("is whole"));
    let sentence = machine.run(&["store", "restore", "backup", "--force"]).failed(5);
    assert!(sentence.contains("stop `grantkeeper serve`"), "{sentence}");
    daemon.stopped().done();
    let out = machine.run(&["store", "restore", "backup", "--force"]).done();
    assert!(out.contains("0 connections restored"), "{out}");
    assert_eq!(applications(&machine), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_with_another_stores_keys_throws_no_key_away() {
    let shop = Shop::connected(Habits::default()).await;
    let file = shop.machine.key_file();
    let before = std::fs::read_to_string(&file).unwrap();
    shop.machine.run(&["key", "rotate"]).done();
    // The file of before the rotation is put back: its key opens the old backups, and nothing here.
    std::fs::write(&file, &before).unwrap();
    let refused = shop.machine.run(&["key", "rotate"]).failed(7);
    assert!(refused.contains("use the key file that belongs to this store"), "{refused}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before, "and the file is as it was");
}

#[test]
fn another_homes_keys_are_refused_before_anything_is_written() {
    let (ours, theirs) = (Machine::new(), Machine::new());
    let file = "name = \"drive\"\nclient_id = \"x\"\nclient_authentication = \"none\"\n[endpoints]\nauthorization = \"https://a.example/a\"\ntoken = \"https://a.example/t\"\n";
    let keys = theirs.key_file();
    let keys = keys.to_str().unwrap();
    // An empty store is anybody's.
    ours.run_with(&["app", "apply", "-f", "-"], file).done();
    for command in [&["api-key", "create", "k", "--may", "administer"][..], &["app", "list"], &["serve"]] {
        let refused = ours.run(&[&["--key-file", keys], command].concat()).failed(7);
        assert!(refused.contains("use the key file that belongs to this store"), "{refused}");
    }
    assert!(ours.run(&["app", "list"]).done().contains("drive"));
    ours.run(&["audit", "--verify"]).done();
}
