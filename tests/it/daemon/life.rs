//! Starting, stopping, and being killed.

use crate::support::daemon::Daemon;
use crate::support::machine::{Machine, Ran};
use crate::support::shop::{Consenting, NAME, Shop, ended};
use grantkeeper::demo::{Door, Fault, Gate, Habits, Rotation};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Child, Stdio};

/// A provider that takes an old refresh token for a minute after it gave a new one.
fn forgiving() -> Habits {
    Habits { rotation: Rotation::Always { grace_seconds: 60 }, ..Habits::default() }
}

/// Starts a command whose output is looked at later.
fn started(machine: &Machine, arguments: &[&str]) -> Child {
    let mut command = machine.command(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn came(child: Child) -> Ran {
    Ran::of(child.wait_with_output().unwrap())
}

#[test]
fn a_daemon_says_when_it_is_ready_and_how_long_its_stop_took() {
    let machine = Machine::new();
    let nobody = machine.run(&["health"]).failed(5);
    assert!(nobody.contains("no daemon answers in the home") && nobody.contains("grantkeeper serve"), "{nobody}");
    for signal in ["TERM", "INT"] {
        let daemon = Daemon::start(&machine);
        assert!(daemon.ready.starts_with(&format!("listening on {}", daemon.socket.display())), "{}", daemon.ready);
        assert!(daemon.ready.contains(&format!("(process {}); 0 connections", daemon.id())), "{}", daemon.ready);
        let socket = daemon.socket.clone();
        let health = machine.run(&["health"]).done();
        assert!(health.contains(&format!("process {}, since ", daemon.id())) && health.contains(": ok"), "{health}");
        daemon.signal(signal);
        let said = daemon.ended().done();
        assert!(said.starts_with("stopped after 0") && said.contains("is finished"), "{said}");
        assert!(!socket.exists());
    }
    let daemon = Daemon::start_with(&machine, &["serve", "--json"]);
    let ready: Value = serde_json::from_str(&daemon.ready).unwrap();
    assert_eq!((&ready["process"], &ready["connections"]), (&daemon.id().into(), &0.into()));
    let health = daemon.ask("GET", "/v1/health", None).json(200);
    assert_eq!((&health["status"], &health["process"]), (&"ok".into(), &daemon.id().into()));
    let said: Value = serde_json::from_str(&machine.run(&["health", "--json"]).done()).unwrap();
    assert_eq!(said, health);
    let stopped: Value = serde_json::from_str(&daemon.stopped().done()).unwrap();
    assert_eq!((&stopped["stopped"], &stopped["clean"]), (&true.into(), &true.into()));
}

#[test]
fn a_service_manager_is_told_when_the_daemon_answers_and_when_it_stops() {
    let machine = Machine::new();
    let manager = UnixDatagram::bind(machine.path("notify")).unwrap();
    manager.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let mut command = machine.command(&["serve"]);
    command.env("NOTIFY_SOCKET", machine.path("notify")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let told = || {
        let mut text = [0; 64];
        let length = manager.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    };
    assert_eq!(told(), "READY=1");
    assert!(machine.home().join("grantkeeper.sock").exists(), "it answers by then");
    let sent = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
    assert_eq!(told(), "STOPPING=1");
    came(child).done();
}

#[test]
fn a_second_daemon_says_who_serves_already() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine);
    let sentence = machine.run(&["serve"]).failed(1);
    assert!(sentence.contains("serves") && sentence.contains(&format!("(process {})", daemon.id())), "{sentence}");
    daemon.ask("GET", "/v1/health", None).json(200);
    daemon.stopped().done();
}

#[test]
fn what_a_killed_daemon_left_is_replaced() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine);
    let socket = daemon.socket.clone();
    daemon.signal("KILL");
    assert_eq!(daemon.ended().code, None);
    assert!(socket.exists(), "kill -9 leaves it");
    machine.run(&["app", "list"]).done();
    let daemon = Daemon::start(&machine);
    daemon.ask("GET", "/v1/health", None).json(200);
    daemon.stopped().done();
    // Not even a socket.
    std::fs::write(&socket, "x").unwrap();
    machine.run(&["app", "list"]).done();
    Daemon::start(&machine).stopped().done();
    assert!(!socket.exists());
}

