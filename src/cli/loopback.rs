//! The loopback listener that a browser comes back to (RFC 8252 section 7.3): one path, one state, one answer.

use super::error::Error;
use super::page::Page;
use crate::model::Secret;
use crate::oauth::{self, Params};
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use url::{Host, Url};

/// A port of this machine that nobody else has, for one redirect URL.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    url: Url,
}

/// A listener at work.
#[derive(Debug)]
pub(super) struct Waiting {
    callbacks: mpsc::Receiver<Callback>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

/// A browser that came back, and waits for its page.
#[derive(Debug)]
pub(super) struct Callback {
    /// The whole URL; it carries the code.
    pub(super) url: Secret,
    page: oneshot::Sender<Page>,
}

/// How long a browser may take to fetch its page when all is done.
const LAST_PAGE: Duration = Duration::from_secs(2);

/// Whether a redirect URL is one that this machine can answer: plain http on a loopback address.
pub(super) fn is_ours(url: &Url) -> bool {
    url.scheme() == "http" && address(url).is_some()
}

impl Listener {
    /// Takes the port of a redirect URL. Port 0 is any that is free; [`Listener::url`] says which.
    pub(super) async fn bind(url: &Url) -> Result<Self, Error> {
        let port = url.port_or_known_default().unwrap_or_default();
        let failed = |reason: String| Error::Port { port, reason, url: url.clone().into() };
        // Loopback only, whatever name the URL has: nobody on the network may answer for the person.
        let address = address(url).ok_or_else(|| failed("it is not a loopback address".to_owned()))?;
        let socket = TcpListener::bind((address, port)).await.map_err(|error| failed(error.to_string()))?;
        let mut url = url.clone();
        let port = socket.local_addr().map_err(|error| failed(error.to_string()))?.port();
        // Fails only for URLs without a host.
        let _ = url.set_port(Some(port));
        Ok(Self { socket, url })
    }

    /// The redirect URL, with the port that is listened on.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Answers requests from now on. The first one to the redirect URL that carries `state` is a [`Callback`]; every
    /// other request is told that it is a stray one, and the waiting goes on. A form that is posted is taken only where the
    /// provider was asked to post (OAuth 2.0 Form Post Response Mode).
    pub(super) fn wait_for(self, state: Secret, is_posted: bool) -> Waiting {
        let (sender, callbacks) = mpsc::channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let expected = Arc::new(Expected { url: self.url, state, is_posted, sender });
        let app = Router::new().fallback(answer).layer(DefaultBodyLimit::max(LONGEST_FORM)).with_state(expected);
        let socket = self.socket;
        let server = tokio::spawn(async move {
            let served = axum::serve(socket, app).with_graceful_shutdown(async {
                // A dropped sender stops too.
                let _ = stopped.await;
            });
            // Ends with an error never: a connection that fails is that connection's trouble.
            let _ = served.await;
        });
        Waiting { callbacks, stop, server }
    }
}

impl Waiting {
    /// The browser that comes back.
    pub(super) async fn callback(&mut self) -> Option<Callback> {
        self.callbacks.recv().await
    }

