//! Kills, torn ends, damaged and exchanged files.

use super::*;
use crate::store::embedded::index::Index;
use crate::store::embedded::overlay::Edit;
use std::io::Write;

#[tokio::test]
async fn a_kill_loses_no_commit() {
    let home = Home::new();
    let store = home.open();
    for number in 0..30 {
        put(&store, credential(number, 1, 1, b"t")).await;
        let killed = home.killed();
        let reopened = killed.open();
        let count = u128::try_from(reopened.credentials(id(1)).await.unwrap().len()).unwrap();
        assert_eq!((count, reopened.healed()), (number + 1, None), "a kill alone is nothing to heal");
    }
}

#[tokio::test]
async fn a_kill_after_clean_stops_loses_no_commit() {
    let home = Home::new();
    fill(&home.open()).await;
    let store = home.open();
    put(&store, credential(0, 0, 2, b"rotated")).await;
    store.commit(vec![Change::remove(Key::Connection(id(3)), Expect::Any)]).await.unwrap();
    let expected = answers(&store, 20).await;
    let killed = home.killed();
    for _ in 0..2 {
        let reopened = killed.open();
        assert_eq!(answers(&reopened, 20).await, expected);
        assert_eq!(reopened.healed(), None);
    }
}

#[tokio::test]
async fn a_torn_end_is_cut_off_and_what_was_acknowledged_stays() {
    let home = Home::new();
    let store = home.open();
    put(&store, credential(1, 1, 1, b"acknowledged")).await;
    let whole = std::fs::metadata(&home.journal()[0]).unwrap().len();
    let last_sync = home.killed();
    put(&store, credential(2, 1, 1, b"in the air")).await;
    let bytes = std::fs::read(&home.journal()[0]).unwrap();
    let ends = (whole + 1..bytes.len() as u64).step_by(7).map(|end| bytes[..usize::try_from(end).unwrap()].to_vec());
    // Cut anywhere in the last frame; or all of its length is there, and not its content (a size that reached the disk first).
    let zeroes = [&bytes[..usize::try_from(whole).unwrap()], &[0; 500]].concat();
    for torn in ends.chain([zeroes]) {
        let crashed = last_sync.killed();
        std::fs::write(&crashed.journal()[0], torn).unwrap();
        let store = crashed.open();
        assert_eq!(store.credentials(id(1)).await.unwrap().len(), 1);
        assert_eq!(std::fs::metadata(&crashed.journal()[0]).unwrap().len(), whole);
        put(&store, credential(3, 1, 1, b"goes on")).await;
        drop(store);
        assert_eq!(crashed.open().credentials(id(1)).await.unwrap().len(), 2);
    }
}

/// A store that was stopped cleanly, and what it answered.
async fn stopped() -> (Home, String) {
    let home = Home::new();
    let store = home.open();
    fill(&store).await;
    let expected = answers(&store, 20).await;
    store.close().await.unwrap();
    (home, expected)
}

#[tokio::test]
async fn an_index_that_is_gone_or_empty_is_made_again_and_told() {
    let (home, expected) = stopped().await;
    type Damage = fn(&Path);
    let ways: [(&str, Damage); 4] = [
        ("removed", |index| std::fs::remove_dir_all(index).unwrap()),
        ("emptied", |index| {
            std::fs::remove_dir_all(index).unwrap();
            std::fs::create_dir(index).unwrap();
        }),
        ("cut to nothing", |index| {
            for entry in std::fs::read_dir(index).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    std::fs::write(path, b"").unwrap();
                }
            }
        }),
        ("overwritten", |index| {
            let length = std::fs::metadata(index.join("db")).unwrap().len();
            std::fs::write(index.join("db"), vec![0xa5; usize::try_from(length).unwrap()]).unwrap();
        }),
    ];
    for (way, damage) in ways {
        let damaged = home.killed();
        damage(&damaged.index());
        let store = damaged.open();
        assert_eq!(answers(&store, 20).await, expected, "{way}");
        let healing = store.healed().unwrap();
        assert_eq!(healing.records, 160, "{way}: {}", healing.noticed);
        drop(store);
        let store = damaged.open();
        assert_eq!((answers(&store, 20).await, store.healed()), (expected.clone(), None), "{way}: healed for good");
    }
}

