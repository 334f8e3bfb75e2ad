//! What every store must do. One suite, run on each of them: a new store adds one line at the end.

mod access;
mod anew;

use super::{
    AccessKind, AccessRow, ApplicationRow, AuditRow, Change, ConnectionRow, CredentialRow, EventRow, Expect, FlightRow,
    FlightStage, Key, MemoryStore, PendingRow, Row, SledOptions, SledStore, Store, StoreError,
};
use crate::model::{ConnectionName, Timestamp, TokenKind};
use access::{
    an_access_records_name_belongs_to_one_of_its_kind,
    the_audit_log_is_purged_from_its_old_end_and_the_last_page_stays,
    the_audit_log_takes_pages_behind_its_last_one_and_nothing_else, two_who_add_a_page_at_once_do_not_both_succeed,
    what_opens_doors_is_found_by_id_and_listed_by_kind_and_name,
};
use anew::{
    a_record_gets_another_sealed_part_where_it_is_what_was_read, a_walk_meets_every_record_once,
    what_is_written_anew_is_what_it_was,
};
use std::sync::Arc;
use uuid::Uuid;

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(super) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(super) fn name(text: &str) -> ConnectionName {
    text.parse().unwrap()
}

pub(super) fn application(number: u128, name: &str, version: u64) -> Row {
    let sealed = format!("application {version}").into_bytes();
    Row::Application(ApplicationRow { id: id(number), name: name.to_owned(), version, sealed })
}

pub(super) fn connection(number: u128, text: &str, version: u64, due: Option<i64>) -> Row {
    Row::Connection(ConnectionRow {
        id: id(number),
        name: name(text),
        version,
        generation: version,
        state: "active".to_owned(),
        due: due.map(at),
        sealed: format!("connection {version}").into_bytes(),
    })
}

pub(super) fn credential(number: u128, connection: u128, version: u64, sealed: &[u8]) -> Row {
    Row::Credential(CredentialRow {
        id: id(number),
        connection: id(connection),
        version,
        generation: 1,
        kind: TokenKind::RefreshToken,
        expires: at(1000),
        sealed: sealed.to_vec(),
    })
}

pub(super) fn pending(hash: u8, expires: i64) -> Row {
    Row::Pending(PendingRow { state_hash: [hash; 32], expires: at(expires), sealed: b"verifier".to_vec() })
}

pub(super) fn flight(connection: u128, version: u64, stage: FlightStage) -> Row {
    let sealed = (stage == FlightStage::Replied).then(|| b"reply".to_vec());
    let (connection, owner, until) = (id(connection), id(99), at(60));
    Row::Flight(FlightRow { connection, version, owner, until, generation: 1, doubt: false, stage, sealed })
}

/// An event as its writer has it: without a sequence.
pub(super) fn event(number: u128, second: i64) -> Row {
    Row::Event(EventRow {
        sequence: 0,
        id: id(number),
        at: at(second),
        kind: "refreshed".to_owned(),
        connection: Some(name("drive/reports")),
        application: "drive".to_owned(),
        sealed: b"details".to_vec(),
    })
}

pub(super) fn access(number: u128, kind: AccessKind, name: &str, version: u64) -> Row {
    let sealed = format!("hash {version}").into_bytes();
    Row::Access(AccessRow { id: id(number), kind, name: name.to_owned(), version, sealed })
}

/// A page of the audit log with some entries behind the one that ends with `before`.
pub(super) fn audit(before: u64, entries: u64, second: i64) -> Row {
    let (first, last) = (before + 1, before + entries);
    Row::Audit(AuditRow { first, last, before, until: at(second), sealed: b"entries".to_vec() })
}

/// Sequences and ids of events.
async fn told(store: &dyn Store, after: u64, limit: usize) -> Vec<(u64, u128)> {
    store.events(after, limit).await.unwrap().iter().map(|row| (row.sequence, row.id.as_u128())).collect()
}

pub(super) async fn put(store: &dyn Store, row: Row) {
    store.commit(vec![Change::put(row, Expect::Any)]).await.unwrap();
}

async fn is_refused(store: &dyn Store, changes: Vec<Change>) {
    let result = store.commit(changes).await;
    assert!(matches!(result, Err(StoreError::Conflict)), "{result:?}");
}

