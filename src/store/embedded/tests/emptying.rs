//! The journal stays bounded, forgets what is gone, and can be interrupted at every step of that.

use super::*;
use crate::store::embedded::segment::Segment;
use std::collections::BTreeMap;

fn size(home: &Home) -> u64 {
    home.journal().iter().map(|path| std::fs::metadata(path).unwrap().len()).sum()
}

#[tokio::test]
async fn rewriting_one_record_keeps_the_journal_short() {
    let home = Home::new();
    let store = home.open_small();
    fill(&store).await;
    let live = size(&home);
    let mut largest = 0;
    for version in 2..600 {
        put(&store, credential(1, 0, version, &[b'x'; 200])).await;
        settle(&store).await;
        largest = largest.max(size(&home));
    }
    assert!(largest < 3 * live + 8_000, "{largest} bytes, {live} live");
    let expected = answers(&store, 20).await;
    drop(store);
    std::fs::remove_dir_all(home.index()).unwrap();
    assert_eq!(answers(&home.open_small(), 20).await, expected);
}

#[tokio::test]
async fn what_was_removed_vanishes_from_the_journal() {
    let home = Home::new();
    let store = home.open_small();
    put(&store, credential(9, 0, 1, b"REVOKED-GRANT")).await;
    let holds = || {
        home.journal()
            .iter()
            .any(|path| std::fs::read(path).unwrap().windows(13).any(|bytes| bytes == b"REVOKED-GRANT"))
    };
    assert!(holds());
    store.commit(vec![Change::remove(Key::Credential(id(9)), Expect::Any)]).await.unwrap();
    for version in 1..100 {
        put(&store, credential(1, 0, version, &[b'x'; 200])).await;
    }
    assert!(!holds());
}

/// For each commit of a busy store: the journal cut behind that commit's group, and behind each group of the emptying that
/// followed it, with the files there that the emptying removed. Whatever the step, the store holds
/// what it held after the commit.
#[tokio::test]
async fn emptying_can_be_interrupted_at_every_step() {
    let home = Home::new();
    let store = home.open_small();
    let mut before: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    let mut last = 0;
    let (mut steps, mut longest) = (0, 0);
    for number in 0..8 {
        put(&store, flight(number, 1, FlightStage::Replied)).await; // never written again, and carried on all the time
    }
    for step in 0..120_u64 {
        let number = u128::from(step) % 7;
        if step % 11 == 10 {
            store.commit(vec![Change::remove(Key::Credential(id(number)), Expect::Any)]).await.unwrap();
        } else {
            put(&store, credential(number, 0, step + 1, &[b'x'; 150])).await;
        }
        let expected = answers(&store, 8).await;
        settle(&store).await;
        let after: BTreeMap<PathBuf, Vec<u8>> =
            home.journal().into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
        let newest = Segment::read(&home.folder(), *segment::list(&home.folder()).unwrap().last().unwrap()).unwrap();
        let end = newest.first + newest.frames.len() as u64 - 1;
        let is_emptied = before.keys().any(|path| !after.contains_key(path));
        if is_emptied {
            longest = longest.max(end - last);
            let all: BTreeMap<_, _> = before.into_iter().chain(after.clone()).collect();
            for cut in last + 1..=end {
                let crashed = Home::new();
                std::fs::create_dir(crashed.folder()).unwrap();
                for (path, bytes) in &all {
                    std::fs::write(crashed.folder().join(path.file_name().unwrap()), bytes).unwrap();
                }
                cut_behind(&crashed.folder(), cut);
                for _ in 0..2 {
                    let reopened = crashed.open_small();
                    assert_eq!(answers(&reopened, 8).await, expected, "step {step}, group {cut} of {end}");
                }
                steps += 1;
            }
        }
        (before, last) = (after, end);
    }
    assert!(steps > 20 && longest > 2, "{steps} steps, {longest} in one emptying");
}

/// Cuts the journal behind a group.
fn cut_behind(folder: &Path, group: u64) {
    for number in segment::list(folder).unwrap() {
        let path = segment::path(folder, number);
        let contents = Segment::read(folder, number).unwrap();
        if contents.first > group {
            std::fs::remove_file(path).unwrap();
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let keep = usize::try_from(group + 1 - contents.first).unwrap().min(contents.frames.len());
        let length = contents.frames[..keep].iter().map(|frame| frame.encode(Vec::new()).unwrap().len()).sum::<usize>();
        bytes.truncate(40 + length);
        std::fs::write(path, bytes).unwrap();
    }
}

#[tokio::test]
async fn an_emptied_file_that_comes_back_is_not_read() {
    let home = Home::new();
    let store = home.open_small();
    put(&store, credential(9, 0, 1, b"revoked")).await;
    let first = home.journal()[0].clone();
    let kept = std::fs::read(&first).unwrap();
    store.commit(vec![Change::remove(Key::Credential(id(9)), Expect::Any)]).await.unwrap();
    for version in 1..100 {
        put(&store, credential(1, 0, version, &[b'x'; 200])).await;
    }
    drop(store);
    assert!(!first.exists());
    std::fs::write(&first, kept).unwrap();
    std::fs::remove_dir_all(home.index()).unwrap();
    let store = home.open_small();
    assert_eq!(store.get(Key::Credential(id(9))).await.unwrap(), None);
    assert!(!first.exists());
}

/// The index says what is live in a file that is emptied. Where it has forgotten a record, the record must not go.
#[tokio::test]
async fn a_record_that_the_index_lost_is_not_lost_with_its_journal_file() {
    let home = Home::new();
    let store = home.open_small();
    fill(&store).await;
    let expected = store.get(Key::Credential(id(2))).await.unwrap();
    let key = super::super::layout::row_key(Key::Credential(id(2)));
    store.shared.slot.write().unwrap().index.as_mut().unwrap().plant(&key, None);
    assert!(expected.is_some() && store.get(Key::Credential(id(2))).await.unwrap().is_none());
    let first = home.journal()[0].clone();
    for version in 2..200 {
        put(&store, credential(1, 0, version, &[b'x'; 200])).await;
    }
    assert!(!first.exists());
    assert_eq!(store.get(Key::Credential(id(2))).await.unwrap(), expected);
    assert!(store.healed().unwrap().noticed.contains("lost records"));
    drop(store);
    std::fs::remove_dir_all(home.index()).unwrap();
    assert_eq!(home.open_small().get(Key::Credential(id(2))).await.unwrap(), expected);
}

#[tokio::test]
async fn a_kill_after_emptying_is_nothing_to_heal() {
    let home = Home::new();
    let store = home.open_small();
    fill(&store).await;
    for version in 2..100 {
        put(&store, credential(1, 0, version, &[b'x'; 200])).await;
    }
    settle(&store).await;
    assert!(!segment::path(&home.folder(), 1).exists());
    assert_eq!(home.killed().open_small().healed(), None);
}
