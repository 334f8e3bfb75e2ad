//! The daemon: holds the store, keeps connections fresh, and answers on a unix socket in the home with the `/v1` API. May use `api`,
//! `connector` and below.
//!
//! There are two doors (`doors/`): the socket, for the user whose home it is, and TCP, for those with an API key and for browsers that
//! come back. A door says who is at the other end, `doors/admission.rs` makes a caller of that, `doors/rights.rs` has what each route needs of
//! them, in one table. `router.rs` has a call answered by a handler: the API's are in `v1/`, the pages' in `pages/`, and `callback.rs` is where
//! browsers come back.

mod answer;
mod answering;
mod callback;
mod doors;
mod following;
mod lines;
mod metrics;
mod notice;
mod outcomes;
pub mod pages;
mod requests;
mod router;
mod routes;
mod serving;
mod shared;
mod traces;
mod v1;

pub use answer::Refusal;
pub use callback::CONSENT_COOKIE;
pub use doors::door::{Network, Port, PortError};
pub use doors::session;
pub use doors::socket::{Socket, SocketError, is_answered};
pub use lines::{Teller, lines};
pub use serving::{Ended, LONGEST_STOP, Stopped, serve};
pub use shared::{Shared, sessions};
pub use traces::{TRACES, export_traces};
