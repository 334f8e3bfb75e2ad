//! A breaker per provider, in memory: an outage costs the provider one probe at a time, and its recovery is not met by
//! everything that waited. Beside it the provider's pace, where somebody set one.
//!
//! Closed, requests go out freely. Some failures in a row that nobody's grant explains (no answer, 5xx, 429) open it: nothing
//! goes out until a time, which doubles with each probe that fails. Then one request goes out as a probe. When it is answered the
//! breaker recovers: two requests at once, and one more with each answer, until it is closed. What an answer says of a grant does
//! not matter here: a refusal is an answer.
//!
//! In memory, because it is about load: what one process has learned of an outage another one learns with a few requests. A
//! kept reply is read without asking the breaker; a person's own refresh goes past it.

use super::Settings;
use crate::exchange::{ExchangeError, Sent};
use crate::model::{Clock, FailureKind, Timestamp, later, random_share};
use jiff::SignedDuration;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Failures in a row that open it: fewer are a bad minute of one server behind a load balancer.
const OPENS_AFTER: u32 = 5;
/// Seconds that it stays open first; they double with each probe that fails.
const FIRST_REST: u64 = 2;
/// Seconds that it stays open at the most, unless the provider asks for more: a recovery is noticed within them.
const LONGEST_REST: u64 = 60;
/// Seconds that a provider may ask for at the most.
const LONGEST_ASKED: u64 = 3600;
/// Requests at once from which on a recovery is over.
const RECOVERED_AT: u32 = 64;
/// Seconds over which the connections of an outage are spread, at the least and at the most.
const SPREAD: (u64, u64) = (10, 600);

/// How much a refresh minds waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// The background job: it comes again.
    Background,
    /// A caller who needs a token.
    Caller,
    /// A person who wants a refresh now, whatever is known of failures.
    Person,
}

/// The breakers of all providers, by host and port.
pub(super) struct Breakers {
    all: Mutex<HashMap<String, Arc<Breaker>>>,
    clock: Arc<dyn Clock>,
}

struct Breaker {
    authority: String,
    state: Mutex<State>,
    changed: Notify,
    clock: Arc<dyn Clock>,
}

struct State {
    phase: Phase,
    /// Failures since the last answer.
    failures: u32,
    /// Times it was opened since it was last closed.
    opened: u32,
    /// When it was first opened.
    since: Timestamp,
    under_way: u32,
    /// When the next request may go out at the provider's pace.
    next_slot: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { until: Timestamp },
    Probing,
    Recovering { window: u32 },
}

/// Leave to send one request. Dropped without an outcome it says nothing of the provider.
pub(super) struct Permit {
    breaker: Arc<Breaker>,
    outcome: Option<Outcome>,
}

/// What a request says of its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Answered,
    /// It failed; the provider may ask for patience, in seconds.
    Failed(Option<u64>),
}

/// No leave: the provider rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rest {
    /// Since when it does not answer.
    pub(super) since: Timestamp,
    /// When it is asked again.
    pub(super) until: Timestamp,
}

impl Rest {
    /// When a connection is looked at again: after the provider is asked again, and the later the longer the outage lasts, so
    /// that all those who wait neither come at once nor all the time.
    pub(super) fn again(&self, now: Timestamp, share: f64) -> Timestamp {
        let outage = u64::try_from(now.duration_since(self.since).as_secs()).unwrap_or(0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let spread = (outage.clamp(SPREAD.0, SPREAD.1) as f64 * share.clamp(0.0, 1.0)) as u64;
        later(self.until.max(now), spread.max(1))
    }
}

impl Breakers {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { all: Mutex::default(), clock }
    }

