//! The end of a flight, for all who wait for it. They are woken in the order in which they came, so that the first who has to
//! ask again is the first who asked; and so that a simulation sees the same order again (tokio's `watch` wakes in one that
//! nobody can know).

use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Waits for a result that comes once.
pub(super) struct Joined<T>(Arc<Shared<T>>);

/// Gives the result. Dropped without one, those who wait are told that there is none.
pub(super) struct Outcome<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    told: Notify,
}

enum State<T> {
    Waiting,
    Came(T),
    Never,
}

/// A result that is to come, and who waits for it.
pub(super) fn joined<T>() -> (Outcome<T>, Joined<T>) {
    let shared = Arc::new(Shared { state: Mutex::new(State::Waiting), told: Notify::new() });
    (Outcome(Arc::clone(&shared)), Joined(shared))
}

impl<T> Outcome<T> {
    pub(super) fn is(self, result: T) {
        self.0.end(State::Came(result));
    }
}

impl<T> Drop for Outcome<T> {
    fn drop(&mut self) {
        self.0.end(State::Never);
    }
}

impl<T> Shared<T> {
    /// The first end counts.
    fn end(&self, end: State<T>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Waiting) {
            *state = end;
        }
        drop(state);
        self.told.notify_waiters();
    }
}

impl<T: Clone> Joined<T> {
    /// The result; `None` when none will come.
    pub(super) async fn wait(&self) -> Option<T> {
        loop {
            // Made before the look: what ends in between is told to it.
            let told = self.0.told.notified();
            match &*self.0.state.lock().unwrap_or_else(PoisonError::into_inner) {
                State::Waiting => {}
                State::Came(result) => return Some(result.clone()),
                State::Never => return None,
            }
            told.await;
        }
    }
}

impl<T> Clone for Joined<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_who_wait_are_told_in_the_order_in_which_they_came_and_also_that_nothing_comes() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let (result, waiting) = joined();
        let tasks: Vec<_> = (0..40)
            .map(|number| {
                let (waiting, order) = (waiting.clone(), Arc::clone(&order));
                tokio::spawn(async move {
                    assert_eq!(waiting.wait().await, Some(7));
                    order.lock().unwrap().push(number);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        result.is(7);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), (0..40).collect::<Vec<_>>());
        assert_eq!(waiting.wait().await, Some(7));
        let (result, waiting) = joined::<u8>();
        drop(result);
        assert_eq!(waiting.wait().await, None);
    }
}
