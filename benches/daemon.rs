//! `GET …/token` as a program asks for it: `grantkeeper serve` over HTTP with an API key, which is checked, and with the hand-out in the audit
//! log; against a bare axum handler that gives the same bytes. Each is a process of its own, as it would run, and both are asked by the same
//! client, over the same number of kept connections, in turns.
//!
//! `--connections N` (64), `--rounds N` (5), `--seconds N` (3), `--only bare|daemon|one` for a profiler, which finds the daemon by its name.

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::expect_used, clippy::unwrap_used)]

mod common;

use axum::http::header;
use axum::routing::get;
use common::desk::{Desk, name};
use common::provider::Provider;
use common::{head, median, option, processor_time, row};
use grantkeeper::connector::{Home, NewKey, Settings};
use grantkeeper::model::{Clock as _, Secret, SystemClock, later};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
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
    /// What `--only` calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Daemon => "daemon",
            Self::DaemonOfOne => "one",
        }
    }

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
    /// Microseconds of processor time that an answer took on the answering side.
    processor: f64,
}

/// A program that answers. It ends with this.
struct Answering {
    child: Child,
    address: SocketAddr,
}

impl Drop for Answering {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Contest {
    bare: Answering,
    daemon: Answering,
    key: Secret,
    names: Vec<String>,
}

impl Contest {
    fn of(&self, way: Way) -> &Answering {
        if way == Way::Bare { &self.bare } else { &self.daemon }
    }
}

fn main() {
    common::provider::serve_if_asked();
    answer_barely_if_asked();
    let quick = common::is_quick();
    let number = |name, usual| option(name).map_or(usual, |text| text.parse().expect("a number"));
    let connections = number("--connections", if quick { 4 } else { 64 });
    let rounds = number("--rounds", if quick { 1 } else { 5 });
    let turn = if quick { Duration::from_millis(50) } else { Duration::from_secs(number("--seconds", 3) as u64) };
    let only = option("--only");
    let ways: Vec<Way> = WAYS.into_iter().filter(|way| only.as_deref().is_none_or(|only| only == way.name())).collect();
    let asking = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let provider = Provider::start(Duration::ZERO);
    let folder = common::folder("daemon");
    let contest = Arc::new(asking.block_on(prepare(&provider, folder.path())));
    let mut turns: Vec<(Way, Turn)> = Vec::new();
    for round in 0..=rounds {
        for way in ways.iter().copied() {
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
    head(&[
        "what answers",
        "answers a second",
        "of the bare handler",
        "median, µs",
        "99th of 100, µs",
        "processor, µs",
    ]);
    for way in ways {
        let a_second = of(way, |turn| turn.a_second);
        row(&[
            way.says(),
            &format!("{a_second:.0}"),
            &format!("{:.2}", a_second / bare),
            &format!("{:.0}", of(way, |turn| turn.median)),
            &format!("{:.0}", of(way, |turn| turn.p99)),
            &format!("{:.1}", of(way, |turn| turn.processor)),
        ]);
    }
    end(contest, folder.path());
}

/// Ends the daemon as a service manager does, and reads its audit log.
fn end(contest: Arc<Contest>, folder: &Path) {
    let contest = Arc::into_inner(contest).expect("nobody asks any more");
    let Answering { child, .. } = &contest.daemon;
    let ended = Command::new("kill").arg(child.id().to_string()).status().expect("kill");
    assert!(ended.success());
    let mut contest = contest;
    assert!(contest.daemon.child.wait().expect("it ends").success());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let verified = runtime.block_on(async {
        let desk = Desk::open_now(folder);
        let connector = desk.connector_by(Settings::default(), None, Arc::new(SystemClock));
        connector.verify_audit(None).await.expect("the log")
    });
    assert_eq!(verified.findings, []);
    println!("\nentries in the log: {}", verified.entries);
}

async fn prepare(provider: &Provider, folder: &Path) -> Contest {
    let keys = folder.join("keys");
    Home::new(folder, &keys).with_keys(&keys).init(SystemClock.now()).expect("a home");
    let (names, key) = {
        let desk = Desk::open_now(folder);
        let connector = desk.connector_by(Settings::default(), None, Arc::new(SystemClock));
        let application = desk.apply(&connector, "drive", &provider.address, "").await;
        desk.add(&application, 0..CONNECTIONS, |_| later(SystemClock.now(), 3000)).await;
        let names: Vec<String> = (0..CONNECTIONS).map(|number| name(&application, number).to_string()).collect();
        let allowances = vec!["token:drive/*".parse().unwrap()];
        let made = connector.create_key(NewKey { name: "bench".parse().unwrap(), allowances, expires: None }).await;
        connector.close().await;
        (names, made.expect("a key").secret)
    };
    let daemon = daemon(folder).await;
    // Byte for byte what the daemon answers, but for the time and the request's id.
    let mut stream = TcpStream::connect(daemon.address).await.unwrap();
    let mut body = Vec::new();
    for name in &names {
        body = one(&mut stream, request(name, &key).as_bytes(), &mut Vec::new()).await;
    }
    Contest { bare: barely(&body), daemon, key, names }
}

/// The daemon of a home, when it answers.
async fn daemon(home: &Path) -> Answering {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let child = Command::new(env!("CARGO_BIN_EXE_grantkeeper"))
        .env_clear()
        .arg("--home")
        .arg(home)
        .arg("--key-file")
        .arg(home.join("keys"))
        .args(["serve", "--listen", &free.to_string()])
        .stdout(Stdio::null())
        .spawn()
        .expect("the daemon starts");
    let daemon = Answering { child, address: free };
    for _ in 0..500 {
        if TcpStream::connect(daemon.address).await.is_ok() {
            return daemon;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the daemon does not answer");
}

/// Starts this very program as a bare handler that answers with a body.
fn barely(body: &[u8]) -> Answering {
    let body = String::from_utf8(body.to_vec()).expect("text");
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program)
        .args(["--bare", &body])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the handler starts");
    let mut address = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut address).expect("its address");
    let address = address.trim().parse().expect("an address");
    Answering { child, address }
}

/// Becomes the bare handler where the program was started as one; returns at once where it was not.
fn answer_barely_if_asked() {
    let Some(body) = option("--bare") else { return };
    // Whoever started it is gone when its input ends.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let handler = move || {
        let body = body.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], body) }
    };
    let app = axum::Router::new().route("/v1/connections/{application}/{name}/token", get(handler));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("its address"));
        let listener = axum::serve::ListenerExt::tap_io(listener, |io| drop(io.set_nodelay(true)));
        axum::serve(listener, app).await.expect("it serves");
    });
}

fn request(name: &str, key: &Secret) -> String {
    format!(
        "GET /v1/connections/{name}/token HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {}\r\n\r\n",
        key.expose()
    )
}

/// Asks over all connections at once for a while.
fn asked(asking: &Runtime, contest: &Arc<Contest>, way: Way, connections: usize, turn: Duration) -> Turn {
    let process = contest.of(way).child.id();
    let before = processor_time(process);
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
    let used = processor_time(process).zip(before).map_or(f64::NAN, |(after, before)| (after - before).as_secs_f64());
    let processor = used * 1e6 / took.len() as f64;
    Turn { a_second: took.len() as f64 / seconds, median: at(0.5), p99: at(0.99), processor }
}

async fn asker(contest: Arc<Contest>, way: Way, number: usize, until: Instant) -> Vec<Duration> {
    let mut stream = TcpStream::connect(contest.of(way).address).await.unwrap();
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
