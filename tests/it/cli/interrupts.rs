//! Ctrl-C and a service manager's end, while a command does something that must not be broken off.

use crate::support::daemon::Daemon;
use crate::support::machine::{Machine, Ran};
use crate::support::shop::{NAME, Shop};
use grantkeeper::demo::{Door, Fault, Gate, Habits, Rotation};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Stdio};

/// A command under way, and what it says meanwhile.
struct Running {
    child: Child,
    says: BufReader<ChildStderr>,
}

impl Running {
    fn start(machine: &Machine, arguments: &[&str]) -> Self {
        let mut command = machine.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let says = BufReader::new(child.stderr.take().unwrap());
        Self { child, says }
    }

    fn signal(&self, signal: &str) {
        let process = self.child.id().to_string();
        let sent = std::process::Command::new("kill").args([&format!("-{signal}"), &process]).status();
        assert!(sent.unwrap().success());
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line
    }

    fn ended(mut self) -> Ran {
        let mut rest = String::new();
        self.says.read_to_string(&mut rest).unwrap();
        Ran { err: rest, ..Ran::of(self.child.wait_with_output().unwrap()) }
    }
}

async fn reached(gate: &Gate) {
    let reached = tokio::time::timeout(std::time::Duration::from_secs(60), gate.reached_by(1));
    reached.await.expect("the provider is asked");
}

/// A provider that ends a grant whose refresh token is used twice.
fn strict() -> Habits {
    Habits { rotation: Rotation::Always { grace_seconds: 0 }, ..Habits::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_rotates_is_taken_over_before_an_interrupted_command_ends() {
    for (arguments, signal, code) in [
        (&["refresh", NAME][..], "INT", 130),
        (&["refresh", NAME], "TERM", 143),
        (&["token", NAME, "--rejected=1"], "INT", 130),
    ] {
        let shop = Shop::connected(strict()).await;
        let gate = Gate::new();
        shop.provider.next(Door::Token, Fault::Hold(gate.clone()));
        let mut running = Running::start(&shop.machine, arguments);
        reached(&gate).await;
        running.signal(signal);
        let said = running.line();
        assert!(said.contains("is finished first"), "{said}");
        gate.open();
        let told = running.ended().failed(code);
        assert!(told.contains("interrupted; what was under way was finished"), "{told}");
        // Had the reply been lost, this would be the end of the grant.
        shop.machine.run(&["refresh", NAME]).done();
        assert_eq!(shop.provider.token_requests("refresh_token"), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_interruption_ends_at_once_and_what_is_in_doubt_is_told() {
    let shop = Shop::connected(strict()).await;
    let gate = Gate::new();
    shop.provider.next(Door::Token, Fault::Hold(gate.clone()));
    let mut running = Running::start(&shop.machine, &["refresh", NAME]);
    reached(&gate).await;
    running.signal("INT");
    running.line();
    running.signal("INT");
    let told = running.ended().failed(130);
    assert!(told.contains("it is journaled"), "{told}");
    let shown = shop.machine.run(&["connections", "show", NAME]).done();
    assert!(shown.contains("in doubt"), "{shown}");
    gate.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_daemon_has_begun_it_finishes_whoever_is_interrupted() {
    let shop = Shop::connected(strict()).await;
    let daemon = Daemon::start(&shop.machine);
    let gate = Gate::new();
    shop.provider.next(Door::Token, Fault::Hold(gate.clone()));
    let running = Running::start(&shop.machine, &["refresh", NAME]);
    reached(&gate).await;
    let meanwhile = shop.machine.run(&["connections", "show", NAME]).done();
    assert!(meanwhile.contains("a refresh is under way"), "{meanwhile}");
    running.signal("INT");
    let told = running.ended().failed(130);
    assert!(told.contains("the daemon had begun it finishes"), "{told}");
    gate.open();
    shop.machine.run(&["refresh", NAME]).done();
    daemon.stopped().done();
}