#[tokio::test]
async fn a_flipped_byte_anywhere_in_the_index_changes_no_answer() {
    let (home, expected) = stopped().await;
    let clean = std::fs::read(home.index().join("db")).unwrap();
    let used = clean.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (0..used).step_by(used / 40) {
        for unclean in [false, true] {
            let damaged = home.killed();
            let mut bytes = clean.clone();
            bytes[at] ^= 0x10;
            std::fs::write(damaged.index().join("db"), bytes).unwrap();
            if unclean {
                std::fs::remove_file(damaged.folder().join("clean")).unwrap();
            }
            let store = damaged.open();
            assert_eq!(answers(&store, 20).await, expected, "byte {at} of {used}, unclean {unclean}");
        }
    }
}

/// sled puts a large value into a file of its own, which a power cut can take while the reference to it stays.
#[tokio::test]
async fn a_large_value_whose_file_is_gone_is_made_good() {
    let home = Home::new();
    let store = home.open();
    put(&store, credential(1, 1, 1, &vec![b't'; 1 << 20])).await;
    let expected = answers(&store, 3).await;
    store.close().await.unwrap();
    std::fs::remove_file(home.folder().join("clean")).unwrap();
    let blobs = std::fs::read_dir(home.index().join("blobs")).unwrap();
    let removed = blobs.map(|blob| std::fs::remove_file(blob.unwrap().path()).unwrap()).count();
    assert!(removed > 0, "sled keeps it elsewhere now");
    let store = home.open();
    assert!(answers(&store, 3).await == expected);
    assert!(store.healed().is_some());
}

#[tokio::test]
async fn an_index_that_lies_is_noticed_after_an_unclean_stop() {
    let (home, expected) = stopped().await;
    std::fs::remove_file(home.folder().join("clean")).unwrap();
    // sled is content with it, and one record is another's.
    let mut index = Index::open(&home.folder()).unwrap();
    let row = super::super::layout::row_value(1, &credential(7, 3, 1, b"planted")).unwrap();
    let (sequence, sum) = index.progress().unwrap();
    let key = super::super::layout::row_key(Key::Credential(id(7)));
    let planted = (key.into(), Edit { value: Some(row.into()), is_new: false });
    index.apply([planted].into(), sequence, sum).unwrap();
    index.spill().unwrap();
    index.close().unwrap();
    let store = home.open();
    assert_eq!(answers(&store, 20).await, expected);
    assert!(store.healed().unwrap().noticed.contains("what the journal says"));
}

#[tokio::test]
async fn an_older_index_brings_nothing_back() {
    let home = Home::new();
    let store = home.open();
    fill(&store).await;
    drop(store);
    let older = home.killed();
    let store = home.open();
    put(&store, credential(1, 0, 2, b"generation 2")).await;
    let revoke =
        vec![Change::remove(Key::Credential(id(2)), Expect::Any), Change::remove(Key::Connection(id(2)), Expect::Any)];
    store.commit(revoke).await.unwrap();
    let expected = answers(&store, 20).await;
    let killed = home.killed();
    drop(store);
    for home in [&home, &killed] {
        std::fs::remove_dir_all(home.index()).unwrap();
        copy(&older.index(), &home.index());
        let store = home.open();
        assert_eq!(answers(&store, 20).await, expected);
        assert_eq!(store.get(Key::Credential(id(2))).await.unwrap(), None);
    }
    assert_eq!(home.open().healed(), None);
}

