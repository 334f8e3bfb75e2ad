//! Who may do what, and who did what: callers and their rights, API keys, the administrator's password, the audit log. May use `vault`
//! and below.
//!
//! A door (the unix socket, the API's port, the pages) finds out who is there ([`Keys::let_in`], [`is_password`]) and makes a [`Caller`] of them,
//! who may do some things ([`Caller::may`]) and is written down with each ([`Acting`], [`AuditLog`]).

mod acting;
mod batch;
mod caller;
mod inbox;
mod keys;
mod log;
mod password;
mod reading;
mod refusals;
mod secret;
mod settings;
#[cfg(test)]
mod tests;
mod verify;

pub use crate::model::{Allowance, ApiKey, KeyName, KeyState, Reach, Right};
pub use acting::Acting;
pub use batch::MOST_ALIKE;
pub use caller::{Caller, Need};
pub use keys::{KEYS_KNOWN_AFTER, KeyRefused, Keys};
pub use log::{AuditLog, LONGEST_UNWRITTEN, MOST_UNWRITTEN, SKIPPED, write_restored};
pub use password::{LONGEST_PASSWORD, PasswordError, SHORTEST_PASSWORD, hash_password, is_password};
pub use reading::{AuditFilter, AuditList, FollowAudit, after, newest};
pub(crate) use refusals::comes_to_nothing;
pub use secret::{KEY_PREFIX, KEY_SHAPE, KeySecret};
pub use settings::Settings;
pub use verify::{Finding, Head, NotAHead, Verified, purge, verify};
