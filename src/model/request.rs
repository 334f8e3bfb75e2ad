//! The request that is being answered. Its id is in its answer, in a problem that is made of it, in each line that is logged on its behalf,
//! whichever room does the work, and in the audit log.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::future::Future;
use uuid::Uuid;

/// A request's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub Uuid);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

tokio::task_local! {
    static CURRENT: RequestId;
}

impl RequestId {
    /// A new one, for a program that answers requests of its own.
    #[must_use]
    pub fn fresh() -> Self {
        Self(super::new_id())
    }

    /// That of the request that is being answered here.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|id| *id).ok()
    }

    /// Does something for a request. A task that is spawned in its course is to be told of it again.
    pub async fn within<T>(id: Option<Self>, work: impl Future<Output = T>) -> T {
        match id {
            Some(id) => CURRENT.scope(id, work).await,
            None => work.await,
        }
    }
}
