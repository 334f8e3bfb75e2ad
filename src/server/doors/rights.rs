//! What each route needs, in one table. A route that is not in it is refused: a new one needs a line here before anybody reaches it.

use super::admission::turned_away;
use super::call::{Call, Who};
use crate::access::{Caller, Need};
use crate::api::{Problem, exit_codes};
use crate::model::{Action, Outcome, Target};
use crate::server::answer::{NOT_ALLOWED, NotAllowed, NotBefore, Refusal, connection_of};
use crate::server::router::other_method;
use crate::server::routes::Params;
use crate::server::shared::Shared;
use axum::extract::Request;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, Uri};
use axum::response::{IntoResponse as _, Response};
use uuid::Uuid;

/// What a route needs of who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Needs {
    /// To be known. What a list shows is what its reader may manage; a document says what it needs itself where its path does not.
    Known,
    /// The token of the connection in the path.
    Token,
    /// To manage the connection in the path, or the connection of the credential in it.
    Manage,
    /// To manage the application in the path.
    ManageApplication,
    /// To administer.
    Administer,
}

use Needs::{Administer, Known, Manage, ManageApplication, Token};

const PROXY: &str = "/v1/proxy/{application}/{name}/{host}/{*path}";
const PROXY_ROOT: &str = "/v1/proxy/{application}/{name}/{host}";

