//! Who waits for a person to come back, and what became of it.

use crate::api::{ConnectionDocument, Problem};
use crate::connector::Error;
use crate::model::{Connection, Secret};
use crate::vault::state_hash;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use url::Url;

/// How an authorization ended.
pub(super) type Outcome = Result<ConnectionDocument, Problem>;

/// How many may wait at once, and how many outcomes are kept that nobody waited for yet: a browser may be faster than who sent it.
const MOST: usize = 1024;
/// Parameters of a callback that may be its state.
const MOST_NAMES: usize = 16;

/// Who waits, and what came while nobody waited.
#[derive(Default)]
pub(super) struct Outcomes(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    waiting: Vec<([u8; 32], oneshot::Sender<Outcome>)>,
    /// Hashes of what may be the state, and the outcome.
    came: VecDeque<(Vec<[u8; 32]>, Outcome)>,
    /// Callbacks that are being completed: their states are used up, and nobody was told yet.
    under_way: Vec<(u64, Vec<[u8; 32]>)>,
    next: u64,
}

/// What somebody who waits is given.
pub(super) enum Wait {
    /// It came already.
    Came(Box<Outcome>),
    /// It will come here.
    Waits(oneshot::Receiver<Outcome>),
    /// Too many wait.
    Full,
}

/// A callback that is being completed, until whoever waits is told, or it is dropped.
pub(super) struct Completing<'a> {
    outcomes: &'a Outcomes,
    number: u64,
    hashes: Vec<[u8; 32]>,
}

impl Outcomes {
    /// The outcome of the callback with a state.
    pub(super) fn of(&self, state: &Secret) -> Wait {
        let hash = state_hash(state.expose());
        let mut inner = self.lock();
        if let Some(at) = inner.came.iter().position(|(hashes, _)| hashes.contains(&hash))
            && let Some((_, outcome)) = inner.came.remove(at)
        {
            return Wait::Came(Box::new(outcome));
        }
        inner.waiting.retain(|(_, sender)| !sender.is_closed());
        if inner.waiting.len() >= MOST {
            return Wait::Full;
        }
        let (sender, receiver) = oneshot::channel();
        inner.waiting.push((hash, sender));
        Wait::Waits(receiver)
    }

    /// Whether a callback with a state is being completed.
    pub(super) fn is_coming(&self, state: &Secret) -> bool {
        let hash = state_hash(state.expose());
        self.lock().under_way.iter().any(|(_, hashes)| hashes.contains(&hash))
    }

    /// Begins to complete a callback. Only one that was awaited: strangers' are nobody's.
    pub(super) fn completing(&self, callback: &Secret) -> Completing<'_> {
        let url = Url::parse(callback.expose()).ok();
        let pairs = url.iter().flat_map(|url| url.query_pairs()).take(MOST_NAMES);
        let hashes: Vec<_> = pairs.map(|(_, value)| state_hash(&value)).collect();
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        inner.under_way.push((number, hashes.clone()));
        Completing { outcomes: self, number, hashes }
    }

    /// Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Completing<'_> {
    /// Tells whoever waits for the callback's state, or will. One that did not use it up may still come right, and ends nobody's waiting.
    pub(super) fn tell(self, ended: &Result<Connection, Error>) {
        if !ends_the_waiting(ended) {
            return;
        }
        let outcome = || ended.as_ref().map(ConnectionDocument::of).map_err(Problem::of);
        let mut inner = self.outcomes.lock();
        let (told, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut inner.waiting).into_iter().partition(|(hash, _)| self.hashes.contains(hash));
        inner.waiting = waiting;
        let mut heard = false;
        for (_, sender) in told {
            heard |= sender.send(outcome()).is_ok();
        }
        if !heard && !self.hashes.is_empty() {
            if inner.came.len() >= MOST {
                inner.came.pop_front();
            }
            inner.came.push_back((self.hashes.clone(), outcome()));
        }
    }
}

impl Drop for Completing<'_> {
    fn drop(&mut self) {
        self.outcomes.lock().under_way.retain(|(number, _)| *number != self.number);
    }
}

/// Whether a callback that ended so was the one that is waited for: another one with the same state, or one that could not be read, may come beside
/// it, and the right one still come to its end.
fn ends_the_waiting(ended: &Result<Connection, Error>) -> bool {
    !ended.as_ref().is_err_and(Error::is_before_a_callback_is_taken)
}

/// Whether a callback's state is used up by how it ended.
pub(super) fn is_used_up(ended: &Result<Connection, Error>) -> bool {
    !matches!(ended, Err(Error::OtherBrowser(_) | Error::WrongRedirect { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(outcomes: &Outcomes, state: &str) {
        let callback = Secret::new(format!("http://127.0.0.1/oauth/callback/a?code=1&state={state}").as_str());
        outcomes.completing(&callback).tell(&Err(Error::Expired("a/b".parse().unwrap())));
    }

    #[tokio::test]
    async fn who_waits_is_told_and_so_is_who_comes_too_late() {
        let outcomes = Outcomes::default();
        let Wait::Waits(first) = outcomes.of(&Secret::new("one")) else { panic!("it did not come yet") };
        came(&outcomes, "two");
        came(&outcomes, "one");
        assert!(first.await.unwrap().is_err());
        assert!(matches!(outcomes.of(&Secret::new("two")), Wait::Came(_)));
        assert!(matches!(outcomes.of(&Secret::new("two")), Wait::Waits(_)));
    }

    #[test]
    fn a_callback_is_coming_while_it_is_completed_and_no_longer() {
        let (outcomes, state) = (Outcomes::default(), Secret::new("one"));
        let completing = outcomes.completing(&Secret::new("http://127.0.0.1/oauth/callback/a?code=1&state=one"));
        assert!(outcomes.is_coming(&state) && !outcomes.is_coming(&Secret::new("two")));
        // Broken off, as by a panic.
        drop(completing);
        assert!(!outcomes.is_coming(&state));
        let completing = outcomes.completing(&Secret::new("http://127.0.0.1/oauth/callback/a?code=1&state=one"));
        // One that came twice says nothing of the first.
        completing.tell(&Err(Error::UnknownState));
        assert!(matches!(outcomes.of(&state), Wait::Waits(_)));
        let completing = outcomes.completing(&Secret::new("http://127.0.0.1/oauth/callback/a?code=1&state=one"));
        completing.tell(&Err(Error::Expired("a/b".parse().unwrap())));
        assert!(!outcomes.is_coming(&state));
        assert!(matches!(outcomes.of(&state), Wait::Came(_)));
    }
}
