//! The daemon's port: keys and what they may do, browsers that come back, the proxy, and what strangers may not hold up.

use crate::support::machine::Machine;
use crate::support::outside::Outside;
use crate::support::shop::{NAME, Shop, alice};
use grantkeeper::demo::Habits;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use url::Url;

const TOKEN: &str = "/v1/connections/drive/reports/token";

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_the_token_to_use_is_not_given_it_again() {
    let shop = Shop::connected(Habits::default()).await;
    let outside = Outside::start(&shop.machine, "");
    let key = outside.key(&shop.machine, "reader", &["token:drive/*"]);
    let ask = |tag: &str| {
        let headers = format!("authorization: Bearer {key}\r\nif-none-match: {tag}\r\n");
        outside.ask_with("GET", TOKEN, &headers, "")
    };
    let first = ask("W/\"another\"");
    let tag = first.header("etag").to_owned();
    let token = first.json(200)["access_token"].as_str().unwrap().to_owned();
    assert!(tag.starts_with("W/\"") && !tag.contains(&token), "{tag}");
    for known in [tag.clone(), format!("\"x\", {}", tag.trim_start_matches("W/")), "*".to_owned()] {
        let again = ask(&known);
        assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", tag.as_str()), "{again:?}");
    }
    shop.machine.run(&["refresh", NAME]).done();
    let newer = ask(&tag);
    assert!(newer.header("etag") != tag && newer.json(200)["generation"] == 2, "{newer:?}");
    // Nobody learns from it what they may not ask.
    let other = outside.key(&shop.machine, "other", &["token:slack/*"]);
    let headers = format!("authorization: Bearer {other}\r\nif-none-match: *\r\n");
    assert_eq!(outside.ask_with("GET", TOKEN, &headers, "").status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_given_the_tokens_that_it_may_have_and_no_other() {
    let shop = Shop::connected(Habits::default()).await;
    let outside = Outside::start(&shop.machine, "");
    assert_eq!(outside.ask(None, "GET", TOKEN, None).problem(401)["code"], "unknown_caller");
    let made_up = format!("gk_{}", "A".repeat(64));
    assert_eq!(outside.ask(Some(&made_up), "GET", TOKEN, None).status, 401);
    let key = outside.key(&shop.machine, "reader", &["token:drive/*"]);
    assert!(key.starts_with("gk_"), "{key}");
    let answer = outside.ask(Some(&key), "GET", TOKEN, None);
    let token = answer.json(200)["access_token"].as_str().unwrap().to_owned();
    assert_eq!(shop.call(&token).await, 200);
    let other = outside.key(&shop.machine, "other", &["token:slack/*", "manage:drive/*"]);
    assert_eq!(outside.ask(Some(&other), "GET", TOKEN, None).problem(403)["code"], "not_allowed");
    for (method, path) in [
        ("POST", "/v1/connections/drive/reports/revoke"),
        ("GET", "/v1/connections/drive/reports"),
        ("DELETE", "/v1/applications/drive"),
        ("GET", "/v1/keys"),
    ] {
        assert_eq!(outside.ask(Some(&key), method, path, None).status, 403, "{path}");
    }
    shop.machine.run(&["api-key", "revoke", "reader"]).done();
    let revoked = outside.ask(Some(&key), "GET", TOKEN, None);
    let id = revoked.header("grantkeeper-request").to_owned();
    assert_eq!(revoked.problem(401)["code"], "revoked_key");
    let audit = shop.machine.run(&["audit", "--json"]).done();
    // Who has found a key that was lost is told of as all others are.
    let refused = shop.machine.run(&["audit", "--json", "--action", "access.refused"]).json();
    let of = |code: &str| refused.as_array().unwrap().iter().find(|entry| entry["code"] == code).unwrap().clone();
    assert_eq!((&of("revoked_key")["request"], &of("revoked_key")["remote"]), (&json!(id), &json!("127.0.0.1")));
    assert_eq!((&of("unknown_key")["actor"], &of("unknown_key")["remote"]), (&json!("nobody"), &json!("127.0.0.1")));
    assert!(audit.contains("token.read") && audit.contains("reader"), "{audit}");
    assert!(!audit.contains(&token) && !audit.contains(&key), "{audit}");
    let log = outside.daemon.stopped();
    assert!(!log.err.contains(&token) && !log.err.contains(&key), "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_what_its_reader_may_manage_and_is_read_in_pages() {
    let machine = Machine::new();
    for application in ["drive", "slack"] {
        let file = format!(
            "name = \"{application}\"\nclient_id = \"x\"\nclient_authentication = \"none\"\n[endpoints]\nauthorization = \"https://{application}.example.com/a\"\ntoken = \"https://{application}.example.com/t\"\n"
        );
        machine.run_with(&["app", "apply", "-f", "-"], &file).done();
    }
    let outside = Outside::start(&machine, "");
    let all = outside.key(&machine, "all", &["manage:*"]);
    for name in ["drive/a", "drive/b", "drive/c", "slack/a"] {
        outside.ask(Some(&all), "POST", &format!("/v1/connections/{name}/authorize"), Some("{}")).json(200);
    }
    let names = |answer: &Value| -> Vec<String> {
        answer.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let some = outside.key(&machine, "some", &["manage:drive/*"]);
    let answer = outside.ask(Some(&some), "GET", "/v1/connections", None);
    assert_eq!(names(&answer.json(200)), ["drive/a", "drive/b", "drive/c"]);
    let applications = outside.ask(Some(&some), "GET", "/v1/applications", None).json(200);
    assert_eq!(names(&applications), ["drive"]);
    let first = outside.ask(Some(&some), "GET", "/v1/connections?limit=2&state=pending", None);
    assert_eq!(names(&first.json(200)), ["drive/a", "drive/b"]);
    let next = first.head.split("link: <").nth(1).unwrap().split('>').next().unwrap().to_owned();
    let second = outside.ask(Some(&some), "GET", &next, None);
    assert_eq!(names(&second.json(200)), ["drive/c"]);
    assert!(!second.head.contains("link:"), "{second:?}");
    assert_eq!(names(&outside.ask(Some(&some), "GET", "/v1/connections?search=B", None).json(200)), ["drive/b"]);
    outside.ask(Some(&some), "GET", "/v1/connections?limit=0", None).problem(400);
    outside.ask(Some(&some), "GET", "/v1/credentials?connection=slack/a", None).problem(403);
    let events = outside.ask(Some(&some), "GET", "/v1/events", None);
    assert!(!events.body.contains("slack"), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_comes_back_to_the_daemon_and_is_told_what_happened() {
    let shop = Shop::new(Habits::default()).await;
    let outside = Outside::start(&shop.machine, "return_urls = [\"https://app.example.com/done\"]");
    let redirect_url: Url = format!("http://{}/oauth/callback/drive", outside.address).parse().unwrap();
    shop.provider.register(
        grantkeeper::demo::Client::new("drive-client", crate::support::shop::CLIENT_SECRET.to_owned())
            .redirecting_to(redirect_url.clone()),
    );
    let key = outside.key(&shop.machine, "manager", &["manage:*"]);
    let begin = |body: Value| {
        let answer =
            outside.ask(Some(&key), "POST", "/v1/connections/drive/reports/authorize", Some(&body.to_string()));
        answer.json(200)["url"].as_str().unwrap().parse::<Url>().unwrap()
    };
    let path = |url: &Url| format!("{}?{}", url.path(), url.query().unwrap_or_default());
    // From the browser that began it, and no other.
    let url = begin(json!({ "browser": "marked-browser" }));
    let callback = alice().consent(&url).await.unwrap();
    assert!(callback.as_str().starts_with(redirect_url.as_str()), "{callback}");
    let other = outside.ask(None, "GET", &path(&callback), None);
    assert!(other.status == 400 && other.body.contains("did not begin"), "{other:?}");
    let cookie = "cookie: a=b; __Host-grantkeeper-consent=marked-browser\r\n";
    // Whoever only looks uses nothing up, and neither does another application's path.
    assert_eq!(outside.ask_with("HEAD", &path(&callback), cookie, "").status, 405);
    let mixed = outside.ask_with("GET", &path(&callback).replace("/drive", "/slack"), cookie, "");
    assert_eq!(mixed.status, 400, "{mixed:?}");
    let own = outside.ask_with("GET", &path(&callback), cookie, "");
    assert!(own.status == 200 && own.body.contains("drive/reports is connected"), "{own:?}");
    assert!(own.head.contains("default-src 'none'") && own.head.contains("no-referrer"), "{own:?}");
    let again = outside.ask_with("GET", &path(&callback), cookie, "");
    assert!(again.status == 400 && again.body.contains("no longer good"), "{again:?}");
    // Posted, as some providers do, and sent on.
    let url = begin(json!({ "return_url": "https://app.example.com/done?x=1" }));
    let callback = alice().consent(&url).await.unwrap();
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let sent = outside.ask_with("POST", callback.path(), form, callback.query().unwrap());
    assert_eq!(sent.status, 303, "{sent:?}");
    assert!(sent.head.contains("location: https://app.example.com/done?x=1&connection=drive%2freports"), "{sent:?}");
    let answer = outside.ask(
        Some(&key),
        "POST",
        "/v1/connections/drive/reports/authorize",
        Some(r#"{"return_url":"https://evil.example.com/"}"#),
    );
    assert!(answer.problem(400)["detail"].as_str().unwrap().contains("return_urls"));
    // Another application's path is another provider's answer.
    let url = begin(json!({}));
    let callback = alice().consent(&url).await.unwrap();
    let mixed = outside.ask(None, "GET", &path(&callback).replace("/drive", "/slack"), None);
    assert!(mixed.status == 400, "{mixed:?}");
    // Consent that was not given.
    let url = begin(json!({}));
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let denied = outside.ask(None, "GET", &format!("/oauth/callback/drive?error=access_denied&state={state}"), None);
    assert!(denied.status == 403 && denied.body.contains("Consent was not given"), "{denied:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_waits_for_the_browser_that_comes_back_to_the_daemon() {
    let shop = Shop::new(Habits::default()).await;
    let outside = Outside::start(&shop.machine, "");
    let key = outside.key(&shop.machine, "manager", &["manage:*"]);
    let begun = outside.ask(Some(&key), "POST", "/v1/connections/drive/reports/authorize", Some("{}")).json(200);
    let state = begun["state"].as_str().unwrap().to_owned();
    let waiting = {
        let (key, address, state) = (key.clone(), outside.address, state.clone());
        tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            let body = json!({ "state": state }).to_string();
            write!(stream, "POST /v1/connections/drive/reports/await HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        })
    };
    // Whoever is first: what came is kept for who waits later.
    let denied = outside.ask(None, "GET", &format!("/oauth/callback/drive?error=access_denied&state={state}"), None);
    assert_eq!(denied.status, 403);
    let text = waiting.await.unwrap();
    assert!(text.starts_with("HTTP/1.1 403") && text.contains("denied"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_sends_a_request_on_with_the_token_and_nothing_of_ours() {
    let shop = Shop::connected(Habits::default()).await;
    let outside = Outside::start(&shop.machine, "");
    let key = outside.key(&shop.machine, "reader", &["token:drive/*"]);
    let files: Url = shop.provider.files_url();
    let proxied = format!("/v1/proxy/{NAME}/{}:{}{}", files.host_str().unwrap(), files.port().unwrap(), files.path());
    let answer = outside.ask(Some(&key), "GET", &proxied, None);
    assert_eq!(answer.status, 200, "{answer:?}");
    let manager = outside.key(&shop.machine, "manager", &["manage:*"]);
    assert_eq!(outside.ask(Some(&manager), "GET", &proxied, None).status, 403);
    assert_eq!(outside.ask(None, "GET", &proxied, None).status, 401);
    assert_eq!(outside.ask(Some(&manager), "PROPFIND", &proxied, None).status, 405);
    let other = outside.ask(Some(&key), "GET", &format!("/v1/proxy/{NAME}/evil.example.com/x"), None);
    assert!(other.status == 403 && other.body.contains("evil.example.com"), "{other:?}");
    // What never left is told as refused alone, and counted where it is much: the paths are whatever somebody likes.
    for number in 0..300 {
        let path = format!("/v1/proxy/{NAME}/evil.example.com/{number}");
        assert_eq!(outside.ask(Some(&key), "GET", &path, None).status, 403);
    }
    let audit: Vec<Value> =
        serde_json::from_str(&shop.machine.run(&["audit", "--json", "--limit", "1000"]).done()).unwrap();
    let proxied: Vec<&Value> = audit.iter().filter(|it| it["action"] == "proxy").collect();
    let done: Vec<&&Value> = proxied.iter().filter(|it| it["outcome"] == "done").collect();
    assert!(done.len() == 1 && done[0]["detail"].as_str().unwrap().contains(files.path()), "{done:?}");
    let times = |it: &&Value| it["times"].as_u64().unwrap_or(1);
    assert_eq!(proxied.iter().map(times).sum::<u64>(), 302, "{proxied:?}");
    assert!(proxied.len() <= 125, "{}", proxied.len());
}

/// docs/daemon.md, word for word but for the port.
#[tokio::test(flavor = "multi_thread")]
async fn the_pages_example_of_a_key_works() {
    let shop = Shop::connected(Habits::default()).await;
    let outside = Outside::start(&shop.machine, "");
    let page = include_str!("../../../docs/daemon.md");
    let at = page.find("grantkeeper api-key create").unwrap();
    let lines = page[at..].lines().take(2).collect::<Vec<_>>().join("\n");
    let lines = lines.replace("grantkeeper api-key", "\"$GRANTKEEPER\" api-key");
    let lines = lines.replace("127.0.0.1:8765", &outside.address.to_string());
    let document = shop.machine.shell(&lines).json();
    assert_eq!(shop.call(document["access_token"].as_str().unwrap()).await, 200);
}

#[test]
fn a_name_that_is_not_ours_is_refused() {
    let machine = Machine::new();
    let outside = Outside::start(&machine, "");
    let asked = |host: &str, path: &str| {
        let mut stream = TcpStream::connect(outside.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    for path in ["/sign-in", "/v1/health", "/oauth/callback/drive", "/openapi.json"] {
        assert_eq!(asked("evil.example.com:8765", path), 421, "{path}");
        assert_ne!(asked("localhost:8765", path), 421, "{path}");
        assert_ne!(asked("127.0.0.1", path), 421, "{path}");
    }
    assert_eq!(asked("evil.example.com", "/health"), 200);
}

#[test]
fn a_sign_in_link_names_the_port_that_is_listened_on() {
    let machine = Machine::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // Not the callback's, where somebody else may listen.
    let daemon = crate::support::daemon::Daemon::start_with(&machine, &["serve", "--listen", &port.to_string()]);
    let link = machine.run(&["sign-in", "--no-browser", "--json"]).json();
    let url = link["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("http://{port}/sign-in/link?key=")), "{url}");
    let audit = machine.run(&["audit", "--json"]).done();
    assert!(audit.contains("a link was made") && !audit.contains(url), "{audit}");
    let log = daemon.stopped();
    assert!(log.err.contains("where this daemon does not answer"), "{log:?}");
}

#[test]
fn another_password_signs_everybody_out() {
    let machine = Machine::new();
    let outside = Outside::start(&machine, "");
    let link = machine.run(&["sign-in", "--no-browser", "--json"]).json();
    let key = link["url"].as_str().unwrap().split_once("key=").unwrap().1.to_owned();
    let own = format!("origin: http://{}\r\ncontent-type: application/x-www-form-urlencoded\r\n", outside.address);
    let signed_in = outside.ask_with("POST", "/sign-in/link", &own, &format!("key={key}"));
    assert_eq!(signed_in.status, 303, "{signed_in:?}");
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
    let page = || outside.ask_with("GET", "/tokens", &format!("cookie: {cookie}\r\n"), "").status;
    assert_eq!(page(), 200);
    machine.run_with(&["admin-password"], "a-long-enough-password\n").done();
    assert_eq!(page(), 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_is_given_up_by_its_own_connection_alone() {
    let shop = Shop::new(Habits::default()).await;
    let outside = Outside::start(&shop.machine, "");
    let key = outside.key(&shop.machine, "manager", &["manage:drive/*"]);
    let begin = |name: &str| {
        outside.ask(Some(&key), "POST", &format!("/v1/connections/{name}/authorize"), Some("{}")).json(200)
    };
    let (one, _) = (begin("drive/one"), begin("drive/two"));
    let state = json!({ "state": one["state"] }).to_string();
    outside.ask(Some(&key), "POST", "/v1/connections/drive/two/abandon", Some(&state)).problem(400);
    let abandoned = outside.ask(Some(&key), "POST", "/v1/connections/drive/one/abandon", Some(&state));
    assert_eq!(abandoned.status, 204, "{abandoned:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stranger_writes_into_the_audit_log_is_short() {
    let shop = Shop::connected(Habits::default()).await;
    let outside = Outside::start(&shop.machine, "");
    let key = outside.key(&shop.machine, "reader", &["token:drive/*"]);
    let long = format!("/v1/proxy/{NAME}/evil.example.com/{}", "x".repeat(40_000));
    for _ in 0..20 {
        assert_eq!(outside.ask(Some(&key), "GET", &long, None).status, 403);
        let state = outside.ask(None, "GET", &format!("/oauth/callback/drive?state={}", "y".repeat(20_000)), None);
        assert_eq!(state.status, 400);
    }
    let audit = shop.machine.run(&["audit", "--json", "--limit", "500"]).done();
    assert!(audit.contains("\"proxy\"") && audit.len() < 100_000, "{} bytes", audit.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_key_that_it_was_asked_with() {
    let shop = Shop::connected(Habits::default()).await;
    let outside = Outside::start(&shop.machine, "");
    let key = outside.key(&shop.machine, "watcher", &["manage:*"]);
    let mut stream = TcpStream::connect(outside.address).unwrap();
    write!(
        stream,
        "GET /v1/events/stream HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    shop.machine.run(&["api-key", "revoke", "watcher"]).done();
    shop.machine.run(&["refresh", NAME]).done();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("refreshed"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_told_by_its_name() {
    let shop = Shop::connected(Habits::default()).await;
    let outside = Outside::start(&shop.machine, "");
    let key = outside.key(&shop.machine, "reader", &["token:drive/*"]);
    let told = |path: &str, status: u16| {
        outside.ask(Some(&key), "GET", path, None).problem(status)["detail"].as_str().unwrap().to_owned()
    };
    assert!(told(&format!("{TOKEN}?min_ttl=soon"), 400).contains("`min_ttl` in the query does not fit"));
    assert!(told("/v1/nothing", 404).contains("/v1/nothing"));
    assert!(told("/v1/proxy/drive/reports", 400).contains("/v1/proxy/drive/reports/www.googleapis.com"));
    assert!(told("/v1/connections/drive/reports", 403).contains("it needs manage:drive/reports"));
    // Nobody shows a key to a page: a program is not led to a sign-in.
    assert!(told("/connections/drive/reports/token", 404).contains("/openapi.json"));
    // A proxied request that came to nothing is no hand-out.
    assert_eq!(outside.ask(Some(&key), "GET", &format!("/v1/proxy/{NAME}/evil.example.com/x"), None).status, 403);
    let audit = shop.machine.run(&["audit", "--json", "--action", "proxy"]).json();
    let came: Vec<&str> = audit.as_array().unwrap().iter().map(|entry| entry["outcome"].as_str().unwrap()).collect();
    assert_eq!(came, ["refused"], "{audit}");
}

#[test]
fn what_strangers_may_ask_tells_them_nothing() {
    let machine = Machine::new();
    let outside = Outside::start(&machine, "");
    let health = outside.ask(None, "GET", "/health", None);
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    assert_eq!(outside.ask(None, "GET", "/ready", None).body, "ready\n");
    for path in ["/v1/health", "/v1/connections", "/metrics", "/v1/events/stream"] {
        let answer = outside.ask(None, "GET", path, None);
        assert_eq!(answer.problem(401)["code"], "unknown_caller", "{path}");
        assert!(answer.head.contains("www-authenticate: bearer") && answer.head.contains("grantkeeper-request: "));
    }
    let key = outside.key(&machine, "k", &["token:none/*"]);
    assert_eq!(outside.ask(Some(&key), "GET", "/metrics", None).status, 403);
    let key = outside.key(&machine, "prometheus", &["administer"]);
    let metrics = outside.ask(Some(&key), "GET", "/metrics", None);
    assert!(metrics.status == 200 && metrics.body.contains("grantkeeper_http_requests_total"), "{metrics:?}");
}

#[test]
fn a_request_that_never_comes_holds_up_no_stop() {
    let machine = Machine::new();
    let outside = Outside::start(&machine, "");
    let mut slow = TcpStream::connect(outside.address).unwrap();
    slow.write_all(b"GET /v1/health HTTP/1.1\r\nhost: ").unwrap();
    outside.ask(None, "GET", "/health", None);
    let large = format!("x-large: {}\r\n", "x".repeat(200_000));
    let answer = outside.ask_with("GET", "/health", &large, "");
    assert_eq!(answer.status, 431, "{answer:?}");
    let ran = outside.daemon.stopped();
    assert!(ran.out.contains("what was under way is finished"), "{ran:?}");
}

#[test]
fn tokens_do_not_travel_in_clear_unless_somebody_insists() {
    let machine = Machine::new();
    let refused = machine.run(&["serve", "--listen", "0.0.0.0:0"]).failed(1);
    assert!(refused.contains("in clear") && refused.contains("behind_proxy"), "{refused}");
    let settings = machine.home().join("grantkeeper.toml");
    std::fs::write(&settings, "[server]\nbehind_proxy = true\n").unwrap();
    let daemon = crate::support::daemon::Daemon::start_with(&machine, &["serve", "--listen", "0.0.0.0:0"]);
    daemon.stopped().done();
    std::fs::write(&settings, "[server]\ncertificate = \"/nowhere.pem\"\n").unwrap();
    let half = machine.run(&["serve", "--listen", "127.0.0.1:0"]).failed(2);
    assert!(half.contains("needs its key"), "{half}");
}

#[test]
fn a_port_that_is_taken_is_told_and_only_a_wish_fails() {
    let machine = Machine::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = machine.run(&["serve", "--listen", &address]).failed(1);
    assert!(refused.contains(&address), "{refused}");
}
