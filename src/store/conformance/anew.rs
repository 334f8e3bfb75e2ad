//! Walking through everything, sealing it anew where it lies, and writing it anew.

use super::*;
use crate::store::Reseal;
use std::ops::ControlFlow;

pub(super) async fn a_walk_meets_every_record_once(store: Arc<dyn Store>) {
    let store = &*store;
    let mut rows = Vec::new();
    for number in 0..30 {
        rows.push(application(number, &format!("a{number}"), 1));
        rows.push(connection(number, &format!("a/{number}"), 1, Some(1)));
        rows.push(credential(number, number, 1, b"token"));
        rows.push(pending(u8::try_from(number).unwrap(), 100));
        rows.push(flight(number, 1, FlightStage::Replied));
        rows.push(Row::Event(EventRow {
            sequence: u64::try_from(number).unwrap() + 1,
            ..match event(number, 5) {
                Row::Event(row) => row,
                _ => unreachable!(),
            }
        }));
        rows.push(access(number, AccessKind::Key, &format!("k{number}"), 1));
        rows.push(audit(u64::try_from(number).unwrap(), 1, 5));
    }
    store.commit(rows.iter().map(|row| Change::put(row.clone(), Expect::Absent)).collect()).await.unwrap();
    rows.sort_by_key(Row::key);
    for limit in [1, 7, 240, 1_000] {
        let (mut met, mut after): (Vec<Row>, Option<Key>) = (Vec::new(), None);
        loop {
            let page = store.walk(after, limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.key());
            met.extend(page);
            // What comes and goes meanwhile may be met or not, and moves nothing else.
            let other = connection(999, &format!("b/{}", met.len()), 1, None);
            store.commit(vec![Change::put(other, Expect::Any)]).await.unwrap();
        }
        met.retain(|row| row.key() != Key::Connection(id(999)));
        met.sort_by_key(Row::key);
        assert_eq!(met, rows, "pages of {limit}");
    }
    assert_eq!(store.walk(None, 0).await.unwrap(), []);
}

pub(super) async fn a_record_gets_another_sealed_part_where_it_is_what_was_read(store: Arc<dyn Store>) {
    let store = &*store;
    let rows = [
        connection(1, "a/b", 5, Some(7)),
        credential(2, 1, 3, b"old"),
        pending(4, 100),
        flight(1, 9, FlightStage::Replied),
        event(6, 50),
        flight(7, 1, FlightStage::Sent),
        access(8, AccessKind::Key, "k", 3),
        audit(0, 4, 1),
    ];
    store.commit(rows.iter().map(|row| Change::put(row.clone(), Expect::Absent)).collect()).await.unwrap();
    let read = store.walk(None, 99).await.unwrap();
    // Two are changed meanwhile, one at its version, as nobody but a forger does; and one goes.
    put(store, connection(1, "a/b", 6, Some(8))).await;
    put(store, credential(2, 1, 3, b"forged")).await;
    store.commit(vec![Change::remove(Key::Pending([4; 32]), Expect::Any)]).await.unwrap();
    let anew = read.iter().map(|row| Reseal::of(row.clone(), b"anew".to_vec())).collect();
    assert_eq!(store.reseal(anew).await.unwrap(), 5, "the flights, the event, the key and the page");
    let get = async |key| store.get(key).await.unwrap();
    assert_eq!(get(Key::Connection(id(1))).await, Some(connection(1, "a/b", 6, Some(8))));
    assert_eq!(get(Key::Credential(id(2))).await, Some(credential(2, 1, 3, b"forged")));
    assert_eq!(get(Key::Pending([4; 32])).await, None);
    assert_eq!(get(Key::Flight(id(7))).await, Some(flight(7, 1, FlightStage::Sent)), "there is nothing to seal");
    let Some(Row::Flight(held)) = get(Key::Flight(id(1))).await else { panic!() };
    assert_eq!((held.version, held.sealed.as_deref()), (9, Some(b"anew".as_slice())));
    let told = store.events(0, 9).await.unwrap();
    assert_eq!((told.len(), told[0].sequence, told[0].sealed.as_slice()), (1, 1, b"anew".as_slice()));
    assert_eq!(store.audit(0, 9).await.unwrap()[0].sealed, b"anew");
    assert_eq!(
        (store.access().await.unwrap()[0].version, store.access().await.unwrap()[0].sealed.as_slice()),
        (3, b"anew".as_slice())
    );
    // Whoever holds the flight goes on with it.
    store.commit(vec![Change::remove(Key::Flight(id(1)), Expect::Version(9))]).await.unwrap();
    assert_eq!(store.reseal(Vec::new()).await.unwrap(), 0);
}

pub(super) async fn what_is_written_anew_is_what_it_was(store: Arc<dyn Store>) {
    for number in 0..40 {
        put(&*store, connection(number, &format!("a/{number}"), 1, Some(3))).await;
        put(&*store, event(number, 5)).await;
    }
    let before = store.walk(None, 999).await.unwrap();
    let mut said = Vec::new();
    let mut each = |done, of| {
        said.push((done, of));
        ControlFlow::Continue(())
    };
    assert!(store.renew(&mut each).await.unwrap());
    assert!(said.iter().all(|(done, of)| done <= of) && said.last().is_none_or(|(done, of)| done == of), "{said:?}");
    assert_eq!(store.walk(None, 999).await.unwrap(), before);
    assert_eq!(store.due(at(3), None, 99).await.unwrap().len(), 40);
    assert_eq!(store.last_event().await.unwrap(), 40);
}
