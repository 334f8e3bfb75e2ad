//! Who waits for a person to come back, and what became of it.

use crate::api::{ConnectionDocument, Problem};
use crate::connector::Error;
use crate::model::{Connection, Secret};
use crate::vault::state_hash;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
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

impl Outcomes {
    /// The outcome of the callback with a state.
    pub(super) fn of(&self, state: &Secret) -> Wait {
        let hash = state_hash(state.expose());
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Tells whoever waits for a callback's state, or will. Only for a callback that was awaited: strangers' are nobody's.
    pub(super) fn tell(&self, callback: &Secret, ended: &Result<Connection, Error>) {
        let Ok(url) = Url::parse(callback.expose()) else { return };
        let hashes: Vec<_> = url.query_pairs().take(MOST_NAMES).map(|(_, value)| state_hash(&value)).collect();
        let outcome = || ended.as_ref().map(ConnectionDocument::of).map_err(Problem::of);
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut inner.waiting).into_iter().partition(|(hash, _)| hashes.contains(hash));
        inner.waiting = waiting;
        let mut heard = false;
        for (_, sender) in told {
            heard |= sender.send(outcome()).is_ok();
        }
        if !heard {
            if inner.came.len() >= MOST {
                inner.came.pop_front();
            }
            inner.came.push_back((hashes, outcome()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(outcomes: &Outcomes, state: &str) {
        let callback = Secret::new(format!("http://127.0.0.1/oauth/callback/a?code=1&state={state}").as_str());
        outcomes.tell(&callback, &Err(Error::UnknownState));
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
}
