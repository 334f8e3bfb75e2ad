//! Asking the daemon.

use crate::api::{API, API_HEADER, Address, Line, PROBLEM_TYPE, Problem, VERSION, VERSION_HEADER, address, exit_codes};
use crate::cli::error::Error;
use reqwest::{Method, Response, header, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;
use zeroize::Zeroizing;

/// A daemon that was there a moment ago.
pub(in crate::cli) struct Client {
    http: reqwest::Client,
    /// Where the socket is, for as long as it may be connected to.
    _address: Address,
}

/// Why there is no whole answer of the daemon. What is said to be journaled is settled by whoever opens the store next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::cli) enum Lost {
    /// It went away before it was asked.
    #[error("the daemon ended before it could be asked; nothing was done, run the command again")]
    Before,
    /// It went away while it answered a question.
    #[error(
        "the daemon stopped half-way through its answer; nothing was to be changed (a refresh that had begun is journaled), run the command again"
    )]
    Reading,
    /// It went away while it did something.
    #[error(
        "the daemon stopped half-way: what was asked of it may have been done or not, and a refresh that was under way is journaled; look first (`grantkeeper connections list`, `grantkeeper app list`, `grantkeeper events`), and run the command again if it was not done"
    )]
    Changing,
    /// It does not answer.
    #[error(
        "the daemon has not answered for {0} s, and may still do what was asked; see its log, and look before you run the command again"
    )]
    Silent(u64),
    /// It speaks another API.
    #[error(
        "the daemon is Grantkeeper {daemon} and speaks another API than this Grantkeeper, which is {}: restart the daemon with this version, or run the command with that one",
        VERSION
    )]
    OtherApi {
        /// Its version, or what is known of it.
        daemon: String,
    },
    /// It answers what cannot be read.
    #[error("the daemon's answer cannot be read ({0}); restart it with the version of this command line, {VERSION}")]
    Unreadable(String),
}

impl Lost {
    pub(in crate::cli) fn exit_code(&self) -> u8 {
        match self {
            Self::Before | Self::Reading | Self::Changing | Self::Silent(_) => exit_codes::PASSING,
            Self::OtherApi { .. } | Self::Unreadable(_) => exit_codes::OTHER,
        }
    }

    pub(in crate::cli) fn code(&self) -> &'static str {
        match self {
            Self::Before | Self::Reading | Self::Changing => "daemon_stopped",
            Self::Silent(_) => "daemon_silent",
            Self::OtherApi { .. } | Self::Unreadable(_) => "daemon_version",
        }
    }

    /// Whether the same command may be run again without looking first.
    pub(in crate::cli) fn retryable(&self) -> bool {
        matches!(self, Self::Before | Self::Reading)
    }
}

impl From<Lost> for Error {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

/// How long an answer may take, in seconds: longer than a refresh's lease (120), which another process may hold.
const LONGEST_ANSWER: u64 = 180;

/// How long a person is left without a word.
const SOON: Duration = Duration::from_secs(4);

/// How long the daemon may take to say that it is there, in seconds.
const LONGEST_CONNECT: u64 = 5;

/// Bytes of the longest answer that is read: a list of all connections may be long, and a line of progress is short.
const LONGEST_BODY: usize = 1 << 30;

/// Whether nobody but this user, or root, can answer in a home: it is sent client secrets and refresh tokens. The folder is
/// looked at too, because each request connects anew.
fn is_ours(home: &Path, stream: &UnixStream) -> bool {
    let user = rustix::process::geteuid().as_raw();
    let folder = std::fs::metadata(home);
    let folder_is_ours = folder.is_ok_and(|folder| [user, 0].contains(&folder.uid()) && folder.mode() & 0o022 == 0);
    folder_is_ours && stream.peer_cred().is_ok_and(|peer| [user, 0].contains(&peer.uid()))
}

impl Client {
    /// The daemon of a home, where one answers.
    pub(in crate::cli) async fn of(home: &Path) -> Option<Self> {
        let address = address(home, None).ok()?;
        // The cheap question first: most homes have no daemon.
        let stream = UnixStream::connect(address.path()).await.ok()?;
        if !is_ours(home, &stream) {
            tracing::warn!(
                "what answers in {} is not asked: it is another user's, or others can write that folder; see who listens there, and `chmod go-w` the folder",
                home.display()
            );
            return None;
        }
        let client = reqwest::Client::builder()
            .unix_socket(address.path())
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tls_certs_only([])
            .connect_timeout(Duration::from_secs(LONGEST_CONNECT));
        Some(Self { http: client.build().ok()?, _address: address })
    }

    /// Asks for a document.
    pub(in crate::cli) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        read(self.ask(Method::GET, path, None).await?).await
    }

