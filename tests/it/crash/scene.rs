//! Grants at a strict provider, and the question that every crash test asks: is each of them still here?
//!
//! The provider lives in the test's own process and forgives nothing: a refresh token that comes a second time ends its grant. So
//! its books tell exactly what was given out, and they are compared with what lies in the store.

use super::child::Told;
use grantkeeper::connector::{ConnectOptions, Connector, Home, Proof};
use grantkeeper::demo::{Browser, Client, DRIVE_SCOPE, DemoProvider, Ended, Family, Habits, PASSWORD};
use grantkeeper::model::{
    Clock, ConnectionName, ConnectionState, ReauthorizationReason, Secret, SystemClock, TokenKind,
};
use grantkeeper::refresh::newest;
use grantkeeper::registry::parse_application;
use grantkeeper::store::{SledOptions, SledStore, Store};
use grantkeeper::vault::{Flight, Vault};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a crash left of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Left {
    /// Nothing was under way, and its refresh token is the provider's current one.
    Current,
    /// The journal says that a request may be on its way; the provider never got it.
    NeverArrived,
    /// The provider has rotated, and its reply lies in the journal.
    ReplyKept,
    /// The provider has rotated, and its reply did not become durable here: what only the provider could make good.
    InDoubt,
    /// The doubt was resolved, and the connection says `rotation_lost`.
    Lost,
}

/// What a run came to.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Connections by what a crash had left of them.
    pub(crate) left: BTreeMap<Left, usize>,
    /// Tokens that callers were given.
    pub(crate) told: usize,
    /// Starts that had to make sled anew from the journal, by what was noticed.
    pub(crate) healed: BTreeMap<String, usize>,
}

/// The applications of the connections in turn, each with its script: a reply that a script sees is kept before it does, and one that only the shipped
/// script sees is durable with what it brings.
const APPLICATIONS: [(&str, &str); 2] = [("crash", "OAuthUtil"), ("looks", "OAuthLooks")];

const SCRIPT: &str = "fn postprocessAccessToken(accessTokenResponse) { accessTokenResponse.getparameters(); }";

/// The name of a connection by its number.
pub(crate) fn name(number: usize) -> ConnectionName {
    format!("{}/{number}", APPLICATIONS[number % APPLICATIONS.len()].0).parse().unwrap()
}

/// A home with connections, their provider, and what callers were told.
pub(crate) struct Scene {
    pub(crate) home: Home,
    pub(crate) keys: PathBuf,
    provider: DemoProvider,
    names: Vec<ConnectionName>,
    /// The newest token of each that a caller has seen.
    seen: BTreeMap<ConnectionName, (u64, String)>,
    /// What was found after the crash before.
    found: BTreeMap<ConnectionName, Left>,
}

impl Scene {
    /// So many connections in a new home, each with a label of so many bytes.
    pub(crate) async fn new(folder: &Path, keys: &Path, connections: usize, label_bytes: usize) -> Self {
        let provider = DemoProvider::start(Arc::new(SystemClock), Habits::default()).await.unwrap();
        provider.register(Client::new("crash-client", "secret".to_owned()));
        let home = Home::new(folder, "").with_keys(keys);
        home.init(SystemClock.now()).unwrap();
        std::fs::write(home.scripts().join("OAuthLooks.rhai"), SCRIPT).unwrap();
        let connector = Connector::open(&home).await.unwrap();
        let issuer = provider.issuer();
        for (application, script) in APPLICATIONS {
            let file = format!(
                r#"
            name = "{application}"
            script = "{script}"
            client_id = "crash-client"
            client_secret = {{ env = "ANY" }}

            [endpoints]
            token = "{issuer}/token"
            revocation = "{issuer}/revoke"

            [profiles.default]
            grant = "password"
            username = "alice"
            scopes = ["{DRIVE_SCOPE}"]
            "#
            );
            let draft = parse_application(&file, "crash.toml", false).unwrap();
            connector.apply(draft, &mut |_| Ok(Secret::new("secret"))).await.unwrap();
        }
        let names: Vec<_> = (0..connections).map(name).collect();
        for name in &names {
            consent(&connector, name).await;
            connector.set_labels(name, [("filler".to_owned(), "x".repeat(label_bytes))].into()).await.unwrap();
        }
        Self { home, keys: keys.to_owned(), provider, names, seen: BTreeMap::new(), found: BTreeMap::new() }
    }

