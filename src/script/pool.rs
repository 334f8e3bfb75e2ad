//! The threads that hooks run on: few, their own, and never waited for longer than the deadline. A script that is slow
//! has at most half of them, so others find a free one; a built-in that hung would hold a thread of ours and none of the
//! runtime's.

use super::{ScriptError, Settings};
use crate::model::ScriptName;
use crossbeam_channel::{Sender, bounded};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

/// Bytes of a thread's stack. The deepest recursion that settings allow was seen to fit 8 MiB with nothing optimised and
/// 2 MiB else; only what is used is ever real memory.
const STACK: usize = 32 << 20;

/// Hooks that may wait for a thread beyond those that run. With more, the machine is too slow anyhow.
const QUEUE: usize = 1024;

/// How much later than its deadline a caller stops waiting for a hook that has not noticed the deadline itself.
const GRACE: Duration = Duration::from_millis(250);

/// The deadline of a hook that runs without a thread of its own: the limit on its operations ends it.
const NEVER: Duration = Duration::from_secs(86_400);

type Job = Box<dyn FnOnce() + Send>;

/// The threads. They end when this is dropped.
pub(super) struct Pool {
    /// None where hooks run in the thread that asks for them.
    jobs: Option<Sender<Job>>,
    at_once: usize,
    places: Mutex<HashMap<ScriptName, Arc<Semaphore>>>,
}

impl Pool {
    /// Starts the threads.
    pub(super) fn start(settings: &Settings) -> Result<Self, ScriptError> {
        let (jobs, waiting) = bounded::<Job>(QUEUE);
        for number in 0..settings.threads {
            let waiting = waiting.clone();
            Builder::new()
                .name(format!("script-{number}"))
                .stack_size(STACK)
                .spawn(move || waiting.iter().for_each(|job| job()))
                .map_err(ScriptError::Threads)?;
        }
        Ok(Self { jobs: Some(jobs), at_once: settings.threads.div_ceil(2), places: Mutex::default() })
    }

    /// No threads: hooks run in the thread that asks for them, whose stack must be as large, and the machine's speed decides
    /// nothing. For simulations.
    #[cfg(feature = "demo")]
    pub(super) fn inline() -> Self {
        Self { jobs: None, at_once: 1, places: Mutex::default() }
    }

    /// Runs `work` for a script on one of the threads; it is told until when it may run. Waiting counts as time.
    #[allow(clippy::disallowed_methods)] // the deadline of a hook is measured on the real clock: see `call`
    pub(super) async fn run<T: Send + 'static>(
        &self,
        script: &ScriptName,
        hook: &'static str,
        deadline: Duration,
        work: impl FnOnce(Instant) -> T + Send + 'static,
    ) -> Result<T, ScriptError> {
        let busy = || ScriptError::Busy {
            script: script.clone(),
            hook,
            waited_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
        };
        let Some(jobs) = &self.jobs else {
            let made = catch_unwind(AssertUnwindSafe(|| work(Instant::now() + NEVER)));
            return made.map_err(|_panic| ScriptError::Crashed { script: script.clone(), hook });
        };
        let until = Instant::now() + deadline;
        // The semaphore is never closed.
        let Ok(Ok(place)) = timeout(deadline, self.places_of(script).acquire_owned()).await else { return Err(busy()) };
        let (done, result) = oneshot::channel();
        let job = move || {
            let _place = place;
            if !done.is_closed() && Instant::now() < until {
                // Nothing of ours is shared with the work but what it is given by value.
                let made = catch_unwind(AssertUnwindSafe(|| work(until)));
                let _ = done.send(made);
            }
        };
        jobs.try_send(Box::new(job)).map_err(|_| busy())?;
        let left = until.saturating_duration_since(Instant::now()) + GRACE;
        match timeout(left, result).await {
            Ok(Ok(Ok(made))) => Ok(made),
            Ok(Ok(Err(_panic))) => Err(ScriptError::Crashed { script: script.clone(), hook }),
            // Dropped unrun because its time was up, or still running beyond it.
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    fn places_of(&self, script: &ScriptName) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Semaphore::new(self.at_once));
        Arc::clone(places.entry(script.clone()).or_insert_with(make))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(name: &str) -> ScriptName {
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn a_panic_fails_its_own_call_and_no_other() {
        let pool = Pool::start(&Settings { threads: 1, ..Settings::default() }).unwrap();
        let second = Duration::from_secs(5);
        let first = pool.run(&script("OAuthA"), "hook", second, |_| panic!("on purpose")).await;
        assert!(matches!(first, Err::<(), _>(ScriptError::Crashed { .. })));
        assert_eq!(pool.run(&script("OAuthA"), "hook", second, |_| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_script_that_hangs_leaves_threads_for_others_and_its_callers_wait_no_longer_than_the_deadline() {
        let pool = Arc::new(Pool::start(&Settings { threads: 2, ..Settings::default() }).unwrap());
        let (release, hang) = bounded::<()>(0);
        let mut slow = Vec::new();
        for _ in 0..4 {
            let (pool, hang) = (Arc::clone(&pool), hang.clone());
            slow.push(tokio::spawn(async move {
                let wait = move |_| hang.recv().is_ok();
                pool.run(&script("OAuthSlow"), "hook", Duration::from_millis(100), wait).await
            }));
        }
        tokio::task::yield_now().await;
        let other = pool.run(&script("OAuthOther"), "hook", Duration::from_secs(5), |_| 7).await;
        assert_eq!(other.unwrap(), 7);
        for call in slow {
            assert!(matches!(call.await.unwrap(), Err(ScriptError::Busy { .. })));
        }
        drop(release);
    }
}