    /// Leave to send a request to a provider now: at once, after waiting for a probe, a recovery or the provider's pace, or
    /// not at all for the time being.
    pub(super) async fn admit(&self, authority: &str, urgency: Urgency, settings: &Settings) -> Result<Permit, Rest> {
        let breaker = self.of(authority);
        loop {
            // Made before the look: a change in between is told to it. Those who wait are woken in their order.
            let changed = breaker.changed.notified();
            let answer = breaker.try_admit(urgency, settings.pace_of(authority));
            match answer {
                Admission::Go => {
                    drop(changed);
                    return Ok(Permit { breaker, outcome: None });
                }
                Admission::Rest(rest) => return Err(rest),
                Admission::Wait => changed.await,
                Admission::WaitUntil(time) => breaker.clock.sleep_until(time).await,
            }
        }
    }

    fn of(&self, authority: &str) -> Arc<Breaker> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(breaker) = all.get(authority) {
            return Arc::clone(breaker);
        }
        // Hosts can depend on a connection's fields: those that nobody waits for and that are well are forgotten.
        if all.len() >= MOST_BREAKERS {
            all.retain(|_, breaker| Arc::strong_count(breaker) > 1 || !breaker.lock().is_well());
        }
        let breaker = Arc::new(Breaker {
            authority: authority.to_owned(),
            state: Mutex::new(State {
                phase: Phase::Closed,
                failures: 0,
                opened: 0,
                since: Timestamp::UNIX_EPOCH,
                under_way: 0,
                next_slot: Timestamp::MIN,
            }),
            changed: Notify::new(),
            clock: Arc::clone(&self.clock),
        });
        all.insert(authority.to_owned(), Arc::clone(&breaker));
        breaker
    }
}

/// Breakers kept before those are looked through that nothing speaks against forgetting.
const MOST_BREAKERS: usize = 10_000;

enum Admission {
    Go,
    Wait,
    WaitUntil(Timestamp),
    Rest(Rest),
}

impl Breaker {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_admit(&self, urgency: Urgency, pace: Option<NonZeroU32>) -> Admission {
        let now = self.clock.now();
        let mut state = self.lock();
        let mut probes = false;
        if urgency != Urgency::Person {
            match state.phase {
                Phase::Closed => {}
                // A time further ahead than any rest was set by a clock that has since been put back.
                Phase::Open { until } if until > now && until <= later(now, LONGEST_ASKED) => {
                    return Admission::Rest(Rest { since: state.since, until });
                }
                Phase::Open { .. } => probes = true,
                Phase::Probing if urgency == Urgency::Background => {
                    return Admission::Rest(Rest { since: state.since, until: now });
                }
                Phase::Recovering { window } if state.under_way < window => {}
                Phase::Probing | Phase::Recovering { .. } => return Admission::Wait,
            }
        }
        if let Some(pace) = pace {
            let slot = state.next_slot;
            // A slot far ahead is a clock's that was put back.
            if slot > now && slot <= later(now, 120) {
                return Admission::WaitUntil(slot);
            }
            let apart = SignedDuration::from_millis(60_000 / i64::from(pace.get()).max(1));
            state.next_slot = now.checked_add(apart).unwrap_or(now);
        }
        if probes {
            state.phase = Phase::Probing;
        }
        state.under_way += 1;
        Admission::Go
    }

