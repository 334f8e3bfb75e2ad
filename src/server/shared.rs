//! What the handlers share.

use super::doors::door::Peer;
use super::doors::neighbour::{Neighbour, neighbour};
use super::doors::session::{PasswordCheck, Sessions};
use super::metrics::Metrics;
use super::outcomes::Outcomes;
use crate::connector::Connector;
use crate::model::Timestamp;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;
use url::Url;

/// What the handlers share. Clones share everything.
#[derive(Clone)]
pub struct Shared(Arc<Parts>);

/// The parts of [`Shared`].
#[derive(Clone)]
pub struct Parts {
    pub(super) connector: Connector,
    pub(super) started: Timestamp,
    stopping: watch::Receiver<bool>,
    work: Arc<watch::Sender<usize>>,
    /// A name of ours that somebody asked by.
    pub(super) usual_name: Arc<OnceLock<String>>,
    /// Whether browsers and programs come by TLS.
    by_tls: bool,
    /// Who waits for a person to come back.
    pub(super) outcomes: Arc<Outcomes>,
    pub(super) metrics: Arc<Metrics>,
    /// Who is signed in at the pages.
    pub(super) sessions: Sessions,
    /// The address that is listened on beside the socket, where one is.
    bound: Option<Url>,
    /// Whether something stands in front of it, and says in whose name it asks.
    pub(super) behind_proxy: bool,
}

/// Nobody is signed in yet. The administrator's password is the one that is stored.
#[must_use]
pub fn sessions(connector: &Connector) -> Sessions {
    let connector = connector.clone();
    let password: PasswordCheck = Arc::new(move |password| {
        let connector = connector.clone();
        Box::pin(async move { connector.check_password(&password).await.unwrap_or(false) })
    });
    Sessions::new(Some(password))
}

impl Shared {
    /// Of a connector. `stopping` becomes `true` when the daemon is to end: what follows events ends then.
    #[must_use]
    pub fn new(connector: Connector, stopping: watch::Receiver<bool>) -> Self {
        let started = connector.clock().now();
        let sessions = sessions(&connector);
        Self(Arc::new(Parts {
            connector,
            started,
            stopping,
            work: Arc::default(),
            outcomes: Arc::default(),
            metrics: Arc::default(),
            sessions,
            bound: None,
            behind_proxy: false,
            usual_name: Arc::default(),
            by_tls: false,
        }))
    }

    /// The same for a daemon that answers on a port too, with those who sign in there.
    pub(super) fn outside(self, sessions: Sessions, bound: Url, behind_proxy: bool) -> Self {
        let public_url = self.connector.settings().callback.public_url.as_ref();
        let by_tls = [public_url.unwrap_or(&bound), &bound].iter().any(|url| url.scheme() == "https");
        Self(Arc::new(Parts { sessions, bound: Some(bound), behind_proxy, by_tls, ..Arc::unwrap_or_clone(self.0) }))
    }

    /// The URL of the pages, where browsers can come: the one that people use, where the settings say it, else the address that is
    /// really listened on. Links with secrets in them are made of it, and on another port somebody else may listen.
    pub(super) fn pages_url(&self) -> Option<Url> {
        let bound = self.bound.as_ref()?;
        let callback = &self.connector.settings().callback;
        Some(callback.public_url.clone().unwrap_or_else(|| bound.clone()))
    }

    /// The port that browsers come to, where they come to this machine's own address: its other ports have the same cookies.
    pub(super) fn port(&self) -> Option<u16> {
        let own = self.connector.settings().callback.public_url.is_none();
        self.bound.as_ref().filter(|_| own)?.port_or_known_default()
    }

    /// Whose a connection from this machine is, where that tells something: behind a proxy it is the proxy's.
    pub(super) async fn neighbour(&self, peer: Option<&Peer>) -> Neighbour {
        match self.behind_proxy {
            true => Neighbour::Elsewhere,
            false => neighbour(peer).await,
        }
    }

    /// Whether browsers and programs come to the pages by TLS: this daemon's own, or that of what stands in front of it.
    pub(super) fn is_by_tls(&self) -> bool {
        self.by_tls
    }

    /// The URL that browsers are sent back to, where they come to this daemon then.
    pub(super) fn callbacks_url(&self) -> Option<Url> {
        let bound = self.bound.as_ref()?;
        let callback = &self.connector.settings().callback;
        let is_here = callback.public_url.is_some() || bound.port_or_known_default() == Some(callback.port);
        is_here.then(|| callback.base_url())
    }

    /// Whether the daemon is to end.
    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Returns when the daemon is to end.
    pub(super) async fn stopped(&self) {
        // An error is the end of whoever would have said so.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }

    /// Work that is to be waited for before the daemon ends, until it is dropped.
    pub(super) fn begin(&self) -> Work {
        self.work.send_modify(|count| *count += 1);
        Work(Arc::clone(&self.work))
    }

    /// Returns when nothing that was begun is under way.
    pub(super) async fn idle(&self) {
        // An error is the end of the sender, which this holds.
        let _ = self.work.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Deref for Shared {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Work under way.
pub(super) struct Work(Arc<watch::Sender<usize>>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("started", &self.started).finish_non_exhaustive()
    }
}
