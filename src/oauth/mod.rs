//! The wire, pure: what requests and replies mean, with no network and no clock. May use `model` only. A request goes
//! out through [`encode`]; a reply comes in through [`read_reply`], [`classify`] and [`token_reply`], in that order.

mod account;
mod assertion;
mod authorization;
mod callback;
mod classify;
mod client_authentication;
mod device;
mod discovery;
mod id_token;
mod introspection;
mod mapping;
mod params;
mod reading;
mod redact;
mod request;
mod revocation;
mod signing;
mod times;
mod token_reply;
mod xml;

#[cfg(test)]
mod habits;

pub use account::{AccountSources, account_of, is_userinfo_of, needs_userinfo, states_account};
pub use assertion::{Assertion, jwt_bearer_assertion};
pub use authorization::{
    AuthorizationRequest, ProofKey, authorization_params, authorization_url, random_text, with_query,
};
pub use callback::{
    CallbackError, authorization_code, check_hmac, check_issuer, parse_callback, parse_callback_form, state_name,
};
pub use classify::{classify, classify_by};
pub use client_authentication::{Client, EncodeError, encode};
pub use device::{DeviceAuthorization, device_request, read_device_authorization};
pub use discovery::{DiscoveryError, Metadata, metadata_urls, parse_metadata};
pub use id_token::{ExpectedIdToken, IdToken, IdTokenError, JwkSet, JwksError, read_id_token, validate_id_token};
pub use introspection::{Introspection, introspection_request, read_introspection};
pub use mapping::{map_reply, promote, read_reply_by};
pub use params::{Params, Value};
pub use reading::{Unreadable, read_reply};
pub use redact::{scrub, scrub_failure};
pub use request::{RawReply, TokenRequest};
pub use revocation::{Revocation, read_revocation, revocation_request};
pub use signing::KeyError;
pub(crate) use times::moment;
pub use token_reply::{TokenReply, split_scopes, token_reply};
pub use xml::{XmlError, read_xml};