    /// Asks for a document, with a query.
    pub(in crate::cli) async fn query<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
    ) -> Result<T, Error> {
        let query = serde_urlencoded::to_string(query).map_err(|error| Error::System(error.to_string()))?;
        self.get(&format!("{path}?{query}")).await
    }

    /// Asks for a text.
    pub(in crate::cli) async fn text(&self, path: &str) -> Result<String, Error> {
        let answer = self.ask(Method::GET, path, None).await?;
        let bytes = whole(answer, &Lost::Reading).await?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Lost::Unreadable("not UTF-8".to_owned()))?;
        Ok(text.to_owned())
    }

    /// Has something done, which an answer with a document tells of.
    pub(in crate::cli) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        document: &impl Serialize,
    ) -> Result<T, Error> {
        read(self.ask(method, path, Some(encoded(document)?)).await?).await
    }

    /// Has something done, which an empty answer confirms.
    pub(in crate::cli) async fn tell(
        &self,
        method: Method,
        path: &str,
        document: &impl Serialize,
    ) -> Result<(), Error> {
        self.ask(method, path, Some(encoded(document)?)).await.map(|_| ())
    }

    /// Has something done that takes long, and is told how far it is.
    pub(in crate::cli) async fn long<P: DeserializeOwned, T: DeserializeOwned>(
        &self,
        path: &str,
        document: &impl Serialize,
        mut progress: impl FnMut(P),
    ) -> Result<T, Error> {
        let request = self.request(Method::POST, path, Some(encoded(document)?));
        let mut answer = checked(self.sent(request).await.map_err(|error| lost(&error, &Lost::Changing))?).await?;
        let mut lines = Lines::default();
        while let Some(line) = lines.next(&mut answer, &Lost::Changing).await? {
            match serde_json::from_slice::<Line<P, T>>(&line).map_err(|error| unreadable(&error))? {
                Line::Progress(told) => progress(told),
                Line::Result(result) => return Ok(result),
                Line::Problem(problem) => return Err(Error::Problem(problem)),
            }
        }
        Err(Lost::Changing.into())
    }

    /// Is told each document of a stream as it comes, until the daemon ends.
    pub(in crate::cli) async fn follow<T: DeserializeOwned>(
        &self,
        path: &str,
        mut told: impl FnMut(T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let request = self.request(Method::GET, path, None);
        let mut answer = checked(request.send().await.map_err(|error| lost(&error, &Lost::Reading))?).await?;
        let mut lines = Lines::default();
        while let Some(line) = lines.next(&mut answer, &Lost::Reading).await? {
            told(serde_json::from_slice(&line).map_err(|error| unreadable(&error))?)?;
        }
        Ok(())
    }

    /// Sends a request, and takes an answer that is no problem.
    async fn ask(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Response, Error> {
        let half_way = if method == Method::GET { Lost::Reading } else { Lost::Changing };
        let request = self.request(method, path, body).timeout(Duration::from_secs(LONGEST_ANSWER));
        checked(self.sent(request).await.map_err(|error| lost(&error, &half_way))?).await
    }

    /// Sends a request. Who waits for a daemon that does not answer is told so; one that is busy with a provider answers other questions.
    async fn sent(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Response> {
        let mut sent = std::pin::pin!(request.send());
        if let Ok(answer) = tokio::time::timeout(SOON, &mut sent).await {
            return answer;
        }
        // The shortest question: it needs nothing, the store neither.
        let asked = self.http.get("http://grantkeeper/health").timeout(SOON).send();
        tokio::select! {
            biased;
            answer = &mut sent => return answer,
            asked = asked => if asked.is_err() {
                tracing::warn!(
                    "the daemon does not answer, and is waited for; see `grantkeeper health` and its log (Ctrl-C ends the waiting)"
                );
            }
        }
        sent.await
    }

    fn request(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> reqwest::RequestBuilder {
        // The host says nothing: every connection goes to the socket.
        let url = format!("http://grantkeeper/v{API}{path}");
        let request = self.http.request(method, url).header(API_HEADER, API).header(VERSION_HEADER, VERSION);
        match body {
            // The body is wiped when the last piece of it has been sent.
            Some(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(bytes::Bytes::from_owner(Zeroizing::new(body))),
            None => request,
        }
    }
}

/// The lines of an answer that goes on.
#[derive(Default)]
struct Lines(Zeroizing<Vec<u8>>);

impl Lines {
    /// The next line; `None` at the end of the answer. What came of a line that is not whole is no line.
    async fn next(&mut self, answer: &mut Response, half_way: &Lost) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        loop {
            if let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(Zeroizing::new(self.0.drain(..=end).collect())));
            }
            match answer.chunk().await.map_err(|error| lost(&error, half_way))? {
                Some(piece) => self.0.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }
}

/// Refuses the answer of another API, and turns a problem into an error.
async fn checked(answer: Response) -> Result<Response, Error> {
    let said = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let version = said(VERSION_HEADER).unwrap_or_else(|| "of an unknown version".to_owned());
    if said(API_HEADER).as_deref() != Some(API) {
        return Err(Lost::OtherApi { daemon: version }.into());
    }
    if version != VERSION {
        tracing::warn!("the daemon is Grantkeeper {version}, and this is {VERSION}; restart the daemon");
    }
    if answer.status().is_success() {
        return Ok(answer);
    }
    let is_problem =
        answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == PROBLEM_TYPE.as_bytes());
    let status = answer.status();
    if !is_problem {
        return Err(Lost::Unreadable(format!("status {status}")).into());
    }
    let problem: Problem =
        serde_json::from_slice(&whole(answer, &Lost::Changing).await?).map_err(|error| unreadable(&error))?;
    Err(Error::Problem(Box::new(problem)))
}

async fn read<T: DeserializeOwned>(answer: Response) -> Result<T, Error> {
    // The answer has begun, so that the work is done; only the telling is cut off.
    let bytes = whole(answer, &Lost::Changing).await?;
    serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))
}

