//! Sessions at the daemon's pages: whose they are, when they end, and what is known of where their browsers are.

use crate::support::machine::Machine;
use crate::support::outside::{Outside, Signed};
use crate::support::shop::Shop;
use grantkeeper::demo::Habits;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

/// The entries of the audit log, the oldest first.
fn audit(machine: &Machine) -> Vec<Value> {
    machine.run(&["audit", "--json", "--limit", "500"]).json().as_array().unwrap().clone()
}

/// The key in a sign-in link that was asked for with an API key.
fn link(outside: &Outside, key: &str) -> String {
    let link = outside.ask(Some(key), "POST", "/v1/sign-in-link", Some("{}")).json(200);
    link["url"].as_str().unwrap().split_once("key=").unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_begun_with_a_key_acts_in_its_name_and_ends_with_it() {
    let shop = Shop::connected(Habits::default()).await;
    let outside = Outside::start(&shop.machine, "");
    let key = outside.key(&shop.machine, "ops", &["administer"]);
    let other = outside.sign_in(&shop.machine);
    let signed = outside.follow(&link(&outside, &key));
    let unused = link(&outside, &key);
    assert!(signed.get("/tokens").body.contains("Signed in as key ops"));
    assert_eq!(signed.post("/connections/drive/reports/refresh", "").status, 303);
    let made = signed.post("/connect", "application=drive&name=ann");
    let (_, invite) = made.body.split_once("/invite?key=").unwrap_or_else(|| panic!("{made:?}"));
    let invite = invite.split(['"', '<']).next().unwrap().to_owned();
    let invited = || outside.ask(None, "GET", &format!("/invite?key={invite}"), None).status;
    assert_eq!(invited(), 200);
    let mut stream = signed.stream("/live");
    shop.machine.run(&["api-key", "revoke", "ops"]).done();
    assert_eq!(signed.get("/tokens").status, 303, "it ends with its key");
    assert_eq!(signed.get("/sign-in").status, 200, "and leads nowhere in a circle");
    assert_eq!(signed.post("/connections/drive/reports/revoke", "").status, 401);
    assert_eq!(invited(), 403, "what was given out in its name ends too");
    let refused = outside.ask_with("POST", "/sign-in/link", &outside.own_form(), &format!("key={unused}"));
    assert_eq!(refused.status, 403, "{refused:?}");
    // What goes on for long ends at the next thing that it would tell.
    shop.machine.run(&["refresh", "drive/reports"]).done();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("event: news"), "{rest}");
    assert_eq!(other.get("/tokens").status, 200, "nobody else is signed out");
    let audit = audit(&shop.machine);
    let of = |action: &str| audit.iter().filter(|entry| entry["action"] == action).collect::<Vec<_>>();
    for action in ["refresh", "invite.create"] {
        let session = &of(action)[0]["actor"]["session"];
        assert!(session["who"] == "ops" && session["key"].is_string(), "{action}: {session}");
    }
    assert!(of("sign-in").iter().any(|entry| entry["actor"]["session"]["who"] == "ops"), "{audit:?}");
    assert!(of("sign-in").iter().any(|entry| entry["actor"]["session"]["who"] == "administrator"), "{audit:?}");
    let by_key = shop.machine.run(&["audit", "--key", "ops", "--action", "refresh", "--json"]).json();
    assert_eq!(by_key.as_array().unwrap().len(), 1, "{by_key}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_more_than_a_key_may_is_written_down() {
    let shop = Shop::connected(Habits::default()).await;
    let outside = Outside::start(&shop.machine, "");
    let key = outside.key(&shop.machine, "reader", &["token:drive/*"]);
    let secret = "a-word-of-the-path";
    for (method, path) in [
        ("GET", "/v1/keys".to_owned()),
        ("POST", "/v1/connections/drive/reports/revoke".to_owned()),
        ("GET", "/v1/credentials?connection=drive/reports".to_owned()),
        ("GET", format!("/v1/connections/slack/{secret}/token")),
    ] {
        assert_eq!(outside.ask(Some(&key), method, &path, None).problem(403)["code"], "not_allowed", "{path}");
    }
    let refused: Vec<Value> =
        audit(&shop.machine).into_iter().filter(|entry| entry["action"] == "access.refused").collect();
    let seen: Vec<(&str, &Value)> =
        refused.iter().map(|entry| (entry["detail"].as_str().unwrap(), &entry["target"])).collect();
    assert_eq!(seen.len(), 4, "{seen:?}");
    for (detail, target) in [
        ("GET /v1/keys", Value::Null),
        ("POST /v1/connections/{application}/{name}/revoke", serde_json::json!({ "connection": "drive/reports" })),
        ("GET /v1/credentials", Value::Null),
        (
            "GET /v1/connections/{application}/{name}/token",
            serde_json::json!({ "connection": format!("slack/{secret}") }),
        ),
    ] {
        assert!(seen.contains(&(detail, &target)), "{detail}: {seen:?}");
    }
    for entry in &refused {
        assert_eq!(entry["actor"]["key"]["name"], "reader");
        assert_eq!((&entry["outcome"], &entry["code"]), (&"refused".into(), &"not_allowed".into()));
        assert!(entry["request"].is_string() && entry["remote"] == "127.0.0.1", "{entry}");
    }
}

#[test]
fn two_daemons_of_a_machine_do_not_sign_each_others_people_out() {
    let (one, other) = (Machine::new(), Machine::new());
    let (one, other) = ((Outside::start(&one, ""), one), (Outside::start(&other, ""), other));
    let signed = [&one, &other].map(|(outside, machine)| outside.sign_in(machine));
    assert_ne!(signed[0].cookie_name(), signed[1].cookie_name());
    assert_eq!(signed[0].cookie_name(), format!("__Host-grantkeeper-{}", one.0.address.port()));
    // A browser has one jar for both.
    let jar = format!("cookie: {}; {}\r\n", signed[0].cookie, signed[1].cookie);
    for (outside, _) in [&one, &other] {
        assert_eq!(outside.ask_with("GET", "/tokens", &jar, "").status, 200);
    }
}

#[test]
fn browsers_are_told_to_come_by_tls_alone_where_there_is_tls() {
    let machine = Machine::new();
    let outside = Outside::start(&machine, "");
    let asked = |outside: &Outside, host: &str, path: &str| {
        let mut stream = TcpStream::connect(outside.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.to_ascii_lowercase().contains("strict-transport-security: max-age=31536000\r\n")
    };
    assert!(!asked(&outside, "127.0.0.1", "/sign-in"), "there is none");
    drop(outside);
    let outside = Outside::start(&machine, "public_url = \"https://grants.example.com\"");
    for path in ["/sign-in", "/tokens", "/v1/health", "/oauth/callback/drive", "/health"] {
        assert!(asked(&outside, "grants.example.com", path), "{path}");
        assert!(!asked(&outside, "localhost:8765", path), "other servers of this machine are meant too: {path}");
    }
}

/// A browser sends a session's cookie to every port of its host, where another user's server may be.
#[test]
fn a_sessions_cookie_is_of_no_use_to_another_user_of_the_machine() {
    let machine = Machine::new();
    let outside = Outside::start(&machine, "");
    let (one, other) = (outside.sign_in(&machine), outside.sign_in(&machine));
    let port = outside.address.port();
    let line = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port}; printf 'GET /tokens HTTP/1.1\\r\\nhost: 127.0.0.1\\r\\nconnection: close\\r\\ncookie: {}\\r\\n\\r\\n' >&3; cat <&3",
        one.cookie
    );
    let asked = |user: Option<u32>| {
        let mut command = Command::new("bash");
        command.args(["-c", &line]).current_dir("/");
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        command.output().map(|output| String::from_utf8(output.stdout).unwrap())
    };
    assert!(asked(None).unwrap().starts_with("HTTP/1.1 200"), "it is its own user's");
    // Only root can be somebody else.
    let Ok(stolen) = asked(Some(4_242)) else {
        return eprintln!("LEFT OUT: a request of another user, which only root can make");
    };
    assert!(stolen.starts_with("HTTP/1.1 303") && stolen.contains("location: /sign-in"), "{stolen}");
    assert_eq!(one.get("/tokens").status, 303, "what another user knows is a session no more");
    assert_eq!(other.get("/tokens").status, 200);
    let refused = audit(&machine).into_iter().find(|entry| entry["action"] == "sign-in.refused").unwrap();
    assert_eq!((&refused["code"], &refused["outcome"]), (&"other_user".into(), &"refused".into()), "{refused}");
}

