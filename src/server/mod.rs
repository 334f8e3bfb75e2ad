//! The daemon: holds the store, keeps connections fresh, and answers on a unix socket in the home with the `/v1` API. May use `api`,
//! `connector` and below.
//!
//! [`router`] makes the routes of a connector and knows nothing of who asks: who may do what is decided by a layer in front
//! of it (`admission.rs` for the socket; another one for another door). Handlers are thin: one call of the connector each. What
//! travels is in `api`.

mod access;
mod acting;
mod admission;
mod answer;
mod applications;
mod connections;
mod consent;
mod credentials;
mod events;
mod health;
mod lines;
mod moving;
mod router;
mod serving;
mod shared;
mod socket;
mod tokens;
mod upkeep;

pub use answer::Refusal;
pub use lines::{Teller, lines};
pub use router::router;
pub use serving::{Ended, LONGEST_STOP, Stopped, serve};
pub use shared::Shared;
pub use socket::{Socket, SocketError, is_answered};
