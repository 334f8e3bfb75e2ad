//! `exec`: a command that has a token.

use crate::support::machine::Ran;
use crate::support::shop::{Consenting, NAME, Shop, ended};
use grantkeeper::demo::{Door, Fault, Habits};
use grantkeeper::store::{SledOptions, SledStore};

fn exec(shop: &Shop, options: &[&str], script: &str) -> Ran {
    shop.machine.run(&[&["exec", NAME], options, &["--", "/bin/sh", "-c", script]].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_the_token_in_a_variable_and_nowhere_else() {
    let shop = Shop::connected(Habits::default()).await;
    let token = shop.machine.run(&["token", NAME]).done();
    assert_eq!(exec(&shop, &[], "echo $ACCESS_TOKEN").done(), token);
    assert_eq!(exec(&shop, &["--env", "DRIVE_TOKEN"], "echo $DRIVE_TOKEN$ACCESS_TOKEN").done(), token);
    let arguments = exec(&shop, &[], "cat /proc/$$/cmdline").done();
    assert!(arguments.contains("cmdline") && !arguments.contains(token.trim()), "{arguments}");
    assert_eq!(shop.call(&token).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_by_a_descriptor_is_read_once_and_is_in_no_environment() {
    let shop = Shop::connected(Habits::default()).await;
    let token = shop.machine.run(&["token", NAME]).done();
    for (fd, script) in [
        ("3", "cat <&3"),
        ("9", "cat /dev/fd/9"),
        ("0", "cat"),
        ("200", "cat /proc/self/fd/200; cat /proc/self/fd/200"),
    ] {
        assert_eq!(exec(&shop, &["--fd", fd], script).done(), token, "{fd}");
    }
    let environment = exec(&shop, &["--fd", "3"], "cat /proc/$$/environ").done();
    assert!(environment.contains("HOME") && !environment.contains(token.trim()), "{environment}");
    exec(&shop, &["--fd", "1"], "true").failed(2);
    exec(&shop, &["--fd", "3", "--env", "X"], "true").failed(2);
    exec(&shop, &["--env", "A=B"], "true").failed(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_end_is_the_end() {
    let shop = Shop::connected(Habits::default()).await;
    for code in [0, 1, 4, 77, 255] {
        assert_eq!(exec(&shop, &[], &format!("exit {code}")).code, Some(code));
    }
    let script = format!("\"$GRANTKEEPER\" exec {NAME} -- /bin/sh -c 'kill -KILL $$'; echo $?");
    assert_eq!(shop.machine.shell(&script).done(), "137\n", "128 and the signal, as a shell says it");
    assert!(shop.machine.run(&["exec", NAME, "--", "no-such-command"]).failed(127).contains("no-such-command"));
    assert!(shop.machine.run(&["exec", NAME, "--", "/etc/passwd"]).failed(126).contains("cannot be run"));
    assert_eq!(shop.machine.run(&["exec", NAME]).code, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_reaches_the_command() {
    let shop = Shop::connected(Habits::default()).await;
    for signal in ["TERM", "INT", "HUP"] {
        let script = format!("trap 'echo got {signal}; exit 9' {signal}; echo ready; while :; do sleep 0.05; done");
        let (ready, child, out) =
            Consenting::first_line(&shop.machine, &["exec", NAME, "--", "/bin/sh", "-c", &script]);
        assert_eq!(ready, "ready");
        let kill = std::process::Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let ran = ended(child, out);
        assert_eq!((ran.code, ran.out.as_str()), (Some(9), format!("got {signal}\n").as_str()));
    }
    // A command whose reader has gone ends of it, as it would by itself.
    let script = format!("\"$GRANTKEEPER\" exec {NAME} -- yes | head -n 1");
    assert_eq!(shop.machine.shell(&script).done(), "y\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_free_while_the_command_runs() {
    let shop = Shop::connected(Habits::default()).await;
    let script = ["exec", NAME, "--", "/bin/sh", "-c", "echo ready; read line; echo $line"];
    let (ready, mut child, out) = Consenting::first_line(&shop.machine, &script);
    assert_eq!(ready, "ready");
    let mut options = SledOptions::default();
    options.wait = std::time::Duration::ZERO;
    drop(SledStore::open(&shop.machine.home().join("store"), &options).expect("nobody holds the store"));
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
    let held: Vec<_> = descriptors.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok()).collect();
    assert!(!held.iter().any(|file| file.starts_with(shop.machine.home())), "{held:?}");
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"its input is its own\n").unwrap();
    assert_eq!(ended(child, out).done(), "its input is its own\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_a_token_is_not_run() {
    let shop = Shop::connected(Habits::default()).await;
    let first = shop.machine.run(&["token", NAME]).done();
    shop.machine.run(&["tokens", "expire", &shop.credential("access_token"), "--at", "+2m"]).done();
    assert_eq!(exec(&shop, &["--min-ttl", "1m"], "echo $ACCESS_TOKEN").done(), first);
    shop.provider.next(Door::Token, Fault::Status(503));
    assert!(exec(&shop, &["--min-ttl", "5m"], "echo ran").failed(5).contains("next try at"));
    shop.machine.run(&["refresh", NAME]).done();
    assert_ne!(exec(&shop, &["--min-ttl", "5m"], "echo $ACCESS_TOKEN").done(), first);
    shop.machine.run(&["exec", "drive/nobody", "--", "/bin/sh", "-c", "echo ran"]).failed(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_has_a_token_has_not_the_keys() {
    let shop = Shop::connected(Habits::default()).await;
    let keys = std::fs::read_to_string(shop.machine.key_file()).unwrap();
    let says = "echo ${GRANTKEEPER_KEYS-none} ${CREDENTIALS_DIRECTORY-none}";
    let mut command = shop.machine.command(&["exec", NAME, "--", "/bin/sh", "-c", says]);
    let folder = shop.machine.path("credentials");
    let ran = Ran::of(command.env("GRANTKEEPER_KEYS", keys).env("CREDENTIALS_DIRECTORY", folder).output().unwrap());
    assert_eq!(ran.done(), "none none\n");
}
