//! The journal cut at its last sync with a torn end behind it, and sled deleted, emptied, damaged or older: seen through the whole
//! connector, over many seeds. Needs no disk of its own.
//!
//! A history of refreshes, revocations and removals is written down, with the journal's length after each. A case cuts the
//! journal anywhere, and then everything must be as it was after the last change that ended before the cut; of the change that was
//! being written, all or nothing.

use super::dice::Dice;
use super::scene::{Scene, consent, name};
use super::{is_soak, say};
use crate::support::machine::copy;
use grantkeeper::connector::Connector;
use grantkeeper::model::{ConnectionName, ConnectionState, TokenKind};
use grantkeeper::refresh::newest;
use grantkeeper::store::{SledOptions, SledStore, Store};
use grantkeeper::vault::Vault;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Connections in the store, and changes in its history: enough for all of them to happen to most.
const CONNECTIONS: usize = 8;
const CHANGES: usize = 80;

/// The first file of the journal; a history fits into it.
const JOURNAL: &str = "journal-00000001";

/// What a clean stop leaves beside it.
const CLEAN: &str = "clean";

#[tokio::test]
async fn whatever_is_torn_every_grant_is_back_and_nothing_that_was_ended() {
    let cases = if is_soak() { 3000 } else { 100 };
    let mut dice = Dice::of("torn journal");
    let history = History::written(&mut dice).await;
    let mut counts = BTreeMap::new();
    for number in 0..cases {
        let mut dice = dice.case(number);
        let case = tempfile::tempdir().unwrap();
        let store = case.path().join("store");
        let cut = history.cut(&store, &mut dice);
        let damage = history.damage(&store, cut, &mut dice);
        let what = format!("case {number}: cut at byte {cut}, sled {damage:?}");
        let healed = history.check(&store, cut, &what).await;
        let count: &mut (usize, usize) = counts.entry(damage).or_default();
        *count = (count.0 + 1, count.1 + usize::from(healed));
    }
    let counts: Vec<_> =
        counts.iter().map(|(damage, (all, healed))| format!("{damage:?}: {all}, {healed} made anew")).collect();
    say(&format!("torn journal, {cases} cases over {CHANGES} changes: {}", counts.join("; ")));
}

#[tokio::test]
async fn after_the_last_sync_alone_is_left_every_grant_still_refreshes() {
    let mut dice = Dice::of("torn journal, at the provider");
    let mut history = History::written(&mut dice).await;
    let last = history.steps.last().unwrap().length;
    let store = history.scene.home.store();
    history.lay(&store, last, &[0; 777]);
    let connector = Connector::open(&history.scene.home).await.unwrap();
    let mut refreshed = 0;
    for (name, kept) in std::mem::take(&mut history.steps.last_mut().unwrap().after) {
        match kept.state {
            ConnectionState::Revoked => assert_eq!(connector.refresh(&name).await.unwrap_err().code(), "revoked"),
            _ => {
                assert_eq!(connector.refresh(&name).await.unwrap().generation(), kept.generation + 1, "{name}");
                refreshed += 1;
            }
        }
    }
    assert!(refreshed > 0);
}

/// What a connection was at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    state: ConnectionState,
    generation: u64,
    access: Option<String>,
    refresh: Option<String>,
}

/// All connections after a change, and how long the journal was then.
struct Step {
    /// The connection that was changed.
    of: Option<ConnectionName>,
    length: usize,
    after: BTreeMap<ConnectionName, Kept>,
}

/// A store's life, written down.
struct History {
    scene: Scene,
    steps: Vec<Step>,
    journal: Vec<u8>,
    /// Copies of sled's folder and how long the journal was when each was made.
    indexes: Vec<(usize, PathBuf)>,
    folder: tempfile::TempDir,
}

/// What is done to sled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Damage {
    Deleted,
    Emptied,
    Shortened,
    BytesChanged,
    BlocksLost,
    Older,
}

