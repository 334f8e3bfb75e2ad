//! A scripted browser: the person who consents, for the demo command, the examples and the tests.

use crate::model::Secret;
use std::time::Duration;
use url::Url;

/// A person's browser at the demo provider. It opens the page that it is sent to, reads the form there and answers it.
#[derive(Debug, Clone)]
pub struct Browser {
    http: reqwest::Client,
    user: String,
}

/// Why the browser came to no end.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// The address does not answer.
    #[error("the browser could not open the page; is the server there?")]
    NotReached(#[source] reqwest::Error),
    /// A page where a redirect was expected: the provider's way to refuse a request that it cannot answer safely.
    #[error("the provider shows a page with status {}: {:?}", .0.status, .0.title())]
    Page(Page),
    /// A page without the form that the browser knows.
    #[error("the page has no form to answer: {:?}", .0.title())]
    NoForm(Page),
}

/// A page as the browser got it.
#[derive(Debug, Clone)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// Where it redirects to.
    pub location: Option<Url>,
    /// The document.
    pub body: String,
}

impl Page {
    /// The document's title, else its first characters.
    #[must_use]
    pub fn title(&self) -> String {
        let title = self.body.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
        title.map_or_else(|| self.body.chars().take(80).collect(), |(title, _)| title.to_owned())
    }
}

impl Browser {
    /// A browser in which `user` (one of [`USERS`](super::USERS)) is signed in.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn of(user: &str) -> Result<Self, BrowserError> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // It only ever speaks to this machine, without TLS; this spares it the system's certificates.
            .tls_certs_only([])
            .timeout(PATIENCE)
            .build()
            .map_err(BrowserError::NotReached)?;
        Ok(Self { http, user: user.to_owned() })
    }

    /// Opens the authorization URL and allows what it asks for. Returns where the provider sends the browser back to,
    /// without opening it.
    ///
    /// # Errors
    /// When the provider shows an error page or cannot be reached.
    pub async fn consent(&self, authorization_url: &Url) -> Result<Url, BrowserError> {
        self.decide(authorization_url, "approve").await
    }

    /// As [`consent`](Self::consent), and says no.
    ///
    /// # Errors
    /// As [`consent`](Self::consent).
    pub async fn deny(&self, authorization_url: &Url) -> Result<Url, BrowserError> {
        self.decide(authorization_url, "deny").await
    }

    /// Opens a device's verification page and allows what the device asks for. `user_code` is typed in where the
    /// address does not carry it.
    ///
    /// # Errors
    /// When no device waits with this code.
    pub async fn allow_device(&self, page: &Url, user_code: Option<&str>) -> Result<(), BrowserError> {
        self.decide_device(page, user_code, "approve").await
    }

    /// As [`allow_device`](Self::allow_device), and says no.
    ///
    /// # Errors
    /// As [`allow_device`](Self::allow_device).
    pub async fn deny_device(&self, page: &Url, user_code: Option<&str>) -> Result<(), BrowserError> {
        self.decide_device(page, user_code, "deny").await
    }

    /// Opens any address, as the browser does with the one that it is sent back to. Redirects are not followed.
    ///
    /// # Errors
    /// When nobody answers there.
    pub async fn open(&self, url: &Url) -> Result<Page, BrowserError> {
        self.fetch(self.http.get(url.clone()), url).await
    }

    /// Calls a protected resource with a token, as an application does, and returns the status.
    ///
    /// # Errors
    /// When nobody answers there.
    pub async fn api(&self, url: &Url, token: &Secret) -> Result<u16, BrowserError> {
        let request = self.http.get(url.clone()).bearer_auth(token.expose());
        Ok(request.send().await.map_err(BrowserError::NotReached)?.status().as_u16())
    }

    async fn decide(&self, authorization_url: &Url, decision: &str) -> Result<Url, BrowserError> {
        let mut page = self.open(authorization_url).await?;
        if page.location.is_none() && page.status == 200 {
            let mut form = Form::read(&page, authorization_url)?;
            form.set("user", &self.user);
            form.set("decision", decision);
            page = self.submit(form).await?;
        }
        page.location.clone().ok_or(BrowserError::Page(page))
    }

    async fn decide_device(&self, url: &Url, user_code: Option<&str>, decision: &str) -> Result<(), BrowserError> {
        let page = self.open(url).await?;
        let mut form = Form::read(&page, url)?;
        if let Some(code) = user_code {
            form.set("user_code", code);
        }
        form.set("user", &self.user);
        form.set("decision", decision);
        let page = self.submit(form).await?;
        if page.status == 200 { Ok(()) } else { Err(BrowserError::Page(page)) }
    }

    async fn submit(&self, form: Form) -> Result<Page, BrowserError> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&form.fields).finish();
        let request = self.http.post(form.action.clone()).header("content-type", "application/x-www-form-urlencoded");
        self.fetch(request.body(body), &form.action).await
    }

    async fn fetch(&self, request: reqwest::RequestBuilder, url: &Url) -> Result<Page, BrowserError> {
        // The address may carry a code: errors are passed on without it.
        let not_reached = |error: reqwest::Error| BrowserError::NotReached(error.without_url());
        let reply = request.send().await.map_err(not_reached)?;
        let location = reply.headers().get("location").and_then(|value| value.to_str().ok());
        let location = location.and_then(|location| url.join(location).ok());
        Ok(Page { status: reply.status().as_u16(), location, body: reply.text().await.map_err(not_reached)? })
    }
}

/// How long the person waits for a page.
const PATIENCE: Duration = Duration::from_secs(20);

/// The one form of a page: where it goes, and the fields it has.
struct Form {
    action: Url,
    fields: Vec<(String, String)>,
}

impl Form {
    fn read(page: &Page, url: &Url) -> Result<Self, BrowserError> {
        let no_form = || BrowserError::NoForm(page.clone());
        let (_, form) = page.body.split_once("<form ").ok_or_else(no_form)?;
        let action = attribute(form, "action").and_then(|action| url.join(&action).ok()).ok_or_else(no_form)?;
        let inputs = form.split("<input ").skip(1).filter_map(|input| {
            let tag = input.split('>').next()?;
            Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()))
        });
        Ok(Self { action, fields: inputs.collect() })
    }

    fn set(&mut self, name: &str, value: &str) {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
    }
}

/// The value of an attribute within a tag. The provider's own pages write double quotes, and no entities in addresses,
/// tickets and codes.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}
