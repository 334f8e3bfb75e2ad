//! The daemon's pages, asked over HTTP as a browser would, and (`browser.rs`) in one.

pub(crate) mod access;
mod api_keys;
mod applications;
mod audit;
mod browser;
mod connect;
mod forms;
mod hostile;
mod many;
mod overview;
mod scripts;
mod stage;
mod tokens;