/// Signs in with a wrong password as a proxy would bring it; the status.
fn tried(outside: &Outside, forwarded: &str) -> u16 {
    let page = outside.ask(None, "GET", "/sign-in", None);
    let cookie = page.header("set-cookie").split(';').next().unwrap().to_owned();
    let form = page.body.split_once("name=\"form\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let headers = format!("{}cookie: {cookie}\r\n{forwarded}", outside.own_form());
    outside.ask_with("POST", "/sign-in", &headers, &format!("form={form}&password=not-the-password")).status
}

#[test]
fn behind_a_proxy_each_browser_has_its_own_count_and_its_own_address_in_the_log() {
    let machine = Machine::new();
    machine.run_with(&["admin-password"], "a-long-enough-password\n").done();
    let outside = Outside::start(&machine, "[server]\nbehind_proxy = true");
    // What came with the request stands first, and may be made up.
    let of = |made_up: u8, real: &str| format!("x-forwarded-for: 203.0.113.{made_up}, {real}\r\n");
    for made_up in 0..5 {
        assert_eq!(tried(&outside, &of(made_up, "192.0.2.7")), 403);
    }
    assert_eq!(tried(&outside, &of(9, "192.0.2.7")), 429, "made-up hops are no new addresses");
    assert_eq!(tried(&outside, &of(9, "192.0.2.8")), 403, "another browser is not kept waiting");
    let remotes: Vec<String> = audit(&machine)
        .iter()
        .filter(|entry| entry["action"] == "sign-in.refused")
        .map(|entry| entry["remote"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert!(remotes.iter().any(|remote| remote == "192.0.2.7"), "{remotes:?}");
    assert!(remotes.iter().all(|remote| remote.starts_with("192.0.2.")), "{remotes:?}");
}

#[test]
fn who_is_not_the_proxy_is_believed_no_address() {
    for settings in ["", "[server]\nbehind_proxy = true\nproxies = [\"192.0.2.1\"]"] {
        let machine = Machine::new();
        machine.run_with(&["admin-password"], "a-long-enough-password\n").done();
        let outside = Outside::start(&machine, settings);
        for last in 0..5 {
            assert_eq!(tried(&outside, &format!("x-forwarded-for: 192.0.2.{last}\r\n")), 403, "{settings}");
        }
        assert_eq!(tried(&outside, "x-forwarded-for: 192.0.2.99\r\n"), 429, "{settings}");
    }
}

impl Signed<'_> {
    /// Follows a stream, past its first line.
    fn stream(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.outside.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncookie: {}\r\nconnection: close\r\n\r\n",
            self.cookie
        )
        .unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        stream
    }

    fn cookie_name(&self) -> &str {
        self.cookie.split_once('=').unwrap().0
    }
}
