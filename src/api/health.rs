//! How the daemon is.

use crate::model::{Secret, Timestamp, sealed_text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// A link that signs one browser in at the pages.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SignInDocument {
    /// The link: whoever opens it first is signed in.
    #[serde(with = "sealed_text")]
    #[schemars(with = "String")]
    pub url: Secret,
    /// When it is no longer good.
    pub expires: Timestamp,
}

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
