//! What a newcomer runs first: the demo and the three examples.

use std::process::Command;

#[test]
fn the_demo_comes_to_its_end_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let demo = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grantkeeper"));
        command.args(args).env("TMPDIR", temporary.path()).env("HOME", temporary.path()).output().unwrap()
    };
    let shown = demo(&["demo"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success(), "{text}");
    assert!(!text.contains('✗') && text.matches('✓').count() >= 15, "{text}");
    assert!(!text.contains("demo-access-") && !text.contains("demo-refresh-"), "a token was printed: {text}");
    let steps: serde_json::Value = serde_json::from_slice(&demo(&["demo", "--json"]).stdout).unwrap();
    assert_eq!(steps.as_array().unwrap().len(), 8);
    let left: Vec<_> = std::fs::read_dir(temporary.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn every_example_runs_offline() {
    for example in ["google_drive", "non_json_provider", "background_refresh"] {
        let ran =
            Command::new(env!("CARGO")).args(["run", "--quiet", "--offline", "--example", example]).output().unwrap();
        assert!(ran.status.success(), "{example}: {}", String::from_utf8_lossy(&ran.stderr));
        assert!(!ran.stdout.is_empty(), "{example} says nothing");
    }
}
