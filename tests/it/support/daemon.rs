//! A running `grantkeeper serve`.

use super::machine::{Machine, Ran};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A daemon of a machine's home. Dropping it kills it.
pub(crate) struct Daemon {
    child: Option<Child>,
    out: BufReader<ChildStdout>,
    /// The line that it printed when it was ready.
    pub(crate) ready: String,
    pub(crate) socket: PathBuf,
}

impl Daemon {
    /// Starts one, and returns when it is ready.
    pub(crate) fn start(machine: &Machine) -> Self {
        Self::start_with(machine, &["serve"])
    }

    /// The same with arguments.
    pub(crate) fn start_with(machine: &Machine, arguments: &[&str]) -> Self {
        Self::start_as(machine, machine.command(arguments))
    }

    /// The same of a command.
    pub(crate) fn start_as(machine: &Machine, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        out.read_line(&mut ready).unwrap();
        if ready.is_empty() {
            panic!("{:?}", Ran::of(child.wait_with_output().unwrap()));
        }
        Self { child: Some(child), out, ready, socket: machine.home().join("grantkeeper.sock") }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = std::process::Command::new("kill").args([&format!("-{signal}"), &self.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// What it comes to; what it printed after it was ready, and its log.
    pub(crate) fn ended(mut self) -> Ran {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        let ran = Ran::of(self.child.take().unwrap().wait_with_output().unwrap());
        Ran { out: rest, ..ran }
    }

    /// Ends it cleanly.
    pub(crate) fn stopped(self) -> Ran {
        self.signal("TERM");
        self.ended()
    }

    /// Asks it over the socket, as anybody could.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let kind = body.map_or(String::new(), |_| "content-type: application/json\r\n".to_owned());
        self.ask_with(method, path, &kind, body.unwrap_or_default())
    }

    /// The same with headers, each ended by a line break.
    pub(crate) fn ask_with(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
        )
        .unwrap();
        // One that refuses a large body reads no more of it.
        let _ = stream.write_all(body.as_bytes());
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        Answer::of(&String::from_utf8(text).unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
    /// The headers as they came.
    as_came: String,
}

impl Answer {
    pub(crate) fn of(text: &str) -> Self {
        let (as_came, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let head = as_came.to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {text:?}")).parse().unwrap();
        Self { status, head, body: body.to_owned(), as_came: as_came.to_owned() }
    }

    /// All of it, as it came.
    pub(crate) fn whole(&self) -> String {
        format!("{}\r\n\r\n{}", self.as_came, self.body)
    }

    /// The value of a header.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut lines = self.as_came.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.unwrap_or_else(|| panic!("no {name}: {self:?}")).1
    }

    /// The document of an answer with a status.
    #[track_caller]
    pub(crate) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The problem of an answer with a status.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        let problem = self.json(status);
        for name in ["type", "title", "status", "detail", "code", "retryable", "exit_code"] {
            assert!(!problem[name].is_null(), "{name}: {problem}");
        }
        assert_eq!(problem["status"], status);
        problem
    }
}
