//! Refreshing many due connections, 256 at a time, against a provider that takes 50 milliseconds: journaled, sealed, through
//! hooks, into the store; set against a loop that only sends the same requests. Fails when a refresh token was sent twice.

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::expect_used, clippy::unwrap_used)]

mod common;

use common::desk::{Desk, SCRIPT};
use common::provider::{Counts, Provider};
use common::{head, median, option, row, timed};
use grantkeeper::connector::Settings;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const LATENCY: Duration = Duration::from_millis(50);
const AT_ONCE: usize = 256;

/// A script as people write them: it changes the request and reads the reply.
const TEXT: &str = r#"
fn preprocessAccessToken(requestParamMap) {
    requestParamMap.put('resource', 'https://api.example.com/');
}
fn postprocessAccessToken(accessTokenResponse) {
    let paramMap = accessTokenResponse.getparameters();
    if paramMap.get('expires_in') == () {
        paramMap.put('expires_in', 3600);
    }
}
"#;

/// What is set against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Bare requests, a connection each, as our client does it.
    Bare,
    /// Bare requests over kept connections.
    Kept,
    /// Grantkeeper with the hooks of `OAuthUtil`.
    Plain,
    /// Grantkeeper with a script of one's own.
    Scripted,
}

const WAYS: [Way; 4] = [Way::Bare, Way::Plain, Way::Scripted, Way::Kept];

impl Way {
    fn says(self) -> &'static str {
        match self {
            Self::Bare => "bare requests, a connection each",
            Self::Kept => "bare requests, connections kept",
            Self::Plain => "Grantkeeper",
            Self::Scripted => "Grantkeeper with a script",
        }
    }
}

/// One round of one way.
struct Figure {
    rate: f64,
    ours: Option<Duration>,
    provider: Option<Duration>,
}

fn main() {
    common::provider::serve_if_asked();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // On the threads that do the work, as the daemon's background job is; the thread that waits here would be woken for each refresh.
    runtime.block_on(async { tokio::spawn(run()).await }).unwrap();
}

async fn run() {
    let quick = common::is_quick();
    let number = |name: &str, whole, short| {
        option(name).map_or(if quick { short } else { whole }, |text| text.parse().expect("a number"))
    };
    let (connections, rounds) = (number("--connections", 10_000, 600), number("--rounds", 5, 1));
    let only = option("--only");
    let provider = Provider::start(LATENCY);
    let folder = common::folder("refresh");
    let desk = Desk::open(folder.path());
    let mut settings = Settings::default();
    settings.refresh.at_once = AT_ONCE;
    settings.refresh.at_once_per_application = AT_ONCE;
    // Two connectors would be two processes; each application is due by itself instead.
    let connector = desk.connector(settings, Some(TEXT));
    let mut figures: Vec<(Way, Vec<Figure>)> = WAYS.into_iter().map(|way| (way, Vec::new())).collect();
    figures.retain(|(way, _)| only.as_ref().is_none_or(|only| format!("{way:?}").eq_ignore_ascii_case(only)));
    let mut bare = 0;
    for (way, _) in &figures {
        let (name, lines) = match way {
            Way::Plain => ("plain", String::new()),
            Way::Scripted => ("scripted", format!("script = \"{SCRIPT}\"")),
            _ => continue,
        };
        desk.apply(&connector, name, &provider.address, &lines).await;
    }
    for round in 0..rounds {
        for (way, figures) in &mut figures {
            let name = match way {
                Way::Plain => "plain",
                Way::Scripted => "scripted",
                Way::Bare | Way::Kept => "",
            };
            if !name.is_empty() {
                // New ones each time: one round's are not due in the next, and the store grows as stores do.
                let application = connector.application(&name.parse().unwrap()).await.unwrap();
                let first = round * connections;
                desk.add(&application, first..first + connections, |_| desk_due()).await;
            }
            provider.counts().await;
            let before = [std::process::id(), provider.process()].map(common::processor_time);
            let (done, took) = timed(async {
                match way {
                    Way::Bare | Way::Kept => {
                        bare += connections;
                        requests(&provider.address, bare - connections..bare, *way == Way::Kept).await
                    }
                    Way::Plain | Way::Scripted => {
                        let round = connector.refresh_due().await.expect("a round");
                        assert_eq!((round.failed, round.reasons), (0, Vec::new()));
                        round.refreshed
                    }
                }
            })
            .await;
            let after = [std::process::id(), provider.process()].map(common::processor_time);
            let Counts { requests, again, most_at_once } = provider.counts().await;
            assert_eq!((done, requests), (connections, connections as u64), "{way:?}: each is refreshed once");
            assert_eq!(again, 0, "{way:?}: a refresh token was sent twice");
            let each = |at: usize| Some((after[at]? - before[at]?) / u32::try_from(connections).ok()?);
            let rate = connections as f64 / took.as_secs_f64();
            println!(
                "round {}, {}: {rate:.0} a second, {most_at_once} at once, {:?} of processor time each, {:?} the provider's",
                round + 1,
                way.says(),
                each(0).unwrap_or_default(),
                each(1).unwrap_or_default()
            );
            figures.push(Figure { rate, ours: each(0), provider: each(1) });
        }
    }
    table(&figures);
}

