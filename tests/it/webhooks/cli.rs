//! As a person has webhooks, and as the daemon delivers them.

use super::{Does, Endpoint, until};
use crate::support::daemon::Daemon;
use crate::support::house::holding;
use crate::support::machine::Machine;
use crate::support::outside::Outside;
use crate::support::shop::{NAME, Shop};
use grantkeeper::demo::Habits;
use serde_json::json;

const URL: &str = "https://hooks.example.com/marked-path";

#[test]
fn a_secret_is_printed_once_alone_on_standard_output_and_nowhere_else() {
    let machine = Machine::new();
    let ran = machine.run(&["webhook", "add", "ops", URL, "--kind", "revoked", "--for", "drive/*"]);
    let shown = ran.out.trim_end().to_owned();
    assert_eq!((ran.code, ran.out.lines().count()), (Some(0), 1), "{ran:?}");
    let secret = shown.strip_prefix("whsec_").unwrap();
    assert!(ran.err.contains("shown this once") && ran.err.contains("revoked of drive/*") && !ran.err.contains(secret));
    assert!(ran.err.contains("drive/* means nothing yet: there is no application drive"), "{}", ran.err);
    let rotated = machine.run(&["webhook", "rotate-secret", "ops"]);
    assert!(rotated.err.contains("for a day") && rotated.out.starts_with("whsec_"), "{rotated:?}");
    let list = machine.run(&["webhook", "list"]).done();
    assert!(list.contains("ops") && list.contains("active") && list.contains("revoked of drive/*"), "{list}");
    let show = machine.run(&["webhook", "show", "ops"]).done();
    assert!(show.contains(URL) && show.contains("waiting"), "{show}");
    let json = machine.run(&["webhook", "list", "--json"]).json();
    assert_eq!((&json[0]["for"], &json[0]["state"]), (&json!(["drive/*"]), &json!("active")));
    let made = machine.run(&["webhook", "add", "other", URL, "--json"]).json();
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_") && made["name"] == "other", "{made}");
    let audit = machine.run(&["audit"]).done();
    assert!(audit.contains("webhook.create") && audit.contains("webhook ops"), "{audit}");
    let new = rotated.out.trim_end().strip_prefix("whsec_").unwrap();
    for text in [list, show, json.to_string(), audit, machine.run(&["audit", "--json"]).done(), ran.err, rotated.err] {
        assert!(!text.contains(secret) && !text.contains(new), "{text}");
    }
    assert_eq!(holding(&machine.path(""), secret.as_bytes()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn what_is_no_webhook_is_refused_with_what_to_do() {
    let machine = Machine::new();
    for (arguments, code, said) in [
        (&["webhook", "add", "ops", "http://hooks.example.com/"][..], 2, "must be https"),
        (&["webhook", "add", "ops", "https://169.254.169.254/latest"], 2, "metadata"),
        (&["webhook", "add", "ops", "https://u:p@hooks.example.com/"], 2, "no user name"),
        (&["webhook", "add", "OPS!", URL], 2, "use 1 to 63"),
        (&["webhook", "add", "ops", URL, "--kind", "none"], 2, "possible values"),
        (&["webhook", "add", "ops", URL, "--for", "drive"], 2, "APPLICATION/*"),
        (&["webhook", "edit", "ops"], 2, "--all-kinds"),
        (&["webhook", "edit", "ops", "--all-kinds", "--kind", "revoked"], 2, "cannot be used"),
        (&["webhook", "show", "none"], 3, "webhook list"),
        (&["webhook", "remove", "none"], 3, "webhook list"),
    ] {
        let sentence = machine.run(arguments).failed(code);
        assert!(sentence.contains(said), "{arguments:?}: {sentence}");
    }
    machine.run(&["webhook", "add", "ops", URL]).done();
    assert!(machine.run(&["webhook", "add", "ops", URL]).failed(1).contains("webhook edit ops"));
}

#[test]
fn a_url_may_be_read_from_standard_input() {
    let machine = Machine::new();
    machine.run_with(&["webhook", "add", "ops", "-"], &format!("{URL}\n")).done();
    assert_eq!(machine.run(&["webhook", "show", "ops", "--json"]).json()["url"], URL);
    machine.run_with(&["webhook", "edit", "ops", "--url", "-"], "https://hooks.example.com/other").done();
    assert_eq!(machine.run(&["webhook", "show", "ops", "--json"]).json()["url"], "https://hooks.example.com/other");
    let sentence = machine.run_with(&["webhook", "add", "more", "-"], "http://hooks.example.com/marked").failed(2);
    assert!(sentence.contains("must be https") && !sentence.contains("marked"), "{sentence}");
}

#[test]
fn enabling_says_what_it_did() {
    let machine = Machine::new();
    machine.run(&["webhook", "add", "ops", URL]).done();
    let enable = |more: &[&str]| machine.run(&[&["webhook", "enable", "ops"], more].concat()).done();
    assert!(enable(&[]).contains("is enabled already; nothing was changed"));
    assert!(enable(&["--from-now"]).contains("goes on with what is new"));
    machine.run(&["webhook", "disable", "ops"]).done();
    assert!(enable(&[]).contains("goes on from where it stopped"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_tells_endpoints_of_what_happens_and_of_nothing_secret_in_its_log() {
    let shop = Shop::connected(Habits::default()).await;
    let (endpoint, gone) = (Endpoint::answering(200).await, Endpoint::answering(410).await);
    // Made without a daemon, and with one.
    let secret = shop.machine.run(&["webhook", "add", "ops", &endpoint.url]).done();
    // Nobody reads the log before its end, so little is asked.
    let daemon = Daemon::start_with(&shop.machine, &["serve", "-vvv"]);
    let other = shop.machine.run(&["webhook", "add", "gone", &gone.url, "--kind", "refreshed"]).done();
    shop.machine.run(&["refresh", NAME]).done();
    let message = endpoint.messages(1).await.remove(0);
    assert!(message.is_signed_with(secret.trim()), "{message:?}");
    let json = message.json();
    assert_eq!((&json["type"], &json["data"]["connection"]), (&json!("refreshed"), &json!(NAME)));
    assert!(gone.messages(1).await[0].is_signed_with(other.trim()));
    let ran = daemon.stopped();
    assert_eq!(ran.code, Some(0));
    for text in [secret.trim(), other.trim()] {
        assert!(!ran.err.contains(&text[6..]) && !ran.out.contains(&text[6..]), "{ran:?}");
    }
    assert!(!ran.err.contains("marked-path"), "{}", ran.err);
    // What was on its way at the stop was heard of.
    assert!(ran.err.contains("410 Gone"), "{}", ran.err);
    let shown = shop.machine.run(&["webhook", "list", "--json"]).json();
    assert_eq!((&shown[0]["state"], &shown[1]["delivered"]), (&json!("disabled"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_messages_and_tests_is_shown() {
    let shop = Shop::connected(Habits::default()).await;
    let (endpoint, gone) = (Endpoint::answering(200).await, Endpoint::answering(410).await);
    let daemon = Daemon::start(&shop.machine);
    shop.machine.run(&["webhook", "add", "ops", &endpoint.url]).done();
    shop.machine.run(&["webhook", "add", "gone", &gone.url]).done();
    shop.machine.run(&["refresh", NAME]).done();
    let state = |called: &str| shop.machine.run(&["webhook", "show", called, "--json"]).json();
    until("it is disabled", async || state("gone")["state"] == "disabled").await;
    assert_eq!(state("gone")["disabled"]["reason"], "gone");
    let shown = shop.machine.run(&["webhook", "show", "gone"]).done();
    assert!(shown.contains("410 Gone") && shown.contains("tried once") && !shown.contains("again"), "{shown}");
    assert!(shop.machine.run(&["webhook", "list"]).done().contains("410"));
    until("it is written down", async || state("ops")["delivered"] == 1).await;
    let tested = shop.machine.run(&["webhook", "test", "ops"]).done();
    assert!(tested.contains("200"), "{tested}");
    let refused = shop.machine.run(&["webhook", "test", "gone"]).failed(1);
    assert!(refused.contains("410"), "{refused}");
    assert_eq!(daemon.ask("DELETE", "/v1/webhooks/gone", None).status, 204);
    daemon.ask("GET", "/v1/webhooks/gone", None).problem(404);
    daemon.ask("POST", "/v1/webhooks", Some(r#"{"name":"x","url":"http://192.0.2.1/"}"#)).problem(400);
    daemon.ask("POST", "/v1/webhooks", Some(r#"{"name":"x","url":"https://a.example/","kind":[]}"#)).problem(400);
    daemon.stopped().done();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_was_killed_is_followed_by_one_that_goes_on() {
    let shop = Shop::connected(Habits::default()).await;
    let endpoint = Endpoint::that(|_| Does::Hangs).await;
    shop.machine.run(&["webhook", "add", "ops", &endpoint.url]).done();
    let daemon = Daemon::start(&shop.machine);
    shop.machine.run(&["refresh", NAME]).done();
    endpoint.messages(1).await;
    daemon.signal("KILL");
    daemon.ended();
    shop.machine.run(&["refresh", NAME]).done();
    endpoint.now(|_| Does::Status(200));
    let daemon = Daemon::start(&shop.machine);
    let messages = endpoint.messages(3).await;
    assert_eq!(messages[0].id, messages[1].id, "what was on its way is sent again, as the same message");
    assert_ne!(messages[1].id, messages[2].id);
    daemon.stopped().done();
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_count_tries_and_what_waits() {
    let shop = Shop::connected(Habits::default()).await;
    let endpoint = Endpoint::answering(500).await;
    let outside = Outside::start(&shop.machine, "");
    let key = outside.key(&shop.machine, "prometheus", &["administer"]);
    let manager = outside.key(&shop.machine, "manager", &["manage:*"]);
    shop.machine.run(&["webhook", "add", "ops", &endpoint.url]).done();
    shop.machine.run(&["refresh", NAME]).done();
    endpoint.messages(1).await;
    let figures = || outside.ask(Some(&key), "GET", "/metrics", None).body;
    until("a try is counted", async || figures().contains("grantkeeper_webhook_waiting{webhook=\"ops\"} 1")).await;
    let text = figures();
    assert!(text.contains("grantkeeper_webhook_deliveries_total{webhook=\"ops\",outcome=\"failed\"} "), "{text}");
    outside.ask(Some(&manager), "GET", "/v1/webhooks", None).problem(403);
    shop.machine.run(&["webhook", "remove", "ops"]).done();
    assert!(!figures().contains("webhook_waiting{"), "{}", figures());
    outside.daemon.stopped().done();
}
