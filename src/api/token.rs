//! Tokens in clear: what callers came for.

use crate::model::{
    ConnectionName, Credential, Direction, Expiry, ExpirySource, Secret, Timestamp, TokenKind, sealed_option,
    sealed_text,
};
use crate::refresh::{Rejected, Token};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

/// An access token that works.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenDocument {
    /// The connection.
    pub connection: ConnectionName,
    /// The token itself.
    #[serde(with = "sealed_text")]
    #[schemars(with = "String")]
    pub access_token: Secret,
    /// Nearly always `Bearer`.
    pub token_type: String,
    /// When it ends.
    pub expires: Timestamp,
    /// Seconds until then.
    pub expires_in: u64,
    /// Who said so: `stated`, `setting`, `default` or `edited`.
    pub expires_source: ExpirySource,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// The generation that brought it: name it when the token was rejected.
    pub generation: u64,
    /// The credential's id.
    pub credential: Uuid,
}

impl TokenDocument {
    /// What is told of a token, the token included.
    #[must_use]
    pub fn of(token: &Token, now: Timestamp) -> Self {
        Self {
            connection: token.connection().clone(),
            access_token: token.secret().clone(),
            token_type: token.token_type().to_owned(),
            expires: token.expires().at,
            expires_in: token.expires().seconds_left(now),
            expires_source: token.expires().source,
            scopes: token.scopes().to_owned(),
            generation: token.generation(),
            credential: token.credential_id(),
        }
    }

    /// The same as JSON. All of it but the seconds until its end is written once for each token: it is handed out much more often than it changes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn json_of(token: &Token, now: Timestamp) -> serde_json::Result<Vec<u8>> {
        let left = token.expires().seconds_left(now);
        let (before, behind) = token.written(|| {
            let document = Self { expires_in: 0, ..Self::of(token, now) };
            // As large as it may become: what grows leaves copies behind.
            let mut text = Zeroizing::new(Vec::with_capacity(2048 + token.secret().expose().len()));
            let written = serde_json::to_writer(&mut *text, &document).is_ok();
            let text = std::str::from_utf8(&text).ok().filter(|_| written).unwrap_or_default();
            // Only the field begins with a bare quotation mark: within a text there is a backslash before it.
            let place = text.find(SECONDS).map_or(0, |at| at + SECONDS.len() - 2);
            (Secret::new(text), place)
        });
        let Some(behind) = behind.strip_prefix('0').filter(|_| !before.is_empty()) else {
            return serde_json::to_vec(&Self::of(token, now));
        };
        let mut text = Vec::with_capacity(before.len() + behind.len() + 20);
        text.extend_from_slice(before.as_bytes());
        serde_json::to_writer(&mut text, &left)?;
        text.extend_from_slice(behind.as_bytes());
        Ok(text)
    }

    /// The token.
    #[must_use]
    pub fn into_token(self) -> Token {
        let credential = Credential {
            id: self.credential,
            connection: Uuid::nil(),
            kind: TokenKind::AccessToken,
            direction: Direction::Received,
            generation: self.generation,
            token: self.access_token,
            token_type: self.token_type,
            scopes: self.scopes,
            issued: Timestamp::UNIX_EPOCH,
            expires: Expiry { at: self.expires, source: self.expires_source },
            revoked: None,
        };
        Token::from_elsewhere(self.connection, credential)
    }
}

/// Where the seconds until the end stand in the JSON of a token.
const SECONDS: &str = ",\"expires_in\":0,";

/// An API rejected a token: the one of a generation, the one that is given, or, where neither is said, the one that is held now.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RejectedRequest {
    /// The generation that brought it, as the token's document says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The token itself.
    #[serde(with = "sealed_option", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub access_token: Option<Secret>,
}

impl RejectedRequest {
    /// Of the library's.
    #[must_use]
    pub fn of(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Held => Self::default(),
            Rejected::Generation(generation) => Self { generation: Some(generation), access_token: None },
            Rejected::Token(token) => Self { generation: None, access_token: Some(token) },
        }
    }

    /// The library's; `None` where both a generation and a token are given.
    #[must_use]
    pub fn into_rejected(self) -> Option<Rejected> {
        match (self.generation, self.access_token) {
            (None, None) => Some(Rejected::Held),
            (Some(generation), None) => Some(Rejected::Generation(generation)),
            (None, Some(token)) => Some(Rejected::Token(token)),
            (Some(_), Some(_)) => None,
        }
    }
}

/// What a refresh brought, without the token.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RefreshedDocument {
    /// The connection.
    pub connection: ConnectionName,
    /// When its access token ends.
    pub expires: Timestamp,
    /// Who said so.
    pub expires_source: ExpirySource,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// The generation that it brought.
    pub generation: u64,
    /// The credential's id.
    pub credential: Uuid,
}

impl RefreshedDocument {
    /// What is told of a refreshed token.
    #[must_use]
    pub fn of(token: &Token) -> Self {
        Self {
            connection: token.connection().clone(),
            expires: token.expires().at,
            expires_source: token.expires().source,
            scopes: token.scopes().to_owned(),
            generation: token.generation(),
            credential: token.credential_id(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::later;
    use proptest::prelude::*;

    proptest! {
        /// Whatever a token's texts hold, and however often it is asked for: the same as serde writes.
        #[test]
        fn the_json_that_is_written_once_is_what_serde_writes(
            text in prop_oneof![".{1,40}", Just(r#"x","expires_in":0,"y"#.to_owned()), Just(SECONDS.to_owned())],
            seconds in 0..100_000_u64,
        ) {
            let now = Timestamp::UNIX_EPOCH;
            let document = TokenDocument {
                connection: "drive/reports".parse().unwrap(),
                access_token: Secret::new(text.as_str()),
                token_type: text.clone(),
                expires: later(now, 50_000),
                expires_in: 0,
                expires_source: ExpirySource::Stated,
                scopes: vec![text],
                generation: 7,
                credential: Uuid::nil(),
            };
            let token = document.into_token();
            for at in [now, later(now, seconds), later(now, 2 * seconds)] {
                let written = TokenDocument::json_of(&token, at).unwrap();
                prop_assert_eq!(written, serde_json::to_vec(&TokenDocument::of(&token, at)).unwrap());
            }
        }
    }
}
