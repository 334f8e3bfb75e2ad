//! Whether a reply in which no token was found holds one all the same. A provider that rotates has given its only new refresh
//! token in it: that reply must be kept until whatever misread it is mended, and not be asked for again.

use crate::oauth::{RawReply, read_reply};
use serde_json::Value;
use uuid::Uuid;

/// Characters of the shortest token under a name that says that it is one: a word or a number of an error is shorter.
const SHORTEST: usize = 12;
/// Under any other name.
const SHORTEST_UNNAMED: usize = 20;
/// Parts of names of texts that look like tokens and are none that a grant lives by.
const OTHERS: [&str; 8] = ["csrf", "xsrf", "id_token", "request", "trace", "session", "error", "nonce"];

/// Whether a reply says yes and has a text in it that could be a token: under a name that says so, or under any where a script
/// of its own should know which.
pub(super) fn seems_to_hold_a_token(reply: &RawReply, own_script: bool) -> bool {
    (200..300).contains(&reply.status)
        && read_reply(reply).is_ok_and(|params| params.iter().any(|(name, value)| holds(name, value, own_script)))
}

fn holds(name: &str, value: &Value, any: bool) -> bool {
    match value {
        Value::String(text) => {
            let name = name.to_ascii_lowercase();
            let least = if name.contains("token") { SHORTEST } else { SHORTEST_UNNAMED };
            let named = any || name.contains("token");
            let is_other = OTHERS.iter().any(|other| name.contains(other)) || Uuid::try_parse(text).is_ok();
            named && !is_other && text.len() >= least && text.bytes().all(is_of_a_token)
        }
        Value::Array(items) => items.iter().any(|item| holds(name, item, any)),
        Value::Object(members) => members.iter().any(|(name, value)| holds(name, value, any)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The characters of a bearer token (RFC 6750 section 2.1) and those that providers put between its parts.
fn is_of_a_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=|:!*".contains(&byte)
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
        assert!(seems(200, r#"{"data":{"key":"tok-0123456789-0123456789"}}"#, true));
        for of_no_grant in [
            r#"{"csrf_token":"abcdef1234567890","message":"maintenance"}"#,
            r#"{"request_id":"0b9f1c1e-77aa-4f0e-9d3c-0a4a6a5f3c11","ok":true}"#,
            r#"{"ref":"0b9f1c1e-77aa-4f0e-9d3c-0a4a6a5f3c11"}"#,
            r#"{"message":"we_are:down,for{maintenance}"}"#,
        ] {
            assert!(!seems(200, of_no_grant, true), "{of_no_grant}");
        }
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
