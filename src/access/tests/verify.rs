//! Whether what somebody does to the log is found.

use super::*;
use proptest::prelude::*;

impl Place {
    async fn row(&self, last: u64) -> AuditRow {
        match self.store.get(Key::Audit(last)).await.unwrap() {
            Some(Row::Audit(row)) => row,
            _ => panic!("there is no page {last}"),
        }
    }

    /// What somebody writes who has the keys: a page in place of another, sealed as it should be, with the hash of the one before.
    async fn forge(&self, last: u64, previous: PageHash, entries: &[AuditEntry]) -> PageHash {
        let row = self.row(last).await;
        let (change, at, hash) = self.vault.put_audit(row.first, (row.before, previous), entries).unwrap().unwrap();
        assert_eq!(at, last);
        self.store.plant(Key::Audit(last), change.row().cloned());
        hash
    }

    async fn hash(&self, last: u64) -> PageHash {
        self.vault.audit_page(last).await.unwrap().unwrap().1.unwrap().hash
    }
}

const FIVE: [&str; 5] = ["a/1", "a/2", "a/3", "a/4", "a/5"];

async fn five() -> Place {
    let place = Place::new();
    place.write(&FIVE).await;
    place
}

#[tokio::test]
async fn a_log_that_nobody_touched_is_whole_and_has_the_head_that_was_noted() {
    let place = Place::new();
    let empty = place.verified(None).await;
    assert_eq!((empty.entries, empty.first, empty.head, empty.findings), (0, None, None, vec![]));
    place.write(&FIVE).await;
    let verified = place.verified(None).await;
    assert_eq!((verified.entries, verified.first, verified.findings), (5, Some(1), vec![]));
    let head = verified.head.unwrap();
    assert_eq!((head.sequence, head.hash), (5, place.hash(5).await));
    assert_eq!(head.to_string().parse(), Ok(head));
    place.write(&["a/6"]).await;
    let later = place.verified(Some(head)).await;
    assert_eq!(later.findings, []);
    assert_ne!(later.head, Some(head));
}

#[tokio::test]
async fn an_edited_page_is_found() {
    let place = five().await;
    let row = place.row(3).await;
    for at in [0, row.sealed.len() / 2, row.sealed.len() - 1] {
        let mut sealed = row.sealed.clone();
        sealed[at] ^= 1;
        place.store.plant(Key::Audit(3), Some(Row::Audit(AuditRow { sealed, ..row.clone() })));
        assert_eq!(place.findings().await, [3]);
    }
    let later = AuditRow { until: row.until + Duration::from_secs(1), ..row.clone() };
    place.store.plant(Key::Audit(3), Some(Row::Audit(later)));
    assert_eq!(place.findings().await, [3]);
    place.store.plant(Key::Audit(3), Some(Row::Audit(row)));
    assert_eq!(place.findings().await, NOTHING);
}

#[tokio::test]
async fn a_page_that_was_edited_by_somebody_who_has_the_keys_is_found() {
    let place = five().await;
    let previous = place.hash(2).await;
    place.forge(3, previous, &[place.entry("a/forged")]).await;
    assert_eq!(place.logged().await[2].1, "a/forged", "it opens");
    assert_eq!(place.findings().await, [4], "and the next one does not follow it");
}

#[tokio::test]
async fn a_page_that_was_taken_out_is_found() {
    let place = five().await;
    let row = place.row(3).await;
    place.store.plant(Key::Audit(3), None);
    assert_eq!(place.findings().await, [4]);
    // Another one's place is not its own.
    place.store.plant(Key::Audit(3), Some(Row::Audit(AuditRow { last: 3, first: 3, before: 2, ..place.row(2).await })));
    assert_eq!(place.findings().await, [3]);
    place.store.plant(Key::Audit(3), Some(Row::Audit(row)));
    assert_eq!(place.findings().await, NOTHING);
}

#[tokio::test]
async fn an_old_end_that_was_not_removed_by_its_age_is_found() {
    let place = five().await;
    place.store.plant(Key::Audit(1), None);
    place.store.plant(Key::Audit(2), None);
    assert_eq!(place.findings().await, [3]);
}

