//! The request that is being answered. Its id is in its answer, in a problem that is made of it, in each line that is logged on its behalf,
//! whichever room does the work, and in the audit log.

use std::future::Future;
use uuid::Uuid;

/// A request's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(pub Uuid);

tokio::task_local! {
    static CURRENT: RequestId;
}

impl RequestId {
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
