//! Taking a person back who was sent to consent: the callback, from its URL to the sealed tokens.

use super::access::completed_for;
use super::authorize::{Consent, profile_of, with_labels};
use super::{Connector, Error};
use crate::exchange::{Answer, Ask};
use crate::http::Recorded;
use crate::model::{Action, Application, Connection, ConnectionName, Failure, FailureKind, Fields, Secret};
use crate::oauth::{self, CallbackError};
use crate::vault::{Pending, PendingKind, Vault, state_hash};
use subtle::ConstantTimeEq as _;
use url::Url;

/// Parameters of a callback that are looked at for a state beside `state`.
const MOST_NAMES: usize = 16;

/// What a callback is awaited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The connection that the person consents for.
    pub connection: ConnectionName,
    /// Where the browser was to come back to.
    pub redirect_url: Url,
    /// Where the person is sent when it is over.
    pub return_url: Option<Url>,
}

impl Connector {
    /// Completes an authorization with the whole URL that the browser was sent back to: the state is used up, the
    /// issuer checked, the code exchanged and the tokens sealed. One that a browser began is completed from that browser
    /// ([`Connector::complete_from`]).
    pub async fn complete(&self, callback: &str) -> Result<Connection, Error> {
        self.complete_from(callback, None).await
    }

    /// The same, with the secret that the browser shows ([`AuthorizeOptions::browser`](super::AuthorizeOptions::browser)). One that was begun without such a secret is
    /// completed whatever is shown.
    pub async fn complete_from(&self, callback: &str, browser: Option<&Secret>) -> Result<Connection, Error> {
        let (this, callback, browser) = (self.clone(), Secret::new(callback.trim()), browser.cloned());
        self.to_its_end(async move {
            let completed = Box::pin(this.complete_now(callback.expose(), browser.as_ref()));
            this.audited_as(Action::Complete, completed, |completed| (completed_for(completed), None)).await
        })
        .await
    }

    async fn complete_now(&self, callback: &str, browser: Option<&Secret>) -> Result<Connection, Error> {
        self.record(|| Recorded::Callback(callback.to_owned().into()));
        let mut params = oauth::parse_callback(callback)?;
        let (state, pending) = self.pending_of(&params).await?;
        let PendingKind::Redirect { redirect_url, verifier, .. } = &pending.kind else {
            return Err(Error::UnknownState);
        };
        // Before it is used up: the right browser may still come.
        let shown = browser.map(|secret| state_hash(secret.expose()));
        if pending.browser.is_some_and(|expected| !shown.is_some_and(|shown| bool::from(shown.ct_eq(&expected)))) {
            return Err(Error::OtherBrowser(pending.connection));
        }
        // Each application has a redirect URL of its own: a callback that arrived at another one is another
        // provider's, however right its state is (RFC 9700 section 4.4).
        if !is_at(callback, redirect_url) {
            return Err(Error::WrongRedirect { expected: redirect_url.clone() });
        }
        // Used up before anything is sent: of two callbacks with the same state one goes on.
        if !self.committed(vec![Vault::use_pending(&state)]).await? {
            return Err(Error::UnknownState);
        }
        if pending.expires <= self.clock.now() {
            return Err(Error::Expired(pending.connection));
        }
        let application = self.application_of(&pending).await?;
        let connection = self.stored(&pending.connection).await?;
        if !pending.is_for(&connection.value) {
            return Err(Error::RevokedMeanwhile(pending.connection));
        }
        let issuer = application.endpoints.issuer.as_ref().map(ToString::to_string);
        if let Err(error) = oauth::check_issuer(&params, issuer.as_deref(), application.iss_required) {
            self.not_consented(&connection).await?;
            return Err(error.into());
        }
        let habits = &application.habits.callback;
        if let Some(error) = signed(&params, &application).err() {
            self.not_consented(&connection).await?;
            return Err(error.into());
        }
        if let Some(code) = habits.code.as_ref().and_then(|name| params.remove(name)) {
            params.put("code", code);
        }
        let declared: Fields =
            habits.keep.iter().flatten().filter_map(|name| Some((name.clone(), params.get(name)?.clone()))).collect();
        let mut told = params.as_object().clone();
        told.retain(|name, _| !matches!(name.as_str(), "code" | "state"));
        let profile = profile_of(&application, &pending.profile)?;
        let holder = with_labels(&connection.value, &pending.labels);
        let exchange = self.exchanges.of(&application, profile, &holder)?;
        let consented = match params.contains("error") {
            true => Ok((params, Fields::new())),
            false => exchange.callback(params).await.map_err(Error::from),
        };
        let code = consented.and_then(|(params, kept)| Ok((oauth::authorization_code(&params)?, kept)));
        let (code, mut kept) = match code {
            Ok(code) => code,
            Err(error) => {
                self.not_consented(&connection).await?;
                return Err(match error {
                    Error::Callback(CallbackError::Denied { words }) => {
                        let failure = Failure::new(FailureKind::ReauthorizationRequired, "access_denied");
                        let failure = words.iter().fold(failure, |failure, words| failure.with_words(words));
                        Error::Denied { connection: pending.connection, failure }
                    }
                    other => other,
                });
            }
        };
        for (name, value) in declared {
            kept.entry(name).or_insert(value);
        }
        // The callback may decide where the token endpoint is (Shopify's `shop`), within the application's hosts.
        let mut holder = holder;
        holder.fields.extend(kept.clone());
        let exchange = self.exchanges.of(&application, profile, &holder)?;
        let ask = Ask::Code {
            code,
            verifier: verifier.clone(),
            redirect_url: redirect_url.clone(),
            state: Secret::new(state.as_str()),
        };
        // Kept fields first: a reply's own fields of the same name are newer.
        match exchange.ask(&ask, profile).await {
            Ok(answer) => {
                let mut consent = Consent::of(pending);
                consent.told.callback = told;
                Box::pin(self.welcome(&application, consent, &exchange, with_fields(kept, answer))).await
            }
            Err(error) => {
                self.not_consented(&connection).await?;
                Err(Error::NotAuthorized { connection: pending.connection, error })
            }
        }
    }

