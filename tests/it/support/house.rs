//! A desk whose store and keys lie on disk: what is closed and opened again, copied, or looked into.

use super::desk::{CLIENT_SECRET, Desk, NAME};
use grantkeeper::connector::{Connector, Error, Home, RestoreOptions, Restored};
use grantkeeper::demo::{Client, DemoProvider, Habits};
use grantkeeper::model::{Clock, ConnectionName, TestClock, Timestamp};
use grantkeeper::seal::{KeyId, Keyring};
use grantkeeper::store::{MemoryStore, SledOptions, SledStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A desk with its folder.
pub(crate) struct House {
    pub(crate) desk: Desk,
    pub(crate) names: Vec<ConnectionName>,
    folder: TempDir,
}

impl House {
    /// With so many connections, each with a grant of its own.
    pub(crate) async fn new(habits: Habits, connections: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = TestClock::new("2026-11-23T12:00:00Z".parse::<Timestamp>().unwrap());
        home(folder.path()).init(clock.now()).unwrap();
        let provider = DemoProvider::start(Arc::new(clock.clone()), habits).await.unwrap();
        let connector = opened(folder.path(), &clock);
        let keys = std::fs::read_to_string(folder.path().join("keys")).unwrap();
        let desk = Desk { provider, connector, clock, name: NAME.parse().unwrap(), keys };
        Box::pin(desk.apply("script = \"OAuthGoogleDrive\"", "")).await;
        let redirect_url = desk.connector.settings().callback.redirect_url(desk.name.application());
        let client = Client::new("drive-client", CLIENT_SECRET.to_owned()).redirecting_to(redirect_url);
        desk.provider.register(client);
        let mut house = Self { desk, names: Vec::new(), folder };
        for number in 0..connections {
            house.desk.name = format!("drive/{number}").parse().unwrap();
            Box::pin(house.desk.consent()).await.unwrap();
            house.names.push(house.desk.name.clone());
        }
        house
    }

    /// The folder of the store.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The key file.
    pub(crate) fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// A place beside them.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The key that the key file says to seal with.
    pub(crate) fn key(&self) -> KeyId {
        Keyring::from_file(&self.keys()).unwrap().current()
    }

    /// As a command line has it.
    pub(crate) fn home(&self) -> Home {
        home(self.folder.path())
    }

    /// Makes the one backup of a test.
    pub(crate) async fn back_up(&self) {
        self.desk.connector.back_up(&self.path("backup")).await.unwrap();
    }

    /// Puts that backup in the store's place.
    pub(crate) async fn restore(&self, force: bool) -> Result<Restored, Error> {
        self.home()
            .restore(&self.path("backup"), RestoreOptions { force, ..RestoreOptions::default() }, &self.desk.clock)
            .await
    }

    /// Closed, restored and opened.
    pub(crate) async fn restored(self, force: bool) -> (Self, Restored) {
        let house = self.closed().await;
        let restored = house.restore(force).await.unwrap();
        (house.reopened().await, restored)
    }

    /// With the store let go of; its connector is one over a store in memory until it is opened again.
    pub(crate) async fn closed(self) -> Self {
        let Self { desk, names, folder } = self;
        let Desk { provider, connector, clock, name, keys } = desk;
        connector.close().await;
        let keyring = Keyring::generate(clock.now()).unwrap();
        let connector = Connector::builder(Arc::new(MemoryStore::new()), keyring).build().unwrap();
        Self { desk: Desk { provider, connector, clock, name, keys }, names, folder }
    }

    /// As a new process has it: closed, and opened with the key file as it is now.
    pub(crate) async fn reopened(self) -> Self {
        let Self { desk, names, folder } = self;
        let Desk { provider, connector, clock, name, keys } = desk;
        connector.close().await;
        let connector = opened(folder.path(), &clock);
        Self { desk: Desk { provider, connector, clock, name, keys }, names, folder }
    }

    /// Every connection has a token that the provider takes, and the refresh token that it expects next.
    pub(crate) async fn all_work(&self) {
        for name in &self.names {
            let token = self.desk.connector.token(name).await.unwrap();
            assert_eq!(self.desk.call(token.secret()).await, 200, "{name}");
        }
    }
}

fn home(folder: &Path) -> Home {
    let keys = folder.join("keys");
    Home::new(folder, &keys).with_keys(&keys)
}

fn opened(folder: &Path, clock: &TestClock) -> Connector {
    let store = SledStore::open(&folder.join("store"), &SledOptions::default()).unwrap();
    let keys = folder.join("keys");
    let keyring = Keyring::from_file(&keys).unwrap();
    let builder = Connector::builder(Arc::new(store), keyring).key_file(keys).scripts(folder.join("scripts"));
    builder.clock(Arc::new(clock.clone())).build().unwrap()
}

/// The files below a folder that hold these bytes.
pub(crate) fn holding(folder: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let (mut folders, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() && std::fs::read(&path).unwrap().windows(needle.len()).any(|bytes| bytes == needle)
            {
                found.push(path);
            }
        }
    }
    found
}

/// A key's name as sealed records carry it.
pub(crate) fn bytes_of(key: &str) -> Vec<u8> {
    (0..key.len()).step_by(2).map(|at| u8::from_str_radix(&key[at..at + 2], 16).unwrap()).collect()
}
