//! Stores of earlier formats.

use super::*;
use crate::store::conformance::name;
use crate::store::embedded::index::Index;
use crate::store::embedded::layout;
use crate::store::embedded::marker::Marker;
use crate::store::embedded::overlay::{Edit, Edits};

/// The journal of a store that Grantkeeper wrote before there were events: an application, a connection that was
/// changed, a credential, a flight, and a pending authorization that was used.
const FORMAT_1: &[u8] = include_bytes!("format-1/journal-00000001");

#[tokio::test]
async fn a_store_of_format_1_opens_takes_events_and_opens_again() {
    let home = Home::new();
    std::fs::create_dir_all(home.folder()).unwrap();
    std::fs::write(home.folder().join("journal-00000001"), FORMAT_1).unwrap();
    let store = home.open();
    assert!(store.application("drive").await.unwrap().is_some());
    assert_eq!(store.connection(&name("drive/reports")).await.unwrap().unwrap().version, 2);
    assert_eq!(store.credentials(id(2)).await.unwrap()[0].sealed, b"token");
    assert!(store.get(Key::Flight(id(5))).await.unwrap().is_some());
    assert_eq!(store.get(Key::Pending([4; 32])).await.unwrap(), None);
    assert_eq!(store.last_event().await.unwrap(), 0);
    put(&store, event(1, 1)).await;
    let expected = answers(&store, 6).await;
    store.close().await.unwrap();
    let store = home.open();
    assert_eq!((answers(&store, 6).await, store.healed()), (expected.clone(), None));
    drop(store);
    std::fs::remove_dir_all(home.index()).unwrap();
    assert_eq!(answers(&home.open(), 6).await, expected);
}

/// Before format 5 each event had an entry of its age. Such an entry goes with its event.
#[tokio::test]
async fn entries_of_an_earlier_format_go_with_their_records() {
    let home = Home::new();
    let store = home.open();
    for number in 1..=200 {
        put(&store, event(number, i64::try_from(number).unwrap())).await;
    }
    store.close().await.unwrap();
    let mut index = Index::open(&home.folder()).unwrap();
    let (sequence, mut sum) = index.progress().unwrap();
    let mut earlier = Edits::new();
    for number in 1..=200_u64 {
        let Some(Row::Event(event)) = index.row(Key::Event(number)).unwrap() else { panic!("event {number}") };
        if !number.is_multiple_of(layout::MARKED) {
            let key = layout::age_key(&event);
            sum = sum.with(&key, b"");
            earlier.insert(key.into(), Edit { value: Some("".into()), is_new: false });
        }
    }
    index.apply(earlier, sequence, sum).unwrap();
    index.sync().unwrap();
    index.close().unwrap();
    let marker = Marker::read(&home.folder()).unwrap();
    Marker { sum, ..marker }.write(&home.folder()).unwrap();
    let store = home.open();
    assert_eq!(store.healed(), None);
    assert_eq!(store.purge_events(at(150)).await.unwrap(), 149);
    assert_eq!(store.purge_events(at(1000)).await.unwrap(), 50, "the last one stays");
    let killed = home.killed();
    let reopened = killed.open();
    assert_eq!((reopened.last_event().await.unwrap(), reopened.healed()), (200, None), "the sum is right");
    reopened.close().await.unwrap();
    drop(store);
    let index = Index::open(&killed.folder()).unwrap();
    let left: Vec<_> = index
        .after(layout::AGES, b"")
        .take_while(|item| item.as_ref().is_ok_and(|(key, _)| key.starts_with(layout::AGES)))
        .collect();
    assert_eq!(left.len(), 1, "that of the last event");
}

/// A clock that once ran ahead keeps nothing for ever.
#[tokio::test]
async fn an_event_that_came_before_one_that_is_too_old_is_too_old() {
    let home = Home::new();
    let store = home.open();
    for number in 1..=1000_i64 {
        // The first three hundred while the clock was wrong.
        let second = if number <= 300 { 1_000_000 } else { number };
        put(&store, event(number.unsigned_abs().into(), second)).await;
    }
    assert_eq!(store.purge_events(at(900)).await.unwrap(), 899);
    assert_eq!(store.events(0, 1).await.unwrap()[0].sequence, 900);
}

/// What an earlier Grantkeeper leaves at a clean stop: heads and marker say its format, and the records are written as they are now.
fn make_format(home: &Home, format: u32) {
    for path in home.journal() {
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[8..12].copy_from_slice(&format.to_be_bytes());
        let crc = crc32fast::hash(&bytes[..36]).to_be_bytes();
        bytes[36..40].copy_from_slice(&crc);
        std::fs::write(path, bytes).unwrap();
    }
    let marker = Marker::read(&home.folder()).unwrap();
    Marker { format, ..marker }.write(&home.folder()).unwrap();
}

/// The formats of the journal's files.
fn formats(home: &Home) -> Vec<u8> {
    home.journal().iter().map(|path| std::fs::read(path).unwrap()[11]).collect()
}

#[tokio::test]
async fn a_file_of_format_1_is_never_added_to() {
    is_never_added_to(1).await;
}

#[tokio::test]
async fn a_file_of_format_2_is_never_added_to() {
    is_never_added_to(2).await;
}

#[tokio::test]
async fn a_file_of_format_3_is_never_added_to() {
    is_never_added_to(3).await;
}

#[tokio::test]
async fn a_file_of_format_4_is_never_added_to() {
    is_never_added_to(4).await;
}

async fn is_never_added_to(format: u32) {
    let home = Home::new();
    put(&home.open(), credential(1, 1, 1, b"old")).await;
    make_format(&home, format);
    // Looked at and stopped again: an earlier Grantkeeper still reads it.
    let store = home.open();
    assert_eq!((store.credentials(id(1)).await.unwrap().len(), store.healed()), (1, None));
    store.close().await.unwrap();
    let old = std::fs::read(&home.journal()[0]).unwrap();
    let first = u8::try_from(format).unwrap();
    assert_eq!((formats(&home), Marker::read(&home.folder()).unwrap().format), (vec![first], format));
    for number in 2..4 {
        let store = home.open();
        put(&store, event(number, 1)).await;
        put(&store, credential(number, 1, 1, b"new")).await;
        put(&store, access(number, AccessKind::Webhook, &format!("k{number}"), 1)).await;
        // After a kill, and after a clean stop.
        let killed = home.killed();
        let reopened = killed.open();
        assert_eq!(reopened.last_event().await.unwrap(), u64::try_from(number).unwrap() - 1);
        assert_eq!(reopened.credentials(id(1)).await.unwrap().len(), usize::try_from(number).unwrap());
        assert_eq!(reopened.access().await.unwrap().len(), usize::try_from(number).unwrap() - 1);
        assert_eq!(formats(&killed), [first, 5]);
    }
    assert_eq!(std::fs::read(&home.journal()[0]).unwrap(), old);
}