#[tokio::test]
async fn an_older_index_after_a_clean_stop_is_told() {
    let (home, _) = stopped().await;
    let older = home.killed();
    put(&home.open(), credential(1, 0, 2, b"generation 2")).await;
    std::fs::remove_dir_all(home.index()).unwrap();
    copy(&older.index(), &home.index());
    let healing = home.open().healed().unwrap();
    assert!(healing.noticed.contains("commit 160, older than the last clean stop"), "{}", healing.noticed);
}

#[tokio::test]
async fn an_index_older_than_the_journal_reaches_back_is_made_again() {
    let home = Home::new();
    let store = home.open_small();
    fill(&store).await;
    drop(store);
    let older = home.killed();
    let store = home.open_small();
    for version in 2..100 {
        put(&store, credential(1, 0, version, &[b'x'; 200])).await;
    }
    store.commit(vec![Change::remove(Key::Credential(id(2)), Expect::Any)]).await.unwrap();
    for version in 100..200 {
        put(&store, credential(1, 0, version, &[b'x'; 200])).await;
    }
    let expected = answers(&store, 20).await;
    settle(&store).await;
    let killed = home.killed();
    std::fs::remove_dir_all(killed.index()).unwrap();
    copy(&older.index(), &killed.index());
    let store = killed.open_small();
    assert_eq!(answers(&store, 20).await, expected);
    assert!(store.healed().unwrap().noticed.contains("reaches back"));
}

/// Opening is refused as damaged, the message names `what`, and nothing in the journal was changed by it.
fn is_refused(home: &Home, what: &str) {
    let before: Vec<_> = home.journal().iter().map(|path| std::fs::read(path).unwrap()).collect();
    let error = home.try_open().unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains(what), "{error}");
    assert!(error.to_string().contains("backup"), "{error}");
    let after: Vec<_> = home.journal().iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(before == after, "evidence was changed");
}

#[tokio::test]
async fn damage_in_the_middle_of_the_journal_is_refused() {
    let home = Home::new();
    let store = home.open();
    put(&store, credential(1, 1, 1, b"one")).await;
    let start = usize::try_from(std::fs::metadata(&home.journal()[0]).unwrap().len()).unwrap();
    put(&store, credential(2, 1, 1, b"two")).await;
    let end = usize::try_from(std::fs::metadata(&home.journal()[0]).unwrap().len()).unwrap();
    put(&store, credential(3, 1, 1, b"three")).await;
    for at in start..end {
        let damaged = home.killed();
        let path = &damaged.journal()[0];
        let mut bytes = std::fs::read(path).unwrap();
        bytes[at] ^= 1;
        std::fs::write(path, bytes).unwrap();
        is_refused(&damaged, &format!("journal-00000001 is damaged: what stands at byte {start} "));
    }
}

#[tokio::test]
async fn a_damaged_head_of_the_journal_is_refused() {
    let (home, _) = stopped().await;
    std::fs::remove_file(home.folder().join("clean")).unwrap();
    for at in (0..40).filter(|at| !(8..12).contains(at)) {
        let damaged = home.killed();
        let mut bytes = std::fs::read(&damaged.journal()[0]).unwrap();
        bytes[at] ^= 1;
        std::fs::write(&damaged.journal()[0], bytes).unwrap();
        is_refused(&damaged, "its head is not one that we wrote");
    }
}

#[tokio::test]
async fn a_missing_journal_file_is_refused() {
    let (home, _) = stopped().await;
    std::fs::remove_file(&home.journal()[0]).unwrap();
    is_refused(&home, "its journal is gone");
    std::fs::remove_file(home.folder().join("clean")).unwrap();
    is_refused(&home, "its journal is gone");

    let home = Home::new();
    let store = home.open_small();
    fill(&store).await;
    settle(&store).await;
    assert!(home.journal().len() > 3);
    for gone in [0, 1] {
        let damaged = home.killed();
        let path = damaged.journal().swap_remove(gone);
        std::fs::remove_file(&path).unwrap();
        is_refused(&damaged, &format!("{} is missing", path.file_name().unwrap().display()));
    }
    drop(store);
    // The last one is missed by the marker.
    std::fs::remove_file(home.journal().last().unwrap()).unwrap();
    is_refused(&home, "was written");
}

