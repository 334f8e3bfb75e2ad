//! The `[events]` part of `grantkeeper.toml`.

use crate::model::Timestamp;
use jiff::SignedDuration;
use serde::Deserialize;

/// The `[events]` part of `grantkeeper.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long an event is kept, in days. The last one is kept longer, until a newer one comes.
    pub retention_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { retention_days: 30 }
    }
}

impl Settings {
    /// Events before this are removed.
    #[must_use]
    pub fn oldest(&self, now: Timestamp) -> Timestamp {
        let kept = SignedDuration::from_hours(24 * i64::from(self.retention_days));
        now.checked_sub(kept).unwrap_or(Timestamp::MIN)
    }
}
