//! What went over the wire, kept in memory for whoever asked to record it. It holds secrets in clear: it is never written
//! anywhere as it is, prints as nothing, and is wiped when dropped.

use crate::oauth::RawReply;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;
use zeroize::Zeroizing;

/// Requests that are kept: an exchange has a handful, a device grant a poll every few seconds.
const MOST: usize = 200;

/// A tape that a client records on. Clones are the same tape.
#[derive(Clone, Default)]
pub struct Tape(Arc<Mutex<Vec<Recorded>>>);

/// One thing that happened.
#[derive(Clone)]
pub enum Recorded {
    /// A person was sent to this URL.
    Authorization(Url),
    /// Their browser came back with this URL or query.
    Callback(Zeroizing<String>),
    /// A request was sent.
    Request(Box<Sent>),
}

/// A request that was sent, and what came back.
#[derive(Clone)]
pub struct Sent {
    /// The method.
    pub method: http::Method,
    /// Where it was meant to go.
    pub url: Url,
    /// Its headers.
    pub headers: http::HeaderMap,
    /// Its body.
    pub body: Zeroizing<Vec<u8>>,
    /// The reply; nothing where none came.
    pub reply: Option<RawReply>,
}

impl Tape {
    /// An empty tape.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is on it, oldest first.
    #[must_use]
    pub fn recorded(&self) -> Vec<Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records something. A tape that is full takes no more.
    pub(crate) fn record(&self, what: Recorded) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < MOST {
            all.push(what);
        }
    }
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tape")
    }
}
