//! The public calls. Each is thin: it finds the records, hands them to the room that knows, and commits. May use
//! every room below.

mod access;
mod applications;
mod authorize;
mod backup;
mod client;
mod complete;
mod connect;
mod connections;
mod credentials;
mod device;
mod discovery;
mod error;
mod events;
mod home;
mod identity;
mod keys;
mod moving;
mod revoke;
mod settings;
mod trying;
mod webhooks;

pub use access::{CreatedKey, NewKey};
pub use applications::Applied;
pub use authorize::{Authorization, AuthorizeOptions};
pub use backup::{RestoreOptions, Restored};
pub use client::{Client, RequestBuilder};
pub use complete::Awaited;
pub use connect::{ConnectOptions, Proof};
pub use connections::Standing;
pub use credentials::{CredentialState, CredentialView, Holding};
pub use device::{DevicePoll, DeviceStart};
pub use error::Error;
pub use events::{Looked, Recent};
pub use home::{Home, Initialised, KeySource};
pub use moving::{
    Defaults, ExportError, ExportPage, ExportReader, ExportWriter, FileFormat, Grant, GrantReader, HeldToken,
    ImportOptions, LeftOut, Line, Outcome, ReadError, Tokens,
};
pub use revoke::{ProviderSaid, Revocation};
pub use settings::{CallbackSettings, ServerSettings, Settings};
pub use trying::{ScriptTried, ScriptTry, Tried, Verdict};
pub use webhooks::{NewWebhook, WebhookEdit, WebhookSecret, WebhookStanding};

use crate::access::{Acting, AuditLog, Keys};
use crate::exchange::{Exchange, Exchanges};
#[cfg(feature = "demo")]
use crate::http::InProcess;
use crate::http::{HttpClient, Recorded, Tape};
use crate::model::{
    Action, Application, Clock, Connection, ConnectionName, Profile, RequestId, ScriptName, SystemClock, Target,
};
use crate::refresh::{Outlook, Refresher, Rejected, Round, Token, Want};
use crate::script::Scripts;
use crate::seal::Keyring;
use crate::store::{Change, SledOptions, SledStore, Store, StoreError};
use crate::vault::{Stored, Vault, VaultError};
use crate::webhooks::Webhooks;
use std::future::Future;
#[cfg(feature = "demo")]
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// Holds an application's grants and hands out tokens that work. Clones share everything; one process opens a home
/// once.
#[derive(Clone)]
pub struct Connector {
    vault: Vault,
    refresher: Refresher,
    exchanges: Exchanges,
    clock: Arc<dyn Clock>,
    settings: Arc<Settings>,
    store: Arc<dyn Store>,
    /// Where the keyring can be written, so that its keys can be rotated.
    key_file: Option<PathBuf>,
    tape: Option<Tape>,
    callers: Arc<client::Callers>,
    /// How many calls are under way that go to their end, whoever hangs up.
    calls: Arc<watch::Sender<usize>>,
    api_keys: Keys,
    log: AuditLog,
    hooks: Webhooks,
    /// In whose name calls are made: nothing is written into the audit log where nobody is named.
    acting: Option<Arc<Acting>>,
}

/// One call that goes to its end.
struct UnderWay(Arc<watch::Sender<usize>>);

impl UnderWay {
    fn one_more(calls: &Arc<watch::Sender<usize>>) -> Self {
        calls.send_modify(|calls| *calls += 1);
        Self(Arc::clone(calls))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|calls| *calls -= 1);
    }
}

/// A connector made of chosen parts: a store in memory, a clock that a test moves, a keyring from elsewhere.
pub struct Builder {
    store: Arc<dyn Store>,
    keyring: Keyring,
    key_file: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    scripts: Option<PathBuf>,
    given_scripts: Vec<(ScriptName, String)>,
    tape: Option<Tape>,
    #[cfg(feature = "demo")]
    detour: Option<SocketAddr>,
    #[cfg(feature = "demo")]
    inside: Option<(InProcess, Scripts)>,
}

