//! Tokens in memory. An entry is a hint: whoever takes it checks its expiry, and every change of a connection in
//! this process removes it. Two processes never hold the same sled store at once, so there is no other process to tell.

use super::Token;
use crate::model::ConnectionName;
use quick_cache::sync::Cache as QuickCache;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tokens kept: more than the connections that one process serves at a time in practice, at about 500 bytes each.
const MOST_TOKENS: usize = 50_000;

pub(super) struct Cache {
    tokens: QuickCache<ConnectionName, Token>,
    removals: AtomicU64,
}

/// How many removals there had been. Whoever reads the store to fill the cache takes it first: a token that was
/// read before a revocation must not come into the cache after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Epoch(u64);

impl Cache {
    pub(super) fn new() -> Self {
        Self { tokens: QuickCache::new(MOST_TOKENS), removals: AtomicU64::new(0) }
    }

    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.removals.load(Ordering::SeqCst))
    }

    pub(super) fn get(&self, name: &ConnectionName) -> Option<Token> {
        self.tokens.get(name)
    }

    /// Keeps a token that was read from the store after `seen`, unless anything was removed since.
    pub(super) fn put(&self, token: Token, seen: Epoch) {
        let name = token.connection().clone();
        if self.epoch() == seen {
            self.tokens.insert(name.clone(), token);
        }
        // A removal between the look and the insertion found nothing to remove.
        if self.epoch() != seen {
            self.tokens.remove(&name);
        }
    }

    pub(super) fn remove(&self, name: &ConnectionName) {
        self.removals.fetch_add(1, Ordering::SeqCst);
        self.tokens.remove(name);
    }

    pub(super) fn clear(&self) {
        self.removals.fetch_add(1, Ordering::SeqCst);
        self.tokens.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Connection, Credential, Direction, Expiry, ExpirySource, Secret, Timestamp, TokenKind};
    use uuid::Uuid;

    fn token(name: &ConnectionName) -> Token {
        let connection = Connection::new(name, Uuid::nil(), Timestamp::UNIX_EPOCH);
        let credential = Credential {
            id: Uuid::nil(),
            connection: Uuid::nil(),
            kind: TokenKind::AccessToken,
            direction: Direction::Received,
            generation: 1,
            token: Secret::new("t"),
            token_type: "Bearer".to_owned(),
            scopes: Vec::new(),
            issued: Timestamp::UNIX_EPOCH,
            expires: Expiry { at: Timestamp::UNIX_EPOCH, source: ExpirySource::Stated },
            revoked: None,
        };
        Token::new(&connection, credential, None)
    }

    #[test]
    fn a_token_that_was_read_before_a_revocation_is_not_kept_after_it() {
        let cache = Cache::new();
        let name: ConnectionName = "a/b".parse().unwrap();
        let seen = cache.epoch();
        cache.remove(&name);
        cache.put(token(&name), seen);
        assert!(cache.get(&name).is_none());
        cache.put(token(&name), cache.epoch());
        assert!(cache.get(&name).is_some());
    }
}
