//! Grantkeeper holds an application's OAuth grants at other people's services: it sends a person through consent, exchanges and
//! refreshes tokens, lets a small script bend any request or reply to a provider's habits, keeps the received tokens sealed
//! on disk, and hands out a token that works.
//!
//! ```no_run
//! use grantkeeper::{AuthorizeOptions, Connector, Home};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let connector = Connector::open(&Home::new("/var/lib/myapp/grants", "/etc/myapp/grants.keys")).await?;
//! let name = "google-drive/reports".parse()?;
//!
//! // Once: send the person to `url`, and complete with the URL that their browser comes back to.
//! let url = connector.authorize(&name, AuthorizeOptions::default()).await?.url;
//! # let callback = String::new();
//! connector.complete(&callback).await?;
//!
//! // Whenever a call is made: from memory while it is good, refreshed when it is not.
//! let token = connector.token(&name).await?;
//! let header = token.authorization();
//! # Ok(()) }
//! ```
//!
//! The rooms of the house, and which may use which, are in `CONTRIBUTING.md`. What is defended against what is in `SECURITY.md`.

pub mod access;
#[cfg(feature = "server")]
pub mod api;
#[cfg(feature = "cli")]
pub mod cli;
pub mod connector;
#[cfg(feature = "demo")]
pub mod demo;
pub mod events;
pub mod exchange;
pub mod http;
pub mod model;
pub mod oauth;
#[cfg(feature = "demo")]
pub mod recording;
pub mod refresh;
pub mod registry;
#[cfg(feature = "demo")]
pub mod replay;
pub mod script;
pub mod seal;
#[cfg(feature = "server")]
pub mod server;
pub mod store;
pub mod vault;
pub mod webhooks;

pub use connector::{AuthorizeOptions, ConnectOptions, Connector, Error, Home, Proof};
pub use model::{ConnectionName, Secret};
pub use refresh::{Outlook, Rejected, Token, Want};
/// The crate of the requests and replies of [`connector::Client`], in the version that it uses.
pub use reqwest;

/// The README's programs compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The program of docs/access.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../docs/access.md")]
struct Access;

/// The programs of docs/events.md compile.
#[cfg(doctest)]
#[doc = include_str!("../docs/events.md")]
struct Events;
