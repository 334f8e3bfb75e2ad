//! What the daemon tells of its work: lines for programs, and traces.

use crate::support::outside::Outside;
use crate::support::shop::{NAME, Shop};
use grantkeeper::demo::Habits;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

const TOKEN: &str = "/v1/connections/drive/reports/token";

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_an_object_a_line_with_the_requests_id_and_no_secret() {
    let shop = Shop::connected(Habits::default()).await;
    let outside = Outside::start_with(&shop.machine, "", |command| {
        command.args(["--log-format", "json"]).env("RUST_LOG", "grantkeeper=trace");
    });
    let key = outside.key(&shop.machine, "reader", &["token:drive/*"]);
    let answer = outside.ask(Some(&key), "GET", &format!("{TOKEN}?min_ttl=60"), None);
    let id = answer.header("grantkeeper-request").to_owned();
    let token = answer.json(200)["access_token"].as_str().unwrap().to_owned();
    shop.machine.run(&["refresh", NAME]).done();
    let log = outside.daemon.stopped().err;
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let line = lines.iter().find(|line| line["request"] == id.as_str()).expect("the request's line");
    assert_eq!((&line["message"], &line["status"]), (&"answered".into(), &200.into()), "{line}");
    assert_eq!(
        (&line["method"], &line["route"]),
        (&"GET".into(), &"/v1/connections/{application}/{name}/token".into())
    );
    assert!(line["timestamp"].is_string() && line["level"] == "DEBUG", "{line}");
    for secret in [&token, &key] {
        assert!(!log.contains(secret.as_str()), "{log}");
    }
}

/// A collector: hands on the body of each request, and says that it has it.
fn collect(listener: TcpListener) -> std::sync::mpsc::Receiver<Vec<u8>> {
    let (sender, bodies) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, sender) = (stream.unwrap(), sender.clone());
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut line, mut length) = (String::new(), 0);
                while reader.read_line(&mut line).unwrap_or(0) > 0 {
                    let head = line.trim().to_ascii_lowercase();
                    if let Some(text) = head.strip_prefix("content-length: ") {
                        length = text.parse().unwrap();
                    }
                    line.clear();
                    if head.is_empty() {
                        let mut body = vec![0; length];
                        reader.read_exact(&mut body).unwrap();
                        let _ = sender.send(body);
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                    }
                }
            });
        }
    });
    bodies
}

fn has(bodies: &[Vec<u8>], wanted: &[u8]) -> bool {
    bodies.iter().any(|body| body.windows(wanted.len()).any(|bytes| bytes == wanted))
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_go_where_the_environment_says_and_hold_no_secret() {
    let shop = Shop::connected(Habits::default()).await;
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let bodies = collect(collector);
    let outside = Outside::start_with(&shop.machine, "", |command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint).env("OTEL_SERVICE_NAME", "grants-of-tests");
    });
    let key = outside.key(&shop.machine, "reader", &["token:drive/*", "manage:drive/*"]);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n");
    let known = format!("authorization: Bearer {key}\r\n{parent}");
    let refreshed = outside.ask_with("POST", "/v1/connections/drive/reports/refresh", &known, "");
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let token = outside.ask(Some(&key), "GET", TOKEN, None).json(200)["access_token"].as_str().unwrap().to_owned();
    // A stranger decides nothing.
    let other = "11111111111111111111111111111111";
    outside.ask_with("GET", TOKEN, &format!("traceparent: 00-{other}-00f067aa0ba902b7-01\r\n"), "");
    // What is left is sent at the end.
    let log = outside.daemon.stopped();
    let bodies: Vec<Vec<u8>> = bodies.try_iter().collect();
    for wanted in [
        "grants-of-tests",
        "POST /v1/connections/{application}/{name}/refresh",
        "http.response.status_code",
        "token request",
        "refresh_token",
        NAME,
    ] {
        assert!(has(&bodies, wanted.as_bytes()), "{wanted}: {log:?}");
    }
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    assert!(has(&bodies, &bytes(trace)) && !has(&bodies, &bytes(other)));
    for secret in [&token, &key] {
        assert!(!has(&bodies, secret.as_bytes()));
    }
}
