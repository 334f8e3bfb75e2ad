//! What opens doors, and the audit log.

use super::*;

pub(super) async fn what_opens_doors_is_found_by_id_and_listed_by_kind_and_name(store: Arc<dyn Store>) {
    let store = &*store;
    let rows = [
        access(1, AccessKind::Key, "b", 1),
        access(5, AccessKind::WebhookProgress, "a", 1),
        access(6, AccessKind::Webhook, "a", 1),
        access(2, AccessKind::Administrator, "a", 1),
        access(3, AccessKind::Key, "a", 1),
        access(4, AccessKind::Key, "a-b", 1),
    ];
    for row in &rows {
        put(store, row.clone()).await;
        assert_eq!(store.get(row.key()).await.unwrap().as_ref(), Some(row));
    }
    let listed: Vec<(AccessKind, String)> =
        store.access().await.unwrap().into_iter().map(|row| (row.kind, row.name)).collect();
    let expected = [
        (AccessKind::Key, "a"),
        (AccessKind::Key, "a-b"),
        (AccessKind::Key, "b"),
        (AccessKind::Administrator, "a"),
        (AccessKind::Webhook, "a"),
        (AccessKind::WebhookProgress, "a"),
    ];
    assert_eq!(listed, expected.map(|(kind, name)| (kind, name.to_owned())));
    store.commit(vec![Change::remove(Key::Access(id(3)), Expect::Version(1))]).await.unwrap();
    assert_eq!(store.access().await.unwrap().len(), 5);
    assert_eq!(store.applications().await.unwrap(), [], "no other list has them");
}

pub(super) async fn an_access_records_name_belongs_to_one_of_its_kind(store: Arc<dyn Store>) {
    let store = &*store;
    put(store, access(1, AccessKind::Key, "reporting", 1)).await;
    is_refused(store, vec![Change::put(access(2, AccessKind::Key, "reporting", 1), Expect::Absent)]).await;
    put(store, access(3, AccessKind::Administrator, "reporting", 1)).await;
    put(store, access(1, AccessKind::Key, "reporting", 2)).await;
    // Ended and made anew in one commit.
    let anew = vec![
        Change::remove(Key::Access(id(1)), Expect::Version(2)),
        Change::put(access(4, AccessKind::Key, "reporting", 1), Expect::Absent),
    ];
    store.commit(anew).await.unwrap();
    assert_eq!(store.get(Key::Access(id(1))).await.unwrap(), None);
    put(store, access(4, AccessKind::Key, "other", 2)).await;
    put(store, access(5, AccessKind::Key, "reporting", 1)).await;
}

/// The last sequences of the pages after a sequence.
async fn pages(store: &dyn Store, after: u64) -> Vec<u64> {
    store.audit(after, 99).await.unwrap().iter().map(|row| row.last).collect()
}

pub(super) async fn the_audit_log_takes_pages_behind_its_last_one_and_nothing_else(store: Arc<dyn Store>) {
    let store = &*store;
    let add = |row: Row| vec![Change::put(row, Expect::Absent)];
    assert_eq!((pages(store, 0).await, store.last_audit().await.unwrap()), (vec![], 0));
    store.commit(add(audit(0, 3, 9))).await.unwrap();
    // Two in one commit follow each other.
    store.commit([add(audit(3, 1, 8)), add(audit(4, 2, 7))].concat()).await.unwrap();
    assert_eq!((pages(store, 0).await, store.last_audit().await.unwrap()), (vec![3, 4, 6], 6));
    assert_eq!(pages(store, 3).await, [4, 6]);
    assert_eq!(store.audit(0, 2).await.unwrap().len(), 2);
    assert_eq!(store.get(Key::Audit(4)).await.unwrap(), Some(audit(3, 1, 8)));
    // A jump leads on where it says so.
    let Row::Audit(row) = audit(100, 2, 1) else { unreachable!() };
    let jump = Row::Audit(AuditRow { before: 6, ..row });
    store.commit(add(jump.clone())).await.unwrap();
    for wrong in [audit(0, 1, 1), audit(6, 2, 1), audit(101, 4, 1), audit(103, 1, 1)] {
        is_refused(store, add(wrong)).await;
    }
    let backwards = Row::Audit(AuditRow { first: 200, last: 199, before: 102, until: at(1), sealed: Vec::new() });
    is_refused(store, add(backwards)).await;
    for expect in [Expect::Any, Expect::Version(1)] {
        is_refused(store, vec![Change::put(jump.clone(), expect)]).await;
        is_refused(store, vec![Change::remove(Key::Audit(4), expect)]).await;
        is_refused(store, vec![Change::put(audit(102, 1, 1), expect)]).await;
    }
    is_refused(store, vec![Change::remove(Key::Audit(999), Expect::Absent)]).await;
    // One that is refused takes its whole commit along, and leaves the end of the log where it was.
    is_refused(store, [add(audit(102, 1, 1)), add(audit(102, 2, 1))].concat()).await;
    store.commit(add(audit(102, 1, 1))).await.unwrap();
    assert_eq!(pages(store, 4).await, [6, 102, 103]);
}

pub(super) async fn the_audit_log_is_purged_from_its_old_end_and_the_last_page_stays(store: Arc<dyn Store>) {
    let store = &*store;
    assert_eq!(store.purge_audit(u64::MAX).await.unwrap(), 0);
    for page in 0..1_500 {
        store.commit(vec![Change::put(audit(page * 2, 2, 1), Expect::Absent)]).await.unwrap();
    }
    assert_eq!(store.purge_audit(1).await.unwrap(), 0, "the first page ends with 2");
    assert_eq!(store.purge_audit(2_401).await.unwrap(), 1_200);
    assert_eq!(store.audit(0, 1).await.unwrap()[0].last, 2_402);
    assert_eq!(store.purge_audit(u64::MAX).await.unwrap(), 299);
    assert_eq!((pages(store, 0).await, store.last_audit().await.unwrap()), (vec![3_000], 3_000));
    store.commit(vec![Change::put(audit(3_000, 1, 1), Expect::Absent)]).await.unwrap();
    put(store, event(1, 1)).await;
    assert_eq!(store.last_event().await.unwrap(), 1, "events have sequences of their own");
}

pub(super) async fn two_who_add_a_page_at_once_do_not_both_succeed(store: Arc<dyn Store>) {
    for round in 0..30 {
        let add = || {
            let store = store.clone();
            tokio::spawn(async move { store.commit(vec![Change::put(audit(round, 1, 1), Expect::Absent)]).await })
        };
        let racers = [add(), add(), add()];
        let mut won = 0;
        for racer in racers {
            won += usize::from(racer.await.unwrap().is_ok());
        }
        assert_eq!((won, store.last_audit().await.unwrap()), (1, round + 1));
    }
}