    /// Stops listening once the last page has been fetched.
    pub(super) async fn stop(self) {
        drop(self.callbacks);
        let _ = self.stop.send(());
        // A browser that does not fetch its page keeps nobody.
        let _ = tokio::time::timeout(LAST_PAGE, self.server).await;
    }
}

impl Callback {
    /// Shows the page to the browser.
    pub(super) fn answer(self, page: Page) {
        // Fails when the browser has gone; then nobody is there to be told.
        let _ = self.page.send(page);
    }
}

/// Bytes of a posted answer: as many as a callback may have.
const LONGEST_FORM: usize = 32 * 1024;

/// What is waited for.
struct Expected {
    url: Url,
    state: Secret,
    is_posted: bool,
    sender: mpsc::Sender<Callback>,
}

async fn answer(State(expected): State<Arc<Expected>>, method: Method, uri: Uri, body: String) -> Page {
    if uri.path() != expected.url.path() {
        return Page::stray(StatusCode::NOT_FOUND);
    }
    let query = match method {
        Method::GET => uri.query().unwrap_or_default(),
        Method::POST if expected.is_posted => body.trim(),
        _ => return Page::stray(StatusCode::METHOD_NOT_ALLOWED),
    };
    // Whoever does not know the state is not the browser that was sent: nothing of theirs goes any further.
    if oauth::state_name(&Params::from_form(query.as_bytes()), &expected.state).is_none() {
        return Page::stray(StatusCode::BAD_REQUEST);
    }
    let mut url = expected.url.clone();
    url.set_query(Some(query));
    let (page, shown) = oneshot::channel();
    match expected.sender.try_send(Callback { url: Secret::new(url.as_str()), page }) {
        Ok(()) => shown.await.unwrap_or_else(|_| already_answered()),
        Err(_) => already_answered(),
    }
}

fn already_answered() -> Page {
    Page::failed("Already answered", "This authorization was answered before, or is no longer waited for.")
}

/// The loopback address of a URL's host.
fn address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) if address.is_loopback() => Some(address.into()),
        Host::Ipv6(address) if address.is_loopback() => Some(Ipv6Addr::LOCALHOST.into()),
        Host::Domain("localhost") => Some(Ipv4Addr::LOCALHOST.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn waiting() -> (Url, Waiting) {
        let listener = Listener::bind(&"http://127.0.0.1:0/cb/app".parse().unwrap()).await.unwrap();
        (listener.url().clone(), listener.wait_for(Secret::new("right"), false))
    }

    async fn ask(url: &Url, line: &str) -> String {
        let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap();
        socket.write_all(format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut reply = String::new();
        let read = socket.read_to_string(&mut reply);
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("an answer").unwrap();
        reply
    }

    #[tokio::test]
    async fn stray_requests_do_not_end_the_waiting() {
        let (url, mut waiting) = waiting().await;
        for (line, status) in [
            ("GET /favicon.ico", "404"),
            ("GET /cb/app/x?state=right&code=1", "404"),
            ("POST /cb/app?state=right&code=1", "405"),
            ("HEAD /cb/app?state=right&code=1", "405"),
            ("GET /cb/app?state=wrong&code=1", "400"),
            ("GET /cb/app?code=1", "400"),
            ("GET /cb/app?state=right&state=right&code=1", "400"),
            ("GET /cb/app", "400"),
        ] {
            let reply = ask(&url, line).await;
            assert!(reply.starts_with(&format!("HTTP/1.1 {status}")), "{line}: {reply}");
        }
        assert!(waiting.callbacks.try_recv().is_err());
        waiting.stop().await;
    }

    #[tokio::test]
    async fn the_browser_that_was_sent_is_shown_what_happened() {
        let (url, mut waiting) = waiting().await;
        let browser = tokio::spawn({
            let url = url.clone();
            async move { ask(&url, "GET /cb/app?state=right&code=1%2F2").await }
        });
        let callback = waiting.callback().await.unwrap();
        assert_eq!(callback.url.expose(), format!("{url}?state=right&code=1%2F2"));
        callback.answer(Page::done("Connected", "a/b is connected."));
        waiting.stop().await;
        let reply = browser.await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 200") && reply.contains("a/b is connected."), "{reply}");
    }

    #[tokio::test]
    async fn a_form_is_taken_where_the_provider_was_asked_to_post() {
        let listener = Listener::bind(&"http://127.0.0.1:0/cb/app".parse().unwrap()).await.unwrap();
        let url = listener.url().clone();
        let mut waiting = listener.wait_for(Secret::new("right"), true);
        let asked = tokio::spawn({
            let url = url.clone();
            let form = "code=1%2F2&state=right";
            let line = format!(
                "POST /cb/app HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}",
                form.len()
            );
            async move {
                let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap();
                socket
                    .write_all(format!("{line}\r\nhost: x\r\nconnection: close\r\n\r\n{form}").as_bytes())
                    .await
                    .unwrap();
                let mut reply = String::new();
                socket.read_to_string(&mut reply).await.unwrap();
                reply
            }
        });
        let callback = waiting.callback().await.unwrap();
        assert_eq!(callback.url.expose(), format!("{url}?code=1%2F2&state=right"));
        callback.answer(Page::done("Connected", "done"));
        assert!(asked.await.unwrap().contains("Connected"));
    }

    #[tokio::test]
    async fn a_second_browser_with_the_same_state_is_turned_away() {
        let (url, mut waiting) = waiting().await;
        let first = tokio::spawn({
            let url = url.clone();
            async move { ask(&url, "GET /cb/app?state=right&code=1").await }
        });
        let callback = waiting.callback().await.unwrap();
        drop(waiting.callbacks);
        let second = ask(&url, "GET /cb/app?state=right&code=2").await;
        assert!(second.contains("answered before"), "{second}");
        callback.answer(Page::done("t", "s"));
        assert!(first.await.unwrap().starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_told_with_what_to_do() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://127.0.0.1:{}/cb", taken.local_addr().unwrap().port()).parse().unwrap();
        let error = Listener::bind(&url).await.unwrap_err().to_string();
        assert!(error.contains("--port") && error.contains("--paste"), "{error}");
    }

    #[test]
    fn only_plain_http_on_this_machine_is_ours() {
        for (url, ours) in [
            ("http://127.0.0.1:8765/cb", true),
            ("http://localhost:8765/cb", true),
            ("http://[::1]:8765/cb", true),
            ("https://127.0.0.1/cb", false),
            ("https://example.org/cb", false),
            ("http://192.0.2.1/cb", false),
            ("http://localhost.example.org/cb", false),
        ] {
            assert_eq!(is_ours(&url.parse().unwrap()), ours, "{url}");
        }
    }
}