impl Connector {
    /// Opens the connector of a home folder: its settings, its keys, its scripts and its store. Waits up to 10
    /// seconds for another process that holds the store.
    pub async fn open(home: &Home) -> Result<Self, Error> {
        Self::builder_of(home).await?.build_for_its_store().await
    }

    /// The same, recording what it sends and receives on a tape.
    pub async fn open_recording(home: &Home, tape: Tape) -> Result<Self, Error> {
        Self::builder_of(home).await?.tape(tape).build_for_its_store().await
    }

    async fn builder_of(home: &Home) -> Result<Builder, Error> {
        let settings = home.settings()?;
        home.keyring()?; // what is wrong with it is told before a store is waited for
        home.finish_restore()?;
        let folder = home.store();
        let opened = tokio::task::spawn_blocking(move || SledStore::open(&folder, &SledOptions::default())).await;
        let store = opened.map_err(|_| Error::Stopped("opening the store"))??;
        // Read now: who held the store until now may have rotated the keys, and what is sealed under a retired one is lost.
        let builder = Self::builder(Arc::new(store), home.keyring()?);
        let builder = match home.key_source(&settings) {
            KeySource::File(path) => builder.key_file(path),
            KeySource::Environment | KeySource::Credential(_) => builder,
        };
        Ok(builder.settings(settings).scripts(home.scripts()))
    }

    /// A connector over a store and a keyring.
    #[must_use]
    pub fn builder(store: Arc<dyn Store>, keyring: Keyring) -> Builder {
        Builder {
            store,
            keyring,
            key_file: None,
            clock: Arc::new(SystemClock),
            settings: Settings::default(),
            scripts: None,
            given_scripts: Vec::new(),
            tape: None,
            #[cfg(feature = "demo")]
            detour: None,
            #[cfg(feature = "demo")]
            inside: None,
        }
    }

    /// Waits for the refreshes under way and lets go of the store. For a process that ends, or that makes room for
    /// others while a person consents: one that just ends may break off a rotation.
    pub async fn close(self) {
        // An error is the end of the sender, which this holds.
        let _ = self.calls.subscribe().wait_for(|calls| *calls == 0).await;
        self.refresher.finish().await;
        if let Err(error) = self.api_keys.keep_uses().await {
            tracing::warn!("when API keys were last used could not be written down: {error}");
        }
        self.log.close().await;
    }

    /// How many calls and refreshes are under way that must not be broken off: [`close`](Self::close) waits for them.
    #[must_use]
    pub fn under_way(&self) -> usize {
        *self.calls.borrow() + self.refresher.under_way()
    }

    /// A token of a connection that works now: from memory, from the store, or refreshed if it must be.
    pub async fn token(&self, name: &ConnectionName) -> Result<Token, Error> {
        self.token_that(name, Want::Working).await
    }

    /// A token that fits a wish: good for a while, or newer than one that was rejected.
    pub async fn token_that(&self, name: &ConnectionName, want: Want) -> Result<Token, Error> {
        match &self.acting {
            Some(acting) => self.token_for(Acting::clone(acting), name, want).await,
            None => Ok(self.refresher.token(name, want).await?),
        }
    }

    /// Refreshes a connection now, whatever its token says. Callers at the same time share one refresh.
    pub async fn refresh(&self, name: &ConnectionName) -> Result<Token, Error> {
        let (this, name) = (self.clone(), name.clone());
        self.to_its_end(async move {
            this.audited(Action::Refresh, Target::of(&name), Box::pin(this.refresh_now(&name))).await
        })
        .await
    }

    async fn refresh_now(&self, name: &ConnectionName) -> Result<Token, Error> {
        let generation = self.connection(name).await?.generation;
        Ok(self.refresher.token(name, Want::Anew(generation)).await?)
    }

    /// An API rejected an access token: gives a newer one, refreshed where none is there yet. Any number of callers who report
    /// the same token cause one refresh, and a token that is held no longer causes none. Where nobody says how long tokens live, reports
    /// teach it: the next ones are refreshed before that age.
    pub async fn token_rejected(&self, name: &ConnectionName, rejected: impl Into<Rejected>) -> Result<Token, Error> {
        let told = self.refresher.token_rejected(name, &rejected.into()).await.map_err(Error::from);
        self.handed_out(Action::TokenRejected, name, told).await
    }

