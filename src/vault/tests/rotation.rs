//! A rotation, record by record.

use super::super::*;
use crate::model::{
    ApplicationName, ConnectionState, Event, EventKind, Expiry, ExpirySource, Fields, GrantType, Labels, ProfileName,
    Secret,
};
use crate::store::MemoryStore;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// A store in memory, and its key file.
struct Place {
    store: MemoryStore,
    keys: PathBuf,
    _folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        Keyring::create_file(&keys, NOW).unwrap();
        Self { store: MemoryStore::new(), keys, _folder: folder }
    }

    /// As another process has it, which reads the key file as it is now.
    fn vault(&self) -> Vault {
        Vault::new(Arc::new(self.store.clone()), Arc::new(Keyring::from_file(&self.keys).unwrap()))
    }

    fn key(&self) -> crate::seal::KeyId {
        Keyring::from_file(&self.keys).unwrap().current()
    }

    async fn rotate(&self, vault: &Vault) -> Rotated {
        self.rotate_until(vault, usize::MAX).await
    }

    /// Stops behind so many batches.
    async fn rotate_until(&self, vault: &Vault, batches: usize) -> Rotated {
        let mut done = 0;
        let mut each = |_| {
            done += 1;
            if done == batches { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        vault.rotate(Some(&self.keys), NOW, &RotateOptions { batch: 2 }, &mut each).await.unwrap()
    }
}

fn connection(name: &str) -> Connection {
    let name = name.parse().unwrap();
    Connection { state: ConnectionState::Active, generation: 3, ..Connection::new(&name, Uuid::nil(), NOW) }
}

fn credential(connection: Uuid, kind: TokenKind) -> Credential {
    Credential {
        id: Uuid::now_v7(),
        connection,
        kind,
        direction: crate::model::Direction::Received,
        generation: 3,
        token: Secret::new("marked"),
        token_type: "Bearer".to_owned(),
        scopes: Vec::new(),
        issued: NOW,
        expires: Expiry { at: NOW, source: ExpirySource::Default },
        revoked: None,
    }
}

fn flight(connection: Uuid) -> Flight {
    let reply = RawReply { status: 200, headers: Vec::new(), body: Zeroizing::new(b"{}".to_vec()) };
    let reply = Some(KeptReply { reply, received: NOW });
    Flight { connection, version: 1, owner: Uuid::nil(), until: NOW, generation: 3, doubt: true, reply }
}

/// One of everything that is sealed, and the versions that it has.
async fn fill(vault: &Vault) -> (Connection, Credential, Credential, Event) {
    let mine = connection("a/b");
    let access = credential(mine.id, TokenKind::AccessToken);
    let refresh = credential(mine.id, TokenKind::RefreshToken);
    let pending = Pending {
        connection: mine.name.clone(),
        connection_id: mine.id,
        revocations: 0,
        application: Uuid::nil(),
        profile: ProfileName::default(),
        grant: GrantType::DeviceCode,
        scopes: Vec::new(),
        labels: Labels::new(),
        other_account: false,
        browser: None,
        return_url: None,
        created: NOW,
        expires: NOW,
        kind: PendingKind::Device { device_code: Secret::new("x") },
    };
    let event = Event {
        id: Uuid::now_v7(),
        at: NOW,
        kind: EventKind::Recovered,
        connection: Some(mine.name.clone()),
        application: ApplicationName::try_from("a".to_owned()).unwrap(),
        details: Fields::new(),
    };
    let changes = vec![
        vault.put_connection(&mine, None).unwrap(),
        vault.put_credential(&access, None).unwrap(),
        vault.put_credential(&refresh, None).unwrap(),
        vault.put_pending(&pending, "state").unwrap(),
        vault.put_flight(&flight(mine.id), None).unwrap(),
        vault.put_event(&event).unwrap(),
    ];
    vault.commit(changes).await.unwrap();
    // At a version above 1, which its sealed part is bound to.
    vault.commit(vec![vault.put_connection(&mine, Some(1)).unwrap()]).await.unwrap();
    (mine, access, refresh, event)
}

/// Everything is there and opens, for somebody who has the key file as it is now.
async fn is_whole(place: &Place, filled: &(Connection, Credential, Credential, Event)) {
    let vault = place.vault();
    let (mine, access, refresh, event) = filled;
    let stored = vault.connection(&mine.name).await.unwrap().unwrap();
    assert_eq!((&stored.value, stored.version), (mine, 2));
    assert_eq!(vault.credential(access.id).await.unwrap().unwrap().value, *access);
    assert_eq!(vault.credential(refresh.id).await.unwrap().unwrap().value, *refresh);
    assert_eq!(vault.pending("state").await.unwrap().unwrap().connection_id, mine.id);
    let flight = vault.flight(mine.id).await.unwrap().unwrap();
    assert_eq!((flight.version, flight.reply.unwrap().reply.status), (1, 200));
    assert_eq!(vault.events(0, 9).await.unwrap()[0].event, *event);
}

#[tokio::test]
async fn everything_that_is_sealed_is_sealed_anew_at_the_version_that_it_has() {
    let place = Place::new();
    let (vault, old) = (place.vault(), place.key());
    let filled = fill(&vault).await;
    let rotated = place.rotate(&vault).await;
    let key = place.key();
    assert_ne!(key, old);
    assert_eq!((rotated.key, rotated.sealed, rotated.left), (key, 6, 0));
    assert_eq!((rotated.retired, rotated.kept, rotated.resumed), (vec![old], Vec::new(), false));
    assert_eq!(Keyring::from_file(&place.keys).unwrap().keys().len(), 1);
    assert_eq!(vault.key_counts(2).await.unwrap(), BTreeMap::from([(key, 6)]));
    is_whole(&place, &filled).await;
    // And once more.
    assert_eq!(place.rotate(&vault).await.retired, [key]);
    is_whole(&place, &filled).await;
}

#[tokio::test]
async fn a_rotation_that_was_stopped_behind_any_batch_is_gone_on_with() {
    for batches in 1.. {
        let place = Place::new();
        let (vault, old) = (place.vault(), place.key());
        let filled = fill(&vault).await;
        let stopped = place.rotate_until(&vault, batches).await;
        is_whole(&place, &filled).await;
        if !stopped.stopped {
            assert!(batches > 3, "three batches of two, and then none to stop behind");
            return;
        }
        assert_eq!((stopped.retired.len(), stopped.kept.as_slice()), (0, [old].as_slice()));
        assert_eq!(stopped.left, 6 - 2 * batches as u64);
        // By the same process, or by another one.
        let other = if batches % 2 == 0 { vault } else { place.vault() };
        let rotated = place.rotate(&other).await;
        assert!(rotated.resumed && !rotated.stopped);
        assert_eq!((rotated.retired, rotated.sealed, rotated.key), (vec![old], stopped.left, stopped.key));
        is_whole(&place, &filled).await;
    }
}

/// A request is on its way while the keys are rotated from beginning to end: its reply must not come to lie under a key that
/// nobody has.
#[tokio::test]
async fn what_was_sealed_before_a_rotation_and_is_committed_after_it_lies_under_the_new_key() {
    let place = Place::new();
    let vault = place.vault();
    let filled = fill(&vault).await;
    let kept = vault.put_flight(&flight(filled.0.id), Some(1)).unwrap();
    let late = connection("a/late");
    let new = vec![vault.put_connection(&late, None).unwrap(), kept];
    let rotated = place.rotate(&vault).await;
    vault.commit(new).await.unwrap();
    assert_eq!(vault.key_counts(9).await.unwrap().into_keys().collect::<Vec<_>>(), [rotated.key]);
    let other = place.vault();
    assert_eq!(other.connection(&late.name).await.unwrap().unwrap().value, late);
    assert!(other.flight(filled.0.id).await.unwrap().unwrap().reply.is_some());
}

/// Read before a rotation, opened after it: a reader that was held up is not told that its record is damaged.
#[tokio::test]
async fn what_was_read_before_a_rotation_still_opens_in_this_process() {
    let place = Place::new();
    let vault = place.vault();
    let filled = fill(&vault).await;
    let Some(Row::Connection(row)) = place.store.get(Key::Connection(filled.0.id)).await.unwrap() else { panic!() };
    place.rotate(&vault).await;
    assert_eq!(vault.open_connection(&row).unwrap().value, filled.0);
    assert!(place.vault().open_connection(&row).is_err(), "and in no other");
}

#[tokio::test]
async fn a_record_that_does_not_open_keeps_its_key_and_is_told() {
    let place = Place::new();
    let (vault, old) = (place.vault(), place.key());
    let filled = fill(&vault).await;
    let Some(Row::Credential(row)) = place.store.get(Key::Credential(filled.1.id)).await.unwrap() else { panic!() };
    let mut damaged = row.clone();
    *damaged.sealed.last_mut().unwrap() ^= 1;
    place.store.commit(vec![Change::put(Row::Credential(damaged), Expect::Any)]).await.unwrap();
    let rotated = place.rotate(&vault).await;
    assert_eq!((rotated.sealed, rotated.left, rotated.kept.as_slice()), (5, 1, [old].as_slice()));
    assert!(rotated.retired.is_empty());
    assert!(rotated.troubles[0].starts_with(&format!("the credential {}", row.id)), "{:?}", rotated.troubles);
    // Put back as it was, it goes on, and the old key can go.
    place.store.commit(vec![Change::put(Row::Credential(row), Expect::Any)]).await.unwrap();
    assert_eq!(place.rotate(&vault).await.retired, [old]);
    is_whole(&place, &filled).await;
}

#[tokio::test]
async fn keys_from_elsewhere_are_rotated_to_the_current_one_and_the_unused_ones_are_named() {
    let place = Place::new();
    let filled = fill(&place.vault()).await;
    let given = Keyring::from_file(&place.keys).unwrap();
    let old = given.current();
    let one = Vault::new(Arc::new(place.store.clone()), Arc::new(given.without(&[]).unwrap()));
    let mut each = |_| ControlFlow::Continue(());
    let error = one.rotate(None, NOW, &RotateOptions::default(), &mut each).await.unwrap_err();
    assert!(matches!(&error, RotationError::OneKey(origin) if origin.starts_with("the key file")), "{error}");
    assert!(error.to_string().contains("grantkeeper key new"), "{error}");
    let two = given.with_new_key(NOW).unwrap();
    let key = two.current();
    let vault = Vault::new(Arc::new(place.store.clone()), Arc::new(two.without(&[]).unwrap()));
    let rotated = vault.rotate(None, NOW, &RotateOptions::default(), &mut each).await.unwrap();
    assert_eq!((rotated.key, rotated.sealed, rotated.unused, rotated.retired), (key, 6, vec![old], vec![]));
    two.without(&[old]).unwrap().write_file(&place.keys).unwrap();
    is_whole(&place, &filled).await;
}

#[tokio::test]
async fn a_key_file_that_was_put_in_anothers_place_is_refused() {
    let place = Place::new();
    let vault = place.vault();
    fill(&vault).await;
    let own = place.key();
    Keyring::generate(NOW).unwrap().write_file(&place.keys).unwrap();
    let mut each = |_| ControlFlow::Continue(());
    let error = vault.rotate(Some(&place.keys), NOW, &RotateOptions::default(), &mut each).await.unwrap_err();
    assert!(matches!(error, RotationError::Replaced { key, .. } if key == own), "{error}");
    assert_eq!(vault.key_counts(9).await.unwrap(), BTreeMap::from([(own, 6)]), "nothing was sealed anew");
}

#[tokio::test]
async fn of_two_rotations_at_once_one_is_told() {
    let place = Place::new();
    let vault = place.vault();
    fill(&vault).await;
    let held = vault.keys.rotating();
    let mut each = |_| ControlFlow::Continue(());
    let error = vault.rotate(Some(&place.keys), NOW, &RotateOptions::default(), &mut each).await.unwrap_err();
    assert!(matches!(error, RotationError::UnderWay), "{error}");
    drop(held);
    assert_eq!(place.rotate(&vault).await.sealed, 6);
}
