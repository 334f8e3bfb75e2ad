//! Grantkeeper holds an application's OAuth grants at other people's services.

#[cfg(feature = "demo")]
pub mod demo;
pub mod model;
pub mod oauth;
pub mod seal;
pub mod store;