fn numbers(rows: &[ConnectionRow]) -> Vec<u128> {
    rows.iter().map(|row| row.id.as_u128()).collect()
}

async fn what_is_put_is_got_and_what_is_removed_is_gone(store: Arc<dyn Store>) {
    let rows = [
        application(1, "drive", 1),
        connection(2, "drive/reports", 1, Some(5)),
        credential(3, 2, 1, b"token"),
        pending(4, 100),
        flight(2, 1, FlightStage::Sent),
        flight(5, 7, FlightStage::Replied),
        access(6, AccessKind::Key, "reporting", 1),
        access(7, AccessKind::Administrator, "administrator", 4),
    ];
    store.commit(rows.iter().map(|row| Change::put(row.clone(), Expect::Absent)).collect()).await.unwrap();
    for row in &rows {
        assert_eq!(store.get(row.key()).await.unwrap().as_ref(), Some(row));
        let version = Expect::Version(row.version());
        store.commit(vec![Change::remove(row.key(), version)]).await.unwrap();
        assert_eq!(store.get(row.key()).await.unwrap(), None);
    }
    assert_eq!(store.application("drive").await.unwrap(), None);
    assert_eq!(store.connection(&name("drive/reports")).await.unwrap(), None);
    assert_eq!(store.credentials(id(2)).await.unwrap(), []);
    assert_eq!(store.next_due().await.unwrap(), None);
    assert_eq!(store.purge_pending(at(1_000)).await.unwrap(), 0);
    assert_eq!(store.access().await.unwrap(), []);
}

async fn an_expectation_that_does_not_fit_is_a_conflict(store: Arc<dyn Store>) {
    let store = &*store;
    let (first, second) = (credential(1, 9, 1, b"one"), credential(1, 9, 2, b"two"));
    is_refused(store, vec![Change::put(first.clone(), Expect::Version(1))]).await;
    is_refused(store, vec![Change::remove(first.key(), Expect::Version(1))]).await;
    store.commit(vec![Change::remove(first.key(), Expect::Absent)]).await.unwrap();
    store.commit(vec![Change::remove(first.key(), Expect::Any)]).await.unwrap();
    store.commit(vec![Change::put(first.clone(), Expect::Absent)]).await.unwrap();
    is_refused(store, vec![Change::put(second.clone(), Expect::Absent)]).await;
    is_refused(store, vec![Change::put(second.clone(), Expect::Version(2))]).await;
    is_refused(store, vec![Change::remove(first.key(), Expect::Absent)]).await;
    assert_eq!(store.get(first.key()).await.unwrap(), Some(first.clone()));
    store.commit(vec![Change::put(second.clone(), Expect::Version(1))]).await.unwrap();
    is_refused(store, vec![Change::put(first.clone(), Expect::Version(1))]).await;
    assert_eq!(store.get(first.key()).await.unwrap(), Some(second));
}

async fn a_commit_is_all_or_nothing(store: Arc<dyn Store>) {
    let before = [application(1, "drive", 1), connection(2, "drive/a", 1, Some(7)), pending(4, 50)];
    for row in &before {
        put(&*store, row.clone()).await;
    }
    let changes = vec![
        Change::put(application(1, "renamed", 2), Expect::Version(1)),
        Change::put(connection(2, "drive/b", 2, Some(1)), Expect::Version(1)),
        Change::remove(Key::Pending([4; 32]), Expect::Version(1)),
        Change::put(credential(3, 2, 1, b"new"), Expect::Absent),
        Change::put(connection(2, "drive/c", 3, None), Expect::Version(2)),
        Change::remove(Key::Flight(id(2)), Expect::Version(1)),
    ];
    is_refused(&*store, changes.clone()).await;
    for row in &before {
        assert_eq!(store.get(row.key()).await.unwrap().as_ref(), Some(row));
    }
    assert_eq!(store.get(Key::Credential(id(3))).await.unwrap(), None);
    assert_eq!(store.credentials(id(2)).await.unwrap(), []);
    assert_eq!(store.application("renamed").await.unwrap(), None);
    assert!(store.application("drive").await.unwrap().is_some());
    assert!(store.connection(&name("drive/a")).await.unwrap().is_some());
    assert_eq!(store.connection(&name("drive/b")).await.unwrap(), None);
    assert_eq!(store.next_due().await.unwrap(), Some(at(7)));
    // The same without the last change goes through, each change seeing those before it.
    store.commit(changes[..5].to_vec()).await.unwrap();
    assert!(store.connection(&name("drive/c")).await.unwrap().is_some());
    assert_eq!(store.connection(&name("drive/b")).await.unwrap(), None);
    assert_eq!(store.next_due().await.unwrap(), None);
    assert_eq!(store.purge_pending(at(1_000)).await.unwrap(), 0);
}