    /// What a callback is awaited for, by the state in it; asked before it is completed, for then its state is used up.
    pub async fn awaited(&self, callback: &str) -> Result<Awaited, Error> {
        let (_, pending) = self.pending_of(&oauth::parse_callback(callback.trim())?).await?;
        let PendingKind::Redirect { redirect_url, .. } = pending.kind else { return Err(Error::UnknownState) };
        Ok(Awaited { connection: pending.connection, redirect_url, return_url: pending.return_url })
    }

    /// Whether a person may still come back with a state that was given out for a connection.
    ///
    /// # Errors
    /// [`Error::UnknownState`] where it was used, given up or never given out for it, and [`Error::Expired`] where they took too long.
    pub async fn is_awaited(&self, connection: &ConnectionName, state: &Secret) -> Result<(), Error> {
        let pending = self.vault.pending(state.expose()).await?;
        let pending = pending.filter(|pending| pending.connection == *connection).ok_or(Error::UnknownState)?;
        if pending.expires > self.clock.now() { Ok(()) } else { Err(Error::Expired(connection.clone())) }
    }

    /// The pending authorization whose state a callback carries, in the parameter that its application says.
    async fn pending_of(&self, params: &oauth::Params) -> Result<(String, Pending), Error> {
        let texts = params.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
        let (standard, others): (Vec<_>, Vec<_>) = texts.partition(|(name, _)| *name == "state");
        let mut found = None;
        for (name, text) in standard.iter().chain(others.iter().take(MOST_NAMES)) {
            if let Some(pending) = self.vault.pending(text).await? {
                found = Some(((*name).to_owned(), (*text).to_owned(), pending));
                break;
            }
        }
        let Some((name, state, pending)) = found else {
            return Err(if standard.is_empty() { Error::NoState } else { Error::UnknownState });
        };
        let application = self.vault.application_by_id(pending.application).await?;
        let expected = application.and_then(|stored| stored.value.habits.callback.state);
        if name == expected.as_deref().unwrap_or("state") { Ok((state, pending)) } else { Err(Error::NoState) }
    }
}

/// Checks the signature of a callback where the provider signs it.
fn signed(params: &oauth::Params, application: &Application) -> Result<(), CallbackError> {
    match (&application.habits.callback.hmac, &application.client_secret) {
        (Some(parameter), Some(secret)) => oauth::check_hmac(params, parameter, secret),
        (Some(parameter), None) => Err(CallbackError::NotSigned(parameter.clone())),
        (None, _) => Ok(()),
    }
}

/// Whether a callback arrived at a redirect URL: the same scheme, host, port and path.
fn is_at(callback: &str, redirect_url: &Url) -> bool {
    Url::parse(callback).is_ok_and(|url| {
        (url.scheme(), url.host(), url.port_or_known_default(), url.path())
            == (redirect_url.scheme(), redirect_url.host(), redirect_url.port_or_known_default(), redirect_url.path())
    })
}

fn with_fields(mut kept: Fields, answer: Answer) -> Answer {
    kept.extend(answer.kept);
    Answer { kept, ..answer }
}
