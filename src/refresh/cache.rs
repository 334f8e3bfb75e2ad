//! Tokens in memory. An entry is a hint: whoever takes it checks its expiry, and every change of a connection in
//! this process removes it. Two processes never hold the same sled store at once, so there is no other process to tell.

use super::Token;
use crate::model::ConnectionName;
use quick_cache::sync::Cache as QuickCache;

/// Tokens kept: more than the connections that one process serves at a time in practice, at about 500 bytes each.
const MOST_TOKENS: usize = 50_000;

pub(super) struct Cache(QuickCache<ConnectionName, Token>);

impl Cache {
    pub(super) fn new() -> Self {
        Self(QuickCache::new(MOST_TOKENS))
    }

    pub(super) fn get(&self, name: &ConnectionName) -> Option<Token> {
        self.0.get(name)
    }

    pub(super) fn put(&self, token: Token) {
        self.0.insert(token.connection().clone(), token);
    }

    pub(super) fn remove(&self, name: &ConnectionName) {
        self.0.remove(name);
    }

    pub(super) fn clear(&self) {
        self.0.clear();
    }
}
