//! What the number of connections costs: memory and the time to open, after a clean stop, after a kill and without an index;
//! the look at what is due. Then what a commit costs beside the disk's own part of it, a token that is not in memory, and
//! the command line as a whole process.
//!
//! Each measurement of memory is a process of its own: this program, started again with `--work`.

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::expect_used, clippy::unwrap_used)]

mod common;

use common::desk::{Desk, name, noon};
use common::{folder, head, median, option, row, timed};
use grantkeeper::connector::{Connector, Home, Settings};
use grantkeeper::model::{Application, Clock, SystemClock, later};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// How many connections are due in every store.
const DUE: usize = 100;
/// An address that nothing asks for anything.
const NOWHERE: &str = "http://127.0.0.1:9";

/// What a process that worked on a store says of it.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    /// Seconds that the work took.
    took: f64,
    /// Megabytes in memory when it was done.
    memory: u64,
    /// The most megabytes at any time.
    most: u64,
    /// Microseconds of one token that is not in memory.
    cold: f64,
    /// The healing of the index, if there was one.
    healed: Option<String>,
}

fn main() {
    if let Some(work) = option("--work") {
        return worker(&work);
    }
    let quick = common::is_quick();
    let number = |name: &str, whole: usize, short: usize| {
        option(name).map_or(if quick { short } else { whole }, |text| text.parse().expect("a number"))
    };
    let (small, large) = (number("--small", 100_000, 300), number("--large", 1_000_000, 1000));
    let few = number("--few", 10_000, 200);
    let rounds = if quick { 3 } else { 300 };
    let only = option("--only");
    let wanted = |part: &str| only.as_ref().is_none_or(|only| only == part);
    if wanted("many") {
        println!("## Connections, two credentials each\n");
        head(&[
            "connections",
            "after",
            "seconds to open",
            "of a clean one",
            "MB held",
            "MB at most",
            "µs a token not in memory",
        ]);
        let places: Vec<_> = [small, large].into_iter().map(|connections| many(connections, quick)).collect();
        println!("\n## {DUE} due of few and of many\n");
        let place = folder("few");
        ask(place.path(), "write", few);
        due(&[(few, place.path()), (large, places[1].path())], rounds);
    }
    if wanted("commit") {
        println!("\n## A commit\n");
        Runtime::new().unwrap().block_on(commits(rounds));
    }
    if wanted("process") {
        println!("\n## The command line, a whole process\n");
        Runtime::new().unwrap().block_on(processes(if quick { 2 } else { 30 }));
    }
}

/// Measures one number of connections; gives the folder for further questions.
fn many(connections: usize, quick: bool) -> tempfile::TempDir {
    let place = folder("many");
    let wrote = ask(place.path(), "write", connections);
    let line = |after: &str, said: &Said, clean: f64| {
        row(&[
            &connections.to_string(),
            after,
            &format!("{:.2}", said.took),
            &format!("{:.1}", said.took / clean),
            &said.memory.to_string(),
            &said.most.to_string(),
            &format!("{:.0}", said.cold),
        ]);
    };
    let clean = ask(place.path(), "open", connections);
    assert_eq!(clean.healed, None);
    let base = clean.took;
    line("a clean stop", &clean, base);
    kill_at_work(place.path(), connections);
    let killed = ask(place.path(), "open", connections);
    assert_eq!(killed.healed, None, "a kill damages nothing");
    line("kill -9", &killed, base);
    std::fs::remove_dir_all(place.path().join("store").join("index")).expect("the index");
    let healed = ask(place.path(), "open", connections);
    assert!(healed.healed.is_some(), "an index that is gone is made again");
    line("the loss of its index", &healed, base);
    if !quick {
        println!(
            "\nWritten in {:.0} s, with {} MB at most; {} MB on disk.\n",
            wrote.took,
            wrote.most,
            size(place.path())
        );
    }
    place
}

fn due(stores: &[(usize, &Path)], rounds: usize) {
    let desks: Vec<_> = stores.iter().map(|(connections, place)| (*connections, Desk::open(place))).collect();
    let runtime = Runtime::new().unwrap();
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); desks.len()];
    for _ in 0..rounds {
        for ((_, desk), times) in desks.iter().zip(&mut times) {
            let (found, took) = runtime.block_on(timed(desk.vault.due(noon(), None, 2 * DUE)));
            assert_eq!(found.expect("what is due").len(), DUE);
            times.push(took.as_secs_f64() * 1e6);
        }
    }
    let ratio = median(times[1].iter().zip(&times[0]).map(|(many, few)| many / few).collect());
    head(&["connections", "µs to find what is due, the first time", "median", "of the few"]);
    for (((connections, _), times), ratio) in desks.iter().zip(times).zip([1.0, ratio]) {
        let first = times[0];
        let middle = median(times);
        row(&[&connections.to_string(), &format!("{first:.0}"), &format!("{middle:.0}"), &format!("{ratio:.2}")]);
    }
}

/// One commit of the size of a refresh, one after the other, against the same number of bytes written and synced.
async fn commits(rounds: usize) {
    let place = folder("commit");
    let desk = Desk::open(place.path());
    let connector = desk.connector(Settings::default(), None);
    let application = desk.apply(&connector, "drive", NOWHERE, "").await;
    let store = place.path().join("store");
    let before = size_of_journal(&store);
    desk.add(&application, 0..1, |_| noon()).await;
    let bytes = vec![b'x'; usize::try_from(size_of_journal(&store) - before).unwrap()];
    let mut file = std::fs::File::create(place.path().join("bare")).unwrap();
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for number in 1..=rounds {
        let (_, took) = timed(async {
            file.write_all(&bytes).unwrap();
            file.sync_data().unwrap();
        })
        .await;
        bare.push(took.as_secs_f64() * 1e6);
        let changes = desk.changes(&application, number..number + 1, |_| noon());
        let (stored, took) = timed(desk.vault.commit(changes)).await;
        stored.expect("it is stored");
        ours.push(took.as_secs_f64() * 1e6);
    }
    let ratio = median(ours.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect());
    head(&["way", "bytes", "µs, median", "of the bare write"]);
    row(&["write and fdatasync", &bytes.len().to_string(), &format!("{:.0}", median(bare)), "1.0"]);
    row(&[
        "a commit of three records",
        &bytes.len().to_string(),
        &format!("{:.0}", median(ours)),
        &format!("{ratio:.1}"),
    ]);
}

