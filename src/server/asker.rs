//! Who asks, for a handler: the connector in their name, so that the audit log says who it was, and what they may see.

use super::door::Peer;
use super::shared::Shared;
use crate::access::{Acting, Caller, Need};
use crate::connector::Connector;
use crate::model::{ApiKey, ApplicationName, ConnectionName, RequestId};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;
use std::ops::Deref;
use uuid::Uuid;

/// Who asks. It is the connector, acting for them.
pub(super) struct Asker {
    connector: Connector,
    pub(super) acting: Acting,
    caller: Caller,
}

impl Asker {
    /// Whether they may see and change a connection.
    pub(super) fn manages(&self, connection: &ConnectionName) -> bool {
        self.caller.may(&Need::Manage(connection))
    }

    /// Whether they may see a whole application.
    pub(super) fn manages_application(&self, application: &ApplicationName) -> bool {
        self.caller.may(&Need::ManageApplication(application))
    }

    /// Whether they still are who may ask: a key may have been revoked, or have ended, while an answer goes on.
    pub(super) async fn is_still_good(&self) -> bool {
        match self.key() {
            Some(key) => self.connector.key_is_good(key.id).await.unwrap_or(false),
            None => true,
        }
    }

    /// The API key that they show, where it is one.
    pub(super) fn key(&self) -> Option<&ApiKey> {
        match &self.caller {
            Caller::Key(key) => Some(key),
            _ => None,
        }
    }

    /// Whether they may do everything.
    pub(super) fn administers(&self) -> bool {
        self.caller.may(&Need::Administer)
    }
}

impl Deref for Asker {
    type Target = Connector;

    fn deref(&self) -> &Connector {
        &self.connector
    }
}

/// In whose name a request is done, for a handler that needs nothing else of them.
pub(super) struct InNameOf(pub(super) Acting);

impl<S: Sync> FromRequestParts<S> for InNameOf {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let Some(caller) = parts.extensions.get::<Caller>() else { return Err(super::rights::unknown()) };
        Ok(Self(acting(caller, parts.extensions.get(), parts.extensions.get())))
    }
}

impl FromRequestParts<Shared> for Asker {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        // Only a route that `rights.rs` lets through gets here; without a caller nothing is done all the same.
        let Some(caller) = parts.extensions.get::<Caller>().cloned() else { return Err(super::rights::unknown()) };
        let acting = acting(&caller, parts.extensions.get(), parts.extensions.get());
        Ok(Self { connector: shared.connector.acting(acting.clone()), acting, caller })
    }
}

/// In whose name a request is done.
pub(super) fn acting(caller: &Caller, id: Option<&RequestId>, peer: Option<&Peer>) -> Acting {
    within(Acting::of(caller), id, peer)
}

/// In whose name a browser comes back, or a stranger asks: nobody's that is known.
pub(super) fn by_nobody(id: Option<&RequestId>, peer: Option<&Peer>) -> Acting {
    within(Acting::nobody(), id, peer)
}

fn within(acting: Acting, id: Option<&RequestId>, peer: Option<&Peer>) -> Acting {
    let remote = peer.and_then(|peer| peer.address());
    match id {
        Some(id) => acting.in_request(&*id.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()), remote),
        None => acting,
    }
}
