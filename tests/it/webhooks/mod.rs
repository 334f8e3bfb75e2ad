//! Webhooks, through the public face: what endpoints are sent, and when.

#[cfg(feature = "cli")]
mod cli;
mod delivery;
mod keeping;
mod trying;

use crate::support::desk::Desk;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantkeeper::connector::{Connector, NewWebhook, WebhookSecret, WebhookStanding};
use grantkeeper::demo::Habits;
use grantkeeper::model::{Clock as _, TestClock, WebhookName};
use grantkeeper::webhooks::Tried;
use serde_json::Value;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A message that came to an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The request's first line and headers, in lower case.
    pub(crate) head: String,
    pub(crate) id: String,
    pub(crate) second: i64,
    pub(crate) signatures: Vec<String>,
    pub(crate) body: String,
}

impl Message {
    fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).unwrap()
        };
        Self {
            head: head.to_ascii_lowercase(),
            id: header("webhook-id"),
            second: header("webhook-timestamp").parse().unwrap(),
            signatures: header("webhook-signature").split(' ').map(str::to_owned).collect(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.json()["data"]["sequence"].as_u64().unwrap()
    }

    /// Whether one of its signatures is made with a secret: by another implementation of HMAC than the one that signs.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signed = format!("{}.{}.{}", self.id, self.second, self.body);
        self.signatures.iter().any(|signature| {
            let tag = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
            hmac::verify(&key, signed.as_bytes(), &tag).is_ok()
        })
    }
}

/// What an endpoint does with a message.
#[derive(Debug, Clone)]
pub(crate) enum Does {
    /// Answers with a status.
    Status(u16),
    /// Answers with a status and a header more.
    With(u16, &'static str),
    /// Never answers.
    Hangs,
    /// Answers without an end.
    Endless,
}

/// What an endpoint does now.
type Habit = Arc<Mutex<Box<dyn Fn(&Message) -> Does + Send>>>;

/// Somebody's endpoint.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Message>>>,
    does: Habit,
}

impl Endpoint {
    /// One that answers all with a status.
    pub(crate) async fn answering(status: u16) -> Self {
        Self::that(move |_| Does::Status(status)).await
    }

    pub(crate) async fn that(does: impl Fn(&Message) -> Does + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks/marked-path", listener.local_addr().unwrap());
        let endpoint = Self { url, seen: Arc::default(), does: Arc::new(Mutex::new(Box::new(does))) };
        let (seen, does) = (Arc::clone(&endpoint.seen), Arc::clone(&endpoint.does));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&seen), Arc::clone(&does)));
            }
        });
        endpoint
    }

    /// Does another thing from now on.
    pub(crate) fn now(&self, does: impl Fn(&Message) -> Does + Send + 'static) {
        *self.does.lock().unwrap() = Box::new(does);
    }

    pub(crate) fn seen(&self) -> Vec<Message> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn sequences(&self) -> Vec<u64> {
        self.seen().iter().map(Message::sequence).collect()
    }

    /// The messages, when there are so many.
    pub(crate) async fn messages(&self, count: usize) -> Vec<Message> {
        until(&format!("{count} messages"), async || self.seen().len() >= count).await;
        self.seen()
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<Message>>>, does: Habit) {
    loop {
        let Some(text) = request(&mut stream).await else { return };
        let message = Message::of(&text);
        let does = does.lock().unwrap()(&message);
        seen.lock().unwrap().push(message);
        let answer = match does {
            Does::Status(status) => format!("HTTP/1.1 {status} x\r\ncontent-length: 2\r\n\r\nok"),
            Does::With(status, header) => format!("HTTP/1.1 {status} x\r\n{header}\r\ncontent-length: 0\r\n\r\n"),
            Does::Hangs => return std::future::pending().await,
            Does::Endless => {
                let _ = stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 99999999999\r\n\r\n").await;
                while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
                return;
            }
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// Returns when something is so.
pub(crate) async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let wait = async {
        while !so().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), wait).await.is_ok(), "never: {what}");
}

/// A daemon's deliveries.
struct Delivering {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    tried: Arc<Mutex<Vec<Tried>>>,
}

impl Delivering {
    fn of(connector: &Connector) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (connector, tried) = (connector.clone(), Arc::new(Mutex::new(Vec::new())));
        let told = Arc::clone(&tried);
        let task = tokio::spawn(async move {
            let watching = Arc::new(move |_: &WebhookName, tried| told.lock().unwrap().push(tried));
            let ended = async {
                let _ = stopped.await;
            };
            connector.deliver_webhooks(ended, watching).await.unwrap();
        });
        Self { stop, task, tried }
    }

    async fn stopped(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap();
    }

    fn tried(&self, what: Tried) -> usize {
        self.tried.lock().unwrap().iter().filter(|tried| **tried == what).count()
    }
}

/// A desk with a connection whose refreshes are events.
async fn desk() -> Desk {
    let desk = Desk::new(Habits::default()).await;
    Box::pin(desk.consent()).await.unwrap();
    desk
}

/// Makes events: refreshes. Returns the sequence of the last.
async fn refresh(desk: &Desk, times: usize) -> u64 {
    for _ in 0..times {
        Box::pin(desk.connector.refresh(&desk.name)).await.unwrap();
    }
    desk.connector.last_event().await.unwrap()
}

fn name(text: &str) -> WebhookName {
    text.parse().unwrap()
}

fn new(called: &str, url: &str) -> NewWebhook {
    NewWebhook { name: name(called), url: url.parse().unwrap(), kinds: Vec::new(), reach: Vec::new() }
}

async fn add(connector: &Connector, called: &str, endpoint: &Endpoint) -> WebhookSecret {
    connector.create_webhook(new(called, &endpoint.url)).await.unwrap()
}

/// Returns what is kept of a webhook when it is so.
async fn standing(connector: &Connector, called: &str, so: impl Fn(&WebhookStanding) -> bool) -> WebhookStanding {
    until(called, async || so(&connector.webhook(&name(called)).await.unwrap())).await;
    connector.webhook(&name(called)).await.unwrap()
}

/// Moves the clock to when the webhook's only waiting message is tried next.
async fn pass_to_next(connector: &Connector, clock: &TestClock, called: &str, attempts: u32) -> i64 {
    let waits = |at: &WebhookStanding| at.progress.waiting.first().is_some_and(|first| first.attempts == attempts);
    let standing = standing(connector, called, waits).await;
    let (now, next) = (clock.now(), standing.progress.waiting[0].next);
    clock.set(next);
    next.duration_since(now).as_secs()
}

/// Whatever comes to its end in time.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it came to no end")
}
