//! Signals that would otherwise end the process at a bad moment.

use super::error::Error;
use crate::api::exit_codes;
use std::sync::{Mutex, OnceLock, PoisonError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

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

/// A person's Ctrl-C (SIGINT), or a service manager's end (SIGTERM).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Interrupt,
    Terminate,
}

impl End {
    /// What a shell is told of a process that ended by it.
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => exit_codes::INTERRUPTED,
            Self::Terminate => exit_codes::TERMINATED,
        }
    }
}

/// Ctrl-C and SIGTERM while this lives: they do not end the process, but whoever waits for [`Interrupt::wait`] learns of them, also of
/// those that came while nobody waited. Where there is none, they end the process as they always do.
pub(super) struct Interrupt {
    told: watch::Receiver<Option<End>>,
}

/// Who hears of signals. One task listens for the whole process and decides of each signal, once, whether somebody is told or the process ends:
/// with a listener each, a command could take a signal, finish and be gone before another listener saw the same one and found nobody.
static TOLD: OnceLock<watch::Sender<Option<End>>> = OnceLock::new();

/// One that came when the work was done already, and what followed was still waited for.
static CAME_LATE: Mutex<Option<End>> = Mutex::new(None);

/// Remembers an end that came when a command's work was done: its result is told all the same.
pub(super) fn remember(end: End) {
    *CAME_LATE.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
}

/// The end that came late, for who would begin something new.
pub(super) fn came_late() -> Option<End> {
    *CAME_LATE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Interrupt {
    /// One that was told in the last moment, and not waited for any more, came late.
    fn drop(&mut self) {
        if self.told.has_changed().unwrap_or_default()
            && let Some(end) = *self.told.borrow_and_update()
        {
            remember(end);
        }
    }
}

impl Interrupt {
    pub(super) fn new() -> Result<Self, Error> {
        let signals = Signals::new()?;
        let told = TOLD.get_or_init(|| {
            let told = watch::Sender::new(None);
            tokio::spawn(listen(signals, told.clone()));
            told
        });
        Ok(Self { told: told.subscribe() })
    }

    /// Returns at the next of them.
    pub(super) async fn wait(&mut self) -> End {
        loop {
            if self.told.changed().await.is_err() {
                // Its sender is never dropped.
                return std::future::pending().await;
            }
            if let Some(end) = *self.told.borrow_and_update() {
                return end;
            }
        }
    }
}

/// A signal that was listened for once no longer ends the process by itself.
async fn listen(mut signals: Signals, told: watch::Sender<Option<End>>) {
    loop {
        let end = signals.next().await;
        if !tell(&told, end) {
            std::process::exit(i32::from(end.exit_code()));
        }
    }
}

/// Whether there is somebody to tell.
fn tell(told: &watch::Sender<Option<End>>, end: End) -> bool {
    told.send(Some(end)).is_ok()
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(|error| Error::System(format!("signals cannot be handled: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> End {
        tokio::select! {
            _ = self.interrupt.recv() => End::Interrupt,
            _ = self.terminate.recv() => End::Terminate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_is_for_whoever_lives_when_it_comes_and_ends_the_process_where_nobody_does() {
        let told = watch::Sender::new(None);
        assert!(!tell(&told, End::Terminate), "nobody is there");
        let mut interrupt = Interrupt { told: told.subscribe() };
        assert!(tell(&told, End::Interrupt), "somebody is, who need not wait yet");
        assert_eq!(interrupt.wait().await, End::Interrupt, "and learns of it, and of none from before");
        let again = tokio::time::timeout(std::time::Duration::from_millis(10), interrupt.wait()).await;
        assert!(again.is_err(), "once");
        assert!(tell(&told, End::Terminate));
        assert_eq!(came_late(), None);
        drop(interrupt);
        assert_eq!(came_late(), Some(End::Terminate), "told in the last moment");
        assert!(!tell(&told, End::Terminate));
    }
}
