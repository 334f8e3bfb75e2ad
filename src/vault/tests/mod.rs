mod rotation;

use super::*;
use crate::model::{
    Account, ConnectionState, Direction, Event, EventKind, Expiry, ExpirySource, Fields, GrantType, Labels,
    ProfileName, Secret, TestClock,
};
use crate::store::{EventRow, MemoryStore};

fn vault() -> (Vault, MemoryStore) {
    let store = MemoryStore::new();
    let keyring = Keyring::generate(Timestamp::UNIX_EPOCH).unwrap();
    (Vault::new(Arc::new(store.clone()), Arc::new(keyring)), store)
}

fn connection(name: &str) -> Connection {
    Connection {
        state: ConnectionState::Active,
        generation: 3,
        account: Some(Account { id: "a-1".into(), name: Some("marked-name".into()), subject: None }),
        password: Some(Secret::new("marked-password")),
        ..Connection::new(&name.parse().unwrap(), Uuid::nil(), Timestamp::UNIX_EPOCH)
    }
}

fn credential(connection: Uuid, token: &str) -> Credential {
    Credential {
        id: Uuid::now_v7(),
        connection,
        kind: TokenKind::RefreshToken,
        direction: Direction::Received,
        generation: 3,
        token: Secret::new(token),
        token_type: "Bearer".to_owned(),
        scopes: vec!["read".to_owned()],
        issued: Timestamp::UNIX_EPOCH,
        expires: Expiry { at: Timestamp::UNIX_EPOCH, source: ExpirySource::Default },
        revoked: None,
    }
}

#[tokio::test]
async fn records_come_back_as_they_were_and_lie_sealed() {
    let (vault, store) = vault();
    let connection = connection("a/b");
    let credential = credential(connection.id, "marked-token");
    let changes =
        vec![vault.put_connection(&connection, None).unwrap(), vault.put_credential(&credential, None).unwrap()];
    assert!(!format!("{changes:?}").contains("marked-"));
    vault.commit(changes).await.unwrap();
    assert_eq!(vault.connection(&connection.name).await.unwrap().unwrap().value, connection);
    assert_eq!(vault.credentials(connection.id).await.unwrap()[0].value, credential);
    for key in [Key::Connection(connection.id), Key::Credential(credential.id)] {
        let row = serde_json::to_vec(&store.get(key).await.unwrap().unwrap()).unwrap();
        let row = String::from_utf8_lossy(&row).into_owned();
        assert!(!row.contains("marked-"), "{row}");
    }
}

#[tokio::test]
async fn a_credential_copied_onto_another_connection_does_not_open() {
    let (vault, store) = vault();
    let (mine, theirs) = (connection("a/mine"), connection("a/theirs"));
    let (good, prize) = (credential(mine.id, "mine"), credential(theirs.id, "theirs"));
    for change in [vault.put_credential(&good, None).unwrap(), vault.put_credential(&prize, None).unwrap()] {
        vault.commit(vec![change]).await.unwrap();
    }
    let Some(Row::Credential(stolen)) = store.get(Key::Credential(prize.id)).await.unwrap() else { panic!() };
    let forged = CredentialRow { id: good.id, connection: mine.id, ..stolen };
    store.commit(vec![Change::put(Row::Credential(forged), Expect::Any)]).await.unwrap();
    assert!(matches!(vault.credential(good.id).await, Err(VaultError::Seal { .. })));
}

