//! The API, asked by a program that nobody here wrote and that knows no more of it than `/openapi.json`: Schemathesis.

use crate::support::outside::Outside;
use crate::support::shop::Shop;
use grantkeeper::demo::Habits;
use std::process::Command;

/// Names Schemathesis's program; `tests/run` installs it.
const PROGRAM: &str = "GRANTKEEPER_SCHEMATHESIS";

/// What is not asked: what goes on without an end, what waits for a person for a minute, and what writes anywhere on the disk.
const LEFT_OUT: &str = "(/stream$|/await$|/store/backup$)";

/// Taken for right by the document's words and refused for what it says: a callback that nobody waits for, a URL of a person's.
const REFUSED_ALL_THE_SAME: &str = "positive_data_acceptance";

/// Everything that the document allows, and much that it does not: no answer is an error of ours, and each is one that the document knows.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_that_can_be_made_of_the_document_is_too_much() {
    let Some(program) = std::env::var_os(PROGRAM) else {
        println!("LEFT OUT: {PROGRAM} names no Schemathesis; tests/run installs it");
        return;
    };
    let shop = Shop::connected(Habits::default()).await;
    // Nothing gets further than this machine, whatever addresses are made up.
    let outside = Outside::start(&shop.machine, "[http]\nproxy = \"http://127.0.0.1:9\"");
    let key = outside.key(&shop.machine, "fuzz", &["administer"]);
    // A provider's trouble (502, 503) is not ours.
    let checks = "[checks]\nnot_a_server_error.expected-statuses = [\"2xx\", \"4xx\", 502, 503]\n";
    let there = "[parameters]\n\"path.application\" = \"drive\"\n\"path.name\" = \"reports\"\n\"path.script\" = \"OAuthUtil\"\n\"path.provider\" = \"google\"\n";
    // Of names that it makes up, and of some that there are.
    for (name, parameters) in [("made-up.toml", ""), ("there.toml", there)] {
        let config = shop.machine.write(name, &format!("{parameters}{checks}"));
        let mut command = Command::new(&program);
        command
            .arg("--config-file")
            .arg(config)
            .args(["run", &format!("http://{}/openapi.json", outside.address)])
            .args(["--header", &format!("Authorization: Bearer {key}")])
            .args(["--phases", "coverage,fuzzing", "--max-examples", "15", "--seed", "20261130"])
            .args(["--exclude-path-regex", LEFT_OUT, "--exclude-checks", REFUSED_ALL_THE_SAME])
            .args(["--request-timeout", "60", "--no-color"]);
        if !parameters.is_empty() {
            command.args(["--exclude-method", "DELETE"]);
        }
        let ran = command.current_dir(shop.machine.path(".")).output().unwrap();
        let told = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "{told}\n{}", String::from_utf8_lossy(&ran.stderr));
        assert!(told.contains("generated"), "{told}");
    }
    // It lives, and its log is whole.
    assert_eq!(outside.ask(None, "GET", "/ready", None).status, 200);
    shop.machine.run(&["audit", "--verify"]).done();
    let log = outside.daemon.stopped();
    assert!(!log.err.contains("panicked"), "{}", log.err);
}
