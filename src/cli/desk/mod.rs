//! The desk at which every command asks: the connector itself, or the daemon that holds the store. The calls are the connector's own,
//! with the same results, so that a command is written once.
//!
//! A new command is put on it in three steps: a document in `api` for what travels where the library's own type does not say it
//! (both ways, `of` and `into_…`), a thin handler in `server`, and a method here whose two arms are the connector's
//! call and the client's request. A call that takes long tells how far it is through `server::lines` and
//! [`Client::long`].

mod access;
mod applications;
mod client;
mod connections;
mod consent;
mod moving;
mod tokens;
mod upkeep;
mod webhooks;

pub(super) use client::{Client, Lost};

use super::error::Error;
use crate::connector::Connector;

/// Where a command's calls go.
pub(super) enum Desk {
    /// Nobody else holds the store: to the connector in this process.
    Here(Box<Connector>),
    /// A daemon holds it: to the daemon.
    There(Client),
}

impl Desk {
    /// The connector itself, for what cannot be asked of a daemon. `what` names it.
    pub(super) fn here(&self, what: &'static str) -> Result<&Connector, Error> {
        match self {
            Self::Here(connector) => Ok(connector),
            Self::There(_) => Err(Error::NotThroughDaemon { what }),
        }
    }

    /// What must not be broken off, of what the command began in this process.
    pub(super) fn under_way(&self) -> usize {
        match self {
            Self::Here(connector) => connector.under_way(),
            Self::There(_) => 0,
        }
    }

    /// Lets go of the store, when the refreshes that the command began are done too.
    pub(super) async fn close(self) {
        if let Self::Here(connector) = self {
            connector.close().await;
        }
    }
}
