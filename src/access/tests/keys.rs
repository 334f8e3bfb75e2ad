//! Letting in.

use super::broken::Broken;
use super::*;
use std::sync::atomic::Ordering;

impl Place {
    /// Makes a key, and gives it as its holder has it.
    async fn key(&self, name: &str, expires: Option<Timestamp>) -> (ApiKey, String) {
        let secret = KeySecret::generate(new_id()).unwrap();
        let key = ApiKey {
            id: secret.id(),
            name: name.parse().unwrap(),
            allowances: vec!["token:*".parse().unwrap()],
            created: self.clock.now(),
            expires,
            revoked: None,
            last_used: None,
        };
        let record = KeyRecord { key: key.clone(), hash: secret.hash() };
        self.vault.commit(vec![self.vault.put_api_key(&record, None).unwrap()]).await.unwrap();
        (key, secret.text().expose().to_owned())
    }

    async fn code(&self, shown: &str) -> &'static str {
        self.keys.let_in(shown).await.map_or_else(|error| error.code(), |_| "in")
    }

    /// Revokes a key past the connector.
    async fn revoke(&self, id: Uuid) {
        let stored = self.vault.api_key(id).await.unwrap().unwrap();
        let mut record = stored.value;
        record.key.revoked = Some(self.clock.now());
        self.vault.commit(vec![self.vault.put_api_key(&record, Some(stored.version)).unwrap()]).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_lets_in_and_nothing_that_is_like_it_does() {
    let place = Place::new();
    let (key, shown) = place.key("reporting", None).await;
    let (_, other) = place.key("other", None).await;
    let let_in = place.keys.let_in(&shown).await.unwrap();
    assert_eq!((let_in.id, &let_in.name), (key.id, &key.name));
    // The id of one with the secret of another; 16 bytes are 21 characters and a third.
    let mixed = format!("{}{}", &shown[..24], &other[24..]);
    assert_eq!(place.code(&mixed).await, "unknown_key");
    let foreign = KeySecret::generate(key.id).unwrap().text();
    assert_eq!(place.code(foreign.expose()).await, "unknown_key");
    let unknown = KeySecret::generate(new_id()).unwrap().text();
    assert_eq!(place.code(unknown.expose()).await, "unknown_key");
    for cut in [&shown[..66], &shown[..10], "gk_", ""] {
        assert_eq!(place.code(cut).await, "no_key", "{cut}");
    }
}

#[tokio::test]
async fn a_key_that_has_ended_lets_nobody_in_and_says_so_to_its_holder_alone() {
    let place = Place::new();
    let end = place.clock.now() + Duration::from_secs(60);
    let (ends, ending) = place.key("ending", Some(end)).await;
    let (revoked, shown) = place.key("revoked", None).await;
    assert_eq!(place.code(&ending).await, "in");
    place.clock.advance(Duration::from_secs(60));
    assert_eq!(place.code(&ending).await, "expired_key");
    place.revoke(revoked.id).await;
    place.keys.forget();
    assert_eq!(place.code(&shown).await, "revoked_key");
    // Who has the id alone, which is no secret, is told nothing of it.
    for id in [ends.id, revoked.id] {
        assert_eq!(place.code(KeySecret::generate(id).unwrap().text().expose()).await, "unknown_key");
    }
}

#[tokio::test]
async fn the_store_is_asked_once_and_not_for_each_who_is_let_in() {
    let broken = Broken { exclusive: true, ..Broken::default() };
    let keyring = Arc::new(Keyring::generate(Timestamp::UNIX_EPOCH).unwrap());
    let place = Place::over(broken.inner.clone(), Vault::new(Arc::new(broken.clone()), keyring));
    let (key, shown) = place.key("reporting", None).await;
    for _ in 0..50 {
        assert_eq!(place.code(&shown).await, "in");
        place.clock.advance(Duration::from_secs(3600));
    }
    assert_eq!(broken.readings.load(Ordering::SeqCst), 1);
    place.revoke(key.id).await;
    place.keys.forget();
    assert_eq!(place.code(&shown).await, "revoked_key", "a revocation counts at once");
    assert_eq!(broken.readings.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_was_read_before_a_revocation_lets_nobody_in_after_it() {
    let broken = Broken { exclusive: true, ..Broken::default() };
    let keyring = Arc::new(Keyring::generate(Timestamp::UNIX_EPOCH).unwrap());
    let place = Place::over(broken.inner.clone(), Vault::new(Arc::new(broken.clone()), keyring));
    let (key, shown) = place.key("reporting", None).await;
    broken.stands_still.store(true, Ordering::SeqCst);
    let mut reading = std::pin::pin!(place.keys.let_in(&shown));
    assert!(!is_ready(reading.as_mut()).await, "it has the answer in hand");
    place.revoke(key.id).await;
    place.keys.forget();
    broken.go_on.notify_one();
    assert!(reading.await.is_ok(), "it came before");
    assert_eq!(place.code(&shown).await, "revoked_key");
}

#[tokio::test]
async fn a_key_that_another_process_revoked_lets_nobody_in_two_seconds_later() {
    let place = Place::new();
    let (key, shown) = place.key("reporting", None).await;
    assert_eq!(place.code(&shown).await, "in");
    place.another().revoke(key.id).await;
    place.clock.advance(Duration::from_secs(KEYS_KNOWN_AFTER));
    assert_eq!(place.code(&shown).await, "revoked_key");
}

#[tokio::test]
async fn a_key_copied_over_another_or_edited_in_the_store_lets_nobody_in_and_costs_no_other() {
    let place = Place::new();
    let (mine, my_key) = place.key("mine", None).await;
    let (theirs, their_key) = place.key("theirs", None).await;
    let (_, good) = place.key("good", None).await;
    let row = async |id: Uuid| match place.store.get(Key::Access(id)).await.unwrap() {
        Some(Row::Access(row)) => row,
        _ => panic!(),
    };
    let (my_row, their_row) = (row(mine.id).await, row(theirs.id).await);
    let forgeries = [
        // What I may do is put into their record, under its own id and name, or only under its key.
        crate::store::AccessRow { sealed: my_row.sealed.clone(), ..their_row.clone() },
        crate::store::AccessRow { name: "renamed".to_owned(), ..their_row.clone() },
        crate::store::AccessRow { version: 7, ..their_row.clone() },
        crate::store::AccessRow { kind: crate::store::AccessKind::Administrator, ..their_row.clone() },
    ];
    for forged in forgeries {
        place.store.plant(Key::Access(theirs.id), Some(Row::Access(forged.clone())));
        place.keys.forget();
        assert_eq!(place.code(&their_key).await, "unknown_key", "{forged:?}");
        assert_eq!((place.code(&my_key).await, place.code(&good).await), ("in", "in"));
    }
    place.store.plant(Key::Access(theirs.id), Some(Row::Access(my_row)));
    assert!(matches!(place.vault.api_key(theirs.id).await, Err(VaultError::Misfit { .. })));
    place.store.plant(Key::Access(theirs.id), Some(Row::Access(their_row)));
    place.keys.forget();
    assert_eq!(place.code(&their_key).await, "in");
}

#[tokio::test]
async fn when_a_key_was_last_used_is_written_down_once_an_hour() {
    let place = Place::new();
    let (key, shown) = place.key("reporting", None).await;
    let version = async || place.vault.api_key(key.id).await.unwrap().unwrap().version;
    place.keys.keep_uses().await.unwrap();
    assert_eq!(version().await, 1, "nobody used it");
    let first = place.clock.now();
    for _ in 0..5 {
        place.keys.let_in(&shown).await.unwrap();
        place.keys.keep_uses().await.unwrap();
    }
    assert_eq!(version().await, 2);
    place.clock.advance(Duration::from_secs(3599));
    place.keys.let_in(&shown).await.unwrap();
    place.keys.keep_uses().await.unwrap();
    assert_eq!(
        (version().await, place.vault.api_key(key.id).await.unwrap().unwrap().value.key.last_used),
        (2, Some(first))
    );
    // Who looks in this process sees what it knows.
    assert_eq!(place.keys.list().await.unwrap()[0].last_used, Some(place.clock.now()));
    place.clock.advance(Duration::from_secs(1));
    place.keys.let_in(&shown).await.unwrap();
    place.keys.keep_uses().await.unwrap();
    assert_eq!(version().await, 3);
    assert_eq!(place.another().keys.list().await.unwrap()[0].last_used, Some(place.clock.now()));
    // Nothing of it is in the way of a revocation.
    place.revoke(key.id).await;
    place.clock.advance(Duration::from_secs(7200));
    place.keys.keep_uses().await.unwrap();
    assert_eq!(place.code(&shown).await, "revoked_key");
}

#[tokio::test]
async fn keys_and_the_password_lie_sealed() {
    let place = Place::new();
    let (key, shown) = place.key("reporting", None).await;
    let hash = hash_password(&"correct horse battery".to_owned().into()).unwrap();
    let record = crate::vault::AdministratorRecord { hash: hash.clone(), changed: place.clock.now() };
    place.vault.commit(vec![place.vault.put_administrator(&record, None).unwrap()]).await.unwrap();
    assert_eq!(place.vault.administrator().await.unwrap().unwrap().value, record);
    for row in place.store.walk(None, 99).await.unwrap() {
        let text = serde_json::to_string(&row).unwrap();
        assert!(!text.contains(&shown[3..]) && !text.contains("argon2") && !text.contains("token:"), "{text}");
    }
    // The hash in the record says nothing of the key, and does not print either.
    let stored = place.vault.api_key(key.id).await.unwrap().unwrap();
    assert!(format!("{stored:?}").contains("hash: [redacted]"), "{stored:?}");
}
