//! Whose account a grant is for: the id token, checked; userinfo, asked; the account that they name.

use super::{Answer, Exchange, ExchangeError, shaping};
use crate::model::{Account, Fields, GrantType, Method, Secret, Timestamp, quoted};
use crate::oauth::{
    self, AccountSources, ExpectedIdToken, IdToken, IdTokenError, account_of, is_userinfo_of, needs_userinfo,
    read_id_token, states_account, validate_id_token,
};
use http::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue};
use zeroize::Zeroizing;

/// What is known of a consent beside its token reply.
#[derive(Clone, Default)]
pub struct Told {
    /// The callback's parameters.
    pub callback: Fields,
    /// The nonce of the authorization request, where one was sent.
    pub nonce: Option<Secret>,
}

/// Whose account a grant is for.
#[derive(Debug)]
pub enum Whose {
    /// This one's.
    Known(Account),
    /// It is not known: why.
    Unknown(String),
}

impl Exchange {
    /// Whose account the tokens of an answer are for, which just came.
    ///
    /// # Errors
    /// When an id token is not what it must be: then nothing of the answer is believed. That userinfo does not answer is
    /// no error.
    pub async fn whose(&self, answer: &Answer, told: &Told, grant: GrantType) -> Result<Whose, ExchangeError> {
        let habits = &self.application.habits.account;
        let id_token = match &answer.reply.id_token {
            Some(token) => self.id_token(token, told.nonce.as_ref(), self.clock.now()).await?,
            None => None,
        };
        let mut sources = AccountSources {
            id_token: id_token.as_ref(),
            userinfo: None,
            reply: Some(&answer.reply.extra),
            reply_root: self.application.habits.reply.places.root.as_deref(),
            callback: Some(&told.callback),
        };
        let (mut userinfo, mut trouble) = (None, None);
        // Our own client is nobody whom userinfo knows.
        if grant != GrantType::ClientCredentials && needs_userinfo(habits, &sources) {
            match self.userinfo(answer).await {
                Ok(claims) if is_userinfo_of(&claims, id_token.as_ref()) => userinfo = Some(claims),
                Ok(_) => trouble = Some("userinfo speaks of another subject than the id token".to_owned()),
                Err(why) => trouble = Some(why),
            }
        }
        sources.userinfo = userinfo.as_ref();
        let account = account_of(habits, &sources);
        let connection = &self.of.connection;
        if let Some(why) = &trouble {
            tracing::warn!(%connection, "userinfo did not tell whose account it is: {why}");
        }
        Ok(match account {
            Some(account) => Whose::Known(account),
            None if states_account(habits) && grant != GrantType::ClientCredentials => {
                Whose::Unknown(trouble.unwrap_or_else(|| {
                    let why = format!("the provider sent nothing at {}", habits.id.join(", "));
                    tracing::warn!(%connection, "whose account it is was not told: {why}");
                    why
                }))
            }
            // Nobody asked for it.
            None => {
                Whose::Unknown("it brought no id token, and the application does not say what else tells".to_owned())
            }
        })
    }

    /// The id token, checked as far as the application says what it must be.
    async fn id_token(
        &self,
        token: &Secret,
        nonce: Option<&Secret>,
        received: Timestamp,
    ) -> Result<Option<IdToken>, ExchangeError> {
        let endpoints = &self.application.endpoints;
        let (Some(issuer), Some(jwks)) = (&endpoints.issuer, &endpoints.jwks) else {
            return match read_id_token(token, nonce) {
                Ok(token) => Ok(Some(token)),
                Err(error @ IdTokenError::Nonce) => Err(ExchangeError::IdToken(error)),
                // Some call something else by that name.
                Err(error) => {
                    let connection = &self.of.connection;
                    tracing::warn!(%connection, "the id token was not read: {error}");
                    Ok(None)
                }
            };
        };
        let issuer = issuer.to_string();
        let expected = ExpectedIdToken { issuer: &issuer, client_id: &self.application.client_id, nonce, received };
        let fetch = || self.key_sets.fetch(&self.http, &self.application, jwks, self.clock.as_ref());
        let kept = self.key_sets.kept(jwks, received);
        let fresh = kept.is_none();
        let keys = match kept {
            Some(keys) => keys,
            None => fetch().await?,
        };
        let checked = match validate_id_token(token, &keys, &expected) {
            // The provider may have changed its keys since: once, and not again for a set that is new already.
            Err(error) if error.may_need_newer_keys() && !fresh => {
                validate_id_token(token, fetch().await?.as_ref(), &expected)
            }
            checked => checked,
        };
        checked.map(Some).map_err(ExchangeError::IdToken)
    }

    /// What userinfo says (OpenID Connect Core section 5.3), or why it says nothing.
    async fn userinfo(&self, answer: &Answer) -> Result<Fields, String> {
        let endpoint = self.application.endpoints.userinfo.as_ref();
        let endpoint = endpoint.ok_or_else(|| self.missing("userinfo").to_string())?;
        let habits = &self.application.habits.account;
        let method = match habits.method {
            Some(Method::Post) => http::Method::POST,
            Some(Method::Get) | None => http::Method::GET,
        };
        let mut request = http::Request::new(Zeroizing::new(Vec::new()));
        *request.method_mut() = method;
        *request.uri_mut() = endpoint.as_str().parse().map_err(|_| "its URL is none that HTTP can carry".to_owned())?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let token = &answer.reply.access_token;
        let bearer = Zeroizing::new(format!("{} {}", answer.reply.token_type, token.expose()));
        let mut more = vec![(AUTHORIZATION.as_str().to_owned(), Secret::new(bearer.as_str()))];
        more.extend(shaping::headers(self, &habits.headers).map_err(|error| error.to_string())?);
        for (name, value) in more {
            let bad = || format!("the header {} of the userinfo request is none", quoted(&name));
            let mut sent = HeaderValue::from_str(value.expose()).map_err(|_| bad())?;
            sent.set_sensitive(true);
            headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?, sent);
        }
        let reply = self.http.send(request, |url| self.application.allows(url)).await;
        let reply = reply.map_err(|error| error.to_string())?;
        if !(200..300).contains(&reply.status) {
            return Err(format!("it answered with status {}", reply.status));
        }
        let params = oauth::read_reply(&reply).map_err(|error| error.to_string())?;
        Ok(params.into_object())
    }
}