async fn a_name_belongs_to_one_record(store: Arc<dyn Store>) {
    let store = &*store;
    put(store, application(1, "drive", 1)).await;
    put(store, connection(2, "drive/a", 1, None)).await;
    for expect in [Expect::Any, Expect::Absent] {
        is_refused(store, vec![Change::put(application(11, "drive", 1), expect)]).await;
        is_refused(store, vec![Change::put(connection(12, "drive/a", 1, None), expect)]).await;
    }
    put(store, connection(12, "drive/b", 1, None)).await;
    is_refused(store, vec![Change::put(connection(12, "drive/a", 2, None), Expect::Version(1))]).await;
    // A further token is named after its connection, and is another record.
    put(store, connection(13, "drive/a~user", 1, None)).await;
    is_refused(store, vec![Change::put(connection(14, "drive/a~user", 1, None), Expect::Absent)]).await;
    assert_eq!(store.connection(&name("drive/a")).await.unwrap().unwrap().id, id(2));
    assert_eq!(store.connection(&name("drive/a~user")).await.unwrap().unwrap().id, id(13));
    put(store, connection(15, "drive/a.b", 1, None)).await;
    assert_eq!(numbers(&store.connections(None, None, 9).await.unwrap()), [2, 13, 15, 12]);
    // An application and a connection do not take each other's names, even with one id.
    put(store, application(2, "other", 1)).await;
    assert_eq!(store.application("other").await.unwrap().unwrap().id, id(2));
    assert_eq!(store.application("drive/a").await.unwrap(), None);
}

async fn renaming_and_removing_frees_a_name(store: Arc<dyn Store>) {
    let store = &*store;
    put(store, connection(1, "drive/a", 1, None)).await;
    store.commit(vec![Change::put(connection(1, "drive/b", 2, None), Expect::Version(1))]).await.unwrap();
    assert_eq!(store.connection(&name("drive/a")).await.unwrap(), None);
    assert_eq!(store.connection(&name("drive/b")).await.unwrap().unwrap().version, 2);
    put(store, connection(2, "drive/a", 1, None)).await;
    // In one commit: the old one goes, a new one of its name comes.
    let replace = vec![
        Change::remove(Key::Connection(id(2)), Expect::Version(1)),
        Change::put(connection(3, "drive/a", 1, None), Expect::Absent),
    ];
    store.commit(replace).await.unwrap();
    assert_eq!(store.connection(&name("drive/a")).await.unwrap().unwrap().id, id(3));
    put(store, application(4, "x", 1)).await;
    store.commit(vec![Change::remove(Key::Application(id(4)), Expect::Any)]).await.unwrap();
    put(store, application(5, "x", 1)).await;
    assert_eq!(store.application("x").await.unwrap().unwrap().id, id(5));
}

async fn applications_are_listed_by_name(store: Arc<dyn Store>) {
    for (number, name) in [(3, "b"), (1, "c"), (2, "a-1"), (4, "a")] {
        put(&*store, application(number, name, 1)).await;
    }
    let names: Vec<_> = store.applications().await.unwrap().into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["a", "a-1", "b", "c"]);
}

