//! What a log line or a message may not show, and taking it out.

use super::Context;
use crate::oauth::{Params, Value};
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// Values that must not be shown.
pub(super) struct Masks(Vec<Zeroizing<String>>);

/// A value shorter than this is not masked: it would tear every line apart, and no secret is that short.
const SHORTEST: usize = 4;

/// More values than this are not remembered; what comes after falls under the rule for long random texts.
const MOST: usize = 512;

/// A run of letters and digits this long, with both in it, is taken for a token whatever it is called.
const RANDOM: usize = 20;

impl Masks {
    /// The secrets and kept fields of a context.
    pub(super) fn of(context: &Context) -> Self {
        let mut masks = Self(Vec::new());
        for secret in context.secrets.values() {
            masks.add(secret.expose());
        }
        for (name, value) in &context.fields {
            masks.add_named(name, value);
        }
        masks
    }

    /// One value, whatever its name.
    pub(super) fn add(&mut self, value: &str) {
        if value.len() >= SHORTEST && self.0.len() < MOST && !self.0.iter().any(|known| known.as_str() == value) {
            self.0.push(Zeroizing::new(value.to_owned()));
        }
    }

    /// Every value of parameters whose name says that it is secret, however deep.
    pub(super) fn add_params(&mut self, params: &Params) {
        for (name, value) in params.iter() {
            self.add_named(name, value);
        }
    }

    /// The value of a name, and what is within it.
    pub(super) fn add_named(&mut self, name: &str, value: &Value) {
        match value {
            // `code` is an authorization code in a callback and an error's word in a reply.
            Value::String(text) if name == "code" && is_a_word(text) => {}
            Value::String(text) if is_secret(name) => self.add(text),
            Value::Array(list) => list.iter().for_each(|item| self.add_named(name, item)),
            Value::Object(object) => object.iter().for_each(|(name, value)| self.add_named(name, value)),
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    /// A text with the values, and all that looks like a token, replaced.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut known: Vec<&str> = self.0.iter().map(|value| value.as_str()).collect();
        // The longest first: one value may begin another.
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        let mut text = Zeroizing::new(text.to_owned());
        for value in known {
            if text.contains(value) {
                text = Zeroizing::new(text.replace(value, "[redacted]"));
            }
        }
        without_random(&text)
    }
}

/// Whether a field's name says that its value is secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if name == "token_type" || name.starts_with("error") || name.starts_with("status") {
        return false;
    }
    const WORDS: [&str; 13] = [
        "token",
        "secret",
        "passw",
        "verifier",
        "assertion",
        "credential",
        "signature",
        "session",
        "cookie",
        "authorization",
        "api_key",
        "apikey",
        "private",
    ];
    const WHOLE: [&str; 6] = ["code", "auth_code", "authorization_code", "device_code", "sign", "jwt"];
    WORDS.iter().any(|word| name.contains(word)) || WHOLE.contains(&name.as_str())
}

/// A plain word, or a short number: no authorization code.
fn is_a_word(text: &str) -> bool {
    let letters = text.len() <= 40 && text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    let number = text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit());
    letters || number
}

fn without_random(text: &str) -> String {
    let of_token = |c: char| c.is_ascii_alphanumeric() || "-_+=%~".contains(c);
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(of_token) {
        clean.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(|c| !of_token(c)).unwrap_or(rest.len());
        let run = &rest[..end];
        let random =
            run.len() >= RANDOM && run.contains(|c: char| c.is_ascii_digit()) && run.contains(char::is_alphabetic);
        // Writing to a String cannot fail.
        let _ = if random { write!(clean, "[redacted]") } else { write!(clean, "{run}") };
        rest = &rest[end..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_and_what_looks_like_a_token_are_taken_out() {
        let mut masks = Masks(Vec::new());
        let reply =
            serde_json::json!({"authed_user": {"access_token": "short-1"}, "scope": "read", "token_type": "Bearer"});
        masks.add_named("reply", &reply);
        let text =
            "got short-1 for read as Bearer at https://accounts.provider.example/oauth2 ya29.a0AfH6SMBx1234567890abc";
        let clean = masks.redact(text);
        assert_eq!(
            clean,
            "got [redacted] for read as Bearer at https://accounts.provider.example/oauth2 ya29.[redacted]"
        );
    }

    #[test]
    fn a_code_that_is_a_word_is_an_errors_and_one_that_is_not_is_masked() {
        let mut masks = Masks(Vec::new());
        masks.add_named("reply", &serde_json::json!({"errors": [{"code": "invalid_field"}], "code": "4/P7q-Wy"}));
        assert_eq!(masks.redact("invalid_field for 4/P7q-Wy"), "invalid_field for [redacted]");
    }

    #[test]
    fn the_rest_of_a_longer_secret_does_not_stay() {
        let mut masks = Masks(Vec::new());
        masks.add("abcd");
        masks.add("abcd-efgh");
        assert_eq!(masks.redact("x abcd-efgh y"), "x [redacted] y");
    }
}
