//! `grantkeeper.toml`: each room's part of the settings under the room's name.

use crate::access;
use crate::events;
use crate::http;
use crate::model::ApplicationName;
use crate::refresh;
use crate::script;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use url::Url;

/// The settings of a home folder. Every key has a default; an unknown key is refused.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The HTTP client.
    pub http: http::Settings,
    /// The limits of scripts.
    pub script: script::Settings,
    /// When tokens are refreshed.
    pub refresh: refresh::Settings,
    /// How long events are kept.
    pub events: events::Settings,
    /// How long the audit log is kept.
    pub audit: access::Settings,
    /// Where browsers are sent back to.
    pub callback: CallbackSettings,
    /// Where the keys are.
    pub keys: KeySettings,
    /// How the daemon answers on the network.
    pub server: ServerSettings,
}

/// The `[callback]` part.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallbackSettings {
    /// The loopback port that `connect` listens on for applications without a redirect URL of their own. Fixed, because most
    /// providers compare the registered redirect URL letter by letter. The daemon answers on it too.
    pub port: u16,
    /// The URL under which browsers and providers reach the daemon, when it is not this machine's loopback port:
    /// `https://grants.example.com`. Redirect URLs are made of it.
    pub public_url: Option<Url>,
    /// Where people may be sent when a consent is over: a URL, and all below its path.
    pub return_urls: Vec<Url>,
}

/// The `[keys]` part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeySettings {
    /// The key file, when it is not in the platform's configuration folder.
    pub file: Option<PathBuf>,
}

/// The `[server]` part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSettings {
    /// The address and port that the daemon answers on, beside its socket; the callback's loopback port when not given.
    pub listen: Option<SocketAddr>,
    /// A file with the certificate chain, PEM.
    pub certificate: Option<PathBuf>,
    /// A file with the certificate's private key, PEM.
    pub key: Option<PathBuf>,
    /// Whether something in front of the daemon speaks TLS with those who ask.
    pub behind_proxy: bool,
    /// The addresses that it asks from. Where none is named, any of this machine or of a private network is believed to be it.
    pub proxies: Vec<IpAddr>,
    /// Whether tokens may travel in clear to other machines.
    pub insecure: bool,
}

impl Default for CallbackSettings {
    fn default() -> Self {
        Self { port: 8765, public_url: None, return_urls: Vec::new() }
    }
}

impl CallbackSettings {
    /// The redirect URL of an application that has none of its own: a path for each, so that a reply of one provider cannot be taken
    /// for another's (RFC 9700 section 4.4).
    #[must_use]
    pub fn redirect_url(&self, application: &ApplicationName) -> Url {
        let mut url = self.base_url();
        url.set_path(&format!("{}/oauth/callback/{application}", url.path().trim_end_matches('/')));
        url
    }

    /// The URL under which browsers reach the daemon.
    #[must_use]
    pub fn base_url(&self) -> Url {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        #[expect(clippy::expect_used, reason = "a port has only digits")]
        Url::parse(&format!("http://127.0.0.1:{}", self.port)).expect("a loopback URL")
    }

    /// Whether a person may be sent to a URL: one of `return_urls`, or below its path. Never one that carries a user.
    #[must_use]
    pub fn may_return_to(&self, url: &Url) -> bool {
        let plain = url.username().is_empty() && url.password().is_none();
        plain
            && self.return_urls.iter().any(|allowed| {
                let below = allowed.path().trim_end_matches('/');
                let rest = url.path().strip_prefix(below);
                url.has_host()
                    && url.origin() == allowed.origin()
                    && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }
}
