//! A small Google-Drive-style authorization server and API. Strict by itself: exact redirect addresses, single-use
//! codes, PKCE, rotation with reuse detection; and a refresh token only for an authorization request that carried
//! `access_type=offline` and `prompt=consent`. What it does worse than that is in its habits.

mod api;
mod authorize;
mod clients;
mod device;
mod habits;
mod identity;
mod ledger;
mod reply;
mod server;
#[cfg(test)]
mod tests;
mod token;

pub use clients::{Client, SigningKey};
pub use habits::{Door, ExpiresIn, Fault, Gate, Habits, IdTokens, ReplyStyle, Rotation};
pub use ledger::{Ended, Family};
pub use server::SeenRequest;

use crate::model::{Clock, Secret};
use identity::Signer;
use ledger::Ledger;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

/// The scope that the drive's files need.
pub const DRIVE_SCOPE: &str = "drive.readonly";
/// The people who have an account at the provider.
pub const USERS: [&str; 2] = ["alice", "bob"];
/// Everybody's password, for the password grant.
pub const PASSWORD: &str = "demo-password";

/// The provider with habits, listening on a loopback port until it is stopped or dropped.
#[derive(Debug)]
pub struct DemoProvider {
    inner: Arc<Provider>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<io::Result<()>>,
}

