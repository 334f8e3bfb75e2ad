//! Further tokens of one reply (Slack's bot and person): each becomes a record of its own, named after its connection, so
//! that it has its own expiry, refresh, journal entry and failures, and one that dies does not take the others with it.

use super::settle::{Books, Settled, settle};
use crate::events::Telling;
use crate::exchange::Answer;
use crate::model::{Connection, ConnectionState, Fields, MOST_FURTHER_TOKENS, Timestamp};
use crate::oauth::TokenReply;
use crate::store::{Change, Expect, Key};
use crate::vault::{Stored, VaultError};
use std::collections::BTreeMap;

/// With what a reply came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// A new consent: nothing of the old grant stays.
    Consent,
    /// A refresh: a further token that is not in the reply goes on.
    Refresh,
}

/// Makes further tokens the next generation of their records, and tells the connection which there are. `books` are the
/// connection's own.
pub async fn settle_further(
    books: &Books<'_>,
    connection: &mut Connection,
    further: &BTreeMap<String, TokenReply>,
    arrival: Arrival,
    now: Timestamp,
) -> Result<Vec<Change>, VaultError> {
    let mut changes = Vec::new();
    if arrival == Arrival::Consent {
        let gone: Vec<String> =
            connection.tokens.iter().filter(|token| !further.contains_key(*token)).cloned().collect();
        for token in gone {
            changes.extend(without(books, connection, &token).await?);
            connection.tokens.remove(&token);
        }
    }
    for (token, reply) in further {
        let Ok(name) = connection.name.with_token(token) else {
            tracing::warn!(connection = %connection.name, "a further token of a reply has a name that cannot be one");
            continue;
        };
        if connection.tokens.len() >= MOST_FURTHER_TOKENS && !connection.tokens.contains(token) {
            tracing::warn!(connection = %connection.name, "a reply brings more further tokens than a connection takes");
            continue;
        }
        let stored = match books.vault.connection(&name).await? {
            Some(stored) => stored,
            None => Stored { value: Connection::new(&name, connection.application, now), version: 0 },
        };
        // What was ended on purpose comes back with a consent and not by itself.
        if arrival == Arrival::Refresh && stored.value.state == ConnectionState::Revoked {
            continue;
        }
        let old = books.vault.credentials(stored.value.id).await?;
        let inherits = arrival == Arrival::Refresh && stored.value.state.is_usable();
        let holder = Connection {
            application: connection.application,
            profile: connection.profile.clone(),
            labels: connection.labels.clone(),
            // Its own refreshes may go where the connection's fields say.
            fields: connection.fields.clone(),
            authorized: connection.authorized,
            account: connection.account.clone(),
            doubted: stored.value.doubted.filter(|_| inherits),
            doubted_until: stored.value.doubted_until.filter(|_| inherits),
            ..stored.value.clone()
        };
        let books = Books { old: if inherits { &old } else { &[] }, ..*books };
        let answer = Answer { reply: reply.clone(), kept: Fields::new() };
        let Settled { connection: next, access, changes: settled, .. } = settle(&books, &holder, answer, now)?;
        changes.extend(settled);
        let telling = Telling::of(books.vault, &stored.value, &next, now);
        changes.extend(if inherits { telling.refreshed(&access, None)? } else { telling.authorized(&access)? });
        if !inherits {
            changes.extend(old.iter().map(|before| Change::remove(Key::Credential(before.value.id), Expect::Any)));
            changes.push(Change::remove(Key::Flight(next.id), Expect::Any));
        }
        changes.push(books.vault.put_connection(&next, (stored.version > 0).then_some(stored.version))?);
        connection.tokens.insert(token.clone());
    }
    Ok(changes)
}

/// What removes a further token with everything that belongs to it.
async fn without(books: &Books<'_>, connection: &Connection, token: &str) -> Result<Vec<Change>, VaultError> {
    let Ok(name) = connection.name.with_token(token) else { return Ok(Vec::new()) };
    let Some(stored) = books.vault.connection(&name).await? else { return Ok(Vec::new()) };
    books.vault.removal(&stored).await
}
