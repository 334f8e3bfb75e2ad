//! The client itself.

use super::public::{PublicOnly, may_be_public};
use super::settings::{LARGEST_BODY, LONGEST_TIMEOUT};
use super::{HttpError, Recorded, Sent, Settings, Tape};
use crate::model::Endpoint;
use crate::oauth::RawReply;
use bytes::Bytes;
use reqwest::{Certificate, ClientBuilder, NoProxy, Proxy, Response, redirect, retry};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
#[cfg(feature = "demo")]
use std::{future::Future, pin::Pin, sync::Arc};
use url::Url;
use zeroize::Zeroizing;

/// Sends requests that carry secrets. Follows no redirect, keeps no cookie, repeats nothing by itself, and reads no
/// more of a reply than it may. Clones share everything.
#[derive(Debug, Clone)]
pub struct HttpClient {
    way: Way,
    body_limit: usize,
    tape: Option<Tape>,
    #[cfg(feature = "demo")]
    detour: Option<SocketAddr>,
}

/// What answers requests in place of the network, for simulations: the future of a reply, or of what the network would say.
#[cfg(feature = "demo")]
pub type InProcess = Arc<
    dyn Fn(http::Request<Zeroizing<Vec<u8>>>) -> Pin<Box<dyn Future<Output = Result<RawReply, HttpError>> + Send>>
        + Send
        + Sync,
>;

/// Where requests go.
#[derive(Clone)]
enum Way {
    Network(reqwest::Client),
    #[cfg(feature = "demo")]
    InProcess(InProcess),
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Network(_) => "Network",
            #[cfg(feature = "demo")]
            Self::InProcess(_) => "InProcess",
        })
    }
}

