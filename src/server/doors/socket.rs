//! The socket in the home folder.

use crate::api::{address, socket_file};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// The socket that a daemon listens on. Dropping it removes the file.
#[derive(Debug)]
pub struct Socket {
    pub(in crate::server) listener: UnixListener,
    /// The user whose it is.
    pub(in crate::server) owner: u32,
    file: SocketFile,
}

/// The file of a socket, removed when it is dropped, unless somebody else holds it.
#[derive(Debug)]
pub(in crate::server) struct SocketFile(PathBuf, Holder);

/// Who holds a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Daemon,
    /// Who waits there for the next daemon.
    ServiceManager,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.1 == Holder::ServiceManager {
            return;
        }
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the socket could not be removed");
        }
    }
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
#[error("the socket {} cannot be listened on: {reason}", path.display())]
pub struct SocketError {
    /// The socket's file.
    pub path: PathBuf,
    /// What the system said.
    pub reason: String,
}

/// The name that the socket is made under, until it is whole.
const UNFINISHED: &str = ".grantkeeper.sock.new";

impl Socket {
    /// Listens in a home folder. Only who holds its store may do so: a socket that is there already is then one that a killed
    /// daemon left behind, and is replaced.
    ///
    /// # Errors
    /// When the folder cannot be written, or the socket's path is too long for the system.
    pub fn listen(home: &Path) -> Result<Self, SocketError> {
        let path = socket_file(home);
        let failed = |error: std::io::Error| SocketError { path: path.clone(), reason: error.to_string() };
        // Made under another name, closed to others and then put in its place, so that nobody ever finds it half made.
        let unfinished = home.join(UNFINISHED);
        match std::fs::remove_file(&unfinished) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let address = address(home, Some(UNFINISHED)).map_err(failed)?;
        let listener = UnixListener::bind(address.path()).map_err(failed)?;
        std::fs::set_permissions(&unfinished, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let owner = rustix::process::geteuid().as_raw();
        std::fs::rename(&unfinished, &path).map_err(failed)?;
        Ok(Self { listener, owner, file: SocketFile(path, Holder::Daemon) })
    }

    /// Answers on one that a service manager holds in a home. Only our own user is answered there, whatever its mode.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn adopt(home: &Path, listener: std::os::unix::net::UnixListener) -> Result<Self, SocketError> {
        let path = socket_file(home);
        let failed = |error: std::io::Error| SocketError { path: path.clone(), reason: error.to_string() };
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        let owner = rustix::process::geteuid().as_raw();
        Ok(Self { listener, owner, file: SocketFile(path, Holder::ServiceManager) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.0
    }

    pub(in crate::server) fn into_parts(self) -> (UnixListener, u32, SocketFile) {
        (self.listener, self.owner, self.file)
    }
}

/// The process id of the daemon that answers in a home, where one does.
pub async fn is_answered(home: &Path) -> Option<Option<i32>> {
    let address = address(home, None).ok()?;
    let stream = UnixStream::connect(address.path()).await.ok()?;
    Some(stream.peer_cred().ok().and_then(|credentials| credentials.pid()))
}