/// `grantkeeper token` against a process that only starts.
async fn processes(rounds: usize) {
    let place = folder("process");
    Home::new(place.path(), place.path().join("keys")).init(SystemClock.now()).expect("a home");
    {
        let desk = Desk::open_now(place.path());
        let connector = desk.connector(Settings::default(), None);
        let application = desk.apply(&connector, "drive", NOWHERE, "").await;
        let far = later(SystemClock.now(), 3000);
        desk.add(&application, 0..1000, |_| far).await;
    }
    let run = |arguments: &[&str]| {
        let began = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_grantkeeper"));
        command.arg("--home").arg(place.path()).arg("--key-file").arg(place.path().join("keys"));
        let output = command.args(arguments).output().expect("grantkeeper");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        began.elapsed().as_secs_f64() * 1e3
    };
    let (mut bare, mut token) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        bare.push(run(&["--version"]));
        token.push(run(&["token", "drive/user-0000500"]));
    }
    let ratio = median(token.iter().zip(&bare).map(|(token, bare)| token / bare).collect());
    head(&["command", "ms, median", "of the bare start"]);
    row(&["`grantkeeper --version`", &format!("{:.1}", median(bare)), "1.0"]);
    row(&[
        "`grantkeeper token`, 1000 connections in the store",
        &format!("{:.1}", median(token)),
        &format!("{ratio:.1}"),
    ]);
}

/// Starts this program to work on a store, and takes its word.
fn ask(place: &Path, work: &str, connections: usize) -> Said {
    let (mut child, line) = start(place, work, connections);
    assert!(child.wait().expect("it ends").success(), "{work}");
    serde_json::from_str(&line).expect("what it says")
}

/// Lets a process commit to the store, and kills it.
fn kill_at_work(place: &Path, connections: usize) {
    let (mut child, _) = start(place, "commit", connections);
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
}

fn start(place: &Path, work: &str, connections: usize) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--work", work, "--connections", &connections.to_string(), "--place"])
        .arg(place)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its word");
    (child, line)
}

/// The process that works on a store.
fn worker(work: &str) {
    let place = option("--place").expect("a place");
    let connections: usize = option("--connections").expect("a number").parse().expect("a number");
    let began = Instant::now();
    let desk = Desk::open(Path::new(&place));
    let mut took = began.elapsed();
    let runtime = Runtime::new().unwrap();
    let held = common::memory().unwrap_or(0);
    let mut cold = 0.0;
    match work {
        "write" => {
            took = runtime.block_on(async {
                let application = made(&desk).await.1;
                // Spread over the next day, but for those that are due.
                let at = |number| later(noon(), if number < DUE { 0 } else { 60 + (number as u64 * 7919) % 86_400 });
                timed(desk.add(&application, 0..connections, at)).await.1
            });
        }
        "open" => cold = runtime.block_on(cold_tokens(&desk, connections)),
        "commit" => {
            runtime.block_on(async {
                let application = made(&desk).await.1;
                desk.add(&application, connections..connections + 1, |_| later(noon(), 86_400)).await;
            });
            say(&desk, took, held, cold);
            // Until it is killed.
            loop {
                std::thread::park();
            }
        }
        other => panic!("there is no work {other}"),
    }
    say(&desk, took, held, cold);
}

fn say(desk: &Desk, took: Duration, held: u64, cold: f64) {
    let megabytes = |bytes: u64| bytes >> 20;
    let said = Said {
        took: took.as_secs_f64(),
        memory: megabytes(held),
        most: megabytes(common::most_memory().unwrap_or(0)),
        cold,
        healed: desk.store.healed().map(|healing| healing.noticed),
    };
    println!("{}", serde_json::to_string(&said).expect("words"));
}

async fn made(desk: &Desk) -> (Connector, Application) {
    let connector = desk.connector(Settings::default(), None);
    let application = desk.apply(&connector, "drive", NOWHERE, "").await;
    (connector, application)
}

/// Microseconds of a token that has to be read from the store, over a thousand connections in no order.
async fn cold_tokens(desk: &Desk, connections: usize) -> f64 {
    let (connector, application) = made(desk).await;
    let mut times = Vec::new();
    for turn in 0..connections.min(1000) {
        let name = name(&application, DUE + (turn * 7919) % (connections - DUE));
        let (token, took) = timed(connector.token(&name)).await;
        token.expect("a token");
        times.push(took.as_secs_f64() * 1e6);
    }
    median(times)
}

/// Megabytes of a folder.
fn size(folder: &Path) -> u64 {
    bytes_below(folder, &|_| true) >> 20
}

fn size_of_journal(store: &Path) -> u64 {
    bytes_below(store, &|name| name.starts_with("journal-"))
}

fn bytes_below(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let sizes = entries.map(|entry| match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
        true => bytes_below(&entry.path(), wanted),
        false if wanted(&entry.file_name().to_string_lossy()) => entry.metadata().map_or(0, |data| data.len()),
        false => 0,
    });
    sizes.sum()
}
