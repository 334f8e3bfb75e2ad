//! Grantkeeper holds an application's OAuth grants at other people's services.

pub mod http;
pub mod model;
pub mod oauth;
pub mod seal;
pub mod store;
