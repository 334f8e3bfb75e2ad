//! `grantkeeper.toml`: each room's part of the settings under the room's name.

use crate::access;
use crate::events;
use crate::http;
use crate::model::ApplicationName;
use crate::refresh;
use crate::script;
use serde::Deserialize;
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
}

/// The `[callback]` part.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallbackSettings {
    /// The loopback port that `connect` listens on for applications without a redirect URL of their own. Fixed, because most
    /// providers compare the registered redirect URL letter by letter.
    pub port: u16,
}

/// The `[keys]` part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeySettings {
    /// The key file, when it is not in the platform's configuration folder.
    pub file: Option<PathBuf>,
}

impl Default for CallbackSettings {
    fn default() -> Self {
        Self { port: 8765 }
    }
}

impl CallbackSettings {
    /// The loopback redirect URL of an application: a path for each, so that a reply of one provider cannot be taken
    /// for another's (RFC 9700 section 4.4).
    #[must_use]
    pub fn redirect_url(&self, application: &ApplicationName) -> Url {
        let text = format!("http://127.0.0.1:{}/oauth/callback/{application}", self.port);
        #[expect(clippy::expect_used, reason = "an application name has only characters that a path may hold")]
        Url::parse(&text).expect("a loopback URL")
    }
}
