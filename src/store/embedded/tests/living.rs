//! Opening, holding, closing; faults while the store is in use.

use super::*;
use std::sync::PoisonError;
use std::task::Poll;

#[tokio::test]
async fn a_second_opener_waits_and_is_told_who_holds_it() {
    let home = Home::new();
    let store = home.open();
    let error = home.try_open().unwrap_err();
    assert!(matches!(error, StoreError::Held { .. }), "{error}");
    assert!(error.to_string().contains("wait for it to end"), "{error}");
    let folder = home.folder();
    let waiter = std::thread::spawn(move || SledStore::open(&folder, &SledOptions::default()));
    put(&store, credential(1, 1, 1, b"t")).await;
    drop(store);
    assert_eq!(waiter.join().unwrap().unwrap().credentials(id(1)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn sled_that_a_dying_process_still_holds_is_waited_for() {
    let home = Home::new();
    drop(home.open());
    let dying = super::super::index::Index::open(&home.folder()).unwrap();
    let error = home.try_open().unwrap_err();
    assert!(matches!(error, StoreError::Held { .. }), "{error}");
    let folder = home.folder();
    let waiter = std::thread::spawn(move || SledStore::open(&folder, &SledOptions::default()));
    dying.close().unwrap();
    waiter.join().unwrap().unwrap();
}

#[tokio::test]
async fn a_closed_store_is_free_and_refuses_with_a_sentence() {
    let home = Home::new();
    let store = home.open();
    put(&store, credential(1, 1, 1, b"t")).await;
    store.close().await.unwrap();
    let next = home.open();
    assert_eq!(next.healed(), None);
    for error in [store.commit(Vec::new()).await.unwrap_err(), store.applications().await.unwrap_err()] {
        assert!(error.to_string().contains("it was closed; open it again"), "{error}");
    }
}

#[tokio::test]
async fn a_start_after_a_clean_stop_reads_no_journal() {
    let home = Home::new();
    fill(&home.open()).await;
    let path = &home.journal()[0];
    let mut bytes = std::fs::read(path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(path, bytes).unwrap();
    let store = home.open();
    assert_eq!(store.applications().await.unwrap().len(), 20);
}

#[tokio::test]
async fn a_fault_of_the_index_in_use_is_mended_for_readers_and_writers() {
    let home = Home::new();
    let store = home.open();
    fill(&store).await;
    let expected = answers(&store, 20).await;
    let lose = || store.shared.slot.write().unwrap_or_else(PoisonError::into_inner).index = None;
    lose();
    assert_eq!(answers(&store, 20).await, expected);
    assert!(store.healed().is_some());
    lose();
    put(&store, credential(1, 0, 2, b"new")).await;
    assert_eq!(store.credentials(id(0)).await.unwrap()[1].version, 2);
    drop(store);
    let store = home.open();
    assert_eq!((store.credentials(id(0)).await.unwrap()[1].version, store.healed()), (2, None));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_mended_from_the_journal() {
    let home = Home::new();
    let store = home.open();
    fill(&store).await;
    for garbage in [b"".as_slice(), b"\0\0\0\0\0\0\0\x01", b"\0\0\0\0\0\0\0\x01\xff\xff", b"\0\0\0\0\0\0\0\x01\x02"] {
        let key = super::super::layout::row_key(Key::Credential(id(4)));
        store.shared.slot.write().unwrap().index.as_mut().unwrap().plant(&key, Some(garbage));
        let row = store.get(Key::Credential(id(4))).await.unwrap();
        assert_eq!(row, Some(credential(4, 2, 1, &[b't'; 200])));
    }
}

#[tokio::test]
async fn a_question_that_meets_a_group_being_applied_waits_as_a_task() {
    let home = Home::new();
    let store = home.open();
    put(&store, credential(4, 2, 1, b"t")).await;
    let mut asked = store.get(Key::Credential(id(4)));
    let waits = std::future::poll_fn(|context| {
        // Would the question hold up this thread, nobody could let go of the index.
        let _applying = store.shared.slot.write().unwrap_or_else(PoisonError::into_inner);
        Poll::Ready(asked.as_mut().poll(context).is_pending())
    });
    assert!(waits.await);
    store.shared.free.notify_waiters();
    assert_eq!(asked.await.unwrap(), Some(credential(4, 2, 1, b"t")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_amid_many_commits_are_all_answered() {
    let home = Home::new();
    let store = std::sync::Arc::new(home.open());
    put(&*store, credential(4, 2, 1, b"t")).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..16 {
        let store = store.clone();
        tasks.spawn(async move {
            for version in 1..40 {
                if number % 2 == 0 {
                    put(&*store, credential(100 + number, 2, version, b"t")).await;
                } else {
                    assert!(store.get(Key::Credential(id(4))).await.unwrap().is_some());
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    fn check(path: &Path) {
        let metadata = std::fs::metadata(path).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o077, 0, "{}", path.display());
        if metadata.is_dir() {
            std::fs::read_dir(path).unwrap().for_each(|entry| check(&entry.unwrap().path()));
        }
    }
    let home = Home::new();
    std::fs::create_dir(home.folder()).unwrap();
    std::fs::set_permissions(home.folder(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let store = home.open_small();
    fill(&store).await;
    check(&home.folder());
    // sled gives this one a file of its own, as the umask says until the store is stopped; the folders are private.
    put(&store, credential(1, 1, 2, &[b'x'; 1 << 20])).await;
    drop(store);
    assert!(std::fs::read_dir(home.index().join("blobs")).unwrap().count() > 0);
    check(&home.folder());
}
