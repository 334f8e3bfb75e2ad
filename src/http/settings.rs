//! The `[http]` part of `grantkeeper.toml`.

use serde::Deserialize;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use url::Url;

/// How requests to providers are made. What the environment says of proxies (`HTTPS_PROXY` …) does not count: whoever
/// sets a variable must not thereby see where tokens go. A proxy is named here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Seconds until the name is looked up and the connection stands, TLS included; at most half of `timeout`.
    pub connect_timeout: NonZeroU64,
    /// Seconds for everything, from the first to the last byte of the reply; at most 60, half of a refresh's lease.
    pub timeout: NonZeroU64,
    /// Bytes of the longest reply, after decompression; at most 4 MiB, which a store keeps in one piece.
    pub body_limit: NonZeroUsize,
    /// A PEM file of certificate authorities to trust beside the machine's own.
    pub ca_file: Option<PathBuf>,
    /// What the client calls itself.
    pub user_agent: String,
    /// The proxy through which https goes, e.g. `http://proxy.example:3128`. This machine is always reached directly.
    pub proxy: Option<Url>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            timeout: TIMEOUT,
            body_limit: BODY_LIMIT,
            ca_file: None,
            user_agent: concat!("grantkeeper/", env!("CARGO_PKG_VERSION")).to_owned(),
            proxy: None,
        }
    }
}

/// Seconds: a network that has not connected by then will not.
const CONNECT_TIMEOUT: NonZeroU64 = NonZeroU64::new(10).unwrap();
/// Seconds: slow token endpoints take some; a lease must be longer than this.
const TIMEOUT: NonZeroU64 = NonZeroU64::new(30).unwrap();
/// 1 MiB: the largest real token replies have some tens of kilobytes.
const BODY_LIMIT: NonZeroUsize = NonZeroUsize::new(1024 * 1024).unwrap();

/// Seconds: two refreshes of one connection must never overlap.
pub(super) const LONGEST_TIMEOUT: u64 = 60;
/// 4 MiB.
pub(super) const LARGEST_BODY: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_a_mistake_is_told() {
        let read = |text| toml::from_str::<Settings>(text);
        assert_eq!(read("").unwrap(), Settings::default());
        assert_eq!(read("timeout = 5").unwrap().timeout.get(), 5);
        for bad in ["timeout = 0", "timeot = 5", "body_limit = 0", "proxy = \"proxy\"", "connect_timeout = -1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
