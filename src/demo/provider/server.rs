//! The loopback server: connections that can be cut, requests that are recorded, faults that happen.

use super::habits::{Door, Fault};
use super::{Provider, api, authorize, device, identity, token};
use crate::model::Timestamp;
use crate::oauth::Params;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::{IncomingStream, Listener};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came, for a test to look at.
#[derive(Clone)]
pub struct SeenRequest {
    /// Where it came in.
    pub door: Door,
    /// When, by the provider's clock.
    pub at: Timestamp,
    /// `GET` or `POST`.
    pub method: String,
    /// The query's and the form's parameters.
    pub params: Params,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl SeenRequest {
    /// The first header of a name, written in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Names only: values are codes, tokens and client secrets.
impl fmt::Debug for SeenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenRequest")
            .field("door", &self.door)
            .field("at", &self.at)
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}

/// Serves until `stop` is dropped; idle connections end with it.
pub(super) async fn serve(
    listener: TcpListener,
    provider: Arc<Provider>,
    stop: tokio::sync::oneshot::Receiver<()>,
) -> io::Result<()> {
    let doors = |provider: &Arc<Provider>, door, routes: Router<Arc<Provider>>| {
        routes.layer(from_fn_with_state((provider.clone(), door), at_door))
    };
    let routes = Router::new()
        .merge(doors(&provider, Door::Authorization, authorize::routes()))
        .merge(doors(&provider, Door::Token, Router::new().route("/token", post(token::token))))
        .merge(doors(
            &provider,
            Door::DeviceAuthorization,
            Router::new().route("/device/code", post(device::authorization)),
        ))
        .merge(doors(&provider, Door::DevicePage, device::page_routes()))
        .merge(doors(&provider, Door::Revocation, Router::new().route("/revoke", post(api::revoke))))
        .merge(doors(&provider, Door::Introspection, Router::new().route("/introspect", post(api::introspect))))
        .merge(doors(
            &provider,
            Door::Metadata,
            Router::new()
                .route("/.well-known/oauth-authorization-server", get(api::metadata))
                .route("/.well-known/openid-configuration", get(api::metadata)),
        ))
        .merge(doors(&provider, Door::Keys, Router::new().route("/jwks", get(identity::jwks))))
        .merge(doors(
            &provider,
            Door::Api,
            Router::new()
                .route("/userinfo", get(api::userinfo).post(api::userinfo))
                .route("/drive/v3/files", get(api::files)),
        ))
        .with_state(provider);
    axum::serve(CuttableListener(listener), routes.into_make_service_with_connect_info::<Cut>())
        .with_graceful_shutdown(async {
            // An error says that the sender was dropped, which is the signal too.
            let _ = stop.await;
        })
        .await
}

/// The largest request body that the provider reads.
const REQUEST_CAP: usize = 1 << 20;

async fn at_door(
    State((provider, door)): State<(Arc<Provider>, Door)>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, REQUEST_CAP).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let mut params = Params::from_form(parts.uri.query().unwrap_or_default().as_bytes());
    for (name, value) in Params::from_form(&body).iter() {
        params.put(name, value.clone());
    }
    let loosely = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let fault = provider.saw(SeenRequest {
        door,
        at: provider.clock.now(),
        method: parts.method.to_string(),
        params,
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), loosely(value))).collect(),
    });
    let request = Request::from_parts(parts, Body::from(body));
    match fault {
        None => next.run(request).await,
        Some(Fault::Status(status)) => out_of_order(status),
        Some(Fault::StatusAfter(status)) => {
            // Nobody sees what it came to.
            drop(next.run(request).await);
            out_of_order(status)
        }
        Some(Fault::TooManyRequests { retry_after }) => {
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, retry_after)], "Too many requests.").into_response()
        }
        Some(Fault::Redirect(to)) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        Some(Fault::Lose) => {
            cut.0.store(true, Ordering::Release);
            StatusCode::NO_CONTENT.into_response()
        }
        Some(Fault::Drop) => {
            let reply = next.run(request).await;
            cut.0.store(true, Ordering::Release);
            reply
        }
        Some(Fault::Hold(gate)) => {
            let reply = next.run(request).await;
            gate.pass().await;
            reply
        }
    }
}

fn out_of_order(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, "The provider is out of order.").into_response()
}

/// Cuts one connection: from then on nothing is written to it, and the server gives it up.
#[derive(Debug, Clone, Default)]
struct Cut(Arc<AtomicBool>);

impl Cut {
    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for Cut {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        stream.remote_addr().clone()
    }
}

struct CuttableListener(TcpListener);

impl Listener for CuttableListener {
    type Io = CuttableStream;
    type Addr = Cut;

    async fn accept(&mut self) -> (CuttableStream, Cut) {
        let cut = Cut::default();
        // axum's own accept, which waits when the process is out of file descriptors.
        let (stream, _) = Listener::accept(&mut self.0).await;
        (CuttableStream { stream, cut: cut.clone() }, cut)
    }

    fn local_addr(&self) -> io::Result<Cut> {
        Ok(Cut::default())
    }
}

struct CuttableStream {
    stream: TcpStream,
    cut: Cut,
}

impl AsyncRead for CuttableStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.cut.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cut.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
