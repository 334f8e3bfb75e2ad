//! A hand-out as the API makes it: the key is checked, the token handed out, and the log told of it; against the token alone. What the log
//! costs in its own task is in it: the clock stops when the last entry is durable.

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::expect_used, clippy::unwrap_used)]

mod common;

use common::desk::{Desk, name};
use common::provider::Provider;
use common::{head, median, option, row};
use grantkeeper::access::{Acting, Caller};
use grantkeeper::connector::{Connector, NewKey, Settings};
use grantkeeper::model::{Clock as _, ConnectionName, RequestId, Secret, SystemClock, later};
use grantkeeper::refresh::Want;
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use uuid::Uuid;

/// Connections that are asked for in turn.
const CONNECTIONS: usize = 1000;

struct Contest {
    names: Vec<ConnectionName>,
    connector: Connector,
    key: Secret,
    caller: Caller,
}

/// What is set against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Token,
    LetIn,
    Audited,
    Whole,
    WholeOfOne,
}

const WAYS: [Way; 5] = [Way::Token, Way::LetIn, Way::Audited, Way::Whole, Way::WholeOfOne];

impl Way {
    fn says(self) -> &'static str {
        match self {
            Self::Token => "`connector.token()`",
            Self::LetIn => "`connector.let_in()`",
            Self::Audited => "`connector.token_for()`",
            Self::Whole => "both, of a thousand connections",
            Self::WholeOfOne => "both, of one connection",
        }
    }
}

fn main() {
    common::provider::serve_if_asked();
    let quick = common::is_quick();
    let (turn, rounds) = if quick { (Duration::from_millis(5), 1) } else { (Duration::from_millis(1000), 5) };
    let rounds = option("--rounds").map_or(rounds, |text| text.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let provider = Provider::start(Duration::ZERO);
    let folder = common::folder("access");
    let contest = Arc::new(runtime.block_on(prepare(&provider, folder.path())));
    head(&["threads", "way", "nanoseconds a call, median"]);
    for threads in [1, 2, 8] {
        for way in WAYS {
            let figures = (0..rounds).map(|_| round(&contest, way, threads, turn, runtime.handle())).collect();
            row(&[&threads.to_string(), way.says(), &format!("{:.0}", median(figures))]);
        }
    }
    let verified = runtime.block_on(contest.connector.verify_audit(None)).expect("the log");
    assert_eq!(verified.findings, []);
    println!("\nentries in the log: {}", verified.entries);
}

async fn prepare(provider: &Provider, folder: &std::path::Path) -> Contest {
    let desk = Desk::open_now(folder);
    let connector = desk.connector_by(Settings::default(), None, Arc::new(SystemClock));
    let application = desk.apply(&connector, "drive", &provider.address, "").await;
    desk.add(&application, 0..CONNECTIONS, |_| later(SystemClock.now(), 3000)).await;
    let names: Vec<_> = (0..CONNECTIONS).map(|number| name(&application, number)).collect();
    for name in &names {
        connector.token(name).await.expect("a token");
    }
    let new =
        NewKey { name: "bench".parse().unwrap(), allowances: vec!["token:drive/*".parse().unwrap()], expires: None };
    let made = connector.create_key(new).await.expect("a key");
    let caller = connector.let_in(made.secret.expose()).await.expect("a caller");
    Contest { names, connector, key: made.secret, caller }
}

/// Nanoseconds a call, as each thread sees it, until all of them are in the log.
fn round(contest: &Arc<Contest>, way: Way, threads: usize, turn: Duration, handle: &Handle) -> f64 {
    let start = Arc::new(Barrier::new(threads + 1));
    let all: Vec<_> = (0..threads)
        .map(|thread| {
            let (contest, start, handle) = (Arc::clone(contest), Arc::clone(&start), handle.clone());
            std::thread::spawn(move || {
                start.wait();
                handle.block_on(calls(&contest, way, thread, turn))
            })
        })
        .collect();
    start.wait();
    let began = Instant::now();
    let calls: u64 = all.into_iter().map(|thread| thread.join().unwrap()).sum();
    handle.block_on(contest.connector.last_audit()).expect("the log"); // which waits for what is not written yet
    1e9 * threads as f64 * began.elapsed().as_secs_f64() / calls as f64
}

async fn calls(contest: &Contest, way: Way, thread: usize, turn: Duration) -> u64 {
    let began = Instant::now();
    let (mut calls, mut at) = (0, thread * 37);
    let acting =
        Acting::of(&contest.caller).in_request(RequestId(Uuid::from_u128(1)), Some("192.0.2.7".parse().unwrap()));
    while began.elapsed() < turn {
        for _ in 0..64 {
            at = (at + 7 + 2 * thread) % contest.names.len();
            let name = black_box(&contest.names[if way == Way::WholeOfOne { 0 } else { at }]);
            if matches!(way, Way::LetIn | Way::Whole | Way::WholeOfOne) {
                black_box(contest.connector.let_in(contest.key.expose()).await.expect("a caller"));
            }
            match way {
                Way::Token => drop(black_box(contest.connector.token(name).await.expect("a token"))),
                Way::LetIn => {}
                Way::Audited | Way::Whole | Way::WholeOfOne => {
                    let token = contest.connector.token_for(acting.clone(), name, Want::Working).await;
                    drop(black_box(token.expect("a token")));
                }
            }
            calls += 1;
        }
    }
    calls
}
