//! Changes on their way to sled, beside the committer: sled takes several microseconds for each, and commits need not wait
//! for that. At most one is under way for an index; until it is over, readers find its changes here.

use super::index::{Fault, guarded};
use super::overlay::Overlay;
use std::sync::{Arc, OnceLock};

/// A thread that gives an overlay to sled.
#[derive(Debug)]
pub(super) struct Spilling {
    overlay: Arc<Overlay>,
    /// Set when sled has it all, or will not have it, and the thread has let go of sled.
    outcome: Arc<OnceLock<Result<(), Fault>>>,
}

impl Spilling {
    /// Begins.
    pub(super) fn begin(db: &sled::Db, overlay: &Arc<Overlay>) -> Result<Self, Fault> {
        let outcome = Arc::new(OnceLock::new());
        let (db, changes, over) = (db.clone(), Arc::clone(overlay), Arc::clone(&outcome));
        let work = move || {
            let written = guarded(move || {
                let written = changes.write(&db);
                drop(db);
                written
            });
            let _ = over.set(written); // nobody else sets it
        };
        std::thread::Builder::new().name("store-index".to_owned()).spawn(work)?;
        Ok(Self { overlay: Arc::clone(overlay), outcome })
    }

    /// What it gives.
    pub(super) fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        self.outcome.get().is_some()
    }

    /// Waits until it is over.
    pub(super) fn wait(&self) -> Result<(), Fault> {
        self.outcome.wait().clone()
    }
}

impl Drop for Spilling {
    fn drop(&mut self) {
        self.outcome.wait(); // who lets go of the index must not leave sled's lock to a thread
    }
}
