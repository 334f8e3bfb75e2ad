//! `events`: looking back, and listening.

use crate::support::shop::{Consenting, NAME, Shop, ended};
use grantkeeper::demo::{Door, Fault, Habits};
use serde_json::Value;
use std::io::BufRead as _;

#[tokio::test(flavor = "multi_thread")]
async fn events_are_shown_and_chosen() {
    let shop = Shop::connected(Habits::default()).await;
    shop.provider.next(Door::Token, Fault::Status(503));
    shop.machine.run(&["refresh", NAME]).failed(5);
    shop.machine.run(&["refresh", NAME]).done();
    let table = shop.machine.run(&["events"]).done();
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 5, "{table}");
    for column in ["NUMBER", "TIME", "KIND", "CONNECTION", "DETAILS"] {
        assert!(rows[0].contains(column), "{table}");
    }
    assert!(rows[2].starts_with("2 ") && rows[2].contains("degraded") && rows[2].contains(NAME), "{table}");
    assert!(table.contains("failure.status=503"), "{table}");
    let kinds = |arguments: &[&str]| {
        let json = shop.machine.run(&[&["events", "--json"], arguments].concat()).json();
        let kinds = json.as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap().to_owned());
        kinds.collect::<Vec<_>>()
    };
    assert_eq!(kinds(&[]), ["authorized", "degraded", "refreshed", "recovered"]);
    assert_eq!(kinds(&["--limit", "2"]), ["refreshed", "recovered"], "the newest");
    assert_eq!(kinds(&["--after", "1", "--limit", "2"]), ["degraded", "refreshed"], "the first after it");
    assert_eq!(kinds(&["--kind", "degraded"]), ["degraded"]);
    assert_eq!(kinds(&["--connection", "drive/other"]), [""; 0]);
    assert_eq!(kinds(&["--connection", NAME, "--after", "3"]), ["recovered"]);
    let event = shop.machine.run(&["events", "--json", "--limit", "1"]).json()[0].clone();
    for name in ["sequence", "id", "at", "kind", "connection", "application", "details"] {
        assert!(!event[name].is_null(), "{name}: {event}");
    }
    let mistake = shop.machine.run(&["events", "--kind", "refreshd"]).failed(2);
    assert!(mistake.contains("reauthorization_required"), "the kinds are named: {mistake}");
    let none = shop.machine.run(&["events", "--after", "99"]);
    assert!(none.err.contains("there are no such events"), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_gets_a_line_an_event_holds_nobody_up_and_ends_with_ctrl_c() {
    let shop = Shop::connected(Habits::default()).await;
    let arguments = ["events", "--follow", "--json", "--limit", "1"];
    let (first, child, mut out) = Consenting::first_line(&shop.machine, &arguments);
    assert_eq!(serde_json::from_str::<Value>(&first).unwrap()["kind"], "authorized");
    // Other processes work with the store all the while.
    for _ in 0..3 {
        shop.machine.run(&["refresh", NAME]).done();
    }
    shop.machine.run(&["revoke", NAME]).done();
    let mut kinds = Vec::new();
    for sequence in 2..=5 {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["sequence"], sequence);
        kinds.push(event["kind"].as_str().unwrap().to_owned());
    }
    assert_eq!(kinds, ["refreshed", "refreshed", "refreshed", "revoked"]);
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
    let ran = ended(child, out);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "", ""));
}
