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

    /// Asks for what goes on for long, and reads until nothing more comes for a second.
    pub(crate) fn ask_stream(&self, key: &str, path: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
        let address = self.address;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\r\n").unwrap();
        let (mut text, mut some) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = stream.read(&mut some) {
            text.extend_from_slice(&some[..read]);
        }
        Answer::of(&String::from_utf8(text).unwrap())
    }

    /// The headers with which a browser sends a form of ours.
    pub(crate) fn own_form(&self) -> String {
        format!("origin: http://{}\r\ncontent-type: application/x-www-form-urlencoded\r\n", self.address)
    }

    /// Signs the administrator in at the pages.
    pub(crate) fn sign_in(&self, machine: &Machine) -> Signed<'_> {
        let link = machine.run(&["sign-in", "--no-browser", "--json"]).json();
        self.follow(link["url"].as_str().unwrap().split_once("key=").unwrap().1)
    }

    /// Signs somebody in with the key of a sign-in link.
    pub(crate) fn follow(&self, key: &str) -> Signed<'_> {
        let answer = self.ask_with("POST", "/sign-in/link", &self.own_form(), &format!("key={key}"));
        assert_eq!(answer.status, 303, "{answer:?}");
        let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        let signed = Signed { outside: self, cookie, form: String::new() };
        let page = signed.get("/tokens").body;
        let form = page.split_once("name=\"form\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
        Signed { form, ..signed }
    }
}

/// A browser that is signed in at the pages.
pub(crate) struct Signed<'a> {
    pub(crate) outside: &'a Outside,
    pub(crate) cookie: String,
    /// What its forms carry.
    pub(crate) form: String,
}

impl Signed<'_> {
    /// Looks at a page.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.outside.ask_with("GET", path, &format!("cookie: {}\r\n", self.cookie), "")
    }

    /// Sends a form.
    pub(crate) fn post(&self, path: &str, fields: &str) -> Answer {
        let headers = format!("{}cookie: {}\r\n", self.outside.own_form(), self.cookie);
        self.outside.ask_with("POST", path, &headers, &format!("form={}&{fields}", self.form))
    }
}