    fn ended(&self, outcome: Option<Outcome>) {
        let now = self.clock.now();
        let mut state = self.lock();
        state.under_way = state.under_way.saturating_sub(1);
        match outcome {
            Some(Outcome::Answered) => {
                state.failures = 0;
                state.phase = match state.phase {
                    Phase::Closed => Phase::Closed,
                    Phase::Open { .. } | Phase::Probing => Phase::Recovering { window: 2 },
                    Phase::Recovering { window } if window + 1 >= RECOVERED_AT => {
                        state.opened = 0;
                        tracing::info!(provider = self.authority, "the provider is back");
                        Phase::Closed
                    }
                    Phase::Recovering { window } => Phase::Recovering { window: window + 1 },
                };
            }
            Some(Outcome::Failed(asked)) => {
                state.failures = state.failures.saturating_add(1);
                let opens = match state.phase {
                    Phase::Closed => state.failures >= OPENS_AFTER,
                    Phase::Probing | Phase::Recovering { .. } => true,
                    // One that was sent before.
                    Phase::Open { .. } => false,
                };
                if opens {
                    state.open(now, asked);
                    if state.opened == 1 {
                        tracing::warn!(
                            provider = self.authority,
                            "the provider does not answer; it is asked by one probe at a time"
                        );
                    }
                }
            }
            // A probe that was never sent: the next one is.
            None if state.phase == Phase::Probing => state.phase = Phase::Open { until: now },
            None => {}
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

impl State {
    fn open(&mut self, now: Timestamp, asked: Option<u64>) {
        if self.opened == 0 {
            self.since = now;
        }
        let doubled = FIRST_REST.saturating_mul(1 << self.opened.min(10)).min(LONGEST_REST);
        self.opened = self.opened.saturating_add(1);
        // Between half and all of it, so that processes that met the same outage do not probe in step.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let rest = (doubled as f64 * (0.5 + random_share() / 2.0)).ceil() as u64;
        let rest = rest.max(asked.unwrap_or(0).min(LONGEST_ASKED));
        self.phase = Phase::Open { until: later(now, rest) };
    }

    fn is_well(&self) -> bool {
        self.phase == Phase::Closed && self.failures == 0 && self.under_way == 0
    }
}

impl Permit {
    /// Notes what came of the request.
    pub(super) fn came<T>(&mut self, result: &Result<T, ExchangeError>) {
        self.outcome = match result {
            Ok(_) | Err(ExchangeError::OtherAccount { .. }) => Some(Outcome::Answered),
            Err(ExchangeError::Failed(failure)) => Some(match failure.kind {
                FailureKind::Transient | FailureKind::Ambiguous | FailureKind::RateLimited => {
                    Outcome::Failed(failure.retry_after)
                }
                FailureKind::ReauthorizationRequired
                | FailureKind::ClientRejected
                | FailureKind::RequestRejected
                | FailureKind::BadResponse => Outcome::Answered,
            }),
            Err(ExchangeError::Script { sent: Sent::Replied(status) | Sent::Page(status), .. }) => Some(match status {
                500..=599 | 429 => Outcome::Failed(None),
                _ => Outcome::Answered,
            }),
            Err(_) => None,
        };
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.breaker.ended(self.outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Failure, TestClock};
    use std::time::Duration;

    fn failed(kind: FailureKind) -> Result<(), ExchangeError> {
        Err(ExchangeError::Failed(Failure::new(kind, "x")))
    }

    struct Desk {
        clock: TestClock,
        breakers: Breakers,
        settings: Settings,
    }

    impl Desk {
        fn new() -> Self {
            let clock = TestClock::new(Timestamp::UNIX_EPOCH);
            let breakers = Breakers::new(Arc::new(clock.clone()));
            Self { clock, breakers, settings: Settings::default() }
        }

        async fn admit(&self, urgency: Urgency) -> Result<Permit, Rest> {
            self.breakers.admit("p:443", urgency, &self.settings).await
        }

        async fn goes(&self, result: Result<(), ExchangeError>) {
            self.admit(Urgency::Caller).await.ok().unwrap().came(&result);
        }

        async fn broken() -> Self {
            let desk = Self::new();
            for _ in 0..OPENS_AFTER {
                desk.goes(failed(FailureKind::Transient)).await;
            }
            desk
        }
    }

    #[tokio::test]
    async fn failures_in_a_row_open_it_and_an_answer_between_them_does_not() {
        let desk = Desk::new();
        for _ in 0..4 {
            desk.goes(failed(FailureKind::Transient)).await;
        }
        desk.goes(failed(FailureKind::ReauthorizationRequired)).await;
        for _ in 0..4 {
            desk.goes(failed(FailureKind::Ambiguous)).await;
        }
        assert!(desk.admit(Urgency::Background).await.is_ok());
        desk.goes(failed(FailureKind::Transient)).await;
        assert!(desk.admit(Urgency::Caller).await.is_err());
        assert!(desk.breakers.admit("other:443", Urgency::Caller, &desk.settings).await.is_ok());
        assert!(desk.admit(Urgency::Person).await.is_ok(), "a person's refresh goes past it");
    }

    #[tokio::test]
    async fn an_outage_costs_a_probe_at_a_time_further_and_further_apart() {
        let desk = Desk::broken().await;
        let (mut probes, mut hour) = (0, 0);
        while hour < 3600 {
            if let Ok(mut permit) = desk.admit(Urgency::Background).await {
                assert!(desk.admit(Urgency::Background).await.is_err(), "one at a time");
                permit.came(&failed(FailureKind::Transient));
                probes += 1;
            }
            desk.clock.advance(Duration::from_secs(1));
            hour += 1;
        }
        assert!((60..=130).contains(&probes), "{probes}");
    }

    #[tokio::test]
    async fn a_recovery_is_a_few_requests_at_once_and_then_more() {
        let desk = Desk::broken().await;
        desk.clock.advance(Duration::from_secs(LONGEST_REST));
        desk.goes(Ok(())).await;
        let mut first = desk.admit(Urgency::Caller).await.ok().unwrap();
        let second = desk.admit(Urgency::Caller).await.ok().unwrap();
        let mut third = Box::pin(desk.admit(Urgency::Caller));
        assert!(futures_pending(&mut third).await, "two at once");
        first.came(&Ok(()));
        drop(first);
        let third = third.await.ok().unwrap();
        drop((second, third));
        for _ in 0..RECOVERED_AT {
            desk.goes(Ok(())).await;
        }
        let mut many = Vec::new();
        for _ in 0..1000 {
            many.push(desk.admit(Urgency::Background).await.ok().unwrap());
        }
    }

    #[tokio::test]
    async fn a_probe_that_was_never_sent_makes_room_for_the_next() {
        let desk = Desk::broken().await;
        desk.clock.advance(Duration::from_secs(LONGEST_REST));
        drop(desk.admit(Urgency::Caller).await);
        assert!(desk.admit(Urgency::Caller).await.is_ok());
    }

    #[tokio::test]
    async fn patience_that_a_provider_asks_for_is_kept_up_to_an_hour() {
        for (asked, waits) in [(120, 120), (u64::MAX, LONGEST_ASKED)] {
            let desk = Desk::new();
            for _ in 0..OPENS_AFTER {
                let mut failure = Failure::new(FailureKind::RateLimited, "http_429");
                failure.retry_after = Some(asked);
                desk.goes(Err(ExchangeError::Failed(failure))).await;
            }
            desk.clock.advance(Duration::from_secs(waits - 1));
            assert!(desk.admit(Urgency::Caller).await.is_err());
            desk.clock.advance(Duration::from_secs(1));
            assert!(desk.admit(Urgency::Caller).await.is_ok());
        }
    }

    #[tokio::test]
    async fn requests_keep_the_pace_that_was_set() {
        let mut desk = Desk::new();
        desk.settings.per_minute = NonZeroU32::new(30);
        drop(desk.admit(Urgency::Background).await);
        let mut second = Box::pin(desk.admit(Urgency::Background));
        assert!(futures_pending(&mut second).await);
        desk.clock.advance(Duration::from_secs(1));
        assert!(futures_pending(&mut second).await);
        desk.clock.advance(Duration::from_secs(1));
        assert!(second.await.is_ok());
    }

    #[test]
    fn those_who_wait_are_spread_the_wider_the_longer_it_lasts() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let rest = Rest { since: at(0), until: at(1000) };
        assert_eq!(rest.again(at(990), 1.0), at(1000 + 600));
        assert_eq!(Rest { since: at(980), ..rest }.again(at(990), 1.0), at(1010));
        assert_eq!(rest.again(at(990), 0.0), at(1001));
    }

    async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
        })
        .await
    }
}
