//! The power cut in the midst of refreshing, with all that the disk had not been told to keep gone.

use super::child::{Child, Told};
use super::dice::Dice;
use super::disk::Disk;
use super::scene::{Counts, Scene};
use super::{is_soak, say};
use crate::support::machine::copy;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// Connections that are refreshed at once.
const CONNECTIONS: usize = 16;

/// Written again with each rotation, so that sled fills its pages and the journal its files.
const LABEL_BYTES: usize = 30_000;

/// The tokens after which the power is cut, at most.
const MOST_TOKENS: usize = 150;

/// How often within a life the system may write a part of sled's file.
const PARTS: usize = 6;

/// What control files hold.
const CONTROL: &[u8] = &[b'x'; 5000];

#[tokio::test]
async fn a_power_cut_loses_no_rotation_that_a_caller_was_told_of() {
    let (disks, cuts) = if is_soak() { (12, 25) } else { (1, 10) };
    let mut dice = Dice::of("power cut");
    let mut counts = Counts::default();
    let (mut all, mut unsynced_lost) = (0, 0);
    for _ in 0..disks {
        let disk = match Disk::new().and_then(|disk| disk.cut(None).map(|()| disk)) {
            Ok(disk) => disk,
            Err(why) => return say(&format!("LEFT OUT: the power cuts; they need root and a loop device ({why})")),
        };
        disk.restart();
        let keys = tempfile::tempdir().unwrap();
        let mut scene =
            Scene::new(&disk.root().join("home"), &keys.path().join("keys"), CONNECTIONS, LABEL_BYTES).await;
        for cut in 1..=cuts {
            write_controls(&disk.root());
            // Now and then right after a clean stop.
            let child = (!dice.once_in(8)).then(|| Child::start(&scene.home, &scene.keys));
            let told = cut_power(&disk, &scene.home.store(), child, &mut dice).await;
            scene.quiet().await;
            scene.heard(told, &mut counts); // what failed came too late to matter
            disk.restart();
            all += 1;
            unsynced_lost += usize::from(check_controls(&disk.root()));
            if cut < cuts && dice.once_in(3) {
                // The next start has to recover, and its power is cut too, before anybody has stopped cleanly.
                let left = keys.path().join("left");
                copy(&scene.home.store(), &left);
                drop(scene.look(&left, &mut counts).await);
                std::fs::remove_dir_all(&left).unwrap();
            } else {
                let store = scene.look(&scene.home.store(), &mut counts).await;
                scene.recover(store).await;
            }
        }
    }
    say(&format!(
        "power cut, {all} cuts: {counts}; control files: synced 0 lost, unsynced {unsynced_lost} of {all} lost"
    ));
    assert!(unsynced_lost > 0, "the cuts lost nothing, not even what nobody had synced: they are none");
    assert!(counts.told > all, "hardly anything was under way");
}

/// Lets the child come so far, cuts the power under it, and ends it. Gives what it told until then.
async fn cut_power(disk: &Disk, store: &Path, child: Option<Child>, dice: &mut Dice) -> Vec<Told> {
    let Some(mut child) = child else {
        disk.cut(None).unwrap();
        return Vec::new();
    };
    let tokens = if dice.once_in(6) { 0 } else { dice.below(MOST_TOKENS) + 1 };
    for part in 1..=PARTS {
        child.has_told(tokens * part / PARTS).await;
        // Before a power cut the system has written some of sled's pages and not others.
        let db = store.join("index/db");
        let blocks = std::fs::metadata(&db).map_or(1, |db| usize::try_from(db.len() / 4096).unwrap() + 1);
        match dice.below(3) {
            0 => disk.write_back(&db, dice.below(blocks), dice.below(64) + 1),
            1 => disk.write_back(&db, dice.below(blocks), blocks),
            _ => {}
        }
    }
    let moment = Duration::from_micros(dice.next() % if tokens == 0 { 200_000 } else { 10_000 });
    #[allow(clippy::disallowed_methods)] // a power cut comes at a time and not at an event
    tokio::time::sleep(moment).await;
    disk.cut(Some(child.id())).unwrap();
    child.kill().await
}

/// Two files: one that is synced, and one that is not.
fn write_controls(root: &Path) {
    let mut synced = File::create(root.join("synced")).unwrap();
    synced.write_all(CONTROL).unwrap();
    synced.sync_all().unwrap();
    File::open(root).unwrap().sync_all().unwrap();
    std::fs::write(root.join("unsynced"), CONTROL).unwrap();
}

/// The synced one must be there. Whether the other one was lost.
fn check_controls(root: &Path) -> bool {
    let is_whole = |name| std::fs::read(root.join(name)).is_ok_and(|content| content == CONTROL);
    assert!(is_whole("synced"), "a synced file was lost: this is worse than a power cut");
    let lost = !is_whole("unsynced");
    for name in ["synced", "unsynced"] {
        let _ = std::fs::remove_file(root.join(name));
    }
    lost
}