/// Method, path, what it needs, and what it does.
pub(in crate::server) const ROUTES: &[(Method, &str, Needs, &str)] = &[
    (Method::GET, "/v1/health", Known, "How the daemon is"),
    (Method::GET, "/metrics", Administer, "Figures for Prometheus"),
    (Method::GET, "/v1/applications", Known, "Applications"),
    (Method::GET, "/v1/applications/{application}", ManageApplication, "One application"),
    (Method::PUT, "/v1/applications/{application}", Administer, "Makes or edits an application"),
    (Method::DELETE, "/v1/applications/{application}", Administer, "Removes an application"),
    (Method::GET, "/v1/applications/{application}/toml", ManageApplication, "One application, as a file"),
    (Method::GET, "/v1/applications/{application}/profiles", ManageApplication, "An application's profiles"),
    (Method::PUT, "/v1/applications/{application}/profiles/{profile}", Administer, "Makes or edits a profile"),
    (Method::DELETE, "/v1/applications/{application}/profiles/{profile}", Administer, "Removes a profile"),
    (Method::GET, "/v1/connections", Known, "Connections"),
    (Method::GET, "/v1/connections/{application}/{name}", Manage, "One connection, and what happens to it next"),
    (Method::DELETE, "/v1/connections/{application}/{name}", Manage, "Revokes and removes a connection"),
    (Method::PUT, "/v1/connections/{application}/{name}/labels", Manage, "Sets a connection's labels"),
    (Method::PATCH, "/v1/connections/{application}/{name}/labels", Manage, "Edits some of a connection's labels"),
    (Method::POST, "/v1/connections/{application}/{name}/revoke", Manage, "Ends a grant"),
    (Method::POST, "/v1/connections/{application}/{name}/authorize", Manage, "Begins an authorization"),
    (Method::POST, "/v1/connections/{application}/{name}/abandon", Manage, "Gives an authorization up"),
    (Method::POST, "/v1/connections/{application}/{name}/await", Manage, "Waits for the person to come back"),
    (Method::POST, "/v1/connections/{application}/{name}/device", Manage, "Begins a device authorization"),
    (Method::POST, "/v1/connections/{application}/{name}/device/poll", Manage, "Asks whether the person has consented"),
    (Method::POST, "/v1/connections/{application}/{name}/connect", Manage, "Connects without a browser"),
    (Method::GET, "/v1/connections/{application}/{name}/token", Token, "A token that works"),
    (
        Method::POST,
        "/v1/connections/{application}/{name}/token-rejected",
        Token,
        "Reports a token that an API rejected",
    ),
    (Method::POST, "/v1/connections/{application}/{name}/refresh", Manage, "Refreshes a connection now"),
    (Method::GET, PROXY, Token, "Sends a request to the application's API, with the token"),
    (Method::POST, PROXY, Token, "Sends a request to the application's API, with the token"),
    (Method::PUT, PROXY, Token, "Sends a request to the application's API, with the token"),
    (Method::PATCH, PROXY, Token, "Sends a request to the application's API, with the token"),
    (Method::DELETE, PROXY, Token, "Sends a request to the application's API, with the token"),
    (Method::GET, PROXY_ROOT, Token, "The same, to the root of the API's host"),
    (Method::POST, PROXY_ROOT, Token, "The same, to the root of the API's host"),
    (Method::POST, "/v1/complete", Known, "Completes an authorization"),
    (Method::POST, "/v1/sign-in-link", Administer, "A link that signs one browser in at the pages, once"),
    (Method::GET, "/v1/api-keys", Administer, "API keys"),
    (Method::POST, "/v1/api-keys", Administer, "Makes an API key; it is shown once"),
    (Method::DELETE, "/v1/api-keys/{key}", Administer, "Revokes an API key"),
    (Method::PUT, "/v1/administrator/password", Administer, "Sets the administrator's password for the pages"),
    (Method::GET, "/v1/audit", Administer, "Who did what"),
    (Method::GET, "/v1/audit/newest", Administer, "The last entry's sequence"),
    (Method::GET, "/v1/audit/stream", Administer, "Who does what, as it happens"),
    (Method::GET, "/v1/audit/verify", Administer, "Whether the audit log is as it was written"),
    (Method::GET, "/v1/webhooks", Administer, "Webhooks"),
    (Method::POST, "/v1/webhooks", Administer, "Makes a webhook; its secret is shown once"),
    (Method::GET, "/v1/webhooks/{webhook}", Administer, "One webhook, and how far it has come"),
    (Method::PATCH, "/v1/webhooks/{webhook}", Administer, "Edits where a webhook's messages go, and what it tells of"),
    (Method::DELETE, "/v1/webhooks/{webhook}", Administer, "Removes a webhook with all that waits"),
    (
        Method::POST,
        "/v1/webhooks/{webhook}/rotate-secret",
        Administer,
        "Gives a webhook another secret; it is shown once",
    ),
    (Method::POST, "/v1/webhooks/{webhook}/enable", Administer, "Has a webhook send again"),
    (Method::POST, "/v1/webhooks/{webhook}/disable", Administer, "Stops a webhook"),
    (Method::POST, "/v1/webhooks/{webhook}/test", Administer, "Sends one message that tells of nothing"),
    (Method::POST, "/v1/refresh-due", Administer, "Refreshes what is due"),
    (Method::POST, "/v1/grants", Administer, "Takes refresh tokens over"),
    (Method::GET, "/v1/credentials", Known, "Credentials"),
    (Method::GET, "/v1/credentials/{id}", Manage, "One credential"),
    (Method::PATCH, "/v1/credentials/{id}", Manage, "Edits when a credential expires"),
    (Method::POST, "/v1/credentials/{id}/revoke", Manage, "Ends a credential"),
    (Method::POST, "/v1/credentials/{id}/introspect", Manage, "Asks the provider about a credential"),
    (Method::GET, "/v1/events", Known, "Events"),
    (Method::GET, "/v1/events/newest", Known, "The last event's sequence"),
    (Method::GET, "/v1/events/stream", Known, "Events as they happen"),
    (Method::GET, "/v1/providers", Known, "The provider catalog"),
    (Method::GET, "/v1/providers/{provider}", Known, "What is known of one provider"),
    (Method::GET, "/v1/scripts", Administer, "OAuth API scripts"),
    (Method::POST, "/v1/scripts/check", Administer, "Compiles all scripts, and tells what is wrong"),
    (Method::GET, "/v1/scripts/{script}", Administer, "One script, with its text"),
    (Method::POST, "/v1/scripts/{script}/check", Administer, "Compiles a script, or a text in its place"),
    (Method::POST, "/v1/scripts/{script}/try", Administer, "What a script makes of a recorded reply"),
    (Method::GET, "/v1/keys", Administer, "The keys that records are sealed under"),
    (Method::POST, "/v1/keys/rotate", Administer, "Rotates the keys"),
    (Method::POST, "/v1/store/backup", Administer, "Backs the store up"),
];

