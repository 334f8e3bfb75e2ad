//! The vocabulary of entries and applications does what it says: without any one key, a fixture fails.

use grantkeeper::registry::KEYS;
use grantkeeper::replay::{Fixture, replay_without, shipped};

#[tokio::test(flavor = "multi_thread")]
async fn without_any_one_key_a_fixture_fails() {
    let fixtures: Vec<Fixture> = shipped().into_iter().map(Result::unwrap).collect();
    let mut dead = Vec::new();
    for key in KEYS {
        let mut used = 0;
        let mut fails = false;
        for fixture in &fixtures {
            // Nothing comes of a key that neither the fixture nor its entry has.
            let Some(report) = replay_without(fixture, None, key).await else { continue };
            used += 1;
            if !report.passed() {
                fails = true;
                break;
            }
        }
        if !fails {
            dead.push(format!("{key} (used by {used})"));
        }
    }
    assert!(dead.is_empty(), "no fixture fails without: {}", dead.join(", "));
}
