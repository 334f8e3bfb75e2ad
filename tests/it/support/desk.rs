//! A connector and a provider that share a clock, ready for a test.

use grantkeeper::connector::{AuthorizeOptions, Connector, Error};
use grantkeeper::demo::{Browser, Client, DRIVE_SCOPE, DemoProvider, Habits};
use grantkeeper::model::{Clock, Connection, ConnectionName, Secret, TestClock, Timestamp, TokenKind};
use grantkeeper::registry::parse_application;
use grantkeeper::seal::Keyring;
use grantkeeper::store::{MemoryStore, Store};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The connection that tests use.
pub(crate) const NAME: &str = "drive/reports";
/// The client secret of the application `drive`.
pub(crate) const CLIENT_SECRET: &str = "marked-client-secret";

/// A provider, a connector with the application `drive`, and the clock of both.
pub(crate) struct Desk {
    pub(crate) provider: DemoProvider,
    pub(crate) connector: Connector,
    pub(crate) clock: TestClock,
    pub(crate) name: ConnectionName,
    pub(crate) keys: String,
}

impl Desk {
    /// With the store in memory and `OAuthGoogleDrive`.
    pub(crate) async fn new(habits: Habits) -> Self {
        Self::with(habits, Arc::new(MemoryStore::new()), None, "script = \"OAuthGoogleDrive\"").await
    }

    /// With a store, a folder of scripts, and further lines at the head of the application's file.
    pub(crate) async fn with(habits: Habits, store: Arc<dyn Store>, scripts: Option<&Path>, lines: &str) -> Self {
        let clock = TestClock::new("2026-11-23T12:00:00Z".parse::<Timestamp>().unwrap());
        let provider = DemoProvider::start(Arc::new(clock.clone()), habits).await.unwrap();
        let keyring = Keyring::generate(clock.now()).unwrap();
        let keys = keyring.to_text().to_string();
        let mut builder = Connector::builder(store, keyring).clock(Arc::new(clock.clone()));
        if let Some(scripts) = scripts {
            builder = builder.scripts(scripts.to_owned());
        }
        let desk = Self { provider, connector: builder.build().unwrap(), clock, name: NAME.parse().unwrap(), keys };
        desk.apply(lines, "").await;
        let redirect_url = desk.connector.settings().callback.redirect_url(desk.name.application());
        let client = Client::new("drive-client", CLIENT_SECRET.to_owned()).redirecting_to(redirect_url);
        desk.provider.register(client);
        desk
    }

    /// Another process on a store with the same keys, the same scripts and the same clock.
    pub(crate) fn another(&self, store: Arc<dyn Store>, scripts: Option<&Path>) -> Connector {
        let keyring = Keyring::from_text(&self.keys, "the desk").unwrap();
        let mut builder = Connector::builder(store, keyring).clock(Arc::new(self.clock.clone()));
        if let Some(scripts) = scripts {
            builder = builder.scripts(scripts.to_owned());
        }
        builder.build().unwrap()
    }

    /// Applies the application `drive` with further lines at its head, and in its default profile.
    pub(crate) async fn apply(&self, lines: &str, profile: &str) {
        self.apply_as("drive", lines, profile).await;
    }

    /// The same for an application of another name, with the same client.
    pub(crate) async fn apply_as(&self, name: &str, lines: &str, profile: &str) {
        let issuer = self.provider.issuer();
        let file = format!(
            r#"
            name = "{name}"
            client_id = "drive-client"
            client_secret = {{ env = "ANY" }}
            {lines}

            [endpoints]
            issuer = "{issuer}"
            authorization = "{issuer}/authorize"
            token = "{issuer}/token"
            revocation = "{issuer}/revoke"
            introspection = "{issuer}/introspect"
            device_authorization = "{issuer}/device/code"

            [profiles.default]
            scopes = ["{DRIVE_SCOPE}"]
            {profile}
            "#
        );
        let draft = parse_application(&file, "drive.toml", false).unwrap();
        self.connector.apply(draft, &mut |_| Ok(Secret::new(CLIENT_SECRET))).await.unwrap();
    }

    /// The first step of a consent for another name.
    pub(crate) async fn consent_to(&self, name: &ConnectionName) -> Result<(), Error> {
        self.connector.authorize(name, AuthorizeOptions::default()).await.map(|_| ())
    }

    /// Through alice's consent.
    pub(crate) async fn consent(&self) -> Result<Connection, Error> {
        let callback = self.callback().await;
        self.connector.complete(&callback).await
    }

    /// Through alice's consent, up to the URL that her browser is sent back to.
    pub(crate) async fn callback(&self) -> String {
        let authorization = self.connector.authorize(&self.name, AuthorizeOptions::default()).await.unwrap();
        Browser::of("alice").unwrap().consent(&authorization.url).await.unwrap().into()
    }

    /// Lets the access token end.
    pub(crate) fn pass_an_hour(&self) {
        self.clock.advance(Duration::from_secs(3600));
    }

    /// The status that the API answers a token with.
    pub(crate) async fn call(&self, token: &Secret) -> u16 {
        Browser::of("alice").unwrap().api(&self.provider.files_url(), token).await.unwrap()
    }

    /// How many refresh requests came to the provider.
    pub(crate) fn refreshes(&self) -> usize {
        self.provider.token_requests("refresh_token")
    }

    /// The connection as it is stored.
    pub(crate) async fn connection(&self) -> Connection {
        self.connector.connection(&self.name).await.unwrap()
    }

    /// The id of the connection's credential of a kind.
    pub(crate) async fn credential(&self, kind: TokenKind) -> grantkeeper::connector::CredentialView {
        let all = self.connector.credentials(None, Some(&self.name)).await.unwrap();
        all.into_iter().find(|credential| credential.kind == kind).unwrap()
    }
}
