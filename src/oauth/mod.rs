//! The wire, pure: what requests and replies mean, with no network and no clock. May use `model` only.

mod params;
mod request;

pub use params::{Params, Value};
pub use request::{BodyFormat, RawReply, TokenRequest};