impl History {
    async fn written(dice: &mut Dice) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scene = Scene::new(&folder.path().join("home"), &folder.path().join("keys"), CONNECTIONS, 0).await;
        let store = scene.home.store();
        let length = || std::fs::read(store.join(JOURNAL)).unwrap().len();
        // Stopped cleanly: this one is whole.
        let mut indexes = vec![(length(), folder.path().join("index-0"))];
        copy(&store.join("index"), &indexes[0].1);
        std::fs::copy(store.join(CLEAN), folder.path().join(CLEAN)).unwrap();
        let kept: Arc<dyn Store> = Arc::new(SledStore::open(&store, &SledOptions::default()).unwrap());
        let connector = Connector::builder(Arc::clone(&kept), scene.home.keyring().unwrap())
            .scripts(scene.home.scripts())
            .build()
            .unwrap();
        let vault = Vault::new(Arc::clone(&kept), Arc::new(scene.home.keyring().unwrap()));
        let mut steps = vec![Step { of: None, length: length(), after: read(&vault).await }];
        for number in 1..=CHANGES {
            let name = name(dice.below(CONNECTIONS));
            let before = steps.last().unwrap().after.get(&name).map(|kept| kept.state);
            match (before, dice.below(10)) {
                (None | Some(ConnectionState::Revoked), _) => consent(&connector, &name).await,
                (_, 0) => drop(connector.revoke(&name).await.unwrap()),
                (_, 1) => drop(connector.remove_connection(&name).await.unwrap()),
                (_, 2) => connector.set_labels(&name, [("n".to_owned(), number.to_string())].into()).await.unwrap(),
                _ => drop(connector.refresh(&name).await.unwrap()),
            }
            steps.push(Step { of: Some(name), length: length(), after: read(&vault).await });
            if dice.once_in(20) {
                let index = folder.path().join(format!("index-{number}"));
                copy(&store.join("index"), &index);
                indexes.push((length(), index));
            }
        }
        let journal = std::fs::read(store.join(JOURNAL)).unwrap();
        Self { scene, steps, journal, indexes, folder }
    }

    /// Lays a journal that ends at `cut` with a torn end into a new store folder, at times with the word of a clean stop long ago.
    /// Gives where it was cut.
    fn cut(&self, store: &Path, dice: &mut Dice) -> usize {
        let first = self.steps[0].length;
        let step = &self.steps[dice.below(self.steps.len())];
        let cut = if dice.once_in(3) { step.length } else { first + dice.below(self.journal.len() - first + 1) };
        let length = dice.below(6000);
        let torn: Vec<u8> = match dice.below(4) {
            0 => Vec::new(),
            1 => vec![0; length],
            // The length reached the disk, and the content up to a block that did not.
            2 => {
                let rest = &self.journal[cut..];
                let some = &rest[..dice.below(rest.len().min(300) + 1)];
                [some, &vec![0; length]].concat()
            }
            _ => (0..length).map(|_| dice.next() as u8).collect(),
        };
        std::fs::create_dir_all(store).unwrap();
        self.lay(store, cut, &torn);
        if dice.once_in(2) {
            std::fs::copy(self.folder.path().join(CLEAN), store.join(CLEAN)).unwrap();
        }
        cut
    }

    /// Writes the journal up to `cut`, and what stands torn behind it; sled is gone.
    fn lay(&self, store: &Path, cut: usize, torn: &[u8]) {
        let _ = std::fs::remove_dir_all(store.join("index"));
        std::fs::write(store.join(JOURNAL), [&self.journal[..cut], torn].concat()).unwrap();
    }

    /// Lays a sled beside the journal, and damages it. It is never newer than the cut: the journal is synced before sled is told.
    fn damage(&self, store: &Path, cut: usize, dice: &mut Dice) -> Damage {
        let index = store.join("index");
        let older: Vec<_> = self.indexes.iter().filter(|(length, _)| *length <= cut).collect();
        copy(&older[dice.below(older.len())].1, &index);
        let db = index.join("db");
        let mut bytes = std::fs::read(&db).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
        let damage = [
            Damage::Deleted,
            Damage::Emptied,
            Damage::Shortened,
            Damage::BytesChanged,
            Damage::BlocksLost,
            Damage::Older,
        ][dice.below(6)];
        match damage {
            Damage::Deleted => std::fs::remove_dir_all(&index).unwrap(),
            Damage::Emptied => {
                std::fs::remove_dir_all(&index).unwrap();
                std::fs::create_dir(&index).unwrap();
            }
            Damage::Shortened => bytes.truncate(dice.below(used)),
            Damage::BytesChanged => {
                for _ in 0..=dice.below(30) {
                    bytes[dice.below(used)] ^= 1 << dice.below(8);
                }
            }
            Damage::BlocksLost => {
                for _ in 0..=dice.below(3) {
                    let at = dice.below(used) / 512 * 512;
                    let end = (at + 512 * (1 + dice.below(8))).min(bytes.len());
                    let random = dice.once_in(2);
                    bytes[at..end].iter_mut().for_each(|byte| *byte = if random { dice.next() as u8 } else { 0 });
                }
            }
            Damage::Older => {}
        }
        if db.exists() {
            std::fs::write(&db, bytes).unwrap();
        }
        damage
    }

    /// Opens what is left and compares. Whether sled was made anew.
    async fn check(&self, store: &Path, cut: usize, what: &str) -> bool {
        let opened = SledStore::open(store, &SledOptions::default()).unwrap_or_else(|error| panic!("{what}: {error}"));
        let healed = opened.healed().is_some();
        let opened: Arc<dyn Store> = Arc::new(opened);
        let vault = Vault::new(Arc::clone(&opened), Arc::new(self.scene.home.keyring().unwrap()));
        let connector = Connector::builder(opened, self.scene.home.keyring().unwrap())
            .scripts(self.scene.home.scripts())
            .build()
            .unwrap();
        let found = read(&vault).await;
        let next = self.steps.iter().position(|step| step.length > cut).unwrap_or(self.steps.len());
        let whole = &self.steps[next - 1].after;
        let begun = self.steps.get(next);
        for number in 0..CONNECTIONS {
            let name = name(number);
            let (found, expected) = (found.get(&name), whole.get(&name));
            let being_written = begun.filter(|step| step.of.as_ref() == Some(&name));
            let is_half = being_written.is_some_and(|step| {
                let ends = step.after.get(&name).is_none_or(|after| after.state == ConnectionState::Revoked);
                step.after.get(&name) == found
                    || ends && found.is_some_and(|found| found.state == ConnectionState::Revoked)
            });
            assert!(found == expected || is_half, "{what}: {name} is {found:?}, and was {expected:?}");
            let token = connector.token(&name).await;
            match found {
                None => assert_eq!(token.unwrap_err().code(), "unknown_connection", "{what}: {name}"),
                Some(found) if found.state == ConnectionState::Revoked => {
                    assert_eq!(token.unwrap_err().code(), "revoked", "{what}: {name}");
                }
                Some(found) => {
                    let token = token.unwrap_or_else(|error| panic!("{what}: {name}: {error}"));
                    assert_eq!(
                        (token.generation(), Some(token.secret().expose())),
                        (found.generation, found.access.as_deref())
                    );
                }
            }
        }
        healed
    }
}

/// All connections of a store with their tokens.
async fn read(vault: &Vault) -> BTreeMap<ConnectionName, Kept> {
    let mut all = BTreeMap::new();
    for connection in vault.connections(None, None, usize::MAX).await.unwrap() {
        let connection = connection.value;
        let credentials = vault.credentials(connection.id).await.unwrap();
        let held = |kind| newest(&credentials, kind).map(|held| held.value.token.expose().to_owned());
        let (access, refresh) = (held(TokenKind::AccessToken), held(TokenKind::RefreshToken));
        let kept = Kept { state: connection.state, generation: connection.generation, access, refresh };
        all.insert(connection.name, kept);
    }
    all
}
