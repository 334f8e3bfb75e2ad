//! A process: one connector with its store, its clock and its way to the provider, and the calls that are made of it.

use super::chance::Chance;
use super::network::Network;
use super::store::{Disk, SimStore};
use super::witness::Witness;
use super::world::{Life, SimClock, World};
use grantkeeper::connector::{ConnectOptions, Connector, Error, Proof, Settings};
use grantkeeper::model::{ConnectionName, Secret};
use grantkeeper::refresh::{RefreshError, Want};
use grantkeeper::registry::parse_application;
use grantkeeper::script::Scripts;
use grantkeeper::seal::Keyring;
use std::sync::Arc;

/// What every process of a run is made of.
pub(super) struct Parts {
    pub(super) world: Arc<World>,
    pub(super) network: Arc<Network>,
    pub(super) disk: Arc<Disk>,
    pub(super) witness: Arc<Witness>,
    pub(super) scripts: Scripts,
    pub(super) keys: String,
    /// Whether one process alone holds the store.
    pub(super) exclusive: bool,
}

/// One process, until it is killed.
pub(super) struct Process {
    pub(super) life: Arc<Life>,
    store: Arc<SimStore>,
    connector: Connector,
    parts: Arc<Parts>,
}

impl Process {
    /// Starts a process with a number that no other has had; `background` is whether it keeps connections fresh.
    pub(super) fn start(parts: &Arc<Parts>, number: u64, background: bool) -> Self {
        let life = Life::new(&parts.world, number);
        let store = SimStore::new(&life, &parts.disk, parts.exclusive);
        let chance: &Chance = &parts.world.chance;
        let off = i64::try_from(chance.of(0..2000)).unwrap() - 1000;
        let mut settings = Settings::default();
        settings.refresh.longest_wait = 60;
        settings.refresh.at_once = 4;
        let keyring = Keyring::from_text(&parts.keys, "the simulation").unwrap();
        let connector = Connector::builder(Arc::clone(&store) as _, keyring)
            .clock(Arc::new(SimClock { life: Arc::clone(&life), off }))
            .settings(settings)
            .in_process(parts.network.of(&life), parts.scripts.clone())
            .build()
            .unwrap();
        if background {
            let connector = connector.clone();
            tokio::spawn(async move { connector.run_background(std::future::pending()).await });
        }
        parts.world.tell(|| format!("process {number}: starts, background {background}"));
        Self { life, store, connector, parts: Arc::clone(parts) }
    }

    /// Ends it in the middle of whatever it does.
    pub(super) async fn kill(&self) {
        self.parts.world.tell(|| format!("process {}: is killed", self.life.number));
        self.life.kill();
        self.store.after_death().await;
        self.parts.witness.is_dead(self.life.number);
    }

    /// Gives the application this script.
    pub(super) async fn apply(&self, script: &str) -> Result<(), Error> {
        let file = format!(
            r#"
            name = "app"
            client_id = "client"
            client_secret = {{ env = "ANY" }}
            script = "{script}"

            [endpoints]
            authorization = "https://provider.example/authorize"
            token = "https://provider.example/token"
            revocation = "https://provider.example/revoke"

            [profiles.default]
            scopes = ["all"]
            "#
        );
        let draft = parse_application(&file, "app.toml", false).unwrap();
        self.connector.apply(draft, &mut |_| Ok(Secret::new("client-secret"))).await.map(|_| ())
    }

    /// A caller asks for a token, on a task of its own.
    pub(super) fn ask(&self, name: &ConnectionName, want: Want) {
        let (connector, name, parts, life) = self.handles(name);
        tokio::spawn(async move {
            let began = parts.witness.asks(life.number, &name);
            let now = connector.clock().now();
            match connector.token_that(&name, want).await {
                Ok(token) => {
                    parts.witness.has_token(&began, want, now, &token);
                }
                Err(Error::Refresh(error)) => {
                    parts.witness.has_none(&began, want, now, &error).await;
                }
                Err(other) => parts.world.broken(format!("process {}: {name}: {other}", life.number)),
            }
        });
    }

    /// The connection is refreshed, and whoever asks waits for it.
    pub(super) async fn refresh(&self, name: &ConnectionName) -> Result<u64, Error> {
        self.connector.refresh(name).await.map(|token| token.generation())
    }

    /// What cron runs.
    pub(super) fn refresh_due(&self) {
        let connector = self.connector.clone();
        tokio::spawn(async move { connector.refresh_due().await.map(|_| ()) });
    }

    /// A connection is ended.
    pub(super) fn revoke(&self, name: &ConnectionName) {
        let (connector, name, parts, life) = self.handles(name);
        tokio::spawn(async move {
            let began = parts.witness.asks(life.number, &name);
            let ended = connector.revoke(&name).await;
            parts.world.tell(|| format!("process {}: revoked {name}: {}", life.number, ended.is_ok()));
            if ended.is_ok() {
                let stored = parts.disk.glass.connection(&name).await.unwrap().unwrap();
                parts.witness.is_revoked(&began, &stored.value);
            }
        });
    }

    /// A person consents again, and the connection goes on with the new grant.
    pub(super) async fn connect(&self, name: &ConnectionName) -> bool {
        let token = self.parts.network.provider.consent();
        self.parts.world.tell(|| format!("process {}: {name} is connected with {token}", self.life.number));
        self.parts.witness.consents(self.life.number, name, true);
        let options = ConnectOptions { proof: Proof::RefreshToken(Secret::new(token)), ..ConnectOptions::default() };
        let made = self.connector.connect(name, options).await;
        self.parts.world.tell(|| format!("process {}: {name} is connected: {}", self.life.number, made.is_ok()));
        self.parts.witness.consents(self.life.number, name, false);
        made.is_ok()
    }

    /// The same on a task of its own.
    pub(super) fn connect_behind(self: &Arc<Self>, name: &ConnectionName) {
        let (this, name) = (Arc::clone(self), name.clone());
        tokio::spawn(async move { this.connect(&name).await });
    }

    /// Somebody edits when the access token ends, or the labels of the connection.
    pub(super) fn edit(&self, name: &ConnectionName, seconds: i64) {
        let (connector, name, parts, _) = self.handles(name);
        tokio::spawn(async move {
            if seconds % 2 == 0 {
                let label = ("edited".to_owned(), seconds.to_string());
                return connector.set_labels(&name, [label].into()).await;
            }
            let of = connector.credentials(None, Some(&name)).await?;
            let Some(access) = of.iter().find(|it| it.kind == grantkeeper::model::TokenKind::AccessToken) else {
                return Ok(());
            };
            let at = parts.world.now() + jiff::SignedDuration::from_secs(seconds);
            connector.set_expires(access.id, at).await.map(|_| ())
        });
    }

    fn handles(&self, name: &ConnectionName) -> (Connector, ConnectionName, Arc<Parts>, Arc<Life>) {
        (self.connector.clone(), name.clone(), Arc::clone(&self.parts), Arc::clone(&self.life))
    }
}

/// Whether an error of a refresh is one that a caller may see.
pub(super) fn is_told(error: &RefreshError) -> bool {
    !matches!(error, RefreshError::Stopped | RefreshError::Vault(_))
}