async fn connections_are_paged_in_the_order_of_names(store: Arc<dyn Store>) {
    // `-` and `.` sort before `/`, and yet `a` comes before `a-b`.
    let names = ["a/1", "a/2", "a/3", "a-b/0", "a.c/0", "b/0"];
    for (number, name) in names.iter().enumerate().rev() {
        put(&*store, connection(number as u128, name, 1, None)).await;
    }
    let of = async |application, after: Option<&str>, limit| {
        numbers(&store.connections(application, after.map(name).as_ref(), limit).await.unwrap())
    };
    assert_eq!(of(None, None, 9).await, [0, 1, 2, 3, 4, 5]);
    assert_eq!(of(None, None, 2).await, [0, 1]);
    assert_eq!(of(None, Some("a/2"), 2).await, [2, 3]);
    assert_eq!(of(None, Some("a/25"), 2).await, [2, 3], "a name that is not there is a place all the same");
    assert_eq!(of(None, Some("b/0"), 2).await, [0; 0]);
    assert_eq!(of(None, None, 0).await, [0; 0]);
    assert_eq!(of(Some("a"), None, 9).await, [0, 1, 2]);
    assert_eq!(of(Some("a"), Some("a/1"), 1).await, [1]);
    assert_eq!(of(Some("a"), Some("b/0"), 9).await, [0; 0]);
    assert_eq!(of(Some("b"), Some("a/1"), 9).await, [5]);
    assert_eq!(of(Some("none"), None, 9).await, [0; 0]);
    assert_eq!(of(Some(""), None, 9).await, [0; 0]);
}

