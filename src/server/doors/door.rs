//! The ways in: the unix socket in the home, and TCP. Each says of a caller what the system knows of them; who that makes them is
//! decided behind it (`admission.rs`).

use super::tls;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;
use url::Url;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Peer {
    /// A process of this machine: the kernel says whose (`SO_PEERCRED`).
    Local { user: Option<u32>, process: Option<u32> },
    /// Somebody on the network: the address that they come from, and the one of ours that they came to, which is not known of who comes through
    /// a proxy.
    Remote { from: SocketAddr, to: Option<SocketAddr> },
}

impl Peer {
    /// The address that they come from, where they come over a network.
    pub(in crate::server) fn address(self) -> Option<IpAddr> {
        match self {
            Self::Local { .. } => None,
            Self::Remote { from, .. } => Some(from.ip()),
        }
    }
}

/// A connection.
pub(in crate::server) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What may take a while before a connection can be used (a TLS handshake).
pub(in crate::server) type Opening = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// A way in.
pub(in crate::server) enum Door {
    /// The socket in the home.
    Home(UnixListener),
    /// TCP, with a certificate or without.
    Network(TcpListener, Option<TlsAcceptor>),
}

impl Door {
    /// The next connection.
    pub(in crate::server) async fn accept(&self) -> io::Result<(Peer, Opening)> {
        match self {
            Self::Home(listener) => {
                let (stream, _) = listener.accept().await?;
                let who = stream.peer_cred().ok();
                let process = who.and_then(|who| who.pid()).and_then(|pid| u32::try_from(pid).ok());
                let peer = Peer::Local { user: who.map(|who| who.uid()), process };
                Ok((peer, Box::pin(async move { Ok(Box::new(stream) as Box<dyn Stream>) })))
            }
            Self::Network(listener, tls) => {
                let (stream, address) = listener.accept().await?;
                let to = stream.local_addr().ok();
                // Small answers go at once.
                let _ = stream.set_nodelay(true);
                let tls = tls.clone();
                let opening = async move {
                    match tls {
                        Some(tls) => Ok(Box::new(tls.accept(stream).await?) as Box<dyn Stream>),
                        None => Ok(Box::new(stream) as Box<dyn Stream>),
                    }
                };
                Ok((Peer::Remote { from: address, to }, Box::pin(opening)))
            }
        }
    }
}

/// How the daemon listens on the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Where.
    pub address: Option<SocketAddr>,
    /// The certificate chain and the private key, as PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Whether something in front of it speaks TLS with those who ask.
    pub behind_proxy: bool,
    /// Whether tokens may travel in clear through a network.
    pub insecure: bool,
}

/// A port that the daemon answers on.
pub struct Port {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    address: SocketAddr,
    behind_proxy: bool,
}

/// Why there is no port.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Tokens would travel in clear.
    #[error(
        "{0} can be reached by other machines, and tokens would travel to them in clear: give a certificate (`certificate` and `key` under [server]), say that a proxy speaks TLS in front of it (`behind_proxy = true`), or insist (`insecure = true`)"
    )]
    InClear(SocketAddr),
    /// The system's own trouble.
    #[error(
        "{address} cannot be listened on: {reason}; end what uses it (another home's daemon?), or take another with --listen ADDRESS:PORT"
    )]
    System {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// The certificate or its key.
    #[error("{}: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Network {
    /// What speaks TLS at an address; refused where tokens would travel to other machines in clear.
    fn tls_for(&self, address: SocketAddr) -> Result<Option<TlsAcceptor>, PortError> {
        let is_safe = address.ip().is_loopback() || self.tls.is_some() || self.behind_proxy || self.insecure;
        if !is_safe {
            return Err(PortError::InClear(address));
        }
        self.tls.as_ref().map(|(certificate, key)| tls::acceptor(certificate, key)).transpose()
    }
}

impl Port {
    /// Listens where the settings say; nothing where they say nothing.
    ///
    /// # Errors
    /// When the address is taken or not this machine's, when tokens would travel to other machines in clear, and when the certificate cannot be
    /// used.
    pub async fn listen(network: &Network) -> Result<Option<Self>, PortError> {
        let Some(address) = network.address else { return Ok(None) };
        let tls = network.tls_for(address)?;
        let failed = |error: io::Error| PortError::System { address, reason: error.to_string() };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Some(Self { listener, tls, address, behind_proxy: network.behind_proxy }))
    }

    /// Answers on one that a service manager holds, by the same rules, wherever the settings say to listen.
    ///
    /// # Errors
    /// As [`Port::listen`].
    pub fn adopt(network: &Network, listener: std::net::TcpListener) -> Result<Self, PortError> {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let failed = |address| move |error: io::Error| PortError::System { address, reason: error.to_string() };
        let address = listener.local_addr().map_err(failed(nowhere))?;
        let tls = network.tls_for(address)?;
        listener.set_nonblocking(true).map_err(failed(address))?;
        let listener = TcpListener::from_std(listener).map_err(failed(address))?;
        Ok(Self { listener, tls, address, behind_proxy: network.behind_proxy })
    }

    /// Where it listens, with the port that was taken for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks TLS itself.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether something stands in front of it.
    #[must_use]
    pub fn is_behind_proxy(&self) -> bool {
        self.behind_proxy
    }

    /// The URL that it is reached by on this machine.
    #[must_use]
    pub fn url(&self) -> Url {
        let scheme = if self.is_tls() { "https" } else { "http" };
        #[expect(clippy::expect_used, reason = "an address and a port are an authority")]
        Url::parse(&format!("{scheme}://{}", self.address)).expect("a URL")
    }

    pub(in crate::server) fn into_door(self) -> Door {
        Door::Network(self.listener, self.tls)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("address", &self.address).field("tls", &self.is_tls()).finish_non_exhaustive()
    }
}
