//! What a newcomer runs first: the demo, the three examples, and the README's own provider.

use crate::support::machine::Machine;
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

/// The README's entry, script and fixture, word for word.
#[test]
fn the_readmes_own_provider_works() {
    let page = include_str!("../../README.md");
    let blocks = |language: &str| -> Vec<&str> {
        let fence = format!("```{language}\n");
        page.split(fence.as_str()).skip(1).map(|rest| rest.split_once("\n```").unwrap().0).collect()
    };
    let (files, scripts) = (blocks("toml"), blocks("rhai"));
    let entry = files.iter().find(|text| text.starts_with("# acme.toml")).unwrap();
    let fixture = files.iter().find(|text| text.starts_with("# fixtures/acme/code.toml")).unwrap();
    let machine = Machine::new();
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(machine.home().join("scripts/OAuthAcme.rhai"), scripts[0]).unwrap();
    std::fs::write(folder.path().join("code.toml"), fixture).unwrap();
    std::fs::write(folder.path().join("acme.toml"), entry.replace("{ env = \"ACME_CLIENT_SECRET\" }", "\"s\""))
        .unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    machine.run(&["script", "check", "OAuthAcme"]).done();
    assert!(machine.run(&["script", "test", &path("code.toml")]).done().contains("1 passed, 0 failed"));
    machine.run(&["app", "apply", "-f", &path("acme.toml"), "--secrets-in-file"]).done();
}