#[test]
fn a_home_with_a_long_path_is_served_too() {
    let machine = Machine::bare();
    let home = machine.path(&"long".repeat(30));
    let home = home.to_str().unwrap();
    machine.run(&["--home", home, "init"]).done();
    let daemon = Daemon::start_with(&machine, &["--home", home, "serve"]);
    let secret =
        ["--home", home, "app", "add", "g", "--provider", "google-drive", "--client-id", "x", "--client-secret-stdin"];
    machine.run_with(&secret, "s").done();
    assert!(machine.run(&["--home", home, "serve"]).failed(1).contains("already"), "it is found");
    daemon.stopped().done();
    assert!(machine.run(&["--home", home, "app", "list"]).done().contains("google-drive"));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_commands_cause_one_refresh() {
    let shop = Shop::connected(Habits::default()).await;
    let daemon = Daemon::start(&shop.machine);
    shop.machine.run(&["tokens", "expire", &shop.credential("access_token"), "--at", "-1d"]).done();
    let gate = Gate::new();
    shop.provider.next(Door::Token, Fault::Hold(gate.clone()));
    let children: Vec<Child> = (0..8).map(|_| started(&shop.machine, &["token", NAME])).collect();
    gate.reached_by(1).await;
    gate.open();
    let tokens: Vec<String> = children.into_iter().map(|child| came(child).done()).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "one token for all");
    assert_eq!(shop.provider.token_requests("refresh_token"), 1);
    assert_eq!(shop.call(&tokens[0]).await, 200);
    daemon.stopped().done();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_refreshed_without_anybody_asking() {
    let shop = Shop::connected(Habits { access_token_seconds: 4, ..Habits::default() }).await;
    let daemon = Daemon::start(&shop.machine);
    let (line, child, mut out) =
        Consenting::first_line(&shop.machine, &["events", "--follow", "--json", "--kind", "refreshed"]);
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["connection"], NAME);
    // And again.
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["kind"], "refreshed");
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    ended(child, out);
    daemon.stopped().done();
    assert!(shop.provider.token_requests("refresh_token") >= 2);
}

#[test]
fn whoever_waits_for_a_daemon_that_hangs_is_told() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine);
    daemon.signal("STOP");
    let mut waiting = started(&machine, &["app", "list"]);
    let mut said = String::new();
    BufReader::new(waiting.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("does not answer") && said.contains("grantkeeper health"), "{said}");
    daemon.signal("CONT");
    came(waiting).done();
    daemon.stopped().done();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_a_rotation_that_is_under_way() {
    let shop = Shop::connected(Habits::default()).await;
    let daemon = Daemon::start(&shop.machine);
    let gate = Gate::new();
    shop.provider.next(Door::Token, Fault::Hold(gate.clone()));
    let refreshing = started(&shop.machine, &["refresh", NAME]);
    gate.reached_by(1).await;
    daemon.signal("TERM");
    gone(&daemon);
    gate.open();
    came(refreshing).done();
    let said = daemon.ended().done();
    assert!(said.contains("is finished"), "{said}");
    assert_eq!(shop.call(&shop.machine.run(&["token", NAME]).done()).await, 200);
    assert_eq!(shop.provider.token_requests("refresh_token"), 1, "nothing was in doubt");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_stops_nothing_that_was_begun() {
    let shop = Shop::connected(Habits::default()).await;
    let daemon = Daemon::start(&shop.machine);
    let gate = Gate::new();
    shop.provider.next(Door::Revocation, Fault::Hold(gate.clone()));
    let mut stream = UnixStream::connect(&daemon.socket).unwrap();
    write!(stream, "POST /v1/connections/drive/reports/revoke HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    gate.reached_by(1).await;
    drop(stream);
    daemon.signal("TERM");
    gone(&daemon);
    gate.open();
    daemon.ended().done();
    let said = shop.machine.run(&["revoke", NAME]).done();
    assert!(!said.contains("the provider revoked it"), "it was told already, and both tokens are gone: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once_and_the_journal_goes_on_from_there() {
    let shop = Shop::connected(forgiving()).await;
    let daemon = Daemon::start(&shop.machine);
    let gate = Gate::new();
    shop.provider.next(Door::Token, Fault::Hold(gate.clone()));
    let refreshing = started(&shop.machine, &["refresh", NAME]);
    gate.reached_by(1).await;
    daemon.signal("TERM");
    gone(&daemon);
    daemon.signal("TERM");
    let said = daemon.ended().done();
    assert!(said.contains("journaled"), "{said}");
    let sentence = came(refreshing).failed(5);
    assert!(sentence.contains("stopped half-way") && sentence.contains("may have been done or not"), "{sentence}");
    gate.open();
    shop.machine.run(&["refresh", NAME]).done();
    assert_eq!(shop.call(&shop.machine.run(&["token", NAME]).done()).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_in_a_refresh_starts_again_and_settles_it() {
    let shop = Shop::connected(forgiving()).await;
    let daemon = Daemon::start(&shop.machine);
    let gate = Gate::new();
    shop.provider.next(Door::Token, Fault::Hold(gate.clone()));
    let refreshing = started(&shop.machine, &["refresh", NAME]);
    gate.reached_by(1).await;
    daemon.signal("KILL");
    daemon.ended();
    assert!(came(refreshing).failed(5).contains("stopped half-way"));
    gate.open();
    let daemon = Daemon::start(&shop.machine);
    shop.machine.run(&["refresh", NAME]).done();
    assert_eq!(shop.call(&shop.machine.run(&["token", NAME]).done()).await, 200);
    assert_eq!(daemon.ask("GET", "/v1/connections/drive/reports", None).json(200)["state"], "active");
    daemon.stopped().done();
}

/// Returns when a daemon that was told to stop takes nobody in any more.
fn gone(daemon: &Daemon) {
    while UnixStream::connect(&daemon.socket).is_ok() {
        std::thread::yield_now();
    }
}
