//! A refresh brings tokens for the account that consented (OpenID Connect Core section 12.2).
//!
//! The signature of a refresh's id token is not checked: it came straight from the token endpoint over TLS (section
//! 3.1.3.7, item 6), and whether a grant lives on must not depend on whether another address answers.

use crate::exchange::{Answer, ExchangeError};
use crate::model::{Account, Application, Connection};
use crate::oauth::{AccountSources, IdToken, account_of, read_id_token};

/// Fails when an answer's id token names somebody else than the connection's account.
pub(super) fn same_account(connection: &Connection, answer: &Answer) -> Result<(), ExchangeError> {
    let held = connection.account.as_ref().and_then(|account| Some((account, account.subject.as_ref()?)));
    let Some((account, held)) = held else { return Ok(()) };
    let Some(token) = id_token(connection, answer) else { return Ok(()) };
    match (token.issuer(), token.subject()) {
        (Some(issuer), Some(sub)) if (issuer, sub) != (&held.issuer, &held.sub) => {
            Err(ExchangeError::OtherAccount { held: account.to_string(), given: format!("{sub} at {issuer}") })
        }
        _ => Ok(()),
    }
}

/// The account of a connection whose account nobody knows, as one that began with a refresh token from elsewhere.
pub(super) fn learned(application: &Application, connection: &Connection, answer: &Answer) -> Option<Account> {
    let id_token = id_token(connection, answer);
    let sources = AccountSources {
        id_token: id_token.as_ref(),
        reply: Some(&answer.reply.extra),
        reply_root: application.habits.reply.places.root.as_deref(),
        ..AccountSources::default()
    };
    account_of(&application.habits.account, &sources)
}

fn id_token(connection: &Connection, answer: &Answer) -> Option<IdToken> {
    let read = read_id_token(answer.reply.id_token.as_ref()?, None);
    read.inspect_err(|error| tracing::debug!(connection = %connection.name, "an id token was not read: {error}")).ok()
}