impl HttpClient {
    /// A client of these settings. Trusts the certificate authorities of the machine, or, where it has none (a
    /// container from scratch), those that Mozilla trusts, which are part of the program.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, HttpError> {
        Ok(Self {
            way: Way::Network(trusting(settings, || builder(settings))?),
            body_limit: settings.body_limit.get().min(LARGEST_BODY),
            tape: None,
            #[cfg(feature = "demo")]
            detour: None,
        })
    }

    /// A client for a URL that somebody typed into a page: it asks only the public's addresses. Names are looked up once, by what
    /// connects; where a proxy is set, it looks them up, and only addresses that are written out are judged here.
    ///
    /// # Errors
    /// When the URL's host is not the public's, or a setting cannot be used.
    pub fn of_the_public(settings: &Settings, url: &Url) -> Result<Self, HttpError> {
        if !may_be_public(url) {
            return Err(HttpError::Private(url.host_str().unwrap_or_default().to_owned()));
        }
        let way = trusting(settings, || {
            let builder = builder(settings)?;
            Ok(if settings.proxy.is_some() { builder } else { builder.dns_resolver(PublicOnly) })
        })?;
        Ok(Self { way: Way::Network(way), ..Self::new(settings)? })
    }

    /// A client for requests to APIs, whose replies belong to the caller: of the same settings, without a limit of the
    /// reply, and keeping connections, for an API is asked often.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub(crate) fn for_callers(settings: &Settings) -> Result<reqwest::Client, HttpError> {
        trusting(settings, || Ok(builder(settings)?.pool_max_idle_per_host(KEPT_CONNECTIONS)))
    }

    /// A client whose requests a function of this process answers: no socket is opened and no timeout runs. Which URLs are
    /// allowed is judged before, as for every request.
    #[cfg(feature = "demo")]
    #[must_use]
    pub fn in_process(settings: &Settings, answers: InProcess) -> Self {
        let body_limit = settings.body_limit.get().min(LARGEST_BODY);
        Self { way: Way::InProcess(answers), body_limit, tape: None, detour: None }
    }

    /// The same client, which records each request and its reply.
    #[must_use]
    pub fn recording_on(self, tape: Tape) -> Self {
        Self { tape: Some(tape), ..self }
    }

    /// The same client, whose requests all go to one address of this machine, over http. Which URLs are allowed is still
    /// judged by the URL that a request is meant for; the address is told it in the header [`MEANT_URL`](super::MEANT_URL).
    ///
    /// # Errors
    /// When the address is not on this machine.
    #[cfg(feature = "demo")]
    pub fn with_detour(self, address: SocketAddr) -> Result<Self, HttpError> {
        if address.ip().is_loopback() {
            Ok(Self { detour: Some(address), ..self })
        } else {
            Err(HttpError::NotHttps(address.to_string()))
        }
    }

    /// Sends a request and reads the whole reply, whatever its status. `allowed` says which URLs the request's secrets
    /// may go to; http is for this machine alone.
    ///
    /// # Errors
    /// [`HttpError`] tells what certainly was not sent from what may have taken effect.
    pub async fn send(
        &self,
        request: http::Request<Zeroizing<Vec<u8>>>,
        allowed: impl Fn(&Url) -> bool,
    ) -> Result<RawReply, HttpError> {
        let (parts, body) = request.into_parts();
        let url: Url = parts.uri.to_string().parse().map_err(|_| HttpError::BadRequest)?;
        let endpoint = Endpoint::try_from(url.clone()).map_err(|_| match url.host_str() {
            Some(host) if url.username().is_empty() => HttpError::NotHttps(host.to_owned()),
            _ => HttpError::BadRequest,
        })?;
        let host = endpoint.authority();
        if !allowed(&url) {
            return Err(HttpError::HostNotAllowed(host));
        }
        let mut sent = self.tape.as_ref().map(|_| Sent {
            method: parts.method.clone(),
            url: url.clone(),
            headers: parts.headers.clone(),
            body: body.clone(),
            reply: None,
        });
        let reply = match &self.way {
            Way::Network(client) => Box::pin(self.execute(client, parts, url, body, &host)).await,
            #[cfg(feature = "demo")]
            Way::InProcess(answers) => answers(http::Request::from_parts(parts, body)).await,
        };
        if let (Some(tape), Some(mut sent)) = (&self.tape, sent.take()) {
            sent.reply = reply.as_ref().ok().cloned();
            tape.record(Recorded::Request(sent.into()));
        }
        let reply = reply?;
        tracing::debug!(host, status = reply.status, bytes = reply.body.len(), "a provider answered");
        Ok(reply)
    }

    async fn execute(
        &self,
        client: &reqwest::Client,
        parts: http::request::Parts,
        url: Url,
        body: Zeroizing<Vec<u8>>,
        host: &str,
    ) -> Result<RawReply, HttpError> {
        let mut request = reqwest::Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        #[cfg(feature = "demo")]
        if let Some(address) = self.detour {
            take_detour(&mut request, address)?;
        }
        if !body.is_empty() {
            // The body is wiped when the last piece of it has been sent.
            *request.body_mut() = Some(Bytes::from_owner(body).into());
        }
        match client.execute(request).await {
            Ok(reply) => self.read(reply, host).await,
            Err(error) => Err(HttpError::of(error, host)),
        }
    }

    async fn read(&self, mut reply: Response, host: &str) -> Result<RawReply, HttpError> {
        let status = reply.status().as_u16();
        let too_large = |limit: String| HttpError::TooLarge { host: host.to_owned(), status, limit };
        let header_bytes: usize = reply.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if header_bytes > HEADER_LIMIT {
            return Err(too_large(format!("{HEADER_LIMIT} bytes of headers")));
        }
        let headers = reply
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        // Pieces come decompressed, so that this counts what a compression bomb becomes.
        let mut body = Zeroizing::new(Vec::with_capacity(FIRST_CAPACITY));
        while let Some(piece) = reply.chunk().await.map_err(|error| HttpError::of(error, host))? {
            let length = body.len() + piece.len();
            if length > self.body_limit {
                return Err(too_large(format!("{} bytes", self.body_limit)));
            }
            if length > body.capacity() {
                // A vector that grows by itself leaves its old copy unwiped.
                let mut larger = Zeroizing::new(Vec::with_capacity(length * 2));
                larger.extend_from_slice(&body);
                body = larger;
            }
            body.extend_from_slice(&piece);
        }
        Ok(RawReply { status, headers, body })
    }
}