async fn credentials_are_found_by_connection_in_the_order_of_ids(store: Arc<dyn Store>) {
    for (number, connection) in [(30, 2), (10, 2), (20, 3), (15, 1)] {
        put(&*store, credential(number, connection, 1, b"t")).await;
    }
    put(&*store, credential(20, 2, 2, b"moved")).await;
    let of = async |connection| {
        let rows = store.credentials(id(connection)).await.unwrap();
        rows.iter().map(|row| row.id.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(of(2).await, [10, 20, 30]);
    assert_eq!(of(3).await, [0; 0]);
    assert_eq!(of(1).await, [15]);
}

async fn what_is_due_comes_earliest_first_and_no_more_than_asked(store: Arc<dyn Store>) {
    for (number, due) in [(1, Some(50)), (2, Some(-20)), (3, None), (4, Some(50)), (5, Some(51)), (6, Some(0))] {
        put(&*store, connection(number, &format!("a/{number}"), 1, due)).await;
    }
    let due = async |until, limit| numbers(&store.due(at(until), None, limit).await.unwrap());
    assert_eq!(store.next_due().await.unwrap(), Some(at(-20)));
    assert_eq!(due(50, 9).await, [2, 6, 1, 4]);
    assert_eq!(due(49, 9).await, [2, 6]);
    assert_eq!(due(50, 3).await, [2, 6, 1]);
    assert_eq!(due(-21, 9).await, [0; 0]);
    // After a place, whether it is still there or not.
    let behind = async |until, place: (i64, u128), limit| {
        let place = (at(place.0), Uuid::from_u128(place.1));
        numbers(&store.due(at(until), Some(place), limit).await.unwrap())
    };
    assert_eq!(behind(100, (-20, 2), 9).await, [6, 1, 4, 5]);
    assert_eq!(behind(50, (0, 7), 1).await, [1]);
    assert_eq!(behind(50, (50, 1), 9).await, [4]);
    assert_eq!(behind(50, (50, 4), 9).await, [0; 0]);
    assert_eq!(behind(50, (60, 0), 9).await, [0; 0]);
    // Whoever was looked at is due later, or never.
    put(&*store, connection(2, "a/2", 2, Some(60))).await;
    put(&*store, connection(6, "a/6", 2, None)).await;
    assert_eq!(due(100, 9).await, [1, 4, 5, 2]);
    assert_eq!(store.next_due().await.unwrap(), Some(at(50)));
    let to_the_nanosecond: Timestamp = "1970-01-01T00:00:50.000000001Z".parse().unwrap();
    let Row::Connection(row) = connection(7, "a/7", 1, None) else { unreachable!() };
    put(&*store, Row::Connection(ConnectionRow { due: Some(to_the_nanosecond), ..row })).await;
    assert_eq!(due(50, 9).await, [1, 4]);
    assert_eq!(numbers(&store.due(to_the_nanosecond, None, 9).await.unwrap()), [1, 4, 7]);
}

async fn pending_authorizations_are_purged_after_their_end(store: Arc<dyn Store>) {
    for (hash, expires) in [(1, 10), (2, 20), (3, 30)] {
        put(&*store, pending(hash, expires)).await;
    }
    assert_eq!(store.purge_pending(at(20)).await.unwrap(), 1, "20 ends at 20, not before");
    assert_eq!(store.get(Key::Pending([1; 32])).await.unwrap(), None);
    assert!(store.get(Key::Pending([2; 32])).await.unwrap().is_some());
    assert_eq!(store.purge_pending(at(100)).await.unwrap(), 2);
    assert_eq!(store.purge_pending(at(100)).await.unwrap(), 0);
}

async fn many_pending_authorizations_are_purged_at_once(store: Arc<dyn Store>) {
    let row = |number: u16| {
        let mut hash = [0; 32];
        hash[..2].copy_from_slice(&number.to_be_bytes());
        Row::Pending(PendingRow { state_hash: hash, expires: at(i64::from(number)), sealed: Vec::new() })
    };
    store.commit((0..2_500).map(|number| Change::put(row(number), Expect::Absent)).collect()).await.unwrap();
    assert_eq!(store.purge_pending(at(2_400)).await.unwrap(), 2_400);
    assert_eq!(store.get(row(2_399).key()).await.unwrap(), None);
    assert!(store.get(row(2_400).key()).await.unwrap().is_some());
}

async fn events_are_numbered_as_they_are_committed_and_read_in_order(store: Arc<dyn Store>) {
    let store = &*store;
    assert_eq!((store.last_event().await.unwrap(), told(store, 0, 9).await), (0, vec![]));
    // Neither the sequence that its writer puts into a row, nor its time or id, says where it stands.
    let Row::Event(row) = event(30, 50) else { unreachable!() };
    put(store, Row::Event(EventRow { sequence: 77, ..row })).await;
    store
        .commit(vec![
            Change::put(event(20, 40), Expect::Absent),
            Change::put(credential(1, 1, 1, b"t"), Expect::Absent),
            Change::put(event(10, 60), Expect::Absent),
        ])
        .await
        .unwrap();
    assert_eq!(told(store, 0, 9).await, [(1, 30), (2, 20), (3, 10)]);
    assert_eq!(told(store, 1, 1).await, [(2, 20)]);
    assert_eq!(told(store, 3, 9).await, []);
    assert_eq!(told(store, u64::MAX, 9).await, []);
    assert_eq!(told(store, 0, 0).await, []);
    assert_eq!(store.last_event().await.unwrap(), 3);
    let Some(Row::Event(row)) = store.get(Key::Event(2)).await.unwrap() else { panic!("it has a key") };
    let Row::Event(sent) = event(20, 40) else { unreachable!() };
    assert_eq!(row, EventRow { sequence: 2, ..sent });
}

async fn an_event_is_there_with_its_commit_or_not_at_all(store: Arc<dyn Store>) {
    let store = &*store;
    put(store, credential(1, 1, 1, b"t")).await;
    let with = |version, number| {
        vec![
            Change::put(event(number, 1), Expect::Absent),
            Change::put(credential(1, 1, version + 1, b"next"), Expect::Version(version)),
        ]
    };
    is_refused(store, with(7, 100)).await;
    assert_eq!((told(store, 0, 9).await, store.last_event().await.unwrap()), (vec![], 0));
    store.commit(with(1, 101)).await.unwrap();
    is_refused(store, with(1, 102)).await;
    store.commit(with(2, 103)).await.unwrap();
    assert_eq!(told(store, 0, 9).await, [(1, 101), (2, 103)], "a refused commit takes no sequence");
}

async fn an_event_is_neither_changed_nor_removed_by_a_commit(store: Arc<dyn Store>) {
    let store = &*store;
    put(store, event(1, 1)).await;
    for expect in [Expect::Any, Expect::Absent, Expect::Version(1)] {
        is_refused(store, vec![Change::remove(Key::Event(1), expect)]).await;
    }
    is_refused(store, vec![Change::put(event(2, 1), Expect::Version(1))]).await;
    let Row::Event(row) = event(3, 1) else { unreachable!() };
    put(store, Row::Event(EventRow { sequence: 1, ..row })).await;
    assert_eq!(told(store, 0, 9).await, [(1, 1), (2, 3)]);
}

async fn events_are_purged_by_their_age_and_the_last_one_stays(store: Arc<dyn Store>) {
    let store = &*store;
    // The second was written by a clock that ran ahead.
    for (number, second) in [(1, 10), (2, 900), (3, 20), (4, 30)] {
        put(store, event(number, second)).await;
    }
    assert_eq!(store.purge_events(at(20)).await.unwrap(), 1, "20 is not before 20");
    assert_eq!(told(store, 0, 9).await, [(2, 2), (3, 3), (4, 4)]);
    assert_eq!(store.purge_events(at(800)).await.unwrap(), 1);
    assert_eq!(told(store, 0, 9).await, [(2, 2), (4, 4)]);
    assert_eq!(store.purge_events(at(1_000)).await.unwrap(), 1);
    assert_eq!(store.purge_events(at(1_000)).await.unwrap(), 0);
    assert_eq!((told(store, 0, 9).await, store.last_event().await.unwrap()), (vec![(4, 4)], 4));
    put(store, event(5, 40)).await;
    assert_eq!(told(store, 4, 9).await, [(5, 5)], "no sequence is given twice");
    assert_eq!(store.purge_pending(at(1_000)).await.unwrap(), 0);
}

async fn many_events_are_purged_at_once(store: Arc<dyn Store>) {
    let changes = (0..2_500_u32).map(|number| Change::put(event(number.into(), number.into()), Expect::Absent));
    store.commit(changes.collect()).await.unwrap();
    assert_eq!(store.purge_events(at(2_400)).await.unwrap(), 2_400);
    assert_eq!(told(&*store, 0, 1).await, [(2_401, 2_400)]);
}

async fn who_has_read_up_to_an_event_never_misses_an_earlier_one(store: Arc<dyn Store>) {
    let writers = (0..8_u128).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for step in 0..25 {
                let number = writer * 100 + step;
                // Every other one comes with a change that is refused, and is never told.
                let good = Change::put(credential(number, writer, 1, b"t"), Expect::Absent);
                let bad = Change::remove(Key::Credential(id(9_999)), Expect::Version(1));
                let event = Change::put(event(number, 1), Expect::Absent);
                store.commit(vec![event.clone(), good]).await.unwrap();
                assert!(store.commit(vec![event, bad]).await.is_err());
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut seen = Vec::new();
    while seen.len() < 200 {
        let after = seen.last().map_or(0, |(sequence, _)| *sequence);
        seen.extend(told(&*store, after, 7).await);
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(seen, told(&*store, 0, 1_000).await);
    assert!(seen.iter().map(|(sequence, _)| *sequence).eq(1..=200), "{seen:?}");
    let of = |writer: u128| seen.iter().map(|(_, number)| *number).filter(move |number| number / 100 == writer);
    assert!((0..8).all(|writer| of(writer).eq((0..25).map(|step| writer * 100 + step))), "{seen:?}");
}

async fn of_two_who_use_one_version_exactly_one_wins(store: Arc<dyn Store>) {
    for round in 1..=50_u64 {
        put(&*store, pending(1, 10)).await;
        put(&*store, connection(1, "a/1", round, None)).await;
        let race = |racer: u128| {
            let store = store.clone();
            let changes = vec![
                Change::remove(Key::Pending([1; 32]), Expect::Version(1)),
                Change::put(connection(1, "a/1", round + 1, None), Expect::Version(round)),
                Change::put(credential(u128::from(round) * 10 + racer, 1, 1, b"t"), Expect::Absent),
            ];
            tokio::spawn(async move { store.commit(changes).await })
        };
        let racers: Vec<_> = (0..4).map(race).collect();
        let mut won = 0;
        for racer in racers {
            match racer.await.unwrap() {
                Ok(()) => won += 1,
                Err(error) => assert!(matches!(error, StoreError::Conflict), "{error}"),
            }
        }
        assert_eq!((won, store.credentials(id(1)).await.unwrap().len() as u64), (1, round));
    }
}

async fn concurrent_committers_all_get_what_they_were_told(store: Arc<dyn Store>) {
    let writers = (0..16_u128).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for step in 0..20 {
                let row = credential(writer * 100 + step, writer, 1, &[7; 300]);
                store.commit(vec![Change::put(row.clone(), Expect::Absent)]).await.unwrap();
                assert_eq!(store.get(row.key()).await.unwrap(), Some(row), "what was written is read at once");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    for writer in 0..16 {
        assert_eq!(store.credentials(id(writer)).await.unwrap().len(), 20);
    }
}

async fn readers_never_see_half_a_commit(store: Arc<dyn Store>) {
    put(&*store, credential(1, 5, 1, b"old")).await;
    let reader = {
        let store = store.clone();
        tokio::spawn(async move {
            loop {
                let rows = store.credentials(id(5)).await.unwrap();
                assert_eq!(rows.len(), 1, "a rotation takes one away and brings one");
                if rows[0].id == id(200) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        })
    };
    for step in 1..200 {
        let next = credential(step + 1, 5, 1, b"new");
        let rotation =
            vec![Change::remove(Key::Credential(id(step)), Expect::Version(1)), Change::put(next, Expect::Absent)];
        store.commit(rotation).await.unwrap();
    }
    reader.await.unwrap();
}

async fn a_commit_that_has_begun_outlives_its_caller(store: Arc<dyn Store>) {
    for number in 0..50 {
        let commit = store.commit(vec![Change::put(credential(number, 1, 1, b"t"), Expect::Absent)]);
        // Polled once, then dropped.
        tokio::select! { biased; _ = commit => {}, () = std::future::ready(()) => {} }
    }
    // What is asked later is answered later.
    put(&*store, credential(99, 1, 1, b"t")).await;
    assert_eq!(store.credentials(id(1)).await.unwrap().len(), 51);
}

async fn an_empty_commit_is_fine(store: Arc<dyn Store>) {
    store.commit(Vec::new()).await.unwrap();
    assert_eq!(store.applications().await.unwrap(), []);
}

macro_rules! suite {
    ($store:ident, $make:expr, $($behaviour:ident)+) => {
        mod $store {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $behaviour() {
                    let (store, _keeps_its_files) = $make;
                    super::$behaviour(store).await;
                }
            )+
        }
    };
}

macro_rules! conformance {
    ($($store:ident: $make:expr;)+) => {
        $(suite! { $store, $make,
            what_is_put_is_got_and_what_is_removed_is_gone
            an_expectation_that_does_not_fit_is_a_conflict
            a_commit_is_all_or_nothing
            a_name_belongs_to_one_record
            renaming_and_removing_frees_a_name
            applications_are_listed_by_name
            connections_are_paged_in_the_order_of_names
            credentials_are_found_by_connection_in_the_order_of_ids
            what_is_due_comes_earliest_first_and_no_more_than_asked
            pending_authorizations_are_purged_after_their_end
            many_pending_authorizations_are_purged_at_once
            events_are_numbered_as_they_are_committed_and_read_in_order
            an_event_is_there_with_its_commit_or_not_at_all
            an_event_is_neither_changed_nor_removed_by_a_commit
            events_are_purged_by_their_age_and_the_last_one_stays
            many_events_are_purged_at_once
            who_has_read_up_to_an_event_never_misses_an_earlier_one
            of_two_who_use_one_version_exactly_one_wins
            concurrent_committers_all_get_what_they_were_told
            readers_never_see_half_a_commit
            a_commit_that_has_begun_outlives_its_caller
            a_walk_meets_every_record_once
            a_record_gets_another_sealed_part_where_it_is_what_was_read
            what_is_written_anew_is_what_it_was
            an_empty_commit_is_fine
            what_opens_doors_is_found_by_id_and_listed_by_kind_and_name
            an_access_records_name_belongs_to_one_of_its_kind
            the_audit_log_takes_pages_behind_its_last_one_and_nothing_else
            the_audit_log_is_purged_from_its_old_end_and_the_last_page_stays
            two_who_add_a_page_at_once_do_not_both_succeed
        })+
    };
}

conformance! {
    memory: (Arc::new(MemoryStore::new()) as Arc<dyn Store>, ());
    sled: {
        let folder = tempfile::tempdir().unwrap();
        let store = SledStore::open(&folder.path().join("store"), &SledOptions::default()).unwrap();
        (Arc::new(store) as Arc<dyn Store>, folder)
    };
}
