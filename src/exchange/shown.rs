//! A reply's values, as far as people may see them.

use crate::model::{Secret, quoted};
use crate::oauth::Value;

/// A value of a reply as it may be shown: a number, a truth value, a text that people have to read, or how another text begins.
#[must_use]
pub fn shown(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) if is_public(name) => quoted(text),
        Value::String(text) => masked(&Secret::new(text.trim())),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(object) if object.is_empty() => "an empty object".to_owned(),
        Value::Object(object) => {
            quoted(&format!("an object with {}", object.keys().map(String::as_str).collect::<Vec<_>>().join(", ")))
        }
        other => other.to_string(),
    }
}

/// The first characters of a secret and how long it is; of a short one nothing but that.
#[must_use]
pub fn masked(secret: &Secret) -> String {
    let length = secret.expose().chars().count();
    let seen = if length >= 16 { 4 } else { 0 };
    let first: String = secret.expose().chars().take(seen).collect();
    format!("{}… ({length} characters)", quoted(&first))
}

/// Names whose values people have to see, and no provider puts a secret into: what was granted, until when, and what went wrong.
fn is_public(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(
        name.as_str(),
        "token_type"
            | "scope"
            | "scopes"
            | "expires_in"
            | "expires"
            | "expires_at"
            | "ok"
            | "status"
            | "message"
            | "msg"
            | "description"
    ) || name.starts_with("err")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_secret_nothing_is_shown_that_would_help_to_guess_it() {
        let value = |text: &str| Value::String(text.to_owned());
        assert_eq!(shown("access_token", &value("ya29.a0AfH6SMBx0123456789")), "ya29… (25 characters)");
        assert_eq!(shown("code", &value("123456")), "… (6 characters)");
        assert_eq!(shown("whatever", &value("a\u{1b}[31mred")), "… (9 characters)");
        assert_eq!(shown("errmsg", &value("no such\u{1b} user")), quoted("no such\u{1b} user"));
        assert_eq!(shown("expires_in", &Value::from(3600)), "3600");
        assert_eq!(shown("data", &serde_json::json!({ "token": "hidden" })), "an object with token");
    }
}
