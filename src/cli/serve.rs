//! `serve`: the daemon. Foreground, made for a service manager.

use super::context::Context;
use super::error::Error;
use super::inherited::Inherited;
use super::logging::Format;
use super::notify::{self, READY, STOPPING};
use super::signals::Interrupt;
use super::time;
use crate::connector::{Connector, ServerSettings};
use crate::model::{Timestamp, counted};
use crate::server::session::Sessions;
use crate::server::{self, Ended, LONGEST_STOP, Network, Port, PortError, Socket, is_answered};
use serde_json::json;
use std::io::IsTerminal as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tokio::sync::Mutex;

/// Run the daemon: hold the store, keep connections fresh, answer on a socket in the home.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "It stays in the foreground until SIGTERM or Ctrl-C, which finish what is under way first; a second one ends at once. While it runs, every command goes through it. docs/daemon.md has a systemd unit and the API."
)]
pub(super) struct Args {
    /// The address and port to answer on beside the socket, or `off`; 127.0.0.1 and the callback's port unless it is set
    #[arg(long, value_name = "ADDRESS:PORT", env = "GRANTKEEPER_LISTEN")]
    listen: Option<Listen>,
    /// A proxy in front of the port speaks TLS with those who ask, as `behind_proxy = true` says
    #[arg(long, env = "GRANTKEEPER_BEHIND_PROXY")]
    behind_proxy: bool,
    /// Let tokens travel in clear through a network, as `insecure = true` says
    #[arg(long, env = "GRANTKEEPER_INSECURE")]
    insecure: bool,
    /// How the log is written, to standard error
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "GRANTKEEPER_LOG_FORMAT")]
    log_format: Format,
}

impl Args {
    pub(super) fn log_format(&self) -> Format {
        self.log_format
    }
}

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listen {
    Off,
    At(SocketAddr),
}

impl std::str::FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            _ => text
                .parse()
                .map(Self::At)
                .map_err(|_| "write an address and a port, as in 127.0.0.1:8765, or off".to_owned()),
        }
    }
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Error> {
    // From here on no signal ends the process half-way.
    let interrupt = Mutex::new(Interrupt::new()?);
    let home = context.home()?;
    let folder = home.folder();
    let inherited = Inherited::take(folder)?;
    // Who holds the socket for us lets everybody in, and nobody answers there yet.
    if inherited.socket.is_none()
        && let Some(process) = is_answered(folder).await
    {
        return Err(already(folder, process));
    }
    raise_descriptors();
    let opened = tokio::select! {
        opened = Connector::open(&home) => opened,
        () = wait(&interrupt) => return Ok(()),
    };
    let connector = match opened {
        Ok(connector) => connector,
        // Another one was a moment faster.
        Err(error) => match is_answered(folder).await {
            Some(process) if inherited.socket.is_none() => return Err(already(folder, process)),
            Some(_) | None => return Err(error.into()),
        },
    };
    warn_of_open_doors(folder);
    let standing = connector.standing().await?;
    let socket = match inherited.socket {
        Some(socket) => Socket::adopt(folder, socket),
        None => Socket::listen(folder),
    };
    let socket = socket.map_err(|error| Error::System(error.to_string()))?;
    let port = port(&connector, &args, inherited.port).await?;
    ready(context, (socket.path(), port.as_ref()), standing.connections, standing.next_due)?;
    let port = port.map(|port| (port, server::sessions(&connector)));
    if let Some((port, sessions)) = &port {
        warn_of_another_port(&connector, port);
        invite(context, (&connector, port), sessions)?;
    }
    notify::tell(READY);
    let told_to_stop = async {
        wait(&interrupt).await;
        notify::tell(STOPPING);
    };
    let stopped = server::serve(connector, socket, port, told_to_stop, wait(&interrupt)).await;
    if let Some(error) = stopped.error {
        return Err(error.into());
    }
    let seconds = stopped.took.as_secs_f64();
    let clean = stopped.ended == Ended::Clean;
    context.output.line(&json!({ "stopped": true, "clean": clean, "took_seconds": seconds }), || match stopped.ended {
        Ended::Clean => format!("stopped after {seconds:.1} s; what was under way is finished"),
        Ended::CutOff => format!(
            "stopped after {seconds:.1} s, before all that was under way was finished (the longest wait is {LONGEST_STOP} s); what was begun is journaled, and settled when its connections are next refreshed"
        ),
    })
}

