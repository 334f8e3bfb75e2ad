//! A daemon that answers on a port, and those who ask it there.

use super::daemon::{Answer, Daemon};
use super::machine::Machine;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

/// A daemon with a port.
pub(crate) struct Outside {
    pub(crate) daemon: Daemon,
    pub(crate) address: SocketAddr,
}

impl Outside {
    /// Starts one on a port that nobody has, which is the callback's too.
    pub(crate) fn start(machine: &Machine, settings: &str) -> Self {
        Self::start_with(machine, settings, |_| {})
    }

    /// The same with more for the command.
    pub(crate) fn start_with(machine: &Machine, settings: &str, more: impl FnOnce(&mut Command)) -> Self {
        // Let go of before the daemon takes it: nobody else is given it so soon.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = format!("[callback]\nport = {port}\n{settings}\n");
        std::fs::write(machine.home().join("grantkeeper.toml"), text).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = machine.command(&["serve", "--listen", &address.to_string()]);
        more(&mut command);
        let daemon = Daemon::start_as(machine, command);
        assert!(daemon.ready.contains(&format!("http://{address}")), "{}", daemon.ready);
        Self { daemon, address }
    }

    /// Makes an API key that may do some things.
    pub(crate) fn key(&self, machine: &Machine, name: &str, may: &[&str]) -> String {
        let mut arguments = vec!["api-key", "create", name];
        for may in may {
            arguments.extend(["--may", may]);
        }
        machine.run(&arguments).done().trim().to_owned()
    }

    /// Asks with a key, or without.
    pub(crate) fn ask(&self, key: Option<&str>, method: &str, path: &str, body: Option<&str>) -> Answer {
        let mut headers = key.map_or(String::new(), |key| format!("authorization: Bearer {key}\r\n"));
        if body.is_some() {
            headers.push_str("content-type: application/json\r\n");
        }
        self.ask_with(method, path, &headers, body.unwrap_or_default())
    }

    /// The same with headers, each ended by a line break.
    pub(crate) fn ask_with(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let length = body.len();
        let address = self.address;
        // One that refuses a large head reads no more of it.
        let _ = write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
        );
        let _ = stream.write_all(body.as_bytes());
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        Answer::of(&String::from_utf8(text).unwrap())
    }
}
