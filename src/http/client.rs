//! One request, one reply.

use super::settings::LONGEST_TIMEOUT;
use super::{HttpError, Settings};
use crate::model::{Endpoint, quoted};
use crate::oauth::RawReply;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Proxy};
use std::time::Duration;
use url::Url;
use zeroize::Zeroizing;

/// The most that is taken of a reply, after decompression: a token reply is a few KiB, the longest known a tenth of this.
const MOST_BODY: usize = 1024 * 1024;
/// The longest header value that is kept.
const MOST_HEADER: usize = 8 * 1024;
/// How long an idle connection is kept for the next request. Short: a request on a connection that the server has just
/// closed is one whose fate is unknown.
const IDLE: Duration = Duration::from_secs(4);

/// The HTTP client. Clones share its connections.
#[derive(Debug, Clone)]
pub struct HttpClient(Client);

impl HttpClient {
    /// A client that trusts the system's certificates; where the system has none, as in an empty container, Mozilla's
    /// that are built in.
    pub fn new(settings: &Settings) -> Result<Self, HttpError> {
        let extra = extra_certificates(settings)?;
        let with_system = builder(settings)?.tls_certs_merge(extra.clone()).build();
        let client = match with_system {
            Ok(client) => client,
            Err(_) => {
                let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter_map(|der| Certificate::from_der(der).ok());
                builder(settings)?.tls_certs_only(roots.chain(extra)).build().map_err(|error| setup(&error))?
            }
        };
        Ok(Self(client))
    }

    /// Sends a request to a host that `allowed` names, and takes the whole reply, up to 1 MiB. A redirect is a reply
    /// like any other.
    pub async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        allowed: impl Fn(&Url) -> bool,
    ) -> Result<RawReply, HttpError> {
        let url = Url::parse(&request.uri().to_string()).map_err(|_| HttpError::BadRequest)?;
        let host = Endpoint::try_from(url.clone()).map(|endpoint| endpoint.authority());
        let host = host.map_err(|_| HttpError::HostNotAllowed { host: quoted(url.host_str().unwrap_or_default()) })?;
        if !allowed(&url) {
            return Err(HttpError::HostNotAllowed { host });
        }
        let request = reqwest::Request::try_from(request).map_err(|_| HttpError::BadRequest)?;
        let mut response = self.0.execute(request).await.map_err(|error| trouble(&host, error))?;
        let status = response.status().as_u16();
        let headers = response.headers().iter().filter(|(_, value)| value.len() <= MOST_HEADER).map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let headers = headers.collect();
        // Room for a usual reply at once: a buffer that moves while it grows leaves copies behind.
        let mut body = Zeroizing::new(Vec::with_capacity(16 * 1024));
        while let Some(chunk) = response.chunk().await.map_err(|error| trouble(&host, error))? {
            if body.len() + chunk.len() > MOST_BODY {
                return Err(HttpError::TooLarge { host, status, cap: MOST_BODY });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(RawReply { status, headers, body })
    }
}

fn builder(settings: &Settings) -> Result<ClientBuilder, HttpError> {
    let builder = Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .user_agent(concat!("grantkeeper/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(settings.connect_timeout.clamp(1, LONGEST_TIMEOUT)))
        .timeout(Duration::from_secs(settings.timeout.clamp(1, LONGEST_TIMEOUT)))
        .pool_idle_timeout(IDLE);
    match &settings.proxy {
        Some(proxy) => Ok(builder.proxy(Proxy::https(proxy.clone()).map_err(|error| setup(&error))?)),
        None => Ok(builder),
    }
}

fn extra_certificates(settings: &Settings) -> Result<Vec<Certificate>, HttpError> {
    let Some(path) = &settings.ca_file else { return Ok(Vec::new()) };
    let wrong = |reason: String| HttpError::Setup(format!("ca_file {}: {reason}", path.display()));
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|_| wrong("it is not PEM".to_owned()))?;
    if certificates.is_empty() { Err(wrong("it holds no certificate".to_owned())) } else { Ok(certificates) }
}

/// What went wrong, without the URL, which `reqwest` would print.
fn trouble(host: &str, error: reqwest::Error) -> HttpError {
    let host = host.to_owned();
    let (connect, builder) = (error.is_connect(), error.is_builder());
    let timeout = error.is_timeout();
    let reason = if timeout { "it took too long".to_owned() } else { causes(&error.without_url()) };
    match (connect, builder) {
        (_, true) => HttpError::BadRequest,
        (true, _) => HttpError::NotSent { host, reason },
        (false, _) => HttpError::NoReply { host, reason },
    }
}

/// The innermost cause says what happened; the outer ones only that something did.
fn causes(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    quoted(&innermost.to_string())
}

fn setup(error: &reqwest::Error) -> HttpError {
    HttpError::Setup(causes(error))
}