/// Listens on the network: on the port that was handed over, else where the person says, else where the settings say, else on the
/// callback's loopback port, where that is free.
async fn port(connector: &Connector, args: &Args, inherited: Option<TcpListener>) -> Result<Option<Port>, Error> {
    let settings = connector.settings();
    let ServerSettings { listen, certificate, key, behind_proxy, insecure, .. } = settings.server.clone();
    let usual = SocketAddr::from(([127, 0, 0, 1], settings.callback.port));
    let chosen = match args.listen {
        Some(Listen::Off) if inherited.is_some() => {
            let both = "a port was handed over, and --listen off wants none; leave one of the two out";
            return Err(Error::Usage(both.to_owned()));
        }
        Some(Listen::Off) => return Ok(None),
        Some(Listen::At(address)) => Some(address),
        None => listen,
    };
    let tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            let both = "a certificate needs its key: set both `certificate` and `key` under [server], or neither";
            return Err(Error::Usage(both.to_owned()));
        }
    };
    let network = Network {
        address: Some(chosen.unwrap_or(usual)),
        tls,
        behind_proxy: behind_proxy || args.behind_proxy,
        insecure: insecure || args.insecure,
    };
    if let Some(listener) = inherited {
        return Port::adopt(&network, listener).map(Some).map_err(|error| Error::System(error.to_string()));
    }
    match Port::listen(&network).await {
        Ok(port) => Ok(port),
        // Nobody asked for it: the socket is what commands need.
        Err(error @ PortError::System { .. }) if chosen.is_none() => {
            tracing::warn!("{error}; the daemon answers on its socket alone, and browsers do not come back to it");
            Ok(None)
        }
        Err(error) => Err(Error::System(error.to_string())),
    }
}

/// Tells that the daemon is ready, in one line.
fn ready(
    context: &Context,
    (socket, port): (&Path, Option<&Port>),
    connections: usize,
    next: Option<Timestamp>,
) -> Result<(), Error> {
    let process = std::process::id();
    let url = port.map(|port| port.url().as_str().trim_end_matches('/').to_owned());
    let document =
        json!({ "listening": socket, "url": url, "process": process, "connections": connections, "next_due": next });
    context.output.line(&document, || {
        let next = match next {
            Some(next) => format!("the next is due {}", time::with_distance(next, context.now(), &context.zone)),
            None => "none is due".to_owned(),
        };
        let url = url.as_ref().map_or_else(String::new, |url| format!(" and {url}"));
        let connections = counted(connections as u64, "connection", "connections");
        format!("listening on {}{url} (process {process}); {connections}, {next}", socket.display())
    })
}

/// Prints a link that signs in at the pages, for a person at a terminal. Whatever else reads it may keep it: `grantkeeper sign-in`
/// makes one there.
fn invite(context: &Context, (connector, port): (&Connector, &Port), sessions: &Sessions) -> Result<(), Error> {
    if !std::io::stdout().is_terminal() {
        return Ok(());
    }
    let path = sessions.link(context.now()).map_err(|error| Error::System(error.to_string()))?;
    let callback = &connector.settings().callback;
    let base = callback.public_url.clone().unwrap_or_else(|| port.url());
    let url = format!("{}{}", base.as_str().trim_end_matches('/'), path.expose());
    context.output.line(&json!({ "sign_in": url }), || format!("sign in at the pages, once, within ten minutes: {url}"))
}

/// Redirect URLs are of the callback's port, unless the settings know better.
fn warn_of_another_port(connector: &Connector, port: &Port) {
    let callback = &connector.settings().callback;
    if callback.public_url.is_none() && callback.port != port.address().port() {
        tracing::warn!(
            "browsers are sent back to {}, where this daemon does not answer; set `port = {}` under [callback] in grantkeeper.toml, and register the redirect URL anew",
            callback.base_url(),
            port.address().port()
        );
    }
}

/// As many open files as the system lets us have: connections are open files too, and the usual limit is that of an interactive program.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// The home is made for its owner alone; whoever opened it wants to know.
fn warn_of_open_doors(home: &Path) {
    let mode = std::fs::metadata(home).map(|home| home.permissions().mode() & 0o777).unwrap_or_default();
    if mode & 0o077 != 0 {
        let home = home.display();
        tracing::warn!("{home} is open to others (mode {mode:03o}); close it with: chmod 700 '{home}'");
    }
}

fn already(home: &Path, process: Option<i32>) -> Error {
    let process = process.map_or_else(String::new, |process| format!(" (process {process})"));
    Error::Exists(format!("a daemon serves {} already{process}; one is enough", home.display()))
}

/// Returns at the next signal.
async fn wait(interrupt: &Mutex<Interrupt>) {
    interrupt.lock().await.wait().await;
}
