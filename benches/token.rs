//! `token()` on a token that is good, by 1 and by many threads, against a look into a concurrent map with the same keys and
//! values, and against the `token()` of yup-oauth2.

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::expect_used, clippy::unwrap_used)]

mod common;

use common::desk::{Desk, name};
use common::provider::Provider;
use common::{head, median, option, row};
use grantkeeper::connector::{Connector, Settings};
use grantkeeper::model::{ConnectionName, SystemClock};
use grantkeeper::refresh::Token;
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use yup_oauth2::authenticator::Authenticator;
use yup_oauth2::authenticator_delegate::{DeviceAuthResponse, DeviceFlowDelegate};
use yup_oauth2::{ApplicationSecret, CustomHyperClientBuilder, DeviceFlowAuthenticator};

/// Connections that are asked for in turn.
const CONNECTIONS: usize = 1000;

type Yup = Authenticator<hyper_util::client::legacy::connect::HttpConnector>;

/// Everything that is asked for tokens.
struct Contest {
    names: Vec<ConnectionName>,
    connector: Connector,
    quick: quick_cache::sync::Cache<ConnectionName, Token>,
    papaya: papaya::HashMap<ConnectionName, Token>,
    yup: Yup,
}

/// What is set against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Ours,
    Quick,
    Papaya,
    Yup,
}

const WAYS: [Way; 4] = [Way::Quick, Way::Ours, Way::Papaya, Way::Yup];

impl Way {
    fn says(self) -> &'static str {
        match self {
            Self::Ours => "`connector.token()`",
            Self::Quick => "a look into quick_cache",
            Self::Papaya => "a look into papaya",
            Self::Yup => "`token()` of yup-oauth2",
        }
    }
}

fn main() {
    common::provider::serve_if_asked();
    let quick = common::is_quick();
    let (turn, rounds) = if quick { (Duration::from_millis(5), 1) } else { (Duration::from_millis(200), 9) };
    let rounds = option("--rounds").map_or(rounds, |text| text.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let provider = Provider::start(Duration::ZERO);
    let folder = common::folder("token");
    let contest = Arc::new(runtime.block_on(prepare(&provider, folder.path())));
    head(&["threads", "way", "nanoseconds a call, median", "of a look into quick_cache"]);
    for threads in [1, 2, 8] {
        let mut figures: Vec<(Way, Vec<f64>)> = WAYS.into_iter().map(|way| (way, Vec::new())).collect();
        for _ in 0..rounds {
            for (way, figures) in &mut figures {
                figures.push(round(&contest, *way, threads, turn, runtime.handle()));
            }
        }
        let base = figures[0].1.clone();
        for (way, figures) in figures {
            let ratios = figures.iter().zip(&base).map(|(figure, base)| figure / base).collect();
            let (time, ratio) = (median(figures), median(ratios));
            row(&[&threads.to_string(), way.says(), &format!("{time:.0}"), &format!("{ratio:.1}")]);
        }
    }
    // What was measured went to no provider: each of our tokens was stored, and yup-oauth2 asked once.
    let counts = runtime.block_on(provider.counts());
    assert_eq!((counts.requests, counts.again), (1, 0));
}

async fn prepare(provider: &Provider, folder: &std::path::Path) -> Contest {
    let desk = Desk::open_now(folder);
    let connector = desk.connector_by(Settings::default(), None, Arc::new(SystemClock));
    let application = desk.apply(&connector, "drive", &provider.address, "").await;
    let later = grantkeeper::model::later(grantkeeper::model::Clock::now(&SystemClock), 3000);
    desk.add(&application, 0..CONNECTIONS, |_| later).await;
    let names: Vec<_> = (0..CONNECTIONS).map(|number| name(&application, number)).collect();
    let (quick, papaya) = (quick_cache::sync::Cache::new(50_000), papaya::HashMap::new());
    for name in &names {
        // The first call reads the store; from then on it is in memory.
        let token = connector.token(name).await.expect("a token");
        quick.insert(name.clone(), token.clone());
        papaya.pin().insert(name.clone(), token);
    }
    Contest { names, connector, quick, papaya, yup: yup(&provider.address).await }
}

/// yup-oauth2 through a device authorization of its own, so that its token lies where it puts it.
async fn yup(provider: &str) -> Yup {
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build(hyper_util::client::legacy::connect::HttpConnector::new());
    let secret = ApplicationSecret {
        client_id: "bench-client".to_owned(),
        client_secret: "bench-secret".to_owned(),
        token_uri: format!("{provider}/token"),
        auth_uri: format!("{provider}/authorize"),
        ..ApplicationSecret::default()
    };
    let builder = DeviceFlowAuthenticator::with_client(secret, CustomHyperClientBuilder::from(client));
    let builder = builder.device_code_url(format!("{provider}/device")).flow_delegate(Box::new(Silent));
    let yup = builder.build().await.expect("yup-oauth2");
    yup.token(&SCOPES).await.expect("its first token");
    yup
}

const SCOPES: [&str; 1] = ["files.read"];

/// Tells nobody to enter a code.
struct Silent;

impl DeviceFlowDelegate for Silent {
    fn present_user_code<'a>(
        &'a self,
        _: &'a DeviceAuthResponse,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async {})
    }
}

/// Nanoseconds a call, as each thread sees it.
fn round(contest: &Arc<Contest>, way: Way, threads: usize, turn: Duration, handle: &Handle) -> f64 {
    let start = Arc::new(Barrier::new(threads));
    let all: Vec<_> = (0..threads)
        .map(|thread| {
            let (contest, start, handle) = (Arc::clone(contest), Arc::clone(&start), handle.clone());
            std::thread::spawn(move || {
                start.wait();
                handle.block_on(calls(&contest, way, thread, turn))
            })
        })
        .collect();
    let calls: Vec<(u64, Duration)> = all.into_iter().map(|thread| thread.join().unwrap()).collect();
    let rate: f64 = calls.iter().map(|(calls, took)| *calls as f64 / took.as_secs_f64()).sum();
    1e9 * threads as f64 / rate
}

async fn calls(contest: &Contest, way: Way, thread: usize, turn: Duration) -> (u64, Duration) {
    let began = Instant::now();
    let mut calls = 0;
    // Each thread starts elsewhere and takes another step, so that they do not walk in line.
    let mut at = thread * 37;
    while began.elapsed() < turn {
        for _ in 0..256 {
            at = (at + 7 + 2 * thread) % contest.names.len();
            let name = black_box(&contest.names[at]);
            match way {
                Way::Ours => drop(black_box(contest.connector.token(name).await.expect("a token"))),
                Way::Quick => drop(black_box(contest.quick.get(name).expect("a token"))),
                Way::Papaya => drop(black_box(contest.papaya.pin().get(name).cloned().expect("a token"))),
                Way::Yup => drop(black_box(contest.yup.token(&SCOPES).await.expect("a token"))),
            }
            calls += 1;
        }
    }
    (calls, began.elapsed())
}
