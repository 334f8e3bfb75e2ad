//! The pages for people: HTML made here, one style sheet and one small script from fixed paths, nothing from anywhere else.
//! Every page works without the script, which only saves reloading.
//!
//! `guard` decides who sees a page and whose forms are taken; `layout` and `parts` are what all pages look like. Each page is a
//! file: it reads the query, makes one or two calls of the connector, and writes what came.

mod acts;
mod api_keys;
mod application_edit;
mod application_form;
mod applications;
mod assets;
mod audit;
mod connect;
mod connection;
mod events;
mod expires;
mod fields;
mod guard;
mod history;
mod invited;
mod invites;
mod layout;
mod live;
mod overview;
mod parts;
mod playground;
mod plot;
mod rows;
mod samples;
mod scripts;
mod sign_in;
mod tokens;
mod trouble;

use self::guard::cookie;
use self::invites::Invites;
use self::trouble::Trouble;
pub(super) use self::trouble::capital;
use super::doors::call::by_nobody;
use super::doors::door::Peer;
use super::doors::neighbour::Neighbour;
use super::doors::session::{Sessions, SignedIn};
use super::shared::Shared;
use crate::access::{Acting, Caller};
use crate::connector::{Connector, Holding};
use crate::model::{Action, AuditEntry, Connection, Outcome, Target};
use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use maud::Markup;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// What the pages share.
#[derive(Debug, Clone)]
struct Pages {
    shared: Shared,
    /// In whose name a request is done it knows too.
    connector: Connector,
    sessions: Sessions,
    invites: Invites,
    /// What the session's cookie is called.
    cookie: Arc<str>,
    /// Who reads everything that is held: a few at once, however many pages are open and keep themselves up to date.
    reading: Arc<Semaphore>,
    /// In whose name a request is done.
    acting: Option<Acting>,
}

/// How many pages read everything at once.
const MOST_READERS: usize = 2;

impl Pages {
    /// Who is signed in with the key that a browser sent. Nobody, where the session was begun with an API key that is good no more: it
    /// ends with that key. `used` says that a person did something.
    async fn signed_in(
        &self,
        headers: &HeaderMap,
        peer: Option<&Peer>,
        used: bool,
    ) -> Result<Option<SignedIn>, Trouble> {
        let now = self.connector.clock().now();
        let held = cookie(headers, &self.cookie);
        let Some(me) = held.and_then(|held| self.sessions.find(held, now, used)) else { return Ok(None) };
        if me.neighbour != Neighbour::Elsewhere {
            match (me.neighbour, self.shared.neighbour(peer).await) {
                (Neighbour::User(began), Neighbour::User(asks)) if began != asks => return self.caught(&me).await,
                // A connection that was closed meanwhile is nobody's: nobody is answered on it.
                (Neighbour::User(_), Neighbour::Unknown | Neighbour::Elsewhere) => return Ok(None),
                // Begun by somebody at this machine, of whom the system could not tell: it is whose it is from now on.
                (Neighbour::Unknown, user @ Neighbour::User(_)) => self.sessions.is_of(me.key, user),
                _ => {}
            }
        }
        if self.lets_in(me.api_key).await? {
            return Ok(Some(me));
        }
        self.sessions.end(me.key);
        Ok(None)
    }

    /// Another user of this machine has come to know a session's cookie: it is not safe any more.
    async fn caught(&self, me: &SignedIn) -> Result<Option<SignedIn>, Trouble> {
        tracing::warn!(who = %me.who, "another user of this machine came with the cookie of a session, which was ended");
        self.sessions.end(me.key);
        let who = Caller::Session { who: Arc::clone(&me.who), key: me.api_key };
        let now = self.connector.clock().now();
        let entry = Acting::of(&who).entry(Action::SignInRefused, None, now).that(Outcome::Refused, "other_user");
        self.connector.audit_now(entry).await?;
        Ok(None)
    }

    /// Whether what was begun with an API key may go on; without one it may.
    async fn lets_in(&self, api_key: Option<Uuid>) -> Result<bool, Trouble> {
        match api_key {
            Some(id) => Ok(self.connector.key_is_good(id).await?),
            None => Ok(true),
        }
    }

    /// Whether a session lasts: for what goes on for long.
    async fn lasts(&self, me: &SignedIn) -> bool {
        self.sessions.lasts(me.key, self.connector.clock().now()) && self.lets_in(me.api_key).await.unwrap_or(false)
    }

    /// Every connection with its credentials. It costs what is stored: whoever comes while others read waits for them.
    async fn holdings(&self) -> Result<Vec<Holding>, Trouble> {
        // Fails only when it is closed, and it never is.
        let _turn = self.reading.acquire().await;
        Ok(self.connector.holdings(None, None).await?)
    }