/// What asks nobody who they are: whoever comes back from a provider, and whoever looks after the process.
const OPEN: [&str; 4] = ["/oauth/callback/{application}", "/health", "/ready", "/openapi.json"];

/// What the table says of a path, as the router knows it: looked up once, and not with each request.
pub(in crate::server) struct Rights {
    path: &'static str,
    is_open: bool,
    needs: Vec<(&'static Method, Needs)>,
}

impl Rights {
    /// Of a path.
    pub(in crate::server) fn of(path: &'static str) -> Self {
        let rows = ROUTES.iter().filter(|(_, known, ..)| *known == path);
        let needs = rows.map(|(method, _, needs, _)| (method, *needs)).collect();
        Self { path, is_open: OPEN.contains(&path), needs }
    }
}

/// What the table says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Route {
    /// It is open to everybody.
    Open(&'static str),
    /// It needs something.
    Guarded(&'static str, Needs),
    /// Others of its path are open to somebody.
    OtherMethod(&'static str),
    /// The table does not know it.
    Unknown,
}

impl Route {
    /// Of a method, at a path of which these are the rows.
    pub(in crate::server) fn of(method: &Method, rights: &Rights) -> Self {
        if rights.is_open {
            return Self::Open(rights.path);
        }
        // What is asked without its body is asked all the same.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        match rights.needs.iter().find(|(known, _)| *known == method) {
            Some((_, needs)) => Self::Guarded(rights.path, *needs),
            None if rights.needs.is_empty() => Self::Unknown,
            None => Self::OtherMethod(rights.path),
        }
    }

    /// The path.
    pub(in crate::server) fn path(self) -> &'static str {
        match self {
            Self::Open(path) | Self::Guarded(path, _) | Self::OtherMethod(path) => path,
            Self::Unknown => "none",
        }
    }
}

/// Lets a request on whose caller may what its route needs. Who asks for more is written down.
pub(in crate::server) async fn allowed<F: Future<Output = Response>>(
    shared: &Shared,
    route: Route,
    mut request: Box<Request>,
    answer: impl FnOnce(Box<Request>) -> F,
) -> Response {
    let (target, credential) = named_by(&request);
    let call = Call::of(request.extensions_mut());
    if let (Some(Target::Connection(name)), Some(params)) = (&target, &mut call.params) {
        params.connection = Some(name.clone());
    }
    if let Route::Open(_) = route {
        return answer(request).await;
    }
    let caller = match &call.who {
        Who::Caller(caller) => caller.clone(),
        Who::Refused(refused) => {
            let (call, refused) = (call.clone(), refused.clone());
            return Box::pin(async move { turned_away(shared, &call, &refused).await }).await;
        }
        Who::Nobody => return unknown(),
    };
    let (id, peer) = (call.id, call.peer);
    let method = request.method().clone();
    let judged = match route {
        Route::Guarded(_, needs) => judged(shared, &caller, needs, (target.as_ref(), credential)).await,
        Route::OtherMethod(path) => Err(only_others(path, &request)),
        Route::Open(_) | Route::Unknown => Err(refused(NOBODY)),
    };
    let mut response = match judged {
        Ok(()) => answer(request).await,
        Err(response) => response,
    };
    if let Some(NotBefore(next)) = response.extensions().get() {
        let left = next.duration_since(shared.connector.clock().now());
        // Whole seconds, and not too early.
        let seconds = left.as_secs().saturating_add(i64::from(left.subsec_nanos() > 0)).max(1);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if response.extensions().get::<NotAllowed>().is_some() {
        // By the route: what stands in a path beside names is the caller's, and may be anything.
        let acting = Call { id, peer, ..Call::default() }.acting(&caller);
        let entry = acting.entry(Action::AccessRefused, target, shared.connector.clock().now());
        let entry = entry.that(Outcome::Refused, NOT_ALLOWED).with_detail(&format!("{method} {}", route.path()));
        let _ = Box::pin(shared.connector.audit_soon(entry)).await; // refused all the same
    }
    response
}

/// What the path of a request names: a connection or an application, or a credential by its id.
fn named_by(request: &Request) -> (Option<Target>, Option<Uuid>) {
    let Some(params) = request.extensions().get::<Call>().and_then(|call| call.params.as_ref()) else {
        return (None, None);
    };
    let id = || params.get(request.uri(), "id").and_then(|id| id.parse().ok());
    (target_of(params, request.uri()), id())
}

/// What somebody asked for, where the path says it by its name.
fn target_of(params: &Params, uri: &Uri) -> Option<Target> {
    let application = params.get(uri, "application")?;
    match params.get(uri, "name") {
        Some(_) => connection_of(params, uri).ok().map(Target::Connection),
        None => application.parse().ok().map(Target::Application),
    }
}

/// What is said of a route that is not in the table.
const NOBODY: &str = "this is open to nobody";

/// The answer where other methods of the path are open to somebody.
fn only_others(path: &str, request: &Request) -> Response {
    let methods: Vec<&str> =
        ROUTES.iter().filter(|(_, known, ..)| *known == path).map(|(method, ..)| method.as_str()).collect();
    other_method(request.method(), request.uri().path(), &methods)
}

/// Whether a caller may, what they ask for being named by the path; otherwise what they are told.
async fn judged(
    shared: &Shared,
    caller: &Caller,
    needs: Needs,
    (target, credential): (Option<&Target>, Option<Uuid>),
) -> Result<(), Response> {
    // What there is and what not is told to who may do everything; and they need not wait for it.
    if caller.may(&Need::Administer) {
        return Ok(());
    }
    let may = match (needs, target) {
        (Known, _) => caller.may(&Need::Known),
        (Token, Some(Target::Connection(name))) => caller.may(&Need::Token(name)),
        (Manage, Some(Target::Connection(name))) => caller.may(&Need::Manage(name)),
        (ManageApplication, Some(Target::Application(name))) => caller.may(&Need::ManageApplication(name)),
        (Manage, _) => match credential {
            // Who may not see what there is is not told what there is not.
            Some(id) => match Box::pin(shared.connector.credential(id)).await {
                Ok(credential) => caller.may(&Need::Manage(&credential.connection)),
                Err(_) => false,
            },
            None => false,
        },
        (Token | ManageApplication | Administer, _) => false,
    };
    if may {
        return Ok(());
    }
    let right = match (needs, target) {
        (Token, Some(Target::Connection(name))) => format!("token:{name}"),
        (Manage, Some(Target::Connection(name))) => format!("manage:{name}"),
        (ManageApplication, Some(Target::Application(name))) => format!("manage:{name}/*"),
        (Token, _) => "token:APPLICATION/NAME".to_owned(),
        (Manage, _) => "manage:APPLICATION/NAME".to_owned(),
        (ManageApplication, _) => "manage:APPLICATION/*".to_owned(),
        (Known | Administer, _) => "administer".to_owned(),
    };
    Err(refused(&format!("your key does not allow this; it needs {right}")))
}

/// Nobody is known to ask.
pub(in crate::server) fn unknown() -> Response {
    let detail = "say who asks: send an API key in the header `Authorization: Bearer gk_…`; `grantkeeper api-key create` makes one";
    let mut response = Refusal::new(Problem::new("unknown_caller", 401, exit_codes::OTHER, detail)).into_response();
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// The caller may not do this.
fn refused(detail: &str) -> Response {
    Refusal::new(Problem::new(NOT_ALLOWED, 403, exit_codes::OTHER, detail)).into_response()
}

/// What a document names is not the caller's to see.
pub(in crate::server) fn not_yours() -> Refusal {
    let detail = "your key does not allow this; it needs manage:APPLICATION/NAME";
    Refusal::new(Problem::new(NOT_ALLOWED, 403, exit_codes::OTHER, detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Connector;
    use crate::model::{ApiKey, Timestamp};
    use crate::seal::Keyring;
    use crate::server::router::Api;
    use crate::store::MemoryStore;
    use axum::body::Body;
    use std::sync::Arc;
    use tokio::sync::watch;

    fn routes() -> Api {
        let keyring = Keyring::generate(Timestamp::UNIX_EPOCH).unwrap();
        let connector = Connector::builder(Arc::new(MemoryStore::default()), keyring).build().unwrap();
        let (_, stopping) = watch::channel(false);
        Api::new(Shared::new(connector, stopping), None)
    }

    fn key(allowances: &[&str]) -> Caller {
        Caller::Key(Arc::new(ApiKey {
            id: Uuid::nil(),
            name: "k".parse().unwrap(),
            allowances: allowances.iter().map(|text| text.parse().unwrap()).collect(),
            created: Timestamp::UNIX_EPOCH,
            expires: None,
            revoked: None,
            last_used: None,
        }))
    }

    /// The code of the problem that a route answers somebody with.
    async fn refused(routes: &Api, method: &Method, path: &str, caller: Option<&Caller>) -> Option<String> {
        let path = path
            .replace("{application}", "drive")
            .replace("{name}", "reports")
            .replace("{profile}", "default")
            .replace("{id}", "01900000-0000-7000-8000-000000000001")
            .replace("{key}", "backend")
            .replace("{script}", "OAuthUtil")
            .replace("{provider}", "google")
            .replace("{webhook}", "ops")
            .replace("{host}", "api.example.com")
            .replace("{*path}", "x");
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        if let Some(caller) = caller {
            Call::of(request.extensions_mut()).who = Who::Caller(caller.clone());
        }
        let response = routes.clone().answer(Box::new(request)).await;
        if !matches!(response.status().as_u16(), 401 | 403) {
            return None;
        }
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        Some(problem["code"].as_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn every_route_refuses_who_may_not_and_lets_in_who_may() {
        let routes = routes();
        let callers = [
            (Known, key(&[])),
            (Token, key(&["token:drive/*"])),
            (Manage, key(&["manage:drive/reports"])),
            (ManageApplication, key(&["manage:drive/*"])),
            (Administer, key(&["administer"])),
        ];
        for (method, path, needs, _) in ROUTES {
            let nobody = refused(&routes, method, path, None).await;
            assert_eq!(nobody.as_deref(), Some("unknown_caller"), "{method} {path}");
            for (has, caller) in &callers {
                // What is asked for by its id is not there, and who may not see it is not told so.
                let by_id = *needs == Manage && path.contains("{id}");
                let may = match (needs, has) {
                    (_, Administer) | (Known, _) => true,
                    (Manage, Manage | ManageApplication) => !by_id,
                    (needs, has) => needs == has,
                };
                // It waits for somebody.
                if may && (path.ends_with("/await") || path.ends_with("/stream") || path.contains("/proxy/")) {
                    continue;
                }
                let answer = refused(&routes, method, path, Some(caller)).await;
                let expected = (!may).then_some("not_allowed");
                assert_eq!(answer.as_deref(), expected, "{method} {path} for {has:?}");
            }
        }
    }

    #[tokio::test]
    async fn another_connection_than_a_keys_own_is_refused() {
        let routes = routes();
        let caller = key(&["token:slack/*", "manage:drive/other"]);
        for (method, path, needs, _) in ROUTES.iter().filter(|(_, _, needs, _)| *needs != Known) {
            let answer = refused(&routes, method, path, Some(&caller)).await;
            assert_eq!(answer.as_deref(), Some("not_allowed"), "{method} {path} ({needs:?})");
        }
    }

    #[tokio::test]
    async fn no_method_that_the_table_lacks_gets_through() {
        let routes = routes();
        let proxied = "/v1/proxy/{application}/{name}/{host}/{*path}";
        for method in ["PROPFIND", "TRACE", "OPTIONS", "CONNECT"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let request = Request::builder().method(method.clone()).uri("/v1/proxy/drive/reports/api.example.com/x");
            let mut request = request.body(Body::empty()).unwrap();
            Call::of(request.extensions_mut()).who = Who::Caller(key(&[]));
            let response = routes.clone().answer(Box::new(request)).await;
            assert_eq!(response.status(), 405, "{method} {proxied}");
            assert_eq!(response.headers()["allow"], "GET, POST, PUT, PATCH, DELETE");
        }
    }
}
