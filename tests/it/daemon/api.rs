//! The API as anybody meets it who speaks HTTP over the socket.

use crate::support::daemon::Daemon;
use crate::support::machine::Machine;

#[test]
fn what_is_no_request_is_refused_with_a_problem() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine);
    assert_eq!(daemon.ask("GET", "/", None).problem(404)["code"], "no_route");
    assert_eq!(daemon.ask("GET", "/v2/health", None).problem(404)["code"], "no_route");
    assert_eq!(daemon.ask("PUT", "/v1/health", None).problem(405)["code"], "no_method");
    daemon.stopped().done();
}