impl DemoProvider {
    /// Starts the provider on a free port of 127.0.0.1. Every lifetime it hands out or checks is by `clock`.
    ///
    /// # Errors
    /// When no loopback port can be had.
    pub async fn start(clock: Arc<dyn Clock>, habits: Habits) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let issuer = format!("http://{}", listener.local_addr()?);
        let base_url = Url::parse(&issuer).map_err(io::Error::other)?;
        let state = Mutex::new(Inside { habits, signer: Some(Signer::new()?), ..Inside::default() });
        let inner = Arc::new(Provider { clock, issuer, base_url, state });
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server::serve(listener, inner.clone(), stopped));
        Ok(Self { inner, stop: Some(stop), serving })
    }

    /// Takes no more connections, and returns once the idle ones are closed. A reply that a closed gate holds is
    /// waited for.
    pub async fn stop(mut self) {
        self.stop.take();
        // It was spawned by `start` and ends when told to: no outcome of it matters any more.
        let _ = (&mut self.serving).await;
    }

    /// The root of all its addresses.
    #[must_use]
    pub fn base_url(&self) -> &Url {
        &self.inner.base_url
    }

    /// Its issuer identifier (RFC 8414 section 2): the base URL without the last slash.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.inner.issuer
    }

    /// The authorization endpoint.
    #[must_use]
    pub fn authorization_endpoint(&self) -> Url {
        self.inner.at("/authorize")
    }

    /// The token endpoint.
    #[must_use]
    pub fn token_endpoint(&self) -> Url {
        self.inner.at("/token")
    }

    /// The device authorization endpoint.
    #[must_use]
    pub fn device_authorization_endpoint(&self) -> Url {
        self.inner.at("/device/code")
    }

    /// The revocation endpoint.
    #[must_use]
    pub fn revocation_endpoint(&self) -> Url {
        self.inner.at("/revoke")
    }

    /// The introspection endpoint.
    #[must_use]
    pub fn introspection_endpoint(&self) -> Url {
        self.inner.at("/introspect")
    }

    /// The userinfo endpoint.
    #[must_use]
    pub fn userinfo_endpoint(&self) -> Url {
        self.inner.at("/userinfo")
    }

    /// The JWK set that id tokens are checked with.
    #[must_use]
    pub fn jwks_endpoint(&self) -> Url {
        self.inner.at("/jwks")
    }

    /// The protected resource: a list of files, for whoever holds [`DRIVE_SCOPE`].
    #[must_use]
    pub fn files_url(&self) -> Url {
        self.inner.at("/drive/v3/files")
    }

    /// Registers a client, in place of one with the same id.
    pub fn register(&self, client: Client) {
        let mut inside = self.inner.inside();
        inside.clients.retain(|known| known.id != client.id);
        inside.clients.push(client);
    }

    /// Changes the habits, from the next request on.
    pub fn set_habits(&self, habits: Habits) {
        self.inner.inside().habits = habits;
    }

    /// The habits now.
    #[must_use]
    pub fn habits(&self) -> Habits {
        self.inner.inside().habits.clone()
    }

    /// Lets the next request at a door go wrong. Called again, the faults queue: one request each.
    pub fn next(&self, door: Door, fault: Fault) {
        self.inner.inside().faults.entry(door).or_default().push_back(fault);
    }

    /// Lets the next so many requests at a door go wrong, as in an outage.
    pub fn next_all(&self, door: Door, count: usize, fault: &Fault) {
        (0..count).for_each(|_| self.next(door, fault.clone()));
    }

    /// Every request that came to a door, oldest first, those that went wrong too.
    #[must_use]
    pub fn requests(&self, door: Door) -> Vec<SeenRequest> {
        self.inner.inside().seen.iter().filter(|seen| seen.door == door).cloned().collect()
    }

    /// How many token requests of a `grant_type` have come.
    #[must_use]
    pub fn token_requests(&self, grant_type: &str) -> usize {
        let of_grant = |seen: &&SeenRequest| seen.params.text("grant_type") == Some(grant_type);
        self.inner.inside().seen.iter().filter(|seen| seen.door == Door::Token).filter(of_grant).count()
    }

    /// The last token request.
    #[must_use]
    pub fn last_token_request(&self) -> Option<SeenRequest> {
        self.requests(Door::Token).pop()
    }

    /// Every grant given so far, with all that was issued under it, oldest first.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        self.inner.inside().ledger.families.clone()
    }

    /// The refresh token of a family that works now.
    #[must_use]
    pub fn current_refresh_token(&self, family: usize) -> Option<Secret> {
        let inside = self.inner.inside();
        let family = inside.ledger.families.get(family).filter(|family| family.ended.is_none())?;
        family.refresh_tokens.last().cloned()
    }

    /// Ends a grant, as its owner can on the provider's security page.
    pub fn kill_family(&self, family: usize) {
        self.inner.inside().ledger.end(family, Ended::Killed);
    }

    /// Signs id tokens with a new key from now on, which alone is in the set.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn change_signing_key(&self) -> io::Result<()> {
        let mut inside = self.inner.inside();
        inside.signer = Some(inside.signer.as_ref().map_or_else(Signer::new, Signer::next)?);
        Ok(())
    }

    /// Lets every access token expire now, whatever lifetime was stated for it.
    pub fn expire_access_tokens(&self) {
        let now = self.inner.clock.now();
        self.inner.inside().ledger.expire_access_tokens(now);
    }
}

impl Drop for DemoProvider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What the request handlers share.
#[derive(Debug)]
struct Provider {
    clock: Arc<dyn Clock>,
    issuer: String,
    base_url: Url,
    state: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    habits: Habits,
    clients: Vec<Client>,
    ledger: Ledger,
    /// Always there once the provider runs.
    signer: Option<Signer>,
    faults: HashMap<Door, VecDeque<Fault>>,
    seen: Vec<SeenRequest>,
}

/// It holds codes and tokens in clear.
impl std::fmt::Debug for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inside").field("habits", &self.habits).finish_non_exhaustive()
    }
}

impl Provider {
    /// Everything that changes. Never held across an await.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base_url.clone();
        url.set_path(path);
        url
    }

    /// What an assertion may name as its audience: the token endpoint or the issuer (RFC 7523 section 3).
    fn audiences(&self) -> [String; 2] {
        [self.at("/token").into(), self.issuer.clone()]
    }

    /// Keeps a request, and tells what is to go wrong with it.
    fn saw(&self, request: SeenRequest) -> Option<Fault> {
        let mut inside = self.inside();
        let fault = inside.faults.get_mut(&request.door).and_then(VecDeque::pop_front);
        inside.seen.push(request);
        fault
    }
}
