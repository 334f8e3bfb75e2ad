//! A connector with connections in every state, and its pages on a port of this machine.

use crate::support::desk::Desk;
use axum::Router;
use axum::http::{HeaderMap, Uri};
use axum::routing::get;
use grantkeeper::connector::{ConnectOptions, Proof};
use grantkeeper::demo::Habits;
use grantkeeper::model::{Clock, ConnectionName, Secret};
use grantkeeper::registry::parse_application;
use grantkeeper::reqwest;
use grantkeeper::server::session::{PasswordCheck, Sessions};
use grantkeeper::server::{Shared, pages};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers};

/// The administrator's password.
pub(super) const PASSWORD: &str = "marked-password";
/// Begins every token and secret of the stage's own provider: no page may hold it.
pub(super) const MARKED: &str = "marked-";

/// Pages to be looked at.
pub(super) struct Stage {
    pub(super) desk: Desk,
    pub(super) sessions: Sessions,
    /// `http://127.0.0.1:PORT`
    pub(super) origin: String,
    answers: Answers,
    provider: MockServer,
    http: reqwest::Client,
    stop: watch::Sender<bool>,
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub(super) struct Me {
    pub(super) cookie: String,
    /// What their forms carry.
    pub(super) form: String,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) body: String,
}

/// What the stage's own provider answers at the token endpoint of an application; the next request that has none is refused.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<HashMap<String, (u16, Value)>>>);

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let path = request.url.path().trim_matches('/');
        let (status, body) = self.0.lock().unwrap().get(path).cloned().unwrap_or((404, json!({})));
        ResponseTemplate::new(status).set_body_json(body)
    }
}

impl Stage {
    /// With `drive/reports` of the demo's provider alone.
    pub(super) async fn new() -> Self {
        Self::of(Desk::new(Habits::default()).await).await
    }

    /// The same with a desk of one's own.
    pub(super) async fn of(desk: Desk) -> Self {
        desk.consent().await.unwrap();
        let answers = Answers::default();
        let provider = MockServer::start().await;
        Mock::given(matchers::any()).respond_with(answers.clone()).mount(&provider).await;
        let check: PasswordCheck = Arc::new(|password| Box::pin(async move { password.expose() == PASSWORD }));
        let sessions = Sessions::new(Some(check));
        let (stop, stopping) = watch::channel(false);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let pages = pages::router(Shared::new(desk.connector.clone(), stopping), sessions.clone());
        let connector = desk.connector.clone();
        let arrived = origin.clone();
        // Where providers send browsers back to, as the daemon has it.
        let back = get(move |headers: HeaderMap, uri: Uri| async move {
            let cookies = headers.get("cookie").map_or("", |value| value.to_str().unwrap());
            let browser = cookies.split("; ").find_map(|pair| pair.strip_prefix("__Host-grantkeeper-consent="));
            let connection =
                connector.complete_from(&format!("{arrived}{uri}"), browser.map(Secret::new).as_ref()).await;
            connection.map_or_else(|error| error.to_string(), |connection| format!("{} is connected.", connection.name))
        });
        let app = Router::new().route("/oauth/callback/{application}", back).fallback_service(pages);
        tokio::spawn(async move {
            axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await.unwrap();
        });
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { desk, sessions, origin, answers, provider, http, stop }
    }

    /// With a connection in every state.
    pub(super) async fn full() -> Self {
        let stage = Self::new().await;
        for (provider, names) in [
            ("google-drive", &["ann", "backup-2026"][..]),
            ("hubspot", &["crm-emea", "crm-apac"]),
            ("slack", &["ops-team"]),
            ("quickbooks", &["ledger"]),
            ("zoom", &["webinars"]),
        ] {
            stage.application(provider, &format!("provider = \"{provider}\"")).await;
            for name in names {
                stage.connect(&format!("{provider}/{name}"), json!({})).await;
            }
        }
        let clock = &stage.desk.clock;
        clock.advance(std::time::Duration::from_secs(1500));
        stage.fails("slack/ops-team", 400, json!({ "error": "invalid_grant", "error_description": "Token has been revoked by the workspace owner." })).await;
        stage.fails("hubspot/crm-emea", 503, json!({ "error": "temporarily_unavailable", "error_description": "Scheduled maintenance. Please retry later." })).await;
        stage.answers("zoom", 200, json!({}));
        stage.desk.connector.revoke(&"zoom/webinars".parse().unwrap()).await.unwrap();
        stage.desk.connector.authorize(&"google-drive/new".parse().unwrap(), Default::default()).await.unwrap();
        stage.answers("hubspot", 200, token("hubspot", &json!({})));
        stage
    }

    /// Applies an application whose provider is the stage's own.
    pub(super) async fn application(&self, name: &str, lines: &str) {
        let at = format!("{}/{name}", self.provider.uri());
        let file = format!(
            "name = \"{name}\"\nclient_id = \"client\"\nclient_secret = \"{MARKED}client-secret\"\n{lines}\n[endpoints]\nauthorization = \"{at}\"\ntoken = \"{at}\"\nrevocation = \"{at}\"\nuserinfo = \"{at}\"\n[profiles.default]\nscopes = [\"files.read\", \"files.write\", \"https://www.example.com/auth/profile.read\"]\n"
        );
        let draft = parse_application(&file, "stage.toml", true).unwrap_or_else(|error| panic!("{name}: {error}"));
        self.desk.connector.apply(draft, &mut |_| Ok(Secret::new(""))).await.unwrap();
    }

