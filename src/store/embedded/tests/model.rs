//! Random commits: sled, sled after a kill, sled after a stop and sled without its index answer as memory does.

use super::*;
use crate::store::MemoryStore;
use proptest::prelude::*;

fn row() -> impl Strategy<Value = Row> {
    let (number, version) = (0..6_u128, 1..4_u64);
    prop_oneof![
        (number.clone(), 0..4, version.clone()).prop_map(|(n, name, v)| application(n, &format!("app-{name}"), v)),
        (number.clone(), 0..4, version.clone(), proptest::option::of(0..9_i64))
            .prop_map(|(n, name, v, due)| connection(n, &format!("app/{name}"), v, due)),
        (number.clone(), number.clone(), version.clone(), 0..400_usize)
            .prop_map(|(n, connection, v, length)| credential(n, connection, v, &vec![7; length])),
        (0..6_u8, 0..9_i64).prop_map(|(n, expires)| pending(n, expires)),
        (number.clone(), version).prop_map(|(n, v)| flight(n, v, FlightStage::Replied)),
        (number.clone(), 0..9_i64).prop_map(|(n, second)| event(n, second)),
        (number, 0..4, 1..4_u64).prop_map(|(n, name, v)| access(n, AccessKind::Key, &format!("k{name}"), v)),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let expect = prop_oneof![
        4 => Just(Expect::Any),
        1 => Just(Expect::Absent),
        2 => (1..4_u64).prop_map(Expect::Version)
    ];
    (row(), expect, proptest::bool::weighted(0.7)).prop_map(|(row, expect, stays)| {
        if stays { Change::put(row, expect) } else { Change::remove(row.key(), expect) }
    })
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Change>),
    /// A page of so many entries, behind the last one or so far off it.
    Audit(u64, u64),
    PurgeAudit(u64),
    Purge(i64),
    PurgeEvents(i64),
    Stop,
    Kill,
    LoseIndex,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => proptest::collection::vec(change(), 1..4).prop_map(Step::Commit),
        6 => (1..4_u64, prop_oneof![4 => Just(0), 1 => Just(1_u64)]).prop_map(|(n, off)| Step::Audit(n, off)),
        1 => (0..20_u64).prop_map(Step::PurgeAudit),
        2 => (0..9_i64).prop_map(Step::Purge),
        2 => (0..9_i64).prop_map(Step::PurgeEvents),
        1 => Just(Step::Stop),
        1 => Just(Step::Kill),
        1 => Just(Step::LoseIndex),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sled_answers_as_memory_does(steps in proptest::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (memory, mut home) = (MemoryStore::new(), Home::new());
            let mut sled = home.open_small();
            for step in steps {
                match step {
                    Step::Commit(changes) => {
                        let expected = memory.commit(changes.clone()).await.is_ok();
                        assert_eq!(sled.commit(changes).await.is_ok(), expected);
                    }
                    Step::Audit(entries, off) => {
                        let page = audit(memory.last_audit().await.unwrap() + off, entries, 1);
                        let change = vec![Change::put(page, Expect::Absent)];
                        assert_eq!(memory.commit(change.clone()).await.is_ok(), off == 0);
                        assert_eq!(sled.commit(change).await.is_ok(), off == 0);
                    }
                    Step::PurgeAudit(up_to) => {
                        let expected = memory.purge_audit(up_to).await.unwrap();
                        assert_eq!(sled.purge_audit(up_to).await.unwrap(), expected);
                    }
                    Step::Purge(before) => {
                        let expected = memory.purge_pending(at(before)).await.unwrap();
                        assert_eq!(sled.purge_pending(at(before)).await.unwrap(), expected);
                    }
                    Step::PurgeEvents(before) => {
                        let expected = memory.purge_events(at(before)).await.unwrap();
                        assert_eq!(sled.purge_events(at(before)).await.unwrap(), expected);
                    }
                    Step::Stop => {
                        drop(sled);
                        sled = home.open_small();
                        assert_eq!(sled.healed(), None);
                    }
                    Step::Kill => {
                        settle(&sled).await;
                        let killed = home.killed();
                        drop(sled);
                        home = killed;
                        sled = home.open_small();
                        assert_eq!(sled.healed(), None);
                    }
                    Step::LoseIndex => {
                        drop(sled);
                        std::fs::remove_dir_all(home.index()).unwrap();
                        sled = home.open_small();
                    }
                }
                assert_eq!(answers(&sled, 6).await, answers(&memory, 6).await);
            }
        });
    }
}
