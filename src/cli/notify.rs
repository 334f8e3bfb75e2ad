//! Telling a service manager how far we are (sd_notify(3)): a datagram to the socket that it names. Without one, nothing is told.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variable that names the socket.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// The daemon answers.
pub(super) const READY: &str = "READY=1";
/// The daemon is stopping.
pub(super) const STOPPING: &str = "STOPPING=1";

/// Tells a state, where somebody wants to know.
pub(super) fn tell(state: &str) {
    let Some(name) = std::env::var_os(VARIABLE) else { return };
    if let Err(error) = send(&name, state) {
        tracing::warn!(%error, "the service manager could not be told {state}");
    }
}

fn send(name: &OsStr, state: &str) -> io::Result<()> {
    let address = address(name)?;
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(|_| ())
}

/// A path, or after `@` a name that is in no file system.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().split_first() {
        #[cfg(target_os = "linux")]
        Some((b'@', rest)) => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(rest),
        _ => SocketAddr::from_pathname(name),
    }
}