    /// What will happen to a connection next, and when.
    pub async fn outlook(&self, name: &ConnectionName) -> Result<Outlook, Error> {
        Ok(self.refresher.outlook(name).await?)
    }

    /// Refreshes a connection now, and gives up a reply that is kept because no script could read it: the refresh token that was
    /// sent for it is sent again. Where the provider has rotated it, the grant is lost (`rotation_lost`); for a reply that holds
    /// no token, this is the way out.
    pub async fn ask_again(&self, name: &ConnectionName) -> Result<Token, Error> {
        let (this, name) = (self.clone(), name.clone());
        self.to_its_end(async move {
            let asked = Box::pin(async {
                this.refresher.give_up_reply(&name).await?;
                this.refresh_now(&name).await
            });
            let what = |_: &Result<Token, Error>| (Target::of(&name), Some("gives up a kept reply".to_owned()));
            this.audited_as(Action::Refresh, asked, what).await
        })
        .await
    }

    /// Refreshes every connection that is due, and returns when that is done: for a job that runs now and then.
    pub async fn refresh_due(&self) -> Result<Round, Error> {
        let due = Box::pin(async {
            self.purge().await?;
            Ok(self.refresher.refresh_due().await?)
        });
        self.audited_as(Action::Refresh, due, |_| (None, Some("all that are due".to_owned()))).await
    }

    /// Keeps connections fresh until `shutdown` ends; refreshes under way are finished first.
    pub async fn run_background(&self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let ended = self.refresher.run_background(shutdown);
        tokio::select! {
            biased;
            ended = ended => Ok(ended?),
            never = self.keep_tidy() => match never {},
        }
    }

    /// The scripts, shipped and of the home folder.
    #[must_use]
    pub fn scripts(&self) -> &Scripts {
        self.exchanges.scripts()
    }

    /// The settings it was opened with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The clock it goes by.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// The application of a connection, its profile, and a ready exchange.
    async fn exchange(&self, connection: &Connection) -> Result<(Arc<Application>, Profile, Exchange), Error> {
        let application = self.vault.application_by_id(connection.application).await?;
        let application = application.ok_or_else(|| Error::NoApplication(connection.name.application().to_string()))?;
        // Found by the sealed id; its name must be the connection's too.
        if application.value.name != *connection.name.application() {
            return Err(Error::OtherApplication(connection.name.clone()));
        }
        let application = Arc::new(application.value);
        let profile = application.profile(&connection.profile).cloned();
        let profile = profile.ok_or_else(|| Error::NoProfile {
            application: application.name.clone(),
            profile: connection.profile.clone(),
        })?;
        let exchange = self.exchanges.of(&application, &profile, connection)?;
        Ok((application, profile, exchange))
    }

