//! Who asks, for a handler: the connector in their name, so that the audit log says who it was, and what they may see.

use super::call::Call;
use crate::access::{Acting, Caller, Need};
use crate::connector::Connector;
use crate::model::{ApiKey, ApplicationName, ConnectionName};
use crate::server::routes::Part;
use crate::server::shared::Shared;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;
use std::ops::Deref;

/// Who asks. It is the connector, acting for them.
pub(in crate::server) struct Asker {
    connector: Connector,
    pub(in crate::server) acting: Acting,
    caller: Caller,
}

impl Asker {
    /// Whether they may see and change a connection.
    pub(in crate::server) fn manages(&self, connection: &ConnectionName) -> bool {
        self.caller.may(&Need::Manage(connection))
    }

    /// Whether there may be anything that they may see.
    pub(in crate::server) fn may_see_some(&self) -> bool {
        self.caller.may_see_some()
    }

    /// Whether they may see a whole application.
    pub(in crate::server) fn manages_application(&self, application: &ApplicationName) -> bool {
        self.caller.may(&Need::ManageApplication(application))
    }

    /// Whether they still are who may ask: a key may have been revoked, or have ended, while an answer goes on.
    pub(in crate::server) async fn is_still_good(&self) -> bool {
        match self.key() {
            Some(key) => self.connector.key_is_good(key.id).await.unwrap_or(false),
            None => true,
        }
    }

    /// The API key that they show, where it is one.
    pub(in crate::server) fn key(&self) -> Option<&ApiKey> {
        match &self.caller {
            Caller::Key(key) => Some(key),
            _ => None,
        }
    }

    /// Whether they may do everything.
    pub(in crate::server) fn administers(&self) -> bool {
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
pub(in crate::server) struct InNameOf(pub(in crate::server) Acting);

impl<S: Sync> FromRequestParts<S> for InNameOf {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let call = parts.extensions.get::<Call>();
        let acting = call.and_then(|call| Some(call.acting(call.caller()?)));
        acting.map(Self).ok_or_else(super::rights::unknown)
    }
}

impl Part for Asker {}
impl Part for InNameOf {}

impl FromRequestParts<Shared> for Asker {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        // Only a route that `rights.rs` lets through gets here; without a caller nothing is done all the same.
        let call = parts.extensions.get::<Call>();
        let known = call.and_then(|call| Some((call, call.caller()?.clone())));
        let Some((call, caller)) = known else { return Err(super::rights::unknown()) };
        let acting = call.acting(&caller);
        Ok(Self { connector: shared.connector.acting(acting.clone()), acting, caller })
    }
}