#[tokio::test]
async fn a_connection_renamed_or_brought_back_to_life_in_the_store_does_not_fit() {
    let (vault, store) = vault();
    let revoked = Connection { state: ConnectionState::Revoked, ..connection("a/b") };
    vault.commit(vec![vault.put_connection(&revoked, None).unwrap()]).await.unwrap();
    let Some(Row::Connection(row)) = store.get(Key::Connection(revoked.id)).await.unwrap() else { panic!() };
    for forged in [
        ConnectionRow { state: "active".to_owned(), ..row.clone() },
        ConnectionRow { name: "a/c".parse().unwrap(), ..row.clone() },
        ConnectionRow { due: Some(Timestamp::UNIX_EPOCH), ..row.clone() },
    ] {
        store.commit(vec![Change::put(Row::Connection(forged), Expect::Any)]).await.unwrap();
        assert!(matches!(vault.connection_by_id(revoked.id).await, Err(VaultError::Misfit { .. })));
    }
    let later = ConnectionRow { version: row.version + 1, ..row };
    store.commit(vec![Change::put(Row::Connection(later), Expect::Any)]).await.unwrap();
    assert!(matches!(vault.connection_by_id(revoked.id).await, Err(VaultError::Seal { .. })));
}

#[tokio::test]
async fn a_pending_authorization_is_found_by_its_state_and_used_once() {
    let (vault, _) = vault();
    let pending = Pending {
        connection: "a/b".parse().unwrap(),
        connection_id: Uuid::nil(),
        revocations: 0,
        application: Uuid::nil(),
        profile: ProfileName::default(),
        grant: GrantType::AuthorizationCode,
        scopes: Vec::new(),
        labels: Labels::new(),
        other_account: false,
        browser: None,
        return_url: None,
        created: Timestamp::UNIX_EPOCH,
        expires: Timestamp::UNIX_EPOCH,
        kind: PendingKind::Device { device_code: Secret::new("marked-code") },
    };
    vault.commit(vec![vault.put_pending(&pending, "state-1").unwrap()]).await.unwrap();
    assert_eq!(vault.pending("state-1").await.unwrap(), Some(pending.clone()));
    assert_eq!(vault.pending("state-2").await.unwrap(), None);
    vault.commit(vec![Vault::use_pending("state-1")]).await.unwrap();
    let again = vault.commit(vec![Vault::use_pending("state-1")]).await;
    assert!(matches!(again, Err(VaultError::Store(StoreError::Conflict))));
}

#[tokio::test]
async fn abandoned_authorizations_are_purged() {
    let (vault, _) = vault();
    let clock = TestClock::new(Timestamp::UNIX_EPOCH);
    let pending = |expires: i64| Pending {
        connection: "a/b".parse().unwrap(),
        connection_id: Uuid::nil(),
        revocations: 0,
        application: Uuid::nil(),
        profile: ProfileName::default(),
        grant: GrantType::AuthorizationCode,
        scopes: Vec::new(),
        labels: Labels::new(),
        other_account: false,
        browser: None,
        return_url: None,
        created: Timestamp::UNIX_EPOCH,
        expires: Timestamp::from_second(expires).unwrap(),
        kind: PendingKind::Device { device_code: Secret::new("x") },
    };
    vault.commit(vec![vault.put_pending(&pending(10), "old").unwrap()]).await.unwrap();
    vault.commit(vec![vault.put_pending(&pending(1000), "new").unwrap()]).await.unwrap();
    clock.advance(std::time::Duration::from_secs(100));
    assert_eq!(vault.purge(&clock).await.unwrap(), 1);
    assert!(vault.pending("old").await.unwrap().is_none());
    assert!(vault.pending("new").await.unwrap().is_some());
}

#[tokio::test]
async fn a_kept_reply_comes_back_and_lies_sealed() {
    let (vault, store) = vault();
    let reply = RawReply {
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Zeroizing::new(b"{\"access_token\":\"marked-token\"}".to_vec()),
    };
    let flight = Flight {
        connection: Uuid::now_v7(),
        version: 1,
        owner: Uuid::nil(),
        until: Timestamp::UNIX_EPOCH,
        generation: 1,
        doubt: false,
        reply: Some(KeptReply { reply: reply.clone(), received: Timestamp::UNIX_EPOCH }),
    };
    vault.commit(vec![vault.put_flight(&flight, None).unwrap()]).await.unwrap();
    assert_eq!(vault.flight(flight.connection).await.unwrap().unwrap().reply.unwrap().reply, reply);
    let Some(Row::Flight(row)) = store.get(Key::Flight(flight.connection)).await.unwrap() else { panic!() };
    assert_eq!(row.stage, FlightStage::Replied);
    assert!(!String::from_utf8_lossy(&row.sealed.unwrap()).contains("marked-"));
}

