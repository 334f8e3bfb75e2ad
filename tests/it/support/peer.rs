//! A server that nobody here wrote: `oidc-provider` from npm, started for one test and ended with it.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use url::Url;

/// The running peer. Dropping it ends it; so does the end of the test's process, however that comes.
pub(crate) struct Peer {
    child: Child,
    facts: Facts,
}

/// What the peer says of itself when it is ready.
#[derive(Deserialize)]
struct Facts {
    issuer: String,
    resource: String,
    redirect_uri: String,
    clients: BTreeMap<String, PeerClient>,
    private_key: String,
}

/// A client that the peer knows.
#[derive(Deserialize)]
pub(crate) struct PeerClient {
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<String>,
}

impl PeerClient {
    /// The secret of a client that has one.
    pub(crate) fn secret(&self) -> &str {
        self.client_secret.as_deref().expect("a client with a secret")
    }
}

impl Peer {
    /// Starts the peer, with a redirect address that all its clients register (any port, where it is a loopback one).
    /// Without Node or the peer's packages there is none: the test then leaves its part out and says so, or fails
    /// where `GRANTKEEPER_PEERS=required`, as `tests/run` sets it.
    pub(crate) fn start(redirect_uri: &str) -> Option<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers/oidc-provider");
        if !folder.join("node_modules/oidc-provider/package.json").is_file() {
            return left_out("its packages are not installed (npm ci in tests/peers/oidc-provider)");
        }
        let child = Command::new("node")
            .arg("server.mjs")
            .current_dir(folder)
            .env("REDIRECT_URI", redirect_uri)
            .stdin(Stdio::piped()) // its end tells the peer to go
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = child else { return left_out("node is not installed") };
        let mut line = String::new();
        let read = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
        let facts = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("the peer did not start: {error} ({read:?}); run `node server.mjs` to see"));
        Some(Self { child, facts })
    }

    /// Where, asked for, it ends every grant that it gave: a refresh token of any is refused from then on.
    pub(crate) fn ends_grants(&self) -> Url {
        self.issuer().join("/end-grants").unwrap()
    }

    /// Its issuer identifier.
    pub(crate) fn issuer(&self) -> Url {
        self.facts.issuer.parse().unwrap()
    }

    /// The one protected resource that its access tokens may be for (RFC 8707).
    pub(crate) fn resource(&self) -> &str {
        &self.facts.resource
    }

    /// The redirect address that its clients registered.
    pub(crate) fn redirect_uri(&self) -> Url {
        self.facts.redirect_uri.parse().unwrap()
    }

    /// `basic`, `post`, `public`, `odd` (Basic with characters that must be encoded) or `private_key_jwt`.
    pub(crate) fn client(&self, name: &str) -> &PeerClient {
        &self.facts.clients[name]
    }

    /// The PEM that the client `private_key_jwt` signs with (ES256).
    pub(crate) fn private_key(&self) -> &str {
        &self.facts.private_key
    }

    /// Signs `alice` in, consents, and returns where the peer sends the browser, without opening it.
    pub(crate) async fn consent(&self, authorization_url: &Url) -> Url {
        self.drive(authorization_url, Answer::Yes).await.expect_err("a page where a redirect was expected")
    }

    /// As [`consent`](Self::consent), and says no where consent is asked for.
    pub(crate) async fn deny(&self, authorization_url: &Url) -> Url {
        self.drive(authorization_url, Answer::No).await.expect_err("a page where a redirect was expected")
    }

    /// Confirms a device at its `verification_uri_complete`, and returns the last page.
    pub(crate) async fn allow_device(&self, verification_uri_complete: &Url) -> String {
        self.drive(verification_uri_complete, Answer::Yes).await.expect("the device page does not redirect elsewhere")
    }

    /// Follows redirects and answers forms until a page has none (`Ok`), or a redirect leaves the peer (`Err`).
    async fn drive(&self, start: &Url, answer: Answer) -> Result<String, Url> {
        let mut browser = Browser::new();
        let (mut url, mut form) = (start.clone(), None);
        for _ in 0..20 {
            if url.origin() != self.issuer().origin() {
                return Err(url);
            }
            let page = browser.fetch(&url, form.take()).await;
            if let Some(location) = page.location {
                url = location;
            } else if let Some((action, fields)) = answered(&page.body, answer) {
                url = url.join(&action).unwrap();
                form = fields;
            } else {
                return Ok(page.body);
            }
        }
        panic!("the peer asks on and on");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have gone already; either way nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn left_out(why: &str) -> Option<Peer> {
    let required = std::env::var("GRANTKEEPER_PEERS").is_ok_and(|value| value == "required");
    assert!(!required, "GRANTKEEPER_PEERS=required, but the peer oidc-provider cannot run: {why}");
    // Straight to standard error: what a passing test prints, the test runner keeps to itself.
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("\nLEFT OUT: {test}: its peer oidc-provider cannot run: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    None
}

#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Yes,
    No,
}

type Fields = Vec<(String, String)>;

/// Where the page's form goes and with which fields; nothing when the page has no form that a person would answer.
fn answered(page: &str, answer: Answer) -> Option<(String, Option<Fields>)> {
    let form = page.split_once("<form ")?.1.split_once("</form>")?.0;
    let mut fields: Fields = form
        .split("<input ")
        .skip(1)
        .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default())))
        .collect();
    let has = |name: &str, value: &str| fields.iter().any(|(known, given)| known == name && given == value);
    if answer == Answer::No && has("prompt", "consent") {
        let abort = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        return abort.into_iter().find(|href| href.ends_with("/abort")).map(|href| (href.to_owned(), None));
    }
    for (name, value) in &mut fields {
        match name.as_str() {
            "login" => "alice".clone_into(value),
            "password" => "any password".clone_into(value),
            _ => {}
        }
    }
    Some((attribute(form, "action")?, Some(fields)))
}

/// The value of a tag's attribute; the tag ends at `>`.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = format!(" {}", tag.split('>').next()?);
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

/// A browser for one sitting: one jar of cookies, all for the peer.
struct Browser {
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

struct Page {
    location: Option<Url>,
    body: String,
}

impl Browser {
    fn new() -> Self {
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        Self { http: builder.tls_certs_only([]).build().unwrap(), cookies: BTreeMap::new() }
    }

    async fn fetch(&mut self, url: &Url, form: Option<Fields>) -> Page {
        let request = match form {
            None => self.http.get(url.clone()),
            Some(fields) => self
                .http
                .post(url.clone())
                .header("content-type", "application/x-www-form-urlencoded")
                .body(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()),
        };
        let jar: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let reply = request.header("cookie", jar.join("; ")).send().await.expect("the peer answers");
        for cookie in reply.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
            // The paths need no keeping: each page sets anew what the next one reads.
            let (name, value) = cookie.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = reply.headers().get("location").map(|to| url.join(to.to_str().unwrap()).unwrap());
        Page { location, body: reply.text().await.expect("the peer's page") }
    }
}