fn desk_due() -> grantkeeper::model::Timestamp {
    common::desk::noon()
}

/// The bare loop: the same requests from the same number of tasks, and the replies read.
async fn requests(address: &str, numbers: std::ops::Range<usize>, kept: bool) -> usize {
    let mut builder = reqwest::Client::builder().http1_only().no_proxy().timeout(Duration::from_secs(30));
    if !kept {
        builder = builder.pool_max_idle_per_host(0);
    }
    let client = builder.build().unwrap();
    let url: Arc<str> = format!("{address}/token").into();
    let (mut tasks, mut done) = (JoinSet::new(), 0);
    for number in numbers {
        if tasks.len() >= AT_ONCE {
            done += usize::from(tasks.join_next().await.unwrap().unwrap());
        }
        let (client, url) = (client.clone(), Arc::clone(&url));
        tasks.spawn(async move {
            let token = format!("bare-{number:0>60}");
            let body =
                serde_urlencoded::to_string([("grant_type", "refresh_token"), ("refresh_token", &token)]).unwrap();
            let request = client.post(&*url).basic_auth("bench-client", Some("bench-secret"));
            let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
            let reply = request.send().await.unwrap().bytes().await.unwrap();
            let reply: serde_json::Value = serde_json::from_slice(&reply).unwrap();
            reply["refresh_token"].is_string()
        });
    }
    while let Some(ended) = tasks.join_next().await {
        done += usize::from(ended.unwrap());
    }
    done
}

fn table(figures: &[(Way, Vec<Figure>)]) {
    println!();
    head(&["way", "a second, median", "of the bare rate", "processor time each", "the provider's"]);
    let bare = figures.iter().find(|(way, _)| *way == Way::Bare).map(|(_, bare)| bare);
    for (way, figures) in figures {
        let rates = figures.iter().map(|figure| figure.rate).collect();
        // Each round against the bare one just before it.
        let ratios = bare.map(|bare| figures.iter().zip(bare).map(|(figure, bare)| figure.rate / bare.rate).collect());
        let time = |times: Vec<Option<Duration>>| {
            let times: Option<Vec<f64>> = times.into_iter().map(|time| Some(time?.as_secs_f64() * 1e6)).collect();
            times.map_or("–".to_owned(), |times| format!("{:.0} µs", median(times)))
        };
        row(&[
            way.says(),
            &format!("{:.0}", median(rates)),
            &ratios.map_or("–".to_owned(), |ratios| format!("{:.2}", median(ratios))),
            &time(figures.iter().map(|figure| figure.ours).collect()),
            &time(figures.iter().map(|figure| figure.provider).collect()),
        ]);
    }
}
