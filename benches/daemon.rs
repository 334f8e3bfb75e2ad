//! `GET …/token` as a program asks for it: over HTTP with an API key, which is checked, and with the hand-out in the audit log; against a bare
//! axum handler that gives the same bytes. Both are asked by the same client, over the same number of kept connections, in turns.
//!
//! `--connections N` (64), `--rounds N` (5), `--seconds N` (3).

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::expect_used, clippy::unwrap_used)]

mod common;

use axum::http::header;
use axum::routing::get;
use common::desk::{Desk, name};
use common::provider::Provider;
use common::{head, median, option, row};
use grantkeeper::connector::{Connector, NewKey, Settings};
use grantkeeper::model::{Clock as _, Secret, SystemClock, later};
use grantkeeper::server::{Network, Port, Socket, serve, sessions};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// Connections that are asked for in turn.
const CONNECTIONS: usize = 1000;

/// What is set against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Bare,
    Daemon,
    DaemonOfOne,
}

const WAYS: [Way; 3] = [Way::Bare, Way::Daemon, Way::DaemonOfOne];

impl Way {
    fn says(self) -> &'static str {
        match self {
            Self::Bare => "a bare axum handler, the same bytes",
            Self::Daemon => "`GET …/token`, of a thousand connections",
            Self::DaemonOfOne => "`GET …/token`, of one connection",
        }
    }
}

/// What one turn came to.
struct Turn {
    a_second: f64,
    /// Microseconds.
    median: f64,
    p99: f64,
}

struct Contest {
    bare: SocketAddr,
    daemon: SocketAddr,
    key: Secret,
    names: Vec<String>,
}

fn main() {
    common::provider::serve_if_asked();
    let quick = common::is_quick();
    let number = |name, usual| option(name).map_or(usual, |text| text.parse().expect("a number"));
    let connections = number("--connections", if quick { 4 } else { 64 });
    let rounds = number("--rounds", if quick { 1 } else { 5 });
    let turn = if quick { Duration::from_millis(50) } else { Duration::from_secs(number("--seconds", 3) as u64) };
    // Those who ask have a thread of their own; those who answer have as many as the machine has processors.
    let answering = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let asking = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let provider = Provider::start(Duration::ZERO);
    let folder = common::folder("daemon");
    let (contest, connector) = answering.block_on(prepare(&provider, folder.path()));
    let contest = Arc::new(contest);
    let mut turns: Vec<(Way, Turn)> = Vec::new();
    for round in 0..=rounds {
        for way in WAYS {
            let turn = asked(&asking, &contest, way, connections, turn);
            // The first round warms up.
            if round > 0 || quick {
                turns.push((way, turn));
            }
        }
    }
    let of = |way, what: fn(&Turn) -> f64| {
        median(turns.iter().filter(|(of, _)| *of == way).map(|(_, turn)| what(turn)).collect())
    };
    let bare = of(Way::Bare, |turn| turn.a_second);
    println!("{connections} connections, {rounds} rounds of {turn:?}; medians\n");
    head(&["what answers", "answers a second", "of the bare handler", "median, µs", "99th of 100, µs"]);
    for way in WAYS {
        let a_second = of(way, |turn| turn.a_second);
        row(&[
            way.says(),
            &format!("{a_second:.0}"),
            &format!("{:.2}", a_second / bare),
            &format!("{:.0}", of(way, |turn| turn.median)),
            &format!("{:.0}", of(way, |turn| turn.p99)),
        ]);
    }
    let verified = answering.block_on(connector.verify_audit(None)).expect("the log");
    assert_eq!(verified.findings, []);
    println!("\nentries in the log: {}", verified.entries);
}

async fn prepare(provider: &Provider, folder: &std::path::Path) -> (Contest, Connector) {
    let desk = Desk::open_now(folder);
    let connector = desk.connector_by(Settings::default(), None, Arc::new(SystemClock));
    let application = desk.apply(&connector, "drive", &provider.address, "").await;
    desk.add(&application, 0..CONNECTIONS, |_| later(SystemClock.now(), 3000)).await;
    let names: Vec<_> = (0..CONNECTIONS).map(|number| name(&application, number)).collect();
    for name in &names {
        connector.token(name).await.expect("a token");
    }
    let allowances = vec!["token:drive/*".parse().unwrap()];
    let made = connector.create_key(NewKey { name: "bench".parse().unwrap(), allowances, expires: None }).await;
    let key = made.expect("a key").secret;
    let network = Network { address: Some(SocketAddr::from(([127, 0, 0, 1], 0))), ..Network::default() };
    let port = Port::listen(&network).await.expect("a port").expect("a port");
    let daemon = port.address();
    let socket = Socket::listen(folder).expect("a socket");
    let sessions = sessions(&connector);
    tokio::spawn(serve(
        connector.clone(),
        socket,
        Some((port, sessions)),
        std::future::pending(),
        std::future::pending(),
    ));
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    // Byte for byte what the daemon answers, but for the time and the request's id.
    let mut stream = TcpStream::connect(daemon).await.unwrap();
    let body = one(&mut stream, request(&names[0], &key).as_bytes(), &mut Vec::new()).await;
    let handler = move || {
        let body = body.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], body) }
    };
    let app = axum::Router::new().route("/v1/connections/{application}/{name}/token", get(handler));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bare = listener.local_addr().unwrap();
    tokio::spawn(async move {
        axum::serve(axum::serve::ListenerExt::tap_io(listener, |io| drop(io.set_nodelay(true))), app).await
    });
    (Contest { bare, daemon, key, names }, connector)
}

fn request(name: &str, key: &Secret) -> String {
    format!(
        "GET /v1/connections/{name}/token HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {}\r\n\r\n",
        key.expose()
    )
}

/// Asks over all connections at once for a while.
fn asked(asking: &Runtime, contest: &Arc<Contest>, way: Way, connections: usize, turn: Duration) -> Turn {
    let (mut took, seconds) = asking.block_on(async {
        let began = Instant::now();
        let all: Vec<_> = (0..connections)
            .map(|number| tokio::task::spawn(asker(Arc::clone(contest), way, number, began + turn)))
            .collect();
        let mut took = Vec::new();
        for one in all {
            took.extend(one.await.unwrap());
        }
        (took, began.elapsed().as_secs_f64())
    });
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    Turn { a_second: took.len() as f64 / seconds, median: at(0.5), p99: at(0.99) }
}

async fn asker(contest: Arc<Contest>, way: Way, number: usize, until: Instant) -> Vec<Duration> {
    let address = if way == Way::Bare { contest.bare } else { contest.daemon };
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut took, mut at, mut buffer) = (Vec::new(), number * 37, Vec::with_capacity(4096));
    loop {
        let began = Instant::now();
        if began >= until {
            return took;
        }
        at = (at + 7) % contest.names.len();
        let name = &contest.names[if way == Way::DaemonOfOne { 0 } else { at }];
        one(&mut stream, request(name, &contest.key).as_bytes(), &mut buffer).await;
        took.push(began.elapsed());
    }
}

/// One answer's body.
async fn one(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> Vec<u8> {
    stream.write_all(request).await.unwrap();
    buffer.clear();
    loop {
        assert_ne!(stream.read_buf(buffer).await.unwrap(), 0, "the connection ended");
        let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end]).unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let length: usize = length.parse().unwrap();
        if buffer.len() >= end + 4 + length {
            return buffer[end + 4..].to_vec();
        }
    }
}
