//! The daemon: holds the store, keeps connections fresh, and answers on a unix socket in the home with the `/v1` API. May use `api`,
//! `connector` and below.
//!
//! There are two doors (`door.rs`): the socket, for the user whose home it is, and TCP, for those with an API key and for browsers that
//! come back. A door says who is at the other end, `admission.rs` makes a caller of that, `rights.rs` has what each route needs of
//! them, in one table. Handlers are thin: one call of the connector each. What travels is in `api`.

mod access;
mod admission;
mod answer;
mod answering;
mod applications;
mod asker;
mod callback;
mod connections;
mod consent;
mod credentials;
mod door;
mod events;
mod following;
mod health;
mod impatient;
mod lines;
mod metrics;
mod moving;
mod neighbour;
mod notice;
mod openapi;
mod outcomes;
pub mod pages;
mod pages_of;
mod places;
mod providers;
mod proxy;
mod requests;
mod rights;
mod router;
mod routes;
mod scripts;
mod serving;
pub mod session;
mod shared;
mod sign_in;
mod socket;
mod tls;
mod tokens;
mod traces;
mod upkeep;
mod webhooks;

pub use answer::Refusal;
pub use callback::CONSENT_COOKIE;
pub use door::{Network, Port, PortError};
pub use lines::{Teller, lines};
pub use serving::{Ended, LONGEST_STOP, Stopped, serve};
pub use shared::{Shared, sessions};
pub use socket::{Socket, SocketError, is_answered};
pub use traces::{TRACES, export_traces};
