//! The `[audit]` part of `grantkeeper.toml`.

use serde::Deserialize;

/// The `[audit]` part of `grantkeeper.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long an entry of the audit log is kept, in days: thirteen months and a bit, so that a year can be looked back on.
    pub keep_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { keep_days: 400 }
    }
}
