//! The daemon's pages, asked over HTTP as a browser would, and (`browser.rs`) in one.

mod access;
mod browser;
mod forms;
mod hostile;
mod stage;
mod tokens;
