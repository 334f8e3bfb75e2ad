//! A backup is the store at one moment, or it is refused.

use super::super::backup::{self, Snapshot};
use super::super::committer::Work;
use super::*;
use crate::store::{Backup, BackupNote};
use std::sync::Arc;

fn note() -> BackupNote {
    BackupNote { made: at(7), keys: vec!["key-1".to_owned()] }
}

impl Home {
    fn backup(&self) -> PathBuf {
        self.root.join("backup")
    }

    /// A store made of this home's backup.
    fn restored(&self) -> Result<SledStore, StoreError> {
        let folder = self.root.join("restored");
        let _ = std::fs::remove_dir_all(&folder);
        SledStore::unpack(&self.backup(), &folder)?;
        SledStore::open(&folder, &SledOptions::default())
    }
}

#[tokio::test]
async fn a_backup_says_what_it_holds_and_makes_the_same_store() {
    let home = Home::new();
    let store = home.open_small();
    fill(&store).await;
    settle(&store).await;
    let backup = store.backup(&home.backup(), note()).await.unwrap();
    assert_eq!((backup.records, backup.made, backup.keys.as_slice()), (160, at(7), ["key-1".to_owned()].as_slice()));
    assert!(backup.files.len() > 1);
    assert_eq!(SledStore::check_backup(&home.backup()).unwrap(), backup);
    let restored = home.restored().unwrap();
    assert_eq!(answers(&restored, 20).await, answers(&store, 20).await);
    put(&restored, credential(1, 0, 9, b"it goes on")).await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&home.backup()), mode(&home.backup().join("backup.json"))), (0o700, 0o600));
    }
}

/// Each commit takes a credential away, brings the next one and counts its connection up: a state in which they do not fit each
/// other never was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_taken_while_commits_run_is_the_store_between_two_of_them() {
    let home = Home::new();
    let store = Arc::new(home.open_small());
    let first = vec![
        Change::put(connection(1, "a/b", 1, None), Expect::Absent),
        Change::put(credential(1, 1, 1, &[b'x'; 200]), Expect::Absent),
    ];
    store.commit(first).await.unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = {
        let (store, stop) = (store.clone(), stop.clone());
        tokio::spawn(async move {
            let mut version = 1_u64;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                version += 1;
                let changes = vec![
                    Change::put(connection(1, "a/b", version, None), Expect::Version(version - 1)),
                    Change::remove(Key::Credential(id(u128::from(version - 1))), Expect::Any),
                    Change::put(credential(u128::from(version), 1, 1, &[b'x'; 200]), Expect::Absent),
                ];
                store.commit(changes).await.unwrap();
            }
            version
        })
    };
    let mut versions = Vec::new();
    for _ in 0..10 {
        store.backup(&home.backup(), note()).await.unwrap();
        let restored = home.restored().unwrap();
        let Some(Row::Connection(row)) = restored.get(Key::Connection(id(1))).await.unwrap() else { panic!() };
        let credentials: Vec<u128> =
            restored.credentials(id(1)).await.unwrap().iter().map(|row| row.id.as_u128()).collect();
        assert_eq!(credentials, [u128::from(row.version)]);
        versions.push(row.version);
        std::fs::remove_dir_all(home.backup()).unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(versions.is_sorted() && versions[0] < versions[9], "{versions:?}");
    assert!(writer.await.unwrap() >= versions[9]);
}

#[tokio::test]
async fn files_that_are_emptied_while_a_backup_is_made_stay_until_it_is() {
    let home = Home::new();
    let store = home.open_small();
    fill(&store).await;
    settle(&store).await;
    let expected = answers(&store, 20).await;
    let snapshot: Snapshot = store.send(Work::Snapshot).await.unwrap();
    for version in 2..200 {
        put(&store, credential(1, 0, version, &[b'x'; 200])).await;
    }
    settle(&store).await;
    let renewed = store.renew(&mut |_, _| std::ops::ControlFlow::Continue(())).await.unwrap_err();
    assert!(renewed.to_string().contains("a backup that is being made"), "{renewed}");
    backup::write(&home.folder(), &home.backup(), &snapshot, note()).unwrap();
    assert_eq!(answers(&home.restored().unwrap(), 20).await, expected, "as of when it was begun");
    let first = segment::path(&home.folder(), snapshot.files[0].0);
    assert!(first.exists());
    drop(snapshot);
    settle(&store).await;
    assert!(!first.exists(), "and then they go");
    assert!(store.renew(&mut |_, _| std::ops::ControlFlow::Continue(())).await.unwrap());
}

#[tokio::test]
async fn a_backup_that_was_changed_or_cut_is_refused() {
    let home = Home::new();
    let store = home.open_small();
    fill(&store).await;
    let backup = store.backup(&home.backup(), note()).await.unwrap();
    let refused = || SledStore::check_backup(&home.backup()).unwrap_err().to_string();
    let files: Vec<PathBuf> = backup.files.iter().map(|file| home.backup().join(&file.name)).collect();
    for path in &files {
        let whole = std::fs::read(path).unwrap();
        for at in [0, 39, whole.len() / 2, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(path, bytes).unwrap();
            assert!(refused().contains("is not what was written"), "{} at {at}", path.display());
        }
        for length in [0, 40, whole.len() - 1] {
            std::fs::write(path, &whole[..length]).unwrap();
            assert!(refused().contains("is not what was written"), "{} cut at {length}", path.display());
        }
        std::fs::remove_file(path).unwrap();
        assert!(refused().contains("No such file"));
        assert!(home.restored().is_err());
        std::fs::write(path, whole).unwrap();
    }
    assert_eq!(SledStore::check_backup(&home.backup()).unwrap(), backup, "put back, it is whole again");
}

