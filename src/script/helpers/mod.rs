//! The functions that scripts may call by name.

mod crypto;
mod formats;
mod log;
mod network;
mod time;

use rhai::Engine;

pub(super) use log::{KINDS, log_line};

/// All of them.
pub(super) fn register(engine: &mut Engine) {
    formats::register(engine);
    crypto::register(engine);
    time::register(engine);
    network::register(engine);
    log::register(engine);
}