    /// Every connection, the same.
    async fn connections(&self) -> Result<Vec<Connection>, Trouble> {
        let _turn = self.reading.acquire().await;
        Ok(self.connector.connections(None).await?)
    }

    /// Writes into the audit log what no call of the connector does; `refused` with the reason where it was.
    async fn write_down(&self, action: Action, refused: Option<&str>) -> Result<(), Trouble> {
        let entry = self.entry(action, None);
        match refused {
            // Anybody can cause many of these: they are written together.
            Some(code) => self.connector.audit_soon(entry.that(Outcome::Refused, code)).await?,
            None => self.connector.audit_now(entry).await?,
        }
        Ok(())
    }

    /// The same pages in somebody's name.
    fn acting(mut self, acting: Acting) -> Self {
        self.acting = Some(acting.clone());
        self.connector = self.connector.acting(acting);
        self
    }

    /// An entry of the audit log in the name of who asks.
    fn entry(&self, action: Action, target: Option<Target>) -> AuditEntry {
        let acting = self.acting.clone().unwrap_or_else(Acting::nobody);
        acting.entry(action, target, self.connector.clock().now())
    }
}

impl SignedIn {
    /// What a stranger's request is once it is known whose it is.
    fn act(&self, stranger: &Acting) -> Acting {
        let who = Caller::Session { who: Arc::clone(&self.who), key: self.api_key };
        Acting { actor: Acting::of(&who).actor, ..*stranger }
    }
}

/// For a handler: a connector whose calls are written into the audit log as those of who is signed in.
impl FromRequestParts<Self> for Pages {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, pages: &Self) -> Result<Self, Infallible> {
        let stranger = by_nobody(&parts.extensions);
        let pages = pages.clone();
        Ok(match parts.extensions.get::<SignedIn>() {
            Some(me) => pages.acting(me.act(&stranger)),
            None => pages.acting(stranger),
        })
    }
}

/// A page with one message, for a browser that comes back from a provider.
pub(super) fn notice(title: &str, body: &Markup) -> String {
    layout::notice(title, body).into_string()
}

/// The pages of a connector, and the way in to them. It answers every path: put it behind the routes of everything else, as
/// their fallback. Who is signed in may do everything.
pub fn router(shared: Shared, sessions: Sessions) -> Router {
    let reading = Arc::new(Semaphore::new(MOST_READERS));
    let cookie = sign_in::cookie_name(shared.port()).into();
    let connector = shared.connector.clone();
    let pages = Pages {
        shared: shared.clone(),
        connector,
        sessions,
        invites: Invites::default(),
        cookie,
        reading,
        acting: None,
    };
    let inside = Router::new()
        .route("/", get(overview::page))
        .route("/tokens", get(tokens::page))
        .route("/connections/{application}/{name}", get(connection::page))
        .route("/connections/{application}/{name}/refresh", post(acts::refresh))
        .route("/connections/{application}/{name}/revoke", get(acts::ask_to_revoke).post(acts::revoke))
        .route("/credentials/{id}/expires", get(expires::page).post(expires::edit))
        .route("/credentials/{id}/revoke", get(acts::ask_to_revoke_one).post(acts::revoke_one))
        .route("/applications", get(applications::list))
        .route("/new-application", get(application_form::page).post(application_form::make))
        .route("/applications/{name}", get(applications::page))
        .route("/applications/{name}/edit", get(application_edit::page).post(application_edit::edit))
        .route("/applications/{name}/test", post(applications::test))
        .route("/applications/{name}/switch", post(applications::switch))
        .route("/applications/{name}/remove", get(applications::ask_to_remove).post(applications::remove))
        .route("/connect", get(connect::page).post(connect::make))
        .route("/connect/withdraw", post(connect::withdraw))
        .route("/scripts", get(scripts::list))
        .route("/scripts/{name}", get(scripts::page))
        .route("/scripts/{name}/try", post(playground::run))
        .route("/events", get(events::page))
        .route("/api-keys", get(api_keys::list))
        .route("/api-keys/{name}/revoke", get(api_keys::ask_to_revoke).post(api_keys::revoke))
        .route("/audit", get(audit::page))
        .route("/audit/verify", get(audit::ask).post(audit::verify))
        .route("/live", get(live::events))
        .route("/live/audit", get(live::audit))
        .route("/sign-out", post(sign_in::out))
        .fallback(trouble::nothing_here)
        .method_not_allowed_fallback(trouble::not_so)
        .layer(from_fn_with_state(pages.clone(), guard::inside));
    Router::new()
        .route("/sign-in", get(sign_in::page).post(sign_in::with_password))
        .route("/sign-in/link", get(sign_in::link_page).post(sign_in::with_link))
        .route("/invite", get(invited::page).post(invited::go_on))
        .route("/assets/{name}", get(assets::give))
        .merge(inside)
        .layer(from_fn_with_state(shared, guard::dress))
        .with_state(pages)
}
