//! Starting, stopping, and being killed.

use crate::support::daemon::Daemon;
use crate::support::machine::Machine;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn a_daemon_says_when_it_is_ready_and_how_long_its_stop_took() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine);
    assert!(daemon.ready.starts_with(&format!("listening on {}", daemon.socket.display())), "{}", daemon.ready);
    assert!(daemon.ready.contains(&format!("(process {})", daemon.id())), "{}", daemon.ready);
    assert_eq!(daemon.socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let socket = daemon.socket.clone();
    let said = daemon.stopped().done();
    assert!(said.starts_with("stopped after "), "{said}");
    assert!(!socket.exists());
}
