//! The vocabulary of entries and applications does what it says: without any one key, a fixture fails.

use grantkeeper::registry::KEYS;
use grantkeeper::replay::{Fixture, replay_without, shipped};

#[tokio::test(flavor = "multi_thread")]
async fn without_any_one_key_a_fixture_fails() {
    let fixtures: Vec<Fixture> = shipped().into_iter().map(Result::unwrap).collect();
    let mut dead = Vec::new();
    for key in KEYS {
        let mut fails = false;
        for fixture in &fixtures {
            // Nothing comes of a key that neither the fixture nor its entry has.
            let Some(report) = replay_without(fixture, None, key).await else { continue };
            fails = !report.passed();
            if fails {
                break;
            }
        }
        if !fails {
            dead.push(key);
        }
    }
    assert_eq!(dead, Vec::<&str>::new(), "keys that no fixture fails without");
}
