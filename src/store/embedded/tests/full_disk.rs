//! A disk that takes no more, as the system says it for a file size limit (`RLIMIT_FSIZE`): these tests start
//! themselves again under one.

use super::*;
use std::process::Command;

/// Names the store of the process under the limit.
const FOLDER: &str = "GRANTKEEPER_TEST_FULL_DISK";

/// The signal that ends a process whose file grows past the limit, unless it is handled: then the write fails, which is
/// what this room is ready for. 25 on Linux (but for MIPS), macOS and the BSDs.
const SIGXFSZ: i32 = 25;

/// Runs a test of this file with files limited to about `blocks` of 512 bytes (1024 for some shells); gives back the
/// records that were acknowledged there.
fn limited(test: &str, blocks: u32, home: &Home) -> Vec<u128> {
    let script = format!("ulimit -f {blocks}; exec \"$0\" --exact {}::{test} --nocapture", module_path!());
    let script = script.replace("grantkeeper::", "");
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(std::env::current_exe().unwrap()).env(FOLDER, &home.root);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{errors}");
    said.lines().filter_map(|line| line.split_once("acknowledged ")?.1.parse().ok()).collect()
}

/// The store that the process under the limit works on; none when this is not that process.
fn home_under_limit() -> Option<Home> {
    let root = std::env::var_os(FOLDER)?.into();
    // Registering is what counts, nobody listens: tokio never takes a handler away again.
    drop(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(SIGXFSZ)).unwrap());
    Some(Home { root, _temporary: None })
}

async fn is_refused(store: &SledStore, number: u128, size: usize) {
    let row = credential(number, 1, 1, &vec![b'x'; size]);
    let also = credential(number + 1, 1, 1, b"in the same commit");
    let error = store.commit(vec![Change::put(row, Expect::Any), Change::put(also, Expect::Any)]).await.unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("nothing was written") && said.contains("file size limit"), "{said}");
    for number in [number, number + 1] {
        assert_eq!(store.get(Key::Credential(id(number))).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_commit_that_does_not_fit_changes_nothing_and_the_next_goes_on() {
    if let Some(home) = home_under_limit() {
        let store = home.open();
        for number in (0..12).step_by(4) {
            put(&store, credential(number, 1, 1, &[b'x'; 1_000])).await;
            println!("\nacknowledged {number}");
            let before = std::fs::metadata(&home.journal()[0]).unwrap().len();
            is_refused(&store, number + 1, 2_000_000).await;
            assert_eq!(std::fs::metadata(&home.journal()[0]).unwrap().len(), before);
        }
        return;
    }
    let home = Home::new();
    let acknowledged = limited("a_commit_that_does_not_fit_changes_nothing_and_the_next_goes_on", 1_200, &home);
    assert_eq!(acknowledged.len(), 3);
    let store = home.open();
    let rows = store.credentials(id(1)).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id.as_u128()).collect::<Vec<_>>(), acknowledged);
    put(&store, credential(41, 1, 1, &vec![b'x'; 2_000_000])).await;
}

/// Here the journal has room (its files are small), and sled has not.
#[tokio::test]
async fn an_index_that_does_not_fit_loses_no_commit() {
    if let Some(home) = home_under_limit() {
        let store = home.open_small();
        for number in 0..300 {
            let row = credential(number, 1, 1, &[b'x'; 8_000]);
            match store.commit(vec![Change::put(row, Expect::Any)]).await {
                Ok(()) => println!("\nacknowledged {number}"),
                Err(error) => {
                    assert!(error.to_string().contains("file size limit"), "{error}");
                    return;
                }
            }
        }
        panic!("all of it fit: the limit does nothing");
    }
    let home = Home::new();
    for blocks in [300, 1_100] {
        let acknowledged = limited("an_index_that_does_not_fit_loses_no_commit", blocks, &home);
        assert!(!acknowledged.is_empty());
        let store = home.open_small();
        for number in acknowledged {
            assert!(store.get(Key::Credential(id(number))).await.unwrap().is_some(), "{number}");
        }
        put(&store, credential(1_000, 1, 1, b"there is room again")).await;
        drop(store);
        std::fs::remove_dir_all(home.folder()).unwrap();
    }
}
