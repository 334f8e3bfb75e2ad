//! Whether a reply in which no token was found holds one all the same. A provider that rotates has given its only new refresh
//! token in it: that reply must be kept until whatever misread it is mended, and not be asked for again.

use crate::oauth::{RawReply, read_reply};
use serde_json::Value;

/// Characters of the shortest token: a word or a number of an error is shorter.
const SHORTEST: usize = 12;

/// Whether a reply says yes and has a text in it that could be a token: under a name that says so, or under any where a script
/// of its own should know which.
pub(super) fn seems_to_hold_a_token(reply: &RawReply, own_script: bool) -> bool {
    (200..300).contains(&reply.status)
        && read_reply(reply).is_ok_and(|params| params.iter().any(|(name, value)| holds(name, value, own_script)))
}

fn holds(name: &str, value: &Value, any: bool) -> bool {
    match value {
        Value::String(text) => {
            let named = any || name.to_ascii_lowercase().contains("token");
            named && text.len() >= SHORTEST && !text.contains(char::is_whitespace)
        }
        Value::Array(items) => items.iter().any(|item| holds(name, item, any)),
        Value::Object(members) => members.iter().any(|(name, value)| holds(name, value, any)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_seen_where_it_hides_and_none_is_seen_in_words() {
        let seems = |status, body: &str, own_script| {
            let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
            seems_to_hold_a_token(&RawReply { status, headers, body: body.as_bytes().to_vec().into() }, own_script)
        };
        assert!(seems(200, r#"{"data":[{"userToken":"tok-0123456789"}]}"#, false));
        assert!(seems(200, r#"{"data":{"key":"tok-0123456789"}}"#, true));
        for (status, body) in [
            (200, r#"{"data":{"key":"tok-0123456789"}}"#),
            (200, r#"{"token_error":"the token is not known here"}"#),
            (200, r#"{"token":"short"}"#),
            (200, r#"{"token":1234567890123}"#),
            (500, r#"{"access_token":"tok-0123456789"}"#),
            (200, "<html><p>token=tok-0123456789</p></html>"),
            (200, ""),
        ] {
            assert!(!seems(status, body, false), "{body}");
        }
    }
}
