//! The binary on a machine of its own, with an application at the provider with habits. Both go by the system's clock.

use super::machine::{Machine, Ran};
use grantkeeper::demo::{Browser, Client, DRIVE_SCOPE, DemoProvider, Habits};
use grantkeeper::model::SystemClock;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use url::Url;

/// The connection that tests use.
pub(crate) const NAME: &str = "drive/reports";
/// The client secret of the application `drive`.
pub(crate) const CLIENT_SECRET: &str = "marked-client-secret";

/// A machine with the application `drive`, and its provider.
pub(crate) struct Shop {
    pub(crate) machine: Machine,
    pub(crate) provider: DemoProvider,
}

impl Shop {
    pub(crate) async fn new(habits: Habits) -> Self {
        let provider = DemoProvider::start(Arc::new(SystemClock), habits).await.unwrap();
        let redirect_url: Url = "http://127.0.0.1:8765/oauth/callback/drive".parse().unwrap();
        provider.register(Client::new("drive-client", CLIENT_SECRET.to_owned()).redirecting_to(redirect_url));
        let shop = Self { machine: Machine::new(), provider };
        shop.apply("script = \"OAuthGoogleDrive\"", "").done();
        shop
    }

    /// Applies the application `drive` with further lines at its head and at its end.
    pub(crate) fn apply(&self, head: &str, end: &str) -> Ran {
        let issuer = self.provider.issuer();
        let file = format!(
            r#"
            name = "drive"
            client_id = "drive-client"
            client_secret = "{CLIENT_SECRET}"
            {head}
            [endpoints]
            issuer = "{issuer}"
            authorization = "{issuer}/authorize"
            token = "{issuer}/token"
            revocation = "{issuer}/revoke"
            introspection = "{issuer}/introspect"
            device_authorization = "{issuer}/device/code"
            [profiles.default]
            scopes = ["{DRIVE_SCOPE}"]
            {end}
            "#
        );
        self.machine.run_with(&["app", "apply", "-f", "-", "--secrets-in-file"], &file)
    }

    /// With alice's grant.
    pub(crate) async fn connected(habits: Habits) -> Self {
        let shop = Self::new(habits).await;
        let consenting = Consenting::start(&shop.machine, &["connect", NAME, "--no-browser", "--port", "0"]);
        let callback = alice().consent(&consenting.url).await.unwrap();
        alice().open(&callback).await.unwrap();
        consenting.ended().done();
        shop
    }

    /// The id of the connection's credential of a kind.
    pub(crate) fn credential(&self, kind: &str) -> String {
        let all = self.machine.run(&["tokens", "--connection", NAME, "--json"]).json();
        let found = all.as_array().unwrap().iter().find(|credential| credential["type"] == kind);
        found.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// The status that the API answers a token with.
    pub(crate) async fn call(&self, token: &str) -> u16 {
        alice().api(&self.provider.files_url(), &token.trim().to_owned().into()).await.unwrap()
    }
}

/// The browser that consents.
pub(crate) fn alice() -> Browser {
    Browser::of("alice").unwrap()
}

/// A `connect` that waits for a person, and has told where to send them.
pub(crate) struct Consenting {
    pub(crate) url: Url,
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Consenting {
    pub(crate) fn start(machine: &Machine, arguments: &[&str]) -> Self {
        let (line, child, out) = Self::first_line(machine, arguments);
        Self { url: line.parse().unwrap_or_else(|_| panic!("no URL: {line:?}")), child, out }
    }

    /// Starts a command and reads the first line that it prints.
    pub(crate) fn first_line(machine: &Machine, arguments: &[&str]) -> (String, Child, BufReader<ChildStdout>) {
        let mut command = machine.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        if line.is_empty() {
            panic!("{:?}", Ran::of(child.wait_with_output().unwrap()));
        }
        (line.trim().to_owned(), child, out)
    }

    /// Types a line.
    pub(crate) fn paste(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// What it comes to when a signal is all that happens: its input stays open until it has ended.
    pub(crate) fn interrupted(mut self, signal: &str) -> Ran {
        let input = self.child.stdin.take();
        let sent =
            std::process::Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        let ran = self.ended();
        drop(input);
        ran
    }

    /// What it came to.
    pub(crate) fn ended(self) -> Ran {
        ended(self.child, self.out)
    }
}

/// What a started command came to, but for the lines of its output that were read.
pub(crate) fn ended(mut child: Child, mut out: BufReader<ChildStdout>) -> Ran {
    // The end of its input, for one that still reads it.
    drop(child.stdin.take());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut out, &mut rest).unwrap();
    let ran = Ran::of(child.wait_with_output().unwrap());
    Ran { out: rest, ..ran }
}
