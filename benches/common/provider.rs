//! A provider that does as little as one can: it rotates refresh tokens 50 milliseconds late, and counts. A process of its own,
//! so that what it costs is seen apart from what is measured.

use axum::Router;
use axum::extract::{Form, State};
use axum::routing::{get, post};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The provider's process. It ends with this.
pub(crate) struct Provider {
    child: Child,
    /// Where it is.
    pub(crate) address: String,
}

/// What the provider has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Counts {
    /// Token requests.
    pub(crate) requests: u64,
    /// Those that showed a refresh token that was shown before.
    pub(crate) again: u64,
    /// The most that were under way at once.
    pub(crate) most_at_once: u64,
}

impl Provider {
    /// Starts this very program as a provider, see [`serve_if_asked`].
    pub(crate) fn start(latency: Duration) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["--provider", &latency.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the provider starts");
        let mut address = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut address).expect("its address");
        Self { child, address: address.trim().to_owned() }
    }

    /// What it has counted since it was last asked.
    pub(crate) async fn counts(&self) -> Counts {
        let reply = reqwest::get(format!("{}/counts", self.address)).await.expect("counts");
        serde_json::from_slice(&reply.bytes().await.expect("counts")).expect("counts")
    }

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Becomes the provider where the program was started as one; returns at once where it was not.
pub(crate) fn serve_if_asked() {
    let Some(latency) = super::option("--provider") else { return };
    let latency = Duration::from_millis(latency.parse().expect("milliseconds"));
    // Whoever started it is gone when its input ends.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(serve(latency));
    std::process::exit(0);
}

#[derive(Default)]
struct Seen {
    tokens: Mutex<HashMap<String, u32>>,
    issued: AtomicU64,
    requests: AtomicU64,
    again: AtomicU64,
    now: AtomicU64,
    most: AtomicU64,
}

async fn serve(latency: Duration) {
    let seen = Arc::new(Seen::default());
    let router = Router::new()
        .route(
            "/token",
            post(move |State(seen): State<Arc<Seen>>, Form(form): Form<HashMap<String, String>>| async move {
                let now = seen.now.fetch_add(1, Ordering::Relaxed) + 1;
                seen.most.fetch_max(now, Ordering::Relaxed);
                tokio::time::sleep(latency).await;
                let reply = seen.answer(form.get("refresh_token").map_or("", String::as_str));
                seen.now.fetch_sub(1, Ordering::Relaxed);
                ([("content-type", "application/json")], reply)
            }),
        )
        .route("/device", post(|| async { ([("content-type", "application/json")], DEVICE) }))
        .route("/counts", get(|State(seen): State<Arc<Seen>>| async move { seen.counts() }))
        .with_state(seen);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("http://{}", listener.local_addr().expect("its address"));
    axum::serve(listener, router).await.expect("it serves");
}

impl Seen {
    fn answer(&self, shown: &str) -> String {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut tokens = self.tokens.lock().expect("the tokens");
        let count = tokens.entry(shown.to_owned()).or_default();
        *count += 1;
        if *count > 1 {
            self.again.fetch_add(1, Ordering::Relaxed);
        }
        format!(
            "{{\"access_token\":\"at-{number:0>60}\",\"refresh_token\":\"rt-{number:0>60}\",\"token_type\":\"Bearer\",\"expires_in\":3600}}"
        )
    }

    fn counts(&self) -> String {
        let counts = Counts {
            requests: self.requests.swap(0, Ordering::Relaxed),
            again: self.again.swap(0, Ordering::Relaxed),
            most_at_once: self.most.swap(0, Ordering::Relaxed),
        };
        serde_json::to_string(&counts).expect("counts")
    }
}

/// A device authorization that is granted at once (RFC 8628 section 3.2).
const DEVICE: &str = r#"{"device_code":"d","user_code":"u","verification_uri":"http://localhost/","verification_url":"http://localhost/","expires_in":600,"interval":0}"#;