    /// Takes in what callers were told. Returns the failures among it.
    pub(crate) fn heard(&mut self, told: Vec<Told>, counts: &mut Counts) -> Vec<String> {
        let mut failures = Vec::new();
        for told in told {
            match told {
                Told::Token { name, generation, access } => {
                    counts.told += 1;
                    let seen = self.seen.entry(name).or_default();
                    if generation > seen.0 {
                        *seen = (generation, access);
                    }
                }
                Told::Dead { name } => {
                    let before = self.found.get(&name);
                    let known = matches!(before, Some(Left::InDoubt | Left::Lost));
                    assert!(known, "{name} was told to be dead, and the crash before had left it {before:?}");
                }
                Told::Failed(why) => failures.push(why),
            }
        }
        failures
    }

    /// Returns when the provider has dealt with every request that a process sent before it died.
    pub(crate) async fn quiet(&self) {
        let browser = Browser::of("alice").unwrap();
        let requests = || self.provider.token_requests("refresh_token");
        let mut before = None;
        while before != Some(requests()) {
            before = Some(requests());
            // Connections are taken in the order they were made, and each of these needs several turns of the server.
            for _ in 0..3 {
                browser.open(&self.provider.files_url()).await.unwrap();
            }
        }
    }

    /// Opens the store that a crash left in `folder`, compares every connection with the provider's books, and counts. Whatever is
    /// not explained by the journal fails the test.
    pub(crate) async fn look(&mut self, folder: &Path, counts: &mut Counts) -> SledStore {
        let store = Arc::new(SledStore::open(folder, &SledOptions::default()).unwrap());
        let found = self.judge(&(Arc::clone(&store) as Arc<dyn Store>)).await;
        for left in found.values() {
            *counts.left.entry(*left).or_default() += 1;
        }
        self.found = found;
        if let Some(healing) = store.healed() {
            // Without its numbers: what is wrong, and not where.
            let words = healing.noticed.split(' ').filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
            *counts.healed.entry(words.collect::<Vec<_>>().join(" ")).or_default() += 1;
        }
        Arc::into_inner(store).expect("nobody else has the store")
    }

    /// Starts again over what [`look`](Self::look) has seen, asks for a new token of every connection, and checks that each does
    /// what its state promised. The lost ones are consented to anew; at the end all are current.
    pub(crate) async fn recover(&mut self, store: SledStore) {
        let store: Arc<dyn Store> = Arc::new(store);
        let connector = Connector::builder(Arc::clone(&store), self.home.keyring().unwrap())
            .scripts(self.home.scripts())
            .build()
            .unwrap();
        for (name, left) in self.found.clone() {
            let before = self.provider.token_requests("refresh_token");
            let refreshed = connector.refresh(&name).await;
            let sent = self.provider.token_requests("refresh_token") - before;
            let connection = connector.connection(&name).await.unwrap();
            match left {
                Left::Current | Left::NeverArrived | Left::ReplyKept => {
                    let token = refreshed.unwrap_or_else(|error| panic!("{name}, found {left:?}: {error}"));
                    let expected = usize::from(left != Left::ReplyKept);
                    assert_eq!(sent, expected, "{name}, found {left:?}: a kept reply is read and nothing else is sent");
                    self.seen.insert(name, (token.generation(), token.secret().expose().to_owned()));
                }
                Left::InDoubt | Left::Lost => {
                    let error = refreshed.map(|token| token.generation()).unwrap_err();
                    assert_eq!(error.code(), "reauthorization_required", "{name}, found {left:?}: {error}");
                    let lost = ConnectionState::ReauthorizationRequired(ReauthorizationReason::RotationLost);
                    assert_eq!(connection.state, lost, "{name}, found {left:?}");
                    consent(&connector, &name).await;
                }
            }
        }
        connector.close().await;
        self.found = self.judge(&store).await;
        let all_current = self.found.values().all(|left| *left == Left::Current);
        assert!(all_current, "after everything was resolved: {:?}", self.found);
    }

