//! What the handlers share.

use crate::access::Acting;
use crate::connector::Connector;
use crate::model::Timestamp;
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;

/// What the handlers share. Clones share everything.
#[derive(Clone)]
pub struct Shared {
    pub(super) connector: Connector,
    pub(super) started: Timestamp,
    stopping: watch::Receiver<bool>,
    work: Arc<watch::Sender<usize>>,
}

impl Shared {
    /// Of a connector. `stopping` becomes `true` when the daemon is to end: what follows events ends then.
    #[must_use]
    pub fn new(connector: Connector, stopping: watch::Receiver<bool>) -> Self {
        let started = connector.clock().now();
        Self { connector, started, stopping, work: Arc::default() }
    }

    /// The same, whose connector acts for somebody.
    pub(super) fn acting(&self, acting: Arc<Acting>) -> Self {
        Self { connector: self.connector.acting(acting), ..self.clone() }
    }

    /// Whether the daemon is to end.
    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Returns when the daemon is to end.
    pub(super) async fn stopped(&self) {
        // An error is the end of whoever would have said so.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }

    /// Work that is to be waited for before the daemon ends, until it is dropped.
    pub(super) fn begin(&self) -> Work {
        self.work.send_modify(|count| *count += 1);
        Work(Arc::clone(&self.work))
    }

    /// Returns when nothing that was begun is under way.
    pub(super) async fn idle(&self) {
        // An error is the end of the sender, which this holds.
        let _ = self.work.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// Work under way.
pub(super) struct Work(Arc<watch::Sender<usize>>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("started", &self.started).finish_non_exhaustive()
    }
}
