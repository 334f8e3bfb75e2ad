//! A connector with many connections, each with an access token and a refresh token, as they lie after a consent.

use grantkeeper::connector::{Connector, Settings};
use grantkeeper::model::{
    Application, Clock, Connection, ConnectionName, ConnectionState, Credential, Direction, Expiry, ExpirySource,
    Secret, SystemClock, TestClock, Timestamp, TokenKind, later,
};
use grantkeeper::registry::parse_application;
use grantkeeper::seal::Keyring;
use grantkeeper::store::{Change, SledOptions, SledStore, Store};
use grantkeeper::vault::Vault;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Connections that are written in one commit.
const STEP: usize = 500;

/// A sled store in a folder with its keys, and the clock that its connectors go by.
pub(crate) struct Desk {
    pub(crate) store: Arc<SledStore>,
    pub(crate) vault: Vault,
    pub(crate) clock: TestClock,
    keys: String,
}

impl Desk {
    /// Opens or makes the store in a folder. Its clock stands at noon of a day.
    pub(crate) fn open(folder: &Path) -> Self {
        Self::open_at(folder, noon())
    }

    /// The same with a clock that starts now, for connectors that go by the system's.
    pub(crate) fn open_now(folder: &Path) -> Self {
        Self::open_at(folder, SystemClock.now())
    }

    fn open_at(folder: &Path, now: Timestamp) -> Self {
        let clock = TestClock::new(now);
        let store = Arc::new(SledStore::open(&folder.join("store"), &SledOptions::default()).expect("a store"));
        let file = folder.join("keys");
        let keyring = match file.exists() {
            true => Keyring::from_file(&file),
            false => Keyring::create_file(&file, clock.now()),
        };
        let keyring = keyring.expect("keys");
        let keys = keyring.to_text().to_string();
        let vault = Vault::new(Arc::clone(&store) as Arc<dyn Store>, Arc::new(keyring));
        Self { store, vault, clock, keys }
    }

    /// A connector over the store.
    pub(crate) fn connector(&self, settings: Settings, script: Option<&str>) -> Connector {
        self.connector_by(settings, script, Arc::new(self.clock.clone()))
    }

    /// A connector over the store, by another clock.
    pub(crate) fn connector_by(&self, settings: Settings, script: Option<&str>, clock: Arc<dyn Clock>) -> Connector {
        let keyring = Keyring::from_text(&self.keys, "the benchmark").expect("keys");
        let mut builder =
            Connector::builder(Arc::clone(&self.store) as Arc<dyn Store>, keyring).clock(clock).settings(settings);
        if let Some(text) = script {
            builder = builder.given_scripts(vec![(SCRIPT.parse().expect("a name"), text.to_owned())]);
        }
        builder.build().expect("a connector")
    }

    /// Applies an application at a provider, with further lines at the head of its file.
    pub(crate) async fn apply(&self, connector: &Connector, name: &str, provider: &str, lines: &str) -> Application {
        let file = format!(
            r#"
            name = "{name}"
            client_id = "bench-client"
            client_secret = {{ env = "ANY" }}
            {lines}
            [endpoints]
            authorization = "{provider}/authorize"
            token = "{provider}/token"
            [profiles.default]
            scopes = ["files.read"]
            "#
        );
        let draft = parse_application(&file, "bench.toml", false).expect("an application");
        connector.apply(draft, &mut |_| Ok(Secret::new("bench-secret"))).await.expect("it is applied").0
    }

    /// Adds connections, named by their numbers, each with two credentials; all of them are due at `due(number)`.
    pub(crate) async fn add(
        &self,
        application: &Application,
        numbers: std::ops::Range<usize>,
        due: impl Fn(usize) -> Timestamp,
    ) {
        for first in numbers.clone().step_by(STEP) {
            let step = first..numbers.end.min(first + STEP);
            self.vault.commit(self.changes(application, step, &due)).await.expect("they are stored");
        }
    }

    /// What adds connections to the store.
    pub(crate) fn changes(
        &self,
        application: &Application,
        numbers: std::ops::Range<usize>,
        due: impl Fn(usize) -> Timestamp,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for number in numbers {
            let (connection, credentials) = self.connection(application, number, due(number));
            changes.push(self.vault.put_connection(&connection, None).expect("a connection"));
            for credential in credentials {
                changes.push(self.vault.put_credential(&credential, None).expect("a credential"));
            }
        }
        changes
    }

    fn connection(&self, application: &Application, number: usize, due: Timestamp) -> (Connection, [Credential; 2]) {
        let now = self.clock.now();
        let mut connection = Connection::new(&name(application, number), application.id, now);
        connection.state = ConnectionState::Active;
        connection.generation = 1;
        connection.authorized = Some(now);
        connection.due = Some(due);
        let made = |kind, token: String, life| Credential {
            id: Uuid::now_v7(),
            connection: connection.id,
            kind,
            direction: Direction::Received,
            generation: 1,
            token: Secret::new(token),
            token_type: "Bearer".to_owned(),
            scopes: vec!["files.read".to_owned()],
            issued: now,
            expires: Expiry { at: later(now, life), source: ExpirySource::Stated },
            revoked: None,
        };
        // Random at their heads, as long as those of well-known providers.
        let access = made(TokenKind::AccessToken, format!("at-{}-{number:0>30}", Uuid::new_v4()), 3600);
        let refresh = made(TokenKind::RefreshToken, format!("rt-{}-{number:0>30}", Uuid::new_v4()), 30 * 86_400);
        (connection, [access, refresh])
    }

    /// Lets the tokens of the last refresh become due.
    pub(crate) fn pass_an_hour(&self) {
        self.clock.advance(Duration::from_secs(3600));
    }
}

/// The name of a connection by its number.
pub(crate) fn name(application: &Application, number: usize) -> ConnectionName {
    format!("{}/user-{number:07}", application.name).parse().expect("a name")
}

/// When the clock starts.
pub(crate) fn noon() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().expect("a time")
}

/// The name of the script that a benchmark brings.
pub(crate) const SCRIPT: &str = "OAuthBench";