async fn whole(mut answer: Response, half_way: &Lost) -> Result<Zeroizing<Vec<u8>>, Error> {
    let stated = answer.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    // Reserved whole: growing would leave copies of a token behind in freed memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(stated.min(1 << 20)));
    while let Some(piece) = answer.chunk().await.map_err(|error| lost(&error, half_way))? {
        if bytes.len() + piece.len() > LONGEST_BODY {
            return Err(Lost::Unreadable("it has no end".to_owned()).into());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn encoded(document: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(document).map_err(|error| Error::System(format!("the request cannot be written: {error}")))
}

fn lost(error: &reqwest::Error, half_way: &Lost) -> Error {
    if error.is_timeout() && !error.is_connect() {
        return Lost::Silent(LONGEST_ANSWER).into();
    }
    if error.is_connect() { Lost::Before.into() } else { half_way.clone().into() }
}

fn unreadable(error: &serde_json::Error) -> Error {
    // Not the error's own text, which may quote a token.
    Lost::Unreadable(format!("line {} column {}", error.line(), error.column())).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Connector;
    use crate::model::{Clock as _, SystemClock};
    use crate::seal::Keyring;
    use crate::server::{Refusal, Shared, Teller, lines};
    use crate::store::MemoryStore;
    use axum::Router;
    use axum::http::HeaderValue;
    use axum::routing::post;
    use std::sync::Arc;
    use tokio::net::UnixListener;
    use tokio::sync::watch;

    /// A daemon whose only call counts to three and comes to an end of a kind.
    async fn counting(home: &Path, end: fn() -> Result<String, Refusal>) -> Client {
        let keyring = Keyring::generate(SystemClock.now()).unwrap();
        let connector = Connector::builder(Arc::new(MemoryStore::new()), keyring).build().unwrap();
        let (_, stopping) = watch::channel(false);
        let shared = Shared::new(connector, stopping);
        let count = move || async move {
            let mut answer = lines(&shared, |teller: Teller<u32>| async move {
                for number in 1..=3 {
                    teller.tell(number).await;
                }
                end()
            });
            answer.headers_mut().insert(API_HEADER, HeaderValue::from_static(API));
            answer
        };
        let listener = UnixListener::bind(home.join("grantkeeper.sock")).unwrap();
        tokio::spawn(async { axum::serve(listener, Router::new().route("/v1/count", post(count))).await });
        Client::of(home).await.unwrap()
    }

    async fn count(end: fn() -> Result<String, Refusal>) -> (Vec<u32>, Result<String, Error>) {
        let folder = tempfile::tempdir().unwrap();
        let client = counting(folder.path(), end).await;
        let mut told = Vec::new();
        let result = client.long("/count", &serde_json::json!({}), |number| told.push(number)).await;
        (told, result)
    }

    #[tokio::test]
    async fn a_long_call_tells_how_far_it_is_and_then_what_it_came_to() {
        let (told, result) = count(|| Ok("done".to_owned())).await;
        assert_eq!((told, result.unwrap().as_str()), (vec![1, 2, 3], "done"));
    }

    #[tokio::test]
    async fn a_long_call_that_fails_is_told_by_its_last_line() {
        let (told, result) = count(|| Err(Refusal::new(Problem::new("odd", 409, 4, "it went wrong")))).await;
        let error = result.unwrap_err();
        assert_eq!((told.len(), error.code(), error.exit_code()), (3, "odd", 4));
        assert_eq!(error.to_string(), "it went wrong");
    }

    #[tokio::test]
    async fn a_long_call_without_a_last_line_stopped_half_way() {
        let (told, result) = count(|| panic!("the call breaks, as it would with the daemon")).await;
        let error = result.unwrap_err();
        assert_eq!((told, error.code(), error.exit_code()), (vec![1, 2, 3], "daemon_stopped", 5));
        assert!(!error.retryable(), "who knows what was done");
    }
}
