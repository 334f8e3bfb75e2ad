//! Over the daemon's socket.

use crate::support::daemon::Daemon;
use crate::support::machine::Machine;
use serde_json::json;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

#[test]
fn keys_are_made_listed_and_revoked_over_the_socket_and_shown_once() {
    let machine = Machine::new();
    let daemon = Daemon::start_with(&machine, &["serve", "-vvv"]);
    let body = json!({ "name": "reporting", "may": ["token:drive/*", "manage:slack/team"], "expires": "2999-01-01T00:00:00Z" });
    let answer = daemon.ask("POST", "/v1/api-keys", Some(&body.to_string()));
    assert!(answer.head.contains("cache-control: no-store"), "{answer:?}");
    let made = answer.json(201);
    let shown = made["api_key"].as_str().unwrap().to_owned();
    assert_eq!((&made["may"], &made["state"]), (&body["may"], &json!("good")));
    let listed = daemon.ask("GET", "/v1/api-keys", None);
    assert_eq!(listed.json(200)[0]["name"], "reporting");
    assert!(listed.json(200)[0]["api_key"].is_null());
    let revoked = daemon.ask("DELETE", "/v1/api-keys/reporting", None);
    assert_eq!(revoked.json(200)["state"], "revoked");
    let audit = daemon.ask("GET", "/v1/audit", None);
    assert_eq!(audit.json(200)["entries"][0]["action"], "key.revoke");
    let password = json!({ "password": "marked horse battery" }).to_string();
    assert_eq!(daemon.ask("PUT", "/v1/administrator/password", Some(&password)).status, 204);
    let ran = daemon.stopped();
    for text in [listed.body, revoked.body, audit.body, ran.out, ran.err] {
        assert!(!text.contains(&shown[3..]) && !text.contains(&shown[30..]) && !text.contains("marked"), "{text}");
    }
}

#[test]
fn what_is_wrong_with_a_request_is_told_and_nothing_is_done() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine);
    for (method, path, body, status) in [
        ("POST", "/v1/api-keys", r#"{"name":"k","may":[]}"#, 400),
        ("POST", "/v1/api-keys", r#"{"name":"k","may":["token:drive"]}"#, 400),
        ("POST", "/v1/api-keys", r#"{"name":"K!","may":["token:*"]}"#, 400),
        ("POST", "/v1/api-keys", r#"{"name":"k","may":["token:*"],"expires":"2001-01-01T00:00:00Z"}"#, 400),
        ("POST", "/v1/api-keys", r#"{"name":"k","may":["token:*"],"expire":null}"#, 400),
        ("POST", "/v1/api-keys", "", 400),
        ("DELETE", "/v1/api-keys/none", "", 404),
        ("DELETE", "/v1/api-keys/N!", "", 400),
        ("PUT", "/v1/administrator/password", r#"{"password":"marked"}"#, 400),
        ("PUT", "/v1/administrator/password", r#"{"password":["marked"]}"#, 400),
        ("GET", "/v1/audit?limit=0", "", 400),
        ("GET", "/v1/audit?limit=501", "", 400),
        ("GET", "/v1/audit?action=key.steal", "", 400),
        ("GET", "/v1/audit?after=1&before=2", "", 400),
        ("GET", "/v1/audit?keys=x", "", 400),
        ("GET", "/v1/audit/stream?limit=5", "", 400),
        ("GET", "/v1/audit/verify?head=5", "", 400),
        ("POST", "/v1/audit", "{}", 405),
        ("DELETE", "/v1/audit", "", 405),
    ] {
        let answer = daemon.ask(method, path, Some(body).filter(|body| !body.is_empty()));
        answer.problem(status);
        assert!(!answer.body.contains("marked"), "{answer:?}");
    }
    assert_eq!(daemon.ask("GET", "/v1/api-keys", None).json(200), json!([]));
    let log = daemon.ask("GET", "/v1/audit", None).json(200);
    assert_eq!(log, json!({ "entries": [], "next": null, "unread": [] }));
    daemon.stopped().done();
}

#[test]
fn the_log_is_read_in_pages_both_ways_and_followed() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine);
    for number in 0..5 {
        let body = json!({ "name": format!("k{number}"), "may": ["token:*"] }).to_string();
        daemon.ask("POST", "/v1/api-keys", Some(&body)).json(201);
    }
    let page = |query: &str| {
        let list = daemon.ask("GET", &format!("/v1/audit?{query}"), None).json(200);
        let all = list["entries"].as_array().unwrap().iter();
        (all.map(|entry| entry["sequence"].as_u64().unwrap()).collect::<Vec<_>>(), list["next"].as_u64())
    };
    assert_eq!(page("limit=2"), (vec![5, 4], Some(4)));
    assert_eq!(page("limit=2&before=4"), (vec![3, 2], Some(2)));
    assert_eq!(page("limit=2&before=2"), (vec![1], None));
    assert_eq!(page("after=1&limit=2"), (vec![2, 3], Some(3)));
    assert_eq!(page("after=3&limit=2"), (vec![4, 5], Some(5)));
    assert_eq!(page("after=5"), (vec![], None));
    assert_eq!(page("key=k3&action=key.create"), (vec![4], None));
    assert_eq!(daemon.ask("GET", "/v1/audit/newest", None).json(200)["sequence"], 5);
    assert_eq!(daemon.ask("GET", "/v1/audit/verify", None).json(200)["findings"], json!([]));
    let mut stream = UnixStream::connect(&daemon.socket).unwrap();
    write!(stream, "GET /v1/audit/stream?after=4&action=key.revoke HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().contains("200"));
    daemon.ask("DELETE", "/v1/api-keys/k1", None).json(200);
    let line = lines.find(|line| line.starts_with('{')).unwrap();
    let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&entry["sequence"], &entry["target"]), (&json!(6), &json!({ "key": "k1" })));
    let said = daemon.stopped().done();
    assert!(said.starts_with("stopped after 0"), "a reader of the log keeps no daemon: {said}");
}
