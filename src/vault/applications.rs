//! Applications that were opened before: each refresh needs its application, and a thousand connections have the same.

use super::{Stored, Vault, VaultError, asked};
use crate::model::Application;
use crate::store::{ApplicationRow, Key, Row};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// How many are remembered.
const MOST: usize = 256;

/// Opened applications, each with the row that it was opened from.
#[derive(Default)]
pub(super) struct Opened(Mutex<HashMap<Uuid, (ApplicationRow, Arc<Application>)>>);

impl Opened {
    /// The application of a row, where this very row was opened before.
    fn get(&self, row: &ApplicationRow) -> Option<Arc<Application>> {
        let opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        opened.get(&row.id).filter(|(before, _)| before == row).map(|(_, application)| Arc::clone(application))
    }

    fn put(&self, row: ApplicationRow, application: Arc<Application>) {
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.len() >= MOST {
            opened.clear();
        }
        opened.insert(row.id, (row, application));
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

impl Vault {
    /// The application of an id, shared with all who ask for it. What lies in the store is read each time, and opened where it is
    /// not, byte for byte, what was opened before: so whatever an edit, a rotation or a forger makes of it is noticed as ever.
    pub async fn shared_application(&self, id: Uuid) -> Result<Option<Stored<Arc<Application>>>, VaultError> {
        let Some(Row::Application(row)) = self.store.get(Key::Application(id)).await? else { return Ok(None) };
        asked(&format!("the application {:?}", row.name), row.id == id)?;
        let version = row.version;
        if let Some(value) = self.opened.get(&row) {
            return Ok(Some(Stored { value, version }));
        }
        let value = Arc::new(self.open_application(&row)?.value);
        self.opened.put(row, Arc::clone(&value));
        Ok(Some(Stored { value, version }))
    }
}
