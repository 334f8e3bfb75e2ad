//! The API as anybody meets it who speaks HTTP over the socket.

use crate::support::daemon::Daemon;
use crate::support::machine::Machine;
use crate::support::shop::{CLIENT_SECRET, NAME, Shop, alice};
use grantkeeper::demo::{Door, Fault, Habits};
use grantkeeper::model::Timestamp;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

const REPORTS: &str = "/v1/connections/drive/reports";

#[test]
fn what_is_no_request_is_refused_with_a_problem() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine);
    assert_eq!(daemon.ask("GET", "/", None).problem(404)["code"], "no_route");
    assert_eq!(daemon.ask("GET", "/v2/health", None).problem(404)["code"], "no_route");
    assert_eq!(daemon.ask("PUT", "/v1/health", None).problem(405)["code"], "no_method");
    assert_eq!(daemon.ask("DELETE", "/v1/connections", None).problem(405)["code"], "no_method");
    for (method, path) in [("POST", "/health"), ("DELETE", "/v1/events")] {
        let answer = daemon.ask(method, path, None);
        assert_eq!((answer.status, answer.header("allow")), (405, "GET"), "{path}");
        assert!(answer.problem(405)["detail"].as_str().unwrap().contains("but with GET"), "{path}");
    }
    let head = daemon.ask("HEAD", "/v1/applications", None);
    assert!((head.status, head.body.as_str()) == (200, "") && head.header("content-length") == "2", "{head:?}");
    daemon.ask("GET", "/v1/connections/drive/a%20b", None).problem(400);
    daemon.ask("GET", "/v1/credentials/x", None).problem(400);
    // At once: nobody will come back with it.
    let never = daemon.ask("POST", "/v1/connections/drive/x/await", Some(r#"{"state":"never-given-out"}"#));
    assert_eq!(never.problem(400)["code"], "bad_callback");
    daemon.ask("POST", "/v1/complete", Some("{")).problem(400);
    let text = daemon.ask_with("POST", "/v1/complete", "content-type: text/plain\r\n", "{}");
    assert_eq!(text.problem(415)["exit_code"], 2);
    let missing = daemon.ask("GET", "/v1/connections/drive/none/token", None).problem(404);
    assert_eq!((&missing["code"], &missing["exit_code"]), (&json!("unknown_connection"), &json!(3)));
    assert_eq!(missing["type"], "urn:grantkeeper:problem:unknown_connection");
    daemon.stopped().done();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_put_off_is_told_until_when() {
    let shop = Shop::connected(Habits::default()).await;
    let daemon = Daemon::start(&shop.machine);
    shop.provider.next(Door::Token, Fault::TooManyRequests { retry_after: "300".to_owned() });
    let answer = daemon.ask("POST", &format!("{REPORTS}/refresh"), None);
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    // With the jitter of a first failure, and on a slow machine.
    assert!((200..=310).contains(&seconds), "{seconds}");
    let problem = answer.problem(503);
    assert_eq!((&problem["code"], &problem["retryable"]), (&json!("rate_limited"), &json!(true)), "{problem}");
    let next: Timestamp = problem["next_try"].as_str().unwrap().parse().unwrap();
    assert!(problem["detail"].as_str().unwrap().contains(&next.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()));
    daemon.stopped().done();
}

#[test]
fn unknown_fields_and_parameters_are_refused() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine);
    for (method, path, body, named) in [
        ("POST", "/v1/connections/drive/x/authorize", r#"{"profil":"x"}"#, "profil"),
        ("POST", "/v1/connections/drive/x/connect", r#"{"pasword":"x"}"#, "pasword"),
        ("POST", "/v1/connections/drive/x/token-rejected", r#"{"gen":1}"#, "gen"),
        ("POST", "/v1/complete", r#"{"callback":"x","more":1}"#, "more"),
        ("PUT", "/v1/connections/drive/x/labels", r#"{"labels":{},"x":1}"#, "x"),
        ("PUT", "/v1/applications/drive/profiles/p", r#"{"scope":["x"]}"#, "scope"),
        ("PUT", "/v1/applications/drive", r#"{"name":"drive","client_id":"x","client_secrt":"x"}"#, "client_secrt"),
        ("PATCH", "/v1/credentials/01900000-0000-7000-8000-000000000001", r#"{"expire":"x"}"#, "expire"),
    ] {
        let answer = daemon.ask(method, path, Some(body));
        let problem = answer.problem(if path == "/v1/applications/drive" { 422 } else { 400 });
        assert!(problem["detail"].as_str().unwrap().contains(&format!("`{named}`")), "{path}: {problem}");
    }
    for path in ["/v1/events?form=1", "/v1/events?limit=0", "/v1/events?limit=501", "/v1/connections?app=x"] {
        daemon.ask("GET", path, None).problem(400);
    }
    daemon.stopped().done();
}

#[test]
fn what_a_call_does_not_take_is_refused_and_nothing_is_done() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine);
    for (method, path, body, said) in [
        ("DELETE", "/v1/connections/drive/x?dry_run=true", None, "takes no parameters"),
        ("GET", "/v1/applications?x=1", None, "takes no parameters"),
        ("POST", "/v1/connections/drive/x/revoke", Some("{bad"), "is not JSON"),
        ("POST", "/v1/connections/drive/x/revoke", Some(r#"{"dry_run":true}"#), "unknown field `dry_run`"),
        ("POST", "/v1/connections/drive/x/refresh", Some("[1]"), "does not fit"),
        ("DELETE", "/v1/connections/drive/x", Some(r#"{"x":1}"#), "unknown field `x`"),
    ] {
        let problem = daemon.ask(method, path, body).problem(400);
        assert!(problem["detail"].as_str().unwrap().contains(said), "{method} {path}: {problem}");
    }
    // An empty object says nothing, and many programs send one.
    daemon.ask("POST", "/v1/connections/drive/x/revoke", Some("{}")).problem(404);
    daemon.stopped().done();
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine);
    let large = json!({ "callback": "x".repeat(200 * 1024) }).to_string();
    let problem = daemon.ask("POST", "/v1/complete", Some(&large)).problem(413);
    assert_eq!(
        (&problem["code"], problem["detail"].as_str().unwrap().contains("128 KiB")),
        (&json!("too_large"), true)
    );
    let fits = json!({ "name": "a", "client_id": "x".repeat(200 * 1024) }).to_string();
    daemon.ask("PUT", "/v1/applications/a", Some(&fits)).problem(422);
    let larger = json!({ "name": "a", "client_id": "x".repeat(3 * 1024 * 1024) }).to_string();
    daemon.ask("PUT", "/v1/applications/a", Some(&larger)).problem(413);
    daemon.ask("GET", "/v1/health", None).json(200);
    daemon.stopped().done();
}

#[test]
fn a_problem_repeats_no_value_of_the_request() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine);
    for (path, body) in [
        ("/v1/connections/drive/x/connect", r#"{"password":["marked"]}"#),
        ("/v1/connections/drive/x/connect", r#"{"other_account":"marked"}"#),
        ("/v1/connections/drive/x/connect", r#"{"refresh_token":"marked"#),
        ("/v1/complete", r#"{"callback":"http://127.0.0.1:8765/?code=marked&state=marked"}"#),
    ] {
        let answer = daemon.ask("POST", path, Some(body));
        answer.problem(400);
        assert!(!answer.body.contains("marked"), "{answer:?}");
    }
    let application = json!({ "name": "a", "client_id": "x", "client_secret": ["marked"] }).to_string();
    let answer = daemon.ask("PUT", "/v1/applications/a", Some(&application));
    answer.problem(422);
    assert!(!answer.body.contains("marked"), "{answer:?}");
    daemon.stopped().done();
}

#[test]
fn the_daemon_reads_no_secret_for_who_asks() {
    let machine = Machine::new();
    machine.write("secret", "marked");
    let daemon = Daemon::start(&machine);
    for source in [json!({ "env": "HOME" }), json!({ "file": machine.path("secret") }), json!({ "stdin": true })] {
        let application = json!({
            "name": "a", "client_id": "x", "client_secret": source,
            "endpoints": { "authorization": "https://a.example/a", "token": "https://a.example/t" },
        });
        let problem = daemon.ask("PUT", "/v1/applications/a", Some(&application.to_string())).problem(422);
        assert!(problem["detail"].as_str().unwrap().contains("reads no secrets for others"), "{problem}");
    }
    assert_eq!(daemon.ask("GET", "/v1/applications", None).json(200), json!([]));
    daemon.stopped().done();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_from_its_first_consent_to_its_end_over_the_socket_alone() {
    let shop = Shop::new(Habits::default()).await;
    let daemon = Daemon::start(&shop.machine);
    let begun = daemon.ask("POST", &format!("{REPORTS}/authorize"), Some(r#"{"labels":{"team":"x"}}"#)).json(200);
    let callback = alice().consent(&begun["url"].as_str().unwrap().parse().unwrap()).await.unwrap();
    let body = json!({ "callback": callback }).to_string();
    let connection = daemon.ask("POST", "/v1/complete", Some(&body)).json(200);
    assert_eq!((&connection["state"], &connection["labels"]["team"]), (&json!("active"), &json!("x")));
    assert_eq!(daemon.ask("POST", "/v1/complete", Some(&body)).problem(400)["code"], "bad_callback");

    let answer = daemon.ask("GET", &format!("{REPORTS}/token?min_ttl=60"), None);
    assert!(answer.head.contains("cache-control: no-store"), "{answer:?}");
    let token = answer.json(200);
    assert_eq!(shop.call(token["access_token"].as_str().unwrap()).await, 200);
    let refreshed = daemon.ask("POST", &format!("{REPORTS}/refresh"), None).json(200);
    assert!(refreshed["access_token"].is_null() && refreshed["generation"] == 2, "{refreshed}");
    let report = json!({ "generation": token["generation"] }).to_string();
    let newer = daemon.ask("POST", &format!("{REPORTS}/token-rejected"), Some(&report)).json(200);
    assert_eq!(newer["generation"], 2, "the one that is there satisfies it");
    assert_eq!(shop.provider.token_requests("refresh_token"), 1);

    let labelled = daemon.ask("PUT", &format!("{REPORTS}/labels"), Some(r#"{"labels":{"a":"b"}}"#)).json(200);
    assert_eq!(labelled["labels"], json!({ "a": "b" }));
    assert_eq!(daemon.ask("GET", REPORTS, None).json(200)["outlook"]["next"], "refresh");
    let credentials = daemon.ask("GET", "/v1/credentials?connection=drive/reports", None).json(200);
    let of = |kind: &str| {
        let all = credentials.as_array().unwrap().iter();
        all.clone().find(|one| one["type"] == kind).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let path = format!("/v1/credentials/{}", of("access_token"));
    let edited = daemon.ask("PATCH", &path, Some(r#"{"expires":"2030-01-31T12:00:00Z"}"#)).json(200);
    assert_eq!((&edited["expires"], &edited["expires_source"]), (&json!("2030-01-31T12:00:00Z"), &json!("edited")));
    assert_eq!(daemon.ask("POST", &format!("{path}/introspect"), None).json(200)["active"], true);
    assert!(!daemon.ask("GET", "/v1/credentials", None).body.contains(token["access_token"].as_str().unwrap()));

    assert_eq!(daemon.ask("POST", &format!("{REPORTS}/revoke"), None).json(200)["grant_ended"], true);
    assert_eq!(daemon.ask("GET", &format!("{REPORTS}/token"), None).problem(409)["exit_code"], 4);
    assert_eq!(daemon.ask("DELETE", REPORTS, None).json(200)["removed"], true);
    daemon.ask("GET", REPORTS, None).problem(404);
    let events = daemon.ask("GET", "/v1/events?kind=revoked&limit=1", None).json(200);
    assert_eq!(events[0]["connection"], NAME);
    assert_eq!(daemon.ask("DELETE", "/v1/applications/drive", None).status, 204);
    daemon.stopped().done();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_stream_as_they_come_and_end_with_the_daemon() {
    let shop = Shop::connected(Habits::default()).await;
    let daemon = Daemon::start(&shop.machine);
    let mut stream = UnixStream::connect(&daemon.socket).unwrap();
    write!(stream, "GET /v1/events/stream?after=0&kind=refreshed HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().contains("200"));
    for generation in 2..=3 {
        daemon.ask("POST", &format!("{REPORTS}/refresh"), None).json(200);
        let event: Value = serde_json::from_str(&lines.find(|line| line.starts_with('{')).unwrap()).unwrap();
        assert_eq!((&event["kind"], &event["connection"]), (&json!("refreshed"), &json!(NAME)), "{generation}");
    }
    let said = daemon.stopped().done();
    assert!(said.starts_with("stopped after 0"), "a reader of events keeps no daemon: {said}");
    assert_eq!(lines.last().as_deref(), Some(""), "the body came to its end");
}

#[test]
fn another_api_is_refused_on_both_sides() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine);
    let problem = daemon.ask_with("GET", "/v1/health", "grantkeeper-api: 2\r\n", "").problem(400);
    assert!(problem["code"] == "other_api" && problem["detail"].as_str().unwrap().contains("restart"), "{problem}");
    // Where it is most likely: at a route that the daemon has not got.
    let problem = daemon.ask_with("GET", "/v1/something-new", "grantkeeper-api: 2\r\n", "").problem(400);
    assert_eq!(problem["code"], "other_api");
    assert!(daemon.ask("GET", "/v1/health", None).head.contains("grantkeeper-api: 1\r\n"));
    daemon.stopped().done();

    answering(
        &machine.home(),
        "HTTP/1.1 404 Not Found\r\ngrantkeeper-api: 2\r\ngrantkeeper-version: 9.9.9\r\ncontent-length: 0\r\n\r\n",
    );
    let sentence = machine.run(&["app", "list"]).failed(1);
    assert!(sentence.contains("9.9.9") && sentence.contains("restart the daemon"), "{sentence}");
}

#[test]
fn a_daemon_that_goes_away_in_the_midst_is_told_of_with_what_to_do() {
    for (answer, arguments, said) in [
        ("", &["connections", "list"][..], "nothing was to be changed"),
        ("", &["refresh", NAME], "may have been done or not"),
        (
            "HTTP/1.1 200 OK\r\ngrantkeeper-api: 1\r\ngrantkeeper-version: 0.1.0\r\ncontent-length: 100\r\n\r\n{\"conn",
            &["revoke", NAME],
            "may have been done or not",
        ),
    ] {
        let machine = Machine::new();
        answering(&machine.home(), answer);
        let sentence = machine.run(arguments).failed(5);
        assert!(sentence.contains("stopped half-way") && sentence.contains(said), "{arguments:?}: {sentence}");
        answering(&machine.home(), answer);
        let json: Value = serde_json::from_str(&machine.run(&[arguments, &["--json"]].concat()).failed(5)).unwrap();
        assert_eq!(json["error"]["code"], "daemon_stopped");
        assert_eq!(json["error"]["retryable"], said.starts_with("nothing"), "{json}");
    }
}

/// Something that answers every connection to the socket of a home with a text, for a while, and hangs up.
fn answering(home: &Path, answer: &'static str) {
    let path = home.join("grantkeeper.sock");
    let _ = std::fs::remove_file(&path);
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            // The head of a request; who only looks whether somebody is here sends none.
            while request.read_line(&mut line).unwrap_or(0) > 2 {
                line.clear();
            }
            let _ = stream.write_all(answer.as_bytes());
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_daemons_log() {
    let shop = Shop::connected(Habits::default()).await;
    let daemon = Daemon::start_with(&shop.machine, &["serve", "-vvv"]);
    shop.apply("script = \"OAuthGoogleDrive\"", "").done();
    let token = shop.machine.run(&["token", NAME]).done();
    shop.machine.run(&["refresh", NAME]).done();
    let begun = daemon.ask("POST", "/v1/connections/drive/more/authorize", None).json(200);
    let callback = alice().consent(&begun["url"].as_str().unwrap().parse().unwrap()).await.unwrap();
    daemon.ask("POST", "/v1/complete", Some(&json!({ "callback": callback }).to_string())).json(200);
    let moved = shop.provider.current_refresh_token(0).unwrap();
    shop.machine.run_with(&["connect", "drive/moved", "--refresh-token-stdin"], moved.expose()).done();
    shop.machine.run(&["token", "drive/none"]).failed(3);
    let code = callback.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let log = daemon.stopped().err;
    assert!(log.contains("INFO") && log.contains("authorized"), "it logs: {log}");
    let state = begun["state"].as_str().unwrap();
    for secret in [CLIENT_SECRET, token.trim(), moved.expose(), &code, state, "demo-access-", "demo-refresh-"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn the_socket_is_its_owners_alone() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&daemon.socket), mode(&machine.home())), (0o600, 0o700));
    let left: Vec<_> = std::fs::read_dir(machine.home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".new")), "{left:?}");
    daemon.stopped().done();
}

/// docs/daemon.md, word for word: every request of its examples is answered.
#[tokio::test(flavor = "multi_thread")]
async fn the_pages_curl_examples_work() {
    if std::process::Command::new("curl").arg("--version").output().is_err() {
        println!("LEFT OUT: curl is not installed");
        return;
    }
    let shop = Shop::connected(Habits::default()).await;
    let daemon = Daemon::start(&shop.machine);
    let toml = "name = \"acme\"\nclient_id = \"x\"\nclient_secret = \"s\"\n[endpoints]\nauthorization = \"https://a.example/a\"\ntoken = \"https://a.example/t\"\n";
    std::fs::write(shop.machine.home().join("acme.toml"), toml).unwrap();
    let page = include_str!("../../../docs/daemon.md");
    let lines: Vec<&str> =
        page.lines().filter(|line| line.starts_with("curl ") && line.contains("--unix-socket")).collect();
    assert!(lines.len() >= 8, "{lines:?}");
    for line in lines {
        let home = shop.machine.home();
        let home = home.display();
        // Without an end of its own.
        if line.contains("/stream") {
            let told = shop.machine.shell(&format!("cd '{home}' && {line} --max-time 5")).out;
            assert!(told.contains("event: authorized\ndata: {"), "{line}: {told}");
            continue;
        }
        let ran = shop.machine.shell(&format!("cd '{home}' && {line} --fail-with-body"));
        let document: Value = serde_json::from_str(&ran.done()).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(!document.is_null(), "{line}");
    }
    daemon.stopped().done();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_token_is_no_grant() {
    let shop = Shop::new(Habits::default()).await;
    let daemon = Daemon::start(&shop.machine);
    for body in [r#"{"refresh_token":""}"#, r#"{"refresh_token":" \n"}"#, r#"{"password":""}"#] {
        let refused = daemon.ask("POST", "/v1/connections/drive/x/connect", Some(body)).problem(400);
        assert_eq!(refused["code"], "empty_proof", "{refused}");
    }
    let grants = r#"{"grants":[{"name":"drive/x","tokens":{"refresh":{"token":""}}}]}"#;
    let came = daemon.ask("POST", "/v1/grants", Some(grants));
    assert!(came.status == 200 && came.body.contains("its token is empty"), "{came:?}");
    assert_eq!(daemon.ask("GET", "/v1/credentials", None).json(200), serde_json::json!([]));
    assert_eq!(shop.provider.token_requests("refresh_token"), 0);
}
