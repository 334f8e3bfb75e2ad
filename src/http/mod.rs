//! The HTTP client: caps, timeouts, the list of hosts, and whether a request that failed was ever sent. May use
//! `oauth` and `model`.
//!
//! What its dependencies log, at trace level too, holds no header and no body as long as reqwest's own dump of
//! connections (`connection_verbose`) stays off; a test listens.

mod client;
mod error;
mod notices;
mod public;
mod settings;
mod tape;

#[cfg(test)]
mod tests;

pub use client::HttpClient;
#[cfg(feature = "demo")]
pub use client::InProcess;
pub use error::HttpError;
pub use notices::{LONGEST_TRY, Notices, Told};
pub use settings::Settings;
pub use tape::{Recorded, Sent, Tape};

/// The header in which a request that takes a detour names the URL that it was meant for.
#[cfg(feature = "demo")]
pub const MEANT_URL: http::HeaderName = http::HeaderName::from_static("x-grantkeeper-meant-url");
