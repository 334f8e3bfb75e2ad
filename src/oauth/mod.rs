//! The wire, pure: what requests and replies mean, with no network and no clock. May use `model` only. A request goes
//! out through [`encode`]; a reply comes in through [`read_reply`], [`classify`] and [`token_reply`], in that order.

mod assertion;
mod authorization;
mod callback;
mod classify;
mod client_authentication;
mod device;
mod discovery;
mod params;
mod reading;
mod redact;
mod request;
mod revocation;
mod times;
mod token_reply;

pub use assertion::{BearerClaims, bearer_assertion};
pub use authorization::{AuthorizationRequest, authorization_params, random_state, random_verifier, with_query};
pub use callback::{Callback, CallbackError, check_issuer, parse_callback, read_callback};
pub use classify::classify;
pub use client_authentication::{Client, EncodeError, encode};
pub use device::{DeviceAuthorization, read_device_authorization};
pub use discovery::{DiscoveryError, Metadata, metadata_urls, read_metadata};
pub use params::{Params, Value};
pub use reading::{Unreadable, read_reply};
pub use redact::{scrub, scrub_failure};
pub use request::{BodyFormat, RawReply, TokenRequest};
pub use revocation::{Introspection, Revoked, introspection_params, read_introspection, read_revocation, revocation_params};
pub use token_reply::{TokenReply, token_reply};
