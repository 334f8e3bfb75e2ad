//! The durable outbox: what happened to connections, in an order that a reader can trust. Every event is added by the
//! commit that makes it true, so it is told if and only if it happened. May use `vault` and below.
//!
//! `telling` reads off a change what there is to tell of it; `outbox` is for who listens.

mod back;
mod outbox;
mod settings;
mod telling;

pub use back::Back;
pub use outbox::{Follow, POLL};
pub use settings::Settings;
pub use telling::{Telling, expiring_from};
