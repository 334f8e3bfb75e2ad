//! Time, the trace, and the life of a process. Time is tokio's paused clock: it stands still while any task can run, and
//! then jumps to the next thing that is to happen. So the order of everything follows from the delays, and those from the
//! seed.

use super::chance::Chance;
use grantkeeper::model::{Clock, Timestamp};
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What all processes and the provider of one run share.
pub(super) struct World {
    pub(super) chance: Chance,
    began: Instant,
    epoch: Timestamp,
    /// By how many milliseconds the machines' clocks have jumped so far; negative is back.
    shift: Mutex<i64>,
    jumped: Notify,
    trace: Mutex<Trace>,
}

struct Trace {
    hash: u64,
    lines: u64,
    aloud: bool,
    broken: Option<String>,
}

impl World {
    /// Inside a runtime whose clock is paused.
    pub(super) fn new(seed: u64, aloud: bool) -> Arc<Self> {
        let trace = Trace { hash: 0xcbf2_9ce4_8422_2325, lines: 0, aloud, broken: None };
        Arc::new(Self {
            chance: Chance::new(seed),
            began: Instant::now(),
            epoch: "2026-11-30T08:00:00Z".parse().unwrap(),
            shift: Mutex::new(0),
            jumped: Notify::new(),
            trace: Mutex::new(trace),
        })
    }

    /// What the machines' clocks show.
    pub(super) fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.began.elapsed().as_millis()).unwrap();
        self.epoch + jiff_millis(passed + *self.shift.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Real time of the run, in milliseconds: no jump of a clock moves it.
    pub(super) fn passed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap()
    }

    /// Lets every machine's clock jump.
    pub(super) fn jump(&self, millis: i64) {
        *self.shift.lock().unwrap_or_else(PoisonError::into_inner) += millis;
        self.jumped.notify_waiters();
    }

    /// Lets time pass.
    pub(super) async fn pass(&self, millis: u64) {
        pass(millis).await;
    }

    /// Lets a time of a range pass.
    pub(super) async fn pass_some(&self, millis: Range<u64>) {
        pass(self.chance.of(millis)).await;
    }

    /// A line of the trace. Nothing that differs from run to run may stand in it: no id of a process, no sealed byte.
    pub(super) fn tell(&self, line: impl FnOnce() -> String) {
        let at = self.passed();
        let line = line();
        let mut trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in at.to_be_bytes().iter().chain(line.as_bytes()) {
            trace.hash = (trace.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        trace.lines += 1;
        if trace.aloud {
            let seconds = Duration::from_millis(at).as_secs_f64();
            // A failing run is told to whoever replays it.
            #[allow(clippy::print_stdout)]
            {
                println!("{seconds:>9.3} {line}");
            }
        }
    }

    /// Something that must never be. The first one is what the run fails with.
    pub(super) fn broken(&self, what: String) {
        self.tell(|| format!("BROKEN: {what}"));
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).broken.get_or_insert(what);
    }

    /// What was broken first.
    pub(super) fn is_broken(&self) -> Option<String> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).broken.clone()
    }

    /// The hash of the trace, and how many lines it has.
    pub(super) fn trace(&self) -> (u64, u64) {
        let trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        (trace.hash, trace.lines)
    }
}

#[allow(clippy::disallowed_methods)] // tokio's clock is the one that is moved here
async fn pass(millis: u64) {
    if millis > 0 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

fn jiff_millis(millis: i64) -> jiff::SignedDuration {
    jiff::SignedDuration::from_millis(millis)
}

/// How a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Being {
    Running,
    Paused,
    Dead,
}

/// Milliseconds in which a commit is surely made.
const COMMIT: u64 = 100;

/// The life of one process. Whatever it waits for (store, network, clock) it gets only while it runs: one that was killed
/// goes no further than its next wait, wherever that is, and a paused one goes on later.
pub(super) struct Life {
    pub(super) world: Arc<World>,
    /// Its number, for the trace.
    pub(super) number: u64,
    being: Mutex<Being>,
    /// When it was paused or killed.
    stops: Mutex<Vec<u64>>,
    /// Wakes in the order of waiting; a watch does not.
    turned: Notify,
}

impl Life {
    pub(super) fn new(world: &Arc<World>, number: u64) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            number,
            being: Mutex::new(Being::Running),
            stops: Mutex::default(),
            turned: Notify::new(),
        })
    }

    /// Returns while the process runs, and never when it is dead.
    pub(super) async fn runs(&self) {
        loop {
            let turned = self.turned.notified();
            if self.is_running() {
                return;
            }
            turned.await;
        }
    }

    /// Waits as a process does.
    pub(super) async fn pass_some(&self, millis: Range<u64>) {
        self.world.pass_some(millis).await;
        self.runs().await;
    }

    pub(super) fn kill(&self) {
        self.stops().push(self.world.passed());
        *self.being() = Being::Dead;
    }

    pub(super) fn pause(&self) {
        self.turn(Being::Running, Being::Paused);
    }

    pub(super) fn resume(&self) {
        self.turn(Being::Paused, Being::Running);
    }

    fn turn(&self, from: Being, to: Being) {
        if to == Being::Paused {
            self.stops().push(self.world.passed());
        }
        let mut being = self.being();
        if *being == from {
            *being = to;
        }
        drop(being);
        self.turned.notify_waiters();
    }

    /// Whether it ran on after a time for long enough to make a commit.
    pub(super) fn ran_on_after(&self, from: u64) -> bool {
        let until = from.saturating_add(COMMIT);
        until <= self.world.passed() && !self.stops().iter().any(|stop| (from..=until).contains(stop))
    }

    fn stops(&self) -> MutexGuard<'_, Vec<u64>> {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn being(&self) -> MutexGuard<'_, Being> {
        self.being.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_dead(&self) -> bool {
        *self.being() == Being::Dead
    }

    pub(super) fn is_running(&self) -> bool {
        *self.being() == Being::Running
    }
}

/// The clock of one process: its machine's, a little off.
pub(super) struct SimClock {
    pub(super) life: Arc<Life>,
    /// Milliseconds.
    pub(super) off: i64,
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.life.world.now() + jiff_millis(self.off)
    }

    fn sleep_until(&self, until: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            loop {
                let jumped = self.life.world.jumped.notified();
                let left = u64::try_from(until.duration_since(self.now()).as_millis()).unwrap_or(0);
                if left == 0 {
                    break;
                }
                tokio::select! {
                    biased;
                    () = jumped => {}
                    () = pass(left) => {}
                }
            }
            self.life.runs().await;
        })
    }
}

impl fmt::Debug for SimClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimClock")
    }
}