#[tokio::test]
async fn a_journal_that_lost_what_the_index_knows_is_refused() {
    let (home, _) = stopped().await;
    let bytes = std::fs::read(&home.journal()[0]).unwrap();
    std::fs::write(&home.journal()[0], &bytes[..bytes.len() - 1]).unwrap();
    is_refused(&home, "ends at commit 159, and commit 160 was written");
    let without_index = home.killed();
    std::fs::remove_dir_all(without_index.index()).unwrap();
    is_refused(&without_index, "ends at commit 159, and commit 160 was written");
    std::fs::remove_file(home.folder().join("clean")).unwrap();
    is_refused(&home, "ends at commit 159, and commit 160 was written");
}

#[tokio::test]
async fn an_inner_journal_file_that_is_too_long_or_too_short_is_refused() {
    let home = Home::new();
    let store = home.open_small();
    fill(&store).await;
    settle(&store).await;
    let damaged = home.killed();
    let inner = &damaged.journal()[1];
    std::fs::OpenOptions::new().append(true).open(inner).unwrap().write_all(b"GKfr and nothing").unwrap();
    is_refused(&damaged, "journal-00000002");
    // A whole group less: what is left reads well, and does not reach the next file.
    let damaged = home.killed();
    let path = &damaged.journal()[1];
    let number: u64 = path.to_str().unwrap().rsplit_once('-').unwrap().1.parse().unwrap();
    let contents = segment::Segment::read(&damaged.folder(), number).unwrap();
    let last = contents.frames.last().unwrap().encode(Vec::new()).unwrap();
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() - last.len()]).unwrap();
    is_refused(&damaged, "does not follow");
}

#[tokio::test]
async fn a_newer_format_is_refused_with_what_to_do() {
    let (home, _) = stopped().await;
    let mut bytes = std::fs::read(&home.journal()[0]).unwrap();
    bytes[11] = 6;
    std::fs::write(&home.journal()[0], bytes).unwrap();
    std::fs::remove_file(home.folder().join("clean")).unwrap();
    let error = home.try_open().unwrap_err().to_string();
    assert!(error.contains("format 6") && error.contains("use the newer Grantkeeper"), "{error}");
}

#[tokio::test]
async fn a_marker_that_cannot_be_read_is_no_harm() {
    let (home, expected) = stopped().await;
    let bytes = std::fs::read(home.folder().join("clean")).unwrap();
    for at in 0..=bytes.len() {
        let mut bytes = bytes.clone();
        bytes.truncate(at);
        bytes.last_mut().into_iter().for_each(|byte| *byte ^= 1);
        std::fs::write(home.folder().join("clean"), bytes).unwrap();
        let store = home.killed().open();
        assert_eq!((answers(&store, 20).await, store.healed()), (expected.clone(), None));
    }
}

/// Who can write the files can write right checksums too: such numbers are refused, and nothing runs over.
#[tokio::test]
async fn a_head_with_numbers_that_cannot_be_is_refused() {
    let (home, _) = stopped().await;
    std::fs::remove_file(home.folder().join("clean")).unwrap();
    for first in [0, u64::MAX] {
        let forged = home.killed();
        let mut bytes = std::fs::read(&forged.journal()[0]).unwrap();
        bytes.truncate(40);
        bytes[28..36].copy_from_slice(&first.to_be_bytes());
        let crc = crc32fast::hash(&bytes[..36]).to_be_bytes();
        bytes[36..].copy_from_slice(&crc);
        std::fs::write(&forged.journal()[0], bytes).unwrap();
        is_refused(&forged, "its head is not one that we wrote");
    }
}
