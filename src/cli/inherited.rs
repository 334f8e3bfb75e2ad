//! Sockets that a service manager has opened for the daemon (sd_listen_fds(3)): it holds them while the daemon restarts, so that nobody
//! who comes in the meantime is turned away, and it may open ports that the daemon's own user may not.

use super::error::Error;
use crate::api::socket_file;
use listenfd::ListenFd;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;

/// What was handed over.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    /// The socket in the home.
    pub(super) socket: Option<UnixListener>,
    /// The port.
    pub(super) port: Option<TcpListener>,
}

impl Inherited {
    /// Takes what there is, for a home.
    ///
    /// # Errors
    /// When there is more than the daemon answers on, or a socket where commands would not look for it.
    pub(super) fn take(home: &Path) -> Result<Self, Error> {
        let mut handed = ListenFd::from_env();
        let mut taken = Self::default();
        for at in 0..handed.len() {
            if let Ok(Some(socket)) = handed.take_unix_listener(at) {
                let path = socket.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned));
                let wanted = socket_file(home);
                let is_wanted = path.as_ref().is_some_and(|path| is_same(path, &wanted));
                if !is_wanted {
                    let path = path.map_or_else(|| "no file".to_owned(), |path| path.display().to_string());
                    let wanted = wanted.display();
                    return Err(Error::Usage(format!(
                        "the socket that was handed over is {path}, and commands look for {wanted}; set ListenStream={wanted}"
                    )));
                }
                twice(taken.socket.replace(socket).is_some(), "a unix socket")?;
            } else if let Ok(Some(port)) = handed.take_tcp_listener(at) {
                twice(taken.port.replace(port).is_some(), "a port")?;
            } else {
                let what = "a socket was handed over that is neither a unix socket nor a TCP port to listen on";
                return Err(Error::Usage(what.to_owned()));
            }
        }
        Ok(taken)
    }
}

fn twice(is_twice: bool, what: &str) -> Result<(), Error> {
    match is_twice {
        true => Err(Error::Usage(format!("{what} was handed over twice; the daemon answers on one of each"))),
        false => Ok(()),
    }
}

/// Whether two paths lead to the same file, through links too.
fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}
