//! kill -9, again and again, in the midst of refreshing.

use super::child::Child;
use super::dice::Dice;
use super::scene::{Counts, Left, Scene};
use super::{is_soak, say};
use crate::support::machine::copy;
use std::time::Duration;

/// Connections that are refreshed at once.
const CONNECTIONS: usize = 12;

#[tokio::test]
async fn a_process_that_is_killed_loses_no_grant_whose_reply_was_durable() {
    let rounds = if is_soak() { 200 } else { 20 };
    let mut dice = Dice::of("kill -9");
    let folder = tempfile::tempdir().unwrap();
    let mut scene = Scene::new(&folder.path().join("home"), &folder.path().join("keys"), CONNECTIONS, 0).await;
    let (mut counts, mut kills) = (Counts::default(), 0);
    for round in 0..rounds {
        // Now and then the process that recovers is killed too, before anybody has stopped cleanly.
        while dice.once_in(3) {
            live_and_die(&mut scene, &mut dice, &mut counts).await;
            kills += 1;
            let left = folder.path().join(format!("left-{round}"));
            copy(&scene.home.store(), &left);
            drop(scene.look(&left, &mut counts).await);
            std::fs::remove_dir_all(&left).unwrap();
        }
        live_and_die(&mut scene, &mut dice, &mut counts).await;
        kills += 1;
        let store = scene.look(&scene.home.store(), &mut counts).await;
        scene.recover(store).await;
    }
    say(&format!("kill -9, {kills} kills: {counts}"));
    // Had the kills always come between two refreshes, they would have shown nothing.
    for left in [Left::Current, Left::NeverArrived, Left::ReplyKept, Left::InDoubt] {
        assert!(counts.left.contains_key(&left), "no kill left a connection {left:?}: {counts}");
    }
}

/// A process refreshes everything until it is killed: after so many tokens and a moment more, or while it still opens the store.
async fn live_and_die(scene: &mut Scene, dice: &mut Dice, counts: &mut Counts) {
    let mut child = Child::start(&scene.home, &scene.keys);
    let tokens = if dice.once_in(5) { 0 } else { dice.below(60) + 1 };
    child.has_told(tokens).await;
    let moment = Duration::from_micros(dice.next() % if tokens == 0 { 200_000 } else { 10_000 });
    #[allow(clippy::disallowed_methods)] // a kill comes at a time and not at an event
    tokio::time::sleep(moment).await;
    let told = child.kill().await;
    scene.quiet().await;
    let failures = scene.heard(told, counts);
    assert!(failures.is_empty(), "nothing but kills went wrong: {failures:?}");
}
