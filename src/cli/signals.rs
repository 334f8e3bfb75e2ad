//! Signals that would otherwise end the process at a bad moment.

use super::error::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGXFSZ on Linux (x86 and ARM): a write went past the limit on file sizes.
#[cfg(target_os = "linux")]
const FILE_SIZE_EXCEEDED: i32 = 25;

/// Makes a write past the limit on file sizes (`RLIMIT_FSIZE`) an error with a sentence instead of the process's end:
/// a signal that is handled does not kill. It stays so for as long as the process lives.
pub(super) fn survive_a_full_quota() -> Option<Signal> {
    #[cfg(target_os = "linux")]
    let signal = signal(SignalKind::from_raw(FILE_SIZE_EXCEEDED)).ok();
    #[cfg(not(target_os = "linux"))]
    let signal = None;
    signal
}

/// Ctrl-C and SIGTERM from here on: they no longer end the process, but whoever waits for [`Interrupt::wait`] learns of them, also of
/// those that came while nobody waited.
pub(super) struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    pub(super) fn new() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(|error| Error::System(format!("signals cannot be handled: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Returns at the next of them.
    pub(super) async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
