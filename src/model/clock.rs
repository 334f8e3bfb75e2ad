//! Time is handed in: nothing else in the crate asks the system for it (a lint forbids it), so tests move a clock
//! instead of sleeping.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A point in time, to the nanosecond, up to the year 9999.
pub type Timestamp = jiff::Timestamp;

/// Where the time comes from: the system's clock, or one that a test moves.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Returns at `until`, or at once when that has passed.
    fn sleep_until(&self, until: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // the one place where the system is asked for the time
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[allow(clippy::disallowed_methods)] // the one place that really sleeps
    fn sleep_until(&self, until: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        // Long sleeps are cut into hours, so that a clock that is set, or a laptop that wakes, is noticed.
        Box::pin(async move {
            loop {
                let left = Duration::try_from(until.duration_since(self.now())).unwrap_or(Duration::ZERO);
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(Duration::from_secs(3600))).await;
            }
        })
    }
}

/// A clock that stands still until it is moved. Clones share the same time.
#[derive(Debug, Clone)]
pub struct TestClock(Arc<watch::Sender<Timestamp>>);

impl TestClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(watch::Sender::new(now)))
    }

    /// Moves the clock forward and wakes whoever slept until then.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now = super::later(*now, by.as_secs()));
    }

    /// Sets the clock, backwards too.
    pub fn set(&self, now: Timestamp) {
        self.0.send_replace(now);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    fn sleep_until(&self, until: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut time = self.0.subscribe();
        Box::pin(async move {
            // Fails only when the sender is gone, and `self` holds it.
            let _ = time.wait_for(|now| *now >= until).await;
        })
    }
}
