//! The process that is killed: this test's own program, started again to refresh all that a home holds for as long as it lives.

use grantkeeper::connector::{Connector, Error, Home};
use grantkeeper::model::ConnectionName;
use std::io::Write as _;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child as Process, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Where the child finds its home, and its keys.
const HOME: &str = "GRANTKEEPER_CRASH_HOME";
const KEYS: &str = "GRANTKEEPER_CRASH_KEYS";

/// Callers that want a new token of each connection, all the time.
const CALLERS: usize = 2;

/// What a child says when every grant was lost before it, and it can only wait for its end.
const IDLE: &str = "idle";

/// What the child told before it died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// A caller holds this token.
    Token { name: ConnectionName, generation: u64, access: String },
    /// A caller was told that the grant is dead.
    Dead { name: ConnectionName },
    /// A caller was told anything else.
    Failed(String),
}

/// A running child. It dies with this.
pub(crate) struct Child {
    process: Process,
    told: mpsc::UnboundedReceiver<Told>,
    tokens: watch::Receiver<usize>,
}

impl Child {
    /// Starts a child over a home.
    pub(crate) fn start(home: &Home, keys: &std::path::Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child::refreshes_until_it_is_killed", "--ignored", "--nocapture"])
            .env(HOME, home.folder())
            .env(KEYS, keys)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (sender, told) = mpsc::unbounded_channel();
        let (counter, tokens) = watch::channel(0);
        tokio::spawn(async move {
            // A line that the kill cut off was never told. The harness's own lines are nothing to us.
            while let Ok(Some(line)) = lines.next_line().await {
                if line == IDLE {
                    counter.send_modify(|count| *count = usize::MAX / 2);
                }
                let Some(told) = read(&line) else { continue };
                let is_token = matches!(told, Told::Token { .. });
                let _ = sender.send(told);
                counter.send_modify(|count| *count += usize::from(is_token));
            }
        });
        Self { process, told, tokens }
    }

    /// Returns when callers have seen so many tokens, or can see none any more.
    pub(crate) async fn has_told(&mut self, tokens: usize) {
        let counted = self.tokens.wait_for(|count| *count >= tokens).await.map(|_| ());
        assert!(counted.is_ok(), "the child ended by itself: {:?}", self.process.try_wait());
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    /// SIGKILL. Everything that it told until then.
    pub(crate) async fn kill(mut self) -> Vec<Told> {
        assert_eq!(self.process.try_wait().unwrap(), None, "the child ended by itself");
        self.process.kill().await.unwrap();
        let mut all = Vec::new();
        while let Some(told) = self.told.recv().await {
            all.push(told);
        }
        all
    }
}

/// The child's own part: a test only so that this program can be started as it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that the crash tests start and kill; alone it has nothing to do"]
async fn refreshes_until_it_is_killed() {
    let (Some(home), Some(keys)) = (std::env::var_os(HOME), std::env::var_os(KEYS)) else { return };
    let home = Home::new(home, "").with_keys(keys);
    tell("");
    let opened = async {
        let connector = Connector::open(&home).await?;
        let connections = connector.connections(None).await?;
        Ok::<_, Error>((connector, connections))
    };
    let (connector, connections) = match opened.await {
        Ok(opened) => opened,
        Err(error) => {
            tell(&format!("failed to start: {error}"));
            return std::future::pending().await;
        }
    };
    let mut callers = JoinSet::new();
    for connection in connections {
        for _ in 0..CALLERS {
            let (connector, name) = (connector.clone(), connection.name.clone());
            callers.spawn(async move {
                loop {
                    match connector.refresh(&name).await {
                        Ok(token) => tell(&format!("token {name} {} {}", token.generation(), token.secret().expose())),
                        Err(error) if error.code() == "reauthorization_required" => {
                            return tell(&format!("dead {name}"));
                        }
                        Err(error) => tell(&format!("failed {name}: {error}")),
                    }
                }
            });
        }
    }
    while callers.join_next().await.is_some() {}
    tell(IDLE);
    std::future::pending::<()>().await;
}

/// One write a line, so that a kill leaves it whole or not at all.
fn tell(line: &str) {
    if std::io::stdout().write_all(format!("{line}\n").as_bytes()).is_err() {
        std::process::exit(1); // nobody listens any more
    }
}

fn read(line: &str) -> Option<Told> {
    let (word, rest) = line.split_once(' ')?;
    match word {
        "token" => {
            let mut parts = rest.split(' ');
            let name = parts.next()?.parse().ok()?;
            let generation = parts.next()?.parse().ok()?;
            Some(Told::Token { name, generation, access: parts.next()?.to_owned() })
        }
        "dead" => Some(Told::Dead { name: rest.parse().ok()? }),
        "failed" => Some(Told::Failed(rest.to_owned())),
        _ => None,
    }
}