/// A store that answers with another record than the one that was asked for, as one does whose files were edited.
#[tokio::test]
async fn a_whole_record_under_another_records_key_is_refused() {
    let (vault, store) = vault();
    let (mine, theirs) = (connection("a/mine"), connection("a/theirs"));
    let (good, prize) = (credential(mine.id, "mine"), credential(theirs.id, "theirs"));
    for change in [
        vault.put_connection(&mine, None).unwrap(),
        vault.put_connection(&theirs, None).unwrap(),
        vault.put_credential(&good, None).unwrap(),
        vault.put_credential(&prize, None).unwrap(),
    ] {
        vault.commit(vec![change]).await.unwrap();
    }
    store.answer_with(Key::Connection(mine.id), Key::Connection(theirs.id));
    store.answer_with(Key::Credential(good.id), Key::Credential(prize.id));
    assert!(matches!(vault.connection_by_id(mine.id).await, Err(VaultError::Misfit { .. })));
    assert!(matches!(vault.connection(&mine.name).await, Err(VaultError::Misfit { .. })));
    assert!(matches!(vault.credential(good.id).await, Err(VaultError::Misfit { .. })));
    assert!(matches!(vault.credentials(mine.id).await, Err(VaultError::Misfit { .. })));
}

fn event(kind: EventKind) -> Event {
    let mut details = Fields::new();
    details.insert("reason".to_owned(), "marked-reason".into());
    Event {
        id: Uuid::now_v7(),
        at: Timestamp::UNIX_EPOCH,
        kind,
        connection: Some("a/b".parse().unwrap()),
        application: "a".parse().unwrap(),
        details,
    }
}

#[tokio::test]
async fn an_event_comes_back_as_it_was_and_lies_sealed() {
    let (vault, store) = vault();
    let (first, second) = (event(EventKind::Degraded), event(EventKind::Recovered));
    let changes = vec![vault.put_event(&first).unwrap(), vault.put_event(&second).unwrap()];
    let mut news = vault.news();
    vault.commit(changes).await.unwrap();
    assert!(news.has_changed().unwrap());
    news.mark_unchanged();
    vault.commit(vec![vault.put_connection(&connection("a/b"), None).unwrap()]).await.unwrap();
    assert!(!news.has_changed().unwrap());
    let all = vault.events(0, 9).await.unwrap();
    assert_eq!(
        all.iter().map(|recorded| (recorded.sequence, &recorded.event)).collect::<Vec<_>>(),
        [(1, &first), (2, &second)]
    );
    assert!(!format!("{all:?}").contains("marked-"));
    for row in store.events(0, 9).await.unwrap() {
        assert!(!String::from_utf8_lossy(&row.sealed).contains("marked-"));
    }
}

#[tokio::test]
async fn an_event_whose_row_was_edited_is_refused_by_its_number() {
    let (vault, store) = vault();
    let put = async |edit: fn(&mut EventRow)| {
        vault.commit(vec![vault.put_event(&event(EventKind::Revoked)).unwrap()]).await.unwrap();
        let last = store.last_event().await.unwrap();
        let mut row = store.events(last - 1, 1).await.unwrap().remove(0);
        edit(&mut row);
        store.commit(vec![Change::put(Row::Event(row), Expect::Any)]).await.unwrap();
        vault.events(last, 1).await
    };
    let edits: [fn(&mut EventRow); 5] = [
        |row| row.id = Uuid::now_v7(),
        |row| row.kind = "refreshed".to_owned(),
        |row| row.at = Timestamp::MAX,
        |row| row.connection = None,
        |row| row.application = "b".to_owned(),
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let error = put(edit).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("the event {} does not", 2 * number + 2)), "{error}");
    }
    // Where it stands is the store's word.
    assert!(put(|_| {}).await.is_ok());
}
