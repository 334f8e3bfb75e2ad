//! What the embedded store promises beyond the suite that every store passes: that nothing which a crash, a full disk or a
//! damaged file does to it loses a commit, or brings back what is gone.

mod backups;
mod damage;
mod emptying;
mod formats;
#[cfg(unix)]
mod full_disk;
mod living;
mod model;
mod renewing;

use super::{SledOptions, SledStore, segment};
use crate::store::conformance::{
    access, application, at, audit, connection, credential, event, flight, id, pending, put,
};
use crate::store::{AccessKind, Change, Expect, FlightStage, Key, Row, Store, StoreError};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// A folder for a store.
struct Home {
    root: PathBuf,
    /// Removes the folder after the test.
    _temporary: Option<TempDir>,
}

impl Home {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        Self { root: temporary.path().to_owned(), _temporary: Some(temporary) }
    }

    fn folder(&self) -> PathBuf {
        self.root.join("store")
    }

    fn open(&self) -> SledStore {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<SledStore, StoreError> {
        SledStore::open(&self.folder(), &SledOptions { wait: Duration::from_millis(200), ..SledOptions::default() })
    }

    /// Opens with journal files so small that they are emptied all the time.
    fn open_small(&self) -> SledStore {
        let options = SledOptions { segment_bytes: 2_000, ..SledOptions::default() };
        SledStore::open(&self.folder(), &options).unwrap()
    }

    /// What a kill -9 would leave of an open store: what the system has of its files. A copy is not made in an instant: a
    /// store that may be emptying files is to [`settle`] first.
    fn killed(&self) -> Self {
        let home = Self::new();
        copy(&self.folder(), &home.folder());
        home
    }

    fn journal(&self) -> Vec<PathBuf> {
        let folder = self.folder();
        segment::list(&folder).unwrap().into_iter().map(|number| segment::path(&folder, number)).collect()
    }

    fn index(&self) -> PathBuf {
        self.folder().join("index")
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.metadata().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Returns when the emptying that follows the last commit is done: the committer does nothing else meanwhile.
async fn settle(store: &SledStore) {
    assert_eq!(store.purge_pending(at(0)).await.unwrap(), 0);
}

/// Everything that a store answers, for records of ids below `ids`.
async fn answers(store: &dyn Store, ids: u128) -> String {
    let mut said = format!("{:#?}", store.applications().await.unwrap());
    said += &format!("{:#?}", store.connections(None, None, usize::MAX).await.unwrap());
    said += &format!("{:#?}", store.due(at(1_000_000), None, usize::MAX).await.unwrap());
    said += &format!("{:#?}", store.next_due().await.unwrap());
    said += &format!("{:#?}", store.events(0, usize::MAX).await.unwrap());
    said += &format!("{:#?}", store.last_event().await.unwrap());
    said += &format!("{:#?}", store.access().await.unwrap());
    said += &format!("{:#?}", store.audit(0, usize::MAX).await.unwrap());
    said += &format!("{:#?}", store.last_audit().await.unwrap());
    for number in 0..ids {
        let hash = [u8::try_from(number).unwrap(); 32];
        let id = id(number);
        let keys = [
            Key::Application(id),
            Key::Connection(id),
            Key::Credential(id),
            Key::Pending(hash),
            Key::Flight(id),
            Key::Access(id),
        ];
        for key in keys {
            said += &format!("{:?}", store.get(key).await.unwrap());
        }
        said += &format!("{:?}", store.credentials(id).await.unwrap());
    }
    said
}

/// A store with some of everything, ids below 20.
async fn fill(store: &dyn Store) {
    for number in 0..20 {
        put(store, application(number, &format!("app-{number}"), 1)).await;
        put(store, connection(number, &format!("app-1/{number}"), 1, Some(i64::try_from(number).unwrap()))).await;
        put(store, credential(number, number / 2, 1, &[b't'; 200])).await;
        put(store, pending(u8::try_from(number).unwrap(), 30)).await;
        put(store, flight(number, 1, FlightStage::Sent)).await;
        put(store, event(number, i64::try_from(number).unwrap())).await;
        put(store, access(number, AccessKind::Key, &format!("k{number}"), 1)).await;
        let page = audit(u64::try_from(number).unwrap() * 3, 3, 7);
        store.commit(vec![Change::put(page, Expect::Absent)]).await.unwrap();
    }
}
