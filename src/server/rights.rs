//! What each route needs, in one table. A route that is not in it is refused: a new one needs a line here before anybody reaches it.

use super::answer::Refusal;
use super::router::not_so;
use super::shared::Shared;
use crate::access::{Caller, Need};
use crate::api::{Problem, exit_codes};
use crate::model::{ApplicationName, ConnectionName};
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use uuid::Uuid;

/// What a route needs of who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
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
pub(super) const ROUTES: &[(Method, &str, Needs, &str)] = &[
    (Method::GET, "/v1/health", Known, "How the daemon is"),
    (Method::GET, "/metrics", Known, "Figures for Prometheus"),
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
    (Method::GET, "/v1/keys", Administer, "The keys that records are sealed under"),
    (Method::POST, "/v1/keys/rotate", Administer, "Rotates the keys"),
    (Method::POST, "/v1/store/backup", Administer, "Backs the store up"),
];

/// Lets a request on whose caller may what its route needs.
pub(super) async fn allowed(
    State(shared): State<Shared>,
    matched: Option<MatchedPath>,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let path = matched.as_ref().map_or("", MatchedPath::as_str);
    let Some(caller) = request.extensions().get::<Caller>().cloned() else { return unknown() };
    // What is asked without its body is asked all the same.
    let method = if *request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let needs = match needs_of(method, path) {
        Ok(needs) => needs,
        Err(true) => return not_so(request).await.into_response(),
        Err(false) => return refused("this is open to nobody"),
    };
    // What there is and what not is told to who may do everything; and they need not wait for it.
    if caller.may(&Need::Administer) {
        return next.run(request).await;
    }
    let may = match params_of(&shared, needs, &params).await {
        Ok(Subject::None) => match needs {
            Known => caller.may(&Need::Known),
            _ => caller.may(&Need::Administer),
        },
        Ok(Subject::Connection(name)) if needs == Token => caller.may(&Need::Token(&name)),
        Ok(Subject::Connection(name)) => caller.may(&Need::Manage(&name)),
        Ok(Subject::Application(name)) => caller.may(&Need::ManageApplication(&name)),
        // Who may not see what there is is not told what there is not.
        Err(_) => false,
    };
    if may {
        return next.run(request).await;
    }
    refused(match needs {
        Token => "your key does not allow this; it needs token:APPLICATION/NAME",
        Manage => "your key does not allow this; it needs manage:APPLICATION/NAME",
        ManageApplication => "your key does not allow this; it needs manage:APPLICATION/*",
        Known | Administer => "your key does not allow this; it needs administer",
    })
}

/// What a route needs; otherwise whether there are others of its path.
fn needs_of(method: &Method, path: &str) -> Result<Needs, bool> {
    let mut is_known = false;
    for (known, known_path, needs, _) in ROUTES {
        if *known_path == path {
            if known == method {
                return Ok(*needs);
            }
            is_known = true;
        }
    }
    Err(is_known)
}

/// What a route is about.
enum Subject {
    None,
    Connection(ConnectionName),
    Application(ApplicationName),
}

async fn params_of(shared: &Shared, needs: Needs, params: &RawPathParams) -> Result<Subject, Refusal> {
    let param = |wanted: &str| params.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    let bad = |error: &dyn std::fmt::Display| Refusal::bad(error.to_string());
    match (needs, param("application"), param("name"), param("id")) {
        (Token | Manage, Some(application), Some(name), _) => {
            let name = format!("{application}/{name}").parse().map_err(|error| bad(&error))?;
            Ok(Subject::Connection(name))
        }
        (Manage, _, _, Some(id)) => {
            let id: Uuid =
                id.parse().map_err(|_| Refusal::bad("a credential is named by its whole id; see /v1/credentials"))?;
            Ok(Subject::Connection(shared.connector.credential(id).await?.connection))
        }
        (ManageApplication, Some(application), ..) => {
            Ok(Subject::Application(application.parse().map_err(|error| bad(&error))?))
        }
        _ => Ok(Subject::None),
    }
}

/// Nobody is known to ask.
pub(super) fn unknown() -> Response {
    let detail = "say who asks: send an API key in the header `Authorization: Bearer gk_…`; `grantkeeper api-key create` makes one";
    let mut response = Refusal::new(Problem::new("unknown_caller", 401, exit_codes::OTHER, detail)).into_response();
    response.headers_mut().insert(axum::http::header::WWW_AUTHENTICATE, axum::http::HeaderValue::from_static("Bearer"));
    response
}

/// The caller may not do this.
fn refused(detail: &str) -> Response {
    Refusal::new(Problem::new("not_allowed", 403, exit_codes::OTHER, detail)).into_response()
}

/// What a document names is not the caller's to see.
pub(super) fn not_yours() -> Refusal {
    let detail = "your key does not allow this; it needs manage:APPLICATION/NAME";
    Refusal::new(Problem::new("not_allowed", 403, exit_codes::OTHER, detail))
}
