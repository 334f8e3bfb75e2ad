//! Sockets that a service manager opens for the daemon and holds while there is none.

use crate::support::daemon::{Answer, Daemon};
use crate::support::machine::{Machine, Ran};
use command_fds::{CommandFdExt as _, FdMapping};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

/// A `serve` that is given sockets as a service manager gives them: from descriptor 3 on, with its own process id in `LISTEN_PID`.
fn serve(machine: &Machine, arguments: &str, sockets: Vec<OwnedFd>) -> Command {
    let mut command =
        machine.shell_command(&format!("LISTEN_PID=$$; export LISTEN_PID; exec \"$GRANTKEEPER\" serve {arguments}"));
    command.env("LISTEN_FDS", sockets.len().to_string()).env_remove("GRANTKEEPER_LISTEN");
    let mappings = (3..).zip(sockets).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
    command.fd_mappings(mappings.collect()).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn asked(mut stream: impl std::io::Read + std::io::Write, path: &str) -> Answer {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    Answer::of(&text)
}

#[test]
fn who_comes_while_the_daemon_restarts_is_answered_by_the_next_one() {
    let machine = Machine::new();
    let path = machine.home().join("grantkeeper.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    let sockets = || vec![socket.try_clone().unwrap().into(), port.try_clone().unwrap().into()];
    for _ in 0..2 {
        // They come before there is a daemon.
        let early = std::thread::spawn({
            let path = path.clone();
            move || {
                (
                    asked(UnixStream::connect(path).unwrap(), "/v1/health"),
                    asked(std::net::TcpStream::connect(address).unwrap(), "/health"),
                )
            }
        });
        let mut child = serve(&machine, "", sockets()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        out.read_line(&mut ready).unwrap();
        if ready.is_empty() {
            panic!("{:?}", Ran::of(child.wait_with_output().unwrap()));
        }
        assert!(ready.contains(&format!("http://{address}")), "{ready}");
        let (local, remote) = early.join().unwrap();
        assert_eq!((local.status, remote.status), (200, 200));
        machine.run(&["connections", "list"]).done();
        Command::new("kill").arg(child.id().to_string()).status().unwrap();
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("what was under way is finished"), "{rest}");
        child.wait().unwrap();
        assert!(path.exists(), "the service manager's socket is left where it is");
    }
}

#[test]
fn a_socket_where_nobody_would_look_is_refused() {
    let machine = Machine::new();
    let elsewhere = UnixListener::bind(machine.path("elsewhere.sock")).unwrap();
    let refused = Ran::of(serve(&machine, "", vec![elsewhere.into()]).output().unwrap()).failed(2);
    assert!(refused.contains("elsewhere.sock") && refused.contains("set ListenStream="), "{refused}");
    let twice = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    let refused = Ran::of(serve(&machine, "", vec![twice(), twice()]).output().unwrap()).failed(2);
    assert!(refused.contains("handed over twice"), "{refused}");
    let refused = Ran::of(serve(&machine, "--listen off", vec![twice()]).output().unwrap()).failed(2);
    assert!(refused.contains("--listen off"), "{refused}");
    let open = TcpListener::bind("0.0.0.0:0").unwrap();
    let refused = Ran::of(serve(&machine, "", vec![open.into()]).output().unwrap()).failed(1);
    assert!(refused.contains("tokens would travel"), "{refused}");
    // Nothing is left of them.
    Daemon::start(&machine).stopped().done();
}