#[cfg(feature = "demo")]
fn take_detour(request: &mut reqwest::Request, address: SocketAddr) -> Result<(), HttpError> {
    let meant = http::HeaderValue::from_str(request.url().as_str()).map_err(|_| HttpError::BadRequest)?;
    request.headers_mut().insert(super::MEANT_URL, meant);
    let mut url = Url::parse(&format!("http://{address}/")).map_err(|_| HttpError::BadRequest)?;
    url.set_path(request.url().path());
    url.set_query(request.url().query());
    *request.url_mut() = url;
    Ok(())
}

/// A client that trusts the certificate authorities of the machine, or else the bundled ones, and those of the settings.
pub(super) fn trusting(
    settings: &Settings,
    built: impl Fn() -> Result<ClientBuilder, HttpError>,
) -> Result<reqwest::Client, HttpError> {
    let extra = settings.ca_file.as_deref().map(read_certificates).transpose()?.unwrap_or_default();
    let client = match built()?.build() {
        Ok(client) if extra.is_empty() => Ok(client),
        Ok(_) => built()?.tls_certs_merge(extra).build(),
        Err(_) => built()?.tls_certs_only(bundled_certificates().chain(extra)).build(),
    };
    client.map_err(|_| HttpError::BadSetting {
        name: "ca_file",
        why: "its certificates cannot be trusted together with the machine's; check that each is an authority".into(),
    })
}

pub(super) fn builder(settings: &Settings) -> Result<ClientBuilder, HttpError> {
    let bad = |name, why: &str| HttpError::BadSetting { name, why: why.to_owned() };
    let timeout = Duration::from_secs(settings.timeout.get().min(LONGEST_TIMEOUT));
    let mut builder = reqwest::Client::builder()
        // A redirected token request would carry its credentials elsewhere, or come back as a page.
        .redirect(redirect::Policy::none())
        .referer(false)
        // A request that may have been processed is repeated by those who know what it does, or not at all.
        .retry(retry::never())
        .timeout(timeout)
        // Were `timeout` to strike while connecting, a request that was never sent would be in doubt.
        .connect_timeout(Duration::from_secs(settings.connect_timeout.get()).min(timeout / 2))
        // A kept connection may be closed by the server in the moment that a request goes out, which leaves it in
        // doubt whether the request was read; with one request a connection, that does not happen.
        .pool_max_idle_per_host(0)
        .http1_only()
        .connection_verbose(false)
        // RFC 6761 section 6.3: the name is this machine, whatever a resolver says; http is allowed to it.
        .resolve_to_addrs(
            "localhost",
            &[SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))],
        )
        .user_agent(
            http::HeaderValue::from_str(&settings.user_agent)
                .map_err(|_| bad("user_agent", "it holds characters that a header cannot carry"))?,
        )
        .no_proxy();
    if let Some(url) = &settings.proxy {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("proxy", "a proxy that asks for a password is not supported; leave the user name out"));
        }
        let proxy = Proxy::https(url.clone()).map_err(|_| bad("proxy", "it is no http or https address"))?;
        builder = builder.proxy(proxy.no_proxy(NoProxy::from_string("localhost,127.0.0.0/8,::1")));
    }
    Ok(builder)
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate>, HttpError> {
    let bad = |why| HttpError::BadSetting { name: "ca_file", why };
    let pem = std::fs::read(path).map_err(|error| bad(format!("{} cannot be read: {error}", path.display())))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(bad(format!("{} holds no certificate in PEM", path.display()))),
    }
}

fn bundled_certificates() -> impl Iterator<Item = Certificate> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter_map(|der| Certificate::from_der(der).ok())
}

/// Bytes of a reply's headers: servers commonly stop at 8 to 16 KiB themselves.
const HEADER_LIMIT: usize = 64 * 1024;
/// Idle connections to one API host.
const KEPT_CONNECTIONS: usize = 16;
/// Bytes: nearly every token reply fits.
const FIRST_CAPACITY: usize = 16 * 1024;
