//! In whose name a handler acts: the door that a request came through says it, and the audit log keeps it.

use super::shared::Shared;
use crate::access::Acting;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::convert::Infallible;
use std::sync::Arc;

/// Who asks, as the door put it into the request ([`Acting`] among its extensions). A door that says nothing lets in nobody that the
/// log could name, and so it is written.
pub(super) struct Asks(pub(super) Arc<Acting>);

impl<S: Send + Sync> FromRequestParts<S> for Asks {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let acting = parts.extensions.get::<Arc<Acting>>().cloned();
        Ok(Self(acting.unwrap_or_else(|| Arc::new(Acting::nobody()))))
    }
}

/// What handlers share, with a connector whose calls are written down as whoever asks.
pub(super) struct For(pub(super) Shared);

impl FromRequestParts<Shared> for For {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Infallible> {
        let Asks(acting) = Asks::from_request_parts(parts, shared).await?;
        Ok(Self(shared.acting(acting)))
    }
}
