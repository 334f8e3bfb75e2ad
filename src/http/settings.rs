//! The `[http]` part of `grantkeeper.toml`.

use serde::Deserialize;
use std::path::PathBuf;
use url::Url;

/// How the client behaves. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The longest wait for a connection.
    pub connect_timeout: u64,
    /// The longest wait for a whole exchange. Shorter than the lease of a refresh, so that no two overlap.
    pub timeout: u64,
    /// A PEM file with certificates that are trusted beside the usual ones.
    pub ca_file: Option<PathBuf>,
    /// A proxy for https requests (`http://proxy.example:3128`). The variables `HTTP_PROXY` and `HTTPS_PROXY` are not
    /// looked at: where tokens go is not for the environment to say.
    pub proxy: Option<Url>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { connect_timeout: 10, timeout: 30, ca_file: None, proxy: None }
    }
}

/// The longest `timeout` that is taken: half the lease of a refresh.
pub(super) const LONGEST_TIMEOUT: u64 = 60;