    /// Runs a call on a task of its own: a caller who hangs up must not cut it off between what the provider did and
    /// what the store knows of it.
    async fn to_its_end<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let under_way = UnderWay::one_more(&self.calls);
        let call = async move {
            let ended = call.await;
            drop(under_way);
            ended
        };
        tokio::spawn(RequestId::within(RequestId::current(), call)).await.unwrap_or(Err(Error::Stopped("the call")))
    }

    /// Records something, where somebody asked for it.
    fn record(&self, what: impl FnOnce() -> Recorded) {
        if let Some(tape) = &self.tape {
            tape.record(what());
        }
    }

    /// Commits; `false` when somebody else had changed one of the records.
    async fn committed(&self, changes: Vec<Change>) -> Result<bool, Error> {
        match self.vault.commit(changes).await {
            Ok(()) => Ok(true),
            Err(VaultError::Store(StoreError::Conflict)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// For fixtures, which say which refresh token must be held; nothing public tells one.
    #[cfg(feature = "demo")]
    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }

    async fn stored(&self, name: &ConnectionName) -> Result<Stored<Connection>, Error> {
        self.vault.connection(name).await?.ok_or_else(|| Error::NoConnection(name.clone()))
    }
}

impl Builder {
    /// The clock; the system's when none is given.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The file that the keyring was read from: keys are rotated there. Without one the keyring is never written.
    #[must_use]
    pub fn key_file(mut self, path: PathBuf) -> Self {
        self.key_file = Some(path);
        self
    }

    /// The settings; the defaults when none are given.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The folder with scripts of one's own; only the shipped ones when none is given.
    #[must_use]
    pub fn scripts(mut self, folder: PathBuf) -> Self {
        self.scripts = Some(folder);
        self
    }

    /// Scripts by their text. They go before those of the folder and the shipped ones.
    #[must_use]
    pub fn given_scripts(mut self, scripts: Vec<(ScriptName, String)>) -> Self {
        self.given_scripts = scripts;
        self
    }

    /// A tape to record on; nothing is recorded without one.
    #[must_use]
    pub fn tape(mut self, tape: Tape) -> Self {
        self.tape = Some(tape);
        self
    }

    /// An address of this machine that every request goes to instead of the provider, see [`HttpClient::with_detour`].
    #[cfg(feature = "demo")]
    #[must_use]
    pub fn detour(mut self, address: SocketAddr) -> Self {
        self.detour = Some(address);
        self
    }

    /// A connector that opens no socket and starts no thread, for simulations: requests are answered by a function
    /// ([`HttpClient::in_process`]), and scripts are shared ([`Scripts::inline`]).
    #[cfg(feature = "demo")]
    #[must_use]
    pub fn in_process(mut self, answers: InProcess, scripts: Scripts) -> Self {
        self.inside = Some((answers, scripts));
        self
    }

    /// The same, where the keys are the store's.
    async fn build_for_its_store(self) -> Result<Connector, Error> {
        let connector = self.build()?;
        connector.vault.has_its_keys().await?;
        Ok(connector)
    }

    /// The connector.
    pub fn build(mut self) -> Result<Connector, Error> {
        #[cfg(feature = "demo")]
        if let Some((answers, scripts)) = self.inside.take() {
            let http = HttpClient::in_process(&self.settings.http, answers);
            return Ok(self.over(http, scripts));
        }
        let http = HttpClient::new(&self.settings.http)?;
        let http = match &self.tape {
            Some(tape) => http.recording_on(tape.clone()),
            None => http,
        };
        #[cfg(feature = "demo")]
        let http = match self.detour {
            Some(address) => http.with_detour(address)?,
            None => http,
        };
        let given = std::mem::take(&mut self.given_scripts);
        let scripts = Scripts::with_given(self.scripts.as_deref(), given, self.settings.script)?;
        Ok(self.over(http, scripts))
    }

    fn over(self, http: HttpClient, scripts: Scripts) -> Connector {
        let vault = Vault::new(Arc::clone(&self.store), Arc::new(self.keyring));
        let callback = self.settings.callback.clone();
        let exchanges = Exchanges::new(
            http,
            scripts,
            Arc::clone(&self.clock),
            Arc::new(move |application| {
                application.redirect_url.clone().unwrap_or_else(|| callback.redirect_url(&application.name))
            }),
        );
        let refresh = self.settings.refresh.clone();
        let refresher = Refresher::new(vault.clone(), exchanges.clone(), Arc::clone(&self.clock), refresh);
        let settings = Arc::new(self.settings);
        let api_keys = Keys::new(vault.clone(), Arc::clone(&self.clock));
        let log = AuditLog::new(vault.clone(), Arc::clone(&self.clock));
        let hooks = Webhooks::new(vault.clone(), Arc::clone(&self.clock), log.clone(), settings.http.clone());
        Connector {
            vault,
            refresher,
            exchanges,
            clock: self.clock,
            settings,
            store: self.store,
            key_file: self.key_file,
            tape: self.tape,
            callers: Arc::default(),
            calls: Arc::default(),
            api_keys,
            log,
            hooks,
            acting: None,
        }
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("store", &self.store).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("store", &self.store).finish_non_exhaustive()
    }
}
