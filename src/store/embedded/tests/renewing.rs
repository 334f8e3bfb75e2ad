//! Written anew, the files hold nothing of what was replaced or removed; and it can be interrupted at every step.

use super::*;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Whether any file of the store holds these bytes.
fn is_anywhere(home: &Home, needle: &[u8]) -> bool {
    let mut folders = vec![home.folder()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(path).unwrap().windows(needle.len()).any(|bytes| bytes == needle) {
                return true;
            }
        }
    }
    false
}

async fn renewed(store: &SledStore) {
    assert!(store.renew(&mut |_, _| ControlFlow::Continue(())).await.unwrap());
}

#[tokio::test]
async fn nothing_that_was_replaced_or_removed_is_left_in_any_file() {
    let home = Home::new();
    let store = home.open();
    fill(&store).await;
    put(&store, credential(30, 0, 1, b"REPLACED")).await;
    put(&store, credential(31, 0, 1, b"REMOVED!")).await;
    put(&store, credential(30, 0, 2, b"what is kept")).await;
    store.commit(vec![Change::remove(Key::Credential(id(31)), Expect::Any)]).await.unwrap();
    store.close().await.unwrap(); // sled writes
    drop(store);
    assert!(is_anywhere(&home, b"REPLACED") && is_anywhere(&home, b"REMOVED!"), "else there is nothing to show");
    let store = home.open();
    let expected = answers(&store, 40).await;
    renewed(&store).await;
    assert!(!is_anywhere(&home, b"REPLACED") && !is_anywhere(&home, b"REMOVED!"), "while it is open");
    assert_eq!(answers(&store, 40).await, expected);
    drop(store);
    assert!(!is_anywhere(&home, b"REPLACED") && !is_anywhere(&home, b"REMOVED!"));
    assert!(is_anywhere(&home, b"what is kept"));
    let store = home.open();
    assert_eq!((answers(&store, 40).await, store.healed()), (expected, None));
}

#[tokio::test]
async fn it_can_be_killed_at_every_step_and_done_again() {
    let home = Home::new();
    let store = home.open_small();
    fill(&store).await;
    let expected = answers(&store, 20).await;
    let mut killed = Vec::new();
    let mut each = |done, _| {
        killed.push((done, home.killed()));
        ControlFlow::Continue(())
    };
    assert!(store.renew(&mut each).await.unwrap());
    killed.push((0, home.killed()));
    assert!(killed.len() > 5, "{}", killed.len());
    for (done, home) in &killed {
        let store = home.open_small();
        assert_eq!(answers(&store, 20).await, expected, "killed when {done} was done");
        renewed(&store).await;
        assert_eq!(answers(&store, 20).await, expected, "done again after {done}");
        assert!(!home.folder().join("index.new").exists() && !home.folder().join("index.old").exists());
    }
}

#[tokio::test]
async fn it_can_be_stopped_at_every_step_and_leaves_nothing_behind() {
    let home = Home::new();
    let store = home.open_small();
    fill(&store).await;
    let expected = answers(&store, 20).await;
    for last in 1.. {
        let mut steps = 0;
        let mut each = |_, _| {
            steps += 1;
            if steps == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let ended = store.renew(&mut each).await.unwrap();
        assert_eq!(answers(&store, 20).await, expected);
        assert!(!home.folder().join("index.new").exists());
        if ended {
            assert!(last > 3);
            return;
        }
    }
}

/// Room was made for the copy, and it was not put there yet.
#[tokio::test]
async fn a_kill_between_the_two_renames_is_made_good() {
    let home = Home::new();
    let store = home.open();
    fill(&store).await;
    let expected = answers(&store, 20).await;
    drop(store);
    let [copy, replaced] = ["index.new", "index.old"].map(|name| home.folder().join(name));
    super::copy(&home.index(), &copy);
    std::fs::rename(home.index(), &replaced).unwrap();
    let store = home.open();
    assert_eq!((answers(&store, 20).await, store.healed()), (expected, None));
    assert!(home.index().exists() && !copy.exists() && !replaced.exists());
}

/// A copy that was not whole goes, and so does an index that was replaced.
#[tokio::test]
async fn leftovers_are_removed_when_the_store_is_opened() {
    let home = Home::new();
    let store = home.open();
    fill(&store).await;
    let expected = answers(&store, 20).await;
    drop(store);
    for name in ["index.new", "index.old"] {
        std::fs::create_dir(home.folder().join(name)).unwrap();
        std::fs::write(home.folder().join(name).join("db"), b"half").unwrap();
    }
    let store = home.open();
    assert_eq!(answers(&store, 20).await, expected);
    assert!(!home.folder().join("index.new").exists() && !home.folder().join("index.old").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_go_on_meanwhile_and_are_in_the_new_index() {
    let home = Home::new();
    let store = Arc::new(home.open_small());
    let rows = |version: u64| (0..200).map(move |number| credential(number, number % 7, version, &[b'x'; 120]));
    store.commit(rows(1).map(|row| Change::put(row, Expect::Absent)).collect()).await.unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = {
        let (store, stop) = (store.clone(), stop.clone());
        tokio::spawn(async move {
            let mut written = 0_u64;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                let number = u128::from(written % 200);
                if written.is_multiple_of(3) {
                    store.commit(vec![Change::remove(Key::Credential(id(number)), Expect::Any)]).await.unwrap();
                } else {
                    put(&*store, credential(number, number % 7, written + 2, &[b'y'; 90])).await;
                }
                written += 1;
            }
            written
        })
    };
    for _ in 0..3 {
        renewed(&store).await;
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(writer.await.unwrap() > 10);
    assert_eq!(store.healed(), None);
    let expected = store.walk(None, 999).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    // The index as it was left, and one that is made of the journal alone.
    assert_eq!(home.open_small().walk(None, 999).await.unwrap(), expected);
    std::fs::remove_dir_all(home.index()).unwrap();
    assert_eq!(home.open_small().walk(None, 999).await.unwrap(), expected);
}