#[tokio::test]
async fn a_newest_end_that_was_cut_off_or_written_anew_is_found_with_a_head_that_was_noted() {
    let place = five().await;
    let head = place.verified(None).await.head;
    place.store.plant(Key::Audit(5), None);
    assert_eq!(place.findings().await, NOTHING, "nothing in the log itself says that there was more");
    assert_eq!(place.verified(head).await.findings[0].sequence, 5);
    let place = five().await;
    let head = place.verified(None).await.head;
    let mut previous = place.hash(2).await;
    for last in 3..=5 {
        previous = place.forge(last, previous, &[place.entry("a/forged")]).await;
    }
    assert_eq!(place.findings().await, NOTHING);
    assert_eq!(place.verified(head).await.findings[0].sequence, 5);
}

#[tokio::test]
async fn the_log_goes_on_behind_a_page_that_was_destroyed() {
    let place = five().await;
    let row = place.row(5).await;
    place.store.plant(Key::Audit(5), Some(Row::Audit(AuditRow { sealed: Vec::new(), ..row })));
    let other = place.another();
    other.write(&["a/6", "a/7"]).await;
    assert_eq!(place.findings().await, [5]);
}

#[tokio::test]
async fn what_is_too_old_is_removed_from_the_old_end_alone_and_the_rest_is_whole() {
    let place = five().await;
    let head = place.verified(None).await.head;
    place.clock.advance(Duration::from_secs(86_400 * 9));
    place.write(&["a/6", "a/7"]).await;
    let purged = async |days| purge(&place.vault, &place.log, &place.clock, days).await.unwrap();
    assert_eq!(purged(10).await, 0);
    place.clock.advance(Duration::from_secs(86_400 * 2));
    assert_eq!((purged(10).await, purged(10).await), (5, 0));
    let verified = place.verified(None).await;
    assert_eq!((verified.first, verified.entries, verified.findings), (Some(6), 3, vec![]));
    let list = newest(&place.vault, &AuditFilter::default(), None, 1).await.unwrap();
    let entry = &list.entries[0].entry;
    assert_eq!((entry.action, &entry.actor), (Action::AuditPurge, &Actor::System));
    // Had somebody taken one more off, the retention would not explain it.
    let row = place.row(6).await;
    place.store.plant(Key::Audit(6), None);
    assert_eq!(place.findings().await, [7]);
    place.store.plant(Key::Audit(6), Some(Row::Audit(row)));
    assert!(place.verified(head).await.findings[0].reason.contains("removed"));
    // All of it is too old, and the last page stays.
    place.clock.advance(Duration::from_secs(86_400 * 100));
    assert_eq!(purged(10).await, 2);
    assert_eq!(place.verified(None).await.findings, []);
    assert_eq!(place.logged().await.len(), 2, "the entries of the two purges");
}

#[tokio::test]
async fn a_crash_between_the_word_of_the_retention_and_its_deed_leaves_the_log_whole() {
    let place = five().await;
    let target = Target::Log { up_to: 3, hash: place.hash(3).await };
    let word = Acting::by(Actor::System).entry(Action::AuditPurge, Some(target), place.clock.now());
    place.log.write(vec![word]).await.unwrap();
    for removed in 0..3 {
        assert_eq!(place.findings().await, NOTHING, "{removed} of three pages were removed");
        place.store.plant(Key::Audit(removed + 1), None);
    }
    assert_eq!(place.findings().await, NOTHING);
    place.store.plant(Key::Audit(4), None);
    assert_eq!(place.findings().await, [5]);
}

#[tokio::test]
async fn a_log_from_a_backup_goes_on_far_behind_what_was_read_of_the_old_one() {
    let place = five().await;
    let entry = Acting::by(Actor::System).entry(Action::StoreRestore, None, place.clock.now());
    write_restored(&place.vault, entry).await.unwrap();
    let place = place.another();
    place.write(&["a/6"]).await;
    let sequences: Vec<u64> = place.logged().await.iter().map(|(sequence, _)| *sequence).collect();
    assert_eq!(sequences[4..], [5, 5 + SKIPPED + 1, 5 + SKIPPED + 2]);
    let verified = place.verified(None).await;
    assert_eq!((verified.restored, verified.findings), (vec![5 + SKIPPED + 1], vec![]));
    // The same jump that is no restore is one.
    let change =
        place.vault.put_audit(1 << 60, (5 + SKIPPED + 2, place.hash(5 + SKIPPED + 2).await), &[place.entry("a/7")]);
    let (change, last, _) = change.unwrap().unwrap();
    place.store.commit(vec![Change::put(change.row().cloned().unwrap(), Expect::Absent)]).await.unwrap();
    assert_eq!(place.findings().await, [last]);
}

