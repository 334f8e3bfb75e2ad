//! Grantkeeper holds an application's OAuth grants at other people's services.

#[cfg(feature = "cli")]
pub mod cli;
pub mod connector;
#[cfg(feature = "demo")]
pub mod demo;
pub mod exchange;
pub mod http;
pub mod model;
pub mod oauth;
pub mod refresh;
pub mod registry;
pub mod script;
pub mod seal;
pub mod store;
pub mod vault;
