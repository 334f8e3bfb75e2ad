//! Grantkeeper holds an application's OAuth grants at other people's services.

pub mod model;
pub mod oauth;
pub mod script;
pub mod seal;
pub mod store;