/// What somebody does to pages without having the keys; the numbers name pages.
#[derive(Debug, Clone)]
enum Deed {
    TakeOut(usize),
    CutOffTheOldEnd(usize),
    PutContentInto(usize, usize),
    Swap(usize, usize),
    Move(usize, u64),
    Lead(usize, u64),
    Append(usize),
    Flip(usize, usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    let page = 0..8_usize;
    prop_oneof![
        page.clone().prop_map(Deed::TakeOut),
        page.clone().prop_map(Deed::CutOffTheOldEnd),
        (page.clone(), page.clone()).prop_map(|(from, into)| Deed::PutContentInto(from, into)),
        (page.clone(), page.clone()).prop_map(|(one, other)| Deed::Swap(one, other)),
        (page.clone(), 1..5_u64).prop_map(|(page, by)| Deed::Move(page, by)),
        (page.clone(), 0..20_u64).prop_map(|(page, before)| Deed::Lead(page, before)),
        page.clone().prop_map(Deed::Append),
        (page, 0..1_000_usize).prop_map(|(page, bit)| Deed::Flip(page, bit)),
    ]
}

impl Deed {
    /// Does it to a log of these pages; `false` where that leaves the log as it was, or only cuts its newest end off.
    fn is_done(&self, store: &MemoryStore, rows: &[AuditRow]) -> bool {
        let count = rows.len();
        let at = |page: &usize| page % count;
        let put = |row: AuditRow| store.plant(Key::Audit(row.last), Some(Row::Audit(row)));
        match self {
            Self::TakeOut(page) => {
                store.plant(Key::Audit(rows[at(page)].last), None);
                at(page) + 1 < count
            }
            Self::CutOffTheOldEnd(pages) => {
                let gone = at(pages).min(count - 1);
                rows[..gone].iter().for_each(|row| store.plant(Key::Audit(row.last), None));
                gone > 0
            }
            Self::PutContentInto(from, into) => {
                put(AuditRow { sealed: rows[at(from)].sealed.clone(), ..rows[at(into)].clone() });
                at(from) != at(into)
            }
            Self::Swap(one, other) => {
                put(AuditRow { sealed: rows[at(one)].sealed.clone(), ..rows[at(other)].clone() });
                put(AuditRow { sealed: rows[at(other)].sealed.clone(), ..rows[at(one)].clone() });
                at(one) != at(other)
            }
            Self::Move(page, by) => {
                let row = &rows[at(page)];
                store.plant(Key::Audit(row.last), None);
                put(AuditRow { first: row.first + by, last: row.last + by, ..row.clone() });
                true
            }
            Self::Lead(page, before) => {
                put(AuditRow { before: *before, ..rows[at(page)].clone() });
                *before != rows[at(page)].before
            }
            Self::Append(page) => {
                let last = rows[count - 1].last;
                let row = rows[at(page)].clone();
                put(AuditRow { first: last + 1, last: last + 1 + (row.last - row.first), before: last, ..row });
                true
            }
            Self::Flip(page, bit) => {
                let mut row = rows[at(page)].clone();
                let bit = bit % (row.sealed.len() * 8);
                row.sealed[bit / 8] ^= 1 << (bit % 8);
                put(row);
                true
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_the_pages_of_a_log_is_found(sizes in proptest::collection::vec(1..4_usize, 2..8), deed in deed()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            for size in sizes {
                place.log.write((0..size).map(|entry| place.entry(&format!("a/{entry}"))).collect()).await.unwrap();
            }
            assert_eq!(place.findings().await, NOTHING);
            let rows = place.store.audit(0, 99).await.unwrap();
            let is_done = deed.is_done(&place.store, &rows);
            assert_eq!(place.findings().await.is_empty(), !is_done, "{deed:?}");
        });
    }
}
