//! Reading.

use super::*;

#[tokio::test]
async fn the_newest_come_first_and_in_pages_that_follow_each_other() {
    let place = Place::new();
    for page in 0..10 {
        let entries = (0..7).map(|entry| place.entry(&format!("a/{}", page * 7 + entry)));
        place.log.write(entries.collect()).await.unwrap();
    }
    for limit in [1, 5, 7, 69, 70, 100] {
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let list = newest(&place.vault, &AuditFilter::default(), before, limit).await.unwrap();
            assert!(list.entries.len() <= limit);
            all.extend(list.entries.iter().map(|recorded| recorded.sequence));
            before = list.next;
            if before.is_none() {
                break;
            }
        }
        assert!(all.iter().copied().eq((1..=70).rev()), "{limit}: {all:?}");
    }
    let none = newest(&place.vault, &AuditFilter::default(), Some(1), 5).await.unwrap();
    assert_eq!((none.entries, none.next), (vec![], None));
    let far = newest(&place.vault, &AuditFilter::default(), Some(10_000), 1).await.unwrap();
    assert_eq!(far.entries[0].sequence, 70);
}

#[tokio::test]
async fn a_filter_finds_what_was_done_to_a_connection_with_a_key_since_a_time() {
    let place = Place::new();
    let key = Acting::by(Actor::Key { id: Uuid::nil(), name: "reporting".parse().unwrap() });
    let started = place.clock.now();
    place.write(&["a/1", "a/2"]).await;
    place.clock.advance(Duration::from_secs(3 * 86_400));
    let read = key.entry(Action::TokenRead, Some(target("a/1")), place.clock.now());
    let revoked =
        Acting::nobody().entry(Action::KeyRevoke, Some(Target::Key("reporting".parse().unwrap())), place.clock.now());
    place.log.write(vec![read, revoked]).await.unwrap();
    let found = async |filter: AuditFilter| -> Vec<u64> {
        let list = newest(&place.vault, &filter, None, 9).await.unwrap();
        list.entries.iter().map(|recorded| recorded.sequence).collect()
    };
    let any = AuditFilter::default;
    assert_eq!(found(AuditFilter { connection: Some("a/1".parse().unwrap()), ..any() }).await, [3, 1]);
    assert_eq!(found(AuditFilter { application: Some("a".parse().unwrap()), ..any() }).await, [3, 2, 1]);
    assert!(found(AuditFilter { application: Some("b".parse().unwrap()), ..any() }).await.is_empty());
    assert_eq!(found(AuditFilter { key: Some("reporting".parse().unwrap()), ..any() }).await, [4, 3]);
    assert_eq!(found(AuditFilter { action: Some(Action::Revoke), ..any() }).await, [2, 1]);
    assert_eq!(found(AuditFilter { since: Some(started + Duration::from_secs(1)), ..any() }).await, [4, 3]);
    assert_eq!(found(AuditFilter { since: Some(started), ..any() }).await, [4, 3, 2, 1]);
    let both = AuditFilter { connection: Some("a/1".parse().unwrap()), action: Some(Action::TokenRead), ..any() };
    assert_eq!(found(both).await, [3]);
}

#[tokio::test]
async fn what_is_done_in_a_session_of_a_key_is_found_by_that_key() {
    let place = Place::new();
    let now = place.clock.now();
    for (who, key) in [("reporting", Some(Uuid::nil())), ("reporting", None), ("other", Some(Uuid::nil()))] {
        let session = Acting::by(Actor::Session { who: who.to_owned(), key });
        place.log.write(vec![session.entry(Action::Refresh, None, now)]).await.unwrap();
    }
    let filter = AuditFilter { key: Some("reporting".parse().unwrap()), ..AuditFilter::default() };
    let list = newest(&place.vault, &filter, None, 9).await.unwrap();
    assert_eq!(list.entries.iter().map(|recorded| recorded.sequence).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_look_that_finds_little_ends_and_says_where_to_look_on() {
    let place = Place::new();
    for _ in 0..1_100 {
        place.write(&["a/1"]).await;
    }
    let filter = AuditFilter { action: Some(Action::KeyCreate), ..AuditFilter::default() };
    let first = newest(&place.vault, &filter, None, 9).await.unwrap();
    assert_eq!((first.entries.len(), first.next), (0, Some(101)));
    let filter = AuditFilter { action: Some(Action::Revoke), ..AuditFilter::default() };
    let rest = newest(&place.vault, &filter, first.next, 200).await.unwrap();
    assert_eq!((rest.entries.len(), rest.entries[0].sequence, rest.next), (100, 100, None), "none is left out");
}

#[tokio::test]
async fn a_page_that_does_not_open_is_told_and_hides_no_other() {
    let place = Place::new();
    place.write(&["a/1", "a/2", "a/3"]).await;
    let Some(Row::Audit(row)) = place.store.get(Key::Audit(2)).await.unwrap() else { panic!() };
    place.store.plant(Key::Audit(2), Some(Row::Audit(AuditRow { sealed: vec![0; 80], ..row })));
    let list = newest(&place.vault, &AuditFilter::default(), None, 9).await.unwrap();
    assert_eq!(logged(&list.entries), [(3, "a/3".to_owned()), (1, "a/1".to_owned())]);
    assert!(list.unread.len() == 1 && list.unread[0].contains("up to entry 2"), "{:?}", list.unread);
}

#[tokio::test]
async fn who_follows_is_told_what_comes_before_a_page_that_does_not_open() {
    let place = Place::new();
    place.write(&["a/1", "a/2", "a/3"]).await;
    let Some(Row::Audit(row)) = place.store.get(Key::Audit(2)).await.unwrap() else { panic!() };
    place.store.plant(Key::Audit(2), Some(Row::Audit(AuditRow { sealed: vec![0; 80], ..row })));
    let mut follow = FollowAudit::new(place.vault.clone(), Arc::new(place.clock.clone()), 0);
    assert_eq!(follow.next().await.unwrap().sequence, 1);
    assert!(follow.next().await.is_err() && follow.next().await.is_err());
    let mut follow = FollowAudit::new(place.vault.clone(), Arc::new(place.clock.clone()), 2);
    assert_eq!(follow.next().await.unwrap().sequence, 3);
}

#[tokio::test]
async fn who_follows_is_told_each_entry_once_in_its_order() {
    let place = Place::new();
    place.write(&["a/1", "a/2"]).await;
    let mut follow = FollowAudit::new(place.vault.clone(), Arc::new(place.clock.clone()), 1);
    assert_eq!(follow.next().await.unwrap().sequence, 2);
    {
        let mut next = std::pin::pin!(follow.next());
        assert!(!is_ready(next.as_mut()).await);
        place.write(&["a/3"]).await;
        assert_eq!(next.await.unwrap().sequence, 3);
    }
    // Another process tells nobody: it is seen at the next look.
    let other = Vault::new(Arc::new(place.store.clone()), place.vault.keyring());
    let log = AuditLog::new(other, Arc::new(place.clock.clone()));
    let mut next = std::pin::pin!(follow.next());
    assert!(!is_ready(next.as_mut()).await);
    log.write(vec![place.entry("a/4")]).await.unwrap();
    assert!(!is_ready(next.as_mut()).await);
    place.clock.advance(Duration::from_secs(2));
    assert_eq!(next.await.unwrap().sequence, 4);
}