/// What a backup says of itself is anybody's word.
#[tokio::test]
async fn what_a_backup_says_of_itself_is_checked() {
    let home = Home::new();
    let store = home.open_small();
    fill(&store).await;
    let backup = store.backup(&home.backup(), note()).await.unwrap();
    let manifest = home.backup().join("backup.json");
    let said = |edit: fn(&mut Backup)| {
        let mut changed = backup.clone();
        edit(&mut changed);
        std::fs::write(&manifest, serde_json::to_vec(&changed).unwrap()).unwrap();
        let error = home.restored().unwrap_err();
        assert!(matches!(error, StoreError::Backup { .. }), "{error}");
        error.to_string()
    };
    assert!(said(|backup| backup.format = 2).contains("use the newer one"));
    assert!(said(|backup| backup.commit += 1).contains("does not reach commit"));
    assert!(said(|backup| drop(backup.files.pop())).contains("does not reach commit"));
    assert!(said(|backup| drop(backup.files.remove(1))).contains("does not go on"));
    assert!(said(|backup| backup.files.clear()).contains("does not reach commit"));
    assert!(said(|backup| backup.files[0].name = "../store/journal-00000001".to_owned()).contains("no backup has"));
    assert!(said(|backup| backup.files[0].name = "/etc/passwd".to_owned()).contains("no backup has"));
    std::fs::write(&manifest, "{}").unwrap();
    assert!(home.restored().unwrap_err().to_string().contains("cannot be read"));
    // As one that was not finished is.
    std::fs::remove_file(&manifest).unwrap();
    assert!(home.restored().unwrap_err().to_string().contains("was not finished"));
}

#[tokio::test]
async fn nothing_is_written_over_and_nothing_into_the_store() {
    let home = Home::new();
    let store = home.open();
    fill(&store).await;
    std::fs::create_dir(home.backup()).unwrap();
    std::fs::write(home.backup().join("precious"), "mine").unwrap();
    let error = store.backup(&home.backup(), note()).await.unwrap_err().to_string();
    assert!(error.contains("never written over"), "{error}");
    assert_eq!(std::fs::read_dir(home.backup()).unwrap().count(), 1);
    let inside = home.folder().join("backup");
    let error = store.backup(&inside, note()).await.unwrap_err().to_string();
    assert!(error.contains("a folder elsewhere"), "{error}");
    assert!(!inside.exists());
    std::fs::remove_file(home.backup().join("precious")).unwrap();
    store.backup(&home.backup(), note()).await.unwrap();
}

#[tokio::test]
async fn the_next_event_stands_behind_those_that_are_left_out() {
    let home = Home::new();
    let store = home.open();
    store.skip_events(1_000).await.unwrap();
    assert_eq!(store.last_event().await.unwrap(), 0, "where there is none, nobody has read any");
    for number in 1..=3 {
        put(&store, event(number, 5)).await;
    }
    store.skip_events(1_000).await.unwrap();
    put(&store, event(4, 5)).await;
    let told: Vec<_> = store.events(0, 9).await.unwrap().iter().map(|row| (row.sequence, row.id.as_u128())).collect();
    assert_eq!(told, [(1, 1), (2, 2), (1_003, 3), (1_004, 4)]);
}

#[tokio::test]
async fn a_store_is_used_from_its_first_commit_on() {
    let home = Home::new();
    assert!(!SledStore::is_used(&home.folder()).unwrap());
    let store = home.open();
    assert!(!SledStore::is_used(&home.folder()).unwrap());
    drop(store);
    assert!(!SledStore::is_used(&home.folder()).unwrap());
    let store = home.open();
    put(&store, credential(1, 1, 1, b"t")).await;
    assert!(SledStore::is_used(&home.folder()).unwrap());
    store.commit(vec![Change::remove(Key::Credential(id(1)), Expect::Any)]).await.unwrap();
    drop(store);
    assert!(SledStore::is_used(&home.folder()).unwrap(), "also when nothing is left");
    std::fs::remove_file(&home.journal()[0]).unwrap();
    assert!(SledStore::is_used(&home.folder()).unwrap(), "also when it is damaged");
}

/// It waits for the lock of a folder that is moved away meanwhile: what it then has the lock of is not what it would open.
#[test]
fn who_waits_for_a_folder_that_is_moved_away_opens_the_one_in_its_place() {
    let home = Home::new();
    drop(home.open());
    let held = SledStore::hold(&home.folder(), Duration::ZERO).unwrap();
    assert!(matches!(home.try_open(), Err(StoreError::Held { .. })));
    let waiting = {
        let folder = home.folder();
        std::thread::spawn(move || SledStore::open(&folder, &SledOptions::default()))
    };
    let (aside, next) = (home.root.join("aside"), Home::new());
    drop(next.open());
    std::fs::rename(home.folder(), &aside).unwrap();
    std::fs::rename(next.folder(), home.folder()).unwrap();
    drop(held);
    let store = waiting.join().unwrap().unwrap();
    assert!(matches!(home.try_open(), Err(StoreError::Held { .. })), "it has the lock of what it opened");
    assert!(SledStore::hold(&aside, Duration::ZERO).is_ok());
    drop(store);
}