    async fn judge(&self, store: &Arc<dyn Store>) -> BTreeMap<ConnectionName, Left> {
        let vault = Vault::new(Arc::clone(store), Arc::new(self.home.keyring().unwrap()));
        let families = self.provider.families();
        let mut found = BTreeMap::new();
        for name in &self.names {
            let connection = vault.connection(name).await.unwrap();
            let connection = connection.unwrap_or_else(|| panic!("{name} is gone")).value;
            let credentials = vault.credentials(connection.id).await.unwrap();
            let flight = vault.flight(connection.id).await.unwrap();
            if let Some((generation, access)) = self.seen.get(name) {
                assert!(
                    connection.generation >= *generation,
                    "{name}: a caller saw generation {generation}: {connection:?}"
                );
                let held = newest(&credentials, TokenKind::AccessToken);
                let same = held.is_some_and(|held| held.value.token.expose() == access);
                assert!(
                    connection.generation > *generation || same,
                    "{name}: a caller saw another token: {connection:?}"
                );
            }
            let held = newest(&credentials, TokenKind::RefreshToken);
            let held = held.unwrap_or_else(|| panic!("{name} has lost its refresh token: {connection:?}"));
            let left = match connection.state {
                ConnectionState::Active | ConnectionState::Degraded => {
                    let ours = flight.as_ref().is_none_or(|flight| flight.generation == connection.generation);
                    assert!(ours, "{name}: the journal speaks of another generation: {flight:?}, {connection:?}");
                    compare(&families, &held.value.token, flight.as_ref())
                }
                ConnectionState::ReauthorizationRequired(ReauthorizationReason::RotationLost) => {
                    let before = self.found.get(name);
                    let doubt = matches!(before, Some(Left::InDoubt | Left::Lost));
                    match compare(&families, &held.value.token, None) {
                        Err(_) if doubt => Ok(Left::Lost),
                        _ => Err(format!("it says rotation_lost, and the crash before had left it {before:?}")),
                    }
                }
                _ => Err("that is not a state that a crash leaves".to_owned()),
            };
            let left = left.unwrap_or_else(|why| panic!("{name} was lost: {why}: {connection:?}, {flight:?}"));
            found.insert(name.clone(), left);
        }
        found
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |left| self.left.get(&left).copied().unwrap_or(0);
        write!(
            f,
            "callers were given {} tokens; {} connections looked at: {} current, {} whose request never arrived, {} whose reply was \
             kept and read, {} in doubt that ended as rotation_lost, {} found as rotation_lost; sled made anew {} times",
            self.told,
            self.left.values().sum::<usize>(),
            count(Left::Current),
            count(Left::NeverArrived),
            count(Left::ReplyKept),
            count(Left::InDoubt),
            count(Left::Lost),
            self.healed.values().sum::<usize>(),
        )?;
        self.healed.iter().try_for_each(|(noticed, times)| write!(f, " ({times}: {noticed})"))
    }
}

/// What is left of a grant whose refresh token here is `held`, by the provider's books.
fn compare(families: &[Family], held: &Secret, flight: Option<&Flight>) -> Result<Left, String> {
    let newest_first = |family: &Family| family.refresh_tokens.iter().rev().position(|token| token == held);
    let (family, rotations) =
        families.iter().rev().find_map(|family| Some((family, newest_first(family)?))).ok_or("its token is unknown")?;
    let reply = flight.map(|flight| flight.reply.as_ref().map(|kept| &kept.reply));
    match (rotations, family.ended, reply) {
        (0, None, None) => Ok(Left::Current),
        (0, None, Some(None)) => Ok(Left::NeverArrived),
        (1, None, Some(Some(reply))) if reply.status == 200 => {
            let next = family.refresh_tokens.last().map(Secret::expose).unwrap_or_default();
            let body = String::from_utf8_lossy(&reply.body);
            body.contains(next).then_some(Left::ReplyKept).ok_or_else(|| "another reply was kept".to_owned())
        }
        // A start before this one may have asked again, with or without keeping the refusal.
        (1, None | Some(Ended::RefreshTokenReused), Some(None)) => Ok(Left::InDoubt),
        (1, Some(Ended::RefreshTokenReused), Some(Some(reply))) if reply.status == 400 => Ok(Left::InDoubt),
        _ => Err(format!(
            "the provider has rotated {rotations} times since, the grant has ended there: {:?}, and the journal says {}",
            family.ended,
            match reply {
                None => "nothing".to_owned(),
                Some(None) => "that a request was under way".to_owned(),
                Some(Some(reply)) => format!("that a reply came, with status {}", reply.status),
            }
        )),
    }
}

/// A new grant by the library.
pub(super) async fn consent(connector: &Connector, name: &ConnectionName) {
    let proof = Proof::Password(Secret::new(PASSWORD));
    connector.connect(name, ConnectOptions { proof, ..ConnectOptions::default() }).await.unwrap();
}
