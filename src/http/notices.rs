//! Messages to somebody's endpoint: they carry no secret, and nothing of the answer but its status counts.

use super::client::{builder, trusting};
use super::{HttpError, Settings};
use crate::model::{WebhookUrl, is_of_the_link};
use http::{HeaderMap, Method, header};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::error::Error as _;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

/// How long one message may take, from the first to the last byte, in seconds.
pub const LONGEST_TRY: u64 = 15;

/// Bytes of an answer that are read and thrown away, so that its connection serves the next message; a longer one costs it.
const READ_AWAY: usize = 4 * 1024;

/// Idle connections to one endpoint.
const KEPT_CONNECTIONS: usize = 2;

/// Where the name localhost leads, and nowhere else: at `[::1]` somebody else may listen while the endpoint does not.
const LOCALHOST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Sends messages. Follows no redirect, repeats nothing by itself, and connects to no address of the link. Clones share everything.
#[derive(Debug, Clone)]
pub struct Notices(reqwest::Client);

/// What an endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The HTTP status.
    pub status: u16,
    /// The header `Retry-After`, as it came.
    pub retry_after: Option<String>,
}

/// How the addresses of a name are found.
type LookUp = fn(Name) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Finds the addresses of a name, and gives them only when none is the link's own. As it is the one that connects, there is no second
/// look that could find others.
#[derive(Debug, Clone, Copy)]
struct NotOfTheLink(LookUp);

/// The name leads to an address of the link.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to an address of the link itself, or of a cloud's metadata")]
struct Leads;

impl Notices {
    /// A client of these settings. Where a proxy is set, https goes through it, and it looks names up: only addresses that are written
    /// out are judged here then.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, HttpError> {
        Self::finding(settings, |name| {
            Box::pin(async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect()) })
        })
    }

    fn finding(settings: &Settings, look_up: LookUp) -> Result<Self, HttpError> {
        let client = trusting(settings, || {
            let builder = builder(settings)?
                .timeout(Duration::from_secs(LONGEST_TRY))
                .connect_timeout(Duration::from_secs(settings.connect_timeout.get().min(LONGEST_TRY * 2 / 3)))
                .pool_max_idle_per_host(KEPT_CONNECTIONS)
                .resolve("localhost", LOCALHOST);
            Ok(if settings.proxy.is_some() { builder } else { builder.dns_resolver(NotOfTheLink(look_up)) })
        })?;
        Ok(Self(client))
    }

    /// Posts a JSON document. Whatever the status is, that is an answer.
    ///
    /// # Errors
    /// When there was none.
    pub async fn post(&self, url: &WebhookUrl, headers: HeaderMap, body: Vec<u8>) -> Result<Told, HttpError> {
        let host = url.authority();
        let mut request = reqwest::Request::new(Method::POST, url.url().clone());
        *request.headers_mut() = headers;
        request.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(body.into());
        let mut answer = self.0.execute(request).await.map_err(|error| of(error, &host))?;
        let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let told = Told { status: answer.status().as_u16(), retry_after: retry_after.map(str::to_owned) };
        let mut read = 0;
        // The message was answered; what becomes of the rest changes nothing.
        while let Ok(Some(piece)) = answer.chunk().await {
            read += piece.len();
            if read > READ_AWAY {
                break;
            }
        }
        Ok(told)
    }
}

fn of(error: reqwest::Error, host: &str) -> HttpError {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<Leads>() {
            return HttpError::OfTheLink(host.to_owned());
        }
        cause = inner.source();
    }
    HttpError::of(error, host)
}

impl Resolve for NotOfTheLink {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.0(name);
        // All of them, or none: of a name that leads to several places, which one is taken is chance.
        Box::pin(async move {
            let found = found.await?;
            match found.iter().any(|address| is_of_the_link(address.ip())) {
                true => Err(Leads.into()),
                false => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Posts to a name whose addresses are these.
    async fn post(look_up: LookUp) -> HttpError {
        let notices = Notices::finding(&Settings::default(), look_up).unwrap();
        let url = "https://hooks.example.com:1/".parse().unwrap();
        notices.post(&url, HeaderMap::new(), b"{}".to_vec()).await.unwrap_err()
    }

    fn at<const N: usize>(texts: [&str; N]) -> io::Result<Vec<SocketAddr>> {
        Ok(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[tokio::test]
    async fn a_message_to_localhost_never_goes_to_the_second_address_where_somebody_else_may_listen() {
        // A machine without version 6 has no such address.
        let Ok(somebody) = std::net::TcpListener::bind("[::1]:0") else { return };
        somebody.set_nonblocking(true).unwrap();
        let url = format!("http://localhost:{}/", somebody.local_addr().unwrap().port()).parse().unwrap();
        let resolved: LookUp = |_| Box::pin(async { at(["127.0.0.1:0", "[::1]:0"]) });
        let tried = Notices::finding(&Settings::default(), resolved).unwrap();
        let tried = tried.post(&url, HeaderMap::new(), b"{}".to_vec());
        let tried = tokio::time::timeout(Duration::from_secs(5), tried).await.expect("somebody took it").unwrap_err();
        assert!(matches!(tried, HttpError::NotSent { .. }), "{tried}");
        assert_eq!(somebody.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn a_message_to_a_name_that_leads_to_an_address_of_the_link_is_not_sent() {
        for look_up in [
            (|_| Box::pin(async { at(["169.254.169.254:0"]) })) as LookUp,
            |_| Box::pin(async { at(["127.0.0.1:0", "169.254.0.1:0"]) }),
            |_| Box::pin(async { at(["[::1]:0", "[fe80::1]:0"]) }),
            |_| Box::pin(async { at(["[::ffff:169.254.169.254]:0"]) }),
            |_| Box::pin(async { at(["0.0.0.0:0"]) }),
        ] {
            assert_eq!(post(look_up).await, HttpError::OfTheLink("hooks.example.com:1".to_owned()));
        }
        // Nobody listens there, and that is all.
        let tried = post(|_| Box::pin(async { at(["127.0.0.1:0"]) })).await;
        assert!(matches!(tried, HttpError::NotSent { .. }), "{tried}");
    }
}
