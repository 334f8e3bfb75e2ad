//! What the benchmarks share: how long a run is, a desk of many connections, figures of this process, tables.
//!
//! `cargo bench --bench NAME` runs the whole; without Cargo's `--bench` (so under `cargo test`) or with `--quick` a short
//! form runs, which checks the same things in seconds and whose figures mean nothing.

// Each benchmark is a program of its own and takes what it needs of this.
#![allow(dead_code, clippy::disallowed_methods, clippy::print_stdout, clippy::expect_used, clippy::unwrap_used)]

pub(crate) mod desk;
pub(crate) mod provider;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The program's own allocator, for both sides of each comparison.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whether the whole is run, or the short form.
pub(crate) fn is_quick() -> bool {
    let mut whole = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => return true,
            "--bench" => whole = true,
            _ => {}
        }
    }
    !whole
}

/// The value behind an option of the command line.
pub(crate) fn option(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

/// A new folder on the disk that Cargo builds on: the system's own folder for such things may be memory.
pub(crate) fn folder(name: &str) -> tempfile::TempDir {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    tempfile::Builder::new().prefix(&format!("bench-{name}-")).tempdir_in(place).expect("a folder")
}

/// How long `work` took.
pub(crate) async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    let done = work.await;
    (done, began.elapsed())
}

/// The middle of some figures: a busy machine spoils the others.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => figures[count / 2],
        count => f64::midpoint(figures[count / 2 - 1], figures[count / 2]),
    }
}

/// Prints one line of a Markdown table.
pub(crate) fn row(cells: &[&str]) {
    println!("| {} |", cells.join(" | "));
}

/// Prints the head of a Markdown table.
pub(crate) fn head(cells: &[&str]) {
    row(cells);
    row(&vec!["---"; cells.len()]);
}

/// Processor time that a process has used so far, where `/proc` tells it.
pub(crate) fn processor_time(process: u32) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10)) // a tick is a hundredth of a second on every Linux
}

/// Bytes of memory that this process holds now, where `/proc` tells it.
pub(crate) fn memory() -> Option<u64> {
    status("VmRSS:")
}

/// The most bytes of memory that this process ever held.
pub(crate) fn most_memory() -> Option<u64> {
    status("VmHWM:")
}

fn status(field: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}
