//! The ways in.

use super::Desk;
use crate::api::{
    AbandonRequest, AuthorizationDocument, AuthorizeRequest, AwaitDocument, CompleteRequest, ConnectRequest,
    ConnectionDocument, DeviceDocument, DeviceRequest, HealthDocument, PollDocument, PollRequest,
};
use crate::cli::error::Error;
use crate::connector::{Authorization, AuthorizeOptions, ConnectOptions, DevicePoll, DeviceStart};
use crate::model::{Connection, ConnectionName, Labels, ProfileName, Secret};
use reqwest::Method;
use std::time::Duration;
use url::Url;

impl Desk {
    pub(in crate::cli) async fn authorize(
        &self,
        name: &ConnectionName,
        options: AuthorizeOptions,
    ) -> Result<Authorization, Error> {
        match self {
            Self::Here(connector) => Ok(connector.authorize(name, options).await?),
            Self::There(client) => {
                let path = format!("/connections/{name}/authorize");
                let document: AuthorizationDocument =
                    client.send(Method::POST, &path, &AuthorizeRequest::of(options)).await?;
                Ok(document.into_authorization())
            }
        }
    }

    pub(in crate::cli) async fn complete(&self, callback: &Secret) -> Result<Connection, Error> {
        match self {
            Self::Here(connector) => Ok(connector.complete(callback.expose()).await?),
            Self::There(client) => {
                let request = CompleteRequest { callback: callback.clone() };
                let document: ConnectionDocument = client.send(Method::POST, "/complete", &request).await?;
                Ok(document.into_connection())
            }
        }
    }

    /// Whether a daemon answers where browsers are sent back to.
    pub(in crate::cli) async fn takes_back_at(&self, redirect_url: &Url) -> Result<bool, Error> {
        match self {
            Self::Here(_) => Ok(false),
            Self::There(client) => {
                let health: HealthDocument = client.get("/health").await?;
                Ok(health.callbacks.is_some_and(|base| {
                    let below = format!("{}/oauth/callback/", base.path().trim_end_matches('/'));
                    base.origin() == redirect_url.origin() && redirect_url.path().starts_with(&below)
                }))
            }
        }
    }

    /// Waits for a while until the person comes back to the daemon; `None` when they have not.
    pub(in crate::cli) async fn await_person(
        &self,
        authorization: &Authorization,
    ) -> Result<Option<Connection>, Error> {
        match self {
            Self::Here(_) => {
                Err(Error::System("the daemon that the browser comes back to has ended; begin again".to_owned()))
            }
            Self::There(client) => {
                let request = AbandonRequest { state: authorization.state.clone() };
                let path = format!("/connections/{}/await", authorization.connection);
                let document: AwaitDocument = client.send(Method::POST, &path, &request).await?;
                Ok(document.connection.map(ConnectionDocument::into_connection))
            }
        }
    }

    pub(in crate::cli) async fn abandon(&self, authorization: &Authorization) -> Result<(), Error> {
        self.abandon_state(&authorization.connection, &authorization.state).await
    }

    pub(in crate::cli) async fn abandon_device(&self, start: &DeviceStart) -> Result<(), Error> {
        self.abandon_state(&start.connection, &start.handle).await
    }

    async fn abandon_state(&self, name: &ConnectionName, state: &Secret) -> Result<(), Error> {
        match self {
            Self::Here(connector) => Ok(connector.abandon_state(name, state).await?),
            Self::There(client) => {
                let request = AbandonRequest { state: state.clone() };
                client.tell(Method::POST, &format!("/connections/{name}/abandon"), &request).await
            }
        }
    }

    pub(in crate::cli) async fn start_device(
        &self,
        name: &ConnectionName,
        profile: Option<&ProfileName>,
        labels: Labels,
        other_account: bool,
    ) -> Result<DeviceStart, Error> {
        match self {
            Self::Here(connector) => Ok(connector.start_device(name, profile, labels, other_account).await?),
            Self::There(client) => {
                let request = DeviceRequest { profile: profile.cloned(), labels, other_account };
                let document: DeviceDocument =
                    client.send(Method::POST, &format!("/connections/{name}/device"), &request).await?;
                Ok(document.into_start())
            }
        }
    }

    pub(in crate::cli) async fn poll_device(&self, start: &mut DeviceStart) -> Result<DevicePoll, Error> {
        match self {
            Self::Here(connector) => Ok(connector.poll_device(start).await?),
            Self::There(client) => {
                let request = PollRequest { handle: start.handle.clone(), interval: start.interval.as_secs() };
                let path = format!("/connections/{}/device/poll", start.connection);
                let document: PollDocument = client.send(Method::POST, &path, &request).await?;
                start.interval = Duration::from_secs(document.interval);
                Ok(document.into_poll())
            }
        }
    }

    pub(in crate::cli) async fn connect(
        &self,
        name: &ConnectionName,
        options: ConnectOptions,
    ) -> Result<Connection, Error> {
        match self {
            Self::Here(connector) => Ok(connector.connect(name, options).await?),
            Self::There(client) => {
                let path = format!("/connections/{name}/connect");
                let document: ConnectionDocument =
                    client.send(Method::POST, &path, &ConnectRequest::of(options)).await?;
                Ok(document.into_connection())
            }
        }
    }
}
