//! Who waits for a person to come back, and what became of it.

use crate::api::{ConnectionDocument, Problem};
use crate::connector::Error;
use crate::model::{Connection, Secret};
use std::sync::{Mutex, PoisonError};
use tokio::sync::oneshot;
use url::Url;

/// How an authorization ended.
pub(super) type Outcome = Result<ConnectionDocument, Problem>;

/// How many may wait at once.
const MOST: usize = 1024;

/// Who waits, by the state that they wait for.
#[derive(Default)]
pub(super) struct Outcomes(Mutex<Vec<(Secret, oneshot::Sender<Outcome>)>>);

impl Outcomes {
    /// Waits for the callback with a state; `None` when too many wait.
    pub(super) fn of(&self, state: Secret) -> Option<oneshot::Receiver<Outcome>> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|(_, sender)| !sender.is_closed());
        if waiting.len() >= MOST {
            return None;
        }
        waiting.push((state, sender));
        Some(receiver)
    }

    /// Tells whoever waits for a callback's state.
    pub(super) fn tell(&self, callback: &Secret, ended: &Result<Connection, Error>) {
        let Ok(url) = Url::parse(callback.expose()) else { return };
        let has = |state: &Secret| url.query_pairs().any(|(_, value)| value == state.expose());
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = 0;
        while let Some((state, _)) = waiting.get(at) {
            if has(state) {
                let (_, sender) = waiting.swap_remove(at);
                let outcome = ended.as_ref().map(ConnectionDocument::of).map_err(Problem::of);
                let _ = sender.send(outcome); // whoever waited may have gone
            } else {
                at += 1;
            }
        }
    }
}
