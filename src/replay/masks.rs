//! Secrets of a fixture by their names, so that a report can say which one it was and show none.

use super::fixture::{Fixture, Reply, Token};
use crate::oauth::{RawReply, read_reply};
use serde_json::Value;

/// The code of the callback where the fixture names none.
pub(super) const CODE: &str = "code-1";
/// The password of the password grant.
pub(super) const PASSWORD: &str = "password-1";

/// The secrets of one fixture.
pub(super) struct Masks(Vec<(String, String)>);

impl Masks {
    pub(super) fn of(fixture: &Fixture) -> Self {
        let mut masks = Self(Vec::new());
        masks.add(&fixture.client.secret, "client secret");
        masks.add(fixture.callback.get("code").map_or(CODE, String::as_str), "code");
        masks.add(PASSWORD, "password");
        masks.add(&fixture.stored.refresh_token, "stored refresh token");
        masks.add(&fixture.stored.access_token, "stored access token");
        for (number, exchange) in (1..).zip(&fixture.exchanges) {
            if let Some(Value::Object(fields)) = read(&exchange.reply) {
                for (name, value) in &fields {
                    masks.add_from(name, name, value, number);
                }
            }
        }
        // Of replies that are no JSON and no form.
        for (name, token) in tokens(fixture) {
            masks.add(&token.access_token, &format!("expected access token{name}"));
            masks.add(token.refresh_token.as_deref().unwrap_or_default(), &format!("expected refresh token{name}"));
        }
        masks
    }

    /// A value that is a secret whatever it is.
    pub(super) fn secret(&self, value: &str) -> String {
        let known = self.0.iter().find(|(secret, _)| secret == value);
        match known {
            Some((_, name)) => format!("‹{name}›"),
            None if matches!(value, "" | "*") => value.to_owned(),
            None => format!("‹unknown, {} characters›", value.chars().count()),
        }
    }

    /// A value that may hold a secret.
    pub(super) fn plain(&self, value: &str) -> String {
        if self.0.iter().any(|(secret, _)| secret == value) {
            return self.secret(value);
        }
        let mut shown = value.to_owned();
        for (secret, name) in self.0.iter().filter(|(secret, _)| secret.len() >= SHORTEST_WITHIN) {
            shown = shown.replace(secret, &format!("‹{name}›"));
        }
        shown
    }

    fn add(&mut self, secret: &str, name: &str) {
        if !secret.is_empty() && self.0.iter().all(|(known, _)| known != secret) {
            self.0.push((secret.to_owned(), name.to_owned()));
        }
    }

    fn add_from(&mut self, path: &str, name: &str, value: &Value, number: usize) {
        match value {
            Value::String(text) if is_secret_name(name) => self.add(text, &format!("{path} of reply {number}")),
            Value::Object(members) => {
                for (name, value) in members {
                    self.add_from(&format!("{path}.{name}"), name, value, number);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.add_from(&format!("{path}.{index}"), name, item, number);
                }
            }
            _ => {}
        }
    }
}

/// Whether a parameter or field of this name holds a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase().replace(['_', '-'], "");
    let plain = ["tokentype", "expire", "accesstokenurl"].iter().any(|word| lower.contains(word));
    !plain && SECRET_NAMES.iter().any(|secret| lower.contains(secret)) || matches!(lower.as_str(), "code" | "sign")
}

fn tokens(fixture: &Fixture) -> impl Iterator<Item = (String, &Token)> {
    let further = fixture.expect.tokens.iter().map(|(name, token)| (format!(" {name}"), token));
    fixture.expect.token.iter().map(|token| (String::new(), token)).chain(further)
}

fn read(reply: &Reply) -> Option<Value> {
    let body = reply.body.clone()?.into_bytes().into();
    let raw = RawReply { status: reply.status, headers: Vec::new(), body };
    Some(Value::Object(read_reply(&raw).ok()?.into_object()))
}

/// A shorter secret stands in many a word by chance.
const SHORTEST_WITHIN: usize = 6;

const SECRET_NAMES: [&str; 10] =
    ["token", "secret", "password", "assertion", "jwt", "apikey", "authcode", "verifier", "authorization", "cookie"];