    /// What its provider answers from now on.
    pub(super) fn answers(&self, application: &str, status: u16, body: Value) {
        self.answers.0.lock().unwrap().insert(application.to_owned(), (status, body));
    }

    /// Makes a connection, with further fields in the reply.
    pub(super) async fn connect(&self, name: &str, more: Value) {
        let name: ConnectionName = name.parse().unwrap();
        let application = name.application().to_string();
        self.answers(&application, 200, token(&application, &more));
        let options = ConnectOptions {
            proof: Proof::RefreshToken(Secret::new(format!("{MARKED}adopted"))),
            ..Default::default()
        };
        self.desk.connector.connect(&name, options).await.unwrap();
    }

    /// Lets a refresh fail.
    pub(super) async fn fails(&self, name: &str, status: u16, body: Value) {
        let name: ConnectionName = name.parse().unwrap();
        self.answers(name.application().as_str(), status, body);
        assert!(self.desk.connector.refresh(&name).await.is_err());
    }

    /// A sign-in link, whole.
    pub(super) fn link(&self) -> String {
        format!("{}{}", self.origin, self.sessions.link(self.desk.clock.now()).unwrap().expose())
    }

    /// Signs somebody in.
    pub(super) async fn sign_in(&self) -> Me {
        let link = self.link();
        let key = link.split_once("key=").unwrap().1;
        let answer = self.post("/sign-in/link", &[], &[("key", key)]).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let cookie = answer.cookie("__Host-grantkeeper").unwrap();
        let page = self.get("/tokens", &[("cookie", &cookie)]).await;
        Me { form: page.form().expect("a page holds a form"), cookie }
    }

    /// Asks for a page with headers.
    pub(super) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Page {
        let mut request = self.http.get(format!("{}{path}", self.origin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Page::of(request.send().await.unwrap()).await
    }

    /// Asks for a page as somebody.
    pub(super) async fn see(&self, me: &Me, path: &str) -> Page {
        self.get(path, &[("cookie", &me.cookie)]).await
    }

    /// Follows a stream as somebody.
    pub(super) async fn stream(&self, me: &Me, path: &str) -> reqwest::Response {
        let request = self.http.get(format!("{}{path}", self.origin)).header("cookie", &me.cookie);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response
    }

    /// Sends a form as a browser does from our own page, with headers that may stand in the place of its own.
    pub(super) async fn post(&self, path: &str, headers: &[(&str, &str)], fields: &[(&str, &str)]) -> Page {
        let mut request =
            self.http.post(format!("{}{path}", self.origin)).body(serde_urlencoded::to_string(fields).unwrap());
        for (name, value) in [
            ("sec-fetch-site", "same-origin"),
            ("origin", &self.origin),
            ("content-type", "application/x-www-form-urlencoded"),
        ] {
            if !headers.iter().any(|(own, _)| *own == name) {
                request = request.header(name, value);
            }
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        Page::of(request.send().await.unwrap()).await
    }

    /// Sends a form of one's own.
    pub(super) async fn act(&self, me: &Me, path: &str, fields: &[(&str, &str)]) -> Page {
        let fields: Vec<_> = fields.iter().copied().chain([("form", me.form.as_str())]).collect();
        self.post(path, &[("cookie", &me.cookie)], &fields).await
    }

    /// The path of a connection's credential of a kind.
    pub(super) async fn credential(&self, name: &str, kind: grantkeeper::model::TokenKind) -> String {
        let all = self.desk.connector.credentials(None, Some(&name.parse().unwrap())).await.unwrap();
        format!("/credentials/{}", all.iter().find(|credential| credential.kind == kind).unwrap().id)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

impl Page {
    async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.text().await.unwrap() }
    }

    /// A header's text.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A cookie that it sets, as it is sent back.
    pub(super) fn cookie(&self, name: &str) -> Option<String> {
        let all = self.headers.get_all("set-cookie").into_iter().map(|line| line.to_str().unwrap());
        all.filter_map(|line| line.split(';').next())
            .find(|pair| pair.starts_with(&format!("{name}=")))
            .map(str::to_owned)
    }

    /// What its forms carry.
    pub(super) fn form(&self) -> Option<String> {
        let (_, rest) = self.body.split_once("name=\"form\" value=\"")?;
        rest.split_once('"').map(|(form, _)| form.to_owned())
    }
}

/// A token reply.
fn token(application: &str, more: &Value) -> Value {
    let mut body = json!({
        "access_token": format!("{MARKED}access-{application}"), "refresh_token": format!("{MARKED}refresh-{application}"),
        "token_type": "Bearer", "expires_in": 3600, "sub": "user-1", "email": "ann@example.org",
        "user": { "permissionId": "1", "emailAddress": "ann@example.org" }, "ok": true,
        "team": { "id": "T1", "name": "Example Ltd" },
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}
