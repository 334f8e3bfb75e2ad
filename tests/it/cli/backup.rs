//! `store`: a backup, what is in it, and a store from it.

use crate::support::shop::{NAME, Shop};
use grantkeeper::demo::Habits;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_made_checked_and_restored() {
    let shop = Shop::connected(Habits::default()).await;
    let machine = &shop.machine;
    let out = machine.run(&["store", "backup", "backup"]).done();
    assert!(out.contains("The keys are not in it"), "{out}");
    assert!(machine.path("backup/backup.json").exists());
    let sentence = machine.run(&["store", "backup", "backup"]).failed(7);
    assert!(sentence.contains("never written over"), "{sentence}");
    let out = machine.run(&["store", "check", "backup"]).done();
    assert!(out.contains("is whole") && out.contains("sealed with") && !out.contains("keys not here"), "{out}");
    let checked = machine.run(&["store", "check", "backup", "--json"]).json();
    assert_eq!(checked["missing_keys"], serde_json::json!([]));
    let shown = machine.run(&["connections", "show", NAME]).done();
    assert!(!shown.contains("restored"), "{shown}");
    // Rotated after the backup: what it holds is no longer the provider's.
    machine.run(&["refresh", NAME]).done();
    let sentence = machine.run(&["store", "restore", "backup"]).failed(1);
    assert!(sentence.contains("--force moves it aside"), "{sentence}");
    let out = machine.run(&["store", "restore", "backup", "--force"]).done();
    assert!(out.contains("1 connection restored as of") && out.contains("store.before-"), "{out}");
    assert!(out.contains("1 of them may have been revoked or rotated since"), "{out}");
    let shown = machine.run(&["connections", "show", NAME]).done();
    assert!(shown.contains("whether its grant was rotated or revoked since is not known"), "{shown}");
    let sentence = machine.run(&["refresh", NAME]).failed(4);
    assert!(sentence.contains("rotation_lost"), "{sentence}");
    // What happened before the backup is told too, behind the numbers that were left out.
    let told = machine.run(&["events", "--json"]).json();
    let kinds: Vec<&str> = told.as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!((kinds.first(), kinds.contains(&"rotation_lost")), (Some(&"authorized"), true), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_without_its_keys_is_told_by_its_check_and_refused_by_its_restore() {
    let shop = Shop::connected(Habits::default()).await;
    let machine = &shop.machine;
    machine.run(&["store", "backup", "backup"]).done();
    machine.run(&["key", "rotate"]).done();
    let out = machine.run(&["store", "check", "backup"]).done();
    assert!(out.contains("keys not here"), "{out}");
    let sentence = machine.run(&["store", "restore", "backup", "--force"]).failed(7);
    assert!(sentence.contains("use the key file that belongs to this store"), "{sentence}");
    machine.run(&["refresh", NAME]).done();
    std::fs::remove_file(machine.path("backup/backup.json")).unwrap();
    let sentence = machine.run(&["store", "check", "backup"]).failed(7);
    assert!(sentence.contains("was not finished"), "{sentence}");
}
