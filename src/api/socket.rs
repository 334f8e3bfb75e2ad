//! Where the daemon of a home listens.

use std::fs::File;
use std::path::{Path, PathBuf};

/// The daemon's socket, in its home.
#[must_use]
pub fn socket_file(home: &Path) -> PathBuf {
    home.join(NAME)
}

const NAME: &str = "grantkeeper.sock";

/// Bytes of the longest path that a socket can be bound or connected to: `sun_path` has 108 on Linux and 104 on others, the zero
/// at its end included.
const LONGEST: usize = 103;

/// A path of a socket that is short enough for the system. It must be kept for as long as the path is used.
#[derive(Debug)]
pub struct Address {
    path: PathBuf,
    /// What the path goes through where it is a short one.
    _folder: Option<File>,
}

impl Address {
    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The address of a file in a home. Where the path is too long for a socket (deep folders), it is reached through the open
/// home folder, `/proc/self/fd/N/…`: no second place that would have to be guarded, found again and removed.
///
/// # Errors
/// When the folder cannot be opened, or the system has no `/proc`.
pub fn address(home: &Path, name: Option<&str>) -> std::io::Result<Address> {
    let name = name.unwrap_or(NAME);
    let path = home.join(name);
    if path.as_os_str().len() <= LONGEST {
        return Ok(Address { path, _folder: None });
    }
    let folder = File::open(home)?;
    let through = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&folder)));
    if !through.exists() {
        let reason = format!(
            "the path of the socket, {}, has {} bytes, and the system takes {LONGEST}: use a home with a shorter path",
            path.display(),
            path.as_os_str().len()
        );
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, reason));
    }
    Ok(Address { path: through.join(name), _folder: Some(folder) })
}
