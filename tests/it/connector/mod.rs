//! The connector through its public calls, against the provider with habits.

mod alarm;
mod background;
mod backup;
mod client;
mod consent;
mod events;
mod grants;
mod identity;
mod import;
mod lease;
mod peer;
mod refresh;
mod replies;
mod revoke;
mod rotation;
mod tokens;
