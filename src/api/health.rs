//! How the daemon is.

use crate::model::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthDocument {
    /// `ok`: it answers, and its store could be read; `stopping`: it ends when what is under way is done.
    pub status: String,
    /// Which Grantkeeper it is.
    pub version: String,
    /// Which API it speaks.
    pub api: String,
    /// Its process id.
    pub process: u32,
    /// When it started.
    pub started: Timestamp,
    /// The URL that browsers come back to it at, where it answers on a port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callbacks: Option<Url>,
    /// When a connection is due to be looked at next; `null` when none is.
    pub next_due: Option<Timestamp>,
}
