//! Who comes in, and what they may: the doors themselves (the socket, TCP with or without TLS), how long they wait for whom, who is made of whoever comes
//! (`admission.rs`, `session.rs`, `neighbour.rs`), and what each route needs of them (`rights.rs`).

pub(super) mod admission;
pub(super) mod asker;
pub(super) mod call;
pub(super) mod door;
pub(super) mod impatient;
pub(super) mod neighbour;
pub(super) mod places;
pub(super) mod rights;
pub mod session;
pub(super) mod socket;
pub(super) mod tls;
