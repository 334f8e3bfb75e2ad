//! Keys and the log on a disk: closed and opened, rotated, copied, restored, and changed by somebody.

use super::{actions, code, key, log, somebody};
use crate::support::house::{House, bytes_of, holding};
use grantkeeper::connector::RestoreOptions;
use grantkeeper::demo::Habits;
use grantkeeper::model::Action;
use grantkeeper::store::{AuditRow, Reseal, Row, SledOptions, SledStore, Store};
use grantkeeper::vault::RotateOptions;
use std::ops::ControlFlow;
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_the_log_outlive_the_process_and_a_rotation_of_the_stores_keys() {
    let house = House::new(Habits::default(), 1).await;
    let connector = house.desk.connector.acting(somebody());
    let made = key(&connector, "reporting", "token:*").await;
    let password = "correct horse battery".to_owned().into();
    connector.set_administrator_password(&password).await.unwrap();
    connector.token(&house.names[0]).await.unwrap(); // written when it is closed
    let old = house.key();
    drop(connector);
    let house = house.reopened().await;
    let connector = house.desk.connector.acting(somebody());
    assert_eq!(actions(&connector).await, [Action::KeyCreate, Action::PasswordSet, Action::TokenRead]);
    let head = connector.verify_audit(None).await.unwrap().head;
    connector.rotate_keys(&RotateOptions::default(), &mut |_| ControlFlow::Continue(())).await.unwrap();
    drop(connector);
    let house = house.reopened().await;
    assert_ne!(house.key(), old);
    assert_eq!(holding(&house.store(), &bytes_of(&old.to_string())), Vec::<std::path::PathBuf>::new());
    let connector = &house.desk.connector;
    assert_eq!(code(connector, made.secret.expose()).await, "in");
    assert!(connector.check_password(&password).await.unwrap());
    let verified = connector.verify_audit(head).await.unwrap();
    assert_eq!(
        (verified.entries, verified.findings),
        (4, vec![]),
        "what was noted under the old key is there as it was"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_key_or_a_password_lies_in_any_file() {
    let house = House::new(Habits::default(), 1).await;
    let connector = house.desk.connector.acting(somebody());
    let made = key(&connector, "marked-name", "token:*").await;
    connector.set_administrator_password(&"marked password of them".to_owned().into()).await.unwrap();
    drop(connector);
    let house = house.closed().await;
    let shown = made.secret.expose();
    for needle in [&shown[3..], &shown[30..], "marked password", "$argon2id"] {
        assert_eq!(
            holding(Path::new(&house.path("")), needle.as_bytes()),
            Vec::<std::path::PathBuf>::new(),
            "{needle}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_brings_back_a_revoked_key_by_name_or_ends_all_of_them() {
    let house = House::new(Habits::default(), 1).await;
    let connector = house.desk.connector.acting(somebody());
    let stolen = key(&connector, "stolen", "administer").await;
    let good = key(&connector, "good", "token:*").await;
    let gone = key(&connector, "gone", "token:*").await;
    connector.revoke_key(&"gone".parse().unwrap()).await.unwrap();
    let before = log(&connector).await.len() as u64;
    connector.back_up(&house.path("backup")).await.unwrap();
    connector.revoke_key(&"stolen".parse().unwrap()).await.unwrap();
    drop(connector);
    let (house, restored) = house.restored(true).await;
    assert_eq!(restored.keys.iter().map(ToString::to_string).collect::<Vec<_>>(), ["good", "stolen"]);
    let connector = &house.desk.connector;
    for (made, expected) in [(&stolen, "in"), (&good, "in"), (&gone, "revoked_key")] {
        assert_eq!(code(connector, made.secret.expose()).await, expected);
    }
    let verified = connector.verify_audit(None).await.unwrap();
    assert_eq!((verified.findings, verified.restored.len()), (vec![], 1));
    let entries = log(connector).await;
    let last = entries.last().unwrap();
    assert_eq!(last.entry.action, Action::StoreRestore);
    assert!(last.sequence > before + 1_000_000, "no reader takes a new entry for one that came after the backup");
    // The same with all of them ended.
    let house = house.closed().await;
    let options = RestoreOptions { force: true, revoke_keys: true };
    let restored = house.home().restore(&house.path("backup"), options, &house.desk.clock).await.unwrap();
    assert_eq!((restored.keys.len(), restored.keys_revoked.len()), (0, 2));
    let house = house.reopened().await;
    for made in [&stolen, &good, &gone] {
        assert_eq!(code(&house.desk.connector, made.secret.expose()).await, "revoked_key");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_open_is_named_and_revoking_it_removes_it() {
    let house = House::new(Habits::default(), 1).await;
    let connector = house.desk.connector.acting(somebody());
    let (bad, good) = (key(&connector, "bad", "token:*").await, key(&connector, "good", "token:*").await);
    drop(connector);
    let house = house.closed().await;
    {
        let store = SledStore::open(&house.store(), &SledOptions::default()).unwrap();
        let rows = store.access().await.unwrap();
        let anew = Reseal::of(Row::Access(rows[0].clone()), rows[1].sealed.clone());
        assert_eq!(store.reseal(vec![anew]).await.unwrap(), 1);
        store.close().await.unwrap();
    }
    let house = house.reopened().await;
    let connector = house.desk.connector.acting(somebody());
    let error = connector.api_keys().await.unwrap_err().to_string();
    assert!(error.contains("\"bad\""), "{error}");
    assert_eq!(code(&connector, bad.secret.expose()).await, "unknown_key");
    assert_eq!(code(&connector, good.secret.expose()).await, "in");
    let removed = connector.revoke_key(&"bad".parse().unwrap()).await.unwrap_err();
    assert!(removed.to_string().contains("was removed"), "{removed}");
    assert_eq!(connector.api_keys().await.unwrap().len(), 1);
    assert_eq!(actions(&connector).await.last(), Some(&Action::KeyRevoke));
}

/// The pages of the log in a store.
async fn pages(store: &SledStore) -> Vec<AuditRow> {
    store.audit(0, 1_000).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_was_edited_and_an_old_end_that_was_cut_off_are_found() {
    let house = House::new(Habits::default(), 1).await;
    let connector = house.desk.connector.acting(somebody());
    for number in 0..5 {
        key(&connector, &format!("k{number}"), "token:*").await;
    }
    drop(connector);
    let house = house.closed().await;
    {
        let store = SledStore::open(&house.store(), &SledOptions::default()).unwrap();
        let pages = pages(&store).await;
        // One page's content in another's place, as far as a store allows it.
        let anew = Reseal::of(Row::Audit(pages[2].clone()), pages[1].sealed.clone());
        assert_eq!(store.reseal(vec![anew]).await.unwrap(), 1);
        store.close().await.unwrap();
    }
    let house = house.reopened().await;
    let findings = house.desk.connector.verify_audit(None).await.unwrap().findings;
    assert!(findings.len() == 1 && findings[0].sequence == 3, "{findings:?}");
    // The others are read all the same, and it is told.
    let list = house.desk.connector.audit(&Default::default(), None, 9).await.unwrap();
    assert_eq!((list.entries.len(), list.unread.len()), (4, 1));
    let house = house.closed().await;
    {
        let store = SledStore::open(&house.store(), &SledOptions::default()).unwrap();
        assert_eq!(store.purge_audit(3).await.unwrap(), 3);
        store.close().await.unwrap();
    }
    let house = house.reopened().await;
    let findings = house.desk.connector.verify_audit(None).await.unwrap().findings;
    assert!(findings.len() == 1 && findings[0].reason.contains("not their age"), "{findings:?}");
}
